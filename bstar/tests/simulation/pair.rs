//! What must hold of the pair, whatever happens to it.

use std::time::{Duration, Instant};

use bstar::core::{Event, State, Table};
use reactor::sim::{Cause, Condition, Life, Scenario, Step, World};

use crate::node::{HEARTBEAT, PairNode, TIMEOUT};

/// The two nodes of a run, and what is remembered of them.
///
/// The first three are those of the exhaustive search: in the end **one serves** and the other stands by, **nobody
/// ends by itself**, and a request is **accepted if active**, and only then. The others say when two may serve:
///
/// - **Who was away resigns**: an active that was not called for longer than the peer may need to take over is active no
///   more, before it answers anyone.
/// - **A vote needs silence**: who becomes active by a client's request has heard nothing for a peer timeout, by its
///   own clock, and has not started, woken or stepped back within it.
/// - **No word of an active is stale**: who becomes active by its peer's initial digit got one that was sent before the
///   peer became active, if that is active now. It crossed with what the peer heard.
/// - **The lower resigns**: an active that hears its active peer say that it is, in a higher epoch, is active no more.
///
/// Together: two serve at once only from an activation of which the other has not heard, until it hears of it.
///
/// And of **epochs**: no two activations share one, unless between them the node that did both forgot it by a restart.
pub(crate) struct Pair {
    table: &'static Table,
    /// Only what the exhaustive search asks for: the Guide's table keeps little else.
    outcome_only: bool,
    active_since: [Option<Duration>; 2],
    /// How many activations of this life were looked at.
    seen: [usize; 2],
    /// Epoch, host and life of each activation.
    epochs: Vec<(u64, usize, u64)>,
}

impl Pair {
    pub(crate) fn new(table: &'static Table) -> Pair {
        Pair {
            table,
            outcome_only: false,
            active_since: [None; 2],
            seen: [0; 2],
            epochs: Vec::new(),
        }
    }

    /// Of another table it is only asked whether one serves in the end, and nobody ends by itself.
    pub(crate) fn outcome_of(table: &'static Table) -> Pair {
        Pair {
            outcome_only: true,
            ..Pair::new(table)
        }
    }

    fn check_activations(
        &mut self,
        world: &World<'_, PairNode>,
        host: usize,
        cause: Cause,
    ) -> Result<(), String> {
        let Some(node) = world.node(host) else {
            return Ok(());
        };
        for activation in &node.activations[self.seen[host]..] {
            let (epoch, life) = (activation.epoch, world.life(host));
            let same = |(e, h, l): &&(u64, usize, u64)| *e == epoch && (*h != host || *l == life);
            if let Some((_, other, _)) = self.epochs.iter().find(same) {
                return Err(format!(
                    "epochs: {epoch} of host {host} was of host {other} already"
                ));
            }
            self.epochs.push((epoch, host, life));
            let silence = activation.silence;
            match activation.cause {
                Event::RequestPeerExpired if silence < TIMEOUT => {
                    return Err(format!(
                        "a vote needs silence: the peer was heard {silence:?} ago"
                    ));
                }
                Event::PeerInitial => {
                    if let (Cause::Message { sent, .. }, Some(since)) =
                        (cause, self.active_since[1 - host])
                        && sent > since
                    {
                        return Err("no word of an active is stale: it said that it is not".into());
                    }
                }
                _ => {}
            }
        }
        self.seen[host] = node.activations.len();
        Ok(())
    }

    fn check_lower_resigns(
        &self,
        world: &World<'_, PairNode>,
        host: usize,
        cause: Cause,
    ) -> Result<(), String> {
        let Cause::Message { from, .. } = cause else {
            return Ok(());
        };
        let (Some(node), Some(peer)) = (world.node(host), world.node(from)) else {
            return Ok(());
        };
        let both = [node, peer]
            .iter()
            .all(|n| n.machine.state() == State::Active);
        let (ours, theirs) = (node.machine.epoch(), peer.machine.epoch());
        if both && node.told_epoch == Some(theirs) && ours < theirs {
            return Err(format!(
                "the lower resigns: host {host} of {ours} heard of {theirs}"
            ));
        }
        Ok(())
    }
}

impl Scenario for Pair {
    type Node = PairNode;

    fn start(&mut self, life: Life, now: Instant) -> PairNode {
        self.seen[life.host] = 0;
        PairNode::new(self.table, life, now)
    }

    fn after_step(&mut self, world: &World<'_, PairNode>, step: Step) -> Result<(), String> {
        let Some(host) = step.host else {
            return Ok(());
        };
        if let Condition::Exited(why) = world.condition(host) {
            return Err(format!("nobody ends by itself: host {host} by {why}"));
        }
        if self.outcome_only {
            return Ok(());
        }
        if let Some(broken) = world.node(host).and_then(|node| node.broken.as_ref()) {
            return Err(broken.clone());
        }
        self.check_activations(world, host, step.cause)?;
        self.check_lower_resigns(world, host, step.cause)?;
        let state = world.node(host).map(|node| node.machine.state());
        self.active_since[host] = match state {
            Some(State::Active) => self.active_since[host].or(Some(world.now())),
            Some(State::Initial | State::Draining | State::Passive | State::Resigned) | None => {
                None
            }
        };
        Ok(())
    }

    /// A run ends five peer timeouts after its last fault. Excused are a pair of which nobody is left, and a backup
    /// that was never paired in its life.
    fn at_end(&mut self, world: &World<'_, PairNode>) -> Result<(), String> {
        let states = [0, 1].map(|host| world.node(host).map(|node| node.machine.state()));
        match states {
            [Some(State::Active), Some(State::Passive) | None]
            | [Some(State::Passive) | None, Some(State::Active)]
            | [None, None | Some(State::Initial)] => {}
            _ => return Err(format!("one serves: the nodes are {states:?}")),
        }
        for host in 0..2 {
            let heard = world.last_delivered(1 - host, host).unwrap_or_default();
            if states.iter().all(Option::is_some) && heard + 2 * HEARTBEAT < world.now() {
                return Err(format!(
                    "they hear each other: host {host} heard nothing since {heard:?}"
                ));
            }
        }
        Ok(())
    }
}
