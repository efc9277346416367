//! What a node is told before it starts.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::table::Role;

/// The shortest and the longest heartbeat.
pub const HEARTBEAT_RANGE: (Duration, Duration) =
    (Duration::from_millis(1), Duration::from_secs(60));
/// The longest peer timeout.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// What is wrong with a [`Config`]. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The heartbeat is too short or too long.
    #[error("a heartbeat of {} ms is out of range: it goes from 1 ms to 60 s", .0.as_millis())]
    Heartbeat(Duration),
    /// The peer timeout does not fit the heartbeat.
    #[error(
        "a peer timeout of {timeout:?} is out of range: it goes from two heartbeats \
         ({least:?}) to 600 s"
    )]
    Timeout {
        /// What was asked for.
        timeout: Duration,
        /// The least that the heartbeat allows.
        least: Duration,
    },
    /// The name of the pair is empty, too long, or has other characters.
    #[error("{0:?} is no name for a pair: use 1 to 64 of the characters a-z A-Z 0-9 . _ -")]
    Pair(String),
}

/// The name of a pair: two nodes with different names never take each other for their peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PairId(Arc<str>);

impl PairId {
    /// Checks a name: 1 to 64 of the characters `a-z A-Z 0-9 . _ -`.
    pub fn new(name: impl Into<String>) -> Result<PairId, ConfigError> {
        let name = name.into();
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
            Ok(PairId(name.into()))
        } else {
            Err(ConfigError::Pair(name))
        }
    }
}

impl Default for PairId {
    /// The name of a pair that was given none: `bstar`.
    fn default() -> Self {
        PairId("bstar".into())
    }
}

impl fmt::Display for PairId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A checked configuration of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    role: Role,
    pair: PairId,
    heartbeat: Duration,
    timeout: Duration,
}

impl Config {
    /// The defaults of the Guide: a heartbeat of 1 s and a peer timeout of two heartbeats.
    pub fn new(role: Role) -> Config {
        let heartbeat = Duration::from_secs(1);
        Config {
            role,
            pair: PairId::default(),
            heartbeat,
            timeout: 2 * heartbeat,
        }
    }

    /// Sets the heartbeat (1 ms to 60 s), and the peer timeout to two of it.
    ///
    /// A failover by silence takes between one and two heartbeats from the crash. A node that does
    /// not run for one heartbeat steps back, so the heartbeat must exceed every pause that the machine, its
    /// scheduler and the slowest request handler may make.
    pub fn with_heartbeat(mut self, heartbeat: Duration) -> Result<Config, ConfigError> {
        if heartbeat < HEARTBEAT_RANGE.0 || heartbeat > HEARTBEAT_RANGE.1 {
            return Err(ConfigError::Heartbeat(heartbeat));
        }
        self.heartbeat = heartbeat;
        self.timeout = whole_millis(2 * heartbeat);
        Ok(self)
    }

    /// Sets the peer timeout: two heartbeats to 600 s. Set the heartbeat first.
    ///
    /// The two nodes of a pair should have the same; if they have not, both use the larger.
    pub fn with_timeout(mut self, timeout: Duration) -> Result<Config, ConfigError> {
        let least = 2 * self.heartbeat;
        if timeout < least || timeout > MAX_TIMEOUT {
            return Err(ConfigError::Timeout { timeout, least });
        }
        self.timeout = whole_millis(timeout);
        Ok(self)
    }

    /// Sets the name of the pair, `bstar` by default.
    pub fn with_pair(mut self, pair: PairId) -> Config {
        self.pair = pair;
        self
    }

    /// The role of this node.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The name of the pair.
    pub fn pair(&self) -> &PairId {
        &self.pair
    }

    /// How often this node says that it lives.
    pub fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// After how much silence the peer is taken for dead.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The longest gap between two turns after which the peer cannot have taken over yet: the
    /// last heartbeat that it heard may be one heartbeat older than the gap.
    pub fn longest_gap(&self) -> Duration {
        self.timeout - self.heartbeat
    }
}

/// Rounded up to what the peer can be told.
fn whole_millis(duration: Duration) -> Duration {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    // A configuration is bounded to minutes.
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_out_of_range_is_refused() {
        let config = Config::new(Role::Primary);
        for wrong in [
            Duration::ZERO,
            Duration::from_micros(999),
            Duration::from_secs(604_800),
        ] {
            assert_eq!(
                config.clone().with_heartbeat(wrong),
                Err(ConfigError::Heartbeat(wrong))
            );
        }
        let right = config.with_heartbeat(Duration::from_millis(50)).unwrap();
        assert_eq!(right.timeout(), Duration::from_millis(100));
    }

    #[test]
    fn a_timeout_is_at_least_two_heartbeats() {
        let config = Config::new(Role::Backup);
        assert!(
            config
                .clone()
                .with_timeout(Duration::from_millis(1999))
                .is_err()
        );
        assert!(
            config
                .clone()
                .with_timeout(Duration::from_secs(601))
                .is_err()
        );
        let right = config.with_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(right.longest_gap(), Duration::from_secs(4));
    }

    #[test]
    fn a_pair_has_a_plain_name() {
        for wrong in ["", "two words", "a=b", "näme", &"x".repeat(65)] {
            assert!(PairId::new(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(
            PairId::new("orders-1.eu_west").unwrap().to_string(),
            "orders-1.eu_west"
        );
    }
}
