//! Who is asked.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use rand_xoshiro::rand_core::Rng;

use super::request::{Copy, Fate, Request};
use super::server::Server;
use super::{Engine, Idempotent};
use crate::Model;

/// How long the first links are waited for, at most.
const LONGEST_GRACE: Duration = Duration::from_millis(50);

/// The first links come up in any order. That is not to decide who is asked first, so while servers are dialled for
/// the first time those of a lower tier are waited for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grace {
    /// There was no link yet.
    Before,
    /// The first came up a moment ago.
    Until(Instant),
    Over,
}

/// Whom a request may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// A server that is well.
    Fit(usize),
    /// An ejected server whose time is over: the request is its probe.
    Probe(usize),
    /// A server of which the request waits already, in vain, since no other is well.
    Again(usize),
    /// All look dead: health is ignored.
    Panic(usize),
    /// Nobody as yet.
    Nobody,
}

/// What a request has at a server already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    Nothing,
    /// Only what was not answered in time.
    TimedOut,
    /// Something that may be answered in time.
    Out,
}

fn carried(copies: &[Copy], server: &Server) -> Carried {
    let mut found = Carried::Nothing;
    for copy in copies.iter().filter(|copy| copy.server == server.id) {
        match copy.fate {
            Fate::Out => return Carried::Out,
            Fate::TimedOut => found = Carried::TimedOut,
            Fate::Lost => {}
        }
    }
    found
}

/// The best servers of each kind for one request.
#[derive(Default)]
struct Field {
    fit: Option<Best>,
    probe: Option<Best>,
    again: Option<Best>,
    unfit: Option<Best>,
    unfit_again: Option<Best>,
    /// A server that is well and has nothing of the request only rests for a moment.
    resting: bool,
    /// Some server is well.
    healthy: bool,
}

impl<B, R> Engine<B, R> {
    /// The first copy, or one that is to take the place of all before.
    pub(super) fn choose(&mut self, sequence: u64) -> Choice {
        let Some(request) = self.requests.get(&sequence) else {
            return Choice::Nobody;
        };
        let mut field = Field::default();
        for index in 0..self.servers.len() {
            let server = &self.servers[index];
            if !server.is_reachable() {
                continue;
            }
            let carried = carried(&request.copies, server);
            let rests = server.rest.until().is_some();
            field.healthy |= server.is_fit();
            field.resting |= server.is_fit() && rests && carried == Carried::Nothing;
            if rests {
                continue;
            }
            let best = match carried {
                Carried::Nothing if server.is_fit() => &mut field.fit,
                Carried::Nothing if server.is_probe_due() => &mut field.probe,
                Carried::Nothing => &mut field.unfit,
                Carried::TimedOut if server.is_fit() => &mut field.again,
                Carried::TimedOut => &mut field.unfit_again,
                Carried::Out => continue,
            };
            offer(best, index, &self.servers, &mut self.random);
        }
        let volley = is_volley(self.config.model, request);
        match decide(&field, request.idempotent) {
            Choice::Fit(index) if self.is_worth_waiting(index, volley) => Choice::Nobody,
            choice => choice,
        }
    }

    /// Whether a server that would be preferred, or join the volley, is still being dialled for the first time.
    fn is_worth_waiting(&self, index: usize, volley: bool) -> bool {
        let tier = self.servers[index].tier;
        match self.grace {
            Grace::Before | Grace::Over => false,
            Grace::Until(_) => self
                .servers
                .iter()
                .any(|server| server.novel && !server.draining && (volley || server.tier < tier)),
        }
    }

    /// The first link came up.
    pub(super) fn begin_grace(&mut self, now: Instant) {
        if self.grace == Grace::Before {
            let time = (self.config.attempt_timeout / 4).min(LONGEST_GRACE);
            self.grace = Grace::Until(now + time);
        }
    }
}

/// Whether the server may be sent something now, and is well.
fn is_eligible(server: &Server) -> bool {
    server.is_reachable() && server.is_fit() && server.rest.until().is_none()
}

/// A server that is well and has nothing of the request, for a second copy beside the first.
pub(super) fn choose_beside(
    servers: &[Server],
    random: &mut impl Rng,
    copies: &[Copy],
) -> Option<usize> {
    let mut best = None;
    for (index, server) in servers.iter().enumerate() {
        if is_eligible(server) && carried(copies, server) == Carried::Nothing {
            offer(&mut best, index, servers, random);
        }
    }
    best.map(|best: Best| best.index)
}

/// Whether the request goes to several servers at once.
pub(super) fn is_volley<B>(model: Model, request: &Request<B>) -> bool {
    model == Model::Two && request.idempotent == Idempotent::Yes
}

/// Whether a server gets a copy in a volley of which one server was chosen already.
pub(super) fn joins_volley(choice: Choice, index: usize, server: &Server, copies: &[Copy]) -> bool {
    let others = match choice {
        Choice::Fit(_) => Carried::Nothing,
        Choice::Again(_) => Carried::TimedOut,
        Choice::Probe(chosen) | Choice::Panic(chosen) => return index == chosen,
        Choice::Nobody => return false,
    };
    is_eligible(server) && carried(copies, server) == others
}

/// An ejected server that may be tried by a further copy of the request.
pub(super) fn server_to_probe(servers: &[Server], copies: &[Copy]) -> Option<usize> {
    servers.iter().position(|server| {
        server.is_reachable()
            && server.is_probe_due()
            && server.rest.until().is_none()
            && carried(copies, server) == Carried::Nothing
    })
}

/// A server that is well is better than one that is not, and one that has nothing of the request than one that has.
fn decide(field: &Field, idempotent: Idempotent) -> Choice {
    if let Some(best) = field.fit {
        return Choice::Fit(best.index);
    }
    let may_probe = match idempotent {
        Idempotent::Yes => true,
        Idempotent::No => !field.healthy,
    };
    match (field.probe, field.again) {
        (Some(best), _) if may_probe => Choice::Probe(best.index),
        (_, Some(best)) if !field.resting => Choice::Again(best.index),
        _ if field.healthy => Choice::Nobody,
        _ => field
            .unfit
            .or(field.unfit_again)
            .map_or(Choice::Nobody, |best| Choice::Panic(best.index)),
    }
}

/// The best so far, and how many are as good.
#[derive(Clone, Copy)]
struct Best {
    index: usize,
    equals: u64,
}

/// The lower tier, then who has less to do, then who is quicker, then chance.
fn offer(best: &mut Option<Best>, index: usize, servers: &[Server], random: &mut impl Rng) {
    let rank = |index: usize| {
        let server = &servers[index];
        (server.tier, server.outstanding, server.round_trip)
    };
    let equals = match best {
        None => 1,
        Some(best) => match rank(index).cmp(&rank(best.index)) {
            Ordering::Less => 1,
            Ordering::Greater => return,
            Ordering::Equal => {
                best.equals += 1;
                // The n-th of equals replaces the one before with a chance of 1 in n, so that all have the same.
                if !random.next_u64().is_multiple_of(best.equals) {
                    return;
                }
                best.equals
            }
        },
    };
    *best = Some(Best { index, equals });
}
