//! What 10/FLP asks of a server, each by a test of its own.

use freelance::{Model, Server};

use crate::rig::{ANY, Rig, echo, frames, send};

/// "The server MUST use a ROUTER": it addresses its clients, and each gets its own reply, in whatever order.
#[test]
fn flp_must_be_a_router() {
    let (mut rig, server) = Rig::keep(Server::new(Model::Three, ANY));
    let name = server.identity().unwrap();
    let clients = [0; 2].map(|_| rig.client(zmq::ROUTER, &server));
    for (client, body) in clients.iter().zip(["first", "second"]) {
        rig.send_to(client, &name, &[b"1", body.as_bytes()]);
        rig.turn_until("the request", |app| {
            app.seen.last() == Some(&frames(&[body]))
        });
    }
    rig.reply(1, "to the second");
    rig.reply(0, "to the first");
    assert_eq!(rig.answer(&clients[0])[1..], frames(&["1", "to the first"]));
    assert_eq!(
        rig.answer(&clients[1])[1..],
        frames(&["1", "to the second"])
    );
}

/// "The server MUST set its identity to the endpoint that clients use".
#[test]
fn flp_must_have_the_endpoint_that_clients_dial_as_its_identity() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let client = rig.client(zmq::ROUTER, &server);
    assert_eq!(server.identity(), Some(server.endpoint()));
    rig.send_to(&client, &server.endpoint(), &[b"1", b"x"]);
    assert_eq!(rig.answer(&client)[0], server.endpoint().as_bytes());
}

#[test]
fn flp_may_be_told_another_name_than_it_binds() {
    let mut rig = Rig::new();
    let builder =
        Server::new(Model::Three, "tcp://127.0.0.1:*").identity("tcp://host.example:5555");
    let server = rig.attach(builder, echo).unwrap();
    let client = rig.client(zmq::ROUTER, &server);
    rig.send_to(&client, "tcp://host.example:5555", &[b"1", b"x"]);
    let answer = rig.answer(&client);
    assert_eq!(answer, frames(&["tcp://host.example:5555", "1", "x"]));
}

/// "... and which is stable over restarts": a client that stays connected reaches the next life by the same name.
#[test]
fn flp_must_keep_its_identity_over_a_restart() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let name = server.identity().unwrap();
    let client = rig.client(zmq::ROUTER, &server);
    rig.send_to(&client, &name, &[b"1", b"before"]);
    rig.answer(&client);
    server.close(rig.reactor.scope());
    rig.turn_until("the end", |_| server.is_closed());
    let mut again = None;

    let start = std::time::Instant::now();
    while again.is_none() && start.elapsed() < crate::rig::BOUND {
        again = rig
            .attach(Server::new(Model::Three, name.clone()), echo)
            .ok();
        rig.turn_until("a turn", |_| true);
    }
    assert_eq!(again.unwrap().identity(), Some(name.clone()));
    // What was sent into the old link is lost; what is asked again is answered.
    let mut answer = None;
    rig.turn_until("an answer of the next life", |_| {
        let message = [name.as_bytes(), b"2", b"after"];
        let _ = client.send_multipart(message, zmq::DONTWAIT);
        answer = client.recv_multipart(zmq::DONTWAIT).ok();
        answer.is_some()
    });
    assert_eq!(answer.unwrap(), frames(&[&name, "2", "after"]));
}

/// "The server MUST answer PING with PONG", each exactly one frame.
#[test]
fn flp_must_answer_a_ping_with_a_pong_of_one_frame() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let client = rig.client(zmq::ROUTER, &server);
    let name = server.endpoint();
    for _ in 0..2 {
        rig.send_to(&client, &name, &[b"PING"]);
        assert_eq!(rig.answer(&client), frames(&[&name, "PONG"]));
    }
    assert_eq!((server.stats().pings, server.stats().received), (2, 0));
    assert!(rig.app.seen.is_empty(), "no request");
}

/// A PING is told from a request by the number of frames.
#[test]
fn flp_must_take_two_frames_for_a_request_also_when_the_first_spells_ping() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let client = rig.client(zmq::ROUTER, &server);
    let name = server.endpoint();
    rig.send_to(&client, &name, &[b"PING", b"body"]);
    assert_eq!(rig.answer(&client), frames(&[&name, "PING", "body"]));
    assert_eq!(server.stats().pings, 0);
}

/// "The server MUST return the client control frame unmodified".
#[test]
fn flp_must_return_the_control_frame_unmodified() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let client = rig.client(zmq::ROUTER, &server);
    let name = server.endpoint();
    let long = vec![0xfe; 100_000];
    let binary: Vec<u8> = (0..=255).collect();
    for control in [&b""[..], b"\0", b"PING", b"PONG", &binary, &long] {
        rig.send_to(&client, &name, &[control, b"body"]);
        let answer = rig.answer(&client);
        assert_eq!(answer[1], control);
        assert_eq!(answer[2..], frames(&["body"]));
    }
}

/// "... followed by one or more frames of reply".
#[test]
fn flp_must_reply_with_one_or_more_frames() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let client = rig.client(zmq::ROUTER, &server);
    let name = server.endpoint();
    for body in [&[&b""[..]][..], &[b"a"], &[b"", b"", b"x"]] {
        let message = [&[&b"1"[..]], body].concat();
        rig.send_to(&client, &name, &message);
        let answer = rig.answer(&client);
        assert_eq!(answer[1..], message);
    }
}

/// One frame that is no PING is neither a request nor an error.
#[test]
fn flp_drops_and_counts_a_frame_that_is_alone_and_no_ping() {
    let (mut rig, server) = Rig::echo(Model::Three);
    let client = rig.client(zmq::DEALER, &server);
    for alone in ["", "ping", "PING ", "PONG"] {
        send(&client, &[alone]);
    }
    send(&client, &["PING"]);
    assert_eq!(rig.answer(&client), frames(&["PONG"]));
    assert_eq!(server.stats().malformed, 4);
}

/// F12: the Guide's server has its port written into it.
#[test]
fn f12_a_server_has_whatever_port_it_is_told() {
    let mut rig = Rig::new();
    let servers = [0; 3].map(|_| rig.attach(Server::new(Model::Three, ANY), echo).unwrap());
    for server in &servers {
        let client = rig.client(zmq::ROUTER, server);
        rig.send_to(&client, &server.identity().unwrap(), &[b"1", b"x"]);
        assert_eq!(rig.answer(&client)[1..], frames(&["1", "x"]));
    }
    assert_ne!(servers[0].endpoint(), servers[1].endpoint());
}
