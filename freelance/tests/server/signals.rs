//! SIGTERM drains. It reaches a whole process, so that the server has one of its own: this same test, told so.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use freelance::server::{Config, drain_on_signals};
use freelance::{Model, Server};
use reactor::Interest;
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{ANY, BOUND, Rig, control, echo, frames, keep};

/// Set in the process of the server.
const IS_SERVER: &str = "FREELANCE_TEST_IS_SERVER";

/// Another process with a server that keeps its requests, and one that echoes.
struct Program {
    child: Child,
    endpoint: String,
    /// Kept open, since the harness there has more to say.
    _output: BufReader<ChildStdout>,
}

impl Program {
    /// Runs the test of this name once more, which serves there.
    fn start(test: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(IS_SERVER, "yes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let endpoint = output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("endpoint=")?.1.to_owned()))
            .expect("the server tells its endpoint");
        Self {
            child,
            endpoint,
            _output: output,
        }
    }

    fn client(&self, context: &zmq::Context) -> zmq::Socket {
        let client = context.socket(zmq::DEALER).unwrap();
        client.set_linger(0).unwrap();
        client.set_rcvtimeo(BOUND.as_millis() as i32).unwrap();
        client.connect(&self.endpoint).unwrap();
        client
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it ended as a program does that was asked to.
    fn ends(mut self) -> bool {
        let pid = Pid::from_child(&self.child);
        // To wait for it would close its input, and that says something to it.
        let _input = self.child.stdin.take();
        let (done, ended) = mpsc::channel();
        let waiter = std::thread::spawn(move || done.send(self.child.wait().unwrap().success()));
        let success = ended.recv_timeout(BOUND).unwrap_or_else(|_| {
            kill_process(pid, Signal::KILL).unwrap();
            panic!("the server does not end");
        });
        waiter.join().unwrap().unwrap();
        success
    }
}

/// Serves until it has drained, if this is the process for that. What it keeps it answers when its input ends.
fn serve() -> bool {
    if std::env::var_os(IS_SERVER).is_none() {
        return false;
    }
    let mut rig = Rig::new();
    let mut config = Config::new();
    config.drain = Duration::from_secs(3600);
    let builder = Server::new(Model::Three, ANY).config(config);
    let keeper = rig.attach(builder, keep).unwrap();
    let other = rig.attach(Server::new(Model::One, ANY), echo).unwrap();
    drain_on_signals(rig.reactor.scope(), [keeper.clone(), other]).unwrap();
    let (input, mut end) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        end.write_all(b"x").unwrap();
    });
    let registered = rig.reactor.scope().add_fd(
        "input",
        input,
        Interest::READ,
        |app: &mut crate::rig::App, scope, key, _| {
            scope.remove_fd(key);
            for replier in app.kept.drain(..) {
                replier.reply(scope, ["done"])?;
            }
            Ok(())
        },
    );
    registered.unwrap();
    println!("endpoint={}", keeper.endpoint());
    rig.reactor.run(&mut rig.app).unwrap();
    true
}

/// Has one request under way.
fn ask(client: &zmq::Socket) {
    client
        .send_multipart([&control(1, 1)[..], "first"], 0)
        .unwrap();
    // It comes behind the request.
    client.send_multipart(["PING"], 0).unwrap();
    assert_eq!(client.recv_multipart(0).unwrap(), frames(&["PONG"]));
}

/// Asks until the server says that it drains.
fn wait_for_drain(client: &zmq::Socket) {
    for sequence in 100.. {
        let control = control(sequence, 1);
        client.send_multipart([&control, "new"], 0).unwrap();
        client.send_multipart(["PING"], 0).unwrap();
        // Whatever it takes it keeps: what comes is the refusal, or else the PONG.
        let answer = client.recv_multipart(0).unwrap();
        if answer == frames(&[&control, "fl-no draining"]) {
            assert_eq!(client.recv_multipart(0).unwrap(), frames(&["PONG"]));
            return;
        }
        assert_eq!(answer, frames(&["PONG"]));
    }
}

#[test]
fn sigterm_drains_and_then_ends_the_program() {
    if serve() {
        return;
    }
    for signal in [Signal::TERM, Signal::INT] {
        let test = "signals::sigterm_drains_and_then_ends_the_program";
        let mut server = Program::start(test);
        let context = zmq::Context::new();
        let (first, other) = (server.client(&context), server.client(&context));
        ask(&first);
        server.signal(signal);
        wait_for_drain(&other);
        drop(server.child.stdin.take());
        let answer = first.recv_multipart(0).unwrap();
        assert_eq!(answer, frames(&[&control(1, 1), "done"]));
        assert!(server.ends());
    }
}

#[test]
fn sigterm_ends_a_program_at_once_that_has_nothing_under_way() {
    if serve() {
        return;
    }
    let test = "signals::sigterm_ends_a_program_at_once_that_has_nothing_under_way";
    let server = Program::start(test);
    server.signal(Signal::TERM);
    assert!(server.ends());
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    if serve() {
        return;
    }
    let server = Program::start("signals::a_second_signal_ends_the_program_at_once");
    let context = zmq::Context::new();
    let client = server.client(&context);
    ask(&client);
    server.signal(Signal::TERM);
    wait_for_drain(&client);
    server.signal(Signal::TERM);
    assert!(server.ends());
}
