//! Two nodes, what is on the way between them, and what is remembered of them.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Instant;

use super::TIMEOUT;
use super::witness::Witness;
use crate::core::{Machine, Offer, State};

/// A message, and when it was sent if that is kept.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) frames: Vec<Vec<u8>>,
    pub(super) sent: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) nodes: [Option<Node>; 2],
    /// `links[n]` leads to node `n`.
    pub(super) links: [VecDeque<Message>; 2],
    /// What is sent to node `n` is lost.
    pub(super) cut: [bool; 2],
    /// Faults and wishes that may still come.
    pub(super) left: (u8, u8),
    /// How often each node was started.
    pub(super) lives: [u64; 2],
    /// A node ended by itself.
    pub(super) died: [bool; 2],
    /// The epoch that each node's state directory keeps.
    pub(super) disks: [u64; 2],
    pub(super) witness: Witness,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) machine: Machine,
    pub(super) paused: bool,
    /// The offer that the application was asked about, and has not answered.
    pub(super) asked: Option<Offer>,
    pub(super) maintenance: bool,
}

impl World {
    pub(super) fn new(now: Instant, left: (u8, u8)) -> World {
        World {
            now,
            nodes: [None, None],
            links: Default::default(),
            cut: [false; 2],
            left,
            lives: [0; 2],
            died: [false; 2],
            disks: [0; 2],
            witness: Witness::new(now),
        }
    }

    /// Two worlds are the same state when all that is to come is: time itself does not count.
    fn canonical(&self) -> impl Hash + PartialEq + '_ {
        // An older word is too old, however old it is.
        let bound = TIMEOUT;
        let age = |message: &Message| Some(self.now.duration_since(message.sent?).min(bound));
        let ages = |link: &VecDeque<Message>| link.iter().map(age).collect::<Vec<_>>();
        (
            self.behaviour(),
            self.left,
            self.died,
            self.links.each_ref().map(ages),
            self.witness.canonical(self.now),
        )
    }

    /// What decides what the nodes will do.
    pub(super) fn behaviour(&self) -> impl Hash + PartialEq + '_ {
        let World {
            now,
            nodes,
            links,
            cut,
            left: _,
            lives,
            died: _,
            disks,
            witness: _,
        } = self;
        let node = |n: &Option<Node>| {
            n.as_ref().map(|n| {
                let Node {
                    machine,
                    paused,
                    asked,
                    maintenance,
                } = n;
                (machine.canonical(*now), *paused, *asked, *maintenance)
            })
        };
        let link = |link: &VecDeque<Message>| {
            let frames = link.iter().map(|message| message.frames.clone());
            frames.collect::<Vec<_>>()
        };
        let links = links.each_ref().map(link);
        (nodes.each_ref().map(node), links, cut, lives, disks)
    }

    pub(super) fn states(&self) -> [Option<State>; 2] {
        self.nodes
            .each_ref()
            .map(|n| n.as_ref().map(|n| n.machine.state()))
    }

    pub(super) fn runs(&self, n: usize) -> bool {
        matches!(self.nodes[n], Some(Node { paused: false, .. }))
    }

    /// Node `n` would accept a request now, or will if it goes on now from a pause.
    pub(super) fn serves(&self, n: usize) -> bool {
        self.nodes[n].as_ref().is_some_and(|node| {
            let until = node.machine.relies_until();
            until.is_some_and(|until| self.now <= until)
        })
    }

    /// One node serves, and the other, if there is one, stands by: without faults and with
    /// nothing on the way this stays so, by the rows for an active node that hears a passive one
    /// and the reverse.
    pub(super) fn is_settled(&self) -> bool {
        matches!(
            self.states(),
            [Some(State::Active), Some(State::Passive) | None]
                | [Some(State::Passive) | None, Some(State::Active)]
        ) && self.links.iter().all(VecDeque::is_empty)
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
