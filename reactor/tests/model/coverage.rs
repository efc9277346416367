//! What the programs did, so that the test cannot quietly stop testing.

use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Coverage {
    pub(crate) programs: u64,
    /// By name: how often from outside, how often from inside a handler.
    ops: BTreeMap<String, [u64; 2]>,
    events: BTreeMap<String, u64>,
    special: BTreeMap<&'static str, u64>,
}

/// Situations that are easily got wrong, each of which has to have happened.
pub(crate) const SPECIAL: [&str; 21] = [
    "a due timer was cancelled",
    "a due timer was moved",
    "a running timer was cancelled",
    "a running timer was moved",
    "a due ticket was cancelled",
    "a due ticket was reset",
    "a running ticket was cancelled",
    "a running ticket was reset",
    "a class with due tickets was removed",
    "a ready socket was removed before its call",
    "a ready socket was paused before its call",
    "a ready socket was drained before its call",
    "a running source was removed",
    "a notified source was removed before its call",
    "a stale key was used",
    "timers or tickets were due at the same moment",
    "a socket was left with messages by its budget",
    "a ready socket waited for what came due",
    "a channel was left with items by its budget",
    "the clock went on during a turn",
    "a handler that had removed itself failed",
];

impl Coverage {
    pub(crate) fn op(&mut self, name: String, inside: bool) {
        self.ops.entry(name).or_default()[usize::from(inside)] += 1;
    }

    pub(crate) fn event(&mut self, name: String) {
        *self.events.entry(name).or_default() += 1;
    }

    pub(crate) fn special(&mut self, name: &'static str) {
        assert!(SPECIAL.contains(&name), "{name} is on no list");
        *self.special.entry(name).or_default() += 1;
    }

    pub(crate) fn print(&self) {
        println!("{} programs", self.programs);
        for (name, [outside, inside]) in &self.ops {
            println!("{name:>16}: {outside:>8} from outside, {inside:>8} from inside a handler");
        }
        for (name, count) in &self.events {
            println!("{name:>16}: {count:>8} calls");
        }
        for (name, count) in &self.special {
            println!("{count:>8} times {name}");
        }
    }

    /// Fails where anything that programs consist of did not happen.
    pub(crate) fn assert_complete(&self) {
        assert_eq!(self.ops.len(), 34, "every operation");
        for (name, counts) in &self.ops {
            assert!(counts.iter().all(|count| *count > 0), "{name}: {counts:?}");
        }
        assert_eq!(self.events.len(), 10, "every event");
        for name in SPECIAL {
            assert!(self.special.contains_key(name), "it never happened: {name}");
        }
    }
}
