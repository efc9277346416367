//! Real processes, with the real keeper where it has been built, and without one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reactor::Reactor;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::*;
use crate::run::config::ServerRun;
use crate::run::trial::{BOUND, is_gone, pids, reactor, shell, turn_until};

const MS: fn(u64) -> Duration = Duration::from_millis;

struct Site {
    supervisor: Supervisor<Site>,
    events: Vec<(Instant, ServerEvent)>,
}

impl Site {
    fn count(&self, wanted: fn(&ServerEvent) -> bool) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| wanted(event))
            .count()
    }

    fn started(&self) -> usize {
        self.count(|event| *event == ServerEvent::Started)
    }

    fn ended(&self) -> usize {
        self.count(|event| matches!(event, ServerEvent::Ended { .. }))
    }

    fn gave_up(&self) -> usize {
        self.count(|event| matches!(event, ServerEvent::GaveUp { .. }))
    }

    fn stopped(&self) -> usize {
        self.count(|event| *event == ServerEvent::Stopped)
    }
}

/// A supervisor on a reactor, and a folder that its server finds in `$D`.
struct Trial {
    reactor: Reactor<Site>,
    site: Site,
    folder: TempDir,
}

impl Trial {
    fn new(launcher: &[String], script: &str, change: impl FnOnce(&mut ServerConfig)) -> Trial {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let mut config = ServerConfig {
            run: ServerRun::Always,
            command: shell(script),
            directory: None,
            environment: BTreeMap::from([("D".to_owned(), path)]),
            start_timeout: Duration::from_secs(1000),
            stop_grace: Duration::from_secs(1000),
            restart_pause: MS(10),
            longest_restart_pause: MS(80),
            give_up_after: 1000,
        };
        change(&mut config);
        let supervisor = Supervisor::new(
            config,
            launcher.to_vec(),
            |site: &mut Site| &mut site.supervisor,
            |site, scope, event| site.events.push((scope.fresh_now(), event)),
        );
        Trial {
            reactor: reactor(),
            site: Site {
                supervisor,
                events: Vec::new(),
            },
            folder,
        }
    }

    fn start(&mut self) {
        self.site.supervisor.start(self.reactor.scope());
    }

    fn stop(&mut self) {
        self.site.supervisor.stop(self.reactor.scope());
    }

    fn until(&mut self, done: impl FnMut(&mut Site) -> bool) {
        turn_until(&mut self.reactor, &mut self.site, done);
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pids")
    }

    /// Waits until so many processes have written their numbers.
    fn pids(&mut self, count: usize) -> Vec<u32> {
        let file = self.file();
        self.until(|_| pids(&file).len() == count);
        pids(&file)
    }

    fn until_gone(&mut self, pids: &[u32]) {
        self.until(|_| pids.iter().all(|pid| is_gone(*pid)));
    }

    fn allow(&self) {
        std::fs::write(self.folder.path().join("go"), "").unwrap();
    }
}

/// The program beside the tests, if it was built.
fn real_keeper() -> Option<Vec<String>> {
    let program = std::env::current_exe().ok()?;
    let program = program.parent()?.parent()?.join("bstar");
    if !program.exists() {
        println!("skipped: with the real keeper, since the program bstar is not built");
        return None;
    }
    let mut launcher = super::super::keeper::launcher();
    launcher[0] = program.display().to_string();
    Some(launcher)
}

fn launchers() -> Vec<Vec<String>> {
    [Some(Vec::new()), real_keeper()]
        .into_iter()
        .flatten()
        .collect()
}

/// It ends at once, until it may stay.
const FAILING: &str = "echo $$ >>$D/pids; [ -e $D/go ] || { echo no go; exit 3; }; exec sleep 1000";
/// It does not mind SIGTERM, and neither does what it started.
const STUBBORN: &str =
    "trap '' TERM; sleep 1000 & echo $! >>$D/pids; echo $$ >>$D/pids; wait; sleep 1000; true";

#[test]
fn one_that_ends_is_started_again_after_pauses_that_grow() {
    for launcher in launchers() {
        let mut trial = Trial::new(&launcher, FAILING, |_| {});
        trial.start();
        assert!(trial.site.events.is_empty(), "nothing is told from within");
        trial.until(|site| site.ended() == 6);
        let pauses: Vec<_> = trial
            .site
            .events
            .windows(2)
            .filter(|pair| matches!(pair[0].1, ServerEvent::Ended { .. }))
            .map(|pair| pair[1].0 - pair[0].0)
            .collect();
        for (pause, least_ms) in pauses.iter().zip([10, 20, 40, 80, 80]) {
            assert!(*pause >= MS(least_ms), "{pauses:?}");
        }
        let (_, first) = &trial.site.events[1];
        let how = "exit code 3; it said last: no go".to_owned();
        assert_eq!(*first, ServerEvent::Ended { how });
        trial.allow();
        let ended = trial.site.ended();
        trial.until(|site| site.started() > ended);
        assert_eq!(
            trial.site.supervisor.view().restarts,
            trial.site.started() as u64 - 1
        );
        assert_eq!(trial.site.gave_up(), 0);
    }
}

#[test]
fn a_start_is_told_before_the_end_that_followed_at_once() {
    let mut trial = Trial::new(&[], "exit 3", |_| {});
    trial.start();
    let leader = trial.site.supervisor.pid().unwrap();
    // It has ended before the reactor looks for the first time.
    let end = Instant::now() + BOUND;
    while !is_gone(leader) {
        assert!(Instant::now() < end);
    }
    trial.until(|site| site.ended() == 1);
    assert_eq!(trial.site.events[0].1, ServerEvent::Started);
}

#[test]
fn the_pauses_are_twice_as_long_each_time_up_to_the_longest() {
    let trial = Trial::new(&[], "", |config| config.give_up_after = 7);
    let pauses_ms = |ends| trial.site.supervisor.pause_after(ends).as_millis();
    assert_eq!([1, 2, 3, 4, 5].map(pauses_ms), [10, 20, 40, 80, 80]);
    assert_eq!(pauses_ms(u32::MAX), 80);
    let trial = Trial::new(&[], "", |config| config.give_up_after = 2);
    let pauses_ms = |ends| trial.site.supervisor.pause_after(ends).as_millis();
    assert_eq!([1, 2, 3].map(pauses_ms), [10, 80, 80]);
}

#[test]
fn one_that_cannot_be_kept_alive_is_given_up_and_tried_again_all_the_same() {
    for launcher in launchers() {
        let mut trial = Trial::new(&launcher, FAILING, |config| config.give_up_after = 3);
        trial.start();
        trial.until(|site| site.ended() == 5);
        assert_eq!(trial.site.gave_up(), 1, "it is said once");
        let place = trial.site.events.iter().position(|(_, event)| {
            matches!(event, ServerEvent::GaveUp { why } if why.contains("3 times") && why.contains("exit code 3"))
        });
        assert_eq!(place, Some(6), "after three starts and three ends");
        trial.allow();
        trial.until(|site| site.started() > site.ended());
    }
}

#[test]
fn an_end_after_a_life_that_counts_is_the_first_in_a_row() {
    let script = "echo $$ >>$D/pids; until [ -e $D/go ]; do sleep 0.01; done; rm $D/go; exit 1";
    for counts in [false, true] {
        let mut trial = Trial::new(&[], script, |config| {
            config.start_timeout = MS(20);
            config.give_up_after = 2;
        });
        trial.start();
        for life in 1..=3 {
            trial.pids(life);
            let begun = Instant::now();
            trial.site.supervisor.note_ready(begun);
            if counts {
                trial.until(|_| begun.elapsed() >= MS(20));
            } else {
                // As if it had been ready for no time at all.
                trial.site.supervisor.ready = None;
            }
            trial.allow();
            trial.until(|site| site.ended() == life);
            let row = trial.site.supervisor.view().ends_in_a_row;
            assert_eq!(row, if counts { 1 } else { life as u32 });
        }
        assert_eq!(trial.site.gave_up(), usize::from(!counts));
    }
}

#[test]
fn what_cannot_be_started_counts_as_ended() {
    let mut trial = Trial::new(&[], "", |config| {
        config.command = vec!["/no/such/server".to_owned()];
        config.give_up_after = 2;
    });
    trial.start();
    assert!(trial.site.events.is_empty(), "nothing is told from within");
    trial.until(|site| site.ended() == 3);
    assert_eq!((trial.site.started(), trial.site.gave_up()), (0, 1));
    let Some(keeper) = real_keeper() else { return };
    let mut trial = Trial::new(&keeper, "", |config| {
        config.command = vec!["/no/such/server".to_owned()];
    });
    trial.start();
    trial.until(|site| site.ended() == 1);
    let how = trial.site.supervisor.view().last_end.unwrap();
    assert!(
        how.contains("127") && how.contains("/no/such/server"),
        "{how}"
    );
}

#[test]
fn one_that_is_stopped_has_not_ended() {
    let script = "trap 'echo bye >>$D/said; exit 0' TERM; echo $$ >>$D/pids; while true; do sleep 0.01; done";
    for launcher in launchers() {
        let mut trial = Trial::new(&launcher, script, |_| {});
        trial.start();
        let server = trial.pids(1);
        if !launcher.is_empty() {
            assert_eq!(trial.site.supervisor.pid(), Some(server[0]));
        }
        assert!(trial.site.supervisor.is_running());
        trial.stop();
        assert!(!trial.site.supervisor.is_running());
        trial.stop();
        trial.until(|site| site.stopped() == 1);
        assert_eq!(trial.site.events.len(), 2);
        assert!(is_gone(server[0]));
        let said = std::fs::read_to_string(trial.folder.path().join("said")).unwrap();
        assert_eq!(said, "bye\n", "it could end in its own way");
        assert_eq!(trial.site.supervisor.pid(), None);
        // Nothing is there to be stopped, and that is said, too.
        trial.stop();
        assert_eq!(trial.site.stopped(), 1);
        trial.until(|site| site.stopped() == 2);
    }
}

#[test]
fn who_does_not_mind_sigterm_is_killed_with_all_it_started() {
    for launcher in launchers() {
        let mut trial = Trial::new(&launcher, STUBBORN, |config| config.stop_grace = MS(200));
        trial.start();
        let family = trial.pids(2);
        let asked = Instant::now();
        trial.stop();
        trial.until(|site| site.stopped() == 1);
        assert!(asked.elapsed() >= MS(200), "not before its time");
        assert_eq!(trial.site.ended(), 0);
        trial.until_gone(&family);
    }
}

#[test]
fn one_that_is_stopped_while_it_starts_leaves_nothing() {
    for launcher in launchers() {
        let mut trial = Trial::new(&launcher, STUBBORN, |config| config.stop_grace = MS(200));
        trial.start();
        trial.stop();
        trial.until(|site| site.stopped() == 1);
        let family = pids(&trial.file());
        trial.until_gone(&family);
        assert!(trial.site.ended() == 0 && trial.site.started() <= 1);
    }
}

#[test]
fn one_that_is_stopped_while_it_waits_is_not_started_again() {
    let mut trial = Trial::new(&[], FAILING, |config| {
        config.restart_pause = MS(50);
        config.longest_restart_pause = MS(50);
    });
    trial.start();
    trial.until(|site| site.ended() == 1);
    trial.stop();
    trial.until(|site| site.stopped() == 1);
    let until = Instant::now() + MS(100);
    trial.until(|_| Instant::now() >= until);
    assert_eq!(trial.site.events.len(), 3);
}

#[test]
fn one_that_is_wanted_again_while_it_stops_is_started_when_it_has() {
    let script =
        "trap 'sleep 0.2; exit 0' TERM; echo $$ >>$D/pids; while true; do sleep 0.01; done";
    for launcher in launchers() {
        let mut trial = Trial::new(&launcher, script, |_| {});
        trial.start();
        let first = trial.pids(1);
        trial.stop();
        trial.start();
        let both = trial.pids(2);
        assert!(is_gone(first[0]), "there are never two");
        trial.until(|site| site.started() == 2);
        let events: Vec<_> = trial.site.events.iter().map(|(_, event)| event).collect();
        assert_eq!(*events[1], ServerEvent::Stopped);
        assert_eq!(trial.site.supervisor.view().restarts, 0);
        trial.stop();
        trial.start();
        trial.stop();
        trial.until(|site| site.stopped() == 2);
        trial.until_gone(&both);
        assert_eq!(
            trial.site.events.len(),
            4,
            "who was not wanted in the end was not started"
        );
    }
}

#[test]
fn when_the_keeper_is_killed_all_is_killed_and_started_again() {
    let Some(keeper) = real_keeper() else { return };
    let mut trial = Trial::new(&keeper, STUBBORN, |_| {});
    trial.start();
    let family = trial.pids(2);
    let Phase::Running(life) = &trial.site.supervisor.phase else {
        panic!("it runs")
    };
    kill_process(life.child.pid(), Signal::KILL).unwrap();
    trial.until_gone(&family);
    trial.pids(4);
    assert_eq!((trial.site.started(), trial.site.ended()), (2, 1));
}

#[test]
fn when_the_server_is_killed_its_signal_is_known() {
    let Some(keeper) = real_keeper() else { return };
    let mut trial = Trial::new(&keeper, STUBBORN, |_| {});
    trial.start();
    let family = trial.pids(2);
    let server = i32::try_from(family[1]).unwrap();
    kill_process(Pid::from_raw(server).unwrap(), Signal::KILL).unwrap();
    trial.until(|site| site.ended() == 1);
    let how = trial.site.supervisor.view().last_end.unwrap();
    assert!(how.contains("killed by signal 9"), "{how}");
    trial.until_gone(&family);
}

#[test]
fn a_supervisor_that_is_gone_leaves_no_server() {
    for launcher in launchers() {
        let mut trial = Trial::new(&launcher, STUBBORN, |_| {});
        trial.start();
        let family = trial.pids(2);
        drop(trial);
        let mut nothing = reactor::<()>();
        turn_until(&mut nothing, &mut (), |_| {
            family.iter().all(|pid| is_gone(*pid))
        });
    }
}
