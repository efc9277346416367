//! What the loop tells of itself, and of what it removed.

use std::time::Duration;

use reactor::{Backend, ErrorPolicy, Missed, Next, Removal, Scope, VirtualClock};

use crate::common::{builder, on_both, reactor};

on_both!(
    turns_and_events_are_counted,
    the_longest_hold_and_the_greatest_lateness_have_names,
    sleep_is_idle_and_handlers_are_busy,
    what_is_removed_for_an_error_is_reported,
    the_report_may_put_the_source_back,
);

const MS: fn(u64) -> Duration = Duration::from_millis;

fn turns_and_events_are_counted(backend: Backend) {
    for metrics in [true, false] {
        let clock = VirtualClock::new();
        let mut reactor = builder(backend)
            .virtual_time(&clock)
            .metrics(metrics)
            .build::<()>()
            .unwrap();
        reactor
            .scope()
            .add_interval("tick", MS(1), Missed::Skip, |(), _, _| Ok(()))
            .unwrap();
        for _ in 0..10 {
            reactor.turn(&mut (), None).unwrap();
        }
        let seen = reactor.scope().metrics();
        assert_eq!((seen.turns, seen.events), (10, 10));
        reactor.scope().reset_metrics();
        assert_eq!(reactor.scope().metrics().turns, 0);
    }
}

/// In virtual time a handler takes as long as it says.
fn the_longest_hold_and_the_greatest_lateness_have_names(backend: Backend) {
    let clock = VirtualClock::new();
    let mut reactor = builder(backend).virtual_time(&clock).build::<()>().unwrap();
    let scope = reactor.scope();
    let start = scope.now();
    for (name, at, takes) in [("quick", 0, 1), ("slow", 5, 7), ("delayed", 5, 2)] {
        let clock = clock.clone();
        scope
            .add_timer(name, start + MS(at), move |(), _, _| {
                clock.advance(MS(takes));
                Ok(Next::Done)
            })
            .unwrap();
    }
    for _ in 0..2 {
        reactor.turn(&mut (), None).unwrap();
    }
    let seen = reactor.scope().metrics();
    let hold = seen.longest_hold.clone().unwrap();
    assert_eq!((hold.name.as_str(), hold.time), ("slow", MS(7)));
    let late = seen.greatest_lateness.clone().unwrap();
    assert_eq!((late.name.as_str(), late.time), ("delayed", MS(7)));
    assert_eq!((seen.busy, seen.idle), (MS(10), MS(4)));
    assert_eq!(
        seen.to_string(),
        "turns=2 events=3 busy=10ms idle=4ms longest_hold=7ms by=\"slow\" \
         greatest_lateness=7ms of=\"delayed\""
    );
}

fn sleep_is_idle_and_handlers_are_busy(backend: Backend) {
    let mut reactor = reactor::<()>(backend);
    let at = reactor.scope().now() + MS(30);
    reactor
        .scope()
        .add_timer("busy", at, |(), scope, _| {
            let end = scope.fresh_now() + MS(20);
            while scope.fresh_now() < end {}
            scope.stop();
            Ok(Next::Done)
        })
        .unwrap();
    reactor.run(&mut ()).unwrap();
    let seen = reactor.scope().metrics();
    assert!(seen.busy >= MS(20), "{seen}");
    assert!(seen.idle >= MS(10), "{seen}");
}

type Reported = Vec<(String, String)>;

fn note(reported: &mut Reported, _: &mut Scope<Reported>, removal: Removal) {
    reported.push((removal.name, removal.error.to_string()));
}

fn what_is_removed_for_an_error_is_reported(backend: Backend) {
    let mut reactor = reactor::<Reported>(backend);
    let scope = reactor.scope();
    scope.on_removal(note);
    let now = scope.now();
    for (name, policy) in [
        ("removed", ErrorPolicy::Remove),
        ("tolerated", ErrorPolicy::Tolerate),
    ] {
        let timer = scope.add_timer(name, now, |_, _, _| Err("it broke".into()));
        let source = scope.owner(timer.unwrap()).unwrap();
        scope.set_policy(source, policy);
    }
    let mut reported = Reported::new();
    reactor.turn(&mut reported, None).unwrap();
    assert_eq!(reported, [("removed".to_owned(), "it broke".to_owned())]);
}

fn the_report_may_put_the_source_back(backend: Backend) {
    fn add(scope: &mut Scope<u32>) {
        let now = scope.now();
        let timer = scope.add_timer("fails", now, |_, _, _| Err("again".into()));
        let source = scope.owner(timer.unwrap()).unwrap();
        scope.set_policy(source, ErrorPolicy::Remove);
    }
    let mut reactor = reactor::<u32>(backend);
    reactor.scope().on_removal(|count, scope, _| {
        *count += 1;
        add(scope);
    });
    add(reactor.scope());
    let mut count = 0;
    for turn in 1..=3 {
        reactor.turn(&mut count, None).unwrap();
        assert_eq!(count, turn);
    }
}
