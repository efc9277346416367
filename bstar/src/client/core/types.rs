//! What goes out of the core.

use super::{Reply, RequestError};

/// A request of one client: its sequence number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// What the host is to do, at once and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// End the link, or the attempt at one; there may be none.
    HangUp {
        /// Index of the server.
        server: usize,
    },
    /// Begin an attempt at a link; the outcome is an input.
    Dial {
        /// Index of the server.
        server: usize,
    },
    /// Send [`Core::frames`](super::Core::frames) of the request, without blocking; when it cannot leave, say so by
    /// [`Core::handle_send_failed`](super::Core::handle_send_failed).
    Send {
        /// Index of the server.
        server: usize,
        /// The request.
        id: RequestId,
    },
}

/// What the application is to know.
#[derive(Debug)]
pub enum Event {
    /// An answer came from another server than the answer before; its `Done` follows.
    Failover {
        /// Index of the server that answers now.
        server: usize,
        /// The greatest epoch that a server stated so far, when one did.
        epoch: Option<u64>,
    },
    /// A request ended.
    Done {
        /// The request.
        id: RequestId,
        /// Its reply, or why there is none.
        result: Result<Reply, RequestError>,
    },
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests taken on.
    pub submitted: u64,
    /// Copies of requests handed to a server's socket, those that failed to leave included.
    pub attempts: u64,
    /// Copies that failed to leave.
    pub send_failed: u64,
    /// Requests that ended with a reply.
    pub answered: u64,
    /// Requests that ended without one.
    pub failed: u64,
    /// Refusals by word.
    pub refused: u64,
    /// Times a server kept silent for the attempt timeout.
    pub silences: u64,
    /// Answers to requests that had ended, or that were answered already; dropped.
    pub late: u64,
    /// Messages that answer nothing of ours; dropped.
    pub foreign: u64,
    /// Successive answers from different servers.
    pub failovers: u64,
}
