//! A node that is kept busy, by its clients, its own callbacks, threads, or whoever listens.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bstar::core::State;
use bstar::{Config, Handle, Role, Server};
use reactor::Builder;

/// Ends a test that hangs.
const BOUND: Duration = Duration::from_secs(20);

fn ports<const N: usize>() -> [String; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|l| format!("tcp://{}", l.local_addr().unwrap()))
}

fn config(role: Role, heartbeat: Duration) -> Config {
    Config::new(role).with_heartbeat(heartbeat).unwrap()
}

struct Node {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn start(build: impl FnOnce() -> Server<()> + Send + 'static) -> Node {
        let (handles, handle) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let mut reactor = Builder::new().signals(false).build().unwrap();
            handles
                .send(build().attach(reactor.scope()).unwrap())
                .unwrap();
            reactor.run(&mut ()).unwrap();
        });
        Node {
            handle: handle.recv_timeout(BOUND).unwrap(),
            thread: Some(thread),
        }
    }

    fn state(&self) -> State {
        self.handle.status(BOUND).unwrap().state
    }

    fn wait_for(&self, state: State) {
        wait(&format!("{state:?}"), || self.state() == state);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of its own has been printed.
            let _ = thread.join();
        }
    }
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "this did not come about: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn dealer(endpoint: &str) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::DEALER).unwrap();
    socket.set_linger(0).unwrap();
    socket
        .set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
        .unwrap();
    socket.connect(endpoint).unwrap();
    socket
}

/// Requests that take a fraction of a heartbeat each, and queue for many.
#[test]
fn a_queue_of_requests_does_not_silence_an_active_node() {
    const REQUESTS: u32 = 24;
    let heartbeat = Duration::from_millis(500);
    let [states, other, frontend] = ports();
    let (mine, theirs) = (states.clone(), other.clone());
    let backup = Node::start(move || {
        Server::new(config(Role::Backup, heartbeat), theirs, mine).without_voters()
    });
    let primary = Node::start(move || {
        Server::new(config(Role::Primary, heartbeat), states, other).frontend(
            frontend,
            move |(), scope, request| {
                thread::sleep(heartbeat / 5);
                Ok(request.echo(scope)?)
            },
        )
    });
    primary.wait_for(State::Active);
    backup.wait_for(State::Passive);
    let client = dealer(&primary.handle.frontend_endpoints()[0]);
    for _ in 0..REQUESTS {
        client.send("x", 0).unwrap();
    }
    for _ in 0..REQUESTS {
        // Each answer gives the backup a chance to believe that its peer is gone.
        client.recv_msg(0).unwrap();
        assert_eq!(
            backup.handle.vote(BOUND),
            Ok(false),
            "the primary lives, and serves"
        );
    }
    assert_eq!(primary.state(), State::Active);
}

#[test]
fn nobody_may_serve_before_a_callback_has_ended_or_after_one_that_took_too_long() {
    let heartbeat = Duration::from_millis(100);
    let [states, other] = ports();
    // Nanoseconds since the beginning, of the moment at which the callback last ended.
    let began = Instant::now();
    let entered = Arc::new(AtomicU64::new(0));
    let note = Arc::clone(&entered);
    let node = Node::start(move || {
        Server::new(config(Role::Primary, heartbeat), states, other)
            .without_voters()
            .on_active(move |(), _, _| {
                note.fetch_add(1, Ordering::SeqCst);
                thread::sleep(heartbeat * 3);
                Ok(())
            })
    });
    while entered.load(Ordering::SeqCst) < 2 && began.elapsed() < BOUND {
        assert!(!node.handle.may_serve());
        // It is voted active, is late by its own callback, and steps back: every time.
        assert_ne!(node.handle.vote(heartbeat / 2), Ok(true));
    }
    assert!(entered.load(Ordering::SeqCst) >= 2);
}

#[test]
fn a_rep_front_end_casts_no_vote_without_a_request() {
    let heartbeat = Duration::from_millis(100);
    let [states, other] = ports();
    let rep = zmq::Context::new().socket(zmq::REP).unwrap();
    rep.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = rep.get_last_endpoint().unwrap().unwrap();
    let node = Node::start(move || {
        Server::new(config(Role::Primary, heartbeat), states, other).voter(
            rep,
            move |(), scope, request| {
                // Away for so long that the node must step back.
                thread::sleep(heartbeat * 2);
                Ok(request.reply(scope, ["done"])?)
            },
        )
    });
    let client = zmq::Context::new().socket(zmq::REQ).unwrap();
    client.set_linger(0).unwrap();
    client
        .set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
        .unwrap();
    client.connect(&endpoint).unwrap();
    client.send("work", 0).unwrap();
    client.recv_msg(0).unwrap();
    node.wait_for(State::Resigned);
    // Nobody asks, for longer than the guard lasts.
    let until = Instant::now() + heartbeat * 5;
    while Instant::now() < until {
        assert_eq!(node.state(), State::Resigned);
        thread::sleep(heartbeat / 10);
    }
    client.send("work", 0).unwrap();
    client.recv_msg(0).unwrap();
}

#[test]
fn threads_that_ask_do_not_keep_a_node_from_its_peer() {
    let heartbeat = Duration::from_millis(300);
    let [states, other] = ports();
    let (mine, theirs) = (states.clone(), other.clone());
    let backup = Node::start(move || {
        Server::new(config(Role::Backup, heartbeat), theirs, mine).without_voters()
    });
    let primary = Node::start(move || {
        Server::new(config(Role::Primary, heartbeat), states, other).without_voters()
    });
    primary.wait_for(State::Active);
    backup.wait_for(State::Passive);
    let until = Instant::now() + heartbeat * 10;
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while Instant::now() < until {
                    primary.handle.status(BOUND).unwrap();
                }
            });
        }
        while Instant::now() < until {
            assert_eq!(backup.handle.vote(BOUND), Ok(false), "the primary lives");
        }
    });
    assert_eq!(primary.state(), State::Active);
}

/// A monitor that asks for metadata alone, or twice, and goes, beside a peer that never asked.
#[test]
fn a_bare_listener_never_gets_a_second_frame_whoever_else_listens() {
    let heartbeat = Duration::from_millis(50);
    let [states, other] = ports();
    let node = Node::start(move || {
        Server::new(config(Role::Primary, heartbeat), states, other).without_voters()
    });
    let context = zmq::Context::new();
    let listen = |topics: &[&str]| {
        let socket = context.socket(zmq::SUB).unwrap();
        socket.set_linger(0).unwrap();
        socket
            .set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
            .unwrap();
        socket.connect(node.handle.local_endpoint()).unwrap();
        for topic in topics {
            socket.set_subscribe(topic.as_bytes()).unwrap();
        }
        socket
    };
    let frames = |socket: &zmq::Socket| socket.recv_multipart(0).unwrap().len();

    let reader = listen(&["bstar/1", ""]);
    wait("a reader alone gets two", || frames(&reader) == 2);
    let _odd = listen(&["bstar/1"]);
    let _odder = listen(&["bstar/1", "bstar/1"]);
    let bare = listen(&[""]);
    for _ in 0..10 {
        assert_eq!(frames(&bare), 1);
    }
    drop(bare);
    wait("the reader gets two again", || frames(&reader) == 2);
}
