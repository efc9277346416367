//! `bstarsrv`: an echo server as one node of a pair (the Guide, chapter 4).

use std::process::ExitCode;

use bstar::programs::{ServerArgs, run_program};

/// An echo server as one node of a Binary Star pair
///
/// It prints a line when everything is bound, and one at each change of its state. SIGUSR1 asks
/// it to hand the service to its peer; SIGINT and SIGTERM end it, after handing the service over
/// if its peer stands by.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example, a pair on one machine:\n  bstarsrv --primary &\n  bstarsrv --backup &\n  bstarcli --requests 10"
)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

fn main() -> ExitCode {
    run_program(|args: Args| args.server.run())
}
