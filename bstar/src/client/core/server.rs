//! What the client knows of one server.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The link to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// None; the next attempt is due at `redial_at`.
    Down { redial_at: Instant },
    /// An attempt is under way.
    Dialling { give_up_at: Instant },
    /// It stands.
    Up,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) link: Link,
    /// The host is to end the link, or what is left of it, before it dials again.
    pub(super) hang_up_due: bool,
    /// Not to be asked before: it refused, or said nothing.
    pub(super) not_before: Instant,
    /// How often it refused by word since it last gave a reply.
    pub(super) refusals: u32,
    /// The last sign of life: an answer of any kind to this client, or the link's beginning.
    pub(super) heard: Instant,
    /// When it last gave a reply that was wanted.
    pub(super) answered_at: Option<Instant>,
    /// Requests that wait on it: when they were sent, and their sequence numbers.
    pub(super) waiting: BTreeSet<(Instant, u64)>,
}

impl Server {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            link: Link::Down { redial_at: now },
            hang_up_due: false,
            not_before: now,
            refusals: 0,
            heard: now,
            answered_at: None,
            waiting: BTreeSet::new(),
        }
    }

    pub(super) fn may_be_asked(&self, now: Instant) -> bool {
        self.link == Link::Up && self.not_before <= now
    }

    /// It refused: how long it is left alone. In a switchover both servers refuse for a moment, so
    /// it is asked again soon at first.
    pub(super) fn next_retry_pause(&mut self, longest: Duration) -> Duration {
        const DOUBLINGS: u32 = 5;
        let left = DOUBLINGS.saturating_sub(self.refusals);
        self.refusals = self.refusals.saturating_add(1);
        longest / 2_u32.pow(left)
    }

    /// When the server's silence towards its oldest request is long enough to move on.
    pub(super) fn silent_at(&self, attempt_timeout: Duration) -> Option<Instant> {
        let (since, _) = self.waiting.first()?;
        Some(self.heard.max(*since) + attempt_timeout)
    }

    pub(super) fn hang_up(&mut self, redial_at: Instant) {
        self.link = Link::Down { redial_at };
        self.hang_up_due = true;
    }
}
