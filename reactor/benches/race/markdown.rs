//! The medians as tables for a page of documentation.

use std::fmt::Write as _;

use crate::args::Args;
use crate::contest::Contestant;
use crate::layout::{Section, sections};
use crate::report::short;
use crate::results::Results;

pub(crate) fn tables(results: &Results, args: &Args) -> String {
    let mut page = String::new();
    for section in sections() {
        if args.wants(section.axis) {
            add_section(&mut page, results, &section);
        }
    }
    page
}

fn add_section(page: &mut String, results: &Results, section: &Section) {
    let headings: Vec<&str> = section
        .columns
        .iter()
        .map(|column| column.heading.as_str())
        .collect();
    let rules = "---:|".repeat(headings.len());
    if !page.is_empty() {
        page.push('\n');
    }
    add(page, format_args!("{}, {}:\n", section.title, section.unit));
    add(page, format_args!("| | {} |", headings.join(" | ")));
    add(page, format_args!("|---|{rules}"));
    for contestant in Contestant::ALL {
        let medians = section
            .columns
            .iter()
            .map(|column| results.median(contestant, column));
        let medians: Vec<Option<f64>> = medians.collect();
        if medians.iter().all(Option::is_none) {
            continue;
        }
        let cells = medians.into_iter().map(|median| {
            let figure = median.map_or("–".to_owned(), short);
            emphasised(contestant, &figure)
        });
        let cells: Vec<String> = cells.collect();
        let name = emphasised(contestant, contestant.label());
        add(page, format_args!("| {name} | {} |", cells.join(" | ")));
    }
}

/// What a user gets by default stands out.
fn emphasised(contestant: Contestant, text: &str) -> String {
    if contestant == Contestant::Mio {
        format!("**{text}**")
    } else {
        text.to_owned()
    }
}

fn add(page: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(page, "{line}");
}
