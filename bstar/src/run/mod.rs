//! `bstar run`: any server as one node of a pair, by a program beside it.

mod child;
mod conductor;
mod config;
mod front;
mod hooks;
#[cfg(test)]
mod trial;

pub(crate) use self::config::{ConfigFlags, ConfigProblem, RunConfig};
