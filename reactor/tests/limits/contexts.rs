//! Contexts that end under the reactor.

use reactor::{Backend, Error, Interest, Missed, Ready, SocketError, zmq};

use crate::common::{on_both, pair, reactor, terminate, turn_idly, turn_until};

on_both!(the_sockets_of_an_ended_context_fail_once_and_the_others_go_on,);

#[derive(Default)]
struct Seen {
    ended: Vec<Ready>,
    heard: u32,
    ticks: u32,
}

fn the_sockets_of_an_ended_context_fail_once_and_the_others_go_on(backend: Backend) {
    let (ending, staying) = (zmq::Context::new(), zmq::Context::new());
    let mut reactor = reactor::<Seen>(backend);
    let scope = reactor.scope();
    let reporting: Vec<_> = [zmq::DEALER, zmq::ROUTER, zmq::SUB]
        .map(|kind| {
            let socket = ending.socket(kind).unwrap();
            scope
                .add_socket(
                    "ended",
                    socket,
                    Interest::READ,
                    |seen: &mut Seen, _, _, ready| {
                        seen.ended.push(ready);
                        Ok(())
                    },
                )
                .unwrap()
        })
        .into();
    // Who wants to hear of nothing hears of nothing.
    let paused = scope
        .add_socket(
            "paused",
            ending.socket(zmq::PULL).unwrap(),
            Interest::NONE,
            |_, _, _, _| Err("it is paused".into()),
        )
        .unwrap();
    let (ours, theirs) = pair(&staying);
    let mut frames = Vec::new();
    scope
        .add_socket(
            "staying",
            ours,
            Interest::READ,
            move |seen, scope, key, _| {
                seen.heard += u32::from(scope.recv(key, &mut frames)?);
                Ok(())
            },
        )
        .unwrap();
    let period = std::time::Duration::from_millis(1);
    scope
        .add_interval("ticks", period, Missed::Skip, |seen, _, _| {
            seen.ticks += 1;
            Ok(())
        })
        .unwrap();

    let again = ending.clone();
    let ender = terminate(ending);
    let mut seen = Seen::default();
    turn_until(&mut reactor, &mut seen, |seen| seen.ended.len() == 3);
    theirs.send("still here", 0).unwrap();
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.heard == 1 && seen.ticks > 3
    });
    turn_idly(&mut reactor, &mut seen);
    assert_eq!(seen.ended.len(), 3, "each was told once");
    assert!(
        seen.ended
            .iter()
            .all(|ready| ready.error && !ready.readable && !ready.writable)
    );

    let scope = reactor.scope();
    let built = reactor::SocketBuilder::new(zmq::PUB).build(&again);
    assert_eq!(built.err(), Some(SocketError::ContextEnded));
    std::mem::forget(again);
    for key in reporting.into_iter().chain([paused]) {
        assert!(matches!(
            scope.recv(key, &mut Vec::new()),
            Err(Error::Zmq(zmq::Error::ETERM))
        ));
        assert!(scope.remove_socket(key).is_some());
    }
    ender.join().unwrap().unwrap();
    theirs.send("and after it", 0).unwrap();
    turn_until(&mut reactor, &mut seen, |seen| seen.heard == 2);
}
