//! A node goes on whether or not somebody reads what it says.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]
#![cfg(feature = "programs")]

use std::io::{ErrorKind, PipeReader, PipeWriter, Write, pipe};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// No condition takes this long, unless it never comes.
const BOUND: Duration = Duration::from_secs(20);

struct Node {
    child: Child,
    folder: TempDir,
}

impl Node {
    /// A node beside a server that speaks without end.
    fn start(stdout: PipeWriter, stderr: PipeWriter) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let ports = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [local, remote, listen, server] = ports.map(|port| port.local_addr().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_bstar"))
            .args(["run", "--primary", "--heartbeat-ms", "100"])
            .args(["--link-local", &format!("tcp://{local}")])
            .args(["--link-remote", &format!("tcp://{remote}")])
            .args(["--tcp", &format!("listen={listen},server={server}")])
            .args(["--server-run", "always", "--control"])
            .arg(folder.path().join("control"))
            .args(["--", "sh", "-c", "while echo something; do :; done"])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        Node { child, folder }
    }

    /// The node's own thread has its part in the answer.
    fn answers(&self) -> bool {
        let asked = Command::new(env!("CARGO_BIN_EXE_bstar"))
            .args(["status", "--control"])
            .arg(self.folder.path().join("control"))
            .output();
        asked.unwrap().status.success()
    }

    fn end(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut status = None;
        wait_for("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < end, "this did not come about: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A pipe that takes nothing more until somebody reads.
fn full() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let refused = loop {
        if let Err(error) = writer.write(&[b'.'; 4096]) {
            break error.kind();
        }
    };
    assert_eq!(refused, ErrorKind::WouldBlock);
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

#[test]
fn pipes_that_nobody_reads_hold_up_neither_a_node_nor_its_end() {
    let ((_stdout, out), (_stderr, err)) = (full(), full());
    let mut node = Node::start(out, err);
    for _ in 0..3 {
        wait_for("it answers", || node.answers());
    }
    assert_eq!(node.end().code(), Some(0));
}

#[test]
fn pipes_whose_readers_are_gone_do_no_harm() {
    let ((stdout, out), (stderr, err)) = (pipe().unwrap(), pipe().unwrap());
    drop((stdout, stderr));
    let mut node = Node::start(out, err);
    for _ in 0..3 {
        wait_for("it answers", || node.answers());
    }
    assert_eq!(node.end().code(), Some(0));
}
