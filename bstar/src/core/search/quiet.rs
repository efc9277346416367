//! From a state on, nothing fails: does the pair serve again?

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use super::Pair;
use super::world::World;
use crate::core::State;

const SHARDS: usize = 64;

/// After how many rounds a state settles by itself. Many states lead to the same next one, so
/// each is followed once.
pub(super) struct Quiet {
    rounds: [Mutex<HashMap<u64, u32>>; SHARDS],
}

impl Default for Quiet {
    fn default() -> Quiet {
        Quiet {
            rounds: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

/// More than a run is given.
const NEVER: u32 = u32::MAX;

impl Quiet {
    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32>> {
        &self.rounds[key as usize % SHARDS]
    }

    fn known(&self, key: u64) -> Option<u32> {
        let shard = self.shard(key).lock();
        let known = shard.unwrap_or_else(PoisonError::into_inner);
        known.get(&key).copied()
    }

    fn learn(&self, key: u64, rounds: u32) {
        let shard = self.shard(key).lock();
        let mut known = shard.unwrap_or_else(PoisonError::into_inner);
        known.insert(key, rounds);
    }
}

impl Pair {
    /// The links are healed, maintenance is over, who was paused runs, and, with `restart`, who was down
    /// is started. Clients ask both; no host says that it is ready or drained, so every bound is waited
    /// for. Within five peer timeouts one serves, and the other, if there is one, stands by.
    pub(super) fn recovers(&self, world: &World, restart: bool) -> bool {
        let mut world = world.clone();
        world.cut = [false; 2];
        for n in 0..2 {
            match &mut world.nodes[n] {
                Some(node) => {
                    node.paused = false;
                    node.asked = None;
                    self.set_maintenance(&mut world, n, false);
                }
                None if restart => self.start(&mut world, n),
                None => {}
            }
        }
        let longest = self.timeouts[0].max(self.timeouts[1]);
        let given = (5 * longest).div_duration_f64(self.tick) as u32;
        let mut passed = Vec::new();
        let mut rounds = NEVER;
        for round in 0..=given {
            if round > 0 && world.is_settled() {
                rounds = 0;
                break;
            }
            let mut hasher = DefaultHasher::new();
            world.behaviour().hash(&mut hasher);
            let key = hasher.finish();
            if let Some(known) = self.quiet.known(key) {
                rounds = known;
                break;
            }
            passed.push(key);
            self.quiet_round(&mut world);
        }
        // A run that was given up is worth nothing to one that begins in its middle.
        let follows = passed.len() as u32;
        if rounds != NEVER {
            for (at, key) in passed.iter().rev().enumerate() {
                self.quiet.learn(*key, rounds + 1 + at as u32);
            }
        }
        rounds.saturating_add(follows) <= given || self.is_excused(&world)
    }

    fn quiet_round(&self, world: &mut World) {
        self.tick(world);
        while let Some(n) = (0..2).find(|n| !world.links[*n].is_empty()) {
            self.deliver(world, n);
        }
        (0..2).for_each(|n| self.request(world, n));
    }

    /// Nobody is left, or only a backup that was never paired in its life and may not serve alone.
    fn is_excused(&self, world: &World) -> bool {
        match world.states() {
            [None, None] => {
                let may_end = |n| !self.is_ours(n) && self.is_ours(1 - n);
                (0..2).all(|n| !world.died[n] || may_end(n))
            }
            [None, Some(backup)] => backup == State::Initial && self.serve_alone.is_none(),
            [Some(_), _] => false,
        }
    }
}
