//! What happens where something ends: descriptors, contexts, room, and the patience of a handler.
//!
//! Some of these tests count the descriptors of the process, or close one behind everyone's back. Those have a process
//! of their own each, which the test starts from this same program.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod child;
mod closed;
mod contexts;
mod descriptors;
mod full;
mod panics;
