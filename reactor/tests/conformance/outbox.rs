//! Messages that wait for room in front of a socket.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reactor::{
    Backend, Error, Interest, Next, Reactor, SocketBuilder, SocketKey, last_endpoint, zmq,
};

use crate::common::{BOUND, on_both, reactor, turn_idly};

on_both!(
    what_waits_is_sent_in_order_as_room_opens,
    a_queue_is_bounded_and_frames_stay_together,
    a_queue_follows_a_slow_reader_over_tcp,
    a_router_keeps_the_order_of_each_peer,
    a_full_peer_of_a_router_holds_up_nobody,
    the_peers_of_a_router_share_one_bound,
    what_waits_for_a_peer_that_is_gone_is_lost_and_counted,
    a_message_whose_peer_leaves_in_the_middle_is_whole_or_lost,
    a_blocked_queue_sleeps,
    a_capacity_of_zero_ends_the_queue,
    what_waits_goes_with_its_socket,
);

/// An endpoint in this process that nobody else has.
fn endpoint() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("inproc://outbox-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Registers a sender with room for as good as nothing; gives the one it sends to, which is read by hand.
fn sender(reactor: &mut Reactor<()>, kind: zmq::SocketType, at: &str) -> (SocketKey, zmq::Socket) {
    let context = zmq::Context::new();
    let peer = match kind {
        zmq::PUSH => zmq::PULL,
        kind => kind,
    };
    let theirs = SocketBuilder::new(peer)
        .recv_hwm(1)
        .bind(at)
        .build(&context)
        .unwrap();
    let ours = SocketBuilder::new(kind)
        .send_hwm(1)
        .linger(Duration::ZERO)
        .connect(last_endpoint(&theirs).unwrap())
        .build(&context)
        .unwrap();
    (register(reactor, ours), theirs)
}

fn register(reactor: &mut Reactor<()>, socket: zmq::Socket) -> SocketKey {
    reactor
        .scope()
        .add_socket("sender", socket, Interest::NONE, |(), _, _, _| Ok(()))
        .unwrap()
}

/// A ROUTER and two peers that it knows, each with room for as good as nothing.
fn router(reactor: &mut Reactor<()>) -> (SocketKey, [zmq::Socket; 2]) {
    let context = zmq::Context::new();
    let at = endpoint();
    let router = SocketBuilder::new(zmq::ROUTER)
        .mandatory()
        .send_hwm(1)
        .bind(&at)
        .build(&context)
        .unwrap();
    let peers = ["a", "b"].map(|name| {
        let peer = SocketBuilder::new(zmq::DEALER)
            .identity(name)
            .recv_hwm(1)
            .connect(&at)
            .build(&context)
            .unwrap();
        peer.send("hello", 0).unwrap();
        assert_eq!(&router.recv_multipart(0).unwrap()[0], name.as_bytes());
        peer
    });
    (register(reactor, router), peers)
}

/// Numbers what it sends, as long as there is room in the socket or the queue.
fn fill(reactor: &mut Reactor<()>, key: SocketKey, peer: Option<&str>) -> (u32, Error) {
    for number in 0..10_000_u32 {
        let number_frame = zmq::Message::from(&number.to_le_bytes()[..]);
        let frames = peer.map(zmq::Message::from).into_iter();
        let sent = reactor.scope().send(key, frames.chain([number_frame]));
        if let Err(error) = sent {
            return (number, error);
        }
    }
    panic!("there is no end to it");
}

/// Reads numbers by hand, and gives the reactor turns between, until there are so many.
fn read(reactor: &mut Reactor<()>, from: &zmq::Socket, count: u32) {
    let end = Instant::now() + BOUND;
    let mut next = 0;
    while next < count {
        assert!(Instant::now() < end, "{next} of {count} came");
        reactor
            .turn(&mut (), Some(Duration::from_millis(1)))
            .unwrap();
        while let Ok(message) = from.recv_msg(zmq::DONTWAIT) {
            assert_eq!(message[..], next.to_le_bytes(), "in order");
            next += 1;
        }
    }
    assert_eq!(next, count);
}

fn queued(reactor: &mut Reactor<()>, key: SocketKey) -> (usize, u64) {
    let queued = reactor.scope().queued(key).unwrap();
    (queued.waiting, queued.lost)
}

/// How many turns a run of a while takes in which nothing happens.
fn turns_of_a_while(reactor: &mut Reactor<()>) -> u64 {
    turn_idly(reactor, &mut ());
    let at = Instant::now() + Duration::from_millis(300);
    let scope = reactor.scope();
    scope
        .add_timer("end", at, |(), scope, _| {
            scope.stop();
            Ok(Next::Done)
        })
        .unwrap();
    scope.reset_metrics();
    reactor.run(&mut ()).unwrap();
    reactor.scope().metrics().turns
}

fn what_waits_is_sent_in_order_as_room_opens(backend: Backend) {
    for kind in [zmq::PUSH, zmq::DEALER] {
        let mut reactor = reactor(backend);
        let (key, theirs) = sender(&mut reactor, kind, &endpoint());
        assert!(reactor.scope().queued(key).is_none());
        reactor.scope().queue_sends(key, 50).unwrap();
        let (sent, error) = fill(&mut reactor, key, None);
        assert!(matches!(error, Error::QueueFull), "{error:?}");
        assert_eq!(queued(&mut reactor, key), (50, 0));
        read(&mut reactor, &theirs, sent);
        assert_eq!(queued(&mut reactor, key), (0, 0));
    }
}

fn a_queue_is_bounded_and_frames_stay_together(backend: Backend) {
    let mut reactor = reactor(backend);
    let (key, theirs) = sender(&mut reactor, zmq::PUSH, &endpoint());
    reactor.scope().queue_sends(key, 3).unwrap();
    let mut sent: u8 = 0;
    let error = loop {
        let frames = [&[sent][..], b"", &[sent, sent]];
        match reactor.scope().send(key, frames) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::QueueFull), "{error:?}");
    assert_eq!(queued(&mut reactor, key), (3, 0));
    // A smaller bound takes nothing back, and a greater one is room at once.
    reactor.scope().queue_sends(key, 1).unwrap();
    assert_eq!(queued(&mut reactor, key), (3, 0));
    reactor.scope().queue_sends(key, 4).unwrap();
    let frames = [&[sent][..], b"", &[sent, sent]];
    reactor.scope().send(key, frames).unwrap();
    let end = Instant::now() + BOUND;
    let mut next = 0;
    while next <= sent {
        assert!(Instant::now() < end);
        reactor
            .turn(&mut (), Some(Duration::from_millis(1)))
            .unwrap();
        while let Ok(message) = theirs.recv_multipart(zmq::DONTWAIT) {
            assert_eq!(message, [vec![next], vec![], vec![next, next]]);
            next += 1;
        }
    }
}

fn a_queue_follows_a_slow_reader_over_tcp(backend: Backend) {
    const MESSAGES: usize = 2_000;
    let mut reactor = reactor(backend);
    let (key, theirs) = sender(&mut reactor, zmq::PUSH, "tcp://127.0.0.1:*");
    reactor.scope().queue_sends(key, MESSAGES).unwrap();
    // More than the buffers of a connection hold.
    let bulk = vec![0; 16 * 1024];
    for number in 0..MESSAGES as u32 {
        let frames = [&number.to_le_bytes()[..], &bulk];
        reactor.scope().send(key, frames).unwrap();
    }
    assert!(queued(&mut reactor, key).0 > 0);
    let reader = std::thread::spawn(move || {
        theirs.set_rcvtimeo(20_000).unwrap();
        for number in 0..MESSAGES as u32 {
            let message = theirs.recv_multipart(0).unwrap();
            assert_eq!(message[0], number.to_le_bytes(), "in order");
            assert_eq!(message[1].len(), 16 * 1024);
            if number % 100 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let end = Instant::now() + BOUND;
    while queued(&mut reactor, key).0 > 0 {
        assert!(Instant::now() < end);
        reactor
            .turn(&mut (), Some(Duration::from_millis(100)))
            .unwrap();
    }
    reader.join().unwrap();
}

fn a_router_keeps_the_order_of_each_peer(backend: Backend) {
    let mut reactor = reactor(backend);
    let (key, [a, b]) = router(&mut reactor);
    reactor.scope().queue_sends(key, 40).unwrap();
    for number in 0..20_u32 {
        for peer in [&b"a"[..], b"b"] {
            let frames = [peer, &number.to_le_bytes()];
            reactor.scope().send(key, frames).unwrap();
        }
    }
    assert!(queued(&mut reactor, key).0 > 0);
    // One after the other: the first is served while the second is full.
    read(&mut reactor, &b, 20);
    read(&mut reactor, &a, 20);
    assert_eq!(queued(&mut reactor, key), (0, 0));
}

fn a_full_peer_of_a_router_holds_up_nobody(backend: Backend) {
    let mut reactor = reactor(backend);
    let (key, [a, b]) = router(&mut reactor);
    reactor.scope().queue_sends(key, 10).unwrap();
    // It takes all there is of the queue.
    let (sent, error) = fill(&mut reactor, key, Some("a"));
    assert!(matches!(error, Error::QueueFull), "{error:?}");
    for number in 0..20_u32 {
        let frames = [&b"b"[..], &number.to_le_bytes()];
        reactor.scope().send(key, frames).unwrap();
        turn_idly(&mut reactor, &mut ());
        let message = b.recv_msg(zmq::DONTWAIT).unwrap();
        assert_eq!(message[..], number.to_le_bytes());
    }
    read(&mut reactor, &a, sent);
}

fn the_peers_of_a_router_share_one_bound(backend: Backend) {
    let mut reactor = reactor(backend);
    let (key, [a, b]) = router(&mut reactor);
    reactor.scope().queue_sends(key, 10).unwrap();
    let mut to_b = 0_u32;
    let mut send_to_b = |reactor: &mut Reactor<()>| {
        let frames = [&b"b"[..], &to_b.to_le_bytes()];
        let sent = reactor.scope().send(key, frames);
        to_b += u32::from(sent.is_ok());
        sent
    };
    while queued(&mut reactor, key).0 < 4 {
        send_to_b(&mut reactor).unwrap();
    }
    let (to_a, _) = fill(&mut reactor, key, Some("a"));
    assert_eq!(queued(&mut reactor, key), (10, 0));
    send_to_b(&mut reactor).unwrap_err();
    // What one gives back is there for the other.
    read(&mut reactor, &a, to_a);
    assert_eq!(queued(&mut reactor, key), (4, 0));
    for _ in 0..6 {
        send_to_b(&mut reactor).unwrap();
    }
    let sent = send_to_b(&mut reactor);
    assert!(matches!(sent, Err(Error::QueueFull)), "{sent:?}");
    read(&mut reactor, &b, to_b);
}

fn what_waits_for_a_peer_that_is_gone_is_lost_and_counted(backend: Backend) {
    let mut reactor = reactor(backend);
    let (key, [a, b]) = router(&mut reactor);
    reactor.scope().queue_sends(key, 10).unwrap();
    fill(&mut reactor, key, Some("a"));
    assert_eq!(queued(&mut reactor, key), (10, 0));
    drop(a);
    let end = Instant::now() + BOUND;
    while queued(&mut reactor, key) != (0, 10) {
        assert!(Instant::now() < end, "{:?}", queued(&mut reactor, key));
        reactor
            .turn(&mut (), Some(Duration::from_millis(1)))
            .unwrap();
    }
    // Who sends to it now is told at once.
    let error = reactor.scope().send(key, ["a", "x"]).unwrap_err();
    assert!(matches!(error, Error::Unreachable), "{error:?}");
    reactor.scope().send(key, ["b", "x"]).unwrap();
    assert_eq!(&b.recv_msg(0).unwrap()[..], b"x");
}

/// Whether the peer is caught in the middle is up to the scheduler, and what must not happen never may.
fn a_message_whose_peer_leaves_in_the_middle_is_whole_or_lost(backend: Backend) {
    const FRAMES: usize = 100_000;
    for _ in 0..3 {
        let mut reactor = reactor(backend);
        let context = zmq::Context::new();
        let [first, second] = [(); 2].map(|()| {
            let builder = SocketBuilder::new(zmq::PULL).recv_hwm(1);
            builder.bind(endpoint()).build(&context).unwrap()
        });
        let push = SocketBuilder::new(zmq::PUSH)
            .send_hwm(1)
            .connect(last_endpoint(&first).unwrap())
            .build(&context)
            .unwrap();
        let key = register(&mut reactor, push);
        reactor.scope().queue_sends(key, 1).unwrap();
        while queued(&mut reactor, key).0 == 0 {
            // What comes after the last that finds room waits.
            let frames = (0..FRAMES).map(|_| zmq::Message::from("frame"));
            reactor.scope().send(key, frames).unwrap();
        }
        let leaver = std::thread::spawn(move || {
            assert_eq!(first.recv_multipart(0).unwrap().len(), FRAMES);
        });
        let end = Instant::now() + BOUND;
        while !leaver.is_finished() || queued(&mut reactor, key).0 > 0 {
            assert!(Instant::now() < end);
            reactor
                .turn(&mut (), Some(Duration::from_millis(1)))
                .unwrap();
            if leaver.is_finished() {
                // Nobody is left but this one.
                let endpoint = last_endpoint(&second).unwrap();
                let connect = |socket: &zmq::Socket| socket.connect(&endpoint);
                reactor.scope().with_socket(key, connect).unwrap().unwrap();
            }
        }
        leaver.join().unwrap();
        while let Ok(message) = second.recv_multipart(zmq::DONTWAIT) {
            assert_eq!(message.len(), FRAMES, "a part of a message");
        }
    }
}

fn a_blocked_queue_sleeps(backend: Backend) {
    let mut reactor = reactor(backend);
    let (key, _theirs) = sender(&mut reactor, zmq::PUSH, &endpoint());
    reactor.scope().queue_sends(key, 10).unwrap();
    fill(&mut reactor, key, None);
    let turns = turns_of_a_while(&mut reactor);
    assert!(turns <= 5, "{turns} turns");
    // A ROUTER is tried every ten milliseconds.
    let (key, _peers) = router(&mut reactor);
    reactor.scope().queue_sends(key, 10).unwrap();
    fill(&mut reactor, key, Some("a"));
    let turns = turns_of_a_while(&mut reactor);
    assert!(turns <= 40, "{turns} turns");
}

fn a_capacity_of_zero_ends_the_queue(backend: Backend) {
    let mut reactor = reactor(backend);
    let (push, _theirs) = sender(&mut reactor, zmq::PUSH, &endpoint());
    let (router, _peers) = router(&mut reactor);
    for (key, peer) in [(push, None), (router, Some("a"))] {
        reactor.scope().queue_sends(key, 10).unwrap();
        fill(&mut reactor, key, peer);
        turn_idly(&mut reactor, &mut ());
        reactor.scope().queue_sends(key, 0).unwrap();
        assert!(reactor.scope().queued(key).is_none());
        let (sent, error) = fill(&mut reactor, key, peer);
        assert_eq!(sent, 0);
        assert!(matches!(error, Error::WouldBlock), "{error:?}");
    }
    // Nothing waits, and nothing is tried again.
    let turns = turns_of_a_while(&mut reactor);
    assert!(turns <= 5, "{turns} turns");
}

fn what_waits_goes_with_its_socket(backend: Backend) {
    let mut reactor = reactor(backend);
    let (push, theirs) = sender(&mut reactor, zmq::PUSH, &endpoint());
    let (router, [a, _b]) = router(&mut reactor);
    let mut rooms = Vec::new();
    for (key, peer) in [(push, None), (router, Some("a"))] {
        reactor.scope().queue_sends(key, 10).unwrap();
        rooms.push(fill(&mut reactor, key, peer).0 - 10);
        turn_idly(&mut reactor, &mut ());
        drop(reactor.scope().remove_socket(key));
        assert!(reactor.scope().queued(key).is_none());
        assert!(matches!(
            reactor.scope().queue_sends(key, 1),
            Err(Error::Stale)
        ));
    }
    let turns = turns_of_a_while(&mut reactor);
    assert!(turns <= 5, "{turns} turns");
    // What was in the socket already is another matter: there is room, not a queue.
    for (peer, room) in [(&theirs, rooms[0]), (&a, rooms[1])] {
        let read = (0..room + 10).filter(|_| peer.recv_msg(zmq::DONTWAIT).is_ok());
        assert!(read.count() <= room as usize);
    }
}
