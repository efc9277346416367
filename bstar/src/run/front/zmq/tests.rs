//! A front end between real sockets, beside a real node.

mod memory;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};

use reactor::{Builder, Handle as ReactorHandle};

use super::*;
use crate::client::{Client, Idempotent};
use crate::run::front::{FrontEvent, Gate, LONGEST_DRAIN};
use crate::run::rig::{BOUND, Node, wait};

const BOUND_MS: i32 = 20_000;
/// What did not come within this does not come. Only ever waited for where nothing is to come.
const MOMENT: Duration = Duration::from_millis(100);

/// A front end on a reactor of its own.
pub(super) struct Front {
    plane: ReactorHandle<Plane>,
    source: SourceKey,
    pub(super) endpoint: String,
    counts: Arc<FrontCounts>,
    events: Receiver<FrontEvent>,
    thread: Option<JoinHandle<()>>,
}

impl Front {
    pub(super) fn start(node: &Node, server: &str, max_waiting: usize) -> Front {
        // Other tests share the process, and its memory.
        let memory = Memory::new(u64::MAX);
        Front::start_at("tcp://127.0.0.1:*", node, server, max_waiting, memory)
    }

    fn start_at(
        listen: &str,
        node: &Node,
        server: &str,
        max_waiting: usize,
        memory: Memory,
    ) -> Front {
        let config = ZmqConfig {
            name: "front".to_owned(),
            listen: Endpoint::to_bind(listen).unwrap(),
            server: Endpoint::to_connect(server).unwrap(),
            max_waiting,
            max_memory: 1 << 30,
        };
        let counts = Arc::new(FrontCounts::default());
        let mut front = ZmqFront::open(&config, Arc::clone(&counts)).unwrap();
        front.memory = memory;
        let endpoint = front.endpoint().to_owned();
        let node = node.handle.clone();
        let (tell, events) = mpsc::channel();
        let (started, starting) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut reactor = Builder::new().signals(false).build().unwrap();
            let source = reactor.scope().add_source("front", front).unwrap();
            started.send((reactor.handle(), source)).unwrap();
            let mut plane = Plane {
                gate: Gate::Closed,
                settings: 0,
                closings: 0,
                node,
                tell: Box::new(move |event| {
                    // Fails when the test has seen enough.
                    let _ = tell.send(event);
                }),
            };
            reactor.run(&mut plane).unwrap();
        });
        let (plane, source) = starting.recv_timeout(BOUND).unwrap();
        Front {
            plane,
            source,
            endpoint,
            counts,
            events,
            thread: Some(thread),
        }
    }

    /// Moves the gate through these at once, and returns when the front end has followed.
    pub(super) fn set_gates(&self, gates: &'static [Gate]) {
        let waker = self.plane.waker();
        let source = self.source;
        let set = move |plane: &mut Plane, _: &mut Scope<Plane>| {
            for gate in gates {
                plane.gate = *gate;
                plane.settings += 1;
                plane.closings += u64::from(*gate == Gate::Closed);
            }
            waker.notify(source);
        };
        self.plane.post(set).unwrap();
        // It is notified in the turn of the first post or the next, and before what is posted then.
        for _ in 0..2 {
            let (passed, passing) = mpsc::channel();
            self.plane
                .post(move |_, _| passed.send(()).unwrap())
                .unwrap();
            passing.recv_timeout(BOUND).unwrap();
        }
    }

    fn count(&self, counter: fn(&FrontCounts) -> &AtomicU64) -> u64 {
        counter(&self.counts).load(Ordering::Relaxed)
    }

    fn wait_for(&self, event: FrontEvent) {
        wait(&format!("{event:?}"), || {
            self.events.recv_timeout(BOUND).unwrap() == event
        });
    }

    fn hears_nothing(&self, event: FrontEvent) {
        match self.events.recv_timeout(MOMENT) {
            Ok(told) => assert_ne!(told, event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the front end has ended"),
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.plane.stop();
        if let Some(thread) = self.thread.take() {
            // Its panic would hide the test's own.
            let _ = thread.join();
        }
    }
}

/// Sockets of a client and of a server.
pub(super) struct Peers(pub(super) zmq::Context);

impl Peers {
    pub(super) fn connect(&self, kind: zmq::SocketType, endpoint: &str) -> zmq::Socket {
        let socket = self.socket(kind);
        socket.connect(endpoint).unwrap();
        socket
    }

    pub(super) fn bind(&self, kind: zmq::SocketType) -> (zmq::Socket, String) {
        let socket = self.socket(kind);
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = last_endpoint(&socket).unwrap();
        (socket, endpoint)
    }

    fn socket(&self, kind: zmq::SocketType) -> zmq::Socket {
        let socket = self.0.socket(kind).unwrap();
        socket.set_rcvtimeo(BOUND_MS).unwrap();
        socket.set_sndtimeo(BOUND_MS).unwrap();
        socket.set_linger(0).unwrap();
        socket
    }
}

fn texts(socket: &zmq::Socket) -> Vec<String> {
    let frames = socket.recv_multipart(0).unwrap();
    let text = |frame: Vec<u8>| String::from_utf8_lossy(&frame).into_owned();
    frames.into_iter().map(text).collect()
}

fn is_silent(socket: &zmq::Socket) -> bool {
    let waits = i64::try_from(MOMENT.as_millis()).unwrap();
    socket.poll(zmq::POLLIN, waits).unwrap() == 0
}

fn send(socket: &zmq::Socket, frames: &[&str]) {
    socket.send_multipart(frames, 0).unwrap();
}

/// An active node, its front end with an open gate, and what waits behind it.
fn open(kind: zmq::SocketType, max_waiting: usize) -> (Node, Front, Peers, zmq::Socket) {
    let peers = Peers(zmq::Context::new());
    let (server, endpoint) = peers.bind(kind);
    let node = Node::active();
    let front = Front::start(&node, &endpoint, max_waiting);
    front.set_gates(&[Gate::Open]);
    (node, front, peers, server)
}

#[test]
fn a_rep_serves_a_req_and_a_client_of_ours_through_it() {
    let (_node, front, peers, server) = open(zmq::REP, 10);
    let server = thread::spawn(move || {
        // A client of ours asks again where an answer takes its time.
        loop {
            let request = server.recv_multipart(0).unwrap();
            let last = request == [b"enough"];
            server.send_multipart(request, 0).unwrap();
            if last {
                // Kept until the last answer has left.
                return server;
            }
        }
    });
    let req = peers.connect(zmq::REQ, &front.endpoint);
    send(&req, &["two", "frames"]);
    assert_eq!(texts(&req), ["two", "frames"]);

    let mut client = Client::connect([front.endpoint.as_str()]).unwrap();
    let reply = client.request(["hello"], Idempotent::Yes, BOUND).unwrap();
    assert_eq!(&reply.frames[0][..], b"hello");
    send(&req, &["enough"]);
    assert_eq!(texts(&req), ["enough"]);
    drop(server.join().unwrap());
    assert!(front.count(|counts| &counts.accepted) >= 3);
    // A reply is counted when it has left.
    wait("as much comes back as went", || {
        front.count(|counts| &counts.bytes_in) == front.count(|counts| &counts.bytes_out)
    });
}

#[test]
fn a_router_gets_the_whole_envelope_and_its_answers_find_their_clients_in_any_order() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 10);
    let clients: Vec<_> = (0..2)
        .map(|_| peers.connect(zmq::DEALER, &front.endpoint))
        .collect();
    let mut requests = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        for m in 0..3 {
            send(client, &["a", "b", "", &format!("{n}.{m}")]);
            let request = server.recv_multipart(0).unwrap();
            assert_eq!(
                request.len(),
                6,
                "the identity of the front end's socket, the client's, and all"
            );
            assert_eq!(request[2..5], [&b"a"[..], b"b", b""]);
            requests.push(request);
        }
    }
    for request in requests.into_iter().rev() {
        server.send_multipart(request, 0).unwrap();
    }
    for (n, client) in clients.iter().enumerate() {
        for m in (0..3).rev() {
            assert_eq!(texts(client), ["a", "b", "", &format!("{n}.{m}")]);
        }
    }
    wait("both are counted", || {
        front.counts.open.load(Ordering::Relaxed) == 2
    });
    drop(clients);
    wait("both are gone", || {
        front.counts.open.load(Ordering::Relaxed) == 0
    });
}

#[test]
fn many_pipelined_requests_come_back_in_their_order_and_none_is_lost() {
    const REQUESTS: u32 = 20_000;
    // Few may wait here: the rest is held back in the client's own queue.
    let (_node, front, peers, server) = open(zmq::ROUTER, 2);
    let server = thread::spawn(move || {
        for _ in 0..REQUESTS {
            let request = server.recv_multipart(0).unwrap();
            server.send_multipart(request, 0).unwrap();
        }
        // Kept until the last answer has left.
        server
    });
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    for n in 0..REQUESTS {
        client.send(&n.to_le_bytes()[..], 0).unwrap();
        if n >= 500 {
            assert_eq!(client.recv_bytes(0).unwrap(), (n - 500).to_le_bytes());
        }
    }
    for n in REQUESTS - 500..REQUESTS {
        assert_eq!(client.recv_bytes(0).unwrap(), n.to_le_bytes());
    }
    drop(server.join().unwrap());
    assert_eq!(front.count(|counts| &counts.refused), 0);
}

#[test]
fn a_closed_gate_refuses_a_client_of_ours_by_word_and_others_in_silence() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 10);
    front.set_gates(&[Gate::Closed]);
    let [ours, other] = [(); 2].map(|()| peers.connect(zmq::DEALER, &front.endpoint));
    send(&other, &["", "hello"]);
    send(&ours, &["bstar-cli/1 0123456789abcdef 1", "", "hello"]);
    assert_eq!(texts(&ours)[2], "bstar-no state=closed");
    wait("both are counted", || {
        front.count(|counts| &counts.refused) == 2
    });
    assert!(is_silent(&other) && is_silent(&server));
    front.hears_nothing(FrontEvent::Vote);
}

#[test]
fn votes_are_held_until_the_gate_opens() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 10);
    front.set_gates(&[Gate::Closed, Gate::Voting]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    send(&client, &["first"]);
    front.wait_for(FrontEvent::Vote);
    send(&client, &["second"]);
    assert!(is_silent(&server));
    front.set_gates(&[Gate::Open]);
    for body in ["first", "second"] {
        assert_eq!(texts(&server)[2..], [body]);
    }
}

#[test]
fn what_is_held_goes_on_voting_and_is_refused_when_the_gate_closes() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 10);
    front.set_gates(&[Gate::Closed, Gate::Voting]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    send(&client, &["bstar-cli/1 0123456789abcdef 1", "", "hello"]);
    front.wait_for(FrontEvent::Vote);
    front.wait_for(FrontEvent::Vote);
    front.set_gates(&[Gate::Closed]);
    assert_eq!(texts(&client)[2], "bstar-no state=closed");
    assert!(is_silent(&server));
}

#[test]
fn no_more_are_held_than_may_wait_and_the_others_are_refused() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 2);
    front.set_gates(&[Gate::Closed, Gate::Voting]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    for n in 1..=3 {
        send(
            &client,
            &[&format!("bstar-cli/1 0123456789abcdef {n}"), "", "hello"],
        );
    }
    let refused = texts(&client);
    assert_eq!(refused[0], "bstar-cli/1 0123456789abcdef 3");
    assert_eq!(refused[2], "bstar-no state=closed");
    front.set_gates(&[Gate::Open]);
    for n in 1..=2 {
        assert_eq!(
            texts(&server)[2],
            format!("bstar-cli/1 0123456789abcdef {n}")
        );
    }
}

#[test]
fn nothing_is_forwarded_while_the_node_may_not_serve_even_if_the_gate_is_open() {
    let peers = Peers(zmq::Context::new());
    let (server, endpoint) = peers.bind(zmq::ROUTER);
    let node = Node::start();
    let front = Front::start(&node, &endpoint, 10);
    front.set_gates(&[Gate::Open]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    send(&client, &["hello"]);
    assert!(is_silent(&server));
    assert_eq!(front.count(|counts| &counts.accepted), 0);
    // Nobody tells the front end.
    node.promote();
    assert_eq!(texts(&server)[2..], ["hello"]);
}

#[test]
fn who_goes_on_asking_does_not_keep_what_waits_from_the_server() {
    const ENOUGH: u32 = 2_000;
    let (node, peers) = (Node::start(), Peers(zmq::Context::new()));
    let (server, endpoint) = peers.bind(zmq::ROUTER);
    let front = Front::start(&node, &endpoint, 2 * ENOUGH as usize);
    front.set_gates(&[Gate::Open]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    // Requests that are under way all the time, each sooner than what waits is looked at.
    let mut ask = |n: u32| {
        send(&client, &[&n.to_string()]);
        let next = Instant::now() + Duration::from_micros(200);
        while Instant::now() < next {
            thread::yield_now();
        }
    };
    (0..100).for_each(&mut ask);
    node.promote();
    let mut asked = 100;
    while server.poll(zmq::POLLIN, 0).unwrap() == 0 {
        assert!(asked < ENOUGH, "all of them wait");
        ask(asked);
        asked += 1;
    }
    assert_eq!(texts(&server)[2..], ["0"]);
}

#[test]
fn a_server_that_is_not_there_gets_what_waited_when_it_comes() {
    let peers = Peers(zmq::Context::new());
    let (socket, endpoint) = peers.bind(zmq::ROUTER);
    socket.unbind(&endpoint).unwrap();
    let node = Node::active();
    let front = Front::start(&node, &endpoint, 2);
    front.set_gates(&[Gate::Open]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    for n in 0..5 {
        send(&client, &[&n.to_string()]);
    }
    assert_eq!(front.count(|counts| &counts.accepted), 0);
    let server = peers.socket(zmq::ROUTER);
    wait("the port is free", || server.bind(&endpoint).is_ok());
    for n in 0..5 {
        assert_eq!(texts(&server)[2..], [n.to_string()]);
    }
    assert_eq!(front.count(|counts| &counts.refused), 0);
}

#[test]
fn what_finds_no_place_to_wait_for_a_server_stays_with_its_client() {
    const MOST: usize = 2_000;
    let peers = Peers(zmq::Context::new());
    let (socket, endpoint) = peers.bind(zmq::ROUTER);
    socket.unbind(&endpoint).unwrap();
    let node = Node::active();
    let front = Front::start(&node, &endpoint, 2);
    front.set_gates(&[Gate::Open]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    client.set_sndtimeo(1_000).unwrap();
    let request = |n: usize| {
        let mut bytes = vec![0; 100_000];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        bytes
    };
    let sent = (0..MOST)
        .take_while(|n| client.send(request(*n), 0).is_ok())
        .count();
    assert!(sent < MOST, "it takes everything");
    let server = peers.socket(zmq::ROUTER);
    wait("the port is free", || server.bind(&endpoint).is_ok());
    for n in 0..sent {
        assert!(
            server.recv_multipart(0).unwrap()[2] == request(n),
            "{n} of {sent}"
        );
    }
    assert_eq!(front.count(|counts| &counts.refused), 0);
}

#[test]
fn a_drain_waits_for_a_reply_hands_it_on_and_takes_nothing_new() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 10);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    send(&client, &["first"]);
    let request = server.recv_multipart(0).unwrap();
    front.set_gates(&[Gate::Draining]);
    send(&client, &["second"]);
    server.send_multipart(request, 0).unwrap();
    assert_eq!(texts(&client), ["first"]);
    front.wait_for(FrontEvent::Drained);
    assert!(is_silent(&server));
    front.hears_nothing(FrontEvent::Drained);
}

#[test]
fn each_drain_is_told_however_soon_it_follows_on_another() {
    let (_node, front, _peers, _server) = open(zmq::ROUTER, 10);
    for gates in [&[Gate::Draining][..], &[Gate::Open, Gate::Draining]] {
        front.set_gates(gates);
        front.wait_for(FrontEvent::Drained);
    }
}

#[test]
fn a_drain_ends_without_the_reply_and_then_nothing_leaves() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 10);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    send(&client, &["hello"]);
    let request = server.recv_multipart(0).unwrap();
    let began = Instant::now();
    front.set_gates(&[Gate::Draining]);
    front.wait_for(FrontEvent::Drained);
    assert!(began.elapsed() >= LONGEST_DRAIN, "it is owed a reply");
    server.send_multipart(request, 0).unwrap();
    assert!(is_silent(&client));
}

#[test]
fn a_reply_of_before_a_closing_reaches_nobody_however_soon_the_gate_is_open_again() {
    for gates in [
        &[&[Gate::Closed, Gate::Open][..]][..],
        &[&[Gate::Voting], &[Gate::Open]],
    ] {
        let (_node, front, peers, server) = open(zmq::ROUTER, 10);
        let client = peers.connect(zmq::DEALER, &front.endpoint);
        send(&client, &["first"]);
        let first = server.recv_multipart(0).unwrap();
        gates.iter().for_each(|gates| front.set_gates(gates));
        send(&client, &["second"]);
        let second = server.recv_multipart(0).unwrap();
        assert_ne!(first[0], second[0], "a new connection");
        for reply in [first, second] {
            server.send_multipart(reply, 0).unwrap();
        }
        assert_eq!(texts(&client), ["second"]);
    }
}

#[test]
fn a_large_message_passes_and_one_that_is_too_large_costs_its_sender_the_connection() {
    let (_node, front, peers, server) = open(zmq::ROUTER, 10);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    let large = vec![7; 32 << 20];
    client.send(&large, 0).unwrap();
    let request = server.recv_multipart(0).unwrap();
    assert!(request[2] == large);
    server.send_multipart(request, 0).unwrap();
    assert!(client.recv_bytes(0).unwrap() == large);

    let other = peers.connect(zmq::DEALER, &front.endpoint);
    wait("both are there", || {
        front.counts.open.load(Ordering::Relaxed) == 2
    });
    other.set_reconnect_ivl(BOUND_MS).unwrap();
    other.send(vec![0; (256 << 20) + 1], 0).unwrap();
    wait("it is let go", || {
        front.counts.open.load(Ordering::Relaxed) == 1
    });
    assert!(is_silent(&server));
}
