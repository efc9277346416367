//! The pair's client over real sockets, against servers that do what a script says.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod blocking;
mod callbacks;
mod faults;
mod server;
