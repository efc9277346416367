//! What becomes of requests: who is asked, and what an answer, a refusal, silence or the end of a
//! link does.

use std::time::Instant;

use super::request::{Phase, Request};
use super::server::Link;
use super::{Core, Event, Idempotent, Reply, RequestError, RequestId};

impl Core {
    /// Stays with the current server while it may be asked, else takes the next one that may.
    pub(super) fn choose(&mut self, now: Instant) -> Option<usize> {
        if self.grace_until.is_some_and(|until| now < until) {
            return None;
        }
        let count = self.servers.len();
        let chosen = (0..count)
            .map(|step| (self.current + step) % count)
            .find(|server| self.servers[*server].may_be_asked(now))?;
        self.current = chosen;
        Some(chosen)
    }

    /// The server did not answer: the next in order is to be asked first, also by a request that
    /// comes long after.
    fn turn_away(&mut self, server: usize) {
        if self.current == server {
            self.current = (server + 1) % self.servers.len();
        }
    }

    /// When a request that is queued can be sent, as far as time alone decides it.
    pub(super) fn eligible_at(&self) -> Option<Instant> {
        if self.queued.is_empty() {
            return None;
        }
        let up = self.servers.iter().filter(|server| server.link == Link::Up);
        up.map(|server| {
            server
                .not_before
                .max(self.grace_until.unwrap_or(server.not_before))
        })
        .min()
    }

    pub(super) fn end_grace(&mut self, server: usize) {
        if server == 0 {
            self.grace_until = None;
        }
    }

    pub(super) fn accept(&mut self, server: usize, sequence: u64, reply: Reply, now: Instant) {
        let Some(sent_at) = self.requests.get(&sequence).and_then(|r| r.sent_at[server]) else {
            self.stats.late += 1;
            return;
        };
        self.servers[server].not_before = now;
        // An answer that was on its way when the current server gave one tells of the past.
        if self.servers[self.current]
            .answered_at
            .is_none_or(|at| at <= sent_at)
        {
            self.current = server;
        }
        self.servers[server].answered_at = Some(now);
        self.servers[server].refusals = 0;
        let before = self.answered_last.replace(server);
        if before.is_some_and(|before| before != server) {
            self.stats.failovers += 1;
            self.events.push_back(Event::Failover {
                server,
                epoch: self.epoch,
            });
        }
        self.finish(sequence, Ok(reply));
    }

    /// A refusal proves that this copy was not executed, so the request may go anywhere.
    pub(super) fn refuse(&mut self, server: usize, sequence: u64, now: Instant) {
        let request = self
            .requests
            .get_mut(&sequence)
            .filter(|r| r.copies[server] > 0);
        let Some(request) = request else {
            self.stats.late += 1;
            return;
        };
        self.stats.refused += 1;
        let pause = self.servers[server].next_retry_pause(self.config.retry_pause);
        self.servers[server].not_before = now + pause;
        request.copies[server] -= 1;
        if request.waits_on(server) || request.phase == Phase::Stalled {
            self.requeue(sequence);
        }
        self.turn_away(server);
    }

    /// Requests that waited on the server for the attempt timeout without a sign of life move on;
    /// those that must not be sent again wait for their deadline.
    pub(super) fn notice_silence(&mut self, server: usize, now: Instant) {
        while let Some(silent_at) = self.servers[server].silent_at(self.config.attempt_timeout) {
            let entry = &mut self.servers[server];
            if silent_at > now {
                return;
            }
            let Some((since, sequence)) = entry.waiting.pop_first() else {
                return;
            };
            let asked = since.max(entry.heard);
            entry.not_before = entry.not_before.max(asked + self.config.settle_delay);
            self.stats.silences += 1;
            self.turn_away(server);
            if let Some(request) = self.requests.get_mut(&sequence) {
                match request.idempotent {
                    Idempotent::Yes => self.requeue(sequence),
                    Idempotent::No => request.phase = Phase::Stalled,
                }
            }
        }
    }

    /// No answer can come any more to what was sent over a link that is lost.
    pub(super) fn lose_copies(&mut self, server: usize) {
        let lost: Vec<u64> = self
            .requests
            .iter()
            .filter(|(_, request)| request.copies[server] > 0)
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in lost {
            let Some(request) = self.requests.get_mut(&sequence) else {
                continue;
            };
            request.copies[server] = 0;
            request.copy_lost = true;
            match request.idempotent {
                Idempotent::Yes if request.waits_on(server) => self.requeue(sequence),
                Idempotent::Yes => {}
                Idempotent::No => self.finish(sequence, Err(RequestError::Unknown)),
            }
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(&(deadline, sequence)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            self.deadlines.pop_first();
            let request = self.requests.get(&sequence);
            let error = request.map_or(RequestError::Unknown, |r| r.error(RequestError::Unknown));
            self.finish(sequence, Err(error));
        }
    }

    pub(super) fn requeue(&mut self, sequence: u64) {
        if let Some(request) = self.requests.get_mut(&sequence) {
            if let Phase::Waiting { server, since } = request.phase {
                self.servers[server].waiting.remove(&(since, sequence));
            }
            request.phase = Phase::Queued;
            self.queued.insert(sequence);
        }
    }

    pub(super) fn finish(&mut self, sequence: u64, result: Result<Reply, RequestError>) {
        if self.remove(sequence).is_some() {
            match result {
                Ok(_) => self.stats.answered += 1,
                Err(_) => self.stats.failed += 1,
            }
            self.events.push_back(Event::Done {
                id: RequestId(sequence),
                result,
            });
        }
    }

    /// The one place where a request leaves every collection.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Request> {
        let request = self.requests.remove(&sequence)?;
        self.deadlines.remove(&(request.deadline, sequence));
        match request.phase {
            Phase::Queued => {
                self.queued.remove(&sequence);
            }
            Phase::Waiting { server, since } => {
                self.servers[server].waiting.remove(&(since, sequence));
            }
            Phase::Stalled => {}
        }
        Some(request)
    }
}
