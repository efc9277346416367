//! What the programs share: the command `bstar` and the Guide's `bstarsrv` and `bstarcli`.
//!
//! Each parses its arguments into a structure here and runs it; what makes a program of it is
//! [`run_program`].

mod client;
mod config;
mod control;
mod front;
mod outlet;
mod parent;
mod server;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use tracing_subscriber::EnvFilter;

pub use self::client::ClientArgs;
pub use self::config::{CheckConfigArgs, ExampleConfigArgs, RunArgs};
pub use self::control::{MaintenanceArgs, PromoteArgs, StatusArgs, SwitchoverArgs};
pub use self::front::FrontArgs;
use self::outlet::Stream;
pub(crate) use self::outlet::close as finish_saying;
pub use self::server::ServerArgs;
pub use crate::run::keeper::KeeperArgs;

use crate::core::{Config, Role};
use reactor::{Endpoint, EndpointError};

/// What ends a program early.
pub type Failure = Box<dyn std::error::Error>;

/// Parses the command line and runs the program: exit code 0, 1 when it failed and 2 when it was
/// called wrongly, with one line on stderr that says what to do.
pub fn run_program<A: Parser>(run: impl FnOnce(A) -> Result<ExitCode, Failure>) -> ExitCode {
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(error) => return explain(&error),
    };
    let code = run(args).unwrap_or_else(|error| {
        complain(&format!("error: {error}"));
        ExitCode::FAILURE
    });
    finish_saying();
    code
}

/// Sends traces to stderr: by `RUST_LOG` if it is set, else warnings, and more for each `-v`.
pub fn init_traces(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Fails when the process has a subscriber already; then that one serves.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stream::Stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

/// Prints a line that others may be waiting for. That nobody reads it is no reason to fail.
pub fn say(line: &str) {
    print(Stream::Stdout, line);
}

/// What clap cannot know to be wrong: exit code 2.
pub fn refuse_usage(reason: &dyn std::fmt::Display) -> ExitCode {
    complain(&format!("error: {reason}; --help tells more"));
    ExitCode::from(2)
}

fn complain(line: &str) {
    print(Stream::Stderr, line);
}

fn print(mut to: Stream, line: &str) {
    // At once, so that no line is parted. It never fails.
    let _ = to.write_all(format!("{line}\n").as_bytes());
}

/// Help is what was asked for; an error is made one line.
fn explain(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // That nobody reads it is no reason to fail.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => refuse_usage(&"a command is needed"),
        _ => {
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.trim().is_empty());
            let mut line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
            // The likeliest of what was meant stands in a paragraph of its own.
            let tip = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("tip: "));
            if let Some(tip) = tip {
                line.push_str("; ");
                line.push_str(tip);
            } else if is_stray(error) && text.contains("[-- <COMMAND>") {
                line.push_str("; the server's command goes after --");
                if !text.contains("[FILE]") {
                    line.push_str(", and a file after --config");
                }
            }
            refuse_usage(&line.trim_start_matches("error: "))
        }
    }
}

/// Whether it is about a word, not a flag, where none is expected.
fn is_stray(error: &clap::Error) -> bool {
    let word = error.get(ContextKind::InvalidArg);
    error.kind() == ErrorKind::UnknownArgument
        && word.is_some_and(|word| !word.to_string().starts_with('-'))
}

/// Reads an endpoint to bind.
pub fn parse_bind(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::to_bind(text)
}

/// Reads an endpoint to connect to.
pub fn parse_connect(text: &str) -> Result<Endpoint, EndpointError> {
    Endpoint::to_connect(text)
}

/// Reads milliseconds, a day at most.
pub fn parse_millis(text: &str) -> Result<Duration, String> {
    const LONGEST_MS: u64 = 24 * 3600 * 1000;
    match text.parse() {
        Ok(millis) if millis <= LONGEST_MS => Ok(Duration::from_millis(millis)),
        _ => Err("it is no whole number of milliseconds, or more than a day".to_owned()),
    }
}

/// Reads milliseconds, one at least.
pub fn parse_deadline(text: &str) -> Result<Duration, String> {
    match parse_millis(text)? {
        Duration::ZERO => Err("it leaves no time for an answer; give at least 1".to_owned()),
        deadline => Ok(deadline),
    }
}

/// Reads a heartbeat in milliseconds, within its bounds.
pub fn parse_heartbeat(text: &str) -> Result<Duration, String> {
    let heartbeat = parse_millis(text)?;
    // The bounds are the same for either role.
    let checked = Config::new(Role::Primary).with_heartbeat(heartbeat);
    checked
        .map(|config| config.heartbeat())
        .map_err(|error| error.to_string())
}
