//! What must hold of the pair.

use std::time::{Duration, Instant};

use bstar::core::{GUIDE, PAIR, State, Table};
use reactor::sim::{
    Cause, Condition, Counts, Faults, Kind, Life, Link, Load, Scenario, Search, SearchError, Seeds, Sim, Step, World,
    ms,
};

use crate::node::{Ask, HEARTBEAT, PairNode};

const TIMEOUT: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_secs(40);

struct Pair {
    table: &'static Table,
    active_since: [Option<Duration>; 2],
    seen: [usize; 2],
    lives: [u64; 2],
    epochs: Vec<(u64, usize, u64)>,
    level: u32,
    unparted_since: Option<Duration>,
}

impl Scenario for Pair {
    type Node = PairNode;

    fn start(&mut self, life: Life, now: Instant) -> PairNode {
        self.seen[life.host] = 0;
        self.active_since[life.host] = None;
        PairNode::new(self.table, life, now)
    }

    fn after_step(&mut self, world: &World<'_, PairNode>, step: Step) -> Result<(), String> {
        let Some(host) = step.host else { return Ok(()) };
        if let Condition::Exited(why) = world.condition(host) {
            return Err(format!("nobody ends by itself: host {host}, {why}"));
        }
        if let Some(node) = world.node(host) {
            if let Some(broken) = &node.broken {
                return Err(broken.clone());
            }
            for activation in &node.activations[self.seen[host]..] {
                let life = world.life(host);
                for (epoch, other, other_life) in &self.epochs {
                    if *epoch == activation.epoch && (*other != host || *other_life == life) {
                        return Err(format!("epochs differ: {epoch}"));
                    }
                }
                self.epochs.push((activation.epoch, host, life));
            }
            self.seen[host] = node.activations.len();
            self.active_since[host] = match node.machine.state() {
                State::Active => self.active_since[host].or(Some(world.now())),
                _ => None,
            };
        } else {
            self.active_since[host] = None;
        }
        let serves = [0, 1].map(|h| {
            world.condition(h) == Condition::Up
                && world.node(h).is_some_and(|n| n.serves(world.local_now(h).unwrap()))
        });
        if serves != [true, true] {
            self.unparted_since = None;
            return Ok(());
        }
        // both serve
        if let Cause::Message { from, sent } = step.cause
            && let (Some(a), Some(b)) = (world.node(host), world.node(from))
            && self.active_since[from].is_some_and(|since| sent >= since)
            && a.told_epoch.is_some()
            && a.machine.epoch() < b.machine.epoch()
        {
            return Err("the lower hears the higher: and stays".into());
        }
        let silent = [0, 1].map(|h| {
            let n = world.node(h).unwrap();
            n.heard.is_none_or(|heard| world.local_now(h).unwrap() >= heard + TIMEOUT)
        });
        if silent == [false, false] {
            let since = *self.unparted_since.get_or_insert(world.now());
            let lim = match self.level { 0 => return Ok(()), 1 => ms(0), n => ms(u64::from(n)) };
            if world.now() - since >= lim {
                return Err(format!("two serve unparted: since {since:?}"));
            }
        } else { self.unparted_since = None; }
        Ok(())
    }

    fn at_end(&mut self, world: &World<'_, PairNode>) -> Result<(), String> {
        let states = [0, 1].map(|h| world.node(h).map(|n| n.machine.state()));
        match states {
            [Some(State::Active), Some(State::Passive) | None]
            | [Some(State::Passive) | None, Some(State::Active)] => Ok(()),
            [None, None] | [None, Some(State::Initial)] => Ok(()),
            other => Err(format!("one serves: {other:?}")),
        }
    }
}

fn var(name: &str, d: u64) -> u64 { std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(d) }

fn search(table: &'static Table, seeds: Seeds) -> Result<Counts, SearchError<Ask>> {
    let mut sim = Sim::new(["primary", "backup"], QUIET + 5 * TIMEOUT)
        .link(Link { delay: ms(var("BASE_DELAY", 1)), jitter: ms(var("BASE_JITTER", 20)), ..Link::default() })
        .timer_slack(ms(5));
    for host in 0..2 {
        sim = sim.load(Load { host, input: Ask::Request, every: ms(200), jitter: ms(200) });
    }
    let w = |k: &str, d| var(k, d) as u32;
    let faults = Faults::new(QUIET)
        .most(var("MOST", 12) as usize)
        .weights([
            (Kind::Crash, w("CRASH", 3)),
            (Kind::Die, w("DIE", 0)),
            (Kind::Stop, w("STOP", 2)),
            (Kind::Pause, w("PAUSE", 3)),
            (Kind::ClockRate, w("RATE", 2)),
            (Kind::ClockStep, w("STEP", 1)),
            (Kind::Cut, w("CUT", 3)),
            (Kind::Part, w("PART", 3)),
            (Kind::Loss, w("LOSS", 2)),
            (Kind::Delay, w("DELAY", 2)),
            (Kind::Reorder, w("REORDER", 1)),
            (Kind::Duplicate, w("DUP", 1)),
        ])
        .delay_up_to(TIMEOUT)
        .input(w("STEPBACK", 2), 0, Ask::StepBack)
        .input(w("STEPBACK", 2), 1, Ask::StepBack);
    let level = var("LEVEL", 0) as u32;
    Search::new(sim, faults).run(seeds, |_| Pair {
        table,
        active_since: [None; 2],
        seen: [0; 2],
        lives: [0; 2],
        epochs: Vec::new(),
        level,
        unparted_since: None,
    })
}

#[test]
fn explore() {
    let _ = HEARTBEAT;
    match search(if var("GUIDE", 0) == 1 { &GUIDE } else { &PAIR }, Seeds::from_env(2000).unwrap()) {
        Ok(counts) => println!("{counts}"),
        Err(error) => panic!("{error}"),
    }
}
