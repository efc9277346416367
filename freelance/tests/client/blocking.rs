//! The client that blocks its caller.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use freelance::{Client, Error, Idempotent, Liveness, Model, RequestError};

use crate::peer::{Peer, SOON, echo, free_endpoint, mute, wait_for};
use crate::{MODELS, echoed, quick};

#[test]
fn a_request_is_answered_in_each_model() {
    for model in MODELS {
        let server = Peer::echo(model);
        let mut client = Client::builder(model)
            .servers([server.endpoint()])
            .connect()
            .unwrap();
        for round in 0..20 {
            let body = vec![b"hello".to_vec(), vec![], vec![round; 3000]];
            let reply = client
                .request(body.clone(), Idempotent::No, SOON)
                .unwrap_or_else(|error| panic!("{model:?}: {error}"));
            assert_eq!(echoed(model, &reply.frames), body, "{model:?}");
            assert_eq!(reply.attempts, 1, "{model:?}");
        }
        let stats = client.stats();
        assert_eq!((stats.submitted, stats.replies, stats.failed), (20, 20, 0));
        assert_eq!(server.requests().len(), 20, "{model:?}");
    }
}

#[test]
fn nobody_there_is_no_server_at_the_deadline() {
    for model in MODELS {
        let mut client = Client::builder(model)
            .servers([free_endpoint(), free_endpoint()])
            .connect()
            .unwrap();
        let timeout = Duration::from_millis(100);
        let began = Instant::now();
        let error = client.request(["x"], Idempotent::Yes, timeout).unwrap_err();
        assert!(matches!(error, RequestError::NoServer), "{error:?}");
        assert!(began.elapsed() >= timeout);
    }
}

#[test]
fn what_was_not_answered_is_unknown_at_the_deadline() {
    for model in MODELS {
        let server = Peer::start(model, mute);
        let mut client = quick(model).servers([server.endpoint()]).connect().unwrap();
        let error = client
            .request(["x"], Idempotent::No, Duration::from_millis(400))
            .unwrap_err();
        assert!(matches!(error, RequestError::Unknown), "{error:?}");
        assert_eq!(server.requests().len(), 1, "it is sent once, in {model:?}");
    }
}

#[test]
fn a_server_that_comes_late_is_found() {
    for model in MODELS {
        let endpoint = free_endpoint();
        let mut client = quick(model).servers([&endpoint]).connect().unwrap();
        let waiting = std::thread::spawn({
            let endpoint = endpoint.clone();
            move || {
                std::thread::sleep(Duration::from_millis(100));
                Peer::start_at(model, &endpoint, None, echo(model))
            }
        });
        client.request(["x"], Idempotent::No, SOON).unwrap();
        drop(waiting.join().unwrap());
    }
}

#[test]
fn many_are_under_way_and_end_in_the_order_of_their_replies() {
    for model in MODELS {
        // Two messages make a pair, and the second is answered first.
        let mut first = None;
        let mut answer = echo(model);
        let server = Peer::start(model, move |message| {
            if model == Model::Three && message.len() == 2 {
                return answer(message);
            }
            match first.take() {
                None => {
                    first = Some(message);
                    Vec::new()
                }
                Some(earlier) => [answer(message), answer(earlier)].concat(),
            }
        });
        let mut client = Client::builder(model)
            .servers([server.endpoint()])
            .connect()
            .unwrap();
        client.wait_ready(SOON).unwrap();
        let submitted: Vec<_> = (0..100)
            .map(|n| client.submit([vec![n]], Idempotent::No, SOON).unwrap())
            .collect();
        let mut done = Vec::new();
        while let Some((id, result)) = client.next_done(SOON) {
            let n = submitted.iter().position(|other| *other == id).unwrap();
            let reply = result.unwrap();
            assert_eq!(echoed(model, &reply.frames), [[u8::try_from(n).unwrap()]]);
            done.push(n);
        }
        assert_eq!(done.len(), 100);
        assert_eq!(done[..4], [1, 0, 3, 2], "{model:?}");
        assert_eq!(done.iter().collect::<HashSet<_>>().len(), 100);
    }
}

#[test]
fn one_request_too_many_is_an_error_that_changes_nothing() {
    let server = Peer::start(Model::Three, mute);
    let mut config = freelance::Config::new(Model::Three);
    config.max_outstanding = 2;
    let mut client = Client::builder(Model::Three)
        .config(config)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    let timeout = Duration::from_millis(300);
    for _ in 0..2 {
        client.submit(["x"], Idempotent::No, timeout).unwrap();
    }
    let error = client.submit(["x"], Idempotent::No, timeout).unwrap_err();
    assert!(matches!(error, Error::TooManyOutstanding { limit: 2 }));
    for _ in 0..2 {
        let (_, result) = client.next_done(SOON).unwrap();
        assert!(matches!(result, Err(RequestError::Unknown)));
    }
    assert!(client.next_done(SOON).is_none());
    client.submit(["x"], Idempotent::No, timeout).unwrap();
}

#[test]
fn next_done_waits_no_longer_than_it_may() {
    let server = Peer::start(Model::Three, mute);
    let mut client = Client::builder(Model::Three)
        .servers([server.endpoint()])
        .connect()
        .unwrap();
    assert!(client.next_done(Duration::ZERO).is_none());
    let id = client.submit(["x"], Idempotent::No, SOON).unwrap();
    let began = Instant::now();
    assert!(client.next_done(Duration::from_millis(50)).is_none());
    assert!(began.elapsed() >= Duration::from_millis(50) && began.elapsed() < SOON);
    assert!(client.cancel(id));
    assert!(!client.cancel(id));
    assert!(client.next_done(SOON).is_none(), "nothing is under way");
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let mut config = freelance::Config::new(Model::One);
    config.max_request_bytes = 10;
    config.max_request_frames = 3;
    let mut client = Client::builder(Model::One)
        .config(config)
        .connect()
        .unwrap();
    let mut refused = |body: Vec<Vec<u8>>| {
        let result = client.request(body, Idempotent::No, SOON);
        match result.unwrap_err() {
            RequestError::Rejected(error) => error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(refused(vec![]), Error::Empty));
    assert!(matches!(
        refused(vec![vec![0; 6], vec![0; 6]]),
        Error::TooLarge {
            bytes: 12,
            limit: 10
        }
    ));
    assert!(matches!(
        refused(vec![vec![]; 4]),
        Error::TooManyFrames {
            frames: 4,
            limit: 3
        }
    ));
    assert!(matches!(
        refused(vec![b"fl-no way".to_vec()]),
        Error::LooksLikeRefusal
    ));
}

#[test]
fn wait_ready_waits_for_a_server_and_no_longer_than_it_may() {
    for model in MODELS {
        let endpoint = free_endpoint();
        let mut client = quick(model).servers([&endpoint]).connect().unwrap();
        let error = client.wait_ready(Duration::from_millis(30)).unwrap_err();
        assert!(matches!(error, Error::NotReady));
        let _server = Peer::start_at(model, &endpoint, None, echo(model));
        client.wait_ready(SOON).unwrap();
    }
}

#[test]
fn servers_that_cannot_be_are_named() {
    let error = |endpoints: &[&str]| {
        let servers = endpoints.iter().copied();
        let built = Client::builder(Model::Three).servers(servers).connect();
        built.unwrap_err().to_string()
    };
    assert!(error(&["tcp://127.0.0.1"]).contains("tcp://127.0.0.1"));
    assert!(error(&["inproc://x"]).contains("inproc://x"));
    let twice = ["tcp://127.0.0.1:1", "tcp://127.0.0.1:1"];
    assert!(error(&twice).contains("tcp://127.0.0.1:1 is known already"));
}

#[test]
fn the_first_server_is_asked_while_it_is_well_and_the_next_one_then() {
    for model in [Model::One, Model::Three] {
        let (first, second) = (Peer::echo(model), Peer::echo(model));
        let mut client = quick(model)
            .servers([first.endpoint(), second.endpoint()])
            .connect()
            .unwrap();
        for _ in 0..10 {
            client.request(["x"], Idempotent::Yes, SOON).unwrap();
        }
        assert_eq!(second.requests().len(), 0, "{model:?}");
        assert_eq!(first.requests().len(), 10, "{model:?}");
        drop(first);
        for _ in 0..10 {
            client.request(["x"], Idempotent::Yes, SOON).unwrap();
        }
        assert!(second.requests().len() >= 10, "{model:?}");
    }
}

#[test]
fn a_pool_shares_the_requests() {
    for model in [Model::One, Model::Three] {
        // Nobody answers, so nothing but what was sent decides who gets the next.
        let servers = [0; 3].map(|_| Peer::start(model, mute));
        let mut client = Client::builder(model)
            .pool(servers.iter().map(Peer::endpoint))
            .connect()
            .unwrap();
        let is_live = |server: &freelance::ServerStats| server.liveness == Liveness::Live;
        while !client.servers().iter().all(is_live) {
            client.wait_ready(SOON).unwrap();
        }
        for _ in 0..90 {
            client.submit(["x"], Idempotent::No, SOON).unwrap();
        }
        for server in &servers {
            wait_for("its share", || server.requests().len() == 30);
        }
    }
}

#[test]
fn a_refusal_by_word_moves_the_request_to_the_next_server_whatever_it_is() {
    for model in [Model::One, Model::Three] {
        let full = Peer::start(model, move |message| match message.len() {
            2 => mute(message),
            _ => {
                let envelope = if model == Model::Three { 2 } else { 3 };
                let mut refusal = message[..envelope].to_vec();
                refusal.push(b"fl-no full".to_vec());
                vec![refusal]
            }
        });
        let good = Peer::echo(model);
        let mut client = quick(model)
            .servers([full.endpoint(), good.endpoint()])
            .connect()
            .unwrap();
        let reply = client.request(["x"], Idempotent::No, SOON).unwrap();
        assert_eq!(reply.frames, [b"x"]);
        assert_eq!(client.stats().retries, 0, "it is free");
    }
}

#[test]
fn a_request_without_time_ends_at_once() {
    for model in MODELS {
        let server = Peer::echo(model);
        let mut client = Client::builder(model)
            .servers([server.endpoint()])
            .connect()
            .unwrap();
        client.request(["x"], Idempotent::Yes, SOON).unwrap();
        let error = client
            .request(["x"], Idempotent::Yes, Duration::ZERO)
            .unwrap_err();
        assert!(matches!(error, RequestError::NoServer), "{error:?}");
        client
            .submit(["x"], Idempotent::Yes, Duration::ZERO)
            .unwrap();
        assert!(client.next_done(SOON).unwrap().1.is_err());
        assert!(server.requests().len() < 2);
    }
}

#[test]
fn a_client_that_did_not_run_does_not_blame_its_servers() {
    let servers = [Peer::echo(Model::Three), Peer::echo(Model::Three)];
    let mut config = freelance::Config::new(Model::Three);
    config.ping_interval = Duration::from_millis(50);
    let mut client = Client::builder(Model::Three)
        .config(config)
        .servers(servers.iter().map(Peer::endpoint))
        .connect()
        .unwrap();
    for _ in 0..20 {
        client.request(["x"], Idempotent::No, SOON).unwrap();
    }
    // Long enough for each server to be suspect and given up, if this were their silence.
    std::thread::sleep(Duration::from_millis(600));
    client.request(["x"], Idempotent::No, SOON).unwrap();
    assert_eq!(client.stats().panics, 0);
    assert_eq!(client.servers()[0].links, 1);
}
