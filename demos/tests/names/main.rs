//! The name service as a whole: its programs, its clients, and clients that are fed by it.
#![allow(clippy::unwrap_used)]

mod feed;
mod programs;
mod resolver;
mod rig;
mod server;
