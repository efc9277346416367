//! As many descriptors open as the system allows.
//!
//! The first socket of a context is not tried here: libzmq starts its threads for it, and ends the process where it
//! finds no descriptors for them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use reactor::{
    Backend, Builder, Error, Interest, Reactor, SocketBuilder, SocketError, SocketKey, zmq,
};

use crate::child::{
    BACKENDS, Scarcity, expect_descriptors, is_alone, is_at_limit, open_descriptors, run_alone,
};
use crate::common::{self, pair, turn_idly, turn_until};

#[test]
fn a_reactor_is_refused_at_the_limit_of_descriptors_and_leaves_none_open() {
    run_alone("descriptors::child_that_builds_reactors");
}

#[test]
fn a_socket_is_refused_at_the_limit_of_descriptors_and_leaves_none_open() {
    run_alone("descriptors::child_that_builds_sockets");
}

#[test]
fn what_is_open_can_be_registered_and_served_at_the_limit() {
    run_alone("descriptors::child_that_registers");
}

#[test]
fn a_monitor_is_refused_at_the_limit_and_its_socket_goes_on() {
    run_alone("descriptors::child_that_monitors");
}

/// A context whose threads run, and the first socket, which had them started.
fn started() -> (zmq::Context, zmq::Socket) {
    let context = zmq::Context::new();
    let first = context.socket(zmq::PAIR).unwrap();
    (context, first)
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_builds_reactors() {
    if !is_alone() {
        return;
    }
    for (backend, signals) in [
        (Backend::Mio, false),
        (Backend::Mio, true),
        (Backend::Polling, false),
        (Backend::Polling, true),
    ] {
        let build = || {
            let builder = Builder::new().backend(backend).signals(signals);
            builder.build::<u32>()
        };
        let before = open_descriptors();
        let mut refused = 0;
        // Each of the descriptors that it needs is once the one that is not to be had.
        let mut reactor = loop {
            let scarcity = Scarcity::leaving(refused);
            let built = build();
            drop(scarcity);
            match built {
                Ok(reactor) => break reactor,
                Err(error) => {
                    assert!(
                        matches!(&error, Error::Io(error) if is_at_limit(error)),
                        "{error}"
                    );
                    assert!(error.to_string().contains("open files"), "{error}");
                }
            }
            assert_eq!(open_descriptors(), before, "with {refused} left");
            refused += 1;
        };
        assert!(refused >= if signals { 4 } else { 2 }, "{refused}");
        // The one that just had enough is as good as any.
        let now = reactor.scope().now();
        reactor
            .scope()
            .add_timer("timer", now + Duration::from_millis(3), |fired, _, _| {
                *fired += 1;
                Ok(reactor::Next::Done)
            })
            .unwrap();
        turn_until(&mut reactor, &mut 0, |fired| *fired == 1);
        drop(reactor);
        assert_eq!(open_descriptors(), before);
    }
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_builds_sockets() {
    if !is_alone() {
        return;
    }
    let (context, _first) = started();
    let builder = SocketBuilder::new(zmq::ROUTER).bind("tcp://127.0.0.1:*");
    let before = open_descriptors();
    let mut refused = 0;
    loop {
        let scarcity = Scarcity::leaving(refused);
        let built = builder.build(&context);
        drop(scarcity);
        let Err(error) = built else { break };
        match &error {
            SocketError::TooManyDescriptors => assert!(error.to_string().contains("ulimit")),
            SocketError::Endpoint { endpoint, reason } => {
                assert_eq!(endpoint, "tcp://127.0.0.1:*");
                assert!(reason.contains("open files"), "{reason}");
            }
            error => panic!("with {refused} left: {error}"),
        }
        if refused == 0 {
            assert_eq!(error, SocketError::TooManyDescriptors);
        }
        expect_descriptors(before);
        refused += 1;
    }
    assert!(refused >= 2, "one for the socket, one for its endpoint");
    expect_descriptors(before);
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_registers() {
    if !is_alone() {
        return;
    }
    for backend in BACKENDS {
        let (context, _first) = started();
        let mut reactor = common::reactor::<(u32, u32, u32)>(backend);
        let handle = reactor.handle();
        let (ours, theirs) = pair(&context);
        let (stream, mut far) = UnixStream::pair().unwrap();
        let mut scarcity = Scarcity::leaving(0);

        let mut frames = Vec::new();
        let scope = reactor.scope();
        scope
            .add_socket(
                "socket",
                ours,
                Interest::READ,
                move |seen, scope, key, _| {
                    seen.0 += u32::from(scope.recv(key, &mut frames)?);
                    Ok(())
                },
            )
            .unwrap();
        scope
            .add_fd("stream", stream, Interest::READ, |seen, scope, key, _| {
                let mut stream = scope.fd::<UnixStream>(key).ok_or(Error::Stale)?;
                stream.read_exact(&mut [0])?;
                seen.1 += 1;
                Ok(())
            })
            .unwrap();
        theirs.send("x", 0).unwrap();
        far.write_all(b"x").unwrap();
        handle.post(|seen, _| seen.2 += 1).unwrap();
        let mut seen = (0, 0, 0);
        turn_until(&mut reactor, &mut seen, |seen| *seen == (1, 1, 1));

        // Who makes its sockets in a handler gets the error there, and the loop goes on.
        let crowded = context.clone();
        handle
            .post(move |seen, _| {
                let built = SocketBuilder::new(zmq::DEALER).build(&crowded);
                assert_eq!(built.err(), Some(SocketError::TooManyDescriptors));
                seen.2 += 1;
            })
            .unwrap();
        turn_until(&mut reactor, &mut seen, |seen| seen.2 == 2);
        scarcity.free(2);
        assert!(SocketBuilder::new(zmq::DEALER).build(&context).is_ok());
        theirs.send("x", 0).unwrap();
        turn_until(&mut reactor, &mut seen, |seen| *seen == (2, 1, 2));
        turn_idly(&mut reactor, &mut seen);
        assert_eq!(seen, (2, 1, 2));
    }
}

/// Has a socket monitored with so many descriptors left.
fn monitor(
    reactor: &mut Reactor<u32>,
    context: &zmq::Context,
    key: SocketKey,
    free: usize,
) -> Result<SocketKey, Error> {
    let scarcity = Scarcity::leaving(free);
    let monitor = reactor
        .scope()
        .add_monitor("monitor", context, key, |seen, _, _| {
            *seen += 1;
            Ok(())
        });
    drop(scarcity);
    monitor
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_monitors() {
    if !is_alone() {
        return;
    }
    for backend in BACKENDS {
        let (context, _first) = started();
        let mut reactor = common::reactor::<u32>(backend);
        let socket = context.socket(zmq::ROUTER).unwrap();
        let key = reactor
            .scope()
            .add_socket("socket", socket, Interest::READ, |_, _, _, _| Ok(()))
            .unwrap();
        let (before, alone) = (open_descriptors(), format!("{reactor:?}"));
        let mut refused = 0;
        while let Err(error) = monitor(&mut reactor, &context, key, refused) {
            assert!(
                matches!(error, Error::Zmq(zmq::Error::EMFILE)),
                "with {refused} left: {error:?}"
            );
            assert!(error.to_string().contains("open files"), "{error}");
            assert_eq!(format!("{reactor:?}"), alone, "half a monitor");
            expect_descriptors(before);
            refused += 1;
        }
        assert!(refused >= 2, "each end of the monitor is a socket");
        reactor
            .scope()
            .with_socket(key, |socket| socket.bind("tcp://127.0.0.1:*"))
            .unwrap()
            .unwrap();
        turn_until(&mut reactor, &mut 0, |seen| *seen > 0);
    }
}
