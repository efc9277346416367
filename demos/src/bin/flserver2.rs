//! `flserver2`: a server for clients of model 2 (the Guide, chapter 4).

use std::process::ExitCode;

use bstar::programs::run_program;
use demos::flserver::ServerArgs;
use freelance::Model;

/// A Freelance server of model 2
///
/// It answers a sequence and a body with the sequence and OK, for REQ sockets and flclient2.
/// It prints "ready ENDPOINT" when it is bound. SIGINT and SIGTERM end it, after what is under way.
#[derive(clap::Parser)]
#[command(version, after_help = "Example:\n  flserver2 tcp://127.0.0.1:5555")]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

fn main() -> ExitCode {
    run_program(|args: Args| args.server.run(Model::Two, None))
}
