//! What model 3 adds: PING and PONG, and names.

use super::*;

fn rig(tiers: &[u32]) -> Rig {
    Rig::new(config(Model::Three), tiers)
}

#[test]
fn a_server_is_live_when_a_ping_gets_through() {
    let mut rig = rig(&[0]);
    let a = rig.servers[0];
    rig.deaf = Some(SendFailure::Unreachable);
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.connect(a);
    assert_eq!(rig.pinged, [a]);
    assert_eq!(rig.liveness(a), Liveness::Connecting);
    rig.advance(2);
    assert!(rig.sent.is_empty());
    rig.deaf = None;
    rig.advance(1);
    assert_eq!(rig.liveness(a), Liveness::Live);
    assert_eq!(rig.sent, [(a, id, 1)]);
}

#[test]
fn pings_that_do_not_get_through_are_repeated_with_growing_pauses() {
    let mut rig = rig(&[0]);
    rig.deaf = Some(SendFailure::Unreachable);
    rig.connect(rig.servers[0]);
    let mut times = vec![rig.now_ms()];
    while times.len() < 8 {
        rig.pinged.clear();
        rig.step();
        if !rig.pinged.is_empty() {
            times.push(rig.now_ms());
        }
    }
    assert_eq!(times, [0, 1, 3, 7, 15, 25, 35, 45], "up to the retry pause");
}

#[test]
fn silence_is_answered_by_pings_then_suspicion_then_a_new_link() {
    let mut rig = rig(&[0]);
    let a = rig.servers[0];
    rig.connect(a);
    rig.pong(a);
    rig.pinged.clear();
    rig.advance_to(999);
    assert!(rig.pinged.is_empty());
    rig.advance_to(1000);
    assert_eq!(rig.pinged, [a]);
    rig.advance_to(2499);
    assert_eq!(rig.liveness(a), Liveness::Live);
    rig.advance_to(2500);
    assert_eq!(rig.told.last(), Some(&(a, Liveness::Suspect)));
    rig.advance_to(4999);
    assert!(rig.hung_up.is_empty());
    rig.advance_to(5000);
    assert_eq!(rig.hung_up, [a]);
    assert_eq!(rig.liveness(a), Liveness::Connecting);
}

#[test]
fn anything_that_is_well_formed_is_a_sign_of_life() {
    let mut config = config(Model::Three);
    config.eject_after = 100;
    let mut rig = Rig::new(config, &[0]);
    let a = rig.servers[0];
    rig.connect(a);
    let ids: Vec<_> = (0..3).map(|_| rig.submit(Idempotent::No, 60_000)).collect();
    rig.advance_to(2000);
    rig.reply(a, ids[0]);
    rig.advance_to(4000);
    rig.reply(a, ids[0]);
    rig.advance_to(6000);
    rig.refuse(a, ids[1]);
    rig.advance_to(8000);
    rig.pong(a);
    rig.advance_to(10_499);
    assert!(rig.told.iter().all(|(_, now)| *now != Liveness::Suspect));
    rig.message(a, &[b"noise", b"noise"]);
    rig.message(a, &[b"PING"]);
    rig.advance_to(10_500);
    assert_eq!(rig.liveness(a), Liveness::Suspect, "noise is none");
    assert_eq!(rig.engine.stats().foreign, 2);
    rig.pong(a);
    assert_eq!(rig.liveness(a), Liveness::Live);
}

#[test]
fn a_server_that_is_heard_is_not_pinged() {
    let mut rig = rig(&[0]);
    let a = rig.servers[0];
    rig.connect(a);
    rig.pinged.clear();
    for _ in 0..20 {
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.reply(a, id);
        rig.advance(500);
    }
    assert!(rig.pinged.is_empty());
}

#[test]
fn a_suspect_gets_nothing_while_another_is_there() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.connect(a);
    rig.connect(b);
    for _ in 0..3 {
        rig.advance(1000);
        rig.pong(b);
    }
    assert_eq!(rig.liveness(a), Liveness::Suspect);
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.receivers(), [b]);
    rig.disconnect(b);
    assert_eq!(rig.receivers(), [b, a], "all others are gone: panic");
    assert_eq!(rig.engine.stats().panics, 1);
}

#[test]
fn a_server_with_another_identity_is_asked_for_it_and_named_once() {
    let mut rig = rig(&[0]);
    let a = rig.servers[0];
    rig.deaf = Some(SendFailure::Unreachable);
    for round in 1..=3 {
        rig.connect(a);
        rig.advance(499);
        assert_eq!(rig.named.len(), round - 1);
        rig.advance(1);
        assert_eq!(rig.named.len(), round);
        rig.dialled.clear();
        let name = Some("tcp://elsewhere:1".to_owned());
        rig.engine.handle_name(a, name, rig.now);
        rig.drain();
        assert_eq!(rig.hung_up.len(), round);
        assert_eq!(rig.misnamed, [(a, "tcp://elsewhere:1".to_owned())]);
        rig.advance(799);
        assert!(rig.dialled.is_empty(), "the longest pause");
        rig.advance(401);
        assert_eq!(rig.dialled, [a]);
    }
    assert!(rig.engine.server(a).unwrap().misnamed.is_some());
    rig.deaf = None;
    rig.connect(a);
    assert_eq!(rig.engine.server(a).unwrap().misnamed, None);
}

#[test]
fn a_name_that_is_not_found_out_ends_the_link_too() {
    let mut rig = rig(&[0]);
    let a = rig.servers[0];
    rig.deaf = Some(SendFailure::Unreachable);
    rig.connect(a);
    rig.advance_to(500);
    assert_eq!(rig.named, [a]);
    rig.advance_to(2499);
    assert!(rig.hung_up.is_empty());
    rig.advance_to(2500);
    assert_eq!(rig.hung_up, [a]);
    assert!(rig.misnamed.is_empty());
    rig.advance_to(3700);
    rig.connect(a);
    rig.advance(500);
    rig.engine.handle_name(a, None, rig.now);
    rig.drain();
    assert_eq!(rig.hung_up, [a, a]);
}

#[test]
fn a_request_that_finds_nobody_at_an_address_moves_on_and_the_server_is_sought_again() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.connect(a);
    rig.connect(b);
    rig.jammed = Some((a, SendFailure::Unreachable));
    rig.submit(Idempotent::No, 1000);
    assert_eq!(rig.receivers(), [a, b]);
    assert_eq!(rig.liveness(a), Liveness::Connecting);
    rig.advance(1);
    assert_eq!(rig.liveness(a), Liveness::Live, "a ping got through");
}

#[test]
fn a_ping_that_meets_a_full_queue_proves_that_somebody_is_there() {
    let mut rig = rig(&[0]);
    let a = rig.servers[0];
    rig.deaf = Some(SendFailure::Full);
    rig.connect(a);
    assert_eq!(rig.liveness(a), Liveness::Live);
    rig.advance_to(2500);
    assert_eq!(rig.liveness(a), Liveness::Suspect);
    assert!(rig.named.is_empty());
}
