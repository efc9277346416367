//! Errors, keys, and changes from inside a handler.

use std::cell::RefCell;
use std::rc::Rc;

use reactor::{
    Backend, Error, ErrorPolicy, Event, Interest, Next, Scope, SocketKey, Source, SourceKey,
    TimerKey, zmq,
};

use crate::common::{BOUND, on_both, pair, reactor, turn_idly, turn_until};

on_both!(
    r10_an_error_leaves_nothing_of_the_batch_behind,
    r10_policies_remove_or_tolerate,
    r11_a_reused_slot_gets_nothing_of_its_predecessor,
    r11_any_handler_may_register_and_remove,
    r11_stop_wakes_the_loop,
);

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
                    if !scope.recv(key, &mut frames)? {
                        return Ok(());
                    }
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
