//! ZeroMQ sockets.
//!
//! `ZMQ_FD` signals that the socket has work to do for itself, once, and any call on the socket may do that work and
//! swallow the signal. So whatever was touched has its `ZMQ_EVENTS` read again before the next sleep; and since a
//! socket is reached only through here, it is known what was touched.

use std::os::fd::RawFd;

use super::outbox::Outbox;
use super::{ReadyItem, Scope, unwatch};
use crate::backend::Token;
use crate::{Error, Interest, Ready, Rejected, SocketError, SocketKey, SourceKey};

pub(super) struct SocketSlot {
    pub(super) socket: zmq::Socket,
    kind: zmq::SocketType,
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
    reported: bool,
    /// How many messages its handler may still take in this turn, while that runs.
    pub(super) share: Option<usize>,
    /// Whether that ends when the share is used up; a source with more than one handler reads as it sees fit.
    limited: bool,
    /// What waits for room, if it may.
    pub(super) outbox: Option<Box<Outbox>>,
    /// It counts among the [stuck](Scope::stuck).
    stuck: bool,
    /// Somebody listens to what happens to it.
    pub(super) monitored: bool,
    /// It is the listener of this one.
    pub(super) listens_to: Option<SocketKey>,
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
    pub(super) fn is_router(&self) -> bool {
        self.kind == zmq::ROUTER
    }

    /// Whether a message can be sent, as far as is known.
    pub(super) fn has_room(&self) -> bool {
        self.events.writable
    }

    /// It may be readable, as one is that a message was just received from; trying tells.
    pub(super) fn maybe_readable(&self) -> Ready {
        let ready = Ready {
            readable: true,
            ..Ready::NONE
        };
        ready.masked(self.interest)
    }

    /// Notes that something was sent: what is known of it may no longer be true.
    #[inline]
    pub(super) fn used(&mut self) {
        if self.knowledge != Knowledge::Received {
            self.knowledge = Knowledge::Stale;
        }
    }

    /// Notes that the error of the socket was told, which is done once.
    #[inline]
    pub(super) fn tell_error(&mut self) {
        self.reported |= std::mem::take(&mut self.events.error);
    }

    /// Ends what is told of the socket, before whoever listens is gone.
    pub(super) fn stop_monitor(&mut self) {
        if std::mem::take(&mut self.monitored)
            && let Err(error) = crate::raw::stop_monitor(&mut self.socket)
        {
            tracing::warn!(%error, "a socket monitor does not stop");
        }
    }

    /// Receives a message into frames that are used again, if the share of this turn allows it.
    fn recv(&mut self, frames: &mut Vec<zmq::Message>) -> Result<bool, Error> {
        if self.limited && self.share == Some(0) {
            return Ok(false);
        }
        let mut count = 0;
        loop {
            if count == frames.len() {
                frames.push(zmq::Message::new());
            }
            let frame = &mut frames[count];
            match self.socket.recv(frame, zmq::DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EINTR) => continue,
                Err(zmq::Error::EAGAIN) if count == 0 => {
                    // To find that out, libzmq did all its work: this is as good as reading `ZMQ_EVENTS`, as far as
                    // reading goes.
                    if !self.interest.is_write() {
                        self.knowledge = Knowledge::Sure;
                        self.events.readable = false;
                    }
                    return Ok(false);
                }
                Err(error) => return Err(Error::Zmq(error)),
            }
            count += 1;
            if !frame.get_more() {
                break;
            }
        }
        frames.truncate(count);
        self.share = self.share.map(|left| left.saturating_sub(1));
        if !self.interest.is_write() {
            self.knowledge = Knowledge::Received;
        }
        Ok(true)
    }

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
                        ..Ready::NONE
                    };
                }
                Err(zmq::Error::EINTR) => {}
                Err(_) => {
                    break Ready {
                        error: !self.reported,
                        ..Ready::NONE
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
    /// The source may receive as much as it likes in one call, and then holds up everyone; if it takes one message, it
    /// is called again for the next, within the [budget](crate::Builder::budget).
    ///
    /// [`Interest::WRITE`] is refused for a ROUTER, a PUB and an XPUB: they can always be written to, or as soon as any
    /// peer can take something, which says nothing of the peer that is meant, and the reactor would never sleep.
    /// [`queue_sends`](Self::queue_sends) does what is wanted instead.
    ///
    /// A linger without a limit, libzmq's default, is replaced by [the reactor's](crate::Builder::linger).
    pub fn own_socket(
        &mut self,
        owner: SourceKey,
        tag: usize,
        socket: zmq::Socket,
        interest: Interest,
    ) -> Result<SocketKey, Rejected<zmq::Socket>> {
        let (kind, fd, place) = match self.admit_socket(owner, &socket, interest) {
            Ok(admitted) => admitted,
            Err(error) => return Err(Rejected::new(error, socket)),
        };
        let limited = self.sources.get(owner.0).is_some_and(|slot| slot.plain);
        let key = SocketKey(self.sockets.insert(SocketSlot {
            socket,
            kind,
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
            share: None,
            limited,
            outbox: None,
            stuck: false,
            monitored: false,
            listens_to: None,
        }));
        self.touched.push(key);
        self.own(owner, key);
        Ok(key)
    }

    /// Receives one whole message into `frames`, in place of what is in there. `false`: there is none for now, and
    /// `frames` is empty. Never blocks.
    ///
    /// The handler that a socket was [added](Self::add_socket) with gets as many messages a turn as the
    /// [budget](crate::Builder::budget) allows; then this says `false`, and the rest comes in the next turn. So a handler
    /// that reads until there is none does not starve the others.
    pub fn recv(&mut self, key: SocketKey, frames: &mut Vec<zmq::Message>) -> Result<bool, Error> {
        let received = match self.touch(key) {
            Ok(slot) => slot.recv(frames),
            Err(error) => Err(error),
        };
        if !matches!(received, Ok(true)) {
            frames.clear();
        }
        received
    }

    /// Ends the share of this turn that the socket's source has, which is to be called again after it received
    /// something: for who knows that nothing more is to come, and saves finding that out. What has come all the same is
    /// seen before the next sleep.
    pub fn leave(&mut self, key: SocketKey) {
        let slot = self.sockets.get_mut(key.0);
        if let Some(share) = slot.and_then(|slot| slot.share.as_mut()) {
            *share = 0;
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

    /// Binds an endpoint of a socket that is registered already, as [`SocketBuilder::bind`](crate::SocketBuilder::bind)
    /// does while one is made: so that a monitor hears of the first connection, too.
    ///
    /// The error within is libzmq's: the socket is what it was, and may be bound again.
    pub fn bind(
        &mut self,
        key: SocketKey,
        endpoint: &str,
    ) -> Result<Result<(), SocketError>, Error> {
        Ok(crate::socket::bind(&mut self.touch(key)?.socket, endpoint))
    }

    /// Whether a message waits on the socket right now, whatever its interest.
    pub fn readable(&mut self, key: SocketKey) -> Result<bool, Error> {
        let slot = self.touch(key)?;
        slot.refresh();
        Ok(slot.events.readable)
    }

    /// Takes a socket out of the reactor and hands it back, with what waits on it.
    pub fn remove_socket(&mut self, key: SocketKey) -> Option<zmq::Socket> {
        let mut slot = self.sockets.remove(key.0)?;
        slot.stop_monitor();
        if let Some(watched) = slot.listens_to
            && let Some(watched) = self.sockets.get_mut(watched.0)
        {
            watched.stop_monitor();
        }
        self.stuck -= usize::from(slot.stuck);
        self.watched.remove(&slot.fd);
        unwatch(&mut *self.poll, slot.fd);
        self.disown(slot.owner, slot.place);
        Some(slot.socket)
    }

    /// Has libzmq tell what happens to the socket, under the name of an inproc endpoint.
    pub(crate) fn begin_monitor(&mut self, key: SocketKey, name: &str) -> Result<(), Error> {
        let slot = self.touch(key)?;
        if slot.monitored {
            return Err(Error::Invalid("a socket has one monitor at a time"));
        }
        slot.socket
            .monitor(name, i32::from(zmq::SocketEvent::ALL.to_raw()))?;
        slot.monitored = true;
        Ok(())
    }

    /// Notes who listens to the socket; where nobody could be registered for it, nothing is told any more.
    pub(crate) fn link_monitor(
        &mut self,
        key: SocketKey,
        listener: Result<SocketKey, Error>,
    ) -> Result<SocketKey, Error> {
        match &listener {
            Ok(listener) => {
                if let Some(slot) = self.sockets.get_mut(listener.0) {
                    slot.listens_to = Some(key);
                }
            }
            Err(_) => self.touch(key)?.stop_monitor(),
        }
        listener
    }

    pub(super) fn set_socket_interest(
        &mut self,
        key: SocketKey,
        interest: Interest,
    ) -> Result<(), Error> {
        let slot = self.touch(key)?;
        refuse_vain_interest(slot.kind, interest)?;
        slot.interest = interest;
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
    pub(super) fn list(&mut self, key: SocketKey) -> Result<&mut SocketSlot, Error> {
        let Some(slot) = self.sockets.get_mut(key.0) else {
            return Err(Error::Stale);
        };
        if !slot.listed {
            slot.listed = true;
            self.touched.push(key);
        }
        Ok(slot)
    }

    /// Looks at every socket that was touched, and queues those that are ready.
    pub(super) fn settle(&mut self) {
        if self.touched.is_empty() {
            return;
        }
        let mut touched = std::mem::take(&mut self.touched_buffer);
        std::mem::swap(&mut touched, &mut self.touched);
        for key in touched.drain(..) {
            let Some(slot) = self.sockets.get_mut(key.0) else {
                continue;
            };
            slot.listed = false;
            slot.refresh();
            // Also one whose queue has just ended.
            if slot.outbox.is_some() || slot.stuck {
                slot.flush();
                let stuck = slot.is_router() && slot.is_holding();
                if stuck {
                    slot.listed = true;
                    self.touched.push(key);
                }
                self.stuck = self.stuck + usize::from(stuck) - usize::from(slot.stuck);
                slot.stuck = stuck;
            }
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
        interest: Interest,
    ) -> Result<(zmq::SocketType, RawFd, usize), Error> {
        let place = self.next_place(owner)?;
        let kind = socket.get_socket_type()?;
        refuse_vain_interest(kind, interest)?;
        if socket.get_linger()? == -1 {
            socket.set_linger(self.linger_ms)?;
        }
        let fd = socket.get_fd()?;
        if self.watched.contains(&fd) {
            return Err(Error::Duplicate);
        }
        let token = Token::socket(SocketKey(self.sockets.next_key()));
        self.poll.add_edge(fd, token, Interest::READ)?;
        self.watched.insert(fd);
        Ok((kind, fd, place))
    }
}

/// Of these sockets it is no news that they can be written to.
fn refuse_vain_interest(kind: zmq::SocketType, interest: Interest) -> Result<(), Error> {
    match kind {
        zmq::ROUTER | zmq::PUB | zmq::XPUB if interest.is_write() => Err(Error::Invalid(
            "a ROUTER, a PUB and an XPUB can always be written to: send, or have sends queued",
        )),
        _ => Ok(()),
    }
}
