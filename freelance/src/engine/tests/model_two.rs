//! Volleys.

use super::*;

fn rig(tiers: &[u32]) -> Rig {
    Rig::connected(config(Model::Two), tiers)
}

#[test]
fn an_idempotent_request_goes_to_all_at_once_and_the_first_reply_wins() {
    let mut rig = rig(&[0, 1, 2]);
    let [a, b, c] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.sent, [(a, id, 1), (b, id, 1), (c, id, 1)]);
    rig.reply(c, id);
    let reply = rig.result(id).unwrap().unwrap();
    assert_eq!((reply.server, reply.attempts), (c, 1));
    rig.reply(a, id);
    rig.reply(b, id);
    assert!(rig.done.is_empty());
    let stats = rig.engine.stats();
    assert_eq!((stats.late, stats.foreign, stats.retries), (2, 0, 0));
}

#[test]
fn what_is_not_idempotent_goes_to_one() {
    let mut rig = rig(&[0, 1, 2]);
    rig.submit(Idempotent::No, 1000);
    assert_eq!(rig.receivers(), [rig.servers[0]]);
}

#[test]
fn the_first_volley_is_free_and_a_second_costs_a_token_a_copy() {
    let mut config = config(Model::Two);
    config.budget.burst = 2;
    config.budget.per_request = 0.0;
    config.budget.per_second = 0.0;
    let mut rig = Rig::connected(config, &[0, 1, 2]);
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(99);
    assert_eq!(rig.sent.len(), 3);
    rig.advance_to(100);
    assert_eq!(rig.sent.len(), 5, "as many as can be paid");
    assert!(rig.sent[3..].iter().all(|(_, _, attempt)| *attempt == 2));
    rig.advance_to(900);
    assert_eq!(rig.sent.len(), 5);
    rig.answer(rig.servers[2], id, 1, b"yes");
    assert!(
        rig.result(id).unwrap().is_ok(),
        "the first volley is still valid"
    );
}

#[test]
fn a_volley_is_repeated_only_when_all_its_copies_failed() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.disconnect(a);
    assert_eq!(rig.sent.len(), 2);
    rig.disconnect(b);
    rig.dialled.clear();
    while rig.dialled.is_empty() {
        rig.step();
    }
    let back = rig.dialled[0];
    rig.connect(back);
    assert_eq!(rig.sent[2..], [(back, id, 2)]);
}

#[test]
fn a_volley_that_all_refused_is_repeated_for_nothing() {
    let mut config = config(Model::Two);
    config.budget.burst = 0;
    let mut rig = Rig::connected(config, &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.refuse(a, id);
    rig.refuse(b, id);
    rig.advance(10);
    assert_eq!(rig.sent[2..], [(a, id, 2), (b, id, 2)]);
}

#[test]
fn an_ejected_server_is_in_no_volley_until_it_is_probed() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.eject(a);
    let id = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.receivers(), [b]);
    rig.reply(b, id);
    rig.advance(1000);
    let id = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.sent[1..], [(b, id, 1), (a, id, 1)]);
    rig.reply(a, id);
    assert_eq!(rig.liveness(a), Liveness::Live);
}

#[test]
fn a_server_that_never_wins_and_never_answers_is_ejected() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for _ in 0..4 {
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.reply(a, id);
        rig.advance(110);
    }
    assert_eq!(rig.liveness(b), Liveness::Ejected);
    assert_eq!(rig.liveness(a), Liveness::Live);
}

#[test]
fn the_first_volley_waits_a_moment_for_links_that_are_being_dialled() {
    let mut rig = Rig::new(config(Model::Two), &[0, 0]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.submit(Idempotent::Yes, 1000);
    rig.connect(b);
    assert!(rig.sent.is_empty());
    rig.connect(a);
    assert_eq!(rig.receivers(), [a, b]);
}

#[test]
fn a_copy_of_a_volley_that_did_not_leave_is_not_replaced_while_others_are_out() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.jammed = Some((a, SendFailure::Full));
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance(50);
    assert_eq!(rig.sent, [(a, id, 1), (b, id, 1)]);
    assert_eq!(rig.engine.stats().attempts, 1);
}

#[test]
fn a_link_that_is_lost_in_the_middle_of_a_volley_begins_no_other() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let deadline = rig.now + ms(1000);
    let id = rig
        .engine
        .submit("body", Idempotent::Yes, deadline, rig.now)
        .unwrap();
    let first = rig.engine.poll_action(rig.now);
    assert!(matches!(first, Some(Action::Send { server, .. }) if server == a));
    rig.disconnect(a);
    assert_eq!(rig.sent, [(b, id, 1)]);
}

#[test]
fn a_volley_that_meets_its_deadline_on_the_way_out_ends_there() {
    let mut rig = rig(&[0, 1]);
    let a = rig.servers[0];
    let deadline = rig.now + ms(50);
    let id = rig
        .engine
        .submit("body", Idempotent::Yes, deadline, rig.now)
        .unwrap();
    let first = rig.engine.poll_action(rig.now);
    assert!(matches!(first, Some(Action::Send { server, .. }) if server == a));
    rig.now = deadline;
    rig.drain();
    assert!(rig.sent.is_empty());
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
}

#[test]
fn a_server_that_answers_all_but_always_too_late_is_ejected() {
    let mut rig = rig(&[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let mut ids = Vec::new();
    for round in 0..40 {
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.reply(a, id);
        ids.push(id);
        if round >= 15 && rig.liveness(b) == Liveness::Live {
            rig.answer(b, ids[round - 15], 1, b"150 ms late");
        }
        rig.advance(10);
    }
    assert_eq!(rig.liveness(b), Liveness::Ejected);
    assert_eq!(rig.liveness(a), Liveness::Live);
}

#[test]
fn a_late_refusal_is_replaced_by_one_copy_and_not_by_a_volley() {
    let mut config = config(Model::Two);
    config.budget.burst = 0;
    let mut rig = Rig::connected(config, &[0, 0, 0, 0]);
    let last = rig.servers[3];
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance(150);
    assert_eq!(rig.sent.len(), 4);
    rig.refuse(last, id);
    rig.advance(50);
    assert_eq!(rig.sent.len(), 5);
}
