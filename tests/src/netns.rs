//! A network of its own, in which links can be cut.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Outcome;

/// Which packets of a state channel are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All to and from the ports.
    Both,
    /// Those that come from the ports: who listens there hears nothing, and whoever listens
    /// elsewhere still hears.
    From,
}

/// A network namespace with a loopback device, removed when dropped.
pub struct Namespace {
    name: String,
    resolver: Option<UdpSocket>,
}

impl Namespace {
    /// Makes a namespace.
    ///
    /// # Errors
    ///
    /// Why this machine cannot: not the superuser, no `ip`, no `nft`, no such kernel.
    pub fn new() -> Outcome<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("bstar-test-{}-{count}", process::id()))
    }

    /// Makes a namespace of this name, in which nobody filters anything yet.
    ///
    /// # Errors
    ///
    /// As [`Namespace::new`], and when there is one of that name.
    pub(crate) fn named(name: String) -> Outcome<Self> {
        let path = namespace_path(&name);
        if path.exists() {
            // Somebody else's: it is neither used nor removed.
            return Err(format!("{} exists", path.display()));
        }
        run("ip", &["netns", "add", &name])?;
        let namespace = Self {
            name,
            resolver: None,
        };
        namespace.run(&["ip", "link", "set", "lo", "up"])?;
        namespace.run(&["nft", "add table inet bstar"])?;
        namespace.run(&[
            "nft",
            "add chain inet bstar input { type filter hook input priority 0 ; }",
        ])?;
        Ok(namespace)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Drops packets of the state channel at `ports`.
    ///
    /// # Errors
    ///
    /// When the rule is not taken.
    pub fn cut(&self, ports: &[u16], cut: Cut) -> Outcome<()> {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        let from = format!("add rule inet bstar input tcp sport {{ {ports} }} drop");
        self.run(&["nft", &from])?;
        if cut == Cut::Both {
            let to = format!("add rule inet bstar input tcp dport {{ {ports} }} drop");
            self.run(&["nft", &to])?;
        }
        Ok(())
    }

    /// Lets all packets pass again.
    ///
    /// # Errors
    ///
    /// When the rules are not removed.
    pub fn heal(&self) -> Outcome<()> {
        self.run(&["nft", "flush chain inet bstar input"])
    }

    /// Puts a resolver in place that takes every question and never answers: whoever is started in
    /// this namespace from now on and asks for a name waits until it gives up.
    ///
    /// # Errors
    ///
    /// When the machine's settings for this namespace cannot be written.
    pub fn silence_resolver(&mut self) -> Outcome<()> {
        let bind = || UdpSocket::bind("127.0.0.1:53").map_err(|error| error.to_string());
        self.resolver = Some(self.within(bind)?);
        // `ip netns exec` shows the files of this folder to what it runs, in place of those in /etc.
        let folder = settings_path(&self.name);
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\n"))
            .map_err(|error| format!("{}: {error}", folder.display()))
    }

    /// Runs `task` on a thread of its own that lives in this namespace.
    ///
    /// Threads that the task starts live there too, and so do a context's sockets.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, or what the task answers with.
    ///
    /// # Panics
    ///
    /// When the task panics.
    pub fn within<T: Send>(&self, task: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(namespace_path(&self.name)).map_err(|e| e.to_string())?;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| format!("{}: {error}", self.name))?;
                task()
            });
            thread.join().expect("the task does not panic")
        })
    }

    /// Runs a command in this namespace and waits for its end.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub(crate) fn run(&self, command: &[&str]) -> Outcome<()> {
        let mut args = vec!["netns", "exec", &self.name];
        args.extend(command);
        run("ip", &args)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What still runs in it was started by the test, which drops it first.
        let _ = run("ip", &["netns", "del", &self.name]);
        if self.resolver.take().is_some() {
            let _ = fs::remove_dir_all(settings_path(&self.name));
        }
    }
}

fn settings_path(name: &str) -> PathBuf {
    PathBuf::from("/etc/netns").join(name)
}

fn namespace_path(name: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(name)
}

/// Runs a program and waits for its end.
///
/// # Errors
///
/// When it fails; with what it said.
pub(crate) fn run(program: &str, args: &[&str]) -> Outcome<()> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", args.join(" "), why.trim()))
}
