//! What the source, its handles and the repliers share.

use std::time::{Duration, Instant};

use reactor::{Scope, SocketKey, SourceKey, Waker};
use tracing::debug;

use super::desk::{Address, Desk, Ending, Phase, Ticket};

/// The desk, and the way to its socket. It is borrowed only where no foreign code runs.
pub(super) struct Shared {
    pub(super) desk: Desk,
    /// The ROUTER, while it is registered.
    pub(super) socket: Option<SocketKey>,
    pub(super) endpoint: String,
    pub(super) identity: Option<String>,
    /// How long a drain may take, and until when the one that is under way does.
    pub(super) drain: Duration,
    pub(super) drain_until: Option<Instant>,
    /// The server as a source, from its start on, and those that wait for its end.
    pub(super) me: Option<SourceKey>,
    pub(super) watchers: Vec<SourceKey>,
    pub(super) waker: Waker,
    /// It has closed, and told so.
    pub(super) ended: bool,
    /// The latest time that anybody stated.
    latest: Instant,
}

impl Shared {
    pub(super) fn new(
        desk: Desk,
        endpoint: String,
        identity: Option<String>,
        drain: Duration,
        waker: Waker,
        now: Instant,
    ) -> Self {
        Self {
            desk,
            socket: None,
            endpoint,
            identity,
            drain,
            drain_until: None,
            me: None,
            watchers: Vec::new(),
            waker,
            ended: false,
            latest: now,
        }
    }

    /// Ends the execution of a request; what is to be said of it still has to be sent.
    pub(super) fn end(&mut self, ticket: Ticket, address: Address, ending: Ending, now: Instant) {
        self.latest = self.latest.max(now);
        if !self.desk.handle_ending(ticket, address, ending, now) {
            debug!("an answer to a request that was abandoned");
        }
        if self.desk.phase() == Phase::Draining && self.desk.under_way() == 0 {
            self.notify();
        }
    }

    /// Sends what there is to say. Who cannot take it loses it, and nobody waits.
    pub(super) fn flush<S: 'static>(&mut self, scope: &mut Scope<S>) {
        while let Some(message) = self.desk.poll_send() {
            let sent = match self.socket {
                Some(socket) => scope.send(socket, message),
                None => Err(reactor::Error::Stale),
            };
            if let Err(error) = sent {
                debug!(%error, "an answer cannot leave");
                self.desk.handle_lost();
            }
        }
    }

    /// Begins to drain; once more changes nothing.
    pub(super) fn drain(&mut self, now: Instant) {
        if self.desk.phase() == Phase::Serving {
            self.desk.drain();
            self.drain_until = Some(now + self.drain);
            self.notify();
        }
    }

    pub(super) fn close(&mut self) {
        self.desk.close();
        self.notify();
    }

    /// The time, about, for who has no clock.
    pub(super) fn latest(&self) -> Instant {
        self.latest
    }

    pub(super) fn see(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
    }

    fn notify(&self) {
        if let Some(me) = self.me {
            self.waker.notify(me);
        }
    }
}
