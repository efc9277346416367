//! ZeroMQ sockets.

use std::time::{Duration, Instant};

use reactor::{Backend, Error, Interest, Ready, Scope, set_xpub_verboser, zmq};

use crate::common::{BOUND, builder, on_both, pair, reactor, terminate, turn_idly, turn_until};

on_both!(
    an_echo_server_answers_over_tcp,
    every_one_of_many_sockets_is_served,
    each_turn_begins_with_another_socket,
    a_socket_is_called_within_its_budget_and_seldom_in_vain,
    a_paused_socket_is_silent_and_loses_nothing,
    writing_is_announced_while_it_is_of_interest,
    a_message_is_sent_whole_or_not_at_all,
    a_removed_socket_comes_back_with_what_waits_on_it,
    a_linger_without_limit_gets_one,
    a_socket_of_an_ended_context_is_refused_and_handed_back,
    the_end_of_a_context_is_reported_once,
    who_asks_whether_there_is_more_keeps_its_share,
    who_reads_no_more_is_called_once_in_vain,
    who_leaves_is_not_called_again_and_misses_nothing,
);

fn an_echo_server_answers_over_tcp(backend: Backend) {
    const ROUNDS: u32 = 500;
    let context = zmq::Context::new();
    let server = context.socket(zmq::ROUTER).unwrap();
    server.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = server.get_last_endpoint().unwrap().unwrap();
    let mut reactor = reactor::<u32>(backend);
    let mut frames = Vec::new();
    reactor
        .scope()
        .add_socket(
            "server",
            server,
            Interest::READ,
            move |count, scope, key, _| {
                while scope.recv(key, &mut frames)? {
                    assert_eq!(frames.len(), 4, "identity, delimiter, two frames of body");
                    scope.send(key, frames.drain(..))?;
                    *count += 1;
                }
                Ok(())
            },
        )
        .unwrap();
    let client = std::thread::spawn(move || {
        let socket = context.socket(zmq::REQ).unwrap();
        socket.set_linger(0).unwrap();
        socket
            .set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
            .unwrap();
        socket.connect(&endpoint).unwrap();
        for round in 0..ROUNDS {
            let body = [round.to_string().into_bytes(), b"tail".to_vec()];
            socket.send_multipart(&body, 0).unwrap();
            assert_eq!(socket.recv_multipart(0).unwrap(), body);
        }
    });
    turn_until(&mut reactor, &mut 0, |count| *count == ROUNDS);
    client.join().unwrap();
}

fn every_one_of_many_sockets_is_served(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<Vec<usize>>(backend);
    let mut feeds = Vec::new();
    for number in 0..100 {
        let (ours, theirs) = pair(&context);
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "one of many",
                ours,
                Interest::READ,
                move |seen: &mut Vec<_>, scope, key, _| {
                    while scope.recv(key, &mut frames)? {
                        seen.push(number);
                    }
                    Ok(())
                },
            )
            .unwrap();
        feeds.push(theirs);
    }
    let mut seen = Vec::new();
    for round in 1..=3 {
        for feed in &feeds {
            feed.send("", 0).unwrap();
        }
        turn_until(&mut reactor, &mut seen, |seen| {
            seen.len() == round * feeds.len()
        });
    }
    seen.sort_unstable();
    assert!(
        seen.chunks(3)
            .enumerate()
            .all(|(number, chunk)| chunk == [number; 3])
    );
}

fn each_turn_begins_with_another_socket(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = builder(backend).budget(1).build::<Vec<usize>>().unwrap();
    let mut feeds = Vec::new();
    for name in 0..3 {
        let (ours, feed) = pair(&context);
        let mut frames = Vec::new();
        let served = move |seen: &mut Vec<usize>, scope: &mut Scope<_>, key, _| {
            if scope.recv(key, &mut frames)? {
                seen.push(name);
            }
            Ok(())
        };
        let scope = reactor.scope();
        scope
            .add_socket("one", ours, Interest::READ, served)
            .unwrap();
        (0..10).for_each(|_| feed.send("", 0).unwrap());
        feeds.push(feed);
    }
    let mut first = Vec::new();
    for _ in 0..6 {
        let mut seen = Vec::new();
        reactor.turn(&mut seen, Some(BOUND)).unwrap();
        assert_eq!(seen.len(), 3, "each has its share");
        first.push(seen[0]);
    }
    first.sort_unstable();
    assert_eq!(first, [0, 0, 1, 1, 2, 2]);
}

fn a_socket_is_called_within_its_budget_and_seldom_in_vain(backend: Backend) {
    #[derive(Default)]
    struct Calls {
        received: usize,
        in_vain: usize,
    }
    for budget in [1, 5, 32] {
        let context = zmq::Context::new();
        let (ours, theirs) = pair(&context);
        let mut reactor = builder(backend).budget(budget).build::<Calls>().unwrap();
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "ours",
                ours,
                Interest::READ,
                move |calls: &mut Calls, scope, key, ready| {
                    assert!(ready.readable && !ready.writable && !ready.error);
                    if scope.recv(key, &mut frames)? {
                        calls.received += 1;
                    } else {
                        calls.in_vain += 1;
                    }
                    Ok(())
                },
            )
            .unwrap();
        for _ in 0..40 {
            theirs.send("", 0).unwrap();
        }
        let mut calls = Calls::default();
        while calls.received < 40 {
            let before = calls.received;
            reactor.turn(&mut calls, Some(BOUND)).unwrap();
            assert_eq!(calls.received - before, budget.min(40 - before));
        }
        turn_idly(&mut reactor, &mut calls);
        assert!(calls.in_vain <= 1, "only at the end of all that waits");
    }
    // One that does not read is called once a turn, and not as often as the budget allows.
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<u32>(backend);
    reactor
        .scope()
        .add_socket("idler", ours, Interest::READ, |calls, _, _, _| {
            *calls += 1;
            Ok(())
        })
        .unwrap();
    theirs.send("", 0).unwrap();
    let mut calls = 0;
    for turn in 1..=5 {
        reactor.turn(&mut calls, Some(BOUND)).unwrap();
        assert_eq!(calls, turn);
    }
}

fn a_paused_socket_is_silent_and_loses_nothing(backend: Backend) {
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
                // Pausing takes effect at once, in the middle of a budget.
                scope.set_interest(key, Interest::NONE)?;
                Ok(())
            },
        )
        .unwrap();
    let mut received = 0;
    for _ in 0..5 {
        theirs.send("", 0).unwrap();
    }
    for expected in 1..=5 {
        turn_until(&mut reactor, &mut received, |received| {
            *received == expected
        });
        turn_idly(&mut reactor, &mut received);
        assert_eq!(received, expected);
        reactor.scope().set_interest(key, Interest::READ).unwrap();
    }
}

fn writing_is_announced_while_it_is_of_interest(backend: Backend) {
    let context = zmq::Context::new();
    let ours = context.socket(zmq::PUSH).unwrap();
    ours.set_sndhwm(1).unwrap();
    ours.bind(&format!("inproc://writing-{backend:?}")).unwrap();
    let mut reactor = reactor::<u32>(backend);
    let key = reactor
        .scope()
        .add_socket(
            "ours",
            ours,
            Interest::READ | Interest::WRITE,
            |sent, scope, key, ready| {
                assert!(ready.writable && !ready.readable);
                match scope.send(key, ["message"]) {
                    Ok(()) => *sent += 1,
                    Err(Error::WouldBlock) => panic!("announced, and does not take anything"),
                    Err(error) => return Err(error.into()),
                }
                Ok(())
            },
        )
        .unwrap();
    let mut sent = 0;
    turn_idly(&mut reactor, &mut sent);
    assert_eq!(sent, 0, "nobody is there to write to");
    assert!(matches!(
        reactor.scope().send(key, ["message"]),
        Err(Error::WouldBlock)
    ));
    let theirs = context.socket(zmq::PULL).unwrap();
    theirs.set_rcvhwm(1).unwrap();
    theirs
        .connect(&format!("inproc://writing-{backend:?}"))
        .unwrap();
    for _ in 0..5 {
        let before = sent;
        turn_until(&mut reactor, &mut sent, |sent| *sent > before);
        turn_idly(&mut reactor, &mut sent);
        while theirs.recv_bytes(zmq::DONTWAIT).is_ok() {}
    }
    reactor.scope().set_interest(key, Interest::READ).unwrap();
    let before = sent;
    turn_idly(&mut reactor, &mut sent);
    assert_eq!(sent, before);
}

fn a_message_is_sent_whole_or_not_at_all(backend: Backend) {
    let context = zmq::Context::new();
    let router = context.socket(zmq::ROUTER).unwrap();
    router.set_router_mandatory(true).unwrap();
    let endpoint = format!("inproc://whole-{backend:?}");
    router.bind(&endpoint).unwrap();
    let mut reactor = reactor::<()>(backend);
    let scope = reactor.scope();
    let key = scope
        .add_socket("router", router, Interest::NONE, |_, _, _, _| Ok(()))
        .unwrap();
    assert!(matches!(
        scope.send(key, ["nobody", "a", "b"]),
        Err(Error::Unreachable)
    ));
    let none: [&str; 0] = [];
    assert!(matches!(scope.send(key, none), Err(Error::Invalid(_))));
    let dealer = context.socket(zmq::DEALER).unwrap();
    dealer.set_identity(b"somebody").unwrap();
    dealer
        .set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
        .unwrap();
    dealer.connect(&endpoint).unwrap();
    dealer.send("hello", 0).unwrap();
    let mut frames = Vec::new();
    assert!(scope.recv(key, &mut frames).unwrap());
    assert_eq!(frames.len(), 2);
    assert!(!scope.recv(key, &mut frames).unwrap());
    assert!(frames.is_empty());
    scope.send(key, ["somebody", "a", "", "c"]).unwrap();
    let expected: [&[u8]; 3] = [b"a", b"", b"c"];
    assert_eq!(dealer.recv_multipart(0).unwrap(), expected);
}

fn a_removed_socket_comes_back_with_what_waits_on_it(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<()>(backend);
    let key = reactor
        .scope()
        .add_socket("ours", ours, Interest::READ, |_, _, _, _| panic!("removed"))
        .unwrap();
    theirs.send("kept", 0).unwrap();
    let ours = reactor.scope().remove_socket(key).unwrap();
    assert!(reactor.scope().remove_socket(key).is_none());
    turn_idly(&mut reactor, &mut ());
    assert_eq!(ours.recv_string(zmq::DONTWAIT).unwrap().unwrap(), "kept");
    // It can be registered again.
    reactor
        .scope()
        .add_socket("again", ours, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
}

fn a_linger_without_limit_gets_one(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = builder(backend)
        .linger(Duration::from_millis(70))
        .build::<()>()
        .unwrap();
    for (set, expected) in [(-1, 70), (0, 0), (5000, 5000)] {
        let socket = context.socket(zmq::DEALER).unwrap();
        socket.set_linger(set).unwrap();
        let scope = reactor.scope();
        let key = scope
            .add_socket("lingers", socket, Interest::NONE, |_, _, _, _| Ok(()))
            .unwrap();
        let linger = scope
            .with_socket(key, |socket| socket.get_linger())
            .unwrap()
            .unwrap();
        assert_eq!(linger, expected);
    }
}

fn a_socket_of_an_ended_context_is_refused_and_handed_back(backend: Backend) {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::DEALER).unwrap();
    let ender = terminate(context);
    // The end has begun when the socket says so; it is complete when the socket is closed.
    let end = Instant::now() + BOUND;
    while socket.get_events().is_ok() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    let mut reactor = reactor::<()>(backend);
    let rejected = reactor
        .scope()
        .add_socket("late", socket, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap_err();
    assert!(matches!(rejected.error, Error::Zmq(zmq::Error::ETERM)));
    drop(rejected.returned);
    ender.join().unwrap().unwrap();
    assert_eq!(
        format!("{:?}", reactor.scope()),
        "Scope { sources: 0, sockets: 0, fds: 0, timers: 0, tickets: 0, .. }"
    );
}

fn the_end_of_a_context_is_reported_once(backend: Backend) {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::DEALER).unwrap();
    let mut reactor = reactor::<Vec<Ready>>(backend);
    let key = reactor
        .scope()
        .add_socket(
            "ended",
            socket,
            Interest::READ,
            |seen: &mut Vec<Ready>, scope, key, ready| {
                seen.push(ready);
                assert!(matches!(
                    scope.recv(key, &mut Vec::new()),
                    Err(Error::Zmq(zmq::Error::ETERM))
                ));
                Ok(())
            },
        )
        .unwrap();
    let ender = terminate(context);
    let mut seen = Vec::new();
    turn_until(&mut reactor, &mut seen, |seen| !seen.is_empty());
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen.len(), 1);
    assert!(seen[0].error && !seen[0].readable);
    drop(reactor.scope().remove_socket(key));
    ender.join().unwrap().unwrap();
}

#[test]
fn a_verboser_xpub_reports_what_changes_nothing() {
    let context = zmq::Context::new();
    let mut publisher = context.socket(zmq::XPUB).unwrap();
    set_xpub_verboser(&mut publisher, true).unwrap();
    publisher.bind("inproc://verboser").unwrap();
    publisher
        .set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
        .unwrap();
    let subscriber = context.socket(zmq::XSUB).unwrap();
    subscriber.connect("inproc://verboser").unwrap();
    let second = context.socket(zmq::XSUB).unwrap();
    second.connect("inproc://verboser").unwrap();
    for socket in [&subscriber, &second] {
        socket.send("\u{1}topic", 0).unwrap();
        assert_eq!(publisher.recv_string(0).unwrap().unwrap(), "\u{1}topic");
    }
    for socket in [&subscriber, &second] {
        socket.send("\u{0}topic", 0).unwrap();
        assert_eq!(publisher.recv_string(0).unwrap().unwrap(), "\u{0}topic");
    }
    let mut other = context.socket(zmq::PUSH).unwrap();
    assert_eq!(set_xpub_verboser(&mut other, true), Err(zmq::Error::EINVAL));
}

fn who_asks_whether_there_is_more_keeps_its_share(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<Vec<bool>>(backend);
    let mut frames = Vec::new();
    reactor
        .scope()
        .add_socket(
            "asking",
            ours,
            Interest::READ,
            move |more: &mut Vec<bool>, scope, key, _| {
                assert!(scope.recv(key, &mut frames)?);
                more.push(scope.readable(key)?);
                Ok(())
            },
        )
        .unwrap();
    for _ in 0..3 {
        theirs.send("", 0).unwrap();
    }
    let mut more = Vec::new();
    reactor.turn(&mut more, Some(BOUND)).unwrap();
    assert_eq!(more, [true, true, false], "all in one turn");
}

fn who_reads_no_more_is_called_once_in_vain(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<u32>(backend);
    let mut frames = Vec::new();
    reactor
        .scope()
        .add_socket(
            "one message",
            ours,
            Interest::READ,
            move |calls: &mut u32, scope, key, _| {
                *calls += 1;
                if *calls == 1 {
                    assert!(scope.recv(key, &mut frames)?);
                }
                Ok(())
            },
        )
        .unwrap();
    theirs.send("", 0).unwrap();
    let mut calls = 0;
    turn_until(&mut reactor, &mut calls, |calls| *calls > 0);
    turn_idly(&mut reactor, &mut calls);
    assert_eq!(calls, 2);
}

fn who_leaves_is_not_called_again_and_misses_nothing(backend: Backend) {
    let context = zmq::Context::new();
    let (ours, theirs) = pair(&context);
    let mut reactor = reactor::<u32>(backend);
    let mut frames = Vec::new();
    reactor
        .scope()
        .add_socket(
            "leaving",
            ours,
            Interest::READ,
            move |calls: &mut u32, scope, key, _| {
                *calls += 1;
                assert!(scope.recv(key, &mut frames)?, "not one call is in vain");
                scope.leave(key);
                Ok(())
            },
        )
        .unwrap();
    for _ in 0..3 {
        theirs.send("", 0).unwrap();
    }
    let mut calls = 0;
    for turn in 1..=3 {
        reactor.turn(&mut calls, Some(BOUND)).unwrap();
        assert_eq!(calls, turn);
    }
    turn_idly(&mut reactor, &mut calls);
    assert_eq!(calls, 3);
}
