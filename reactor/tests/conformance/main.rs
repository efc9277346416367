//! What a reactor promises, on both back ends.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod descriptors;
mod remote;
mod sockets;
mod sources;
mod timing;
