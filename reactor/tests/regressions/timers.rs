//! Timers that fire when they should not, or keep others from it.

use std::time::Duration;

use reactor::{Backend, Error, Interest, Missed, Next, Scope, TimerKey, VirtualClock};

use crate::common::{builder, on_both, pair, reactor, turn_idly, turn_until};

on_both!(
    r04_a_timer_cancelled_before_the_start_never_fires,
    r04_a_timer_cancelled_in_the_same_pass_never_fires,
    r04_a_timer_cancelled_in_its_own_handler_never_fires_again,
    r06_an_interval_skips_missed_periods_and_keeps_its_phase,
    r06_an_interval_catches_up_or_delays_on_request,
    r08_a_handler_that_adds_timers_starves_nobody,
    r14_a_timer_that_is_always_due_fires_once_a_turn,
);

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
