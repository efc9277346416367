//! Servers that do what a script says.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Far above what anything here takes; a test that waits so long has failed.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) type Frames = Vec<Vec<u8>>;

/// What a server sends for a request, from the client's first frame on: nothing, one message or
/// several.
pub(crate) type Script = Box<dyn FnMut(&Frames) -> Vec<Frames> + Send>;

/// A ROUTER in a thread, until it is dropped.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// On a free port of this process's own loopback address.
    pub(crate) fn start(script: Script) -> Self {
        Self::start_at(&format!("tcp://{}:*", own_address()), script)
    }

    pub(crate) fn start_at(endpoint: &str, script: Script) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (bound, endpoint) = (mpsc::channel(), endpoint.to_owned());
        let (tell, counter, flag) = (bound.0, Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || run(&endpoint, script, &tell, &counter, &flag));
        let endpoint = bound
            .1
            .recv_timeout(BOUND)
            .expect("the scripted server is bound");
        Self {
            endpoint,
            requests,
            stop,
            thread: Some(thread),
        }
    }

    /// Requests that it got and treated as its script says.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn wait_for_requests(&self, count: usize) {
        wait_until("requests at the scripted server", || {
            self.requests() >= count
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "a scripted server panicked"
            );
        }
    }
}

pub(crate) fn echo() -> Script {
    Box::new(|request| vec![request.clone()])
}

pub(crate) fn refuse() -> Script {
    Box::new(|request| vec![refusal(request)])
}

pub(crate) fn refusal(request: &Frames) -> Frames {
    let text = b"bstar-no state=passive epoch=6".to_vec();
    vec![request[0].clone(), vec![], text]
}

pub(crate) fn silent() -> Script {
    Box::new(|_| vec![])
}

/// An endpoint where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind((own_address(), 0)).expect("a free port");
    format!(
        "tcp://{}",
        listener
            .local_addr()
            .expect("a bound socket has an address")
    )
}

/// A loopback address of this process, so that test programs that run side by side do not meet.
pub(crate) fn own_address() -> String {
    let id = std::process::id();
    format!(
        "127.{}.{}.{}",
        1 + (id >> 16) % 250,
        (id >> 8) % 256,
        1 + id % 250
    )
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < BOUND, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn run(
    endpoint: &str,
    mut script: Script,
    bound: &mpsc::Sender<String>,
    requests: &AtomicUsize,
    stop: &AtomicBool,
) {
    let context = zmq::Context::new();
    let router = context.socket(zmq::ROUTER).unwrap();
    router.set_linger(0).unwrap();
    // The port of a server that has just ended may need a moment.
    wait_until("the endpoint to be free", || router.bind(endpoint).is_ok());
    bound
        .send(router.get_last_endpoint().unwrap().unwrap())
        .unwrap();
    while !stop.load(Ordering::SeqCst) {
        if router.poll(zmq::POLLIN, 5).unwrap() == 0 {
            continue;
        }
        let mut request = router.recv_multipart(0).unwrap();
        let id = request.remove(0);
        let replies = script(&request);
        // Before the client can know of it.
        requests.fetch_add(1, Ordering::SeqCst);
        for reply in replies {
            let frames = std::iter::once(id.clone()).chain(reply);
            // Whoever asked may have gone.
            let _ = router.send_multipart(frames, zmq::DONTWAIT);
        }
    }
}
