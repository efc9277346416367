//! `bstarcli`: a client of a pair of echo servers (the Guide, chapter 4).

use std::process::ExitCode;

use bstar::programs::{ClientArgs, run_program};

/// A client of a Binary Star pair of echo servers
///
/// It sends numbered requests, one after the other, to whichever server is active, and checks
/// each echo. Exit code 0 only when every request was answered.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example:\n  bstarcli --server tcp://localhost:5001 --server tcp://localhost:5002 --requests 1000 --json"
)]
struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

fn main() -> ExitCode {
    run_program(|args: Args| args.client.run())
}
