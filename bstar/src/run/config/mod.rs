//! What `bstar run` is told, checked.
//!
//! ```text
//! keys      every key there is, with its flag, default and help
//!   |
//! file      TOML  -> Document      each value with the line, or the flag, that gave it
//! flags     clap  -> over it
//!   |
//! load      Document -> RunConfig  by fronts, server, health, hooks, control
//! ```
//!
//! Whatever is wrong is one [`ConfigProblem`]: a line that names the place and what would be right.

mod control;
mod document;
mod file;
mod flags;
mod fronts;
mod given;
mod health;
mod hooks;
mod keys;
mod load;
mod place;
mod problem;
mod program;
mod server;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reactor::Endpoint;

use crate::core::Config;
use crate::server::ProofOfDeath;

pub(crate) use self::flags::ConfigFlags;
pub(crate) use self::problem::ConfigProblem;

/// Everything that one node is told.
#[derive(Clone, Debug)]
pub(crate) struct RunConfig {
    /// Role, name, heartbeat and all times of the pair.
    pub(crate) pair: Config,
    pub(crate) link: LinkConfig,
    /// A second state link, over a network of its own.
    pub(crate) second_link: Option<LinkConfig>,
    pub(crate) state_dir: Option<PathBuf>,
    /// Where `bstar status` and the like find this node.
    pub(crate) control: PathBuf,
    pub(crate) proof_of_death: Option<ProofOfDeath>,
    /// One front end at least, here or in `zmq`.
    pub(crate) tcp: Vec<TcpConfig>,
    pub(crate) zmq: Vec<ZmqConfig>,
    pub(crate) server: ServerConfig,
    pub(crate) health: Vec<CheckConfig>,
    /// Whether a node whose server is not well takes over all the same when a client asks.
    pub(crate) vote_when_unhealthy: bool,
    pub(crate) hooks: HooksConfig,
}

/// One state link.
#[derive(Clone, Debug)]
pub(crate) struct LinkConfig {
    /// Where this node publishes its state.
    pub(crate) local: Endpoint,
    /// Where its peer does.
    pub(crate) remote: Endpoint,
}

/// What of a client votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// Its first bytes.
    Data,
    /// Its connection: for protocols in which the server speaks first.
    Connect,
}

/// A front end that forwards bytes.
#[derive(Clone, Debug)]
pub(crate) struct TcpConfig {
    /// Unique among all front ends; by default the address that it listens at.
    pub(crate) name: String,
    pub(crate) listen: SocketAddr,
    /// Where the local server listens.
    pub(crate) server: SocketAddr,
    pub(crate) vote: Vote,
    /// Until the server must have accepted a connection.
    pub(crate) connect_timeout: Duration,
    /// For how long a connection may carry nothing in either direction; `None`: for ever.
    pub(crate) idle_timeout: Option<Duration>,
    /// At once. Further ones wait in the system's queue.
    pub(crate) max_connections: usize,
    /// Somebody said so many; else fewer will do where there are fewer descriptors.
    pub(crate) max_connections_given: bool,
    /// Whether the server is told the client's address by a header of the PROXY protocol, version 2.
    pub(crate) proxy_protocol: bool,
}

/// A front end that forwards messages: a ROUTER in front, a DEALER to the server's ROUTER or REP.
#[derive(Clone, Debug)]
pub(crate) struct ZmqConfig {
    pub(crate) name: String,
    pub(crate) listen: Endpoint,
    pub(crate) server: Endpoint,
    /// Requests that may wait for the server at once; further ones are refused.
    pub(crate) max_waiting: usize,
    /// Bytes by which the resident memory of the whole process may grow before all clients are disconnected.
    pub(crate) max_memory: u64,
}

/// When the server's process is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerRun {
    /// It is somebody else's to start and to stop.
    None,
    /// As long as this program.
    Always,
    /// While this node is active.
    Active,
}

/// The server's process.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    pub(crate) run: ServerRun,
    /// Program and arguments; empty only with [`ServerRun::None`].
    pub(crate) command: Vec<String>,
    pub(crate) directory: Option<PathBuf>,
    /// Added to this program's own environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// Between its start and the first check that it passes.
    pub(crate) start_timeout: Duration,
    /// Between SIGTERM and SIGKILL.
    pub(crate) stop_grace: Duration,
    /// Before the first restart; twice as long before each further one.
    pub(crate) restart_pause: Duration,
    pub(crate) longest_restart_pause: Duration,
    /// So many ends in a row, none of them after `start_timeout` of being ready, and it counts as one that
    /// cannot be kept alive.
    pub(crate) give_up_after: u32,
}

/// What a check of health does.
#[derive(Clone, Debug)]
pub(crate) enum CheckKind {
    /// A connection is accepted.
    Tcp(SocketAddr),
    /// A GET is answered with this status, or with any from 200 to 399.
    Http {
        address: SocketAddr,
        host: String,
        path: String,
        status: Option<u16>,
    },
    /// A command exits with 0.
    Command(Vec<String>),
    /// A REQ's message is answered.
    Zmq { endpoint: Endpoint, message: String },
}

/// A check of health.
#[derive(Clone, Debug)]
pub(crate) struct CheckConfig {
    pub(crate) name: String,
    pub(crate) kind: CheckKind,
    /// From the start of one to the start of the next.
    pub(crate) interval: Duration,
    /// Until it counts as failed.
    pub(crate) timeout: Duration,
    /// So many good ones in a row make it well again.
    pub(crate) rise: u32,
    /// So many bad ones in a row make it ill.
    pub(crate) fall: u32,
}

/// A command of a hook, and how long it may take before it is killed and counts as failed.
#[derive(Clone, Debug)]
pub(crate) struct HookConfig {
    pub(crate) command: Vec<String>,
    pub(crate) timeout: Duration,
}

/// What is run at the turns of a node's life, each list in its order, to its end or the first failure.
#[derive(Clone, Debug, Default)]
pub(crate) struct HooksConfig {
    /// A failure is a veto.
    pub(crate) before_active: Vec<HookConfig>,
    pub(crate) on_active: Vec<HookConfig>,
    pub(crate) before_passive: Vec<HookConfig>,
    pub(crate) on_passive: Vec<HookConfig>,
    pub(crate) on_fault: Vec<HookConfig>,
}

impl HooksConfig {
    /// Each hook by its name.
    pub(crate) fn all(&self) -> [(&'static str, &[HookConfig]); 5] {
        [
            ("before_active", &self.before_active),
            ("on_active", &self.on_active),
            ("before_passive", &self.before_passive),
            ("on_passive", &self.on_passive),
            ("on_fault", &self.on_fault),
        ]
    }
}
