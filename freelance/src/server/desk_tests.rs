use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn desk(model: Model, limits: impl FnOnce(&mut Config), cache: Option<Cache>) -> Desk {
    let mut config = Config::new();
    limits(&mut config);
    Desk::new(model, config, cache)
}

fn ours(attempt: u32) -> Vec<u8> {
    let control = Control {
        nonce: 7,
        sequence: 1,
        attempt,
    };
    control.write().as_bytes().to_vec()
}

fn hear(desk: &mut Desk, frames: &[&[u8]], now: Instant) -> Option<Arrival> {
    let mut message = frames.iter().map(|frame| Message::from(*frame)).collect();
    desk.handle_message(&mut message, now)
}

fn said(desk: &mut Desk) -> Vec<Vec<Vec<u8>>> {
    std::iter::from_fn(|| desk.poll_send())
        .map(|message| message.iter().map(|frame| frame.to_vec()).collect())
        .collect()
}

fn end(desk: &mut Desk, arrival: Arrival, ending: Ending, now: Instant) -> bool {
    desk.handle_ending(arrival.ticket, arrival.address, ending, now)
}

fn reply(text: &str) -> Ending {
    Ending::Reply(vec![text.into()])
}

#[test]
fn a_request_is_under_way_until_it_ends() {
    let now = Instant::now();
    let mut desk = desk(Model::Two, |_| {}, None);
    let arrival = hear(&mut desk, &[b"id", b"", b"9", b"x"], now).unwrap();
    assert_eq!(arrival.body.len(), 1);
    assert_eq!(desk.under_way(), 1);
    assert!(end(&mut desk, arrival, reply("OK"), now));
    assert_eq!(desk.under_way(), 0);
    assert_eq!(
        said(&mut desk),
        [[b"id".to_vec(), vec![], b"9".to_vec(), b"OK".to_vec()]]
    );
}

#[test]
fn a_refusal_goes_to_ours_without_the_sequence_and_not_to_others() {
    let now = Instant::now();
    let mut desk = desk(Model::Two, |limits| limits.queue = 1, None);
    let _kept = hear(&mut desk, &[b"id", b"", b"9", b"x"], now).unwrap();
    assert!(hear(&mut desk, &[b"id", b"", b"10", b"x"], now).is_none());
    assert!(said(&mut desk).is_empty());
    let own = ours(1);
    assert!(hear(&mut desk, &[b"id", &own, b"", b"1", b"x"], now).is_none());
    assert_eq!(
        said(&mut desk),
        [[b"id".to_vec(), own, vec![], b"fl-no full".to_vec()]]
    );
    assert_eq!((desk.stats().dropped, desk.stats().refused), (1, 1));
}

#[test]
fn what_was_refused_is_executed_when_it_comes_again_and_what_panicked_is_not() {
    let now = Instant::now();
    let mut desk = desk(Model::Three, |_| {}, Some(Cache::default()));
    let first = hear(&mut desk, &[b"id", &ours(1), b"x"], now).unwrap();
    assert!(end(&mut desk, first, Ending::Refused, now));
    let again = hear(&mut desk, &[b"id", &ours(2), b"x"], now).unwrap();
    assert!(end(&mut desk, again, Ending::Panicked, now));
    assert!(hear(&mut desk, &[b"id", &ours(3), b"x"], now).is_none());
    let words: Vec<_> = said(&mut desk)
        .iter()
        .map(|message| (message[1].clone(), message[2].clone()))
        .collect();
    assert_eq!(words, [(ours(1), b"fl-no refused".to_vec()),]);
    assert_eq!(desk.stats().cache_hits, 1);
}

#[test]
fn duplicates_that_wait_are_bounded_all_together() {
    let now = Instant::now();
    let limits = |limits: &mut Config| limits.queue = 2;
    let mut desk = desk(Model::Three, limits, Some(Cache::default()));
    let first = hear(&mut desk, &[b"id", &ours(1), b"x"], now).unwrap();
    for attempt in 2..=4 {
        assert!(hear(&mut desk, &[b"id", &ours(attempt), b"x"], now).is_none());
    }
    assert_eq!((desk.stats().cache_joined, desk.stats().refused), (2, 1));
    assert_eq!(said(&mut desk)[0][2], b"fl-no full");
    assert!(end(&mut desk, first, reply("done"), now));
    assert_eq!(said(&mut desk).len(), 3);
    assert_eq!(desk.joined, 0);
}

#[test]
fn a_foreign_request_is_known_by_its_link_its_envelope_and_its_body() {
    let now = Instant::now();
    let mut desk = desk(Model::Three, |_| {}, Some(Cache::default()));
    let first = hear(&mut desk, &[b"id", b"c", b"x"], now).unwrap();
    assert!(end(&mut desk, first, reply("first"), now));
    assert!(hear(&mut desk, &[b"id", b"c", b"x"], now).is_none());
    for other in [
        [b"di", &b"c"[..], b"x"],
        [b"id", b"d", b"x"],
        [b"id", b"c", b"y"],
    ] {
        assert!(hear(&mut desk, &other, now).is_some(), "{other:?}");
    }
}

#[test]
fn a_req_that_asks_twice_is_answered_twice() {
    let now = Instant::now();
    let mut desk = desk(Model::One, |_| {}, Some(Cache::default()));
    for _ in 0..2 {
        let arrival = hear(&mut desk, &[b"id", b"", b"what time is it?"], now).unwrap();
        assert!(end(&mut desk, arrival, reply("late"), now));
    }
    assert_eq!(desk.stats().cache_hits, 0);
}

#[test]
fn an_old_reply_is_forgotten() {
    let now = Instant::now();
    let mut desk = desk(Model::Three, |_| {}, Some(Cache::default()));
    let first = hear(&mut desk, &[b"id", &ours(1), b"x"], now).unwrap();
    assert!(end(&mut desk, first, reply("first"), now));
    let later = now + Duration::from_secs(60);
    assert!(hear(&mut desk, &[b"id", &ours(2), b"x"], later).is_some());
}

#[test]
fn a_server_that_drains_answers_pings_and_what_it_has_executed() {
    let now = Instant::now();
    let mut desk = desk(Model::Three, |_| {}, Some(Cache::default()));
    let first = hear(&mut desk, &[b"id", &ours(1), b"x"], now).unwrap();
    desk.drain();
    assert!(end(&mut desk, first, reply("first"), now));
    assert!(hear(&mut desk, &[b"id", &ours(2), b"x"], now).is_none());
    assert!(hear(&mut desk, &[b"id", b"PING"], now).is_none());
    let new = Control {
        nonce: 7,
        sequence: 2,
        attempt: 1,
    };
    let new = new.write();
    assert!(hear(&mut desk, &[b"id", new.as_bytes(), b"x"], now).is_none());
    let last: Vec<Vec<u8>> = said(&mut desk)
        .into_iter()
        .filter_map(|mut message| message.pop())
        .collect();
    let expected: [&[u8]; 4] = [b"first", b"first", b"PONG", b"fl-no draining"];
    assert_eq!(last, expected);
}

#[test]
fn nothing_is_said_after_the_end() {
    let now = Instant::now();
    let mut desk = desk(Model::Three, |_| {}, None);
    let kept = hear(&mut desk, &[b"id", b"c", b"x"], now).unwrap();
    desk.close();
    assert!(!end(&mut desk, kept, reply("late"), now));
    assert!(hear(&mut desk, &[b"id", b"PING"], now).is_none());
    assert!(said(&mut desk).is_empty());
    assert_eq!((desk.stats().abandoned, desk.under_way()), (1, 0));
}

/// What may happen to a desk.
#[derive(Clone, Debug)]
enum Step {
    Request { ours: bool, sequence: u64 },
    End { which: usize, how: u8 },
    Wait { seconds: u64 },
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 1..5_u64).prop_map(|(ours, sequence)| Step::Request { ours, sequence }),
        4 => (any::<usize>(), 0..5_u8).prop_map(|(which, how)| Step::End { which, how }),
        1 => (1..40_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Drain),
    ]
}

fn ending(how: u8) -> Ending {
    match how {
        0 => Ending::Refused,
        1 => Ending::Dropped,
        2 => Ending::Panicked,
        _ => reply("done"),
    }
}

proptest! {
    /// Whatever happens, each request is in one place, and nothing exceeds its bound.
    #[test]
    fn every_request_is_accounted_for(steps in vec(step(), 0..200), cached in any::<bool>()) {
        let mut now = Instant::now();
        let cache = Cache { entries: 3, ..Cache::default() };
        let mut desk = desk(Model::Three, |c| c.queue = 3, cached.then_some(cache));
        let mut kept = Vec::new();
        let mut executing = Vec::new();
        for step in steps {
            match step {
                Step::Request { ours, sequence } => {
                    let control = Control { nonce: u64::from(ours), sequence, attempt: 1 };
                    let mut control = control.write().as_bytes().to_vec();
                    if !ours {
                        control.reverse();
                    }
                    if let Some(arrival) = hear(&mut desk, &[b"id", &control, b"x"], now) {
                        prop_assert!(!cached || !executing.contains(&control), "twice");
                        executing.push(control);
                        kept.push(arrival);
                    }
                }
                Step::End { which, how } if !kept.is_empty() => {
                    let which = which % kept.len();
                    executing.remove(which);
                    prop_assert!(end(&mut desk, kept.remove(which), ending(how), now));
                }
                Step::End { .. } => {}
                Step::Wait { seconds } => now += Duration::from_secs(seconds),
                Step::Drain => desk.drain(),
            }
            let stats = desk.stats();
            let ended = stats.replied + stats.refused + stats.dropped + stats.unanswered
                + stats.failed + stats.cache_hits + stats.cache_joined;
            prop_assert_eq!(stats.received, ended + desk.under_way() as u64);
            prop_assert_eq!(desk.under_way(), kept.len());
            let joined: usize = desk.under_way.values().map(|under| under.joined.len()).sum();
            prop_assert_eq!(desk.joined, joined);
            prop_assert!(joined <= 3 && kept.len() <= 3);
        }
    }
}
