//! Queues that hold as much as they may.

use std::sync::atomic::{AtomicU32, Ordering};

use reactor::{Backend, Error, Interest, PostError, SendError, SocketBuilder, zmq};

use crate::common::{builder, on_both, reactor, turn_until};

on_both!(
    a_full_channel_refuses_and_takes_again,
    a_full_post_queue_refuses_and_takes_again,
    a_full_send_queue_refuses_and_takes_again,
);

fn a_full_channel_refuses_and_takes_again(backend: Backend) {
    let mut reactor = reactor::<Vec<u32>>(backend);
    let (sender, _) = reactor
        .scope()
        .add_channel("items", 3, |seen: &mut Vec<u32>, _, item| {
            seen.extend(item);
            Ok(())
        })
        .unwrap();
    let mut seen = Vec::new();
    for round in 0..3 {
        for item in 0..3 {
            sender.send(round * 3 + item).unwrap();
        }
        let error = sender.send(99).unwrap_err();
        assert!(matches!(error, SendError::Full(99)));
        assert_eq!(error.to_string(), "the channel is full");
        turn_until(&mut reactor, &mut seen, |seen| {
            seen.len() == (round as usize + 1) * 3
        });
    }
    assert!(seen.into_iter().eq(0..9));
}

fn a_full_post_queue_refuses_and_takes_again(backend: Backend) {
    let mut reactor = builder(backend).post_capacity(3).build::<u32>().unwrap();
    let handle = reactor.handle();
    let mut ran = 0;
    for round in 1..=3 {
        for _ in 0..3 {
            handle.post(|ran, _| *ran += 1).unwrap();
        }
        let error = handle.post(|_, _| panic!("it was refused")).unwrap_err();
        assert_eq!(error, PostError::Full);
        assert_eq!(error.to_string(), "the queue of posted work is full");
        turn_until(&mut reactor, &mut ran, |ran| *ran == round * 3);
    }
}

fn a_full_send_queue_refuses_and_takes_again(backend: Backend) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let context = zmq::Context::new();
    let endpoint = format!("inproc://full-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let pull = SocketBuilder::new(zmq::PULL)
        .recv_hwm(1)
        .bind(&endpoint)
        .build(&context)
        .unwrap();
    let push = SocketBuilder::new(zmq::PUSH)
        .send_hwm(1)
        .connect(&endpoint)
        .build(&context)
        .unwrap();
    let mut reactor = reactor::<Vec<u32>>(backend);
    let scope = reactor.scope();
    let key = scope
        .add_socket("push", push, Interest::NONE, |_, _, _, _| Ok(()))
        .unwrap();
    // Without a queue, the socket's own room is all there is.
    let (mut sent, error) = fill(scope, key, 0);
    assert!(matches!(error, Error::WouldBlock), "{error:?}");
    scope.queue_sends(key, 3).unwrap();
    let (queued, error) = fill(scope, key, sent);
    assert!(matches!(error, Error::QueueFull), "{error:?}");
    assert_eq!(error.to_string(), "the send queue of the socket is full");
    assert_eq!(queued, 3);
    sent += queued;

    // As soon as somebody reads, it empties itself.
    let mut frames = Vec::new();
    scope
        .add_socket(
            "pull",
            pull,
            Interest::READ,
            move |seen: &mut Vec<u32>, scope, key, _| {
                if scope.recv(key, &mut frames)? {
                    seen.push(u32::from_le_bytes(frames[0][..].try_into()?));
                }
                Ok(())
            },
        )
        .unwrap();
    let mut seen = Vec::new();
    turn_until(&mut reactor, &mut seen, |seen| seen.len() == sent as usize);
    assert_eq!(reactor.scope().queued(key).unwrap().waiting, 0);
    let again = reactor.scope().send(key, [&sent.to_le_bytes()[..]]);
    again.unwrap();
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.len() == sent as usize + 1
    });
    assert!(seen.into_iter().eq(0..=sent));
}

/// Sends numbers from `first` on until that is refused; tells how many went, and why no more.
fn fill<S: 'static>(
    scope: &mut reactor::Scope<S>,
    key: reactor::SocketKey,
    first: u32,
) -> (u32, Error) {
    for sent in 0..1000 {
        if let Err(error) = scope.send(key, [&(first + sent).to_le_bytes()[..]]) {
            return (sent, error);
        }
    }
    panic!("there is no end to it");
}
