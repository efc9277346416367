//! Which copies of which requests are sent, and their way out.

use std::time::Instant;

use super::choice::{self, Choice};
use super::health::Health;
use super::request::{Copy, Cost, Fate, Phase};
use super::{Action, Engine, Idempotent, RequestId, ServerId};
use crate::Model;

/// A copy that was decided on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    server: ServerId,
    pub(super) sequence: u64,
    pub(super) attempt: u32,
    cost: Cost,
    role: Role,
    /// Whether an ejected server is judged by it.
    is_probe: bool,
}

/// What a copy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Answer,
    Hedge,
    /// A further one, only to find out whether an ejected server works.
    Trial,
}

impl<B, R> Engine<B, R> {
    pub(super) fn poll_send(&mut self, now: Instant) -> Option<Action> {
        loop {
            if let Some(planned) = self.planned.pop_front() {
                if let Some(action) = self.carry_out(planned, now) {
                    return Some(action);
                }
            } else if let Some(sequence) = self.hedges.pop_front() {
                self.plan_hedge(sequence, now);
            } else if !self.plan_next(now) {
                return None;
            }
        }
    }

    /// Decides on the next request that can be sent. `false` when there is none.
    fn plan_next(&mut self, now: Instant) -> bool {
        let can_pay = self.paid.len() > 0 && self.budget.tokens(now) > 0;
        (can_pay && self.plan_from(Cost::Token, now)) || self.plan_from(Cost::Free, now)
    }

    fn plan_from(&mut self, cost: Cost, now: Instant) -> bool {
        while let Some(sequence) = self.queue_mut(cost).next() {
            let request = self.requests.get(&sequence);
            if request.is_some_and(|request| request.deadline <= now) {
                self.expire(sequence);
                return true;
            }
            match self.choose(sequence) {
                Choice::Nobody => {
                    self.rearm(sequence);
                    self.queue_mut(cost).pass(sequence);
                }
                choice => {
                    self.plan(sequence, choice, cost, now);
                    return true;
                }
            }
        }
        false
    }

    /// Takes a request out of its queue, and decides on its copies: one, or a volley in model 2; and a further one
    /// for an ejected server whose time is over.
    fn plan(&mut self, sequence: u64, choice: Choice, cost: Cost, now: Instant) {
        self.queue_mut(cost).remove(sequence);
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        let first = match choice {
            Choice::Nobody => return,
            Choice::Fit(index) | Choice::Again(index) | Choice::Probe(index) => index,
            Choice::Panic(index) => {
                self.stats.panics += 1;
                index
            }
        };
        request.phase = Phase::Waiting;
        request.begin_attempt();
        // What takes the place of one copy is one copy.
        let volley = choice::is_volley(self.config.model, request)
            && (cost == Cost::Token || request.copies.is_empty());
        for (index, server) in self.servers.iter().enumerate() {
            let joins = match volley {
                true => choice::joins_volley(choice, index, server, &request.copies),
                false => index == first,
            };
            if joins && (cost == Cost::Free || self.budget.take(now)) {
                self.planned.push_back(Planned {
                    server: server.id,
                    sequence,
                    attempt: request.attempt,
                    cost,
                    role: Role::Answer,
                    is_probe: server.is_probe_due(),
                });
            }
        }
        if request.idempotent == Idempotent::Yes && matches!(choice, Choice::Fit(_)) {
            self.plan_trial(sequence, volley, now);
        }
    }

    /// The request goes its way, and a further copy tells whether an ejected server works again.
    fn plan_trial(&mut self, sequence: u64, volley: bool, now: Instant) {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        let Some(index) = choice::server_to_probe(&self.servers, &request.copies) else {
            return;
        };
        if !volley && request.counted >= self.config.max_attempts {
            return;
        }
        if !self.budget.take(now) {
            self.stats.budget_exhausted += 1;
            return;
        }
        if !volley {
            request.begin_attempt();
        }
        self.planned.push_back(Planned {
            server: self.servers[index].id,
            sequence,
            attempt: request.attempt,
            cost: Cost::Token,
            role: Role::Trial,
            is_probe: true,
        });
    }

    /// Its time has come to be hedged. It is looked at once: what cannot be done now is left.
    fn plan_hedge(&mut self, sequence: u64, now: Instant) {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        let is_alone = matches!(&request.copies[..], [only] if only.fate == Fate::Out);
        if !is_alone || request.deadline <= now || request.counted >= self.config.max_attempts {
            return;
        }
        let found = choice::choose_beside(&self.servers, &mut self.random, &request.copies);
        let Some(index) = found else {
            return;
        };
        if !self.budget.take(now) {
            self.stats.budget_exhausted += 1;
            return;
        }
        request.begin_attempt();
        self.planned.push_back(Planned {
            server: self.servers[index].id,
            sequence,
            attempt: request.attempt,
            cost: Cost::Token,
            role: Role::Hedge,
            is_probe: false,
        });
    }

    /// Hands a copy out. Something may have happened since it was decided on.
    fn carry_out(&mut self, planned: Planned, now: Instant) -> Option<Action> {
        let Planned {
            server,
            sequence,
            attempt,
            cost,
            role,
            is_probe,
        } = planned;
        let index = self.index(server);
        let entry = index.map(|index| &mut self.servers[index]);
        let entry = entry.filter(|entry| entry.is_reachable());
        let request = self.requests.get_mut(&sequence);
        let (Some(entry), Some(request)) = (entry, request) else {
            self.drop_copy(sequence, attempt, cost);
            return None;
        };
        if request.deadline <= now {
            self.drop_copy(sequence, attempt, cost);
            self.expire(sequence);
            return None;
        }
        request.copies.push(Copy {
            server,
            attempt,
            sent_at: now,
            cost,
            hedge: role == Role::Hedge,
            fate: Fate::Out,
        });
        entry.outstanding += 1;
        entry.rest.sent(&self.config, now);
        entry.counts.attempts += 1;
        if is_probe {
            entry.health = Health::Probing {
                sequence,
                attempt,
                give_up_at: now + self.config.attempt_timeout,
            };
        }
        self.stats.attempts += 1;
        match (role, cost) {
            (Role::Hedge, _) => self.stats.hedges += 1,
            (Role::Answer, Cost::Token) => self.stats.retries += 1,
            (Role::Answer, Cost::Free) | (Role::Trial, _) => {}
        }
        if !std::mem::replace(&mut request.begun, true) {
            self.set_hedge(sequence, now);
        }
        self.rearm(sequence);
        Some(Action::Send {
            server,
            id: RequestId(sequence),
            attempt,
        })
    }

    /// When a second copy is worth its costs.
    fn set_hedge(&mut self, sequence: u64, now: Instant) {
        let (Some(hedge), Some(latencies)) = (self.config.hedge, &self.latencies) else {
            return;
        };
        let (Some(percentile), Some(request)) =
            (latencies.percentile(), self.requests.get_mut(&sequence))
        else {
            return;
        };
        if request.idempotent == Idempotent::Yes && self.config.model != Model::Two {
            request.hedge_at = now.checked_add(percentile.max(hedge.floor));
        }
    }
}
