//! Defects of other event loops that this one is not to have.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{BOUND, builder, on_both, pair, reactor, turn_idly, turn_until};
use reactor::{
    Backend, Error, ErrorPolicy, Event, Interest, Missed, Next, Scope, SocketKey, Source,
    SourceKey, TimerKey, VirtualClock, zmq,
};

on_both!(
    r01_a_send_does_not_swallow_a_waiting_message,
    r01_one_read_of_many_leaves_the_rest_readable,
    r02_any_call_from_any_handler_is_followed_by_another_look,
    r02_a_socket_registered_with_a_message_waiting_is_served,
    r04_a_timer_cancelled_before_the_start_never_fires,
    r04_a_timer_cancelled_in_the_same_pass_never_fires,
    r04_a_timer_cancelled_in_its_own_handler_never_fires_again,
    r06_an_interval_skips_missed_periods_and_keeps_its_phase,
    r06_an_interval_catches_up_or_delays_on_request,
    r07_a_busy_socket_does_not_starve_others_by_changing_the_set,
    r08_a_handler_that_adds_timers_starves_nobody,
    r10_an_error_leaves_nothing_of_the_batch_behind,
    r10_policies_remove_or_tolerate,
    r11_a_reused_slot_gets_nothing_of_its_predecessor,
    r11_any_handler_may_register_and_remove,
    r11_stop_wakes_the_loop,
    r14_a_timer_that_is_always_due_fires_once_a_turn,
);

/// A message waits on the socket; a call on the same socket makes `ZMQ_FD` silent; the reactor must see it still.
fn r01_a_send_does_not_swallow_a_waiting_message(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<u32>(backend);
    let mut frames = Vec::new();
    let key = reactor
        .scope()
        .add_socket(
            "ours",
            ours,
            Interest::READ,
            move |received, scope, key, _| {
                assert!(scope.recv(key, &mut frames)?);
                *received += 1;
                Ok(())
            },
        )
        .unwrap();
    let mut received = 0;
    turn_idly(&mut reactor, &mut received);
    for round in 1..=20 {
        theirs.send("question", 0).unwrap();
        // libzmq looks after itself in a send only if it has not done so for about a millisecond: only then the
        // signal is swallowed.
        std::thread::sleep(Duration::from_millis(3));
        reactor.scope().send(key, ["unrelated"]).unwrap();
        turn_until(&mut reactor, &mut received, |received| *received == round);
    }
}

fn r01_one_read_of_many_leaves_the_rest_readable(backend: Backend) {
    for budget in [1, 2, 32, 1000] {
        let context = zmq::Context::new();
        let (ours, theirs) = pair(&context);
        let mut reactor = builder(backend).budget(budget).build::<u32>().unwrap();
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "ours",
                ours,
                Interest::READ,
                move |received, scope, key, _| {
                    assert!(scope.recv(key, &mut frames)?, "called for nothing");
                    *received += 1;
                    Ok(())
                },
            )
            .unwrap();
        for _ in 0..100 {
            theirs.send("message", 0).unwrap();
        }
        turn_until(&mut reactor, &mut 0, |received| *received == 100);
    }
}

fn r02_any_call_from_any_handler_is_followed_by_another_look(backend: Backend) {
    type Call = fn(&mut Scope<u32>, SocketKey);
    let calls: [Call; 4] = [
        |scope, key| {
            scope
                .with_socket(key, |socket| socket.get_events())
                .unwrap()
                .unwrap();
        },
        |scope, key| assert!(scope.readable(key).unwrap()),
        |scope, key| assert!(scope.recv(key, &mut Vec::new()).unwrap()),
        |scope, key| {
            scope.set_interest(key, Interest::NONE).unwrap();
            assert!(scope.readable(key).unwrap());
            scope.set_interest(key, Interest::READ).unwrap();
        },
    ];
    for call in calls {
        let context = zmq::Context::new();
        let (ours, theirs) = pair(&context);
        let mut reactor = reactor::<u32>(backend);
        let mut frames = Vec::new();
        let key = reactor
            .scope()
            .add_socket(
                "ours",
                ours,
                Interest::READ,
                move |served, scope, key, _| {
                    assert!(scope.recv(key, &mut frames)?);
                    *served += 1;
                    Ok(())
                },
            )
            .unwrap();
        turn_idly(&mut reactor, &mut 0);
        let now = reactor.scope().now();
        reactor
            .scope()
            .add_timer("meddler", now, move |_, scope, _| {
                theirs.send("first", 0)?;
                theirs.send("second", 0)?;
                call(scope, key);
                Ok(Next::Done)
            })
            .unwrap();
        let mut served = 0;
        turn_until(&mut reactor, &mut served, |served| *served > 0);
    }
}

fn r02_a_socket_registered_with_a_message_waiting_is_served(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    theirs.send("early", 0).unwrap();
    // The signal is spent before the reactor knows the socket.
    assert!(ours.get_events().unwrap().contains(zmq::POLLIN));
    let mut reactor = reactor::<u32>(backend);
    let mut frames = Vec::new();
    reactor
        .scope()
        .add_socket(
            "ours",
            ours,
            Interest::READ,
            move |served, scope, key, _| {
                *served += u32::from(scope.recv(key, &mut frames)?);
                Ok(())
            },
        )
        .unwrap();
    turn_until(&mut reactor, &mut 0, |served| *served == 1);
}

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

fn r07_a_busy_socket_does_not_starve_others_by_changing_the_set(backend: Backend) {
    const BUSY: usize = 20_000;
    #[derive(Default)]
    struct Seen {
        busy: usize,
        /// How many calls the busy one had had at each call of another.
        quiet: Vec<usize>,
    }
    let context = zmq::Context::new();
    let mut reactor = reactor::<Seen>(backend);
    let (busy, feed) = pair(&context);
    for _ in 0..BUSY {
        feed.send("", 0).unwrap();
    }
    let (spare, _spare_peer) = pair(&context);
    let mut spare = Some(spare);
    let mut frames = Vec::new();
    reactor
        .scope()
        .add_socket(
            "busy",
            busy,
            Interest::READ,
            move |seen: &mut Seen, scope, key, _| {
                if scope.recv(key, &mut frames)? {
                    seen.busy += 1;
                }
                let socket = spare.take().ok_or("the spare socket was lost")?;
                let transient = scope
                    .add_socket("transient", socket, Interest::READ, |_, _, _, _| Ok(()))
                    .map_err(Error::from)?;
                spare = scope.remove_socket(transient);
                Ok(())
            },
        )
        .unwrap();
    let mut feeds = Vec::new();
    for _ in 0..3 {
        let (quiet, feed) = pair(&context);
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "quiet",
                quiet,
                Interest::READ,
                move |seen: &mut Seen, scope, key, _| {
                    if scope.recv(key, &mut frames)? {
                        seen.quiet.push(seen.busy);
                    }
                    Ok(())
                },
            )
            .unwrap();
        for _ in 0..10 {
            feed.send("", 0).unwrap();
        }
        feeds.push(feed);
    }
    let mut seen = Seen::default();
    turn_until(&mut reactor, &mut seen, |seen| seen.quiet.len() == 30);
    let latest = seen.quiet.iter().max().copied().unwrap();
    assert!(
        latest <= 2 * 32,
        "the others waited for {latest} calls of the busy one"
    );
    turn_until(&mut reactor, &mut seen, |seen| seen.busy == BUSY);
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

fn r10_an_error_leaves_nothing_of_the_batch_behind(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<Vec<String>>(backend);
    let mut feeds = Vec::new();
    for name in ["a", "b", "c"] {
        let (ours, theirs) = pair(&context);
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                name,
                ours,
                Interest::READ,
                move |seen: &mut Vec<String>, scope, key, _| {
                    scope.recv(key, &mut frames)?;
                    seen.push(format!("socket {name}"));
                    Err(format!("socket {name} failed").into())
                },
            )
            .unwrap();
        theirs.send("", 0).unwrap();
        feeds.push(theirs);
    }
    let now = reactor.scope().now();
    for name in ["d", "e"] {
        reactor
            .scope()
            .add_timer(name, now, move |seen: &mut Vec<String>, _, _| {
                seen.push(format!("timer {name}"));
                Err(format!("timer {name} failed").into())
            })
            .unwrap();
    }
    let mut seen = Vec::new();
    let Err(Error::Handler { name, error }) = reactor.run(&mut seen) else {
        panic!("nobody failed")
    };
    assert_eq!(
        (name.as_str(), error.to_string().as_str()),
        ("d", "timer d failed")
    );
    seen.sort();
    assert_eq!(
        seen,
        ["socket a", "socket b", "socket c", "timer d", "timer e"]
    );
    // The sources are still there, and the reactor runs again.
    for feed in &feeds {
        feed.send("", 0).unwrap();
    }
    let Err(Error::Handler { .. }) = reactor.run(&mut seen) else {
        panic!("nobody failed")
    };
    assert_eq!(seen.len(), 8);
}

fn r10_policies_remove_or_tolerate(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<Vec<&'static str>>(backend);
    let mut feeds = Vec::new();
    for (name, policy) in [
        ("remove", ErrorPolicy::Remove),
        ("tolerate", ErrorPolicy::Tolerate),
    ] {
        let (ours, theirs) = pair(&context);
        let mut frames = Vec::new();
        let scope = reactor.scope();
        let key = scope
            .add_socket(
                name,
                ours,
                Interest::READ,
                move |seen: &mut Vec<_>, scope, key, _| {
                    scope.recv(key, &mut frames)?;
                    seen.push(name);
                    Err("on purpose".into())
                },
            )
            .unwrap();
        let source = scope.owner(key).unwrap();
        scope.set_policy(source, policy);
        for _ in 0..3 {
            theirs.send("", 0).unwrap();
        }
        feeds.push(theirs);
    }
    let mut seen = Vec::new();
    turn_until(&mut reactor, &mut seen, |seen| seen.len() == 4);
    turn_idly(&mut reactor, &mut seen);
    seen.sort();
    assert_eq!(seen, ["remove", "tolerate", "tolerate", "tolerate"]);
}

/// In one pass a handler removes another that is ready too, and registers a third in its slot.
fn r11_a_reused_slot_gets_nothing_of_its_predecessor(backend: Backend) {
    struct State {
        context: zmq::Context,
        keys: Vec<SocketKey>,
        timers: Vec<TimerKey>,
        feeds: Vec<zmq::Socket>,
        replaced: u32,
    }
    let context = zmq::Context::new();
    let mut reactor = reactor::<State>(backend);
    let mut state = State {
        context: context.clone(),
        keys: vec![],
        timers: vec![],
        feeds: vec![],
        replaced: 0,
    };
    // Whichever of the two comes first replaces the other, which is ready, by one that is not.
    for own in 0..2 {
        let (ours, theirs) = pair(&context);
        theirs.send("", 0).unwrap();
        state.feeds.push(theirs);
        let mut frames = Vec::new();
        let key = reactor
            .scope()
            .add_socket(
                "replacer",
                ours,
                Interest::READ,
                move |state: &mut State, scope, key, _| {
                    scope.recv(key, &mut frames)?;
                    let other = state.keys[1 - own];
                    let owner = scope.owner(other).ok_or(Error::Stale)?;
                    assert!(scope.remove_socket(other).is_some());
                    let (fresh, feed) = pair(&state.context);
                    state.feeds.push(feed);
                    let fresh = scope
                        .add_socket("fresh", fresh, Interest::READ, |_, _, _, _| {
                            panic!("not for me")
                        })
                        .map_err(Error::from)?;
                    assert_ne!(fresh, other);
                    assert!(matches!(scope.send(other, [""]), Err(Error::Stale)));
                    assert!(matches!(
                        scope.set_interest(other, Interest::NONE),
                        Err(Error::Stale)
                    ));
                    assert!(
                        !scope.remove_source(owner),
                        "a plain source ends with its socket"
                    );
                    scope.waker().notify(owner);
                    state.replaced += 1;
                    Ok(())
                },
            )
            .unwrap();
        state.keys.push(key);
        let now = reactor.scope().now();
        let timer = reactor
            .scope()
            .add_timer(
                "replacer",
                now,
                move |state: &mut State, scope, deadline| {
                    let other = state.timers[1 - own];
                    assert!(scope.cancel_timer(other));
                    let soon = deadline + BOUND;
                    scope.add_timer("fresh", soon, |_, _, _| panic!("not yet"))?;
                    assert!(!scope.set_timer(other, deadline));
                    state.replaced += 1;
                    Ok(Next::Done)
                },
            )
            .unwrap();
        state.timers.push(timer);
    }
    turn_until(&mut reactor, &mut state, |state| state.replaced == 2);
    turn_idly(&mut reactor, &mut state);
    assert_eq!(state.replaced, 2);
}

/// From each kind of handler: add one of each kind, and remove all of it with oneself.
fn r11_any_handler_may_register_and_remove(backend: Backend) {
    type Log = Rc<RefCell<Vec<&'static str>>>;
    struct Busybody {
        log: Log,
        context: zmq::Context,
        trigger: &'static str,
        feed: Option<zmq::Socket>,
    }
    impl Source<()> for Busybody {
        fn start(&mut self, scope: &mut Scope<()>, me: SourceKey) -> Result<(), Error> {
            let now = scope.now();
            match self.trigger {
                "timer" => drop(scope.own_timer(me, 0, now)?),
                "notified" => scope.waker().notify(me),
                _ => {
                    let (ours, theirs) = pair(&self.context);
                    theirs.send("", 0)?;
                    self.feed = Some(theirs);
                    scope.own_socket(me, 0, ours, Interest::READ)?;
                }
            }
            Ok(())
        }

        fn on_event(
            &mut self,
            _: &mut (),
            scope: &mut Scope<()>,
            event: Event,
        ) -> Result<(), reactor::BoxError> {
            let kind = match event {
                Event::Socket { .. } => "socket",
                Event::Timer { .. } => "timer",
                Event::Notified => "notified",
                _ => "other",
            };
            self.log.borrow_mut().push(kind);
            let now = scope.now();
            let key = scope.add_source("child", Child)?;
            scope.own_timer(key, 7, now)?;
            let (ours, _theirs) = pair(&self.context);
            let socket = scope
                .own_socket(key, 8, ours, Interest::READ)
                .map_err(Error::from)?;
            let own_timer = scope.add_timer("extra", now, |_, _, _| panic!("cancelled"))?;
            assert!(scope.cancel_timer(own_timer));
            assert!(scope.remove_source(key));
            assert!(matches!(scope.readable(socket), Err(Error::Stale)));
            // Every event names something whose owner is this source, or was notified by name.
            let me = match event {
                Event::Socket { key, .. } => scope.owner(key),
                Event::Timer { key, .. } => scope.owner(key),
                _ => None,
            };
            if let Some(me) = me {
                assert!(scope.remove_source(me));
                assert!(!scope.remove_source(me));
            }
            Ok(())
        }
    }
    impl Drop for Busybody {
        fn drop(&mut self) {
            self.log.borrow_mut().push("dropped");
        }
    }
    struct Child;
    impl Source<()> for Child {
        fn start(&mut self, _: &mut Scope<()>, _: SourceKey) -> Result<(), Error> {
            Ok(())
        }

        fn on_event(
            &mut self,
            _: &mut (),
            _: &mut Scope<()>,
            _: Event,
        ) -> Result<(), reactor::BoxError> {
            panic!("removed before its turn")
        }
    }

    let context = zmq::Context::new();
    let log = Log::default();
    let mut reactor = reactor::<()>(backend);
    for trigger in ["timer", "notified", "socket"] {
        let (log, context) = (log.clone(), context.clone());
        reactor
            .scope()
            .add_source(
                trigger,
                Busybody {
                    log,
                    context,
                    trigger,
                    feed: None,
                },
            )
            .unwrap();
    }
    turn_until(&mut reactor, &mut (), |()| log.borrow().len() == 5);
    turn_idly(&mut reactor, &mut ());
    assert_eq!(
        *log.borrow(),
        ["notified", "timer", "dropped", "socket", "dropped"]
    );
}

fn r11_stop_wakes_the_loop(backend: Backend) {
    let mut reactor = reactor::<()>(backend);
    for _ in 0..50 {
        let handle = reactor.handle();
        let stopper = std::thread::spawn(move || handle.stop());
        // Nothing else could end it: there is no timer, no socket.
        reactor.run(&mut ()).unwrap();
        stopper.join().unwrap();
    }
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
