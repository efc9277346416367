//! The whole state table from outside: a real server between a scripted peer and a scripted
//! client. What it publishes and whether it answers is what the rules of the pair say.

use std::time::Duration;

use tests::{BOUND, Bench, Outcome, Role, State, ensure, run_cases};

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
        self.check(&bench)?;
        bench.is_bare()
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
    let mut cases = Vec::new();
    for role in [Role::Primary, Role::Backup] {
        for state in State::ALL {
            for event in EVENTS {
                cases.push(Case {
                    role,
                    state,
                    event,
                    heartbeat,
                });
            }
        }
    }
    run_cases(cases, at_once, heartbeat / 2, Case::run)
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
