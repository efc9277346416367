//! Front ends: on a thread and a reactor of their own, so that no traffic keeps a heartbeat waiting.

mod room;
mod tcp;
mod thread;
mod zmq;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

pub(crate) use self::thread::FrontEnds;
use crate::server::Handle;

/// A server that says nothing for so long, at a switchover, has answered what it was asked.
const QUIET: Duration = Duration::from_millis(20);
/// After so long one that goes on talking is cut short.
const LONGEST_DRAIN: Duration = Duration::from_millis(250);

/// Why front ends cannot begin. Nothing was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FrontError {
    #[error(
        "front end {name}: {address} is in use by another program; end that, or listen elsewhere"
    )]
    InUse { name: String, address: SocketAddr },
    #[error(
        "front end {name}: {address} is no address of this machine; listen at one that is, or at 0.0.0.0"
    )]
    NotOurs { name: String, address: SocketAddr },
    #[error(
        "front end {name}: {address} may not be listened at by this user; choose a port from 1024 on, or allow it"
    )]
    Forbidden { name: String, address: SocketAddr },
    #[error("front end {name}: cannot listen at {address}: {error}")]
    Listen {
        name: String,
        address: SocketAddr,
        error: io::Error,
    },
    /// A socket of ZeroMQ.
    #[error("front end {name}: {error}")]
    Socket {
        name: String,
        error: reactor::SocketError,
    },
    /// The reactor of the front ends.
    #[error("front ends: {0}")]
    Reactor(#[from] reactor::Error),
    /// Their thread.
    #[error("front ends: {0}")]
    Thread(#[from] io::Error),
}

/// What the front ends do with clients. Only the conductor changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nobody listens, and whoever is connected is reset.
    #[default]
    Closed,
    /// They listen, and nobody is served: what the configuration calls a vote is told to the conductor, and
    /// the client is held until the gate opens, or closes.
    Voting,
    /// Clients are served, as long as the node may serve.
    Open,
    /// Nothing more is taken from clients, nor are new ones; what the server still says is handed on. When it
    /// has been quiet for a moment the conductor is told, and from then on nothing leaves any more.
    Draining,
}

impl Gate {
    /// The name that status pages use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Gate::Closed => "closed",
            Gate::Voting => "voting",
            Gate::Open => "open",
            Gate::Draining => "draining",
        }
    }
}

/// What front ends tell the conductor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrontEvent {
    /// A client asks to be served while the gate is at [`Gate::Voting`].
    Vote,
    /// Nothing that was begun is under way any more, on any front end, since the gate is at
    /// [`Gate::Draining`].
    Drained,
    /// A front end cannot listen. It tries again by itself; said once until it can.
    CannotListen,
}

/// What all front ends share: the state of their reactor.
pub(crate) struct Plane {
    pub(crate) gate: Gate,
    /// How often the gate was set. A front end follows it once for each number that it finds here, also where the gate is
    /// what it was: it may have been something else meanwhile.
    pub(crate) settings: u64,
    /// How often the gate was closed. A front end that finds it open, and this number changed, missed that, and begins
    /// anew.
    pub(crate) closings: u64,
    /// Asked before anything of a client is handed to the server.
    pub(crate) node: Handle,
    /// Tells the conductor. [`FrontEvent::Drained`] is told by every front end, each time that it is to drain, and reaches
    /// the conductor with the last of them.
    pub(crate) tell: Box<dyn FnMut(FrontEvent) + Send>,
}

impl Plane {
    /// A front end says that its drain is over. Nobody hears of it where the gate was set since that drain began: if it is
    /// to drain again, that one is told.
    fn tell_drained(&mut self, setting: u64) {
        if setting == self.settings {
            (self.tell)(FrontEvent::Drained);
        }
    }
}

/// What one front end counts, for those who watch.
#[derive(Debug, Default)]
pub(crate) struct FrontCounts {
    /// Clients that are connected now.
    pub(crate) open: AtomicUsize,
    /// Clients that were accepted (TCP), or requests taken (ZeroMQ).
    pub(crate) accepted: AtomicU64,
    /// Clients that were turned away or reset because this node does not serve.
    pub(crate) refused: AtomicU64,
    /// Clients whose server was not there or did not accept (TCP), or requests that were lost (ZeroMQ).
    pub(crate) failed: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

/// A front end by its name, and what it counts.
#[derive(Clone, Debug)]
pub(crate) struct FrontView {
    pub(crate) name: String,
    pub(crate) counts: Arc<FrontCounts>,
}
