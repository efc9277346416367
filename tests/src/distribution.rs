//! Distributions of what was measured.

use std::fmt;
use std::time::Duration;

/// A set of measured times.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    sorted: Vec<Duration>,
}

impl Distribution {
    /// Takes in one more.
    pub fn add(&mut self, value: Duration) {
        let place = self.sorted.partition_point(|other| *other <= value);
        self.sorted.insert(place, value);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The least value below which the given hundredth part of the others lies, at least; zero when there is none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let place = (last * percent).div_ceil(100);
        self.sorted.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |percent| self.percentile(percent).as_secs_f64() * 1e3;
        write!(
            f,
            "n={} min={:.1} median={:.1} p99={:.1} max={:.1} ms",
            self.count(),
            ms(0),
            ms(50),
            ms(99),
            ms(100)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let ms = Duration::from_millis;
        let mut five = Distribution::default();
        assert_eq!(five.percentile(50), Duration::ZERO);
        for value in [5, 1, 4, 2, 3] {
            five.add(ms(value));
        }
        let found = [0, 25, 50, 51, 90, 100].map(|percent| five.percentile(percent));
        assert_eq!(found, [1, 2, 3, 4, 5, 5].map(ms));
        assert_eq!(five.count(), 5);
    }
}
