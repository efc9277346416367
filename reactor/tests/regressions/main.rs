//! Defects of other event loops that this one is not to have, each by its number in the project's list of them.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod sockets;
mod sources;
mod timers;
