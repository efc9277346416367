//! The main job, as a user runs it: it holds, and it leaves no process behind.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]
#![cfg(feature = "programs")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Ends a test that hangs.
const BOUND: Duration = Duration::from_secs(60);

struct Demo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The processes that it named.
    pids: Vec<Pid>,
    seen: Vec<String>,
}

impl Demo {
    fn start() -> Demo {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bstar"))
            .args(["demo", "--heartbeat", "250"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Demo {
            child,
            lines,
            pids: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Reads until a line with this in it, or to the end.
    fn read_to(&mut self, what: &str) -> bool {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            let after = line.split("(pid ").skip(1);
            let pids = after.filter_map(|rest| rest.split(')').next()?.parse().ok());
            self.pids.extend(pids.filter_map(Pid::from_raw));
            self.seen.push(line);
            if self.seen.last().unwrap().contains(what) {
                return true;
            }
        }
        false
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    fn leaves_nobody(&self) {
        assert!(
            self.pids.len() >= 3,
            "it names its processes: {:?}",
            self.seen
        );
        let deadline = Instant::now() + BOUND;
        while let Some(pid) = self
            .pids
            .iter()
            .find(|pid| test_kill_process(**pid).is_ok())
        {
            assert!(
                Instant::now() < deadline,
                "{pid:?} is left of {:?}",
                self.seen
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn every_step_holds() {
    let mut demo = Demo::start();
    let held = demo.read_to("Every step held.");
    assert!(demo.wait().success() && held, "{:#?}", demo.seen);
    for step in [
        "start",
        "kill -9",
        "restart",
        "fail back",
        "switch over",
        "freeze",
        "thaw",
    ] {
        assert!(
            demo.seen.iter().any(|line| line.contains(step)),
            "{step}: {:?}",
            demo.seen
        );
    }
    assert_eq!(
        demo.seen
            .iter()
            .filter(|line| line.contains("ACTIVE"))
            .count(),
        5
    );
    demo.leaves_nobody();
}

#[test]
fn an_interrupt_leaves_no_process_behind() {
    for (step, signal) in [("start", Signal::INT), ("freeze", Signal::TERM)] {
        let mut demo = Demo::start();
        assert!(demo.read_to(step), "{:?}", demo.seen);
        demo.signal(signal);
        assert_eq!(demo.wait().code(), Some(1));
        demo.leaves_nobody();
    }
}

#[test]
fn a_kill_leaves_no_process_behind_not_even_a_stopped_one() {
    for step in ["kill -9", "freeze"] {
        let mut demo = Demo::start();
        assert!(demo.read_to(step), "{:?}", demo.seen);
        demo.signal(Signal::KILL);
        assert!(!demo.wait().success());
        demo.leaves_nobody();
    }
}
