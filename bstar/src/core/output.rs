//! What the machine answers, and what it wants done.

use std::fmt;
use std::time::Duration;

use super::links::LinkStatus;
use super::table::{Event, Role, State};
use super::wire::{Announced, Announcement, Metadata};

/// One transition, and the rule that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The id of the row that fired.
    pub row: &'static str,
    /// The event that it fired on.
    pub cause: Event,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// The epoch that was entered, or the highest seen when this is no activation. Without a
    /// stored epoch it may have been used before: it tells logs apart, and fences nothing.
    pub epoch: u64,
    /// The epoch to fence with what the application writes, when this is an activation of a node
    /// that keeps its epochs over restarts: no activation of the pair had it before, if the peer
    /// keeps its own too.
    pub fence: Option<u64>,
}

/// Someone on the state channel who is not our peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stranger {
    /// Both nodes were given the same role.
    #[error("the peer is configured as {0} too: give one node the role primary, the other backup")]
    SameRole(Role),
    /// The peer belongs to another pair.
    #[error("the peer belongs to the pair {theirs:?}, this node to {ours:?}: check the endpoints")]
    OtherPair {
        /// The name of our pair.
        ours: String,
        /// The name that the peer gave.
        theirs: String,
    },
}

/// Why a node cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The id of the row that says so.
    pub row: &'static str,
    /// Who made it fire, if it was a stranger. Without one, the row is the Guide's.
    pub stranger: Option<Stranger>,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stranger {
            Some(stranger) => stranger.fmt(f),
            None => write!(f, "the row {} ends this node", self.row),
        }
    }
}

impl std::error::Error for Fatal {}

/// An offer of the service that the peer made: one of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    pub(super) incarnation: u64,
    pub(super) number: u64,
}

#[cfg(test)]
impl Offer {
    /// One of some peer.
    pub(crate) fn numbered(number: u64) -> Offer {
        Offer {
            incarnation: 0,
            number,
        }
    }
}

/// What the machine wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Write down that this epoch is used, before anything that follows is done. If that cannot be,
    /// this node must end: nobody was told of its activation yet.
    Persist {
        /// The epoch that is entered.
        epoch: u64,
    },
    /// Publish the state on every link.
    Publish {
        /// Frame 0: its digit.
        state: Announced,
        /// Frame 1: its text, on the links where [everyone reads it](super::Machine::reads_metadata).
        metadata: Metadata,
    },
    /// The state changed.
    Transition(Transition),
    /// The peer offers the service: can it be taken over? Answer by
    /// [`Machine::handle_offer_answer`](super::Machine::handle_offer_answer).
    Offered(Offer),
    /// What became of a switchover: `Ok` when this node has stepped back.
    SwitchoverEnded(Result<(), StepBackError>),
    /// Somebody who is not our peer speaks to us. Said once; later ones are counted.
    Stranger(Stranger),
    /// The peer's timeout differs from ours; both use the larger. Said once for a difference.
    TimeoutMismatch {
        /// Our own peer timeout.
        ours: Duration,
        /// What the peer said.
        theirs: Duration,
    },
    /// A client asks a backup that has never been paired, and cannot know whether its primary
    /// serves elsewhere: refused until it has met its primary. Said once.
    NeverPaired,
    /// A link has been silent for a peer timeout, once more: dial its state channel anew.
    Redial {
        /// Its number.
        link: usize,
    },
    /// One of two links fell silent for a peer timeout while the other was heard, or is heard
    /// again. Each is said once.
    Link {
        /// Its number.
        link: usize,
        /// Whether it is silent.
        silent: bool,
    },
    /// This node cannot go on.
    Fatal(Fatal),
}

/// The answer to a client request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a request that is refused must not be begun"]
pub enum Answer {
    /// Serve it.
    Accept,
    /// Do not.
    Refuse,
}

/// How a wish to step back begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepBack {
    /// The peer was offered the service; [`Output::SwitchoverEnded`] will tell.
    Offered,
    /// This node has stepped back.
    Done,
}

/// Why a node does not step back. It serves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepBackError {
    /// The node is not active.
    #[error("this node is {0}, and only an active one can step back")]
    NotActive(&'static str),
    /// No passive peer has been heard within the peer timeout.
    #[error("no passive peer is heard that could take over")]
    Alone,
    /// The peer declined: its application is not ready.
    #[error("the peer is not ready to take over: its log says why")]
    Vetoed,
    /// The peer has not answered the offer within the peer timeout, or
    /// [as long as it may take](super::Config::with_offer_wait).
    #[error("the peer has not answered the offer in time")]
    Unanswered,
}

/// Why a node is not promoted. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromoteError {
    /// The node serves already.
    #[error("this node is {0} already")]
    Serves(&'static str),
    /// An active peer is heard.
    #[error("the peer is heard to be active: ask it for a switchover")]
    PeerActive,
}

/// How often things happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Messages on the state channel that mean nothing.
    pub garbage: u64,
    /// Messages of someone who is not our peer.
    pub strangers: u64,
    /// Words of the peer that came after a newer one, by the other of two links.
    pub old: u64,
    /// Gaps between turns that were too long.
    pub late: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Transitions.
    pub transitions: u64,
}

/// What a client's request would do, and whether there is a peer: what changes between transitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlook {
    /// A client's request would make this node active: it stands by, and its peer is gone.
    pub vote_counts: bool,
    /// The peer was heard within the peer timeout.
    pub peer_heard: bool,
}

/// What a node knows at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Our own state.
    pub state: State,
    /// Our epoch if we are active, else the highest seen; 0 before any.
    pub epoch: u64,
    /// What the peer said last, however long ago.
    pub peer: Option<Announcement>,
    /// How long the peer has been silent, or how long ago the guard began.
    pub silence: Duration,
    /// Whether the peer was heard within the peer timeout, or the guard has not passed.
    pub fresh: bool,
    /// Whether this node takes nothing over by itself.
    pub maintenance: bool,
    /// Whether the application can serve, as far as this node was told.
    pub fit: bool,
    /// The peer timeout in force: the larger of ours and the peer's.
    pub timeout: Duration,
    /// Of each state link.
    pub links: Vec<LinkStatus>,
    /// How often things happened.
    pub counters: Counters,
}
