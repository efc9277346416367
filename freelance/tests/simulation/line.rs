//! The client's end of a link: what the host's sockets are in production.

use std::time::{Duration, Instant};

use reactor::sim::HostId;

/// How long it takes until it is known that nobody is at the other end.
pub(crate) const REFUSAL_TAKES: Duration = Duration::from_millis(1);

pub(crate) enum Line {
    Down,
    /// An attempt; without a connection to the host it is refused at the given time.
    Dialling {
        link: u64,
        over: Result<u64, Instant>,
    },
    Up {
        link: u64,
        over: u64,
        /// The server cannot be addressed before: the handshake is complete, and its identity was not read yet. For
        /// one that is misnamed it is never.
        routable_at: Option<Instant>,
        heard: Instant,
        beat_at: Instant,
    },
}

/// A server as the host knows it.
pub(crate) struct Port {
    pub(crate) host: HostId,
    pub(crate) line: Line,
    /// Links that are to be asked for a name, at most once each.
    pub(crate) asked: Option<u64>,
    pub(crate) leaving: bool,
    /// When it last refused something, or could not take it.
    pub(crate) trouble: Option<Instant>,
    /// When it last refused on this link, or was asked again after it had.
    pub(crate) refusing: Option<Instant>,
}

impl Port {
    pub(crate) fn new(host: HostId) -> Self {
        Self {
            host,
            line: Line::Down,
            asked: None,
            leaving: false,
            trouble: None,
            refusing: None,
        }
    }

    pub(crate) fn link(&self) -> Option<u64> {
        match self.line {
            Line::Down => None,
            Line::Dialling { link, .. } | Line::Up { link, .. } => Some(link),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.line, Line::Up { .. })
    }

    /// Whether the line is, or is dialled, over this connection.
    pub(crate) fn is_over(&self, connection: u64) -> bool {
        match self.line {
            Line::Down => false,
            Line::Dialling { over, .. } => over == Ok(connection),
            Line::Up { over, .. } => over == connection,
        }
    }
}
