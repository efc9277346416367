//! What can go wrong.

use std::fmt;
use std::io;
use std::os::fd::RawFd;

/// Where errors of handlers come from: whatever the application says.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong in a reactor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket cannot take a message now. Nothing was sent.
    #[error("the socket cannot take a message now")]
    WouldBlock,
    /// The socket cannot take a message now, and as many wait for it as may. Nothing was sent or queued.
    #[error("the send queue of the socket is full")]
    QueueFull,
    /// A ROUTER with `ROUTER_MANDATORY` knows no such peer. Nothing was sent.
    #[error("no such peer is connected")]
    Unreachable,
    /// The key names nothing any more. Nothing was changed.
    #[error("the key is stale: what it named was removed")]
    Stale,
    /// The descriptor is registered here already. Nothing was changed.
    #[error("the descriptor is registered already")]
    Duplicate,
    /// An argument makes no sense; the text says why. Nothing was changed.
    #[error("{0}")]
    Invalid(&'static str),
    /// A registered descriptor was closed, or its number given to something else, by somebody who does not own it. It is
    /// registered no more, and what owned it is leaked, so that the number is not closed twice.
    #[error("descriptor {fd} was closed while it was registered: {error}")]
    Lost {
        /// Its number, which may be another's by now.
        fd: RawFd,
        /// What the system said.
        error: io::Error,
    },
    /// A handler whose source has [`ErrorPolicy::Stop`](crate::ErrorPolicy::Stop) failed. The others that were ready
    /// in that turn have run, and the reactor can be run again.
    #[error("handler of {name} failed: {error}")]
    Handler {
        /// The name under which the source was added.
        name: String,
        /// What the handler returned.
        error: BoxError,
    },
    /// There is no such socket to be had.
    #[error(transparent)]
    Socket(#[from] crate::SocketError),
    /// libzmq refused.
    #[error(transparent)]
    Zmq(#[from] zmq::Error),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A registration that failed, with what was to be registered.
///
/// Where that is of no interest, `?` turns it into an [`Error`]. Handlers return a [`BoxError`], which a socket cannot
/// be part of: there it takes `.map_err(Error::from)?`.
pub struct Rejected<T> {
    /// Why.
    pub error: Error,
    /// What was handed in.
    pub returned: T,
}

impl<T> Rejected<T> {
    pub(crate) fn new(error: impl Into<Error>, returned: T) -> Self {
        Self {
            error: error.into(),
            returned,
        }
    }
}

impl<T> fmt::Debug for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for Rejected<T> {}

/// Drops what was handed in, and keeps why it was refused.
impl<T> From<Rejected<T>> for Error {
    fn from(rejected: Rejected<T>) -> Self {
        rejected.error
    }
}

/// Why work could not be posted. The work was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// As much as the reactor was built to hold waits already; see
    /// [`Builder::post_capacity`](crate::Builder::post_capacity).
    #[error("the queue of posted work is full")]
    Full,
    /// The reactor is gone.
    #[error("the reactor has ended")]
    Ended,
}
