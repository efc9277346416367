//! What a caller that waits gets when the network is well.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bstar::client::{Client, Config, Error, Idempotent, RequestError};

use crate::server::{BOUND, Server, echo, nobody, refuse, silent};

/// Long enough that nothing here ends by it.
const SLOW_HEARTBEAT: Duration = Duration::from_secs(60);

fn client(servers: [&str; 2], heartbeat: Duration) -> Client {
    Client::builder()
        .servers(servers)
        .heartbeat(heartbeat)
        .connect()
        .unwrap()
}

#[test]
fn a_request_is_answered_by_the_primary() {
    let (primary, backup) = (Server::start(echo()), Server::start(echo()));
    let mut client = Client::connect([&primary.endpoint, &backup.endpoint]).unwrap();
    for body in [
        vec!["hello"],
        vec!["", "", ""],
        vec![""],
        vec!["bstar-no", "at all"],
    ] {
        let reply = client.request(body.clone(), Idempotent::No, BOUND).unwrap();
        assert_eq!(
            reply.frames,
            body.iter()
                .map(|f| f.as_bytes().to_vec())
                .collect::<Vec<_>>()
        );
        assert_eq!(reply.server, 0);
    }
    assert_eq!(backup.requests(), 0);
    let stats = client.stats();
    assert_eq!((stats.answered, stats.attempts, stats.failovers), (4, 4, 0));
}

#[test]
fn a_large_message_passes() {
    let (primary, backup) = (Server::start(echo()), Server::start(echo()));
    let mut client = client([&primary.endpoint, &backup.endpoint], SLOW_HEARTBEAT);
    let body = vec![0x5a; 4 << 20];
    let reply = client
        .request([body.clone()], Idempotent::No, BOUND)
        .unwrap();
    assert!(reply.frames == [body]);
}

#[test]
fn a_rep_server_needs_to_know_nothing() {
    let context = zmq::Context::new();
    let rep = context.socket(zmq::REP).unwrap();
    rep.bind(&format!("tcp://{}:*", crate::server::own_address()))
        .unwrap();
    let endpoint = rep.get_last_endpoint().unwrap().unwrap();
    rep.set_rcvtimeo(20_000).unwrap();
    let server = std::thread::spawn(move || {
        let body = rep.recv_bytes(0).unwrap();
        rep.send([body, b" too".to_vec()].concat(), 0).unwrap();
    });
    let mut client = client([&endpoint, &nobody()], SLOW_HEARTBEAT);
    let reply = client.request(["you"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.frames, [b"you too"]);
    server.join().unwrap();
}

#[test]
fn b08_a_refusal_by_word_costs_no_timeout() {
    let (primary, backup) = (Server::start(refuse()), Server::start(echo()));
    let mut client = client([&primary.endpoint, &backup.endpoint], SLOW_HEARTBEAT);
    let start = Instant::now();
    let reply = client.request(["x"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.server, 1);
    assert!(start.elapsed() < BOUND / 2, "far below the attempt timeout");
    client.request(["y"], Idempotent::No, BOUND).unwrap();
    assert_eq!(
        primary.requests(),
        1,
        "it stays with the server that answers"
    );
    assert_eq!(client.stats().refused, 1);
}

#[test]
fn refused_by_both_is_asked_again_until_one_serves() {
    let mut left = 5;
    let primary = Server::start(Box::new(move |request| {
        left -= 1;
        vec![if left > 0 {
            crate::server::refusal(request)
        } else {
            request.clone()
        }]
    }));
    let backup = Server::start(refuse());
    let mut client = client(
        [&primary.endpoint, &backup.endpoint],
        Duration::from_millis(100),
    );
    let reply = client.request(["x"], Idempotent::No, BOUND).unwrap();
    assert_eq!(reply.server, 0);
    assert_eq!(primary.requests(), 5);
}

#[test]
fn a_host_name_will_do() {
    let server = Server::start_at("tcp://127.0.0.1:*", echo());
    let endpoint = server.endpoint.replace("127.0.0.1", "localhost");
    let mut client = client([&endpoint, &nobody()], SLOW_HEARTBEAT);
    assert!(client.request(["x"], Idempotent::No, BOUND).is_ok());
}

#[test]
fn an_ipc_endpoint_will_do() {
    let path = std::env::temp_dir().join(format!("bstar-client-{}", std::process::id()));
    let endpoint = format!("ipc://{}", path.display());
    let server = Server::start_at(&endpoint, echo());
    let mut client = client([&endpoint, &nobody()], SLOW_HEARTBEAT);
    assert!(client.request(["x"], Idempotent::No, BOUND).is_ok());
    drop(server);
    let _ = std::fs::remove_file(path);
}

#[test]
fn a_failover_is_told_before_the_request_returns() {
    let (primary, backup) = (Server::start(echo()), Server::start(echo()));
    let (first, second) = (primary.endpoint.clone(), backup.endpoint.clone());
    let mut client = client([&first, &second], Duration::from_millis(200));
    let told = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&told);
    client.on_failover(move |server, epoch| sink.borrow_mut().push((server, epoch)));
    client.request(["x"], Idempotent::Yes, BOUND).unwrap();
    assert!(told.borrow().is_empty());
    drop(primary);
    client.request(["x"], Idempotent::Yes, BOUND).unwrap();
    assert_eq!(*told.borrow(), [(1, None)]);

    // The primary is back; the backup refuses, and states an epoch.
    let _primary = Server::start_at(&first, echo());
    drop(backup);
    let _backup = Server::start_at(&second, refuse());
    let reply = client.request(["x"], Idempotent::Yes, BOUND).unwrap();
    assert_eq!(reply.server, 0);
    assert_eq!(told.borrow().len(), 2);
    assert_eq!(told.borrow()[1].0, 0);
    assert_eq!(client.stats().failovers, 2);
}

#[test]
fn with_one_server_it_only_cannot_fail_over() {
    let server = Server::start(echo());
    let builder = Client::builder().servers([server.endpoint.as_str()]);
    let mut client = builder.connect().unwrap();
    assert_eq!(
        client.request(["x"], Idempotent::No, BOUND).unwrap().server,
        0
    );
}

#[test]
fn what_cannot_work_is_refused_in_one_clear_line() {
    let cases: [(&[&str], &str); 8] = [
        (&[], "a pair has two"),
        (
            &[
                "tcp://127.0.0.1:1",
                "tcp://127.0.0.1:2",
                "tcp://127.0.0.1:3",
            ],
            "a pair has two",
        ),
        (&["tcp://127.0.0.1:1", "tcp://127.0.0.1:1"], "twice"),
        (&["127.0.0.1:1"], "127.0.0.1:1"),
        (&["tcp://127.0.0.1"], "port is missing"),
        (&["tcp://127.0.0.1:70000"], "from 1 to 65535"),
        (&["tcp://*:5001"], "wildcard"),
        (&["inproc://x"], "inproc"),
    ];
    for (servers, expected) in cases {
        let error = Client::connect(servers.iter().copied())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{servers:?}: {error}");
        assert!(!error.contains('\n'));
    }
    for heartbeat in [Duration::ZERO, Duration::from_secs(7 * 24 * 3600)] {
        let builder = Client::builder()
            .servers(["tcp://127.0.0.1:1"])
            .heartbeat(heartbeat);
        assert!(matches!(
            builder.connect(),
            Err(Error::Config {
                setting: "heartbeat",
                ..
            })
        ));
    }
}

#[test]
fn what_exceeds_a_limit_is_not_sent() {
    let server = Server::start(silent());
    let mut config = Config::with_heartbeat(SLOW_HEARTBEAT);
    config.max_request_bytes = 10;
    let builder = Client::builder()
        .servers([server.endpoint.as_str()])
        .config(config);
    let mut client = builder.connect().unwrap();
    for body in [vec![], vec!["01234567890"], vec!["bstar-no"]] {
        let error = client.request(body, Idempotent::Yes, BOUND).unwrap_err();
        assert!(matches!(error, RequestError::Rejected(_)), "{error}");
    }
    assert_eq!(server.requests(), 0);
}
