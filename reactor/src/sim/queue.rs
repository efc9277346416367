//! What is still to come, in the order in which it comes.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::node::{HostId, LinkChange};

/// What comes to a host from outside of it.
pub(super) enum Arrival<M, I> {
    Message {
        from: HostId,
        message: M,
        sent_ns: u64,
        /// How often the link had been cut when it was sent.
        cut_count: u64,
        copy: bool,
    },
    Link {
        peer: HostId,
        change: LinkChange,
    },
    Input(I),
}

pub(super) enum Happening<M, I> {
    /// A fault of the schedule begins, or is over.
    Begin(usize),
    End(usize),
    Timer {
        host: HostId,
        stamp: u64,
    },
    Arrive {
        host: HostId,
        /// Whose it is: what was on its way to an earlier life is nobody's.
        life: u64,
        /// It was there before, and waited until the host went on.
        waited: bool,
        what: Arrival<M, I>,
    },
    Load(usize),
}

impl<M, I> Happening<M, I> {
    /// Who comes first at one moment: the timers, then what peers say, then whoever asks. It is the order of a turn
    /// of the reactor, with a host that reads what its peers said to the end before it decides on a request.
    fn rank(&self) -> u8 {
        match self {
            Happening::Begin(_) | Happening::End(_) => 0,
            Happening::Timer { .. } => 1,
            Happening::Arrive {
                what: Arrival::Message { .. } | Arrival::Link { .. },
                ..
            } => 2,
            Happening::Load(_)
            | Happening::Arrive {
                what: Arrival::Input(_),
                ..
            } => 3,
        }
    }
}

struct Entry<M, I> {
    /// Time, rank, and the order in which they were put in: no two are equal.
    key: (u64, u8, u64),
    what: Happening<M, I>,
}

impl<M, I> PartialEq for Entry<M, I> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<M, I> Eq for Entry<M, I> {}

impl<M, I> PartialOrd for Entry<M, I> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<M, I> Ord for Entry<M, I> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

pub(super) struct Queue<M, I> {
    heap: BinaryHeap<Reverse<Entry<M, I>>>,
    pushed: u64,
}

impl<M, I> Queue<M, I> {
    pub(super) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            pushed: 0,
        }
    }

    pub(super) fn push(&mut self, at_ns: u64, what: Happening<M, I>) {
        self.pushed += 1;
        let key = (at_ns, what.rank(), self.pushed);
        self.heap.push(Reverse(Entry { key, what }));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Happening<M, I>)> {
        self.heap
            .pop()
            .map(|Reverse(entry)| (entry.key.0, entry.what))
    }
}
