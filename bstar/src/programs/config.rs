//! What `bstar run` is told: read, checked, and shown.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::{Failure, complain, init_traces, outlet, say};
use crate::run::{ConfigFlags, ConfigProblem, RunConfig};

const RUN_EXAMPLES: &str = "Examples:
  bstar run --config /etc/bstar/pair.toml
  bstar run --primary --link-remote tcp://10.0.0.2:5004 --tcp listen=:8080,server=127.0.0.1:8000
  bstar run --backup --link-remote tcp://10.0.0.1:5003 --tcp listen=:8080,server=127.0.0.1:8000 \\
      -- python3 -m http.server 8000

A file is checked by bstar check-config, and begun with bstar example-config.";

const CHECK_EXAMPLES: &str = "Examples:
  bstar check-config pair.toml
  bstar check-config pair.toml --role backup
  bstar check-config --primary --tcp listen=:8080,server=127.0.0.1:8000 -- my-server --port 8000

Names are looked up, and programs and directories looked for, so check on the machine that will run it.";

const EXAMPLE_EXAMPLES: &str = "Examples:
  bstar example-config tcp > pair.toml
  bstar example-config redis | grep -v '^#'";

/// Arguments of a node beside an existing server.
#[derive(Args, Clone, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// File with the configuration, in TOML; a flag counts in place of the file's key
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: ConfigFlags,
    /// Tell more on stderr; twice for more still
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl RunArgs {
    /// Runs the node until it is stopped.
    pub fn run(self) -> Result<ExitCode, Failure> {
        // A node that waits for its log's reader is one that its peer replaces.
        outlet::open()?;
        // What hooks say, and what befalls the server, is to be seen.
        init_traces(self.verbose.saturating_add(1));
        match RunConfig::load(self.config.as_deref(), &self.flags) {
            Ok(config) => crate::run::run(config),
            Err(problem) => Ok(refuse_config(&problem)),
        }
    }
}

/// Arguments of a check of a configuration.
#[derive(Args, Clone, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct CheckConfigArgs {
    /// File with the configuration, in TOML; flags are checked with it, or alone
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: ConfigFlags,
}

impl CheckConfigArgs {
    /// Prints what the configuration means, or what is wrong with it.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let config = match RunConfig::load(self.file.as_deref(), &self.flags) {
            Ok(config) => config,
            Err(problem) => return Ok(refuse_config(&problem)),
        };
        let what = match &self.file {
            Some(path) => path.display().to_string(),
            None => "flags".to_owned(),
        };
        say(&format!("{what}: good\n{config}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// A configuration that cannot be run: exit code 2.
pub(crate) fn refuse_config(problem: &ConfigProblem) -> ExitCode {
    complain(&problem.to_string());
    ExitCode::from(2)
}

/// What an example is for.
#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    /// Any server that speaks TCP
    Tcp,
    /// A server on ZeroMQ's REP or ROUTER
    Zmq,
    /// Redis, its replication kept by hooks
    Redis,
    /// PostgreSQL, its standby promoted by a hook
    Postgres,
    /// Each hook, and what it is told
    Hooks,
}

/// Arguments of an example of a configuration.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLE_EXAMPLES)]
pub struct ExampleConfigArgs {
    /// What it is for
    kind: Kind,
}

impl ExampleConfigArgs {
    /// Prints the example.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let text = match self.kind {
            Kind::Tcp => include_str!("../run/config/examples/tcp.toml"),
            Kind::Zmq => include_str!("../run/config/examples/zmq.toml"),
            Kind::Redis => include_str!("../run/config/examples/redis.toml"),
            Kind::Postgres => include_str!("../run/config/examples/postgres.toml"),
            Kind::Hooks => include_str!("../run/config/examples/hooks.toml"),
        };
        say(text.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}
