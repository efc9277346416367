//! Front ends: on a thread and a reactor of their own, so that no traffic keeps a heartbeat waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use crate::server::Handle;

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
    /// Asked before anything of a client is handed to the server.
    pub(crate) node: Handle,
    /// Tells the conductor.
    pub(crate) tell: Box<dyn FnMut(FrontEvent) + Send>,
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
    /// Clients whose server was not there or did not accept.
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
