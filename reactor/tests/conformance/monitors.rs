//! What happens to a socket's connections.

use reactor::{Backend, Connection, Interest, SocketBuilder, SocketKey, last_endpoint, zmq};

use crate::common::{on_both, reactor, turn_until};

on_both!(
    a_monitor_tells_of_a_connection_from_both_ends,
    a_monitor_tells_of_a_peer_that_is_not_there,
    a_monitor_tells_of_a_peer_that_does_not_speak_zmtp,
    a_monitor_ends_with_its_socket,
    a_socket_goes_on_without_its_monitor,
);

type Seen = Vec<(usize, Connection)>;

/// A monitored socket that is not bound or connected yet.
fn monitored(
    reactor: &mut reactor::Reactor<Seen>,
    context: &zmq::Context,
    kind: zmq::SocketType,
    name: usize,
) -> (SocketKey, SocketKey) {
    let socket = SocketBuilder::new(kind).build(context).unwrap();
    let scope = reactor.scope();
    let key = scope
        .add_socket("socket", socket, Interest::READ, |_, _, _, _| Ok(()))
        .unwrap();
    let monitor = scope.add_monitor("monitor", context, key, move |seen: &mut Seen, _, event| {
        seen.push((name, event.what));
        Ok(())
    });
    (key, monitor.unwrap())
}

fn bind(reactor: &mut reactor::Reactor<Seen>, key: SocketKey) -> String {
    let bound = reactor.scope().with_socket(key, |socket| {
        socket.bind("tcp://127.0.0.1:*").unwrap();
        last_endpoint(socket).unwrap()
    });
    bound.unwrap()
}

fn a_monitor_tells_of_a_connection_from_both_ends(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<Seen>(backend);
    let (server, _) = monitored(&mut reactor, &context, zmq::ROUTER, 0);
    let (client, _) = monitored(&mut reactor, &context, zmq::DEALER, 1);
    let endpoint = bind(&mut reactor, server);
    let connected = reactor
        .scope()
        .with_socket(client, |socket| socket.connect(&endpoint));
    connected.unwrap().unwrap();
    let mut seen = Seen::new();
    let both_up = |seen: &mut Seen| {
        let ups = seen
            .iter()
            .filter(|(_, what)| *what == Connection::HandshakeSucceeded);
        ups.count() == 2
    };
    turn_until(&mut reactor, &mut seen, both_up);
    let of = |seen: &Seen, who| -> Vec<Connection> {
        let of = seen.iter().filter(|(name, _)| *name == who);
        of.map(|(_, what)| *what).collect()
    };
    assert_eq!(
        of(&seen, 0),
        [
            Connection::Listening,
            Connection::Accepted,
            Connection::HandshakeSucceeded
        ]
    );
    assert_eq!(
        of(&seen, 1),
        [
            Connection::Connecting,
            Connection::Connected,
            Connection::HandshakeSucceeded
        ]
    );
    drop(reactor.scope().remove_socket(client));
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.contains(&(0, Connection::Disconnected))
    });
}

fn a_monitor_tells_of_a_peer_that_is_not_there(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<Seen>(backend);
    let (client, _) = monitored(&mut reactor, &context, zmq::DEALER, 0);
    // A port that was free a moment ago, and that nobody else is given so soon.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let connected = reactor
        .scope()
        .with_socket(client, |socket| socket.connect(&endpoint));
    connected.unwrap().unwrap();
    let mut seen = Seen::new();
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.iter()
            .any(|(_, what)| matches!(what, Connection::Retrying(after) if !after.is_zero()))
    });
}

fn a_monitor_tells_of_a_peer_that_does_not_speak_zmtp(backend: Backend) {
    use std::io::Write;
    let context = zmq::Context::new();
    let mut reactor = reactor::<Seen>(backend);
    let (server, _) = monitored(&mut reactor, &context, zmq::ROUTER, 0);
    let endpoint = bind(&mut reactor, server);
    let mut stranger = std::net::TcpStream::connect(endpoint.trim_start_matches("tcp://")).unwrap();
    // A greeting of ZMTP 3 that asks for a mechanism nobody has.
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..17].copy_from_slice(b"NOISE");
    stranger.write_all(&greeting).unwrap();
    let mut seen = Seen::new();
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.iter()
            .any(|(_, what)| matches!(what, Connection::HandshakeFailedProtocol(_)))
    });
}

fn a_monitor_ends_with_its_socket(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<Seen>(backend);
    let (server, monitor) = monitored(&mut reactor, &context, zmq::ROUTER, 0);
    bind(&mut reactor, server);
    drop(reactor.scope().remove_socket(server));
    let mut seen = Seen::new();
    turn_until(&mut reactor, &mut seen, |seen| {
        seen.last() == Some(&(0, Connection::Stopped))
    });
    assert_eq!(reactor.scope().owner(monitor), None, "it is gone");
}

fn a_socket_goes_on_without_its_monitor(backend: Backend) {
    let context = zmq::Context::new();
    let mut reactor = reactor::<Seen>(backend);
    let (server, monitor) = monitored(&mut reactor, &context, zmq::ROUTER, 0);
    let second = reactor
        .scope()
        .add_monitor("second", &context, server, |_, _, _| Ok(()));
    assert!(second.is_err(), "a socket has one monitor at a time");
    drop(reactor.scope().remove_socket(monitor));
    let endpoint = bind(&mut reactor, server);
    // What libzmq has to tell now must not keep it from serving.
    let client = SocketBuilder::new(zmq::DEALER)
        .connect(&endpoint)
        .build(&context)
        .unwrap();
    client.send("hello", 0).unwrap();
    let mut seen = Seen::new();
    let mut frames = Vec::new();
    let end = std::time::Instant::now() + crate::common::BOUND;
    while !reactor.scope().recv(server, &mut frames).unwrap() {
        assert!(std::time::Instant::now() < end, "nothing came");
        reactor
            .turn(&mut seen, Some(std::time::Duration::from_millis(100)))
            .unwrap();
    }
    assert_eq!(seen, []);
    let third = reactor
        .scope()
        .add_monitor("third", &context, server, |_, _, _| Ok(()));
    assert!(third.is_ok(), "it can be monitored again");
}
