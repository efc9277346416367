//! A client as the simulation sees it: what the host on the reactor does around the engine, without a reactor.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use freelance::engine::{Action, Engine, Event, SendFailure};
use freelance::{Error, Idempotent, Liveness, Model, RequestId, ServerId};
use reactor::sim::{self, HostId, Life, LinkChange};

use crate::dice::Dice;
use crate::ledger::{Ledger, Total};
use crate::line::{Line, Port, REFUSAL_TAKES};
use crate::packet::{Body, Copied, Packet, What};
use crate::requests::Requests;
use crate::shape::{SERVERS, Shape};

/// Silence after which the transport gives a link up, in models 1 and 2.
const SILENCE: Duration = Duration::from_millis(500);

/// What comes to a client from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A few requests.
    Ask,
    /// As many as it may have under way, and one more.
    Rush,
    CancelOne,
    /// Remove a server, and add it again after a time.
    Remove(HostId, Duration),
    /// Drain one, and add it again a time after it was drained.
    Drain(HostId, Duration),
    Retier(HostId, u32),
    /// Nothing fits into the queue to a server, for a time.
    Jam(HostId, Duration),
}

pub(crate) struct ClientNode {
    engine: Engine<Body, Option<Body>>,
    shape: Shape,
    ports: BTreeMap<ServerId, Port>,
    /// The kernel's connection to each server's host.
    connections: [Option<u64>; SERVERS],
    jammed_until: [Option<Instant>; SERVERS],
    /// When a server that was removed is added again, or how long after it was drained.
    added_again_at: [Option<Instant>; SERVERS],
    added_again_after: [Duration; SERVERS],
    requests: Requests,
    life: u64,
    last_link: u64,
    last_serial: u64,
    dice: Dice,
    ledger: Ledger,
    outputs: VecDeque<sim::Output<Packet>>,
}

impl ClientNode {
    pub(crate) fn new(shape: &Shape, life: Life, ledger: Ledger, now: Instant) -> Self {
        let config = shape.config.clone();
        let mut engine =
            Engine::new(config, life.random, life.random, now).expect("the settings are in bounds");
        let add = |host| (add_server(&mut engine, shape, host, now), Port::new(host));
        let ports = (0..SERVERS).map(add).collect();
        let mut client = Self {
            engine,
            shape: shape.clone(),
            ports,
            connections: [None; SERVERS],
            jammed_until: [None; SERVERS],
            added_again_at: [None; SERVERS],
            added_again_after: [Duration::ZERO; SERVERS],
            requests: Requests::new(shape, life.random, now, ledger.clone()),
            life: (life.host as u64) << 16 | life.number,
            last_link: 0,
            last_serial: 0,
            dice: Dice::new(life.random),
            ledger,
            outputs: VecDeque::new(),
        };
        client.drain(now);
        client
    }

    /// A server that was to be drained, and is not gone.
    pub(crate) fn leaving(&self) -> Option<ServerId> {
        let leaving = self.ports.iter().find(|(_, port)| port.leaving);
        leaving.map(|(id, _)| *id)
    }

    /// What this life adds to the sums.
    pub(crate) fn total(&self) -> Total {
        let servers = self.engine.servers();
        Total {
            ejected: servers.map(|server| server.ejected).sum(),
            ..self.requests.total(&self.engine.stats())
        }
    }

    pub(crate) fn handle_wish(&mut self, wish: Wish, now: Instant) {
        match wish {
            Wish::Ask => {
                for _ in 0..1 + self.dice.below(self.shape.most_at_once) {
                    self.submit(now);
                }
            }
            Wish::Rush => {
                for _ in 0..=self.shape.config.max_outstanding {
                    self.submit(now);
                }
            }
            Wish::CancelOne => {
                if let Some(id) = self.requests.first() {
                    if !self.engine.cancel(id) {
                        self.ledger.report(format!(
                            "ends once: {id:?} cannot be cancelled, and is open"
                        ));
                    }
                    self.requests.cancelled(id);
                }
            }
            Wish::Remove(host, pause) => self.remove(host, pause, now),
            Wish::Drain(host, pause) => {
                if let Some(id) = self.server_at(host) {
                    self.added_again_after[host] = pause;
                    self.ports.get_mut(&id).expect("it was found").leaving = true;
                    self.engine.drain_server(id, now).expect("it is known");
                }
            }
            Wish::Retier(host, tier) => {
                if let Some(id) = self.server_at(host) {
                    self.engine.set_tier(id, tier).expect("it is known");
                }
            }
            Wish::Jam(host, lasts) => self.jammed_until[host] = Some(now + lasts),
        }
        self.drain(now);
    }

    fn submit(&mut self, now: Instant) {
        let idempotent = self.dice.happens(self.shape.idempotent_percent);
        let (shortest, longest) = self.shape.timeout_ms;
        let deadline = now + self.dice.ms(shortest, longest);
        let body = self.requests.next_body(idempotent);
        let kind = if idempotent {
            Idempotent::Yes
        } else {
            Idempotent::No
        };
        let room = self.requests.open() < self.shape.config.max_outstanding;
        match self.engine.submit(body, kind, deadline, now) {
            Ok(id) if room => self.requests.submitted(id, body, deadline, now),
            Err(Error::TooManyOutstanding { .. }) if !room => {}
            other => self.ledger.report(format!(
                "bounded: {} are open, and one more is {other:?}",
                self.requests.open()
            )),
        }
        // Now and then several are taken on before the engine is drained, and now and then not.
        if self.dice.happens(50) {
            self.drain(now);
        }
    }

    fn server_at(&self, host: HostId) -> Option<ServerId> {
        let found = self
            .ports
            .iter()
            .find(|(_, port)| port.host == host && !port.leaving);
        found.map(|(id, _)| *id)
    }

    fn remove(&mut self, host: HostId, pause: Duration, now: Instant) {
        let of_host = self.ports.iter().find(|(_, port)| port.host == host);
        let Some(id) = of_host.map(|(id, _)| *id) else {
            return;
        };
        self.engine.remove_server(id, now).expect("it is known");
        self.requests.lost(id);
        if pause.is_zero() {
            // At once, before anything of the old one was hung up.
            let new = add_server(&mut self.engine, &self.shape, host, now);
            self.ports.insert(new, Port::new(host));
        } else {
            self.added_again_at[host] = Some(now + pause);
        }
        self.drain(now);
        self.forget(id);
    }

    /// A server is gone from the engine: the sockets to it must be gone too.
    fn forget(&mut self, id: ServerId) {
        if self.ports.remove(&id).is_some_and(|port| port.link().is_some()) {
            self.ledger
                .report(format!("hung up: there is a link to {id:?}, which is gone"));
        }
    }

    pub(crate) fn handle_packet(&mut self, from: HostId, packet: Packet, now: Instant) {
        let current = |(_, port): &(&ServerId, &mut Port)| {
            port.host == from && port.link() == Some(packet.link)
        };
        let Some((id, port)) = self.ports.iter_mut().find(current) else {
            return;
        };
        let id = *id;
        if let Line::Up { heard, .. } = &mut port.line {
            *heard = now;
        }
        match packet.what {
            What::Accepted { misnamed } => {
                let Line::Dialling { link, over: Ok(over) } = port.line else {
                    return;
                };
                let first = [Duration::ZERO, self.dice.ms(0, 20)];
                let routable_at = (!misnamed).then(|| now + self.dice.one_of(first));
                port.line = Line::Up {
                    link,
                    over,
                    routable_at,
                    heard: now,
                    beat_at: now + self.shape.config.ping_interval,
                };
                self.engine.handle_connected(id, now);
            }
            What::Name(name) => self.engine.handle_name(id, Some(name), now),
            What::Answer(frames, refuses) => {
                if let Some(copied) = refuses {
                    self.requests.refused(id, copied);
                }
                let take = |body: &[Vec<u8>]| body.last().and_then(|body| Body::decode(body));
                self.engine.handle_message(id, &frames, take, now);
            }
            What::Closed => self.lose(id, now),
            What::Beat => {}
            What::Dial | What::WhoAreYou | What::Ask(..) => {
                unreachable!("servers say no such thing")
            }
        }
        self.drain(now);
    }

    pub(crate) fn handle_link(&mut self, host: HostId, change: LinkChange, now: Instant) {
        match change {
            LinkChange::Up { connection } => self.connections[host] = Some(connection),
            LinkChange::Down { connection } => {
                if self.connections[host] == Some(connection) {
                    self.connections[host] = None;
                }
                let over = |(_, port): &(&ServerId, &Port)| port.is_over(connection);
                let lost = self.ports.iter().find(over).map(|(id, _)| *id);
                if let Some(id) = lost {
                    self.lose(id, now);
                    self.drain(now);
                }
            }
        }
    }

    /// A link, or an attempt at one, has ended by itself.
    fn lose(&mut self, id: ServerId, now: Instant) {
        if let Some(port) = self.ports.get_mut(&id) {
            port.line = Line::Down;
        }
        self.requests.lost(id);
        self.engine.handle_disconnected(id, now);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        for host in 0..SERVERS {
            if self.added_again_at[host].is_some_and(|at| at <= now) {
                self.added_again_at[host] = None;
                let id = add_server(&mut self.engine, &self.shape, host, now);
                self.ports.insert(id, Port::new(host));
            }
        }
        let ids: Vec<_> = self.ports.keys().copied().collect();
        for id in ids {
            self.keep_line(id, now);
        }
        let due = self.engine.next_deadline().is_some_and(|at| at <= now);
        if due {
            self.engine.handle_timeout(now);
        }
        self.drain(now);
        if due && self.engine.next_deadline().is_some_and(|at| at <= now) {
            self.ledger
                .report("at rest: the next deadline has passed already".into());
        }
        if due && let Some(late) = self.requests.overdue(now) {
            self.ledger.report(format!("in time: {late}"));
        }
    }

    /// What the transport does by itself: it refuses, and its heartbeats find dead links.
    fn keep_line(&mut self, id: ServerId, now: Instant) {
        let beats = self.shape.config.model != Model::Three;
        let Some(port) = self.ports.get_mut(&id) else {
            return;
        };
        let host = port.host;
        match &mut port.line {
            Line::Dialling { over: Err(at), .. } if *at <= now => self.lose(id, now),
            Line::Up { heard, .. } if beats && *heard + SILENCE <= now => self.lose(id, now),
            Line::Up { link, beat_at, .. } if beats && *beat_at <= now => {
                *beat_at = now + self.shape.config.ping_interval;
                let link = *link;
                self.say(host, link, What::Beat);
            }
            Line::Down | Line::Dialling { .. } | Line::Up { .. } => {}
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let beats = self.shape.config.model != Model::Three;
        let of_line = |port: &Port| match port.line {
            Line::Dialling { over: Err(at), .. } => Some(at),
            Line::Up { heard, beat_at, .. } if beats => Some(beat_at.min(heard + SILENCE)),
            Line::Down | Line::Dialling { .. } | Line::Up { .. } => None,
        };
        let lines = self.ports.values().filter_map(of_line);
        let added = self.added_again_at.iter().flatten().copied();
        lines.chain(added).chain(self.engine.next_deadline()).min()
    }

    /// Told to end: nothing may stay open.
    pub(crate) fn handle_stop(&mut self, now: Instant) {
        self.engine.close();
        self.requests.closing();
        self.drain(now);
        if let Some(id) = self.requests.first() {
            self.ledger
                .report(format!("ends once: {id:?} is open, and the client closed"));
        }
    }

    /// After each input, or group of inputs: does what the engine wants done, and holds it against what must be.
    fn drain(&mut self, now: Instant) {
        while let Some(action) = self.engine.poll_action(now) {
            if self.requests.acts_too_much(now) {
                self.ledger
                    .report(format!("at rest: too much in a second, the last {action:?}"));
                break;
            }
            self.carry_out(action, now);
        }
        while let Some(event) = self.engine.poll_event() {
            self.note(event, now);
        }
        if self.engine.outstanding() != self.requests.open() {
            let (here, there) = (self.requests.open(), self.engine.outstanding());
            self.ledger
                .report(format!("ends once: {here} are open, the engine has {there}"));
        }
        if let Some(first) = self.requests.first_deadline()
            && self.engine.next_deadline().is_none_or(|at| at > first)
        {
            self.ledger
                .report("at rest: the next deadline is after that of a request".into());
        }
        self.requests.check_budget(now);
    }

    fn carry_out(&mut self, action: Action, now: Instant) {
        match action {
            Action::Dial { server } => self.dial(server, now),
            Action::HangUp { server } => {
                if let Some(port) = self.ports.get_mut(&server) {
                    port.line = Line::Down;
                }
                self.requests.lost(server);
            }
            Action::Ping { server } => match self.way(server, now) {
                Ok((host, link)) => {
                    let ping = vec![b"PING".to_vec()];
                    self.say(host, link, What::Ask(ping, None));
                }
                Err(failure) => self.engine.handle_ping_failed(server, failure, now),
            },
            Action::AskName { server } => {
                let Some(port) = self.ports.get_mut(&server) else {
                    return;
                };
                let (host, link) = (port.host, port.link());
                if link.is_none() || std::mem::replace(&mut port.asked, link) == link {
                    self.ledger
                        .report(format!("linked: {server:?} is asked for its name again"));
                }
                self.say(host, link.unwrap_or_default(), What::WhoAreYou);
            }
            Action::Send {
                server,
                id,
                attempt,
            } => self.send(server, id, attempt, now),
        }
    }

    fn dial(&mut self, server: ServerId, now: Instant) {
        self.requests.lost(server);
        self.last_link += 1;
        let link = self.life << 32 | self.last_link;
        let Some(port) = self.ports.get_mut(&server) else {
            self.ledger
                .report(format!("hung up: {server:?} is dialled, and gone"));
            return;
        };
        let host = port.host;
        let over = self.connections[host].ok_or(now + REFUSAL_TAKES);
        port.line = Line::Dialling { link, over };
        if over.is_ok() {
            self.say(host, link, What::Dial);
        }
    }

    /// Where a message to a server would go, and over which link, or why it cannot leave.
    fn way(&mut self, server: ServerId, now: Instant) -> Result<(HostId, u64), SendFailure> {
        let port = self.ports.get(&server);
        let Some((host, Line::Up { link, routable_at, .. })) = port.map(|p| (p.host, &p.line))
        else {
            self.ledger
                .report(format!("linked: something goes to {server:?} without a link"));
            return Err(SendFailure::Unreachable);
        };
        if self.jammed_until[host].is_some_and(|until| now < until) {
            return Err(SendFailure::Full);
        }
        let by_name = self.shape.config.model == Model::Three;
        if by_name && routable_at.is_none_or(|at| now < at) {
            return Err(SendFailure::Unreachable);
        }
        Ok((host, *link))
    }

    fn send(&mut self, server: ServerId, id: RequestId, attempt: u32, now: Instant) {
        let way = self.way(server, now);
        if let Err(broken) = self.requests.may_send(server, id, now) {
            self.ledger.report(broken);
        }
        let (host, link) = match way {
            Ok(way) => way,
            Err(failure) => {
                self.engine.handle_send_failed(server, id, failure, now);
                return;
            }
        };
        if self.ports.get(&server).is_some_and(|port| port.leaving) {
            self.ledger
                .report(format!("linked: {id:?} goes to {server:?}, which is drained"));
        }
        self.check_doubling(server, id);
        let (Some(head), Some(body)) = (self.engine.head(id, attempt), self.engine.body(id)) else {
            self.ledger
                .report(format!("ends once: {id:?} is sent, and has no body"));
            return;
        };
        let mut frames: Vec<_> = head.frames().map(<[u8]>::to_vec).collect();
        frames.push(body.encode());
        let copied = Copied {
            body: *body,
            attempt,
        };
        self.requests.sent(server, id, attempt);
        self.say(host, link, What::Ask(frames, Some(copied)));
    }

    /// A server that has not answered gets no second copy while there is another one that has none.
    fn check_doubling(&self, server: ServerId, id: RequestId) {
        if self.shape.config.model == Model::Two || !self.requests.is_out_at(server, id) {
            return;
        }
        let other = |(other, port): (&ServerId, &Port)| {
            let liveness = self.engine.server(*other).map(|stats| stats.liveness);
            liveness == Some(Liveness::Live) && port.is_up() && !self.requests.is_out_at(*other, id)
        };
        if self.ports.iter().any(other) {
            self.ledger.report(format!(
                "no doubling: {id:?} goes to {server:?} again, and another server is live"
            ));
        }
    }

    fn note(&mut self, event: Event<Option<Body>>, now: Instant) {
        match event {
            Event::Done { id, result } => {
                let attempts = result.as_ref().map_or(0, |reply| reply.attempts);
                let reply = result.map(|reply| reply.frames);
                self.requests.ended(id, reply, attempts, now);
            }
            Event::Drained { server } => {
                if let Some(host) = self.ports.get(&server).map(|port| port.host) {
                    self.added_again_at[host] = Some(now + self.added_again_after[host]);
                }
                self.forget(server);
                self.requests.drained += 1;
            }
            Event::Misnamed { server, identity } => {
                self.requests.misnamed += 1;
                self.outputs
                    .push_back(sim::Output::Note(format!("{server:?} is {identity}")));
            }
            Event::Server { server, liveness } => self
                .outputs
                .push_back(sim::Output::Note(format!("{server:?} is {liveness:?}"))),
        }
    }

    fn say(&mut self, to: HostId, link: u64, what: What) {
        self.last_serial += 1;
        let message = Packet {
            link,
            serial: self.life << 32 | self.last_serial,
            what,
        };
        self.outputs.push_back(sim::Output::Send { to, message });
    }

    pub(crate) fn poll_output(&mut self) -> Option<sim::Output<Packet>> {
        self.outputs.pop_front()
    }
}

fn add_server(
    engine: &mut Engine<Body, Option<Body>>,
    shape: &Shape,
    host: HostId,
    now: Instant,
) -> ServerId {
    engine
        .add_server(format!("tcp://server{host}:5555"), shape.tier(host), now)
        .expect("no such server is known")
}

impl Drop for ClientNode {
    /// A crash ends a life in the middle; what it did still counts.
    fn drop(&mut self) {
        self.ledger.add(&self.total());
    }
}
