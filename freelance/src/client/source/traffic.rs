//! What goes through the client's sockets.

use reactor::{Link, MonitorEvent, Scope, zmq};
use tracing::debug;

use super::Shared;
use crate::client::port;
use crate::engine::{RequestId, SendFailure, ServerId};
use crate::{Error, Model};

/// Messages that are read for one event at most: what follows is done once for all of them.
const BATCH: usize = 32;
/// Messages that one server's socket gives up before a time-out is handled, at most, so that a server that floods
/// cannot stop time.
const READ_AHEAD: usize = 1024;

impl<S: 'static> Shared<S> {
    /// What the network has delivered counts before the clock does: a host that was paused must not blame the servers.
    pub(super) fn handle_timeout(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        self.read_monitors(scope)?;
        for server in self.ports.servers() {
            self.receive(scope, server, READ_AHEAD)?;
        }
        self.engine.handle_timeout(scope.fresh_now());
        Ok(())
    }

    pub(super) fn read(&mut self, scope: &mut Scope<S>, tag: usize) -> Result<(), reactor::Error> {
        let (server, kind) = port::untag(tag);
        match kind {
            port::LINE => {
                // To find out that there is no more costs as much as a message, so none is looked for in vain.
                let awaited = self.engine.outstanding().clamp(1, BATCH);
                self.receive(scope, server, awaited).map(drop)
            }
            port::MONITOR => self.read_monitors(scope),
            _ => self.read_name(scope, server),
        }
    }

    /// Reads at most `limit` messages of a server. Tells how many there were.
    fn receive(
        &mut self,
        scope: &mut Scope<S>,
        server: ServerId,
        limit: usize,
    ) -> Result<usize, reactor::Error> {
        let Some(line) = self.ports.line(server) else {
            return Ok(0);
        };
        // A ROUTER puts the peer's identity in front: there is but one peer.
        let skip = usize::from(self.engine.config().model == Model::Three);
        let now = scope.fresh_now();
        for count in 0..limit {
            if !scope.recv(line, &mut self.frames)? {
                return Ok(count);
            }
            let frames = self.frames.get(skip..).unwrap_or_default();
            let take = |body: &[zmq::Message]| body.iter().map(|frame| frame.to_vec()).collect();
            self.engine.handle_message(server, frames, take, now);
        }
        Ok(limit)
    }

    /// All monitors, since the links come up in an order of their own.
    fn read_monitors(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        for server in self.ports.servers() {
            while let Some(monitor) = self.ports.monitor(server) {
                if !scope.recv(monitor, &mut self.frames)? {
                    break;
                }
                let event = MonitorEvent::parse(&self.frames);
                match event.and_then(|event| event.what.link()) {
                    None => {}
                    Some(Link::Up) => {
                        debug!(?server, "link is up");
                        self.engine.handle_connected(server, scope.fresh_now());
                    }
                    Some(Link::Down) => self.link_down(scope, server)?,
                }
            }
        }
        Ok(())
    }

    /// Answers that came before the end are in the socket still; then it is closed.
    fn link_down(&mut self, scope: &mut Scope<S>, server: ServerId) -> Result<(), reactor::Error> {
        debug!(?server, "link is down");
        while self.receive(scope, server, READ_AHEAD)? == READ_AHEAD {}
        self.engine.handle_disconnected(server, scope.fresh_now());
        self.ports.hang_up(scope, server);
        Ok(())
    }

    /// The peer's identity stands in what libzmq knows of the connection by which the message came.
    fn read_name(&mut self, scope: &mut Scope<S>, server: ServerId) -> Result<(), reactor::Error> {
        let Some(asker) = self.ports.asker(server) else {
            return Ok(());
        };
        if !scope.recv(asker, &mut self.frames)? {
            return Ok(());
        }
        let dialled = self.ports.endpoint(server).unwrap_or_default();
        let identity = self.frames.first_mut().map(|pong| pong.gets("Identity"));
        let identity = match identity.flatten() {
            None => Some("(what is no text)".to_owned()),
            Some("") => Some("(nothing: it has no identity)".to_owned()),
            Some(identity) => (identity != dialled).then(|| identity.to_owned()),
        };
        self.ports.end_asking(scope, server);
        self.engine.handle_name(server, identity, scope.fresh_now());
        Ok(())
    }

    pub(super) fn dial(&mut self, scope: &mut Scope<S>, server: ServerId) {
        let dialled = match self.me {
            Some(me) => self.ports.dial(scope, me, server, self.engine.config()),
            None => Err(Error::Closed),
        };
        if let Err(error) = dialled {
            debug!(?server, %error, "no attempt at a link");
            self.dial_error.get_or_insert(error);
            self.engine.handle_disconnected(server, scope.fresh_now());
        }
    }

    pub(super) fn ask_name(&mut self, scope: &mut Scope<S>, server: ServerId) {
        let asked = match self.me {
            Some(me) => self.ports.ask_name(scope, me, server, self.engine.config()),
            None => Err(Error::Closed),
        };
        if let Err(error) = asked {
            debug!(?server, %error, "the server's name cannot be asked for");
            self.engine.handle_name(server, None, scope.fresh_now());
        }
    }

    pub(super) fn send(
        &mut self,
        scope: &mut Scope<S>,
        server: ServerId,
        id: RequestId,
        attempt: u32,
    ) -> Result<(), SendFailure> {
        let Some(head) = self.engine.head(id, attempt) else {
            return Err(SendFailure::Unreachable);
        };
        let body = self.engine.body(id).map_or(&[][..], Vec::as_slice);
        let frames = head.frames().chain(body.iter().map(Vec::as_slice));
        self.ports.send(scope, server, frames)
    }
}
