//! What clients send to a front end may be anything: each is answered in its own envelope.

use reactor::sim::fuzz;
use reactor::{Interest, Reactor};
use zmq::Message;

use super::request::Request;
use super::voter::refusal;
use crate::client::wire;

fn messages(frames: &[Vec<u8>]) -> Vec<Message> {
    frames.iter().map(|frame| frame[..].into()).collect()
}

/// What a ROUTER hands on, from clients of ours and from others.
fn corpus() -> Vec<Vec<Vec<u8>>> {
    let first: &[u8] = b"bstar-cli/1 feed000000000bee 17";
    let requests: [&[&[u8]]; 6] = [
        &[b"\0\x80\0\x41\xa7", first, b"", b"body"],
        &[b"\0\x80\0\x41\xa7", first, b"", b"", b"body", b""],
        &[b"id", first, b""],
        &[b"id", b"", b"of a REQ"],
        &[b"id", b"of a DEALER"],
        &[b"id", b"bstar-cli/1 feed000000000bee 017", b"", b"body"],
    ];
    let frames = |request: &&[&[u8]]| request.iter().map(|frame| frame.to_vec()).collect();
    requests.iter().map(frames).collect()
}

#[test]
fn only_a_client_of_ours_is_told_so_and_in_its_own_envelope() {
    let corpus = corpus();
    let mut refused = 0_u64;
    let executions = fuzz("refusals", 50_000, |mutator| {
        let mut frames = mutator.pick(&corpus).clone();
        mutator.damage(&mut frames, &corpus);
        let is_ours = frames.len() > 3 && wire::is_first_frame(&frames[1]) && frames[2].is_empty();
        let mut taken = messages(&frames);
        let word = refusal(&mut taken, "passive", Some(7)).map(|word| word.collect::<Vec<_>>());
        assert_eq!(word.is_some(), is_ours, "{frames:?}");
        if let Some(word) = word {
            refused += 1;
            assert_eq!(word[..3], messages(&frames[..3])[..]);
            assert_eq!(&word[3][..], b"bstar-no state=passive epoch=7");
            assert_eq!(word.len(), 4);
        }
    })
    .unwrap();
    assert!(executions < 1000 || refused > executions / 20, "{refused}");
}

#[test]
fn a_body_is_what_stands_behind_the_envelope() {
    let corpus = corpus();
    let mut reactor = Reactor::<()>::new().unwrap();
    let socket = zmq::Context::new().socket(zmq::ROUTER).unwrap();
    let scope = reactor.scope();
    let key = scope
        .add_socket("front end", socket, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
    fuzz("requests", 50_000, |mutator| {
        let mut frames = mutator.pick(&corpus).clone();
        mutator.damage(&mut frames, &corpus);
        if frames.is_empty() {
            // No message is without a frame.
            return;
        }
        let all = messages(&frames);
        for routed in [true, false] {
            let mut taken = messages(&frames);
            let request = Request::new(key, routed, &mut taken);
            let body = request.body();
            let envelope = all.len() - body.len();
            assert_eq!(*body, all[envelope..]);
            assert!(routed || envelope == 0);
            let empty = |frame: &Message| frame.is_empty();
            assert!(!routed || envelope == 1 || empty(&all[envelope - 1]));
            assert_eq!(request.take(), all);
        }
    })
    .unwrap();
}
