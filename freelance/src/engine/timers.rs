//! What time brings.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Engine;
use super::choice::Grace;
use super::health::{Failure, Health};
use super::links::Redial;
use super::server::{Link, Name, Reach, name_patience};

/// When something is due for each request: one entry each.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, u64)>);

impl Timers {
    pub(super) fn arm(&mut self, at: Instant, sequence: u64) {
        self.0.insert((at, sequence));
    }

    pub(super) fn disarm(&mut self, at: Instant, sequence: u64) {
        self.0.remove(&(at, sequence));
    }

    fn first_at(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    fn pop_due(&mut self, now: Instant) -> Option<u64> {
        self.first_at().filter(|at| *at <= now)?;
        self.0.pop_first().map(|(_, sequence)| sequence)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<B, R> Engine<B, R> {
    /// Carries out what is due at `now`: deadlines, silences, and attempts at a link that took too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        while let Some(sequence) = self.timers.pop_due(now) {
            self.request_due(sequence, now);
        }
        for index in 0..self.servers.len() {
            self.link_due(index, now);
            self.answer_due(index, now);
        }
        self.recover(now);
    }

    /// When [`Engine::handle_timeout`] and [`Engine::poll_action`] are to be called next, if nothing comes before.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let queued = self.free.len() + self.paid.len() > 0;
        let servers = self.servers.iter();
        let servers = servers.filter_map(|server| server.next_deadline(&self.config, queued));
        let grace = match self.grace {
            Grace::Until(until) => Some(until),
            Grace::Before | Grace::Over => None,
        };
        let token = match self.paid.len() {
            0 => None,
            _ => self.budget.token_at(),
        };
        let request = self.timers.first_at();
        servers.chain(grace).chain(token).chain(request).min()
    }

    /// Makes the timers know when something is due for the request.
    pub(super) fn rearm(&mut self, sequence: u64) {
        if let Some(request) = self.requests.get_mut(&sequence) {
            let at = request.due_at(self.config.attempt_timeout);
            let before = request.armed.replace(at);
            if before == Some(at) {
                return;
            }
            if let Some(before) = before {
                self.timers.disarm(before, sequence);
            }
            self.timers.arm(at, sequence);
        }
    }

    fn link_due(&mut self, index: usize, now: Instant) {
        let config = &self.config;
        match &mut self.servers[index].link {
            Link::Down { .. } => {}
            Link::Dialling { give_up_at } => {
                if *give_up_at <= now {
                    self.take_down(index, Redial::Backoff, now);
                }
            }
            Link::Up(up) => match &mut up.reach {
                Reach::Given => {}
                Reach::Sought { since, name, .. } => match *name {
                    Name::NotAsked if *since + name_patience(config) <= now => *name = Name::Due,
                    Name::Asked { give_up_at } if give_up_at <= now => {
                        self.take_down(index, Redial::Late, now);
                    }
                    Name::NotAsked | Name::Due | Name::Asked { .. } => {}
                },
                Reach::Found { .. } => self.note_silence(index, now),
            },
        }
    }

    /// A link on which nothing was heard for too long is first spared, then dialled anew.
    fn note_silence(&mut self, index: usize, now: Instant) {
        let Link::Up(up) = &mut self.servers[index].link else {
            return;
        };
        let silent_at = up.silent_at(&self.config);
        // A PING that was to be sent before was not: the host was away, and not the server.
        let late = matches!(up.reach, Reach::Found { ping_at } if ping_at < now.min(silent_at));
        if silent_at > now || late {
            return;
        }
        if !std::mem::replace(&mut up.suspect, true) {
            self.look_again();
        }
        if let Link::Up(up) = self.servers[index].link
            && up.silent_at(&self.config) <= now
        {
            self.take_down(index, Redial::Backoff, now);
        }
    }

    /// The probe, or an answer that nobody waits for any more, did not come in time.
    fn answer_due(&mut self, index: usize, now: Instant) {
        let server = &mut self.servers[index];
        let mut failed = false;
        if let Health::Probing { give_up_at, .. } = server.health
            && give_up_at <= now
        {
            server.eject(Failure::Silence, &self.config, now);
            failed = true;
        }
        if let Some(owed) = server.owes
            && owed.since + self.config.attempt_timeout <= now
        {
            server.owes = None;
            server.fail(Failure::Silence, &self.config, now);
            server.counts.failures += 1;
            failed = true;
        }
        if failed {
            self.look_again();
        }
    }
}
