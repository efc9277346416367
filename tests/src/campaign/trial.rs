//! One fault from its start to its verdict.

use std::fmt::Write;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::{BOUND, Outcome};

use super::clock::{Moment, between, nanos, now, wait};
use super::hosts::Hosts;
use super::inject::{Times, inflict, prepare};
use super::kind::{Parting, Service};
use super::plan::Fault;
use super::record::{Asker, Fate, Record};
use super::side::Side;
use super::site::{Settings, Site};
use super::verdict::{Both, Marks, Scale, both_served, longest_gap, outage, wrong_answers};

/// How many served at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Survivors {
    /// Nobody: the worst.
    None,
    /// One, as it must be.
    One,
    /// Both.
    Two,
}

/// What a fault came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// From the fault to the next answer, in µs; absent when there was none.
    pub outage_us: Option<u64>,
    /// The longest time without an answer until the pair had settled, in µs.
    pub gap_us: u64,
    /// How long both served while they were parted, in µs.
    pub parted_us: u64,
    /// How long both served after the heal, in µs.
    pub healed_us: u64,
    /// How long both served while they could hear each other, in µs.
    pub together_us: u64,
    /// How many served at the end.
    pub survivors: Survivors,
    /// How many servers ended by themselves.
    pub died: usize,
    /// Why this is no pass, a line each.
    pub failures: Vec<String>,
}

/// A verdict, and how it came about.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The verdict.
    pub verdict: Verdict,
    /// What happened, a line each.
    pub timeline: String,
    /// Whether a server was not run for a while, and not since the fault was that.
    pub is_starved: bool,
}

/// Runs a pair, does the fault to it, and judges.
///
/// # Errors
///
/// When the fault could not be made; that says nothing about the pair.
pub fn run(hosts: &Hosts, settings: &Settings, fault: &Fault) -> Outcome<Trial> {
    let mut site = Site::new(hosts, settings);
    let mut props = prepare(&mut site, fault)?;
    begin(&mut site, fault.active)?;
    wait(fault.lead)?;
    let moved = site.active() != Some(fault.active);
    let times = inflict(&mut site, fault, &mut props)?;
    let end = settle(&site, times.healed)?;
    let mut trial = judge(&mut site, fault, &times, &end)?;
    if moved {
        let what = "the service moved before the fault began";
        trial.verdict.failures.push(what.to_owned());
    }
    // The servers go before what they write to.
    drop(site);
    drop(props);
    Ok(trial)
}

/// Starts both with their judge, and has `active` serve.
///
/// # Errors
///
/// When they do not come to that.
pub fn begin(site: &mut Site<'_>, active: Side) -> Outcome<()> {
    site.start(Side::A)?;
    site.start(Side::B)?;
    site.start_judge();
    site.wait_roles(Side::A)?;
    if active == Side::B {
        site.end(Side::A, Signal::KILL)?;
        let heartbeat = site.heartbeat();
        let until = now() + nanos(BOUND);
        while site.state(Side::B) != "active" {
            if now() > until {
                return Err(site.describe("the backup does not take over"));
            }
            wait(heartbeat / 10)?;
        }
        site.start(Side::A)?;
        site.wait_roles(Side::B)?;
    }
    wait_served(site, active)
}

/// Waits until the prober of a server and the client are answered by it.
fn wait_served(site: &Site<'_>, active: Side) -> Outcome<()> {
    let until = now() + nanos(BOUND);
    let mark = site.mark();
    loop {
        let records = site.records(mark)?;
        let served = |asker| {
            let own = records.iter().filter(|record| record.asker == asker);
            own.into_iter()
                .any(|record| record.answered_by() == Some(active))
        };
        if served(Asker::Prober(active)) && served(Asker::Client) {
            return Ok(());
        }
        if now() > until {
            return Err(site.describe(&format!("{active} does not serve everyone")));
        }
        wait(site.heartbeat() / 10)?;
    }
}

/// How it ended.
pub struct End {
    at: Moment,
    survivors: Survivors,
    /// Why it is no clean end, if it is none.
    unsettled: Option<String>,
}

/// Waits until one serves everyone, the other stands by, and that has lasted.
///
/// # Errors
///
/// When the judge has ended.
pub fn settle(site: &Site<'_>, healed: Moment) -> Outcome<End> {
    let heartbeat = site.heartbeat();
    let window = (heartbeat * 6).max(Duration::from_millis(300));
    let limit = healed + nanos(Duration::from_secs(5) + heartbeat * 60);
    let mark = site.mark();
    loop {
        let at = now();
        let records = site.records(mark)?;
        let since = at.saturating_sub(nanos(window)).max(healed);
        let recent = records.iter().filter(|record| record.sent >= since);
        let serving: Vec<(Asker, Side)> = recent
            .filter_map(|record| Some((record.asker, record.answered_by()?)))
            .collect();
        let serves = Side::BOTH.map(|side| serving.iter().any(|(_, by)| *by == side));
        let survivors = match serves.iter().filter(|serves| **serves).count() {
            0 => Survivors::None,
            1 => Survivors::One,
            _ => Survivors::Two,
        };
        let end = |unsettled| End {
            at,
            survivors,
            unsettled,
        };
        if Side::BOTH.iter().all(|side| !site.is_alive(*side)) {
            return Ok(End {
                survivors: Survivors::None,
                ..end(None)
            });
        }
        let why = match why_unsettled(site, &serving, serves, since) {
            None if at > healed + nanos(window) => return Ok(end(None)),
            None => "the time was too short".to_owned(),
            Some(why) => why,
        };
        if at > limit {
            return Ok(end(Some(why)));
        }
        wait(heartbeat / 4)?;
    }
}

fn why_unsettled(
    site: &Site<'_>,
    serving: &[(Asker, Side)],
    serves: [bool; 2],
    since: Moment,
) -> Option<String> {
    let states = Side::BOTH.map(|side| site.state(side));
    let Some(active) = site.active() else {
        return Some(format!("a is {}, b is {}", states[0], states[1]));
    };
    let other = &states[active.other().index()];
    if other != "passive" && other != "gone" {
        return Some(format!("{active} is active, the other {other}"));
    }
    if serves[active.other().index()] {
        return Some(format!("{active} is active, and the other answers"));
    }
    for asker in [Asker::Prober(active), Asker::Client] {
        if !serving.contains(&(asker, active)) {
            return Some(format!(
                "{active} is active, and does not answer the {asker}"
            ));
        }
    }
    let changed = Side::BOTH.iter().filter_map(|side| site.changed(*side));
    if changed.max() >= Some(since) {
        return Some("states change on and on".to_owned());
    }
    None
}

fn judge(site: &mut Site<'_>, fault: &Fault, times: &Times, end: &End) -> Outcome<Trial> {
    let scale = Scale::new(site.heartbeat(), fault.kind.network_returns());
    let records = site.records(0)?;
    let marks = Marks {
        began: times.began,
        made: times.made,
        healed: times.healed,
        settled: end.at,
    };
    let parting = fault.kind.parting();
    let both = both_served(&records, &marks, parting, &scale);
    let died = site.died();
    let wrong = wrong_answers(&records, &site.active_spans(scale.slack));
    let mut failures = Vec::new();
    match end.survivors {
        Survivors::None => failures.push("no survivor".to_owned()),
        Survivors::Two => failures.push("two survivors".to_owned()),
        Survivors::One => {}
    }
    failures.extend(
        end.unsettled
            .iter()
            .map(|why| format!("not settled: {why}")),
    );
    failures.extend(died.iter().map(|side| format!("{side} ended by itself")));
    failures.extend(both_failure(&both, parting));
    failures.extend(place_failure(site, fault));
    failures.extend(
        wrong
            .into_iter()
            .map(|wrong| format!("wrong answer: {wrong}")),
    );
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let verdict = Verdict {
        outage_us: outage(&records, &marks).map(micros),
        gap_us: micros(longest_gap(&records, &marks)),
        parted_us: micros(both.parted),
        healed_us: micros(both.healed),
        together_us: micros(both.together),
        survivors: end.survivors,
        died: died.len(),
        failures,
    };
    Ok(Trial {
        verdict,
        timeline: timeline(site, &records, times.began),
        is_starved: site.late().into_iter().any(|side| !fault.halts(side)),
    })
}

/// Fails over when needed, and only when needed.
fn place_failure(site: &Site<'_>, fault: &Fault) -> Option<String> {
    let active = site.active()?;
    let expected = match fault.kind.service() {
        Service::Stays => fault.active,
        Service::Moves => fault.active.other(),
        Service::Either => return None,
    };
    (active != expected).then(|| format!("{active} is active, and should not be"))
}

fn both_failure(both: &Both, parting: Parting) -> Option<String> {
    if both.together.is_zero() && both.crossed == 0 {
        return None;
    }
    let when = match parting {
        Parting::Never => "and were never parted",
        Parting::WhileHeld | Parting::ByChance => "and were parted no more",
    };
    let (together, crossed) = (both.together, both.crossed);
    Some(format!(
        "both served for {together:?} {when}; answers beside the other's: {crossed}"
    ))
}

/// What was done and said, and what was answered, in ms from the fault.
fn timeline(site: &Site<'_>, records: &[Record], began: Moment) -> String {
    let mut lines: Vec<(Moment, String)> = site
        .events()
        .into_iter()
        .map(|event| (event.at, event.what))
        .collect();
    let askers = [
        Asker::Prober(Side::A),
        Asker::Prober(Side::B),
        Asker::Client,
    ];
    for asker in askers {
        let own = records.iter().filter(|record| record.asker == asker);
        lines.extend(runs(own));
    }
    lines.sort_by_key(|(at, _)| *at);
    let mut text = String::new();
    for (at, what) in lines {
        let sign = if at < began { "-" } else { " " };
        let away = between(at.min(began), at.max(began)).as_secs_f64() * 1e3;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{sign}{away:>9.1} ms  {what}");
    }
    text
}

/// Records of one asker that came to the same, one behind the other, as one line.
fn runs<'r>(records: impl Iterator<Item = &'r Record>) -> Vec<(Moment, String)> {
    let mut runs: Vec<(&Record, &Record, usize)> = Vec::new();
    for record in records {
        match runs.last_mut() {
            Some((first, last, count)) if first.fate == record.fate => {
                *last = record;
                *count += 1;
            }
            _ => runs.push((record, record, 1)),
        }
    }
    let line = |(first, last, count): (&Record, &Record, usize)| {
        let (fate, asker) = (&first.fate, first.asker);
        let lasted = between(first.ended, last.ended).as_secs_f64() * 1e3;
        let waited = between(first.sent, first.ended).as_secs_f64() * 1e3;
        let what =
            format!("{asker}: {fate} ×{count} in {lasted:.1} ms, first after {waited:.1} ms");
        (first.ended, what)
    };
    // Silence is told by what comes before and behind it, unless it is long.
    let loud = |run: &(&Record, &Record, usize)| run.0.fate != Fate::Silent || run.2 > 1;
    runs.into_iter().filter(loud).map(line).collect()
}
