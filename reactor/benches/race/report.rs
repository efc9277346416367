//! The results as tables, and as JSON.

use serde_json::{Value, json};

use crate::Result;
use crate::args::Args;
use crate::contest::{Contestant, Kind};
use crate::goals;
use crate::layout::{Column, Section, sections};
use crate::results::Results;

const LABEL_WIDTH: usize = 28;
const CELL_WIDTH: usize = 23;

pub(crate) fn print(results: &Results, args: &Args) {
    println!(
        "medians of {} rounds, and the quartiles; pinned to one CPU unless said otherwise",
        results.rounds
    );
    for section in sections() {
        if args.wants(section.axis) {
            print_section(results, &section);
        }
    }
    print_goals(results);
}

fn print_section(results: &Results, section: &Section) {
    println!("\n{}, {}", section.title, section.unit);
    let headings = section.columns.iter().map(|column| column.heading.clone());
    print_row("", headings);
    for contestant in Contestant::ALL {
        let cells: Vec<String> = section
            .columns
            .iter()
            .map(|column| cell(results, contestant, column))
            .collect();
        if cells.iter().any(|cell| cell != "-") {
            print_row(contestant.label(), cells);
        }
    }
    print_ratios(results, section);
}

fn cell(results: &Results, contestant: Contestant, column: &Column) -> String {
    match results.spread(contestant, column.test, column.figure) {
        None => "-".to_owned(),
        Some(spread) => format!(
            "{} ({}–{})",
            short(spread.median),
            short(spread.low),
            short(spread.high)
        ),
    }
}

/// Ours, by default, in relation to the others.
fn print_ratios(results: &Results, section: &Section) {
    let more_is_better = section
        .columns
        .iter()
        .any(|column| column.figure.more_is_better());
    let best = section.columns.iter().map(|column| {
        let ours = results.median(Contestant::Mio, column)?;
        let (peer, theirs) = results.best_peer(column)?;
        Some(format!("{} ({})", short(ours / theirs), peer.label()))
    });
    let hint = if more_is_better {
        ", more is better"
    } else {
        ""
    };
    let best: Vec<Option<String>> = best.collect();
    if best.iter().any(Option::is_some) {
        let cells = best.into_iter().map(|cell| cell.unwrap_or("-".to_owned()));
        print_row(&format!("ours / best peer{hint}"), cells);
    }
    for (ours, other) in [
        (Contestant::Mio, Contestant::Zloop),
        (Contestant::Mio, Contestant::Epoll),
        (Contestant::Mio, Contestant::EpollBatch),
        (Contestant::MioSingle, Contestant::Epoll),
    ] {
        let ratio = |column| Some(results.median(ours, column)? / results.median(other, column)?);
        let cells: Vec<Option<f64>> = section.columns.iter().map(ratio).collect();
        if cells.iter().any(Option::is_some) {
            let who = if ours == Contestant::Mio {
                "ours"
            } else {
                "budget 1"
            };
            let cells = cells
                .into_iter()
                .map(|cell| cell.map_or("-".to_owned(), short));
            print_row(&format!("{who} / {}", other.label()), cells);
        }
    }
}

fn print_row(label: &str, cells: impl IntoIterator<Item = String>) {
    let cells: String = cells
        .into_iter()
        .map(|cell| format!(" {cell:>CELL_WIDTH$}"))
        .collect();
    println!("  {label:<LABEL_WIDTH$}{cells}");
}

fn print_goals(results: &Results) {
    let goals = goals::check(results);
    if goals.is_empty() {
        return;
    }
    println!("\nGoals");
    for goal in goals {
        println!(
            "  {:<55} {:>7}  at most {:<4} {}",
            goal.what,
            short(goal.ratio),
            goal.at_most,
            if goal.is_met() { "met" } else { "MISSED" }
        );
    }
}

/// Three figures or so; of what is small, two.
pub(crate) fn short(value: f64) -> String {
    match value {
        v if v >= 999_500.0 => format!("{:.2} M", v / 1e6),
        v if v >= 99_950.0 => format!("{:.0} k", v / 1e3),
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v if v >= 0.0995 || v <= 0.0 => format!("{v:.2}"),
        v if v >= 0.00995 => format!("{v:.3}"),
        v if v >= 0.000995 => format!("{v:.4}"),
        v => format!("{v:.5}"),
    }
}

pub(crate) fn json(results: &Results) -> Result<String> {
    let mut rows = Vec::new();
    for section in sections() {
        for column in &section.columns {
            for contestant in Contestant::ALL {
                let Some(spread) = results.spread(contestant, column.test, column.figure) else {
                    continue;
                };
                rows.push(json!({
                    "section": section.title,
                    "unit": section.unit,
                    "column": column.heading,
                    "contestant": contestant.id(),
                    "label": contestant.label(),
                    "ours": contestant.kind() == Kind::Ours,
                    "median": spread.median,
                    "low_quartile": spread.low,
                    "high_quartile": spread.high,
                    "runs": results.values(contestant, column.test, column.figure),
                }));
            }
        }
    }
    let goals: Vec<Value> = goals::check(results)
        .into_iter()
        .map(|goal| {
            json!({
                "goal": goal.what,
                "ratio": goal.ratio,
                "at_most": goal.at_most,
                "met": goal.is_met(),
            })
        })
        .collect();
    let all = json!({ "rounds": results.rounds, "figures": rows, "goals": goals });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}
