//! When a sleep is to end: a timer that stays armed from sleep to sleep.
//!
//! A time-out that is given to each sleep makes the system set up a timer and take it down again each time, which costs
//! more than the sleep itself when messages come one by one. A descriptor that fires at the next deadline is armed
//! once for it, however often the loop turns before.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) struct Alarm {
    timer: std::os::fd::OwnedFd,
    /// When it fires next, if it is armed.
    armed: Option<Instant>,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Alarm {
    /// An alarm whose ringing ends the poll that it is registered with, with this token.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use std::os::fd::AsRawFd;

        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let source = &mut mio::unix::SourceFd(&timer.as_raw_fd());
        registry.register(source, token, mio::Interest::READABLE)?;
        Ok(Self { timer, armed: None })
    }

    /// Sees to it that a poll ends at `deadline` or, when another was set before, earlier. Gives the time-out for it.
    pub(super) fn set(&mut self, deadline: Instant) -> io::Result<Option<Duration>> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        if self.armed.is_some_and(|armed| armed <= deadline) {
            return Ok(None);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Some(Duration::ZERO));
        }
        // Centuries away is as good as never.
        let tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let tv_nsec = left.subsec_nanos().into();
        let once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Itimerspec {
            it_interval: once,
            it_value: Timespec { tv_sec, tv_nsec },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)?;
        self.armed = Some(deadline);
        Ok(None)
    }

    /// It rang. Arming it anew is all that the next ringing needs.
    pub(super) fn rang(&mut self) {
        self.armed = None;
    }
}

/// Where there is no such descriptor, each sleep is given its time-out.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) struct Alarm;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Alarm {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn set(&mut self, deadline: Instant) -> io::Result<Option<Duration>> {
        Ok(Some(deadline.saturating_duration_since(Instant::now())))
    }

    pub(super) fn rang(&mut self) {}
}
