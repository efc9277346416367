//! The command `bstar`.

mod demo;

use std::process::ExitCode;

use bstar::programs::{ClientArgs, Failure, ServerArgs, run_program};
use clap::{Parser, Subcommand};

/// Binary Star: two servers, one pair, and exactly one of them serves
#[derive(Parser)]
#[command(version, after_help = "Example:\n  bstar demo")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch a real pair of processes survive what befalls it
    Demo(demo::DemoArgs),
    /// A server of the demo
    #[command(hide = true)]
    Node(ServerArgs),
    /// The client of the demo
    #[command(hide = true)]
    Client(ClientArgs),
}

fn main() -> ExitCode {
    run_program(|args: Args| -> Result<ExitCode, Failure> {
        match args.command {
            Command::Demo(args) => args.run(),
            Command::Node(args) => args.run(),
            Command::Client(args) => args.run(),
        }
    })
}
