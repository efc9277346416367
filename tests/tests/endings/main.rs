//! Endings of real servers, in each state, under traffic, whatever has become of the peer: all are gone
//! within a bound, and leave no process behind.
//!
//! A few dozen are done, and as many as `BSTAR_FAULTS=500` says; then how long they took is printed:
//!
//! ```text
//! BSTAR_FAULTS=500 cargo test -p tests --test endings -- --nocapture
//! ```

mod crowd;
mod handler;
mod subject;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tests::{BOUND, Distribution, Outcome, Role, State, ensure, rounds_asked, run_cases, tell};

use crate::crowd::{Clients, Crowd};
use crate::subject::{HEARTBEAT, Peer, Subject};

/// How long an ending may take: the two seconds that the program gives its sockets, and one in which
/// a busy machine comes round to it.
const LIMIT: Duration = Duration::from_secs(3);

/// What ends a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    Terminate,
    Interrupt,
    /// It hears its own role where it expects its peer's.
    Stranger,
    /// It is to become active, and cannot write its epoch.
    Unwritable,
}

/// One ending.
#[derive(Clone, Copy, Debug)]
struct Case {
    role: Role,
    state: State,
    peer: Peer,
    clients: Clients,
    how: How,
}

impl Case {
    /// Every case that there can be.
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        let roles = [Role::Primary, Role::Backup];
        for (how, clients) in each(
            [
                How::Terminate,
                How::Interrupt,
                How::Stranger,
                How::Unwritable,
            ],
            Clients::ALL,
        ) {
            for ((role, state), peer) in each(each(roles, State::ALL), Peer::ALL) {
                let case = Self {
                    role,
                    state,
                    peer,
                    clients,
                    how,
                };
                all.extend(case.can_be().then_some(case));
            }
        }
        all
    }

    fn can_be(&self) -> bool {
        match self.how {
            How::Terminate | How::Interrupt => self.peer.lets_be(self.role, self.state),
            How::Stranger => self.peer == Peer::Speaks && self.state == State::Initial,
            How::Unwritable => self.peer == Peer::Speaks && self.activates().is_some(),
        }
    }

    /// So many of all cases, each as often as any other, in an order in which few are like all.
    fn some(count: usize) -> Vec<Self> {
        const STRIDE: usize = 127;
        let all = Self::all();
        assert_ne!(all.len() % STRIDE, 0, "each is to be reached");
        (0..count).map(|n| all[n * STRIDE % all.len()]).collect()
    }

    /// What the peer says to make this node active.
    fn activates(&self) -> Option<u8> {
        match (self.state, self.role) {
            (State::Passive, role) => Some(role.other().digit()),
            (State::Initial | State::Resigned, Role::Primary) => Some(Role::Backup.digit()),
            _ => None,
        }
    }
}

fn each<A, B: Clone>(
    left: impl IntoIterator<Item = A>,
    right: impl IntoIterator<Item = B> + Clone,
) -> impl Iterator<Item = (A, B)>
where
    A: Clone,
{
    left.into_iter()
        .flat_map(move |a| right.clone().into_iter().map(move |b| (a.clone(), b)))
}

/// How often a case is set up: a state may have been left before the server is ended in it.
const ATTEMPTS: usize = 5;

/// Ends the server, and answers with how long that took; nothing where the case cannot be had here.
fn end(case: &Case) -> Outcome<Option<Duration>> {
    for _ in 0..ATTEMPTS {
        let Some(mut subject) = Subject::reach(case.role, case.state, case.peer)? else {
            return Ok(None);
        };
        let config = subject.node.config();
        let crowd = Crowd::gather(
            case.clients,
            &config.frontend,
            &config.local,
            subject.network.as_ref(),
            subject.node.process().id(),
        )?;
        subject.lose_peer()?;
        if case.how == How::Unwritable {
            subject.spoil_directory()?;
        }
        if subject.is_there() {
            let took = end_now(case, &subject)?;
            drop(crowd);
            return Ok(Some(took));
        }
    }
    Err(format!("the state did not last in {ATTEMPTS} attempts"))
}

fn end_now(case: &Case, subject: &Subject) -> Outcome<Duration> {
    let process = subject.node.process();
    let begin = Instant::now();
    match case.how {
        How::Terminate => process.signal(Signal::TERM),
        How::Interrupt => process.signal(Signal::INT),
        How::Stranger => subject.hears(case.role.digit())?,
        How::Unwritable => subject.hears(case.activates().ok_or("it does not become active")?)?,
    }
    // Its output is closed a little later: a process that is just being started may hold it too.
    while process.exit_status().is_none() && begin.elapsed() < BOUND {
        thread::sleep(Duration::from_millis(1));
    }
    let took = begin.elapsed();
    let status = process.wait_exit(BOUND)?;
    let expected = match case.how {
        How::Terminate | How::Interrupt => 0,
        How::Stranger | How::Unwritable => 1,
    };
    ensure(status.code() == Some(expected) && took <= LIMIT, || {
        process.describe(&format!("{took:?}, and not {expected} within {LIMIT:?}"))
    })?;
    // Whoever it had started would hold these open.
    let closed = process.stdout().wait_closed(BOUND) && process.stderr().wait_closed(BOUND);
    ensure(closed, || process.describe("left somebody behind"))?;
    let said = process.stderr().text();
    ensure(!said.contains("panicked"), || process.describe("panicked"))?;
    Ok(took)
}

#[test]
fn every_ending_is_within_its_bound() -> Outcome<()> {
    let asked = rounds_asked();
    let cases = Case::some(asked.unwrap_or(40));
    let took = Mutex::new(BTreeMap::<_, Distribution>::new());
    run_cases(cases, 6, HEARTBEAT / 4, |case| {
        let Some(duration) = end(case)? else {
            return Ok(());
        };
        let mut took = took.lock().map_err(|error| error.to_string())?;
        for about in [
            "all".to_owned(),
            format!("{:?}", case.clients),
            format!("{:?}", case.peer),
            format!("{:?}", case.how),
        ] {
            took.entry(about).or_default().add(duration);
        }
        Ok(())
    })?;
    let took = took.into_inner().map_err(|error| error.to_string())?;
    if asked.is_some() {
        for (about, took) in &took {
            tell(&format!("endings, {about:<12} {took}"));
        }
    }
    ensure(took.contains_key("all"), || "none was done".to_owned())
}

#[test]
fn the_cases_cover_each_state_with_each_peer() {
    let some = Case::some(40);
    for (role, state) in each([Role::Primary, Role::Backup], State::ALL) {
        assert!(
            some.iter()
                .any(|case| (case.role, case.state) == (role, state))
        );
    }
    for peer in Peer::ALL {
        assert!(some.iter().any(|case| case.peer == peer), "{peer:?}");
    }
    for clients in Clients::ALL {
        assert!(
            some.iter().any(|case| case.clients == clients),
            "{clients:?}"
        );
    }
    for how in [
        How::Terminate,
        How::Interrupt,
        How::Stranger,
        How::Unwritable,
    ] {
        assert!(some.iter().any(|case| case.how == how), "{how:?}");
    }
}
