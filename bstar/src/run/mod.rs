//! `bstar run`: any server as one node of a pair, by a program beside it.

mod board;
mod child;
mod conductor;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod front;
mod health;
mod hooks;
pub(crate) mod keeper;
mod node;
#[cfg(test)]
mod rig;
mod signals;
mod supervisor;
#[cfg(test)]
mod trial;

pub(crate) use self::config::{ConfigFlags, ConfigProblem, RunConfig};
pub(crate) use self::node::run;
