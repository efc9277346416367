//! Many faults, a few pairs at a time.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::steady::{ATTEMPTS, witnessed};
use crate::{Outcome, tell};

use super::clock::is_interrupted;
use super::hosts::Hosts;
use super::inject::why_skipped;
use super::journal::{Entry, Journal, Result};
use super::plan::{Fault, Plan};
use super::site::Settings;
use super::trial;

/// How many faults a line in a log is worth.
const LOGGED_EVERY: usize = 50;

/// Of which faults a run tells what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Of none: who runs it looks at the journal.
    Nothing,
    /// Of those that failed.
    Failures,
    /// Of all.
    All,
}

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Job {
    /// From which the faults come.
    pub plan: Plan,
    /// How the pairs run.
    pub settings: Settings,
    /// The places in the plan.
    pub indices: Vec<u64>,
    /// How many pairs run side by side.
    pub jobs: usize,
    /// Of which faults it tells the timeline.
    pub tells: Tells,
}

struct State<'a> {
    left: VecDeque<u64>,
    journal: &'a mut Journal,
    began: Instant,
    done: usize,
    total: usize,
    failed: usize,
    error: Option<String>,
}

/// Does all faults that the journal does not have yet.
///
/// # Errors
///
/// When there is no network to do it in, when the journal cannot be written, or at an interrupt.
pub fn run(job: &Job, journal: &mut Journal) -> Outcome<()> {
    let left: VecDeque<u64> = job
        .indices
        .iter()
        .copied()
        .filter(|index| !journal.has(*index))
        .collect();
    let total = left.len();
    let state = Mutex::new(State {
        failed: 0,
        done: 0,
        total,
        left,
        journal,
        began: Instant::now(),
        error: None,
    });
    thread::scope(|scope| {
        for _ in 0..job.jobs.clamp(1, total.max(1)) {
            scope.spawn(|| {
                if let Err(error) = work(job, &state) {
                    locked(&state).error.get_or_insert(error);
                }
            });
        }
    });
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    eprintln!();
    state.error.map_or(Ok(()), Err)
}

fn locked<'s, 'a>(state: &'s Mutex<State<'a>>) -> MutexGuard<'s, State<'a>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(job: &Job, state: &Mutex<State<'_>>) -> Outcome<()> {
    let mut hosts = None;
    loop {
        let index = {
            let mut state = locked(state);
            if state.error.is_some() {
                return Ok(());
            }
            match state.left.pop_front() {
                Some(index) => index,
                None => return Ok(()),
            }
        };
        let entry = one(job, &job.plan.fault(index), &mut hosts)?;
        if is_interrupted() {
            return Err("interrupted; the same command with its --journal goes on".to_owned());
        }
        let mut state = locked(state);
        let failures = entry.failures();
        let tells = match job.tells {
            Tells::Nothing => false,
            Tells::Failures => !failures.is_empty(),
            Tells::All => true,
        };
        if tells {
            tell(&told(&entry));
        }
        state.done += 1;
        state.failed += usize::from(!failures.is_empty());
        state.journal.add(entry)?;
        state.show();
    }
}

/// Does one fault, and again if it failed while this machine was away.
fn one(job: &Job, fault: &Fault, hosts: &mut Option<Hosts>) -> Outcome<Entry> {
    let mut entry = Entry {
        index: fault.index,
        seed: fault.seed,
        kind: fault.kind.name().to_owned(),
        action: format!("{:?}, at first active: {}", fault.action, fault.active),
        repeats: 0,
        result: Result::Skipped(String::new()),
        timeline: None,
    };
    if let Some(why) = why_skipped(&fault.action) {
        entry.result = Result::Skipped(why);
        return Ok(entry);
    }
    loop {
        let network = match hosts.take() {
            Some(network) => network,
            None => Hosts::new()?,
        };
        let (trial, away) = witnessed(|| trial::run(&network, &job.settings, fault));
        let mut is_starved = false;
        (entry.result, entry.timeline) = match trial {
            Ok(trial) => {
                is_starved = trial.is_starved;
                let tells = job.tells == Tells::All || !trial.verdict.failures.is_empty();
                // After an error a link may still be cut: then the next fault gets a new network.
                *hosts = Some(network);
                (
                    Result::Judged(trial.verdict),
                    tells.then_some(trial.timeline),
                )
            }
            Err(error) => (Result::Error(error), None),
        };
        let was_away = is_starved || away > job.settings.heartbeat / 2;
        if entry.failures().is_empty() || !was_away || entry.repeats + 1 >= ATTEMPTS {
            return Ok(entry);
        }
        if is_interrupted() {
            return Ok(entry);
        }
        tell(&format!(
            "repeated: fault {} ({}) failed while this machine was away for {away:?}{}: {}",
            fault.index,
            entry.kind,
            if is_starved {
                ", and a server for longer"
            } else {
                ""
            },
            entry.failures().first().map_or("", String::as_str)
        ));
        entry.repeats += 1;
    }
}

/// An entry with its timeline, for a reader.
#[must_use]
pub fn told(entry: &Entry) -> String {
    let Entry {
        index,
        seed,
        kind,
        action,
        ..
    } = entry;
    let mut text = format!("fault {index} (seed {seed:#x}), {kind}: {action}\n");
    match &entry.result {
        Result::Judged(verdict) => {
            let ms = |us: u64| us as f64 / 1e3;
            let outage = verdict
                .outage_us
                .map_or("for ever".to_owned(), |us| format!("{:.1} ms", ms(us)));
            text += &format!(
                "outage {outage}, longest gap {:.1} ms, both served {:.1} ms parted and {:.1} ms \
                 not, survivors: {:?}\n",
                ms(verdict.gap_us),
                ms(verdict.parted_us),
                ms(verdict.together_us),
                verdict.survivors
            );
        }
        Result::Skipped(why) => text += &format!("skipped: {why}\n"),
        Result::Error(_) => {}
    }
    let failures = entry.failures();
    for failure in failures.iter().take(8) {
        text += &format!("FAILED: {failure}\n");
    }
    if failures.len() > 8 {
        text += &format!("FAILED: and {} times more\n", failures.len() - 8);
    }
    if let Some(timeline) = &entry.timeline {
        text += timeline;
    }
    text
}

impl State<'_> {
    fn show(&self) {
        // In a log a line now and then is enough.
        let is_seen = std::io::stderr().is_terminal();
        if !is_seen && !self.done.is_multiple_of(LOGGED_EVERY) && self.done < self.total {
            return;
        }
        let minutes = self.began.elapsed().as_secs_f64() / 60.0;
        let rate = self.done as f64 / minutes.max(1e-6);
        let (done, total, failed) = (self.done, self.total, self.failed);
        let line = if is_seen { '\r' } else { '\n' };
        eprint!("{line}{done} of {total} faults, {rate:.0} a minute, {failed} failed ");
        // Who cannot be shown is not.
        let _ = std::io::stderr().flush();
    }
}
