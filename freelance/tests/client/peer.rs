//! Servers on bare `zmq`, each on a thread of its own, which behave as the test says.

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use freelance::Model;

/// Frames of a message.
pub(crate) type Frames = Vec<Vec<u8>>;

const LOOK: i64 = 5;
/// What waits for something that should be there at once waits so long.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What a server does with a message: it gets all frames, those of the envelope too, and says what to send.
pub(crate) trait Behaviour: FnMut(Frames) -> Vec<Frames> + Send + 'static {}
impl<F: FnMut(Frames) -> Vec<Frames> + Send + 'static> Behaviour for F {}

/// A server. Dropped, it goes, with its port.
pub(crate) struct Peer {
    endpoint: String,
    seen: Arc<Mutex<Vec<Frames>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// A server that echoes what it is asked, as those of the model do.
    pub(crate) fn echo(model: Model) -> Self {
        Self::start(model, echo(model))
    }

    /// A server at a free port.
    pub(crate) fn start(model: Model, behaviour: impl Behaviour) -> Self {
        Self::start_at(model, &free_endpoint(), None, behaviour)
    }

    /// A server at this endpoint, which calls itself so, or otherwise.
    pub(crate) fn start_at(
        model: Model,
        endpoint: &str,
        identity: Option<&str>,
        behaviour: impl Behaviour,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (bound, is_bound) = mpsc::channel();
        let thread = {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            let (endpoint, identity) = (endpoint.to_owned(), identity.map(str::to_owned));
            thread::spawn(move || {
                let context = zmq::Context::new();
                let socket = context.socket(zmq::ROUTER).unwrap();
                socket.set_linger(0).unwrap();
                if model == Model::Three {
                    let identity = identity.as_deref().unwrap_or(&endpoint);
                    socket.set_identity(identity.as_bytes()).unwrap();
                }
                bind(&socket, &endpoint);
                bound.send(()).unwrap();
                serve(&socket, &seen, &stop, behaviour);
            })
        };
        is_bound.recv().expect("the server binds");
        Self {
            endpoint: endpoint.to_owned(),
            seen,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it has received, pings too, each without the identity of the sender.
    pub(crate) fn seen(&self) -> MutexGuard<'_, Vec<Frames>> {
        self.seen.lock().unwrap()
    }

    /// The requests among that.
    pub(crate) fn requests(&self) -> Vec<Frames> {
        let seen = self.seen();
        seen.iter().filter(|m| m.len() > 1).cloned().collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the server failed");
        }
    }
}

/// Answers as servers of the model do, PINGs included.
pub(crate) fn echo(model: Model) -> impl FnMut(Frames) -> Vec<Frames> + Send + 'static {
    move |message| match model {
        Model::Three if message.len() == 2 => pong(message),
        Model::Two => {
            // Identity, control, delimiter, sequence, body: OK comes in between.
            let mut reply = message;
            reply.insert(4, b"OK".to_vec());
            vec![reply]
        }
        Model::One | Model::Three => vec![message],
    }
}

/// Answers PINGs, and nothing else.
pub(crate) fn mute(message: Frames) -> Vec<Frames> {
    if message.len() == 2 {
        pong(message)
    } else {
        Vec::new()
    }
}

fn pong(message: Frames) -> Vec<Frames> {
    assert_eq!(message[1], b"PING");
    vec![vec![message[0].clone(), b"PONG".to_vec()]]
}

/// An endpoint at which nobody listens, handed out once. The address is this process's own, so that no other test takes
/// the port, and an outgoing connection to it, which leaves from 127.0.0.1, does not either.
pub(crate) fn free_endpoint() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let port = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("tcp://127.{}.{middle}.{low}:{port}", 64 + high % 64)
}

/// Waits until it is so.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The port of a server that is gone may be busy for a moment still.
fn bind(socket: &zmq::Socket, endpoint: &str) {
    let end = Instant::now() + SOON;
    while let Err(error) = socket.bind(endpoint) {
        assert!(Instant::now() < end, "{endpoint}: {error}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn serve(
    socket: &zmq::Socket,
    seen: &Mutex<Vec<Frames>>,
    stop: &AtomicBool,
    mut behaviour: impl Behaviour,
) {
    while !stop.load(Ordering::Relaxed) {
        if socket.poll(zmq::POLLIN, LOOK).unwrap() == 0 {
            continue;
        }
        let message = socket.recv_multipart(0).unwrap();
        seen.lock().unwrap().push(message[1..].to_vec());
        for reply in behaviour(message) {
            socket.send_multipart(reply, zmq::DONTWAIT).unwrap();
        }
    }
}
