//! What is simulated: the hosts, how they are linked, what comes to them from outside, and for how long.

use std::time::Duration;

use super::clock::RIGHT_PPM;
use super::fault::{check_host, check_link, check_rate};
use super::{ConfigError, Fault, HostId, Link};

/// Nothing lasts longer than this, so that times cannot overflow.
pub(super) const MAX_SPAN: Duration = Duration::from_secs(30 * 24 * 3600);
const MAX_HOSTS: usize = 64;
const MAX_FAULTS: usize = 4096;

/// An input that comes to a host again and again, as a client's requests do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load<I> {
    /// To this host.
    pub host: HostId,
    /// What comes.
    pub input: I,
    /// At least so long after the one before; the first within this time.
    pub every: Duration,
    /// And up to this much longer.
    pub jitter: Duration,
}

/// What is simulated. `I` is the node's [`Input`](super::Node::Input).
#[derive(Clone, Debug)]
pub struct Sim<I> {
    pub(super) names: Vec<String>,
    pub(super) duration: Duration,
    pub(super) link: Link,
    pub(super) links: Vec<(HostId, HostId, Link)>,
    pub(super) rates: Vec<(HostId, u32)>,
    pub(super) loads: Vec<Load<I>>,
    pub(super) timer_slack: Duration,
    pub(super) max_steps: u64,
    pub(super) max_waiting: usize,
}

impl<I> Sim<I> {
    /// These hosts, for so long. Each is linked to each other one by [`Link::default`], clocks run right, and nothing
    /// comes from outside.
    pub fn new<T: Into<String>>(hosts: impl IntoIterator<Item = T>, duration: Duration) -> Self {
        Self {
            names: hosts.into_iter().map(Into::into).collect(),
            duration,
            link: Link::default(),
            links: Vec::new(),
            rates: Vec::new(),
            loads: Vec::new(),
            timer_slack: Duration::ZERO,
            max_steps: 1_000_000,
            max_waiting: 1000,
        }
    }

    /// How all links are when nothing is wrong.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    /// How one link is when nothing is wrong.
    #[must_use]
    pub fn link_between(mut self, from: HostId, to: HostId, link: Link) -> Self {
        self.links.push((from, to, link));
        self
    }

    /// How fast a host's clock runs when nothing is wrong, in parts per million of the right rate: 500,000 to
    /// 2,000,000.
    #[must_use]
    pub fn clock_rate(mut self, host: HostId, ppm: u32) -> Self {
        self.rates.push((host, ppm));
        self
    }

    /// An input that comes again and again.
    #[must_use]
    pub fn load(mut self, load: Load<I>) -> Self {
        self.loads.push(load);
        self
    }

    /// How late a timer may be on a host that runs: up to this, as chance has it. None by default.
    #[must_use]
    pub fn timer_slack(mut self, slack: Duration) -> Self {
        self.timer_slack = slack;
        self
    }

    /// After so many steps a run has failed: its nodes do not come to rest. A million by default.
    #[must_use]
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.max_steps = steps;
        self
    }

    /// How much may be on its way on one link, and how much may wait for one paused host; what comes then is lost, as
    /// at a high-water mark. 1000 by default, as libzmq's.
    #[must_use]
    pub fn max_waiting(mut self, messages: usize) -> Self {
        self.max_waiting = messages;
        self
    }

    /// The names of the hosts.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn check(&self, schedule: &[(Duration, Fault<I>)]) -> Result<(), ConfigError> {
        let hosts = self.names.len();
        if hosts == 0 || hosts > MAX_HOSTS {
            return Err(ConfigError::Hosts(hosts));
        }
        if self.duration < Duration::from_millis(1) || self.duration > MAX_SPAN {
            return Err(ConfigError::Duration(self.duration));
        }
        if schedule.len() > MAX_FAULTS {
            return Err(ConfigError::Faults(schedule.len()));
        }
        self.link.check()?;
        check_span(self.timer_slack)?;
        for (from, to, link) in &self.links {
            check_link(*from, *to, hosts)?;
            link.check()?;
        }
        for (host, ppm) in &self.rates {
            check_host(*host, hosts)?;
            check_rate(*ppm)?;
        }
        for load in &self.loads {
            check_host(load.host, hosts)?;
            check_span(load.every)?;
            check_span(load.jitter)?;
            if load.every < Duration::from_micros(1) {
                return Err(ConfigError::Interval);
            }
        }
        schedule.iter().try_for_each(|(at, fault)| {
            check_span(*at)?;
            fault.check(hosts)
        })
    }

    pub(super) fn link_from(&self, from: HostId, to: HostId) -> &Link {
        let own = self.links.iter().rfind(|(f, t, _)| (*f, *t) == (from, to));
        own.map_or(&self.link, |(_, _, link)| link)
    }

    pub(super) fn rate_of(&self, host: HostId) -> u32 {
        let own = self.rates.iter().rfind(|(h, _)| *h == host);
        own.map_or(RIGHT_PPM, |(_, ppm)| *ppm)
    }
}

pub(super) fn check_span(span: Duration) -> Result<(), ConfigError> {
    if span > MAX_SPAN {
        return Err(ConfigError::TooLong(span));
    }
    Ok(())
}
