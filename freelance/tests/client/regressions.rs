//! The defects of the Guide's own clients, by their numbers: none may exist here.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use freelance::{Client, Config, Idempotent, Model};

use crate::peer::{Peer, SOON, echo, free_endpoint, mute, wait_for};
use crate::{MODELS, echoed, quick};

#[test]
fn f1_a_pong_is_not_taken_for_a_reply() {
    let server = Peer::echo(Model::Three);
    let agent = quick(Model::Three)
        .servers([server.endpoint()])
        .spawn()
        .unwrap();
    let pings = || server.seen().iter().filter(|m| m.len() == 1).count();
    wait_for("some pings before the first request", || pings() > 3);
    for body in ["first", "second"] {
        let reply = agent.request([body], Idempotent::No, SOON).unwrap();
        assert_eq!(reply.frames, [body.as_bytes()]);
    }
}

#[test]
fn f2_a_request_is_not_sent_again_at_every_wake_up() {
    // Pings and their answers wake the client up, while the one server takes longer than an attempt.
    let mut config = Config::new(Model::Three);
    config.ping_interval = Duration::from_millis(10);
    let mut held: Option<Vec<Vec<u8>>> = None;
    let mut heard = 0;
    let server = Peer::start(Model::Three, move |message| {
        if message.len() > 2 {
            held = Some(message);
            return Vec::new();
        }
        heard += usize::from(held.is_some());
        let mut answers = mute(message);
        if heard >= 20 {
            answers.extend(held.take());
        }
        answers
    });
    let agent = Client::builder(Model::Three)
        .config(config)
        .servers([server.endpoint()]);
    let agent = agent.spawn().unwrap();
    agent.request(["x"], Idempotent::No, SOON).unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn f3_a_late_reply_is_not_given_to_the_next_request() {
    for model in MODELS {
        // The reply to each request comes in front of that to the next one.
        let mut late: Option<Vec<Vec<u8>>> = None;
        let mut answer = echo(model);
        let server = Peer::start(model, move |message| {
            if model == Model::Three && message.len() == 2 {
                return answer(message);
            }
            let reply = answer(message).remove(0);
            match late.take() {
                None => {
                    late = Some(reply);
                    Vec::new()
                }
                Some(earlier) => vec![earlier, reply],
            }
        });
        let mut client = Client::builder(model)
            .servers([server.endpoint()])
            .connect()
            .unwrap();
        client.wait_ready(SOON).unwrap();
        let short = Duration::from_millis(50);
        assert!(client.request(["first"], Idempotent::No, short).is_err());
        let reply = client.request(["second"], Idempotent::No, SOON).unwrap();
        assert_eq!(echoed(model, &reply.frames), [b"second"], "{model:?}");
        assert_eq!(client.stats().late, 1, "{model:?}");
    }
}

#[test]
fn f4_with_the_first_server_dead_the_second_answers_within_the_attempt_timeout() {
    for model in MODELS {
        let second = Peer::echo(model);
        let mut config = Config::new(model);
        config.attempt_timeout = SOON;
        let mut client = Client::builder(model)
            .config(config)
            .servers([free_endpoint().as_str(), second.endpoint()])
            .connect()
            .unwrap();
        let began = Instant::now();
        client.request(["x"], Idempotent::Yes, 2 * SOON).unwrap();
        assert!(began.elapsed() < SOON, "{model:?}: {:?}", began.elapsed());
    }
}

#[test]
fn f5_a_server_that_returns_finds_no_stale_requests() {
    for model in MODELS {
        let endpoint = free_endpoint();
        let first = Peer::start_at(model, &endpoint, None, echo(model));
        let other = Peer::echo(model);
        let mut client = quick(model)
            .servers([endpoint.as_str(), other.endpoint()])
            .connect()
            .unwrap();
        client.request(["before"], Idempotent::Yes, SOON).unwrap();
        drop(first);
        for _ in 0..200 {
            client.request(["while"], Idempotent::Yes, SOON).unwrap();
        }
        let first = Peer::start_at(model, &endpoint, None, echo(model));
        let end = Instant::now() + SOON;
        while first.requests().is_empty() {
            assert!(Instant::now() < end, "{model:?}: it is not asked again");
            client.request(["after"], Idempotent::Yes, SOON).unwrap();
        }
        for request in first.requests() {
            assert_eq!(request.last().unwrap(), b"after", "{model:?}");
        }
    }
}

#[test]
fn f6_a_server_is_not_listed_twice() {
    for model in MODELS {
        let server = Peer::echo(model);
        let mut client = quick(model).servers([server.endpoint()]).connect().unwrap();
        client.request(["x"], Idempotent::No, SOON).unwrap();
        assert!(client.add_server(server.endpoint(), 3).is_err());
        client.request(["x"], Idempotent::Yes, SOON).unwrap();
        assert_eq!(client.servers().len(), 1);
        assert_eq!(server.requests().len(), 2, "{model:?}: one copy each");
    }
}

#[test]
fn f9_nothing_that_a_server_sends_ends_the_client() {
    for model in MODELS {
        let mut round = 0_usize;
        let mut answer = echo(model);
        let server = Peer::start(model, move |message| {
            round += 1;
            let identity = message[0].clone();
            let control = message.get(1).cloned().unwrap_or_default();
            let junk = vec![round as u8; round * 37 % 5000];
            // Junk under the control frame itself would be an answer: no client can tell it from one.
            let damaged = [control.clone(), b"0".to_vec()].concat();
            let mut messages = vec![
                vec![identity.clone(), junk.clone()],
                vec![identity.clone(), control],
                vec![identity.clone(), damaged.clone(), junk.clone()],
                vec![identity.clone(), damaged, vec![], junk.clone()],
                [vec![identity.clone()], vec![junk; round % 20]].concat(),
                vec![identity, b"PONG".to_vec(), b"PONG".to_vec()],
            ];
            messages.extend(answer(message));
            messages
        });
        let mut client = quick(model).servers([server.endpoint()]).connect().unwrap();
        for n in 0..50_u8 {
            let body = vec![n; 3];
            let reply = client
                .request([body.clone()], Idempotent::Yes, SOON)
                .unwrap();
            assert_eq!(echoed(model, &reply.frames), [body], "{model:?}");
        }
        assert!(client.stats().foreign > 50, "{model:?}");
    }
}

#[test]
fn f10_connecting_takes_no_time_and_many_requests_are_under_way() {
    for model in MODELS {
        let endpoints: Vec<_> = (0..60).map(|_| free_endpoint()).collect();
        let server = Peer::echo(model);
        let began = Instant::now();
        let mut client = Client::builder(model)
            .servers(
                endpoints
                    .iter()
                    .map(String::as_str)
                    .chain([server.endpoint()]),
            )
            .connect()
            .unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "60 sleeps of 100 ms"
        );
        let ids: HashSet<_> = (0..100)
            .map(|_| client.submit(["x"], Idempotent::Yes, SOON).unwrap())
            .collect();
        let mut done = HashSet::new();
        while let Some((id, result)) = client.next_done(SOON) {
            result.unwrap();
            done.insert(id);
        }
        assert_eq!(done, ids, "{model:?}");
    }
}

#[test]
fn f11_who_is_dead_is_remembered() {
    // The first server takes requests and never answers: only the first few wait for it.
    for model in [Model::One, Model::Three] {
        let (first, second) = (Peer::start(model, mute), Peer::echo(model));
        let mut config = Config::new(model);
        config.attempt_timeout = Duration::from_millis(100);
        config.eject_for = Duration::from_secs(600);
        config.max_eject_for = Duration::from_secs(600);
        let eject_after = config.eject_after as usize;
        let mut client = Client::builder(model)
            .config(config)
            .servers([first.endpoint(), second.endpoint()])
            .connect()
            .unwrap();
        for _ in 0..50 {
            client.request(["x"], Idempotent::Yes, SOON).unwrap();
        }
        assert!(first.requests().len() <= eject_after, "{model:?}");
        assert!(second.requests().len() >= 50, "{model:?}");
    }
}
