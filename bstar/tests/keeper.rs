//! A server does not outlive what started it, however that ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]
#![cfg(feature = "programs")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

/// No condition takes this long, unless it never comes.
const BOUND: Duration = Duration::from_secs(20);

/// A keeper, started as a program starts it that is not killed, or by one that is.
struct Keeper {
    child: Child,
    folder: TempDir,
}

impl Keeper {
    /// The script finds its folder in `$D`.
    fn start(script: &str) -> Keeper {
        Keeper::of(&["sh", "-c", script])
    }

    fn of(command: &[&str]) -> Keeper {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bstar"))
            .args(["keeper", "--"])
            .args(command)
            .env("D", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Keeper { child, folder }
    }

    /// The same, started by a shell that holds the other end of the pipe.
    fn under_a_parent(script: &str) -> Keeper {
        let folder = tempfile::tempdir().unwrap();
        let parent = r#"mkfifo $D/pipe
            "$BSTAR" keeper -- sh -c "$SCRIPT" <$D/pipe &
            exec 3>$D/pipe
            echo $! >>$D/keeper
            wait"#;
        let child = Command::new("sh")
            .args(["-c", parent])
            .env("BSTAR", env!("CARGO_BIN_EXE_bstar"))
            .env("SCRIPT", script)
            .env("D", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Keeper { child, folder }
    }

    fn pipe(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Waits until so many processes have written their numbers into the file.
    fn pids(&self, name: &str, count: usize) -> Vec<i32> {
        let file = self.file(name);
        wait_for("all have begun", || numbers(&file).len() == count);
        numbers(&file)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

/// A test that failed leaves nothing behind that it knows of.
impl Drop for Keeper {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
        for name in ["keeper", "pids"] {
            for pid in numbers(&self.file(name)) {
                if !is_gone(pid) {
                    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
                }
            }
        }
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < end, "this did not come about: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The complete lines of a file, which are numbers.
fn numbers(file: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(|line| line.parse().unwrap()).collect()
}

fn is_gone(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat
            .rsplit_once(')')
            .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
        Err(_) => true,
    }
}

fn all_gone(pids: &[i32]) -> bool {
    pids.iter().all(|pid| is_gone(*pid))
}

/// A server with a child, a grandchild, one in a session of its own, and one in such a session whose parent is gone;
/// none of them minds SIGTERM.
const FAMILY: &str = r#"trap '' TERM HUP
    sh -c 'sleep 1000 & echo $! >>$D/pids; echo $$ >>$D/pids; wait' &
    setsid sh -c 'echo $$ >>$D/pids; exec sleep 1000' &
    sh -c 'setsid sh -c "echo \$\$ >>\$D/pids; exec sleep 1000" &'
    echo $$ >>$D/pids
    exec sleep 1000"#;
const FAMILY_SIZE: usize = 5;

#[test]
fn it_ends_as_the_server_does() {
    assert_eq!(Keeper::start("exit 0").end().code(), Some(0));
    assert_eq!(Keeper::start("exit 7").end().code(), Some(7));
    assert_eq!(Keeper::start("kill -9 $$").end().code(), Some(137));
    assert_eq!(Keeper::of(&["/no/such/server"]).end().code(), Some(127));
    assert_eq!(Keeper::of(&["/"]).end().code(), Some(126));
}

#[test]
fn the_server_gets_its_arguments_as_they_are() {
    let keeper = Keeper::of(&[
        "sh",
        "-c",
        r#"echo "$@" >$D/said"#,
        "--",
        "--help",
        "-v",
        "a b",
    ]);
    wait_for("it has said", || keeper.text("said") == "--help -v a b\n");
}

#[test]
fn when_its_parent_is_killed_nothing_is_left() {
    its_parent_is_killed(|_| ());
}

#[test]
fn a_keeper_that_is_stopped_does_the_same() {
    its_parent_is_killed(|keeper| kill_process(keeper, Signal::STOP).unwrap());
}

/// Nothing is left when what started the keeper is killed, after `first` was done to the keeper.
fn its_parent_is_killed(first: impl FnOnce(Pid)) {
    let mut keeper = Keeper::under_a_parent(FAMILY);
    let family = keeper.pids("pids", FAMILY_SIZE);
    let pid = keeper.pids("keeper", 1);
    assert!(!family.iter().chain(&pid).any(|pid| is_gone(*pid)));
    first(Pid::from_raw(pid[0]).unwrap());
    keeper.signal(Signal::KILL);
    keeper.end();
    wait_for("all are gone", || all_gone(&family) && all_gone(&pid));
}

#[test]
fn when_its_pipe_ends_nothing_is_left() {
    let mut keeper = Keeper::start(FAMILY);
    let family = keeper.pids("pids", FAMILY_SIZE);
    drop(keeper.pipe());
    assert_eq!(keeper.end().code(), None, "it is killed with its group");
    wait_for("all are gone", || all_gone(&family));
}

#[test]
fn when_the_keeper_is_killed_the_server_is_too() {
    let mut keeper = Keeper::start("echo $$ >>$D/pids; while true; do sleep 1; done");
    let server = keeper.pids("pids", 1);
    keeper.signal(Signal::KILL);
    keeper.end();
    wait_for("the server is gone", || all_gone(&server));
}

#[test]
fn at_sigterm_the_server_is_asked_first_and_what_it_left_behind_then() {
    let mut keeper = Keeper::start(
        r#"sh -c 'trap "echo child >>$D/order; exit 0" TERM
                  echo $$ >>$D/pids; while true; do sleep 0.01; done' &
           trap 'sleep 0.3; echo server >>$D/order; exit 9' TERM
           echo $$ >>$D/pids
           while true; do sleep 0.01; done"#,
    );
    let pids = keeper.pids("pids", 2);
    keeper.signal(Signal::TERM);
    assert_eq!(keeper.end().code(), Some(9));
    assert_eq!(keeper.text("order"), "server\nchild\n");
    wait_for("all are gone", || all_gone(&pids));
}

#[test]
fn who_minds_no_sigterm_is_there_until_the_pipe_ends() {
    let mut keeper = Keeper::start(
        r#"sh -c 'trap "echo asked >>$D/asked" TERM
                  echo $$ >>$D/pids; while true; do sleep 0.01; done' &
           echo $$ >>$D/pids
           while true; do sleep 0.01; done"#,
    );
    let pids = keeper.pids("pids", 2);
    keeper.signal(Signal::TERM);
    // The server minds it, what it leaves behind does not.
    wait_for("it was asked", || keeper.text("asked") == "asked\n");
    assert!(keeper.child.try_wait().unwrap().is_none());
    drop(keeper.pipe());
    keeper.end();
    wait_for("all are gone", || all_gone(&pids));
    assert_eq!(keeper.text("asked"), "asked\n", "once");
}

#[test]
fn when_the_server_ends_by_itself_nothing_of_it_stays() {
    let family = FAMILY.strip_suffix("exec sleep 1000").unwrap();
    let script = format!("{family} while [ ! -e $D/go ]; do sleep 0.01; done; exit 4");
    let mut keeper = Keeper::start(&script);
    let family = keeper.pids("pids", FAMILY_SIZE);
    std::fs::write(keeper.file("go"), "").unwrap();
    assert_eq!(keeper.end().code(), Some(4));
    wait_for("all are gone", || all_gone(&family));
}

#[test]
fn a_second_step_whose_keeper_is_gone_starts_nothing() {
    // This process is its parent, and not the one with the next number.
    let other = (std::process::id() + 1).to_string();
    let status = Command::new(env!("CARGO_BIN_EXE_bstar"))
        .args(["keeper", "--under", &other, "--", "true"])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}
