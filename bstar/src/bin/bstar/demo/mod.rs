//! The main job: a pair of real processes and a client, and everything that may befall them.

mod children;
mod story;

use std::process::ExitCode;
use std::time::Duration;

use bstar::core::Config;
use bstar::programs::{Failure, parse_heartbeat};
use clap::Args;

use self::children::Stage;

/// Arguments of the demo.
#[derive(Args)]
#[command(
    after_help = "Exit code 0 only when every step held; RUST_LOG=info shows what the processes log.\n\n\
Example, at the Guide's own heartbeat:\n  bstar demo --heartbeat 1000"
)]
pub(crate) struct DemoArgs {
    /// Milliseconds between two signs of life; the whole demo takes about 20 of them
    #[arg(long, value_name = "MS", default_value = "500", value_parser = parse_heartbeat)]
    heartbeat: Duration,
}

impl DemoArgs {
    /// Plays the demo. Exit code 0 only when every step held.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        // The bounds of a heartbeat are checked already; this gives the timeout that follows.
        let timeout = Config::new(bstar::Role::Primary)
            .with_heartbeat(self.heartbeat)?
            .timeout();
        let mut stage = Stage::open(self.heartbeat)?;
        story::play(&mut stage, timeout)?;
        Ok(ExitCode::SUCCESS)
    }
}
