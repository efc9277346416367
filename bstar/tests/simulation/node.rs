//! A node of the pair as the simulation sees it: what the host on the reactor does, without a reactor.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bstar::core::{Answer, Config, Event, Machine, Output, Role, State, Table};
use reactor::sim::{self, HostId, Life, LinkChange};

pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
/// After a longer one the peer may have taken over.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// The frames of one message on the state channel, as they are on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Frames(Vec<Vec<u8>>);

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames: Vec<_> = self
            .0
            .iter()
            .map(|frame| String::from_utf8_lossy(frame))
            .collect();
        f.write_str(&frames.join(" | "))
    }
}

/// Who wants something of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A client.
    Request,
    /// An operator.
    StepBack,
}

/// An activation, and what the node knew of its peer by the count of this test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activation {
    pub(crate) epoch: u64,
    pub(crate) cause: Event,
    /// How long the peer had been silent, on this host's clock.
    pub(crate) silence: Duration,
}

pub(crate) struct PairNode {
    pub(crate) machine: Machine,
    /// Of this life, in order.
    pub(crate) activations: Vec<Activation>,
    /// The epoch of the last message, if it said that the peer is active, and in which epoch.
    pub(crate) told_epoch: Option<u64>,
    /// Since when the peer has been silent, on this host's clock: since its last message, or since this node started,
    /// woke from a pause, or stepped back.
    silent_since: Instant,
    last_call: Instant,
    /// What it did that it must not do.
    pub(crate) broken: Option<String>,
    /// Of this life.
    random: u64,
    peer: HostId,
    outputs: VecDeque<sim::Output<Frames>>,
}

impl PairNode {
    pub(crate) fn new(table: &'static Table, life: Life, now: Instant) -> PairNode {
        let config = Config::new(Role::ALL[life.host])
            .with_heartbeat(HEARTBEAT)
            .expect("the heartbeat is in range");
        PairNode {
            machine: Machine::with_table(config, table, life.random, now),
            activations: Vec::new(),
            told_epoch: None,
            silent_since: now,
            last_call: now,
            broken: None,
            random: life.random,
            peer: 1 - life.host,
            outputs: VecDeque::new(),
        }
    }

    /// Whether a request that came now would be served without a vote.
    pub(crate) fn serves(&self, now: Instant) -> bool {
        self.machine
            .relies_until()
            .is_some_and(|until| now <= until)
    }

    /// Calls the machine, and does what it wants done.
    fn call<T>(&mut self, now: Instant, what: impl FnOnce(&mut Machine) -> T) -> T {
        let late = now - self.last_call > LONGEST_GAP;
        let before = (self.machine.state(), self.machine.epoch());
        self.last_call = now;
        if late {
            self.silent_since = now;
        }
        let result = what(&mut self.machine);
        let same = before == (self.machine.state(), self.machine.epoch());
        if late && before.0 == State::Active && same {
            self.broken = Some("who was away resigns: it is active still".into());
        }
        self.flush(now);
        result
    }

    /// Does what the machine wants done. Nothing takes longer than a call: who drains is done at once.
    fn flush(&mut self, now: Instant) {
        self.carry_out(now);
        if self.machine.state() == State::Draining {
            self.machine.handle_drained(now);
            self.carry_out(now);
        }
    }

    fn carry_out(&mut self, now: Instant) {
        while let Some(output) = self.machine.poll_output() {
            let role = self.machine.config().role();
            self.outputs.push_back(match output {
                Output::Publish { state, metadata } => {
                    let mut frames = vec![vec![state.digit()]];
                    if self.machine.reads_metadata(0) {
                        frames.push(metadata.to_string().into_bytes());
                    }
                    sim::Output::Send {
                        to: self.peer,
                        message: Frames(frames),
                    }
                }
                Output::Transition(t) => {
                    if t.to == State::Resigned {
                        self.silent_since = now;
                    }
                    if t.to == State::Active {
                        self.activations.push(Activation {
                            epoch: t.epoch,
                            cause: t.cause,
                            silence: now - self.silent_since,
                        });
                    }
                    let (from, to) = (t.from.name(role), t.to.name(role));
                    sim::Output::Note(format!("{from} -> {to} by {} in epoch {}", t.row, t.epoch))
                }
                Output::Fatal(fatal) => sim::Output::Exit(format!("{}: {fatal}", fatal.row)),
                Output::NeverPaired => sim::Output::Note("was never paired, and refuses".into()),
                Output::Offered(offer) => {
                    // One life in four declines.
                    let ready = !self.random.is_multiple_of(4);
                    self.machine.handle_offer_answer(offer, ready, now);
                    sim::Output::Note(format!("is offered the service, and ready: {ready}"))
                }
                // The simulated link dials by itself.
                Output::Redial { .. } => continue,
                other => sim::Output::Note(format!("{other:?}")),
            });
        }
    }

    /// As the host decides: after a change it asks the machine again.
    fn decide(&mut self, now: Instant) {
        let before = self.machine.state();
        let mut answer = self.ask(now);
        if self.machine.state() != before {
            answer = self.ask(now);
        }
        if answer == Answer::Accept && !self.serves(now) {
            self.broken = Some("accept only when relied upon: it is not".into());
        }
    }

    fn ask(&mut self, now: Instant) -> Answer {
        let answer = self.call(now, |machine| machine.handle_request(now));
        let state = self.machine.state();
        if (answer == Answer::Accept) != (state == State::Active) {
            self.broken = Some(format!(
                "accept if active, and only then: {answer:?} in {state:?}"
            ));
        }
        answer
    }
}

impl sim::Node for PairNode {
    type Message = Frames;
    type Input = Ask;

    fn handle_message(&mut self, _: HostId, Frames(frames): Frames, now: Instant) {
        let text = frames.get(1).map(|text| String::from_utf8_lossy(text));
        let epoch = text
            .as_deref()
            .and_then(|text| text.split(' ').find_map(|word| word.strip_prefix("epoch=")));
        let active = frames[0] == b"3";
        self.told_epoch = epoch
            .and_then(|epoch| epoch.parse().ok())
            .filter(|_| active);
        self.call(now, |machine| machine.handle_peer(0, &frames, now));
        self.silent_since = now;
        if self.machine.status(now).counters.garbage > 0 {
            self.broken = Some("what a node says is understood: it is not".into());
        }
    }

    fn handle_input(&mut self, input: Ask, now: Instant) {
        match input {
            Ask::Request => self.decide(now),
            Ask::StepBack => {
                if let Err(error) = self.call(now, |machine| machine.handle_step_back(now)) {
                    self.outputs.push_back(sim::Output::Note(error.to_string()));
                }
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.call(now, |machine| machine.handle_timeout(now));
    }

    fn next_deadline(&self) -> Option<Instant> {
        Some(self.machine.next_deadline())
    }

    fn handle_link(&mut self, _: HostId, change: LinkChange, now: Instant) {
        // The two subscriptions of a connection may be read in one go, or not.
        let in_one_go = match change {
            LinkChange::Up { connection } => connection % 2 == 0,
            LinkChange::Down { .. } => true,
        };
        // libzmq does not say whose they were when it takes them back.
        let messages: [(&[u8], _); 2] = match change {
            LinkChange::Up { connection } => [
                (b"\x01", Some(connection)),
                (b"\x01bstar/1", Some(connection)),
            ],
            LinkChange::Down { .. } => [(b"\x00", None), (b"\x00bstar/1", None)],
        };
        let handle = |machine: &mut Machine, (message, connection)| {
            machine.handle_subscription(0, message, connection, now);
        };
        let [first, second] = messages;
        if in_one_go {
            self.call(now, |machine| {
                handle(machine, first);
                handle(machine, second);
                machine.handle_subscriptions_read(0);
            });
        } else {
            self.call(now, |machine| handle(machine, first));
            self.call(now, |machine| {
                handle(machine, second);
                machine.handle_subscriptions_read(0);
            });
        }
    }

    fn handle_stop(&mut self, now: Instant) {
        self.call(now, |machine| machine.handle_stop(now));
    }

    fn poll_output(&mut self) -> Option<sim::Output<Frames>> {
        self.outputs.pop_front()
    }
}
