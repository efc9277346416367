//! Servers that come, go and change while the client runs.

use std::time::Duration;

use freelance::{Client, Idempotent, Liveness, Model, ServerEvent};
use reactor::Reactor;

use crate::peer::{Peer, SOON, echo, free_endpoint, mute};
use crate::{MODELS, quick};

#[test]
fn a_server_that_was_removed_and_added_again_is_asked_again() {
    for model in MODELS {
        let server = Peer::echo(model);
        let mut client = quick(model).servers([server.endpoint()]).connect().unwrap();
        for round in 1..=10 {
            client.request(["x"], Idempotent::No, SOON).unwrap();
            assert_eq!(server.requests().len(), round, "{model:?}");
            let id = client.servers()[0].server;
            client.remove_server(id).unwrap();
            assert!(client.servers().is_empty());
            let again = client.add_server(server.endpoint(), 0).unwrap();
            assert_ne!(again, id);
        }
    }
}

#[test]
fn a_request_waits_for_a_server_to_be_added() {
    for model in MODELS {
        let server = Peer::echo(model);
        let mut client = Client::builder(model).connect().unwrap();
        client.submit(["x"], Idempotent::No, SOON).unwrap();
        assert!(client.next_done(Duration::from_millis(20)).is_none());
        client.add_server(server.endpoint(), 0).unwrap();
        client.next_done(SOON).unwrap().1.unwrap();
    }
}

#[test]
fn what_waits_on_a_server_that_is_removed_moves_if_it_may() {
    for model in [Model::One, Model::Three] {
        let (first, second) = (Peer::start(model, mute), Peer::echo(model));
        let mut client = Client::builder(model)
            .servers([first.endpoint(), second.endpoint()])
            .connect()
            .unwrap();
        client.submit(["may"], Idempotent::Yes, SOON).unwrap();
        client.submit(["may not"], Idempotent::No, SOON).unwrap();
        while first.requests().len() < 2 {
            assert!(client.next_done(Duration::from_millis(5)).is_none());
        }
        let id = client.servers()[0].server;
        client.remove_server(id).unwrap();
        let mut results = [client.next_done(SOON), client.next_done(SOON)].map(Option::unwrap);
        results.sort_by_key(|(id, _)| *id);
        let [(_, moved), (_, lost)] = results;
        assert_eq!(moved.unwrap().frames, [b"may"], "{model:?}");
        assert!(matches!(lost, Err(freelance::RequestError::Unknown)));
    }
}

#[test]
fn a_server_that_is_drained_answers_what_it_has() {
    for model in [Model::One, Model::Three] {
        // It holds the first request back until it is asked something else, which it is not.
        let (hold, held) = std::sync::mpsc::channel();
        let mut answer = echo(model);
        let first = Peer::start(model, move |message| {
            if message.len() > 2 {
                let () = held.recv_timeout(SOON).unwrap();
            }
            answer(message)
        });
        let second = Peer::echo(model);
        let mut client = Client::builder(model)
            .servers([first.endpoint(), second.endpoint()])
            .connect()
            .unwrap();
        client.submit(["old"], Idempotent::No, SOON).unwrap();
        while first.requests().is_empty() {
            assert!(client.next_done(Duration::from_millis(5)).is_none());
        }
        let id = client.servers()[0].server;
        client.drain_server(id).unwrap();
        let draining = client.servers().into_iter().find(|s| s.server == id);
        assert_eq!(draining.unwrap().liveness, Liveness::Draining);
        client.request(["new"], Idempotent::No, SOON).unwrap();
        assert_eq!(second.requests().len(), 1, "{model:?}");
        hold.send(()).unwrap();
        let (_, old) = client.next_done(SOON).unwrap();
        assert_eq!(old.unwrap().server, id);
        assert!(client.servers().iter().all(|s| s.server != id));
    }
}

#[test]
fn a_tier_is_changed_in_place() {
    for model in [Model::One, Model::Three] {
        let (first, second) = (Peer::echo(model), Peer::echo(model));
        let mut client = Client::builder(model)
            .servers([first.endpoint(), second.endpoint()])
            .connect()
            .unwrap();
        while !client
            .servers()
            .iter()
            .all(|s| s.liveness == Liveness::Live)
        {
            client.wait_ready(SOON).unwrap();
        }
        client.request(["x"], Idempotent::No, SOON).unwrap();
        let id = client.servers()[0].server;
        client.set_tier(id, 7).unwrap();
        client.request(["x"], Idempotent::No, SOON).unwrap();
        let counts = [first.requests().len(), second.requests().len()];
        assert_eq!(counts, [1, 1], "{model:?}");
        assert_eq!(client.servers()[1].tier, 7);
    }
}

#[test]
fn one_server_under_two_names_is_told_apart_by_its_own() {
    // Model 3 names a server by its identity: of two names for it only that one leads there.
    let endpoint = free_endpoint();
    let port = endpoint.rsplit_once(':').unwrap().1;
    let other = format!("tcp://localhost:{port}");
    let _server = Peer::start_at(
        Model::Three,
        &format!("tcp://127.0.0.1:{port}"),
        Some(&other),
        echo(Model::Three),
    );
    let mut reactor = Reactor::<Vec<ServerEvent>>::builder()
        .signals(false)
        .build()
        .unwrap();
    let client = quick(Model::Three)
        .servers([format!("tcp://127.0.0.1:{port}"), other.clone()])
        .attach(reactor.scope())
        .unwrap();
    client.on_server(|events: &mut Vec<ServerEvent>, _, event| events.push(event));
    let [misnamed, named] = [0, 1].map(|n| client.servers()[n].server);
    client
        .request(
            reactor.scope(),
            ["x"],
            Idempotent::No,
            SOON,
            move |_, _, result| {
                assert_eq!(result.unwrap().server, named);
            },
        )
        .unwrap();
    let expected = ServerEvent::Misnamed {
        server: misnamed,
        identity: other.clone(),
    };
    let end = std::time::Instant::now() + SOON;
    let mut events = Vec::new();
    while !events.contains(&expected) || client.outstanding() > 0 {
        assert!(std::time::Instant::now() < end, "{events:?}");
        reactor
            .turn(&mut events, Some(Duration::from_millis(5)))
            .unwrap();
    }
    assert_eq!(client.servers()[0].misnamed.as_ref(), Some(&other));
    assert_eq!(client.servers()[1].misnamed, None);
}

#[test]
fn a_misnamed_server_is_found_as_soon_as_it_has_its_name() {
    let endpoint = free_endpoint();
    let wrong = Peer::start_at(
        Model::Three,
        &endpoint,
        Some("tcp://other:1"),
        echo(Model::Three),
    );
    let mut client = quick(Model::Three).servers([&endpoint]).connect().unwrap();
    client.submit(["x"], Idempotent::No, SOON).unwrap();
    let end = std::time::Instant::now() + SOON;
    while client.servers()[0].misnamed.is_none() {
        assert!(std::time::Instant::now() < end);
        assert!(client.next_done(Duration::from_millis(5)).is_none());
    }
    assert_eq!(wrong.requests().len(), 0);
    drop(wrong);
    let _right = Peer::start_at(Model::Three, &endpoint, None, echo(Model::Three));
    client.next_done(SOON).unwrap().1.unwrap();
    assert_eq!(client.servers()[0].misnamed, None);
}
