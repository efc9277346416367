//! Many seeds, and the smallest schedule of the first one that fails.

use std::fmt;
use std::ops::Range;

use super::node::Node;
use super::run::{Scenario, name_of};
use super::shrink::shrink;
use super::{ConfigError, Counts, Faults, Pasteable, Schedule, Sim, Timeline};

/// Which seeds are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(Range<u64>);

impl Seeds {
    /// The seeds from 0 up to this many, unless the environment says otherwise: `SIM_SEED=17` is that one alone,
    /// `SIM_SEEDS=100000` is so many.
    pub fn from_env(usual: u64) -> Result<Seeds, ConfigError> {
        if let Some(seed) = variable("SIM_SEED")? {
            return Ok(Seeds(seed..seed.saturating_add(1)));
        }
        Ok(Seeds::first(variable("SIM_SEEDS")?.unwrap_or(usual)))
    }

    /// The seeds from 0 up to this many, whatever the environment says.
    pub fn first(count: u64) -> Seeds {
        Seeds(0..count)
    }

    /// How many there are. Who counts what happened should ask for less when there are few.
    pub fn count(&self) -> u64 {
        self.0.end - self.0.start
    }
}

impl From<Range<u64>> for Seeds {
    fn from(range: Range<u64>) -> Seeds {
        Seeds(range.start..range.end.max(range.start))
    }
}

pub(super) fn variable(name: &'static str) -> Result<Option<u64>, ConfigError> {
    match std::env::var(name) {
        Ok(value) => match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(ConfigError::Seed { name, value }),
        },
        Err(_) => Ok(None),
    }
}

/// A search for a seed that fails.
#[derive(Clone, Debug)]
pub struct Search<I> {
    sim: Sim<I>,
    faults: Faults<I>,
    max_reruns: u32,
}

/// Why a search did not come to a good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError<I: fmt::Debug> {
    /// There is something wrong with what was asked for.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something is broken.
    #[error("{0}")]
    Broken(Box<Report<I>>),
}

/// What was found: all that is needed to see it again, and to understand it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report<I> {
    /// The seed.
    pub seed: u64,
    /// What is broken.
    pub broken: String,
    /// How many faults the schedule of the seed had.
    pub drawn: usize,
    /// The smallest schedule that was found to break the same.
    pub schedule: Schedule<I>,
    /// How many runs it took to find it.
    pub reruns: u32,
    /// What happens with it.
    pub timeline: Timeline,
}

impl<I: Clone + fmt::Debug> Search<I> {
    /// A search in this world for what these faults break.
    pub fn new(sim: Sim<I>, faults: Faults<I>) -> Self {
        Self {
            sim,
            faults,
            max_reruns: 1000,
        }
    }

    /// How many runs may be made to shrink a schedule: 1000 by default.
    #[must_use]
    pub fn max_reruns(mut self, runs: u32) -> Self {
        self.max_reruns = runs;
        self
    }

    /// Runs these seeds, each with the scenario that is made for it, until one fails; tells what happened in all.
    pub fn run<S>(
        &self,
        seeds: Seeds,
        mut scenario: impl FnMut(u64) -> S,
    ) -> Result<Counts, SearchError<I>>
    where
        S: Scenario<Node: Node<Input = I>>,
    {
        let mut counts = Counts::default();
        for seed in seeds.0 {
            let schedule = self.faults.draw(seed, &self.sim)?;
            let panicking = SaySeed(seed);
            let run = self.sim.run_checked(seed, &schedule, scenario(seed), false);
            if let Some(broken) = run.broken {
                let report = self.shrink(seed, schedule, &broken, &mut scenario);
                return Err(SearchError::Broken(Box::new(report)));
            }
            drop(panicking);
            counts += &run.counts;
        }
        Ok(counts)
    }

    fn shrink<S>(
        &self,
        seed: u64,
        schedule: Schedule<I>,
        broken: &str,
        scenario: &mut impl FnMut(u64) -> S,
    ) -> Report<I>
    where
        S: Scenario<Node: Node<Input = I>>,
    {
        let drawn = schedule.len();
        let shrunk = shrink(schedule, self.max_reruns, |schedule| {
            let run = self.sim.run_checked(seed, schedule, scenario(seed), false);
            run.broken
                .is_some_and(|other| name_of(&other) == name_of(broken))
        });
        let run = self
            .sim
            .run_checked(seed, &shrunk.schedule, scenario(seed), true);
        Report {
            seed,
            // The schedule was found to fail, and a run is the same whenever it is repeated.
            broken: run.broken.unwrap_or_else(|| {
                format!("{broken} (not when repeated: the scenario is not deterministic)")
            }),
            drawn,
            schedule: shrunk.schedule,
            reruns: shrunk.reruns,
            timeline: run.timeline,
        }
    }
}

impl<I: fmt::Debug> fmt::Display for Report<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "broken with seed {}: {}", self.seed, self.broken)?;
        writeln!(f, "run it again with SIM_SEED={}", self.seed)?;
        let (drawn, left) = (self.drawn, self.schedule.len());
        writeln!(
            f,
            "the schedule, {left} of {drawn} faults, found in {} runs:",
            self.reruns
        )?;
        writeln!(f, "{}", Pasteable(&self.schedule))?;
        writeln!(f, "what happens with it:")?;
        f.write_str(&self.timeline.brief())
    }
}

/// A node that panics ends the search: the seed is to be known then too.
struct SaySeed(u64);

impl Drop for SaySeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "a node or a check panicked: run it again with SIM_SEED={}",
                self.0
            );
        }
    }
}
