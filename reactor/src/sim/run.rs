//! One run, from its start to its end or to the first thing that must not be.

use std::fmt;
use std::time::{Duration, Instant};

use super::node::{Life, Node};
use super::timeline::{Timeline, What};
use super::world::{Cause, Step, World};
use super::{ConfigError, Counts, Fault, Sim};

/// What runs on the hosts, and what must hold.
///
/// It lives for one run, and may remember what it has seen. What it answers may depend on nothing else, or the run
/// could not be repeated.
///
/// A text that says what is broken begins with the name of the invariant, up to the first colon: by the name a schedule
/// that is being shrunk is known to fail for the same reason still.
pub trait Scenario {
    /// What runs.
    type Node: Node;

    /// Makes the node for a life of a host: at the start, and after each restart.
    fn start(&mut self, life: Life, now: Instant) -> Self::Node;

    /// Looks at the world after each step.
    fn after_step(&mut self, world: &World<'_, Self::Node>, step: Step) -> Result<(), String> {
        let _ = (world, step);
        Ok(())
    }

    /// Looks at the world when the time is up.
    fn at_end(&mut self, world: &World<'_, Self::Node>) -> Result<(), String> {
        let _ = world;
        Ok(())
    }
}

/// What came of one run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// What is broken, if anything.
    pub broken: Option<String>,
    /// How often things happened.
    pub counts: Counts,
    /// What happened, if it was kept.
    pub timeline: Timeline,
}

impl<I: Clone + fmt::Debug> Sim<I> {
    /// Runs once, and keeps the timeline.
    ///
    /// The same seed, schedule and scenario make the same run, always and everywhere.
    pub fn run<S>(
        &self,
        seed: u64,
        schedule: &[(Duration, Fault<I>)],
        scenario: S,
    ) -> Result<Run, ConfigError>
    where
        S: Scenario<Node: Node<Input = I>>,
    {
        self.check(schedule)?;
        Ok(self.run_checked(seed, schedule, scenario, true))
    }

    /// Runs what was checked before.
    pub(super) fn run_checked<S>(
        &self,
        seed: u64,
        schedule: &[(Duration, Fault<I>)],
        mut scenario: S,
        keep_timeline: bool,
    ) -> Run
    where
        S: Scenario<Node: Node<Input = I>>,
    {
        let mut world = World::new(self, seed, schedule, keep_timeline);
        let broken = drive(&mut world, &mut scenario).err();
        if let Some(text) = &broken {
            world.tell(None, || What::Broken(text.clone()));
        }
        Run {
            broken,
            counts: world.counts,
            timeline: world.timeline.unwrap_or_default(),
        }
    }
}

fn drive<S: Scenario>(world: &mut World<'_, S::Node>, scenario: &mut S) -> Result<(), String> {
    for host in 0..world.hosts() {
        world.start(host, &mut |life, now| scenario.start(life, now));
        let step = Step {
            host: Some(host),
            cause: Cause::Start,
        };
        look(world, scenario, step)?;
    }
    while let Some(step) = world.advance(&mut |life, now| scenario.start(life, now)) {
        look(world, scenario, step)?;
        if world.counts.steps > world.sim.max_steps {
            return Err(format!("no rest: more than {} steps", world.sim.max_steps));
        }
    }
    scenario.at_end(world)
}

fn look<S: Scenario>(
    world: &mut World<'_, S::Node>,
    scenario: &mut S,
    step: Step,
) -> Result<(), String> {
    match world.misbehaved.take() {
        Some(text) => Err(text),
        None => scenario.after_step(world, step),
    }
}

/// The name of the invariant that a text says is broken.
pub(super) fn name_of(broken: &str) -> &str {
    broken.split(':').next().unwrap_or(broken)
}
