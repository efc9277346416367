//! Who is asked.

use super::*;

#[test]
fn the_lowest_tier_is_asked_while_it_is_there() {
    let mut rig = Rig::connected(config(Model::One), &[1, 0]);
    let [b, a] = rig.servers[..] else {
        unreachable!()
    };
    for _ in 0..3 {
        rig.submit(Idempotent::Yes, 1000);
    }
    assert_eq!(rig.receivers(), [a, a, a]);
    rig.sent.clear();
    rig.engine.set_tier(b, 0).unwrap();
    rig.engine.set_tier(a, 1).unwrap();
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.receivers(), [b]);
}

#[test]
fn within_a_tier_who_has_least_to_do_is_asked() {
    let mut rig = Rig::connected(config(Model::One), &[0, 0, 0]);
    for _ in 0..9 {
        rig.submit(Idempotent::Yes, 1000);
    }
    for server in rig.engine.servers() {
        assert_eq!(server.outstanding, 3);
    }
}

#[test]
fn of_those_with_equally_much_to_do_the_quicker_is_asked() {
    let mut rig = Rig::connected(config(Model::One), &[0, 0]);
    let first = rig.submit(Idempotent::Yes, 1000);
    let second = rig.submit(Idempotent::Yes, 1000);
    let (slow, quick) = (rig.sent[0].0, rig.sent[1].0);
    rig.advance(1);
    rig.reply(quick, second);
    rig.advance(20);
    rig.reply(slow, first);
    for _ in 0..5 {
        let id = rig.submit(Idempotent::Yes, 1000);
        assert_eq!(rig.receivers().last(), Some(&quick));
        rig.advance(1);
        rig.reply(quick, id);
    }
    let round_trip = rig.engine.server(quick).unwrap().round_trip;
    assert_eq!(round_trip, Some(ms(1)));
}

#[test]
fn among_equals_chance_decides_evenly() {
    let mut rig = Rig::connected(config(Model::One), &[0, 0, 0]);
    for _ in 0..300 {
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.engine.cancel(id);
    }
    for server in &rig.servers {
        let count = rig.receivers().iter().filter(|id| *id == server).count();
        assert!((70..130).contains(&count), "{count}");
    }
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let run = || {
        let mut rig = Rig::connected(config(Model::One), &[0, 0, 0]);
        for _ in 0..30 {
            let id = rig.submit(Idempotent::Yes, 1000);
            rig.engine.cancel(id);
        }
        rig.receivers()
    };
    assert_eq!(run(), run());
}

#[test]
fn the_order_in_which_links_come_up_does_not_decide_who_is_first() {
    let mut rig = Rig::new(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.submit(Idempotent::Yes, 1000);
    rig.connect(b);
    assert!(rig.sent.is_empty());
    rig.advance(5);
    rig.connect(a);
    assert_eq!(rig.receivers(), [a]);
}

#[test]
fn a_first_link_that_does_not_come_up_is_waited_for_only_a_moment() {
    let mut rig = Rig::new(config(Model::One), &[0, 1]);
    let b = rig.servers[1];
    rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(40);
    rig.connect(b);
    rig.advance_to(64);
    assert!(rig.sent.is_empty());
    rig.advance_to(65);
    assert_eq!(rig.receivers(), [b], "a quarter of the attempt timeout");
}

#[test]
fn a_first_link_that_failed_is_not_waited_for() {
    let mut rig = Rig::new(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.submit(Idempotent::Yes, 1000);
    rig.connect(b);
    rig.disconnect(a);
    assert_eq!(rig.receivers(), [b]);
}

#[test]
fn a_server_of_the_same_tier_is_not_waited_for() {
    let mut rig = Rig::new(config(Model::One), &[0, 0]);
    rig.submit(Idempotent::Yes, 1000);
    rig.connect(rig.servers[1]);
    assert_eq!(rig.receivers(), [rig.servers[1]]);
}
