//! What the client knows of one server.

use std::time::{Duration, Instant};

use super::health::Health;
use super::rest::Rest;
use super::{Liveness, ServerId, ServerStats};
use crate::{Config, Model};

/// The link to a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    /// None; the next attempt is due at `redial_at`.
    Down { redial_at: Instant },
    /// An attempt is under way.
    Dialling { give_up_at: Instant },
    /// It stands.
    Up(Up),
}

/// A link that stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Up {
    /// The last sign of life, or else the moment from which on one could be expected.
    pub(super) heard_at: Instant,
    /// Nothing was heard for so long that nothing is sent to it while others are there.
    pub(super) suspect: bool,
    pub(super) reach: Reach,
}

/// Whether what is sent gets to the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    /// A link is enough (models 1 and 2).
    Given,
    /// The ROUTER has not let anything through to this identity yet (model 3).
    Sought {
        since: Instant,
        ping_at: Instant,
        /// How long after a PING that failed the next is tried.
        pause: Duration,
        name: Name,
    },
    /// A message got through (model 3); if nothing is heard, the next PING is due at `ping_at`.
    Found { ping_at: Instant },
}

/// Whether the server was asked for its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    NotAsked,
    Due,
    Asked { give_up_at: Instant },
}

/// The first pause between PINGs to an identity that the ROUTER has not seen yet, right after the handshake.
pub(super) const FIRST_PING_PAUSE: Duration = Duration::from_millis(1);

impl Reach {
    pub(super) fn sought(since: Instant, ping_at: Instant) -> Self {
        Reach::Sought {
            since,
            ping_at,
            pause: FIRST_PING_PAUSE,
            name: Name::NotAsked,
        }
    }
}

/// The oldest copy for whose answer nobody waits any more, though there was still time, and since which the server
/// answered nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    pub(super) since: Instant,
    pub(super) sequence: u64,
}

/// Counters of one server.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) attempts: u64,
    pub(super) replies: u64,
    pub(super) failures: u64,
    pub(super) hedges_won: u64,
    pub(super) late: u64,
    pub(super) ejected: u64,
    pub(super) links: u64,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) id: ServerId,
    pub(super) endpoint: String,
    pub(super) tier: u32,
    pub(super) link: Link,
    /// No attempt at a link has come to its end yet.
    pub(super) novel: bool,
    /// Gets nothing new.
    pub(super) draining: bool,
    pub(super) health: Health,
    /// Hedges in a row that were answered before it answered the first copy.
    pub(super) outrun: u32,
    /// Ejections in a row, which decide how long the next one is.
    pub(super) level: u32,
    /// It refused, or could not take something: it is left alone.
    pub(super) rest: Rest,
    /// It tells who is dead also where requests end before the attempt timeout.
    pub(super) owes: Option<Owed>,
    /// The last link ended with something unanswered.
    pub(super) left_unanswered: bool,
    pub(super) redial_pause: Duration,
    /// Copies of requests under way that it may still answer.
    pub(super) outstanding: usize,
    pub(super) round_trip: Option<Duration>,
    pub(super) misnamed: Option<String>,
    pub(super) misnamed_told: bool,
    /// What the application was told last.
    pub(super) told: Liveness,
    pub(super) counts: Counts,
}

impl Server {
    pub(super) fn new(
        id: ServerId,
        endpoint: String,
        tier: u32,
        config: &Config,
        now: Instant,
    ) -> Self {
        Self {
            id,
            endpoint,
            tier,
            link: Link::Down { redial_at: now },
            novel: true,
            draining: false,
            health: Health::Well { failures: 0 },
            level: 0,
            outrun: 0,
            rest: Rest::default(),
            owes: None,
            left_unanswered: false,
            redial_pause: config.redial_pause,
            outstanding: 0,
            round_trip: None,
            misnamed: None,
            misnamed_told: false,
            told: Liveness::Unknown,
            counts: Counts::default(),
        }
    }

    pub(super) fn liveness(&self) -> Liveness {
        if self.draining {
            return Liveness::Draining;
        }
        match self.link {
            Link::Down { .. } | Link::Dialling { .. } if self.novel => Liveness::Unknown,
            Link::Down { .. } | Link::Dialling { .. } => Liveness::Connecting,
            Link::Up(up) => match (up.reach, self.health) {
                (Reach::Sought { .. }, _) => Liveness::Connecting,
                (Reach::Given | Reach::Found { .. }, Health::Well { .. }) if up.suspect => {
                    Liveness::Suspect
                }
                (Reach::Given | Reach::Found { .. }, Health::Well { .. }) => Liveness::Live,
                (
                    Reach::Given | Reach::Found { .. },
                    Health::Ejected { .. } | Health::ProbeDue { .. } | Health::Probing { .. },
                ) => Liveness::Ejected,
            },
        }
    }

    /// Whether what is sent now would get there, and be welcome.
    pub(super) fn is_reachable(&self) -> bool {
        let reached = matches!(
            self.link,
            Link::Up(Up {
                reach: Reach::Given | Reach::Found { .. },
                ..
            })
        );
        reached && !self.draining
    }

    fn is_suspect(&self) -> bool {
        matches!(self.link, Link::Up(Up { suspect: true, .. }))
    }

    pub(super) fn is_fit(&self) -> bool {
        matches!(self.health, Health::Well { .. }) && !self.is_suspect()
    }

    pub(super) fn is_probe_due(&self) -> bool {
        matches!(self.health, Health::ProbeDue { .. }) && !self.is_suspect()
    }

    /// A word of it is a sign of life, whatever it says.
    pub(super) fn heard(&mut self, config: &Config, now: Instant) {
        self.redial_pause = config.redial_pause;
        self.misnamed = None;
        self.misnamed_told = false;
        if let Link::Up(up) = &mut self.link {
            up.heard_at = now;
            up.suspect = false;
            up.reach = match up.reach {
                Reach::Given => Reach::Given,
                Reach::Sought { .. } | Reach::Found { .. } => Reach::Found {
                    ping_at: now + config.ping_interval,
                },
            };
        }
    }

    /// An eighth of each new one, as TCP has it.
    pub(super) fn note_round_trip(&mut self, time: Duration) {
        self.round_trip = Some(match self.round_trip {
            None => time,
            Some(smoothed) => smoothed - smoothed / 8 + time / 8,
        });
    }

    /// When time alone changes something about it. `queued`: whether a request waits to be sent.
    pub(super) fn next_deadline(&self, config: &Config, queued: bool) -> Option<Instant> {
        let link = match self.link {
            Link::Down { redial_at } => Some(redial_at),
            Link::Dialling { give_up_at } => Some(give_up_at),
            Link::Up(up) => up.next_deadline(config),
        };
        let health = match self.health {
            Health::Well { .. } => None,
            Health::Ejected { until, .. } => Some(until),
            Health::ProbeDue { lapse_at, .. } => Some(lapse_at),
            Health::Probing { give_up_at, .. } => Some(give_up_at),
        };
        let owed = self.owes.map(|owed| owed.since + config.attempt_timeout);
        let rest = self.rest.until().filter(|_| queued);
        [link, health, owed, rest].into_iter().flatten().min()
    }

    pub(super) fn stats(&self) -> ServerStats {
        let counts = self.counts;
        ServerStats {
            server: self.id,
            endpoint: self.endpoint.clone(),
            tier: self.tier,
            liveness: self.liveness(),
            misnamed: self.misnamed.clone(),
            round_trip: self.round_trip,
            outstanding: self.outstanding,
            attempts: counts.attempts,
            replies: counts.replies,
            failures: counts.failures,
            hedges_won: counts.hedges_won,
            late: counts.late,
            ejected: counts.ejected,
            links: counts.links,
        }
    }
}

impl Up {
    fn next_deadline(&self, config: &Config) -> Option<Instant> {
        match self.reach {
            Reach::Given => None,
            Reach::Sought {
                since,
                ping_at,
                name,
                ..
            } => Some(match name {
                Name::NotAsked => ping_at.min(since + name_patience(config)),
                Name::Due => ping_at,
                Name::Asked { give_up_at } => ping_at.min(give_up_at),
            }),
            Reach::Found { ping_at } => Some(ping_at.min(self.silent_at(config))),
        }
    }

    /// When its silence has the next consequence.
    pub(super) fn silent_at(&self, config: &Config) -> Instant {
        let times = if self.suspect { 2 } else { 1 };
        self.heard_at + config.suspect_after() * times
    }
}

/// How long nothing may get through before the server is asked for its name.
pub(super) fn name_patience(config: &Config) -> Duration {
    debug_assert!(config.model == Model::Three);
    config.dial_timeout.min(Duration::from_millis(500))
}
