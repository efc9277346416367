//! Descriptors that somebody closed behind the reactor's back.
//!
//! The system forgets such a descriptor without a word, so that it is silent from then on, on both back ends. On mio
//! the reactor finds out where that happens in the descriptor's own handler, since it has the descriptor armed anew
//! after it: then it is lost by the [`ErrorPolicy`] of its source. polling has levels and arms nothing, so that nobody
//! finds out. In both cases everyone else is served as before.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use reactor::{
    Backend, BoxError, Error, ErrorPolicy, Event, FdKey, Interest, Reactor, Scope, Source,
    SourceKey, zmq,
};

use crate::child::{BACKENDS, is_alone, run_alone};
use crate::common::{self, pair, turn_idly, turn_until};

#[test]
fn a_descriptor_closed_in_its_handler_is_lost_or_silent() {
    run_alone("closed::child_that_closes_in_the_handler");
}

#[test]
fn a_descriptor_closed_between_turns_is_silent() {
    run_alone("closed::child_that_closes_between_turns");
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
            close_in_the_handler(backend, policy);
        }
    }
}

fn close_in_the_handler(backend: Backend, policy: ErrorPolicy) {
    let (mut reactor, socket, mut far) = company(backend);
    let before = format!("{reactor:?}");
    let (stream, mut peer) = UnixStream::pair().unwrap();
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
    let end = std::time::Instant::now() + common::BOUND;
    let mut result = Ok(());
    while result.is_ok() && (seen.closed == 0 || seen.heard < 2) {
        assert!(std::time::Instant::now() < end);
        result = reactor.turn(&mut seen, Some(common::BOUND));
    }
    // Whoever was ready with it was served, if need be in the next turn.
    turn_until(&mut reactor, &mut seen, |seen| seen.heard == 2);
    let finds_out = backend == Backend::Mio;
    match (policy, result) {
        (ErrorPolicy::Stop, Err(Error::Handler { name, error })) if finds_out => {
            assert_eq!(name, "careless");
            assert!(error.to_string().contains("file descriptor"), "{error}");
        }
        (_, result) => result.unwrap(),
    }
    let removals = usize::from(finds_out && policy != ErrorPolicy::Stop);
    assert_eq!(seen.removed.len(), removals, "{backend:?} {policy:?}");
    for (source, name, why) in &seen.removed {
        assert_eq!((*source, name.as_str()), (me, "careless"));
        assert!(why.contains("file descriptor"), "{why}");
    }
    speak(&mut reactor, &mut seen, &socket, &mut far);
    assert_eq!(seen.closed, 1, "nothing comes of a closed descriptor");
    // Only one thing of it was lost; the source goes with it where its policy says so.
    let gone = finds_out && policy == ErrorPolicy::Remove;
    assert_eq!(reactor.scope().remove_source(me), !gone);
    assert_eq!(format!("{reactor:?}"), before);
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
