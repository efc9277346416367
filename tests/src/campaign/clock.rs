//! The clock that all processes of a machine share, and waits that an interrupt ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;

/// The steps in which a wait looks whether it was interrupted.
const STEP: Duration = Duration::from_millis(20);

/// A moment: nanoseconds of `CLOCK_MONOTONIC`.
pub type Moment = u64;

/// Now.
#[must_use]
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + nanos
}

/// A duration in nanoseconds.
#[must_use]
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// From one moment to another; zero if that is none.
#[must_use]
pub fn between(from: Moment, to: Moment) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

/// The moment of an instant: the standard library's clock is the same one, but does not tell its
/// numbers.
#[must_use]
pub fn moment_of(instant: Instant) -> Moment {
    let (here, now) = (Instant::now(), now());
    match here.checked_duration_since(instant) {
        Some(ago) => now.saturating_sub(nanos(ago)),
        None => now + nanos(instant - here),
    }
}

fn interrupt() -> &'static Arc<AtomicBool> {
    static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    INTERRUPTED.get_or_init(Arc::default)
}

/// From now on SIGINT and SIGTERM end what waits here, and so the process, when everything is
/// cleared away: every wait is bounded.
///
/// # Errors
///
/// When the system refuses the handlers.
pub fn end_waits_on_signals() -> Outcome<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let flag = Arc::clone(interrupt());
        signal_hook::flag::register(signal, flag)
            .map_err(|error| format!("no handler for a signal: {error}"))?;
    }
    Ok(())
}

/// Whether a signal came.
#[must_use]
pub fn is_interrupted() -> bool {
    interrupt().load(Ordering::Relaxed)
}

/// Waits.
///
/// # Errors
///
/// When a signal came.
pub fn wait(duration: Duration) -> Outcome<()> {
    let end = Instant::now() + duration;
    loop {
        if is_interrupted() {
            return Err("interrupted".to_owned());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(STEP));
    }
}

/// From now on this process ends with the thread that started it, however that ends.
///
/// # Errors
///
/// When the system refuses.
pub fn end_with_parent() -> Outcome<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())
}
