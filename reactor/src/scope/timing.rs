//! Timers.

use std::time::{Duration, Instant};

use super::Scope;
use crate::{Error, Missed, SourceKey, TimerKey};

/// Later than this nobody waits; it keeps sums of times from overflowing.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(super) struct TimerSlot {
    pub(super) owner: SourceKey,
    pub(super) place: usize,
    pub(super) tag: usize,
}

impl<S: 'static> Scope<S> {
    /// Sets a timer that belongs to a source; `tag` comes back in its event. It fires once, at `at` or soon after,
    /// and is gone then, unless its handler arms it again with [`set_timer`](Self::set_timer).
    pub fn own_timer(
        &mut self,
        owner: SourceKey,
        tag: usize,
        at: Instant,
    ) -> Result<TimerKey, Error> {
        let place = self.next_place(owner)?;
        let key = TimerKey(self.timers.insert(at, TimerSlot { owner, place, tag }));
        self.own(owner, key);
        Ok(key)
    }

    /// Moves a timer, whether it waits, is due in this turn, or runs. Tells whether it was there.
    pub fn set_timer(&mut self, key: TimerKey, at: Instant) -> bool {
        self.timers.set(key.0, at)
    }

    /// When a timer fires next; nothing for one that is gone, due in this turn, or runs.
    pub fn timer_deadline(&self, key: TimerKey) -> Option<Instant> {
        self.timers.deadline(key.0)
    }

    /// Cancels a timer for good: it does not fire any more, not even if it is due already. Tells whether it was
    /// there.
    pub fn cancel_timer(&mut self, key: TimerKey) -> bool {
        let Some(slot) = self.timers.remove(key.0) else {
            return false;
        };
        self.disown(slot.owner, slot.place);
        true
    }
}

/// A time so much later, as far as times go.
pub(super) fn later(moment: Instant, by: Duration) -> Instant {
    moment + by.min(LONGEST)
}

/// When an interval is due again that was due at `deadline`, and whose call ended at `now`. The period is not zero.
pub(super) fn next_period(
    missed: Missed,
    deadline: Instant,
    period: Duration,
    now: Instant,
) -> Instant {
    let next = later(deadline, period);
    match missed {
        Missed::CatchUp => next,
        Missed::Delay => later(now, period),
        Missed::Skip if next > now => next,
        Missed::Skip => {
            let into_period_ns = now.duration_since(deadline).as_nanos() % period.as_nanos();
            let into_period =
                Duration::from_nanos(u64::try_from(into_period_ns).unwrap_or(u64::MAX));
            later(now, period.saturating_sub(into_period))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn in_time_all_kinds_keep_the_phase_or_the_distance() {
        let start = Instant::now();
        let now = start + MS(3);
        assert_eq!(
            next_period(Missed::Skip, start, MS(20), now),
            start + MS(20)
        );
        assert_eq!(
            next_period(Missed::CatchUp, start, MS(20), now),
            start + MS(20)
        );
        assert_eq!(
            next_period(Missed::Delay, start, MS(20), now),
            start + MS(23)
        );
    }

    #[test]
    fn late_ones_skip_catch_up_or_delay() {
        let start = Instant::now();
        let now = start + MS(205);
        assert_eq!(
            next_period(Missed::Skip, start, MS(20), now),
            start + MS(220)
        );
        assert_eq!(
            next_period(Missed::CatchUp, start, MS(20), now),
            start + MS(20)
        );
        assert_eq!(
            next_period(Missed::Delay, start, MS(20), now),
            start + MS(225)
        );
    }

    #[test]
    fn skipping_lands_on_the_next_multiple_and_not_on_the_present() {
        let start = Instant::now();
        assert_eq!(
            next_period(Missed::Skip, start, MS(20), start + MS(20)),
            start + MS(40)
        );
        assert_eq!(
            next_period(Missed::Skip, start, MS(20), start + MS(40)),
            start + MS(60)
        );
    }

    #[test]
    fn the_end_of_time_is_not_reached() {
        let start = Instant::now();
        assert_eq!(later(start, Duration::MAX), start + LONGEST);
    }
}
