//! The whole state table from outside: a real server between a scripted peer and a scripted
//! client. What it publishes and whether it answers is what the rules of the pair say.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use tests::{
    BOUND, Bench, Outcome, PeerConfig, Role, ScriptedClient, ScriptedPeer, State, ensure,
    free_endpoint,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The peer publishes this digit, and no more than it.
    Peer(u8),
    /// A client asks while the peer is heard.
    RequestFresh,
    /// A client asks when the peer has been silent for the peer timeout.
    RequestExpired,
}

const EVENTS: [Event; 6] = [
    Event::Peer(b'1'),
    Event::Peer(b'2'),
    Event::Peer(b'3'),
    Event::Peer(b'4'),
    Event::RequestFresh,
    Event::RequestExpired,
];

/// What is to be seen after the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// The server is in this state, publishes its digit, and serves only if it is active.
    Becomes(State),
    /// It goes through the first state, and ends in the second.
    Through(State, State),
    /// It stays in the state, but a stranger is no peer: who asks now is a vote.
    UntilAsked(State),
    /// It ends with status 1 and says why.
    Exits,
}

/// The Guide's table, with the amendments of our pair, for a peer that knows no metadata.
fn expected(role: Role, state: State, event: Event) -> Seen {
    use Seen::{Becomes, Exits, Through, UntilAsked};
    use State::{Active, Initial, Passive, Resigned};
    let own = Event::Peer(role.digit());
    let other = Event::Peer(role.other().digit());
    match (state, event) {
        // Both were given the same role: before the pair came about it is fatal, later the
        // newcomer is ignored, and is no sign of life either.
        (Initial, event) if event == own => Exits,
        (Active, event) if event == own => Becomes(Active),
        (state, event) if event == own => UntilAsked(state),
        (Initial | Resigned, event) if event == other => match role {
            Role::Primary => Becomes(Active),
            Role::Backup => Becomes(state),
        },
        (Active | Passive, event) if event == other => Becomes(Active),
        (Initial | Passive | Resigned, Event::Peer(b'3')) => Becomes(Passive),
        // Two actives: the Guide's server has one timeout to abort by itself, then ours yields.
        (Active, Event::Peer(b'3')) => Through(Resigned, Passive),
        (Initial | Active | Resigned, Event::Peer(_)) => Becomes(state),
        // Two passives: the primary offers the service, the backup waits for that.
        (Passive, Event::Peer(_)) => match role {
            Role::Primary => Becomes(Resigned),
            Role::Backup => Becomes(Passive),
        },
        (state, Event::RequestFresh) => Becomes(state),
        (Initial, Event::RequestExpired) if role == Role::Backup => Becomes(Initial),
        (_, Event::RequestExpired) => Becomes(Active),
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    role: Role,
    state: State,
    event: Event,
    heartbeat: Duration,
}

impl Case {
    fn run(&self) -> Outcome<()> {
        let bench = Bench::start(self.role, self.heartbeat, false)?;
        bench.bring_to(self.state)?;
        let checked = self.check(&bench).and_then(|()| bench.is_bare());
        // The machine that runs the test may have been away for a heartbeat itself; the server
        // notices and says so, and then the case has not been put to the test.
        let late = |line: &tests::StateLine| line.cause == "late";
        match checked {
            Err(error) if bench.node.transitions().iter().any(late) => {
                Err(format!("{STALLED}{error}"))
            }
            other => other,
        }
    }

    fn check(&self, bench: &Bench) -> Outcome<()> {
        match self.event {
            Event::Peer(said) => bench.peer.say_digit(said),
            // A passive peer keeps all states but a passive one; an active one keeps that.
            Event::RequestFresh if self.state == State::Passive => bench.peer.say_digit(b'3'),
            Event::RequestFresh => bench.peer.say_digit(b'4'),
            Event::RequestExpired => {
                bench.peer.silence();
                bench.stays(self.state)?;
            }
        }
        match expected(self.role, self.state, self.event) {
            Seen::Exits => {
                let status = bench.node.process().wait_exit(BOUND)?;
                let said = bench.node.process().stderr().text();
                ensure(status.code() == Some(1) && said.contains("role"), || {
                    bench.fails("should have ended with status 1 and have said why")
                })
            }
            Seen::Becomes(state) => {
                if self.event == Event::RequestExpired {
                    // Voting is asking: the first request shows it.
                    bench.answers(state)?;
                } else {
                    let digit = state.digit(self.role);
                    bench.peer.wait_digit(bench.peer.mark(), digit, BOUND)?;
                }
                if self.event == Event::RequestExpired && state == State::Active {
                    bench.peer.wait_digit(0, b'3', BOUND)?;
                }
                bench.stays(state)?;
                bench.answers(state)
            }
            Seen::Through(first, second) => {
                let mark = bench.peer.mark();
                bench.hears(first)?;
                let digit = second.digit(self.role);
                bench.peer.wait_digit(mark, digit, BOUND)?;
                bench.stays(second)?;
                bench.answers(second)
            }
            Seen::UntilAsked(state) => {
                bench.stays(state)?;
                bench.answers(State::Active)
            }
        }
    }
}

/// Runs all cases at `heartbeat`, some at a time, and fails with all that failed.
fn run_table(heartbeat: Duration, at_once: usize) -> Outcome<()> {
    let mut cases = VecDeque::new();
    for role in [Role::Primary, Role::Backup] {
        for state in State::ALL {
            for event in EVENTS {
                cases.push_back(Case {
                    role,
                    state,
                    event,
                    heartbeat,
                });
            }
        }
    }
    run_all(cases, at_once, Case::run)
}

/// How the error of a case begins in which the machine itself was too slow.
const STALLED: &str = "stalled: ";

fn run_all<C: std::fmt::Debug + Send>(
    cases: VecDeque<C>,
    at_once: usize,
    run: impl Fn(&C) -> Outcome<()> + Sync,
) -> Outcome<()> {
    let cases = Mutex::new(cases);
    let failures = Mutex::new(Vec::new());
    let next = || cases.lock().map_or(None, |mut cases| cases.pop_front());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let mut outcome = run(&case);
                    for _ in 0..3 {
                        match &outcome {
                            Err(error) if error.starts_with(STALLED) => outcome = run(&case),
                            _ => break,
                        }
                    }
                    if let (Err(error), Ok(mut failures)) = (outcome, failures.lock()) {
                        failures.push(format!("{case:?}: {error}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().map_err(|error| error.to_string())?;
    ensure(failures.is_empty(), || {
        format!("{} failed\n{}", failures.len(), failures.join("\n\n"))
    })
}

#[test]
fn every_row_at_50_ms() -> Outcome<()> {
    run_table(Duration::from_millis(50), 4)
}

#[test]
fn every_row_at_100_ms() -> Outcome<()> {
    run_table(Duration::from_millis(100), 6)
}

#[test]
fn every_row_at_250_ms() -> Outcome<()> {
    run_table(Duration::from_millis(250), 16)
}

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
    all.push(vec![vec![b'3'; 2 << 20]]);
    all.push(vec![b"3".to_vec(), vec![b'x'; 2 << 20]]);
    all.push(vec![b"3".to_vec(); 1_000]);
    all.extend(vec![vec![b"3".to_vec(), b"3".to_vec()]; 1_000]);
    all
}

/// The states in which garbage is tried, and what the peer says besides.
const NOISY: [(State, u8); 3] = [
    (State::Initial, b'4'),
    (State::Active, b'4'),
    (State::Passive, b'3'),
];

fn noisy_cases() -> VecDeque<(Role, State, u8)> {
    let roles = [Role::Primary, Role::Backup];
    let cases = roles.map(|role| NOISY.map(|(state, said)| (role, state, said)));
    cases.into_iter().flatten().collect()
}

const NOISY_HEARTBEAT: Duration = Duration::from_millis(250);

#[test]
fn garbage_on_the_state_channel_changes_nothing() -> Outcome<()> {
    run_all(noisy_cases(), 6, |&(role, state, said)| {
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
    })
}

#[test]
fn garbage_on_the_front_end_changes_nothing() -> Outcome<()> {
    run_all(noisy_cases(), 6, |&(role, state, said)| {
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
    })
}

/// Speaks to a port in no protocol at all.
fn raw_noise(endpoint: &str) -> Outcome<()> {
    use std::io::Write;
    let address = endpoint.trim_start_matches("tcp://");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0; 4096], &[]] {
        let mut stream = std::net::TcpStream::connect(address).map_err(|e| e.to_string())?;
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
    let roles: VecDeque<Role> = [Role::Primary, Role::Backup].into();
    run_all(roles, 2, |&role| {
        let bench = Bench::start(role, Duration::from_millis(100), false)?;
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

#[test]
fn only_who_asks_for_metadata_gets_it() -> Outcome<()> {
    let heartbeat = Duration::from_millis(50);
    let bench = Bench::start(Role::Primary, heartbeat, true)?;
    let told = bench
        .peer
        .wait_heard(0, BOUND, |heard| heard.frames.len() == 2)?;
    for (key, value) in [("pair", "bstar"), ("role", "primary"), ("timeout", "100")] {
        ensure(told.metadata(key).as_deref() == Some(value), || {
            format!("{key} in {told:?}")
        })?;
    }
    bench.moves(b'2', State::Active)?;
    let told = bench.peer.wait_heard(0, BOUND, |heard| {
        heard.metadata("epoch").as_deref() == Some("1")
    })?;
    ensure(told.metadata("heard").as_deref() == Some("bare"), || {
        format!("{told:?}")
    })
}

#[test]
fn a_bare_listener_silences_metadata_for_all() -> Outcome<()> {
    let heartbeat = Duration::from_millis(50);
    let bench = Bench::start(Role::Primary, heartbeat, true)?;
    bench.moves(b'2', State::Active)?;
    let with_metadata = |heard: &tests::Heard| heard.frames.len() == 2;
    for _ in 0..20 {
        bench
            .peer
            .wait_heard(bench.peer.mark(), BOUND, with_metadata)?;
        let bare = ScriptedPeer::start(&PeerConfig {
            bind: free_endpoint(),
            connect: bench.node.config().local.clone(),
            metadata: false,
            period: heartbeat,
        });
        let heard = bare.next_heard(3, BOUND)?;
        ensure(heard.iter().all(|heard| heard.frames.len() == 1), || {
            bench.fails("a bare listener got a second frame")
        })?;
        let both = bench.peer.next_heard(2, BOUND)?;
        ensure(both.iter().all(|heard| heard.frames.len() == 1), || {
            bench.fails("a second frame was sent while a bare listener was there")
        })?;
    }
    // It is gone, so the metadata comes back.
    bench
        .peer
        .wait_heard(bench.peer.mark(), BOUND, with_metadata)?;
    Ok(())
}
