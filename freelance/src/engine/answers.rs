//! What servers say to copies of requests, and copies that could not leave.

use std::ops::Deref;
use std::time::Instant;

use super::request::{Copy, Fate};
use super::server::{FIRST_PING_PAUSE, Link, Reach};
use super::{Engine, Reply, RequestId, SendFailure, ServerId};
use crate::Model;
use crate::wire::{self, Answer, Control};

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
        let mut copies = request.copies.iter();
        let found = copies.position(|c| c.server == id && c.attempt == attempt);
        let Some(copy) = found.map(|found| request.copies.swap_remove(found)) else {
            self.stats.foreign += 1;
            return;
        };
        let sent = request.sent;
        let elapsed = now.saturating_duration_since(request.submitted_at);
        let outrun = copy.hedge.then(|| first_out(&request.copies)).flatten();
        if let Some(latencies) = &mut self.latencies {
            // Of the copy that was answered: with the wait for a hedge in it, the next one would wait for longer.
            latencies.record(now.saturating_duration_since(copy.sent_at));
        }
        if let Some(loser) = outrun.and_then(|server| self.index(server)) {
            self.servers[loser].was_outrun(&self.config, now);
        }
        self.note_heard(index, now);
        let server = &mut self.servers[index];
        let before = (server.is_fit(), server.rest.until());
        if copy.fate != Fate::Lost {
            server.outstanding -= 1;
        }
        match copy.fate {
            Fate::Out => server.answered_in_time(),
            Fate::TimedOut | Fate::Lost => server.answered_late(sequence),
        }
        server.note_round_trip(now.saturating_duration_since(copy.sent_at));
        server.counts.replies += 1;
        server.counts.hedges_won += u64::from(copy.hedge);
        self.stats.hedges_won += u64::from(copy.hedge);
        server.rest.answered(copy.sent_at);
        if outrun.is_some() || before != (server.is_fit(), server.rest.until()) {
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
        server.answered_in_vain(control.sequence, control.attempt);
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
        }
        let Some(request) = self.requests.get_mut(&sequence) else {
            self.stats.late += 1;
            // Nobody needs another copy for it, but it is no less full.
            let server = &mut self.servers[index];
            server.counts.late += 1;
            server.settle_debt(sequence);
            server.rest.refused(&self.config, now);
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
        server.settle_debt(sequence);
        server.rest.refused(&self.config, now);
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
                    up.reach = Reach::sought(now, now + FIRST_PING_PAUSE);
                }
            }
            (_, SendFailure::Unreachable | SendFailure::Full) => {
                server.rest.for_a_moment(&self.config, now);
            }
        }
    }
}

/// Whom a copy was sent to that may still be answered in time.
fn first_out(copies: &[Copy]) -> Option<ServerId> {
    let out = copies.iter().find(|copy| copy.fate == Fate::Out);
    out.map(|copy| copy.server)
}
