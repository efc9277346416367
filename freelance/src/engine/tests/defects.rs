//! The defects of the Guide's own clients, of which none may be here.

use super::*;

#[test]
fn f1_a_pong_is_no_reply() {
    let mut rig = Rig::connected(config(Model::Three), &[0]);
    let a = rig.servers[0];
    rig.advance_to(2400);
    for _ in 0..3 {
        rig.pong(a);
    }
    let id = rig.submit(Idempotent::No, 1000);
    rig.pong(a);
    assert!(rig.result(id).is_none());
    rig.reply(a, id);
    assert_eq!(rig.result(id).unwrap().unwrap().frames, [b"yes".to_vec()]);
}

#[test]
fn f2_a_request_is_not_sent_again_at_each_wake_up() {
    let mut config = config(Model::Three);
    config.attempt_timeout = ms(3000);
    let mut rig = Rig::connected(config, &[0]);
    let a = rig.servers[0];
    let id = rig.submit(Idempotent::Yes, 3000);
    for at in (100..2600).step_by(100) {
        rig.advance_to(at);
        rig.pong(a);
        rig.engine.handle_timeout(rig.now);
        rig.drain();
    }
    rig.reply(a, id);
    assert!(rig.result(id).unwrap().is_ok());
    assert_eq!(rig.sent, [(a, id, 1)]);
}

#[test]
fn f3_a_reply_that_is_late_is_not_given_to_the_next_request() {
    for model in [Model::One, Model::Two, Model::Three] {
        let mut rig = Rig::connected(config(model), &[0]);
        let a = rig.servers[0];
        let first = rig.submit(Idempotent::No, 50);
        rig.advance_to(50);
        let second = rig.submit(Idempotent::No, 50);
        rig.reply(a, first);
        assert!(matches!(
            rig.result(first),
            Some(Err(RequestError::Unknown))
        ));
        assert!(rig.result(second).is_none());
        rig.reply(a, second);
        assert!(rig.result(second).unwrap().is_ok());
        assert_eq!(rig.engine.stats().late, 1);
    }
}

#[test]
fn f4_with_the_first_server_dead_a_request_succeeds_within_its_own_time() {
    for model in [Model::One, Model::Three] {
        let mut config = Config::new(model);
        config.attempt_timeout = ms(1000);
        let mut rig = Rig::connected(config, &[0, 1]);
        let b = rig.servers[1];
        let id = rig.submit(Idempotent::Yes, 3000);
        rig.advance_to(1000);
        rig.reply(b, id);
        let reply = rig.result(id).unwrap().unwrap();
        assert_eq!((reply.server, reply.elapsed), (b, ms(1000)));
    }
}

#[test]
fn f5_nothing_piles_up_for_a_server_that_is_down() {
    let mut rig = Rig::new(config(Model::Two), &[0, 0]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.connect(a);
    rig.disconnect(b);
    for _ in 0..1000 {
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.reply(a, id);
    }
    rig.dialled.clear();
    while !rig.dialled.contains(&b) {
        rig.disconnect(b);
        rig.step();
    }
    rig.connect(b);
    assert!(rig.receivers().iter().all(|server| *server == a));
    let id = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.sent[1000..], [(a, id, 1), (b, id, 1)]);
}

#[test]
fn f6_a_server_is_never_counted_twice() {
    let mut rig = Rig::connected(config(Model::Three), &[0, 0]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for _ in 0..5 {
        rig.connect(a);
        rig.pong(a);
    }
    assert_eq!(rig.engine.servers().count(), 2);
    for _ in 0..4 {
        rig.submit(Idempotent::Yes, 1000);
    }
    let of = |server| rig.receivers().iter().filter(|to| **to == server).count();
    assert_eq!((of(a), of(b)), (2, 2));
}

#[test]
fn f7_a_sequence_of_any_length_comes_back_whole() {
    let mut rig = Rig::connected(config(Model::Two), &[0]);
    rig.engine.next_sequence = u64::MAX - 1;
    let id = rig.submit(Idempotent::Yes, 1000);
    let frames = rig.envelope(id, 1);
    assert_eq!(frames[2], b"18446744073709551614");
    rig.answer(rig.servers[0], RequestId(id.0 % 10_000_000_000), 1, b"yes");
    assert!(rig.result(id).is_none());
    rig.reply(rig.servers[0], id);
    assert!(rig.result(id).unwrap().is_ok());
}

#[test]
fn f8_a_time_that_has_passed_is_no_wait_for_ever() {
    let mut rig = Rig::connected(config(Model::Three), &[0]);
    let id = rig.submit(Idempotent::Yes, 100);
    rig.now += ms(60_000);
    rig.engine.handle_timeout(rig.now);
    rig.drain();
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
    assert!(rig.engine.next_deadline().is_some_and(|at| at > rig.now));
    let past = rig.start;
    let id = rig.engine.submit("late", Idempotent::Yes, past, rig.now);
    rig.drain();
    let result = rig.result(id.unwrap());
    assert!(matches!(result, Some(Err(RequestError::NoServer))));
}

#[test]
fn f10_many_requests_are_under_way_at_once() {
    let mut rig = Rig::connected(config(Model::Three), &[0, 0]);
    let ids: Vec<_> = (0..1000)
        .map(|_| rig.submit(Idempotent::No, 1000))
        .collect();
    let sent = rig.sent.clone();
    for (server, id, _) in sent.into_iter().rev() {
        rig.reply(server, id);
    }
    for id in ids {
        assert!(rig.result(id).unwrap().is_ok());
    }
}

#[test]
fn f11_the_dead_are_remembered() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let mut slow = 0;
    for _ in 0..50 {
        let before = rig.now;
        let id = rig.submit(Idempotent::Yes, 1000);
        while rig.sent.last() != Some(&(b, id, 1)) && rig.sent.last() != Some(&(b, id, 2)) {
            rig.step();
        }
        rig.reply(b, id);
        slow += u32::from(rig.now > before);
    }
    assert_eq!(slow, 3, "until it is ejected, and never again");
    assert_eq!(rig.liveness(a), Liveness::Ejected);
}
