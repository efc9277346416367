//! What becomes of each message: the rules of a server, without a socket or a clock.
//!
//! ```text
//!   message ──> handle_message ──┬─> Arrival: to be executed, under a ticket ──> handle_ending ──┐
//!                                └─> answered, refused, joined or dropped ───────────────────────┴─> poll_send
//! ```
//!
//! After each call the messages to be sent are taken out by [`Desk::poll_send`] until there is none.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;
use std::time::Instant;

use zmq::Message;

use super::memory::{Known, Memory, Name, Outcome};
use super::shape::{self, Cut, Shape};
use super::{Cache, Config, Stats};
use crate::Model;
use crate::wire::{self, Control, PONG};

/// A request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

/// Where an answer goes, and in what.
#[derive(Debug)]
pub(super) struct Address {
    /// Routing id and envelope, which go back as they came.
    envelope: Vec<Message>,
    /// Which frame of it is the control frame, of whatever kind.
    control: Option<usize>,
    /// The sequence of model 2, which a refusal goes without.
    sequence: Option<Message>,
    /// The control frame, if it is one of ours.
    ours: Option<Control>,
}

/// A request to be executed.
pub(super) struct Arrival {
    pub(super) ticket: Ticket,
    pub(super) address: Address,
    pub(super) body: Vec<Message>,
}

/// How the execution of a request ended.
pub(super) enum Ending {
    /// With a reply, of one or more frames.
    Reply(Vec<Message>),
    /// It was not executed after all.
    Refused,
    /// Nobody will answer it.
    Dropped,
    /// Its job panicked.
    Panicked,
}

/// Whether requests are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// New ones are refused, and those under way are finished.
    Draining,
    /// Nothing is answered any more.
    Closed,
}

/// The rules, and what they need to know.
pub(super) struct Desk {
    model: Model,
    limits: Config,
    phase: Phase,
    under_way: HashMap<Ticket, UnderWay>,
    /// Duplicates that wait for the answer of the first, all requests together.
    joined: usize,
    next_ticket: u64,
    memory: Option<Memory<Ticket>>,
    hasher: RandomState,
    to_send: VecDeque<Vec<Message>>,
    stats: Stats,
}

struct UnderWay {
    name: Option<Rc<Name>>,
    joined: Vec<Address>,
}

impl Desk {
    pub(super) fn new(model: Model, limits: Config, cache: Option<Cache>) -> Self {
        Self {
            model,
            limits,
            phase: Phase::Serving,
            under_way: HashMap::new(),
            joined: 0,
            next_ticket: 1,
            memory: cache.map(Memory::new),
            hasher: RandomState::new(),
            to_send: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes a message as a ROUTER received it. What is to be executed is handed back, and is under way from then on.
    pub(super) fn handle_message(
        &mut self,
        frames: &mut Vec<Message>,
        now: Instant,
    ) -> Option<Arrival> {
        if self.phase == Phase::Closed {
            return None;
        }
        let shape = if frames.len() <= self.limits.max_request_frames {
            shape::read(self.model, frames)
        } else {
            Shape::Malformed
        };
        match shape {
            Shape::Malformed => {
                self.stats.malformed += 1;
                None
            }
            Shape::Ping => {
                self.stats.pings += 1;
                frames.truncate(1);
                let pong = [Message::from(PONG)];
                self.to_send
                    .push_back(frames.drain(..).chain(pong).collect());
                None
            }
            Shape::Request(cut) => {
                self.stats.received += 1;
                let (address, body) = split(cut, frames);
                self.handle_request(address, body, now)
            }
        }
    }

    /// Ends the execution of a request, and answers who asked for it. Tells whether it was still under way.
    pub(super) fn handle_ending(
        &mut self,
        ticket: Ticket,
        address: Address,
        ending: Ending,
        now: Instant,
    ) -> bool {
        let Some(UnderWay { name, joined }) = self.under_way.remove(&ticket) else {
            return false;
        };
        self.joined -= joined.len();
        match ending {
            Ending::Reply(reply) => {
                self.stats.replied += 1;
                self.reply(name, address, joined, reply, now);
            }
            Ending::Refused => {
                if let (Some(memory), Some(name)) = (&mut self.memory, name) {
                    memory.forget(&name);
                }
                self.refuse(address, "refused");
                for address in joined {
                    self.say_no(address, "refused");
                }
            }
            Ending::Dropped => {
                self.stats.unanswered += 1;
                self.remember(name, Outcome::Silence, now);
            }
            Ending::Panicked => {
                self.stats.failed += 1;
                // It may have begun what it was asked to: no word of ours may send a client elsewhere with it.
                self.remember(name, Outcome::Silence, now);
            }
        }
        true
    }

    /// Takes no more requests.
    pub(super) fn drain(&mut self) {
        if self.phase == Phase::Serving {
            self.phase = Phase::Draining;
        }
    }

    /// Lets go of what is under way.
    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.stats.abandoned += self.under_way.len() as u64;
        self.under_way.clear();
        self.joined = 0;
        self.to_send.clear();
    }

    /// The next message to be sent.
    pub(super) fn poll_send(&mut self) -> Option<Vec<Message>> {
        self.to_send.pop_front()
    }

    /// Notes that a message could not leave.
    pub(super) fn handle_lost(&mut self) {
        self.stats.lost += 1;
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Requests under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            cache_evicted: self.memory.as_ref().map_or(0, Memory::evicted),
            ..self.stats
        }
    }

    fn handle_request(
        &mut self,
        address: Address,
        body: Vec<Message>,
        now: Instant,
    ) -> Option<Arrival> {
        let name = match self.memory {
            Some(_) => self.name(&address, &body),
            None => None,
        };
        if let (Some(memory), Some(name)) = (&mut self.memory, &name) {
            match memory.recall(name, now).cloned() {
                Some(Known::UnderWay(first)) => {
                    self.join(first, address);
                    return None;
                }
                Some(Known::Done(outcome)) => {
                    self.stats.cache_hits += 1;
                    self.repeat(address, &outcome);
                    return None;
                }
                None => {}
            }
        }
        if self.phase == Phase::Draining {
            self.refuse(address, "draining");
            return None;
        }
        if self.under_way.len() >= self.limits.queue {
            self.refuse(address, "full");
            return None;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let name = match (&mut self.memory, name) {
            (Some(memory), Some(name)) => Some(memory.begin(name, ticket)),
            _ => None,
        };
        let joined = Vec::new();
        self.under_way.insert(ticket, UnderWay { name, joined });
        Some(Arrival {
            ticket,
            address,
            body,
        })
    }

    /// What the request is known by; nothing where that cannot be told. A foreign client of model 1 says nothing: the
    /// envelope of a REQ is the same for all it asks.
    fn name(&self, address: &Address, body: &[Message]) -> Option<Name> {
        if let Some(control) = address.ours {
            return Some(Name::Ours {
                nonce: control.nonce,
                sequence: control.sequence,
            });
        }
        if self.model == Model::One {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        for frame in body {
            frame[..].hash(&mut hasher);
        }
        let frames = address.envelope.iter().chain(&address.sequence);
        Some(Name::Foreign {
            address: frames.map(|frame| frame.to_vec()).collect(),
            hash: hasher.finish(),
        })
    }

    fn join(&mut self, first: Ticket, address: Address) {
        // As many again as are under way may wait for those.
        if self.joined >= self.limits.queue {
            self.refuse(address, "full");
        } else if let Some(under_way) = self.under_way.get_mut(&first) {
            self.joined += 1;
            self.stats.cache_joined += 1;
            under_way.joined.push(address);
        }
    }

    /// Answers a duplicate as the first was.
    fn repeat(&mut self, address: Address, outcome: &Outcome) {
        match outcome {
            Outcome::Reply(reply) => self.to_send.push_back(address.answer(copy(reply))),
            Outcome::Silence => {}
        }
    }

    fn reply(
        &mut self,
        name: Option<Rc<Name>>,
        address: Address,
        joined: Vec<Address>,
        reply: Vec<Message>,
        now: Instant,
    ) {
        let Some(name) = name else {
            return self.to_send.push_back(address.answer(reply));
        };
        let kept: Rc<[Vec<u8>]> = reply.iter().map(|frame| frame.to_vec()).collect();
        self.to_send.push_back(address.answer(reply));
        for address in joined {
            self.to_send.push_back(address.answer(copy(&kept)));
        }
        self.remember(Some(name), Outcome::Reply(kept), now);
    }

    fn remember(&mut self, name: Option<Rc<Name>>, outcome: Outcome, now: Instant) {
        if let (Some(memory), Some(name)) = (&mut self.memory, name) {
            memory.finish(name, outcome, now);
        }
    }

    fn refuse(&mut self, address: Address, reason: &str) {
        if address.ours.is_some() {
            self.stats.refused += 1;
        } else {
            self.stats.dropped += 1;
        }
        self.say_no(address, reason);
    }

    /// By word to a client of ours, and not at all to others, who would take it for the reply.
    fn say_no(&mut self, address: Address, reason: &str) {
        if address.ours.is_some() {
            let mut message = address.envelope;
            message.push(wire::refusal(reason).as_bytes().into());
            self.to_send.push_back(message);
        }
    }
}

impl Address {
    /// The routing id of who asked.
    pub(super) fn client(&self) -> &[u8] {
        self.envelope.first().map_or(&[], Message::deref)
    }

    /// The control frame, of whatever kind, if there is one.
    pub(super) fn control(&self) -> Option<&[u8]> {
        Some(self.envelope.get(self.control?)?)
    }

    fn answer(self, body: impl IntoIterator<Item = Message>) -> Vec<Message> {
        let mut message = self.envelope;
        message.extend(self.sequence);
        message.extend(body);
        message
    }
}

/// Divides a request into where its answer goes, and its body.
fn split(cut: Cut, frames: &mut Vec<Message>) -> (Address, Vec<Message>) {
    let ours = cut.control.and_then(|at| Control::parse(&frames[at]));
    let mut rest = frames.drain(..);
    let envelope = rest.by_ref().take(cut.envelope).collect();
    let sequence = if cut.sequence { rest.next() } else { None };
    let address = Address {
        envelope,
        control: cut.control,
        sequence,
        ours,
    };
    (address, rest.collect())
}

fn copy(frames: &[Vec<u8>]) -> impl Iterator<Item = Message> + '_ {
    frames.iter().map(|frame| Message::from(&frame[..]))
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
