//! What a reactor promises, on both back ends.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod channels;
mod descriptors;
mod metrics;
mod moments;
mod monitors;
mod outbox;
mod remote;
mod sockets;
mod sources;
mod tickets;
mod timing;
