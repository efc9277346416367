//! What a feed does, and when: pure, without a socket or a clock.
//!
//! ```text
//!            Ask                        handle_answer
//! ┌────────┐ ──────────────▶ ┌────────┐ ─────────────▶ changes: Add, SetTier, Drain
//! │ resting│                 │ asking │                 until the list is as it should be
//! └────────┘ ◀────────────── └────────┘
//!            after an answer its time to live, without one a pause
//! ```
//!
//! A change is worked out from what the list is, not from what the feed did before: so what was
//! left half done, or undone by somebody, comes right.

use std::time::{Duration, Instant};

use freelance::Liveness;

use super::{FeedConfig, Share};
use crate::names::cache::Known;

/// How soon the list is looked at again while it is not as it should be: while servers of old
/// wait for the new ones to stand, or a new one for its former self to go.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// No pause is shorter: at less a feed would do nothing but ask.
const LEAST: Duration = Duration::from_millis(20);
/// No pause is longer; it keeps sums of times from overflowing.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A server of the list, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) endpoint: String,
    pub(super) tier: u32,
    pub(super) liveness: Liveness,
}

/// What is to be done about the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add { endpoint: String, tier: u32 },
    SetTier { endpoint: String, tier: u32 },
    Drain { endpoint: String },
}

/// What the list should be.
#[derive(Debug)]
struct Target {
    serial: u64,
    /// With their tiers.
    servers: Vec<(String, u32)>,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Somebody is to be asked from this moment on.
    Resting(Instant),
    Asking,
}

/// A feed without its sockets.
#[derive(Debug)]
pub(super) struct Core {
    config: FeedConfig,
    phase: Phase,
    target: Option<Target>,
    /// When the list is to be looked at, if it is not known to be right.
    look_at: Option<Instant>,
}

impl Core {
    pub(super) fn new(config: FeedConfig, now: Instant) -> Self {
        Self {
            config,
            phase: Phase::Resting(now),
            target: None,
            look_at: None,
        }
    }

    /// Whether to ask now what the name stands for. If so, `handle_answer` is to follow.
    pub(super) fn poll_ask(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Resting(until) if until <= now => {
                self.phase = Phase::Asking;
                true
            }
            Phase::Resting(_) | Phase::Asking => false,
        }
    }

    /// To be asked at once, rather than when the time to live is over.
    pub(super) fn refresh(&mut self, now: Instant) {
        if let Phase::Resting(_) = self.phase {
            self.phase = Phase::Resting(now);
        }
    }

    /// What came of asking. Only a list of endpoints changes anything: that the name is unknown
    /// is more likely somebody's mistake than a wish to have no servers.
    pub(super) fn handle_answer(&mut self, answer: Option<&Known>, now: Instant) {
        let rest = match answer {
            Some(Known::Found { serial, record }) => {
                let endpoints = record.connect.iter().map(ToString::to_string);
                let servers: Vec<_> = match self.config.share {
                    Share::InOrder => endpoints.zip(0..).collect(),
                    Share::Pool => endpoints.map(|endpoint| (endpoint, 0)).collect(),
                };
                if !servers.is_empty() {
                    self.aim_at(*serial, servers, now);
                }
                record.ttl
            }
            Some(Known::Unknown { ttl, .. }) => *ttl,
            None => self.config.retry,
        };
        self.phase = Phase::Resting(now + rest.clamp(LEAST, LONGEST));
    }

    fn aim_at(&mut self, serial: u64, servers: Vec<(String, u32)>, now: Instant) {
        let before = self.target.take();
        let since = match before {
            // The patience with a change counts from its first answer.
            Some(before) if before.servers == servers => before.since,
            _ => now,
        };
        self.target = Some(Target {
            serial,
            servers,
            since,
        });
        self.look_at = Some(now);
    }

    /// Whether the list is to be looked at now; `changes` is to follow.
    pub(super) fn wants_look(&self, now: Instant) -> bool {
        self.look_at.is_some_and(|at| at <= now)
    }

    /// What makes the list what it should be, as far as that can be done now.
    ///
    /// New servers come first, and old ones go only when one of the new is live, or after the
    /// configured patience: a zone with a mistake in it must not leave a client without servers
    /// that work.
    pub(super) fn changes(&mut self, list: &[Server], now: Instant) -> Vec<Change> {
        self.look_at = None;
        let Some(target) = &self.target else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        let mut is_settled = true;
        let mut is_served = false;
        for (endpoint, tier) in &target.servers {
            match list.iter().find(|server| server.endpoint == *endpoint) {
                None => {
                    is_settled = false;
                    changes.push(Change::Add {
                        endpoint: endpoint.clone(),
                        tier: *tier,
                    });
                }
                // It was wanted no more, and is wanted again: it comes back when it has gone.
                Some(server) if server.liveness == Liveness::Draining => is_settled = false,
                Some(server) => {
                    is_served |= server.liveness == Liveness::Live;
                    if server.tier != *tier {
                        changes.push(Change::SetTier {
                            endpoint: endpoint.clone(),
                            tier: *tier,
                        });
                    }
                }
            }
        }
        let is_wanted =
            |server: &&Server| target.servers.iter().any(|(e, _)| *e == server.endpoint);
        let may_drain =
            is_served || now.saturating_duration_since(target.since) >= self.config.patience;
        for server in list.iter().filter(|server| !is_wanted(server)) {
            match server.liveness {
                Liveness::Draining => {}
                _ if may_drain => changes.push(Change::Drain {
                    endpoint: server.endpoint.clone(),
                }),
                _ => is_settled = false,
            }
        }
        if !is_settled {
            self.look_at = Some(now + LOOK_AGAIN);
        }
        changes
    }

    /// A change could not be made: it is tried again.
    pub(super) fn handle_failed(&mut self, now: Instant) {
        self.look_at = Some(now + self.config.retry.clamp(LEAST, LONGEST));
    }

    /// When something is to be done next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let ask_at = match self.phase {
            Phase::Resting(until) => Some(until),
            Phase::Asking => None,
        };
        [ask_at, self.look_at].into_iter().flatten().min()
    }

    /// The zone that the list is made after.
    pub(super) fn serial(&self) -> Option<u64> {
        self.target.as_ref().map(|target| target.serial)
    }

    /// Whether the list was as it should be when last looked at.
    pub(super) fn is_settled(&self) -> bool {
        self.target.is_some() && self.look_at.is_none()
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
