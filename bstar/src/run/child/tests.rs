//! Real processes.

use reactor::Reactor;

use super::*;
use crate::run::trial::{BOUND, Log, is_gone, pids, reactor, shell, turn_until};

/// The ends that were told.
type Ends = Vec<Ended>;

fn begin(
    reactor: &mut Reactor<Ends>,
    purpose: Purpose,
    script: &str,
    timeout: Option<Duration>,
) -> (ChildKey, Option<ChildStdin>) {
    let job = Job {
        purpose,
        name: "trial",
        command: &shell(script),
        directory: Some(Path::new("/")),
        environment: &[("WORD".to_owned(), "a b".to_owned())],
        timeout,
    };
    spawn(reactor.scope(), &job, |ends: &mut Ends, _, ended| {
        ends.push(ended);
    })
    .unwrap()
}

fn run(purpose: Purpose, script: &str, timeout: Option<Duration>) -> Ended {
    let (mut reactor, mut ends) = (reactor(), Vec::new());
    begin(&mut reactor, purpose, script, timeout);
    turn_until(&mut reactor, &mut ends, |ends| !ends.is_empty());
    assert_eq!(ends.len(), 1);
    ends.remove(0)
}

#[test]
fn the_end_says_how_it_came_and_what_was_said_last() {
    let ended = run(Purpose::Hook, "pwd; echo $WORD", None);
    assert_eq!(ended.result, Ok(()));
    assert_eq!(ended.said.as_deref(), Some("a b"));
    assert_eq!(ended.to_string(), "exit code 0; it said last: a b");

    let ended = run(Purpose::Hook, "echo why >&2; exit 7", None);
    assert_eq!(ended.result, Err(Failure::Exited(7)));
    assert_eq!(ended.to_string(), "exit code 7; it said last: why");

    let ended = run(Purpose::Hook, "kill -9 $$", None);
    assert_eq!(ended.result, Err(Failure::Killed(9)));
}

#[test]
fn what_cannot_be_started_says_so_at_once() {
    let mut reactor = reactor::<Ends>();
    for command in [vec![], vec!["/no/such/program".to_owned()]] {
        let job = Job {
            purpose: Purpose::Check,
            name: "trial",
            command: &command,
            directory: None,
            environment: &[],
            timeout: None,
        };
        let started = spawn(reactor.scope(), &job, |ends: &mut Ends, _, ended| {
            ends.push(ended);
        });
        assert!(matches!(started, Err(Failure::CannotStart(_))));
    }
}

#[test]
fn output_goes_to_the_log_before_the_end_does() {
    let log = Log::capture();
    run(Purpose::Hook, "echo one; echo two >&2; printf three", None);
    let text = log.text();
    for (line, stream) in [("one", "stdout"), ("two", "stderr")] {
        let found = text.lines().find(|text| text.contains(line)).unwrap();
        assert!(found.contains(&format!("stream=\"{stream}\"")), "{found}");
        assert!(found.contains("name=\"trial\""), "{found}");
        assert!(found.contains("pid="), "{found}");
    }
    // A last line needs no end.
    assert!(text.contains("three"), "{text}");
    // What checks say each second is not for every log.
    run(Purpose::Check, "echo four", None);
    assert!(!log.text().contains("four"));
}

#[test]
fn all_that_is_said_is_heard_however_much_it_is() {
    let log = Log::capture();
    let ended = run(Purpose::Hook, "seq 20000; echo last", None);
    assert_eq!(ended.said.as_deref(), Some("last"));
    assert_eq!(log.text().lines().count(), 20001);
}

/// Its pipe is held open by a process that it leaves behind.
#[test]
fn an_output_that_does_not_end_keeps_no_end_from_being_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!(
        "sleep 1000 & echo $! >{}; echo said; printf last",
        file.display()
    );
    let ended = run(Purpose::Hook, &script, None);
    assert_eq!(ended.result, Ok(()));
    assert_eq!(ended.said.as_deref(), Some("last"));
    let [sleeper] = pids(&file)[..] else {
        panic!("one process was left behind")
    };
    assert!(!is_gone(sleeper), "what a hook leaves behind may stay");
    let sleeper = Pid::from_raw(sleeper.try_into().unwrap()).unwrap();
    rustix::process::kill_process(sleeper, Signal::KILL).unwrap();
}

#[test]
fn what_a_hook_left_behind_is_heard_after_its_end() {
    let log = Log::capture();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let script = format!(
        "(until [ -e {go} ]; do sleep 0.01; done; echo later; echo and later) & exit 3",
        go = go.display()
    );
    let (mut reactor, mut ends) = (reactor(), Vec::new());
    begin(&mut reactor, Purpose::Hook, &script, None);
    turn_until(&mut reactor, &mut ends, |ends| !ends.is_empty());
    std::fs::write(go, "").unwrap();
    turn_until(&mut reactor, &mut ends, |_| {
        log.text().contains("and later")
    });
    assert_eq!(ends.len(), 1);
}

#[test]
fn nothing_of_a_check_or_a_server_stays() {
    for purpose in [Purpose::Check, Purpose::Server] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pids");
        let script = format!("sleep 1000 & echo $! >>{}; exit 0", file.display());
        run(purpose, &script, None);
        let end = std::time::Instant::now() + BOUND;
        while !pids(&file).iter().all(|pid| is_gone(*pid)) {
            assert!(std::time::Instant::now() < end);
        }
        assert_eq!(pids(&file).len(), 1);
    }
}

#[test]
fn one_that_takes_too_long_is_killed_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!(
        "trap '' TERM; (trap '' TERM; sleep 1000) & echo $! >>{0}; echo $$ >>{0}; sleep 1000",
        file.display()
    );
    let limit = Duration::from_millis(300);
    let (mut reactor, mut ends) = (reactor(), Vec::new());
    begin(&mut reactor, Purpose::Hook, &script, Some(limit));
    turn_until(&mut reactor, &mut ends, |ends| !ends.is_empty());
    assert_eq!(ends[0].result, Err(Failure::TimedOut(limit)));
    turn_until(&mut reactor, &mut ends, |_| {
        pids(&file).iter().all(|pid| is_gone(*pid))
    });
    assert_eq!(pids(&file).len(), 2, "both had begun");
    assert_eq!(ends.len(), 1, "an end is told once");
}

#[test]
fn of_one_that_was_abandoned_nothing_is_heard() {
    let (mut reactor, mut ends) = (reactor(), Vec::new());
    let (abandoned, _) = begin(&mut reactor, Purpose::Hook, "sleep 1000", None);
    begin(&mut reactor, Purpose::Hook, "exit 1", None);
    abandoned.abandon();
    turn_until(&mut reactor, &mut ends, |ends| {
        abandoned.fate.reaped.get() && !ends.is_empty()
    });
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].result, Err(Failure::Exited(1)));
    // Its number is another's by now, for all that is known.
    abandoned.kill();
    abandoned.terminate();
}

#[test]
fn a_server_knows_by_its_input_that_this_program_lives() {
    let (mut reactor, mut ends) = (reactor(), Vec::new());
    let (key, lifeline) = begin(&mut reactor, Purpose::Server, "cat; exit 5", None);
    assert!(lifeline.is_some());
    for _ in 0..5 {
        let moment = Some(Duration::from_millis(10));
        reactor.turn(&mut ends, moment).unwrap();
        assert!(ends.is_empty() && !key.fate.reaped.get());
    }
    drop(lifeline);
    turn_until(&mut reactor, &mut ends, |ends| !ends.is_empty());
    assert_eq!(ends[0].result, Err(Failure::Exited(5)));
}

#[test]
fn with_the_reactor_ends_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!("sleep 1000 & echo $! >>{}; wait", file.display());
    let (mut reactor, mut ends) = (reactor(), Vec::new());
    begin(&mut reactor, Purpose::Hook, &script, None);
    turn_until(&mut reactor, &mut ends, |_| pids(&file).len() == 1);
    drop(reactor);
    let end = std::time::Instant::now() + BOUND;
    while !is_gone(pids(&file)[0]) {
        assert!(std::time::Instant::now() < end);
    }
}
