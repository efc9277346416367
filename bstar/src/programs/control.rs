//! Commands for a node that runs: `bstar status` and the like.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Failure, parse_deadline, refuse_usage, say};
use crate::core::Role;
use crate::run::control::{CallError, Caller, find, page};

/// Puts the cursor at the top of a screen that is clear.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Which node is meant: by default the only one that runs here.
#[derive(Args, Clone, Debug)]
struct NodeArgs {
    /// Its control socket
    #[arg(long, value_name = "PATH", conflicts_with_all = ["pair", "role"])]
    control: Option<PathBuf>,
    /// The pair that it belongs to
    #[arg(long, value_name = "NAME")]
    pair: Option<String>,
    /// Its role, if both nodes run on this machine
    #[arg(long, value_enum)]
    role: Option<RoleArg>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum RoleArg {
    Primary,
    Backup,
}

impl NodeArgs {
    fn caller(&self) -> Result<Caller, CallError> {
        let role = self.role.map(|role| match role {
            RoleArg::Primary => Role::Primary,
            RoleArg::Backup => Role::Backup,
        });
        let path = find(self.control.as_deref(), self.pair.as_deref(), role)?;
        Ok(Caller::new(path))
    }
}

/// Arguments of `bstar status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  bstar status
  bstar status --pair orders --watch 1000
  bstar status --control /run/bstar/orders.sock --json")]
pub struct StatusArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Print everything that there is as one line of JSON
    #[arg(long)]
    json: bool,
    /// Print it anew after each so many milliseconds, until it is interrupted
    #[arg(long, value_name = "MS", value_parser = parse_deadline)]
    watch: Option<Duration>,
}

impl StatusArgs {
    /// Prints what the node knows.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let Some(pause) = self.watch else {
            say(self.look()?.trim_end());
            return Ok(ExitCode::SUCCESS);
        };
        let clear = if std::io::stdout().is_terminal() && !self.json {
            CLEAR
        } else {
            ""
        };
        loop {
            // Whoever watches wants to see it come back.
            let text = self
                .look()
                .unwrap_or_else(|error| format!("error: {error}"));
            say(&format!("{clear}{}", text.trim_end()));
            thread::sleep(pause);
        }
    }

    fn look(&self) -> Result<String, Failure> {
        let report = self.node.caller()?.status()?;
        Ok(match self.json {
            true => serde_json::to_string(&report)?,
            false => page(&report),
        })
    }
}

/// Arguments of `bstar switchover`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Run it at the active node. The peer is asked first, and may decline; what was begun is finished.

Examples:
  bstar switchover
  bstar switchover --pair orders --role primary")]
pub struct SwitchoverArgs {
    #[command(flatten)]
    node: NodeArgs,
}

impl SwitchoverArgs {
    /// Hands the service to the peer, and waits for that.
    pub fn run(self) -> Result<ExitCode, Failure> {
        say(&self.node.caller()?.switch_over()?);
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `bstar maintenance`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A node under maintenance takes nothing over by itself, until it is taken out of it or ends. To
keep the pair as it is, put both nodes under it.

Examples:
  bstar maintenance on
  bstar maintenance off --pair orders")]
pub struct MaintenanceArgs {
    /// Whether it begins or ends
    #[arg(value_enum)]
    switch: Switch,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Switch {
    On,
    Off,
}

impl MaintenanceArgs {
    /// Puts the node under maintenance, or takes it out.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let on = match self.switch {
            Switch::On => true,
            Switch::Off => false,
        };
        say(&self.node.caller()?.set_maintenance(on)?);
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `bstar promote`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
For a backup that never met its primary, or a node under maintenance, when the other does not
serve. Where the other is heard to be active it is refused: ask that one for a switchover.

Example:
  bstar promote --force")]
pub struct PromoteArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The peer does not serve, nor will it begin to: I have made sure of that
    #[arg(long)]
    force: bool,
}

impl PromoteArgs {
    /// Makes the node active.
    pub fn run(self) -> Result<ExitCode, Failure> {
        if !self.force {
            return Ok(refuse_usage(
                &"a promotion makes this node serve whatever its peer does, and if that one serves too, both \
                  do: make sure that it does not, and add --force",
            ));
        }
        say(&self.node.caller()?.promote()?);
        Ok(ExitCode::SUCCESS)
    }
}
