//! A client as the simulation sees it: what the host on the reactor does around the engine, without a reactor.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use freelance::engine::{Engine, Event};
use freelance::{Liveness, Model, ServerId};
use reactor::sim::{self, HostId, Life, LinkChange};

use crate::dice::Dice;
use crate::ledger::{Ledger, Total};
use crate::line::{Line, Port};
use crate::packet::{Body, Packet, What};
use crate::requests::Requests;
use crate::shape::{SERVERS, Shape};

/// Silence after which the transport gives a link up, in models 1 and 2.
const SILENCE: Duration = Duration::from_millis(500);

pub(crate) struct ClientNode {
    pub(super) engine: Engine<Body, Option<Body>>,
    pub(super) shape: Shape,
    pub(super) ports: BTreeMap<ServerId, Port>,
    /// The kernel's connection to each server's host.
    pub(super) connections: [Option<u64>; SERVERS],
    pub(super) jammed_until: [Option<Instant>; SERVERS],
    /// When a server that was removed is added again, or how long after it was drained.
    pub(super) added_again_at: [Option<Instant>; SERVERS],
    pub(super) added_again_after: [Duration; SERVERS],
    pub(super) requests: Requests,
    pub(super) life: u64,
    pub(super) last_link: u64,
    last_serial: u64,
    pub(super) dice: Dice,
    pub(super) ledger: Ledger,
    /// When some server was live for the first time.
    pub(super) first_live: Option<Instant>,
    /// The host was busy with other things, and carries out what there is to do then.
    drain_at: Option<Instant>,
    /// What its clock showed last: what it does takes time now and then.
    pub(super) now: Instant,
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
            first_live: None,
            drain_at: None,
            now,
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

    /// A server that is missing, or taken for something else than live.
    pub(crate) fn lost_servers(&self) -> Option<String> {
        let mut servers = self.engine.servers();
        // Chance may have hedges outrun a server that is well, some in a row; it is back after its probe.
        let hedges = self.shape.config.hedge.is_some();
        let well = |liveness| match liveness {
            Liveness::Live => true,
            liveness => hedges && liveness == Liveness::Ejected,
        };
        let lost = servers.find(|server| !well(server.liveness));
        match lost {
            Some(server) => Some(format!("{} is {:?}", server.endpoint, server.liveness)),
            None if self.ports.len() < SERVERS => Some("not all servers are known".into()),
            None => None,
        }
    }

    /// What this life adds to the sums.
    pub(crate) fn total(&self) -> Total {
        let servers = self.engine.servers();
        Total {
            ejected: servers.map(|server| server.ejected).sum(),
            ..self.requests.total(&self.engine.stats())
        }
    }

    /// A server is gone from the engine: the sockets to it must be gone too.
    pub(super) fn forget(&mut self, id: ServerId) {
        if self
            .ports
            .remove(&id)
            .is_some_and(|port| port.link().is_some())
        {
            self.ledger
                .report(format!("hung up: there is a link to {id:?}, which is gone"));
        }
    }

    pub(crate) fn handle_packet(&mut self, from: HostId, packet: Packet, now: Instant) {
        let now = self.clock(now);
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
                let Line::Dialling {
                    link,
                    over: Ok(over),
                } = port.line
                else {
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
            What::Name(name) => {
                // Now and then nothing can be found out.
                let name = self.dice.happens(80).then_some(name);
                self.engine.handle_name(id, name, now);
            }
            What::Answer(frames, refuses) => {
                if let Some(copied) = refuses {
                    self.requests.refused(id, copied);
                }
                let foreign = self.engine.stats().foreign;
                let take = |body: &[Vec<u8>]| body.last().and_then(|body| Body::decode(body));
                self.engine.handle_message(id, &frames, take, now);
                if refuses.is_some() && self.engine.stats().foreign == foreign {
                    port.trouble = Some(now);
                    port.refusing = Some(now);
                }
            }
            What::Closed => self.lose(id, now),
            What::Beat => {}
            What::Dial | What::WhoAreYou | What::Ask(..) => {
                unreachable!("servers say no such thing")
            }
        }
        self.drain_soon(now);
    }

    /// Time does not go back behind what something took.
    pub(super) fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// At once, or after a few more messages have come.
    fn drain_soon(&mut self, now: Instant) {
        if self.dice.happens(80) {
            self.drain(now);
        } else if self.drain_at.is_none() {
            self.drain_at = Some(now + self.dice.ms(0, 2));
        }
    }

    pub(crate) fn handle_link(&mut self, host: HostId, change: LinkChange, now: Instant) {
        let now = self.clock(now);
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
                    self.drain_soon(now);
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
        let now = self.clock(now);
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
        // Once in a while for nothing, as after a wake-up that had another reason.
        if due || self.dice.happens(5) {
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
        let own = lines.chain(added).chain(self.drain_at);
        own.chain(self.engine.next_deadline()).min()
    }

    /// Told to end: nothing may stay open.
    pub(crate) fn handle_stop(&mut self, now: Instant) {
        let now = self.clock(now);
        self.engine.close();
        self.requests.closing();
        self.drain(now);
        if let Some(id) = self.requests.first() {
            self.ledger
                .report(format!("ends once: {id:?} is open, and the client closed"));
        }
    }

    /// After each input, or group of inputs: does what the engine wants done, and holds it against what must be.
    pub(super) fn drain(&mut self, now: Instant) {
        self.drain_at = None;
        let mut now = self.clock(now);
        let is_slow = self.dice.happens(5);
        while let Some(action) = self.engine.poll_action(now) {
            if self.requests.acts_too_much(now) {
                self.ledger.report(format!(
                    "at rest: too much in a second, the last {action:?}"
                ));
                break;
            }
            self.carry_out(action, now);
            if is_slow {
                now += self.dice.ms(0, 3);
                self.now = now;
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.note(event, now);
        }
        self.check_rest(now);
    }

    /// What must hold when there is nothing more to do.
    fn check_rest(&mut self, now: Instant) {
        if self.engine.outstanding() != self.requests.open() {
            let (here, there) = (self.requests.open(), self.engine.outstanding());
            self.ledger.report(format!(
                "ends once: {here} are open, the engine has {there}"
            ));
        }
        if let Some(first) = self.requests.first_deadline()
            && self.engine.next_deadline().is_none_or(|at| at > first)
        {
            self.ledger
                .report("at rest: the next deadline is after that of a request".into());
        }
        if let Some((body, servers)) = self.requests.waits(&self.idle_servers(now)) {
            self.ledger.report(format!(
                "at once: {body:?} is nowhere, and {servers:?} could have it"
            ));
        }
        self.requests.check_budget(now);
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
            Event::Server { server, liveness } => {
                if liveness == Liveness::Live {
                    self.first_live.get_or_insert(now);
                }
                self.outputs
                    .push_back(sim::Output::Note(format!("{server:?} is {liveness:?}")));
            }
        }
    }

    pub(super) fn say(&mut self, to: HostId, link: u64, what: What) {
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

pub(crate) fn add_server(
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
