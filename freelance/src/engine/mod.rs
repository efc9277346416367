//! The client's decisions, without a socket, a clock or a thread.
//!
//! ```text
//!   submit, cancel             ┌────────┐  poll_action   dial, hang up, ping, ask, send
//!   add, remove, drain         │        │ ───────────▶
//!   handle_connected      ───▶ │ Engine │
//!   handle_disconnected        │        │  poll_event    done, server, misnamed, drained
//!   handle_message        ───▶ │        │ ───────────▶
//!   handle_send_failed         │        │
//!   handle_timeout             │        │  next_deadline
//!   ...                        └────────┘ ───────────▶
//! ```
//!
//! **Call order.** After any input, or any group of inputs, call [`Engine::poll_action`] until it returns `None`,
//! carrying out each action, and reporting its failure, before the next call; then [`Engine::poll_event`] until it
//! returns `None`; then wait for the next input, but not past [`Engine::next_deadline`], when
//! [`Engine::handle_timeout`] is due. What the network has delivered is to be handed in before a time-out is, or a
//! client that was paused would blame its servers.
//!
//! **Invariants.**
//! - A request ends exactly once, by [`Event::Done`] or by [`Engine::cancel`], and is never sent at or after its
//!   deadline.
//! - Of a request that is not idempotent at most one copy is ever out: it is sent again only when each earlier copy
//!   was refused by word or failed to leave.
//! - Each copy but the first, or the first volley of model 2, is paid from one budget, unless it takes the place of
//!   one that was certainly not executed.
//! - Nothing waits at a server that is away.
//! - Nothing grows past [`Config::max_outstanding`] and [`MAX_SERVERS`]: requests that ended but whose event was not
//!   polled count too.
//!
//! Inputs about a server that is not known, or not any more, are ignored.

mod answers;
mod budget;
mod choice;
mod health;
mod latency;
mod links;
#[cfg(test)]
mod noise;
mod outcome;
mod plan;
mod poll;
#[cfg(test)]
mod random;
mod request;
mod rest;
mod server;
#[cfg(test)]
mod tests;
mod timers;
mod types;

use std::collections::VecDeque;
use std::time::Instant;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use self::budget::Bucket;
use self::choice::Grace;
use self::latency::Latencies;
use self::plan::Planned;
use self::request::{Queue, Request, Requests};
use self::server::Server;
use self::timers::Timers;
pub use self::types::*;
use crate::wire::{Control, WrittenControl};
use crate::{Config, Error, MAX_SERVERS, Model, RequestError};

type Ended<R> = (RequestId, Result<Reply<R>, RequestError>);

/// The client of a few servers; see the module. `B` is what is sent, `R` what the host makes of a reply's body.
pub struct Engine<B, R> {
    config: Config,
    nonce: u64,
    random: Xoshiro256PlusPlus,
    /// By tier, then by id.
    servers: Vec<Server>,
    next_server: u64,
    grace: Grace,
    requests: Requests<B>,
    next_sequence: u64,
    /// Requests to be sent for nothing.
    free: Queue,
    /// Requests to be sent for a token.
    paid: Queue,
    /// Copies that were decided on, and are handed out one by one.
    planned: VecDeque<Planned>,
    /// Requests to be hedged, if they still can be.
    hedges: VecDeque<u64>,
    timers: Timers,
    budget: Bucket,
    /// Only kept for hedging.
    latencies: Option<Latencies>,
    /// The server that was sent a PING of which it is not known yet whether it left.
    pinged: Option<ServerId>,
    hang_ups: VecDeque<ServerId>,
    drained: VecDeque<ServerId>,
    ended: VecDeque<Ended<R>>,
    closed: bool,
    stats: Stats,
}

impl<B, R> Engine<B, R> {
    /// A client that knows no server yet. `nonce` tells its requests from those of others and of earlier lives, and
    /// should be random; `seed` is that of its own random choices.
    ///
    /// # Errors
    /// [`Error::Config`] when a setting is out of bounds.
    pub fn new(config: Config, nonce: u64, seed: u64, now: Instant) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self {
            nonce,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            servers: Vec::new(),
            next_server: 1,
            grace: Grace::Before,
            requests: Requests::default(),
            next_sequence: 1,
            free: Queue::default(),
            paid: Queue::default(),
            planned: VecDeque::new(),
            hedges: VecDeque::new(),
            timers: Timers::default(),
            budget: Bucket::new(config.budget, now),
            latencies: config.hedge.map(|hedge| Latencies::new(hedge.percentile)),
            pinged: None,
            hang_ups: VecDeque::new(),
            drained: VecDeque::new(),
            ended: VecDeque::new(),
            closed: false,
            stats: Stats::default(),
            config,
        })
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes a server on; its link is dialled at once. Lower tiers are asked first.
    ///
    /// # Errors
    /// When it is known already, or too many are. Those count that were removed and not hung up yet.
    pub fn add_server(
        &mut self,
        endpoint: impl Into<String>,
        tier: u32,
        now: Instant,
    ) -> Result<ServerId, Error> {
        let endpoint = endpoint.into();
        if self.servers.iter().any(|known| known.endpoint == endpoint) {
            return Err(Error::KnownServer(endpoint));
        }
        let leaving = self.hang_ups.len().max(self.drained.len());
        if self.servers.len() >= MAX_SERVERS || leaving >= 2 * MAX_SERVERS {
            let limit = MAX_SERVERS;
            return Err(Error::TooManyServers { limit });
        }
        let id = ServerId(self.next_server);
        self.next_server += 1;
        self.servers
            .push(Server::new(id, endpoint, tier, &self.config, now));
        self.sort_servers();
        Ok(id)
    }

    /// Forgets a server at once: what waits there is lost as with its link. Its endpoint may be added again.
    ///
    /// # Errors
    /// When it is not known.
    pub fn remove_server(&mut self, server: ServerId, now: Instant) -> Result<(), Error> {
        let index = self.index(server).ok_or(Error::NoSuchServer)?;
        self.lose_copies(index, now);
        self.forget_server(index);
        Ok(())
    }

    /// Sends a server nothing new, and forgets it when nothing waits there any more, which [`Event::Drained`] tells.
    ///
    /// # Errors
    /// When it is not known.
    pub fn drain_server(&mut self, server: ServerId, now: Instant) -> Result<(), Error> {
        let index = self.index(server).ok_or(Error::NoSuchServer)?;
        self.servers[index].draining = true;
        self.look_again();
        self.recover(now);
        Ok(())
    }

    /// Changes when a server is asked, from the next request on.
    ///
    /// # Errors
    /// When it is not known.
    pub fn set_tier(&mut self, server: ServerId, tier: u32) -> Result<(), Error> {
        let index = self.index(server).ok_or(Error::NoSuchServer)?;
        self.servers[index].tier = tier;
        self.sort_servers();
        self.look_again();
        Ok(())
    }

    /// Takes a request on. It ends by [`Event::Done`] at `deadline` at the latest, however many servers are tried.
    ///
    /// # Errors
    /// When too many are under way, or the client was closed; nothing changed then.
    pub fn submit(
        &mut self,
        body: B,
        idempotent: Idempotent,
        deadline: Instant,
        now: Instant,
    ) -> Result<RequestId, Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        let limit = self.config.max_outstanding;
        if self.requests.len() + self.ended.len() >= limit {
            return Err(Error::TooManyOutstanding { limit });
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.stats.submitted += 1;
        self.budget.note_request();
        self.requests
            .insert(sequence, Request::new(body, idempotent, deadline, now));
        self.free.insert(sequence);
        Ok(RequestId(sequence))
    }

    /// Forgets a request: no event follows, and an answer that still comes is late. `false` when it had ended.
    pub fn cancel(&mut self, id: RequestId) -> bool {
        self.remove(id.0).is_some()
    }

    /// Ends every request with [`RequestError::Closed`], or [`RequestError::NoServer`] when it is certain that it was
    /// not executed. No other action follows than to hang up.
    pub fn close(&mut self) {
        self.closed = true;
        let mut open: Vec<u64> = self.requests.keys().copied().collect();
        open.sort_unstable();
        for sequence in open {
            if let Some(request) = self.requests.get(&sequence) {
                let error = request.error(RequestError::Closed);
                self.finish(sequence, Err(error));
            }
        }
    }

    /// Whether the end of a request waits to be told.
    pub fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event<R>> {
        for server in &mut self.servers {
            let id = server.id;
            let liveness = server.liveness();
            if liveness != server.told {
                server.told = liveness;
                let server = id;
                return Some(Event::Server { server, liveness });
            }
            if let Some(identity) = &server.misnamed
                && !std::mem::replace(&mut server.misnamed_told, true)
            {
                return Some(Event::Misnamed {
                    server: id,
                    identity: identity.clone(),
                });
            }
        }
        if let Some(server) = self.drained.pop_front() {
            return Some(Event::Drained { server });
        }
        let (id, result) = self.ended.pop_front()?;
        Some(Event::Done { id, result })
    }

    /// The envelope of a copy; `None` when the request has ended.
    pub fn head(&self, id: RequestId, attempt: u32) -> Option<Head> {
        self.requests.contains_key(&id.0).then(|| Head {
            model: self.config.model,
            control: Control {
                nonce: self.nonce,
                sequence: id.0,
                attempt,
            }
            .write(),
        })
    }

    /// What was handed in with the request; `None` when it has ended.
    pub fn body(&self, id: RequestId) -> Option<&B> {
        self.requests.get(&id.0).map(|request| &request.body)
    }

    /// Whether some server is live.
    pub fn is_ready(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|server| server.liveness() == Liveness::Live)
    }

    /// Requests under way.
    pub fn outstanding(&self) -> usize {
        self.requests.len()
    }

    /// The servers in the order of their tiers.
    pub fn servers(&self) -> impl Iterator<Item = ServerStats> + '_ {
        self.servers.iter().map(Server::stats)
    }

    /// What is known of one server.
    pub fn server(&self, server: ServerId) -> Option<ServerStats> {
        self.index(server).map(|index| self.servers[index].stats())
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn index(&self, id: ServerId) -> Option<usize> {
        self.servers.iter().position(|server| server.id == id)
    }

    fn sort_servers(&mut self) {
        self.servers
            .sort_unstable_by_key(|server| (server.tier, server.id));
    }

    /// Its copies are lost or answered already. The host is told in every case, since it may keep something of it.
    fn forget_server(&mut self, index: usize) -> ServerId {
        let server = self.servers.remove(index);
        if !self.hang_ups.contains(&server.id) {
            self.hang_ups.push_back(server.id);
        }
        self.look_again();
        server.id
    }

    /// Something about the servers changed, so that what could not be sent perhaps can be.
    fn look_again(&mut self) {
        self.free.look_again();
        self.paid.look_again();
    }

    fn queue_mut(&mut self, cost: request::Cost) -> &mut Queue {
        match cost {
            request::Cost::Free => &mut self.free,
            request::Cost::Token => &mut self.paid,
        }
    }
}

/// What stands in front of a request's body on the wire.
#[derive(Clone, Debug)]
pub struct Head {
    model: Model,
    control: WrittenControl,
}

impl Head {
    /// Its frames, each followed by a further one.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let frames = [self.control.as_bytes(), &[], self.control.sequence()];
        let count = match self.model {
            Model::One => 2,
            Model::Two => 3,
            Model::Three => 1,
        };
        frames.into_iter().take(count)
    }
}
