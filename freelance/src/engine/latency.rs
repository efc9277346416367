//! How long the latest requests took.

use std::time::Duration;

/// Replies that one half holds; with the other full half beside it, between this many and twice as many count.
const HALF: u32 = 512;
/// Fewer say nothing about a percentile.
const ENOUGH: u32 = 20;
/// Replies after which the percentile is looked up anew.
const REFRESH: u32 = 16;
/// Steps within each power of two: what is read is at most a sixteenth too long.
const STEPS_LOG2: u32 = 4;
const STEPS: usize = 1 << STEPS_LOG2;
const BUCKETS: usize = (64 - STEPS_LOG2 as usize + 1) * STEPS;

/// A histogram in two halves: the new one fills, then takes the place of the old one. So what is long past does not
/// count, without a list of the latest.
#[derive(Debug)]
pub(super) struct Latencies {
    percentile: f64,
    new: Half,
    old: Half,
    found: Option<Duration>,
}

#[derive(Debug)]
struct Half {
    counts: Vec<u32>,
    total: u32,
}

impl Half {
    fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }
}

impl Latencies {
    pub(super) fn new(percentile: f64) -> Self {
        Self {
            percentile,
            new: Half::new(),
            old: Half::new(),
            found: None,
        }
    }

    pub(super) fn record(&mut self, time: Duration) {
        if self.new.total == HALF {
            std::mem::swap(&mut self.new, &mut self.old);
            self.new.counts.fill(0);
            self.new.total = 0;
        }
        self.new.counts[bucket(time)] += 1;
        self.new.total += 1;
        let total = self.new.total + self.old.total;
        if total == ENOUGH || (total > ENOUGH && self.new.total.is_multiple_of(REFRESH)) {
            self.found = Some(self.look_up(total));
        }
    }

    /// What the configured share of the latest requests did not exceed; none before there are enough.
    pub(super) fn percentile(&self) -> Option<Duration> {
        self.found
    }

    fn look_up(&self, total: u32) -> Duration {
        let wanted = (f64::from(total) * self.percentile).ceil() as u32;
        let mut seen = 0;
        let counts = self.new.counts.iter().zip(&self.old.counts);
        let index = counts
            .map(|(new, old)| new + old)
            .position(|count| {
                seen += count;
                seen >= wanted
            })
            .unwrap_or(BUCKETS - 1);
        upper_end(index)
    }
}

/// Nanoseconds below `STEPS` have a bucket each; above, each power of two is divided into `STEPS`.
fn bucket(time: Duration) -> usize {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    if nanoseconds < STEPS as u64 {
        return nanoseconds as usize;
    }
    let shift = nanoseconds.ilog2() - STEPS_LOG2;
    let step = (nanoseconds >> shift) as usize - STEPS;
    (shift as usize + 1) * STEPS + step
}

/// The longest time in a bucket.
fn upper_end(index: usize) -> Duration {
    if index < STEPS {
        return Duration::from_nanos(index as u64);
    }
    let shift = index / STEPS - 1;
    let step = (index % STEPS + STEPS) as u64;
    let below = u128::from(step + 1) << shift;
    Duration::from_nanos(u64::try_from(below - 1).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_lies_in_its_bucket() {
        let times = (0..64).flat_map(|bit| {
            [
                1u64 << bit,
                (1u64 << bit) - 1,
                (1u64 << bit) + (1u64 << bit >> 1),
            ]
        });
        for nanoseconds in times.chain([u64::MAX]) {
            let time = Duration::from_nanos(nanoseconds);
            let index = bucket(time);
            let end = upper_end(index);
            assert!(end >= time, "{time:?} {end:?}");
            assert!(
                end.as_nanos() <= time.as_nanos() * 17 / 16 + 1,
                "{time:?} {end:?}"
            );
            assert!(index == 0 || upper_end(index - 1) < time);
        }
        assert!(bucket(Duration::MAX) < BUCKETS);
    }

    #[test]
    fn twenty_are_enough_and_nineteen_are_not() {
        let mut latencies = Latencies::new(0.95);
        for _ in 0..19 {
            latencies.record(Duration::from_millis(1));
            assert_eq!(latencies.percentile(), None);
        }
        latencies.record(Duration::from_millis(1));
        assert!(latencies.percentile().is_some());
    }

    #[test]
    fn the_percentile_is_that_of_the_latest() {
        let mut latencies = Latencies::new(0.95);
        for index in 0..1000 {
            let slow = index % 100 < 10;
            latencies.record(Duration::from_millis(if slow { 100 } else { 1 }));
        }
        let found = latencies.percentile().unwrap();
        assert!(found >= Duration::from_millis(100), "{found:?}");
        for _ in 0..2 * HALF {
            latencies.record(Duration::from_millis(2));
        }
        let found = latencies.percentile().unwrap();
        assert!(found >= Duration::from_millis(2), "{found:?}");
        assert!(found < Duration::from_millis(3), "{found:?}");
    }
}
