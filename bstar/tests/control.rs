//! The commands for a node that runs, as processes, beside one that answers what it is told to.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where what it needs is not there"
)]
#![cfg(feature = "programs")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;

/// A status as a node tells it.
const STATUS: &str = r#"{"version":"0.1.0","pid":1,"uptime_ms":5000,"pair":"orders","role":"primary","state":"active","state_age_ms":4000,"state_since":"2026-01-02T03:04:05.678Z","epoch":1,"fence":null,"may_serve":true,"maintenance":false,"timeout_ms":2000,"switchover_within_ms":1000,"peer":{"state":"passive","epoch":1,"incarnation":"00f1c2d3e4a5b697","maintenance":false,"age_ms":120,"fresh":true},"links":[{"age_ms":120,"heard":5}],"gate":"open","ready":true,"fault":null,"server":{"run":"none","phase":"stopped","pid":null,"restarts":0,"last_end":null},"health":[],"hooks":[],"front_ends":[],"transitions":[],"counters":{"garbage":0,"strangers":0,"old":0,"late":0,"refused":0,"transitions":1}}"#;

fn bstar(args: &[&str], runtime: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bstar"))
        .args(args)
        .env("XDG_RUNTIME_DIR", runtime)
        .output()
        .unwrap()
}

/// Exit code, what was said, and what was complained of.
fn outcome(args: &[&str], runtime: &Path) -> (i32, String, String) {
    let output = bstar(args, runtime);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Answers each question by the next of these, and hands the questions over.
fn answer(socket: &Path, answers: &'static [&'static str]) -> mpsc::Receiver<String> {
    let listener = UnixListener::bind(socket).unwrap();
    let (asked, questions) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = String::new();
            BufReader::new(&stream).read_line(&mut question).unwrap();
            // Fails when the test has seen enough.
            let _ = asked.send(question);
            writeln!(stream, "{answer}").unwrap();
        }
    });
    questions
}

#[test]
fn a_status_is_a_page_or_json_of_the_only_node_here() {
    let runtime = tempfile::tempdir().unwrap();
    let socket = runtime.path().join("bstar-orders-primary.sock");
    let questions = answer(&socket, &[STATUS, STATUS]);
    let (code, page, errors) = outcome(&["status"], runtime.path());
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(
        page.starts_with("orders primary is active, epoch 1\n"),
        "{page}"
    );
    assert!(page.contains("passive, heard 120 ms ago"), "{page}");
    let (code, json, _) = outcome(&["status", "--json", "--pair", "orders"], runtime.path());
    assert_eq!((code, json.trim_end()), (0, STATUS));
    for question in questions {
        assert_eq!(question, "{\"command\":\"status\"}\n");
    }
}

#[test]
fn a_switchover_tells_how_it_ended() {
    let runtime = tempfile::tempdir().unwrap();
    let socket = runtime.path().join("node.sock");
    let answers = &[
        STATUS,
        r#"{"done":"handed over"}"#,
        STATUS,
        r#"{"error":"vetoed"}"#,
    ];
    let questions = answer(&socket, answers);
    let args = ["switchover", "--control", socket.to_str().unwrap()];
    let done = outcome(&args, runtime.path());
    assert_eq!(done, (0, "handed over\n".to_owned(), String::new()));
    let refused = outcome(&args, runtime.path());
    assert_eq!(refused, (1, String::new(), "error: vetoed\n".to_owned()));
    let asked: Vec<String> = questions.iter().collect();
    assert_eq!(asked[1], "{\"command\":\"switchover\"}\n");
}

#[test]
fn maintenance_and_promotion_say_what_they_ask_for() {
    let runtime = tempfile::tempdir().unwrap();
    let socket = runtime.path().join("bstar-orders-backup.sock");
    let questions = answer(&socket, &[r#"{"done":"so it is"}"#; 3]);
    for args in [
        &["maintenance", "on"][..],
        &["maintenance", "off"],
        &["promote", "--force"],
    ] {
        let told = outcome(args, runtime.path());
        assert_eq!(told, (0, "so it is\n".to_owned(), String::new()));
    }
    let asked: Vec<String> = questions.iter().collect();
    assert_eq!(asked[0], "{\"command\":\"maintenance\",\"on\":true}\n");
    assert_eq!(asked[1], "{\"command\":\"maintenance\",\"on\":false}\n");
    assert_eq!(asked[2], "{\"command\":\"promote\",\"force\":true}\n");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let runtime = tempfile::tempdir().unwrap();
    let at = |name: &str| runtime.path().join(name).to_str().unwrap().to_owned();
    for name in ["bstar-orders-primary.sock", "bstar-orders-backup.sock"] {
        drop(UnixListener::bind(at(name)).unwrap());
    }
    std::fs::write(at("file"), "").unwrap();
    let _talks = answer(Path::new(&at("other")), &["hello"]);
    let [none, file, other] = [at("none"), at("file"), at("other")];
    let cases: [(i32, &[&str], &str); 9] = [
        (1, &["status"], "several nodes run here"),
        (
            1,
            &["status", "--pair", "orders"],
            "bstar-orders-backup.sock, ",
        ),
        (
            1,
            &["status", "--pair", "orders", "--role", "backup"],
            "nobody listens at ",
        ),
        (
            1,
            &["status", "--pair", "x"],
            "no bstar runs here: no socket of the pair x in ",
        ),
        (1, &["status", "--control", &none], "none is not there"),
        (1, &["status", "--control", &file], "file is no socket"),
        (
            1,
            &["status", "--control", &other],
            "answers what is no answer",
        ),
        (2, &["promote"], "add --force"),
        (2, &["maintenance", "maybe"], "possible values: on, off"),
    ];
    for (code, args, expected) in cases {
        let (left, said, complained) = outcome(args, runtime.path());
        assert_eq!((left, said.as_str()), (code, ""), "{args:?}: {complained}");
        assert!(complained.contains(expected), "{args:?}: {complained}");
        assert_eq!(complained.lines().count(), 1, "{complained}");
    }
}
