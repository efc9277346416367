//! What becomes of a copy: silence, the end of its link, a refusal, a queue that is full.

use super::*;

#[test]
fn an_attempt_that_is_not_answered_in_time_goes_to_another_server() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(99);
    assert_eq!(rig.sent, [(a, id, 1)]);
    rig.advance_to(100);
    assert_eq!(rig.sent, [(a, id, 1), (b, id, 2)]);
    rig.reply(b, id);
    let reply = rig.result(id).unwrap().unwrap();
    assert_eq!((reply.server, reply.attempts), (b, 2));
    assert_eq!(rig.engine.stats().retries, 1);
    assert_eq!(rig.engine.server(a).unwrap().failures, 1);
}

#[test]
fn the_first_copy_stays_valid() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(150);
    rig.reply(a, id);
    assert_eq!(rig.result(id).unwrap().unwrap().server, a);
    rig.reply(b, id);
    assert!(rig.done.is_empty());
    assert_eq!(rig.engine.server(b).unwrap().late, 1);
}

#[test]
fn what_is_not_idempotent_waits_for_its_server_until_the_deadline() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let id = rig.submit(Idempotent::No, 1000);
    let late = rig.submit(Idempotent::No, 1000);
    rig.advance_to(500);
    rig.reply(rig.servers[0], late);
    assert!(rig.result(late).unwrap().is_ok(), "late is not too late");
    rig.advance_to(1000);
    assert_eq!(rig.sent.len(), 2);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
}

#[test]
fn a_lost_link_sends_idempotent_requests_elsewhere_at_once_and_ends_the_others() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let yes = rig.submit(Idempotent::Yes, 1000);
    let no = rig.submit(Idempotent::No, 1000);
    rig.disconnect(a);
    assert_eq!(rig.sent, [(a, yes, 1), (a, no, 1), (b, yes, 2)]);
    assert!(matches!(rig.result(no), Some(Err(RequestError::Unknown))));
    assert_eq!(rig.engine.server(a).unwrap().failures, 2);
    assert_eq!(rig.engine.server(a).unwrap().outstanding, 0);
}

#[test]
fn a_lost_link_ends_a_request_that_timed_out_there_and_may_not_be_sent_again() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let id = rig.submit(Idempotent::No, 1000);
    rig.advance_to(150);
    rig.disconnect(rig.servers[0]);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
}

#[test]
fn a_refusal_moves_any_request_for_nothing() {
    for idempotent in [Idempotent::Yes, Idempotent::No] {
        let mut config = config(Model::One);
        config.budget.burst = 0;
        let mut rig = Rig::connected(config, &[0, 1]);
        let [a, b] = rig.servers[..] else {
            unreachable!()
        };
        let id = rig.submit(idempotent, 1000);
        rig.refuse(a, id);
        assert_eq!(rig.sent, [(a, id, 1), (b, id, 2)]);
        assert_eq!(rig.engine.stats().refused, 1);
        assert_eq!(rig.engine.server(a).unwrap().failures, 0);
        let later = rig.submit(idempotent, 1000);
        assert_eq!(rig.sent.last(), Some(&(b, later, 1)), "it rests");
        rig.advance(10);
        let later = rig.submit(idempotent, 1000);
        assert_eq!(rig.sent.last(), Some(&(a, later, 1)));
    }
}

#[test]
fn a_server_that_refuses_is_asked_by_one_request_at_a_time_and_ever_less_often() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    let ids: Vec<_> = (0..100)
        .map(|_| rig.submit(Idempotent::No, 10_000))
        .collect();
    for id in ids {
        rig.refuse(a, id);
    }
    rig.sent.clear();
    // After 10, 20, 40, 80, 160, 320, 640 ms, and then each second.
    for _ in 0..5_000 {
        rig.advance(1);
        while let Some((_, id, _)) = rig.sent.get(rig.sent.len().wrapping_sub(1)).copied()
            && rig.engine.server(a).unwrap().outstanding > 0
        {
            rig.refuse(a, id);
        }
    }
    assert!((9..=11).contains(&rig.sent.len()), "{}", rig.sent.len());
}

#[test]
fn one_answer_lets_all_go_that_waited_for_a_server_that_refused() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    let [first, second] = [0, 1].map(|_| rig.submit(Idempotent::No, 10_000));
    rig.refuse(a, first);
    // What it took before says nothing of what it takes now.
    rig.reply(a, second);
    let third = rig.submit(Idempotent::No, 10_000);
    assert_eq!(rig.sent.len(), 2);
    rig.advance(10);
    assert_eq!(rig.sent.len(), 3, "one tries");
    let scout = rig.sent[2].1;
    let waiting = if scout == first { third } else { first };
    rig.reply(a, scout);
    assert_eq!(rig.sent.last().map(|sent| sent.1), Some(waiting));
    rig.submit(Idempotent::No, 10_000);
    assert_eq!(rig.sent.len(), 5);
}

#[test]
fn a_late_refusal_lets_a_request_go_that_had_to_wait() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::No, 1000);
    rig.advance_to(300);
    assert_eq!(rig.sent.len(), 1);
    rig.refuse(a, id);
    assert_eq!(rig.sent[1], (b, id, 2));
}

#[test]
fn a_copy_that_was_refused_once_cannot_be_refused_or_answered_again() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::No, 1000);
    rig.refuse(a, id);
    rig.refuse(a, id);
    rig.reply(a, id);
    assert_eq!(rig.engine.stats().foreign, 2);
    assert_eq!(rig.receivers(), [a, b]);
}

#[test]
fn what_could_not_leave_goes_elsewhere_for_nothing() {
    for idempotent in [Idempotent::Yes, Idempotent::No] {
        for failure in [SendFailure::Full, SendFailure::Unreachable] {
            let mut config = config(Model::One);
            config.budget.burst = 0;
            let mut rig = Rig::connected(config, &[0, 1]);
            let [a, b] = rig.servers[..] else {
                unreachable!()
            };
            rig.jammed = Some((a, failure));
            let id = rig.submit(idempotent, 1000);
            assert_eq!(rig.receivers(), [a, b]);
            assert_eq!(rig.engine.stats().send_failed, 1);
            assert_eq!(rig.engine.stats().attempts, 1);
            rig.reply(b, id);
            assert_eq!(rig.result(id).unwrap().unwrap().attempts, 1);
        }
    }
}

#[test]
fn a_single_server_that_is_full_is_tried_after_a_pause_each() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    rig.jammed = Some((a, SendFailure::Full));
    let id = rig.submit(Idempotent::No, 35);
    rig.advance_to(35);
    assert_eq!(rig.sent.len(), 4, "at 0, 10, 20 and 30");
    assert!(matches!(rig.result(id), Some(Err(RequestError::NoServer))));
}

#[test]
fn attempts_are_limited_and_then_the_copies_that_are_out_are_waited_for() {
    let mut config = config(Model::One);
    config.max_attempts = 2;
    let mut rig = Rig::connected(config, &[0, 1, 2]);
    let [a, b, _] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 2000);
    rig.advance_to(900);
    assert_eq!(rig.receivers(), [a, b]);
    rig.disconnect(a);
    assert!(rig.result(id).is_none(), "the second may still be answered");
    rig.disconnect(b);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
    assert_eq!(rig.now_ms(), 900, "nothing can come any more");
}

#[test]
fn what_was_refused_or_never_left_does_not_count_as_an_attempt() {
    let mut config = config(Model::One);
    config.max_attempts = 2;
    let mut rig = Rig::connected(config, &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 2000);
    rig.refuse(a, id);
    rig.refuse(b, id);
    rig.advance_to(10);
    assert_eq!(rig.receivers(), [a, b, a]);
    rig.advance_to(110);
    assert_eq!(rig.receivers(), [a, b, a, b]);
}

#[test]
fn a_server_that_is_alone_is_tried_again() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(100);
    assert_eq!(rig.sent, [(a, id, 1), (a, id, 2)]);
    rig.answer(a, id, 1, b"yes");
    assert!(rig.result(id).unwrap().is_ok());
}

#[test]
fn a_request_that_all_left_unanswered_begins_again_with_the_first() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(200);
    assert_eq!(rig.receivers(), [a, b, a]);
}

#[test]
fn a_retry_waits_for_a_server_that_only_rests() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(95);
    rig.engine.set_tier(b, 0).unwrap();
    let other = rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.sent[1].0, b, "it has less to do");
    rig.refuse(b, other);
    rig.advance_to(104);
    assert_eq!(rig.receivers(), [a, b, a]);
    rig.advance_to(105);
    assert_eq!(rig.receivers(), [a, b, a, b]);
}
