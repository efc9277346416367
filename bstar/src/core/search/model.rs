//! What may happen to the two nodes, and what must hold of them.

use std::collections::VecDeque;
use std::time::Instant;

use stateright::{Model, Property};

use super::world::{Message, Node, World};
use super::{Fault, HEARTBEAT, Pair, Travel, Wish};
use crate::core::{Answer, Config, Machine, Output, Role, State};

pub(super) const SERVES_WITH_BOTH: &str = "serves again when both are started";
pub(super) const SERVES_WITH_SURVIVORS: &str = "serves again with those that are up";
pub(super) const NEVER_ENDS: &str = "none of ours ends by itself";
pub(super) const NEVER_DEAD_BOTH: &str = "never dead both";
pub(super) const NO_RULE_BROKEN: &str = "no rule is broken";
pub(super) const CALM: &str = "one serves while nothing fails";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Tick,
    Deliver(usize),
    Lose(usize),
    Request(usize),
    Crash(usize),
    Stop(usize),
    Restart(usize),
    Pause(usize),
    Resume(usize),
    /// Of what is sent to this node.
    Cut(usize),
    Heal(usize),
    /// It is proved to this node that its peer is gone.
    PeerDead(usize),
    /// The application says whether it is ready.
    Answer(usize, bool),
    /// The host says that all is finished.
    Drained(usize),
    StepBack(usize),
    Promote(usize),
    Maintenance(usize, bool),
}

impl Pair {
    fn config(&self, n: usize) -> Config {
        let role = Role::ALL[n];
        let config = Config::new(role).with_heartbeat(HEARTBEAT).unwrap();
        let config = config.with_timeout(self.timeouts[n]).unwrap();
        match (role, self.fail_back, self.serve_alone) {
            (Role::Primary, Some(after), _) => config.with_fail_back(after).unwrap(),
            (Role::Backup, _, Some(after)) => config.with_serve_alone(after).unwrap(),
            _ => config,
        }
    }

    pub(super) fn start(&self, world: &mut World, n: usize) {
        let now = world.now;
        world.lives[n] += 1;
        world.witness.start(n, now, self.durable);
        let (table, inc) = (self.tables[n], world.lives[n]);
        let mut machine = Machine::with_table(self.config(n), table, inc, now);
        machine.set_maintenance_table(self.maintenance);
        if self.durable {
            machine.resume_epochs(world.disks[n]);
        }
        machine.handle_subscription(0, b"\x01", Some(1), now);
        if self.is_ours(0) == self.is_ours(1) {
            machine.handle_subscription(0, b"\x01bstar/1", Some(1), now);
        }
        machine.handle_timeout(now);
        world.nodes[n] = Some(Node {
            machine,
            paused: false,
            asked: None,
            maintenance: false,
        });
        self.drain(world, n);
    }

    /// Moves the node's outputs to where they belong; ends a node that cannot go on.
    fn drain(&self, world: &mut World, n: usize) {
        let mut fatal = false;
        while let Some(node) = &mut world.nodes[n]
            && let Some(output) = node.machine.poll_output()
        {
            if let Output::Offered(offer) = output {
                node.asked = Some(offer);
            }
            self.see(world, n, &output);
            match output {
                Output::Publish { state, metadata } => {
                    let mut frames = vec![vec![state.digit()]];
                    if self.is_ours(0) == self.is_ours(1) {
                        frames.push(metadata.to_string().into_bytes());
                    }
                    self.send(world, 1 - n, frames);
                }
                Output::Persist { epoch } => world.disks[n] = epoch,
                Output::Fatal(_) => fatal = true,
                _ => {}
            }
        }
        if fatal {
            world.nodes[n] = None;
            world.died[n] = true;
            world.witness.happened.push("ended by itself");
        }
    }

    fn send(&self, world: &mut World, to: usize, frames: Vec<Vec<u8>>) {
        let holds_more = match self.travel {
            Travel::Anyhow => world.links[to].is_empty(),
            Travel::Promptly => {
                world.runs(to) || (world.nodes[to].is_some() && world.links[to].len() < 2)
            }
        };
        if holds_more && !world.cut[to] {
            let sent = (self.travel == Travel::Promptly).then_some(world.now);
            world.links[to].push_back(Message { frames, sent });
        }
    }

    /// Does something to a node, if it runs.
    pub(super) fn with<T>(
        &self,
        world: &mut World,
        n: usize,
        f: impl FnOnce(&mut Machine, Instant) -> T,
    ) -> Option<T> {
        let now = world.now;
        let node = world.nodes[n].as_mut().filter(|node| !node.paused)?;
        let before = (node.machine.state(), node.machine.epoch());
        let result = f(&mut node.machine, now);
        let called = std::mem::replace(&mut world.witness.nodes[n].called, now);
        self.drain(world, n);
        if self.is_ours(n) {
            self.see_call(world, n, before, now.duration_since(called));
        }
        Some(result)
    }

    pub(super) fn tick(&self, world: &mut World) {
        world.now += self.tick;
        for n in 0..2 {
            self.with(world, n, |machine, now| machine.handle_timeout(now));
            self.see_tick(world, n);
        }
    }

    pub(super) fn deliver(&self, world: &mut World, n: usize) {
        let message = world.links[n].pop_front().expect("a message is there");
        let node = world.nodes[n].as_ref();
        let active = node.filter(|node| node.machine.state() == State::Active);
        let active = active.map(|node| node.machine.epoch());
        let Message { frames, sent } = message;
        world.witness.reads = Some(sent);
        let heard = self.with(world, n, |machine, now| {
            machine.handle_peer(0, &frames, now)
        });
        world.witness.reads = None;
        if heard.is_some() {
            self.see_delivery(world, n, &frames, active);
        }
    }

    pub(super) fn request(&self, world: &mut World, n: usize) {
        let answer = self.with(world, n, |machine, now| machine.handle_request(now));
        if let Some(answer) = answer {
            let serves = world.states()[n] == Some(State::Active);
            let rule = "a request is accepted if active, and only then";
            world
                .witness
                .require((answer == Answer::Accept) == serves, rule);
        }
    }

    fn step_back(&self, world: &mut World, n: usize) {
        let Some(before) = world.states()[n] else {
            return;
        };
        let result = self.with(world, n, |machine, now| machine.handle_step_back(now));
        if let Some(result) = result {
            self.see_step_back(world, n, before, result);
        }
    }

    fn promote(&self, world: &mut World, n: usize) {
        if let Some(result) = self.with(world, n, |machine, now| machine.handle_promote(now)) {
            self.see_promotion(world, n, result);
        }
    }

    pub(super) fn set_maintenance(&self, world: &mut World, n: usize, on: bool) {
        if let Some(node) = &mut world.nodes[n] {
            node.maintenance = on;
            node.machine.set_maintenance(on);
        }
        self.drain(world, n);
    }

    /// What the adversary may do to node `n` at a cost.
    fn faults(&self, world: &World, n: usize, actions: &mut Vec<Action>) {
        for fault in self.faults.1 {
            let runs = world.runs(n);
            // Who runs has read what there was; what waits comes in the pause.
            let has_read = self.travel == Travel::Anyhow || world.links[n].is_empty();
            let action = match fault {
                Fault::Crash if world.nodes[n].is_some() => Action::Crash(n),
                Fault::Stop if runs && self.is_ours(n) => Action::Stop(n),
                Fault::Pause if runs && has_read => Action::Pause(n),
                Fault::Cut if !world.cut[n] => Action::Cut(n),
                _ => continue,
            };
            actions.push(action);
        }
    }

    /// What the operators may ask of node `n`, which runs.
    fn wishes(&self, world: &World, n: usize, actions: &mut Vec<Action>) {
        let peer = world.states()[1 - n];
        let peer_serves = matches!(peer, Some(State::Active | State::Draining));
        let maintenance = world.nodes[n].as_ref().is_some_and(|n| n.maintenance);
        for wish in self.wishes.1 {
            let action = match wish {
                Wish::StepBack => Action::StepBack(n),
                Wish::Promote if !peer_serves && world.links[1 - n].is_empty() => {
                    Action::Promote(n)
                }
                Wish::Maintenance if !maintenance => Action::Maintenance(n, true),
                Wish::Promote | Wish::Maintenance => continue,
            };
            actions.push(action);
        }
    }

    /// What happens to node `n` at no cost.
    fn course(&self, world: &World, n: usize, actions: &mut Vec<Action>) {
        let waits = !world.links[n].is_empty();
        let runs = world.runs(n);
        if waits && (self.travel == Travel::Anyhow || !runs) {
            actions.push(Action::Lose(n));
        }
        if world.cut[n] {
            actions.push(Action::Heal(n));
        }
        match &world.nodes[n] {
            // A node that ended by itself has nobody to start it again.
            None if world.died[n] => {}
            None => actions.push(Action::Restart(n)),
            Some(Node { paused: true, .. }) => actions.push(Action::Resume(n)),
            Some(node) => {
                if waits {
                    actions.push(Action::Deliver(n));
                }
                // The host reads the state channel to its end before it asks, unless it serves.
                let serves = node.machine.state() == State::Active;
                if serves || !waits || self.travel == Travel::Anyhow {
                    actions.push(Action::Request(n));
                }
                if node.asked.is_some() {
                    actions.extend([Action::Answer(n, true), Action::Answer(n, false)]);
                }
                if node.machine.state() == State::Draining {
                    actions.push(Action::Drained(n));
                }
                if self.death && world.nodes[1 - n].is_none() {
                    actions.push(Action::PeerDead(n));
                }
                if node.maintenance {
                    actions.push(Action::Maintenance(n, false));
                }
            }
        }
    }

    fn act(&self, world: &mut World, action: Action) {
        match action {
            Action::Tick => self.tick(world),
            Action::Deliver(n) => self.deliver(world, n),
            Action::Lose(n) => drop(world.links[n].pop_front()),
            Action::Request(n) => self.request(world, n),
            Action::Crash(n) => self.end(world, n),
            Action::Stop(n) => {
                self.with(world, n, |machine, now| machine.handle_stop(now));
                self.end(world, n);
            }
            Action::Restart(n) => self.start(world, n),
            Action::Pause(n) | Action::Resume(n) => {
                let node = world.nodes[n].as_mut().expect("it is up");
                node.paused = !node.paused;
            }
            Action::Cut(n) | Action::Heal(n) => world.cut[n] = !world.cut[n],
            Action::PeerDead(n) => {
                self.with(world, n, |machine, now| machine.handle_peer_dead(now));
            }
            Action::Answer(n, ready) => {
                let node = world.nodes[n].as_mut();
                let offer = node.and_then(|node| node.asked.take());
                self.with(world, n, |machine, now| {
                    if let Some(offer) = offer {
                        machine.handle_offer_answer(offer, ready, now);
                    }
                });
            }
            Action::Drained(n) => {
                world.witness.nodes[n].drained = true;
                self.with(world, n, |machine, now| machine.handle_drained(now));
                world.witness.nodes[n].drained = false;
            }
            Action::StepBack(n) => self.step_back(world, n),
            Action::Promote(n) => self.promote(world, n),
            Action::Maintenance(n, on) => self.set_maintenance(world, n, on),
        }
    }

    fn end(&self, world: &mut World, n: usize) {
        world.nodes[n] = None;
        if self.travel == Travel::Promptly {
            world.links[n].clear();
        }
    }
}

impl Model for Pair {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World::new(self.start, (self.faults.0, self.wishes.0));
        self.start(&mut world, 0);
        self.start(&mut world, 1);
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let read = |n: usize| world.links[n].is_empty() || !world.runs(n);
        if self.travel == Travel::Anyhow || (read(0) && read(1)) {
            actions.push(Action::Tick);
        }
        for n in 0..2 {
            self.course(world, n, actions);
            if world.left.0 > 0 {
                self.faults(world, n, actions);
            }
            if world.left.1 > 0 && world.runs(n) && (self.is_ours(n) || !self.is_ours(1 - n)) {
                self.wishes(world, n, actions);
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        world.witness.happened.clear();
        match action {
            Action::Crash(_) | Action::Stop(_) | Action::Pause(_) | Action::Cut(_) => {
                world.left.0 -= 1;
            }
            Action::StepBack(_) | Action::Promote(_) | Action::Maintenance(_, true) => {
                world.left.1 -= 1;
            }
            _ => {}
        }
        self.act(&mut world, action);
        match world.states() {
            [Some(State::Active), Some(State::Active)] => {
                world.witness.happened.push("both active")
            }
            [Some(State::Passive), Some(State::Passive)] => {
                world.witness.happened.push("both passive");
            }
            [Some(State::Resigned), Some(State::Resigned)] => {
                world.witness.happened.push("both resigned");
            }
            _ => {}
        }
        if !world.witness.happened.is_empty() {
            self.note(world.witness.happened.iter().copied());
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SERVES_WITH_BOTH, |pair: &Pair, world: &World| {
                pair.recovers(world, true)
            }),
            Property::always(SERVES_WITH_SURVIVORS, |pair: &Pair, world: &World| {
                world.nodes.iter().all(Option::is_some) || pair.recovers(world, false)
            }),
            Property::always(NEVER_ENDS, |pair: &Pair, world: &World| {
                (0..2).all(|n| !world.died[n] || !pair.is_ours(n))
            }),
            Property::always(NEVER_DEAD_BOTH, |_, world: &World| {
                world.died != [true, true]
            }),
            Property::always(NO_RULE_BROKEN, |_, world: &World| {
                world.witness.broken.is_none()
            }),
            Property::always(CALM, |pair: &Pair, world: &World| {
                let read = world.links.iter().all(VecDeque::is_empty);
                !pair.is_calm() || !read || is_served(world)
            }),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world
            .nodes
            .iter()
            .flatten()
            .all(|n| n.machine.epoch() <= self.max_epoch && n.machine.offers() <= self.max_offers)
    }
}

/// One is active, or on its way from that, and the other stands by.
fn is_served(world: &World) -> bool {
    matches!(
        world.states(),
        [Some(State::Active | State::Draining), Some(State::Passive)]
            | [Some(State::Passive), Some(State::Active | State::Draining)]
    )
}
