//! What happens when servers are missing, silent, dying or lying.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use bstar::client::{Client, Config, Idempotent, RequestError};

use crate::server::{BOUND, Frames, Server, echo, nobody, own_address, silent, wait_until};

/// What waits for a time-out of this heartbeat does not end within a test's bound.
const SLOW_HEARTBEAT: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_millis(100);

fn client(servers: [&str; 2], heartbeat: Duration) -> Client {
    Client::builder()
        .servers(servers)
        .heartbeat(heartbeat)
        .connect()
        .unwrap()
}

#[test]
fn a_primary_that_is_not_there_costs_no_timeout() {
    let backup = Server::start(echo());
    let mut client = client([&nobody(), &backup.endpoint], SLOW_HEARTBEAT);
    let start = Instant::now();
    let reply = client.request(["x"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.server, 1);
    assert!(start.elapsed() < BOUND / 2);
}

#[test]
fn with_nobody_there_a_request_ends_at_its_deadline() {
    let mut client = client([&nobody(), &nobody()], HEARTBEAT);
    let start = Instant::now();
    let error = client
        .request(["x"], Idempotent::No, Duration::from_millis(300))
        .unwrap_err();
    assert!(matches!(error, RequestError::NoServer), "{error}");
    assert!((Duration::from_millis(300)..BOUND).contains(&start.elapsed()));
}

#[test]
fn a_name_that_does_not_resolve_holds_nobody_up() {
    let backup = Server::start(echo());
    let mut client = client(
        ["tcp://no-such-host.invalid:5001", &backup.endpoint],
        HEARTBEAT,
    );
    let start = Instant::now();
    for _ in 0..10 {
        let reply = client.request(["x"], Idempotent::No, BOUND).unwrap();
        assert_eq!(reply.server, 1);
    }
    drop(client);
    assert!(start.elapsed() < BOUND / 2);
}

#[test]
fn a_connection_without_a_handshake_is_no_link() {
    // What a stopped process looks like: the system accepts, and nobody speaks.
    let mute = TcpListener::bind((own_address(), 0)).unwrap();
    let backup = Server::start(echo());
    let endpoint = format!("tcp://{}", mute.local_addr().unwrap());
    let mut client = client([&endpoint, &backup.endpoint], HEARTBEAT);
    let reply = client.request(["x"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.server, 1);
    assert!(!client.is_connected(0));
}

#[test]
fn a_server_that_comes_later_is_found() {
    let endpoint = nobody();
    let mut client = client([&endpoint, &nobody()], SLOW_HEARTBEAT);
    let error = client
        .request(["x"], Idempotent::No, Duration::from_millis(50))
        .unwrap_err();
    assert!(matches!(error, RequestError::NoServer), "{error}");
    let _server = Server::start_at(&endpoint, echo());
    assert!(client.request(["x"], Idempotent::No, BOUND).is_ok());
}

#[test]
fn restarts_while_the_client_sleeps_are_not_its_concern() {
    let mut primary = Server::start(echo());
    let endpoint = primary.endpoint.clone();
    let mut client = client([&endpoint, &nobody()], HEARTBEAT);
    for _ in 0..3 {
        // Not idempotent: it must not be lost on the link to the process that is gone.
        client.request(["x"], Idempotent::No, BOUND).unwrap();
        drop(primary);
        primary = Server::start_at(&endpoint, echo());
        std::thread::sleep(HEARTBEAT / 2);
    }
    client.request(["x"], Idempotent::No, BOUND).unwrap();
}

#[test]
fn silence_moves_an_idempotent_request_on() {
    let (primary, backup) = (Server::start(silent()), Server::start(echo()));
    let mut client = client([&primary.endpoint, &backup.endpoint], HEARTBEAT);
    let reply = client.request(["x"], Idempotent::Yes, BOUND).unwrap();
    assert_eq!(reply.server, 1);
    assert_eq!(primary.requests(), 1);
    assert_eq!(client.stats().silences, 1);
}

#[test]
fn silence_leaves_the_outcome_of_others_unknown() {
    let (primary, backup) = (Server::start(silent()), Server::start(echo()));
    let mut client = client([&primary.endpoint, &backup.endpoint], HEARTBEAT);
    let error = client
        .request(["x"], Idempotent::No, Duration::from_millis(500))
        .unwrap_err();
    assert!(matches!(error, RequestError::Unknown), "{error}");
    assert_eq!((primary.requests(), backup.requests()), (1, 0));
    // The next one does not wait for the server that said nothing.
    let reply = client.request(["x"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.server, 1);
}

/// Runs one request, and kills the silent primary when it has it.
fn kill_in_flight(idempotent: Idempotent) -> Result<usize, RequestError> {
    let (primary, backup) = (Server::start(silent()), Server::start(echo()));
    let mut client = client([&primary.endpoint, &backup.endpoint], SLOW_HEARTBEAT);
    let killer = std::thread::spawn(move || {
        primary.wait_for_requests(1);
        drop(primary);
    });
    let result = client.request(["x"], idempotent, BOUND);
    killer.join().unwrap();
    result.map(|reply| reply.server)
}

#[test]
fn a_server_killed_with_an_idempotent_request_costs_no_timeout() {
    let start = Instant::now();
    assert_eq!(kill_in_flight(Idempotent::Yes).unwrap(), 1);
    assert!(start.elapsed() < BOUND / 2);
}

#[test]
fn a_server_killed_with_another_request_leaves_it_unknown_at_once() {
    let start = Instant::now();
    let error = kill_in_flight(Idempotent::No).unwrap_err();
    assert!(matches!(error, RequestError::Unknown), "{error}");
    assert!(start.elapsed() < BOUND / 2);
}

#[test]
fn an_answer_in_front_of_the_end_is_not_lost() {
    // Answers, sees to it that the answer leaves, and dies: both are often noticed together.
    for round in 0..100u8 {
        let context = zmq::Context::new();
        let rep = context.socket(zmq::REP).unwrap();
        rep.bind(&format!("tcp://{}:*", own_address())).unwrap();
        let endpoint = rep.get_last_endpoint().unwrap().unwrap();
        let server = std::thread::spawn(move || {
            rep.set_rcvtimeo(i32::try_from(BOUND.as_millis()).unwrap())
                .unwrap();
            let body = rep.recv_bytes(0).unwrap();
            rep.send(body, 0).unwrap();
            drop((rep, context));
        });
        let mut client = client([&endpoint, &nobody()], SLOW_HEARTBEAT);
        let reply = client.request([[round]], Idempotent::No, BOUND).unwrap();
        assert_eq!(reply.frames, [[round]]);
        server.join().unwrap();
    }
}

#[test]
fn late_answers_are_dropped_and_never_given_to_another_request() {
    // Holds an old request back until a new one comes, and then answers it twice, first.
    let mut held: Option<Frames> = None;
    let primary = Server::start(Box::new(move |request| {
        if request[2] == b"old" {
            held = Some(request.clone());
            return vec![];
        }
        let old = held.take().map_or(vec![], |old| vec![old.clone(), old]);
        [old, vec![request.clone()]].concat()
    }));
    let mut client = client([&primary.endpoint, &nobody()], HEARTBEAT);
    client.request(["new"], Idempotent::No, BOUND).unwrap();
    for round in 1..=3 {
        let error = client
            .request(["old"], Idempotent::No, HEARTBEAT)
            .unwrap_err();
        assert!(matches!(error, RequestError::Unknown), "{error}");
        let reply = client.request(["new"], Idempotent::No, BOUND).unwrap();
        assert_eq!(reply.frames, [b"new"]);
        assert_eq!(client.stats().late, round * 2);
    }
}

#[test]
fn noise_is_counted_and_hurts_nobody() {
    let primary = Server::start(Box::new(|request| {
        let mut other = request.clone();
        other[0] = b"bstar-cli/1 0123456789abcdef 1".to_vec();
        let mut later = request.clone();
        later[0] = [&request[0][..], b"000"].concat();
        vec![
            vec![vec![]],
            vec![b"\xff\x00\x01".to_vec(), b"3".to_vec()],
            vec![vec![]; 1000],
            vec![vec![7; 2 << 20]],
            other,
            later,
            request.clone(),
        ]
    }));
    let mut client = client([&primary.endpoint, &nobody()], SLOW_HEARTBEAT);
    for _ in 0..3 {
        let reply = client.request(["x"], Idempotent::No, BOUND).unwrap();
        assert_eq!(reply.frames, [b"x"]);
    }
    assert_eq!(client.stats().foreign, 18);
}

#[test]
fn a_frame_above_the_limit_ends_the_link_and_the_next_one_serves() {
    let mut large = true;
    let primary = Server::start(Box::new(move |request| {
        let size = if std::mem::take(&mut large) {
            1001
        } else {
            1000
        };
        vec![vec![request[0].clone(), vec![], vec![0; size]]]
    }));
    let mut config = Config::with_heartbeat(SLOW_HEARTBEAT);
    config.max_reply_frame_bytes = 1000;
    let servers = [primary.endpoint.clone(), nobody()];
    let mut client = Client::builder()
        .servers(servers)
        .config(config)
        .connect()
        .unwrap();
    let error = client.request(["x"], Idempotent::No, BOUND).unwrap_err();
    assert!(matches!(error, RequestError::Unknown), "{error}");
    // libzmq itself never reconnects after that.
    assert!(client.request(["x"], Idempotent::No, BOUND).is_ok());
}

#[test]
fn a_server_that_talks_nonsense_is_dialled_again() {
    let nonsense = TcpListener::bind((own_address(), 0)).unwrap();
    let endpoint = format!("tcp://{}", nonsense.local_addr().unwrap());
    let imposter = std::thread::spawn(move || {
        let (mut stream, _) = nonsense.accept().unwrap();
        // A signature as it should be, and then nothing that makes sense.
        stream
            .write_all(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL nonsense")
            .unwrap();
        stream.write_all(&[0xff; 100]).unwrap();
    });
    let mut client = client([&endpoint, &nobody()], HEARTBEAT);
    let error = client
        .request(["x"], Idempotent::No, HEARTBEAT)
        .unwrap_err();
    assert!(matches!(error, RequestError::NoServer), "{error}");
    imposter.join().unwrap();
    let _server = Server::start_at(&endpoint, echo());
    assert!(client.request(["x"], Idempotent::No, BOUND).is_ok());
}

#[test]
fn ending_takes_no_time_whatever_the_servers_do() {
    let primary = Server::start(silent());
    let mut client = client([&primary.endpoint, &nobody()], SLOW_HEARTBEAT);
    let _ = client.request(
        [vec![0; 1 << 20]],
        Idempotent::No,
        Duration::from_millis(50),
    );
    let start = Instant::now();
    drop(client);
    assert!(start.elapsed() < BOUND / 2);
    // The link is gone at once, not when the last reference to something is.
    wait_until("the scripted server to be alone", || {
        primary.requests() <= 1
    });
}
