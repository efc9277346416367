//! Messages that wait for room in a socket.
//!
//! A socket is looked at again before every sleep if it was touched or signalled; then what waits is sent as far as it
//! goes. Nothing is lost in between: room that opens after the look is signalled. A ROUTER is the exception, since it
//! tells of room for one peer or another alike, and stays on the list of those to look at until nothing waits.
//!
//! What waits stands in lanes: one for each peer of a ROUTER that is full, so that nobody waits behind another's
//! messages, and a look at the socket tries no more than one in vain for each; for every other socket there is one lane.
//! So that a crowd of peers who do not read costs a turn little, a look tries a bounded number of lanes, and the next one
//! goes on from there.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::rc::Rc;

use zmq::Message;

use super::Scope;
use super::sending::{Unsent, transmit};
use super::sockets::SocketSlot;
use crate::{Error, SocketKey};

/// How many lanes a look at the socket tries.
const LANES_A_LOOK: usize = 256;

/// All lanes share one bound.
pub(super) struct Outbox {
    /// By the peer's identity, which is empty where it is not for the sender to say who gets a message. None is empty.
    lanes: BTreeMap<Rc<[u8]>, VecDeque<Held>>,
    /// Whose lane was tried last.
    last: Rc<[u8]>,
    /// How many messages wait in all of them.
    waiting: usize,
    capacity: usize,
    lost: u64,
}

/// A message that waits.
struct Held {
    first: Message,
    rest: Vec<Message>,
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
    /// A ROUTER keeps the order for each peer, and one that is full does not hold up the others, but for the capacity,
    /// which all share: where its messages take all of it, one for another peer is sent if that has room, and cannot
    /// wait. It needs `ROUTER_MANDATORY`: without that it has room for everything, and throws away what does not fit.
    /// While messages of a ROUTER wait, the reactor sleeps no longer than ten milliseconds, since it is not told of room
    /// for this peer or that.
    ///
    /// What still waits when the socket is removed or the reactor ends is lost. A capacity of zero ends the waiting:
    /// what waits is lost.
    pub fn queue_sends(&mut self, key: SocketKey, capacity: usize) -> Result<(), Error> {
        let slot = self.touch(key)?;
        match &mut slot.outbox {
            Some(outbox) if capacity > 0 => outbox.capacity = capacity,
            Some(_) => slot.outbox = None,
            None if capacity > 0 => slot.outbox = Some(Box::new(Outbox::new(capacity))),
            None => {}
        }
        Ok(())
    }

    /// What waits in front of a socket; nothing where sends do not [queue](Self::queue_sends).
    pub fn queued(&self, key: SocketKey) -> Option<Queued> {
        let outbox = self.sockets.get(key.0)?.outbox.as_ref()?;
        Some(Queued {
            waiting: outbox.waiting,
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
            .is_some_and(|outbox| outbox.waiting > 0)
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

    /// Whether messages of a ROUTER wait for room for this peer. Others are not to wait behind them.
    fn is_holding_for(&self, peer: &[u8]) -> bool {
        self.outbox
            .as_ref()
            .is_some_and(|outbox| outbox.lanes.contains_key(peer))
    }

    fn queue(&mut self, first: Message, rest: &mut Vec<Message>) -> Result<(), Error> {
        let router = self.is_router();
        let Some(outbox) = &mut self.outbox else {
            return Err(Error::WouldBlock);
        };
        if outbox.waiting >= outbox.capacity {
            return Err(Error::QueueFull);
        }
        let lane = if router { &first[..] } else { &[] };
        let lane = outbox.lanes.entry(lane.into()).or_default();
        // The sender's buffer stays where it is, and what waits takes no more room than it needs.
        let mut frames = Vec::with_capacity(rest.len());
        frames.append(rest);
        let rest = frames;
        lane.push_back(Held { first, rest });
        outbox.waiting += 1;
        Ok(())
    }

    /// Sends what waits, as far as there is room, and reads `ZMQ_EVENTS` after it.
    pub(super) fn flush(&mut self) {
        let router = self.is_router();
        while self.is_holding() && (router || self.has_room()) {
            let Some(outbox) = &mut self.outbox else {
                return;
            };
            let before = outbox.waiting;
            let socket = &self.socket;
            outbox.flush(|first, rest| transmit(socket, first, rest));
            let stands = outbox.waiting == before;
            self.used();
            self.refresh();
            if router || stands {
                return;
            }
        }
    }
}

impl Outbox {
    fn new(capacity: usize) -> Self {
        Self {
            lanes: BTreeMap::new(),
            last: Rc::default(),
            waiting: 0,
            capacity,
            lost: 0,
        }
    }

    /// Sends of some lanes as much as is taken: of those after the last that was tried, in a circle.
    fn flush(&mut self, mut send: impl FnMut(Message, &mut Vec<Message>) -> Result<(), Unsent>) {
        for _ in 0..self.lanes.len().min(LANES_A_LOOK) {
            let behind = (Bound::Excluded(&self.last[..]), Bound::Unbounded);
            let mut next = self.lanes.range::<[u8], _>(behind);
            let Some((peer, _)) = next.next().or_else(|| self.lanes.first_key_value()) else {
                return;
            };
            self.last = Rc::clone(peer);
            self.flush_lane(&mut send);
        }
    }

    /// Sends of the last lane that was chosen as much as is taken.
    fn flush_lane(
        &mut self,
        send: &mut impl FnMut(Message, &mut Vec<Message>) -> Result<(), Unsent>,
    ) {
        let Some(lane) = self.lanes.get_mut(&self.last) else {
            return;
        };
        while let Some(held) = lane.front_mut() {
            // What is refused is dropped by the `zmq` crate.
            let first = Message::from(&held.first[..]);
            match send(first, &mut held.rest) {
                Ok(()) => {}
                Err(Unsent::Refused(Error::WouldBlock)) => return,
                Err(Unsent::Refused(error) | Unsent::Broken(error)) => {
                    self.lost += 1;
                    tracing::debug!(%error, "a message that waited is lost");
                }
            }
            lane.pop_front();
            self.waiting -= 1;
        }
        self.lanes.remove(&self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outbox in which so many messages wait for each of these peers, which are told apart by their numbers.
    fn outbox(peers: &[&str], each: u32) -> Outbox {
        let mut outbox = Outbox::new(usize::MAX);
        for number in 0..each {
            for peer in peers {
                let lane = outbox.lanes.entry(peer.as_bytes().into()).or_default();
                lane.push_back(Held {
                    first: Message::from(*peer),
                    rest: vec![Message::from(&number.to_le_bytes()[..])],
                });
                outbox.waiting += 1;
            }
        }
        outbox
    }

    #[test]
    fn a_look_tries_a_full_peer_once_and_sends_all_to_the_others() {
        let mut outbox = outbox(&["free", "full", "last"], 1_000);
        let (mut sent, mut refused) = (BTreeMap::<String, u32>::new(), 0);
        outbox.flush(|first, rest| {
            let peer = first.as_str().unwrap().to_owned();
            if peer == "full" {
                refused += 1;
                return Err(Unsent::Refused(Error::WouldBlock));
            }
            let next = sent.entry(peer).or_default();
            assert_eq!(rest[0][..], next.to_le_bytes(), "in order");
            *next += 1;
            Ok(())
        });
        assert_eq!(refused, 1);
        assert_eq!(sent.into_values().collect::<Vec<_>>(), [1_000, 1_000]);
        assert_eq!((outbox.waiting, outbox.lanes.len()), (1_000, 1));
    }

    #[test]
    fn what_cannot_be_sent_is_lost_and_the_next_is_tried() {
        let mut outbox = outbox(&["a"], 3);
        let mut fates = [
            Err(Unsent::Refused(Error::Unreachable)),
            Err(Unsent::Broken(Error::Zmq(zmq::Error::EAGAIN))),
            Err(Unsent::Refused(Error::WouldBlock)),
        ]
        .into_iter();
        outbox.flush(|_, _| fates.next().unwrap());
        assert_eq!((outbox.waiting, outbox.lost), (1, 2));
    }
    #[test]
    fn looks_go_round_a_crowd_of_full_peers() {
        let names: Vec<String> = (0..2 * LANES_A_LOOK).map(|n| n.to_string()).collect();
        let peers: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut outbox = outbox(&peers, 1);
        let mut tried = Vec::new();
        for look in 1..=2 {
            outbox.flush(|first, _| {
                tried.push(first.as_str().unwrap().to_owned());
                Err(Unsent::Refused(Error::WouldBlock))
            });
            assert_eq!(tried.len(), look * LANES_A_LOOK);
        }
        tried.sort();
        tried.dedup();
        assert_eq!(tried.len(), names.len(), "each once");
        assert_eq!(outbox.waiting, names.len());
    }
}
