//! What `bstar run` says at its start, and a status of it later.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]
#![cfg(feature = "programs")]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Ends a test that hangs.
const BOUND: Duration = Duration::from_secs(20);

/// What is logged until all is bound, in a process that may have 2000 descriptors.
fn log_of_start(front: &str) -> String {
    let ports = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [local, remote, listen, server] = ports.map(|port| port.local_addr().unwrap());
    let runtime = tempfile::tempdir().unwrap();
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 2000; exec \"$@\"", "sh"])
        .args([env!("CARGO_BIN_EXE_bstar"), "run", "--primary"])
        .arg(format!("--link-local=tcp://{local}"))
        .arg(format!("--link-remote=tcp://{remote}"))
        .arg(format!("--tcp=listen={listen},server={server}{front}"))
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut node = Node(child.unwrap());
    let stdout = node.0.stdout.take().unwrap();
    let mut stderr = node.0.stderr.take().unwrap();
    let (said, first) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        // Nobody waits any more if it came too late.
        let _ = said.send(line);
    });
    let line = first.recv_timeout(BOUND).unwrap_or_default();
    drop(node);
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    assert!(line.starts_with("state=primary "), "{line}{log}");
    log
}

#[test]
fn a_default_that_descriptors_do_not_suffice_for_is_no_warning() {
    let log = log_of_start("");
    assert!(log.contains("clients at once"), "{log}");
    assert!(log.contains("clients=[750]"), "{log}");
    assert!(!log.contains("max_connections"), "{log}");
}

#[test]
fn a_number_of_clients_that_was_given_and_is_too_large_is_one() {
    let log = log_of_start(",max_connections=2000");
    assert!(log.contains(" WARN "), "{log}");
    assert!(log.contains("max_connections is more"), "{log}");
}

/// One that is killed at the end of a test.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // It may have been before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(role: &str, [local, remote, listen]: [SocketAddr; 3], runtime: &Path) -> Node {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bstar"));
    command
        .args(["run", "--heartbeat-ms=50", "--health=command=true", role])
        .arg(format!("--link-local=tcp://{local}"))
        .arg(format!("--link-remote=tcp://{remote}"))
        .arg(format!("--tcp=listen={listen},server={remote}"))
        .env("XDG_RUNTIME_DIR", runtime)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Node(command.spawn().unwrap())
}

/// Waits until the status of the primary has this in it.
fn wait_for(text: &str, runtime: &Path) {
    let end = Instant::now() + BOUND;
    loop {
        let output = Command::new(env!("CARGO_BIN_EXE_bstar"))
            .args(["status", "--json", "--role=primary"])
            .env("XDG_RUNTIME_DIR", runtime)
            .output()
            .unwrap();
        let status = String::from_utf8_lossy(&output.stdout);
        if status.contains(text) {
            return;
        }
        assert!(Instant::now() < end, "no {text} in {status}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_peer_that_is_heard_again_is_no_fault_any_more() {
    let ports = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [one, two, first, second] = ports.map(|port| port.local_addr().unwrap());
    let runtime = tempfile::tempdir().unwrap();
    let _primary = start("--primary", [one, two, first], runtime.path());
    let backup = start("--backup", [two, one, second], runtime.path());
    wait_for("\"fresh\":true", runtime.path());
    drop(backup);
    wait_for("\"what\":\"peer-silent\"", runtime.path());
    let _backup = start("--backup", [two, one, second], runtime.path());
    wait_for("\"fault\":null", runtime.path());
}
