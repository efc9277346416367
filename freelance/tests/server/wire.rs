//! What each model says and hears.

use freelance::{Error, Model, Server};
use reactor::SocketError;

use crate::rig::{ANY, App, Rig, control, echo, frames, send};

#[test]
fn model_1_answers_a_req_as_rep_does() {
    let (mut rig, server) = Rig::echo(Model::One);
    let client = rig.client(zmq::REQ, &server);
    for n in 0..3 {
        let body = format!("hello {n}");
        send(&client, &[&body, ""]);
        assert_eq!(rig.answer(&client), frames(&[&body, ""]));
    }
    assert_eq!(rig.app.seen.len(), 3);
    assert_eq!((server.stats().received, server.stats().replied), (3, 3));
}

#[test]
fn model_1_returns_any_envelope_and_the_handler_sees_the_body() {
    let (mut rig, server) = Rig::echo(Model::One);
    let client = rig.client(zmq::DEALER, &server);
    for envelope in [&[""][..], &["a", ""], &["proxy", "client", ""]] {
        let message = [envelope, &["body", "", "more"]].concat();
        send(&client, &message);
        assert_eq!(rig.answer(&client), frames(&message));
        assert_eq!(rig.app.seen.pop().unwrap(), frames(&["body", "", "more"]));
    }
}

#[test]
fn model_1_serves_a_client_behind_a_proxy() {
    let (mut rig, server) = Rig::echo(Model::One);
    let front = rig.context.socket(zmq::ROUTER).unwrap();
    front.bind("inproc://front").unwrap();
    let back = rig.client(zmq::DEALER, &server);
    let client = rig.context.socket(zmq::REQ).unwrap();
    client.connect("inproc://front").unwrap();
    send(&client, &["hello"]);
    let request = front.recv_multipart(0).unwrap();
    back.send_multipart(&request, 0).unwrap();
    let reply = rig.answer(&back);
    front.send_multipart(&reply, 0).unwrap();
    assert_eq!(client.recv_multipart(0).unwrap(), frames(&["hello"]));
}

#[test]
fn model_2_keeps_the_sequence_from_the_handler_and_returns_it() {
    let mut rig = Rig::new();
    let ok = |app: &mut App, scope: &mut _, request: freelance::server::Request| {
        app.seen.push(crate::rig::body(&request));
        Ok(request.reply(scope, ["OK"])?)
    };
    let server = rig.attach(Server::new(Model::Two, ANY), ok).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["", "17", "random name"]);
    assert_eq!(rig.answer(&client), frames(&["", "17", "OK"]));
    let own = control(18, 1);
    send(&client, &[&own, "", "18", "", "x"]);
    assert_eq!(rig.answer(&client), frames(&[&own, "", "18", "OK"]));
    assert_eq!(rig.app.seen, [frames(&["random name"]), frames(&["", "x"])]);
}

#[test]
fn what_has_no_shape_is_dropped_and_counted_and_the_next_is_served() {
    let two: &[&[&str]] = &[&["x"], &["", ""], &["", "1"], &["x", "1", "y"]];
    let one: &[&[&str]] = &[&["x"], &[""], &["x", "y"], &["x", ""]];
    for (model, wrong) in [(Model::One, one), (Model::Two, two)] {
        let (mut rig, server) = Rig::echo(model);
        let client = rig.client(zmq::DEALER, &server);
        for message in wrong {
            send(&client, message);
        }
        send(&client, &["", "1", "right"]);
        assert_eq!(rig.answer(&client), frames(&["", "1", "right"]));
        assert_eq!(server.stats().malformed, 4);
        assert_eq!(server.stats().received, 1);
    }
}

#[test]
fn a_message_of_too_many_frames_is_malformed() {
    let mut rig = Rig::new();
    let mut config = freelance::server::Config::new();
    config.max_request_frames = 4;
    let builder = Server::new(Model::One, ANY).config(config);
    let server = rig.attach(builder, echo).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["", "1", "2", "3"]);
    send(&client, &["", "1", "2"]);
    assert_eq!(rig.answer(&client), frames(&["", "1", "2"]));
    assert_eq!(server.stats().malformed, 1);
}

#[test]
fn a_frame_that_is_too_large_costs_its_sender_the_link_and_nobody_else() {
    let mut rig = Rig::new();
    let mut config = freelance::server::Config::new();
    config.max_request_frame_bytes = 1000;
    let builder = Server::new(Model::One, ANY).config(config);
    let server = rig.attach(builder, echo).unwrap();
    let (large, small) = (
        rig.client(zmq::DEALER, &server),
        rig.client(zmq::DEALER, &server),
    );
    send(&large, &["", &"x".repeat(1001)]);
    send(&small, &["", &"x".repeat(1000)]);
    assert_eq!(rig.answer(&small)[1].len(), 1000);
    assert_eq!(server.stats().received, 1);
}

#[test]
fn servers_of_all_models_share_a_reactor() {
    let mut rig = Rig::new();
    let [one, two, three] = [Model::One, Model::Two, Model::Three]
        .map(|model| rig.attach(Server::new(model, ANY), echo).unwrap());
    let clients = [&one, &two].map(|server| rig.client(zmq::DEALER, server));
    for client in &clients {
        send(client, &["", "1", "x"]);
    }
    let router = rig.client(zmq::ROUTER, &three);
    rig.send_to(&router, &three.endpoint(), &[b"1", b"x"]);
    for client in &clients {
        assert_eq!(rig.answer(client), frames(&["", "1", "x"]));
    }
    assert_eq!(rig.answer(&router)[1..], frames(&["1", "x"]));
}

#[test]
fn a_shared_context_serves_within_the_process() {
    let mut rig = Rig::new();
    let builder = Server::new(Model::Three, "inproc://server").context(&rig.context);
    let server = rig.attach(builder, echo).unwrap();
    assert_eq!(server.identity().as_deref(), Some("inproc://server"));
    let client = rig.client(zmq::ROUTER, &server);
    rig.send_to(&client, "inproc://server", &[b"1", b"x"]);
    assert_eq!(rig.answer(&client)[1..], frames(&["1", "x"]));
}

#[test]
fn an_endpoint_that_is_in_use_is_named() {
    let (mut rig, server) = Rig::echo(Model::One);
    for model in [Model::One, Model::Two, Model::Three] {
        let again = rig.attach(Server::new(model, server.endpoint()), echo);
        match again {
            Err(Error::Socket(SocketError::InUse(endpoint))) => {
                assert_eq!(endpoint, server.endpoint());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_cannot_be_attached_says_what_to_do() {
    let mut rig = Rig::new();
    let cases = [
        (Server::new(Model::One, "localhost"), "is no endpoint"),
        (
            Server::new(Model::One, ANY).identity("tcp://localhost:1"),
            "identity: belongs to model 3",
        ),
        (
            Server::new(Model::Three, ANY).identity("tcp://*:1"),
            "a wildcard can be bound, not connected to",
        ),
        (
            Server::new(Model::Three, "tcp://*:*"),
            "give the endpoint that clients dial",
        ),
    ];
    for (builder, expected) in cases {
        let error = rig.attach(builder, echo).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let crew = Server::<App>::new(Model::One, ANY).workers(0, |frames| frames);
    let error = crew.attach(rig.reactor.scope()).unwrap_err().to_string();
    assert_eq!(error, "workers: must be from 1 to 1024");
}

#[test]
fn a_reply_without_frames_is_an_error_of_whoever_gives_it() {
    let mut rig = Rig::new();
    let nothing = |app: &mut App, scope: &mut _, request: freelance::server::Request| {
        let error = request.reply(scope, [""; 0]).unwrap_err();
        app.seen.push(vec![error.to_string().into_bytes()]);
        Ok(())
    };
    let server = rig.attach(Server::new(Model::One, ANY), nothing).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["", "x"]);
    rig.turn_until("the handler", |app| !app.seen.is_empty());
    assert_eq!(rig.app.seen[0], frames(&["a reply has at least one frame"]));
    assert_eq!((server.stats().unanswered, server.under_way()), (1, 0));
}
