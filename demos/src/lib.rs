//! What the demonstration programs share. The programs themselves are in `bin`, one a file, named as in the Guide.

pub mod flclient;
pub mod flserver;
mod histogram;
pub mod names;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
