//! What is wrong with a simulation that was asked for.

use super::HostId;

/// Why a simulation does not begin. Nothing ran.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There are no hosts, or more than are supported.
    #[error("{0} hosts are out of range: a simulation has 1 to 64")]
    Hosts(usize),
    /// A host that does not exist.
    #[error("there is no host {host}: the last one is {last}")]
    NoHost {
        /// What was named.
        host: HostId,
        /// The highest number there is.
        last: HostId,
    },
    /// A link from a host to itself.
    #[error("host {0} has no link to itself")]
    Loop(HostId),
    /// The simulated time is empty or too long.
    #[error("a simulated time of {0:?} is out of range: it goes from 1 ms to 30 days")]
    Duration(std::time::Duration),
    /// A share of messages above all of them.
    #[error("{0} per mille are more than all")]
    Share(u16),
    /// A clock that stands still, or is too fast.
    #[error(
        "a clock rate of {0} ppm is out of range: it goes from 500000 (half) to 2000000 (double)"
    )]
    Rate(u32),
    /// An input that would be repeated without end at one moment.
    #[error("an input that is repeated needs an interval of at least 1 us")]
    Interval,
    /// More faults than a run takes.
    #[error("{0} faults are too many: a schedule has at most 4096")]
    Faults(usize),
    /// Something would last, or would have to wait, for longer than a run can.
    #[error("{0:?} is too long: nothing lasts for more than 30 days")]
    TooLong(std::time::Duration),
    /// A generator that has nothing to choose from.
    #[error("no kind of fault has a weight, or no time is left for one")]
    NothingToDraw,
    /// A seed in the environment that is no number.
    #[error("{name}={value:?} is no number")]
    Seed {
        /// The variable.
        name: &'static str,
        /// What it says.
        value: String,
    },
}
