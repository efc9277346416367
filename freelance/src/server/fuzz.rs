//! What clients send may be anything: each message is one of four things and counted as one, and what is answered goes
//! back in the envelope that it came in.

use std::time::Instant;

use reactor::sim::{Mutator, fuzz};
use zmq::Message;

use super::desk::{Arrival, Desk, Ending};
use super::shape::{self, Shape};
use super::{Cache, Config, Stats};
use crate::Model;
use crate::wire::{Control, PING};

const MODELS: [Model; 3] = [Model::One, Model::Two, Model::Three];
/// Requests that may be under way, so few that some are refused.
const QUEUE: usize = 4;

fn control(sequence: u64, attempt: u32) -> Vec<u8> {
    let control = Control {
        nonce: 0xfeed,
        sequence,
        attempt,
    };
    control.write().as_bytes().to_vec()
}

/// What a ROUTER hands on, from clients of ours and from others.
fn corpus() -> Vec<Vec<Vec<u8>>> {
    let id = || b"\0\x80\0\x41\xa7".to_vec();
    let mut messages = vec![
        vec![id(), PING.to_vec()],
        vec![id(), vec![], b"of a REQ".to_vec()],
        vec![id(), vec![], b"17".to_vec(), b"of a REQ".to_vec()],
        vec![
            id(),
            b"proxied".to_vec(),
            vec![],
            b"17".to_vec(),
            b"x".to_vec(),
        ],
        vec![id(), b"of no envelope".to_vec()],
    ];
    for sequence in 1..4 {
        for attempt in 1..3 {
            let first = control(sequence, attempt);
            let number = sequence.to_string().into_bytes();
            messages.push(vec![id(), first.clone(), vec![], b"body".to_vec()]);
            messages.push(vec![id(), first.clone(), vec![], number, b"body".to_vec()]);
            messages.push(vec![id(), first, b"body".to_vec(), vec![]]);
        }
    }
    messages
}

fn damaged(mutator: &mut Mutator, corpus: &[Vec<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut message = mutator.pick(corpus).clone();
    if mutator.below(3) > 0 {
        mutator.damage(&mut message, corpus);
    }
    message
}

fn messages(frames: &[Vec<u8>]) -> Vec<Message> {
    frames.iter().map(|frame| frame[..].into()).collect()
}

/// Everything that can become of a message.
fn taken(stats: Stats) -> u64 {
    stats.malformed + stats.pings + stats.received
}

/// Everything that can become of a request.
fn ended(stats: Stats) -> u64 {
    stats.replied
        + stats.refused
        + stats.dropped
        + stats.unanswered
        + stats.failed
        + stats.cache_hits
        + stats.cache_joined
}

#[test]
fn shapes() {
    let corpus = corpus();
    fuzz("shapes", 60_000, |mutator| {
        let message = damaged(mutator, &corpus);
        let model = *mutator.pick(&MODELS);
        match shape::read(model, &message) {
            Shape::Ping => assert!(model == Model::Three && message[1..] == [PING]),
            Shape::Request(cut) => {
                // Somebody is to be answered, and there is something to answer.
                assert!(cut.envelope > 1);
                assert!(cut.envelope + usize::from(cut.sequence) < message.len());
                assert!(cut.control.is_none_or(|at| 0 < at && at < cut.envelope));
            }
            Shape::Malformed => {}
        }
    })
    .unwrap();
}

/// A desk, what it was asked, and what is under way.
struct Bench {
    desk: Desk,
    model: Model,
    asked: Vec<Vec<Vec<u8>>>,
    kept: Vec<Arrival>,
    now: Instant,
}

impl Bench {
    fn new(mutator: &mut Mutator, now: Instant) -> Self {
        let model = *mutator.pick(&MODELS);
        let mut config = Config::new();
        config.queue = QUEUE;
        let cache = Cache {
            entries: 3,
            ..Cache::default()
        };
        let cache = (mutator.below(2) == 0).then_some(cache);
        Self {
            desk: Desk::new(model, config, cache),
            model,
            asked: Vec::new(),
            kept: Vec::new(),
            now,
        }
    }

    fn hear(&mut self, message: Vec<Vec<u8>>) {
        let before = self.desk.stats();
        let arrival = self.desk.handle_message(&mut messages(&message), self.now);
        let after = self.desk.stats();
        assert_eq!(taken(after), taken(before) + 1, "{message:?}");
        let is_request = matches!(shape::read(self.model, &message), Shape::Request(_));
        assert_eq!(after.received > before.received, is_request, "{message:?}");
        assert!(is_request || arrival.is_none());
        self.kept.extend(arrival);
        self.asked.push(message);
    }

    fn end(&mut self, mutator: &mut Mutator) {
        if self.kept.is_empty() {
            return;
        }
        let arrival = self.kept.remove(mutator.below(self.kept.len()));
        let ending = match mutator.below(5) {
            0 => Ending::Refused,
            1 => Ending::Dropped,
            2 => Ending::Panicked,
            _ => Ending::Reply(vec!["reply".into(), "of two".into()]),
        };
        let Arrival {
            ticket, address, ..
        } = arrival;
        assert!(self.desk.handle_ending(ticket, address, ending, self.now));
    }

    fn check(&mut self) {
        while let Some(said) = self.desk.poll_send() {
            // A pong has an identity in front, an answer of model 3 a control frame too.
            let envelope = match self.model {
                Model::Three => said.len().min(3) - 1,
                Model::One | Model::Two => {
                    let body = said.iter().rev().take_while(|frame| !frame.is_empty());
                    said.len() - body.count()
                }
            };
            let starts = |asked: &Vec<Vec<u8>>| {
                let mut frames = asked.iter().zip(&said).take(envelope);
                asked.len() >= envelope && frames.all(|(frame, said)| **frame == **said)
            };
            assert!(envelope > 0 && self.asked.iter().any(starts), "{said:?}");
        }
        let stats = self.desk.stats();
        assert_eq!(stats.received, ended(stats) + self.desk.under_way() as u64);
        assert_eq!(self.desk.under_way(), self.kept.len());
        assert!(self.kept.len() <= QUEUE);
    }
}

#[test]
fn desks() {
    let corpus = corpus();
    let start = Instant::now();
    fuzz("desks", 40_000, |mutator| {
        let mut bench = Bench::new(mutator, start);
        for _ in 0..mutator.below(12) {
            match mutator.below(4) {
                0 => bench.end(mutator),
                _ => bench.hear(damaged(mutator, &corpus)),
            }
            bench.check();
        }
        if mutator.below(4) == 0 {
            bench.desk.drain();
            bench.hear(damaged(mutator, &corpus));
            bench.check();
        }
    })
    .unwrap();
}
