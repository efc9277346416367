//! Binary Star.
pub mod client;
pub mod core;
