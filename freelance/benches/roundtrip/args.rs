//! The command line.

use clap::Parser;

/// Races our clients with the Guide's designs and with bare loops on libzmq.
///
/// Figures are medians of the rounds, pinned to one CPU unless told otherwise. Compare them within one run only.
#[derive(Debug, Parser)]
#[command(name = "roundtrip", bin_name = "roundtrip")]
pub(crate) struct Args {
    /// How often each client runs in each test [default: 7, or 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// One round of short runs: shows that it works, and roughly where things stand
    #[arg(long)]
    pub(crate) quick: bool,
    /// Let servers and clients run on any CPU
    #[arg(long)]
    pub(crate) unpinned: bool,
    /// Only this model; may be given several times [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    model: Vec<u8>,
    /// Cargo hands it on.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Args {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 7 })
    }

    pub(crate) fn wants(&self, model: u8) -> bool {
        self.model.is_empty() || self.model.contains(&model)
    }

    /// Requests of a run.
    pub(crate) fn requests(&self, outstanding: u32) -> u32 {
        match (self.quick, outstanding) {
            (true, 1) => 500,
            (true, _) => 3_000,
            (false, 1) => 4_000,
            (false, _) => 40_000,
        }
    }
}
