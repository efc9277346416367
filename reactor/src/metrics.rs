//! What the loop did, and who held it up.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::SourceKey;

/// What a reactor did since it was built, or since [`Scope::reset_metrics`](crate::Scope::reset_metrics).
///
/// The names are those that sources were added with. Where two things took equally long, the first is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// How often the loop went round.
    pub turns: u64,
    /// How often a source was called.
    pub events: u64,
    /// The time in handlers and in the loop itself.
    pub busy: Duration,
    /// The time asleep.
    pub idle: Duration,
    /// Who held the loop longest in one go: by one call; for a socket, by the calls of its share of one turn.
    pub longest_hold: Option<Named>,
    /// The timer or ticket that came furthest behind its deadline.
    pub greatest_lateness: Option<Named>,
}

/// A time, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Named {
    /// The name that the source was added with.
    pub name: String,
    /// How long it took.
    pub time: Duration,
}

impl fmt::Display for Metrics {
    /// One line, for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "turns={} events={} busy={:?} idle={:?}",
            self.turns, self.events, self.busy, self.idle
        )?;
        if let Some(Named { name, time }) = &self.longest_hold {
            write!(f, " longest_hold={time:?} by={name:?}")?;
        }
        if let Some(Named { name, time }) = &self.greatest_lateness {
            write!(f, " greatest_lateness={time:?} of={name:?}")?;
        }
        Ok(())
    }
}

/// Who held the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder {
    Source(SourceKey),
    Posted,
    Deferred,
}

/// Counts for [`Metrics`]. Names are shared, so that a new record allocates nothing.
pub(crate) struct Meter {
    on: bool,
    slow: Option<Duration>,
    turns: u64,
    events: u64,
    busy: Duration,
    idle: Duration,
    hold: (Option<Rc<str>>, Duration),
    lateness: (Option<Rc<str>>, Duration),
}

impl Meter {
    pub(crate) fn new(on: bool, slow: Option<Duration>) -> Self {
        Self {
            on,
            slow,
            turns: 0,
            events: 0,
            busy: Duration::ZERO,
            idle: Duration::ZERO,
            hold: (None, Duration::ZERO),
            lateness: (None, Duration::ZERO),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.on, self.slow);
    }

    pub(crate) fn read(&self) -> Metrics {
        let named = |(name, time): &(Option<Rc<str>>, Duration)| {
            name.as_ref().map(|name| Named {
                name: name.to_string(),
                time: *time,
            })
        };
        Metrics {
            turns: self.turns,
            events: self.events,
            busy: self.busy,
            idle: self.idle,
            longest_hold: named(&self.hold),
            greatest_lateness: named(&self.lateness),
        }
    }

    #[inline]
    pub(crate) fn turn(&mut self) {
        self.turns += 1;
    }

    #[inline]
    pub(crate) fn event(&mut self) {
        self.events += 1;
    }

    #[inline]
    pub(crate) fn slept(&mut self, time: Duration) {
        self.idle += time;
    }

    /// Somebody held the loop for so long. Tells whether it matters who it was.
    #[inline]
    pub(crate) fn held(&mut self, time: Duration) -> bool {
        self.busy += time;
        time > self.hold.1 || self.slow.is_some_and(|slow| time >= slow)
    }

    #[cold]
    pub(crate) fn name_holder(&mut self, name: Rc<str>, time: Duration) {
        if self.slow.is_some_and(|slow| time >= slow) {
            tracing::warn!(source = %name, ?time, "a slow handler held everyone up");
        }
        if time > self.hold.1 {
            self.hold = (Some(name), time);
        }
    }

    /// Something was so late. Tells whether that is a record.
    #[inline]
    pub(crate) fn late(&mut self, time: Duration) -> bool {
        time > self.lateness.1
    }

    #[cold]
    pub(crate) fn name_latest(&mut self, name: Rc<str>, time: Duration) {
        self.lateness = (Some(name), time);
    }
}
