//! Two hosts, `left` and `right`, each of which sends a number to the other once a period, and notes what comes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use reactor::sim::{Fault, HostId, Life, Link, Node, Output, Run, Scenario, Sim, Step, World, ms};

pub(crate) const LEFT: HostId = 0;
pub(crate) const RIGHT: HostId = 1;
pub(crate) const PERIOD: Duration = ms(100);

/// What a host met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Met {
    Started {
        life: u64,
    },
    /// A number from the other host, which was sent in its life of that number.
    Number {
        number: u64,
        sent_in: u64,
    },
    Tick,
    Stop,
    Input(u64),
}

/// When, on which host.
pub(crate) type Log = Vec<(Duration, HostId, Met)>;

#[derive(Clone)]
pub(crate) struct Probe {
    peer: HostId,
    life: u64,
    next: Instant,
    number: u64,
    sending: Option<u64>,
    met: Vec<Met>,
}

impl Node for Probe {
    type Message = u64;
    type Input = u64;

    fn handle_message(&mut self, _: HostId, message: u64, _: Instant) {
        self.met.push(Met::Number {
            number: message % 1_000_000,
            sent_in: message / 1_000_000,
        });
    }

    fn handle_input(&mut self, input: u64, _: Instant) {
        self.met.push(Met::Input(input));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.met.push(Met::Tick);
        self.number += 1;
        self.sending = Some(self.number);
        self.next = now + PERIOD;
    }

    fn next_deadline(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn handle_stop(&mut self, _: Instant) {
        self.met.push(Met::Stop);
        self.sending = Some(999_999);
    }

    fn poll_output(&mut self) -> Option<Output<u64>> {
        let number = self.sending.take()?;
        Some(Output::Send {
            to: self.peer,
            message: self.life * 1_000_000 + number,
        })
    }
}

/// Writes down what the hosts met, and when that was.
#[derive(Default)]
pub(crate) struct Scribe {
    log: Rc<RefCell<Log>>,
    started: Vec<(HostId, u64)>,
    read: [usize; 2],
}

impl Scenario for Scribe {
    type Node = Probe;

    fn start(&mut self, life: Life, now: Instant) -> Probe {
        self.started.push((life.host, life.number));
        self.read[life.host] = 0;
        Probe {
            peer: 1 - life.host,
            life: life.number,
            next: now + PERIOD,
            number: 0,
            sending: None,
            met: Vec::new(),
        }
    }

    fn after_step(&mut self, world: &World<'_, Probe>, step: Step) -> Result<(), String> {
        let mut log = self.log.borrow_mut();
        for (host, life) in self.started.drain(..) {
            log.push((world.now(), host, Met::Started { life }));
        }
        let Some(host) = step.host else { return Ok(()) };
        if let Some(node) = world.node(host) {
            for met in &node.met[self.read[host]..] {
                log.push((world.now(), host, *met));
            }
            self.read[host] = node.met.len();
        }
        Ok(())
    }
}

pub(crate) fn sim(duration: Duration) -> Sim<u64> {
    Sim::new(["left", "right"], duration).link(Link {
        delay: ms(1),
        ..Link::default()
    })
}

/// Runs for a schedule that must not break anything.
pub(crate) fn run(sim: &Sim<u64>, seed: u64, schedule: &[(Duration, Fault<u64>)]) -> (Run, Log) {
    let scribe = Scribe::default();
    let log = Rc::clone(&scribe.log);
    let run = sim.run(seed, schedule, scribe).unwrap();
    assert_eq!(run.broken, None);
    let log = log.borrow().clone();
    (run, log)
}

/// When a host met this, in milliseconds.
pub(crate) fn times(log: &Log, host: HostId, wanted: impl Fn(Met) -> bool) -> Vec<u128> {
    log.iter()
        .filter(|(_, at, met)| *at == host && wanted(*met))
        .map(|(time, _, _)| time.as_millis())
        .collect()
}

/// The numbers that a host got, in the order of their coming.
pub(crate) fn numbers(log: &Log, host: HostId) -> Vec<u64> {
    log.iter()
        .filter(|(_, at, _)| *at == host)
        .filter_map(|(_, _, met)| match met {
            Met::Number { number, .. } => Some(*number),
            _ => None,
        })
        .collect()
}
