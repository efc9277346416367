//! `flname`: asks name servers what a name stands for (the Guide, chapter 4).

use std::process::ExitCode;

use bstar::programs::run_program;
use demos::names::flname::NameArgs;

/// Looks up a name with name servers
///
/// It prints one endpoint a line: where clients of the service connect, the one to ask first in
/// front. Exit code 1 when there is no such name, or no server answers.
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Example, a server and a client that know no port:\n  NAMES=\"--server tcp://127.0.0.1:5300 --server tcp://127.0.0.1:5301\"\n  flserver1 $(flname $NAMES --bind orders) &\n  flclient1 --requests 10 $(flname $NAMES orders)"
)]
struct Args {
    #[command(flatten)]
    name: NameArgs,
}

fn main() -> ExitCode {
    run_program(|args: Args| args.name.run())
}
