//! How long clients wait when the active side dies at once; see the module `tests::failover`.

use std::net::SocketAddr;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::{Parser, Subcommand};
use tests::campaign::clock;
use tests::campaign::side::Side;
use tests::failover::{Job, Kind, markdown, serve};
use tests::{Namespace, Outcome, skip};

/// Kills all that runs at the active side of a pair, again and again: the times to the next answer.
///
/// Example: failover --faults 50 --jobs 2
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Task>,
    /// How many faults of each
    #[arg(long, default_value_t = 50)]
    faults: usize,
    /// From which the moments of the faults are drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many pairs live at a time
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Only those whose name has this in it, such as "keepalived" or "1000 ms"
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// A few faults of keepalived and of bstar at 100 ms: shows that it works, not how fast
    #[arg(long)]
    quick: bool,
}

#[derive(Subcommand)]
enum Task {
    /// The server
    #[command(hide = true)]
    Serve { listen: SocketAddr, name: String },
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Outcome<()> {
    if let Some(Task::Serve { listen, name }) = cli.command {
        return serve(listen, if name == "A" { Side::A } else { Side::B });
    }
    clock::end_waits_on_signals()?;
    if let Err(why) = Namespace::new() {
        skip(&why);
        return Ok(());
    }
    let ms = Duration::from_millis;
    let mut kinds: Vec<Kind> = [1000, 100]
        .into_iter()
        .flat_map(|interval| kinds(ms(interval)))
        .collect();
    if cli.quick {
        kinds.retain(|kind| kind.interval() == ms(100));
    }
    kinds.retain(|kind| kind.to_string().contains(&cli.only));
    if kinds.iter().any(is_keepalived) && !has_keepalived() {
        skip("there is no keepalived");
        kinds.retain(|kind| !is_keepalived(kind));
    }
    let job = Job {
        kinds,
        faults: if cli.quick { 3 } else { cli.faults },
        seed: cli.seed,
        jobs: cli.jobs.max(1),
        program: std::env::current_exe().map_err(|error| error.to_string())?,
    };
    print!("{}", markdown(&job.run()?));
    Ok(())
}

fn kinds(interval: Duration) -> [Kind; 3] {
    let bstar = |proof| Kind::Bstar {
        heartbeat: interval,
        proof,
    };
    [
        bstar(false),
        bstar(true),
        Kind::Keepalived { advert: interval },
    ]
}

fn is_keepalived(kind: &Kind) -> bool {
    matches!(kind, Kind::Keepalived { .. })
}

fn has_keepalived() -> bool {
    let mut asked = Command::new("keepalived");
    asked
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}
