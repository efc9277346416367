//! Nodes that run on threads of their own.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bstar::core::State;
use bstar::{Config, Handle, Role, Server};
use reactor::{Builder, Missed};

pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);
/// Ends a test that hangs.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) type Node = Server<Log>;

/// What a node's callbacks saw.
pub(crate) struct Log(Sender<String>);

impl Log {
    pub(crate) fn note(&self, what: impl Into<String>) {
        // Fails when the test has seen enough.
        let _ = self.0.send(what.into());
    }
}

/// The endpoints of a pair's state links.
pub(crate) struct Links(pub(crate) [String; 2]);

impl Links {
    pub(crate) fn free() -> Links {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        Links(listeners.map(|l| format!("tcp://{}", l.local_addr().unwrap())))
    }

    pub(crate) fn server(&self, role: Role) -> Node {
        self.server_with(Config::new(role).with_heartbeat(HEARTBEAT).unwrap())
    }

    pub(crate) fn server_with(&self, config: Config) -> Node {
        let [primary, backup] = &self.0;
        match config.role() {
            Role::Primary => Server::new(config, primary, backup),
            Role::Backup => Server::new(config, backup, primary),
        }
        .on_active(|log: &mut Log, _, _| {
            log.note("on_active");
            Ok(())
        })
        .on_passive(|log, _, _| {
            log.note("on_passive");
            Ok(())
        })
    }
}

/// A node that runs on a thread of its own.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    log: Receiver<String>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Running {
    pub(crate) fn start(build: impl FnOnce() -> Node + Send + 'static) -> Running {
        let (handles, handle) = channel();
        let (notes, log) = channel();
        let thread = thread::spawn(move || {
            let mut reactor = Builder::new().signals(false).build().unwrap();
            let handle = build().attach(reactor.scope()).unwrap();
            reactor
                .scope()
                .add_interval("own", HEARTBEAT, Missed::Skip, |log: &mut Log, _, _| {
                    log.note("tick");
                    Ok(())
                })
                .unwrap();
            handles.send(handle).unwrap();
            reactor
                .run(&mut Log(notes))
                .map_err(|error| error.to_string())
        });
        let handle = handle.recv_timeout(BOUND).unwrap();
        Running {
            handle,
            log,
            thread: Some(thread),
        }
    }

    pub(crate) fn wait_for(&self, state: State) {
        wait(&format!("{state:?}"), || {
            self.handle.status(BOUND).unwrap().state == state
        });
    }

    pub(crate) fn wait_to_hear(&self, note: &str) {
        wait(note, || self.log.recv_timeout(BOUND).unwrap() == note);
    }

    /// What its callbacks have noted, and was not waited for.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    pub(crate) fn join(mut self) -> Result<(), String> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            // Its result was not asked for.
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

pub(crate) fn pair_without_sockets() -> (Running, Running) {
    pair_with(|server| server, |server| server)
}

/// A pair whose primary is active and whose backup is passive, with what is set beyond that.
pub(crate) fn pair_with(
    primary: impl FnOnce(Node) -> Node + Send + 'static,
    backup: impl FnOnce(Node) -> Node + Send + 'static,
) -> (Running, Running) {
    let links = Links::free();
    let other = Links(links.0.clone());
    let primary = Running::start(move || primary(links.server(Role::Primary).without_voters()));
    let backup = Running::start(move || backup(other.server(Role::Backup).without_voters()));
    primary.wait_for(State::Active);
    backup.wait_for(State::Passive);
    (primary, backup)
}
