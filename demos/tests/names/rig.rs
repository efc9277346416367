//! Zone files, name servers as processes, and echo servers whose names they serve.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use freelance::server::Replier;
use freelance::{Model, Server};
use reactor::Waker;
use tests::Process;

/// Far above what anything here takes; a test that waits so long has failed.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// A free port of this machine.
pub(crate) const ANY: &str = "tcp://127.0.0.1:*";
/// A body at which an echo server keeps the request until it gets [`RELEASE`].
pub(crate) const HOLD: &str = "hold";
/// A body at which it answers those.
pub(crate) const RELEASE: &str = "release";

/// Waits until the condition is met.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < BOUND, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A directory with a zone file in it.
pub(crate) struct ZoneDir {
    directory: tempfile::TempDir,
}

impl ZoneDir {
    pub(crate) fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let zone = Self { directory };
        fs::write(zone.path(), text).unwrap();
        zone
    }

    /// The zone of one name, `orders` in `test`, that may be kept for 50 ms.
    pub(crate) fn of(endpoints: &[&str]) -> Self {
        Self::new(&orders(endpoints, 50))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("zone.toml")
    }

    /// A place for a socket, at which a server may be started again and again.
    pub(crate) fn socket(&self, name: &str) -> String {
        format!("ipc://{}", self.directory.path().join(name).display())
    }

    /// Puts another file in its place, as careful writers do.
    pub(crate) fn replace(&self, text: &str) {
        let new = self.directory.path().join("zone.new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, self.path()).unwrap();
    }
}

pub(crate) fn orders(connect: &[&str], ttl_ms: u64) -> String {
    format!("[test.orders]\nbind = ['tcp://*:6001']\nconnect = {connect:?}\nttl_ms = {ttl_ms}\n")
}

/// A name server that runs.
pub(crate) struct Named {
    pub(crate) process: Process,
    pub(crate) endpoint: String,
}

impl Named {
    /// One that looks at its file each 10 ms.
    pub(crate) fn start(zone: &Path, endpoint: &str) -> Self {
        Self::start_with(zone, endpoint, &["--reload-interval", "10"])
    }

    pub(crate) fn start_with(zone: &Path, endpoint: &str, args: &[&str]) -> Self {
        let process = spawn_named(zone, endpoint, args);
        let ready = process.stdout().find(0, BOUND, |line| {
            line.text.strip_prefix("ready ").map(str::to_owned)
        });
        let endpoint = ready.unwrap_or_else(|| panic!("{}", process.describe("is not ready")));
        Self { process, endpoint }
    }
}

pub(crate) fn spawn_named(zone: &Path, endpoint: &str, args: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flnamed"));
    command.arg(zone).arg(endpoint).args(args);
    Process::spawn("flnamed", command.env_remove("RUST_LOG"))
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a look-up to its end.
pub(crate) fn flname(args: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flname"));
    command.args(args).env_remove("RUST_LOG");
    end_of(&Process::spawn("flname", &mut command))
}

pub(crate) fn end_of(process: &Process) -> Ended {
    let status = process.wait_exit(BOUND).unwrap();
    Ended {
        code: status.code(),
        stdout: process.stdout().text(),
        stderr: process.stderr().text(),
    }
}

/// A server of model 3 that answers with its own address, and counts.
pub(crate) struct Echo {
    pub(crate) endpoint: String,
    served: Arc<AtomicU64>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start() -> Self {
        let (report, started) = mpsc::sync_channel(1);
        let served = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&served);
        let thread = std::thread::spawn(move || {
            let mut reactor = reactor::Builder::new().signals(false).build().unwrap();
            let held: Rc<RefCell<Vec<Replier>>> = Rc::default();
            let me: Rc<RefCell<String>> = Rc::default();
            let name = Rc::clone(&me);
            let server = Server::new(Model::Three, ANY)
                .attach(reactor.scope(), move |(): &mut (), scope, request| {
                    count.fetch_add(1, Ordering::Relaxed);
                    let me = me.borrow().clone();
                    match &*request.frames()[0] {
                        body if body == HOLD.as_bytes() => {
                            held.borrow_mut().push(request.later());
                            return Ok(());
                        }
                        body if body == RELEASE.as_bytes() => {
                            for replier in held.borrow_mut().drain(..) {
                                replier.reply(scope, [me.as_str()])?;
                            }
                        }
                        _ => {}
                    }
                    Ok(request.reply(scope, [me.as_str()])?)
                })
                .unwrap();
            *name.borrow_mut() = server.endpoint();
            report
                .send((server.endpoint(), reactor.handle().waker()))
                .unwrap();
            reactor.run(&mut ()).unwrap();
        });
        let (endpoint, waker) = started.recv().unwrap();
        Self {
            endpoint,
            served,
            waker,
            thread: Some(thread),
        }
    }

    /// Requests that came so far.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.waker.stop();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
