//! What a simulation runs.

use std::fmt;
use std::time::Instant;

/// The number of a host: its place in the list of names.
pub type HostId = usize;

/// A pure core: inputs come in with the time, outputs are drained.
///
/// It has no socket, no clock, no thread and no chance of its own: what it knows it was handed. The time that it is
/// handed is its host's, which may run fast, slow, or jump forward, and never goes back.
pub trait Node {
    /// What hosts send to each other. The timeline shows it.
    type Message: Clone + fmt::Display;
    /// What comes from outside: a client's request, an operator's wish. A schedule shows it, so that its `Debug` form
    /// should be what a test can be written with.
    type Input: Clone + fmt::Debug;

    /// A message arrived.
    fn handle_message(&mut self, from: HostId, message: Self::Message, now: Instant);

    /// Somebody outside wants something.
    fn handle_input(&mut self, input: Self::Input, now: Instant);

    /// The deadline has passed. It may come late: by the timer's slack, and by any pause of the host.
    fn handle_timeout(&mut self, now: Instant);

    /// When [`Node::handle_timeout`] is due, if ever. Asked after each call.
    fn next_deadline(&self) -> Option<Instant>;

    /// A connection to a peer came up or went down.
    fn handle_link(&mut self, peer: HostId, change: LinkChange, now: Instant) {
        let _ = (peer, change, now);
    }

    /// Told to end in good order, as by SIGTERM. What it still sends is sent; then it is gone.
    fn handle_stop(&mut self, now: Instant) {
        let _ = now;
    }

    /// What is to be done next; `None` when all is done. Drained after each call above, and after the start.
    fn poll_output(&mut self) -> Option<Output<Self::Message>>;
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<M> {
    /// Send this.
    Send {
        /// To this host.
        to: HostId,
        /// What it gets.
        message: M,
    },
    /// A line for the timeline.
    Note(String),
    /// The node ends by itself, and why. Nothing starts it again.
    Exit(String),
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// It is there; what is sent from now on goes over it.
    Up {
        /// Its number, of which no two connections of a run share one.
        connection: u64,
    },
    /// It is known to be gone. A new one may have come up before the old one is known to be gone.
    Down {
        /// The number that it had.
        connection: u64,
    },
}

/// One life of a host: what a restarted node needs to differ from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Whose.
    pub host: HostId,
    /// 1 for the first, 2 after a restart, and so on.
    pub number: u64,
    /// Drawn for this life, for a core that needs a random number at its start.
    pub random: u64,
}
