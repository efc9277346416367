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
use self::measures::{Figures, Row};

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
        let mut seen: BTreeMap<(usize, Kind), Vec<Figures>> = BTreeMap::new();
        for round in 0..self.rounds {
            for (place, row) in rows.iter().enumerate() {
                for turn in 0..Kind::ALL.len() {
                    let kind = Kind::ALL[(turn + round) % Kind::ALL.len()];
                    if let Some(figures) = row.measure(&mut race, kind, self.percent)? {
                        seen.entry((place, kind)).or_default().push(figures);
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
        println!(
            "| | direct | HAProxy | ours | ours/HAProxy | ours/direct | CPU of HAProxy | ours |"
        );
        println!("|---|---|---|---|---|---|---|---|");
        for (place, row) in rows.iter().enumerate() {
            let medians = |of: fn(&Figures) -> Option<f64>| {
                Kind::ALL.map(|kind| {
                    let all = seen.get(&(place, kind))?;
                    median(all.iter().map(of).collect::<Option<_>>()?)
                })
            };
            let [direct, haproxy, ours] = medians(|figures| Some(figures.figure));
            let [_, haproxy_cpu, ours_cpu] = medians(|figures| figures.cpu);
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                row.name(),
                told(direct),
                told(haproxy),
                told(ours),
                ratio(ours, haproxy),
                ratio(ours, direct),
                told(haproxy_cpu),
                told(ours_cpu),
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

fn ratio(one: Option<f64>, other: Option<f64>) -> String {
    let ratio = one.zip(other).map(|(one, other)| one / other);
    ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
}

fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    let above = *all.get(middle)?;
    if all.len() % 2 == 1 {
        return Some(above);
    }
    Some(f64::midpoint(all[middle - 1], above))
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
