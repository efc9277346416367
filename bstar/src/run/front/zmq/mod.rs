//! A front end that forwards messages: a ROUTER for clients, and a DEALER to the server's ROUTER or REP.
//!
//! ```text
//! client  REQ, DEALER, bstar::Client        server  ROUTER, REP
//!    [envelope] [body]                         [identity] [envelope] [body]
//!         |                                          ^
//!         v                                          |
//!       ROUTER ----- gate, may_serve, waiting ----- DEALER
//! ```
//!
//! The ROUTER puts the client's identity in front of a request, and what it is told with that in front goes back
//! to the client; so nothing of a message is read here, and its frames are moved, not copied. The ROUTER stays
//! bound in every state: a REQ that is refused at the transport waits for ever, one that is told by word asks the
//! other node. The DEALER is there while the gate is not closed, and every time it is a new one: what an earlier
//! server still answers has nobody to go to.

mod gate;
mod memory;
mod renewal;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reactor::{
    BoxError, Connection, Endpoint, Event, Interest, MonitorEvent, Scope, SocketBuilder,
    SocketError, SocketKey, Source, SourceKey, TimerKey, last_endpoint,
};
use zmq::Message;

use self::memory::Memory;
use self::renewal::Renewal;
use self::waiting::{Waiting, size};
use super::{FrontCounts, Plane};
use crate::run::config::ZmqConfig;
use crate::server::refusal;

const ROUTER: usize = 0;
const DEALER: usize = 1;
const MONITOR: usize = 2;

/// Tags of timers.
const PACE: usize = 0;
const LOOK: usize = 1;

/// A client that sends a larger frame loses its connection.
const MAX_FRAME_BYTES: u64 = 256 << 20;
/// Requests that libzmq queues, of each client, and for the server: few, since what is there can be neither
/// refused nor taken back.
const REQUESTS_QUEUED: u32 = 256;
/// Replies that libzmq queues for each client: its own default. One that does not read loses further ones.
const REPLIES_QUEUED: u32 = 1000;
/// Replies leave at the end within this.
const LINGER: Duration = Duration::from_millis(500);
/// A client that connects and says nothing is let go after this.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A ZeroMQ front end, as a source of the front ends' reactor.
pub(crate) struct ZmqFront {
    name: String,
    listen: Endpoint,
    server: Endpoint,
    counts: Arc<FrontCounts>,
    context: zmq::Context,
    router: Router,
    monitor: Option<SocketKey>,
    memory: Memory,
    renewal: Renewal,
    /// Where it is bound.
    endpoint: String,
    dealer: Option<SocketKey>,
    phase: Phase,
    /// How often the gate had been set, and closed, when it followed last.
    setting: u64,
    closings: u64,
    waiting: Waiting,
    /// The oldest waits for room at the server, of which its socket tells.
    awaits_room: bool,
    /// Requests that the server was given, less the replies that it gave: exact where each has one.
    unanswered: u64,
    /// Kept from message to message, so that none allocates.
    frames: Vec<Message>,
    me: Option<SourceKey>,
    timer: Option<TimerKey>,
}

enum Router {
    Unregistered(zmq::Socket),
    Registered(SocketKey),
    Gone,
}

/// What it does with clients, and what is known while it does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Voting {
        told: Option<Instant>,
    },
    Open,
    Draining {
        since: Instant,
        /// When the server said something last.
        heard: Instant,
    },
    /// It said that it is drained: nothing leaves until the gate moves.
    Drained,
}

impl ZmqFront {
    /// Binds it. It has a context, and so an I/O thread, of its own.
    pub(crate) fn open(
        config: &ZmqConfig,
        counts: Arc<FrontCounts>,
    ) -> Result<ZmqFront, SocketError> {
        let context = zmq::Context::new();
        let router = to_clients(&config.listen)
            .bind(config.listen.as_str())
            .build(&context)?;
        Ok(ZmqFront {
            name: config.name.clone(),
            listen: config.listen.clone(),
            server: config.server.clone(),
            counts,
            context,
            endpoint: last_endpoint(&router)?,
            router: Router::Unregistered(router),
            monitor: None,
            memory: Memory::new(config.max_memory),
            renewal: Renewal::None,
            dealer: None,
            phase: Phase::Closed,
            setting: 0,
            closings: 0,
            waiting: Waiting::new(config.max_waiting),
            awaits_room: false,
            unanswered: 0,
            frames: Vec::new(),
            me: None,
            timer: None,
        })
    }

    /// Where it is bound, with the port that the system chose if it was a wildcard.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Source<Plane> for ZmqFront {
    fn start(&mut self, scope: &mut Scope<Plane>, me: SourceKey) -> Result<(), reactor::Error> {
        let Router::Unregistered(socket) = std::mem::replace(&mut self.router, Router::Gone) else {
            return Err(reactor::Error::Invalid("a front end is added once"));
        };
        let router = scope.own_socket(me, ROUTER, socket, Interest::READ)?;
        self.monitor = Some(scope.own_monitor(me, MONITOR, &self.context, router)?);
        self.router = Router::Registered(router);
        self.me = Some(me);
        self.look_at_memory(router, scope)
    }

    fn on_event(
        &mut self,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
        event: Event,
    ) -> Result<(), BoxError> {
        let Router::Registered(router) = self.router else {
            return Ok(());
        };
        // Whatever brought us here: by the old gate nothing is let through any more.
        if self.setting != plane.settings {
            self.setting = plane.settings;
            self.follow_gate(router, plane, scope)?;
        }
        match event {
            Event::Socket { tag: ROUTER, .. } => self.take_request(router, plane, scope)?,
            Event::Socket {
                tag: DEALER,
                key,
                ready,
            } if self.dealer == Some(key) => {
                if ready.readable {
                    self.hand_reply_on(router, key, scope)?;
                }
                if ready.writable {
                    self.forward(router, plane, scope)?;
                }
            }
            Event::Socket {
                tag: MONITOR, key, ..
            } if self.monitor == Some(key) => self.hear_of_clients(key, scope)?,
            Event::Notified => self.forward(router, plane, scope)?,
            Event::Timer { tag: LOOK, .. } => self.look(router, plane, scope)?,
            Event::Timer { .. } => self.pass_time(router, plane, scope)?,
            _ => {}
        }
        self.arm(scope)
    }
}

impl ZmqFront {
    /// One request of a client.
    fn take_request(
        &mut self,
        router: SocketKey,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        match self.phase {
            // It stays in the client's queue.
            Phase::Draining { .. } | Phase::Drained => return Ok(()),
            Phase::Closed | Phase::Voting { .. } | Phase::Open => {}
        }
        if !scope.recv(router, &mut self.frames)? {
            return Ok(());
        }
        match self.phase {
            Phase::Voting { .. } => {
                let frames = std::mem::take(&mut self.frames);
                let now = scope.fresh_now();
                if self.waiting.is_full() {
                    self.refuse(router, frames, scope);
                } else {
                    self.waiting.push(frames, now);
                }
                self.vote(plane, now);
            }
            Phase::Open => {
                if !self.waiting.is_empty() || !self.forward_frames(plane, scope)? {
                    let frames = std::mem::take(&mut self.frames);
                    self.waiting.push(frames, scope.fresh_now());
                    self.pause_if_full(router, scope)?;
                }
            }
            Phase::Closed | Phase::Draining { .. } | Phase::Drained => {
                let frames = std::mem::take(&mut self.frames);
                self.refuse(router, frames, scope);
            }
        }
        Ok(())
    }

    /// Hands the request in `frames` to the server, if the node may serve and there is room. If not, it stays there.
    fn forward_frames(
        &mut self,
        plane: &Plane,
        scope: &mut Scope<Plane>,
    ) -> Result<bool, BoxError> {
        let Some(dealer) = self.dealer else {
            return Ok(false);
        };
        let bytes = size(&self.frames);
        if !plane.node.may_serve() {
            return Ok(false);
        }
        match scope.send_or_keep(dealer, &mut self.frames) {
            Ok(()) => {
                self.unanswered += 1;
                add(&self.counts.accepted, 1);
                add(&self.counts.bytes_in, bytes);
                Ok(true)
            }
            Err(reactor::Error::WouldBlock) => {
                scope.set_interest(dealer, Interest::READ | Interest::WRITE)?;
                self.awaits_room = true;
                Ok(false)
            }
            Err(error) => {
                // The server left in the middle of it, and has none of it.
                tracing::debug!(%error, "a request is lost");
                add(&self.counts.failed, 1);
                Ok(true)
            }
        }
    }

    /// Hands on what waits, as far as that goes, and takes from clients again when there is room for more.
    fn forward(
        &mut self,
        router: SocketKey,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        while let Some(first) = self.waiting.first_mut() {
            std::mem::swap(first, &mut self.frames);
            let forwarded = self.forward_frames(plane, scope);
            if let Some(first) = self.waiting.first_mut() {
                std::mem::swap(first, &mut self.frames);
            }
            if !forwarded? {
                return self.pause_if_full(router, scope);
            }
            self.waiting.pop();
        }
        if self.awaits_room {
            self.only_read_replies(scope)?;
        }
        self.pause_if_full(router, scope)
    }

    fn only_read_replies(&mut self, scope: &mut Scope<Plane>) -> Result<(), BoxError> {
        self.awaits_room = false;
        match self.dealer {
            Some(dealer) => Ok(scope.set_interest(dealer, Interest::READ)?),
            None => Ok(()),
        }
    }

    /// What finds no room here stays with the clients.
    fn pause_if_full(
        &mut self,
        router: SocketKey,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        let interest = if self.waiting.is_full() {
            Interest::NONE
        } else {
            Interest::READ
        };
        Ok(scope.set_interest(router, interest)?)
    }

    /// One reply of the server, to whichever client its envelope says. One that has left is not missed.
    fn hand_reply_on(
        &mut self,
        router: SocketKey,
        dealer: SocketKey,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        if !scope.recv(dealer, &mut self.frames)? {
            return Ok(());
        }
        self.unanswered = self.unanswered.saturating_sub(1);
        if let Phase::Draining { heard, .. } = &mut self.phase {
            *heard = scope.fresh_now();
        }
        let bytes = size(&self.frames);
        match scope.send(router, self.frames.drain(..)) {
            Ok(()) => add(&self.counts.bytes_out, bytes),
            Err(error) => tracing::debug!(%error, "a reply is lost"),
        }
        Ok(())
    }

    /// Tells a client of ours that it came to the wrong server; any other finds out by itself.
    fn refuse(&mut self, router: SocketKey, mut frames: Vec<Message>, scope: &mut Scope<Plane>) {
        let counts = &self.counts;
        add(
            if self.phase == Phase::Open {
                &counts.failed
            } else {
                &counts.refused
            },
            1,
        );
        if let Some(refusal) = refusal(&mut frames, "closed", None)
            && let Err(error) = scope.send(router, refusal)
        {
            tracing::debug!(%error, "a refusal was not sent");
        }
    }

    /// Connections of clients, as far as the monitor tells, and the end of an endpoint.
    fn hear_of_clients(
        &mut self,
        monitor: SocketKey,
        scope: &mut Scope<Plane>,
    ) -> Result<(), BoxError> {
        let mut frames = Vec::new();
        if !scope.recv(monitor, &mut frames)? {
            return Ok(());
        }
        let open = &self.counts.open;
        match MonitorEvent::parse(&frames).map(|event| event.what) {
            Some(Connection::Accepted) => {
                open.fetch_add(1, Ordering::Relaxed);
            }
            Some(Connection::Disconnected) => {
                // One that was accepted before the monitor was there counts for nothing.
                let less = |open: usize| open.checked_sub(1);
                let _ = open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            }
            Some(Connection::Closed) => self.replace(scope)?,
            _ => {}
        }
        Ok(())
    }
}

/// What clients connect to, not bound yet.
fn to_clients(listen: &Endpoint) -> SocketBuilder {
    with_family(SocketBuilder::new(zmq::ROUTER), listen)
        .linger(LINGER)
        .connect_timeout(HANDSHAKE)
        .max_frame_bytes(MAX_FRAME_BYTES)
        .recv_hwm(REQUESTS_QUEUED)
        .send_hwm(REPLIES_QUEUED)
}

fn with_family(builder: SocketBuilder, endpoint: &Endpoint) -> SocketBuilder {
    if endpoint.is_ipv6() {
        builder.ipv6()
    } else {
        builder
    }
}

fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}
