//! Ending in bounded time.
//!
//! libzmq ends a context only after every message was sent or its linger has passed, and waits for that without a
//! limit of its own. A program that ends must not hang there, so that the waiting is done by a thread that can be
//! left behind.

use std::mem::ManuallyDrop;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Ending {
    /// All is closed.
    Clean,
    /// The bound passed. A thread goes on closing; what it has not done when the process ends is left undone.
    Leaked,
}

/// Lets go of a context, and waits for its end for at most `bound`.
///
/// It ends when the last that holds it does: sockets and clones that live elsewhere keep it alive, and then this
/// returns [`Ending::Clean`] at once.
///
/// To be used in place of [`zmq::Context::destroy`], after which the drop of the context touches what was freed.
pub fn end_context(context: zmq::Context, bound: Duration) -> Ending {
    drop_within(context, bound)
}

/// Drops `value` on a thread of its own, and waits for at most `bound`.
pub(crate) fn drop_within<T: Send + 'static>(value: T, bound: Duration) -> Ending {
    // Where no thread can be started, the closure is dropped here, and must not take its time then: it leaks.
    let value = ManuallyDrop::new(value);
    let (done, ended) = mpsc::channel::<()>();
    let started = thread::Builder::new()
        .name("reactor-end".into())
        .spawn(move || {
            drop(ManuallyDrop::into_inner(value));
            drop(done);
        });
    if let Err(error) = started {
        tracing::warn!(%error, "no thread to close sockets on: they are leaked");
        return Ending::Leaked;
    }
    match ended.recv_timeout(bound) {
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => Ending::Clean,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            tracing::warn!(
                ?bound,
                "closing takes longer than its bound: it is left behind"
            );
            Ending::Leaked
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_context_without_sockets_ends_clean() {
        assert_eq!(
            end_context(zmq::Context::new(), Duration::from_secs(10)),
            Ending::Clean
        );
    }

    #[test]
    fn a_context_with_an_unsent_message_is_left_behind() {
        let context = zmq::Context::new();
        let socket = context.socket(zmq::PUSH).unwrap();
        // Nobody is there, and the socket would wait for somebody for ever.
        socket.set_linger(-1).unwrap();
        socket.connect("tcp://127.0.0.1:9").unwrap();
        socket.send("never", 0).unwrap();
        drop(socket);
        let begin = Instant::now();
        assert_eq!(
            end_context(context, Duration::from_millis(50)),
            Ending::Leaked
        );
        assert!(begin.elapsed() >= Duration::from_millis(50));
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
