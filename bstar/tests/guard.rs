//! Guards as a program sees them: both nodes of a pair in one process, on loopback.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bstar::core::{State, StepBackError};
use bstar::guard::{Failure, Guard, GuardBuilder};
use bstar::server::{Error, HandleError};
use bstar::{Config, Role};

const HEARTBEAT: Duration = Duration::from_millis(100);
/// Ends a test that hangs.
const BOUND: Duration = Duration::from_secs(20);

/// The endpoints of a pair's state links.
struct Links([String; 2]);

impl Links {
    fn free() -> Links {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        Links(listeners.map(|l| format!("tcp://{}", l.local_addr().unwrap())))
    }

    fn guard(&self, role: Role) -> GuardBuilder {
        let [primary, backup] = &self.0;
        let [local, remote] = match role {
            Role::Primary => [primary, backup],
            Role::Backup => [backup, primary],
        };
        let config = Config::new(role).with_heartbeat(HEARTBEAT).unwrap();
        Guard::builder(config, local, remote)
    }
}

/// A pair whose primary is active and whose backup is passive, with what is set beyond that.
fn pair_with(
    primary: impl FnOnce(GuardBuilder) -> GuardBuilder,
    backup: impl FnOnce(GuardBuilder) -> GuardBuilder,
) -> (Guard, Guard) {
    let links = Links::free();
    let primary = primary(links.guard(Role::Primary)).spawn().unwrap();
    let backup = backup(links.guard(Role::Backup)).spawn().unwrap();
    wait_for(&primary, State::Active);
    wait_for(&backup, State::Passive);
    (primary, backup)
}

fn pair() -> (Guard, Guard) {
    pair_with(|primary| primary, |backup| backup)
}

fn wait_for(guard: &Guard, state: State) {
    wait(&format!("{state:?}"), || {
        guard.status(BOUND).unwrap().state == state
    });
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "this did not come about: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What callbacks saw.
fn notes() -> (Sender<&'static str>, Receiver<&'static str>) {
    channel()
}

#[test]
fn exactly_one_may_serve_and_a_goodbye_moves_the_service() {
    let (primary, backup) = pair();
    assert!(primary.may_serve() && !backup.may_serve());
    assert_eq!(primary.vote(BOUND), Ok(true));
    assert_eq!(backup.vote(BOUND), Ok(false), "its peer lives");
    let handle = primary.handle().clone();
    let local = primary.local_endpoint().to_owned();
    primary.end(BOUND).unwrap();
    // Nobody has voted: only the goodbye can have made it active.
    wait_for(&backup, State::Active);
    assert!(!handle.may_serve());
    assert_eq!(handle.vote(BOUND), Err(HandleError::Ended));
    let address = local.strip_prefix("tcp://").unwrap();
    TcpListener::bind(address).expect("what an ended guard had bound is free");
    assert!(backup.outcome().is_none(), "it runs");
}

#[test]
fn a_switchover_waits_for_what_was_begun() {
    let (primary, backup) = pair();
    let work = primary.begin(BOUND).unwrap().unwrap();
    let operator = primary.handle().clone();
    let operator = thread::spawn(move || {
        let mut result = Ok(());
        wait("the switchover", || {
            result = operator.switch_over(BOUND);
            // Refused until it has heard that its peer stands by.
            result != Err(HandleError::StepBack(StepBackError::Alone))
        });
        result
    });
    wait_for(&primary, State::Draining);
    assert!(primary.try_begin().is_none(), "no other is begun");
    assert!(!backup.may_serve(), "as long as the first is not finished");
    drop(work);
    assert_eq!(operator.join().unwrap(), Ok(()));
    wait_for(&backup, State::Active);
}

#[test]
fn a_program_that_says_that_it_is_ill_is_relieved_by_its_peer() {
    let (primary, backup) = pair();
    primary.set_ill("its database is gone").unwrap();
    wait_for(&backup, State::Active);
    wait("the primary's answer", || !primary.may_serve());
    // It can serve again, which moves nothing by itself.
    primary.set_well().unwrap();
    assert!(primary.status(BOUND).unwrap().fit);
    wait_for(&primary, State::Passive);
    assert!(backup.may_serve());
}

#[test]
fn a_vote_needs_no_thread_that_waits() {
    let (primary, backup) = pair();
    let (answered, answers) = channel();
    let vote = |guard: &Guard| {
        let answered = answered.clone();
        guard.vote_with(move |answer| answered.send(answer).unwrap())
    };
    vote(&primary).unwrap();
    assert!(answers.try_recv().unwrap(), "known, so it was told at once");
    vote(&backup).unwrap();
    assert!(!answers.recv_timeout(BOUND).unwrap());
    let handle = backup.handle().clone();
    drop(backup);
    assert_eq!(handle.vote_with(|_| ()), Err(HandleError::Ended));
}

#[test]
fn callbacks_are_told_on_the_guards_thread() {
    let (noted, notes) = notes();
    let (on_active, on_passive, on_offer) = (noted.clone(), noted.clone(), noted.clone());
    let (primary, backup) = pair_with(
        |primary| primary,
        move |backup| {
            backup
                .on_transition(move |_| {
                    assert_eq!(thread::current().name(), Some("bstar-guard"));
                    noted.send("transition")?;
                    Ok(())
                })
                .on_active(move |transition| {
                    assert_eq!((transition.to, transition.epoch), (State::Active, 2));
                    on_active.send("active")?;
                    Ok(())
                })
                .on_passive(move |_| Ok(on_passive.send("passive")?))
                .on_offer(move || Ok(on_offer.send("offer")?))
        },
    );
    wait("the switchover", || primary.switch_over(BOUND).is_ok());
    wait_for(&backup, State::Active);
    let told: Vec<&str> = notes.try_iter().collect();
    let expected = ["transition", "passive", "offer", "transition", "active"];
    assert_eq!(told, expected);
}

#[test]
fn a_veto_ends_nothing_and_the_outlook_tells_of_the_peer() {
    let (told, outlooks) = channel();
    let (primary, backup) = pair_with(
        |primary| primary,
        move |backup| {
            backup
                .on_offer(|| Err("its replica lags".into()))
                .on_outlook(move |outlook| {
                    // The test may have seen enough.
                    let _ = told.send((outlook.vote_counts, outlook.peer_heard));
                })
        },
    );
    wait("the veto", || {
        primary.switch_over(BOUND) == Err(HandleError::StepBack(StepBackError::Vetoed))
    });
    assert!(backup.outcome().is_none());
    assert_eq!(outlooks.recv_timeout(BOUND), Ok((false, true)));
    let handle = primary.handle().clone();
    drop(primary);
    // A goodbye is no offer, and there is nothing to veto.
    wait_for(&backup, State::Active);
    assert!(!handle.may_serve());
}

#[test]
fn an_error_or_a_panic_of_a_callback_ends_the_node_and_its_peer_takes_over() {
    for panics in [false, true] {
        let (primary, backup) = pair_with(
            |primary| primary,
            |backup| {
                backup.on_active(move |_| match panics {
                    true => panic!("no disk {}", 7),
                    false => Err("no disk 7".into()),
                })
            },
        );
        wait("the switchover", || primary.switch_over(BOUND).is_ok());
        let failure = backup.wait().unwrap_err();
        assert!(failure.to_string().contains("no disk 7"), "{failure}");
        assert_eq!(matches!(failure, Failure::Panic(_)), panics);
        assert!(!backup.may_serve());
        assert!(backup.outcome().unwrap().is_err());
        // It was never relied on, and said so before it went: the other serves again, without a vote.
        wait_for(&primary, State::Active);
        assert!(backup.end(BOUND).is_err(), "the reason is not lost");
    }
}

#[test]
fn a_panic_in_any_callback_is_seen() {
    let panic = "it is broken";
    let offered = |guard: GuardBuilder| guard.on_offer(move || panic!("{panic}"));
    let seen = |guard: GuardBuilder| guard.on_outlook(move |_| panic!("{panic}"));
    let told = |guard: GuardBuilder| guard.on_transition(move |_| panic!("{panic}"));
    let passive = |guard: GuardBuilder| guard.on_passive(move |_| panic!("{panic}"));
    type Adds<'a> = &'a dyn Fn(GuardBuilder) -> GuardBuilder;
    for adds in [&offered as Adds<'_>, &seen, &told, &passive] {
        let links = Links::free();
        let primary = links.guard(Role::Primary).spawn().unwrap();
        let backup = adds(links.guard(Role::Backup)).spawn().unwrap();
        wait("the end", || {
            // It is what makes an offer.
            let _ = primary.request_switchover();
            backup.outcome().is_some()
        });
        assert!(!backup.may_serve());
        let failure = backup.end(BOUND).unwrap_err();
        assert!(
            matches!(&failure, Failure::Panic(words) if words == panic),
            "{failure}"
        );
        wait("the other serves", || primary.vote(BOUND) == Ok(true));
    }
}

#[test]
fn a_panic_on_the_nodes_own_thread_is_seen_too() {
    let (primary, backup) = pair();
    // The answer is known on the backup's own thread alone.
    backup.vote_with(|_| panic!("the asker is broken")).unwrap();
    let failure = backup.wait().unwrap_err();
    assert!(matches!(&failure, Failure::Panic(words) if words == "the asker is broken"));
    assert!(!backup.may_serve());
    assert_eq!(backup.status(BOUND), Err(HandleError::Ended));
    assert!(primary.may_serve());
}

#[test]
fn what_cannot_be_started_says_why_and_leaves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", listener.local_addr().unwrap());
    let links = Links::free();
    let config = Config::new(Role::Primary);
    let error = Guard::builder(config, &taken, &links.0[1]).spawn();
    assert!(matches!(error, Err(Error::Bind { .. })), "{error:?}");
    let error = links
        .guard(Role::Primary)
        .state_dir("/nowhere/at/all")
        .spawn();
    assert!(matches!(error, Err(Error::State(_))), "{error:?}");
    // Nothing holds the endpoint of the guard that did not start.
    links.guard(Role::Primary).spawn().unwrap();
}

#[test]
fn a_guard_that_keeps_its_epochs_hands_out_what_fences() {
    let folder = tempfile::tempdir().unwrap();
    let (fences, fence) = channel();
    let links = Links::free();
    for epoch in [1, 3] {
        let fences = fences.clone();
        let guard = links
            .guard(Role::Primary)
            .state_dir(folder.path().join("primary"))
            .on_active(move |transition| Ok(fences.send(transition.fence)?))
            .spawn()
            .unwrap();
        wait("the guard", || guard.vote(BOUND) == Ok(true));
        assert_eq!(fence.recv_timeout(BOUND), Ok(Some(epoch)));
        guard.end(BOUND).unwrap();
    }
}

#[test]
fn an_end_is_bounded_and_a_hanging_callback_keeps_nobody_serving() {
    let (released, release) = channel::<()>();
    let (primary, backup) = pair_with(
        |primary| {
            primary.on_passive(move |_| {
                // Until the test lets go of it.
                let _ = release.recv();
                Ok(())
            })
        },
        |backup| backup,
    );
    let handle = primary.handle().clone();
    let late = primary.end(HEARTBEAT);
    assert!(matches!(late, Err(Failure::Late(_))), "{late:?}");
    assert!(!handle.may_serve());
    drop(released);
    wait_for(&backup, State::Active);
}

#[test]
fn a_zeromq_front_end_beside_the_programs_own_votes_too() {
    let links = Links::free();
    let guard = links
        .guard(Role::Primary)
        .with(|server| {
            server.frontend("tcp://127.0.0.1:*", |(), scope, request| {
                Ok(request.echo(scope)?)
            })
        })
        .spawn()
        .unwrap();
    let mut client = bstar::Client::connect(guard.frontend_endpoints().to_vec()).unwrap();
    let reply = client
        .request(["hello"], bstar::Idempotent::Yes, BOUND)
        .unwrap();
    assert_eq!(reply.frames, [b"hello"]);
    assert!(guard.may_serve());
}
