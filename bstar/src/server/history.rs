//! What a node went through.

#![allow(
    clippy::disallowed_types,
    reason = "the wall clock is told to people here, and asked for nothing"
)]

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use crate::core::Transition;

/// How many transitions are kept.
pub(super) const KEPT: usize = 64;

/// A transition, and when it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// What happened, by which row, and why.
    pub transition: Transition,
    /// When, by this machine's clock: for people. Nothing is decided by it.
    pub at: SystemTime,
    /// The same moment by the clock that nobody sets: for ages.
    pub since: Instant,
    /// How long the state before had lasted; since the start, for the first.
    pub lasted: Duration,
}

/// The last transitions, the oldest first.
#[derive(Debug)]
pub(super) struct History {
    records: VecDeque<Record>,
    since: Instant,
}

impl History {
    pub(super) fn new(now: Instant) -> History {
        History {
            records: VecDeque::with_capacity(KEPT),
            since: now,
        }
    }

    pub(super) fn add(&mut self, transition: Transition, now: Instant) {
        if self.records.len() == KEPT {
            self.records.pop_front();
        }
        self.records.push_back(Record {
            transition,
            at: SystemTime::now(),
            since: now,
            lasted: now.saturating_duration_since(self.since),
        });
        self.since = now;
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.records.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Config, Machine, Output, Role};

    #[test]
    fn the_oldest_go_and_each_tells_how_long_the_state_before_lasted() {
        let start = Instant::now();
        let mut machine = Machine::new(Config::new(Role::Primary), 1, start);
        machine.handle_peer(0, &["2"], start);
        let transition = std::iter::from_fn(|| machine.poll_output())
            .find_map(|output| match output {
                Output::Transition(transition) => Some(transition),
                _ => None,
            })
            .expect("it became active");
        let mut history = History::new(start);
        for second in 1..=KEPT as u64 + 3 {
            history.add(transition, start + Duration::from_secs(second * second));
        }
        let records = history.records();
        assert_eq!(records.len(), KEPT);
        // Squares are apart by the odd numbers; the first three are gone.
        let lasted: Vec<u64> = records.iter().map(|r| r.lasted.as_secs()).collect();
        let odd: Vec<u64> = (4..=KEPT as u64 + 3).map(|n| 2 * n - 1).collect();
        assert_eq!(lasted, odd);
    }
}
