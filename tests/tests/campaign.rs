//! A short fault campaign: all kinds of faults on real pairs in network namespaces.
//!
//! `BSTAR_FAULTS=300` does that many in place of a few. A fault that fails is named, and is done
//! again, with all that happens, by
//!
//! ```text
//! cargo run -p tests --bin campaign -- run --seed SEED --heartbeat 100 --only INDEX
//! ```

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tests::campaign::clock;
use tests::campaign::hosts::Hosts;
use tests::campaign::journal::{Entry, Head, Journal, Result};
use tests::campaign::kind::Kind;
use tests::campaign::plan::Plan;
use tests::campaign::record::{Fate, Record};
use tests::campaign::report;
use tests::campaign::run::{Job, Tells, run};
use tests::campaign::site::{Rules, Settings};
use tests::{BOUND, Outcome, Process, ensure, free_endpoint, rounds_asked, skip, tell};

const HEARTBEAT: Duration = Duration::from_millis(100);

/// Twice each kind, but for those that come by turns.
const FEW: u64 = 68;

const JOBS: usize = 4;

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        heartbeat: HEARTBEAT,
    }
}

fn settings(rules: Rules) -> Settings {
    Settings {
        program: PathBuf::from(env!("CARGO_BIN_EXE_campaign")),
        heartbeat: HEARTBEAT,
        rules,
        proof_of_death: false,
        server_args: Vec::new(),
    }
}

/// Does faults, and answers with what became of them; with nothing where there are no namespaces.
fn campaign(seed: u64, indices: Vec<u64>, rules: Rules, tells: Tells) -> Outcome<Option<Journal>> {
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
        plan: plan(seed),
        settings: settings(rules),
        indices,
        jobs: JOBS,
        tells,
    };
    run(&job, &mut journal)?;
    Ok(Some(journal))
}

#[test]
fn one_serves_after_every_fault() -> Outcome<()> {
    // Another one in each run of the gate, and told, so that it can be had again.
    let seed = clock::now() % 1_000_000;
    let faults = rounds_asked().map_or(FEW, |asked| asked as u64);
    tell(&format!("{faults} faults from the seed {seed}"));
    let Some(journal) = campaign(seed, (0..faults).collect(), Rules::Pair, Tells::Failures)? else {
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

/// A judge that lets everything pass is no judge: under the Guide's rules a handler that blocks
/// for long leaves two actives, of which one ends at least.
#[test]
fn the_judge_sees_servers_that_end_themselves() -> Outcome<()> {
    let index = (0..100).find(|index| plan(1).fault(*index).kind == Kind::Block);
    let index = index.ok_or("a plan has all kinds")?;
    let Some(journal) = campaign(1, vec![index], Rules::Guide, Tells::Nothing)? else {
        return Ok(());
    };
    let died = journal.entries.iter().filter_map(Entry::verdict);
    ensure(died.map(|verdict| verdict.died).sum::<usize>() > 0, || {
        format!("the judge saw nothing: {:?}", journal.entries)
    })?;
    ensure(!journal.entries[0].failures().is_empty(), || {
        "a server that ended itself is a pass".to_owned()
    })
}

#[test]
fn the_judge_sees_wrong_answers() -> Outcome<()> {
    let endpoints = [free_endpoint(), free_endpoint()];
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let liar = scope.spawn(|| lie(&endpoints, &ends));
        let mut command = Command::new(env!("CARGO_BIN_EXE_campaign"));
        command.args(["judge", "--heartbeat", "100"]);
        for endpoint in &endpoints {
            command.args(["--probe", endpoint, "--server", endpoint]);
        }
        let judge = Process::spawn("judge", &mut command);
        let seen = ["prober-a", "prober-b", "client"].map(|asker| {
            let wrong = judge.stdout().find(0, BOUND, |line| {
                let record: Record = line.text.parse().ok()?;
                let is_wrong = matches!(record.fate, Fate::Wrong(_));
                (is_wrong && record.asker.to_string() == asker).then_some(())
            });
            ensure(wrong.is_some(), || {
                judge.describe(&format!("{asker} saw no lie"))
            })
        });
        ends.store(true, Ordering::Relaxed);
        liar.join().map_err(|_| "the liar panicked".to_owned())??;
        seen.into_iter().collect()
    })
}

/// Answers every request with what was not asked.
fn lie(endpoints: &[String; 2], ends: &AtomicBool) -> Outcome<()> {
    let serve = || -> zmq::Result<()> {
        let context = zmq::Context::new();
        let socket = context.socket(zmq::ROUTER)?;
        socket.set_linger(0)?;
        socket.set_rcvtimeo(50)?;
        for endpoint in endpoints {
            socket.bind(endpoint)?;
        }
        while !ends.load(Ordering::Relaxed) {
            let Ok(mut frames) = socket.recv_multipart(0) else {
                continue;
            };
            if let Some(body) = frames.last_mut() {
                body.reverse();
            }
            socket.send_multipart(frames, zmq::DONTWAIT)?;
        }
        Ok(())
    };
    serve().map_err(|error| error.to_string())
}
