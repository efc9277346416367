//! Harness for tests across crates.
