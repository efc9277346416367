//! Duplicates are answered and not executed.

use std::time::Duration;

use freelance::server::{Cache, Handle};
use freelance::{Model, Server};
use reactor::{Builder, VirtualClock};

use crate::later::{Gate, work};
use crate::rig::{ANY, App, Frames, Rig, control, echo, frames, keep, send};

fn cached(model: Model) -> Server<App> {
    Server::new(model, ANY).cache(Cache::default())
}

/// A request of ours, as this model frames it.
fn request(model: Model, sequence: u64, attempt: u32, body: &str) -> Frames {
    let control = control(sequence, attempt);
    match model {
        Model::One => frames(&[&control, "", body]),
        Model::Two => frames(&[&control, "", &sequence.to_string(), body]),
        Model::Three => frames(&[&control, body]),
    }
}

fn ask(rig: &mut Rig, client: &zmq::Socket, message: &Frames) -> Frames {
    client.send_multipart(message, 0).unwrap();
    rig.answer(client)
}

/// One that answers with how often it was called.
fn counting() -> (Rig, Handle) {
    let mut rig = Rig::new();
    let count = |app: &mut App, scope: &mut _, request: freelance::server::Request| {
        app.seen.push(Vec::new());
        let count = app.seen.len().to_string();
        Ok(request.reply(scope, [count.as_str()])?)
    };
    let server = rig.attach(cached(Model::Three), count).unwrap();
    (rig, server)
}

#[test]
fn a_duplicate_gets_the_first_reply_and_its_own_control_frame() {
    for model in [Model::One, Model::Two, Model::Three] {
        let mut rig = Rig::new();
        let server = rig.attach(cached(model), echo).unwrap();
        // The second attempt comes by another link, as after a failover and back.
        let clients = [0; 2].map(|_| rig.client(zmq::DEALER, &server));
        for (attempt, client) in (1..).zip(&clients) {
            let message = request(model, 5, attempt, "x");
            assert_eq!(ask(&mut rig, client, &message), message);
        }
        assert_eq!(rig.app.seen.len(), 1, "executed once");
        let stats = server.stats();
        assert_eq!((stats.received, stats.replied, stats.cache_hits), (2, 1, 1));
    }
}

#[test]
fn another_request_of_the_same_client_is_executed() {
    let (mut rig, server) = counting();
    let client = rig.client(zmq::DEALER, &server);
    for sequence in 1..=3 {
        let message = request(Model::Three, sequence, 1, "x");
        let answer = ask(&mut rig, &client, &message);
        assert_eq!(answer[1], sequence.to_string().into_bytes());
    }
}

#[test]
fn a_duplicate_of_what_is_executed_waits_for_that() {
    for model in [Model::One, Model::Two, Model::Three] {
        let (mut rig, server) = Rig::keep(cached(model));
        let client = rig.client(zmq::DEALER, &server);
        for attempt in 1..=3 {
            let message = request(model, 5, attempt, "x");
            client.send_multipart(&message, 0).unwrap();
        }
        rig.turn_until("the duplicates", |_| server.stats().cache_joined == 2);
        assert_eq!(rig.app.kept.len(), 1, "executed once");
        rig.reply(0, "done");
        for attempt in 1..=3 {
            let expected = request(model, 5, attempt, "done");
            assert_eq!(rig.answer(&client), expected);
        }
    }
}

#[test]
fn workers_execute_no_duplicate_either() {
    let (mut rig, gate) = (Rig::new(), Gate::default());
    let server = work(&mut rig, cached(Model::Three), 2, &gate);
    let client = rig.client(zmq::DEALER, &server);
    for attempt in 1..=2 {
        send(&client, &[&control(1, attempt), "wait"]);
    }
    rig.turn_until("the duplicate", |_| server.stats().cache_joined == 1);
    gate.open();
    for attempt in 1..=2 {
        let expected = frames(&[&control(1, attempt), "wait"]);
        assert_eq!(rig.answer(&client), expected);
    }
    assert_eq!(server.stats().replied, 1);
    for attempt in 1..=2 {
        send(&client, &[&control(2, attempt), "panic"]);
    }
    rig.turn_until("both", |_| {
        let stats = server.stats();
        (stats.failed, stats.cache_joined + stats.cache_hits) == (1, 2)
    });
    // Nobody is told, since it may have been executed: the next answer is to the next question.
    send(&client, &[&control(3, 1), "x"]);
    assert_eq!(rig.answer(&client), frames(&[&control(3, 1), "x"]));
    assert_eq!(server.stats().failed, 1, "it ran once");
}

#[test]
fn a_foreign_duplicate_is_one_on_the_same_link_only() {
    let (mut rig, server) = counting();
    let clients = [0; 2].map(|_| rig.client(zmq::DEALER, &server));
    let same = frames(&["17", "x"]);
    for (client, message, expected) in [
        (0, &same, "1"),
        (0, &same, "1"),
        (1, &same, "2"),
        (0, &frames(&["17", "y"]), "3"),
        (0, &frames(&["18", "x"]), "4"),
    ] {
        let answer = ask(&mut rig, &clients[client], message);
        assert_eq!(answer[1], expected.as_bytes(), "{message:?}");
    }
}

#[test]
fn a_req_is_never_taken_for_its_own_duplicate() {
    let mut rig = Rig::new();
    let server = rig.attach(cached(Model::One), echo).unwrap();
    let client = rig.client(zmq::REQ, &server);
    for _ in 0..2 {
        send(&client, &["what time is it?"]);
        rig.answer(&client);
    }
    assert_eq!((rig.app.seen.len(), server.stats().cache_hits), (2, 0));
}

#[test]
fn the_oldest_reply_goes_when_there_are_too_many() {
    let mut rig = Rig::new();
    let cache = Cache {
        entries: 2,
        ..Cache::default()
    };
    let server = rig
        .attach(Server::new(Model::Three, ANY).cache(cache), echo)
        .unwrap();
    let client = rig.client(zmq::DEALER, &server);
    for sequence in [1, 2, 3, 2, 3, 1] {
        ask(&mut rig, &client, &request(Model::Three, sequence, 1, "x"));
    }
    assert_eq!(rig.app.seen.len(), 4, "the first once more");
    let stats = server.stats();
    assert_eq!((stats.cache_hits, stats.cache_evicted), (2, 2));
}

#[test]
fn a_reply_that_is_too_large_is_given_and_not_remembered() {
    let mut rig = Rig::new();
    let cache = Cache {
        bytes: 1000,
        ..Cache::default()
    };
    let server = rig
        .attach(Server::new(Model::Three, ANY).cache(cache), echo)
        .unwrap();
    let client = rig.client(zmq::DEALER, &server);
    let message = request(Model::Three, 1, 1, &"x".repeat(1001));
    for _ in 0..2 {
        assert_eq!(ask(&mut rig, &client, &message), message);
    }
    assert_eq!((rig.app.seen.len(), server.stats().cache_evicted), (2, 2));
}

#[test]
fn a_reply_is_forgotten_at_its_age() {
    let clock = VirtualClock::new();
    let mut rig = Rig::new();
    let builder = Builder::new().signals(false).virtual_time(&clock);
    rig.reactor = builder.build().unwrap();
    let server = rig.attach(cached(Model::Three), keep).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    let message = request(Model::Three, 1, 1, "x");
    client.send_multipart(&message, 0).unwrap();
    rig.turn_until("the request", |app| app.kept.len() == 1);
    rig.reply(0, "done");
    rig.answer(&client);
    assert_eq!(ask(&mut rig, &client, &message)[1], b"done");
    clock.advance(Duration::from_secs(60));
    client.send_multipart(&message, 0).unwrap();
    rig.turn_until("the request once more", |app| app.kept.len() == 1);
    assert_eq!(server.stats().cache_evicted, 0);
}
