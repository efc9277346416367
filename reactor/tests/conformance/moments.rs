//! Work at certain moments of the loop.

use std::time::Duration;

use reactor::{Backend, Handle, HookKey, Interest, Next, Scope, VirtualClock, zmq};

use crate::common::{builder, on_both, pair, reactor, turn_idly, turn_until};

on_both!(
    deferred_work_runs_at_the_end_of_the_turn,
    deferred_work_that_defers_goes_on_in_the_next_turn_without_sleep,
    a_hook_is_called_before_sleep_and_only_then,
    what_a_hook_makes_ready_is_served_without_sleep,
    a_hook_may_remove_itself_and_others,
    no_hook_is_called_where_a_deadline_or_a_post_is_there_already,
);

fn deferred_work_runs_at_the_end_of_the_turn(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<Vec<&str>>(backend);
    let now = reactor.scope().now();
    let mut frames = Vec::new();
    let scope = reactor.scope();
    scope
        .add_timer("timer", now, |seen: &mut Vec<&str>, scope, _| {
            seen.push("timer");
            scope.defer(|seen, _| seen.push("deferred by the timer"));
            Ok(Next::Done)
        })
        .unwrap();
    scope
        .add_socket(
            "socket",
            ours,
            Interest::READ,
            move |seen, scope, key, _| {
                if scope.recv(key, &mut frames)? {
                    seen.push("socket");
                    scope.defer(|seen, _| seen.push("deferred by the socket"));
                }
                Ok(())
            },
        )
        .unwrap();
    theirs.send("", 0).unwrap();
    let mut seen = Vec::new();
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!(
        seen,
        [
            "timer",
            "socket",
            "deferred by the timer",
            "deferred by the socket"
        ]
    );
    reactor.scope().defer(|seen, _| seen.push("between turns"));
    // Nothing else would end its sleep.
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!(seen.last(), Some(&"between turns"));
}

fn deferred_work_that_defers_goes_on_in_the_next_turn_without_sleep(backend: Backend) {
    fn again(count: &mut u32, scope: &mut Scope<u32>) {
        *count += 1;
        scope.defer(again);
    }
    let mut reactor = reactor::<u32>(backend);
    reactor.scope().defer(again);
    let mut count = 0;
    for turn in 1..=5 {
        reactor.turn(&mut count, None).unwrap();
        assert_eq!(count, turn);
    }
}

fn a_hook_is_called_before_sleep_and_only_then(backend: Backend) {
    #[derive(Default)]
    struct Seen {
        hooks: u32,
        messages: u32,
    }
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let clock = VirtualClock::new();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .budget(1)
        .build::<Seen>()
        .unwrap();
    let mut frames = Vec::new();
    let scope = reactor.scope();
    scope
        .add_before_sleep("hook", |seen: &mut Seen, _| {
            seen.hooks += 1;
            Ok(())
        })
        .unwrap();
    scope
        .add_socket(
            "socket",
            ours,
            Interest::READ,
            move |seen, scope, key, _| {
                seen.messages += u32::from(scope.recv(key, &mut frames)?);
                Ok(())
            },
        )
        .unwrap();
    for _ in 0..5 {
        theirs.send("", 0).unwrap();
    }
    let mut seen = Seen::default();
    turn_until(&mut reactor, &mut seen, |seen| seen.messages == 5);
    assert_eq!(seen.hooks, 0, "there was always something to do");
    reactor
        .turn(&mut seen, Some(Duration::from_secs(1)))
        .unwrap();
    assert_eq!(seen.hooks, 1);
}

/// A message that the hook sends to a socket of the same reactor.
fn what_a_hook_makes_ready_is_served_without_sleep(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<Vec<&str>>(backend);
    let mut frames = Vec::new();
    let scope = reactor.scope();
    scope
        .add_socket(
            "socket",
            ours,
            Interest::READ,
            move |seen: &mut Vec<&str>, scope, key, _| {
                if scope.recv(key, &mut frames)? {
                    seen.push("message");
                }
                Ok(())
            },
        )
        .unwrap();
    let sender = scope
        .add_socket("sender", theirs, Interest::NONE, |_, _, _, _| Ok(()))
        .unwrap();
    scope
        .add_before_sleep("hook", move |seen, scope| {
            if seen.is_empty() {
                seen.push("hook");
                scope.send(sender, [""])?;
                scope.defer(|seen, _| seen.push("deferred"));
            }
            Ok(())
        })
        .unwrap();
    let mut seen = Vec::new();
    reactor.turn(&mut seen, None).unwrap();
    assert_eq!(seen, ["hook", "message", "deferred"]);
}

fn a_hook_may_remove_itself_and_others(backend: Backend) {
    #[derive(Default)]
    struct State {
        hooks: Vec<HookKey>,
        calls: u32,
    }
    let mut reactor = reactor::<State>(backend);
    let mut state = State::default();
    for _ in 0..3 {
        let hook = reactor.scope().add_before_sleep("hook", |state, scope| {
            state.calls += 1;
            assert!(state.hooks.drain(..).all(|hook| scope.remove_hook(hook)));
            Ok(())
        });
        state.hooks.push(hook.unwrap());
    }
    let stale = state.hooks[0];
    turn_idly(&mut reactor, &mut state);
    assert_eq!(state.calls, 1);
    assert!(!reactor.scope().remove_hook(stale));
    assert_eq!(reactor.scope().owner(stale), None);
}

/// A timer that is due in every turn, or work that posts itself: the reactor does not sleep.
fn no_hook_is_called_where_a_deadline_or_a_post_is_there_already(backend: Backend) {
    fn again(handle: Handle<u32>) {
        let next = handle.clone();
        handle.post(move |_, _| again(next)).unwrap();
    }
    let mut reactor = reactor::<u32>(backend);
    let scope = reactor.scope();
    scope
        .add_before_sleep("hook", |hooks: &mut u32, _| {
            *hooks += 1;
            Ok(())
        })
        .unwrap();
    let now = scope.now();
    let timer = scope
        .add_timer("always due", now, |_, scope, _| Ok(Next::At(scope.now())))
        .unwrap();
    let mut hooks = 0;
    turn_idly(&mut reactor, &mut hooks);
    assert_eq!(hooks, 0, "there was always a deadline");
    reactor.scope().cancel_timer(timer);
    again(reactor.handle());
    turn_idly(&mut reactor, &mut hooks);
    assert_eq!(hooks, 0, "there was always a post");
}
