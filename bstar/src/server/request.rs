//! A client's request, as a handler gets it.

use reactor::{Scope, SocketKey};
use zmq::Message;

/// A request that the pair lets through: this node is active, and may serve it.
#[derive(Debug)]
pub struct Request<'a> {
    socket: SocketKey,
    routed: bool,
    frames: &'a mut Vec<Message>,
}

impl<'a> Request<'a> {
    pub(super) fn new(socket: SocketKey, routed: bool, frames: &'a mut Vec<Message>) -> Self {
        Request {
            socket,
            routed,
            frames,
        }
    }

    /// The socket that it came from, for [`Scope::send`].
    pub fn socket(&self) -> SocketKey {
        self.socket
    }

    /// All frames. On a ROUTER the first is the client's identity, and what follows up to the
    /// first empty frame is the client's envelope.
    pub fn frames(&self) -> &[Message] {
        self.frames
    }

    /// The frames behind the envelope.
    pub fn body(&self) -> &[Message] {
        &self.frames[self.envelope_len()..]
    }

    /// Takes all frames, to answer later: send the envelope back with the answer. The node may
    /// have stepped back by then; what was begun may still be finished. A switchover waits for it
    /// while it is counted, by [`Handle::try_begin`](super::Handle::try_begin).
    pub fn take(self) -> Vec<Message> {
        std::mem::take(self.frames)
    }

    /// Answers with this body, behind the client's envelope. A client that has left is no error.
    pub fn reply<S, I, T>(self, scope: &mut Scope<S>, body: I) -> Result<(), reactor::Error>
    where
        S: 'static,
        I: IntoIterator<Item = T>,
        T: Into<Message>,
    {
        let envelope = self.envelope_len();
        self.frames.truncate(envelope);
        let body = body.into_iter().map(Into::into);
        scope.send(self.socket, self.frames.drain(..).chain(body))
    }

    /// Answers with the request itself.
    pub fn echo<S: 'static>(self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        scope.send(self.socket, self.frames.drain(..))
    }

    fn envelope_len(&self) -> usize {
        if !self.routed {
            return 0;
        }
        let delimiter = self.frames.iter().position(|frame| frame.is_empty());
        delimiter.map_or(1, |at| at + 1)
    }
}
