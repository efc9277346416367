//! Three namespaces for a pair, the links between them, and what can be done to a link.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::netns::run;
use crate::{Namespace, Outcome};

use super::side::Side;

/// What the names of all namespaces of a campaign begin with; the process id follows.
const PREFIX: &str = "bstar-campaign-";

/// A link between two of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// From server to server.
    State,
    /// From server to server, for those pairs that have a second state link.
    Second,
    /// From a server to its prober.
    Probe(Side),
    /// From a server to the client of both.
    Client(Side),
}

impl Link {
    const ALL: [Self; 6] = [
        Self::State,
        Self::Second,
        Self::Probe(Side::A),
        Self::Probe(Side::B),
        Self::Client(Side::A),
        Self::Client(Side::B),
    ];

    /// The network 10.77.N.0/30 of the link.
    fn network(self) -> usize {
        match self {
            Self::State => 0,
            Self::Probe(side) => 1 + side.index(),
            Self::Client(side) => 3 + side.index(),
            Self::Second => 5,
        }
    }

    /// The name of the device at a server.
    fn device(self) -> &'static str {
        match self {
            Self::State => "peer0",
            Self::Second => "peer1",
            Self::Probe(_) => "probe0",
            Self::Client(_) => "client0",
        }
    }

    /// The address of the server `side` on this link.
    #[must_use]
    pub fn address(self, side: Side) -> String {
        let last = match self {
            Self::State | Self::Second => 1 + side.index(),
            Self::Probe(_) | Self::Client(_) => 1,
        };
        format!("10.77.{}.{last}", self.network())
    }
}

/// What a link does to the packets that come in at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Drops them; nobody is told.
    Drop,
    /// Drops so many of a hundred.
    Lose(u8),
    /// Resets the connections, and lets the resets of others in: they are the other end's answer.
    Reset,
}

impl Filter {
    fn rule(self, device: &str) -> String {
        let what = match self {
            Self::Drop => "drop".to_owned(),
            Self::Lose(percent) => format!("numgen random mod 100 < {percent} drop"),
            Self::Reset => "tcp flags & rst != rst reject with tcp reset".to_owned(),
        };
        format!("add rule inet bstar input iifname \"{device}\" {what}\n")
    }
}

/// The network of one pair, removed when dropped.
pub struct Hosts {
    servers: [Namespace; 2],
    client: Namespace,
}

impl Hosts {
    /// Makes the network.
    ///
    /// # Errors
    ///
    /// Why this machine cannot.
    pub fn new() -> Outcome<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let named = |part| Namespace::named(format!("{PREFIX}{}-{count}-{part}", process::id()));
        let hosts = Self {
            servers: [named("a")?, named("b")?],
            client: named("c")?,
        };
        for link in Link::ALL {
            hosts.connect(link)?;
        }
        Ok(hosts)
    }

    fn connect(&self, link: Link) -> Outcome<()> {
        let ends = match link {
            Link::State | Link::Second => [(Side::A, link.device()), (Side::B, link.device())]
                .map(|(side, device)| (self.server(side), device)),
            Link::Probe(side) => [
                (self.server(side), link.device()),
                (&self.client, ["probe-a", "probe-b"][side.index()]),
            ],
            Link::Client(side) => [
                (self.server(side), link.device()),
                (&self.client, ["client-a", "client-b"][side.index()]),
            ],
        };
        let [(near, near_device), (far, far_device)] = ends;
        let (near_name, far_name) = (near.name(), far.name());
        let pair = [
            "link",
            "add",
            "name",
            near_device,
            "netns",
            near_name,
            "type",
            "veth",
            "peer",
            "name",
            far_device,
            "netns",
            far_name,
        ];
        run("ip", &pair)?;
        for (last, (host, device)) in ends.into_iter().enumerate() {
            let address = format!("10.77.{}.{}/30", link.network(), last + 1);
            run(
                "ip",
                &["-n", host.name(), "addr", "add", &address, "dev", device],
            )?;
            run("ip", &["-n", host.name(), "link", "set", device, "up"])?;
        }
        Ok(())
    }

    /// The host of a server.
    #[must_use]
    pub fn server(&self, side: Side) -> &Namespace {
        &self.servers[side.index()]
    }

    /// The host of all who ask.
    #[must_use]
    pub fn client(&self) -> &Namespace {
        &self.client
    }

    /// Filters what comes in over `link` at each of the servers `at`, at the same moment.
    ///
    /// # Errors
    ///
    /// When a rule is not taken.
    pub fn filter(&self, link: Link, at: &[Side], filter: Filter) -> Outcome<()> {
        let rule = filter.rule(link.device());
        self.at_once(at, |side| nft(self.server(side), &rule))
    }

    /// Lets all packets pass at both servers again.
    ///
    /// # Errors
    ///
    /// When the rules are not removed.
    pub fn pass_all(&self) -> Outcome<()> {
        self.at_once(&Side::BOTH, |side| {
            nft(self.server(side), "flush chain inet bstar input\n")
        })
    }

    /// Takes the state link down at one end, or up again: both ends see that it has no carrier.
    ///
    /// # Errors
    ///
    /// When the device is not there.
    pub fn set_state_link(&self, up: bool) -> Outcome<()> {
        let host = self.server(Side::A).name();
        let way = if up { "up" } else { "down" };
        run(
            "ip",
            &["-n", host, "link", "set", Link::State.device(), way],
        )
    }

    /// Lets at most so many bits a second leave each server on the state link.
    ///
    /// # Errors
    ///
    /// When the limit is not taken.
    pub fn slow_state_link(&self, kbit: u32) -> Outcome<()> {
        let rate = format!("{kbit}kbit");
        self.at_once(&Side::BOTH, |side| {
            let device = Link::State.device();
            let limit = [
                "root", "tbf", "rate", &rate, "burst", "1600", "latency", "400ms",
            ];
            let mut command = vec!["tc", "qdisc", "add", "dev", device];
            command.extend(limit);
            self.server(side).run(&command)
        })
    }

    /// Takes that limit away.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn quicken_state_link(&self) -> Outcome<()> {
        self.at_once(&Side::BOTH, |side| {
            let device = Link::State.device();
            let command = ["tc", "qdisc", "del", "dev", device, "root"];
            self.server(side).run(&command)
        })
    }

    /// Does the same at several hosts side by side: a command takes 10 ms, and a link must not be
    /// cut in one direction first.
    fn at_once(&self, at: &[Side], act: impl Fn(Side) -> Outcome<()> + Sync) -> Outcome<()> {
        thread::scope(|scope| {
            let act = &act;
            let threads: Vec<_> = at
                .iter()
                .map(|side| scope.spawn(move || act(*side)))
                .collect();
            let outcomes = threads.into_iter().map(|thread| {
                let joined = thread.join();
                joined.unwrap_or_else(|_| Err("a command panicked".to_owned()))
            });
            outcomes.collect()
        })
    }
}

fn nft(host: &Namespace, script: &str) -> Outcome<()> {
    let mut child = Command::new("ip")
        .args(["netns", "exec", host.name(), "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("nft: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        let written = input.write_all(script.as_bytes());
        written.map_err(|error| format!("nft: {error}"))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("nft {}: {}", script.trim(), why.trim()))
}

/// The namespaces that campaigns left behind which were killed: their process runs no more.
#[must_use]
pub fn left_behind() -> Vec<String> {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_left = |name: &String| {
        let pid = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        pid.is_some_and(|pid| !runs(pid))
    };
    names.filter(is_left).collect()
}

/// What has ended and is not reaped has a process id still, but no command line.
fn runs(pid: &str) -> bool {
    let command = fs::read(Path::new("/proc").join(pid).join("cmdline"));
    command.is_ok_and(|command| !command.is_empty())
}

/// Removes those namespaces; answers with their names.
///
/// # Errors
///
/// When one is not removed.
pub fn sweep() -> Outcome<Vec<String>> {
    let names = left_behind();
    for name in &names {
        run("ip", &["netns", "del", name])?;
    }
    Ok(names)
}
