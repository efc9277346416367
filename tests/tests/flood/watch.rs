//! What is looked at while a pair is flooded: how late its heartbeats are, and whether those who behave are served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tests::{BOUND, Outcome, ensure};

use super::server::ASK;

/// Between two questions of one who behaves.
const PAUSE: Duration = Duration::from_millis(2);

/// Something that goes on until it is asked what it saw, or dropped.
pub(crate) struct Task<T> {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Outcome<T>>>,
}

impl<T: Send + 'static> Task<T> {
    pub(crate) fn start(task: impl FnOnce(&AtomicBool) -> Outcome<T> + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&ends);
        let thread = Some(thread::spawn(move || task(&shared)));
        Self { ends, thread }
    }
}

impl<T> Task<T> {
    /// Ends it.
    pub(crate) fn end(mut self) -> Outcome<T> {
        self.stop().unwrap_or_else(|| Err("it panicked".to_owned()))
    }

    fn stop(&mut self) -> Option<Outcome<T>> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// What one who behaves was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub(crate) answers: usize,
    pub(crate) slowest: Duration,
}

/// A client that asks and reads, all the time, on the connection that it has already.
pub(crate) fn polite(address: SocketAddr) -> Outcome<Task<Served>> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream
        .set_read_timeout(Some(BOUND))
        .map_err(|error| error.to_string())?;
    ask(&mut stream)?;
    Ok(Task::start(move |ends| {
        serve_well(ends, || ask(&mut stream))
    }))
}

/// Asks once, and waits for the answer.
pub(crate) fn ask(stream: &mut TcpStream) -> Outcome<()> {
    let mut answer = [0];
    stream
        .write_all(&[ASK])
        .and_then(|()| stream.read_exact(&mut answer))
        .map_err(|error| format!("a client that behaves: {error}"))?;
    ensure(answer == [ASK], || format!("{answer:?} is no answer"))
}

/// The same by ZeroMQ. Where no answer has come for `patience` it asks anew, by a new socket.
pub(crate) fn polite_zeromq(endpoint: &str, patience: Duration) -> Outcome<Task<Served>> {
    let endpoint = endpoint.to_owned();
    let open = move || -> zmq::Result<zmq::Socket> {
        let socket = zmq::Context::new().socket(zmq::REQ)?;
        socket.set_linger(0)?;
        socket.set_rcvtimeo(i32::try_from(patience.as_millis()).unwrap_or(i32::MAX))?;
        socket.connect(&endpoint)?;
        Ok(socket)
    };
    let mut socket = open().map_err(|error| error.to_string())?;
    let mut ask = move || {
        let bound = Instant::now() + BOUND;
        loop {
            let answer = socket
                .send(&[ASK][..], 0)
                .and_then(|()| socket.recv_bytes(0));
            match answer {
                Ok(answer) => {
                    return ensure(answer == [ASK], || format!("{answer:?} is no answer"));
                }
                Err(zmq::Error::EAGAIN) if Instant::now() < bound => {
                    socket = open().map_err(|error| error.to_string())?;
                }
                Err(error) => return Err(format!("a client of ZeroMQ that behaves: {error}")),
            }
        }
    };
    ask()?;
    Ok(Task::start(move |ends| serve_well(ends, ask)))
}

fn serve_well(ends: &AtomicBool, mut ask: impl FnMut() -> Outcome<()>) -> Outcome<Served> {
    let mut served = Served {
        answers: 0,
        slowest: Duration::ZERO,
    };
    while !ends.load(Ordering::Relaxed) {
        let since = Instant::now();
        ask()?;
        served.answers += 1;
        served.slowest = served.slowest.max(since.elapsed());
        thread::sleep(PAUSE);
    }
    Ok(served)
}

/// Listens to a node's state as its peer does, and tells the greatest excess over `heartbeat` between two of its
/// words. That it is late itself counts, too.
pub(crate) fn lateness(state_link: &str, heartbeat: Duration) -> Outcome<Task<Duration>> {
    let open = || -> zmq::Result<zmq::Socket> {
        let socket = zmq::Context::new().socket(zmq::SUB)?;
        socket.set_linger(0)?;
        socket.set_rcvtimeo(10)?;
        // In this order it never is one who reads bare digits only, which would silence the metadata for the peer.
        socket.set_subscribe(b"bstar/1")?;
        socket.set_subscribe(b"")?;
        socket.connect(state_link)?;
        Ok(socket)
    };
    let socket = open().map_err(|error| error.to_string())?;
    let bound = Instant::now() + BOUND;
    while socket.recv_multipart(0).is_err() {
        ensure(Instant::now() < bound, || format!("{state_link} is silent"))?;
    }
    Ok(Task::start(move |ends| {
        let mut heard = Instant::now();
        let mut greatest = Duration::ZERO;
        while !ends.load(Ordering::Relaxed) {
            let word = socket.recv_multipart(0);
            // What has not come yet is late as well.
            greatest = greatest.max(heard.elapsed().saturating_sub(heartbeat));
            if let Ok(frames) = word {
                heard = Instant::now();
                ensure(frames.len() == 2, || {
                    format!("whoever watches disturbs: {frames:?} has no metadata")
                })?;
            }
        }
        Ok(greatest)
    }))
}
