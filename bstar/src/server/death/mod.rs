//! Proof that the peer's process is gone, on a host that lives: an option, see [`ProofOfDeath`].
//!
//! [`Evidence`] decides, [`Prober`] asks the peer's ports, and [`Watch`] brings both what happens:
//! what libzmq's monitors say of the links, and what the machine has heard.

mod evidence;
mod probe;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reactor::{BoxError, Connection, Event, MonitorEvent, Scope, SocketKey, SourceKey, TimerKey};
use zmq::Message;

use self::evidence::{Change, Evidence, Order};
use self::probe::{Prober, Round};
use super::error::Error;
use super::host::Host;
use super::link::Link;
use crate::core::Machine;
use reactor::Endpoint;

/// Front ends of a peer that are asked.
pub(crate) const MAX_PEER_FRONTENDS: usize = 16;
const LONGEST_GRACE: Duration = Duration::from_secs(24 * 3600);

/// What it takes to prove that the peer's process is gone: see [`Server::proof_of_death`].
///
/// A pair takes a peer for dead when it has been silent for a peer timeout, since silence is all
/// that a network tells for sure. When only the *process* ends, its host tells more, and at once:
///
/// 1. on every state link our connection to the peer **was lost**, and the peer's own **to us ended**:
///    nobody listens to our state any more;
/// 2. then a connection of ours to the peer's state endpoints and to **each** of its front ends is
///    **refused** (`ECONNREFUSED`), twice, a few milliseconds apart;
/// 3. with a [grace](ProofOfDeath::restart_grace), so long is waited, and all is refused twice more.
///
/// Then the next client request makes a passive node active, as it does after a peer timeout.
/// Nothing else counts: no silence, no connect that is not answered within 250 ms, no host or network
/// that is unreachable. A word of the peer, a new subscription, a connection that is accepted, and a
/// pause of our own take the proof away. It is attempted 32 times at most, at longer and longer
/// intervals.
///
/// # What the operator asserts
///
/// **That nothing between the two answers in the peer's stead.** A firewall that rejects (by a reset, or
/// by the "port unreachable" that many send unless told otherwise) on all these ports in both
/// directions says just what a host says whose process is gone: while it does so, each node believes
/// the other dead, and **both serve**. One that drops is safe. The same goes for an address that leads
/// to another machine, such as that of a load balancer; hence addresses are given as numbers, and
/// names are refused.
///
/// Anyone else who listens to our state endpoint, such as a monitor, keeps the proof from being
/// complete, since it cannot be told who has left. Then the peer's silence decides, as without the
/// option.
///
/// [`Server::proof_of_death`]: super::Server::proof_of_death
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProofOfDeath {
    /// Where the peer's clients connect: all of its front ends, 1 to 16, each as
    /// `tcp://ADDRESS:PORT` with a numeric address.
    pub peer_frontends: Vec<String>,
    /// So long a peer whose process is gone has to be restarted, before that counts. None by default,
    /// 24 hours at most.
    pub restart_grace: Duration,
}

impl ProofOfDeath {
    /// The addresses of all ports of the peer.
    fn targets(&self, links: &[Link]) -> Result<Vec<SocketAddr>, Error> {
        if !(1..=MAX_PEER_FRONTENDS).contains(&self.peer_frontends.len()) {
            return Err(Error::PeerFrontends(MAX_PEER_FRONTENDS));
        }
        let links = links.iter().map(|link| Ok(link.remote().clone()));
        let frontends = self
            .peer_frontends
            .iter()
            .map(|text| Endpoint::to_connect(text));
        links
            .chain(frontends)
            .map(|e| numeric_address(&e?))
            .collect()
    }
}

/// The address of an endpoint that has a number for it.
pub(crate) fn numeric_address(endpoint: &Endpoint) -> Result<SocketAddr, Error> {
    let address = endpoint.as_str().strip_prefix("tcp://");
    address
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| Error::NotNumeric(endpoint.to_string()))
}

/// Watches the peer's process.
pub(super) struct Watch {
    evidence: Evidence,
    prober: Prober,
    /// Of the links' subscribers.
    monitors: Vec<SocketKey>,
    timer: Option<TimerKey>,
    owner: Option<SourceKey>,
    /// What the machine said when it was last looked at.
    words: Vec<u64>,
    woke: Option<Instant>,
    frames: Vec<Message>,
}

impl Watch {
    pub(super) fn new(wanted: &ProofOfDeath, links: &[Link]) -> Result<Watch, Error> {
        if wanted.restart_grace > LONGEST_GRACE {
            return Err(Error::RestartGrace(wanted.restart_grace));
        }
        Ok(Watch {
            evidence: Evidence::new(links.len(), wanted.restart_grace),
            prober: Prober::new(wanted.targets(links)?),
            monitors: Vec::new(),
            timer: None,
            owner: None,
            words: vec![0; links.len()],
            woke: None,
            frames: Vec::new(),
        })
    }

    /// Listens to what happens to the connection of the next link, by its subscriber, which was made
    /// in this context.
    pub(super) fn monitor<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        owner: SourceKey,
        tag: usize,
        context: &zmq::Context,
        subscriber: SocketKey,
    ) -> Result<(), reactor::Error> {
        self.owner = Some(owner);
        let monitor = scope.own_monitor(owner, tag, context, subscriber)?;
        self.monitors.push(monitor);
        Ok(())
    }

    /// Our connection was ended by ourselves.
    pub(super) fn handle_redial(&mut self, link: usize, now: Instant) {
        self.evidence.handle_link(link, Change::Unclear, now);
    }

    /// Takes in what happened since the last time, and does what follows: `event`, or all that may
    /// wait to be read. Tells whether the machine was told something.
    fn proceed<S: 'static>(
        &mut self,
        machine: &mut Machine,
        scope: &mut Scope<S>,
        event: Option<Event>,
    ) -> Result<bool, BoxError> {
        self.hear_machine(machine, scope.fresh_now());
        match event {
            None => {
                for link in 0..self.monitors.len() {
                    self.read_monitor(link, scope)?;
                }
            }
            Some(Event::Socket { key, .. }) => {
                if let Some(link) = self.monitors.iter().position(|other| *other == key) {
                    self.read_monitor(link, scope)?;
                }
            }
            Some(Event::Fd { key, .. }) => {
                let round = self.prober.handle_fd(scope, key);
                self.conclude(round, scope.fresh_now());
            }
            Some(Event::Timer { key, .. }) if self.timer == Some(key) => {
                self.timer = None;
                let round = self.prober.handle_timeout(scope);
                self.conclude(round, scope.fresh_now());
            }
            Some(_) => {}
        }
        self.evidence.handle_timeout(scope.fresh_now());
        let mut told = false;
        while let Some(order) = self.evidence.poll() {
            told |= order != Order::Ask;
            self.carry_out(order, machine, scope);
        }
        self.set_timer(scope)?;
        Ok(told)
    }

    /// What the state channel and the clock say against a proof.
    fn hear_machine(&mut self, machine: &Machine, now: Instant) {
        if self.woke != machine.woke() {
            self.woke = machine.woke();
            self.evidence.handle_pause(now);
        }
        for (link, known) in self.words.iter_mut().enumerate() {
            let words = machine.words_heard(link);
            if words != *known {
                *known = words;
                self.evidence.handle_word(link, now);
            }
            self.evidence
                .handle_listeners(link, machine.has_listeners(link), now);
        }
    }

    fn read_monitor<S: 'static>(
        &mut self,
        link: usize,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        while scope.recv(self.monitors[link], &mut self.frames)? {
            let Some(event) = MonitorEvent::parse(&self.frames) else {
                continue;
            };
            let change = match event.what {
                Connection::HandshakeSucceeded => Change::Up,
                Connection::Disconnected => Change::Lost,
                // Somebody listens.
                Connection::Connected
                | Connection::HandshakeFailed(_)
                | Connection::HandshakeFailedProtocol(_)
                | Connection::HandshakeFailedAuth(_) => Change::Unclear,
                _ => continue,
            };
            tracing::trace!(link, ?change, "the state link");
            self.evidence.handle_link(link, change, scope.fresh_now());
        }
        Ok(())
    }

    fn conclude(&mut self, round: Round, now: Instant) {
        match round {
            Round::Pending => {}
            Round::AllRefused => self.evidence.handle_round(true, now),
            Round::Other => self.evidence.handle_round(false, now),
        }
    }

    fn carry_out<S: 'static>(&mut self, order: Order, machine: &mut Machine, scope: &mut Scope<S>) {
        match order {
            Order::Ask => {
                if let Some(owner) = self.owner {
                    let round = self.prober.begin(scope, owner);
                    self.conclude(round, scope.fresh_now());
                }
            }
            Order::Proved => {
                tracing::warn!("the peer's process is gone, as its host says");
                machine.handle_peer_dead(scope.fresh_now());
            }
            Order::Withdrawn => {
                tracing::info!("the peer's process is not proved to be gone any more");
                machine.withdraw_peer_dead();
            }
        }
    }

    fn set_timer<S: 'static>(&mut self, scope: &mut Scope<S>) -> Result<(), BoxError> {
        let deadlines = [self.evidence.next_deadline(), self.prober.next_deadline()];
        match (deadlines.into_iter().flatten().min(), self.timer) {
            (Some(at), Some(timer)) if scope.set_timer(timer, at) => {}
            (Some(at), _) => {
                let owner = self.owner.ok_or(reactor::Error::Stale)?;
                self.timer = Some(scope.own_timer(owner, 0, at)?);
            }
            (None, Some(timer)) => {
                scope.cancel_timer(timer);
                self.timer = None;
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Nothing is watched any more.
    fn end<S: 'static>(&mut self, scope: &mut Scope<S>) {
        self.prober.end(scope);
        for monitor in self.monitors.drain(..) {
            drop(scope.remove_socket(monitor));
        }
        if let Some(timer) = self.timer.take() {
            scope.cancel_timer(timer);
        }
    }
}

impl<S: 'static> Host<S> {
    /// Weighs what happened, if this node watches its peer's process.
    pub(super) fn watch_peer(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Option<Event>,
    ) -> Result<(), BoxError> {
        let Some(watch) = &mut self.watch else {
            return Ok(());
        };
        if watch.proceed(&mut self.machine, scope, event)? {
            self.flush(state, scope)?;
        }
        Ok(())
    }

    /// A proof may be older than what waits to be read, and be about to decide.
    pub(super) fn prove_again(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
    ) -> Result<(), BoxError> {
        if !self.watch.as_ref().is_some_and(|w| w.evidence.is_proved()) {
            return Ok(());
        }
        for link in 0..self.links.len() {
            self.read_subscriptions(link, scope)?;
        }
        self.watch_peer(state, scope, None)
    }

    pub(super) fn end_watch(&mut self, scope: &mut Scope<S>) {
        if let Some(mut watch) = self.watch.take() {
            watch.end(scope);
        }
    }
}
