//! The proxies and the servers behind them, each started once.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::{BOUND, Namespace, Outcome, Process};

/// Where clients and servers run, and where proxies do.
const ENDS_CPU: &str = "0";
const PROXY_CPU: &str = "1";
/// More than any row needs, and no more than a process may have descriptors for.
const MAX_CONNECTIONS: usize = 6000;

/// Who stands between a client and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Direct,
    Haproxy,
    Ours,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Haproxy, Self::Ours];
}

/// What is served, and over which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    /// Redis on the loopback.
    Redis,
    /// Bytes on the loopback.
    Bulk,
    /// Bytes, to clients at the other end of a link of 1 Gbit/s.
    SlowBulk,
}

/// All that runs.
#[derive(Default)]
pub(crate) struct Race {
    /// Clients live in the first, proxies and servers in the second.
    islands: Option<(Namespace, Namespace)>,
    running: BTreeMap<(Service, Kind), (SocketAddr, Process)>,
    folder: Option<TempDir>,
}

impl Race {
    /// Where a client of this contender connects; it is started if it does not run.
    pub(crate) fn address(&mut self, service: Service, kind: Kind) -> Outcome<SocketAddr> {
        self.start(service, kind)
    }

    /// The process of a contender.
    pub(crate) fn process(&mut self, service: Service, kind: Kind) -> Outcome<u32> {
        self.start(service, kind)?;
        Ok(self.running[&(service, kind)].1.id())
    }

    /// Ends a contender, so that the next starts fresh.
    pub(crate) fn end(&mut self, service: Service, kind: Kind) {
        self.running.remove(&(service, kind));
    }

    /// A command on the processor of clients and servers.
    pub(crate) fn client(program: &str) -> Command {
        pinned(ENDS_CPU, program)
    }

    /// Does something where the clients of a service are.
    pub(crate) fn at_clients<T: Send>(
        &self,
        service: Service,
        task: impl FnOnce() -> Outcome<T> + Send,
    ) -> Outcome<T> {
        match (&self.islands, service) {
            (Some((clients, _)), Service::SlowBulk) => clients.within(task),
            _ => task(),
        }
    }

    fn at_servers<T: Send>(
        &self,
        service: Service,
        task: impl FnOnce() -> Outcome<T> + Send,
    ) -> Outcome<T> {
        match (&self.islands, service) {
            (Some((_, servers)), Service::SlowBulk) => servers.within(task),
            _ => task(),
        }
    }

    fn start(&mut self, service: Service, kind: Kind) -> Outcome<SocketAddr> {
        if let Some((address, _)) = self.running.get(&(service, kind)) {
            return Ok(*address);
        }
        if service == Service::SlowBulk && self.islands.is_none() {
            self.islands = Some(islands()?);
        }
        let listen = self.free_address(service)?;
        let mut command = match kind {
            Kind::Direct => self.server(service, listen)?,
            Kind::Haproxy => {
                let server = self.start(service, Kind::Direct)?;
                self.haproxy(listen, server)?
            }
            Kind::Ours => {
                let server = self.start(service, Kind::Direct)?;
                ours(listen, server)?
            }
        };
        let process = self.at_servers(service, || Ok(Process::spawn("contender", &mut command)))?;
        self.at_servers(service, || wait_listening(listen, &process))?;
        self.running.insert((service, kind), (listen, process));
        Ok(listen)
    }

    fn server(&mut self, service: Service, listen: SocketAddr) -> Outcome<Command> {
        if service != Service::Redis {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let mut command = pinned(ENDS_CPU, &own.to_string_lossy());
            command.arg("source").arg(listen.to_string());
            return Ok(command);
        }
        let mut command = pinned(ENDS_CPU, "redis-server");
        command
            .args(["--port", &listen.port().to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.folder()?);
        Ok(command)
    }

    fn haproxy(&mut self, listen: SocketAddr, server: SocketAddr) -> Outcome<Command> {
        let file = self
            .folder()?
            .join(format!("haproxy-{}.cfg", listen.port()));
        let text = format!(
            "global\n  nbthread 1\n  maxconn {MAX_CONNECTIONS}\n\
             defaults\n  mode tcp\n  option splice-auto\n  option redispatch\n  \
             timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
             listen race\n  bind {listen}\n  server one {server}\n"
        );
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        let mut command = pinned(PROXY_CPU, "haproxy");
        command.arg("-db").arg("-f").arg(file);
        Ok(command)
    }

    fn folder(&mut self) -> Outcome<PathBuf> {
        if self.folder.is_none() {
            self.folder = Some(tempfile::tempdir().map_err(|error| error.to_string())?);
        }
        let folder = self.folder.as_ref().map(|folder| folder.path().to_owned());
        folder.ok_or_else(|| "no folder".to_owned())
    }

    /// An address at which nobody listens now.
    fn free_address(&self, service: Service) -> Outcome<SocketAddr> {
        let ip = match service {
            Service::Redis | Service::Bulk => "127.0.0.1:0",
            Service::SlowBulk => "10.77.0.2:0",
        };
        self.at_servers(service, || {
            let listener = std::net::TcpListener::bind(ip).map_err(|error| error.to_string())?;
            listener.local_addr().map_err(|error| error.to_string())
        })
    }
}

fn ours(listen: SocketAddr, server: SocketAddr) -> Outcome<Command> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = own.with_file_name("bstar");
    if !program.is_file() {
        return Err(format!("{} is not built", program.display()));
    }
    let mut command = pinned(PROXY_CPU, &program.to_string_lossy());
    command
        .args(["front", "--listen", &listen.to_string()])
        .args(["--server", &server.to_string()])
        .args(["--max-connections", &MAX_CONNECTIONS.to_string()]);
    Ok(command)
}

fn pinned(cpu: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cpu, program]);
    command
}

fn wait_listening(address: SocketAddr, process: &Process) -> Outcome<()> {
    let deadline = Instant::now() + BOUND;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline || process.exit_status().is_some() {
            return Err(process.describe("does not listen"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Two networks, and a link of 1 Gbit/s from the second to the first.
fn islands() -> Outcome<(Namespace, Namespace)> {
    let (clients, servers) = (Namespace::new()?, Namespace::new()?);
    let (near, far) = (clients.name(), servers.name());
    for command in [
        format!("ip link add race0 netns {near} type veth peer name race1 netns {far}"),
        format!("ip -n {near} addr add 10.77.0.1/24 dev race0"),
        format!("ip -n {far} addr add 10.77.0.2/24 dev race1"),
        format!("ip -n {near} link set race0 up"),
        format!("ip -n {far} link set race1 up"),
        format!("tc -n {far} qdisc add dev race1 root tbf rate 1gbit burst 256kb latency 20ms"),
    ] {
        let mut words = command.split(' ');
        let program = words.next().unwrap_or_default();
        let output = Command::new(program).args(words).output();
        let output = output.map_err(|error| format!("{program}: {error}"))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(format!("{command}: {why}"));
        }
    }
    Ok((clients, servers))
}
