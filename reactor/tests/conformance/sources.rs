//! Sources, keys, and the end of it all.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use reactor::{
    AnyKey, Backend, BoxError, Builder, Ending, Error, ErrorPolicy, Event, FdKey, Interest, Scope,
    SocketKey, Source, SourceKey, zmq,
};

use crate::common::{self, BOUND, on_both, pair, reactor, turn_idly, turn_until};

on_both!(
    a_source_that_does_not_start_leaves_nothing_behind,
    a_source_is_removed_with_all_it_owns,
    what_a_source_owns_goes_in_any_order,
    stale_keys_do_nothing,
    ends_clean_or_within_its_bound,
);

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

fn what_a_source_owns_goes_in_any_order(backend: Backend) {
    struct Idle;
    impl Source<()> for Idle {
        fn start(&mut self, _: &mut Scope<()>, _: SourceKey) -> Result<(), Error> {
            Ok(())
        }

        fn on_event(&mut self, _: &mut (), _: &mut Scope<()>, _: Event) -> Result<(), BoxError> {
            Ok(())
        }
    }

    let context = zmq::Context::new();
    let mut reactor = reactor::<()>(backend);
    let scope = reactor.scope();
    for order in [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [0, 3, 1, 2],
        [2, 0, 3, 1],
        [1, 3, 0, 2],
    ] {
        for leave in 0..4 {
            let owner = scope.add_source("idle", Idle).unwrap();
            let later = scope.now() + BOUND;
            let (stream, _peer) = UnixStream::pair().unwrap();
            let (socket, _feed) = pair(&context);
            let owned = [
                AnyKey::from(scope.own_timer(owner, 0, later).unwrap()),
                AnyKey::from(scope.own_fd(owner, 1, stream, Interest::READ).unwrap()),
                AnyKey::from(scope.own_socket(owner, 2, socket, Interest::READ).unwrap()),
                AnyKey::from(scope.own_timer(owner, 3, later).unwrap()),
            ];
            for index in &order[leave..] {
                assert_eq!(scope.owner(owned[*index]), Some(owner));
                assert!(match owned[*index] {
                    AnyKey::Socket(key) => scope.remove_socket(key).is_some(),
                    AnyKey::Fd(key) => scope.remove_fd(key),
                    AnyKey::Timer(key) => scope.cancel_timer(key),
                    _ => false,
                });
            }
            assert!(
                scope.remove_source(owner),
                "it stays when it owns nothing any more"
            );
            assert!(owned.iter().all(|key| scope.owner(*key).is_none()));
            let nothing = "Scope { sources: 0, sockets: 0, fds: 0, timers: 0, tickets: 0, .. }";
            assert_eq!(format!("{scope:?}"), nothing);
        }
    }
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
