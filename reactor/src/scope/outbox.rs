//! Messages that wait for room in a socket.
//!
//! A socket is looked at again before every sleep if it was touched or signalled; then what waits is sent as far as it
//! goes. Nothing is lost in between: room that opens after the look is signalled. A ROUTER is the exception, since it
//! tells of room for one peer or another alike, and stays on the list of those to look at until nothing waits.

use std::collections::VecDeque;

use zmq::Message;

use super::Scope;
use super::sending::{Unsent, transmit};
use super::sockets::SocketSlot;
use crate::{Error, SocketKey};

pub(super) struct Outbox {
    waiting: VecDeque<Vec<Message>>,
    capacity: usize,
    lost: u64,
}

/// What waits in front of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// Messages that wait for room.
    pub waiting: usize,
    /// Messages that waited and then could not be sent, since their peer was gone or the socket was at its end.
    pub lost: u64,
}

impl<S: 'static> Scope<S> {
    /// Has messages wait in front of a socket that cannot take them, `capacity` at the most, and send themselves in
    /// order as there is room. Then [`send`](Self::send) says [`Error::QueueFull`] where it would have said
    /// [`Error::WouldBlock`], and only past that bound.
    ///
    /// A ROUTER keeps the order for each peer, and one that is full does not hold up the others. It needs
    /// `ROUTER_MANDATORY`: without that it has room for everything, and throws away what does not fit. What still waits
    /// when the socket is removed or the reactor ends is lost. A capacity of zero ends the waiting: what waits is lost.
    pub fn queue_sends(&mut self, key: SocketKey, capacity: usize) -> Result<(), Error> {
        let slot = self.touch(key)?;
        match &mut slot.outbox {
            Some(outbox) if capacity > 0 => outbox.capacity = capacity,
            Some(_) => slot.outbox = None,
            None if capacity > 0 => {
                slot.outbox = Some(Box::new(Outbox {
                    waiting: VecDeque::new(),
                    capacity,
                    lost: 0,
                }));
            }
            None => {}
        }
        Ok(())
    }

    /// What waits in front of a socket; nothing where sends do not [queue](Self::queue_sends).
    pub fn queued(&self, key: SocketKey) -> Option<Queued> {
        let outbox = self.sockets.get(key.0)?.outbox.as_ref()?;
        Some(Queued {
            waiting: outbox.waiting.len(),
            lost: outbox.lost,
        })
    }
}

impl SocketSlot {
    /// Whether messages wait for room.
    #[inline]
    pub(super) fn is_holding(&self) -> bool {
        self.outbox
            .as_ref()
            .is_some_and(|outbox| !outbox.waiting.is_empty())
    }

    /// Whether messages of a ROUTER wait for room for this peer. Others are not to wait behind them.
    fn is_holding_for(&self, peer: &Message) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| {
            let mut waiting = outbox.waiting.iter();
            waiting.any(|message| message[0][..] == peer[..])
        })
    }

    /// Sends a message, or has it wait.
    pub(super) fn send_or_queue(
        &mut self,
        first: Message,
        rest: &mut Vec<Message>,
    ) -> Result<(), Error> {
        if self.is_router() {
            if self.is_holding_for(&first) {
                return self.queue(first, rest);
            }
            // The socket takes an identity or not, and keeps it in both cases; it is a few bytes.
            let identity = Message::from(&first[..]);
            return match transmit(&self.socket, first, rest) {
                Err(Unsent::Refused(Error::WouldBlock)) => self.queue(identity, rest),
                sent => Ok(sent?),
            };
        }
        if self.is_holding() {
            return self.queue(first, rest);
        }
        self.refresh();
        if self.has_room() {
            self.used();
            Ok(transmit(&self.socket, first, rest)?)
        } else {
            self.queue(first, rest)
        }
    }

    fn queue(&mut self, first: Message, rest: &mut Vec<Message>) -> Result<(), Error> {
        let Some(outbox) = &mut self.outbox else {
            return Err(Error::WouldBlock);
        };
        if outbox.waiting.len() >= outbox.capacity {
            return Err(Error::QueueFull);
        }
        let message = std::iter::once(first).chain(rest.drain(..)).collect();
        outbox.waiting.push_back(message);
        Ok(())
    }

    /// Sends what waits, as far as there is room, and reads `ZMQ_EVENTS` after it.
    pub(super) fn flush(&mut self) {
        let router = self.is_router();
        while self.is_holding() && (router || self.has_room()) {
            let Some(outbox) = &mut self.outbox else {
                return;
            };
            let before = outbox.waiting.len();
            outbox.flush(&self.socket, router);
            let stands = outbox.waiting.len() == before;
            self.used();
            self.refresh();
            if router || stands {
                return;
            }
        }
    }
}

impl Outbox {
    fn flush(&mut self, socket: &zmq::Socket, router: bool) {
        let mut full: Vec<Message> = Vec::new();
        for _ in 0..self.waiting.len() {
            let Some(mut message) = self.waiting.pop_front() else {
                return;
            };
            let blocked = router && full.iter().any(|peer| peer[..] == message[0][..]);
            let sent = if blocked {
                Err(Unsent::Refused(Error::WouldBlock))
            } else {
                let first = Message::from(&message[0][..]);
                let mut rest = message.split_off(1);
                let sent = transmit(socket, first, &mut rest);
                message.append(&mut rest);
                sent
            };
            match sent {
                Ok(()) => {}
                Err(Unsent::Refused(Error::WouldBlock)) if router => {
                    // Behind those that are still to be tried; in the end the order is as before.
                    if !blocked {
                        full.push(Message::from(&message[0][..]));
                    }
                    self.waiting.push_back(message);
                }
                Err(Unsent::Refused(Error::WouldBlock)) => {
                    self.waiting.push_front(message);
                    return;
                }
                Err(Unsent::Refused(error) | Unsent::Broken(error)) => {
                    self.lost += 1;
                    tracing::debug!(%error, "a message that waited is lost");
                }
            }
        }
    }
}
