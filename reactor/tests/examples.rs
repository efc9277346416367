//! The examples, run as a reader runs them: as processes, seen from outside.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::BOUND;
use reactor::{SocketBuilder, zmq};
use rustix::process::{Pid, Signal, kill_process};

/// An example that runs. It does not outlive the test.
struct Example {
    child: Child,
    lines: Receiver<String>,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        // This test is in `deps`, beside the folder of the examples.
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples");
        path.push(name);
        assert!(
            path.exists(),
            "the example {name} is not built: run `cargo build -p bstar-reactor --examples`, in the profile of this \
             test, or all tests of the package"
        );
        let mut child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(BOUND).unwrap()
    }

    /// What the next line says behind these words.
    fn line_after(&self, words: &str) -> String {
        let line = self.line();
        let rest = line.strip_prefix(words);
        rest.unwrap_or_else(|| panic!("{line:?} does not begin with {words:?}"))
            .to_owned()
    }

    /// As Ctrl-C does.
    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for the end, which is to come and to be a success, and gives the lines that were not read yet.
    fn end(mut self) -> Vec<String> {
        let bound = Instant::now() + BOUND;
        let mut rest = Vec::new();
        // The channel ends with the output, and that with the process.
        while let Ok(line) = self
            .lines
            .recv_timeout(bound.saturating_duration_since(Instant::now()))
        {
            rest.push(line);
        }
        assert!(self.wait_until(bound).success(), "after {rest:?}");
        rest
    }

    fn wait_until(&mut self, bound: Instant) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < bound, "the example does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It has ended, or the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that does not wait for ever.
fn connect(context: &zmq::Context, kind: zmq::SocketType, endpoint: &str) -> zmq::Socket {
    let socket = SocketBuilder::new(kind)
        .linger(Duration::ZERO)
        .connect(endpoint)
        .build(context)
        .unwrap();
    let bound_ms = i32::try_from(BOUND.as_millis()).unwrap();
    socket.set_rcvtimeo(bound_ms).unwrap();
    socket.set_sndtimeo(bound_ms).unwrap();
    socket
}

fn connect_tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.set_write_timeout(Some(BOUND)).unwrap();
    stream
}

fn ask(socket: &zmq::Socket, request: &str) -> String {
    socket.send(request, 0).unwrap();
    socket.recv_string(0).unwrap().unwrap()
}

#[test]
fn the_timer_ticks_three_times() {
    let begin = Instant::now();
    let lines = Example::start("timer", &[]).end();
    assert_eq!(lines, ["tick 1", "tick 2", "tick 3"]);
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[test]
fn the_echo_server_answers_reports_and_ends_on_ctrl_c() {
    let example = Example::start("echo", &["tcp://127.0.0.1:*"]);
    let endpoint = example.line_after("listening on ");
    let context = zmq::Context::new();
    let client = connect(&context, zmq::REQ, &endpoint);
    assert_eq!(ask(&client, "hello"), "hello");
    // More than its share of a turn, and with frames of their own.
    let dealer = connect(&context, zmq::DEALER, &endpoint);
    for number in 0..100 {
        dealer
            .send_multipart(["", &number.to_string(), "body"], 0)
            .unwrap();
    }
    for number in 0..100 {
        let reply = dealer.recv_multipart(0).unwrap();
        assert_eq!(reply, [b"", number.to_string().as_bytes(), b"body"]);
    }
    assert!(example.line().ends_with(" in the last second"));
    example.interrupt();
    assert_eq!(
        example.end().last().map(String::as_str),
        Some("echoed 101, dropped 0")
    );
}

#[test]
fn the_echo_server_says_what_is_wrong_with_its_endpoint() {
    let mut example = Example::start("echo", &["nonsense"]);
    assert!(!example.wait_until(Instant::now() + BOUND).success());
}

#[test]
fn tcp_and_zeromq_share_a_reactor() {
    const BYTES: usize = 64 << 20;
    let example = Example::start("tcp_and_zmq", &["127.0.0.1:0", "tcp://127.0.0.1:*"]);
    let address = example.line_after("echoing on ");
    let endpoint = example.line_after("telling on ");
    let context = zmq::Context::new();
    let counts = connect(&context, zmq::REQ, &endpoint);
    assert_eq!(ask(&counts, ""), "open=0 failed=0 bytes=0");

    let mut small = connect_tcp(&address);
    small.write_all(b"hello").unwrap();
    let mut reply = [0; 5];
    small.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"hello");
    assert_eq!(ask(&counts, ""), "open=1 failed=0 bytes=5");

    // One that sends more than fits in between, and does not read yet, holds up nobody else.
    let sent: Vec<u8> = (0..BYTES).map(|n| (n % 251) as u8).collect();
    let mut large = connect_tcp(&address);
    let mut sender = large.try_clone().unwrap();
    let bytes = sent.clone();
    let sender = thread::spawn(move || {
        sender.write_all(&bytes).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let bound = Instant::now() + BOUND;
    while ask(&counts, "").ends_with("bytes=5") {
        assert!(Instant::now() < bound, "nothing of it was echoed");
    }
    small.write_all(b"again").unwrap();
    small.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"again");
    assert!(!sender.is_finished(), "all of it fitted in between");

    let mut received = Vec::with_capacity(BYTES);
    large.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == sent, "{} bytes came back", received.len());
    assert_eq!(
        ask(&counts, ""),
        format!("open=1 failed=0 bytes={}", BYTES + 10)
    );
    drop(small);
    while ask(&counts, "") != format!("open=0 failed=0 bytes={}", BYTES + 10) {
        assert!(Instant::now() < bound, "a connection that ended stays open");
    }
    example.interrupt();
    assert_eq!(example.end(), [format!("echoed {} bytes", BYTES + 10)]);
}

#[test]
fn sessions_expire_by_the_thousand() {
    let lines = Example::start("sessions", &[]).end();
    assert_eq!(
        lines.last().map(String::as_str),
        Some("25000 of 50000 clients expired, 25000 are left")
    );
}

#[test]
fn workers_answer_and_the_loop_is_measured() {
    let lines = Example::start("workers", &["3"]).end();
    let [.., primes, metrics] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(primes, "17984 primes below 200000, from 200 parts");
    assert!(metrics.starts_with("turns="), "{metrics}");
}
