//! A server's limits and their bounds.

use std::time::Duration;

use crate::Error;

/// No drain takes longer: at more it is a typing error.
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);
/// No reply is remembered for longer.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);
/// Greatest size of anything, in bytes.
const MOST_BYTES: usize = 1 << 40;

/// Limits of a server.
///
/// ```
/// use std::time::Duration;
/// use freelance::server::Config;
///
/// let mut config = Config::new();
/// config.queue = 64;
/// config.drain = Duration::from_secs(1);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Requests that are under way at once, 1,024: kept by the application, or at the workers. One more is refused.
    pub queue: usize,
    /// Bytes of one frame of a request, 64 MiB. A client that sends more loses its link.
    pub max_request_frame_bytes: usize,
    /// Frames of one message, the client's envelope included, 1,024. A longer one is malformed.
    pub max_request_frames: usize,
    /// How long a server that drains goes on for those that are under way, 5 s: a service manager kills after 10 s or
    /// more, and a client that waits for longer has gone elsewhere.
    pub drain: Duration,
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queue: 1024,
            max_request_frame_bytes: 64 << 20,
            max_request_frames: 1024,
            drain: Duration::from_secs(5),
        }
    }

    /// Checks every setting. A server does this when it is attached.
    ///
    /// # Errors
    /// [`Error::Config`] names the first that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        within("queue", self.queue, 1, 1 << 20)?;
        within(
            "max_request_frame_bytes",
            self.max_request_frame_bytes,
            1,
            MOST_BYTES,
        )?;
        // An identity, a control frame and a body, at least.
        within("max_request_frames", self.max_request_frames, 4, 1 << 20)?;
        if self.drain > LONGEST_DRAIN {
            return Err(bad("drain", "must be at most an hour".to_owned()));
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// What a server remembers of the requests that it executed, so that none is executed twice.
///
/// It makes a service that is not idempotent safe to retry **within these bounds, on this server, while the process
/// lives**. Another server of the same client knows nothing of it, and neither does this one after a restart.
///
/// ```
/// use freelance::server::Cache;
///
/// let cache = Cache { entries: 100, ..Cache::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Replies that are remembered, 10,000. The oldest goes first.
    pub entries: usize,
    /// Bytes of all that is remembered, 64 MiB, with what they are known by. A reply that is larger is not remembered.
    pub bytes: usize,
    /// How long a reply is remembered after it was given, 60 s. A client asks again until its deadline, so this is at
    /// least the longest that any client of this server sets, and what a message may spend in queues on top.
    pub age: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            entries: 10_000,
            bytes: 64 << 20,
            age: Duration::from_secs(60),
        }
    }
}

impl Cache {
    pub(super) fn validate(&self) -> Result<(), Error> {
        within("cache.entries", self.entries, 1, 1 << 30)?;
        within("cache.bytes", self.bytes, 1, MOST_BYTES)?;
        if self.age.is_zero() || self.age > LONGEST_AGE {
            let reason = "must be above zero, and at most a day";
            return Err(bad("cache.age", reason.to_owned()));
        }
        Ok(())
    }
}

/// Makes sure that a setting is within its bounds, both included.
pub(super) fn within(
    setting: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(bad(setting, format!("must be from {least} to {most}")))
    }
}

pub(super) fn bad(setting: &'static str, reason: String) -> Error {
    Error::Config { setting, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass() {
        Config::new().validate().unwrap();
        Cache::default().validate().unwrap();
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        type Spoil<T> = fn(&mut T);
        let cases: [(&str, Spoil<Config>); 4] = [
            ("queue", |c| c.queue = 0),
            ("max_request_frame_bytes", |c| c.max_request_frame_bytes = 0),
            ("max_request_frames", |c| c.max_request_frames = 3),
            ("drain", |c| c.drain = Duration::MAX),
        ];
        for (setting, spoil) in cases {
            let mut config = Config::new();
            spoil(&mut config);
            let text = config.validate().unwrap_err().to_string();
            assert!(text.starts_with(setting), "{text}");
        }
        let cases: [(&str, Spoil<Cache>); 3] = [
            ("cache.entries", |c| c.entries = 0),
            ("cache.bytes", |c| c.bytes = usize::MAX),
            ("cache.age", |c| c.age = Duration::ZERO),
        ];
        for (setting, spoil) in cases {
            let mut cache = Cache::default();
            spoil(&mut cache);
            let text = cache.validate().unwrap_err().to_string();
            assert!(text.starts_with(setting), "{text}");
        }
    }
}
