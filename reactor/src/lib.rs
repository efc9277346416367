//! A zloop-style reactor for one thread: ZeroMQ sockets, raw descriptors and timers.

mod arena;
mod backend;
mod clock;
mod ending;
mod error;
mod keys;
mod raw;
mod reactor;
mod readiness;
mod remote;
mod scope;
mod signals;
mod source;
mod timers;

pub use zmq;

pub use crate::backend::Backend;
pub use crate::clock::VirtualClock;
pub use crate::ending::{Ending, end_context};
pub use crate::error::{BoxError, Error, PostError, Rejected};
pub use crate::keys::{AnyKey, FdKey, SocketKey, SourceKey, TimerKey};
pub use crate::raw::set_xpub_verboser;
pub use crate::reactor::{Builder, Reactor};
pub use crate::readiness::{Interest, Ready};
pub use crate::remote::{Handle, Waker};
pub use crate::scope::Scope;
pub use crate::source::{ErrorPolicy, Event, Missed, Next, Source};
