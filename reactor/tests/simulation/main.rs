//! The simulation kernel: what each fault does, that a run can be repeated, and that what breaks is found and made
//! small.
#![allow(clippy::unwrap_used)]

mod faults;
mod links;
mod probe;
mod search;
