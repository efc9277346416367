//! Descriptors of the operating system.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use reactor::{Backend, BoxError, Error, Event, FdKey, Interest, Ready, Scope, Source, SourceKey};

use crate::common::{BOUND, on_both, reactor, turn_idly, turn_until};

on_both!(
    a_descriptor_is_reported_until_it_is_read,
    a_descriptor_is_reported_while_it_can_be_written,
    a_hang_up_can_be_read,
    a_broken_pipe_is_an_error,
    a_paused_descriptor_is_silent_and_loses_nothing,
    a_descriptor_is_known_by_its_type_and_can_be_taken_back,
    a_descriptor_registered_twice_is_refused_and_handed_back,
    a_regular_file_is_refused_and_handed_back,
    an_edge_is_told_once_and_what_is_left_when_asked_for,
);

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

/// Notes what it is told of a stream whose edges are watched, and does nothing about it but what the test has it do.
struct Edges {
    stream: Option<UnixStream>,
}

#[derive(Default)]
struct Told {
    key: Option<FdKey>,
    ready: Vec<Ready>,
}

impl Source<Told> for Edges {
    fn start(&mut self, scope: &mut Scope<Told>, me: SourceKey) -> Result<(), Error> {
        let stream = self.stream.take().unwrap();
        scope.own_edge_fd(me, 0, stream)?;
        Ok(())
    }

    fn on_event(
        &mut self,
        told: &mut Told,
        _scope: &mut Scope<Told>,
        event: Event,
    ) -> Result<(), BoxError> {
        if let Event::Fd { key, ready, .. } = event {
            told.key = Some(key);
            told.ready.push(ready);
        }
        Ok(())
    }
}

fn an_edge_is_told_once_and_what_is_left_when_asked_for(backend: Backend) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let mut reactor = reactor::<Told>(backend);
    let stream = Some(ours);
    reactor
        .scope()
        .add_source("edges", Edges { stream })
        .unwrap();
    let mut told = Told::default();
    turn_until(&mut reactor, &mut told, |told| !told.ready.is_empty());
    assert!(told.ready[0].writable && !told.ready[0].readable);
    turn_idly(&mut reactor, &mut told);
    assert_eq!(told.ready.len(), 1, "it can be written, and that is known");

    for arrival in 2..=3 {
        theirs.write_all(b"edge").unwrap();
        turn_until(&mut reactor, &mut told, |told| told.ready.len() >= arrival);
        turn_idly(&mut reactor, &mut told);
        assert_eq!(told.ready.len(), arrival, "once for each arrival");
        assert!(told.ready[arrival - 1].readable);
    }

    let key = told.key.unwrap();
    assert!(reactor.scope().call_again(key));
    assert!(reactor.scope().call_again(key));
    reactor.turn(&mut told, Some(BOUND)).unwrap();
    assert_eq!(told.ready.len(), 4, "once, however often it was asked for");
    turn_idly(&mut reactor, &mut told);
    assert_eq!(told.ready.len(), 4);

    drop(theirs);
    turn_until(&mut reactor, &mut told, |told| told.ready.len() >= 5);
    assert!(told.ready[4].readable && told.ready[4].ended);
    turn_idly(&mut reactor, &mut told);
    assert_eq!(told.ready.len(), 5, "the end is an arrival as any other");

    let fixed = reactor.scope().set_interest(key, Interest::READ);
    assert!(matches!(fixed, Err(Error::Invalid(_))));
    assert!(reactor.scope().remove_fd(key));
    assert!(!reactor.scope().call_again(key), "it is gone");
}
