//! What the runs gave, and the figures made of it.

use std::collections::HashMap;

use crate::contest::{Contestant, Kind, Test};
use crate::layout::{Column, Figure, Quantile};

/// What one run printed: numbers by label.
pub(crate) type Run = HashMap<String, Vec<f64>>;

/// One contestant in one test.
pub(crate) struct Entry {
    pub(crate) contestant: Contestant,
    pub(crate) test: Test,
    /// How much it is asked to dispatch in a run.
    pub(crate) count: u64,
    pub(crate) runs: Vec<Run>,
    /// It failed, and does not run any more.
    pub(crate) out: bool,
}

pub(crate) struct Results {
    pub(crate) rounds: u32,
    pub(crate) entries: Vec<Entry>,
}

/// A median, and the quartiles around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Results {
    /// One value a run, sorted.
    pub(crate) fn values(&self, contestant: Contestant, test: Test, figure: Figure) -> Vec<f64> {
        let mut values: Vec<f64> = self
            .entries
            .iter()
            .filter(|entry| entry.contestant == contestant && entry.test == test && !entry.out)
            .flat_map(|entry| &entry.runs)
            .filter_map(|run| value(run, figure))
            .collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub(crate) fn spread(
        &self,
        contestant: Contestant,
        test: Test,
        figure: Figure,
    ) -> Option<Spread> {
        let values = self.values(contestant, test, figure);
        let median = match figure {
            // The worst of all runs is what a maximum is about.
            Figure::TimerUs(Quantile::Max) | Figure::NeighbourUs(Quantile::Max) => {
                *values.last()?
            }
            _ => quantile(&values, 0.5)?,
        };
        Some(Spread {
            low: quantile(&values, 0.25)?,
            median,
            high: quantile(&values, 0.75)?,
        })
    }

    pub(crate) fn median(&self, contestant: Contestant, column: &Column) -> Option<f64> {
        let spread = self.spread(contestant, column.test, column.figure)?;
        Some(spread.median)
    }

    /// The best of the peers, as far as it has run.
    pub(crate) fn best_peer(&self, column: &Column) -> Option<(Contestant, f64)> {
        let peers = Contestant::ALL
            .into_iter()
            .filter(|contestant| contestant.kind() == Kind::Peer)
            .filter_map(|peer| Some((peer, self.median(peer, column)?)));
        if column.figure.more_is_better() {
            peers.max_by(|a, b| a.1.total_cmp(&b.1))
        } else {
            peers.min_by(|a, b| a.1.total_cmp(&b.1))
        }
    }
}

fn value(run: &Run, figure: Figure) -> Option<f64> {
    let single = |label: &str| run.get(label)?.first().copied();
    let sample = |label: &str, at: f64| {
        let mut samples = run.get(label)?.clone();
        samples.sort_by(f64::total_cmp);
        quantile(&samples, at)
    };
    match figure {
        Figure::EachUs => Some(single("each_ns")? / 1e3),
        Figure::EachNs => single("each_ns"),
        Figure::Rate => Some(1e9 / single("each_ns")?),
        Figure::FloodRate => single("flood_per_s"),
        Figure::WakeMedianUs => Some(sample("wake_ns", 0.5)? / 1e3),
        Figure::WakeP99Us => Some(sample("wake_ns", 0.99)? / 1e3),
        Figure::TimerUs(quantile) => sample("timer_us", quantile.at()),
        Figure::NeighbourUs(quantile) => sample("neighbour_us", quantile.at()),
    }
}

impl Quantile {
    fn at(self) -> f64 {
        match self {
            Quantile::Median => 0.5,
            Quantile::P99 => 0.99,
            Quantile::Max => 1.0,
        }
    }
}

/// Of what is sorted: the smallest value that so large a part is not above.
fn quantile(sorted: &[f64], at: f64) -> Option<f64> {
    let rank = (at * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}
