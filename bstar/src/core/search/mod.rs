//! An exhaustive search over the production machine: two nodes, clients, and an adversary who
//! loses messages, delays them without bound, crashes, restarts and pauses nodes and asks them
//! to step back.
//!
//! The search visits every state within the bounds of [`Pair`] and asks of each: **if the faults
//! stopped now and clients went on asking, would the pair serve again, with one active node?**

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use stateright::{Checker, Model, Property};

use crate::core::{Answer, Config, GUIDE, Machine, Output, PAIR, Role, State, Table};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time goes on by half a heartbeat, so that a gap of one or two ticks is a node that runs, and
/// one of three is a pause.
const TICK: Duration = Duration::from_millis(500);
/// After so many ticks without faults the pair serves: five peer timeouts.
const QUIET_TICKS: u32 = 20;

const SERVES_WITH_BOTH: &str = "serves again when both are started";
const SERVES_WITH_SURVIVORS: &str = "serves again with those that are up";
const NEVER_DEAD_BOTH: &str = "never dead both";

/// The model and its bounds.
#[derive(Clone)]
struct Pair {
    table: &'static Table,
    start: Instant,
    /// Crashes, clean ends, pauses and wishes to step back, all together.
    faults: u8,
    /// Messages arrive before time goes on, and only a node that does not run loses some. Else
    /// any message may be lost, or come as late as it likes. A link holds one.
    prompt: bool,
    /// States with an epoch above this are not explored further.
    max_epoch: u64,
}

type Message = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
struct World {
    now: Instant,
    nodes: [Option<Node>; 2],
    /// `links[n]` leads to node `n`.
    links: [VecDeque<Message>; 2],
    /// Faults that may still come.
    left: u8,
    /// How often each node was started.
    lives: [u64; 2],
    /// A node ended by itself.
    died: [bool; 2],
}

#[derive(Clone, Debug)]
struct Node {
    machine: Machine,
    paused: bool,
}

impl World {
    /// Two worlds are the same state when all that is to come is: time itself does not count.
    fn canonical(&self) -> impl Hash + PartialEq + '_ {
        let World {
            now,
            nodes,
            links,
            left,
            lives,
            died,
        } = self;
        let node = |n: &Option<Node>| n.as_ref().map(|n| (n.machine.canonical(*now), n.paused));
        (nodes.each_ref().map(node), links, left, lives, died)
    }

    /// One node serves, and the other, if there is one, stands by: without faults and with
    /// nothing on the way this stays so, by the rows for an active node that hears a passive one
    /// and the reverse.
    fn is_settled(&self) -> bool {
        let states = self
            .nodes
            .each_ref()
            .map(|n| n.as_ref().map(|n| n.machine.state()));
        matches!(
            states,
            [Some(State::Active), Some(State::Passive) | None]
                | [Some(State::Passive) | None, Some(State::Active)]
        ) && self.links.iter().all(VecDeque::is_empty)
    }

    /// Nobody is left, or only a backup that was never paired in its life.
    fn is_excused(&self) -> bool {
        match &self.nodes {
            [None, None] => self.died == [false, false],
            [None, Some(backup)] => backup.machine.state() == State::Initial,
            [Some(_), _] => false,
        }
    }

    fn all_in(&self, state: State) -> bool {
        self.nodes
            .iter()
            .all(|n| n.as_ref().is_some_and(|n| n.machine.state() == state))
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.canonical().hash(hasher);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &World) -> bool {
        self.canonical() == other.canonical()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Tick,
    Deliver(usize),
    Lose(usize),
    Request(usize),
    Crash(usize),
    Stop(usize),
    Restart(usize),
    Pause(usize),
    Resume(usize),
    StepBack(usize),
}

impl Pair {
    fn start(&self, world: &mut World, n: usize) {
        let config = Config::new(Role::ALL[n]).with_heartbeat(HEARTBEAT).unwrap();
        world.lives[n] += 1;
        let mut machine = Machine::with_table(config, self.table, world.lives[n], world.now);
        machine.handle_subscription(0, b"\x01", Some(1), world.now);
        machine.handle_subscription(0, b"\x01bstar/1", Some(1), world.now);
        machine.handle_timeout(world.now);
        world.nodes[n] = Some(Node {
            machine,
            paused: false,
        });
        self.drain(world, n);
    }

    /// Moves the node's outputs to the link; ends a node that cannot go on.
    fn drain(&self, world: &mut World, n: usize) {
        let Some(node) = &mut world.nodes[n] else {
            return;
        };
        let mut fatal = false;
        while let Some(output) = node.machine.poll_output() {
            match output {
                Output::Publish { state, metadata } => {
                    let link = &mut world.links[1 - n];
                    if link.is_empty() || self.prompt {
                        assert!(
                            node.machine.reads_metadata(0),
                            "both subscriptions were made"
                        );
                        link.push_back(vec![vec![state.digit()], metadata.to_string().into()]);
                    }
                }
                Output::Fatal(_) => fatal = true,
                Output::Transition(_)
                | Output::Redial { .. }
                | Output::NeverPaired
                | Output::SwitchoverEnded(_) => {}
                Output::Offered => node.machine.handle_offer_answer(true, world.now),
                Output::Persist { .. }
                | Output::Stranger(_)
                | Output::TimeoutMismatch { .. }
                | Output::Link { .. } => {
                    unreachable!()
                }
            }
        }
        if fatal {
            world.nodes[n] = None;
            world.died[n] = true;
        }
    }

    /// Does something to a node, if it runs.
    fn with(&self, world: &mut World, n: usize, f: impl FnOnce(&mut Machine, Instant)) {
        if let Some(Node {
            machine,
            paused: false,
        }) = &mut world.nodes[n]
        {
            f(machine, world.now);
            self.drain(world, n);
        }
    }

    fn tick(&self, world: &mut World) {
        world.now += TICK;
        for n in 0..2 {
            self.with(world, n, |machine, now| machine.handle_timeout(now));
        }
    }

    fn deliver(&self, world: &mut World, n: usize) {
        let message = world.links[n].pop_front().expect("a message is there");
        self.with(world, n, |machine, now| {
            machine.handle_peer(0, &message, now)
        });
    }

    fn request(&self, world: &mut World, n: usize) {
        self.with(world, n, |machine, now| {
            let answer = machine.handle_request(now);
            assert_eq!(answer == Answer::Accept, machine.state() == State::Active);
        });
    }

    /// From here on nothing fails and clients ask both nodes: does the pair serve again?
    fn recovers(&self, world: &World, restart: bool) -> bool {
        let mut world = world.clone();
        for n in 0..2 {
            match &mut world.nodes[n] {
                Some(node) => node.paused = false,
                None if restart => self.start(&mut world, n),
                None => {}
            }
        }
        for _ in 0..QUIET_TICKS {
            self.tick(&mut world);
            while let Some(n) = (0..2).find(|n| !world.links[*n].is_empty()) {
                self.deliver(&mut world, n);
            }
            (0..2).for_each(|n| self.request(&mut world, n));
            if world.is_settled() {
                return true;
            }
        }
        world.is_excused()
    }

    /// Runs the search to its end.
    fn search(self) -> impl Checker<Pair> {
        self.checker().threads(2).spawn_bfs().join()
    }
}

impl Model for Pair {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut world = World {
            now: self.start,
            nodes: [None, None],
            links: Default::default(),
            left: self.faults,
            lives: [0, 0],
            died: [false, false],
        };
        self.start(&mut world, 0);
        self.start(&mut world, 1);
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if !self.prompt || world.links.iter().all(VecDeque::is_empty) {
            actions.push(Action::Tick);
        }
        for (n, node) in world.nodes.iter().enumerate() {
            let waits = !world.links[n].is_empty();
            let runs = matches!(node, Some(Node { paused: false, .. }));
            if waits && (!self.prompt || !runs) {
                actions.push(Action::Lose(n));
            }
            match node {
                Some(Node { paused: true, .. }) => actions.push(Action::Resume(n)),
                // A node that ended by itself has nobody to start it again.
                None if world.died[n] => {}
                None => actions.push(Action::Restart(n)),
                Some(_) => {
                    if waits {
                        actions.push(Action::Deliver(n));
                    }
                    actions.push(Action::Request(n));
                    if world.left > 0 {
                        actions.extend([Action::Pause(n), Action::StepBack(n)]);
                    }
                }
            }
            if world.left > 0 && node.is_some() {
                actions.push(Action::Crash(n));
                if runs {
                    actions.push(Action::Stop(n));
                }
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        if let Action::Crash(_) | Action::Stop(_) | Action::Pause(_) | Action::StepBack(_) = action
        {
            world.left -= 1;
        }
        match action {
            Action::Tick => self.tick(&mut world),
            Action::Deliver(n) => self.deliver(&mut world, n),
            Action::Lose(n) => drop(world.links[n].pop_front()),
            Action::Request(n) => self.request(&mut world, n),
            Action::Crash(n) => world.nodes[n] = None,
            Action::Stop(n) => {
                self.with(&mut world, n, |machine, now| machine.handle_stop(now));
                world.nodes[n] = None;
            }
            Action::Restart(n) => self.start(&mut world, n),
            Action::Pause(n) | Action::Resume(n) => {
                let node = world.nodes[n].as_mut().expect("it is up");
                node.paused = !node.paused;
            }
            Action::StepBack(n) => self.with(&mut world, n, |machine, now| {
                // Refused or not, the search goes on from there.
                let _ = machine.handle_step_back(now);
            }),
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
            Property::always(NEVER_DEAD_BOTH, |_, world: &World| {
                world.died != [true, true]
            }),
            // What the search would be worthless without having met.
            Property::sometimes("both active", |_, world: &World| {
                world.all_in(State::Active)
            }),
            Property::sometimes("both passive", |_, world: &World| {
                world.all_in(State::Passive)
            }),
            Property::sometimes("both resigned", |_, world: &World| {
                world.all_in(State::Resigned)
            }),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world
            .nodes
            .iter()
            .flatten()
            .all(|n| n.machine.epoch() <= self.max_epoch)
    }
}

fn pair(table: &'static Table, prompt: bool, faults: u8, max_epoch: u64) -> Pair {
    Pair {
        table,
        start: Instant::now(),
        faults,
        prompt,
        max_epoch,
    }
}

#[test]
fn the_pair_serves_again_after_any_loss_and_delay_and_a_fault() {
    let search = pair(&PAIR, false, 1, 2).search();
    search.assert_properties();
    assert_eq!(search.unique_state_count(), 1_278_620);
}

#[test]
fn the_pair_serves_again_after_three_faults() {
    let search = pair(&PAIR, true, 3, 8).search();
    search.assert_properties();
    assert_eq!(search.unique_state_count(), 370_895);
}

#[test]
fn b01_the_guides_table_has_dead_ends() {
    // Lost messages are enough: a dual active state that kills the node that hears of it first,
    // or both.
    let lossy = pair(&GUIDE, false, 0, 2).search();
    for property in [SERVES_WITH_BOTH, SERVES_WITH_SURVIVORS, NEVER_DEAD_BOTH] {
        lossy.assert_any_discovery(property);
    }
    // And with a perfect link, crashes, pauses and a literal step back.
    let prompt = pair(&GUIDE, true, 2, 6).search();
    for property in [SERVES_WITH_BOTH, SERVES_WITH_SURVIVORS, NEVER_DEAD_BOTH] {
        prompt.assert_any_discovery(property);
    }
}
