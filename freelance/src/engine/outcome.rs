//! What becomes of requests: how they are sent again, and how they end.

use std::time::Instant;

use super::health::{Failure, Health};
use super::request::{Cost, Fate, Phase, Request};
use super::server::Owed;
use super::{Engine, Idempotent, Reply, RequestId};
use crate::RequestError;

impl<B, R> Engine<B, R> {
    /// A copy did not leave. When it was one beside another that did, its costs are given back; otherwise another
    /// takes its place.
    pub(super) fn drop_copy(&mut self, sequence: u64, attempt: u32, cost: Cost) {
        self.uncount_sent(sequence, attempt);
        let replaced = self.replace(sequence);
        if cost == Cost::Token && !replaced {
            self.budget.refund();
        }
    }

    /// Puts the request in the queue, unless a copy of it is out or about to be. Says whether it did.
    pub(super) fn replace(&mut self, sequence: u64) -> bool {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return false;
        };
        let is_planned = self.planned.iter().any(|p| p.sequence == sequence);
        if request.is_out() || is_planned {
            self.rearm(sequence);
            return false;
        }
        match request.phase {
            Phase::Queued(Cost::Free) => {}
            Phase::Queued(Cost::Token) => {
                self.paid.remove(sequence);
                self.free.insert(sequence);
            }
            Phase::Waiting | Phase::Stalled => self.free.insert(sequence),
        }
        request.phase = Phase::Queued(Cost::Free);
        self.rearm(sequence);
        true
    }

    /// A copy does not count towards the most that may be sent, unless others of its volley do.
    pub(super) fn uncount(&mut self, sequence: u64, attempt: u32) {
        if let Some(request) = self.requests.get_mut(&sequence)
            && !request.copies.iter().any(|copy| copy.attempt == attempt)
            && !self
                .planned
                .iter()
                .any(|p| p.sequence == sequence && p.attempt == attempt)
        {
            request.counted = request.counted.saturating_sub(1);
        }
    }

    /// Nor was it sent.
    fn uncount_sent(&mut self, sequence: u64, attempt: u32) {
        let counted = self.requests.get(&sequence).map(|r| r.counted);
        self.uncount(sequence, attempt);
        if let Some(request) = self.requests.get_mut(&sequence)
            && counted != Some(request.counted)
        {
            request.sent = request.sent.saturating_sub(1);
        }
    }

    /// Its copies failed, and may have been executed: it is sent elsewhere if it may be and there is a token for it,
    /// else it waits for what can still come.
    pub(super) fn retry(&mut self, sequence: u64, now: Instant) {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        let is_planned = self.planned.iter().any(|p| p.sequence == sequence);
        if request.is_out() || is_planned || matches!(request.phase, Phase::Queued(_)) {
            return;
        }
        let may_be_sent =
            request.idempotent == Idempotent::Yes && request.counted < self.config.max_attempts;
        if may_be_sent {
            request.phase = Phase::Queued(Cost::Token);
            self.paid.insert(sequence);
            if self.budget.tokens(now) < self.paid.len() {
                self.stats.budget_exhausted += 1;
            }
        } else if request.can_be_answered() {
            request.phase = Phase::Stalled;
        } else {
            self.finish(sequence, Err(RequestError::Unknown));
        }
    }

    /// No answer can come any more to what was sent over a link that is lost.
    pub(super) fn lose_copies(&mut self, index: usize, now: Instant) {
        let server = &mut self.servers[index];
        let id = server.id;
        let mut lost = Vec::new();
        let mut in_time = 0;
        if server.outstanding > 0 {
            for (sequence, request) in &mut self.requests {
                let copies = request.copies.iter_mut();
                let mut gone = copies
                    .filter(|copy| copy.server == id && copy.fate != Fate::Lost)
                    .peekable();
                if gone.peek().is_some() {
                    lost.push(*sequence);
                }
                for copy in gone {
                    in_time += u64::from(copy.fate == Fate::Out);
                    copy.fate = Fate::Lost;
                }
            }
        }
        let owed = server.owes.take().is_some();
        server.outstanding = 0;
        server.counts.failures += in_time;
        let unharmed = server.health == Health::Well { failures: 0 };
        server.left_unanswered |= owed || !lost.is_empty() || !unharmed;
        if owed || in_time > 0 {
            server.fail(Failure::Lost, &self.config, now);
        }
        lost.sort_unstable();
        for sequence in lost {
            self.retry(sequence, now);
            self.rearm(sequence);
        }
    }

    /// What is due for one request: its end, the end of a copy's time, or a hedge.
    pub(super) fn request_due(&mut self, sequence: u64, now: Instant) {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        request.armed = None;
        if request.deadline <= now {
            self.expire(sequence);
            return;
        }
        if request.hedge_at.is_some_and(|at| at <= now) {
            request.hedge_at = None;
            self.hedges.push_back(sequence);
        }
        let mut timed_out = false;
        for copy in &mut request.copies {
            if copy.fate == Fate::Out && copy.sent_at + self.config.attempt_timeout <= now {
                copy.fate = Fate::TimedOut;
                timed_out = true;
                let id = copy.server;
                if let Some(server) = self.servers.iter_mut().find(|server| server.id == id) {
                    server.counts.failures += 1;
                    if server.is_probed_by(sequence, copy.attempt) {
                        server.eject(Failure::Silence, &self.config, now);
                    } else {
                        server.fail(Failure::Silence, &self.config, now);
                    }
                }
            }
        }
        if timed_out {
            self.look_again();
            self.retry(sequence, now);
        }
        self.rearm(sequence);
    }

    /// The deadline of a request is reached.
    pub(super) fn expire(&mut self, sequence: u64) {
        if let Some(request) = self.requests.get(&sequence) {
            let error = request.error(RequestError::Unknown);
            self.finish(sequence, Err(error));
        }
    }

    pub(super) fn finish(&mut self, sequence: u64, result: Result<Reply<R>, RequestError>) {
        if self.remove(sequence).is_some() {
            self.report(sequence, result);
        }
    }

    pub(super) fn report(&mut self, sequence: u64, result: Result<Reply<R>, RequestError>) {
        match result {
            Ok(_) => self.stats.replies += 1,
            Err(_) => self.stats.failed += 1,
        }
        self.ended.push_back((RequestId(sequence), result));
    }

    /// The one place where a request leaves every collection. Servers that still have time for an answer owe it.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Request<B>> {
        let request = self.requests.remove(&sequence)?;
        if let Some(at) = request.armed {
            self.timers.disarm(at, sequence);
        }
        match request.phase {
            Phase::Queued(cost) => self.queue_mut(cost).remove(sequence),
            Phase::Waiting | Phase::Stalled => {}
        }
        for copy in request.copies.iter().filter(|c| c.fate != Fate::Lost) {
            let Some(index) = self.index(copy.server) else {
                continue;
            };
            let server = &mut self.servers[index];
            server.outstanding -= 1;
            if copy.fate == Fate::Out {
                let since = copy.sent_at;
                if server.owes.is_none_or(|owed| since < owed.since) {
                    server.owes = Some(Owed { since, sequence });
                }
            }
        }
        Some(request)
    }
}
