//! `flclient1`: a client that asks one server after the other (the Guide, chapter 4, model 1).

use std::process::ExitCode;

use bstar::programs::run_program;
use demos::flclient::{ClientArgs, Extras};
use freelance::Model;

/// A Freelance client of model 1: simple retry and failover
///
/// It asks the first server that is well, and goes on to the next when that one does not answer
/// in time. Who is dead is remembered. Servers are REP sockets that echo, such as flserver1.
/// Each reply is checked. Exit code 0 only when every request was answered.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example, with two servers on one machine:\n  flserver1 tcp://127.0.0.1:5555 &\n  flserver1 tcp://127.0.0.1:5556 &\n  flclient1 --requests 10000 tcp://127.0.0.1:5555 tcp://127.0.0.1:5556"
)]
struct Args {
    #[command(flatten)]
    client: ClientArgs,
    /// Send a second copy when the first takes longer than 95 of 100 did
    #[arg(long)]
    hedge: bool,
}

fn main() -> ExitCode {
    run_program(|args: Args| {
        let extras = Extras {
            outstanding: 1,
            hedge: args.hedge,
        };
        args.client.run(Model::One, extras)
    })
}
