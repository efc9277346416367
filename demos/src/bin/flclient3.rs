//! `flclient3`: a client that knows who lives (the Guide, chapter 4, model 3).

use std::process::ExitCode;

use bstar::programs::run_program;
use demos::flclient::{ClientArgs, Extras};
use freelance::Model;

/// A Freelance client of model 3: complex and nasty
///
/// It speaks 10/FLP: it asks the first server that is well, finds out by pings who lives, and has
/// many requests under way. Servers are such as flserver3; each is given by the name that it calls
/// itself.
/// Each reply is checked. Exit code 0 only when every request was answered.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example, with two servers on one machine:\n  flserver3 tcp://127.0.0.1:5555 &\n  flserver3 tcp://127.0.0.1:5556 &\n  flclient3 --requests 10000 tcp://127.0.0.1:5555 tcp://127.0.0.1:5556"
)]
struct Args {
    #[command(flatten)]
    client: ClientArgs,
    /// Requests under way at the same time
    #[arg(long, value_name = "K", default_value_t = 1)]
    outstanding: usize,
    /// Send a second copy when the first takes longer than 95 of 100 did
    #[arg(long)]
    hedge: bool,
}

fn main() -> ExitCode {
    run_program(|args: Args| {
        let extras = Extras {
            outstanding: args.outstanding,
            hedge: args.hedge,
        };
        args.client.run(Model::Three, extras)
    })
}
