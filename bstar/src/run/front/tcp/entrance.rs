//! Who comes in, and whose coming is a vote.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use reactor::Scope;
use rustix::net::{RecvFlags, recv};

use super::connection::{Connection, Side, Stage};
use super::door::Entry;
use super::flow::unless_blocked;
use super::{Close, DOOR_TIMER, TcpFront, arm, tag_of};
use crate::run::config::Vote;
use crate::run::front::{FrontEvent, Gate, Plane};

/// Clients let in in one turn; then those who are in have theirs.
const ACCEPTS: usize = 64;
/// Before the door is tried again, where the system had no room for a client or somebody else listens.
const DOOR_PAUSE: Duration = Duration::from_millis(100);

impl TcpFront {
    pub(super) fn open_door(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
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
    pub(super) fn watch_door(&mut self, scope: &mut Scope<Plane>) {
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

    pub(super) fn accept_some(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>) {
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

    /// Takes the vote of a client that is held, if it has said what counts as one.
    pub(super) fn vote(&mut self, plane: &mut Plane, scope: &mut Scope<Plane>, index: usize) {
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
    pub(super) fn vote_again(&mut self, plane: &mut Plane) {
        let voted =
            |(_, connection): (_, &Connection)| connection.stage == (Stage::Held { voted: true });
        if plane.gate == Gate::Voting && self.connections.iter().any(voted) {
            (plane.tell)(FrontEvent::Vote);
        }
    }
}
