//! The front end between real clients, a real server and a real node.

mod abuse;
mod forwarding;
mod gates;
mod limits;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reactor::Reactor;
use rustix::net::{SendFlags, send, sockopt};

use crate::core::{Config, Role};
use crate::run::config::{TcpConfig, Vote};
use crate::run::front::{FrontCounts, FrontEnds, FrontEvent, Gate};
use crate::server::{Handle, Server};

/// The bound of a wait that must succeed.
const BOUND: Duration = Duration::from_secs(20);
/// How long it is looked whether something happens that must not.
const MOMENT: Duration = Duration::from_millis(150);

/// A node of a pair whose peer is not there.
struct Node {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// One that does not serve.
    fn passive() -> Self {
        let (give, taken) = channel();
        let thread = thread::spawn(move || {
            let mut reactor = Reactor::<()>::builder().signals(false).build().unwrap();
            let node = Server::new(
                Config::new(Role::Backup),
                "tcp://127.0.0.1:*",
                // Nobody is there, nor will be.
                "tcp://127.0.0.1:1",
            );
            let handle = node.without_voters().attach(reactor.scope()).unwrap();
            give.send(handle).unwrap();
            reactor.run(&mut ()).unwrap();
        });
        Self {
            handle: taken.recv_timeout(BOUND).unwrap(),
            thread: Some(thread),
        }
    }

    /// One that serves.
    fn active() -> Self {
        let node = Self::passive();
        node.promote();
        node
    }

    fn promote(&self) {
        self.handle.promote(BOUND).unwrap();
        assert!(self.handle.may_serve());
    }

    /// It serves no longer.
    fn end(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        assert!(!self.handle.may_serve());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// A front end, its node, and where its server listens.
struct Rig {
    ends: FrontEnds,
    events: Receiver<FrontEvent>,
    server: TcpListener,
    node: Node,
}

impl Rig {
    /// With an active node.
    fn new(change: impl FnOnce(&mut TcpConfig)) -> Self {
        Self::with_node(Node::active(), change)
    }

    /// The same, and the gate open.
    fn open(change: impl FnOnce(&mut TcpConfig)) -> Self {
        let rig = Self::new(change);
        rig.ends.set_gate(Gate::Open);
        rig
    }

    fn with_node(node: Node, change: impl FnOnce(&mut TcpConfig)) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = config(server.local_addr().unwrap());
        change(&mut config);
        let (tell, events) = channel();
        let tell = Box::new(move |event| {
            let _ = tell.send(event);
        });
        let ends = FrontEnds::start(&[config], &[], node.handle.clone(), tell).unwrap();
        Self {
            ends,
            events,
            server,
            node,
        }
    }

    fn address(&self) -> SocketAddr {
        self.ends.endpoints()[0].parse().unwrap()
    }

    fn counts(&self) -> &FrontCounts {
        &self.ends.views()[0].counts
    }

    /// Waits until so many clients are connected.
    fn wait_open(&self, count: usize) {
        wait("the count of clients", || {
            self.counts().open.load(Ordering::Relaxed) == count
        });
    }

    /// A client. While nobody listens yet it tries again.
    fn client(&self) -> TcpStream {
        let deadline = Instant::now() + BOUND;
        loop {
            match TcpStream::connect(self.address()) {
                Ok(stream) => return bounded(stream),
                Err(error) if error.kind() != ErrorKind::ConnectionRefused => panic!("{error}"),
                Err(_) => assert!(Instant::now() < deadline, "nobody listens"),
            }
        }
    }

    /// The server's end of the next connection.
    fn accepted(&self) -> TcpStream {
        bounded(self.server.accept().unwrap().0)
    }

    /// A client that is served, and the server's end.
    fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.client();
        (client, self.accepted())
    }

    fn wait_refused(&self) {
        wait("a refusal", || is_refused(self.address()));
    }

    /// Has the front end's thread stand still from here on, until that is [over](Pause::end).
    fn pause(&self) -> Pause {
        pause(&self.ends)
    }

    fn expect(&self, event: FrontEvent) {
        assert_eq!(self.events.recv_timeout(BOUND), Ok(event));
    }

    fn expect_silence(&self) {
        assert!(self.events.recv_timeout(MOMENT).is_err());
    }
}

/// A moment in which the thread of the front ends does not run, as if the machine were paused or too busy.
struct Pause {
    begun: Receiver<()>,
    end: Sender<()>,
}

impl Pause {
    /// Waits until it has begun.
    fn begun(self) -> Self {
        self.begun.recv_timeout(BOUND).unwrap();
        self
    }

    fn end(self) {
        // It goes on as soon as nobody can tell it to.
        drop(self.end);
    }
}

fn pause(ends: &FrontEnds) -> Pause {
    let (begin, begun) = channel();
    let (end, ended) = channel::<()>();
    ends.interpose(move || {
        // Nobody waits for it to begin where one pause follows on another.
        let _ = begin.send(());
        let _ = ended.recv_timeout(BOUND);
    });
    Pause { begun, end }
}

fn config(server: SocketAddr) -> TcpConfig {
    TcpConfig {
        name: "front".to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        server,
        vote: Vote::Data,
        connect_timeout: BOUND,
        idle_timeout: None,
        max_connections: 1000,
        max_connections_given: true,
        proxy_protocol: false,
    }
}

fn is_refused(address: SocketAddr) -> bool {
    matches!(TcpStream::connect(address), Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

fn bounded(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.set_write_timeout(Some(BOUND)).unwrap();
    stream
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn say(stream: &mut TcpStream, words: &str) {
    stream.write_all(words.as_bytes()).unwrap();
}

/// Reads exactly these words.
fn hears(stream: &mut TcpStream, words: &str) {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), words);
}

/// Reads the end.
fn hears_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

/// The connection is broken, and not merely ended.
fn is_reset(stream: &mut TcpStream) {
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
}

/// Nothing comes for a moment.
fn hears_nothing(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(MOMENT)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    stream.set_read_timeout(Some(BOUND)).unwrap();
}

/// Breaks a connection.
fn break_off(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// Descriptors of this process that are sockets or pipes, of all tests together.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}
