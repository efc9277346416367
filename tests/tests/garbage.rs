//! Noise on both channels: it changes nothing, kills nothing, and is no sign of life.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use tests::{BOUND, Bench, Outcome, Role, ScriptedClient, State, ensure, run_cases};

/// What is no state, and so must neither change one nor be a sign of life.
fn garbage() -> Vec<Vec<Vec<u8>>> {
    let texts: [&[u8]; 16] = [
        b"",
        b"active",
        b"0",
        b"5",
        b"6",
        b"9",
        b"-1",
        b"3x",
        b" 3",
        b"3 ",
        b"+3",
        b"33",
        b"3\0",
        b"\x03",
        b"\xff\xfe\x80\x00",
        b"bstar/1 pair=bstar role=primary",
    ];
    let mut all: Vec<Vec<Vec<u8>>> = texts.iter().map(|text| vec![text.to_vec()]).collect();
    all.push(vec![b"3".to_vec(), b"4".to_vec()]);
    all.push(vec![b"1".to_vec(), b"2".to_vec()]);
    all.push(vec![b"3".to_vec(), Vec::new()]);
    all.push(vec![b"3".to_vec(), b"bstar/1".to_vec()]);
    all.push(vec![b"3".to_vec(), b"bstar/1 nonsense".to_vec()]);
    all.push(vec![b"".to_vec(), b"3".to_vec()]);
    all.push(vec![b"3".to_vec(); 1_000]);
    all.extend(vec![vec![b"3".to_vec(), b"3".to_vec()]; 1_000]);
    // Last, since a server may hang up on whoever sends so much; it must hear the peer again.
    all.push(vec![vec![b'3'; 2 << 20]]);
    all.push(vec![b"3".to_vec(), vec![b'x'; 2 << 20]]);
    all
}

/// The states in which garbage is tried, and what the peer says besides.
const NOISY: [(State, u8); 3] = [
    (State::Initial, b'4'),
    (State::Active, b'4'),
    (State::Passive, b'3'),
];

fn noisy_cases() -> Vec<(Role, State, u8)> {
    let roles = [Role::Primary, Role::Backup];
    let cases = roles.map(|role| NOISY.map(|(state, said)| (role, state, said)));
    cases.concat()
}

const NOISY_HEARTBEAT: Duration = Duration::from_millis(500);

#[test]
fn garbage_on_the_state_channel_changes_nothing() -> Outcome<()> {
    run_cases(
        noisy_cases(),
        6,
        NOISY_HEARTBEAT / 2,
        |&(role, state, said)| {
            let bench = Bench::start(role, NOISY_HEARTBEAT, false)?;
            bench.bring_to(state)?;
            bench.peer.say_digit(said);
            let lines = bench.node.mark();
            bench.peer.burst(&garbage());
            raw_noise(&bench.node.config().local)?;
            bench.stays(state)?;
            bench.answers(state)?;
            bench.node.ensure_alive()?;
            ensure(bench.node.mark() == lines, || bench.fails("a transition"))?;
            bench.is_bare()
        },
    )
}

#[test]
fn garbage_on_the_front_end_changes_nothing() -> Outcome<()> {
    run_cases(
        noisy_cases(),
        6,
        NOISY_HEARTBEAT / 2,
        |&(role, state, said)| {
            let bench = Bench::start(role, NOISY_HEARTBEAT, false)?;
            bench.bring_to(state)?;
            bench.peer.say_digit(said);
            let lines = bench.node.mark();
            let noisy = ScriptedClient::connect(&bench.node.config().frontend);
            for frames in garbage() {
                let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
                noisy.send(&frames)?;
            }
            for envelope in [
                "bstar-cli/1",
                "bstar-cli/1 ",
                "bstar-cli/1 zz -1",
                "bstar-cli/2",
            ] {
                noisy.send(&[envelope.as_bytes()])?;
                noisy.send(&[envelope.as_bytes(), b"no delimiter"])?;
                noisy.send(&[envelope.as_bytes(), b"", b"bstar-no"])?;
            }
            raw_noise(&bench.node.config().frontend)?;
            // Its own requests, behind the garbage, are treated as those of anybody else.
            let probe = noisy.probe()?;
            ensure(probe.is_served() == (state == State::Active), || {
                bench.fails(&format!("behind the garbage: {probe:?}"))
            })?;
            bench.stays(state)?;
            bench.answers(state)?;
            bench.node.ensure_alive()?;
            ensure(bench.node.mark() == lines, || bench.fails("a transition"))
        },
    )
}

/// Speaks to a port in no protocol at all.
fn raw_noise(endpoint: &str) -> Outcome<()> {
    let address = endpoint.trim_start_matches("tcp://");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0; 4096], &[]] {
        let mut stream = TcpStream::connect(address).map_err(|e| e.to_string())?;
        // The server may hang up before all is written, and may well.
        let _ = stream.write_all(bytes);
    }
    Ok(())
}

#[test]
fn garbage_is_no_sign_of_life() -> Outcome<()> {
    let mut small = garbage();
    small.retain(|frames| frames.len() < 3 && frames.iter().all(|frame| frame.len() < 100));
    small.truncate(24);
    let roles = vec![Role::Primary, Role::Backup];
    let heartbeat = Duration::from_millis(100);
    run_cases(roles, 2, heartbeat / 2, |&role| {
        let bench = Bench::start(role, heartbeat, false)?;
        bench.bring_to(State::Passive)?;
        // As long as the peer says its digit, nobody can vote.
        for _ in 0..12 {
            bench.peer.burst(&small);
            bench.peer.next_heard(1, BOUND)?;
            bench.answers(State::Passive)?;
        }
        // When all it says is noise, it is as good as dead after the peer timeout.
        bench.peer.silence();
        for _ in 0..6 {
            bench.peer.burst(&small);
            bench.peer.next_heard(1, BOUND)?;
        }
        bench.answers(State::Active)
    })
}
