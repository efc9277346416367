//! Tickets: many deadlines that are mostly put off.

use std::time::Duration;

use reactor::{Backend, Next, Reactor, Scope, TicketClassKey, TicketKey, VirtualClock};

use crate::common::{builder, on_both, turn_idly};

on_both!(
    tickets_expire_by_deadline_across_classes_and_timers,
    a_reset_counts_from_the_time_of_the_turn,
    a_ticket_can_be_cancelled_and_reset_from_any_handler,
    a_class_is_removed_with_its_tickets,
    a_virtual_clock_stops_only_where_something_expires,
    ten_thousand_clients_expire_once_each,
    a_ticket_that_expired_is_gone_with_its_class,
);

const MS: fn(u64) -> Duration = Duration::from_millis;

fn virtual_reactor<S: 'static>(backend: Backend) -> (VirtualClock, Reactor<S>) {
    let clock = VirtualClock::new();
    let reactor = builder(backend).virtual_time(&clock).build().unwrap();
    (clock, reactor)
}

/// A class whose tickets write down what they are about.
fn noting(scope: &mut Scope<Vec<u64>>, delay: Duration) -> TicketClassKey {
    scope
        .add_tickets("noting", delay, |seen: &mut Vec<u64>, _, _, about| {
            seen.push(about);
            Ok(())
        })
        .unwrap()
}

fn tickets_expire_by_deadline_across_classes_and_timers(backend: Backend) {
    let (clock, mut reactor) = virtual_reactor::<Vec<u64>>(backend);
    let scope = reactor.scope();
    let now = scope.now();
    let (slow, fast) = (noting(scope, MS(30)), noting(scope, MS(10)));
    for about in [1, 2] {
        scope.issue_ticket(slow, about).unwrap();
        scope.issue_ticket(fast, 10 + about).unwrap();
    }
    for (at, name) in [(10, 100), (20, 101), (30, 102)] {
        scope
            .add_timer("timer", now + MS(at), move |seen: &mut Vec<u64>, _, _| {
                seen.push(name);
                Ok(Next::Done)
            })
            .unwrap();
    }
    clock.advance(MS(30));
    let mut seen = Vec::new();
    reactor.turn(&mut seen, None).unwrap();
    // At equal deadlines the timer comes first.
    assert_eq!(seen, [100, 11, 12, 101, 102, 1, 2]);
}

fn a_reset_counts_from_the_time_of_the_turn(backend: Backend) {
    let (clock, mut reactor) = virtual_reactor::<Vec<u64>>(backend);
    let scope = reactor.scope();
    let start = scope.now();
    let class = noting(scope, MS(10));
    let ticket = scope.issue_ticket(class, 1).unwrap();
    assert_eq!(scope.ticket_deadline(ticket), Some(start + MS(10)));
    clock.advance(MS(7));
    assert!(reactor.scope().reset_ticket(ticket));
    assert_eq!(
        reactor.scope().ticket_deadline(ticket),
        Some(start + MS(17))
    );
    let mut seen = Vec::new();
    reactor.turn(&mut seen, Some(MS(9))).unwrap();
    assert_eq!(seen, []);
    reactor.turn(&mut seen, Some(MS(9))).unwrap();
    assert_eq!((seen, clock.now()), (vec![1], start + MS(17)));
    assert!(!reactor.scope().reset_ticket(ticket), "it is gone");
}

/// All expire in one turn; the first to run decides over the others.
fn a_ticket_can_be_cancelled_and_reset_from_any_handler(backend: Backend) {
    #[derive(Default)]
    struct State {
        tickets: Vec<TicketKey>,
        seen: Vec<u64>,
    }
    let (clock, mut reactor) = virtual_reactor::<State>(backend);
    let scope = reactor.scope();
    let class = scope
        .add_tickets("tickets", MS(10), |state: &mut State, scope, key, about| {
            state.seen.push(about);
            if state.seen.len() == 1 {
                assert!(scope.cancel_ticket(state.tickets[1]));
                assert!(scope.reset_ticket(state.tickets[2]));
                assert_eq!(scope.ticket_deadline(state.tickets[3]), None, "it is due");
                assert!(scope.cancel_ticket(key), "its own");
                assert!(!scope.reset_ticket(key));
            }
            Ok(())
        })
        .unwrap();
    let mut state = State::default();
    for about in 0..4 {
        state
            .tickets
            .push(reactor.scope().issue_ticket(class, about).unwrap());
    }
    clock.advance(MS(10));
    reactor.turn(&mut state, None).unwrap();
    assert_eq!(state.seen, [0, 3]);
    reactor.turn(&mut state, None).unwrap();
    assert_eq!(state.seen, [0, 3, 2]);
    assert!(format!("{:?}", reactor.scope()).contains("tickets: 0"));
}

fn a_class_is_removed_with_its_tickets(backend: Backend) {
    let (clock, mut reactor) = virtual_reactor::<Vec<u64>>(backend);
    let scope = reactor.scope();
    let (kept, removed) = (noting(scope, MS(10)), noting(scope, MS(10)));
    let ticket = scope.issue_ticket(removed, 1).unwrap();
    scope.issue_ticket(kept, 2).unwrap();
    let owner = scope.owner(removed).unwrap();
    assert!(scope.remove_tickets(removed));
    assert!(!scope.remove_tickets(removed));
    assert!(
        !scope.remove_source(owner),
        "a class with a handler of its own takes it along"
    );
    assert!(!scope.cancel_ticket(ticket));
    assert!(scope.issue_ticket(removed, 3).is_err());
    clock.advance(MS(20));
    let mut seen = Vec::new();
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen, [2]);
}

fn a_virtual_clock_stops_only_where_something_expires(backend: Backend) {
    let (clock, mut reactor) = virtual_reactor::<Vec<u64>>(backend);
    let start = clock.now();
    let scope = reactor.scope();
    let class = noting(scope, MS(10));
    let first = scope.issue_ticket(class, 1).unwrap();
    let second = scope.issue_ticket(class, 2).unwrap();
    clock.advance(MS(5));
    let scope = reactor.scope();
    assert!(scope.reset_ticket(first));
    assert!(scope.cancel_ticket(second));
    let mut seen = Vec::new();
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!((seen, clock.now()), (vec![1], start + MS(15)));
}

fn ten_thousand_clients_expire_once_each(backend: Backend) {
    const CLIENTS: u64 = 10_000;
    let (clock, mut reactor) = virtual_reactor::<Vec<u64>>(backend);
    let scope = reactor.scope();
    let classes: Vec<_> = (1..=100).map(|n| noting(scope, MS(n))).collect();
    for client in 0..CLIENTS {
        scope
            .issue_ticket(classes[(client % 100) as usize], client)
            .unwrap();
    }
    clock.advance(MS(100));
    let mut seen = Vec::new();
    reactor.turn(&mut seen, None).unwrap();
    assert!(
        seen.is_sorted_by_key(|client| client % 100),
        "by their delays"
    );
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..CLIENTS));
}

/// The class is removed while the handler of one of its tickets runs, and another waits for its call.
fn a_ticket_that_expired_is_gone_with_its_class(backend: Backend) {
    #[derive(Default)]
    struct State {
        tickets: Vec<TicketKey>,
        class: Option<TicketClassKey>,
        calls: u32,
    }
    let (clock, mut reactor) = virtual_reactor::<State>(backend);
    let scope = reactor.scope();
    let class = scope
        .add_tickets("class", MS(1), |state: &mut State, scope, _, _| {
            state.calls += 1;
            assert!(state.class.is_some_and(|class| scope.remove_tickets(class)));
            for ticket in state.tickets.drain(..) {
                assert!(!scope.reset_ticket(ticket));
                assert!(!scope.cancel_ticket(ticket));
            }
            Ok(())
        })
        .unwrap();
    let mut state = State {
        tickets: (0..2)
            .map(|n| scope.issue_ticket(class, n).unwrap())
            .collect(),
        class: Some(class),
        calls: 0,
    };
    clock.advance(MS(1));
    turn_idly(&mut reactor, &mut state);
    assert_eq!(state.calls, 1);
}
