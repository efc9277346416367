//! The servers as the host sees them: where they are, and the sockets that lead there.

use std::collections::BTreeMap;

use reactor::{Endpoint, Scope, SocketKey, SourceKey, zmq};
use tracing::{debug, warn};

use super::link::{Dialler, Sockets};
use crate::engine::{SendFailure, ServerId};
use crate::{Config, Error, Model, wire};

/// What a socket of a server is for: [`untag`] tells it from the tag.
pub(super) const LINE: usize = 0;
pub(super) const MONITOR: usize = 1;
const ASKER: usize = 2;
const KINDS: usize = 3;

/// All servers of a client.
pub(super) struct Ports {
    model: Model,
    dialler: Option<Dialler>,
    ports: BTreeMap<ServerId, Port>,
}

struct Port {
    endpoint: Endpoint,
    affinity: u64,
    /// While there is a link or an attempt at one.
    sockets: Option<Sockets>,
    /// While the server is asked for its identity.
    asker: Option<SocketKey>,
    /// It was said that it answers nothing.
    warned: bool,
}

/// The server and the kind of socket that a tag stands for.
pub(super) fn untag(tag: usize) -> (ServerId, usize) {
    (ServerId((tag / KINDS) as u64), tag % KINDS)
}

fn tag(server: ServerId, kind: usize) -> usize {
    server.0 as usize * KINDS + kind
}

impl Ports {
    pub(super) fn new(model: Model, dialler: Dialler) -> Self {
        Self {
            model,
            dialler: Some(dialler),
            ports: BTreeMap::new(),
        }
    }

    /// The context of all sockets, if it is the client's own.
    pub(super) fn own_context(&self) -> Option<zmq::Context> {
        self.dialler.as_ref().and_then(Dialler::own_context)
    }

    pub(super) fn add(&mut self, server: ServerId, endpoint: Endpoint) {
        let affinity = self
            .dialler
            .as_mut()
            .map_or(0, |dialler| dialler.affinity(&endpoint));
        self.ports.insert(
            server,
            Port {
                endpoint,
                affinity,
                sockets: None,
                asker: None,
                warned: false,
            },
        );
    }

    /// Forgets a server whose sockets are closed.
    pub(super) fn remove(&mut self, server: ServerId) {
        self.ports.remove(&server);
    }

    /// Lets go of the context: nothing is dialled any more.
    pub(super) fn let_go(&mut self) {
        self.dialler = None;
    }

    /// A copy, since what is done to one may change the others.
    pub(super) fn servers(&self) -> Vec<ServerId> {
        self.ports.keys().copied().collect()
    }

    pub(super) fn endpoint(&self, server: ServerId) -> Option<&str> {
        self.ports.get(&server).map(|port| port.endpoint.as_str())
    }

    pub(super) fn line(&self, server: ServerId) -> Option<SocketKey> {
        Some(self.ports.get(&server)?.sockets?.line)
    }

    pub(super) fn monitor(&self, server: ServerId) -> Option<SocketKey> {
        Some(self.ports.get(&server)?.sockets?.monitor)
    }

    pub(super) fn asker(&self, server: ServerId) -> Option<SocketKey> {
        self.ports.get(&server)?.asker
    }

    pub(super) fn dial<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        me: SourceKey,
        server: ServerId,
        config: &Config,
    ) -> Result<(), Error> {
        self.hang_up(scope, server);
        let (Some(port), Some(dialler)) = (self.ports.get_mut(&server), &self.dialler) else {
            return Err(Error::NoSuchServer);
        };
        let to = (&port.endpoint, port.affinity);
        port.sockets = Some(dialler.dial(scope, me, tag(server, LINE), to, config)?);
        Ok(())
    }

    pub(super) fn ask_name<S: 'static>(
        &mut self,
        scope: &mut Scope<S>,
        me: SourceKey,
        server: ServerId,
        config: &Config,
    ) -> Result<(), Error> {
        self.end_asking(scope, server);
        let (Some(port), Some(dialler)) = (self.ports.get_mut(&server), &self.dialler) else {
            return Err(Error::NoSuchServer);
        };
        let to = (&port.endpoint, port.affinity);
        port.asker = Some(dialler.ask_name(scope, me, tag(server, ASKER), to, config)?);
        Ok(())
    }

    pub(super) fn end_asking<S: 'static>(&mut self, scope: &mut Scope<S>, server: ServerId) {
        let asker = self.ports.get_mut(&server).and_then(|p| p.asker.take());
        if let Some(asker) = asker {
            drop(scope.remove_socket(asker));
        }
    }

    pub(super) fn hang_up<S: 'static>(&mut self, scope: &mut Scope<S>, server: ServerId) {
        if let Some(port) = self.ports.get_mut(&server)
            && port.asker.is_some()
            && !std::mem::replace(&mut port.warned, true)
        {
            warn!(
                "there is a link to {}, but nobody by that name, and no answer to a PING: is it a server of model 3?",
                port.endpoint
            );
        }
        self.end_asking(scope, server);
        let sockets = self.ports.get_mut(&server).and_then(|p| p.sockets.take());
        if let Some(sockets) = sockets {
            drop(scope.remove_socket(sockets.line));
            drop(scope.remove_socket(sockets.monitor));
        }
    }

    pub(super) fn hang_up_all<S: 'static>(&mut self, scope: &mut Scope<S>) {
        for server in self.servers() {
            self.hang_up(scope, server);
        }
    }

    pub(super) fn ping<S: 'static>(
        &self,
        scope: &mut Scope<S>,
        server: ServerId,
    ) -> Result<(), SendFailure> {
        self.send(scope, server, std::iter::once(wire::PING))
    }

    /// Sends what follows the identity of a ROUTER's peer.
    pub(super) fn send<'a, S: 'static>(
        &'a self,
        scope: &mut Scope<S>,
        server: ServerId,
        frames: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), SendFailure> {
        let port = self.ports.get(&server).ok_or(SendFailure::Unreachable)?;
        let line = port.sockets.ok_or(SendFailure::Unreachable)?.line;
        let identity = match self.model {
            Model::One | Model::Two => None,
            Model::Three => Some(port.endpoint.as_str().as_bytes()),
        };
        let sent = scope.send(line, identity.into_iter().chain(frames).map(message));
        sent.map_err(|error| {
            debug!(?server, %error, "a message cannot leave");
            failure(&error)
        })
    }
}

fn message(frame: &[u8]) -> zmq::Message {
    frame.into()
}

/// What a failed call on a line means: in no case did the message leave.
fn failure(error: &reactor::Error) -> SendFailure {
    match error {
        reactor::Error::WouldBlock | reactor::Error::QueueFull => SendFailure::Full,
        _ => SendFailure::Unreachable,
    }
}
