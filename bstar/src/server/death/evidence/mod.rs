//! What has to come together to prove that the peer's process is gone: pure, no socket, no clock.
//!
//! ```text
//!   on every link: the connection     round, pause, round      grace, then the same again
//!   was lost, and the peer's own      (every port refuses)     (not without a grace)
//!   subscription ended
//!  ─────────▶ Asking ◀───────▶ Resting ────────────────────────────────▶ Proved
//!                                 │
//!                                 └─ another answer, a word, a pause of ours: all rounds anew
//! ```
//!
//! Feed it what happens, then drain [`Evidence::poll`], and call [`Evidence::handle_timeout`] at
//! [`Evidence::next_deadline`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between two rounds: what is about to listen again has a moment to do so.
pub(super) const PAUSE: Duration = Duration::from_millis(5);
/// After the first attempt that failed, and then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// Attempts at one proof. Long before the last the peer counts as silent, as a rule.
const MAX_ATTEMPTS: u32 = 32;

/// What is known of one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was never open, or it cannot be told how it ended.
    Unknown,
    Open,
    /// It was open, and the other side ended it.
    Closed,
}

/// What happened to our connection to the peer's state endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The peer speaks.
    Up,
    /// What stood is gone.
    Lost,
    /// We ended it, or somebody listens there and does not speak yet.
    Unclear,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Connect to every port of the peer, and forget what was begun before.
    Ask,
    /// The peer is dead.
    Proved,
    /// It is not, as far as is known now.
    Withdrawn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Something of the peer is open, or was never seen.
    Watching,
    /// So many rounds were refused, and the next is for then.
    Resting {
        refused: u32,
        until: Instant,
    },
    Asking {
        refused: u32,
    },
    Proved,
    /// Too many attempts failed: the peer's silence decides.
    GivenUp,
}

/// The evidence against the peer.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Of each link: our connection to the peer, and its to us.
    links: Vec<[End; 2]>,
    grace: Duration,
    phase: Phase,
    /// How many failed, since the evidence was complete.
    attempts: u32,
    orders: VecDeque<Order>,
}

impl Evidence {
    /// Nothing is known of so many links.
    pub(super) fn new(links: usize, grace: Duration) -> Evidence {
        Evidence {
            links: vec![[End::Unknown; 2]; links],
            grace,
            phase: Phase::Watching,
            attempts: 0,
            orders: VecDeque::new(),
        }
    }

    /// Our connection to the peer changed.
    pub(super) fn handle_link(&mut self, link: usize, change: Change, now: Instant) {
        let ours = &mut self.links[link][0];
        *ours = match (change, *ours) {
            (Change::Up, _) => End::Open,
            (Change::Lost, End::Open | End::Closed) => End::Closed,
            (Change::Lost, End::Unknown) | (Change::Unclear, _) => End::Unknown,
        };
        self.review(now);
    }

    /// Whether anybody listens to us.
    pub(super) fn handle_listeners(&mut self, link: usize, any: bool, now: Instant) {
        let theirs = &mut self.links[link][1];
        *theirs = match (any, *theirs) {
            (true, _) => End::Open,
            (false, End::Open | End::Closed) => End::Closed,
            (false, End::Unknown) => End::Unknown,
        };
        self.review(now);
    }

    /// A word of the peer came. It may have been on the way before the end.
    pub(super) fn handle_word(&mut self, link: usize, now: Instant) {
        let ours = &mut self.links[link][0];
        if *ours == End::Unknown {
            *ours = End::Open;
        }
        self.fail(now);
        self.review(now);
    }

    /// We did not run for a while.
    pub(super) fn handle_pause(&mut self, now: Instant) {
        self.fail(now);
    }

    /// Every port answered to a round, each by a refusal or not; or one did not answer.
    pub(super) fn handle_round(&mut self, all_refused: bool, now: Instant) {
        let Phase::Asking { refused } = self.phase else {
            return;
        };
        if !all_refused {
            self.fail(now);
            return;
        }
        let refused = refused + 1;
        let rest = match refused {
            2 if self.grace.is_zero() => None,
            2 => Some(self.grace),
            4 => None,
            _ => Some(PAUSE),
        };
        match rest {
            Some(rest) => {
                let until = now + rest;
                self.phase = Phase::Resting { refused, until };
            }
            None => {
                self.phase = Phase::Proved;
                self.orders.push_back(Order::Proved);
            }
        }
    }

    /// Time passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Resting { refused, until } = self.phase
            && now >= until
        {
            self.ask(refused);
        }
    }

    /// When [`Evidence::handle_timeout`] is due, if it is.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Resting { until, .. } => Some(until),
            Phase::Watching | Phase::Asking { .. } | Phase::Proved | Phase::GivenUp => None,
        }
    }

    /// What is to be done next.
    pub(super) fn poll(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    pub(super) fn is_proved(&self) -> bool {
        self.phase == Phase::Proved
    }

    fn ask(&mut self, refused: u32) {
        self.phase = Phase::Asking { refused };
        self.orders.push_back(Order::Ask);
    }

    /// Begins, or ends, by what is open.
    fn review(&mut self, now: Instant) {
        let complete = self.links.iter().flatten().all(|end| *end == End::Closed);
        if !complete {
            self.withdraw();
            self.attempts = 0;
            self.phase = Phase::Watching;
        } else if self.phase == Phase::Watching {
            let until = now;
            self.phase = Phase::Resting { refused: 0, until };
            self.handle_timeout(now);
        }
    }

    /// What was gathered by asking counts no more.
    fn fail(&mut self, now: Instant) {
        self.withdraw();
        if let Phase::Watching | Phase::GivenUp = self.phase {
            return;
        }
        self.attempts += 1;
        self.phase = if self.attempts < MAX_ATTEMPTS {
            // The sum stays below the longest.
            let wait = FIRST_RETRY * 2_u32.pow((self.attempts - 1).min(7));
            Phase::Resting {
                refused: 0,
                until: now + wait.min(LONGEST_RETRY),
            }
        } else {
            Phase::GivenUp
        };
    }

    fn withdraw(&mut self) {
        if self.phase == Phase::Proved {
            self.orders.push_back(Order::Withdrawn);
        }
    }
}

#[cfg(test)]
mod tests;
