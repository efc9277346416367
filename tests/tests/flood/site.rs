//! A pair of `bstar run`, each beside a server of few words, in a network of its own.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::beside::{free_address, wait_until};
use tests::{BOUND, Beside, Outcome, ensure, free_endpoint};

use super::server::Server;
use super::watch::{self, Served, Task};

pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);
/// Of each front end of TCP.
pub(crate) const MAX_CONNECTIONS: usize = 4000;

/// The active one, and the passive one.
pub(crate) struct Site {
    pub(crate) nodes: [Beside; 2],
    pub(crate) tcp: [SocketAddr; 2],
    pub(crate) zeromq: [String; 2],
    links: [String; 2],
    _servers: Vec<Server>,
    _folder: TempDir,
}

/// What must not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    said: usize,
    state: Value,
    epoch: Value,
    gate: Value,
    transitions: Value,
    fresh: Value,
}

/// Who looks on.
pub(crate) struct Watch {
    lateness: [Task<Duration>; 2],
    polite: [Task<Served>; 2],
}

/// What was seen.
pub(crate) struct Seen {
    /// Of each node, the active one first.
    pub(crate) lateness: [Duration; 2],
    /// By TCP, and by ZeroMQ.
    pub(crate) served: [Served; 2],
}

impl Site {
    /// Starts a pair, and waits until the primary serves and the backup stands by.
    pub(crate) fn start(max_memory_mib: u64) -> Outcome<Self> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let links = [free_endpoint(), free_endpoint()];
        let tcp = [free_address(), free_address()];
        let zeromq = [free_endpoint(), free_endpoint()];
        let mut servers = Vec::new();
        let mut start = |index: usize| -> Outcome<Beside> {
            let (behind_tcp, behind_zeromq) = (free_address(), free_endpoint());
            servers.push(Server::tcp(behind_tcp)?);
            servers.push(Server::zeromq(&behind_zeromq)?);
            let role = ["primary", "backup"][index];
            let control = folder.path().join(format!("{role}.sock"));
            let config = format!(
                "role = \"{role}\"\nheartbeat_ms = {}\nmax_memory_mib = {max_memory_mib}\ncontrol = \"{}\"\n\
                 [link]\nlocal = \"{}\"\nremote = \"{}\"\n\
                 [[tcp]]\nname = \"tcp\"\nlisten = \"{}\"\nserver = \"{behind_tcp}\"\nmax_connections = {MAX_CONNECTIONS}\n\
                 [[zmq]]\nname = \"zmq\"\nlisten = \"{}\"\nserver = \"{behind_zeromq}\"\n",
                HEARTBEAT.as_millis(),
                control.display(),
                links[index],
                links[1 - index],
                tcp[index],
                zeromq[index],
            );
            Beside::start_in(folder.path(), role, &config)
        };
        let primary = start(0)?;
        primary.wait_ready()?;
        let nodes = [primary, start(1)?];
        let site = Self {
            nodes,
            tcp,
            zeromq,
            links,
            _servers: servers,
            _folder: folder,
        };
        // The gate has opened a moment after it is said.
        let mut served = Ok(());
        wait_until(BOUND, || {
            served = site.serves_newcomers();
            served.is_ok()
        })
        .map_err(|why| {
            let [active, passive] = site.nodes.each_ref().map(Beside::process);
            active.describe(&format!(
                "{why}, {served:?}; {}",
                passive.describe("beside it")
            ))
        })?;
        site.nodes[1].wait_state("passive")?;
        Ok(site)
    }

    /// Has someone look on, who by ZeroMQ waits so long for an answer.
    pub(crate) fn watch(&self, patience: Duration) -> Outcome<Watch> {
        let late = |index: usize| watch::lateness(&self.links[index], HEARTBEAT);
        Ok(Watch {
            lateness: [late(0)?, late(1)?],
            polite: [
                watch::polite(self.tcp[0])?,
                watch::polite_zeromq(&self.zeromq[0], patience)?,
            ],
        })
    }

    /// What the nodes are, by what they said and by their own word.
    pub(crate) fn standing(&self) -> Outcome<[Standing; 2]> {
        let stand = |node: &Beside| -> Outcome<Standing> {
            let status = status(node)?;
            Ok(Standing {
                said: node.mark(),
                state: status["state"].clone(),
                epoch: status["epoch"].clone(),
                gate: status["gate"].clone(),
                transitions: status["counters"]["transitions"].clone(),
                fresh: status["peer"]["fresh"].clone(),
            })
        };
        Ok([stand(&self.nodes[0])?, stand(&self.nodes[1])?])
    }

    /// Fails if a node is not what it was.
    pub(crate) fn stands(&self, before: &[Standing; 2]) -> Outcome<()> {
        let now = self.standing()?;
        for (index, node) in self.nodes.iter().enumerate() {
            ensure(now[index] == before[index], || {
                let what = format!("was {:?}, is {:?}", before[index], now[index]);
                node.process().describe(&what)
            })?;
        }
        Ok(())
    }

    /// Waits until the front end of TCP of the active one has so many clients at least.
    pub(crate) fn wait_clients(&self, least: usize) -> Outcome<()> {
        let mut open = 0;
        let counted = wait_until(BOUND, || {
            let status = status(&self.nodes[0]);
            open = status.map_or(0, |status| {
                status["front_ends"][0]["open"].as_u64().unwrap_or(0)
            });
            open >= least as u64
        });
        counted.map_err(|why| format!("{open} clients of {least}: {why}"))
    }

    /// A client that comes now is served.
    pub(crate) fn serves_newcomers(&self) -> Outcome<()> {
        let mut stream = TcpStream::connect(self.tcp[0]).map_err(|error| error.to_string())?;
        stream
            .set_read_timeout(Some(BOUND))
            .map_err(|error| error.to_string())?;
        watch::ask(&mut stream)
    }

    /// The greatest resident memory that each node has had, in bytes.
    pub(crate) fn greatest_memory(&self) -> Outcome<[u64; 2]> {
        Ok([
            memory(&self.nodes[0], "VmHWM:")?,
            memory(&self.nodes[1], "VmHWM:")?,
        ])
    }
}

impl Watch {
    pub(crate) fn end(self) -> Outcome<Seen> {
        let [active, passive] = self.lateness;
        let [tcp, zeromq] = self.polite;
        Ok(Seen {
            lateness: [active.end()?, passive.end()?],
            served: [tcp.end()?, zeromq.end()?],
        })
    }
}

/// What the node tells of itself. Where too many ask at once, it is asked again.
pub(crate) fn status(node: &Beside) -> Outcome<Value> {
    let end = Instant::now() + BOUND;
    loop {
        match node.status() {
            Ok(status) => return Ok(status),
            Err(why) if !why.contains("too many") || Instant::now() > end => return Err(why),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn memory(node: &Beside, what: &str) -> Outcome<u64> {
    let path = format!("/proc/{}/status", node.process().id());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .ok_or_else(|| format!("{path} does not tell {what}"))
}
