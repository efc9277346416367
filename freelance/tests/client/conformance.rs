//! What [10/FLP](https://rfc.zeromq.org/spec/10/) asks of a client, and the shapes of models 1 and 2.

use std::time::{Duration, Instant};

use freelance::{Client, Idempotent, Liveness, Model};

use crate::peer::{Peer, SOON, echo, free_endpoint, mute, wait_for};
use crate::quick;

#[test]
fn flp_the_client_is_a_router_and_sets_no_identity() {
    // A raw peer sees what a socket says of itself: the READY command of ZMTP names its type and its identity.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let agent = Client::builder(Model::Three)
        .servers([endpoint])
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let ready = handshake(&mut stream);
    assert!(
        contains(&ready, b"Socket-Type\0\0\0\x06ROUTER"),
        "{ready:?}"
    );
    assert!(
        contains(&ready, b"Identity\0\0\0\0"),
        "it is empty: {ready:?}"
    );
    drop(agent);
}

#[test]
fn flp_a_request_is_a_control_frame_and_a_body_and_the_reply_may_be_any_number_of_frames() {
    let server = Peer::start(Model::Three, |message| match message.len() {
        2 => mute(message),
        _ => vec![[&message[..2], &[b"a".to_vec(), vec![], b"c".to_vec()]].concat()],
    });
    let mut client = Client::builder(Model::Three)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    let reply = client.request(["1", "2"], Idempotent::No, SOON).unwrap();
    assert_eq!(reply.frames, [&b"a"[..], b"", b"c"]);
    let request = &server.requests()[0];
    assert!(request[0].starts_with(b"fl/1 "), "{request:?}");
    assert_eq!(request[1..], [b"1", b"2"]);
}

#[test]
fn flp_pings_are_one_frame_and_are_sent_while_nothing_is_heard() {
    let server = Peer::echo(Model::Three);
    let mut client = quick(Model::Three)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    let end = Instant::now() + SOON;
    // Only calls that wait let the client run: one request at the end of the pings shows that it lives.
    while server.seen().iter().filter(|m| m[..] == [b"PING"]).count() < 4 {
        assert!(Instant::now() < end, "too few pings");
        let _ = client.wait_ready(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(server.requests().is_empty());
    client.request(["x"], Idempotent::No, SOON).unwrap();
}

#[test]
fn flp_a_server_that_says_nothing_for_two_to_three_pings_is_disconnected() {
    // It takes what comes and says nothing, after it has said that it lives once.
    let mut greeted = false;
    let silent = Peer::start(Model::Three, move |message| {
        match std::mem::replace(&mut greeted, true) {
            true => Vec::new(),
            false => mute(message),
        }
    });
    let agent = quick(Model::Three)
        .servers([silent.endpoint()])
        .spawn()
        .unwrap();
    agent.wait_ready(SOON).unwrap();
    wait_for("it is not taken for live", || {
        agent.servers().unwrap()[0].liveness != Liveness::Live
    });
}

#[test]
fn a_ping_takes_no_room_from_requests() {
    let server = Peer::echo(Model::Three);
    let mut config = freelance::Config::new(Model::Three);
    config.max_outstanding = 1;
    let mut client = Client::builder(Model::Three)
        .config(config)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    for _ in 0..10 {
        client.request(["x"], Idempotent::No, SOON).unwrap();
    }
    assert_eq!(client.stats().send_failed, 0);
}

#[test]
fn model_1_is_understood_by_rep_and_any_server_that_returns_the_envelope() {
    let server = Peer::echo(Model::One);
    let mut client = Client::builder(Model::One)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    client.request(["x", "y"], Idempotent::No, SOON).unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.len(), 4);
    assert_eq!(request[1], b"", "what follows is what REP sees");
    assert_eq!(request[2..], [b"x", b"y"]);
}

#[test]
fn model_2_has_a_sequence_in_front_of_the_body() {
    let server = Peer::echo(Model::Two);
    let mut client = Client::builder(Model::Two)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    for sequence in ["1", "2"] {
        let reply = client.request(["x"], Idempotent::Yes, SOON).unwrap();
        assert_eq!(reply.frames, [&b"OK"[..], b"x"]);
        let request = server.requests().pop().unwrap();
        assert_eq!(request[1..], [&b""[..], sequence.as_bytes(), b"x"]);
    }
}

#[test]
fn real_rep_sockets_answer_models_1_and_2() {
    for model in [Model::One, Model::Two] {
        let endpoint = free_endpoint();
        let context = zmq::Context::new();
        let rep = context.socket(zmq::REP).unwrap();
        rep.set_rcvtimeo(i32::try_from(SOON.as_millis()).unwrap())
            .unwrap();
        rep.bind(&endpoint).unwrap();
        let agent = Client::builder(model).servers([endpoint]).spawn().unwrap();
        for _ in 0..10 {
            let pending = agent.submit(["x"], Idempotent::No, SOON).unwrap();
            let request = rep.recv_multipart(0).unwrap();
            let reply = match model {
                Model::Two => vec![request[0].clone(), b"OK".to_vec()],
                Model::One | Model::Three => request,
            };
            rep.send_multipart(reply, 0).unwrap();
            pending.wait().unwrap();
        }
    }
}

/// Goes through ZMTP's greeting and returns the READY command of the other side.
fn handshake(stream: &mut std::net::TcpStream) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut greeting = [0; 64];
    greeting[..12].copy_from_slice(b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0");
    greeting[12..16].copy_from_slice(b"NULL");
    stream.write_all(&greeting).unwrap();
    stream.read_exact(&mut greeting).unwrap();
    let mut ready =
        b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0".to_vec();
    ready[1] = u8::try_from(ready.len() - 2).unwrap();
    stream.write_all(&ready).unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 4, "a short command");
    let mut theirs = vec![0; head[1].into()];
    stream.read_exact(&mut theirs).unwrap();
    theirs
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[test]
fn a_control_frame_comes_back_untouched_or_is_not_ours() {
    let mut answer = echo(Model::Three);
    let server = Peer::start(Model::Three, move |message| {
        if message.len() == 2 {
            return answer(message);
        }
        let mut changed = message.clone();
        changed[1].push(b' ');
        vec![changed, message]
    });
    let mut client = Client::builder(Model::Three)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    let reply = client.request(["x"], Idempotent::No, SOON).unwrap();
    assert_eq!(reply.frames, [b"x"]);
    assert_eq!(client.stats().foreign, 1);
}
