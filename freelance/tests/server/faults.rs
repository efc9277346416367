//! Clients that misbehave.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use freelance::server::{Cache, Config};
use freelance::{Model, Server};
use proptest::collection::vec;
use proptest::prelude::*;
use reactor::{Interest, Scope};

use crate::rig::{ANY, App, BOUND, Frames, Rig, control, echo, frames, send};

/// A frame that means something, or does not.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"PING".to_vec()),
        Just(b"fl-no full".to_vec()),
        (1..4_u64, 1..3_u32)
            .prop_map(|(sequence, attempt)| control(sequence, attempt).into_bytes()),
        vec(any::<u8>(), 0..40),
    ]
}

fn asks_for(model: Model, marker: &str) -> Frames {
    match model {
        Model::One => frames(&["", marker]),
        Model::Two => frames(&["", "1", marker]),
        Model::Three => frames(&[marker, marker]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_counted_and_never_stops_a_server(
        messages in vec(vec(frame(), 1..6), 0..60),
        cached in any::<bool>(),
    ) {
        for model in [Model::One, Model::Two, Model::Three] {
            let mut rig = Rig::new();
            let mut builder = Server::new(model, ANY);
            if cached {
                builder = builder.cache(Cache::default());
            }
            let server = rig.attach(builder, echo).unwrap();
            let client = rig.client(zmq::DEALER, &server);
            for message in &messages {
                client.send_multipart(message, 0).unwrap();
            }
            let marker = asks_for(model, "the marker");
            client.send_multipart(&marker, 0).unwrap();
            while rig.answer(&client) != marker {}
            let stats = server.stats();
            prop_assert_eq!(
                stats.received + stats.pings + stats.malformed,
                messages.len() as u64 + 1
            );
            prop_assert_eq!(stats.received, stats.replied + stats.cache_hits);
            prop_assert_eq!((server.under_way(), stats.lost), (0, 0));
        }
    }

    /// What REP answers, model 1 answers; and where REP is silent, so is it.
    #[test]
    fn model_1_says_what_rep_says(messages in vec(vec(frame(), 1..6), 0..60)) {
        let (mut rig, server) = Rig::echo(Model::One);
        let rep = rig.context.socket(zmq::REP).unwrap();
        rep.bind("inproc://rep").unwrap();
        let mut body = Vec::new();
        let echo = move |_: &mut App, scope: &mut Scope<App>, key, _| {
            if scope.recv(key, &mut body)? {
                scope.send(key, body.drain(..))?;
            }
            Ok(())
        };
        rig.reactor.scope().add_socket("rep", rep, Interest::READ, echo).unwrap();
        let ours = rig.client(zmq::DEALER, &server);
        let other = rig.context.socket(zmq::DEALER).unwrap();
        other.set_linger(0).unwrap();
        other.connect("inproc://rep").unwrap();
        let marker = asks_for(Model::One, "the marker");
        for message in messages.iter().chain([&marker]) {
            ours.send_multipart(message, 0).unwrap();
            other.send_multipart(message, 0).unwrap();
        }
        loop {
            let answer = rig.answer(&ours);
            prop_assert_eq!(&answer, &rig.answer(&other));
            if answer == marker {
                break;
            }
        }
    }
}

#[test]
fn what_is_no_zeromq_at_all_harms_nobody() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let address = server.endpoint()["tcp://".len()..].to_owned();
    let talks: [&[u8]; 4] = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 300],
        b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL",
    ];
    for talk in talks {
        let mut stranger = TcpStream::connect(&address).unwrap();
        stranger.write_all(talk).unwrap();
    }
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["1", "x"]);
    assert_eq!(rig.answer(&client), frames(&["1", "x"]));
    assert_eq!(server.stats().received, 1);
}

#[test]
fn a_client_that_never_reads_loses_its_answers_and_holds_nobody_up() {
    let mut rig = Rig::new();
    let large = |_: &mut App, scope: &mut _, request: freelance::server::Request| {
        let bytes = if &request.frames()[0][..] == b"large" {
            1 << 16
        } else {
            1
        };
        Ok(request.reply(scope, [vec![0; bytes]])?)
    };
    let server = rig.attach(Server::new(Model::One, ANY), large).unwrap();
    let deaf = rig.context.socket(zmq::DEALER).unwrap();
    deaf.set_linger(0).unwrap();
    deaf.set_rcvhwm(1).unwrap();
    deaf.connect(&server.endpoint()).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    rig.turn_until("answers that cannot leave", |_| {
        for _ in 0..20 {
            // There may be no room for more.
            let _ = deaf.send_multipart(["", "large"], zmq::DONTWAIT);
        }
        server.stats().lost > 10
    });
    for _ in 0..10 {
        send(&client, &["", "small"]);
        assert_eq!(rig.answer(&client), vec![vec![], vec![0]]);
    }
    assert_eq!(server.under_way(), 0);
}

#[test]
fn an_answer_to_a_client_that_is_gone_is_lost_and_no_error() {
    let mut config = Config::new();
    config.queue = 20_000;
    let (mut rig, server) = Rig::keep(Server::new(Model::One, ANY).config(config));
    let client = rig.client(zmq::DEALER, &server);
    client.set_sndhwm(0).unwrap();
    for n in 1..=20_000 {
        send(&client, &["", "x"]);
        if n % 100 == 0 {
            rig.turn_until("the requests", |app| app.kept.len() == n);
        }
    }
    drop(client);
    // Each turn another, until the server has noticed.
    let start = Instant::now();
    while server.stats().lost == 0 {
        assert!(start.elapsed() < BOUND, "nothing is lost");
        rig.reply(0, "anybody?");
        let timeout = Some(Duration::from_millis(1));
        rig.reactor.turn(&mut rig.app, timeout).unwrap();
    }
    let other = rig.client(zmq::DEALER, &server);
    rig.app.kept.clear();
    send(&other, &["", "x"]);
    rig.turn_until("another client", |app| app.kept.len() == 1);
}
