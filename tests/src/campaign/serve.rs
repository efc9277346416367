//! A server for faults that need more than `bstarsrv`: its handler sleeps when it is told to.

use std::time::Duration;

use bstar::core::{Config, GUIDE, PAIR, Role, State};
use bstar::server::Server;
use reactor::Reactor;

use crate::Outcome;

use super::clock::end_with_parent;
use super::site::Rules;

/// What the body of a request begins with that tells the handler to sleep; the milliseconds follow.
pub const BLOCK: &str = "block ";

/// The longest that a handler sleeps.
const LONGEST_BLOCK_MS: u64 = 60_000;

/// Arguments of the server; they are those of `bstarsrv`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// This node is the primary
    #[arg(
        short,
        long,
        required_unless_present = "backup",
        conflicts_with = "backup"
    )]
    primary: bool,
    /// This node is the backup
    #[arg(short, long)]
    backup: bool,
    /// Where this node publishes its state
    #[arg(long, value_name = "EP")]
    local: String,
    /// Where its peer does
    #[arg(long, value_name = "EP")]
    remote: String,
    /// Where clients connect
    #[arg(long, value_name = "EP")]
    frontend: String,
    /// Milliseconds between two signs of life
    #[arg(long, value_name = "MS")]
    heartbeat: u64,
    /// The rules to run
    #[arg(long, value_enum, default_value_t = Rules::Pair)]
    table: Rules,
}

/// Serves until it is stopped.
///
/// # Errors
///
/// When the node cannot be made, or cannot go on.
pub fn run(args: &Args) -> Outcome<()> {
    end_with_parent()?;
    serve(args).map_err(|error| error.to_string())
}

fn serve(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let role = if args.backup {
        Role::Backup
    } else {
        Role::Primary
    };
    let table = match args.table {
        Rules::Pair => &PAIR,
        Rules::Guide => &GUIDE,
    };
    let config = Config::new(role).with_heartbeat(Duration::from_millis(args.heartbeat))?;
    let mut reactor = Reactor::new()?;
    Server::new(config, args.local.as_str(), args.remote.as_str())
        .table(table)
        .frontend(args.frontend.as_str(), |(): &mut (), scope, request| {
            if let Some(held) = request.body().first().and_then(|body| block(body)) {
                std::thread::sleep(held);
            }
            Ok(request.echo(scope)?)
        })
        .on_transition(move |(), _, transition| {
            println!(
                "state={} row={} epoch={} cause={}",
                transition.to.name(role),
                transition.row,
                transition.epoch,
                transition.cause.name()
            );
            Ok(())
        })
        .attach(reactor.scope())?;
    let initial = State::Initial.name(role);
    println!("state={initial} row=- epoch=0 cause=start");
    Ok(reactor.run(&mut ())?)
}

fn block(body: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(body).ok()?;
    let millis: u64 = text.strip_prefix(BLOCK)?.parse().ok()?;
    Some(Duration::from_millis(millis.min(LONGEST_BLOCK_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_body_that_says_so_blocks() {
        assert_eq!(block(b"block 20"), Some(Duration::from_millis(20)));
        assert_eq!(block(b"block"), None);
        assert_eq!(block(b"block x"), None);
        assert_eq!(block(b"client 20"), None);
        assert_eq!(
            block(b"block 18446744073709551615"),
            Some(Duration::from_secs(60))
        );
    }
}
