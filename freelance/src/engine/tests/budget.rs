//! What retries and hedges may cost, and when a hedge is sent.

use super::*;

/// Twenty replies of 4 ms each have been seen.
fn hedging(tiers: &[u32], burst: u32) -> Rig {
    let mut config = config(Model::One);
    config.hedge = Some(Hedge::default());
    config.budget.burst = burst;
    config.budget.per_second = 0.0;
    let mut rig = Rig::connected(config, tiers);
    for _ in 0..20 {
        let id = rig.submit(Idempotent::Yes, 1000);
        let server = rig.receivers()[0];
        rig.advance(4);
        rig.reply(server, id);
        rig.sent.clear();
    }
    rig.done.clear();
    rig
}

#[test]
fn without_a_token_a_retry_waits_for_one() {
    let mut config = config(Model::One);
    config.budget.burst = 1;
    config.budget.per_request = 0.0;
    config.budget.per_second = 2.0;
    let mut rig = Rig::connected(config, &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let first = rig.submit(Idempotent::Yes, 5000);
    rig.submit(Idempotent::Yes, 5000);
    rig.advance_to(150);
    rig.reply(b, first);
    rig.advance_to(599);
    assert_eq!(rig.receivers(), [a, a, b]);
    rig.advance_to(600);
    assert_eq!(
        rig.receivers(),
        [a, a, b, b],
        "one token after half a second"
    );
    assert_eq!(rig.engine.stats().budget_exhausted, 1);
}

#[test]
fn without_a_token_until_the_deadline_it_is_unknown() {
    let mut config = config(Model::One);
    config.budget.burst = 0;
    let mut rig = Rig::connected(config, &[0, 1]);
    let id = rig.submit(Idempotent::Yes, 5000);
    rig.disconnect(rig.servers[0]);
    rig.advance_to(5000);
    assert_eq!(rig.sent.len(), 1);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
    assert_eq!(rig.engine.stats().budget_exhausted, 1);
}

#[test]
fn an_outage_is_not_made_worse_by_more_than_the_budget() {
    let mut config = config(Model::One);
    config.budget.burst = 10;
    config.budget.per_second = 0.0;
    let mut rig = Rig::connected(config, &[0, 1]);
    for _ in 0..500 {
        rig.submit(Idempotent::Yes, 1000);
        rig.advance(2);
    }
    rig.advance(2000);
    let copies = rig.engine.stats().attempts;
    assert!(
        (600..=610).contains(&copies),
        "{copies}: 500, 10, and 0.2 each"
    );
}

#[test]
fn what_would_be_paid_first_does_not_hold_up_what_is_free() {
    let mut config = config(Model::One);
    config.budget.burst = 0;
    let mut rig = Rig::connected(config, &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    rig.submit(Idempotent::Yes, 5000);
    rig.disconnect(a);
    let fresh = rig.submit(Idempotent::Yes, 5000);
    assert_eq!(rig.sent[1..], [(b, fresh, 1)]);
}

#[test]
fn a_request_that_waits_longer_than_most_is_hedged() {
    let mut rig = hedging(&[0, 1], 10);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance(9);
    assert_eq!(rig.receivers(), [a]);
    rig.advance(1);
    assert_eq!(rig.sent, [(a, id, 1), (b, id, 2)], "the floor is 10 ms");
    rig.advance(80);
    assert_eq!(rig.sent.len(), 2, "one hedge is enough");
    rig.reply(b, id);
    let reply = rig.result(id).unwrap().unwrap();
    assert_eq!((reply.server, reply.attempts), (b, 2));
    let stats = rig.engine.stats();
    assert_eq!((stats.hedges, stats.hedges_won, stats.retries), (1, 1, 0));
    assert_eq!(rig.engine.server(b).unwrap().hedges_won, 1);
}

#[test]
fn a_hedge_that_loses_did_not_win() {
    let mut rig = hedging(&[0, 1], 10);
    let a = rig.servers[0];
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance(20);
    rig.reply(a, id);
    let stats = rig.engine.stats();
    assert_eq!((stats.hedges, stats.hedges_won), (1, 0));
}

#[test]
fn the_time_of_a_hedge_does_not_grow_with_the_hedges() {
    let mut config = config(Model::One);
    config.hedge = Some(Hedge::default());
    config.budget.burst = 1 << 20;
    config.eject_after = 1 << 20;
    let mut rig = Rig::connected(config, &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for round in 0..3000 {
        rig.sent.clear();
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.advance(5);
        if round < 20 {
            rig.reply(a, id);
        } else {
            // The hedge is due after 10 ms, and answered 5 ms later.
            rig.advance(10);
            assert_eq!(rig.receivers(), [a, b], "round {round}");
            rig.reply(b, id);
        }
    }
}

#[test]
fn a_server_that_hedges_outrun_each_time_is_ejected() {
    let mut rig = hedging(&[0, 1], 100);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    for round in 0..5 {
        let id = rig.submit(Idempotent::Yes, 1000);
        rig.advance(12);
        // In the third round it wins for once.
        rig.reply(if round == 2 { a } else { b }, id);
        if round < 4 {
            assert_eq!(rig.liveness(a), Liveness::Live, "round {round}");
        }
        // What it answers late changes nothing.
        if round != 2 {
            rig.answer(a, id, 1, b"late");
        }
    }
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance(12);
    rig.reply(b, id);
    assert_eq!(rig.liveness(a), Liveness::Ejected);
}

#[test]
fn what_is_not_idempotent_or_cannot_be_paid_is_not_hedged() {
    let mut rig = hedging(&[0, 1], 10);
    rig.submit(Idempotent::No, 1000);
    rig.advance(90);
    assert_eq!(rig.sent.len(), 1);
    let mut rig = hedging(&[0, 1], 0);
    rig.submit(Idempotent::Yes, 1000);
    rig.advance(90);
    assert_eq!(rig.sent.len(), 1);
    assert_eq!(rig.engine.stats().budget_exhausted, 1);
}

#[test]
fn nothing_is_hedged_without_another_server_that_is_well() {
    let mut rig = hedging(&[0], 10);
    rig.submit(Idempotent::Yes, 1000);
    rig.advance(90);
    assert_eq!(rig.sent.len(), 1);
}

#[test]
fn a_hedge_that_did_not_leave_costs_nothing() {
    let mut rig = hedging(&[0, 1], 1);
    let b = rig.servers[1];
    rig.jammed = Some((b, SendFailure::Full));
    let first = rig.submit(Idempotent::Yes, 1000);
    rig.advance(15);
    rig.reply(rig.servers[0], first);
    rig.jammed = None;
    rig.advance(15);
    rig.sent.clear();
    rig.submit(Idempotent::Yes, 1000);
    rig.advance(15);
    assert_eq!(rig.receivers(), [rig.servers[0], b]);
}
