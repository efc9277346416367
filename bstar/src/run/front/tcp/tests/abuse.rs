//! Clients that mean no good, or know no better: what they cost is bounded.

use super::*;

/// What this process holds in memory, in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn clients_that_never_read_cost_one_remainder_each_at_most() {
    const CLIENTS: usize = 200;
    let rig = Rig::open(|_| {});
    let before = resident();
    let mut ends = Vec::new();
    for _ in 0..CLIENTS {
        let (client, server) = rig.pair();
        server.set_nonblocking(true).unwrap();
        ends.push((client, server, 0_usize));
        let chunk = vec![1; 256 << 10];
        let (_, server, said) = ends.last_mut().unwrap();
        // Until nothing more is taken, which is when everything on the way is full.
        let mut idle = 0;
        while idle < 20 {
            match server.write(&chunk) {
                Ok(count) => {
                    *said += count;
                    idle = 0;
                }
                Err(_) => {
                    idle += 1;
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
    let grown = resident().saturating_sub(before);
    // 32 KiB each, and as much again for what the allocator and other tests of this process do.
    let bound = CLIENTS * (64 << 10) + (32 << 20);
    assert!(grown < bound, "{grown} bytes for {CLIENTS} clients");
    // Somebody who does read is served meanwhile.
    let (mut client, mut server) = rig.pair();
    say(&mut client, "ping");
    hears(&mut server, "ping");
    say(&mut server, "pong");
    hears(&mut client, "pong");
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
