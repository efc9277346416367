//! What is known of a run without asking the machines: when messages arrived, what was handed out
//! before, since when a node drains; and the first rule that was broken.

use std::hash::Hash;
use std::time::{Duration, Instant};

use super::world::World;
use super::{HEARTBEAT, Pair};
use crate::core::{
    Announced, Announcement, Event, Metadata, Output, PromoteError, Role, State, StepBack,
    StepBackError, Transition,
};

#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) nodes: [Seen; 2],
    pub(super) broken: Option<&'static str>,
    /// A message is being read, and when it was sent if that is kept.
    pub(super) reads: Option<Option<Instant>>,
    /// What the last action brought about. It tells no two worlds apart.
    pub(super) happened: Vec<&'static str>,
}

/// What was seen of one node.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// When this life began.
    started: Instant,
    /// When this life was last brought a message, and whether any had metadata.
    told: Option<Instant>,
    told_more: bool,
    /// When it was last called.
    pub(super) called: Instant,
    /// The highest epoch that was handed out: in this life, or in all with a state directory.
    highest: u64,
    /// The state that it was last said to have entered.
    entered: State,
    draining_since: Option<Instant>,
    /// The host is just saying that all is drained.
    pub(super) drained: bool,
}

impl Witness {
    pub(super) fn new(now: Instant) -> Witness {
        let seen = Seen {
            started: now,
            told: None,
            told_more: false,
            called: now,
            highest: 0,
            entered: State::Initial,
            draining_since: None,
            drained: false,
        };
        Witness {
            nodes: [seen.clone(), seen],
            broken: None,
            reads: None,
            happened: Vec::new(),
        }
    }

    pub(super) fn canonical(&self, now: Instant) -> impl Hash + PartialEq + use<> {
        // The longest timeout of any search is twice the usual.
        let age = |since: Instant| now.duration_since(since).min(2 * super::TIMEOUT);
        let seen = |seen: &Seen| {
            let Seen {
                started,
                told,
                told_more,
                called,
                highest,
                entered: _,
                draining_since,
                drained: _,
            } = seen;
            // Once there was a message, the start counts no more.
            let silence = age(told.unwrap_or(*started));
            let drains = draining_since.map(age);
            (
                silence,
                told.is_some(),
                *told_more,
                age(*called),
                *highest,
                drains,
            )
        };
        (self.nodes.each_ref().map(seen), self.broken)
    }

    pub(super) fn require(&mut self, holds: bool, rule: &'static str) {
        if !holds {
            self.broken.get_or_insert(rule);
        }
    }

    pub(super) fn start(&mut self, n: usize, now: Instant, durable: bool) {
        let highest = if durable { self.nodes[n].highest } else { 0 };
        self.nodes[n] = Seen {
            highest,
            ..Witness::new(now).nodes[n].clone()
        };
    }
}

impl Pair {
    /// No message was brought to node `n` for a peer timeout: the larger of both once it was told of it,
    /// else its own.
    fn is_parted(&self, world: &World, n: usize) -> bool {
        let seen = &world.witness.nodes[n];
        let timeout = if seen.told_more {
            self.timeouts[0].max(self.timeouts[1])
        } else {
            self.timeouts[n]
        };
        let since = seen.told.unwrap_or(seen.started);
        world.now.duration_since(since) >= timeout
    }

    /// A node of ours wants something done.
    pub(super) fn see(&self, world: &mut World, n: usize, output: &Output) {
        match output {
            Output::Publish { state, metadata } => self.see_word(world, n, *state, metadata),
            Output::Transition(transition) => self.see_transition(world, n, transition),
            Output::SwitchoverEnded(result) => {
                world.witness.happened.push(match result {
                    Ok(()) => "stepped back",
                    Err(StepBackError::Vetoed) => "vetoed",
                    Err(_) => "unanswered",
                });
                let told = world.witness.nodes[n].entered;
                let expected = match result {
                    Ok(()) => State::Resigned,
                    Err(_) => State::Active,
                };
                let rule = "who hands over resigns, and else is active still";
                world.witness.require(told == expected, rule);
            }
            Output::Offered(_) => {
                let passive = world.states()[n] == Some(State::Passive);
                let rule = "an offer is for one that stands by";
                world.witness.require(passive, rule);
            }
            Output::Persist { epoch } => {
                let grows = *epoch > world.disks[n];
                world.witness.require(grows, "what is written grows");
            }
            _ => {}
        }
    }

    /// What a node says is so.
    fn see_word(&self, world: &mut World, n: usize, said: Announced, more: &Metadata) {
        let (role, Some(node)) = (Role::ALL[n], &world.nodes[n]) else {
            return;
        };
        let (state, machine) = (node.machine.state(), node.machine.config());
        let written = !self.durable || state != State::Active || more.epoch <= world.disks[n];
        let hands_over = matches!(state, State::Active | State::Draining | State::Resigned);
        let wants = state == State::Passive && machine.fail_back().is_some();
        let holds = said == Announced::of(role, state)
            && (more.offer.is_none() || hands_over)
            && (more.answer.is_none() || state == State::Passive)
            && (!more.wants || wants)
            && more.maintenance == node.maintenance;
        world
            .witness
            .require(holds, "what a node says of itself is so");
        let rule = "an epoch is written down before anyone is told";
        world.witness.require(written, rule);
    }

    fn see_transition(&self, world: &mut World, n: usize, transition: &Transition) {
        world.witness.happened.push(transition.row);
        let now = world.now;
        if transition.to == State::Active {
            self.see_activation(world, n, transition);
        }
        let seen = &mut world.witness.nodes[n];
        seen.entered = transition.to;
        let since = seen.draining_since.take();
        if transition.to == State::Draining {
            seen.draining_since = Some(now);
        }
        let Some(since) = since else { return };
        // A drain may last for a peer timeout, as long as nothing else is said.
        let over = now.duration_since(since) >= self.timeouts[n];
        let holds = match transition.cause {
            Event::Drained => seen.drained,
            Event::DrainExpired => over,
            _ => true,
        };
        let rule = "a drain ends when the host says so, or at its bound";
        world
            .witness
            .require(holds && transition.to == State::Resigned, rule);
    }

    fn see_activation(&self, world: &mut World, n: usize, transition: &Transition) {
        let (other, epoch) = (1 - n, transition.epoch);
        if world.serves(other) {
            let crossed = match world.witness.reads {
                Some(Some(sent)) => world.now.duration_since(sent) <= HEARTBEAT,
                // The word of a peer may be as old as it likes.
                Some(None) => true,
                None => false,
            };
            world.witness.happened.push(if crossed {
                "two serve by a word that crossed"
            } else {
                "two serve by a vote"
            });
            let holds = crossed || self.is_parted(world, n);
            // What a Guide's node does beside ours is its own.
            let guide = !self.is_ours(n);
            let rule = "two serve only when parted, or by words that crossed";
            world.witness.require(holds || guide, rule);
        }
        let fence = self.durable.then_some(epoch);
        let odd = epoch % 2 == 1;
        let fits = odd == (n == 0) && epoch > world.witness.nodes[n].highest;
        world.witness.nodes[n].highest = epoch;
        world.witness.require(fits, "no epoch is handed out twice");
        let holds = transition.fence == fence && fence.is_none_or(|epoch| epoch <= world.disks[n]);
        let rule = "an epoch fences only when it is written down";
        world.witness.require(holds, rule);
    }

    /// After node `n` was called, which was in this state and epoch, if it was up.
    pub(super) fn see_call(
        &self,
        world: &mut World,
        n: usize,
        before: (State, u64),
        gap: Duration,
    ) {
        let Some(node) = &world.nodes[n] else { return };
        let after = (node.machine.state(), node.machine.epoch());
        let config = node.machine.config();
        if gap > config.longest_gap() {
            let held = matches!(before.0, State::Active | State::Draining) && after == before;
            world.witness.require(!held, "who was away steps back");
        }
    }

    /// After time went on at node `n`.
    pub(super) fn see_tick(&self, world: &mut World, n: usize) {
        let since = world.witness.nodes[n].draining_since;
        if let (true, Some(since)) = (world.runs(n), since) {
            let within = world.now.duration_since(since) < self.timeouts[n];
            world.witness.require(within, "a drain ends at its bound");
        }
    }

    /// Before and after a message was brought to node `n` of ours, which was active in this epoch.
    pub(super) fn see_delivery(
        &self,
        world: &mut World,
        n: usize,
        message: &[Vec<u8>],
        active: Option<u64>,
    ) {
        let now = world.now;
        let seen = &mut world.witness.nodes[n];
        seen.told = Some(now);
        seen.told_more |= message.len() > 1;
        let Some(ours) = active else { return };
        let said = Announcement::parse(message);
        let theirs = said.ok().filter(|said| said.state == Announced::Active);
        if let Some(metadata) = theirs.and_then(|said| said.metadata)
            && metadata.epoch > ours
        {
            world.witness.happened.push("heard of the higher");
            let gives_way = world.states()[n] != Some(State::Active);
            let rule = "the lower gives way when it hears of the higher";
            world.witness.require(gives_way, rule);
        }
    }

    pub(super) fn see_step_back(
        &self,
        world: &mut World,
        n: usize,
        before: State,
        result: Result<StepBack, StepBackError>,
    ) {
        let after = world.states()[n];
        let holds = match result {
            Ok(StepBack::Done) => after == Some(State::Resigned),
            Ok(StepBack::Offered) => matches!(after, Some(State::Active | State::Draining)),
            Err(StepBackError::NotActive(_)) => after != Some(State::Active),
            Err(_) => after == Some(State::Active),
        };
        let served = matches!(before, State::Active | State::Draining);
        let same = after == Some(before) || served;
        let rule = "a wish to step back is answered by what it does";
        world.witness.require(holds && same, rule);
    }

    pub(super) fn see_promotion(
        &self,
        world: &mut World,
        n: usize,
        result: Result<(), PromoteError>,
    ) {
        let after = world.states()[n];
        let serves = matches!(after, Some(State::Active | State::Draining));
        let holds = match result {
            Ok(()) => after == Some(State::Active),
            Err(PromoteError::Serves(_)) => serves,
            Err(PromoteError::PeerActive) => !serves,
        };
        let rule = "a promotion is answered by what it does";
        world.witness.require(holds, rule);
    }
}
