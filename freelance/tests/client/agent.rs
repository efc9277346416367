//! The client on a thread of its own.

use std::thread;
use std::time::{Duration, Instant};

use freelance::{Client, Error, Idempotent, Model, RequestError};

use crate::peer::{Peer, SOON, free_endpoint, mute, wait_for};
use crate::{MODELS, echoed, quick};

#[test]
fn threads_share_it() {
    for model in MODELS {
        let servers = [Peer::echo(model), Peer::echo(model)];
        let endpoints = servers.iter().map(Peer::endpoint);
        let agent = Client::builder(model).pool(endpoints).spawn().unwrap();
        thread::scope(|scope| {
            for number in 0..4_u8 {
                let agent = agent.clone();
                scope.spawn(move || {
                    for round in 0..50_u8 {
                        let body = vec![number, round];
                        let reply = agent.request([body.clone()], Idempotent::No, SOON);
                        assert_eq!(echoed(model, &reply.unwrap().frames), [body]);
                    }
                });
            }
        });
        assert_eq!(agent.stats().unwrap().replies, 200, "{model:?}");
    }
}

#[test]
fn what_is_under_way_keeps_it_alive() {
    let server = Peer::echo(Model::Three);
    let agent = Client::builder(Model::Three).servers([server.endpoint()]);
    let agent = agent.spawn().unwrap();
    let pending: Vec<_> = (0..50_u8)
        .map(|n| agent.submit([vec![n]], Idempotent::No, SOON).unwrap())
        .collect();
    drop(agent);
    for (n, pending) in (0..).zip(pending) {
        assert_eq!(pending.wait().unwrap().frames, [[n]]);
    }
}

#[test]
fn who_waits_for_a_while_gets_the_request_back() {
    let server = Peer::start(Model::Three, mute);
    let agent = Client::builder(Model::Three).servers([server.endpoint()]);
    let agent = agent.spawn().unwrap();
    let timeout = Duration::from_millis(500);
    let pending = agent.submit(["x"], Idempotent::No, timeout).unwrap();
    let began = Instant::now();
    let pending = pending.wait_for(Duration::from_millis(20)).unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(20));
    let result = pending.wait_for(SOON).unwrap();
    assert!(matches!(result, Err(RequestError::Unknown)), "{result:?}");
}

#[test]
fn servers_come_and_go_while_it_runs() {
    for model in MODELS {
        let (first, second) = (Peer::echo(model), Peer::echo(model));
        let agent = quick(model).spawn().unwrap();
        let error = agent.wait_ready(Duration::from_millis(10)).unwrap_err();
        assert!(matches!(error, Error::NotReady));
        let id = agent.add_server(first.endpoint(), 0).unwrap();
        agent.wait_ready(SOON).unwrap();
        agent.request(["x"], Idempotent::No, SOON).unwrap();
        agent.add_server(second.endpoint(), 0).unwrap();
        agent.drain_server(id).unwrap();
        agent.request(["x"], Idempotent::No, SOON).unwrap();
        assert_eq!(first.requests().len(), 1, "{model:?}");
        assert_eq!(second.requests().len(), 1, "{model:?}");
        wait_for("the first is gone", || agent.servers().unwrap().len() == 1);
        let error = agent.remove_server(id).unwrap_err();
        assert!(matches!(error, Error::NoSuchServer), "{error}");
    }
}

#[test]
fn its_errors_are_those_of_the_client() {
    let agent = Client::builder(Model::One)
        .servers([free_endpoint()])
        .spawn()
        .unwrap();
    let nothing: [&str; 0] = [];
    let error = agent.request(nothing, Idempotent::No, SOON).unwrap_err();
    assert!(matches!(error, RequestError::Rejected(Error::Empty)));
    let built = Client::builder(Model::One).servers(["nowhere"]).spawn();
    assert!(matches!(built.unwrap_err(), Error::Endpoint(_)));
}
