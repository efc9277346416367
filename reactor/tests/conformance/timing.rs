//! Timers, and the two clocks.

use std::time::{Duration, Instant};

use reactor::{Backend, Error, Missed, Next, Reactor, TimerKey, VirtualClock};

use crate::common::{BOUND, builder, on_both, reactor, turn_idly, turn_until};

on_both!(
    timers_fire_by_deadline_and_ties_by_registration,
    a_timer_never_fires_early,
    a_timer_says_what_happens_next,
    a_timer_can_be_moved_from_any_handler,
    an_interval_moved_by_its_handler_begins_a_new_phase,
    an_interval_without_sense_is_refused,
    many_timers_each_fire_once,
    a_turn_sleeps_no_longer_than_told,
    a_virtual_day_takes_no_time,
    a_virtual_turn_stops_at_its_limit,
    a_virtual_clock_waits_for_what_is_ready,
);

fn timers_fire_by_deadline_and_ties_by_registration(backend: Backend) {
    let clock = VirtualClock::new();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<Vec<u64>>()
        .unwrap();
    let start = clock.now();
    for number in 0..30 {
        let at = start + Duration::from_millis(number % 3);
        reactor
            .scope()
            .add_timer("timer", at, move |seen: &mut Vec<u64>, scope, deadline| {
                assert_eq!(deadline, at);
                assert!(scope.now() >= at);
                seen.push(number);
                Ok(Next::Done)
            })
            .unwrap();
    }
    let mut seen = Vec::new();
    reactor
        .run_until(&mut seen, |seen| seen.len() == 30)
        .unwrap();
    let mut expected: Vec<u64> = (0..30).collect();
    expected.sort_by_key(|number| (number % 3, *number));
    assert_eq!(seen, expected);
}

fn a_timer_never_fires_early(backend: Backend) {
    let mut reactor = reactor::<u32>(backend);
    for tenths_ms in 0..50 {
        let at = Instant::now() + Duration::from_micros(tenths_ms * 100);
        reactor
            .scope()
            .add_timer("timer", at, move |fired, scope, deadline| {
                assert_eq!(deadline, at);
                assert!(scope.now() >= deadline && Instant::now() >= deadline);
                *fired += 1;
                Ok(Next::Done)
            })
            .unwrap();
    }
    turn_until(&mut reactor, &mut 0, |fired| *fired == 50);
}

fn a_timer_says_what_happens_next(backend: Backend) {
    let clock = VirtualClock::new();
    let start = clock.now();
    let ms = Duration::from_millis;
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<Vec<Duration>>()
        .unwrap();
    reactor
        .scope()
        .add_timer(
            "timer",
            start + ms(5),
            move |seen: &mut Vec<Duration>, _, deadline| {
                seen.push(deadline - start);
                // The work takes its time, and a delay counts from its end.
                clock.advance(ms(2));
                Ok(match seen.len() {
                    1 => Next::At(start + ms(10)),
                    2 => Next::After(ms(10)),
                    3 => Next::After(Duration::MAX),
                    _ => Next::Done,
                })
            },
        )
        .unwrap();
    let mut seen = Vec::new();
    reactor
        .run_until(&mut seen, |seen| seen.len() == 3)
        .unwrap();
    assert_eq!(seen, [ms(5), ms(10), ms(22)]);
    assert!(
        format!("{:?}", reactor.scope()).contains("timers: 1"),
        "it waits for a century"
    );
}

fn a_timer_can_be_moved_from_any_handler(backend: Backend) {
    type State = (Vec<TimerKey>, Vec<&'static str>);
    let clock = VirtualClock::new();
    let start = clock.now();
    let ms = Duration::from_millis;
    let mut reactor: Reactor<State> = builder(backend).virtual_time(&clock).build().unwrap();
    let scope = reactor.scope();
    scope
        .add_timer(
            "mover",
            start,
            move |(timers, seen): &mut State, scope, _| {
                seen.push("mover");
                assert_eq!(
                    scope.timer_deadline(timers[0]),
                    None,
                    "it is due in this pass"
                );
                assert!(scope.set_timer(timers[0], start + ms(7)));
                assert_eq!(scope.timer_deadline(timers[0]), Some(start + ms(7)));
                Ok(Next::Done)
            },
        )
        .unwrap();
    let moved = scope
        .add_timer(
            "moved",
            start,
            move |(timers, seen): &mut State, scope, deadline| {
                seen.push("moved");
                if deadline == start + ms(7) {
                    // Moved by itself it stays, though it says that it is done.
                    assert!(scope.set_timer(timers[0], start + ms(9)));
                }
                Ok(Next::Done)
            },
        )
        .unwrap();
    let mut state = (vec![moved], Vec::new());
    reactor
        .run_until(&mut state, |(_, seen)| seen.len() == 3)
        .unwrap();
    assert_eq!(clock.now(), start + ms(9));
    assert_eq!(state.1, ["mover", "moved", "moved"]);
    assert!(!reactor.scope().set_timer(moved, start), "now it is done");
}

fn an_interval_moved_by_its_handler_begins_a_new_phase(backend: Backend) {
    type State = (Option<TimerKey>, Vec<u128>);
    let clock = VirtualClock::new();
    let start = clock.now();
    let ms = Duration::from_millis;
    let mut reactor: Reactor<State> = builder(backend).virtual_time(&clock).build().unwrap();
    let key = reactor
        .scope()
        .add_interval(
            "interval",
            ms(10),
            Missed::Skip,
            move |(key, seen): &mut State, scope, at| {
                seen.push((at - start).as_millis());
                if seen.len() == 2 {
                    assert!(scope.set_timer(key.ok_or("no key")?, at + ms(3)));
                }
                Ok(())
            },
        )
        .unwrap();
    let mut state = (Some(key), Vec::new());
    reactor
        .run_until(&mut state, |(_, seen)| seen.len() == 4)
        .unwrap();
    assert_eq!(state.1, [10, 20, 23, 33]);
}

fn an_interval_without_sense_is_refused(backend: Backend) {
    let mut reactor = reactor::<()>(backend);
    for period in [Duration::ZERO, Duration::MAX] {
        let refused = reactor
            .scope()
            .add_interval("interval", period, Missed::Skip, |_, _, _| Ok(()));
        assert!(matches!(refused, Err(Error::Invalid(_))));
    }
    assert!(format!("{:?}", reactor.scope()).contains("sources: 0"));
}

fn many_timers_each_fire_once(backend: Backend) {
    const TIMERS: u64 = 10_000;
    let clock = VirtualClock::new();
    let start = clock.now();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<u64>()
        .unwrap();
    for number in 0..TIMERS {
        // A permutation, so that they come in no order.
        let at = start + Duration::from_micros(number * 7919 % TIMERS);
        reactor
            .scope()
            .add_timer("timer", at, move |fired, _, deadline| {
                assert_eq!(deadline - start, Duration::from_micros(*fired));
                *fired += 1;
                Ok(Next::Done)
            })
            .unwrap();
    }
    reactor.run_until(&mut 0, |fired| *fired == TIMERS).unwrap();
    assert!(format!("{:?}", reactor.scope()).contains("timers: 0"));
}

fn a_turn_sleeps_no_longer_than_told(backend: Backend) {
    let mut reactor = reactor::<()>(backend);
    let at = Instant::now() + BOUND * 100;
    reactor
        .scope()
        .add_timer("far", at, |_, _, _| Ok(Next::Done))
        .unwrap();
    let begin = Instant::now();
    for limit in [
        Duration::ZERO,
        Duration::from_micros(10),
        Duration::from_millis(10),
    ] {
        reactor.turn(&mut (), Some(limit)).unwrap();
    }
    assert!(begin.elapsed() < BOUND);
}

fn a_virtual_day_takes_no_time(backend: Backend) {
    let clock = VirtualClock::new();
    let start = clock.now();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<u32>()
        .unwrap();
    reactor
        .scope()
        .add_interval(
            "minute",
            Duration::from_secs(60),
            Missed::Skip,
            |minutes, scope, deadline| {
                assert_eq!(scope.now(), deadline, "no time passes by itself");
                assert_eq!(scope.fresh_now(), deadline);
                *minutes += 1;
                Ok(())
            },
        )
        .unwrap();
    let begin = Instant::now();
    reactor
        .run_until(&mut 0, |minutes| *minutes == 24 * 60)
        .unwrap();
    assert_eq!(clock.now() - start, Duration::from_secs(24 * 3600));
    assert!(begin.elapsed() < BOUND);
}

fn a_virtual_turn_stops_at_its_limit(backend: Backend) {
    let clock = VirtualClock::new();
    let start = clock.now();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<u32>()
        .unwrap();
    let second = Duration::from_secs(1);
    reactor
        .scope()
        .add_timer("timer", start + second * 3, |fired, _, _| {
            *fired += 1;
            Ok(Next::Done)
        })
        .unwrap();
    let mut fired = 0;
    turn_idly(&mut reactor, &mut fired);
    assert_eq!((fired, clock.now()), (0, start));
    reactor.turn(&mut fired, Some(second)).unwrap();
    assert_eq!((fired, clock.now()), (0, start + second));
    reactor.turn(&mut fired, Some(second * 10)).unwrap();
    assert_eq!((fired, clock.now()), (1, start + second * 3));
    reactor.turn(&mut fired, Some(second * 10)).unwrap();
    assert_eq!((fired, clock.now()), (1, start + second * 13));
    // Whoever holds the clock can make a timer due.
    reactor
        .scope()
        .add_timer("timer", clock.now() + second, |fired, _, _| {
            *fired += 1;
            Ok(Next::Done)
        })
        .unwrap();
    clock.advance(second);
    reactor.turn(&mut fired, Some(Duration::ZERO)).unwrap();
    assert_eq!(fired, 2);
}

/// Where there is no deadline, virtual time has nowhere to go, and the reactor waits for the world.
fn a_virtual_clock_waits_for_what_is_ready(backend: Backend) {
    let clock = VirtualClock::new();
    let start = clock.now();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<bool>()
        .unwrap();
    let handle = reactor.handle();
    let poster = std::thread::spawn(move || handle.post(|posted, _| *posted = true));
    reactor.run_until(&mut false, |posted| *posted).unwrap();
    poster.join().unwrap().unwrap();
    assert_eq!(clock.now(), start);
}
