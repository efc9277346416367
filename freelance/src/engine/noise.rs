//! F9: no bytes from the network kill the client, or count as what they are not.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use reactor::sim::fuzz;

use super::*;

const NONCE: u64 = 0x0123_4567_89ab_cdef;
const REQUESTS: u64 = 12;

fn model() -> impl Strategy<Value = Model> {
    prop_oneof![Just(Model::One), Just(Model::Two), Just(Model::Three)]
}

/// A server with requests under way, the first of which have ended.
fn engine(model: Model, now: Instant) -> (Engine<(), Vec<Vec<u8>>>, ServerId) {
    let mut engine = Engine::new(Config::new(model), NONCE, 1, now).unwrap();
    let server = engine.add_server("tcp://server:1", 0, now).unwrap();
    drain(&mut engine, now);
    engine.handle_connected(server, now);
    for _ in 0..REQUESTS {
        let deadline = now + Duration::from_secs(9);
        let id = engine.submit((), Idempotent::No, deadline, now).unwrap();
        drain(&mut engine, now);
        if id.0 <= REQUESTS / 2 {
            let frames = frames(model, id.0, 1);
            engine.handle_message(server, &frames, |_| Vec::new(), now);
        }
        drain(&mut engine, now);
    }
    assert_eq!(engine.stats().replies, REQUESTS / 2);
    (engine, server)
}

fn drain<B, R>(engine: &mut Engine<B, R>, now: Instant) {
    while engine.poll_action(now).is_some() {}
    while engine.poll_event().is_some() {}
}

/// A reply as a server of the model makes it.
fn frames(model: Model, sequence: u64, attempt: u32) -> Vec<Vec<u8>> {
    let control = Control {
        nonce: NONCE,
        sequence,
        attempt,
    };
    let head = Head {
        model,
        control: control.write(),
    };
    let frames = head.frames().chain([&b"body"[..]]);
    frames.map(<[u8]>::to_vec).collect()
}

/// How a message of ours comes to harm.
#[derive(Clone, Debug)]
enum Harm {
    Flip { frame: usize, at: usize, bit: u32 },
    Cut { frame: usize, at: usize },
    Append { frame: usize, bytes: Vec<u8> },
    Drop(usize),
    Double(usize),
    Swap(usize, usize),
    Insert(usize, Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..9);
    let place = || 0..60usize;
    let frame = || 0..5usize;
    prop_oneof![
        4 => (frame(), place(), 0..8u32).prop_map(|(frame, at, bit)| Harm::Flip { frame, at, bit }),
        1 => (frame(), place()).prop_map(|(frame, at)| Harm::Cut { frame, at }),
        1 => (frame(), bytes()).prop_map(|(frame, bytes)| Harm::Append { frame, bytes }),
        1 => frame().prop_map(Harm::Drop),
        1 => frame().prop_map(Harm::Double),
        1 => (frame(), frame()).prop_map(|(one, other)| Harm::Swap(one, other)),
        1 => (frame(), bytes()).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
    ]
}

fn spoil(frames: &mut Vec<Vec<u8>>, harm: Harm) {
    let count = frames.len().max(1);
    let place = |frame: usize| frame % count;
    match harm {
        Harm::Flip { frame, at, bit } => {
            if let Some(frame) = frames.get_mut(place(frame))
                && !frame.is_empty()
            {
                let at = at % frame.len();
                frame[at] ^= 1 << bit;
            }
        }
        Harm::Cut { frame, at } => {
            if let Some(frame) = frames.get_mut(place(frame)) {
                frame.truncate(at);
            }
        }
        Harm::Append { frame, bytes } => {
            if let Some(frame) = frames.get_mut(place(frame)) {
                frame.extend(bytes);
            }
        }
        Harm::Drop(frame) if !frames.is_empty() => drop(frames.remove(place(frame))),
        Harm::Double(frame) if !frames.is_empty() => {
            frames.insert(place(frame), frames[place(frame)].clone());
        }
        Harm::Swap(one, other) if !frames.is_empty() => frames.swap(place(one), place(other)),
        Harm::Drop(_) | Harm::Double(_) | Harm::Swap(..) => {}
        Harm::Insert(at, bytes) => frames.insert(at.min(frames.len()), bytes),
    }
}

/// Whoever reads them, such frames are one of four things, and each is counted as one.
fn check(model: Model, frames: &[Vec<u8>]) {
    let now = Instant::now();
    let (mut engine, server) = engine(model, now);
    let before = engine.stats();
    let outstanding = engine.outstanding();
    let mut taken = 0;
    let take = |body: &[Vec<u8>]| {
        taken += 1;
        assert!(!body.is_empty());
        body.to_vec()
    };
    engine.handle_message(server, frames, take, now);
    let after = engine.stats();
    let pong = model == Model::Three && frames == [b"PONG"];
    let replies = after.replies - before.replies;
    let others = (after.late - before.late)
        + (after.foreign - before.foreign)
        + (after.refused - before.refused);
    assert_eq!(replies + others, u64::from(!pong), "{frames:?}");
    assert_eq!(replies, taken);
    assert_eq!(engine.outstanding() as u64, outstanding as u64 - replies);
    if replies == 1 {
        let control = Control::parse(&frames[0]).unwrap();
        assert_eq!((control.nonce, control.attempt), (NONCE, 1));
        assert!(control.sequence > REQUESTS / 2 && control.sequence <= REQUESTS);
    }
    drain(&mut engine, now);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f9_arbitrary_frames_are_foreign(
        model in model(),
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..6),
    ) {
        check(model, &frames);
    }

    #[test]
    fn f9_damaged_frames_of_ours_are_what_they_then_are(
        model in model(),
        sequence in 1..=REQUESTS + 2,
        attempt in 1..3u32,
        harms in prop::collection::vec(harm(), 0..4),
    ) {
        let mut frames = frames(model, sequence, attempt);
        for harm in harms {
            spoil(&mut frames, harm);
        }
        check(model, &frames);
    }
}

/// What servers say, of each kind.
fn corpus(model: Model) -> Vec<Vec<Vec<u8>>> {
    let mut messages = vec![vec![b"PONG".to_vec()], vec![b"PING".to_vec()]];
    for sequence in [1, REQUESTS / 2 + 1, REQUESTS, REQUESTS + 1, u64::MAX] {
        let reply = frames(model, sequence, 1);
        for word in ["fl-no full", "fl-no", "fl-north", ""] {
            let mut other = reply.clone();
            other.pop();
            other.push(word.into());
            messages.push(other);
        }
        messages.push(reply);
    }
    messages
}

#[test]
fn f9_damaged_messages_are_what_they_then_are() {
    let models = [Model::One, Model::Two, Model::Three];
    let corpora = models.map(corpus);
    fuzz("engines", 60_000, |mutator| {
        let which = mutator.below(models.len());
        let mut frames = mutator.pick(&corpora[which]).clone();
        mutator.damage(&mut frames, &corpora[which]);
        check(models[which], &frames);
    })
    .unwrap();
}
