//! Limits and time-outs.

use super::*;

#[test]
fn a_port_in_use_is_told_with_what_to_do() {
    let node = Node::passive();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(other.local_addr().unwrap());
    config.listen = config.server;
    let started = FrontEnds::start(&[config], &[], node.handle.clone(), Box::new(|_| {}));
    let error = started.map(drop).unwrap_err().to_string();
    let expected = format!(
        "front end front: {} is in use by another program; end that, or listen elsewhere",
        other.local_addr().unwrap()
    );
    assert_eq!(error, expected);
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let node = Node::passive();
    let mut config = config("127.0.0.1:1".parse().unwrap());
    config.listen = "192.0.2.1:5000".parse().unwrap();
    let started = FrontEnds::start(&[config], &[], node.handle.clone(), Box::new(|_| {}));
    let error = started.map(drop).unwrap_err().to_string();
    assert!(error.contains("no address of this machine"), "{error}");
}

#[test]
fn a_door_that_others_listen_at_is_told_once_and_opened_when_they_left() {
    let rig = Rig::new(|_| {});
    let other = TcpListener::bind(rig.address()).unwrap();
    rig.ends.set_gate(Gate::Open);
    rig.expect(FrontEvent::CannotListen);
    // Longer than the pause between two attempts.
    rig.expect_silence();
    drop(other);
    let (mut client, mut server) = rig.pair();
    say(&mut client, "ping");
    hears(&mut server, "ping");
}

#[test]
fn a_client_without_a_server_is_reset_and_counted() {
    let rig = Rig::open(|config| {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        config.server = gone.local_addr().unwrap();
    });
    is_reset(&mut rig.client());
    rig.wait_open(0);
    assert_eq!(rig.counts().failed.load(Ordering::Relaxed), 1);
}

#[test]
fn a_server_that_does_not_answer_in_time_counts_as_none() {
    // A listener whose queue is full: further ones are not answered.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, MOMENT) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "a queue of none holds so many");
    }
    let rig = Rig::open(|config| {
        config.server = address;
        config.connect_timeout = Duration::from_millis(50);
    });
    is_reset(&mut rig.client());
    rig.wait_open(0);
    assert_eq!(rig.counts().failed.load(Ordering::Relaxed), 1);
}

#[test]
fn idle_connections_end_and_busy_ones_do_not() {
    let rig = Rig::open(|config| config.idle_timeout = Some(Duration::from_millis(400)));
    let (mut busy, mut busy_server) = rig.pair();
    let (mut idle, mut idle_server) = rig.pair();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(900) {
        say(&mut busy, "on");
        hears(&mut busy_server, "on");
        thread::sleep(Duration::from_millis(10));
    }
    rig.wait_open(1);
    is_reset(&mut idle);
    is_reset(&mut idle_server);
    say(&mut busy_server, "still");
    hears(&mut busy, "still");
}

#[test]
fn a_pause_of_the_machine_is_nobodys_idleness() {
    let idle = Duration::from_millis(400);
    let rig = Rig::open(|config| config.idle_timeout = Some(idle));
    let (mut client, mut server) = rig.pair();
    say(&mut client, "before");
    hears(&mut server, "before");
    let pause = rig.pause().begun();
    say(&mut client, "meanwhile");
    thread::sleep(2 * idle);
    pause.end();
    hears(&mut server, "meanwhile");
    // And later, it ends by it all the same.
    is_reset(&mut client);
}

#[test]
fn a_client_that_left_before_it_was_let_in_says_nothing_of_the_server() {
    let rig = Rig::open(|config| {
        config.max_connections = 1;
        config.proxy_protocol = true;
    });
    let (first, server) = rig.pair();
    // It waits in the system's queue, and leaves from there.
    break_off(rig.client());
    drop((first, server));
    wait("it to have come and gone", || {
        rig.counts().accepted.load(Ordering::Relaxed) == 2
    });
    rig.wait_open(0);
    assert_eq!(rig.counts().failed.load(Ordering::Relaxed), 0);
}

#[test]
fn who_says_nothing_while_votes_are_taken_is_dropped() {
    let rig = Rig::new(|config| config.connect_timeout = Duration::from_millis(50));
    rig.ends.set_gate(Gate::Voting);
    let mut speaks = rig.client();
    say(&mut speaks, "I vote");
    rig.expect(FrontEvent::Vote);
    let mut silent = rig.client();
    is_reset(&mut silent);
    rig.wait_open(1);
    rig.ends.set_gate(Gate::Open);
    hears(&mut rig.accepted(), "I vote");
}

#[test]
fn as_many_as_may_be_are_let_in_and_the_next_when_one_leaves() {
    let rig = Rig::open(|config| config.max_connections = 2);
    let (first, _first_server) = rig.pair();
    let (_second, _second_server) = rig.pair();
    let mut third = rig.client();
    say(&mut third, "let me in");
    rig.server.set_nonblocking(true).unwrap();
    thread::sleep(MOMENT);
    assert!(rig.server.accept().is_err(), "two are enough");
    rig.server.set_nonblocking(false).unwrap();
    assert_eq!(rig.counts().open.load(Ordering::Relaxed), 2);
    break_off(first);
    hears(&mut rig.accepted(), "let me in");
}

#[test]
fn a_thousand_connections_leave_no_descriptor_behind() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    let before = descriptors();
    for round in 0..1000 {
        let (mut client, mut server) = rig.pair();
        say(&mut client, "ping");
        hears(&mut server, "ping");
        match round % 4 {
            0 => break_off(client),
            1 => break_off(server),
            2 => drop(client),
            _ => drop(server),
        }
    }
    rig.wait_open(1);
    // Other tests of this process open and close some of their own.
    wait("as few descriptors as before", || {
        descriptors() < before + 200
    });
    say(&mut client, "still here");
    hears(&mut server, "still here");
    assert_eq!(rig.counts().accepted.load(Ordering::Relaxed), 1001);
}
