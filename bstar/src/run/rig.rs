//! What tests of several parts need: a node that runs, and waiting with a bound.

use std::net::TcpListener;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use reactor::Builder;

use crate::core::{Config, Role};
use crate::server::{Handle, Server};

/// Ends a test that hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// A node that does not run for as long steps back, and the machine that tests run on is a busy one.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// A node on a thread of its own, alone: a backup that waits for its primary until it is promoted.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn start() -> Node {
        let links = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [local, remote] = links.map(|l| format!("tcp://{}", l.local_addr().unwrap()));
        Node::between(Role::Backup, local, remote)
    }

    /// The two nodes of a pair, the primary first.
    pub(crate) fn pair() -> [Node; 2] {
        let links = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [one, other] = links.map(|l| format!("tcp://{}", l.local_addr().unwrap()));
        [
            Node::between(Role::Primary, one.clone(), other.clone()),
            Node::between(Role::Backup, other, one),
        ]
    }

    fn between(role: Role, local: String, remote: String) -> Node {
        let (handles, handle) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut reactor = Builder::new().signals(false).build::<()>().unwrap();
            let config = Config::new(role).with_heartbeat(HEARTBEAT).unwrap();
            let server = Server::new(config, local, remote).without_voters();
            handles
                .send(server.attach(reactor.scope()).unwrap())
                .unwrap();
            reactor.run(&mut ()).unwrap();
        });
        Node {
            handle: handle.recv_timeout(BOUND).unwrap(),
            thread: Some(thread),
        }
    }

    pub(crate) fn active() -> Node {
        let node = Node::start();
        node.promote();
        node
    }

    pub(crate) fn promote(&self) {
        self.handle.promote(BOUND).unwrap();
        wait("it serves", || self.handle.may_serve());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            // Its panic would hide the test's own.
            let _ = thread.join();
        }
    }
}

pub(crate) fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "this did not come about: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
