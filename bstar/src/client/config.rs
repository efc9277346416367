//! The client's settings and their bounds.

use std::time::Duration;

use super::Error;
use crate::core::HEARTBEAT_RANGE;

/// Servers a client knows at most: those of one pair.
pub(super) const MAX_SERVERS: usize = 2;

/// The pair's own bounds: a client that allowed more would only wait for servers that cannot be.
const SHORTEST_HEARTBEAT: Duration = HEARTBEAT_RANGE.0;
const LONGEST_HEARTBEAT: Duration = HEARTBEAT_RANGE.1;
/// An attempt at a link costs sockets: at a heartbeat of a few milliseconds this bounds the price
/// of a server that is not there.
const SHORTEST_REDIAL_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_REDIAL_PAUSE: Duration = Duration::from_millis(100);

/// Times and limits of a client.
///
/// All times derive from the pair's heartbeat, since that is what the servers' own time-outs
/// derive from: [`Config::with_heartbeat`] with the servers' value is right for almost everyone.
///
/// ```
/// use std::time::Duration;
/// use bstar::client::Config;
///
/// let mut config = Config::with_heartbeat(Duration::from_millis(100));
/// assert_eq!(config.settle_delay, Duration::from_millis(200));
/// config.max_outstanding = 64;
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The pair's heartbeat. Each link is probed this often, and is given up after two of them
    /// without a sign of life.
    pub heartbeat: Duration,
    /// Silence of a server after which a request that waits on it moves on. One heartbeat.
    pub attempt_timeout: Duration,
    /// How long a server that said nothing is left alone, from the time it was asked. Two
    /// heartbeats, which is the servers' own peer timeout: to ask before it has passed proves
    /// nothing.
    pub settle_delay: Duration,
    /// How long a server that refused by word is left alone, at most: the first time a 32nd of it,
    /// then twice as long each time until it gives a reply. A tenth of a heartbeat, at least 1 ms:
    /// a refusal is cheap, and the server may become active at any moment.
    pub retry_pause: Duration,
    /// Pause between the end of a link, or of a vain attempt at one, and the next attempt. A tenth
    /// of a heartbeat, within 5 to 100 ms; it never grows, since a server that is back is to be
    /// found at once.
    pub redial_pause: Duration,
    /// Time that an attempt at a link may take, handshake included. Two heartbeats.
    pub dial_timeout: Duration,
    /// Requests under way at the same time, 1,024.
    pub max_outstanding: usize,
    /// Frames of one request, 1,024.
    pub max_request_frames: usize,
    /// Bytes of one request, all frames together, 16 MiB.
    pub max_request_bytes: usize,
    /// Bytes of one frame of a reply, 64 MiB. A server that sends more loses its link.
    pub max_reply_frame_bytes: usize,
}

impl Config {
    /// The defaults for a pair with this heartbeat; see the fields.
    #[must_use]
    pub fn with_heartbeat(heartbeat: Duration) -> Self {
        let tenth = (heartbeat / 10).max(Duration::from_millis(1));
        Self {
            heartbeat,
            attempt_timeout: heartbeat,
            settle_delay: heartbeat.saturating_mul(2),
            retry_pause: tenth,
            redial_pause: tenth.clamp(SHORTEST_REDIAL_PAUSE, LONGEST_REDIAL_PAUSE),
            dial_timeout: heartbeat.saturating_mul(2),
            max_outstanding: 1024,
            max_request_frames: 1024,
            max_request_bytes: 16 << 20,
            max_reply_frame_bytes: 64 << 20,
        }
    }

    /// Checks every setting; nothing that passes makes the client spin or wait for ever.
    ///
    /// # Errors
    /// [`Error::Config`] names the first setting that is out of bounds.
    pub fn validate(&self) -> Result<(), Error> {
        if !(SHORTEST_HEARTBEAT..=LONGEST_HEARTBEAT).contains(&self.heartbeat) {
            return Err(bad("heartbeat", "must be from 1 ms to 60 s"));
        }
        let times = [
            ("attempt_timeout", self.attempt_timeout),
            ("settle_delay", self.settle_delay),
            ("retry_pause", self.retry_pause),
            ("redial_pause", self.redial_pause),
            ("dial_timeout", self.dial_timeout),
        ];
        for (name, time) in times {
            if !(SHORTEST_HEARTBEAT..=LONGEST_HEARTBEAT * 2).contains(&time) {
                return Err(bad(name, "must be from 1 ms to 120 s"));
            }
        }
        let limits = [
            ("max_outstanding", self.max_outstanding, 1 << 20),
            ("max_request_frames", self.max_request_frames, 1 << 20),
            ("max_request_bytes", self.max_request_bytes, 1 << 30),
            ("max_reply_frame_bytes", self.max_reply_frame_bytes, 1 << 30),
        ];
        for (name, limit, most) in limits {
            if !(1..=most).contains(&limit) {
                return Err(bad(name, &format!("must be from 1 to {most}")));
            }
        }
        Ok(())
    }
}

/// The defaults for the Guide's heartbeat of 1,000 ms.
impl Default for Config {
    fn default() -> Self {
        Self::with_heartbeat(Duration::from_secs(1))
    }
}

fn bad(setting: &'static str, reason: &str) -> Error {
    Error::Config {
        setting,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_times_are_the_defaults() {
        let config = Config::default();
        assert_eq!(config.attempt_timeout, Duration::from_millis(1000));
        assert_eq!(config.settle_delay, Duration::from_millis(2000));
        assert_eq!(config.retry_pause, Duration::from_millis(100));
        config.validate().unwrap();
    }

    #[test]
    fn pauses_stay_within_their_bounds_at_extreme_heartbeats() {
        let short = Config::with_heartbeat(Duration::from_millis(1));
        assert_eq!(short.retry_pause, Duration::from_millis(1));
        assert_eq!(short.redial_pause, Duration::from_millis(5));
        let long = Config::with_heartbeat(Duration::from_secs(60));
        assert_eq!(long.redial_pause, Duration::from_millis(100));
        short.validate().unwrap();
        long.validate().unwrap();
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        for heartbeat in [
            Duration::ZERO,
            Duration::from_secs(7 * 24 * 3600),
            Duration::MAX,
        ] {
            let error = Config::with_heartbeat(heartbeat).validate().unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Config {
                        setting: "heartbeat",
                        ..
                    }
                ),
                "{error}"
            );
        }
        let config = Config {
            retry_pause: Duration::ZERO,
            ..Config::default()
        };
        assert!(
            config
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("retry_pause")
        );
        let config = Config {
            max_outstanding: 0,
            ..Config::default()
        };
        assert!(
            config
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("max_outstanding")
        );
    }
}
