//! Front ends whose requests vote.

use reactor::{BoxError, Interest, Scope, SocketKey, SourceKey};
use zmq::Message;

use super::request::Request;
use crate::client::wire;

pub(super) type Handler<S> =
    Box<dyn FnMut(&mut S, &mut Scope<S>, Request<'_>) -> Result<(), BoxError>>;

/// A socket, and what serves its requests.
pub(super) struct Voter<S> {
    place: Place,
    kind: zmq::SocketType,
    handler: Handler<S>,
    held: bool,
}

enum Place {
    Unregistered(zmq::Socket),
    Registered(SocketKey),
    Gone,
}

impl<S: 'static> Voter<S> {
    pub(super) fn new(socket: zmq::Socket, handler: Handler<S>) -> Result<Voter<S>, zmq::Error> {
        let kind = socket.get_socket_type()?;
        Ok(Voter {
            place: Place::Unregistered(socket),
            kind,
            handler,
            held: false,
        })
    }

    pub(super) fn register(
        &mut self,
        scope: &mut Scope<S>,
        owner: SourceKey,
        tag: usize,
    ) -> Result<(), reactor::Error> {
        self.place = match std::mem::replace(&mut self.place, Place::Gone) {
            Place::Unregistered(socket) => {
                Place::Registered(scope.own_socket(owner, tag, socket, Interest::READ)?)
            }
            other => other,
        };
        Ok(())
    }

    /// Whether messages begin with the identity of a client, and can be dropped.
    pub(super) fn is_routed(&self) -> bool {
        self.kind == zmq::ROUTER
    }

    /// Whether whatever is received must be answered before the next can be.
    pub(super) fn must_reply(&self) -> bool {
        self.kind == zmq::REP
    }

    pub(super) fn key(&self) -> Option<SocketKey> {
        match self.place {
            Place::Registered(key) => Some(key),
            Place::Unregistered(_) | Place::Gone => None,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Leaves what has arrived where it is.
    pub(super) fn hold(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        self.set_held(scope, true)
    }

    pub(super) fn release(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        self.set_held(scope, false)
    }

    fn set_held(&mut self, scope: &mut Scope<S>, held: bool) -> Result<(), reactor::Error> {
        let Place::Registered(key) = self.place else {
            return Ok(());
        };
        self.held = held;
        scope.set_interest(key, if held { Interest::NONE } else { Interest::READ })
    }

    pub(super) fn handle(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        request: Request<'_>,
    ) -> Result<(), BoxError> {
        (self.handler)(state, scope, request)
    }
}

/// What tells a client of ours that this server is not active, and at which epoch if that is known; `None` for
/// any other client, who would take it for the answer. Takes the client's envelope out of `frames`.
pub(crate) fn refusal(
    frames: &mut Vec<Message>,
    state: &str,
    epoch: Option<u64>,
) -> Option<impl Iterator<Item = Message>> {
    const ENVELOPE: usize = 1 + wire::BODY;
    let ours = frames.len() > ENVELOPE
        && wire::is_first_frame(&frames[1])
        && frames[ENVELOPE - 1].is_empty();
    let word = Message::from(wire::refusal(state, epoch).as_bytes());
    ours.then(|| frames.drain(..ENVELOPE).chain([word]))
}
