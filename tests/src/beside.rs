//! Runs `bstar run` beside a server, from the text of a configuration, and finds and hits what it started.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use crate::{BOUND, Outcome, Process, ensure, free_endpoint, programs};

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// How long a question to a node may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A `bstar run`. Dropping it kills it, and all that it started and that still descends from it.
pub struct Beside {
    // Before the folder, so that nobody writes there any more when that is removed.
    process: Process,
    config: PathBuf,
    _folder: Option<TempDir>,
}

impl Beside {
    /// Starts a node from the text `config`, in a new folder that lasts as long as it does.
    ///
    /// # Errors
    ///
    /// When the folder or the file cannot be written.
    pub fn start(name: &str, config: &str) -> Outcome<Self> {
        let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
        let mut node = Self::start_in(folder.path(), name, config)?;
        node._folder = Some(folder);
        Ok(node)
    }

    /// The same in `folder`, which stays: what a node writes there outlives it. The file is `NAME.toml`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn start_in(folder: &Path, name: &str, config: &str) -> Outcome<Self> {
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, config).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut command = Command::new(programs::program("bstar"));
        command
            .args(["run", "--config"])
            .arg(&file)
            .current_dir(folder);
        Ok(Self {
            process: Process::spawn(name, &mut command),
            config: file,
            _folder: None,
        })
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where its configuration stands.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// How many lines it has said: a later wait looks at what comes after.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.process.stdout().count()
    }

    /// Waits for a line after `mark` that has `text` in it, and answers with it.
    ///
    /// # Errors
    ///
    /// When none comes within the bound.
    pub fn wait_line(&self, mark: usize, text: &str) -> Outcome<String> {
        let lines = self.process.stdout();
        let found = lines.find(mark, BOUND, |line| {
            line.text.contains(text).then(|| line.text.clone())
        });
        found.ok_or_else(|| self.process.describe(&format!("no line with {text:?}")))
    }

    /// The state in its last line that names one.
    #[must_use]
    pub fn state(&self) -> Option<String> {
        let lines = self.process.stdout().all();
        let states = lines.iter().rev();
        let mut states = states.filter_map(|line| line.text.strip_prefix("state="));
        let state = states.next()?.split(' ').next()?;
        Some(state.to_owned())
    }

    /// Waits until its last line that names a state names this one.
    ///
    /// # Errors
    ///
    /// When it does not come to that within the bound.
    pub fn wait_state(&self, state: &str) -> Outcome<()> {
        wait_until(BOUND, || self.state().as_deref() == Some(state))
            .map_err(|why| self.process.describe(&format!("not {state}: {why}")))
    }

    /// Runs a command of `bstar` that asks a node, for example `["status"]`, at the control socket that the
    /// configuration names, and answers with what it says.
    ///
    /// # Errors
    ///
    /// What it complains of when it fails, when it does not end, and when no socket is named.
    pub fn ask(&self, command: &[&str]) -> Outcome<String> {
        let mut asked = Command::new(programs::program("bstar"));
        asked.args(command).arg("--control").arg(self.control()?);
        let asked = Process::spawn(&command.join(" "), &mut asked);
        let status = asked.wait_exit(ANSWER)?;
        ensure(status.success(), || asked.describe("failed"))?;
        Ok(asked.stdout().text())
    }

    /// What `bstar status` says of it.
    ///
    /// # Errors
    ///
    /// As of [`ask`](Self::ask).
    pub fn status(&self) -> Outcome<serde_json::Value> {
        let text = self.ask(&["status", "--json"])?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// Waits until its server is well as it sees that itself, so that it would take the service over.
    ///
    /// # Errors
    ///
    /// When it does not come to that within the bound.
    pub fn wait_ready(&self) -> Outcome<()> {
        let is_ready = || self.status().is_ok_and(|status| status["ready"] == true);
        wait_until(BOUND, is_ready)
            .map_err(|why| self.process.describe(&format!("not ready: {why}")))
    }

    /// The path of the control socket that the configuration names.
    ///
    /// # Errors
    ///
    /// When it names none.
    pub fn control(&self) -> Outcome<String> {
        let text = fs::read_to_string(&self.config).map_err(|error| error.to_string())?;
        let mut named = text
            .lines()
            .filter_map(|line| line.strip_prefix("control = "));
        let named = named.next().map(|path| path.trim_matches('"').to_owned());
        named.ok_or_else(|| format!("{} has no line with control", self.config.display()))
    }

    /// All that it started, and what those started, as far as they still descend from it: the keeper first,
    /// then the server and running hooks.
    #[must_use]
    pub fn family(&self) -> Vec<Relative> {
        descendants(self.process.id())
    }

    /// The first of its family whose program has this name.
    ///
    /// # Errors
    ///
    /// When there is none within the bound.
    pub fn relative(&self, name: &str) -> Outcome<Relative> {
        let mut found = None;
        let looked = wait_until(BOUND, || {
            let named = |relative: &Relative| relative.name == name;
            found = self.family().into_iter().find(named);
            found.is_some()
        });
        let lost = |why| self.process.describe(&format!("no process {name}: {why}"));
        looked.map_err(lost)?;
        found.ok_or_else(|| format!("no process {name}"))
    }

    /// Kills it and its whole family by SIGKILL, as a loss of power would, and waits until all are gone.
    ///
    /// # Errors
    ///
    /// When one is there after the bound.
    pub fn kill_family(&self) -> Outcome<()> {
        kill_family(&self.process)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // A stopped keeper could not do this, and a test that fails in the midst of a fault leaves one.
        let _ = self.kill_family();
    }
}

/// Kills a process and all that it started and that still descends from it, by SIGKILL, and waits until all are gone.
///
/// # Errors
///
/// When one is there after the bound.
pub fn kill_family(process: &Process) -> Outcome<()> {
    let family = descendants(process.id());
    process.signal(Signal::KILL);
    for relative in &family {
        relative.signal(Signal::KILL);
    }
    process.kill()?;
    for relative in &family {
        relative.wait_gone()?;
    }
    Ok(())
}

/// Waits until a script of a page ends, and answers with what it said.
///
/// # Errors
///
/// When it fails, or runs on after `bound`: it is killed then, with all that it started.
pub fn follow(script: &mut Command, bound: Duration) -> Outcome<String> {
    let page = Process::spawn("page", script);
    let ended = page.wait_exit(bound);
    if ended.is_err() {
        // Its nodes and their servers would outlive the test.
        kill_family(&page)?;
    }
    let status = ended.map_err(|why| page.describe(&why))?;
    ensure(status.success(), || page.describe("not as the page says"))?;
    Ok(page.stdout().text())
}

/// A process that a [`Beside`] started, held by a descriptor: what is sent to it never reaches another one.
#[derive(Debug)]
pub struct Relative {
    /// Its process id.
    pub pid: u32,
    /// The name of its program, at most 15 bytes.
    pub name: String,
    /// In ticks since the boot: with the number, this is nobody else's.
    started: u64,
    held: OwnedFd,
}

impl Relative {
    /// Sends a signal; one that has ended is left in peace.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.held, signal);
    }

    /// Whether it has not ended yet.
    #[must_use]
    pub fn is_there(&self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| !stat.is_dead && stat.started == self.started)
    }

    /// Waits until it has ended; that nobody has asked how yet does not matter.
    ///
    /// # Errors
    ///
    /// When it is there after the bound.
    pub fn wait_gone(&self) -> Outcome<()> {
        wait_until(BOUND, || !self.is_there())
            .map_err(|why| format!("{self} is still there: {why}"))
    }
}

impl fmt::Display for Relative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.pid)
    }
}

/// Waits until `holds`.
///
/// # Errors
///
/// When it does not within `bound`.
pub fn wait_until(bound: Duration, mut holds: impl FnMut() -> bool) -> Outcome<()> {
    let end = Instant::now() + bound;
    while !holds() {
        ensure(Instant::now() < end, || format!("waited for {bound:?}"))?;
        thread::sleep(LOOK);
    }
    Ok(())
}

/// An address that no other test uses and at which nobody listens, as `IP:PORT`; handed out once.
///
/// # Panics
///
/// When the ports are used up.
#[must_use]
pub fn free_address() -> SocketAddr {
    let endpoint = free_endpoint();
    let address = endpoint.trim_start_matches("tcp://").parse();
    address.unwrap_or_else(|error| panic!("{endpoint}: {error}"))
}

/// The children of a process, theirs and so on, parents first.
fn descendants(of: u32) -> Vec<Relative> {
    let mut known = vec![of];
    let mut found = Vec::new();
    let all = processes();
    let mut next = 0;
    while let Some(&parent) = known.get(next) {
        next += 1;
        for stat in all.iter().filter(|stat| stat.parent == parent) {
            known.push(stat.pid);
            found.extend(hold(stat));
        }
    }
    found
}

/// Holds a process by a descriptor, unless it has ended since it was looked at.
fn hold(stat: &Stat) -> Option<Relative> {
    let pid = Pid::from_raw(i32::try_from(stat.pid).ok()?)?;
    let held = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // The number may have become another's before it was held.
    let again = Stat::read(stat.pid)?;
    (again.started == stat.started).then_some(Relative {
        pid: stat.pid,
        // A child may have become another program in between.
        name: again.name,
        started: again.started,
        held,
    })
}

/// What the system tells of a process.
struct Stat {
    pid: u32,
    parent: u32,
    name: String,
    started: u64,
    is_dead: bool,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may have any character in it, these included.
        let (before, after) = text.rsplit_once(") ")?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split(' ').collect();
        // The third field of the line is the first one here: state, parent, and the start as the 22nd.
        Some(Self {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            name: name.to_owned(),
            started: fields.get(19)?.parse().ok()?,
            is_dead: matches!(*fields.first()?, "Z" | "X"),
        })
    }
}

fn processes() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter_map(Stat::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_found_and_hit() {
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'sleep 60; true' & wait"]);
        let parent = Process::spawn("parent", &mut command);
        let names = || {
            let family = descendants(parent.id());
            let names = family.into_iter().map(|relative| relative.name);
            names.collect::<Vec<_>>()
        };
        wait_until(BOUND, || names() == ["sh", "sleep"]).expect("both are found, the parent first");
        let family = descendants(parent.id());
        family[1].signal(Signal::KILL);
        for relative in &family {
            relative.wait_gone().expect("the shell follows its child");
            assert!(!relative.is_there());
        }
        assert_eq!(names(), Vec::<String>::new());
    }
}
