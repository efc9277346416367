//! What goes wrong.

use std::fmt;
use std::time::Duration;

use freelance::Model;
use hdrhistogram::Histogram;

use crate::args::Args;
use crate::common::Result;
use crate::{fail, slow};

/// How long a server has for an answer before another one is asked.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(300);
/// Ten minutes.
const LONGEST_US: u64 = 600_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// `kill -9`.
    Killed(Model, When),
    /// SIGSTOP.
    Stopped(Hedging),
    /// 200 ms more for each answer of one server, or of none.
    Slow(Order, Slowed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    BetweenRequests,
    UnderARequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hedging {
    Off,
    On,
}

/// How the servers stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// They share the requests.
    OneTier,
    /// The first gets all while it is well.
    InOrder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slowed {
    None,
    First(Hedging),
}

/// How long requests waited, in microseconds.
pub(crate) struct Waits(pub(crate) Histogram<u64>);

impl Case {
    pub(crate) const ALL: [Self; 13] = [
        Self::Killed(Model::One, When::BetweenRequests),
        Self::Killed(Model::Two, When::BetweenRequests),
        Self::Killed(Model::Three, When::BetweenRequests),
        Self::Killed(Model::One, When::UnderARequest),
        Self::Killed(Model::Three, When::UnderARequest),
        Self::Stopped(Hedging::Off),
        Self::Stopped(Hedging::On),
        Self::Slow(Order::OneTier, Slowed::None),
        Self::Slow(Order::OneTier, Slowed::First(Hedging::Off)),
        Self::Slow(Order::OneTier, Slowed::First(Hedging::On)),
        Self::Slow(Order::InOrder, Slowed::None),
        Self::Slow(Order::InOrder, Slowed::First(Hedging::Off)),
        Self::Slow(Order::InOrder, Slowed::First(Hedging::On)),
    ];

    pub(crate) fn run(self, args: &Args) -> Result<Waits> {
        match self {
            Self::Killed(model, when) => fail::killed(model, when, args.trials()),
            Self::Stopped(hedging) => fail::stopped(hedging, args.trials()),
            Self::Slow(order, slowed) => slow::run(order, slowed, args),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(model, when) => {
                let model = match model {
                    Model::One => 1,
                    Model::Two => 2,
                    Model::Three => 3,
                };
                let when = match when {
                    When::BetweenRequests => "between requests",
                    When::UnderARequest => "under a request",
                };
                write!(f, "model {model}, killed {when}")
            }
            Self::Stopped(hedging) => write!(f, "model 3, stopped, {hedging}"),
            Self::Slow(order, slowed) => {
                let order = match order {
                    Order::OneTier => "one tier",
                    Order::InOrder => "in order",
                };
                match slowed {
                    Slowed::None => write!(f, "model 3, {order}, none slow"),
                    Slowed::First(hedging) => write!(f, "model 3, {order}, one slow, {hedging}"),
                }
            }
        }
    }
}

impl fmt::Display for Hedging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "no hedging",
            Self::On => "hedging",
        })
    }
}

impl Waits {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST_US, 3)?))
    }

    pub(crate) fn note(&mut self, waited: Duration) {
        let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(waited_us);
    }

    pub(crate) fn at_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }
}
