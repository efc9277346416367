//! A machine on which nodes live, one after the other.

use std::collections::VecDeque;

use super::clock::HostClock;
use super::node::Node;
use super::queue::Arrival;
use super::random::Random;

/// How a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its node runs.
    Up,
    /// Its node is there and does not run.
    Paused,
    /// It has no node.
    Down,
    /// Its node ended by itself, and why.
    Exited(String),
}

pub(super) struct Host<N: Node> {
    pub(super) node: Option<N>,
    /// How many nodes it has had.
    pub(super) life: u64,
    /// How many crashes and stops are in force, and how many pauses.
    pub(super) downs: u32,
    pub(super) pauses: u32,
    pub(super) exited: Option<String>,
    pub(super) clock: HostClock,
    pub(super) usual_rate_ppm: u32,
    /// The rates that faults set, with the number of each in the schedule.
    pub(super) rates: Vec<(usize, u32)>,
    /// What came while it was paused.
    pub(super) inbox: VecDeque<Arrival<N::Message, N::Input>>,
    /// The connection to each host over which this one sends.
    pub(super) connected: Vec<Option<u64>>,
    /// What the timer is set to, on this host's clock, and which setting it is.
    pub(super) timer: Option<std::time::Instant>,
    pub(super) timer_stamp: u64,
    pub(super) random: Random,
}

/// A clock shows this at the start, and up to as much more: no two hosts agree on the time.
const FIRST_LOCAL_NS: u64 = 3_600_000_000_000;

impl<N: Node> Host<N> {
    pub(super) fn new(hosts: usize, rate_ppm: u32, mut random: Random) -> Self {
        let shows_ns = FIRST_LOCAL_NS + random.below(FIRST_LOCAL_NS);
        Self {
            node: None,
            life: 0,
            downs: 0,
            pauses: 0,
            exited: None,
            clock: HostClock::new(shows_ns, rate_ppm),
            usual_rate_ppm: rate_ppm,
            rates: Vec::new(),
            inbox: VecDeque::new(),
            connected: vec![None; hosts],
            timer: None,
            timer_stamp: 0,
            random,
        }
    }

    pub(super) fn condition(&self) -> Condition {
        match (&self.exited, &self.node) {
            (Some(why), _) => Condition::Exited(why.clone()),
            (None, None) => Condition::Down,
            (None, Some(_)) if self.pauses > 0 => Condition::Paused,
            (None, Some(_)) => Condition::Up,
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.node.is_some() && self.pauses == 0
    }

    /// The last rate that was set, or the usual one.
    pub(super) fn rate_ppm(&self) -> u32 {
        self.rates
            .last()
            .map_or(self.usual_rate_ppm, |(_, ppm)| *ppm)
    }
}
