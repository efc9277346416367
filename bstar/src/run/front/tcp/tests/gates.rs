//! What each state of the gate does with clients.

use super::super::super::QUIET;
use super::*;

#[test]
fn closed_is_a_true_refusal_and_keeps_the_port() {
    let rig = Rig::new(|_| {});
    assert!(is_refused(rig.address()));
    rig.ends.set_gate(Gate::Open);
    let (mut client, mut server) = rig.pair();
    say(&mut client, "ping");
    hears(&mut server, "ping");
    rig.ends.set_gate(Gate::Closed);
    is_reset(&mut client);
    is_reset(&mut server);
    rig.wait_refused();
    assert_eq!(rig.counts().refused.load(Ordering::Relaxed), 1);
    rig.ends.set_gate(Gate::Open);
    let (mut client, mut server) = rig.pair();
    say(&mut server, "pong");
    hears(&mut client, "pong");
}

#[test]
fn opened_right_after_it_was_closed_it_has_reset_its_clients() {
    let rig = Rig::open(|_| {});
    let (mut client, _server) = rig.pair();
    rig.ends.set_gate(Gate::Closed);
    rig.ends.set_gate(Gate::Open);
    is_reset(&mut client);
    let (mut client, mut server) = rig.pair();
    say(&mut client, "ping");
    hears(&mut server, "ping");
}

#[test]
fn the_first_bytes_vote_once_and_are_served_when_the_gate_opens() {
    let rig = Rig::new(|_| {});
    rig.ends.set_gate(Gate::Voting);
    let mut client = rig.client();
    rig.wait_open(1);
    rig.expect_silence();
    say(&mut client, "first");
    rig.expect(FrontEvent::Vote);
    say(&mut client, " second");
    rig.expect_silence();
    let mut other = rig.client();
    say(&mut other, "other");
    rig.expect(FrontEvent::Vote);
    rig.server.set_nonblocking(true).unwrap();
    assert!(
        rig.server.accept().is_err(),
        "the server hears of nobody yet"
    );
    rig.server.set_nonblocking(false).unwrap();
    rig.ends.set_gate(Gate::Open);
    let mut heard = Vec::new();
    for mut server in [rig.accepted(), rig.accepted()] {
        let mut words = [0; 5];
        server.read_exact(&mut words).unwrap();
        heard.push(words);
    }
    heard.sort_unstable();
    assert_eq!(heard, [*b"first", *b"other"]);
}

#[test]
fn a_connection_votes_where_the_server_speaks_first() {
    let rig = Rig::new(|config| config.vote = Vote::Connect);
    rig.ends.set_gate(Gate::Voting);
    let mut client = rig.client();
    rig.expect(FrontEvent::Vote);
    rig.ends.set_gate(Gate::Open);
    say(&mut rig.accepted(), "welcome");
    hears(&mut client, "welcome");
}

#[test]
fn who_is_held_is_reset_when_the_gate_closes_and_votes_anew_when_votes_count_anew() {
    let rig = Rig::new(|_| {});
    rig.ends.set_gate(Gate::Voting);
    let mut client = rig.client();
    say(&mut client, "please");
    rig.expect(FrontEvent::Vote);
    rig.ends.set_gate(Gate::Voting);
    rig.expect(FrontEvent::Vote);
    rig.ends.set_gate(Gate::Closed);
    is_reset(&mut client);
}

#[test]
fn who_leaves_without_a_word_does_not_vote() {
    let rig = Rig::new(|_| {});
    rig.ends.set_gate(Gate::Voting);
    drop(rig.client());
    wait("it to have come and gone", || {
        rig.counts().accepted.load(Ordering::Relaxed) == 1
    });
    rig.wait_open(0);
    break_off(rig.client());
    rig.wait_open(0);
    rig.expect_silence();
}

#[test]
fn an_open_gate_is_not_enough_while_the_node_may_not_serve() {
    let rig = Rig::with_node(Node::passive(), |_| {});
    rig.ends.set_gate(Gate::Open);
    let mut client = rig.client();
    say(&mut client, "ping");
    rig.wait_open(1);
    hears_nothing(&mut client);
    rig.server.set_nonblocking(true).unwrap();
    assert!(
        rig.server.accept().is_err(),
        "the server hears of nobody yet"
    );
    rig.server.set_nonblocking(false).unwrap();
    rig.node.promote();
    hears(&mut rig.accepted(), "ping");
}

#[test]
fn nothing_more_is_handed_over_once_the_node_may_not_serve() {
    let mut rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    say(&mut client, "before");
    hears(&mut server, "before");
    rig.node.end();
    say(&mut client, "after");
    hears_nothing(&mut server);
    say(&mut server, "answer");
    hears(&mut client, "answer");
    rig.ends.set_gate(Gate::Closed);
    is_reset(&mut client);
    is_reset(&mut server);
}

#[test]
fn voting_takes_nothing_of_those_who_were_served() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    say(&mut client, "before");
    hears(&mut server, "before");
    rig.ends.set_gate(Gate::Voting);
    // The other client's vote tells that the gate has arrived.
    let mut other = rig.client();
    say(&mut other, "vote");
    rig.expect(FrontEvent::Vote);
    say(&mut client, "after");
    hears_nothing(&mut server);
    rig.ends.set_gate(Gate::Open);
    hears(&mut server, "after");
}

#[test]
fn a_drain_hands_on_answers_and_then_nothing() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    say(&mut client, "question");
    hears(&mut server, "question");
    rig.ends.set_gate(Gate::Draining);
    rig.wait_refused();
    say(&mut client, "too late");
    // It is not quiet: a word each few milliseconds, which all arrive, until it is cut short.
    let mut said = 0;
    let event = loop {
        server.write_all(b"a").unwrap();
        said += 1;
        if let Ok(event) = rig.events.recv_timeout(Duration::from_millis(2)) {
            break event;
        }
    };
    assert_eq!(event, FrontEvent::Drained);
    say(&mut server, "after the end");
    let mut heard = Vec::new();
    client.set_read_timeout(Some(MOMENT)).unwrap();
    let _ = client.read_to_end(&mut heard);
    assert!(heard.iter().all(|byte| *byte == b'a'), "{heard:?}");
    assert!(
        heard.len() >= said - 1 && heard.len() <= said,
        "{} of {said}",
        heard.len()
    );
    hears_nothing(&mut server);
    rig.expect_silence();
    rig.ends.set_gate(Gate::Closed);
    client.set_read_timeout(Some(BOUND)).unwrap();
    is_reset(&mut client);
}

#[test]
fn a_drain_without_clients_is_over_at_once_and_each_tells() {
    let rig = Rig::open(|_| {});
    for _ in 0..3 {
        rig.ends.set_gate(Gate::Draining);
        rig.expect(FrontEvent::Drained);
    }
}

#[test]
fn a_drain_that_is_called_off_loses_nothing() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    say(&mut client, "one");
    hears(&mut server, "one");
    rig.ends.set_gate(Gate::Draining);
    rig.expect(FrontEvent::Drained);
    say(&mut client, "two");
    say(&mut server, "three");
    hears_nothing(&mut client);
    rig.ends.set_gate(Gate::Open);
    hears(&mut server, "two");
    hears(&mut client, "three");
}

#[test]
fn last_words_are_handed_on_though_the_server_takes_nothing_any_more() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    rig.ends.set_gate(Gate::Draining);
    rig.expect(FrontEvent::Drained);
    // All of this is there when it goes on.
    say(&mut client, "a question");
    say(&mut server, "too many clients");
    break_off(server);
    rig.expect_silence();
    rig.ends.set_gate(Gate::Open);
    hears(&mut client, "too many clients");
    is_reset(&mut client);
    rig.wait_open(0);
}

#[test]
fn a_drain_does_not_take_a_pause_of_its_own_for_silence() {
    loop {
        let rig = Rig::open(|_| {});
        let (mut client, mut server) = rig.pair();
        say(&mut client, "question");
        hears(&mut server, "question");
        rig.ends.set_gate(Gate::Draining);
        rig.wait_refused();
        let pause = rig.pause().begun();
        if rig.events.try_recv().is_ok() {
            // It was over before it could be disturbed.
            continue;
        }
        say(&mut server, "answer");
        thread::sleep(2 * QUIET);
        pause.end();
        hears(&mut client, "answer");
        rig.expect(FrontEvent::Drained);
        return;
    }
}

#[test]
fn a_drain_that_follows_at_once_on_another_gate_is_told_when_all_have_drained() {
    let (_node, servers, ends, events) = two_front_ends();
    ends.set_gate(Gate::Open);
    wait("an open door", || {
        !is_refused(ends.endpoints()[1].parse().unwrap())
    });
    // Who looked whether it is open.
    drop(servers[1].accept().unwrap());
    let mut client = bounded(TcpStream::connect(&ends.endpoints()[1]).unwrap());
    let mut server = bounded(servers[1].accept().unwrap().0);
    // The first has no clients. Both hear of the open gate when it has moved on.
    let first = pause(&ends).begun();
    ends.set_gate(Gate::Open);
    let second = pause(&ends);
    first.end();
    let second = second.begun();
    ends.set_gate(Gate::Draining);
    second.end();
    let event = loop {
        say(&mut server, "a");
        if let Ok(event) = events.recv_timeout(Duration::from_millis(2)) {
            break event;
        }
    };
    assert_eq!(event, FrontEvent::Drained);
    say(&mut server, "b");
    client.set_read_timeout(Some(MOMENT)).unwrap();
    let mut heard = Vec::new();
    let _ = client.read_to_end(&mut heard);
    assert!(heard.iter().all(|byte| *byte == b'a'), "{heard:?}");
    assert!(events.recv_timeout(MOMENT).is_err());
    ends.end();
}

#[test]
fn a_drain_is_told_when_all_front_ends_have_drained() {
    let (_node, _servers, ends, events) = two_front_ends();
    ends.set_gate(Gate::Open);
    wait("a client", || {
        TcpStream::connect(&ends.endpoints()[0]).is_ok()
    });
    ends.set_gate(Gate::Draining);
    assert_eq!(events.recv_timeout(BOUND), Ok(FrontEvent::Drained));
    assert!(events.recv_timeout(MOMENT).is_err());
    ends.end();
}

#[test]
fn ending_resets_clients_and_gives_the_port_back() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    let address = rig.address();
    rig.ends.end();
    is_reset(&mut client);
    is_reset(&mut server);
    TcpListener::bind(address).unwrap();
}

/// Two front ends on one thread, each before a server of its own.
fn two_front_ends() -> (Node, [TcpListener; 2], FrontEnds, Receiver<FrontEvent>) {
    let node = Node::active();
    let servers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let configs = [0, 1].map(|n| config(servers[n].local_addr().unwrap()));
    let (tell, events) = channel();
    let tell = Box::new(move |event| {
        let _ = tell.send(event);
    });
    let ends = FrontEnds::start(&configs, &[], node.handle.clone(), tell).unwrap();
    (node, servers, ends, events)
}
