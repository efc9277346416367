//! What a reactor promises, on both back ends: sockets, descriptors, sources and their ends.

mod common;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{BOUND, builder, on_both, pair, reactor, turn_idly, turn_until};
use reactor::{
    Backend, BoxError, Builder, Ending, Error, ErrorPolicy, Event, FdKey, Interest, Ready, Scope,
    SocketKey, Source, SourceKey, set_xpub_verboser, zmq,
};

on_both!(
    an_echo_server_answers_over_tcp,
    every_one_of_many_sockets_is_served,
    a_socket_is_called_within_its_budget_and_not_for_nothing,
    a_paused_socket_is_silent_and_loses_nothing,
    writing_is_announced_while_it_is_of_interest,
    a_message_is_sent_whole_or_not_at_all,
    a_removed_socket_comes_back_with_what_waits_on_it,
    a_linger_without_limit_gets_one,
    a_socket_of_an_ended_context_is_refused_and_handed_back,
    the_end_of_a_context_is_reported_once,
    a_descriptor_is_reported_until_it_is_read,
    a_descriptor_is_reported_while_it_can_be_written,
    a_hang_up_can_be_read,
    a_broken_pipe_is_an_error,
    a_paused_descriptor_is_silent_and_loses_nothing,
    a_descriptor_is_known_by_its_type_and_can_be_taken_back,
    a_descriptor_registered_twice_is_refused_and_handed_back,
    a_regular_file_is_refused_and_handed_back,
    a_source_that_does_not_start_leaves_nothing_behind,
    a_source_is_removed_with_all_it_owns,
    stale_keys_do_nothing,
    ends_clean_or_within_its_bound,
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

fn a_socket_is_called_within_its_budget_and_not_for_nothing(backend: Backend) {
    for budget in [1, 5, 32] {
        let context = zmq::Context::new();
        let (ours, theirs) = pair(&context);
        let mut reactor = builder(backend).budget(budget).build::<usize>().unwrap();
        let mut frames = Vec::new();
        reactor
            .scope()
            .add_socket(
                "ours",
                ours,
                Interest::READ,
                move |calls, scope, key, ready| {
                    assert!(ready.readable && !ready.writable && !ready.error);
                    assert!(scope.recv(key, &mut frames)?, "called for nothing");
                    *calls += 1;
                    Ok(())
                },
            )
            .unwrap();
        for _ in 0..40 {
            theirs.send("", 0).unwrap();
        }
        let mut calls = 0;
        while calls < 40 {
            let before = calls;
            reactor.turn(&mut calls, Some(BOUND)).unwrap();
            assert_eq!(calls - before, budget.min(40 - before));
        }
        turn_idly(&mut reactor, &mut calls);
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
    let mut context = zmq::Context::new();
    let socket = context.socket(zmq::DEALER).unwrap();
    let ender = std::thread::spawn(move || context.destroy());
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
        "Scope { sources: 0, sockets: 0, fds: 0, timers: 0, .. }"
    );
}

fn the_end_of_a_context_is_reported_once(backend: Backend) {
    let mut context = zmq::Context::new();
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
    let ender = std::thread::spawn(move || context.destroy());
    let mut seen = Vec::new();
    turn_until(&mut reactor, &mut seen, |seen| !seen.is_empty());
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen.len(), 1);
    assert!(seen[0].error && !seen[0].readable);
    drop(reactor.scope().remove_socket(key));
    ender.join().unwrap().unwrap();
}

fn a_descriptor_is_reported_until_it_is_read(backend: Backend) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut reactor = reactor::<Vec<u8>>(backend);
    reactor
        .scope()
        .add_fd(
            "ours",
            ours,
            Interest::READ,
            |seen: &mut Vec<u8>, scope, key, ready| {
                assert!(ready.readable && !ready.writable && !ready.error);
                let mut byte = [0];
                let mut ours = scope.fd::<UnixStream>(key).ok_or("not a stream")?;
                // Blocks for ever if it was called for nothing.
                ours.read_exact(&mut byte)?;
            seen.push(byte[0]);
                Ok(())
            },
        )
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.clear();
        theirs.write_all(b"level").unwrap();
        for turn in 1..=5 {
            reactor.turn(&mut seen, Some(BOUND)).unwrap();
            assert_eq!(seen.len(), turn, "once a turn");
        }
        turn_idly(&mut reactor, &mut seen);
        assert_eq!(seen, b"level");
    }
}

fn a_descriptor_is_reported_while_it_can_be_written(backend: Backend) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut reactor = reactor::<usize>(backend);
    let key = reactor
        .scope()
        .add_fd(
            "ours",
            ours,
            Interest::WRITE,
            |written, scope, key, ready| {
                assert!(ready.writable && !ready.readable);
                let mut ours = scope.fd::<UnixStream>(key).ok_or("not a stream")?;
                match ours.write(&[7; 4096]) {
                    Ok(length) => *written += length,
                    // Room for something is not always room for anything.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        scope.set_interest(key, Interest::NONE)?;
                    }
                    Err(error) => return Err(error.into()),
                }
                Ok(())
            },
        )
        .unwrap();
    let mut written = 0;
    loop {
        let before = written;
        reactor.turn(&mut written, Some(Duration::ZERO)).unwrap();
        if written == before {
            break;
        }
    }
    assert!(written > 4096, "it was called again while there was room");
    let mut read = vec![0; written];
    theirs.read_exact(&mut read).unwrap();
    reactor.scope().set_interest(key, Interest::WRITE).unwrap();
    let before = written;
    turn_until(&mut reactor, &mut written, |written| *written > before);
}

fn a_hang_up_can_be_read(backend: Backend) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut reactor = reactor::<bool>(backend);
    reactor
        .scope()
        .add_fd("ours", ours, Interest::READ, |ended, scope, key, ready| {
            assert!(ready.readable);
            let mut ours = scope.fd::<UnixStream>(key).ok_or("not a stream")?;
            *ended = ours.read(&mut [0])? == 0;
            assert!(scope.remove_fd(key));
            Ok(())
        })
        .unwrap();
    turn_idly(&mut reactor, &mut false);
    drop(theirs);
    turn_until(&mut reactor, &mut false, |ended| *ended);
}

fn a_broken_pipe_is_an_error(backend: Backend) {
    let (reader, writer) = io::pipe().unwrap();
    let mut reactor = reactor::<bool>(backend);
    let key = reactor
        .scope()
        .add_fd("writer", writer, Interest::WRITE, |broken, _, _, ready| {
            *broken = ready.error && ready.writable;
            Ok(())
        })
        .unwrap();
    turn_idly(&mut reactor, &mut false);
    drop(reader);
    turn_until(&mut reactor, &mut false, |broken| *broken);
    // Paused, it is silent, though it stays broken.
    reactor.scope().set_interest(key, Interest::NONE).unwrap();
    let mut broken = false;
    turn_idly(&mut reactor, &mut broken);
    assert!(!broken);
}

fn a_paused_descriptor_is_silent_and_loses_nothing(backend: Backend) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let mut reactor = reactor::<u32>(backend);
    let key = reactor
        .scope()
        .add_fd("ours", ours, Interest::NONE, |seen, scope, key, _| {
            let mut ours = scope.fd::<UnixStream>(key).ok_or("not a stream")?;
            ours.read_exact(&mut [0])?;
            *seen += 1;
            scope.set_interest(key, Interest::NONE)?;
            Ok(())
        })
        .unwrap();
    theirs.write_all(b"three").unwrap();
    let mut seen = 0;
    for expected in 0..5 {
        turn_idly(&mut reactor, &mut seen);
        assert_eq!(seen, expected);
        reactor.scope().set_interest(key, Interest::READ).unwrap();
        turn_until(&mut reactor, &mut seen, |seen| *seen == expected + 1);
    }
    drop(theirs);
    turn_idly(&mut reactor, &mut seen);
}

fn a_descriptor_is_known_by_its_type_and_can_be_taken_back(backend: Backend) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let raw = ours.as_raw_fd();
    let mut reactor = reactor::<()>(backend);
    let scope = reactor.scope();
    let key = scope
        .add_fd("ours", ours, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
    assert_eq!(scope.with_fd(key, |fd| fd.as_raw_fd()).unwrap(), raw);
    assert_eq!(scope.fd::<UnixStream>(key).unwrap().as_raw_fd(), raw);
    assert!(scope.fd::<io::PipeReader>(key).is_none());
    assert!(scope.take_fd::<io::PipeReader>(key).is_none());
    let mut ours: UnixStream = scope.take_fd(key).unwrap();
    assert!(!scope.remove_fd(key));
    drop(theirs);
    assert_eq!(ours.read(&mut [0]).unwrap(), 0);
}

fn a_descriptor_registered_twice_is_refused_and_handed_back(backend: Backend) {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let ours = Arc::new(ours);
    for interest in [Interest::READ, Interest::NONE] {
        let mut reactor = reactor::<()>(backend);
        let scope = reactor.scope();
        let key = scope
            .add_fd("first", ours.clone(), interest, |_, _, _, _| Ok(()))
            .unwrap();
        let rejected = scope
            .add_fd("second", ours.clone(), interest, |_, _, _, _| Ok(()))
            .unwrap_err();
        assert!(matches!(rejected.error, Error::Duplicate));
        assert!(Arc::ptr_eq(&rejected.returned, &ours));
        // It was not harmed by that, and there is room again when it is gone.
        assert!(scope.remove_fd(key));
        scope
            .add_fd("third", ours.clone(), interest, |_, _, _, _| Ok(()))
            .unwrap();
    }
}

fn a_regular_file_is_refused_and_handed_back(backend: Backend) {
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let mut reactor = reactor::<()>(backend);
    let rejected = reactor
        .scope()
        .add_fd("file", file, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap_err();
    assert!(
        matches!(&rejected.error, Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied)
    );
    assert!(rejected.returned.metadata().unwrap().len() > 0);
    let error = Error::from(rejected);
    assert!(!error.to_string().is_empty());
}

/// Owns one of each kind.
struct Household {
    parts: Option<(UnixStream, zmq::Socket)>,
    fails: bool,
    dropped: Rc<Cell<bool>>,
}

impl Source<Vec<Event>> for Household {
    fn start(&mut self, scope: &mut Scope<Vec<Event>>, me: SourceKey) -> Result<(), Error> {
        let (stream, socket) = self.parts.take().ok_or(Error::Invalid("started twice"))?;
        let now = scope.now();
        scope.own_timer(me, 1, now)?;
        scope.own_fd(me, 2, stream, Interest::READ)?;
        scope.own_socket(me, 3, socket, Interest::READ)?;
        scope.own_timer(me, 4, now + BOUND * 10)?;
        if self.fails {
            Err(Error::Invalid("on purpose"))
        } else {
            Ok(())
        }
    }

    fn on_event(
        &mut self,
        seen: &mut Vec<Event>,
        scope: &mut Scope<Vec<Event>>,
        event: Event,
    ) -> Result<(), BoxError> {
        seen.push(event);
        if let Event::Fd { key, .. } = event {
            // Owned things can go one by one, in any order.
            assert!(scope.remove_fd(key));
        }
        if let Event::Socket { key, .. } = event {
            let me = scope.owner(key).ok_or(Error::Stale)?;
            assert!(scope.remove_source(me));
            assert!(!self.dropped.get(), "it still runs");
            return Err("also after it removed itself, its error counts".into());
        }
        Ok(())
    }
}

impl Drop for Household {
    fn drop(&mut self) {
        self.dropped.set(true);
    }
}

fn a_source_that_does_not_start_leaves_nothing_behind(backend: Backend) {
    let context = zmq::Context::new();
    let (socket, _peer) = pair(&context);
    let (stream, mut peer) = UnixStream::pair().unwrap();
    let dropped = Rc::new(Cell::new(false));
    let mut reactor = reactor::<Vec<Event>>(backend);
    let before = format!("{:?}", reactor.scope());
    let source = Household {
        parts: Some((stream, socket)),
        fails: true,
        dropped: dropped.clone(),
    };
    assert!(matches!(
        reactor.scope().add_source("fails", source),
        Err(Error::Invalid("on purpose"))
    ));
    assert!(dropped.get());
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the other end was closed");
    assert_eq!(format!("{:?}", reactor.scope()), before);
    let mut seen = Vec::new();
    turn_idly(&mut reactor, &mut seen);
    assert!(seen.is_empty());
}

fn a_source_is_removed_with_all_it_owns(backend: Backend) {
    let context = zmq::Context::new();
    let (socket, feed) = pair(&context);
    let (stream, mut peer) = UnixStream::pair().unwrap();
    let dropped = Rc::new(Cell::new(false));
    let mut reactor = reactor::<Vec<Event>>(backend);
    let before = format!("{:?}", reactor.scope());
    let source = Household {
        parts: Some((stream, socket)),
        fails: false,
        dropped: dropped.clone(),
    };
    let key = reactor.scope().add_source("household", source).unwrap();
    let mut seen = Vec::new();
    turn_until(&mut reactor, &mut seen, |seen| seen.len() == 1);
    assert!(matches!(seen[0], Event::Timer { tag: 1, .. }));
    peer.write_all(b"!").unwrap();
    turn_until(&mut reactor, &mut seen, |seen| seen.len() == 2);
    assert!(matches!(seen[1], Event::Fd { tag: 2, .. }));
    feed.send("", 0).unwrap();
    let end = Instant::now() + BOUND;
    let error = loop {
        assert!(Instant::now() < end);
        if let Err(error) = reactor.turn(&mut seen, Some(BOUND)) {
            break error;
        }
    };
    assert!(matches!(error, Error::Handler { name, .. } if name == "household"));
    assert!(matches!(seen[2], Event::Socket { tag: 3, ready, .. } if ready.readable));
    assert!(dropped.get());
    assert!(!reactor.scope().remove_source(key));
    assert_eq!(format!("{:?}", reactor.scope()), before);
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen.len(), 3);
}

fn stale_keys_do_nothing(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<()>(backend);
    let scope = reactor.scope();
    let now = scope.now();
    let (stream, _peer) = UnixStream::pair().unwrap();
    let (ours, spare) = pair(&context);
    let fd = scope
        .add_fd("fd", stream, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
    let socket = scope
        .add_socket("socket", ours, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
    let timer = scope
        .add_timer("timer", now, |_, _, _| Ok(reactor::Next::Done))
        .unwrap();
    let source = scope.owner(fd).unwrap();
    let (other_stream, _other_peer) = UnixStream::pair().unwrap();
    assert!(scope.remove_fd(fd) && scope.cancel_timer(timer));
    assert!(scope.remove_socket(socket).is_some());

    assert!(!scope.remove_fd(fd) && !scope.cancel_timer(timer) && !scope.remove_source(source));
    assert!(!scope.set_timer(timer, now) && scope.timer_deadline(timer).is_none());
    assert!(scope.remove_socket(socket).is_none());
    assert!(
        scope.owner(fd).is_none() && scope.owner(socket).is_none() && scope.owner(timer).is_none()
    );
    scope.set_policy(source, ErrorPolicy::Tolerate);
    assert!(matches!(
        scope.set_interest(fd, Interest::READ),
        Err(Error::Stale)
    ));
    assert!(matches!(
        scope.set_interest(socket, Interest::READ),
        Err(Error::Stale)
    ));
    assert!(matches!(
        scope.set_interest(timer, Interest::READ),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(scope.send(socket, [""]), Err(Error::Stale)));
    assert!(matches!(
        scope.recv(socket, &mut Vec::new()),
        Err(Error::Stale)
    ));
    assert!(matches!(scope.readable(socket), Err(Error::Stale)));
    assert!(matches!(
        scope.with_socket(socket, |_| ()),
        Err(Error::Stale)
    ));
    assert!(matches!(scope.with_fd(fd, |_| ()), Err(Error::Stale)));
    assert!(matches!(scope.own_timer(source, 0, now), Err(Error::Stale)));
    let rejected = scope
        .own_socket(source, 0, spare, Interest::READ)
        .unwrap_err();
    assert!(matches!(rejected.error, Error::Stale));
    let rejected = scope
        .own_fd(source, 0, other_stream, Interest::READ)
        .unwrap_err();
    assert!(matches!(rejected.error, Error::Stale));
    // What was refused is not watched: it can be registered where it is welcome.
    scope
        .add_fd("fd", rejected.returned, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
}

fn ends_clean_or_within_its_bound(backend: Backend) {
    let mut reactor = reactor::<()>(backend);
    let context = zmq::Context::new();
    let (ours, _theirs) = pair(&context);
    reactor
        .scope()
        .add_socket("clean", ours, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
    assert_eq!(reactor.end(BOUND), Ending::Clean);

    let mut reactor = common::reactor::<()>(backend);
    let context = zmq::Context::new();
    let socket = context.socket(zmq::PUSH).unwrap();
    // Nobody is there to take the message, and the socket is the last that holds its context.
    drop(context);
    socket.set_linger(60_000).unwrap();
    socket.connect("tcp://127.0.0.1:9").unwrap();
    let scope = reactor.scope();
    let key = scope
        .add_socket("unsent", socket, Interest::NONE, |_, _, _, _| Ok(()))
        .unwrap();
    scope.send(key, ["never"]).unwrap();
    let begin = Instant::now();
    assert_eq!(reactor.end(Duration::from_millis(20)), Ending::Leaked);
    assert!(begin.elapsed() < BOUND);
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

#[test]
fn a_builder_refuses_what_makes_no_sense() {
    let long = Duration::from_secs(365 * 24 * 3600);
    for builder in [
        Builder::new().budget(0),
        Builder::new().post_capacity(0),
        Builder::new().linger(long),
    ] {
        assert!(matches!(
            builder.signals(false).build::<()>(),
            Err(Error::Invalid(_))
        ));
    }
}

#[test]
fn keys_tell_things_apart() {
    let context = zmq::Context::new();
    let mut reactor = reactor::<()>(Backend::default());
    let mut sockets: Vec<SocketKey> = Vec::new();
    let mut fds: Vec<FdKey> = Vec::new();
    for _ in 0..10 {
        let (ours, _) = pair(&context);
        let (stream, _) = UnixStream::pair().unwrap();
        let scope = reactor.scope();
        let socket = scope
            .add_socket("socket", ours, Interest::NONE, |_, _, _, _| Ok(()))
            .unwrap();
        let fd = scope
            .add_fd("fd", stream, Interest::NONE, |_, _, _, _| Ok(()))
            .unwrap();
        assert!(!sockets.contains(&socket) && !fds.contains(&fd));
        assert!(scope.remove_socket(socket).is_some() && scope.remove_fd(fd));
        sockets.push(socket);
        fds.push(fd);
    }
}
