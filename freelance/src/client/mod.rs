//! The client's hosts: on a reactor, for a caller that waits, and on a thread of its own.

mod agent;
mod blocking;
mod builder;
mod handle;
mod link;
mod pending;
mod port;
mod source;

use std::time::Duration;

pub use self::agent::Agent;
pub use self::blocking::Client;
pub use self::builder::ClientBuilder;
pub use self::handle::ClientHandle;
pub use self::pending::Pending;
use crate::{Liveness, ServerId};

/// Deadlines further away than this are cut to it; it keeps sums of times from overflowing.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What became of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// The client thinks otherwise of it than before. Of changes that follow each other at once the last is told.
    Changed {
        /// Which.
        server: ServerId,
        /// What it thinks now.
        liveness: Liveness,
    },
    /// It has another identity than the address that it was dialled by (model 3): no request can reach it until it is
    /// given by that name, or started with `--identity` of this one.
    Misnamed {
        /// Which.
        server: ServerId,
        /// What it calls itself.
        identity: String,
    },
    /// It was drained, and is removed.
    Drained {
        /// Which.
        server: ServerId,
    },
}
