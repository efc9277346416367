//! A node's status, as JSON tells it; whatever carries it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::About;
use crate::core::{Announcement, Status};
use crate::run::board::{Board, CheckView, FaultView, HookView, ServerView};
use crate::run::config::ServerRun;
use crate::run::front::FrontView;
use crate::server::{Handle, HandleError, Record};

/// For how long the node's thread may not come round to a question.
pub(super) const NODE_ANSWERS: Duration = Duration::from_secs(2);

/// Everything that one node knows at one moment. Ages are in milliseconds, times of day are UTC and only for
/// people: nothing is decided by them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Of this program.
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) uptime_ms: u64,
    pub(crate) pair: String,
    pub(crate) role: String,
    pub(crate) state: String,
    /// For how long it has been in this state.
    pub(crate) state_age_ms: u64,
    /// When it entered it, if it has not been in it since its start.
    pub(crate) state_since: Option<String>,
    /// Its own if it is active, else the highest that it has seen.
    pub(crate) epoch: u64,
    /// Of the activation that lasts, where epochs are kept on the disk.
    pub(crate) fence: Option<u64>,
    /// Whether it is certain, now, that the peer cannot have taken over.
    pub(crate) may_serve: bool,
    pub(crate) maintenance: bool,
    /// The peer timeout in force.
    pub(crate) timeout_ms: u64,
    /// How long a switchover may take.
    pub(crate) switchover_within_ms: u64,
    pub(crate) peer: Peer,
    pub(crate) links: Vec<Link>,
    pub(crate) gate: String,
    /// Whether the server could serve.
    pub(crate) ready: bool,
    pub(crate) fault: Option<Fault>,
    pub(crate) server: Server,
    pub(crate) health: Vec<Check>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) front_ends: Vec<FrontEnd>,
    /// The oldest first.
    pub(crate) transitions: Vec<Transition>,
    pub(crate) counters: Counters,
}

/// The peer, as far as it was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    /// What it said last; `None`: it was never heard.
    pub(crate) state: Option<String>,
    pub(crate) epoch: Option<u64>,
    /// 16 hexadecimal digits, drawn at its start.
    pub(crate) incarnation: Option<String>,
    pub(crate) maintenance: Option<bool>,
    /// How old that is; since this node's start, if it was never heard.
    pub(crate) age_ms: u64,
    /// Whether it counts as alive.
    pub(crate) fresh: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// How long it has been silent.
    pub(crate) age_ms: u64,
    /// Words of the peer that it brought.
    pub(crate) heard: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) detail: String,
    pub(crate) age_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) run: String,
    pub(crate) phase: String,
    pub(crate) pid: Option<u32>,
    pub(crate) restarts: u64,
    pub(crate) last_end: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) healthy: Option<bool>,
    pub(crate) last_error: Option<String>,
    /// How old its last result is.
    pub(crate) age_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hook {
    pub(crate) kind: String,
    pub(crate) ok: bool,
    pub(crate) error: Option<String>,
    pub(crate) took_ms: u64,
    /// How long ago it ended.
    pub(crate) age_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrontEnd {
    pub(crate) name: String,
    pub(crate) open: usize,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transition {
    pub(crate) row: String,
    pub(crate) cause: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) epoch: u64,
    pub(crate) fence: Option<u64>,
    pub(crate) time: String,
    pub(crate) age_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) garbage: u64,
    pub(crate) strangers: u64,
    pub(crate) old: u64,
    pub(crate) late: u64,
    pub(crate) refused: u64,
    pub(crate) transitions: u64,
}

/// Asks the node, and puts together what it and the board tell.
pub(crate) fn report(about: &About, node: &Handle, board: &Board) -> Result<Report, HandleError> {
    let status = node.status(NODE_ANSWERS)?;
    let history = node.history(NODE_ANSWERS)?;
    let view = board.view();
    let now = Instant::now();
    let last = history.last();
    let state_since = last.map_or(about.started, |record| record.since);
    Ok(Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: age_ms(now, about.started),
        pair: about.pair.clone(),
        role: about.role.to_string(),
        state: status.state.name(about.role).to_owned(),
        state_age_ms: age_ms(now, state_since),
        state_since: last.map(time),
        epoch: status.epoch,
        fence: last.and_then(|record| record.transition.fence),
        may_serve: node.may_serve(),
        maintenance: status.maintenance,
        timeout_ms: millis(status.timeout),
        switchover_within_ms: millis(about.switchover_within),
        peer: peer(&status),
        links: links(&status),
        gate: view.gate.name().to_owned(),
        ready: view.ready,
        fault: view.fault.map(|fault| fault_report(fault, now)),
        server: server(view.server),
        health: view.health.into_iter().map(|c| check(c, now)).collect(),
        hooks: view.hooks.into_iter().map(|h| hook(h, now)).collect(),
        front_ends: view.fronts.iter().map(front_end).collect(),
        transitions: history.iter().map(|r| transition(r, about, now)).collect(),
        counters: Counters {
            garbage: status.counters.garbage,
            strangers: status.counters.strangers,
            old: status.counters.old,
            late: status.counters.late,
            refused: status.counters.refused,
            transitions: status.counters.transitions,
        },
    })
}

fn peer(status: &Status) -> Peer {
    let state = |said: &Announcement| said.state.to_string();
    let said = status.peer.as_ref();
    let metadata = said.and_then(|said| said.metadata.as_ref());
    // The guard of the pair may begin anew without a word of the peer, and this is about the word.
    let heard = status.links.iter().filter(|link| link.heard > 0);
    let silence = heard.map(|link| link.silence).min();
    Peer {
        state: said.map(state),
        epoch: metadata.map(|metadata| metadata.epoch),
        incarnation: metadata.map(|metadata| format!("{:016x}", metadata.incarnation)),
        maintenance: metadata.map(|metadata| metadata.maintenance),
        age_ms: millis(silence.unwrap_or(status.silence)),
        fresh: status.fresh && said.is_some(),
    }
}

fn links(status: &Status) -> Vec<Link> {
    let link = |link: &crate::core::LinkStatus| Link {
        age_ms: millis(link.silence),
        heard: link.heard,
    };
    status.links.iter().map(link).collect()
}

fn fault_report(fault: FaultView, now: Instant) -> Fault {
    Fault {
        what: fault.what,
        detail: fault.detail,
        age_ms: age_ms(now, fault.since),
    }
}

fn server(view: ServerView) -> Server {
    let run = match view.run {
        ServerRun::None => "none",
        ServerRun::Always => "always",
        ServerRun::Active => "active",
    };
    Server {
        run: run.to_owned(),
        phase: view.phase.to_owned(),
        pid: view.pid,
        restarts: view.restarts,
        last_end: view.last_end,
    }
}

fn check(view: CheckView, now: Instant) -> Check {
    Check {
        name: view.name,
        healthy: view.healthy,
        last_error: view.last_error,
        age_ms: view.looked_at.map(|looked| age_ms(now, looked)),
    }
}

fn hook(view: HookView, now: Instant) -> Hook {
    Hook {
        kind: view.kind,
        ok: view.result.is_ok(),
        error: view.result.err(),
        took_ms: millis(view.took),
        age_ms: age_ms(now, view.at),
    }
}

fn front_end(view: &FrontView) -> FrontEnd {
    let counts = &view.counts;
    FrontEnd {
        name: view.name.clone(),
        open: counts.open.load(Ordering::Relaxed),
        accepted: counts.accepted.load(Ordering::Relaxed),
        refused: counts.refused.load(Ordering::Relaxed),
        failed: counts.failed.load(Ordering::Relaxed),
        bytes_in: counts.bytes_in.load(Ordering::Relaxed),
        bytes_out: counts.bytes_out.load(Ordering::Relaxed),
    }
}

fn transition(record: &Record, about: &About, now: Instant) -> Transition {
    let transition = &record.transition;
    Transition {
        row: transition.row.to_owned(),
        cause: transition.cause.name().to_owned(),
        from: transition.from.name(about.role).to_owned(),
        to: transition.to.name(about.role).to_owned(),
        epoch: transition.epoch,
        fence: transition.fence,
        time: time(record),
        age_ms: age_ms(now, record.since),
    }
}

fn time(record: &Record) -> String {
    humantime::format_rfc3339_millis(record.at).to_string()
}

fn age_ms(now: Instant, then: Instant) -> u64 {
    millis(now.saturating_duration_since(then))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
