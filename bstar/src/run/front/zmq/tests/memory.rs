//! Too much memory, measured or pretended.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::*;

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 64 * MIB;
/// A message of so many bytes has no end.
const ENDLESS: u64 = 2 << 30;

/// A memory that has as many bytes as a test says.
fn pretended() -> (Arc<AtomicU64>, Memory) {
    let bytes = Arc::new(AtomicU64::new(MIB));
    let told = Arc::clone(&bytes);
    let meter = move || Ok(told.load(Ordering::Relaxed));
    (bytes, Memory::measured_by(Box::new(meter), LIMIT))
}

/// A client by bare ZMTP, which does not come again by itself, as one that has said what a DEALER says first.
fn bare(front: &Front) -> TcpStream {
    let mut stream = TcpStream::connect(front.endpoint.trim_start_matches("tcp://")).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.set_write_timeout(Some(BOUND)).unwrap();
    let mut words = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0];
    words.extend(b"NULL");
    words.resize(64, 0);
    let ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER";
    words.extend([4, u8::try_from(ready.len()).unwrap()]);
    words.extend(ready);
    stream.write_all(&words).unwrap();
    stream
}

/// Waits until the front end has ended the connection.
fn is_cut_off(stream: &mut TcpStream) {
    let mut heard = [0; 4096];
    loop {
        match stream.read(&mut heard) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("it is still connected: {error}"),
        }
    }
}

fn stays(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(MOMENT)).unwrap();
    let mut heard = [0; 4096];
    loop {
        match stream.read(&mut heard) {
            Ok(1..) => {}
            Ok(0) => panic!("it was cut off"),
            Err(error) => return assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

fn wait_open(front: &Front, clients: usize) {
    wait(&format!("{clients} clients"), || {
        front.counts.open.load(Ordering::Relaxed) == clients
    });
}

/// A server that answers until the test ends.
fn echo(server: zmq::Socket) {
    thread::spawn(move || {
        while let Ok(request) = server.recv_multipart(0) {
            server.send_multipart(request, 0).unwrap();
        }
    });
}

fn is_served(client: &mut Client) {
    let reply = client.request(["hello"], Idempotent::Yes, BOUND).unwrap();
    assert_eq!(&reply.frames[0][..], b"hello");
}

/// The gates that lead to each phase from an open one, and the last of them.
const PHASES: [&[Gate]; 5] = [
    &[Gate::Closed],
    &[Gate::Closed, Gate::Voting],
    &[Gate::Open],
    &[Gate::Draining],
    &[Gate::Draining, Gate::Open, Gate::Draining],
];

#[test]
fn a_message_without_an_end_is_cut_off_behind_each_gate_and_others_are_served() {
    for gates in PHASES {
        let peers = Peers(zmq::Context::new());
        let (server, endpoint) = peers.bind(zmq::REP);
        let node = Node::active();
        let memory = Memory::new(LIMIT);
        let front = Front::start_at("tcp://127.0.0.1:*", &node, &endpoint, 10, memory);
        front.set_gates(&[Gate::Open]);
        echo(server);
        let mut client = Client::connect([front.endpoint.as_str()]).unwrap();
        is_served(&mut client);
        front.set_gates(gates);

        // A large one that is not the last.
        let mut frame = vec![3, 0, 0, 0, 0, 0, 1, 0, 0];
        frame.resize(9 + 65_536, 7);
        // One that ends before there is much of it says nothing of the memory.
        wait("much was taken, and not all", || {
            let mut endless = bare(&front);
            let mut sent = 0;
            while endless.write_all(&frame).is_ok() {
                sent += frame.len() as u64;
                assert!(sent < ENDLESS, "it takes everything, {gates:?}");
            }
            sent > LIMIT / 2
        });
        front.set_gates(&[Gate::Open]);
        is_served(&mut client);
    }
}

#[test]
fn with_all_clients_gone_none_is_counted_and_more_growth_is_needed_for_a_second_time() {
    let (bytes, memory) = pretended();
    let node = Node::active();
    let peers = Peers(zmq::Context::new());
    let (_server, endpoint) = peers.bind(zmq::ROUTER);
    let front = Front::start_at("tcp://127.0.0.1:*", &node, &endpoint, 10, memory);
    let mut crowd: Vec<_> = (0..3).map(|_| bare(&front)).collect();
    wait_open(&front, 3);
    bytes.fetch_add(LIMIT + 1, Ordering::Relaxed);
    crowd.iter_mut().for_each(is_cut_off);
    wait_open(&front, 0);

    // What the allocator keeps.
    let mut next = None;
    wait("it is bound again", || {
        let to = front.endpoint.trim_start_matches("tcp://");
        next = TcpStream::connect(to).ok();
        next.is_some()
    });
    drop(next);
    let mut next = bare(&front);
    wait_open(&front, 1);
    bytes.fetch_add(LIMIT, Ordering::Relaxed);
    stays(&mut next);
    bytes.fetch_add(1, Ordering::Relaxed);
    next.set_read_timeout(Some(BOUND)).unwrap();
    is_cut_off(&mut next);
    wait_open(&front, 0);
}

#[test]
fn a_drain_is_told_once_though_the_front_end_begins_anew_in_it() {
    let (bytes, memory) = pretended();
    let node = Node::active();
    let peers = Peers(zmq::Context::new());
    let (server, endpoint) = peers.bind(zmq::ROUTER);
    let front = Front::start_at("tcp://127.0.0.1:*", &node, &endpoint, 10, memory);
    front.set_gates(&[Gate::Open]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    send(&client, &["hello"]);
    server.recv_multipart(0).unwrap();
    let mut witness = bare(&front);
    wait_open(&front, 2);
    let began = Instant::now();
    front.set_gates(&[Gate::Draining]);
    bytes.fetch_add(LIMIT + 1, Ordering::Relaxed);
    is_cut_off(&mut witness);
    front.wait_for(FrontEvent::Drained);
    assert!(began.elapsed() >= LONGEST_DRAIN, "the server is at it");
    front.hears_nothing(FrontEvent::Drained);
    assert_eq!(front.count(|counts| &counts.failed), 1);

    // And again when there is nothing to drain any more.
    let mut witness = bare(&front);
    bytes.fetch_add(LIMIT + 1, Ordering::Relaxed);
    is_cut_off(&mut witness);
    front.hears_nothing(FrontEvent::Drained);
    front.set_gates(&[Gate::Open]);
    send(&client, &["again"]);
    assert_eq!(texts(&server)[2..], ["again"]);
}

#[test]
fn what_was_held_for_clients_that_are_gone_reaches_nobody() {
    let (bytes, memory) = pretended();
    let node = Node::active();
    let peers = Peers(zmq::Context::new());
    let (server, endpoint) = peers.bind(zmq::ROUTER);
    let front = Front::start_at("tcp://127.0.0.1:*", &node, &endpoint, 10, memory);
    front.set_gates(&[Gate::Closed, Gate::Voting]);
    let client = peers.connect(zmq::DEALER, &front.endpoint);
    send(&client, &["first"]);
    front.wait_for(FrontEvent::Vote);
    bytes.fetch_add(LIMIT + 1, Ordering::Relaxed);
    wait("it is lost", || front.count(|counts| &counts.failed) == 1);
    front.set_gates(&[Gate::Open]);
    // It may be sent into the connection that ends.
    wait("a later one is served", || {
        send(&client, &["second"]);
        server.poll(zmq::POLLIN, 50).unwrap() > 0
    });
    assert_eq!(texts(&server)[2..], ["second"]);
    assert_eq!(front.count(|counts| &counts.refused), 0);
}

#[test]
fn a_path_is_bound_again_too() {
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("ipc://{}", directory.path().join("front").display());
    let (bytes, memory) = pretended();
    let node = Node::active();
    let peers = Peers(zmq::Context::new());
    let (server, endpoint) = peers.bind(zmq::REP);
    let front = Front::start_at(&listen, &node, &endpoint, 10, memory);
    front.set_gates(&[Gate::Open]);
    echo(server);
    let mut client = Client::connect([front.endpoint.as_str()]).unwrap();
    is_served(&mut client);
    for name in ["inproc://1", "inproc://2", "inproc://3"] {
        let gone = peers.socket(zmq::DEALER);
        gone.monitor(name, zmq::SocketEvent::DISCONNECTED.to_raw().into())
            .unwrap();
        let heard = peers.connect(zmq::PAIR, name);
        gone.connect(&front.endpoint).unwrap();
        wait("it is there", || {
            front.counts.open.load(Ordering::Relaxed) >= 2
        });
        bytes.fetch_add(LIMIT + 1, Ordering::Relaxed);
        heard.recv_multipart(0).unwrap();
        is_served(&mut client);
        drop(heard);
    }
}
