//! Who is asked.

use std::time::{Duration, Instant};

use rand_xoshiro::rand_core::Rng;

use super::request::{Copy, Fate};
use super::server::{Link, Server};
use super::{Engine, Idempotent};

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
    fit: Option<usize>,
    probe: Option<usize>,
    again: Option<usize>,
    unfit: Option<usize>,
    unfit_again: Option<usize>,
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
            let rests = server.rest_until.is_some();
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
            *best = Some(match *best {
                None => index,
                Some(other) => better(&self.servers, &mut self.random, other, index),
            });
        }
        let choice = decide(&field, request.idempotent);
        match choice {
            Choice::Fit(index) if self.is_worth_waiting(Some(index)) => Choice::Nobody,
            other => other,
        }
    }

    /// Whether a server of a lower tier than `index` is still being dialled for the first time; any, without one.
    pub(super) fn is_worth_waiting(&self, index: Option<usize>) -> bool {
        let Grace::Until(_) = self.grace else {
            return false;
        };
        let below = index.map(|index| self.servers[index].tier);
        self.servers.iter().any(|server| {
            server.novel && !server.draining && below.is_none_or(|tier| server.tier < tier)
        })
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
    server.is_reachable() && server.is_fit() && server.rest_until.is_none()
}

/// A server that is well and has nothing of the request, for a second copy beside the first.
pub(super) fn choose_beside(
    servers: &[Server],
    random: &mut impl Rng,
    copies: &[Copy],
) -> Option<usize> {
    (0..servers.len())
        .filter(|index| {
            let server = &servers[*index];
            is_eligible(server) && carried(copies, server) == Carried::Nothing
        })
        .reduce(|best, index| better(servers, random, best, index))
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
            && server.rest_until.is_none()
            && carried(copies, server) == Carried::Nothing
    })
}

/// A server that is well is better than one that is not, and one that has nothing of the request than one that has.
fn decide(field: &Field, idempotent: Idempotent) -> Choice {
    if let Some(index) = field.fit {
        return Choice::Fit(index);
    }
    let may_probe = match idempotent {
        Idempotent::Yes => true,
        Idempotent::No => !field.healthy,
    };
    match (field.probe, field.again) {
        (Some(index), _) if may_probe => Choice::Probe(index),
        (_, Some(index)) if !field.resting => Choice::Again(index),
        _ if field.healthy => Choice::Nobody,
        _ => field
            .unfit
            .or(field.unfit_again)
            .map_or(Choice::Nobody, Choice::Panic),
    }
}

/// The lower tier, then who has less to do, then who is quicker, then chance.
fn better(servers: &[Server], random: &mut impl Rng, first: usize, second: usize) -> usize {
    let rank = |index: usize| {
        let server = &servers[index];
        debug_assert!(matches!(server.link, Link::Up(_)));
        (server.tier, server.outstanding, server.round_trip)
    };
    match rank(first).cmp(&rank(second)) {
        std::cmp::Ordering::Less => first,
        std::cmp::Ordering::Greater => second,
        std::cmp::Ordering::Equal if random.next_u64() & 1 == 0 => first,
        std::cmp::Ordering::Equal => second,
    }
}
