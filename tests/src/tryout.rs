//! The try-outs of the pages in `docs/`, with the files of `examples/` as they are: only the folder, the
//! addresses and the ports are others, so that several test processes can run side by side.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::beside::Beside;
use crate::netns::run;
use crate::{Outcome, address, ensure, free_endpoint, port, programs, python};

/// What the pages call the folder.
const FOLDER: &str = "/tmp/pair";
/// How their configurations give the heartbeat, each in one of these ways.
const HEARTBEATS: [&str; 2] = [
    "heartbeat_ms = 1000\ntimeout_ms = 2000\n",
    "heartbeat_ms = 500\n",
];

/// A file system in memory, on most machines, and how much room it must have.
const MEMORY: &str = "/dev/shm";
const MEMORY_NEEDED: u64 = 2 << 30;

/// There is one at a time in a process: all have its two addresses, and what one measures is not to be disturbed by
/// another one.
static ONE: Mutex<()> = Mutex::new(());

/// A copy of one of the folders in `examples/`, made for this machine.
pub struct TryOut {
    folder: TempDir,
    changes: Vec<(String, String)>,
    // Last: the next one begins when nothing of this one is left.
    _one: MutexGuard<'static, ()>,
}

impl TryOut {
    /// Copies `examples/NAME`, with other numbers for `ports`, and this heartbeat, by which the peer timeout is two of
    /// them. Waits until there is no other one in this process.
    ///
    /// # Errors
    ///
    /// When files cannot be read or written, or have nothing that is to be another.
    pub fn new(name: &str, ports: &[u16], heartbeat: Duration) -> Outcome<Self> {
        // A test that failed has said so itself.
        let one_at_a_time = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = room().map_err(|error| format!("no folder: {error}"))?;
        // Servers may run as a user of their own.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .map_err(|error| error.to_string())?;
        let times = format!("heartbeat_ms = {}\n", heartbeat.as_millis());
        let mut changes = vec![
            (FOLDER.to_owned(), folder.path().display().to_string()),
            ("127.0.0.1".to_owned(), address().to_string()),
            ("127.0.0.2".to_owned(), second_address().to_string()),
        ];
        // Servers in Python run by the interpreter that has what they need.
        if let Ok(python) = python::interpreter("zmq") {
            let named = format!("\"{}\"", python.display());
            changes.push(("\"python3\"".to_owned(), named));
        }
        let heartbeats = HEARTBEATS.map(|given| (given.to_owned(), times.clone()));
        changes.extend(heartbeats);
        let numbers = ports.iter().map(|port| (port.to_string(), free_port()));
        changes.extend(numbers);
        let made = Self {
            folder,
            changes,
            _one: one_at_a_time,
        };
        let from = repository().join("examples").join(name);
        let text = made.copy(&from, &made.path().join(name))?;
        for port in ports {
            ensure(text.contains(&port.to_string()), || {
                format!("the examples of {name} have no port {port}")
            })?;
        }
        // Otherwise a test would run, and measure, with one that nobody asked for.
        let is_given = |given: &&str| text.contains(*given);
        ensure(HEARTBEATS.iter().any(is_given), || {
            format!("the examples of {name} have no heartbeat that is known")
        })?;
        Ok(made)
    }

    /// Puts `new` in the place of `old` in one of the copied files, for example `redis/pair.sh`.
    ///
    /// # Errors
    ///
    /// When there is no such file, or `old` is not in it.
    pub fn edit(&self, file: &str, old: &str, new: &str) -> Outcome<()> {
        let path = self.path().join(file);
        let text = read(&path)?;
        ensure(text.contains(old), || format!("{file} has no {old:?}"))?;
        fs::write(&path, text.replace(old, new)).map_err(|error| format!("{file}: {error}"))
    }

    /// The folder that the pages call `/tmp/pair`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a folder in it that is another user's.
    ///
    /// # Errors
    ///
    /// When that is not allowed.
    pub fn folder_of(&self, user: &str, name: &str) -> Outcome<()> {
        let path = self.path().join(name).display().to_string();
        run("install", &["-d", "-o", user, &path])
    }

    /// `text` with the folder, the addresses and the ports of this try-out.
    #[must_use]
    pub fn adapt(&self, text: &str) -> String {
        // In one pass: what was put in may look like what is yet to be replaced.
        let mut adapted = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let found = self.changes.iter().find(|(old, _)| rest.starts_with(old));
            if let Some((old, new)) = found {
                adapted.push_str(new);
                rest = &rest[old.len()..];
            } else {
                adapted.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        adapted
    }

    /// Starts the node of a configuration, for example `http/nginx-one.toml`.
    ///
    /// # Errors
    ///
    /// When there is no such file.
    pub fn start(&self, config: &str) -> Outcome<Beside> {
        self.start_with(config, "")
    }

    /// Starts the node of a configuration with `more` at its end.
    ///
    /// # Errors
    ///
    /// When there is no such file.
    pub fn start_with(&self, config: &str, more: &str) -> Outcome<Beside> {
        let path = self.path().join(config);
        let text = read(&path)? + more;
        let name = config.trim_end_matches(".toml").replace('/', "-");
        Beside::start_in(self.path(), &name, &text)
    }

    /// All that stands in the blocks ```` ```sh ```` of `docs/PAGE` below the heading, as a script for bash.
    /// It runs in the folder of the try-out, beside a link to `examples`, and ends what it started.
    ///
    /// # Errors
    ///
    /// When there is no such page, or no such heading.
    pub fn script(&self, page: &str, heading: &str) -> Outcome<Command> {
        let page = self.adapt(&commands(page, heading)?);
        // The files are copied already, with the numbers of this try-out.
        let before = "set -eux\ntrap 'kill $(jobs -p); wait' EXIT\n\
             cp() { :; }\n\
             python3() { timeout 5 \"$PYTHON\" \"$@\" || [ $? = 124 ]; }\n";
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("{before}{page}")])
            .env("PATH", programs::search_path("bstar"))
            .current_dir(self.path());
        Ok(command)
    }

    /// Copies the files of a folder, adapted, and answers with their text as it was.
    fn copy(&self, from: &Path, to: &Path) -> Outcome<String> {
        let mut all = String::new();
        let failed = |error: std::io::Error| format!("{}: {error}", from.display());
        fs::create_dir_all(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let made = to.join(entry.file_name());
            let text = read(&entry.path())?;
            fs::write(&made, self.adapt(&text)).map_err(failed)?;
            let mode = entry.metadata().map_err(failed)?.permissions();
            fs::set_permissions(&made, mode).map_err(failed)?;
            all += &text;
        }
        Ok(all)
    }
}

/// All that stands in the blocks ```` ```sh ```` of `docs/PAGE` below the heading.
///
/// # Errors
///
/// When there is no such page, or no such heading.
pub fn commands(page: &str, heading: &str) -> Outcome<String> {
    let text = read(&repository().join("docs").join(page))?;
    let section = text.split("\n## ").find(|part| part.starts_with(heading));
    let section = section.ok_or_else(|| format!("{page} has no heading {heading:?}"))?;
    let blocks = section.split("```sh\n").skip(1);
    Ok(blocks
        .filter_map(|block| block.split("```").next())
        .collect())
}

/// A second loopback address of this test process, as [`address`] is the first.
#[must_use]
pub fn second_address() -> Ipv4Addr {
    let [first, second, third, fourth] = address().octets();
    Ipv4Addr::new(first, second + 64, third, fourth)
}

/// A folder in memory where that is large and lets programs run: a database waits for the disk at every turn,
/// and what that costs on a busy machine is no part of a test.
fn room() -> std::io::Result<TempDir> {
    let is_large = statvfs(MEMORY).is_ok_and(|room| room.f_bavail * room.f_frsize >= MEMORY_NEEDED);
    if is_large {
        let folder = tempfile::tempdir_in(MEMORY)?;
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n")?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        if Command::new(&script).status().is_ok() {
            fs::remove_file(&script)?;
            return Ok(folder);
        }
    }
    tempfile::tempdir()
}

/// A number for a port that is free at both addresses, as the text of a page has it.
fn free_port() -> String {
    loop {
        let port = port(&free_endpoint());
        if TcpStream::connect((second_address(), port)).is_err() {
            return port.to_string();
        }
    }
}

/// The folder that the pages are followed in.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
