//! Each row of the tables in turn does each other thing that a table may say: does a test notice?

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{panic, thread};

use crate::core::machine::tests::first_to_fail;
use crate::core::principles::first_without_reason;
use crate::core::search::first_to_break;
use crate::core::table::{Row, Table, Then};
use crate::core::{MAINTENANCE, PAIR};

const THENS: [Then; 16] = [
    Then::Stay,
    Then::Guard,
    Then::Ignore,
    Then::Activate,
    Then::Yield,
    Then::Resign,
    Then::Reset,
    Then::Offer,
    Then::Withdraw,
    Then::Drain,
    Then::Consider,
    Then::Want,
    Then::Serve,
    Then::Vote,
    Then::Refuse,
    Then::Exit,
];

struct Mutant {
    tables: [&'static Table; 2],
    row: &'static Row,
    then: Then,
}

impl Mutant {
    fn name(&self) -> String {
        format!("{} -> {:?}", self.row.id, self.then)
    }
}

/// All of them. A row that is deleted is one that stays, or refuses.
fn mutants() -> Vec<Mutant> {
    let mut all = Vec::new();
    for (which, table) in [&PAIR, &MAINTENANCE].into_iter().enumerate() {
        for (at, row) in table.rows().iter().enumerate() {
            for then in THENS.into_iter().filter(|then| *then != row.then) {
                let mut rows = table.rows().to_vec();
                rows[at].then = then;
                // Leaks on purpose: a table's rows live as long as the program.
                let Ok(mutated) = Table::new(rows.leak()) else {
                    continue;
                };
                let mut tables = [&PAIR, &MAINTENANCE];
                tables[which] = Box::leak(Box::new(mutated));
                all.push(Mutant { tables, row, then });
            }
        }
    }
    all
}

/// All, and what of them has a reason for each row.
fn reasonable() -> (usize, Vec<Mutant>) {
    let all = mutants();
    let count = all.len();
    let mut with_reason = all;
    with_reason.retain(|mutant| {
        let mut tables = mutant.tables.iter().copied();
        tables.all(|table| first_without_reason(table).is_none())
    });
    (count, with_reason)
}

/// The two are of an initial node beside an active peer: it stands by as soon as it hears of one, and is
/// never initial again.
const SAME_AS_OURS: [&str; 2] = [
    "initial-promote-refuse -> Stay",
    "maintenance-initial-promote-refuse -> Stay",
];

#[test]
fn every_row_matters() {
    assert_eq!(first_to_fail([&PAIR, &MAINTENANCE]), None);
    let (count, mut left) = reasonable();
    let reasonable = left.len();
    // A test that fails is what is looked for.
    panic::set_hook(Box::new(|_| {}));
    left.retain(|mutant| first_to_fail(mutant.tables).is_none());
    drop(panic::take_hook());
    let left: Vec<_> = left.iter().map(Mutant::name).collect();
    assert_eq!(left, SAME_AS_OURS);
    assert_eq!((count, reasonable), (1_258, 127));
}

/// The same without the tests of the rules.
#[test]
#[ignore = "takes long: cargo test --release -p bstar --lib mutants -- --ignored --nocapture"]
fn what_the_searches_notice() {
    let (count, mutants) = reasonable();
    let all = mutants.len();
    println!("{count} mutants, {all} have a reason for each row");
    let next = AtomicUsize::new(0);
    let survivors = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = mutant.name();
                    if let Some(broken) = first_to_break(mutant.tables) {
                        println!("killed: {name}: {broken}");
                    } else {
                        println!("survives: {name}");
                        survivors.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    println!("{} of {all} survive", survivors.into_inner().unwrap().len());
}
