//! What the suites share.

// Each suite is a crate of its own and uses its part of this.
#![allow(dead_code, unused_imports, unused_macros)]

use std::time::{Duration, Instant};

use reactor::{Backend, Builder, Reactor, zmq};

/// Makes a test of each function, on each back end.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod mio {
            $(#[test] fn $name() { super::$name(reactor::Backend::Mio); })*
        }
        mod polling {
            $(#[test] fn $name() { super::$name(reactor::Backend::Polling); })*
        }
    };
}
pub(crate) use on_both;

/// No condition takes this long, unless it never comes.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) fn builder(backend: Backend) -> Builder {
    Builder::new().backend(backend).signals(false)
}

pub(crate) fn reactor<S: 'static>(backend: Backend) -> Reactor<S> {
    builder(backend).build().unwrap()
}

/// Turns the reactor until `done`, and fails where that does not come.
pub(crate) fn turn_until<S: 'static>(
    reactor: &mut Reactor<S>,
    state: &mut S,
    mut done: impl FnMut(&mut S) -> bool,
) {
    let end = Instant::now() + BOUND;
    while !done(state) {
        assert!(Instant::now() < end, "the condition did not come true");
        reactor
            .turn(state, Some(end.saturating_duration_since(Instant::now())))
            .unwrap();
    }
}

/// Does turns that do not sleep, to see that nothing more happens.
pub(crate) fn turn_idly<S: 'static>(reactor: &mut Reactor<S>, state: &mut S) {
    for _ in 0..10 {
        reactor.turn(state, Some(Duration::ZERO)).unwrap();
    }
}

/// Two connected sockets in one process, without limits to what may wait between them: what one sends is there for
/// the other at once.
pub(crate) fn pair(context: &zmq::Context) -> (zmq::Socket, zmq::Socket) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let endpoint = format!("inproc://pair-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let (left, right) = (
        context.socket(zmq::PAIR).unwrap(),
        context.socket(zmq::PAIR).unwrap(),
    );
    for socket in [&left, &right] {
        socket.set_sndhwm(0).unwrap();
        socket.set_rcvhwm(0).unwrap();
        socket.set_linger(0).unwrap();
    }
    left.bind(&endpoint).unwrap();
    right.connect(&endpoint).unwrap();
    (left, right)
}

/// Terminates a context on a thread of its own, where it waits until every socket is closed.
pub(crate) fn terminate(mut context: zmq::Context) -> std::thread::JoinHandle<zmq::Result<()>> {
    std::thread::spawn(move || {
        let ended = context.destroy();
        // Its drop would terminate once more what libzmq has freed by now: the crate knows no better.
        std::mem::forget(context);
        ended
    })
}
