//! A race: a server behind our TCP front end, behind HAProxy, and without either.
//!
//! Each contender runs its proxy on a processor of its own; clients and the server share the other one. Rounds are
//! interleaved, so that what else the machine does befalls all alike, and medians are told.

mod bulk;
mod contenders;
mod measures;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tests::Outcome;

use self::contenders::{Kind, Race};
use self::measures::Row;

/// Our TCP front end beside HAProxy and beside no proxy.
///
/// Build with `cargo build --release -p bstar -p tests`, then: target/release/front run
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, and prints a table
    Run(Run),
    /// Sends as many bytes as it is asked for
    #[command(hide = true)]
    Source {
        /// Where it listens
        listen: SocketAddr,
    },
    /// Asks for bytes, and prints how many seconds they took
    #[command(hide = true)]
    Sink {
        /// Whom it asks
        server: SocketAddr,
        /// For how many
        bytes: u64,
    },
}

#[derive(Args)]
struct Run {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only the rows whose name has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// A part of the usual work, in percent
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    percent: u64,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(run) => run.run(),
        Command::Source { listen } => bulk::serve(listen),
        Command::Sink { server, bytes } => bulk::ask(server, bytes).map(|took| println!("{took}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

impl Run {
    fn run(&self) -> Outcome<()> {
        let rows: Vec<Row> = measures::rows()
            .into_iter()
            .filter(|row| row.name().contains(&self.only))
            .collect();
        let mut race = Race::default();
        let mut seen: BTreeMap<(usize, Kind), Vec<f64>> = BTreeMap::new();
        for round in 0..self.rounds {
            for (place, row) in rows.iter().enumerate() {
                for turn in 0..Kind::ALL.len() {
                    let kind = Kind::ALL[(turn + round) % Kind::ALL.len()];
                    if let Some(figure) = row.measure(&mut race, kind, self.percent)? {
                        seen.entry((place, kind)).or_default().push(figure);
                    }
                }
                eprintln!(
                    "round {} of {}: {}, load {}",
                    round + 1,
                    self.rounds,
                    row.name(),
                    load()
                );
            }
        }
        println!("| | direct | HAProxy | ours | ours/HAProxy | ours/direct |");
        println!("|---|---|---|---|---|---|");
        for (place, row) in rows.iter().enumerate() {
            let figure = |kind| seen.get(&(place, kind)).map(|all| median(all));
            let [direct, haproxy, ours] = Kind::ALL.map(figure);
            let ratio = |other: Option<f64>| ours.zip(other).map(|(ours, other)| ours / other);
            println!(
                "| {} | {} | {} | {} | {} | {} |",
                row.name(),
                told(direct),
                told(haproxy),
                told(ours),
                ratio(haproxy).map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
                ratio(direct).map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
            );
        }
        Ok(())
    }
}

fn told(figure: Option<f64>) -> String {
    match figure {
        None => "–".to_owned(),
        Some(figure) if figure >= 1000.0 => format!("{figure:.0}"),
        Some(figure) => format!("{figure:.2}"),
    }
}

fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
