//! What goes wrong, as plain data.

use std::fmt;
use std::time::Duration;

use super::{ConfigError, HostId, Link, MAX_SPAN, check_span};

/// Milliseconds, as short as a schedule is written with them.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What goes wrong, and for how long. `I` is the node's [`Input`](super::Node::Input).
///
/// Faults may overlap: a host is up again when the last of its crashes is over, a link carries messages again when the
/// last of its cuts is, and does the worst of what the others say; of several clock rates the last to begin counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault<I> {
    /// The node is gone without a word; after this time the host starts a new one.
    Crash {
        /// Whose node.
        host: HostId,
        /// Until a new one is started.
        lasts: Duration,
    },
    /// The node is gone without a word, and nobody starts it again.
    Die {
        /// Whose node.
        host: HostId,
    },
    /// The node is told to end, and does so in good order, or is killed if the host is paused; after this time the host
    /// starts a new one.
    Stop {
        /// Whose node.
        host: HostId,
        /// Until a new one is started.
        lasts: Duration,
    },
    /// Nothing runs on the host, as after SIGSTOP. What arrives waits.
    Pause {
        /// Which host.
        host: HostId,
        /// For how long.
        lasts: Duration,
    },
    /// The host's clock runs at this rate, in parts per million of the right one.
    ClockRate {
        /// Whose clock.
        host: HostId,
        /// 500,000 to 2,000,000.
        ppm: u32,
        /// For how long.
        lasts: Duration,
    },
    /// The host's clock jumps forward, as after its virtual machine was suspended. It never jumps back: no monotonic
    /// clock does.
    ClockStep {
        /// Whose clock.
        host: HostId,
        /// How far.
        by: Duration,
    },
    /// Nothing passes in one direction.
    Cut {
        /// From this host.
        from: HostId,
        /// To this one.
        to: HostId,
        /// For how long.
        lasts: Duration,
    },
    /// Nothing passes between two hosts.
    Part {
        /// The two.
        hosts: [HostId; 2],
        /// For how long.
        lasts: Duration,
    },
    /// Messages are lost.
    Loss {
        /// From this host.
        from: HostId,
        /// To this one.
        to: HostId,
        /// How many of a thousand.
        permille: u16,
        /// For how long.
        lasts: Duration,
    },
    /// Messages arrive late, in order.
    Delay {
        /// From this host.
        from: HostId,
        /// To this one.
        to: HostId,
        /// By at least this.
        delay: Duration,
        /// And up to this more.
        jitter: Duration,
        /// For how long.
        lasts: Duration,
    },
    /// Messages arrive late, and may overtake each other.
    Reorder {
        /// From this host.
        from: HostId,
        /// To this one.
        to: HostId,
        /// By up to this.
        jitter: Duration,
        /// For how long.
        lasts: Duration,
    },
    /// Messages arrive twice.
    Duplicate {
        /// From this host.
        from: HostId,
        /// To this one.
        to: HostId,
        /// How many of a thousand.
        permille: u16,
        /// For how long.
        lasts: Duration,
    },
    /// Something from outside, once.
    Input {
        /// To this host.
        host: HostId,
        /// What.
        input: I,
    },
}

/// The kinds of [`Fault`], to weigh and to count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "each is described at the fault of the same name"
)]
pub enum Kind {
    Crash,
    Die,
    Stop,
    Pause,
    ClockRate,
    ClockStep,
    Cut,
    Part,
    Loss,
    Delay,
    Reorder,
    Duplicate,
    Input,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 13] = [
        Kind::Crash,
        Kind::Die,
        Kind::Stop,
        Kind::Pause,
        Kind::ClockRate,
        Kind::ClockStep,
        Kind::Cut,
        Kind::Part,
        Kind::Loss,
        Kind::Delay,
        Kind::Reorder,
        Kind::Duplicate,
        Kind::Input,
    ];
}

/// When what goes wrong: the times are since the start of the run.
pub type Schedule<I> = Vec<(Duration, Fault<I>)>;

impl<I> Fault<I> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Fault::Crash { .. } => Kind::Crash,
            Fault::Die { .. } => Kind::Die,
            Fault::Stop { .. } => Kind::Stop,
            Fault::Pause { .. } => Kind::Pause,
            Fault::ClockRate { .. } => Kind::ClockRate,
            Fault::ClockStep { .. } => Kind::ClockStep,
            Fault::Cut { .. } => Kind::Cut,
            Fault::Part { .. } => Kind::Part,
            Fault::Loss { .. } => Kind::Loss,
            Fault::Delay { .. } => Kind::Delay,
            Fault::Reorder { .. } => Kind::Reorder,
            Fault::Duplicate { .. } => Kind::Duplicate,
            Fault::Input { .. } => Kind::Input,
        }
    }

    /// For how long it is in force; `None` if it is over at once, or for good.
    pub fn lasts(&self) -> Option<Duration> {
        match self {
            Fault::Crash { lasts, .. }
            | Fault::Stop { lasts, .. }
            | Fault::Pause { lasts, .. }
            | Fault::ClockRate { lasts, .. }
            | Fault::Cut { lasts, .. }
            | Fault::Part { lasts, .. }
            | Fault::Loss { lasts, .. }
            | Fault::Delay { lasts, .. }
            | Fault::Reorder { lasts, .. }
            | Fault::Duplicate { lasts, .. } => Some(*lasts),
            Fault::Die { .. } | Fault::ClockStep { .. } | Fault::Input { .. } => None,
        }
    }

    /// Whom it happens to; `None` for what happens to a link.
    pub(super) fn host(&self) -> Option<HostId> {
        match *self {
            Fault::Crash { host, .. }
            | Fault::Die { host }
            | Fault::Stop { host, .. }
            | Fault::Pause { host, .. }
            | Fault::ClockRate { host, .. }
            | Fault::ClockStep { host, .. }
            | Fault::Input { host, .. } => Some(host),
            Fault::Cut { .. }
            | Fault::Part { .. }
            | Fault::Loss { .. }
            | Fault::Delay { .. }
            | Fault::Reorder { .. }
            | Fault::Duplicate { .. } => None,
        }
    }

    pub(super) fn lasts_mut(&mut self) -> Option<&mut Duration> {
        match self {
            Fault::Crash { lasts, .. }
            | Fault::Stop { lasts, .. }
            | Fault::Pause { lasts, .. }
            | Fault::ClockRate { lasts, .. }
            | Fault::Cut { lasts, .. }
            | Fault::Part { lasts, .. }
            | Fault::Loss { lasts, .. }
            | Fault::Delay { lasts, .. }
            | Fault::Reorder { lasts, .. }
            | Fault::Duplicate { lasts, .. } => Some(lasts),
            Fault::Die { .. } | Fault::ClockStep { .. } | Fault::Input { .. } => None,
        }
    }

    /// What it does to a link while it is in force, if it is of that sort.
    pub(super) fn on_link(&self) -> Option<(HostId, HostId, Link)> {
        let link = Link {
            delay: Duration::ZERO,
            ..Link::default()
        };
        let (from, to, link) = match *self {
            Fault::Loss {
                from,
                to,
                permille: loss_permille,
                ..
            } => (
                from,
                to,
                Link {
                    loss_permille,
                    ..link
                },
            ),
            Fault::Delay {
                from,
                to,
                delay,
                jitter,
                ..
            } => (
                from,
                to,
                Link {
                    delay,
                    jitter,
                    ..link
                },
            ),
            Fault::Reorder {
                from, to, jitter, ..
            } => (
                from,
                to,
                Link {
                    jitter,
                    overtake: true,
                    ..link
                },
            ),
            Fault::Duplicate {
                from,
                to,
                permille: duplicate_permille,
                ..
            } => (
                from,
                to,
                Link {
                    duplicate_permille,
                    ..link
                },
            ),
            Fault::Crash { .. }
            | Fault::Die { .. }
            | Fault::Stop { .. }
            | Fault::Pause { .. }
            | Fault::ClockRate { .. }
            | Fault::ClockStep { .. }
            | Fault::Cut { .. }
            | Fault::Part { .. }
            | Fault::Input { .. } => return None,
        };
        Some((from, to, link))
    }

    /// Whether it can happen among so many hosts.
    pub(super) fn check(&self, hosts: usize) -> Result<(), ConfigError> {
        check_span(self.lasts().unwrap_or_default())?;
        if let Some((_, _, link)) = self.on_link() {
            link.check()?;
        }
        match *self {
            Fault::ClockRate { host, ppm, .. } => check_rate(ppm).and(check_host(host, hosts)),
            Fault::ClockStep { host, by } => check_span(by).and(check_host(host, hosts)),
            Fault::Crash { host, .. }
            | Fault::Die { host }
            | Fault::Stop { host, .. }
            | Fault::Pause { host, .. }
            | Fault::Input { host, .. } => check_host(host, hosts),
            Fault::Cut { from, to, .. }
            | Fault::Loss { from, to, .. }
            | Fault::Delay { from, to, .. }
            | Fault::Reorder { from, to, .. }
            | Fault::Duplicate { from, to, .. }
            | Fault::Part {
                hosts: [from, to], ..
            } => check_link(from, to, hosts),
        }
    }
}

pub(super) fn check_host(host: HostId, hosts: usize) -> Result<(), ConfigError> {
    let last = hosts.saturating_sub(1);
    if host > last {
        return Err(ConfigError::NoHost { host, last });
    }
    Ok(())
}

pub(super) fn check_link(from: HostId, to: HostId, hosts: usize) -> Result<(), ConfigError> {
    check_host(from, hosts)?;
    check_host(to, hosts)?;
    if from == to {
        return Err(ConfigError::Loop(from));
    }
    Ok(())
}

pub(super) fn check_rate(ppm: u32) -> Result<(), ConfigError> {
    if !(500_000..=2_000_000).contains(&ppm) {
        return Err(ConfigError::Rate(ppm));
    }
    Ok(())
}

/// A duration as a schedule is written with it.
struct Ms(Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_nanos().is_multiple_of(1_000_000) && self.0 <= MAX_SPAN {
            write!(f, "ms({})", self.0.as_millis())
        } else {
            write!(f, "Duration::from_nanos({})", self.0.as_nanos())
        }
    }
}

/// The expression that makes it, to be pasted into a test.
impl<I: fmt::Debug> fmt::Display for Fault<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault::{:?} {{ ", self.kind())?;
        match self {
            Fault::Crash { host, .. }
            | Fault::Die { host }
            | Fault::Stop { host, .. }
            | Fault::Pause { host, .. } => {
                write!(f, "host: {host}")?;
            }
            Fault::ClockRate { host, ppm, .. } => write!(f, "host: {host}, ppm: {ppm}")?,
            Fault::ClockStep { host, by } => write!(f, "host: {host}, by: {}", Ms(*by))?,
            Fault::Cut { from, to, .. } => write!(f, "from: {from}, to: {to}")?,
            Fault::Part { hosts: [a, b], .. } => write!(f, "hosts: [{a}, {b}]")?,
            Fault::Loss {
                from, to, permille, ..
            }
            | Fault::Duplicate {
                from, to, permille, ..
            } => {
                write!(f, "from: {from}, to: {to}, permille: {permille}")?;
            }
            Fault::Delay {
                from,
                to,
                delay,
                jitter,
                ..
            } => {
                write!(
                    f,
                    "from: {from}, to: {to}, delay: {}, jitter: {}",
                    Ms(*delay),
                    Ms(*jitter)
                )?;
            }
            Fault::Reorder {
                from, to, jitter, ..
            } => {
                write!(f, "from: {from}, to: {to}, jitter: {}", Ms(*jitter))?;
            }
            Fault::Input { host, input } => write!(f, "host: {host}, input: {input:?}")?,
        }
        if let Some(lasts) = self.lasts() {
            write!(f, ", lasts: {}", Ms(lasts))?;
        }
        f.write_str(" }")
    }
}

/// A schedule as the expression that makes it.
#[derive(Clone, Copy, Debug)]
pub struct Pasteable<'a, I>(pub &'a [(Duration, Fault<I>)]);

impl<I: fmt::Debug> fmt::Display for Pasteable<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("vec![]");
        }
        writeln!(f, "vec![")?;
        for (at, fault) in self.0 {
            writeln!(f, "    ({}, {fault}),", Ms(*at))?;
        }
        f.write_str("]")
    }
}
