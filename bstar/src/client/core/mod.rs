//! The client's decisions, without a socket, a clock or a thread.
//!
//! ```text
//!   submit, cancel            ┌──────┐  poll_action   hang up, dial, send
//!   handle_connected     ───▶ │ Core │ ───────────▶
//!   handle_disconnected       │      │  poll_event    failover, done
//!   handle_message       ───▶ │      │ ───────────▶
//!   handle_send_failed        │      │  next_deadline
//!   handle_timeout            └──────┘ ───────────▶
//! ```
//!
//! **Call order.** After any input, or any group of inputs, call [`Core::poll_action`] until it
//! returns `None`, carrying out each action before the next call, then [`Core::poll_event`] until
//! it returns `None`; then wait for the next input, but not past [`Core::next_deadline`], when
//! [`Core::handle_timeout`] is due. What the network has delivered is to be handed in before a
//! time-out is, or a client that was paused would blame its servers.
//!
//! **Invariants.**
//! - A request ends exactly once, by [`Event::Done`] or by [`Core::cancel`], and is never sent at
//!   or after its deadline.
//! - Of a request that is not idempotent at most one copy is ever out: it is sent again only when
//!   each earlier copy was refused by word or failed to leave.
//! - Nothing grows past [`Config::max_outstanding`]: requests that ended but whose event was not
//!   polled count too.

mod outcome;
#[cfg(test)]
mod random;
mod request;
mod server;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Deref;
use std::time::Instant;

use self::request::{Phase, Request};
use self::server::{Link, Server};
pub use self::types::{Action, Event, RequestId, Stats};
use super::config::MAX_SERVERS;
use super::wire::{self, Answer};
use super::{Config, Error, Idempotent, Reply, RequestError};

/// The client of one pair; see the module.
#[derive(Debug)]
pub struct Core {
    config: Config,
    nonce: u64,
    servers: Vec<Server>,
    /// The server that requests go to while it answers.
    current: usize,
    /// Until then the first link to the primary is waited for, so that the order in which links
    /// happen to come up does not decide who is asked first.
    grace_until: Option<Instant>,
    answered_last: Option<usize>,
    epoch: Option<u64>,
    next_sequence: u64,
    requests: BTreeMap<u64, Request>,
    /// Requests to be sent, the oldest first.
    queued: BTreeSet<u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    events: VecDeque<Event>,
    stats: Stats,
}

impl Core {
    /// A client of `servers` servers, the primary first. `nonce` tells this client's requests from
    /// those of others and of earlier lives; it should be random.
    ///
    /// # Errors
    /// When a setting is out of bounds or there is not one or two servers.
    pub fn new(config: Config, servers: usize, nonce: u64, now: Instant) -> Result<Self, Error> {
        config.validate()?;
        if !(1..=MAX_SERVERS).contains(&servers) {
            return Err(Error::Config {
                setting: "servers",
                reason: format!("a pair has two, the primary first; {servers} were given"),
            });
        }
        Ok(Self {
            grace_until: Some(now + config.attempt_timeout),
            config,
            nonce,
            servers: (0..servers).map(|_| Server::new(now)).collect(),
            current: 0,
            answered_last: None,
            epoch: None,
            next_sequence: 1,
            requests: BTreeMap::new(),
            queued: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
        })
    }

    /// Takes a request on. It ends by [`Event::Done`] at `deadline` at the latest, however many
    /// servers are tried.
    ///
    /// # Errors
    /// When too many are under way or the request exceeds a limit; nothing changed then.
    pub fn submit(
        &mut self,
        body: Vec<Vec<u8>>,
        idempotent: Idempotent,
        deadline: Instant,
    ) -> Result<RequestId, Error> {
        check_body(&self.config, &body)?;
        let limit = self.config.max_outstanding;
        if self.requests.len() + self.events.len() >= limit {
            return Err(Error::TooManyOutstanding { limit });
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let first = wire::first_frame(self.nonce, sequence);
        self.requests
            .insert(sequence, Request::new(first, body, idempotent, deadline));
        self.queued.insert(sequence);
        self.deadlines.insert((deadline, sequence));
        self.stats.submitted += 1;
        Ok(RequestId(sequence))
    }

    /// Forgets a request: no event follows, and an answer that still comes is late. `false` when
    /// it had ended.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        self.remove(id.0).is_some()
    }

    /// Ends every request with [`RequestError::Closed`], or [`RequestError::NoServer`] when it is
    /// certain that it was not executed.
    pub fn close(&mut self) {
        while let Some((&sequence, request)) = self.requests.first_key_value() {
            let error = request.error(RequestError::Closed);
            self.finish(sequence, Err(error));
        }
    }

    /// The link that was dialled stands, handshake included. Ignored when none was dialled.
    pub fn handle_connected(&mut self, server: usize, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        if matches!(entry.link, Link::Dialling { .. }) {
            entry.link = Link::Up;
            // Behind a new link may be a new process, to which nothing of before applies.
            entry.not_before = now;
            entry.heard = now;
            self.end_grace(server);
        }
    }

    /// The link is lost, or the attempt at one failed. Answers that came before are to be handed
    /// in first.
    pub fn handle_disconnected(&mut self, server: usize, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        let was_up = entry.link == Link::Up;
        if matches!(entry.link, Link::Down { .. }) {
            return;
        }
        entry.hang_up(now + self.config.redial_pause);
        self.end_grace(server);
        if was_up {
            self.lose_copies(server);
        }
    }

    /// A message came from a server: bytes that nobody vouches for.
    pub fn handle_message<F>(&mut self, server: usize, frames: &[F], now: Instant)
    where
        F: Deref<Target = [u8]>,
    {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        let incoming = match wire::parse(frames) {
            Some(incoming)
                if incoming.nonce == self.nonce
                    && (1..self.next_sequence).contains(&incoming.sequence) =>
            {
                incoming
            }
            _ => {
                self.stats.foreign += 1;
                return;
            }
        };
        entry.heard = now;
        match incoming.answer {
            Answer::Reply => {
                let frames = frames[wire::BODY..]
                    .iter()
                    .map(|frame| frame.to_vec())
                    .collect();
                self.accept(server, incoming.sequence, Reply { frames, server }, now);
            }
            Answer::Refusal { epoch } => {
                self.epoch = self.epoch.max(epoch);
                self.refuse(server, incoming.sequence, now);
            }
        }
    }

    /// What [`Action::Send`] asked for could not leave: the request was not executed there, and
    /// the server is left alone for the retry pause.
    pub fn handle_send_failed(&mut self, server: usize, id: RequestId, now: Instant) {
        let Some(entry) = self.servers.get_mut(server) else {
            return;
        };
        entry.not_before = now + self.config.retry_pause;
        self.stats.send_failed += 1;
        if let Some(request) = self.requests.get_mut(&id.0) {
            request.copies[server] = request.copies[server].saturating_sub(1);
            if request.waits_on(server) {
                self.requeue(id.0);
            }
        }
    }

    /// Carries out what is due at `now`: deadlines, silences, and attempts at a link that took
    /// too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
        for server in 0..self.servers.len() {
            let entry = &mut self.servers[server];
            if matches!(entry.link, Link::Dialling { give_up_at } if give_up_at <= now) {
                entry.hang_up(now + self.config.redial_pause);
                self.end_grace(server);
            }
            self.notice_silence(server, now);
        }
    }

    /// The next thing to do at `now`.
    pub fn poll_action(&mut self, now: Instant) -> Option<Action> {
        for (server, entry) in self.servers.iter_mut().enumerate() {
            if std::mem::take(&mut entry.hang_up_due) {
                return Some(Action::HangUp { server });
            }
            if matches!(entry.link, Link::Down { redial_at } if redial_at <= now) {
                entry.link = Link::Dialling {
                    give_up_at: now + self.config.dial_timeout,
                };
                return Some(Action::Dial { server });
            }
        }
        self.expire(now);
        if self.queued.is_empty() {
            return None;
        }
        let server = self.choose(now)?;
        let sequence = self.queued.pop_first()?;
        let request = self.requests.get_mut(&sequence)?;
        debug_assert!(request.idempotent == Idempotent::Yes || !request.may_be_executed());
        request.phase = Phase::Waiting { server, since: now };
        request.copies[server] += 1;
        request.sent_at[server] = Some(now);
        self.servers[server].waiting.insert((now, sequence));
        self.stats.attempts += 1;
        Some(Action::Send {
            server,
            id: RequestId(sequence),
        })
    }

    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Core::handle_timeout`] and [`Core::poll_action`] are to be called next, if nothing
    /// comes before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let links = self.servers.iter().filter_map(|server| match server.link {
            Link::Down { redial_at } => Some(redial_at),
            Link::Dialling { give_up_at } => Some(give_up_at),
            Link::Up => None,
        });
        let silences = self
            .servers
            .iter()
            .filter_map(|server| server.silent_at(self.config.attempt_timeout));
        deadline
            .into_iter()
            .chain(links)
            .chain(silences)
            .chain(self.eligible_at())
            .min()
    }

    /// The frames of a request as they go over the wire; `None` when it has ended.
    pub fn frames(&self, id: RequestId) -> Option<impl Iterator<Item = &[u8]>> {
        let request = self.requests.get(&id.0)?;
        let envelope = [request.first.as_slice(), &[]];
        Some(
            envelope
                .into_iter()
                .chain(request.body.iter().map(Vec::as_slice)),
        )
    }

    /// Requests under way.
    pub fn outstanding(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is a link to the server.
    pub fn is_connected(&self, server: usize) -> bool {
        self.servers
            .get(server)
            .is_some_and(|entry| entry.link == Link::Up)
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

/// Whether a request keeps the limits, and cannot be mistaken for something else when echoed.
///
/// # Errors
/// Names the limit.
pub(super) fn check_body(config: &Config, body: &[Vec<u8>]) -> Result<(), Error> {
    if body.is_empty() {
        return Err(Error::Empty);
    }
    if let [only] = body
        && wire::is_refusal(only)
    {
        return Err(Error::LooksLikeRefusal);
    }
    let (frames, limit) = (body.len(), config.max_request_frames);
    if frames > limit {
        return Err(Error::TooManyFrames { frames, limit });
    }
    let bytes = body.iter().map(Vec::len).fold(0, usize::saturating_add);
    let limit = config.max_request_bytes;
    if bytes > limit {
        return Err(Error::TooLarge { bytes, limit });
    }
    Ok(())
}
