//! A front end that forwards bytes.
//!
//! ```text
//!   accepted ──▶ held ──gate open──▶ connecting ──▶ forwarding ──both ends said all──▶ closed
//!                  └──────────gate closed, an error, a time-out: reset──────────────────▲
//! ```
//!
//! Descriptors are watched by their edges, so that on the ordinary way of a message no system call is made but those
//! that wait, read and write; what is ready and was left, since the gate or the other side does not take it, is known
//! to the [`flow`].

mod connection;
mod door;
mod drain;
mod entrance;
mod flow;
mod forwarding;
mod pipes;
mod proxy;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use reactor::{BoxError, Error, Event, Ready, Scope, Source, SourceKey, TicketClassKey, TimerKey};
use rustix::io::Errno;
use rustix::net::sockopt;
use slab::Slab;

use self::connection::{Connection, Side, Stage};
use self::door::{Door, reset_at_close};
use self::drain::Drain;
use self::flow::Means;
use super::{FrontCounts, FrontError, Gate, Plane};
use crate::run::config::{TcpConfig, Vote};

/// Before the node is asked again whether it serves, while the gate is open and clients wait.
const ASK_PAUSE: Duration = Duration::from_millis(10);
/// A time-out that comes so much later than it was due came with a pause of this program, and begins anew.
const LATE: Duration = Duration::from_millis(100);

const DOOR: usize = usize::MAX;
const DOOR_TIMER: usize = 0;
const ASK_TIMER: usize = 1;
const DRAIN_TIMER: usize = 2;
const PATIENCE: usize = 0;
const IDLE: usize = 1;

/// The front end.
pub(crate) struct TcpFront {
    config: TcpConfig,
    counts: Arc<FrontCounts>,
    door: Door,
    connections: Slab<Connection>,
    means: Means,
    /// What it got when it was started.
    owned: Option<Owned>,
    /// How often the gate had been set, and closed, when it followed last.
    setting: u64,
    closings: u64,
    drain: Drain,
    door_timer: Option<TimerKey>,
    ask_timer: Option<TimerKey>,
    drain_timer: Option<TimerKey>,
    /// The conductor knows that it cannot listen.
    complained: bool,
    /// The log knows that the server does not accept.
    warned: bool,
}

#[derive(Clone, Copy)]
struct Owned {
    me: SourceKey,
    /// For how long a client may say nothing before it is served, and the server may take to accept.
    patience: TicketClassKey,
    idle: Option<TicketClassKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// All was said.
    Quiet,
    /// Whoever is connected is to notice that not all was said.
    Reset,
}

impl TcpFront {
    /// Binds, and does not listen yet.
    pub(crate) fn open(
        config: &TcpConfig,
        counts: Arc<FrontCounts>,
    ) -> Result<TcpFront, FrontError> {
        Ok(TcpFront {
            config: config.clone(),
            counts,
            door: Door::open(&config.name, config.listen, config.max_connections)?,
            connections: Slab::new(),
            means: Means::new(),
            owned: None,
            setting: 0,
            closings: 0,
            drain: Drain::None,
            door_timer: None,
            ask_timer: None,
            drain_timer: None,
            complained: false,
            warned: false,
        })
    }

    /// Where it is bound.
    pub(crate) fn address(&self) -> SocketAddr {
        self.door.address()
    }

    fn on_gate(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        // It may be notified again of what it followed already, since it finds the latest each time.
        if self.setting == plane.settings {
            return;
        }
        self.setting = plane.settings;
        if self.closings != plane.closings {
            self.closings = plane.closings;
            self.reset_all(scope);
        }
        self.end_drain(scope);
        match plane.gate {
            Gate::Closed => {
                self.reset_all(scope);
                self.door.shut(scope);
            }
            Gate::Draining => {
                self.door.shut(scope);
                self.begin_drain(plane, scope);
            }
            Gate::Voting | Gate::Open => {
                self.open_door(plane, scope);
                self.vote_again(plane);
                self.advance_all(plane, scope);
            }
        }
    }

    fn on_ready(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>, tag: usize, ready: Ready) {
        let (index, side) = of_tag(tag);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.note(side, ready);
        match (connection.stage, side) {
            // It broke the connection. Whatever it said before that, nobody waits for what comes of it.
            (_, Side::Client) if ready.error => self.close(scope, index, Close::Reset),
            (Stage::Forwarding { server }, _) => self.forward(plane, scope, index, server),
            (Stage::Held { .. }, _) => self.advance(plane, scope, index),
            (Stage::Connecting { .. }, Side::Client) => {}
            (Stage::Connecting { server }, Side::Server) if ready.error => {
                let error = scope.with_fd(server, |socket| sockopt::socket_error(socket));
                let error = error.ok().and_then(Result::ok).and_then(Result::err);
                self.fail(scope, index, error.unwrap_or(Errno::CONNREFUSED));
            }
            (Stage::Connecting { server }, Side::Server) if ready.writable => {
                self.connected(plane, scope, index, server);
            }
            (Stage::Connecting { .. }, Side::Server) => {}
        }
    }

    fn advance_all(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        for index in 0..self.connections.capacity() {
            self.advance(plane, scope, index);
        }
    }

    /// Does for a connection what the gate allows.
    fn advance(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>, index: usize) {
        let Some(connection) = self.connections.get(index) else {
            return;
        };
        match (connection.stage, plane.gate) {
            (Stage::Forwarding { server }, _) => self.forward(plane, scope, index, server),
            (Stage::Held { .. }, Gate::Open) if self.may_take(plane) => {
                if let Err(error) = self.connect(scope, index) {
                    self.fail(scope, index, error);
                }
            }
            (Stage::Held { .. }, Gate::Open) => self.ask_later(scope),
            (Stage::Held { voted: false }, Gate::Voting) => self.vote(plane, scope, index),
            (Stage::Held { .. }, Gate::Voting | Gate::Draining | Gate::Closed)
            | (Stage::Connecting { .. }, _) => {}
        }
    }

    /// Whether anything of a client may be handed to the server.
    fn may_take(&self, plane: &Plane) -> bool {
        plane.gate == Gate::Open && plane.closings == self.closings && plane.node.may_serve()
    }

    /// Whether anything of the server may be handed to a client.
    fn may_give(&self, plane: &Plane) -> bool {
        plane.gate != Gate::Closed && plane.closings == self.closings && self.drain != Drain::Frozen
    }

    fn ask_later(&mut self, scope: &mut Scope<Plane>) {
        let at = scope.now() + ASK_PAUSE;
        arm(&mut self.ask_timer, scope, self.owned, ASK_TIMER, at);
    }

    /// Gives a connection the time of a connect to go on.
    fn be_patient(&mut self, scope: &mut Scope<Plane>, index: usize) {
        let Some((owned, connection)) = self.owned.zip(self.connections.get_mut(index)) else {
            return;
        };
        match connection.ticket {
            Some(ticket) => {
                scope.reset_ticket(ticket);
            }
            None => connection.ticket = scope.issue_ticket(owned.patience, index as u64).ok(),
        }
    }

    fn on_ticket(&mut self, scope: &mut Scope<Plane>, index: usize, deadline: Instant) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        // This program did not run, and cannot say what it would have heard by then.
        let late = scope.now() > deadline + LATE;
        if late
            && connection
                .ticket
                .is_some_and(|ticket| scope.reset_ticket(ticket))
        {
            return;
        }
        connection.ticket = None;
        match connection.stage {
            Stage::Held { voted: true } => {}
            // One that waits for the server to speak first is told by its connection that it is served.
            Stage::Held { voted: false } if self.config.vote == Vote::Connect => {}
            Stage::Held { voted: false } | Stage::Forwarding { .. } => {
                self.close(scope, index, Close::Reset);
            }
            Stage::Connecting { .. } => self.fail(scope, index, Errno::TIMEDOUT),
        }
    }

    /// Resets a client whose server does not accept.
    fn fail(&mut self, scope: &mut Scope<Plane>, index: usize, error: Errno) {
        self.counts.failed.fetch_add(1, Relaxed);
        let (front, server) = (&self.config.name, self.config.server);
        if self.warned {
            tracing::debug!(%front, %server, %error, "cannot connect to the server");
        } else {
            self.warned = true;
            tracing::warn!(%front, %server, %error, "cannot connect to the server; clients are reset until it accepts");
        }
        self.close(scope, index, Close::Reset);
    }

    fn reset_all(&mut self, scope: &mut Scope<Plane>) {
        for index in 0..self.connections.capacity() {
            if self.connections.contains(index) {
                self.counts.refused.fetch_add(1, Relaxed);
                self.close(scope, index, Close::Reset);
            }
        }
        // What many clients needed is given back with the last of them.
        self.connections.shrink_to_fit();
    }

    fn close(&mut self, scope: &mut Scope<Plane>, index: usize, close: Close) {
        let Some(mut connection) = self.connections.try_remove(index) else {
            return;
        };
        connection.up.abandon(&mut self.means);
        connection.down.abandon(&mut self.means);
        if let Some(ticket) = connection.ticket {
            scope.cancel_ticket(ticket);
        }
        for key in [Some(connection.client), connection.server()] {
            let Some(key) = key else { continue };
            if close == Close::Reset {
                // It is there: it was not removed before.
                let _ = scope.with_fd(key, |socket| reset_at_close(socket));
            }
            scope.remove_fd(key);
        }
        self.counts.open.fetch_sub(1, Relaxed);
        self.watch_door(scope);
    }
}

impl Source<Plane> for TcpFront {
    fn start(&mut self, scope: &mut Scope<Plane>, me: SourceKey) -> Result<(), Error> {
        let idle = self.config.idle_timeout;
        self.owned = Some(Owned {
            me,
            patience: scope.own_tickets(me, PATIENCE, self.config.connect_timeout)?,
            idle: idle
                .map(|timeout| scope.own_tickets(me, IDLE, timeout))
                .transpose()?,
        });
        self.door.register(scope, me, DOOR)
    }

    fn on_event(
        &mut self,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
        event: Event,
    ) -> Result<(), BoxError> {
        match event {
            Event::Fd { tag: DOOR, .. } => self.accept_some(plane, scope),
            Event::Fd { tag, ready, .. } => self.on_ready(plane, scope, tag, ready),
            Event::Ticket {
                about, deadline, ..
            } => {
                self.on_ticket(scope, usize::try_from(about)?, deadline);
            }
            Event::Timer { tag, .. } => match tag {
                DOOR_TIMER => {
                    self.door_timer = None;
                    if matches!(plane.gate, Gate::Voting | Gate::Open) {
                        self.open_door(plane, scope);
                    }
                }
                ASK_TIMER => {
                    self.ask_timer = None;
                    self.advance_all(plane, scope);
                }
                _ => {
                    self.drain_timer = None;
                    self.on_drain_timer(plane, scope);
                }
            },
            Event::Notified => self.on_gate(plane, scope),
            Event::Stopping => {
                self.reset_all(scope);
                self.door.shut(scope);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Sets a timer, unless it waits already.
fn arm(
    timer: &mut Option<TimerKey>,
    scope: &mut Scope<Plane>,
    owned: Option<Owned>,
    tag: usize,
    at: Instant,
) {
    if let (None, Some(owned)) = (&timer, owned) {
        *timer = scope.own_timer(owned.me, tag, at).ok();
    }
}

fn tag_of(index: usize, side: Side) -> usize {
    index << 1 | usize::from(side == Side::Server)
}

fn of_tag(tag: usize) -> (usize, Side) {
    let side = if tag & 1 == 0 {
        Side::Client
    } else {
        Side::Server
    };
    (tag >> 1, side)
}
