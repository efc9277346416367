//! The command `bstar`.

mod demo;

use std::process::ExitCode;

use bstar::programs::{
    CheckConfigArgs, ClientArgs, ExampleConfigArgs, Failure, FrontArgs, KeeperArgs,
    MaintenanceArgs, PromoteArgs, RunArgs, ServerArgs, StatusArgs, SwitchoverArgs, run_program,
};
use clap::{Parser, Subcommand};

/// Binary Star: two servers, one pair, and exactly one of them serves
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  bstar demo\n  bstar run --config /etc/bstar/pair.toml\n  bstar status"
)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch a real pair of processes survive what befalls it
    Demo(demo::DemoArgs),
    /// Make an existing server one half of a pair
    Run(RunArgs),
    /// Say whether a configuration is right, and what it means
    CheckConfig(CheckConfigArgs),
    /// Print a configuration to begin with
    ExampleConfig(ExampleConfigArgs),
    /// Show what a node of this machine, its peer and its server are
    Status(StatusArgs),
    /// Hand the service over to the peer
    Switchover(SwitchoverArgs),
    /// Keep a node from taking anything over by itself, or end that
    Maintenance(MaintenanceArgs),
    /// Make a node serve, whatever its peer does
    Promote(PromoteArgs),
    /// A server of the demo
    #[command(hide = true)]
    Node(ServerArgs),
    /// The client of the demo
    #[command(hide = true)]
    Client(ClientArgs),
    /// A TCP front end without a pair, to be measured
    #[command(hide = true)]
    Front(FrontArgs),
    /// What starts a server for `bstar run`, and ends it with that
    #[command(hide = true)]
    Keeper(KeeperArgs),
}

fn main() -> ExitCode {
    run_program(|args: Args| -> Result<ExitCode, Failure> {
        match args.command {
            Command::Demo(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::CheckConfig(args) => args.run(),
            Command::ExampleConfig(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::Switchover(args) => args.run(),
            Command::Maintenance(args) => args.run(),
            Command::Promote(args) => args.run(),
            Command::Node(args) => args.run(),
            Command::Client(args) => args.run(),
            Command::Front(args) => args.run(),
            Command::Keeper(args) => args.run(),
        }
    })
}
