//! Sending: a message goes to libzmq whole or not at all.

use zmq::Message;

use super::Scope;
use crate::{Error, SocketKey};

/// How many frames the buffer for them is kept for; what a longer message needs is given back after it.
const KEPT_FRAMES: usize = 64;

const EMPTY: &str = "a message has at least one frame";

/// Why a message was not sent.
pub(super) enum Unsent {
    /// Its first frame was refused. The rest is where it was.
    Refused(Error),
    /// The peer left in the middle of it. The rest is gone too.
    Broken(Error),
}

impl<S: 'static> Scope<S> {
    /// Sends one message of one or more frames, all of it or nothing. All frames are taken before the first is sent, so
    /// that nothing is sent either where the iterator panics.
    ///
    /// Never blocks: a socket that cannot take the message now gives [`Error::WouldBlock`], unless it was told to
    /// [queue](Self::queue_sends), and [`Error::Unreachable`] comes from a ROUTER that is told to say so. The frames are
    /// gone then; who wants to try again keeps them.
    ///
    /// One thing can break a message in two, and is all but ruled out: a signal handler that interrupts libzmq in the
    /// one system call that it makes at most once a millisecond, between two frames. It is reported as `EINTR`.
    pub fn send<I, T>(&mut self, key: SocketKey, frames: I) -> Result<(), Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<Message>,
    {
        let mut rest = std::mem::take(&mut self.frame_buffer);
        let mut frames = frames.into_iter().map(Into::into);
        let first = frames.next();
        rest.extend(frames);
        let sent = self.send_frames(key, first, &mut rest);
        rest.clear();
        if rest.capacity() <= KEPT_FRAMES {
            self.frame_buffer = rest;
        }
        sent
    }

    /// As [`send`](Self::send), for who tries again later: frames that are not taken now stay where they are. After
    /// anything but [`Error::WouldBlock`] and [`Error::Unreachable`] there are none left.
    ///
    /// The first frame is copied, so let it be a short one, such as an identity. A socket whose sends
    /// [queue](Self::queue_sends) is refused, since it keeps for itself what it cannot take.
    pub fn send_or_keep(&mut self, key: SocketKey, frames: &mut Vec<Message>) -> Result<(), Error> {
        let slot = self.list(key)?;
        if slot.outbox.is_some() {
            return Err(Error::Invalid(
                "a socket whose sends queue keeps messages itself",
            ));
        }
        if frames.is_empty() {
            return Err(Error::Invalid(EMPTY));
        }
        slot.used();
        let first = frames.remove(0);
        // What is refused is dropped by the `zmq` crate.
        let copy = Message::from(&first[..]);
        match transmit(&slot.socket, copy, frames) {
            Ok(()) => Ok(()),
            Err(Unsent::Refused(error)) => {
                frames.insert(0, first);
                Err(error)
            }
            Err(unsent @ Unsent::Broken(_)) => Err(unsent.into()),
        }
    }

    fn send_frames(
        &mut self,
        key: SocketKey,
        first: Option<Message>,
        rest: &mut Vec<Message>,
    ) -> Result<(), Error> {
        let slot = self.list(key)?;
        slot.used();
        let Some(first) = first else {
            return Err(Error::Invalid(EMPTY));
        };
        if slot.outbox.is_some() {
            slot.send_or_queue(first, rest)
        } else {
            Ok(transmit(&slot.socket, first, rest)?)
        }
    }
}

/// Sends one message, all of it or nothing.
pub(super) fn transmit(
    socket: &zmq::Socket,
    first: Message,
    rest: &mut Vec<Message>,
) -> Result<(), Unsent> {
    let flags = |left: usize| zmq::DONTWAIT | if left > 0 { zmq::SNDMORE } else { 0 };
    let mut left = rest.len();
    socket.send(first, flags(left)).map_err(refused)?;
    let mut failure = None;
    for frame in rest.drain(..) {
        left -= 1;
        // Where the peer left in the middle of the message, libzmq takes back what it has, and expects the rest, to
        // drop it; without that it would drop the beginning of the next message instead.
        if let Err(error) = socket.send(frame, flags(left)) {
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(()), |error| Err(Unsent::Broken(Error::Zmq(error))))
}

/// Why the first frame was not taken, and with that nothing.
fn refused(error: zmq::Error) -> Unsent {
    Unsent::Refused(match error {
        zmq::Error::EAGAIN | zmq::Error::EINTR => Error::WouldBlock,
        zmq::Error::EHOSTUNREACH => Error::Unreachable,
        error => Error::Zmq(error),
    })
}

/// What the sender is told: a message whose peer left in the middle of it finds no room now, as any other.
impl From<Unsent> for Error {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Broken(Error::Zmq(zmq::Error::EAGAIN)) => Error::WouldBlock,
            Unsent::Refused(error) | Unsent::Broken(error) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{Interest, Reactor, SocketBuilder};

    #[test]
    fn what_is_not_taken_stays_whole_and_goes_later() {
        let context = zmq::Context::new();
        let dealer = SocketBuilder::new(zmq::DEALER)
            .bind("inproc://send-or-keep")
            .build(&context)
            .unwrap();
        let mut reactor = Reactor::<()>::new().unwrap();
        let scope = reactor.scope();
        let key = scope
            .add_socket("dealer", dealer, Interest::NONE, |_, _, _, _| Ok(()))
            .unwrap();
        let texts = ["identity", "", "body"];
        let mut frames: Vec<Message> = texts.map(Message::from).into();
        let refused = scope.send_or_keep(key, &mut frames);
        assert!(matches!(refused, Err(Error::WouldBlock)), "{refused:?}");
        assert!(
            frames
                .iter()
                .map(|frame| &frame[..])
                .eq(texts.map(str::as_bytes))
        );

        let peer = SocketBuilder::new(zmq::DEALER)
            .connect("inproc://send-or-keep")
            .build(&context)
            .unwrap();
        peer.set_rcvtimeo(20_000).unwrap();
        // That the peer is there reaches the socket in a while.
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = scope.send_or_keep(key, &mut frames) {
            assert!(matches!(error, Error::WouldBlock) && Instant::now() < deadline);
        }
        assert!(frames.is_empty());
        assert_eq!(peer.recv_multipart(0).unwrap(), texts.map(str::as_bytes));

        assert!(matches!(
            scope.send_or_keep(key, &mut frames),
            Err(Error::Invalid(_))
        ));
        scope.queue_sends(key, 1).unwrap();
        frames.push("kept".into());
        assert!(matches!(
            scope.send_or_keep(key, &mut frames),
            Err(Error::Invalid(_))
        ));
        assert_eq!(frames.len(), 1);
    }
}
