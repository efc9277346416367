//! Servers of the three models, over real sockets, asked by plain ZeroMQ clients.
#![allow(clippy::unwrap_used)]

mod flp;
mod rig;
mod wire;
