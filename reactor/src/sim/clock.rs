//! A host's own clock: it may run fast or slow, and jump forward.
//!
//! It never goes back, as the monotonic clocks that it stands for never do: a core that is handed an earlier time than
//! before would be shown what cannot happen.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// What an [`Instant`] is counted from. It cannot be made but by reading a clock, once in a process; nodes only ever
/// see differences, so that nothing depends on it.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Parts per million of a clock that runs right.
pub(super) const RIGHT_PPM: u32 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct HostClock {
    /// The true time at which this clock showed `base_local_ns`.
    base_ns: u64,
    base_local_ns: u64,
    rate_ppm: u32,
}

impl HostClock {
    pub(super) fn new(shows_ns: u64, rate_ppm: u32) -> Self {
        Self {
            base_ns: 0,
            base_local_ns: shows_ns,
            rate_ppm,
        }
    }

    /// What it shows at a true time, which must not be before the last change.
    pub(super) fn local_ns(&self, true_ns: u64) -> u64 {
        let passed = u128::from(true_ns - self.base_ns) * u128::from(self.rate_ppm);
        // Simulated time is bounded to days, so that it fits.
        self.base_local_ns + (passed / u128::from(RIGHT_PPM)) as u64
    }

    /// The first true time at which it shows `local_ns`, or the last change if that has passed.
    pub(super) fn true_ns(&self, local_ns: u64) -> u64 {
        let to_pass = u128::from(local_ns.saturating_sub(self.base_local_ns));
        let passed = (to_pass * u128::from(RIGHT_PPM)).div_ceil(u128::from(self.rate_ppm));
        self.base_ns
            .saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    pub(super) fn instant(&self, true_ns: u64) -> Instant {
        *ORIGIN + Duration::from_nanos(self.local_ns(true_ns))
    }

    /// When it will show `deadline`.
    pub(super) fn when(&self, deadline: Instant) -> u64 {
        self.true_ns(nanoseconds(deadline.saturating_duration_since(*ORIGIN)))
    }

    pub(super) fn set_rate(&mut self, true_ns: u64, rate_ppm: u32) {
        *self = Self {
            base_ns: true_ns,
            base_local_ns: self.local_ns(true_ns),
            rate_ppm,
        };
    }

    pub(super) fn step(&mut self, true_ns: u64, by: Duration) {
        self.set_rate(true_ns, self.rate_ppm);
        self.base_local_ns += nanoseconds(by);
    }
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn runs_as_fast_as_it_was_told() {
        let mut clock = HostClock::new(100, 500_000);
        assert_eq!(clock.local_ns(2 * SECOND), SECOND + 100);
        clock.set_rate(2 * SECOND, 2_000_000);
        assert_eq!(clock.local_ns(3 * SECOND), 3 * SECOND + 100);
    }

    #[test]
    fn never_goes_back() {
        let mut clock = HostClock::new(0, 1_010_000);
        let mut last = 0;
        for ms in 1..1000 {
            let now = ms * 1_000_003;
            assert!(clock.local_ns(now) >= last);
            last = clock.local_ns(now);
            match ms % 3 {
                0 => clock.set_rate(now, 990_000),
                1 => clock.set_rate(now, 1_010_000),
                _ => clock.step(now, Duration::from_nanos(ms)),
            }
            assert!(clock.local_ns(now) >= last);
        }
    }

    #[test]
    fn a_deadline_is_never_early() {
        for rate in [500_000, 999_999, 1_000_000, 1_010_007, 2_000_000] {
            let mut clock = HostClock::new(17, rate);
            clock.set_rate(33, rate);
            for local in (0..100_000).step_by(997) {
                let at = clock.true_ns(local);
                assert!(clock.local_ns(at) >= local);
                assert!(at == 33 || clock.local_ns(at - 1) < local, "nor late");
            }
        }
    }
}
