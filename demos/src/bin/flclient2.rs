//! `flclient2`: a client that asks all servers at once (the Guide, chapter 4, model 2).

use std::process::ExitCode;

use bstar::programs::run_program;
use demos::flclient::{ClientArgs, Extras};
use freelance::Model;

/// A Freelance client of model 2: the brutal shotgun massacre
///
/// It sends a copy of each request to every server that is worth one, and takes the first reply.
/// Servers are such as flserver2.
/// Each reply is checked. Exit code 0 only when every request was answered.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example, with two servers on one machine:\n  flserver2 tcp://127.0.0.1:5555 &\n  flserver2 tcp://127.0.0.1:5556 &\n  flclient2 --requests 10000 tcp://127.0.0.1:5555 tcp://127.0.0.1:5556"
)]
struct Args {
    #[command(flatten)]
    client: ClientArgs,
}

fn main() -> ExitCode {
    run_program(|args: Args| {
        let extras = Extras {
            outstanding: 1,
            hedge: false,
        };
        args.client.run(Model::Two, extras)
    })
}
