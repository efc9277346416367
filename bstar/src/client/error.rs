//! What can go wrong on the client's side.

use reactor::EndpointError;

/// Why a client could not be built, or a request was not taken on.
///
/// Nothing was sent when one of these is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is out of its bounds.
    #[error("{setting}: {reason}")]
    Config {
        /// Name of the setting, as in [`Config`](super::Config).
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
    /// As many requests are under way as [`Config::max_outstanding`](super::Config) allows.
    #[error("{limit} requests are under way already, which is this client's limit")]
    TooManyOutstanding {
        /// The limit that was met.
        limit: usize,
    },
    /// A request needs at least one frame, or a REP server could not answer it.
    #[error("a request needs at least one frame")]
    Empty,
    /// The request has more frames than [`Config::max_request_frames`](super::Config).
    #[error("a request of {frames} frames exceeds the limit of {limit}")]
    TooManyFrames {
        /// Frames of the request.
        frames: usize,
        /// The limit that was exceeded.
        limit: usize,
    },
    /// The request has more bytes than [`Config::max_request_bytes`](super::Config).
    #[error("a request of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes of the request, all frames together.
        bytes: usize,
        /// The limit that was exceeded.
        limit: usize,
    },
    /// A single frame that reads as a refusal: a server that echoed it would seem to refuse.
    #[error("a request whose only frame reads `bstar-no` would be taken for a refusal when echoed")]
    LooksLikeRefusal,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// The system gave no random bytes for the client's nonce.
    #[error("no random bytes for the client's nonce: {0}")]
    Random(String),
    /// A socket could not be made or set up.
    #[error("client socket: {0}")]
    Socket(#[from] zmq::Error),
    /// The reactor below refused or failed.
    #[error("reactor: {0}")]
    Reactor(#[from] reactor::Error),
}

/// Why a request ended without a reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The deadline passed and no server had taken the request: it never left, or each server
    /// that got it refused it by word. It was not executed.
    #[error("no server took the request before its deadline; it was not executed")]
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
