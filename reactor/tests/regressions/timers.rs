//! Timers that fire when they should not, or keep others from it.

use std::time::{Duration, Instant};

use reactor::{Backend, Error, Interest, Missed, Next, Scope, TimerKey, VirtualClock};

use crate::common::{builder, on_both, pair, reactor, turn_idly, turn_until};

on_both!(
    r04_a_timer_cancelled_before_the_start_never_fires,
    r04_a_timer_cancelled_in_the_same_pass_never_fires,
    r04_a_timer_cancelled_in_its_own_handler_never_fires_again,
    r05_a_ticket_reset_in_its_own_handler_goes_on,
    r06_an_interval_skips_missed_periods_and_keeps_its_phase,
    r06_an_interval_catches_up_or_delays_on_request,
    r08_a_handler_that_adds_timers_starves_nobody,
    r09_timers_do_not_cost_more_where_many_wait,
    r09_tickets_of_many_delays_do_not_cost_more_where_many_wait,
    r13_a_timer_gets_its_deadline_and_says_what_happens_next,
    r14_a_timer_that_is_always_due_fires_once_a_turn,
);

const MS: fn(u64) -> Duration = Duration::from_millis;

fn r04_a_timer_cancelled_before_the_start_never_fires(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    let scope = reactor.scope();
    let now = scope.now();
    let timer = scope
        .add_timer("cancelled", now, |_, _, _| panic!("cancelled"))
        .unwrap();
    assert!(scope.cancel_timer(timer));
    assert!(!scope.cancel_timer(timer));
    assert!(!scope.set_timer(timer, now));
    turn_idly(&mut reactor, &mut 0);
}

fn r04_a_timer_cancelled_in_the_same_pass_never_fires(backend: Backend) {
    let mut reactor = reactor::<Vec<TimerKey>>(backend);
    let scope = reactor.scope();
    let now = scope.now();
    let mut later = Vec::new();
    scope
        .add_timer("first", now, |later: &mut Vec<TimerKey>, scope, _| {
            assert!(later.drain(..).all(|timer| scope.cancel_timer(timer)));
            Ok(Next::Done)
        })
        .unwrap();
    for _ in 0..10 {
        later.push(
            scope
                .add_timer("later", now, |_, _, _| panic!("cancelled"))
                .unwrap(),
        );
    }
    turn_idly(&mut reactor, &mut later);
    assert!(later.is_empty());
}

fn r04_a_timer_cancelled_in_its_own_handler_never_fires_again(backend: Backend) {
    let clock = VirtualClock::new();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<(Vec<TimerKey>, u32)>()
        .unwrap();
    let scope = reactor.scope();
    let now = scope.now();
    let once = scope
        .add_timer(
            "once",
            now,
            |(timers, calls): &mut (Vec<TimerKey>, u32), scope, _| {
                *calls += 1;
                assert!(scope.cancel_timer(timers[0]));
                Ok(Next::After(Duration::ZERO))
            },
        )
        .unwrap();
    let interval = scope
        .add_interval(
            "interval",
            Duration::from_millis(1),
            Missed::Skip,
            |(timers, calls): &mut (Vec<TimerKey>, u32), scope, _| {
                *calls += 1;
                assert!(scope.cancel_timer(timers[1]));
                Ok(())
            },
        )
        .unwrap();
    let mut state = (vec![once, interval], 0);
    for _ in 0..100 {
        reactor
            .turn(&mut state, Some(Duration::from_millis(1)))
            .unwrap();
    }
    assert_eq!(state.1, 2);
}

/// Runs an interval of 20 ms whose first call takes 205 ms, and tells the deadlines in milliseconds.
/// And its key stays good.
fn r05_a_ticket_reset_in_its_own_handler_goes_on(backend: Backend) {
    let clock = VirtualClock::new();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<u32>()
        .unwrap();
    let start = clock.now();
    let class = reactor
        .scope()
        .add_tickets("ticket", MS(10), |expired: &mut u32, scope, key, _| {
            *expired += 1;
            assert!(scope.reset_ticket(key));
            Ok(())
        })
        .unwrap();
    let ticket = reactor.scope().issue_ticket(class, 0).unwrap();
    let mut expired = 0;
    for round in 1..=3 {
        reactor.turn(&mut expired, None).unwrap();
        assert_eq!((expired, clock.now()), (round, start + round * MS(10)));
    }
    assert!(reactor.scope().cancel_ticket(ticket));
    turn_idly(&mut reactor, &mut expired);
    assert_eq!(expired, 3);
}

fn stalled_interval(backend: Backend, missed: Missed, calls: usize) -> Vec<u128> {
    let clock = VirtualClock::new();
    let start = clock.now();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<Vec<u128>>()
        .unwrap();
    reactor
        .scope()
        .add_interval(
            "interval",
            Duration::from_millis(20),
            missed,
            move |seen, scope, deadline| {
                assert!(scope.now() >= deadline);
                if seen.is_empty() {
                    clock.advance(Duration::from_millis(205));
                }
                seen.push((deadline - start).as_millis());
                Ok(())
            },
        )
        .unwrap();
    let mut seen = Vec::new();
    reactor
        .run_until(&mut seen, |seen| seen.len() == calls)
        .unwrap();
    seen
}

fn r06_an_interval_skips_missed_periods_and_keeps_its_phase(backend: Backend) {
    // The call due at 20 ended at 225.
    assert_eq!(
        stalled_interval(backend, Missed::Skip, 4),
        [20, 240, 260, 280]
    );
}

fn r06_an_interval_catches_up_or_delays_on_request(backend: Backend) {
    let caught_up: Vec<u128> = (1..=14).map(|period| period * 20).collect();
    assert_eq!(stalled_interval(backend, Missed::CatchUp, 14), caught_up);
    assert_eq!(
        stalled_interval(backend, Missed::Delay, 4),
        [20, 245, 265, 285]
    );
}

fn r08_a_handler_that_adds_timers_starves_nobody(backend: Backend) {
    #[derive(Default)]
    struct Seen {
        adder: u32,
        other: u32,
        socket: u32,
    }
    fn add(scope: &mut Scope<Seen>) -> Result<(), Error> {
        let now = scope.now();
        scope.add_timer("adder", now, |seen: &mut Seen, scope, _| {
            seen.adder += 1;
            add(scope)?;
            Ok(Next::Done)
        })?;
        Ok(())
    }
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<Seen>(backend);
    let scope = reactor.scope();
    let now = scope.now();
    add(scope).unwrap();
    scope
        .add_timer("other", now, |seen: &mut Seen, _, _| {
            seen.other += 1;
            assert_eq!(seen.adder, 1, "both are equally due");
            Ok(Next::Done)
        })
        .unwrap();
    let mut frames = Vec::new();
    scope
        .add_socket(
            "socket",
            ours,
            Interest::READ,
            move |seen: &mut Seen, scope, key, _| {
                seen.socket += u32::from(scope.recv(key, &mut frames)?);
                Ok(())
            },
        )
        .unwrap();
    theirs.send("", 0).unwrap();
    let mut seen = Seen::default();
    turn_until(&mut reactor, &mut seen, |seen| seen.socket == 1);
    assert_eq!(seen.other, 1);
    assert!(
        seen.adder <= 10,
        "the socket waited for {} timers",
        seen.adder
    );
}

/// How much longer the same work takes where many more wait. A list that is scanned would make it thousands of times
/// as long; what the machine does meanwhile makes no such difference to the shortest of several trials.
fn growth(mut work: impl FnMut(usize) -> Duration) -> f64 {
    let mut shortest = |waiting| (0..5).map(|_| work(waiting)).min().unwrap();
    let (few, many) = (shortest(10), shortest(100_000));
    many.as_secs_f64() / few.as_secs_f64()
}

fn r09_timers_do_not_cost_more_where_many_wait(backend: Backend) {
    let grown = growth(|waiting| {
        let mut reactor = reactor::<()>(backend);
        let scope = reactor.scope();
        let far = scope.now() + Duration::from_secs(3600);
        for n in 0..waiting {
            let at = far + Duration::from_micros((n * 7919 % waiting) as u64);
            scope
                .add_timer("waits", at, |(), _, _| Ok(Next::Done))
                .unwrap();
        }
        let begin = Instant::now();
        for _ in 0..1000 {
            let scope = reactor.scope();
            let timer = scope
                .add_timer("moves", far, |(), _, _| Ok(Next::Done))
                .unwrap();
            assert!(scope.set_timer(timer, far - Duration::from_secs(1)));
            assert!(scope.cancel_timer(timer));
            reactor.turn(&mut (), Some(Duration::ZERO)).unwrap();
        }
        begin.elapsed()
    });
    assert!(grown < 50.0, "{grown:.1} times as long");
}

fn r09_tickets_of_many_delays_do_not_cost_more_where_many_wait(backend: Backend) {
    let grown = growth(|waiting| {
        let mut reactor = reactor::<()>(backend);
        let scope = reactor.scope();
        let classes: Vec<_> = (1..=10)
            .map(|n| {
                let delay = Duration::from_secs(3600 * n);
                scope
                    .add_tickets("waits", delay, |(), _, _, _| Ok(()))
                    .unwrap()
            })
            .collect();
        let tickets: Vec<_> = (0..waiting)
            .map(|n| scope.issue_ticket(classes[n % 10], n as u64).unwrap())
            .collect();
        let begin = Instant::now();
        for n in 0..1000 {
            let scope = reactor.scope();
            assert!(scope.reset_ticket(tickets[n * 7919 % waiting]));
            let ticket = scope.issue_ticket(classes[n % 10], 0).unwrap();
            assert!(scope.cancel_ticket(ticket));
            reactor.turn(&mut (), Some(Duration::ZERO)).unwrap();
        }
        begin.elapsed()
    });
    assert!(grown < 50.0, "{grown:.1} times as long");
}

fn r13_a_timer_gets_its_deadline_and_says_what_happens_next(backend: Backend) {
    let clock = VirtualClock::new();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<Vec<u128>>()
        .unwrap();
    let start = reactor.scope().now();
    let busy = clock.clone();
    reactor
        .scope()
        .add_timer(
            "timer",
            start + MS(10),
            move |seen: &mut Vec<u128>, _, deadline| {
                seen.push((deadline - start).as_millis());
                busy.advance(MS(1));
                Ok(match seen.len() {
                    1 => Next::At(deadline + MS(5)),
                    2 => Next::After(MS(5)),
                    _ => Next::Done,
                })
            },
        )
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        reactor.turn(&mut seen, Some(MS(20))).unwrap();
    }
    // At a time of its own choice; then after the millisecond that the callback took.
    assert_eq!(seen, [10, 15, 21]);
}

fn r14_a_timer_that_is_always_due_fires_once_a_turn(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    let now = reactor.scope().now();
    reactor
        .scope()
        .add_timer("always due", now, |fired, _, deadline| {
            *fired += 1;
            Ok(Next::At(deadline))
        })
        .unwrap();
    let mut fired = 0;
    for turn in 1..=10 {
        reactor.turn(&mut fired, None).unwrap();
        assert_eq!(fired, turn);
    }
}
