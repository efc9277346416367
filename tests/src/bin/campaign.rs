//! The fault campaign as a command; see the module `tests::campaign`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tests::campaign::journal::{Entry, Head, Journal};
use tests::campaign::plan::Plan;
use tests::campaign::run::{self, Job, Tells};
use tests::campaign::site::{Rules, Settings};
use tests::campaign::{clock, hosts, idle, judge, kill, report, serve, svg};
use tests::{Outcome, ensure};

/// Real faults on real pairs in network namespaces, judged from outside.
///
/// Example: campaign run --faults 1000 --seed 1 --heartbeat 50 --jobs 4 --journal target/faults.jsonl
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Does faults, and says what each cost
    Run(Run),
    /// Makes the report of a run anew, or beside one of the Guide's rules
    Report(Report),
    /// Kills the active again and again: the times to the next answer
    Kill(Kill),
    /// Lets a pair be on a busy machine: how often the service moves
    Idle(Idle),
    /// Removes the namespaces of campaigns that were killed
    Sweep,
    /// Asks a pair and writes down what it answers
    #[command(hide = true)]
    Judge(Judge),
    /// Serves
    #[command(hide = true)]
    Server(serve::Args),
}

#[derive(Args)]
struct Pairs {
    /// The pairs' heartbeat
    #[arg(long, value_name = "MS", default_value_t = 50, value_parser = clap::value_parser!(u64).range(5..=5000))]
    heartbeat: u64,
    /// The rules that the servers run
    #[arg(long, value_enum, default_value_t = Rules::Pair)]
    table: Rules,
    /// Each server takes its peer for dead when the peer's host proves it
    #[arg(long)]
    proof_of_death: bool,
    /// Further arguments of bstarsrv, in one string
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        allow_hyphen_values = true
    )]
    server_args: String,
}

impl Pairs {
    fn settings(&self) -> Outcome<Settings> {
        clock::end_waits_on_signals()?;
        for name in hosts::left_behind() {
            eprintln!("{name} was left behind by a campaign that was killed; `sweep` removes it");
        }
        let words = self.server_args.split_whitespace();
        Ok(Settings {
            program: std::env::current_exe().map_err(|error| error.to_string())?,
            heartbeat: Duration::from_millis(self.heartbeat),
            rules: self.table,
            proof_of_death: self.proof_of_death,
            server_args: words.map(str::to_owned).collect(),
        })
    }
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    pairs: Pairs,
    /// How many faults
    #[arg(long, default_value_t = 100)]
    faults: u64,
    /// From which all is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many pairs run side by side
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Does this fault alone, and tells all that happens
    #[arg(long, value_name = "INDEX")]
    only: Option<u64>,
    /// Where verdicts are kept; the same command goes on where it was stopped
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    written: Written,
}

#[derive(Args)]
struct Report {
    /// The journal of a run
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// The journal of a run of the Guide's rules
    #[arg(long, value_name = "FILE")]
    guide: Option<PathBuf>,
    #[command(flatten)]
    written: Written,
}

#[derive(Args)]
struct Written {
    /// Where the table goes; else to standard output
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Where the picture goes
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Args)]
struct Kill {
    #[command(flatten)]
    pairs: Pairs,
    /// How often
    #[arg(long, default_value_t = 50)]
    rounds: u32,
}

#[derive(Args)]
struct Idle {
    #[command(flatten)]
    pairs: Pairs,
    /// For how long
    #[arg(long, default_value_t = 10.0, value_name = "MINUTES")]
    minutes: f64,
    /// How many processes that never sleep run beside it
    #[arg(long, default_value_t = 2, value_name = "PROCESSES")]
    busy: usize,
}

#[derive(Args)]
struct Judge {
    /// The front end of a server, for its prober; twice
    #[arg(long, value_name = "EP", required = true)]
    probe: Vec<String>,
    /// The front end of a server, for the client; twice
    #[arg(long, value_name = "EP", required = true)]
    server: Vec<String>,
    /// The pair's heartbeat
    #[arg(long, value_name = "MS")]
    heartbeat: u64,
    /// Milliseconds between an answer and the next request
    #[arg(long, value_name = "MS", default_value_t = 5)]
    interval: u64,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Report(args) => report(&args),
        Command::Kill(args) => kill(&args),
        Command::Idle(args) => idle(&args),
        Command::Sweep => sweep(),
        Command::Judge(args) => judge(args),
        Command::Server(args) => serve::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Run) -> Outcome<()> {
    let settings = args.pairs.settings()?;
    let head = Head {
        seed: args.seed,
        heartbeat_ms: args.pairs.heartbeat,
        table: args.pairs.table.name().to_owned(),
    };
    let mut journal = match (&args.journal, args.only) {
        // A fault that is looked at once more does not count again.
        (Some(path), None) => Journal::open(path, head)?,
        _ => Journal::in_memory(head),
    };
    let plan = Plan {
        seed: args.seed,
        heartbeat: settings.heartbeat,
    };
    let job = Job {
        plan,
        settings,
        indices: args
            .only
            .map_or((0..args.faults).collect(), |only| vec![only]),
        jobs: args.jobs,
        tells: if args.only.is_some() {
            Tells::All
        } else {
            Tells::Failures
        },
    };
    run::run(&job, &mut journal)?;
    if args.only.is_none() {
        args.written.write(&journal, None)?;
    }
    verdict(&journal)
}

fn verdict(journal: &Journal) -> Outcome<()> {
    let failed = |entry: &&Entry| !entry.failures().is_empty();
    let failed: Vec<String> = journal
        .entries
        .iter()
        .filter(failed)
        .map(|entry| entry.index.to_string())
        .collect();
    ensure(failed.is_empty(), || {
        let (count, all) = (failed.len(), journal.entries.len());
        let which = failed.join(" ");
        format!("{count} of {all} faults failed, look at one by --only INDEX: {which}")
    })
}

fn report(args: &Report) -> Outcome<()> {
    let journal = Journal::read(&args.journal)?;
    let guide = args.guide.as_deref().map(Journal::read).transpose()?;
    args.written.write(&journal, guide.as_ref())
}

impl Written {
    fn write(&self, journal: &Journal, guide: Option<&Journal>) -> Outcome<()> {
        let table = report::markdown(journal, guide);
        match &self.markdown {
            Some(path) => write(path, &table)?,
            None => print!("{table}"),
        }
        match &self.svg {
            Some(path) => write(path, &svg::draw(journal, guide)),
            None => Ok(()),
        }
    }
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn kill(args: &Kill) -> Outcome<()> {
    let outages = kill::run(&args.pairs.settings()?, args.rounds)?;
    println!(
        "kill -9 of the active to the next answer, heartbeat {} ms: {outages}",
        args.pairs.heartbeat
    );
    Ok(())
}

fn idle(args: &Idle) -> Outcome<()> {
    let lasts = Duration::try_from_secs_f64(args.minutes * 60.0);
    let lasts = lasts.map_err(|error| format!("--minutes: {error}"))?;
    let idle = idle::run(&args.pairs.settings()?, lasts, args.busy)?;
    println!(
        "{} false changes in {lasts:?} at a heartbeat of {} ms beside {} busy processes; a sleeper \
         was at most {:?} late",
        idle.changes, args.pairs.heartbeat, args.busy, idle.away
    );
    ensure(idle.changes == 0, || {
        "the service moved without a fault".to_owned()
    })
}

fn sweep() -> Outcome<()> {
    for name in hosts::sweep()? {
        println!("{name} is removed");
    }
    Ok(())
}

fn judge(args: Judge) -> Outcome<()> {
    let two = |endpoints: Vec<String>| -> Outcome<[String; 2]> {
        endpoints
            .try_into()
            .map_err(|_| "a pair has two servers".to_owned())
    };
    judge::run(&judge::Questions {
        probed: two(args.probe)?,
        servers: two(args.server)?,
        heartbeat: Duration::from_millis(args.heartbeat),
        interval: Duration::from_millis(args.interval),
    })
}
