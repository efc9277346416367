//! What was observed: by the real reactor it is written down, by the model it is foretold.

/// Times are in milliseconds since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A handler was called.
    Event { now: i64, event: Event },
    /// What an operation or a registration answered.
    Answer(Answer),
    /// A turn ended, and whoever drives the reactor was asked whether to go on.
    TurnEnd { clock: i64 },
    /// A step of the program ended.
    StepEnd {
        clock: i64,
        /// The source whose error ended it.
        failed: Option<usize>,
        stopping: bool,
        /// Sources, sockets, descriptors, timers, tickets.
        counts: [usize; 5],
    },
}

/// Things are named by their number among those of their kind, in the order of registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Socket {
        socket: usize,
        readable: bool,
        writable: bool,
    },
    Timer {
        timer: usize,
        deadline: i64,
    },
    Ticket {
        ticket: usize,
        class: usize,
    },
    Hook {
        hook: usize,
    },
    Notified {
        source: usize,
    },
    Stopping {
        source: usize,
    },
    Post {
        post: usize,
    },
    Deferred {
        deferred: usize,
    },
    Item {
        channel: usize,
        item: Option<u32>,
    },
    Removal {
        source: usize,
    },
}

impl Event {
    /// The first word of how it prints.
    pub(crate) fn name(&self) -> String {
        let text = format!("{self:?}");
        text.split(' ').next().unwrap_or_default().to_owned()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// There was nobody to do it to.
    Nobody,
    Was(bool),
    Stale,
    Full,
    Closed,
    At(Option<i64>),
    Received(Option<u32>),
    /// A socket was handed back, and this waited on it.
    Returned(Option<Vec<u32>>),
    /// What no operation should answer.
    Unforeseen(String),
}
