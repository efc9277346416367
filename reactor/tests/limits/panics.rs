//! Handlers that panic, where the caller of the loop catches it.
//!
//! The source whose handler panicked is removed with the next turn, and reported. Nobody else notices.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use reactor::{
    Backend, BoxError, Error, Event, Interest, Next, Reactor, Scope, Sender, Source, SourceKey, zmq,
};

use crate::common::{self, BOUND, on_both, pair, turn_idly, turn_until};

on_both!(
    a_panic_of_a_source_costs_nobody_else_anything,
    a_panic_of_posted_or_deferred_work_costs_nobody_else_anything,
    a_hook_that_panics_is_removed,
    a_run_goes_on_after_a_panic,
    an_error_that_preceded_a_panic_is_not_forgotten,
    a_source_that_panics_when_it_starts_leaves_nothing_behind,
    frames_that_panic_leave_no_part_of_a_message_behind,
);

/// Of each kind there are three in a turn; where one panics, it is the second.
const KINDS: [&str; 6] = ["socket", "stream", "timer", "ticket", "notified", "channel"];
const WORK: [&str; 2] = ["post", "deferred"];

/// What was seen of each, and what was removed.
#[derive(Default)]
struct Seen {
    counts: BTreeMap<String, u32>,
    removed: Vec<(String, String)>,
}

impl Seen {
    /// Counts one, unless it is the one that is to panic.
    fn note(&mut self, name: &str, panics: &str) {
        assert_ne!(name, panics, "on purpose");
        *self.counts.entry(name.to_owned()).or_default() += 1;
    }
}

/// What has to live until the end of a test.
type Kept = (Vec<zmq::Socket>, Vec<UnixStream>, Vec<Sender<u32>>);

/// A source of nothing but notifications.
struct Notified {
    name: String,
    panics: String,
}

impl Source<Seen> for Notified {
    fn start(&mut self, _: &mut Scope<Seen>, _: SourceKey) -> Result<(), Error> {
        Ok(())
    }

    fn on_event(
        &mut self,
        seen: &mut Seen,
        _: &mut Scope<Seen>,
        event: Event,
    ) -> Result<(), BoxError> {
        assert_eq!(event, Event::Notified);
        seen.note(&self.name, &self.panics);
        Ok(())
    }
}

/// A reactor with three of each kind, all ready for the same turn.
fn crowd(backend: Backend, panics: &str) -> (Reactor<Seen>, Kept) {
    let context = zmq::Context::new();
    let mut reactor = common::reactor::<Seen>(backend);
    let mut kept = Kept::default();
    let scope = reactor.scope();
    scope.on_removal(|seen: &mut Seen, _, removal| {
        seen.removed.push((removal.name, removal.error.to_string()));
    });
    for number in 0..3 {
        let name = |kind: &str| format!("{kind}-{number}");
        kept.0
            .push(add_socket(scope, &context, name("socket"), panics));
        kept.1.push(add_stream(scope, name("stream"), panics));
        add_due(scope, name("timer"), name("ticket"), panics);
        let source = Notified {
            name: name("notified"),
            panics: panics.to_owned(),
        };
        let key = scope.add_source(&name("notified"), source).unwrap();
        scope.waker().notify(key);
        kept.2.push(add_channel(scope, name("channel"), panics));
        let (post, deferred) = (
            (name("post"), panics.to_owned()),
            (name("deferred"), panics.to_owned()),
        );
        scope
            .handle()
            .post(move |seen, _| seen.note(&post.0, &post.1))
            .unwrap();
        scope.defer(move |seen, _| seen.note(&deferred.0, &deferred.1));
    }
    (reactor, kept)
}

/// A socket with two messages.
fn add_socket(
    scope: &mut Scope<Seen>,
    context: &zmq::Context,
    name: String,
    panics: &str,
) -> zmq::Socket {
    let (ours, theirs) = pair(context);
    theirs.send("one", 0).unwrap();
    theirs.send("two", 0).unwrap();
    let (panics, mut frames) = (panics.to_owned(), Vec::new());
    scope
        .add_socket(
            &name.clone(),
            ours,
            Interest::READ,
            move |seen: &mut Seen, scope, key, _| {
                if scope.recv(key, &mut frames)? {
                    seen.note(&name, &panics);
                }
                Ok(())
            },
        )
        .unwrap();
    theirs
}

/// A stream with two bytes.
fn add_stream(scope: &mut Scope<Seen>, name: String, panics: &str) -> UnixStream {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"12").unwrap();
    let panics = panics.to_owned();
    scope
        .add_fd(
            &name.clone(),
            ours,
            Interest::READ,
            move |seen: &mut Seen, scope, key, _| {
                let mut ours = scope.fd::<UnixStream>(key).ok_or(Error::Stale)?;
                ours.read_exact(&mut [0])?;
                seen.note(&name, &panics);
                Ok(())
            },
        )
        .unwrap();
    theirs
}

/// A timer and a ticket that are due.
fn add_due(scope: &mut Scope<Seen>, timer: String, ticket: String, panics: &str) {
    let (now, own) = (scope.now(), panics.to_owned());
    scope
        .add_timer(&timer.clone(), now, move |seen: &mut Seen, _, _| {
            seen.note(&timer, &own);
            Ok(Next::Done)
        })
        .unwrap();
    let own = panics.to_owned();
    let class = scope
        .add_tickets(
            &ticket.clone(),
            Duration::ZERO,
            move |seen: &mut Seen, _, _, _| {
                seen.note(&ticket, &own);
                Ok(())
            },
        )
        .unwrap();
    scope.issue_ticket(class, 0).unwrap();
}

/// A channel with two items.
fn add_channel(scope: &mut Scope<Seen>, name: String, panics: &str) -> Sender<u32> {
    let panics = panics.to_owned();
    let (sender, _) = scope
        .add_channel(
            &name.clone(),
            2,
            move |seen: &mut Seen, _, item: Option<u32>| {
                assert!(item.is_some());
                seen.note(&name, &panics);
                Ok(())
            },
        )
        .unwrap();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    sender
}

/// What all see where nothing of the one that panics counts.
fn expected(panics: &str) -> BTreeMap<String, u32> {
    let all = KINDS.into_iter().chain(WORK).flat_map(|kind| {
        let times = match kind {
            "socket" | "stream" | "channel" => 2,
            _ => 1,
        };
        (0..3).map(move |number| (format!("{kind}-{number}"), times))
    });
    all.filter(|(name, _)| name != panics).collect()
}

/// Does one turn, which panics.
fn turn_that_panics<S: 'static>(reactor: &mut Reactor<S>, seen: &mut S) {
    let turn = AssertUnwindSafe(|| reactor.turn(seen, Some(BOUND)));
    let panic = catch_unwind(turn).expect_err("it did not pass through");
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or(panic.downcast_ref::<&str>().copied()).unwrap();
    assert!(said.contains("on purpose"), "{said}");
}

/// Has one of a crowd panic, and everything else arrive once.
fn survive(backend: Backend, panics: &str) -> Vec<(String, String)> {
    let (mut reactor, kept) = crowd(backend, panics);
    let mut seen = Seen::default();
    turn_that_panics(&mut reactor, &mut seen);
    assert_eq!(seen.removed, [], "that is for the next turn");
    let expected = expected(panics);
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.counts.values().sum::<u32>() >= expected.values().sum()
    });
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen.counts, expected, "where {panics} panicked");
    // And it goes on like that.
    let before = seen.counts.values().sum::<u32>();
    let mut sent = 0;
    for (number, socket) in kept.0.iter().enumerate() {
        // One that was removed has nobody to speak to, and would wait for somebody.
        if panics != format!("socket-{number}") {
            socket.send("three", zmq::DONTWAIT).unwrap();
            sent += 1;
        }
    }
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.counts.values().sum::<u32>() == before + sent
    });
    seen.removed
}

fn a_panic_of_a_source_costs_nobody_else_anything(backend: Backend) {
    for kind in KINDS {
        let name = format!("{kind}-1");
        let removed = survive(backend, &name);
        assert_eq!(removed, [(name, "its handler panicked".to_owned())]);
    }
}

fn a_panic_of_posted_or_deferred_work_costs_nobody_else_anything(backend: Backend) {
    for kind in WORK {
        let removed = survive(backend, &format!("{kind}-1"));
        assert_eq!(removed, [], "there is nothing to remove");
    }
}

fn a_hook_that_panics_is_removed(backend: Backend) {
    let mut reactor = common::reactor::<Seen>(backend);
    let scope = reactor.scope();
    for name in ["first", "second", "third"] {
        scope
            .add_before_sleep(name, move |seen: &mut Seen, _| {
                seen.note(name, "second");
                Ok(())
            })
            .unwrap();
    }
    scope.on_removal(|seen: &mut Seen, _, removal| {
        seen.removed.push((removal.name, removal.error.to_string()));
    });
    let mut seen = Seen::default();
    turn_that_panics(&mut reactor, &mut seen);
    reactor.turn(&mut seen, Some(Duration::ZERO)).unwrap();
    assert_eq!(seen.removed.len(), 1);
    assert_eq!(seen.removed[0].0, "second");
    assert_eq!((seen.counts["first"], seen.counts["third"]), (2, 1));
}

fn a_run_goes_on_after_a_panic(backend: Backend) {
    let (mut reactor, _kept) = crowd(backend, "timer-1");
    let mut seen = Seen::default();
    let run = AssertUnwindSafe(|| reactor.run(&mut seen));
    assert!(catch_unwind(run).is_err(), "it did not pass through");
    let end = Instant::now() + BOUND;
    let expected = expected("timer-1");
    reactor
        .run_until(&mut seen, |seen| {
            assert!(Instant::now() < end, "{:?}", seen.counts);
            seen.counts == expected
        })
        .unwrap();
    assert_eq!(seen.removed.len(), 1);
}

fn an_error_that_preceded_a_panic_is_not_forgotten(backend: Backend) {
    let mut reactor = common::reactor::<()>(backend);
    let scope = reactor.scope();
    let now = scope.now();
    scope
        .add_timer("fails", now, |(), _, _| Err("in vain".into()))
        .unwrap();
    scope
        .add_timer("panics", now, |(), _, _| panic!("on purpose"))
        .unwrap();
    turn_that_panics(&mut reactor, &mut ());
    let error = reactor.turn(&mut (), Some(Duration::ZERO)).unwrap_err();
    assert!(
        matches!(&error, Error::Handler { name, .. } if name == "fails"),
        "{error}"
    );
}

/// Registers what it can, and panics.
struct Faint(Option<(UnixStream, zmq::Socket)>);

impl Source<u32> for Faint {
    fn start(&mut self, scope: &mut Scope<u32>, me: SourceKey) -> Result<(), Error> {
        let (stream, socket) = self.0.take().ok_or(Error::Stale)?;
        let now = scope.now();
        scope.own_timer(me, 0, now)?;
        scope.own_fd(me, 0, stream, Interest::READ)?;
        scope.own_socket(me, 0, socket, Interest::READ)?;
        panic!("on purpose");
    }

    fn on_event(&mut self, _: &mut u32, _: &mut Scope<u32>, _: Event) -> Result<(), BoxError> {
        Err("it never started".into())
    }
}

fn a_source_that_panics_when_it_starts_leaves_nothing_behind(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = common::reactor::<u32>(backend);
    reactor.scope().on_removal(|removed, _, _| *removed += 1);
    let before = format!("{reactor:?}");
    let (ours, theirs) = pair(&context);
    let (stream, mut far) = UnixStream::pair().unwrap();
    theirs.send("for nobody", 0).unwrap();
    far.write_all(b"for nobody").unwrap();
    let source = Faint(Some((stream, ours)));
    let add = AssertUnwindSafe(|| reactor.scope().add_source("faint", source));
    assert!(catch_unwind(add).is_err(), "it did not pass through");
    let mut removed = 0;
    turn_idly(&mut reactor, &mut removed);
    assert_eq!(format!("{reactor:?}"), before);
    assert_eq!(removed, 1, "it was reported");
}

fn frames_that_panic_leave_no_part_of_a_message_behind(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = common::reactor::<()>(backend);
    for (capacity, fatal) in [0, 10]
        .into_iter()
        .flat_map(|c| (0..3).map(move |f| (c, f)))
    {
        let (ours, theirs) = pair(&context);
        let key = reactor
            .scope()
            .add_socket("ours", ours, Interest::READ, |(), _, _, _| Ok(()))
            .unwrap();
        reactor.scope().queue_sends(key, capacity).unwrap();
        let frames = (0..3).map(|frame| {
            assert_ne!(frame, fatal, "on purpose");
            zmq::Message::from("broken")
        });
        let send = AssertUnwindSafe(|| reactor.scope().send(key, frames));
        assert!(catch_unwind(send).is_err(), "it did not pass through");
        reactor.scope().send(key, ["a whole", "message"]).unwrap();
        turn_idly(&mut reactor, &mut ());
        let arrived = theirs.recv_multipart(zmq::DONTWAIT).unwrap();
        assert_eq!(arrived, [&b"a whole"[..], b"message"]);
        assert!(theirs.recv_multipart(zmq::DONTWAIT).is_err(), "one came");
    }
}
