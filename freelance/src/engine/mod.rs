//! The engine.
mod types;
pub use self::types::*;
