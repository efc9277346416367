//! The way from one host to another.

use std::time::Duration;

use super::ConfigError;
use super::check_span;
use super::clock::nanoseconds;
use super::random::Random;

/// What a link does to messages. A link has one direction.
///
/// While it does not let them overtake, messages arrive in the order in which they were sent, as over TCP. The shares
/// are in per mille, and whole numbers, so that they are the same everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// How many of a thousand messages are lost.
    pub loss_permille: u16,
    /// How many of a thousand messages arrive twice.
    pub duplicate_permille: u16,
    /// How long each message takes at least.
    pub delay: Duration,
    /// How much longer it may take.
    pub jitter: Duration,
    /// Whether a message that takes less may arrive before one that was sent earlier.
    pub overtake: bool,
    /// What becomes of messages that are on the way when the link is cut.
    pub in_flight: InFlight,
}

/// What becomes of messages that are on the way when the link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// They are lost, as what was sent and not acknowledged when a connection ends.
    Lost,
    /// They arrive, as what was past the place of the cut.
    Delivered,
}

impl Default for Link {
    /// In order, nothing lost, 1 ms.
    fn default() -> Self {
        Self {
            loss_permille: 0,
            duplicate_permille: 0,
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            overtake: false,
            in_flight: InFlight::Lost,
        }
    }
}

impl Link {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for share in [self.loss_permille, self.duplicate_permille] {
            if share > 1000 {
                return Err(ConfigError::Share(share));
            }
        }
        check_span(self.delay)?;
        check_span(self.jitter)
    }

    /// The worse of both in everything but `in_flight`.
    pub(super) fn worsen(&mut self, other: &Link) {
        self.loss_permille = self.loss_permille.max(other.loss_permille);
        self.duplicate_permille = self.duplicate_permille.max(other.duplicate_permille);
        self.delay = self.delay.max(other.delay);
        self.jitter = self.jitter.max(other.jitter);
        self.overtake |= other.overtake;
    }
}

/// What a link knows during a run.
pub(super) struct LinkState {
    pub(super) base: Link,
    /// The faults that are in force, with the number of each in the schedule.
    pub(super) faults: Vec<(usize, Link)>,
    /// How many cuts are in force.
    pub(super) cuts: u32,
    /// How often it was cut: what was sent before the last cut is known by it.
    pub(super) cut_count: u64,
    pub(super) random: Random,
    /// Messages on the way.
    pub(super) flying: usize,
    pub(super) last_arrival_ns: u64,
    /// When a message was last handed to the node at the end.
    pub(super) delivered_ns: Option<u64>,
    /// When the newest of those was sent that were handed to it.
    pub(super) newest_ns: u64,
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) lost: bool,
    /// When it arrives, and when a copy of it does.
    pub(super) arrives_ns: u64,
    pub(super) copy_ns: Option<u64>,
}

impl LinkState {
    pub(super) fn new(base: Link, random: Random) -> Self {
        Self {
            base,
            faults: Vec::new(),
            cuts: 0,
            cut_count: 0,
            random,
            flying: 0,
            last_arrival_ns: 0,
            delivered_ns: None,
            newest_ns: 0,
        }
    }

    /// What it does now: the worst of what it always does and of the faults in force.
    pub(super) fn now(&self) -> Link {
        let mut link = self.base.clone();
        for (_, fault) in &self.faults {
            link.worsen(fault);
        }
        link
    }

    /// Decides about one message. It always draws as many numbers, so that what becomes of a message does not depend
    /// on what became of the one before.
    pub(super) fn fate(&mut self, now_ns: u64) -> Fate {
        let link = self.now();
        let lost = self.random.happens(link.loss_permille);
        let first = self.random.up_to(link.jitter);
        let twice = self.random.happens(link.duplicate_permille);
        let second = self.random.up_to(link.jitter);
        let delay = nanoseconds(link.delay);
        if lost {
            return Fate {
                lost,
                arrives_ns: now_ns,
                copy_ns: None,
            };
        }
        let arrives_ns = self.arrival(now_ns + delay + first, &link);
        let copy_ns = twice.then(|| self.arrival(now_ns + delay + second, &link));
        Fate {
            lost,
            arrives_ns,
            copy_ns,
        }
    }

    /// A delay for what is no message: the coming and going of connections.
    pub(super) fn delay_ns(&mut self) -> u64 {
        let link = self.now();
        nanoseconds(link.delay) + self.random.up_to(link.jitter)
    }

    fn arrival(&mut self, at_ns: u64, link: &Link) -> u64 {
        let at_ns = if link.overtake {
            at_ns
        } else {
            at_ns.max(self.last_arrival_ns)
        };
        self.last_arrival_ns = self.last_arrival_ns.max(at_ns);
        at_ns
    }
}
