//! `bstar run`: any server as one node of a pair, by a program beside it.

mod config;
mod front;
