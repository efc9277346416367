//! What `bstar run` says at its start.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]
#![cfg(feature = "programs")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// What is logged until all is bound, in a process that may have 2000 descriptors.
fn log_of_start(front: &str) -> String {
    let ports = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [local, remote, listen, server] = ports.map(|port| port.local_addr().unwrap());
    let runtime = tempfile::tempdir().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 2000; exec \"$@\"", "sh"])
        .args([env!("CARGO_BIN_EXE_bstar"), "run", "--primary"])
        .arg(format!("--link-local=tcp://{local}"))
        .arg(format!("--link-remote=tcp://{remote}"))
        .arg(format!("--tcp=listen={listen},server={server}{front}"))
        .env("XDG_RUNTIME_DIR", runtime.path())
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut log = String::new();
    let mut stderr = child.stderr.take().unwrap();
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
