//! The results as tables.

use crate::args::Args;
use crate::contest::{Contestant, OUTSTANDING, SERVERS, Test};
use crate::goals::{self, Beside, Bound};
use crate::meter::Figures;
use crate::referee::Results;

const LABEL_WIDTH: usize = 26;
const CELL_WIDTH: usize = 10;

type Of = fn(&Figures) -> f64;

/// A column: heading, requests under way, figure.
type Column = (String, u32, Of);

pub(crate) fn print(results: &Results, args: &Args) {
    let where_run = if args.unpinned {
        "on any CPU"
    } else {
        "all on one CPU"
    };
    println!(
        "medians of {} round(s), {where_run}; µs, thousands of requests a second, client's CPU µs a request",
        args.rounds()
    );
    for model in (1..=3).filter(|model| args.wants(*model)) {
        for servers in SERVERS {
            print_table(results, model, servers);
        }
    }
    for (contestant, test, why) in &results.out {
        println!(
            "OUT: model {}, {}, {} server(s), {} outstanding: {why}",
            contestant.model(),
            contestant.label(),
            test.servers,
            test.outstanding
        );
    }
    print_goals(results);
}

fn columns() -> Vec<Column> {
    let mut columns: Vec<Column> = vec![
        ("median".to_owned(), 1, |f| f.median_us),
        ("p99".to_owned(), 1, |f| f.p99_us),
    ];
    for outstanding in OUTSTANDING {
        columns.push((format!("k/s, {outstanding}"), outstanding, |f| {
            f.requests_per_s / 1e3
        }));
    }
    for outstanding in OUTSTANDING {
        columns.push((format!("CPU, {outstanding}"), outstanding, |f| f.cpu_us));
    }
    columns
}

fn print_table(results: &Results, model: u8, servers: usize) {
    let plural = if servers == 1 { "" } else { "s" };
    println!("\nModel {model}, {servers} server{plural}; in the headings, requests under way");
    let columns = columns();
    print_row("", columns.iter().map(|(heading, _, _)| heading.clone()));
    for contestant in Contestant::ALL.into_iter().filter(|c| c.model() == model) {
        let cells = columns.iter().map(|(_, outstanding, of)| {
            let test = Test {
                servers,
                outstanding: *outstanding,
            };
            results
                .median(contestant, test, *of)
                .map_or("-".to_owned(), short)
        });
        print_row(contestant.label(), cells);
    }
}

fn print_row(label: &str, cells: impl IntoIterator<Item = String>) {
    let cells: String = cells
        .into_iter()
        .map(|cell| format!("{cell:>CELL_WIDTH$}"))
        .collect();
    println!("  {label:<LABEL_WIDTH$}{cells}");
}

fn print_goals(results: &Results) {
    println!("\nGoals, for what is pinned");
    for goal in goals::check(results) {
        let bound = match goal.bound {
            Bound::AtMost(bound) => format!("at most {bound}"),
            Bound::AtLeast(bound) => format!("at least {bound}"),
        };
        let beside = match goal.beside {
            Some(Beside::Floor(floor)) => format!("; send and receive alone: {floor:.3}"),
            Some(Beside::ByCpu(ratio)) => format!("; by time on the CPU: {ratio:.3}"),
            None => String::new(),
        };
        println!(
            "  {:<66} {:>6.3}  {bound:<13} {}{}",
            goal.what,
            goal.ratio,
            if goal.is_met() { "met" } else { "MISSED" },
            beside
        );
    }
}

/// Three figures or so.
fn short(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
