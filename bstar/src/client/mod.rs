//! The client of a pair.

mod blocking;
mod config;
pub mod core;
mod error;
mod handle;
mod link;
mod source;
pub(crate) mod wire;

pub use self::blocking::Client;
pub use self::config::Config;
pub use self::core::{RequestId, Stats};
pub use self::error::{Error, RequestError};
pub use self::handle::{ClientBuilder, ClientHandle};

/// Whether a request may be executed more than once without harm.
///
/// Only the caller can know, so each request says it, and there is no default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idempotent {
    /// To execute it twice does what once does: when no answer comes, it is sent again.
    Yes,
    /// It must not be executed twice: once it left, it is sent again only when the server said
    /// that it did not take it.
    No,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The body, without the envelope.
    pub frames: Vec<Vec<u8>>,
    /// Index of the server that answered: 0 is the primary, 1 the backup.
    pub server: usize,
}
