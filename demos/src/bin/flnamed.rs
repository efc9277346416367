//! `flnamed`: a name server, the Guide's use case for Freelance (chapter 4).

use std::process::ExitCode;

use bstar::programs::run_program;
use demos::names::flnamed::NamedArgs;

/// A name server for Freelance clients
///
/// It answers what names stand for, by a zone file that it follows: the file may be changed at any
/// time, and one that is wrong changes nothing. SIGHUP has it looked at at once. SIGINT and SIGTERM
/// end the server when it has answered what it was asked. It prints a line when it is bound.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example, with a zone file zone.toml:\n  [test.orders]\n  bind = [\"tcp://*:6001\"]\n  connect = [\"tcp://127.0.0.1:6001\"]\n\n  flnamed zone.toml tcp://127.0.0.1:5300 &\n  flname --server tcp://127.0.0.1:5300 orders"
)]
struct Args {
    #[command(flatten)]
    named: NamedArgs,
}

fn main() -> ExitCode {
    run_program(|args: Args| args.named.run())
}
