//! The production machine of the pair in a simulated world: two nodes, clients who ask both, operators, and whatever
//! can go wrong, tens of thousands of times over.
//!
//! `SIM_SEED=17` runs one seed alone, `SIM_SEEDS=100000` more than usual.

mod node;
mod pair;

use std::time::Duration;

use bstar::core::{GUIDE, PAIR};
use reactor::sim::{Counts, Faults, Kind, Link, Load, Report, Search, SearchError, Seeds, Sim, ms};

use crate::node::{Ask, TIMEOUT};
use crate::pair::Pair;

/// From then on nothing fails.
const QUIET_FROM: Duration = Duration::from_secs(40);
/// A pair that waits for each other for ever, were it not for one row, takes about twenty thousand to be met.
const SEEDS: u64 = 25_000;

fn sim() -> Sim<Ask> {
    let ask = |host| Load {
        host,
        input: Ask::Request,
        every: ms(200),
        jitter: ms(200),
    };
    Sim::new(["primary", "backup"], QUIET_FROM + 5 * TIMEOUT)
        .link(Link {
            jitter: ms(20),
            ..Link::default()
        })
        .clock_rate(0, 1_005_000)
        .clock_rate(1, 995_000)
        .timer_slack(ms(5))
        .load(ask(0))
        .load(ask(1))
}

/// All that can go wrong, and that every crashed node is started again.
fn faults() -> Faults<Ask> {
    Faults::new(QUIET_FROM)
        .most(12)
        .longest(QUIET_FROM / 2)
        .weights([
            (Kind::Crash, 3),
            (Kind::Stop, 2),
            (Kind::Pause, 3),
            (Kind::ClockRate, 2),
            (Kind::ClockStep, 1),
            (Kind::Cut, 3),
            (Kind::Part, 3),
            (Kind::Loss, 4),
            (Kind::Delay, 3),
            (Kind::Reorder, 3),
            (Kind::Duplicate, 2),
        ])
        .loss_up_to(300)
        .delay_up_to(TIMEOUT)
        .drift_up_to(10_000)
        .input(2, 0, Ask::StepBack)
        .input(2, 1, Ask::StepBack)
}

fn search(faults: Faults<Ask>) -> Result<Counts, SearchError<Ask>> {
    let seeds = Seeds::from_env(SEEDS)?;
    Search::new(sim(), faults).run(seeds, |_| Pair::new(&PAIR))
}

/// What was met, or the report of what is broken.
fn met(result: Result<Counts, SearchError<Ask>>) -> Counts {
    let counts = result.unwrap_or_else(|error| panic!("{error}"));
    println!("{counts}");
    counts
}

/// A search that met nothing has shown nothing. A single seed need not meet anything.
fn assert_met(counts: &Counts, kinds: &[Kind]) {
    if counts.runs < SEEDS {
        return;
    }
    for kind in kinds {
        assert!(counts.faults(*kind) >= 100, "{kind:?}: {counts}");
    }
    let effects = [
        counts.lost,
        counts.cut,
        counts.duplicated,
        counts.overtook,
        counts.waited,
        counts.undelivered,
    ];
    assert!(effects.iter().all(|times| *times >= 100), "{counts}");
    assert!(counts.started > 2 * counts.runs, "{counts}");
}

const USUAL: [Kind; 12] = [
    Kind::Crash,
    Kind::Stop,
    Kind::Pause,
    Kind::ClockRate,
    Kind::ClockStep,
    Kind::Cut,
    Kind::Part,
    Kind::Loss,
    Kind::Delay,
    Kind::Reorder,
    Kind::Duplicate,
    Kind::Input,
];

#[test]
fn the_pair_serves_again_whatever_went_wrong() {
    let counts = met(search(faults()));
    assert_met(&counts, &USUAL);
}

#[test]
fn the_pair_serves_again_with_those_that_are_left() {
    let faults = faults().weight(Kind::Die, 3);
    let counts = met(search(faults));
    assert_met(&counts, &[Kind::Die, Kind::Crash, Kind::Stop]);
}

/// What the search finds in the Guide's table.
fn guides_report() -> Report<Ask> {
    let search = Search::new(sim(), faults());
    match search.run(Seeds::first(100), |_| Pair::outcome_of(&GUIDE)) {
        Err(SearchError::Broken(report)) => *report,
        other => panic!("the Guide's table has dead ends: {other:?}"),
    }
}

#[test]
fn b01_the_guides_table_ends_by_itself_and_one_fault_shows_it() {
    let report = guides_report();
    assert!(
        report.broken.starts_with("nobody ends by itself"),
        "{report}"
    );
    assert!(report.schedule.len() <= 2, "{report}");
    assert!(
        report.timeline.to_string().contains("guide-dual-active"),
        "{report}"
    );
}

#[test]
fn what_was_found_replays_byte_for_byte() {
    let report = guides_report();
    let again = || {
        sim()
            .run(report.seed, &report.schedule, Pair::outcome_of(&GUIDE))
            .unwrap()
    };
    assert_eq!(again().broken.as_ref(), Some(&report.broken));
    assert_eq!(again().timeline.to_string(), report.timeline.to_string());
    assert_eq!(guides_report().to_string(), report.to_string());
    // Beside it our table goes on to the end.
    let ours = sim()
        .run(report.seed, &report.schedule, Pair::new(&PAIR))
        .unwrap();
    assert_eq!(ours.broken, None);
}
