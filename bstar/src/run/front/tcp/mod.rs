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
mod flow;
mod pipes;
mod proxy;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use reactor::{
    BoxError, Error, Event, FdKey, Ready, Scope, Source, SourceKey, TicketClassKey, TimerKey,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, connect, getpeername, getsockname, recv, sockopt};
use slab::Slab;

use self::connection::{Connection, Side, Stage};
use self::door::{Door, Entry, meets_itself, reset_at_close, stream_socket};
use self::flow::{Means, unless_blocked};
use super::{FrontCounts, FrontError, FrontEvent, Gate, LONGEST_DRAIN, Plane, QUIET};
use crate::run::config::{TcpConfig, Vote};

/// Clients let in in one turn; then those who are in have theirs.
const ACCEPTS: usize = 64;
/// Before the door is tried again, where the system had no room for a client or somebody else listens.
const DOOR_PAUSE: Duration = Duration::from_millis(100);
/// Before the node is asked again whether it serves, while the gate is open and clients wait.
const ASK_PAUSE: Duration = Duration::from_millis(10);
/// A time-out that comes so much later than it was due came with a pause of this program, and begins anew.
const LATE: Duration = Duration::from_millis(100);
/// How long a server is listened to once more that seems to have been silent for long enough.
const LOOK: Duration = Duration::from_millis(1);

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

/// How far a switchover is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    None,
    /// The server is listened to.
    Listening {
        heard: Instant,
        until: Instant,
        /// It seems to be silent, and is listened to once more.
        looks: bool,
    },
    /// Nothing leaves any more.
    Frozen,
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

    // The door.

    fn open_door(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        match self.door.listen(scope) {
            Ok(()) => {
                self.complained = false;
                self.watch_door(scope);
            }
            Err(error) => {
                if !self.complained {
                    self.complained = true;
                    let (name, address) = (&self.config.name, self.address());
                    tracing::error!(front = %name, %address, %error, "cannot listen; tried again until it can");
                    (plane.tell)(FrontEvent::CannotListen);
                }
                self.pause_door(scope);
            }
        }
    }

    /// Lets clients in, if there is room for more.
    fn watch_door(&mut self, scope: &mut Scope<Plane>) {
        let on = self.door.is_listening()
            && self.door_timer.is_none()
            && self.connections.len() < self.config.max_connections;
        self.door.watch(scope, on);
    }

    fn pause_door(&mut self, scope: &mut Scope<Plane>) {
        let at = scope.now() + DOOR_PAUSE;
        arm(&mut self.door_timer, scope, self.owned, DOOR_TIMER, at);
        self.door.watch(scope, false);
    }

    fn accept_some(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        for _ in 0..ACCEPTS {
            if self.connections.len() >= self.config.max_connections {
                return self.watch_door(scope);
            }
            match self.door.accept(scope) {
                Entry::Client(socket) => self.admit(plane, scope, socket),
                Entry::Nobody => return,
                Entry::NoRoom(error) => {
                    tracing::warn!(front = %self.config.name, %error, "cannot let a client in; tried again");
                    return self.pause_door(scope);
                }
            }
        }
    }

    fn admit(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>, socket: OwnedFd) {
        let Some(owned) = self.owned else { return };
        let index = self.connections.vacant_key();
        let key = match scope.own_edge_fd(owned.me, tag_of(index, Side::Client), socket) {
            Ok(key) => key,
            Err(error) => {
                tracing::warn!(front = %self.config.name, %error, "cannot watch a client");
                return;
            }
        };
        self.connections.insert(Connection::new(key));
        self.counts.accepted.fetch_add(1, Relaxed);
        self.counts.open.fetch_add(1, Relaxed);
        self.be_patient(scope, index);
        self.advance(plane, scope, index);
    }

    // Connections.

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

    /// Takes the vote of a client that is held, if it has said what counts as one.
    fn vote(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if self.config.vote == Vote::Data {
            if !connection.up.is_readable() {
                return;
            }
            let mut byte = [0];
            let peek = |socket: &OwnedFd| {
                unless_blocked(|| recv(socket, &mut byte, RecvFlags::PEEK))
                    .map(|got| got.map(|got| got.1))
            };
            match scope.fd(connection.client).map_or(Ok(Some(0)), peek) {
                Ok(Some(1..)) => {}
                Ok(None) => return connection.up.was_empty(),
                // It left without a word.
                Ok(Some(0)) | Err(_) => return self.close(scope, index, Close::Quiet),
            }
        }
        connection.stage = Stage::Held { voted: true };
        if let Some(ticket) = connection.ticket.take() {
            scope.cancel_ticket(ticket);
        }
        (plane.tell)(FrontEvent::Vote);
    }

    /// When votes count anew, those who wait vote anew; one is as good as all.
    fn vote_again(&mut self, plane: &mut Plane) {
        let voted =
            |(_, connection): (_, &Connection)| connection.stage == (Stage::Held { voted: true });
        if plane.gate == Gate::Voting && self.connections.iter().any(voted) {
            (plane.tell)(FrontEvent::Vote);
        }
    }

    fn connect(&mut self, scope: &mut Scope<Plane>, index: usize) -> Result<(), Errno> {
        let Some((owned, connection)) = self.owned.zip(self.connections.get_mut(index)) else {
            return Ok(());
        };
        if self.config.proxy_protocol {
            let client = scope.fd::<OwnedFd>(connection.client).ok_or(Errno::BADF)?;
            let Ok(Some(theirs)) = getpeername(client) else {
                // It left before it was let in, which is nothing that the server did.
                self.close(scope, index, Close::Quiet);
                return Ok(());
            };
            let header = proxy::header(theirs.try_into()?, getsockname(client)?.try_into()?);
            connection.up.put_first(&header, &mut self.means);
        }
        let address = self.config.server;
        let socket = stream_socket(address)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let tag = tag_of(index, Side::Server);
        let server = scope.own_edge_fd(owned.me, tag, socket);
        let server = server.map_err(|_| Errno::NOMEM)?;
        connection.stage = Stage::Connecting { server };
        self.be_patient(scope, index);
        Ok(())
    }

    fn connected(
        &mut self,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
        index: usize,
        server: FdKey,
    ) {
        let socket = scope.fd::<OwnedFd>(server);
        if socket.is_some_and(|socket| meets_itself(socket, self.config.server)) {
            return self.fail(scope, index, Errno::CONNREFUSED);
        }
        self.warned = false;
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.stage = Stage::Forwarding { server };
        if let Some(ticket) = connection.ticket.take() {
            scope.cancel_ticket(ticket);
        }
        if let Some(idle) = self.owned.and_then(|owned| owned.idle) {
            connection.ticket = scope.issue_ticket(idle, index as u64).ok();
        }
        self.forward(plane, scope, index, server);
    }

    fn forward(
        &mut self,
        plane: &mut Plane,
        scope: &mut Scope<Plane>,
        index: usize,
        server: FdKey,
    ) {
        let may_give = self.may_give(plane);
        let Some(connection) = self.connections.get(index) else {
            return;
        };
        let takes = connection.up.is_ready() && self.drain == Drain::None;
        let may_take = takes && self.may_take(plane);
        if takes && !may_take && plane.gate == Gate::Open {
            self.ask_later(scope);
        }
        match self.pump(scope, index, server, may_take, may_give) {
            Ok(true) => self.close(scope, index, Close::Quiet),
            Ok(false) => {}
            Err(error) => {
                tracing::debug!(front = %self.config.name, %error, "a connection broke");
                self.close(scope, index, Close::Reset);
            }
        }
    }

    /// Moves what is there, in each direction that is allowed. Tells whether the connection is at its end.
    fn pump(
        &mut self,
        scope: &mut Scope<Plane>,
        index: usize,
        server: FdKey,
        take: bool,
        give: bool,
    ) -> Result<bool, Errno> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(false);
        };
        let mut bytes = 0;
        if take {
            let moved = match connection.pump_up(scope, server, &mut self.means) {
                Ok(moved) => moved,
                Err(error) => {
                    if give {
                        let bytes = connection.pump_last_words(scope, server, &mut self.means);
                        self.counts.bytes_out.fetch_add(bytes as u64, Relaxed);
                    }
                    return Err(error);
                }
            };
            self.counts.bytes_in.fetch_add(moved.bytes as u64, Relaxed);
            bytes += moved.bytes;
            if moved.unfinished {
                scope.call_again(connection.client);
            }
        }
        if give && connection.down.is_ready() {
            let moved = connection.pump_down(scope, server, &mut self.means)?;
            self.counts.bytes_out.fetch_add(moved.bytes as u64, Relaxed);
            bytes += moved.bytes;
            if moved.unfinished {
                scope.call_again(server);
            }
            if let Drain::Listening { heard, .. } = &mut self.drain
                && moved.bytes > 0
            {
                *heard = scope.now();
            }
        }
        if bytes > 0
            && let Some(ticket) = connection.ticket
        {
            scope.reset_ticket(ticket);
        }
        Ok(connection.is_done())
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

    // Draining.

    fn begin_drain(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        let now = scope.now();
        let until = now + LONGEST_DRAIN;
        self.drain = Drain::Listening {
            heard: now,
            until,
            looks: false,
        };
        let speaks = |(_, connection): (_, &Connection)| connection.server().is_some();
        if !self.connections.iter().any(speaks) {
            return self.freeze(plane);
        }
        arm(
            &mut self.drain_timer,
            scope,
            self.owned,
            DRAIN_TIMER,
            now + QUIET,
        );
    }

    fn on_drain_timer(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
        let Drain::Listening {
            heard,
            until,
            looks,
        } = &mut self.drain
        else {
            return;
        };
        let now = scope.now();
        let quiet_at = (*heard + QUIET).min(*until);
        let seems_over = now >= quiet_at;
        if seems_over && *looks {
            return self.freeze(plane);
        }
        // Timers come before what is ready: after a pause of this program it may have been spoken to, and not listened.
        *looks = seems_over;
        let at = if seems_over { now + LOOK } else { quiet_at };
        arm(&mut self.drain_timer, scope, self.owned, DRAIN_TIMER, at);
    }

    fn freeze(&mut self, plane: &mut Plane) {
        self.drain = Drain::Frozen;
        plane.tell_drained(self.setting);
    }

    fn end_drain(&mut self, scope: &mut Scope<Plane>) {
        self.drain = Drain::None;
        if let Some(timer) = self.drain_timer.take() {
            scope.cancel_timer(timer);
        }
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
