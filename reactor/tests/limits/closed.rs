//! Descriptors that somebody closed behind the reactor's back.
//!
//! The system forgets such a descriptor without a word, so that it is silent from then on, unless it knows it by a
//! duplicate too: then it goes on telling of it, and takes no number for it any more. The reactor finds out when it has
//! the descriptor armed anew after its handler: then it is lost by the [`ErrorPolicy`] of its source. In each case
//! everyone else is served as before, and the loop does not spin.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use reactor::{
    Backend, BoxError, Error, ErrorPolicy, Event, FdKey, Interest, Next, Reactor, Scope, Source,
    SourceKey, zmq,
};

use crate::child::{BACKENDS, is_alone, run_alone};
use crate::common::{self, pair, turn_idly, turn_until};

#[test]
fn a_descriptor_closed_in_its_handler_is_lost() {
    run_alone("closed::child_that_closes_in_the_handler");
}

#[test]
fn a_descriptor_closed_between_turns_is_silent() {
    run_alone("closed::child_that_closes_between_turns");
}

#[test]
fn a_closed_descriptor_that_lives_on_as_a_duplicate_is_lost() {
    run_alone("closed::child_that_leaves_a_duplicate");
}

#[test]
fn the_number_of_a_closed_descriptor_is_refused_until_the_old_is_removed() {
    run_alone("closed::child_that_uses_the_number_again");
}

/// A descriptor that nobody closes at its end, so that somebody else can, once.
struct Exposed(BorrowedFd<'static>);

impl Exposed {
    fn new(stream: UnixStream) -> (Self, RawFd) {
        let stream: &'static UnixStream = Box::leak(Box::new(stream));
        (Self(stream.as_fd()), stream.as_raw_fd())
    }
}

impl AsFd for Exposed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

/// Closes a descriptor that belongs to somebody else.
fn close(fd: RawFd) {
    // SAFETY: it is open, and its owner was leaked and does nothing with it any more: it is closed once. That it is
    // still lent is what these tests are about; they have a process of their own, in which nobody takes its number.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

#[derive(Default)]
struct Seen {
    /// How often the one that was closed was called.
    closed: u32,
    /// What the others heard.
    heard: u32,
    removed: Vec<(SourceKey, String, String)>,
}

/// Has a descriptor and a timer that never fires, and closes the first when it is called.
struct Careless {
    exposed: Option<(Exposed, RawFd)>,
    closes: Option<RawFd>,
    key: Option<FdKey>,
}

impl Source<Seen> for Careless {
    fn start(&mut self, scope: &mut Scope<Seen>, me: SourceKey) -> Result<(), Error> {
        let (exposed, raw) = self.exposed.take().ok_or(Error::Stale)?;
        self.closes = Some(raw);
        self.key = Some(scope.own_fd(me, 0, exposed, Interest::READ)?);
        let never = scope.now() + common::BOUND * 10;
        scope.own_timer(me, 1, never)?;
        Ok(())
    }

    fn on_event(
        &mut self,
        seen: &mut Seen,
        _: &mut Scope<Seen>,
        event: Event,
    ) -> Result<(), BoxError> {
        if event == Event::Stopping {
            return Ok(());
        }
        assert!(matches!(event, Event::Fd { .. }), "{event:?}");
        seen.closed += 1;
        close(self.closes.take().ok_or("called again")?);
        Ok(())
    }
}

/// A reactor with others who are to be served, and what they are spoken to by.
fn company(backend: Backend) -> (Reactor<Seen>, zmq::Socket, UnixStream) {
    let context = zmq::Context::new();
    let mut reactor = common::reactor::<Seen>(backend);
    let (ours, theirs) = pair(&context);
    let (stream, far) = UnixStream::pair().unwrap();
    let mut frames = Vec::new();
    let scope = reactor.scope();
    scope
        .add_socket(
            "socket",
            ours,
            Interest::READ,
            move |seen: &mut Seen, scope, key, _| {
                seen.heard += u32::from(scope.recv(key, &mut frames)?);
                Ok(())
            },
        )
        .unwrap();
    scope
        .add_fd("stream", stream, Interest::READ, |seen, scope, key, _| {
            let mut stream = scope.fd::<UnixStream>(key).ok_or(Error::Stale)?;
            stream.read_exact(&mut [0])?;
            seen.heard += 1;
            Ok(())
        })
        .unwrap();
    scope.on_removal(|seen: &mut Seen, _, removal| {
        let why = removal.error.to_string();
        seen.removed.push((removal.source, removal.name, why));
    });
    (reactor, theirs, far)
}

/// Speaks to the others, and expects them to hear.
fn speak(reactor: &mut Reactor<Seen>, seen: &mut Seen, socket: &zmq::Socket, far: &mut UnixStream) {
    let before = seen.heard;
    socket.send("x", 0).unwrap();
    far.write_all(b"x").unwrap();
    turn_until(reactor, seen, |seen| seen.heard == before + 2);
    turn_idly(reactor, seen);
    assert_eq!(seen.heard, before + 2);
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_closes_in_the_handler() {
    if !is_alone() {
        return;
    }
    for backend in BACKENDS {
        for policy in [
            ErrorPolicy::Stop,
            ErrorPolicy::Remove,
            ErrorPolicy::Tolerate,
        ] {
            for duplicated in [false, true] {
                close_in_the_handler(backend, policy, duplicated);
            }
        }
    }
}

fn close_in_the_handler(backend: Backend, policy: ErrorPolicy, duplicated: bool) {
    let (mut reactor, socket, mut far) = company(backend);
    let before = format!("{reactor:?}");
    let (stream, mut peer) = UnixStream::pair().unwrap();
    let _duplicate = duplicated.then(|| stream.try_clone().unwrap());
    let source = Careless {
        exposed: Some(Exposed::new(stream)),
        closes: None,
        key: None,
    };
    let me = reactor.scope().add_source("careless", source).unwrap();
    reactor.scope().set_policy(me, policy);
    peer.write_all(b"twice").unwrap();
    socket.send("x", 0).unwrap();
    far.write_all(b"x").unwrap();
    let mut seen = Seen::default();
    let end = Instant::now() + common::BOUND;
    let mut result = Ok(());
    while result.is_ok() && (seen.closed == 0 || seen.heard < 2) {
        assert!(Instant::now() < end);
        result = reactor.turn(&mut seen, Some(common::BOUND));
    }
    // Whoever was ready with it was served, if need be in the next turn.
    turn_until(&mut reactor, &mut seen, |seen| seen.heard == 2);
    expect_loss(policy, result, &seen, (me, "careless"));
    expect_rest(&mut reactor);
    speak(&mut reactor, &mut seen, &socket, &mut far);
    assert_eq!(seen.closed, 1, "nothing comes of a closed descriptor");
    // Only one thing of it was lost; the source goes with it where its policy says so.
    let gone = policy == ErrorPolicy::Remove;
    assert_eq!(reactor.scope().remove_source(me), !gone);
    assert_eq!(format!("{reactor:?}"), before);
    speak(&mut reactor, &mut seen, &socket, &mut far);
}

/// Expects that one descriptor was lost, as its source's policy says it.
fn expect_loss(
    policy: ErrorPolicy,
    result: Result<(), Error>,
    seen: &Seen,
    whose: (SourceKey, &str),
) {
    let why = match (policy, result, &seen.removed[..]) {
        (ErrorPolicy::Stop, Err(Error::Handler { name, error }), []) => {
            assert!(matches!(error.downcast_ref(), Some(Error::Lost { .. })));
            assert_eq!(name, whose.1);
            error.to_string()
        }
        (ErrorPolicy::Remove | ErrorPolicy::Tolerate, Ok(()), [(source, name, why)]) => {
            assert_eq!((*source, name.as_str()), whose);
            why.clone()
        }
        (_, result, removed) => panic!("{policy:?}: {result:?}, {removed:?}"),
    };
    assert!(why.contains("was closed while it was registered"), "{why}");
}

/// Expects that a run of a while in which nothing happens takes hardly any turns.
fn expect_rest(reactor: &mut Reactor<Seen>) {
    turn_idly(reactor, &mut Seen::default());
    let at = Instant::now() + Duration::from_millis(100);
    let scope = reactor.scope();
    scope
        .add_timer("end", at, |_: &mut Seen, scope, _| {
            scope.stop();
            Ok(Next::Done)
        })
        .unwrap();
    scope.reset_metrics();
    reactor.run(&mut Seen::default()).unwrap();
    let turns = reactor.scope().metrics().turns;
    assert!(turns <= 5, "{turns} turns");
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_leaves_a_duplicate() {
    if !is_alone() {
        return;
    }
    for backend in BACKENDS {
        for policy in [
            ErrorPolicy::Stop,
            ErrorPolicy::Remove,
            ErrorPolicy::Tolerate,
        ] {
            leave_a_duplicate(backend, Some(policy));
        }
        leave_a_duplicate(backend, None);
    }
}

/// Closes a descriptor that has a duplicate, has the reactor find out, or removes it before that.
fn leave_a_duplicate(backend: Backend, finds_out: Option<ErrorPolicy>) {
    let (mut reactor, socket, mut far) = company(backend);
    let (stream, mut peer) = UnixStream::pair().unwrap();
    let _duplicate = stream.try_clone().unwrap();
    let (exposed, raw) = Exposed::new(stream);
    let ignore = |seen: &mut Seen, _: &mut Scope<Seen>, _, _| {
        seen.closed += 1;
        Ok(())
    };
    let scope = reactor.scope();
    let key = scope
        .add_fd("exposed", exposed, Interest::READ, ignore)
        .unwrap();
    let me = scope.owner(key).unwrap();
    let mut seen = Seen::default();
    turn_idly(&mut reactor, &mut seen);
    close(raw);
    if let Some(policy) = finds_out {
        reactor.scope().set_policy(me, policy);
        peer.write_all(b"x").unwrap();
        let end = Instant::now() + common::BOUND;
        let mut result = Ok(());
        while result.is_ok() && seen.removed.is_empty() {
            assert!(Instant::now() < end, "{backend:?} {policy:?}");
            result = reactor.turn(&mut seen, Some(common::BOUND));
        }
        expect_loss(policy, result, &seen, (me, "exposed"));
        assert_eq!(seen.closed, 1, "called once in vain");
    } else {
        assert!(reactor.scope().remove_fd(key));
    }
    assert!(!reactor.scope().remove_fd(key), "it is gone");
    // Who moves into its slot hears nothing of it.
    let (quiet, _other) = UnixStream::pair().unwrap();
    let fail = |_: &mut Seen, _: &mut Scope<Seen>, _, _| Err("called for another".into());
    let scope = reactor.scope();
    scope.add_fd("quiet", quiet, Interest::READ, fail).unwrap();
    peer.write_all(b"x").unwrap();
    expect_rest(&mut reactor);
    peer.write_all(b"x").unwrap();
    speak(&mut reactor, &mut seen, &socket, &mut far);
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_closes_between_turns() {
    if !is_alone() {
        return;
    }
    for backend in BACKENDS {
        let (mut reactor, socket, mut far) = company(backend);
        let (stream, mut peer) = UnixStream::pair().unwrap();
        let (exposed, raw) = Exposed::new(stream);
        let key = reactor
            .scope()
            .add_fd("exposed", exposed, Interest::READ, |_, _, _, _| {
                Err("called for a closed descriptor".into())
            })
            .unwrap();
        let mut seen = Seen::default();
        turn_idly(&mut reactor, &mut seen);
        close(raw);
        assert!(peer.write_all(b"x").is_err(), "nobody holds the other end");
        speak(&mut reactor, &mut seen, &socket, &mut far);
        assert!(seen.removed.is_empty());
        // Who tries to do something with it is told, and nothing is changed.
        for interest in [Interest::WRITE, Interest::NONE] {
            let error = reactor.scope().set_interest(key, interest).unwrap_err();
            assert!(matches!(error, Error::Io(_)), "{error:?}");
        }
        assert!(reactor.scope().remove_fd(key));
        speak(&mut reactor, &mut seen, &socket, &mut far);
    }
}

#[test]
#[ignore = "the other end of a test that starts it as a process"]
fn child_that_uses_the_number_again() {
    if !is_alone() {
        return;
    }
    for backend in BACKENDS {
        let (mut reactor, socket, mut far) = company(backend);
        let (stream, peer) = UnixStream::pair().unwrap();
        let (exposed, raw) = Exposed::new(stream);
        let old = reactor
            .scope()
            .add_fd("old", exposed, Interest::READ, |_, _, _, _| {
                Err("called for a closed descriptor".into())
            })
            .unwrap();
        close(raw);
        // The system gives the lowest number that is free.
        let (new, mut other) = UnixStream::pair().unwrap();
        assert_eq!(new.as_raw_fd(), raw);
        let add = |reactor: &mut Reactor<Seen>, new| {
            reactor.scope().add_fd(
                "new",
                new,
                Interest::READ,
                |seen: &mut Seen, scope, key, _| {
                    let mut new = scope.fd::<UnixStream>(key).ok_or(Error::Stale)?;
                    new.read_exact(&mut [0])?;
                    seen.heard += 1;
                    Ok(())
                },
            )
        };
        let rejected = add(&mut reactor, new).unwrap_err();
        assert!(matches!(rejected.error, Error::Duplicate));
        assert!(reactor.scope().remove_fd(old));
        add(&mut reactor, rejected.returned).unwrap();
        let mut seen = Seen::default();
        other.write_all(b"x").unwrap();
        turn_until(&mut reactor, &mut seen, |seen| seen.heard == 1);
        speak(&mut reactor, &mut seen, &socket, &mut far);
        drop(peer);
    }
}
