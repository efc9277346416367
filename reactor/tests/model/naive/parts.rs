//! What the model knows of each thing that was registered.

use std::collections::VecDeque;

use reactor::{ErrorPolicy, Interest, Missed};

use crate::program::Then;

pub(super) struct SourceModel {
    pub(super) alive: bool,
    /// It ends with the one thing it owns.
    pub(super) plain: bool,
    pub(super) policy: ErrorPolicy,
    /// What an actor does when it is called for itself.
    pub(super) actor: Option<u8>,
}

pub(super) struct SocketModel {
    pub(super) alive: bool,
    pub(super) source: usize,
    pub(super) interest: Interest,
    pub(super) reads: u8,
    pub(super) script: u8,
    pub(super) calls: u32,
    pub(super) waiting: VecDeque<u32>,
    /// It was ready when the turn began and ever since, and was not served: this turn has to.
    pub(super) must: bool,
    /// It was readable when the turn began and ever since.
    pub(super) readable: bool,
    /// It was ready at some moment since its last call, so that it may have a place among those to be served.
    pub(super) was_ready: bool,
    /// It had such a place before any socket was served: this turn may call it.
    pub(super) may: bool,
    pub(super) served: bool,
    /// It was left over by the turn before, since something came due: it comes before the others.
    pub(super) first: bool,
    /// As it was ready only in the middle of that turn, it may have been left over.
    pub(super) may_be_first: bool,
    /// What its handler took in this turn, and how often it took nothing.
    pub(super) taken: usize,
    pub(super) idle: usize,
}

impl SocketModel {
    pub(super) fn is_readable(&self) -> bool {
        self.alive && self.interest.is_read() && !self.waiting.is_empty()
    }

    /// There is always room.
    pub(super) fn is_ready(&self) -> bool {
        self.is_readable() || self.alive && self.interest.is_write()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Armed(i64),
    /// It was due when this turn came to the timers, and waits for its call.
    Due(i64),
    Running,
}

pub(super) enum Kind {
    Owned,
    Once { then: Then, left: u8 },
    Interval { period: i64, missed: Missed },
}

pub(super) struct TimerModel {
    pub(super) alive: bool,
    pub(super) source: usize,
    pub(super) script: u8,
    pub(super) when: When,
    pub(super) kind: Kind,
}

pub(super) struct ClassModel {
    pub(super) alive: bool,
    pub(super) source: usize,
    pub(super) delay: i64,
    pub(super) script: u8,
}

pub(super) struct TicketModel {
    pub(super) alive: bool,
    pub(super) class: usize,
    pub(super) when: When,
    /// Counts issues and resets: in a class, the earlier comes first.
    pub(super) order: usize,
}

pub(super) struct HookModel {
    pub(super) alive: bool,
    pub(super) source: usize,
    pub(super) script: u8,
}

pub(super) struct ChannelModel {
    pub(super) source: usize,
    pub(super) capacity: usize,
    pub(super) script: u8,
    pub(super) waiting: VecDeque<u32>,
    pub(super) has_sender: bool,
    /// How many calls it has to get in this turn: for what was there when the turn came to the channels.
    pub(super) owed: usize,
    /// Its handler runs.
    pub(super) running: bool,
}
