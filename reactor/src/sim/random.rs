//! All that a simulation leaves to chance comes from here.
//!
//! The algorithm is xoshiro256**, seeded by SplitMix64 as its authors specify, and the ranges are derived below, so
//! that a seed means the same on every platform and with every version of whatever this crate depends on.

use std::time::Duration;

use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro256StarStar};

/// Whose chance it is. Each has a stream of its own: a message more on one link changes nothing on another, so that
/// a schedule from which a fault was taken leaves as much as possible as it was.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Plan,
    Link(usize),
    Load(usize),
    Host(usize),
    Fuzz,
}

pub(super) struct Random(Xoshiro256StarStar);

impl Random {
    pub(super) fn new(seed: u64, stream: Stream) -> Self {
        let stream = match stream {
            Stream::Plan => 0,
            Stream::Link(n) => (1 << 32) | n as u64,
            Stream::Load(n) => (2 << 32) | n as u64,
            Stream::Host(n) => (3 << 32) | n as u64,
            Stream::Fuzz => 4 << 32,
        };
        let seed = SplitMix64::seed_from_u64(seed).next_u64();
        let stream = SplitMix64::seed_from_u64(stream).next_u64();
        Self(Xoshiro256StarStar::seed_from_u64(seed ^ stream))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 if that is 0. It is drawn from 64 bits in one step: for the ranges here the deviation
    /// from even shares cannot be seen, and every call takes one number from the stream.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end);
        // The upper half of a product with `end` is below `end`.
        (product >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    pub(super) fn happens(&mut self, permille: u16) -> bool {
        self.below(1000) < u64::from(permille)
    }

    /// A time from zero to `longest`, in whole nanoseconds.
    pub(super) fn up_to(&mut self, longest: Duration) -> u64 {
        self.between(0, super::clock::nanoseconds(longest))
    }

    /// An index into weights, each as likely as it is heavy.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
        let total: u64 = weights.clone().map(u64::from).sum();
        let mut left = self.below(total);
        for (at, weight) in weights.enumerate() {
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => return Some(at),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        // If this fails, seeds that were noted down no longer replay what they did.
        let mut random = Random::new(1, Stream::Plan);
        let drawn = [random.next(), random.next(), random.below(1000)];
        assert_eq!(
            drawn,
            [474_395_863_859_787_262, 12_088_038_987_844_520_484, 541]
        );
        let mut other = Random::new(1, Stream::Link(0));
        assert_ne!(other.next(), drawn[0]);
    }

    #[test]
    fn ranges_hold_and_are_reached() {
        let mut random = Random::new(7, Stream::Load(3));
        let mut seen = [0_u32; 5];
        for _ in 0..1000 {
            seen[random.between(2, 6) as usize - 2] += 1;
        }
        assert!(
            seen.iter().all(|times| (150..250).contains(times)),
            "{seen:?}"
        );
        assert_eq!(random.below(0), 0);
        assert!(!random.happens(0) && random.happens(1000));
    }

    #[test]
    fn weights_weigh() {
        let mut random = Random::new(7, Stream::Plan);
        let mut seen = [0_u32; 3];
        for _ in 0..1000 {
            seen[random.weighted([1, 0, 3].into_iter()).unwrap()] += 1;
        }
        assert!(seen[1] == 0 && (200..300).contains(&seen[0]), "{seen:?}");
        assert_eq!(random.weighted([0, 0].into_iter()), None);
    }
}
