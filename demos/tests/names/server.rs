//! `flnamed`: it follows its file, ends when it is told to, and is impressed by nothing.

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use rustix::process::Signal;

use crate::rig::{ANY, BOUND, Named, ZoneDir, flname, orders, wait_until};

/// What `orders` in `test` stands for, as the server says.
fn looked_up(named: &Named) -> String {
    let ended = flname(&["--server", &named.endpoint, "orders"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout
}

fn errors(named: &Named) -> usize {
    let lines = named.process.stderr().all();
    let errors = lines.iter().filter(|line| line.text.contains("ERROR"));
    errors.count()
}

/// The line in which it complains about its file.
fn complaint(named: &Named, word: &str) -> String {
    let text = |line: &tests::Line| line.text.contains(word).then(|| line.text.clone());
    let found = named.process.stderr().find(0, BOUND, text);
    found.unwrap_or_else(|| panic!("{}", named.process.describe("says nothing")))
}

#[test]
fn a_file_that_is_changed_or_replaced_is_taken() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let named = Named::start(&zone.path(), ANY);
    assert_eq!(looked_up(&named), "tcp://a:1");
    zone.replace(&orders(&["tcp://b:1"], 50));
    wait_until("the zone that was renamed", || {
        looked_up(&named) == "tcp://b:1"
    });
    std::fs::write(zone.path(), orders(&["tcp://c:1"], 50)).unwrap();
    wait_until("the zone that was written", || {
        looked_up(&named) == "tcp://c:1"
    });
}

#[test]
fn a_hangup_has_the_file_looked_at_at_once() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let hour = ["--reload-interval", "3600000"];
    let named = Named::start_with(&zone.path(), ANY, &hour);
    zone.replace(&orders(&["tcp://b:1"], 50));
    assert_eq!(looked_up(&named), "tcp://a:1");
    named.process.signal(Signal::HUP);
    wait_until("the zone", || looked_up(&named) == "tcp://b:1");
}

#[test]
fn a_zone_that_is_wrong_is_complained_of_once_and_the_next_good_one_taken() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let named = Named::start(&zone.path(), ANY);
    zone.replace("[test.orders]\nconnect = ['nonsense']\n");
    let line = complaint(&named, "nonsense");
    for word in ["zone.toml", "orders", "test", "serves on"] {
        assert!(line.contains(word), "{line}");
    }
    // Each look-up gives it time for another look, and there are hangups on top.
    for _ in 0..5 {
        named.process.signal(Signal::HUP);
        assert_eq!(looked_up(&named), "tcp://a:1");
    }
    zone.replace(&orders(&["tcp://b:1"], 50));
    wait_until("the next good zone", || looked_up(&named) == "tcp://b:1");
    assert_eq!(errors(&named), 1, "{}", named.process.describe("complains"));
}

#[test]
fn a_file_that_is_gone_is_complained_of_once() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let named = Named::start(&zone.path(), ANY);
    std::fs::remove_file(zone.path()).unwrap();
    complaint(&named, "cannot be read");
    assert_eq!(looked_up(&named), "tcp://a:1");
    zone.replace(&orders(&["tcp://b:1"], 50));
    wait_until("the file that is back", || looked_up(&named) == "tcp://b:1");
    assert_eq!(errors(&named), 1);
}

#[test]
fn a_server_that_is_told_to_ends_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let zone = ZoneDir::of(&["tcp://a:1"]);
        let named = Named::start(&zone.path(), ANY);
        named.process.signal(signal);
        let status = named.process.wait_exit(BOUND).unwrap();
        assert!(status.success(), "{}", named.process.describe("ended"));
    }
}

/// A client of no library, as anyone may write it.
struct Stranger {
    socket: zmq::Socket,
    server: Vec<u8>,
}

impl Stranger {
    fn new(named: &Named) -> Self {
        let socket = zmq::Context::new().socket(zmq::ROUTER).unwrap();
        socket.set_router_mandatory(true).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_rcvtimeo(20_000).unwrap();
        socket.connect(&named.endpoint).unwrap();
        let server = named.endpoint.clone().into_bytes();
        let stranger = Self { socket, server };
        wait_until("the link", || stranger.send(&[b"PING".to_vec()]).is_ok());
        assert_eq!(stranger.answer(), [b"PONG".to_vec()]);
        stranger
    }

    fn send(&self, frames: &[Vec<u8>]) -> Result<(), zmq::Error> {
        let message = std::iter::once(&self.server).chain(frames);
        self.socket.send_multipart(message, zmq::DONTWAIT)
    }

    fn answer(&self) -> Vec<Vec<u8>> {
        let mut frames = self.socket.recv_multipart(0).unwrap();
        frames.remove(0);
        frames
    }
}

#[test]
fn a_client_of_any_language_can_ask() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let named = Named::start(&zone.path(), ANY);
    let stranger = Stranger::new(&named);
    let question = ["17", "name/1 lookup", "test", "orders"];
    let question = question.map(|frame| frame.as_bytes().to_vec());
    stranger.send(&question).unwrap();
    let mut answer = stranger.answer();
    assert!(answer.remove(3).iter().all(u8::is_ascii_digit), "a serial");
    let expected: [&[u8]; 6] = [
        b"17",
        b"name/1 ok",
        b"50",
        b"1",
        b"tcp://*:6001",
        b"tcp://a:1",
    ];
    assert_eq!(answer, expected);
}

#[test]
fn noise_is_answered_with_an_error_and_stops_nothing() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let named = Named::start(&zone.path(), ANY);
    let stranger = Stranger::new(&named);
    let frames = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..6);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(500)
    });
    let asked = runner.run(&frames, |body| {
        let mut request = vec![b"17".to_vec()];
        request.extend(body);
        let sent = stranger.send(&request);
        prop_assert!(sent.is_ok());
        let answer = stranger.answer();
        let expected: [&[u8]; 2] = [b"17", b"name/1 error"];
        if answer.len() == 3 && answer[..2] == expected {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("{answer:?}")))
    });
    asked.unwrap();
    assert_eq!(looked_up(&named), "tcp://a:1");
    named.process.terminate().unwrap();
}
