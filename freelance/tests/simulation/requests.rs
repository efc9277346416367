//! A client's requests, by the test's own count.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use freelance::{Model, RequestError, RequestId, ServerId, Stats};

use crate::ledger::{Ended, Ledger, Total};
use crate::packet::{Body, Copied};
use crate::shape::{SERVERS, Shape};

/// What a client may do in a second for one server: pings, attempts at links, and messages that do not leave, each
/// of which has a pause behind it of 20 ms at least, but for the first few.
const ACTIONS_PER_SERVER: u64 = 300;

struct Open {
    body: Body,
    since: Instant,
    deadline: Instant,
    /// Copies that may be executed still, and where.
    out: Vec<(ServerId, u32)>,
    /// Copies that may have been executed, wherever they are now.
    possible: u32,
    /// Copies that were refused: they do not count towards the most that may be sent.
    refused: u64,
    /// Refused copies whose place no other has taken yet.
    to_replace: u64,
    /// Which attempt its first copies were that not all were refused.
    first_volley: Option<u32>,
}

pub(crate) struct Requests {
    model: Model,
    nonce: u64,
    began: Instant,
    budget: freelance::Budget,
    max_attempts: u64,
    hedging: bool,
    open: BTreeMap<RequestId, Open>,
    last_number: u64,
    submitted: u64,
    copies: u64,
    /// Copies that are neither of a first volley nor in the place of a refused one.
    paid: u64,
    refused: u64,
    cancelled: u64,
    pub(crate) drained: u64,
    pub(crate) misnamed: u64,
    now: Instant,
    closing: bool,
    second: Second,
    ledger: Ledger,
}

/// What was done in a second.
struct Second {
    since: Instant,
    actions: u64,
    /// Requests that were open in it.
    requests: u64,
}

impl Requests {
    pub(crate) fn new(shape: &Shape, nonce: u64, now: Instant, ledger: Ledger) -> Self {
        Self {
            model: shape.config.model,
            nonce,
            began: now,
            budget: shape.config.budget,
            max_attempts: u64::from(shape.config.max_attempts),
            hedging: shape.config.hedge.is_some(),
            open: BTreeMap::new(),
            last_number: 0,
            submitted: 0,
            copies: 0,
            paid: 0,
            refused: 0,
            cancelled: 0,
            drained: 0,
            misnamed: 0,
            now,
            closing: false,
            second: Second {
                since: now,
                actions: 0,
                requests: 0,
            },
            ledger,
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn first(&self) -> Option<RequestId> {
        self.open.keys().next().copied()
    }

    pub(crate) fn first_deadline(&self) -> Option<Instant> {
        self.open.values().map(|open| open.deadline).min()
    }

    /// A request whose deadline has passed.
    pub(crate) fn overdue(&self, now: Instant) -> Option<String> {
        let overdue = |open: &&Open| open.deadline <= now;
        let open = self.open.values().find(overdue)?;
        let late = now - open.deadline;
        Some(format!(
            "{:?} is open {late:?} after its deadline",
            open.body
        ))
    }

    pub(crate) fn next_body(&mut self, idempotent: bool) -> Body {
        self.last_number += 1;
        Body {
            nonce: self.nonce,
            number: self.last_number,
            idempotent,
        }
    }

    pub(crate) fn submitted(&mut self, id: RequestId, body: Body, deadline: Instant, now: Instant) {
        self.ledger.submitted(body);
        self.submitted += 1;
        self.second.requests += 1;
        let open = Open {
            body,
            since: now,
            deadline,
            out: Vec::new(),
            possible: 0,
            refused: 0,
            to_replace: 0,
            first_volley: None,
        };
        if self.open.insert(id, open).is_some() {
            self.ledger
                .report(format!("ends once: {id:?} is used again while it is open"));
        }
    }

    pub(crate) fn cancelled(&mut self, id: RequestId) {
        self.open.remove(&id);
        self.cancelled += 1;
    }

    pub(crate) fn closing(&mut self) {
        self.closing = true;
    }

    /// Whether a copy may be given to the transport now.
    pub(crate) fn may_send(
        &self,
        server: ServerId,
        id: RequestId,
        now: Instant,
    ) -> Result<(), String> {
        let Some(open) = self.open.get(&id) else {
            return Err(format!("ends once: {id:?} is sent and is not open"));
        };
        if open.deadline <= now {
            let late = now - open.deadline;
            return Err(format!(
                "not too late: {id:?} goes to {server:?} {late:?} after its deadline"
            ));
        }
        if !open.body.idempotent && open.possible > 0 {
            return Err(format!(
                "at most once: a second copy of {id:?} goes to {server:?}"
            ));
        }
        Ok(())
    }

    pub(crate) fn sent(&mut self, server: ServerId, id: RequestId, attempt: u32) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        self.copies += 1;
        let first = open.first_volley.is_none();
        let volley = *open.first_volley.get_or_insert(attempt);
        let of_volley = self.model == Model::Two && open.body.idempotent && volley == attempt;
        let replaces = !first && !of_volley && open.to_replace > 0;
        open.to_replace -= u64::from(replaces);
        if !first && !of_volley && !replaces {
            self.paid += 1;
        }
        open.out.push((server, attempt));
        open.possible += 1;
    }

    pub(crate) fn is_out_at(&self, server: ServerId, id: RequestId) -> bool {
        let out = self.open.get(&id).map(|open| open.out.iter());
        out.is_some_and(|mut out| out.any(|(at, _)| *at == server))
    }

    /// Whether no copy of some request is anywhere.
    pub(crate) fn some_are_nowhere(&self) -> bool {
        self.open.values().any(|open| open.out.is_empty())
    }

    /// A request that is nowhere, and could be sent to one of these servers, or must not be sent again and has not
    /// ended. Copies that are to be paid for count only where there is no end of tokens.
    pub(crate) fn waits(&self, servers: &[ServerId]) -> Option<(Body, Vec<ServerId>)> {
        let waits = |open: &&Open| {
            let nowhere = open.out.is_empty();
            let may_be_sent = match (open.possible, open.body.idempotent) {
                (0, _) => true,
                (_, false) => return nowhere,
                (copies, true) => {
                    u64::from(copies) < self.max_attempts && self.budget.burst >= 1024
                }
            };
            nowhere && may_be_sent && !servers.is_empty()
        };
        let found = self.open.values().find(waits)?;
        Some((found.body, servers.to_vec()))
    }

    /// A copy was refused by word, of the request that is told. What is refused twice is refused once, and what is over
    /// not at all.
    pub(crate) fn refused(&mut self, server: ServerId, copied: Copied) -> Option<RequestId> {
        let mut all = self.open.iter_mut();
        let (id, open) = all.find(|(_, open)| open.body == copied.body)?;
        let is_it = |out: &(ServerId, u32)| *out == (server, copied.attempt);
        let at = open.out.iter().position(is_it)?;
        open.out.remove(at);
        open.possible -= 1;
        open.refused += 1;
        open.to_replace += 1;
        self.refused += 1;
        if open.possible == 0 {
            // Nobody has taken it: it begins anew, with a volley in model 2.
            open.first_volley = None;
            open.to_replace = 0;
        }
        Some(*id)
    }

    /// The link to a server is gone, and the copies there with it: they may have been executed.
    pub(crate) fn lost(&mut self, server: ServerId) {
        for open in self.open.values_mut() {
            open.out.retain(|(at, _)| *at != server);
        }
    }

    pub(crate) fn ended(
        &mut self,
        id: RequestId,
        result: Result<Option<Body>, RequestError>,
        attempts: u32,
        now: Instant,
    ) {
        let Some(open) = self.open.remove(&id) else {
            self.ledger
                .report(format!("ends once: {id:?} ends and is not open"));
            return;
        };
        let body = open.body;
        let in_time = open.deadline > now;
        let broken = match &result {
            Ok(reply) if *reply != Some(body) => {
                Some(format!("its own reply: {body:?} ends with {reply:?}"))
            }
            Ok(_) if !(1..=self.max_attempts + open.refused).contains(&u64::from(attempts)) => {
                let (most, refused) = (self.max_attempts, open.refused);
                Some(format!(
                    "bounded: {body:?} took {attempts} attempts of {most}, {refused} refused"
                ))
            }
            Ok(_) => None,
            Err(RequestError::NoServer) if in_time && !self.closing => Some(format!(
                "in time: {body:?} fails for want of a server {:?} before its deadline",
                open.deadline - now
            )),
            Err(RequestError::NoServer) if open.possible > 0 => Some(format!(
                "certainly not: {body:?} ends as not executed, with copies that may be"
            )),
            Err(RequestError::NoServer) => None,
            Err(RequestError::Unknown) if open.possible == 0 => Some(format!(
                "certainly not: {body:?} ends as unknown, and no copy may have been executed"
            )),
            Err(RequestError::Unknown) if in_time && !open.out.is_empty() => Some(format!(
                "in time: {body:?} is given up {:?} before its deadline, with a copy at {:?}",
                open.deadline - now,
                open.out
            )),
            Err(RequestError::Unknown) => None,
            Err(RequestError::Closed) if self.closing => None,
            Err(other) => Some(format!("ends once: {body:?} ends by {other:?}")),
        };
        if let Some(broken) = broken {
            self.ledger.report(broken);
        }
        let not_executed = matches!(result, Err(RequestError::NoServer));
        let ended = Ended {
            body,
            waited: now - open.since,
            timeout: open.deadline - open.since,
            failed: result.err().map(|error| match error {
                RequestError::NoServer => "no server",
                RequestError::Unknown => "unknown",
                _ => "closed",
            }),
        };
        self.ledger.ended(ended, not_executed);
    }

    /// What may have been paid for by now.
    fn budget(&self, now: Instant) -> f64 {
        let seconds = (now - self.began).as_secs_f64();
        let earned = self.budget.per_request * self.submitted as f64;
        f64::from(self.budget.burst) + earned + self.budget.per_second * seconds
    }

    pub(crate) fn check_budget(&mut self, now: Instant) {
        self.now = now;
        let paid = self.paid as f64;
        let budget = self.budget(now);
        // A millionth of a token is what the sums of floating point may be off.
        if paid > budget + 1e-6 {
            self.ledger.report(format!(
                "paid: {paid} copies were not free, and {budget:.3} could be paid"
            ));
        }
    }

    /// Counts an action, and tells whether there are too many in this second.
    pub(crate) fn acts_too_much(&mut self, now: Instant) -> bool {
        if now - self.second.since >= Duration::from_secs(1) {
            self.second = Second {
                since: now,
                actions: 0,
                requests: self.open.len() as u64,
            };
        }
        self.second.actions += 1;
        let per_request = self.max_attempts.max(2) * SERVERS as u64 * 2;
        let most = ACTIONS_PER_SERVER * SERVERS as u64 + self.second.requests * per_request;
        self.second.actions > most
    }

    pub(crate) fn total(&self, stats: &Stats) -> Total {
        let total = Total {
            copies: self.copies,
            refused: self.refused,
            budget: self.budget(self.now),
            drained: self.drained,
            misnamed: self.misnamed,
            cancelled: self.cancelled,
            ..Total::of(stats)
        };
        if stats.hedges > 0 && (self.model == Model::Two || !self.hedging) {
            self.ledger.report(format!("paid: {} hedges", stats.hedges));
        }
        if total.submitted != self.submitted {
            self.ledger.report(format!(
                "counted: {} were taken on, and the engine has {}",
                self.submitted, total.submitted
            ));
        }
        total
    }
}
