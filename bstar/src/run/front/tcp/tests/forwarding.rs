//! What goes through, and how it ends.

use super::*;

/// Bytes that show where they were lost, doubled or moved.
fn pattern(from: usize, buffer: &mut [u8]) {
    for (place, byte) in buffer.iter_mut().enumerate() {
        let at = (from + place) as u32;
        *byte = (at.wrapping_mul(2_654_435_761) >> 24) as u8;
    }
}

fn write_pattern(stream: &mut TcpStream, total: usize) {
    let mut buffer = vec![0; 100_000];
    let mut at = 0;
    while at < total {
        let count = buffer.len().min(total - at);
        pattern(at, &mut buffer[..count]);
        stream.write_all(&buffer[..count]).unwrap();
        at += count;
    }
}

/// Reads to the end; every now and then it takes a rest.
fn read_pattern(stream: &mut TcpStream, slow: bool) -> usize {
    let (mut buffer, mut expected) = (vec![0; 70_000], vec![0; 70_000]);
    let mut at = 0;
    loop {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            return at;
        }
        pattern(at, &mut expected[..count]);
        assert!(
            buffer[..count] == expected[..count],
            "other bytes near {at}"
        );
        if slow && at >> 20 != (at + count) >> 20 {
            thread::sleep(Duration::from_millis(2));
        }
        at += count;
    }
}

#[test]
fn words_go_both_ways_and_are_counted() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    for round in 0..100 {
        let words = format!("word {round}");
        say(&mut client, &words);
        hears(&mut server, &words);
        say(&mut server, "yes");
        hears(&mut client, "yes");
    }
    let counts = rig.counts();
    // They are counted after they were heard.
    wait("all to be counted", || {
        counts.bytes_out.load(Ordering::Relaxed) == 300
            && counts.bytes_in.load(Ordering::Relaxed) == 690
    });
    assert_eq!(counts.accepted.load(Ordering::Relaxed), 1);
}

#[test]
fn a_client_that_has_said_all_still_hears_the_answer() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    say(&mut client, "all");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    hears(&mut server, "all");
    hears_end(&mut server);
    say(&mut server, "the answer");
    hears(&mut client, "the answer");
    drop(server);
    hears_end(&mut client);
    rig.wait_open(0);
}

#[test]
fn a_server_that_has_said_all_still_hears_the_client() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    say(&mut server, "all");
    server.shutdown(std::net::Shutdown::Write).unwrap();
    hears(&mut client, "all");
    hears_end(&mut client);
    say(&mut client, "thanks");
    hears(&mut server, "thanks");
    drop(client);
    hears_end(&mut server);
    rig.wait_open(0);
}

#[test]
fn who_says_all_at_once_and_ends_is_heard() {
    let rig = Rig::open(|_| {});
    let mut client = rig.client();
    say(&mut client, "all");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut server = rig.accepted();
    hears(&mut server, "all");
    hears_end(&mut server);
}

#[test]
fn a_broken_connection_is_broken_on_the_other_side_too() {
    let rig = Rig::open(|_| {});
    let (client, mut server) = rig.pair();
    break_off(client);
    is_reset(&mut server);
    let (mut client, server) = rig.pair();
    break_off(server);
    is_reset(&mut client);
    rig.wait_open(0);
}

#[test]
fn much_goes_through_unchanged_to_a_slow_reader() {
    const TOTAL: usize = 64 << 20;
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    let (mut back_client, mut back_server) =
        (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::scope(|scope| {
        // Both ways at once.
        scope.spawn(move || {
            write_pattern(&mut client, TOTAL);
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        scope.spawn(move || {
            write_pattern(&mut back_server, TOTAL);
            back_server.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let back = scope.spawn(move || read_pattern(&mut back_client, true));
        assert_eq!(read_pattern(&mut server, true), TOTAL);
        assert_eq!(back.join().unwrap(), TOTAL);
    });
    rig.wait_open(0);
}

#[test]
fn large_and_small_take_turns() {
    let rig = Rig::open(|_| {});
    let (mut client, mut server) = rig.pair();
    for round in 0..20 {
        let length = 700_000 + round;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut bytes = vec![0; length];
                pattern(0, &mut bytes);
                client.write_all(&bytes).unwrap();
            });
            let (mut heard, mut expected) = (vec![0; length], vec![0; length]);
            server.read_exact(&mut heard).unwrap();
            pattern(0, &mut expected);
            assert!(heard == expected);
        });
        say(&mut client, "small");
        hears(&mut server, "small");
        say(&mut server, "too");
        hears(&mut client, "too");
    }
}

#[test]
fn what_follows_on_an_urgent_byte_is_handed_on() {
    let rig = Rig::new(|_| {});
    rig.ends.set_gate(Gate::Voting);
    let mut client = rig.client();
    // A read ends before the urgent byte, however much there is after it.
    say(&mut client, "before");
    send(&client, b"!", SendFlags::OOB).unwrap();
    say(&mut client, "after");
    rig.expect(FrontEvent::Vote);
    rig.expect_silence();
    rig.ends.set_gate(Gate::Open);
    hears(&mut rig.accepted(), "beforeafter");
}

#[test]
fn a_server_that_wants_it_is_told_the_client() {
    let rig = Rig::open(|config| config.proxy_protocol = true);
    let (mut client, mut server) = rig.pair();
    let mut header = [0; 28];
    server.read_exact(&mut header).unwrap();
    assert_eq!(&header[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c");
    assert_eq!(&header[16..24], &[127, 0, 0, 1, 127, 0, 0, 1]);
    let ports = [client.local_addr().unwrap(), rig.address()].map(|at| at.port().to_be_bytes());
    assert_eq!(&header[24..], ports.concat());
    say(&mut client, "after it");
    hears(&mut server, "after it");
}
