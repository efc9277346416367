//! What becomes of requests: what an answer, a refusal, silence or the end of a link does.

use std::ops::Deref;
use std::time::Instant;

use super::health::{Failure, Health};
use super::request::{Cost, Fate, Phase, Request};
use super::server::{Link, Reach};
use super::{Engine, Idempotent, Reply, RequestId, SendFailure, ServerId};
use crate::wire::{self, Answer, Control};
use crate::{Model, RequestError};

impl<B, R> Engine<B, R> {
    /// A message came from a server, without the identity that a ROUTER puts in front: bytes that nobody vouches
    /// for. `take` gets the frames of the reply's body, and is only called when it ends a request.
    pub fn handle_message<F>(
        &mut self,
        server: ServerId,
        frames: &[F],
        take: impl FnOnce(&[F]) -> R,
        now: Instant,
    ) where
        F: Deref<Target = [u8]>,
    {
        let Some(index) = self.index(server) else {
            return;
        };
        match wire::parse(self.config.model, frames) {
            Some(Answer::Pong) => self.note_heard(index, now),
            Some(Answer::Reply(control, body)) if self.is_ours(control) => {
                self.take_reply(index, control, || take(&frames[body..]), now);
            }
            Some(Answer::Refusal(control)) if self.is_ours(control) => {
                self.take_refusal(index, control, now);
            }
            Some(Answer::Reply(..) | Answer::Refusal(_)) | None => self.stats.foreign += 1,
        }
    }

    fn is_ours(&self, control: Control) -> bool {
        control.nonce == self.nonce && control.sequence < self.next_sequence
    }

    fn take_reply(
        &mut self,
        index: usize,
        control: Control,
        take: impl FnOnce() -> R,
        now: Instant,
    ) {
        let Control {
            sequence, attempt, ..
        } = control;
        let Some(request) = self.requests.get_mut(&sequence) else {
            self.note_late(index, control, now);
            return;
        };
        let id = self.servers[index].id;
        let copies = request.copies.iter();
        let found = copies
            .clone()
            .position(|c| c.server == id && c.attempt == attempt);
        let Some(copy) = found.map(|found| request.copies.swap_remove(found)) else {
            self.stats.foreign += 1;
            return;
        };
        let sent = request.sent;
        let elapsed = now.saturating_duration_since(request.submitted_at);
        let first_sent_at = request.first_sent_at.unwrap_or(now);
        if let Some(latencies) = &mut self.latencies {
            latencies.record(now.saturating_duration_since(first_sent_at));
        }
        self.note_heard(index, now);
        let server = &mut self.servers[index];
        let was_fit = server.is_fit();
        if copy.fate != Fate::Lost {
            server.outstanding -= 1;
        }
        match copy.fate {
            Fate::Out => server.answered_in_time(),
            Fate::TimedOut | Fate::Lost => server.answered_late(sequence, attempt),
        }
        server.note_round_trip(now.saturating_duration_since(copy.sent_at));
        server.counts.replies += 1;
        server.counts.hedges_won += u64::from(copy.hedge);
        self.stats.hedges_won += u64::from(copy.hedge);
        if was_fit != server.is_fit() {
            self.look_again();
        }
        let reply = Reply {
            frames: take(),
            server: id,
            attempts: sent,
            elapsed,
        };
        self.finish(sequence, Ok(reply));
    }

    /// An answer to a request that has ended.
    fn note_late(&mut self, index: usize, control: Control, now: Instant) {
        self.stats.late += 1;
        self.note_heard(index, now);
        let server = &mut self.servers[index];
        server.counts.late += 1;
        let was_fit = server.is_fit();
        server.answered_late(control.sequence, control.attempt);
        if !was_fit && server.is_fit() {
            self.look_again();
        }
    }

    /// A refusal proves that this copy was not executed, so another may take its place for nothing.
    fn take_refusal(&mut self, index: usize, control: Control, now: Instant) {
        let Control {
            sequence, attempt, ..
        } = control;
        let server = &mut self.servers[index];
        let id = server.id;
        if server.is_probed_by(sequence, attempt) {
            server.probe_again(&self.config, now);
            server.rest_until = Some(now + self.config.retry_pause);
        }
        let Some(request) = self.requests.get_mut(&sequence) else {
            self.stats.late += 1;
            self.servers[index].counts.late += 1;
            self.servers[index].owes_since = None;
            self.note_heard(index, now);
            return;
        };
        let mut copies = request.copies.iter();
        let found =
            copies.position(|c| c.server == id && c.attempt == attempt && c.fate != Fate::Lost);
        let Some(found) = found else {
            self.stats.foreign += 1;
            return;
        };
        request.copies.swap_remove(found);
        self.note_heard(index, now);
        let server = &mut self.servers[index];
        server.outstanding -= 1;
        server.owes_since = None;
        server.rest_until = Some(now + self.config.retry_pause);
        self.stats.refused += 1;
        self.uncount(sequence, attempt);
        self.replace(sequence);
    }

    /// What [`Action::Send`](super::Action::Send) asked for could not leave: it was certainly not executed there.
    pub fn handle_send_failed(
        &mut self,
        server: ServerId,
        id: RequestId,
        failure: SendFailure,
        now: Instant,
    ) {
        let Some(index) = self.index(server) else {
            return;
        };
        self.note_unsent(index, failure, now);
        let Some(request) = self.requests.get_mut(&id.0) else {
            return;
        };
        let mut copies = request.copies.iter();
        let found = copies.rposition(|copy| copy.server == server && copy.fate == Fate::Out);
        let Some(copy) = found.map(|found| request.copies.swap_remove(found)) else {
            return;
        };
        let entry = &mut self.servers[index];
        entry.outstanding -= 1;
        entry.counts.attempts -= 1;
        if entry.is_probed_by(id.0, copy.attempt) {
            entry.probe_again(&self.config, now);
        }
        self.stats.attempts -= 1;
        self.stats.send_failed += 1;
        self.drop_copy(id.0, copy.attempt, copy.cost);
    }

    /// A server that could not take a message is left alone for a moment. A ROUTER that does not know it is to be
    /// asked again by PINGs.
    fn note_unsent(&mut self, index: usize, failure: SendFailure, now: Instant) {
        let three = self.config.model == Model::Three;
        let server = &mut self.servers[index];
        match (&mut server.link, failure) {
            (Link::Up(up), SendFailure::Unreachable) if three => {
                if matches!(up.reach, Reach::Found { .. }) {
                    let ping_at = now + super::server::FIRST_PING_PAUSE;
                    up.reach = Reach::sought(now, ping_at);
                }
            }
            (_, SendFailure::Unreachable | SendFailure::Full) => {
                server.rest_until = Some(now + self.config.retry_pause);
            }
        }
    }

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
    fn replace(&mut self, sequence: u64) -> bool {
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
    fn uncount(&mut self, sequence: u64, attempt: u32) {
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
        let owed = server.owes_since.take().is_some();
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
                let since = server.owes_since.unwrap_or(copy.sent_at);
                server.owes_since = Some(since.min(copy.sent_at));
            }
        }
        Some(request)
    }
}
