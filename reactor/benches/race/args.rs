//! The command line.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// Races the reactor with zloop, zmq_poll, calloop and a bare epoll loop.
///
/// Figures are medians of the rounds, pinned to one CPU unless marked. Compare them within one run only.
#[derive(Debug, Parser)]
#[command(name = "race", bin_name = "race")]
pub(crate) struct Args {
    /// How often each contestant runs in each test [default: 7, or 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Few rounds of short runs: shows that it works, and roughly where things stand
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this axis; may be given several times [default: all]
    #[arg(long, value_name = "NAME")]
    axis: Vec<Axis>,
    /// Writes the medians, the quartiles and all runs to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draws the results into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Writes the medians to this file, as tables for a page of documentation
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
    /// Cargo hands it on.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A group of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Axis {
    /// A busy socket among idle ones
    Sockets,
    /// Turns, and create + cancel, beside pending timers
    Timers,
    /// Resetting tickets
    Tickets,
    /// Waking the loop from another thread
    Wake,
    /// Messages a second
    Flood,
    /// What a flood does to a timer and a neighbour
    Fairness,
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 3 } else { 7 })
    }

    pub(crate) fn wants(&self, axis: Axis) -> bool {
        self.axis.is_empty() || self.axis.contains(&axis)
    }

    /// What is written in the end.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.json, &self.svg, &self.markdown]
            .into_iter()
            .filter_map(|file| file.as_deref())
    }
}
