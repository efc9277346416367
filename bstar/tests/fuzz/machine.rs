//! The whole machine, in every state, beside a twin that is spared what does not parse: the two
//! must not differ but in what they counted.

use std::time::{Duration, Instant};

use bstar::core::{Announcement, Config, MAX_EPOCH, Machine, Output, Role, State, Status};
use reactor::sim::{Mutator, fuzz};

use crate::Message;
use crate::wire::{corpus, damaged, print, subscription};

const HEARTBEAT: Duration = Duration::from_secs(1);

/// Things that happen in one execution at most.
const STEPS: usize = 12;
/// More than one input can bring about.
const MAX_OUTPUTS: usize = 16;

/// A node that has come to this state by what its peer said.
fn node_in(role: Role, state: State, mutator: &mut Mutator, now: Instant) -> Machine {
    let mut node = Machine::new(config(role, mutator), 0xa, now);
    if mutator.below(2) == 0 {
        node = node.with_second_link();
    }
    if mutator.below(2) == 0 {
        node.resume_epochs(mutator.number() % MAX_EPOCH);
    }
    let mut hear = |digit: &str| node.handle_peer(0, &[digit], now);
    match state {
        State::Initial => {}
        State::Passive => hear("3"),
        State::Active | State::Draining | State::Resigned => {
            hear("3");
            hear(if role == Role::Primary { "2" } else { "1" });
        }
    }
    if let State::Resigned = state {
        hear("4");
        node.handle_step_back(now).expect("a passive peer is heard");
    }
    if let State::Draining = state {
        let ready = format!(
            "bstar/1 pair=bstar role={} inc=000000000000000b epoch=0 heard=bare timeout=2000",
            role.other()
        );
        node.handle_peer(0, &["4", &ready], now);
        node.handle_step_back(now).expect("a passive peer is heard");
        node.handle_peer(0, &["4", &format!("{ready} ready=1")], now);
    }
    assert_eq!(node.state(), state);
    drain(&mut node);
    node
}

/// The defaults, or with the one thing that only this role can be told.
fn config(role: Role, mutator: &mut Mutator) -> Config {
    let config = Config::new(role);
    let told = match (mutator.below(2), role) {
        (0, Role::Primary) => config.clone().with_fail_back(2 * HEARTBEAT),
        (0, Role::Backup) => config.clone().with_serve_alone(4 * HEARTBEAT),
        _ => Ok(config),
    };
    told.expect("it is within bounds")
}

fn drain(node: &mut Machine) -> Vec<Output> {
    let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
    assert!(outputs.len() <= MAX_OUTPUTS, "{outputs:?}");
    for output in &outputs {
        if let Output::Publish { state, metadata } = output {
            let said = Announcement {
                state: *state,
                metadata: Some(metadata.clone()),
            };
            assert_eq!(Announcement::parse(&print(&said)), Ok(said));
        }
    }
    outputs
}

/// The node's turn comes, and nothing has happened: what an XPUB hands up says nothing.
fn turn(node: &mut Machine, now: Instant) {
    node.handle_subscription(0, b"", None, now);
}

/// A node and its twin.
struct Twins {
    node: Machine,
    twin: Machine,
    links: usize,
    now: Instant,
}

impl Twins {
    fn peer(&mut self, link: usize, message: &Message) {
        let before = self.node.status(self.now);
        self.node.handle_peer(link, message, self.now);
        let after = self.node.status(self.now);
        let Ok(said) = Announcement::parse(message) else {
            assert_eq!(after.counters.garbage, before.counters.garbage + 1);
            turn(&mut self.twin, self.now);
            return;
        };
        assert_eq!(after.counters.garbage, before.counters.garbage);
        self.twin.handle_peer(link, message, self.now);
        let is_stranger = after.counters.strangers > before.counters.strangers;
        let has_fallen = drain(&mut self.node.clone())
            .iter()
            .any(|output| matches!(output, Output::Fatal(_)));
        let is_heard = after.peer == Some(said) && after.silence.is_zero();
        // What was said before something else, or may have been, by another link.
        let may_be_old = after.counters.old > before.counters.old || self.links > 1;
        assert!(
            is_heard || is_stranger || has_fallen || may_be_old,
            "{after:?}"
        );
    }

    fn subscription(&mut self, mutator: &mut Mutator) {
        let (message, connection) = subscription(mutator);
        let link = mutator.below(self.links);
        // It is no word of the peer, whoever it came from.
        let mut spared = self.node.clone();
        turn(&mut spared, self.now);
        self.node
            .handle_subscription(link, &message, connection, self.now);
        assert_eq!(self.node.status(self.now), spared.status(self.now));
        self.twin
            .handle_subscription(link, &message, connection, self.now);
        if mutator.below(2) == 0 {
            self.node.handle_subscriptions_read(link);
            self.twin.handle_subscriptions_read(link);
        }
    }

    /// What an operator and the application do, to both.
    fn operate(&mut self, what: usize) {
        let now = self.now;
        let [ours, twins] = [&mut self.node, &mut self.twin].map(|node| match what {
            0 => format!("{:?}", node.handle_request(now)),
            1 => format!("{:?}", node.handle_step_back(now)),
            2 => format!("{:?}", node.handle_promote(now)),
            3 | 4 => format!(
                "{:?}",
                node.offered().map(|offer| {
                    node.handle_offer_answer(offer, what == 3, now);
                })
            ),
            5 => format!("{:?}", node.handle_drained(now)),
            6 => format!("{:?}", node.handle_peer_dead(now)),
            7 => format!("{:?}", node.set_maintenance(!node.status(now).maintenance)),
            8 => format!("{:?}", node.set_fit(!node.status(now).fit)),
            _ => format!("{:?}", node.handle_timeout(now)),
        });
        assert_eq!(ours, twins);
    }

    fn compare(&mut self) {
        assert_eq!(self.known(&self.node), self.known(&self.twin));
        assert!(self.node.epoch() <= MAX_EPOCH);
        assert_eq!(drain(&mut self.node), drain(&mut self.twin));
    }

    /// What a node knows, without what it counted of garbage.
    fn known(&self, node: &Machine) -> (Status, Option<Instant>, Instant) {
        let mut status = node.status(self.now);
        status.counters.garbage = 0;
        (status, node.relies_until(), node.next_deadline())
    }
}

/// Pauses that a node notices, and such as it need not.
fn pause(mutator: &mut Mutator) -> Duration {
    let tenths = *mutator.pick(&[0, 0, 0, 1, 3, 9, 10, 11, 19, 20, 21, 60]);
    HEARTBEAT * tenths / 10
}

#[test]
fn a_machine_that_is_spared_the_garbage_does_the_same() {
    let corpus = corpus();
    let start = Instant::now();
    let mut seen = [0_u64; 2];
    let executions = fuzz("machines", 50_000, |mutator| {
        let role = *mutator.pick(&Role::ALL);
        let state = *mutator.pick(&State::ALL);
        let node = node_in(role, state, mutator, start);
        let (twin, now) = (node.clone(), start);
        let links = node.status(now).links.len();
        let mut twins = Twins {
            node,
            twin,
            links,
            now,
        };
        for _ in 0..=mutator.below(STEPS) {
            twins.now += pause(mutator);
            let link = mutator.below(links);
            match mutator.below(10) {
                0 => twins.subscription(mutator),
                1 | 2 => twins.operate(mutator.below(10)),
                3 => twins.peer(link, mutator.pick(&corpus)),
                _ => {
                    let message = damaged(mutator, &corpus);
                    seen[usize::from(Announcement::parse(&message).is_ok())] += 1;
                    twins.peer(link, &message);
                }
            }
            twins.compare();
        }
    })
    .unwrap();
    // Both are to be tried: what parses after all, and what does not.
    assert!(executions < 1000 || seen.iter().all(|seen| *seen > executions / 4));
}
