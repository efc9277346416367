//! `bstar run`: any server as one node of a pair, by a program beside it.

mod board;
mod child;
mod conductor;
pub(crate) mod config;
mod config;
pub(crate) mod control;
pub(crate) mod front;
mod front;
mod health;
mod hooks;
pub(crate) mod keeper;
#[cfg(test)]
mod rig;
mod supervisor;
#[cfg(test)]
mod trial;

pub(crate) use self::config::{ConfigFlags, ConfigProblem, RunConfig};
