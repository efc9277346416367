//! All that descends from this process, whatever groups and sessions it has gone to.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// Who has more is not followed further: its group is killed all the same.
const MOST: usize = 10_000;

/// Sends a signal to every descendant, parents before children. What has no parent any more is found as well, if
/// this process is its reaper.
///
/// Needs the lists in `/proc` that the kernel has with `CONFIG_PROC_CHILDREN`; where they are not, nobody is found.
pub(super) fn signal_all(signal: Signal) {
    let mut found = children(getpid());
    let mut next = 0;
    while let Some(&(parent, pid)) = found.get(next) {
        next += 1;
        // Its children are read first: of one that has ended there are none.
        let more = children(pid);
        found.extend(more.into_iter().take(MOST.saturating_sub(found.len())));
        send(parent, pid, signal);
    }
}

/// Sends it to the one that is meant: the number may have become another's since it was read.
fn send(parent: Pid, pid: Pid, signal: Signal) {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    let still = parent_of(pid);
    // An orphan's parent is this process now.
    if still == Some(parent) || still == Some(getpid()) {
        // It fails only when it has ended.
        let _ = pidfd_send_signal(process, signal);
    }
}

/// The children of all threads of a process, with that process.
fn children(of: Pid) -> Vec<(Pid, Pid)> {
    let threads = fs::read_dir(PathBuf::from(format!("/proc/{}/task", of.as_raw_nonzero())));
    let lists = threads
        .into_iter()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    let mut found = Vec::new();
    for list in lists {
        let pids = list.split_ascii_whitespace();
        let pids = pids.filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        found.extend(pids.map(|pid| (of, pid)));
    }
    found
}

fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name, in brackets, may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_ascii_whitespace().nth(1)?.parse().ok()?)
}
