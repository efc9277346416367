//! Links: dialling, pauses, and what they tell of a server.

use super::*;

#[test]
fn a_server_is_dialled_at_once_and_live_when_the_link_stands() {
    let mut rig = Rig::new(config(Model::One), &[0]);
    let a = rig.servers[0];
    assert_eq!(rig.dialled, [a]);
    assert_eq!(rig.liveness(a), Liveness::Unknown);
    assert!(!rig.engine.is_ready());
    rig.connect(a);
    assert_eq!(rig.told, [(a, Liveness::Live)]);
    assert!(rig.engine.is_ready());
    assert_eq!(rig.engine.server(a).unwrap().links, 1);
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up() {
    let mut rig = Rig::new(config(Model::One), &[0]);
    let a = rig.servers[0];
    rig.advance_to(1999);
    assert!(rig.hung_up.is_empty());
    rig.advance_to(2000);
    assert_eq!(rig.hung_up, [a]);
    assert_eq!(rig.told, [(a, Liveness::Connecting)]);
    rig.advance_to(2025);
    assert_eq!(rig.dialled, [a, a]);
}

#[test]
fn the_pause_doubles_up_to_its_limit_and_varies_by_a_fifth() {
    let mut rig = Rig::new(config(Model::One), &[0]);
    let a = rig.servers[0];
    let mut nominal = 20;
    let mut seen = Vec::new();
    for _ in 0..12 {
        rig.dialled.clear();
        rig.disconnect(a);
        let before = rig.now;
        rig.step();
        assert_eq!(rig.dialled, [a]);
        let pause = rig.now - before;
        assert!(
            pause >= ms(nominal) * 4 / 5 && pause <= ms(nominal) * 6 / 5,
            "{pause:?}"
        );
        seen.push(pause.as_secs_f64() / ms(nominal).as_secs_f64());
        nominal = (nominal * 2).min(1000);
    }
    let spread = seen
        .iter()
        .fold(0.0f64, |most, factor| most.max((factor - 1.0).abs()));
    assert!(spread > 0.05, "{seen:?}");
}

#[test]
fn the_pause_begins_anew_only_when_something_was_heard() {
    let mut rig = Rig::new(config(Model::One), &[0]);
    let a = rig.servers[0];
    for _ in 0..10 {
        rig.connect(a);
        rig.disconnect(a);
        rig.step();
    }
    rig.connect(a);
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.reply(a, id);
    rig.disconnect(a);
    let before = rig.now;
    rig.step();
    assert!(rig.now - before <= ms(24));
}

#[test]
fn a_link_that_nobody_dialled_is_ignored() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    rig.disconnect(a);
    rig.connect(a);
    assert_eq!(rig.liveness(a), Liveness::Connecting);
    rig.disconnect(a);
    assert_eq!(rig.hung_up, [a], "it was down already");
}

#[test]
fn inputs_about_strangers_are_ignored() {
    let mut rig = Rig::connected(config(Model::Three), &[0]);
    let stranger = ServerId(99);
    rig.connect(stranger);
    rig.disconnect(stranger);
    rig.pong(stranger);
    rig.message(stranger, &[b"noise"]);
    let now = rig.now;
    rig.engine.handle_name(stranger, Some("x".to_owned()), now);
    rig.engine
        .handle_ping_failed(stranger, SendFailure::Full, now);
    rig.engine
        .handle_send_failed(stranger, RequestId(1), SendFailure::Full, now);
    assert_eq!(rig.engine.stats(), Stats::default());
}

#[test]
fn only_the_newest_change_of_a_server_is_told() {
    let mut rig = Rig::new(config(Model::One), &[0]);
    let a = rig.servers[0];
    rig.engine.handle_connected(a, rig.now);
    rig.engine.handle_disconnected(a, rig.now);
    rig.drain();
    assert_eq!(rig.told, [(a, Liveness::Connecting)]);
}
