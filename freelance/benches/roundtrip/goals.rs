//! What our clients aim for, as ratios within one run.

use crate::contest::{Contestant, SERVERS, Test};
use crate::meter::Figures;
use crate::referee::Results;

/// A ratio of ours to another, and its bound.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) ratio: f64,
    pub(crate) bound: Bound,
    pub(crate) beside: Option<Beside>,
}

/// What helps to judge a ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside {
    /// The same for a client that does nothing but send and receive: no client can be below it.
    Floor(f64),
    /// The same by the time that clients and servers had on the CPUs, so that other programs do not count.
    ByCpu(f64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(bound) => self.ratio <= bound,
            Bound::AtLeast(bound) => self.ratio >= bound,
        }
    }
}

/// Those for which everything has run.
pub(crate) fn check(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for servers in SERVERS {
        let plural = if servers == 1 { "" } else { "s" };
        for (ours, other, bound) in [
            (Contestant::OursOne, Contestant::ReqPoll, 1.05),
            (Contestant::OursTwo, Contestant::Shotgun, 1.0),
            (Contestant::Blocking, Contestant::Guide, 0.65),
        ] {
            let test = Test {
                servers,
                outstanding: 1,
            };
            let median = |contestant| results.median(contestant, test, |f| f.median_us);
            if let (Some(ours_us), Some(other_us)) = (median(ours), median(other)) {
                goals.push(Goal {
                    what: format!(
                        "model {}, {servers} server{plural}, round trip: ours / {}",
                        ours.model(),
                        other.label()
                    ),
                    ratio: ours_us / other_us,
                    bound: Bound::AtMost(bound),
                    beside: floor(ours)
                        .and_then(median)
                        .map(|us| Beside::Floor(us / other_us)),
                });
            }
        }
    }
    for servers in SERVERS {
        for outstanding in [64, 256] {
            let test = Test {
                servers,
                outstanding,
            };
            goals.extend(check_rate(results, test));
        }
    }
    goals
}

fn check_rate(results: &Results, test: Test) -> Option<Goal> {
    let ratio = |rate: fn(&Figures) -> f64| {
        let ours = results.median(Contestant::Blocking, test, rate)?;
        Some(ours / results.median(Contestant::Router, test, rate)?)
    };
    let plural = if test.servers == 1 { "" } else { "s" };
    Some(Goal {
        what: format!(
            "model 3, {} server{plural}, {} outstanding, requests/s: ours / bare ROUTER",
            test.servers, test.outstanding
        ),
        ratio: ratio(|figures| figures.requests_per_s)?,
        bound: Bound::AtLeast(0.8),
        beside: ratio(Figures::requests_per_cpu_s).map(Beside::ByCpu),
    })
}

/// Who does the least that one of our clients could do.
fn floor(ours: Contestant) -> Option<Contestant> {
    match ours {
        Contestant::OursOne => Some(Contestant::Req),
        Contestant::Blocking | Contestant::Callbacks | Contestant::Agent => {
            Some(Contestant::Router)
        }
        Contestant::OursTwo
        | Contestant::Req
        | Contestant::ReqPoll
        | Contestant::Shotgun
        | Contestant::Router
        | Contestant::Dealer
        | Contestant::Guide => None,
    }
}
