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

/// What an operator may let a node wait for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

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
    /// A node waits too long for something.
    #[error("{what} of {duration:?} is out of range: it goes to 24 hours")]
    Wait {
        /// What it waits for.
        what: &'static str,
        /// What was asked for.
        duration: Duration,
    },
    /// An option that is for the other role.
    #[error("{what} is for a {role}")]
    Role {
        /// The option.
        what: &'static str,
        /// Whom it is for.
        role: Role,
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
    drain: Option<Duration>,
    offer_wait: Duration,
    fail_back: Option<Duration>,
    serve_alone: Option<Duration>,
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
            drain: None,
            offer_wait: Duration::ZERO,
            fail_back: None,
            serve_alone: None,
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

    /// Sets how long a switchover may wait for requests that were begun: at most 24 hours, the peer
    /// timeout by default. Nobody is served meanwhile.
    pub fn with_drain(mut self, drain: Duration) -> Result<Config, ConfigError> {
        self.drain = Some(bounded("a drain", drain)?);
        Ok(self)
    }

    /// Sets how long the peer's application may take to say whether it is ready for a service that this node
    /// offers: at most 24 hours, a peer timeout by default and at least. This node serves meanwhile.
    pub fn with_offer_wait(mut self, wait: Duration) -> Result<Config, ConfigError> {
        self.offer_wait = bounded("the wait for an answer to an offer", wait)?;
        Ok(self)
    }

    /// Has a primary ask for the service again when it has stood by for `after` beside an active
    /// backup without a break; at most 24 hours. Off by default: a second change of place is an
    /// operator's to make, by [`Machine::handle_step_back`](crate::core::Machine::handle_step_back)
    /// at the backup.
    pub fn with_fail_back(mut self, after: Duration) -> Result<Config, ConfigError> {
        self.fail_back = Some(self.only(Role::Primary, "fail-back", after)?);
        Ok(self)
    }

    /// Has a backup that was never paired in its life serve when its primary has been silent for
    /// `after`, and for a peer timeout at least; at most 24 hours. Off by default: such a backup
    /// cannot know whether its primary serves elsewhere. It is for those who start a backup alone
    /// and whose primary, if it lives, is certainly heard.
    pub fn with_serve_alone(mut self, after: Duration) -> Result<Config, ConfigError> {
        self.serve_alone = Some(self.only(Role::Backup, "serving alone", after)?);
        Ok(self)
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

    /// How long a switchover may wait for requests that were begun.
    pub fn drain(&self) -> Duration {
        self.drain.unwrap_or(self.timeout)
    }

    /// How long the peer may take to answer an offer; never less than a peer timeout.
    pub fn offer_wait(&self) -> Duration {
        self.offer_wait.max(self.timeout)
    }

    /// After how long a primary that stands by asks for the service again, if it does.
    pub fn fail_back(&self) -> Option<Duration> {
        self.fail_back
    }

    /// After how much silence a backup that was never paired serves, if it does.
    pub fn serve_alone(&self) -> Option<Duration> {
        self.serve_alone
    }

    fn only(
        &self,
        role: Role,
        what: &'static str,
        after: Duration,
    ) -> Result<Duration, ConfigError> {
        if self.role != role {
            return Err(ConfigError::Role { what, role });
        }
        bounded(what, after)
    }

    /// The longest gap between two turns after which the peer cannot have taken over yet: the
    /// last heartbeat that it heard may be one heartbeat older than the gap.
    pub fn longest_gap(&self) -> Duration {
        self.timeout - self.heartbeat
    }
}

fn bounded(what: &'static str, duration: Duration) -> Result<Duration, ConfigError> {
    if duration > LONGEST_WAIT {
        return Err(ConfigError::Wait { what, duration });
    }
    Ok(duration)
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
    fn an_option_is_for_the_role_that_can_use_it() {
        let hour = Duration::from_secs(3600);
        let [primary, backup] = Role::ALL.map(Config::new);
        assert!(primary.clone().with_fail_back(hour).is_ok());
        assert!(primary.clone().with_serve_alone(hour).is_err());
        assert!(backup.clone().with_fail_back(hour).is_err());
        assert!(backup.clone().with_serve_alone(hour).is_ok());
        assert!(primary.with_fail_back(25 * hour).is_err());
        assert!(backup.clone().with_drain(25 * hour).is_err());
        assert!(backup.with_offer_wait(25 * hour).is_err());
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
