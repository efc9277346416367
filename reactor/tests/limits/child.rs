//! Tests that need a process of their own, and what they measure there.

use std::fs::File;
use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use reactor::Backend;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use crate::common::BOUND;

pub(crate) const BACKENDS: [Backend; 2] = [Backend::Mio, Backend::Polling];

/// Set in a process that was started for one test.
const ALONE: &str = "REACTOR_TEST_ALONE";

/// Whether this process was started for the one test that asks. Where somebody runs the ignored tests by themselves,
/// they leave the others' process as it is.
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Runs an ignored test of this program in a process of its own, and fails where that does.
pub(crate) fn run_alone(name: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", name, "--nocapture"])
        .env(ALONE, "yes")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let (done, ended) = mpsc::channel();
    let waiter = std::thread::spawn(move || done.send(child.wait_with_output().unwrap()));
    let output = ended.recv_timeout(3 * BOUND).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("{name} does not end");
    });
    waiter.join().unwrap().unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{name}: {}\n{said}\n{complained}",
        output.status
    );
}

/// How many descriptors the process has open; nothing where the system does not say.
pub(crate) fn open_descriptors() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

/// Waits until so many descriptors are open: libzmq closes on a thread of its own.
pub(crate) fn expect_descriptors(expected: Option<usize>) {
    let end = Instant::now() + BOUND;
    while open_descriptors() != expected {
        assert!(
            Instant::now() < end,
            "{:?} descriptors are open, not {expected:?}",
            open_descriptors()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Holds every descriptor that the process may have, but for some. Lets go of them all at its end.
pub(crate) struct Scarcity(Vec<File>);

impl Scarcity {
    /// Lowers the limit of this process and takes up all below it, but for `free`.
    pub(crate) fn leaving(free: usize) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let lowered = Rlimit {
            current: Some(100),
            ..limit
        };
        setrlimit(Resource::Nofile, lowered).unwrap();
        let mut held = Vec::new();
        let error = loop {
            match File::open("/dev/null") {
                Ok(file) => held.push(file),
                Err(error) => break error,
            }
        };
        assert!(is_at_limit(&error), "{error}");
        held.truncate(held.len().checked_sub(free).unwrap());
        Self(held)
    }

    /// Lets go of some more.
    pub(crate) fn free(&mut self, descriptors: usize) {
        self.0
            .truncate(self.0.len().checked_sub(descriptors).unwrap());
    }
}

/// Whether it is what a process is told that may not open any more.
pub(crate) fn is_at_limit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}
