//! The clients of a server that is to be ended.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tests::{BOUND, Namespace, Outcome, ensure, port};

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clients {
    /// They ask, and read what they are answered.
    Polite,
    /// They ask without end and read nothing, until there is no room for an answer.
    Deaf,
    /// They connect, to the front end and to the state channel, and say nothing, or half a greeting.
    Mute,
}

impl Clients {
    pub(crate) const ALL: [Self; 3] = [Self::Polite, Self::Deaf, Self::Mute];
}

/// Sockets of each kind.
const POLITE: usize = 2;
const DEAF: usize = 3;
const MUTE: usize = 16;

/// So often in a row the same number of bytes waits to leave when there is no room for more.
const FULL_SAMPLES: usize = 6;

/// Requests that a deaf client sends at a time.
const DEAF_BURST: usize = 60;

/// Bytes of a deaf client's request.
const DEAF_BYTES: usize = 4096;

/// What clients are told.
#[derive(Default)]
struct Signs {
    full: AtomicBool,
    ends: AtomicBool,
}

/// Clients at work, until they are dropped.
pub(crate) struct Crowd {
    signs: Arc<Signs>,
    threads: Vec<JoinHandle<()>>,
    _mute: Vec<TcpStream>,
}

impl Crowd {
    /// Lets clients loose on a server, and waits until they have had their effect. `pid` is the
    /// server's, whose network they join.
    pub(crate) fn gather(
        clients: Clients,
        frontend: &str,
        local: &str,
        network: Option<&Namespace>,
        pid: u32,
    ) -> Outcome<Self> {
        let mut crowd = Self {
            signs: Arc::default(),
            threads: Vec::new(),
            _mute: Vec::new(),
        };
        let within = |connect: &(dyn Fn() -> Outcome<Vec<zmq::Socket>> + Sync)| match network {
            Some(network) => network.within(connect),
            None => connect(),
        };
        // Some are polite in any case: the server is asked, whatever the others do.
        let polite = within(&|| (0..POLITE).map(|_| connect(frontend, false)).collect())?;
        for socket in polite {
            crowd.set_to_work(move |signs| ask(&socket, signs));
        }
        match clients {
            Clients::Polite => {}
            Clients::Deaf => {
                let deaf = within(&|| (0..DEAF).map(|_| connect(frontend, true)).collect())?;
                for socket in deaf {
                    crowd.set_to_work(move |signs| flood(&socket, signs));
                }
                wait_until_full(pid, port(frontend))?;
                crowd.signs.full.store(true, Ordering::Relaxed);
            }
            Clients::Mute => {
                // Nobody gets through to the state channel of a link that is cut.
                let endpoints = match network {
                    Some(_) => vec![frontend],
                    None => vec![frontend, local],
                };
                let connect = || mute(&endpoints);
                crowd._mute = match network {
                    Some(network) => network.within(connect),
                    None => connect(),
                }?;
            }
        }
        Ok(crowd)
    }

    fn set_to_work(&mut self, work: impl FnOnce(&Signs) + Send + 'static) {
        let signs = Arc::clone(&self.signs);
        self.threads.push(thread::spawn(move || work(&signs)));
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.signs.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has already said so.
            let _ = thread.join();
        }
    }
}

fn connect(frontend: &str, deaf: bool) -> Outcome<zmq::Socket> {
    let connected = || {
        let socket = zmq::Context::new().socket(zmq::DEALER)?;
        socket.set_linger(0)?;
        if deaf {
            socket.set_rcvhwm(1)?;
            socket.set_rcvbuf(4096)?;
        }
        socket.connect(frontend)?;
        Ok(socket)
    };
    connected().map_err(|error: zmq::Error| format!("{frontend}: {error}"))
}

/// The first frames of a request of our client, which is refused by word.
fn envelope() -> [Vec<u8>; 2] {
    [b"bstar-cli/1 00000000000000ff 1".to_vec(), Vec::new()]
}

fn ask(socket: &zmq::Socket, signs: &Signs) {
    let [first, empty] = envelope();
    while !signs.ends.load(Ordering::Relaxed) {
        // While the server is away there is no room.
        let _ = socket.send_multipart([&first[..], &empty, b"hello"], zmq::DONTWAIT);
        while socket.recv_multipart(zmq::DONTWAIT).is_ok() {}
        thread::sleep(Duration::from_millis(2));
    }
}

fn flood(socket: &zmq::Socket, signs: &Signs) {
    let [first, empty] = envelope();
    let body = vec![b'x'; DEAF_BYTES];
    while !signs.ends.load(Ordering::Relaxed) {
        for _ in 0..DEAF_BURST {
            let _ = socket.send_multipart([&first[..], &empty, &body], zmq::DONTWAIT);
        }
        // What is tested is the server, and not how this machine bears a flood.
        let is_full = signs.full.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(if is_full { 50 } else { 1 }));
    }
}

/// Waits until the system takes no more of what the server has answered, since nobody fetches it.
fn wait_until_full(pid: u32, port: u16) -> Outcome<()> {
    let end = Instant::now() + BOUND;
    let (mut before, mut unchanged) = (0, 0);
    while unchanged < FULL_SAMPLES {
        ensure(Instant::now() < end, || "nothing piles up".to_owned())?;
        thread::sleep(Duration::from_millis(5));
        let waiting = waiting_to_leave(pid, port)?;
        let is_full = waiting > 0 && waiting == before;
        unchanged = if is_full { unchanged + 1 } else { 0 };
        before = waiting;
    }
    Ok(())
}

/// Bytes that wait to leave from this port of the process, on the connection on which most do.
fn waiting_to_leave(pid: u32, port: u16) -> Outcome<u64> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).map_err(|e| e.to_string())?;
    let own = format!(":{port:04X}");
    let queue = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let is_own = words.next().is_some_and(|local| local.ends_with(&own));
        let (waiting, _) = words.nth(2)?.split_once(':')?;
        is_own.then(|| u64::from_str_radix(waiting, 16).ok())?
    };
    Ok(table.lines().filter_map(queue).max().unwrap_or(0))
}

fn mute(endpoints: &[&str]) -> Outcome<Vec<TcpStream>> {
    let mut streams = Vec::new();
    for n in 0..MUTE {
        let address = endpoints[n % endpoints.len()].trim_start_matches("tcp://");
        let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        if n % 3 == 0 {
            // The begin of a greeting of ZMTP.
            let _ = stream.write_all(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]);
        }
        streams.push(stream);
    }
    Ok(streams)
}
