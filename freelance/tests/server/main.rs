//! Servers of the three models, over real sockets, asked by plain ZeroMQ clients.
#![allow(clippy::unwrap_used)]

mod cache;
mod ending;
mod faults;
mod flp;
mod later;
mod rig;
mod signals;
mod wire;
