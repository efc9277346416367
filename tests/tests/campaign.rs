//! A short fault campaign: all kinds of faults on real pairs in network namespaces.
//!
//! `BSTAR_FAULTS=300` does that many in place of a few. A fault that fails is named, and is done
//! again, with all that happens, by
//!
//! ```text
//! cargo run -p tests --bin campaign -- run --seed SEED --heartbeat 100 --only INDEX
//! ```

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tests::campaign::hosts::Hosts;
use tests::campaign::journal::{Entry, Head, Journal, Result};
use tests::campaign::plan::Plan;
use tests::campaign::report;
use tests::campaign::run::{Job, run};
use tests::campaign::site::{Rules, Settings};
use tests::{Outcome, ensure, rounds_asked, skip, tell};

const HEARTBEAT: Duration = Duration::from_millis(100);

/// Twice each kind, but for those that come by turns.
const FEW: u64 = 60;

const JOBS: usize = 4;

fn settings(rules: Rules) -> Settings {
    Settings {
        program: PathBuf::from(env!("CARGO_BIN_EXE_campaign")),
        heartbeat: HEARTBEAT,
        rules,
        server_args: Vec::new(),
    }
}

/// Does faults, and answers with what became of them; with nothing where there are no namespaces.
fn campaign(seed: u64, indices: Vec<u64>, rules: Rules) -> Outcome<Option<Journal>> {
    if let Err(why) = Hosts::new() {
        skip(&why);
        return Ok(None);
    }
    let mut journal = Journal::in_memory(Head {
        seed,
        heartbeat_ms: 100,
        table: rules.name().to_owned(),
    });
    let job = Job {
        plan: Plan {
            seed,
            heartbeat: HEARTBEAT,
        },
        settings: settings(rules),
        indices,
        jobs: JOBS,
        tells_all: false,
    };
    run(&job, &mut journal)?;
    Ok(Some(journal))
}

#[test]
fn one_serves_after_every_fault() -> Outcome<()> {
    // Another one in each run of the gate, and told, so that it can be had again.
    let since = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_err(|error| error.to_string())?;
    let seed = since.as_secs();
    let faults = rounds_asked().map_or(FEW, |asked| asked as u64);
    tell(&format!("{faults} faults from the seed {seed}"));
    let Some(journal) = campaign(seed, (0..faults).collect(), Rules::Pair)? else {
        return Ok(());
    };
    tell(&report::markdown(&journal, None));
    for entry in &journal.entries {
        if let Result::Skipped(why) = &entry.result {
            skip(&format!("{}: {why}", entry.kind));
        }
    }
    let failed: Vec<&Entry> = journal
        .entries
        .iter()
        .filter(|entry| !entry.failures().is_empty())
        .collect();
    ensure(failed.is_empty(), || {
        let told = failed.iter().map(|entry| {
            format!(
                "fault {}: again by `cargo run -p tests --bin campaign -- run --seed {seed} \
                 --heartbeat 100 --only {}`",
                entry.index, entry.index
            )
        });
        told.collect::<Vec<_>>().join("\n")
    })
}
