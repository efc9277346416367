//! The scripted servers of Freelance, seen by a client that does nothing but send and receive: each
//! misbehaves as it says, and in no other way.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::freelance::{Behaviour, Model, ScriptedServer, wait_until};
use tests::{BOUND, Outcome, ensure};

type Frames = Vec<Vec<u8>>;

/// A socket of the kind that a client of a model has, and the messages that it would send.
struct Client {
    model: Model,
    server: String,
    socket: zmq::Socket,
    number: Cell<u64>,
}

impl Client {
    fn connect(model: Model, server: &ScriptedServer) -> Self {
        let kind = match model {
            Model::One | Model::Two => zmq::DEALER,
            Model::Three => zmq::ROUTER,
        };
        let socket = zmq::Context::new().socket(kind).expect("a socket");
        socket.set_linger(0).expect("linger can be set");
        socket.set_reconnect_ivl(5).expect("so can the interval");
        if model == Model::Three {
            socket.set_router_mandatory(true).expect("so can this");
        }
        socket
            .connect(server.endpoint())
            .expect("it is an endpoint");
        Self {
            model,
            server: server.endpoint().to_owned(),
            socket,
            number: Cell::new(0),
        }
    }

    fn request(&self, number: u64) -> Frames {
        let control = format!("fl/1 00000000000000ab {number} 1").into_bytes();
        let body = format!("request {number}").into_bytes();
        match self.model {
            Model::One => vec![control, Vec::new(), body],
            Model::Two => vec![control, Vec::new(), number.to_string().into_bytes(), body],
            Model::Three => vec![control, body],
        }
    }

    fn reply(&self, number: u64) -> Frames {
        let mut reply = self.request(number);
        if self.model == Model::Two {
            reply.insert(3, b"OK".to_vec());
        }
        reply
    }

    /// Sends one more request, and answers with its number.
    fn ask(&self) -> Outcome<u64> {
        let number = self.number.get() + 1;
        self.number.set(number);
        self.send(self.request(number))?;
        Ok(number)
    }

    fn send(&self, mut frames: Frames) -> Outcome<()> {
        if self.model == Model::Three {
            frames.insert(0, self.server.clone().into_bytes());
        }
        let send = || self.socket.send_multipart(&frames, zmq::DONTWAIT);
        // A ROUTER that has not shaken hands yet knows nobody.
        wait_until("a message leaves", || send().is_ok())
    }

    fn receive(&self) -> Outcome<Frames> {
        let bound = i64::try_from(BOUND.as_millis()).map_err(|error| error.to_string())?;
        let ready = self.socket.poll(zmq::POLLIN, bound);
        ensure(matches!(ready, Ok(1)), || "nothing came".to_owned())?;
        let frames = self.socket.recv_multipart(zmq::DONTWAIT);
        let mut frames = frames.map_err(|error| error.to_string())?;
        if self.model == Model::Three {
            let from = frames.remove(0);
            ensure(from == self.server.as_bytes(), || format!("from {from:?}"))?;
        }
        Ok(frames)
    }

    fn expect_reply(&self, number: u64) -> Outcome<()> {
        let frames = self.receive()?;
        ensure(frames == self.reply(number), || {
            format!("asked {number}, was answered {frames:?}")
        })
    }

    /// The number of the request to which this is a reply, right or wrong in its body, as a client
    /// would have it that looks at nothing but what the protocol says.
    fn is_reply_to(&self, frames: &Frames) -> Option<u64> {
        (1..=self.number.get()).find(|number| {
            let request = self.request(*number);
            let head = request.len() - 1;
            frames.len() > head && frames[..head] == request[..head]
        })
    }
}

fn on_each_model(
    behaviour: Behaviour,
    test: impl Fn(&ScriptedServer, &Client) -> Outcome<()>,
) -> Outcome<()> {
    for model in Model::ALL {
        let server = ScriptedServer::start(model, behaviour)?;
        let client = Client::connect(model, &server);
        test(&server, &client).map_err(|error| format!("{model:?}: {error}"))?;
    }
    Ok(())
}

#[test]
fn a_good_server_answers_each_request_once() -> Outcome<()> {
    on_each_model(Behaviour::Good, |server, client| {
        for _ in 0..20 {
            client.expect_reply(client.ask()?)?;
        }
        wait_until("all is counted", || server.said() == 20)?;
        ensure(server.requests() == 20, || "miscounted".to_owned())
    })
}

#[test]
fn a_good_server_answers_clients_that_know_nothing_but_the_guide() -> Outcome<()> {
    for (model, request, reply) in [
        (Model::One, vec!["body"], vec!["body"]),
        (Model::Two, vec!["7", "body"], vec!["7", "OK", "body"]),
    ] {
        let server = ScriptedServer::start(model, Behaviour::Good)?;
        let socket = zmq::Context::new().socket(zmq::REQ).expect("a socket");
        socket.set_linger(0).expect("linger can be set");
        socket.connect(server.endpoint()).expect("an endpoint");
        socket.send_multipart(request, 0).expect("a request leaves");
        assert_eq!(socket.poll(zmq::POLLIN, 20_000), Ok(1));
        let frames = socket.recv_multipart(0).expect("it is there");
        assert_eq!(
            frames,
            reply.iter().map(|f| f.as_bytes()).collect::<Vec<_>>()
        );
    }
    Ok(())
}

#[test]
fn a_dead_server_refuses_connections() -> Outcome<()> {
    let server = ScriptedServer::start(Model::One, Behaviour::Dead)?;
    let address = server.endpoint().trim_start_matches("tcp://");
    let refused = TcpStream::connect(address).map_err(|error| error.kind());
    ensure(matches!(refused, Err(ErrorKind::ConnectionRefused)), || {
        format!("{refused:?}")
    })
}

#[test]
fn a_mute_server_takes_requests_and_answers_none() -> Outcome<()> {
    on_each_model(Behaviour::Mute, |server, client| {
        for _ in 0..10 {
            client.ask()?;
        }
        // When the tenth has come, the nine before it have been dealt with.
        wait_until("all have come", || server.requests() == 10)?;
        ensure(server.said() == 0, || "it said something".to_owned())
    })
}

#[test]
fn every_server_of_model_3_that_speaks_answers_a_ping() -> Outcome<()> {
    for behaviour in [
        Behaviour::Good,
        Behaviour::Mute,
        Behaviour::DropTwoOfThree,
        Behaviour::WrongControl,
        Behaviour::WrongBody,
        Behaviour::DuplicatesAndStale,
        Behaviour::Slow(Duration::from_secs(3600)),
        Behaviour::Garbage,
    ] {
        let server = ScriptedServer::start(Model::Three, behaviour)?;
        let client = Client::connect(Model::Three, &server);
        client.send(vec![b"PING".to_vec()])?;
        // Amid the garbage it is one message of many.
        while client.receive()? != [b"PONG"] {
            ensure(behaviour == Behaviour::Garbage, || format!("{behaviour:?}"))?;
        }
        assert_eq!(server.pings(), 1);
    }
    Ok(())
}

#[test]
fn two_of_three_are_dropped() -> Outcome<()> {
    on_each_model(Behaviour::DropTwoOfThree, |server, client| {
        for number in 1..=9 {
            client.ask()?;
            if number % 3 == 0 {
                client.expect_reply(number)?;
            }
        }
        wait_until("all is counted", || server.said() == 3)?;
        ensure(server.requests() == 9, || "miscounted".to_owned())
    })
}

#[test]
fn a_wrong_control_frame_is_never_that_of_a_request() -> Outcome<()> {
    on_each_model(Behaviour::WrongControl, |_, client| {
        let mut heads = Vec::new();
        for _ in 0..12 {
            let number = client.ask()?;
            let frames = client.receive()?;
            let body = client.request(number).pop();
            ensure(frames.last() == body.as_ref(), || format!("{frames:?}"))?;
            ensure(client.is_reply_to(&frames).is_none(), || {
                format!("a right answer: {frames:?}")
            })?;
            heads.push(frames[0].clone());
        }
        // Of all three kinds: nonsense, and two that can be read.
        let readable = heads.iter().filter(|head| head.starts_with(b"fl/1 "));
        let readable = readable.count();
        ensure((4..12).contains(&readable), || format!("{heads:?}"))
    })
}

#[test]
fn a_wrong_body_comes_under_the_right_control_frame() -> Outcome<()> {
    on_each_model(Behaviour::WrongBody, |_, client| {
        for _ in 0..3 {
            let number = client.ask()?;
            let frames = client.receive()?;
            ensure(client.is_reply_to(&frames) == Some(number), || {
                format!("no reply: {frames:?}")
            })?;
            ensure(frames != client.reply(number), || "it is right".to_owned())?;
        }
        Ok(())
    })
}

#[test]
fn garbage_comes_unasked_in_all_sizes_and_is_no_reply() -> Outcome<()> {
    on_each_model(Behaviour::Garbage, |server, client| {
        client.receive()?;
        ensure(server.requests() == 0, || "it was asked".to_owned())?;
        let mut numbers = std::collections::BTreeSet::new();
        let mut sizes = std::collections::BTreeSet::new();
        for turn in 0..300 {
            if turn % 2 == 0 {
                client.ask()?;
            }
            let frames = client.receive()?;
            ensure(client.is_reply_to(&frames).is_none(), || {
                format!("a reply: {frames:?}")
            })?;
            numbers.insert(frames.len());
            sizes.extend(frames.iter().map(Vec::len));
        }
        ensure(
            [1, 2, 3, 8, 1_000].iter().all(|n| numbers.contains(n)),
            || format!("numbers of frames: {numbers:?}"),
        )?;
        ensure(
            [0, 1, 16, 255, 65_536].iter().all(|n| sizes.contains(n)),
            || format!("sizes of frames: {sizes:?}"),
        )
    })
}

#[test]
fn replies_come_three_times_and_again_later() -> Outcome<()> {
    on_each_model(Behaviour::DuplicatesAndStale, |server, client| {
        let mut times = [0; 6];
        for asked in 1..=5 {
            client.ask()?;
            // Three of its own; from the second on, three of earlier ones in between.
            for _ in 0..if asked == 1 { 3 } else { 6 } {
                let frames = client.receive()?;
                let number = client.is_reply_to(&frames);
                let number = number.ok_or_else(|| format!("no reply: {frames:?}"))?;
                ensure(frames == client.reply(number), || format!("{frames:?}"))?;
                times[usize::try_from(number).expect("it is at most 5")] += 1;
            }
        }
        ensure(times[1..].iter().all(|n| *n >= 3), || format!("{times:?}"))?;
        ensure(times.iter().sum::<usize>() == 27, || format!("{times:?}"))?;
        wait_until("all is counted", || server.said() == 27)
    })
}

#[test]
fn a_slow_server_answers_in_its_own_time() -> Outcome<()> {
    let time = Duration::from_millis(100);
    on_each_model(Behaviour::Slow(time), |_, client| {
        let since = Instant::now();
        let numbers = [client.ask()?, client.ask()?];
        for number in numbers {
            client.expect_reply(number)?;
        }
        ensure(since.elapsed() >= time, || "too soon".to_owned())
    })
}

#[test]
fn a_server_that_dies_midway_comes_back_at_the_same_port() -> Outcome<()> {
    let dies = Behaviour::DiesMidway {
        after: 3,
        away: Duration::from_millis(50),
    };
    on_each_model(dies, |server, client| {
        for life in 1..=3 {
            wait_until("it lives", || server.lives() == life)?;
            // What is sent on a connection that is about to be lost is lost with it, so the first
            // request of a life goes to a server that knows this client.
            let client = Client::connect(client.model, server);
            for _ in 0..3 {
                client.expect_reply(client.ask()?)?;
            }
            client.ask()?;
        }
        wait_until("it lives again", || server.lives() == 4)?;
        ensure(server.said() == 9, || format!("it said {}", server.said()))
    })
}

#[test]
fn a_client_finds_a_server_that_has_come_back() -> Outcome<()> {
    let dies = Behaviour::DiesMidway {
        after: 1,
        away: Duration::from_millis(50),
    };
    on_each_model(dies, |server, client| {
        client.expect_reply(client.ask()?)?;
        // Some are lost with the socket; one arrives in a later life.
        wait_until("it answers once more", || {
            let asked = client.ask().is_ok();
            let answered = matches!(client.socket.poll(zmq::POLLIN, 10), Ok(1));
            asked && answered
        })?;
        ensure(server.lives() > 1, || "it has not died".to_owned())
    })
}

#[test]
fn who_does_not_speak_zeromq_takes_connections_and_no_requests() -> Outcome<()> {
    for behaviour in [Behaviour::Unreadable, Behaviour::OtherProtocol] {
        let server = ScriptedServer::start(Model::One, behaviour)?;
        let client = Client::connect(Model::One, &server);
        client.ask()?;
        wait_until("a connection", || server.connections() > 0)?;
        ensure(server.requests() == 0 && server.said() == 0, || {
            format!("{behaviour:?} spoke")
        })?;
        let monitored = client.socket.poll(zmq::POLLIN, 0);
        ensure(matches!(monitored, Ok(0)), || "an answer".to_owned())?;
    }
    Ok(())
}
