//! How a server that refuses is left alone.
//!
//! A refusal costs the client nothing, and so nothing else would keep all that waits from asking a full server again
//! and again.

use std::time::{Duration, Instant};

use crate::Config;

/// Whether a server is to be left alone, and for how long next time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    until: Option<Instant>,
    /// The last refusal.
    refused_at: Option<Instant>,
    /// Refusals in a row, each of a copy that was sent after the one before.
    in_row: u32,
    /// A copy was sent since the last of them.
    tried: bool,
}

impl Rest {
    /// When it ends, if it lasts.
    pub(super) fn until(self) -> Option<Instant> {
        self.until
    }

    /// The queue in front of the server is full.
    pub(super) fn for_a_moment(&mut self, config: &Config, now: Instant) {
        let until = now + config.retry_pause;
        self.until = Some(self.until.map_or(until, |before| before.max(until)));
    }

    /// The server refused: for twice as long as the last time, if it was asked since.
    pub(super) fn refused(&mut self, config: &Config, now: Instant) {
        if self.in_row == 0 || std::mem::take(&mut self.tried) {
            self.in_row = self.in_row.saturating_add(1);
        }
        self.refused_at = Some(now);
        self.until = Some(now + self.pause(config));
    }

    /// A copy was sent. While the server refuses, the next one waits for as long as if that was refused too.
    pub(super) fn sent(&mut self, config: &Config, now: Instant) {
        if self.in_row > 0 {
            self.tried = true;
            self.until = Some(now + self.pause(config));
        }
    }

    /// The server answered what it was sent at that moment. If that was after its last refusal, it refuses no more.
    pub(super) fn answered(&mut self, sent_at: Instant) {
        if self.refused_at.is_some_and(|refused| refused < sent_at) {
            *self = Self::default();
        }
    }

    /// Says whether it ended by now.
    pub(super) fn end(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }

    fn pause(&self, config: &Config) -> Duration {
        let doubled = 1_u32
            .checked_shl(self.in_row.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let longest = config.retry_pause.max(config.eject_for);
        config.retry_pause.saturating_mul(doubled).min(longest)
    }
}
