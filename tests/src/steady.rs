//! Tells a defect from a machine that did not run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Outcome, tell};

/// How often a test is tried on a machine that is away each time.
pub(crate) const ATTEMPTS: usize = 4;

/// How long the witness sleeps at a time.
const NAP: Duration = Duration::from_millis(5);

/// Runs `test`, and once more if it failed while this machine was away for longer than `limit`.
///
/// A pair decides by time. On a machine that stops for as long as the pair's own limits, the
/// service moves with no fault at all, and rightly so: then the test has tested the machine. A
/// witness that does nothing but sleep tells whether that was so.
///
/// # Errors
///
/// That of the test, when the machine ran.
pub fn steady(limit: Duration, mut test: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    for _ in 1..ATTEMPTS {
        let (outcome, away) = witnessed(&mut test);
        match outcome {
            Err(_) if away > limit => tell(&format!(
                "tried again: this machine was away for {away:?} in the midst of a test"
            )),
            other => return other,
        }
    }
    test()
}

/// Runs `test`, and answers with the longest that this machine did not run meanwhile.
pub(crate) fn witnessed<T>(test: impl FnOnce() -> T) -> (T, Duration) {
    let ends = AtomicBool::new(false);
    let longest_us = AtomicU64::new(0);
    let outcome = thread::scope(|scope| {
        // The test may panic, and the witness must end all the same.
        let _end = Raise(&ends);
        scope.spawn(|| {
            while !ends.load(Ordering::Relaxed) {
                let since = Instant::now();
                thread::sleep(NAP);
                let away = since.elapsed().saturating_sub(NAP).as_micros();
                longest_us.fetch_max(u64::try_from(away).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        test()
    });
    let longest = Duration::from_micros(longest_us.load(Ordering::Relaxed));
    (outcome, longest)
}

struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_on_a_machine_that_ran_is_one() {
        let mut runs = 0;
        let outcome = steady(Duration::from_secs(3600), || {
            runs += 1;
            Err("broken".to_owned())
        });
        assert_eq!((outcome, runs), (Err("broken".to_owned()), 1));
    }

    #[test]
    fn a_failure_on_a_machine_that_was_away_is_tried_again() {
        let mut runs = 0;
        // No machine is as punctual as this asks for.
        let outcome = steady(Duration::ZERO, || {
            runs += 1;
            thread::sleep(NAP * 4);
            if runs < 3 {
                Err("broken".to_owned())
            } else {
                Ok(())
            }
        });
        assert_eq!((outcome, runs), (Ok(()), 3));
    }
}
