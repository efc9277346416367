//! Signals that get lost, and sockets that starve.

use std::rc::Rc;
use std::time::Duration;

use reactor::{Backend, Error, Interest, Next, Scope, SocketBuilder, SocketKey, VirtualClock, zmq};

use crate::common::{builder, on_both, pair, reactor, turn_idly, turn_until};

on_both!(
    r01_a_send_does_not_swallow_a_waiting_message,
    r01_one_read_of_many_leaves_the_rest_readable,
    r02_any_call_from_any_handler_is_followed_by_another_look,
    r02_a_socket_registered_with_a_message_waiting_is_served,
    r03_an_interest_that_could_only_spin_is_refused,
    r03_a_router_tells_full_from_gone,
    r07_a_busy_socket_does_not_starve_others_by_changing_the_set,
    r12_a_handler_that_reads_until_empty_starves_nobody,
    r12_a_timer_waits_for_one_share_of_many,
    r12_a_timer_that_is_always_due_starves_no_socket,
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
                *received += u32::from(scope.recv(key, &mut frames)?);
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
                    *received += u32::from(scope.recv(key, &mut frames)?);
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
                    *served += u32::from(scope.recv(key, &mut frames)?);
                    Ok(())
                },
            )
            .unwrap();
        turn_idly(&mut reactor, &mut 0);
        // Kept to the end, since closing it would be a signal of its own.
        let theirs = Rc::new(theirs);
        let feed = Rc::clone(&theirs);
        let now = reactor.scope().now();
        reactor
            .scope()
            .add_timer("meddler", now, move |_, scope, _| {
                feed.send("first", 0)?;
                feed.send("second", 0)?;
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

fn r03_an_interest_that_could_only_spin_is_refused(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<u32>(backend);
    for kind in [zmq::ROUTER, zmq::PUB, zmq::XPUB] {
        for interest in [Interest::WRITE, Interest::READ | Interest::WRITE] {
            let socket = context.socket(kind).unwrap();
            let refused = reactor
                .scope()
                .add_socket("socket", socket, interest, |_, _, _, _| Ok(()))
                .unwrap_err();
            assert!(matches!(refused.error, Error::Invalid(_)));
            assert_eq!(refused.returned.get_socket_type(), Ok(kind));
        }
        let socket = context.socket(kind).unwrap();
        let key = reactor
            .scope()
            .add_socket("socket", socket, Interest::READ, |_, _, _, _| Ok(()))
            .unwrap();
        assert!(reactor.scope().set_interest(key, Interest::WRITE).is_err());
    }
    // Nothing is ready, and nobody is called.
    turn_idly(&mut reactor, &mut 0);
    assert_eq!(reactor.scope().metrics().events, 0);
}

/// With `ROUTER_MANDATORY` a peer that has no room and one that is not there are told apart, and neither blocks.
fn r03_a_router_tells_full_from_gone(backend: Backend) {
    let context = zmq::Context::new();
    let router = SocketBuilder::new(zmq::ROUTER)
        .mandatory()
        .send_hwm(1)
        .bind("inproc://r03")
        .build(&context)
        .unwrap();
    let peer = SocketBuilder::new(zmq::DEALER)
        .identity("peer")
        .recv_hwm(1)
        .connect("inproc://r03")
        .build(&context)
        .unwrap();
    let mut reactor = reactor::<u32>(backend);
    let mut frames = Vec::new();
    let key = reactor
        .scope()
        .add_socket(
            "router",
            router,
            Interest::READ,
            move |seen, scope, key, _| {
                *seen += u32::from(scope.recv(key, &mut frames)?);
                Ok(())
            },
        )
        .unwrap();
    peer.send("hello", 0).unwrap();
    turn_until(&mut reactor, &mut 0, |seen| *seen == 1);
    let scope = reactor.scope();
    assert!(matches!(
        scope.send(key, ["nobody", "x"]),
        Err(Error::Unreachable)
    ));
    let full = (0..10).find_map(|_| scope.send(key, ["peer", "x"]).err());
    assert!(matches!(full, Some(Error::WouldBlock)), "{full:?}");
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

/// The peer is the handler itself: for each message that it takes it sends another, so that there is no end.
fn r12_a_handler_that_reads_until_empty_starves_nobody(backend: Backend) {
    #[derive(Default)]
    struct Seen {
        endless: usize,
        at_tick: Option<usize>,
        at_quiet: Option<usize>,
    }
    let context = zmq::Context::new();
    let (endless, feed) = pair(&context);
    let (quiet, quiet_feed) = pair(&context);
    let mut reactor = reactor::<Seen>(backend);
    feed.send("", 0).unwrap();
    quiet_feed.send("", 0).unwrap();
    let mut frames = Vec::new();
    let scope = reactor.scope();
    scope
        .add_socket(
            "endless",
            endless,
            Interest::READ,
            move |seen: &mut Seen, scope, key, _| {
                while scope.recv(key, &mut frames)? {
                    seen.endless += 1;
                    feed.send("", 0)?;
                    assert!(seen.endless < 1_000_000, "nobody else got a turn");
                }
                Ok(())
            },
        )
        .unwrap();
    let mut frames = Vec::new();
    scope
        .add_socket(
            "quiet",
            quiet,
            Interest::READ,
            move |seen, scope, key, _| {
                if scope.recv(key, &mut frames)? {
                    seen.at_quiet = Some(seen.endless);
                }
                Ok(())
            },
        )
        .unwrap();
    let soon = scope.now() + Duration::from_millis(1);
    scope
        .add_timer("tick", soon, |seen, _, _| {
            seen.at_tick = Some(seen.endless);
            Ok(Next::Done)
        })
        .unwrap();
    let mut seen = Seen::default();
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.at_tick.is_some() && seen.at_quiet.is_some()
    });
    assert!(seen.at_quiet.unwrap() <= 32, "its share is 32 messages");
}

/// Each share takes a millisecond of virtual time, and the timer is due after the third.
fn r12_a_timer_waits_for_one_share_of_many(backend: Backend) {
    let clock = VirtualClock::new();
    let context = zmq::Context::new();
    let mut reactor = builder(backend)
        .virtual_time(&clock)
        .build::<Vec<usize>>()
        .unwrap();
    let mut feeds = Vec::new();
    for name in 0..10 {
        let (ours, feed) = pair(&context);
        let clock = clock.clone();
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "socket",
                ours,
                Interest::READ,
                move |seen: &mut Vec<usize>, scope, key, _| {
                    if scope.recv(key, &mut frames)? {
                        clock.advance(Duration::from_millis(1));
                        seen.push(name);
                    }
                    Ok(())
                },
            )
            .unwrap();
        feed.send("", 0).unwrap();
        feeds.push(feed);
    }
    const TIMER: usize = 100;
    let soon = reactor.scope().now() + Duration::from_millis(3);
    reactor
        .scope()
        .add_timer("timer", soon, |seen, _, _| {
            seen.push(TIMER);
            Ok(Next::Done)
        })
        .unwrap();
    let mut seen = Vec::new();
    turn_until(&mut reactor, &mut seen, |seen| seen.len() == 11);
    assert_eq!(seen[3], TIMER, "{seen:?}");
    seen.sort_unstable();
    assert!(seen.into_iter().eq((0..10).chain([TIMER])), "each once");
}

fn r12_a_timer_that_is_always_due_starves_no_socket(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = builder(backend).budget(1).build::<[usize; 3]>().unwrap();
    let now = reactor.scope().now();
    reactor
        .scope()
        .add_timer("always due", now, |_, _, deadline| Ok(Next::At(deadline)))
        .unwrap();
    let mut feeds = Vec::new();
    for name in 0..3 {
        let (ours, feed) = pair(&context);
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "socket",
                ours,
                Interest::READ,
                move |seen: &mut [usize; 3], scope, key, _| {
                    seen[name] += usize::from(scope.recv(key, &mut frames)?);
                    Ok(())
                },
            )
            .unwrap();
        for _ in 0..100 {
            feed.send("", 0).unwrap();
        }
        feeds.push(feed);
    }
    let mut seen = [0; 3];
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.iter().sum::<usize>() == 30
    });
    assert!(
        seen.iter().all(|served| (9..=11).contains(served)),
        "{seen:?}"
    );
}
