//! What time it is: the machine's monotonic clock, or one that the test holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A clock that stands still until someone moves it.
///
/// A reactor [built](crate::Builder::virtual_time) with it never sleeps for a deadline: where nothing is ready it
/// moves the clock to the next one. Clones show the same time. It never goes back, and it ends after 584 years.
///
/// Only the timers live in virtual time. What other threads do, libzmq's among them, takes real time, in which the
/// virtual clock may run far ahead: a test that waits for a message over TCP has to wait for it with
/// [`Reactor::turn`](crate::Reactor::turn) and a limit of zero, or use `inproc`, where a message that was sent is
/// there.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    start: Instant,
    elapsed_ns: Arc<AtomicU64>,
}

impl VirtualClock {
    /// A clock that shows the present moment.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            elapsed_ns: Arc::new(AtomicU64::new(0)),
        }
    }

    /// The time it shows.
    pub fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.elapsed_ns.load(Ordering::Acquire))
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        let by_ns = nanoseconds(by);
        // The closure always gives a value, so that the update cannot fail.
        let _ = self
            .elapsed_ns
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |elapsed| {
                Some(elapsed.saturating_add(by_ns))
            });
    }

    /// Moves it forward to `moment`; one that has passed changes nothing.
    pub fn advance_to(&self, moment: Instant) {
        self.elapsed_ns.fetch_max(
            nanoseconds(moment.saturating_duration_since(self.start)),
            Ordering::AcqRel,
        );
    }
}

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) enum Clock {
    Monotonic,
    Virtual(VirtualClock),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::Monotonic => Instant::now(),
            Clock::Virtual(clock) => clock.now(),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_still_and_never_goes_back() {
        let clock = VirtualClock::new();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(clock.now(), start + Duration::from_secs(3600));
        clock.advance_to(start);
        assert_eq!(clock.clone().now(), start + Duration::from_secs(3600));
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), start + Duration::from_nanos(u64::MAX));
    }
}
