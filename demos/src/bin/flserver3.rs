//! `flserver3`: an echo server that speaks 10/FLP (the Guide, chapter 4, model 3).

use std::process::ExitCode;

use bstar::programs::{parse_connect, run_program};
use demos::flserver::ServerArgs;
use freelance::Model;
use reactor::Endpoint;

/// A Freelance server of model 3, an echo
///
/// Clients address it by its identity, which is the endpoint that they dial.
/// It prints "ready ENDPOINT" when it is bound. SIGINT and SIGTERM end it, after what is under way.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example:\n  flserver3 tcp://127.0.0.1:5555\n  flserver3 tcp://*:5555 --identity tcp://fl1.example:5555"
)]
struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The endpoint that clients dial [default: the bound one; required where that has a wildcard
    /// for its host]
    #[arg(long, value_name = "EP", value_parser = parse_connect)]
    identity: Option<Endpoint>,
}

fn main() -> ExitCode {
    run_program(|args: Args| {
        let identity = args.identity.map(|endpoint| endpoint.to_string());
        args.server.run(Model::Three, identity)
    })
}
