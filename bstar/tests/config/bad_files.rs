//! Wrong files.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::rig::{Rig, refusal};

/// A good file with lines of the top at line 2, and tables at line 6 and on.
pub(crate) fn good_but(top: &str, tables: &str) -> String {
    format!(
        "role = \"primary\"\n{top}\n[[tcp]]\nlisten = \"127.0.0.1:8080\"\nserver = \"127.0.0.1:8000\"\n{tables}\n"
    )
}

/// Checks all, and tells of all that are not as they should be.
pub(crate) fn check(cases: impl IntoIterator<Item = (String, &'static str)>) {
    let rig = Rig::new();
    rig.write("plain", "no program");
    let mut wrong = Vec::new();
    for (file, line) in cases {
        rig.write("pair.toml", &file);
        let refusal = rig.refusal(&["check-config", "pair.toml"], line);
        wrong.extend(refusal.map(|refusal| format!("{file}{refusal}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_good_file_is_good() {
    let rig = Rig::new();
    rig.write("pair.toml", good_but("", ""));
    let output = rig.run(&["check-config", "pair.toml"]);
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.starts_with("pair.toml: good\n"), "{stdout}");
    for told in [
        "primary",
        "tcp://*:5003",
        "127.0.0.1:8080 to 127.0.0.1:8000",
        "somebody else's",
    ] {
        assert!(stdout.contains(told), "{stdout}");
    }
}

#[test]
fn wrong_keys_at_the_top() {
    let cases = TOP.iter().map(|(top, line)| (good_but(top, ""), *line));
    check(cases);
}

#[test]
fn wrong_files() {
    check(FILES.iter().map(|(file, line)| ((*file).to_owned(), *line)));
}

#[test]
fn files_that_cannot_be_read() {
    let rig = Rig::new();
    rig.write("latin.toml", b"role = \"primary\"\npair = \"caf\xe9\"\n");
    rig.write("long.toml", "#".repeat(1024 * 1024 + 1));
    let cases = [
        (
            "none.toml",
            "none.toml: cannot be read: No such file or directory (os error 2); give the path of a configuration file",
        ),
        (
            ".",
            ".: cannot be read: Is a directory (os error 21); give the path of a configuration file",
        ),
        (
            "latin.toml",
            "latin.toml:2: has bytes that are no UTF-8; save the file in UTF-8",
        ),
        (
            "long.toml",
            "long.toml: is longer than 1048576 bytes; give the path of a configuration file",
        ),
    ];
    for (name, line) in cases {
        assert_eq!(rig.refusal(&["check-config", name], line), None);
    }
}

#[test]
fn a_file_that_may_not_be_read() {
    let rig = Rig::new();
    rig.write("pair.toml", good_but("", ""));
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    mode(&rig.path().join("pair.toml"), 0o000);
    mode(rig.path(), 0o755);
    let mut command = rig.command(&["check-config", "pair.toml"]);
    if File::open(rig.path().join("pair.toml")).is_ok() {
        // Root reads all; another user does not.
        command.uid(65534).gid(65534);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: nobody cannot run the command: {error}"),
    };
    let line = "pair.toml: cannot be read: Permission denied (os error 13); give the path of a configuration file";
    assert_eq!(refusal(&output, line), None);
}

/// Line 2, and what is said of it.
const TOP: &[(&str, &str)] = &[
    (
        "hartbeat_ms = 100",
        "pair.toml:2: hartbeat_ms: no such key; did you mean heartbeat_ms?",
    ),
    (
        "colour = 1",
        "pair.toml:2: colour: no such key; known here are role, pair, heartbeat_ms, timeout_ms, drain_ms, offer_wait_ms, fail_back_ms, serve_alone_ms, state_dir, control, max_memory_mib, vote_when_unhealthy",
    ),
    (
        "fall = 1",
        "pair.toml:2: fall: no such key; it belongs to [[health]]",
    ),
    (
        "heartbeat_ms = \"1 s\"",
        "pair.toml:2: heartbeat_ms: is a string; write for example heartbeat_ms = 1000",
    ),
    (
        "heartbeat_ms = 1.5",
        "pair.toml:2: heartbeat_ms: is a fraction; write for example heartbeat_ms = 1000",
    ),
    (
        "heartbeat_ms = 0",
        "pair.toml:2: heartbeat_ms: a heartbeat of 0 ms is out of range: it goes from 1 ms to 60 s",
    ),
    (
        "heartbeat_ms = -5",
        "pair.toml:2: heartbeat_ms: -5 is negative; write for example heartbeat_ms = 1000",
    ),
    (
        "heartbeat_ms = 60001",
        "pair.toml:2: heartbeat_ms: a heartbeat of 60001 ms is out of range: it goes from 1 ms to 60 s",
    ),
    (
        "heartbeat_ms = 99999999999999999999999999999999999999999999999",
        "pair.toml:2: heartbeat_ms: is a number of too many digits; write for example heartbeat_ms = 1000",
    ),
    (
        "heartbeat_ms = 1000\ntimeout_ms = 1999",
        "pair.toml:3: timeout_ms: a peer timeout of 1.999s is out of range: it goes from two heartbeats (2s) to 600 s",
    ),
    (
        "timeout_ms = 600001",
        "pair.toml:2: timeout_ms: a peer timeout of 600.001s is out of range: it goes from two heartbeats (2s) to 600 s",
    ),
    (
        "drain_ms = 86400001",
        "pair.toml:2: drain_ms: a drain of 86400.001s is out of range: it goes to 24 hours",
    ),
    (
        "offer_wait_ms = 86400001",
        "pair.toml:2: offer_wait_ms: the wait for an answer to an offer of 86400.001s is out of range: it goes to 24 hours",
    ),
    (
        "fail_back_ms = 86400001",
        "pair.toml:2: fail_back_ms: fail-back of 86400.001s is out of range: it goes to 24 hours",
    ),
    (
        "serve_alone_ms = 1000",
        "pair.toml:2: serve_alone_ms: serving alone is for a backup, and this is a primary; take it out",
    ),
    (
        "pair = \"two words\"",
        r#"pair.toml:2: pair: "two words" is no name for a pair: use 1 to 64 of the characters a-z A-Z 0-9 . _ -"#,
    ),
    (
        "pair = \"\"",
        r#"pair.toml:2: pair: is empty; write for example pair = "orders""#,
    ),
    (
        "pair = 5",
        r#"pair.toml:2: pair: is a number; write for example pair = "orders""#,
    ),
    (
        "pair = \"a\"\npair = \"b\"",
        r#"pair.toml:3: no TOML: duplicate key, in the line pair = "b""#,
    ),
    (
        "pair = a",
        "pair.toml:2: no TOML: string values must be quoted, expected literal string, in the line pair = a",
    ),
    (
        "pair = \"a",
        r#"pair.toml:2: no TOML: invalid basic string, expected `"`, in the line pair = "a"#,
    ),
    (
        "max_memory_mib = 63",
        "pair.toml:2: max_memory_mib: 63 is out of range: it goes from 64 to 1000000",
    ),
    (
        "vote_when_unhealthy = \"yes\"",
        "pair.toml:2: vote_when_unhealthy: is a string; write for example vote_when_unhealthy = true",
    ),
    (
        "vote_when_unhealthy = 1979-05-27",
        "pair.toml:2: vote_when_unhealthy: is a date; write for example vote_when_unhealthy = true",
    ),
    (
        "state_dir = \"no/such/place\"",
        "pair.toml:2: state_dir: the directory no/such is not there; make it, or give another path",
    ),
    (
        "state_dir = \"plain\"",
        "pair.toml:2: state_dir: plain is no directory; give one",
    ),
    (
        "control = \"no/such/place.sock\"",
        "pair.toml:2: control: the directory no is not there; make it, or give another path",
    ),
    (
        "control = \".\"",
        "pair.toml:2: control: . is a directory; give the path of a socket in it",
    ),
    (
        "control = \"/tmp/01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123\"",
        r#"pair.toml:2: control: a socket's path of 109 bytes is too long; give one of 107 at most, for example control = "/run/bstar-orders.sock""#,
    ),
    (
        "tcp = 5",
        "pair.toml:3: no TOML: duplicate key, in the line [[tcp]]",
    ),
    (
        "link = \"tcp://127.0.0.1:5004\"",
        "pair.toml:2: link: is no table; write [link]",
    ),
];

/// Whole files.
const FILES: &[(&str, &str)] = &[
    (
        "",
        r#"pair.toml: role: missing; write for example role = "primary""#,
    ),
    (
        "role = \"primary\"",
        r#"pair.toml: tcp: no front end; add [[tcp]] or [[zmq]] with for example listen = "0.0.0.0:8080" and server = "127.0.0.1:8000""#,
    ),
    (
        "role = \"master\"",
        r#"pair.toml:1: role: "master" is not known here; write primary or backup"#,
    ),
    (
        "role = 1",
        r#"pair.toml:1: role: is a number; write for example role = "primary""#,
    ),
    (
        "role = \"backup\"\nfail_back_ms = 1000",
        "pair.toml:2: fail_back_ms: fail-back is for a primary, and this is a backup; take it out",
    ),
    (
        "role = \"primary\"\n[tcp]\nlisten = \":8080\"\nserver = \"127.0.0.1:8000\"",
        "pair.toml:2: tcp: is one table, and there may be several; write [[tcp]]",
    ),
    (
        "role: primary\n",
        "pair.toml:1: no TOML: key with no value, expected `=`, in the line role: primary",
    ),
    (
        "role = \"primary\"\n[server\n",
        "pair.toml:2: no TOML: unclosed table, expected `]`, in the line [server",
    ),
    (
        "role = \"primary\"\n\n\nx = {",
        "pair.toml:4: no TOML: unclosed inline table, expected `}`, in the line x = {",
    ),
];
