//! Ejection, probes and panic.

use super::*;

const EJECT_FOR: u64 = 1000;

fn ejected_pair() -> (Rig, ServerId, ServerId) {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.eject(a);
    (rig, a, b)
}

#[test]
fn attempts_in_a_row_that_go_unanswered_eject_a_server() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for _ in 0..3 {
        assert_eq!(rig.liveness(a), Liveness::Live);
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.advance(100);
        rig.reply(b, id);
    }
    assert_eq!(rig.told.last(), Some(&(a, Liveness::Ejected)));
    assert_eq!(rig.engine.server(a).unwrap().ejected, 1);
    rig.sent.clear();
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.receivers(), [b]);
}

#[test]
fn a_reply_between_them_begins_the_count_anew() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for round in 0..6 {
        let id = rig.submit(Idempotent::Yes, 1000);
        if round % 3 == 2 {
            rig.reply(a, id);
        } else {
            rig.advance(100);
            rig.reply(b, id);
        }
    }
    assert_eq!(rig.liveness(a), Liveness::Live);
}

#[test]
fn a_server_that_is_late_each_time_is_ejected_too() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for _ in 0..3 {
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.advance(100);
        rig.reply(b, id);
        rig.reply(a, id);
    }
    assert_eq!(rig.liveness(a), Liveness::Ejected);
}

#[test]
fn requests_that_end_before_the_attempt_timeout_tell_of_dead_servers_too() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for _ in 0..3 {
        rig.submit(Idempotent::Yes, 60);
        rig.advance(110);
    }
    assert_eq!(rig.liveness(a), Liveness::Ejected);
    rig.sent.clear();
    let id = rig.submit(Idempotent::Yes, 60);
    assert_eq!(rig.sent, [(b, id, 1)]);
}

#[test]
fn an_answer_that_nobody_waits_for_clears_the_server() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    for _ in 0..5 {
        let id = rig.submit(Idempotent::Yes, 60);
        rig.advance(90);
        rig.reply(a, id);
    }
    assert_eq!(rig.engine.server(a).unwrap().failures, 0);
    assert_eq!(rig.engine.stats().late, 5);
}

#[test]
fn one_probe_beside_a_request_brings_a_server_back() {
    let (mut rig, a, b) = ejected_pair();
    rig.advance(EJECT_FOR);
    let id = rig.submit(Idempotent::Yes, 1000);
    let other = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.sent, [(b, id, 1), (a, id, 2), (b, other, 1)]);
    rig.reply(b, id);
    assert_eq!(rig.liveness(a), Liveness::Ejected);
    rig.reply(a, id);
    assert_eq!(rig.liveness(a), Liveness::Live, "also when it is second");
    assert_eq!(rig.told.last(), Some(&(a, Liveness::Live)));
}

#[test]
fn a_probe_that_fails_ejects_for_twice_as_long() {
    let (mut rig, a, b) = ejected_pair();
    let mut pause = EJECT_FOR;
    for ejected in 2..8 {
        rig.advance(pause - 150);
        rig.sent.clear();
        let early = rig.submit(Idempotent::Yes, 1000);
        rig.reply(b, early);
        assert_eq!(rig.receivers(), [b]);
        rig.advance(150);
        let id = rig.submit(Idempotent::Yes, 1000);
        assert_eq!(rig.receivers(), [b, b, a]);
        rig.reply(b, id);
        rig.advance(100);
        assert_eq!(rig.engine.server(a).unwrap().ejected, ejected);
        pause = (pause * 2).min(30_000);
    }
    assert_eq!(pause, 30_000);
}

#[test]
fn a_probe_that_was_refused_or_did_not_leave_is_repeated() {
    let (mut rig, a, b) = ejected_pair();
    rig.advance(EJECT_FOR);
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.refuse(a, id);
    rig.reply(b, id);
    assert_eq!(rig.liveness(a), Liveness::Ejected);
    rig.advance(10);
    rig.jammed = Some((a, SendFailure::Full));
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.reply(b, id);
    rig.jammed = None;
    rig.advance(10);
    rig.sent.clear();
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.receivers(), [b, a]);
    assert_eq!(rig.engine.server(a).unwrap().ejected, 1);
}

#[test]
fn without_another_server_the_request_is_the_probe() {
    for idempotent in [Idempotent::Yes, Idempotent::No] {
        let (mut rig, a, b) = ejected_pair();
        rig.advance(EJECT_FOR);
        rig.disconnect(b);
        let id = rig.submit(idempotent, 1000);
        assert_eq!(rig.sent, [(a, id, 1)]);
        assert_eq!(rig.engine.stats().panics, 0);
        rig.reply(a, id);
        assert_eq!(rig.liveness(a), Liveness::Live);
    }
}

#[test]
fn what_is_not_idempotent_probes_nobody_while_another_is_well() {
    let (mut rig, _, b) = ejected_pair();
    rig.advance(EJECT_FOR);
    let id = rig.submit(Idempotent::No, 1000);
    assert_eq!(rig.sent, [(b, id, 1)]);
    rig.refuse(b, id);
    assert_eq!(rig.sent.len(), 1, "it waits for the one that rests");
    rig.advance(10);
    assert_eq!(rig.receivers(), [b, b]);
}

#[test]
fn without_a_probe_an_ejection_lapses() {
    let (mut rig, a, _) = ejected_pair();
    rig.advance(EJECT_FOR + 29_999);
    assert_eq!(rig.liveness(a), Liveness::Ejected);
    rig.advance(1);
    assert_eq!(rig.liveness(a), Liveness::Live);
}

#[test]
fn when_all_look_dead_health_is_ignored() {
    let (mut rig, a, b) = ejected_pair();
    rig.eject(b);
    let id = rig.submit(Idempotent::No, 1000);
    assert_eq!(rig.sent, [(a, id, 1)], "the lower tier");
    assert_eq!(rig.engine.stats().panics, 1);
    rig.reply(a, id);
    assert_eq!(rig.liveness(a), Liveness::Live);
}

#[test]
fn a_new_link_ends_an_ejection_but_not_the_doubling() {
    let (mut rig, a, b) = ejected_pair();
    rig.reconnect(a);
    assert_eq!(rig.liveness(a), Liveness::Live);
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance(100);
    rig.reply(b, id);
    assert_eq!(rig.liveness(a), Liveness::Ejected, "one failure is enough");
    rig.advance(2 * EJECT_FOR - 1);
    rig.sent.clear();
    let id = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.receivers(), [b]);
    rig.reply(b, id);
    rig.advance(1);
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.receivers(), [b, b, a]);
}

#[test]
fn a_server_that_was_killed_and_came_back_is_used_at_once() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for _ in 0..20 {
        let id = rig.submit(Idempotent::Yes, 1000);
        assert_eq!(rig.receivers(), [a]);
        rig.reconnect(a);
        rig.reply(b, id);
        rig.sent.clear();
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.reply(a, id);
        rig.sent.clear();
    }
}

#[test]
fn a_server_that_ends_its_link_at_each_request_is_ejected() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let mut victims = 0;
    for _ in 0..100 {
        let id = rig.submit(Idempotent::No, 1000);
        if rig.receivers().last() == Some(&a) {
            victims += 1;
            rig.reconnect(a);
        } else {
            rig.reply(b, id);
            rig.advance(10);
        }
    }
    assert_eq!(victims, 3, "as many as the limit, in the first second");
}

#[test]
fn an_answer_that_is_late_ends_no_ejection() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let ids: Vec<_> = (0..3).map(|_| rig.submit(Idempotent::Yes, 1000)).collect();
    rig.advance(100);
    assert_eq!(rig.liveness(a), Liveness::Ejected);
    rig.answer(a, ids[0], 1, b"late, and wanted");
    rig.reply(b, ids[1]);
    rig.answer(a, ids[1], 1, b"late, and not wanted");
    assert!(rig.result(ids[0]).unwrap().is_ok());
    assert_eq!(rig.liveness(a), Liveness::Ejected);
}

#[test]
fn a_probe_counts_towards_the_copies_of_its_request() {
    let mut config = config(Model::One);
    config.max_attempts = 1;
    let mut rig = Rig::connected(config, &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.eject(a);
    rig.advance(EJECT_FOR);
    let id = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.sent, [(b, id, 1)]);
}
