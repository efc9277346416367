//! What can go wrong.

use reactor::{EndpointError, SocketError};

/// Why a client or a server could not be built or changed, or a request was not taken on.
///
/// Nothing was sent and nothing changed when one of these is returned, but for [`Error::Reactor`] and [`Error::Socket`]
/// at a change of servers: that stands then, and what the engine wanted done is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its bounds.
    #[error("{setting}: {reason}")]
    Config {
        /// Name of the setting.
        setting: &'static str,
        /// What it has to be.
        reason: String,
    },
    /// A server's address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A server cannot be used.
    #[error("server {endpoint}: {reason}")]
    Server {
        /// Its address.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// The server is known already.
    #[error("server {0} is known already; it can be removed first, or its tier be set")]
    KnownServer(String),
    /// No such server: it was removed, or is another client's.
    #[error("no such server")]
    NoSuchServer,
    /// As many servers are known as a client can have.
    #[error("{limit} servers are known already, which is the limit")]
    TooManyServers {
        /// The limit that was met.
        limit: usize,
    },
    /// As many requests are under way as [`Config::max_outstanding`](crate::Config) allows.
    #[error("{limit} requests are under way already, which is this client's limit")]
    TooManyOutstanding {
        /// The limit that was met.
        limit: usize,
    },
    /// A request needs at least one frame.
    #[error("a request needs at least one frame")]
    Empty,
    /// The request has more frames than [`Config::max_request_frames`](crate::Config).
    #[error("a request of {frames} frames exceeds the limit of {limit}")]
    TooManyFrames {
        /// Frames of the request.
        frames: usize,
        /// The limit that was exceeded.
        limit: usize,
    },
    /// The request has more bytes than [`Config::max_request_bytes`](crate::Config).
    #[error("a request of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes of the request, all frames together.
        bytes: usize,
        /// The limit that was exceeded.
        limit: usize,
    },
    /// A single frame that reads as a refusal: a server that echoed it would seem to refuse.
    #[error("a request whose only frame reads `fl-no` would be taken for a refusal when echoed")]
    LooksLikeRefusal,
    /// Not ready before the deadline.
    #[error("no server was ready before the deadline")]
    NotReady,
    /// The agent has more to do than it keeps up with.
    #[error("the agent is behind; try again")]
    Busy,
    /// The client or the server was closed.
    #[error("it is closed")]
    Closed,
    /// The system gave no random bytes for the client's nonce.
    #[error("no random bytes for the client's nonce: {0}")]
    Random(String),
    /// A thread could not be started.
    #[error("no thread: {0}")]
    Thread(#[source] std::io::Error),
    /// A socket could not be made or set up.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The reactor below refused or failed.
    #[error("reactor: {0}")]
    Reactor(#[from] reactor::Error),
}

/// Why a request ended without a reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The deadline passed, or the client was closed, and no server had taken the request: it never left, or each
    /// server that got it refused it by word. It was not executed.
    #[error("no server took the request in time; it was not executed")]
    NoServer,
    /// The request left and no answer came: it may have been executed, or not.
    #[error("the request left, but no answer came: whether it was executed is unknown")]
    Unknown,
    /// The client was closed while the request was under way; it may have been executed.
    #[error("the client was closed before an answer came")]
    Closed,
    /// The request was not taken on; nothing was sent.
    #[error(transparent)]
    Rejected(#[from] Error),
}
