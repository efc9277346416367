//! Clients that mean no good, or know no better: what they cost is bounded.

use super::*;

#[test]
fn clients_that_never_read_do_not_keep_others_waiting() {
    let rig = Rig::open(|_| {});
    let chunk = vec![1; 256 << 10];
    let mut ends = Vec::new();
    for _ in 0..50 {
        let (client, mut server) = rig.pair();
        server.set_nonblocking(true).unwrap();
        // More than all buffers on the way hold: the rest is not taken.
        while let Ok(1..) = server.write(&chunk) {}
        ends.push((client, server));
    }
    let (mut client, mut server) = rig.pair();
    say(&mut client, "ping");
    hears(&mut server, "ping");
    say(&mut server, "pong");
    hears(&mut client, "pong");
    rig.ends.set_gate(Gate::Closed);
    rig.wait_open(0);
}

#[test]
fn slow_senders_do_not_keep_others_waiting() {
    let rig = Rig::open(|_| {});
    let mut slow: Vec<_> = (0..100).map(|_| rig.pair()).collect();
    let (mut client, mut server) = rig.pair();
    for round in 0..50_u8 {
        for (client, _) in &mut slow {
            client.write_all(&[round]).unwrap();
        }
        say(&mut client, "ping");
        hears(&mut server, "ping");
    }
    for (_, server) in &mut slow {
        let mut heard = [0; 50];
        server.read_exact(&mut heard).unwrap();
        assert!(heard.iter().copied().eq(0..50));
    }
}

#[test]
fn a_flood_at_a_closed_door_costs_nothing_and_hears_a_refusal() {
    let rig = Rig::new(|_| {});
    for _ in 0..5000 {
        assert!(is_refused(rig.address()));
    }
    assert_eq!(rig.counts().accepted.load(Ordering::Relaxed), 0);
    rig.ends.set_gate(Gate::Open);
    let (mut client, mut server) = rig.pair();
    say(&mut client, "ping");
    hears(&mut server, "ping");
}

#[test]
fn a_flood_of_held_clients_is_bounded_and_leaves_with_the_gate() {
    let rig = Rig::new(|config| config.max_connections = 50);
    rig.ends.set_gate(Gate::Voting);
    let mut clients: Vec<_> = (0..80).map(|_| rig.client()).collect();
    rig.wait_open(50);
    for client in &mut clients {
        say(client, "vote");
    }
    for _ in 0..50 {
        rig.expect(FrontEvent::Vote);
    }
    rig.expect_silence();
    rig.ends.set_gate(Gate::Closed);
    // Those in the system's queue, too.
    for client in &mut clients {
        is_reset(client);
    }
    rig.wait_open(0);
}
