//! The command line.

use std::time::Duration;

use clap::Parser;

/// Measures how long a client waits for its answer when a server is killed, stopped or slow.
#[derive(Debug, Parser)]
#[command(name = "faults", bin_name = "faults")]
pub(crate) struct Args {
    /// Trials of each kind of failure [default: 100, or 5 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    trials: Option<u32>,
    /// Few trials: shows that it works, and roughly where things stand
    #[arg(long)]
    pub(crate) quick: bool,
    /// Milliseconds that the servers take for an answer while none of them is slow
    #[arg(long, value_name = "MS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    service: u64,
    /// Cargo hands it on.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    pub(crate) fn trials(&self) -> u32 {
        self.trials.unwrap_or(if self.quick { 5 } else { 100 })
    }

    pub(crate) fn service(&self) -> Duration {
        Duration::from_millis(self.service)
    }
}
