//! Binary Star.

pub mod client;
pub mod core;
pub mod endpoint;
#[cfg(feature = "programs")]
pub mod programs;
pub mod server;

pub use client::{Client, Idempotent, Reply};
pub use core::{Config, Role, State};
pub use server::{Handle, Request, Server};
