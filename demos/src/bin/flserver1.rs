//! `flserver1`: an echo server for clients of model 1 (the Guide, chapter 4).

use std::process::ExitCode;

use bstar::programs::run_program;
use demos::flserver::ServerArgs;
use freelance::Model;

/// A Freelance server of model 1, an echo
///
/// It answers whatever a REQ socket asks with the same, and so it is a server for flclient1.
/// It prints "ready ENDPOINT" when it is bound. SIGINT and SIGTERM end it, after what is under way.
#[derive(clap::Parser)]
#[command(version, after_help = "Example:\n  flserver1 tcp://127.0.0.1:5555")]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

fn main() -> ExitCode {
    run_program(|args: Args| args.server.run(Model::One, None))
}
