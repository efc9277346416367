//! ZeroMQ sockets.
//!
//! `ZMQ_FD` signals that the socket has work to do for itself, once, and any call on the socket may do that work and
//! swallow the signal. So whatever was touched has its `ZMQ_EVENTS` read again before the next sleep; and since a
//! socket is reached only through here, it is known what was touched.

use std::os::fd::RawFd;

use super::{ReadyItem, Scope, unwatch};
use crate::backend::Token;
use crate::{Error, Interest, Ready, Rejected, SocketKey, SourceKey};

pub(super) struct SocketSlot {
    pub(super) socket: zmq::Socket,
    pub(super) fd: RawFd,
    pub(super) owner: SourceKey,
    pub(super) place: usize,
    pub(super) tag: usize,
    pub(super) interest: Interest,
    /// What `ZMQ_EVENTS` said last.
    events: Ready,
    /// Whether that is still so.
    pub(super) knowledge: Knowledge,
    /// It is in the list of those to look at before the next sleep.
    listed: bool,
    /// It is in the list of those that are ready.
    pub(super) queued: bool,
    /// Its error has been reported.
    pub(super) reported: bool,
}

/// What is known of a socket's readiness. Asking costs a system call, so that it is asked no more than needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It is what was read last, and a change will be signalled.
    Sure,
    /// Somebody used the socket since.
    Stale,
    /// A message was received, and nothing was done since but sending: there may well be another. Trying is cheaper
    /// than asking.
    Received,
}

impl SocketSlot {
    /// Reads `ZMQ_EVENTS` if somebody used the socket.
    #[inline]
    pub(super) fn refresh(&mut self) {
        if self.knowledge == Knowledge::Sure {
            return;
        }
        self.knowledge = Knowledge::Sure;
        self.events = loop {
            match self.socket.get_events() {
                Ok(events) => {
                    break Ready {
                        readable: events.contains(zmq::POLLIN),
                        writable: events.contains(zmq::POLLOUT),
                        error: false,
                    };
                }
                Err(zmq::Error::EINTR) => {}
                Err(_) => {
                    break Ready {
                        readable: false,
                        writable: false,
                        error: !self.reported,
                    };
                }
            }
        };
    }

    /// What its owner wants to know of what is known.
    #[inline]
    pub(super) fn ready(&self) -> Ready {
        if self.interest.is_none() {
            Ready::NONE
        } else {
            self.events.masked(self.interest)
        }
    }
}

impl<S: 'static> Scope<S> {
    /// Registers a socket that belongs to a source; `tag` comes back in its events. What has arrived already is seen.
    ///
    /// A linger without a limit, libzmq's default, is replaced by [the reactor's](crate::Builder::linger).
    pub fn own_socket(
        &mut self,
        owner: SourceKey,
        tag: usize,
        socket: zmq::Socket,
        interest: Interest,
    ) -> Result<SocketKey, Rejected<zmq::Socket>> {
        let (fd, place) = match self.admit_socket(owner, &socket) {
            Ok(admitted) => admitted,
            Err(error) => return Err(Rejected::new(error, socket)),
        };
        let key = SocketKey(self.sockets.insert(SocketSlot {
            socket,
            fd,
            owner,
            place,
            tag,
            interest,
            events: Ready::NONE,
            knowledge: Knowledge::Stale,
            listed: true,
            queued: false,
            reported: false,
        }));
        self.touched.push(key);
        self.own(owner, key);
        Ok(key)
    }

    /// Sends one message of one or more frames, all of it or nothing.
    ///
    /// Never blocks: a socket that cannot take the message now gives [`Error::WouldBlock`], and
    /// [`Error::Unreachable`] comes from a ROUTER that is told to say so. The frames are gone then; who wants to try
    /// again keeps them.
    ///
    /// One thing can break a message in two, and is all but ruled out: a signal handler that interrupts libzmq in the
    /// one system call that it makes at most once a millisecond, between two frames. It is reported as `EINTR`.
    pub fn send<I, T>(&mut self, key: SocketKey, frames: I) -> Result<(), Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<zmq::Message>,
    {
        let slot = self.list(key)?;
        if slot.knowledge != Knowledge::Received {
            slot.knowledge = Knowledge::Stale;
        }
        let mut frames = frames.into_iter();
        let mut frame = frames
            .next()
            .ok_or(Error::Invalid("a message has at least one frame"))?;
        let mut first = true;
        let mut failure = None;
        loop {
            let next = frames.next();
            let flags = zmq::DONTWAIT | if next.is_some() { zmq::SNDMORE } else { 0 };
            match slot.socket.send(frame, flags) {
                Ok(()) => {}
                Err(error) if first => return Err(refused(error)),
                // The peer left in the middle of the message. libzmq takes back what it has, and expects the rest, to
                // drop it; without that it would drop the beginning of the next message instead.
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
            first = false;
            match next {
                Some(next) => frame = next,
                None => break,
            }
        }
        match failure {
            None => Ok(()),
            Some(zmq::Error::EAGAIN) => Err(Error::WouldBlock),
            Some(error) => Err(Error::Zmq(error)),
        }
    }

    /// Receives one whole message into `frames`, which is cleared first. `false`: there is none, and `frames` is
    /// empty. Never blocks.
    pub fn recv(&mut self, key: SocketKey, frames: &mut Vec<zmq::Message>) -> Result<bool, Error> {
        frames.clear();
        let slot = self.touch(key)?;
        loop {
            let mut frame = zmq::Message::new();
            match slot.socket.recv(&mut frame, zmq::DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EINTR) => continue,
                Err(zmq::Error::EAGAIN) if frames.is_empty() => {
                    // To find that out, libzmq did all its work: this is as good as reading `ZMQ_EVENTS`, as far as
                    // reading goes.
                    if !slot.interest.is_write() {
                        slot.knowledge = Knowledge::Sure;
                        slot.events.readable = false;
                    }
                    return Ok(false);
                }
                Err(error) => {
                    frames.clear();
                    return Err(Error::Zmq(error));
                }
            }
            let more = frame.get_more();
            frames.push(frame);
            if !more {
                if !slot.interest.is_write() {
                    slot.knowledge = Knowledge::Received;
                }
                return Ok(true);
            }
        }
    }

    /// Lends the socket for whatever else is to be done with it: options, endpoints, monitors.
    ///
    /// Calls that block stop the whole reactor; sending and receiving are [`send`](Self::send) and
    /// [`recv`](Self::recv).
    pub fn with_socket<R>(
        &mut self,
        key: SocketKey,
        f: impl FnOnce(&zmq::Socket) -> R,
    ) -> Result<R, Error> {
        Ok(f(&self.touch(key)?.socket))
    }

    /// Whether a message waits on the socket right now, whatever its interest.
    pub fn readable(&mut self, key: SocketKey) -> Result<bool, Error> {
        let slot = self.touch(key)?;
        slot.refresh();
        Ok(slot.events.readable)
    }

    /// Takes a socket out of the reactor and hands it back, with what waits on it.
    pub fn remove_socket(&mut self, key: SocketKey) -> Option<zmq::Socket> {
        let slot = self.sockets.remove(key.0)?;
        self.watched.remove(&slot.fd);
        unwatch(&mut *self.poll, slot.fd);
        self.disown(slot.owner, slot.place);
        Some(slot.socket)
    }

    pub(super) fn set_socket_interest(
        &mut self,
        key: SocketKey,
        interest: Interest,
    ) -> Result<(), Error> {
        self.touch(key)?.interest = interest;
        Ok(())
    }

    /// Notes that the socket is being used: what is known of it may no longer be true.
    #[inline]
    pub(super) fn touch(&mut self, key: SocketKey) -> Result<&mut SocketSlot, Error> {
        let slot = self.list(key)?;
        slot.knowledge = Knowledge::Stale;
        Ok(slot)
    }

    /// Has the socket looked at before the next sleep.
    #[inline]
    fn list(&mut self, key: SocketKey) -> Result<&mut SocketSlot, Error> {
        let slot = self.sockets.get_mut(key.0).ok_or(Error::Stale)?;
        if !slot.listed {
            slot.listed = true;
            self.touched.push(key);
        }
        Ok(slot)
    }

    /// Looks at every socket that was touched, and queues those that are ready.
    pub(super) fn settle(&mut self) {
        let mut touched = std::mem::take(&mut self.touched_buffer);
        std::mem::swap(&mut touched, &mut self.touched);
        for key in touched.drain(..) {
            let Some(slot) = self.sockets.get_mut(key.0) else {
                continue;
            };
            slot.listed = false;
            slot.refresh();
            if !slot.queued && slot.ready().any() {
                slot.queued = true;
                self.ready.push(ReadyItem::Socket(key));
            }
        }
        self.touched_buffer = touched;
    }

    /// Makes sure that the socket can be registered, and has the back end watch it.
    fn admit_socket(
        &mut self,
        owner: SourceKey,
        socket: &zmq::Socket,
    ) -> Result<(RawFd, usize), Error> {
        let place = self.next_place(owner)?;
        if socket.get_linger()? == -1 {
            socket.set_linger(self.linger_ms)?;
        }
        let fd = socket.get_fd()?;
        if self.watched.contains(&fd) {
            return Err(Error::Duplicate);
        }
        self.poll
            .add_edge(fd, Token::Socket(self.sockets.next_key().index()))?;
        self.watched.insert(fd);
        Ok((fd, place))
    }
}

/// Why the first frame was not taken, and with that nothing.
fn refused(error: zmq::Error) -> Error {
    match error {
        zmq::Error::EAGAIN | zmq::Error::EINTR => Error::WouldBlock,
        zmq::Error::EHOSTUNREACH => Error::Unreachable,
        error => Error::Zmq(error),
    }
}
