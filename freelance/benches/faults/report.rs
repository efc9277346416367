//! The distributions as a table, and the goals.

use std::time::Duration;

use crate::args::Args;
use crate::case::{ATTEMPT_TIMEOUT, Case, Hedging, Order, Slowed, Waits};

const LABEL_WIDTH: usize = 42;
/// What a machine under load may add to a time that a timer ends.
const SLACK: Duration = Duration::from_millis(50);

pub(crate) fn print_heading(args: &Args) {
    println!(
        "{} trials each, on any CPU; attempt timeout {} ms, slow: servers that take {} ms, one of them 200 ms more",
        args.trials(),
        ATTEMPT_TIMEOUT.as_millis(),
        args.service().as_millis()
    );
    println!(
        "  {:<LABEL_WIDTH$}{:>8}{:>10}{:>10}{:>10}{:>10}",
        "until the answer, ms", "times", "min", "median", "p99", "max"
    );
}

pub(crate) fn print_row(case: Case, waits: &Waits) {
    println!(
        "  {:<LABEL_WIDTH$}{:>8}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
        case.to_string(),
        waits.0.len(),
        waits.at_ms(0.0),
        waits.at_ms(0.5),
        waits.at_ms(0.99),
        waits.at_ms(1.0)
    );
}

pub(crate) fn print_goals(results: &[(Case, Waits)]) {
    println!("\nGoals");
    for (case, waits) in results {
        match case {
            Case::Killed(..) | Case::Stopped(Hedging::On) => {
                print_bound(*case, waits, ATTEMPT_TIMEOUT);
            }
            // The attempt has to time out first.
            Case::Stopped(Hedging::Off) => print_bound(*case, waits, ATTEMPT_TIMEOUT + SLACK),
            Case::Slow(order, Slowed::First(Hedging::On)) => print_ratio(results, *order, waits),
            Case::Slow(_, Slowed::None | Slowed::First(Hedging::Off)) => {}
        }
    }
}

fn print_bound(case: Case, waits: &Waits, bound: Duration) {
    let (greatest, at_most) = (waits.at_ms(1.0), bound.as_secs_f64() * 1e3);
    println!(
        "  {:<50}{greatest:>9.1}  at most {at_most:<5} {}",
        format!("{case}: greatest, ms"),
        verdict(greatest <= at_most)
    );
}

fn print_ratio(results: &[(Case, Waits)], order: Order, waits: &Waits) {
    let none_slow = Case::Slow(order, Slowed::None);
    let Some((_, usual)) = results.iter().find(|(case, _)| *case == none_slow) else {
        return;
    };
    let ratio = waits.at_ms(0.99) / usual.at_ms(0.99);
    let case = Case::Slow(order, Slowed::First(Hedging::On));
    println!(
        "  {:<50}{ratio:>9.2}  at most {:<5} {}",
        format!("{case}: p99 / p99 of none slow"),
        3,
        verdict(ratio <= 3.0)
    );
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}
