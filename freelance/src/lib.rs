//! Freelance: brokerless failover clients and their servers.

mod client;
mod config;
pub mod engine;
mod error;
pub mod server;
mod wire;

pub use crate::config::{Budget, Config, Hedge, MAX_SERVERS, Model};
pub use crate::engine::{Idempotent, Liveness, Reply, RequestId, ServerId, ServerStats, Stats};
pub use crate::error::{Error, RequestError};
pub use crate::server::Server;
