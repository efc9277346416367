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

    /// The value below which the given hundredth part lies; zero when there is none.
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
