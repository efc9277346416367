//! The pair of docs/redis.md, from the files of examples/redis, at addresses of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tests::beside::wait_until;
use tests::{BOUND, Beside, Outcome, Process, ensure};

/// What is other than in the files of the example.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change {
    /// How many seconds of writes may be missing.
    pub(crate) limit: Option<u64>,
    pub(crate) heartbeat: Option<Duration>,
    /// A side that refuses is taken for dead at once.
    pub(crate) proof_of_death: bool,
}

/// What the files of the example have for this machine's, and what stands here in its place.
struct Place {
    folder: PathBuf,
    addresses: [String; 2],
    change: Change,
}

impl Place {
    fn put_into(&self, text: &str) -> String {
        let text = text.replace("/tmp/pair", &self.folder.display().to_string());
        let mut changes = Vec::new();
        if let Some(limit) = self.change.limit {
            changes.push(("limit=30", format!("limit={limit}")));
        }
        if let Some(heartbeat) = self.change.heartbeat {
            let heartbeat = format!("heartbeat_ms = {}", heartbeat.as_millis());
            changes.push(("heartbeat_ms = 500", heartbeat));
        }
        let [one, two] = &self.addresses;
        changes.push(("127.0.0.1", one.clone()));
        changes.push(("127.0.0.2", two.clone()));
        let put = |text: String, (old, new): &(&str, String)| text.replace(old, new);
        changes.iter().fold(text, put)
    }
}

/// There is one at a time: they have the same addresses.
static ONE: Mutex<()> = Mutex::new(());

/// Both sides.
pub(crate) struct RedisPair {
    pub(crate) sides: [Side; 2],
    _one: MutexGuard<'static, ()>,
    // Last, so that it is removed when nobody writes there any more.
    _folder: tempfile::TempDir,
}

/// A machine: Redis with a `bstar run` beside it.
pub(crate) struct Side {
    name: &'static str,
    address: String,
    folder: PathBuf,
    /// What its configuration says of that, more than the example's.
    proof_of_death: Option<String>,
    node: Option<Beside>,
}

impl RedisPair {
    /// Starts both and waits until the second is a copy of the first.
    pub(crate) fn start(change: Change) -> Outcome<Self> {
        let one_at_a_time = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
        let place = Place {
            folder: folder.path().to_owned(),
            addresses: two_addresses(),
            change,
        };
        place_files(&place)?;
        let [one, two] = &place.addresses;
        let side = |name, address: &String, peer: &String| Side {
            name,
            address: address.clone(),
            folder: place.folder.clone(),
            proof_of_death: change.proof_of_death.then(|| proof_of_death(peer)),
            node: None,
        };
        let mut pair = Self {
            sides: [side("one", one, two), side("two", two, one)],
            _one: one_at_a_time,
            _folder: folder,
        };
        for side in &mut pair.sides {
            side.start()?;
        }
        pair.wait_settled()?;
        Ok(pair)
    }

    /// The side that is active, and the other one.
    pub(crate) fn active(&self) -> Outcome<(usize, usize)> {
        let is_active = |side: &Side| side.state().as_deref() == Some("active");
        match self.sides.each_ref().map(is_active) {
            [true, false] => Ok((0, 1)),
            [false, true] => Ok((1, 0)),
            _ => Err(self.describe("not exactly one is active")),
        }
    }

    /// Waits until one is active, the other passive, and its data a copy of the same.
    pub(crate) fn wait_settled(&self) -> Outcome<()> {
        wait_until(BOUND, || {
            self.active().is_ok_and(|(active, passive)| {
                self.sides[passive].state().as_deref() == Some("passive")
                    && self.sides[passive].is_replica()
                    && self.sides[passive].epoch() == self.sides[active].epoch()
            })
        })
        .map_err(|why| self.describe(&format!("not settled: {why}")))
    }

    /// All that both said, without what Redis says of itself.
    pub(crate) fn describe(&self, what: &str) -> String {
        let nodes = self.sides.iter().filter_map(|side| side.node.as_ref());
        let said: Vec<String> = nodes.map(|node| node.process().describe("")).collect();
        let said = said.join("\n");
        let lines = said.lines();
        let said: Vec<&str> = lines
            .filter(|line| !line.contains("name=\"server\""))
            .collect();
        format!("{what}\n{}", said.join("\n"))
    }
}

impl Side {
    pub(crate) fn start(&mut self) -> Outcome<()> {
        let file = self.folder.join(format!("redis/{}.toml", self.name));
        let mut text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        text.extend(self.proof_of_death.as_deref());
        self.node = None;
        self.node = Some(Beside::start_in(&self.folder, self.name, &text)?);
        Ok(())
    }

    pub(crate) fn node(&self) -> Outcome<&Beside> {
        let node = self.node.as_ref();
        node.ok_or_else(|| format!("{} is down", self.name))
    }

    fn state(&self) -> Option<String> {
        let node = self.node.as_ref()?;
        node.process().exit_status().is_none().then_some(())?;
        node.state()
    }

    /// Where clients ask.
    pub(crate) fn front(&self) -> String {
        format!("{}:6379", self.address)
    }

    /// Asks Redis itself, past the front end.
    pub(crate) fn redis(&self, command: &[&str]) -> Outcome<String> {
        redis_cli(&self.address, "6380", command)
    }

    /// Asks through the front end, as a client does.
    pub(crate) fn client(&self, command: &[&str]) -> Outcome<String> {
        redis_cli(&self.address, "6379", command)
    }

    /// How many lines its node has said, and whether one of those after so many has `text` in it.
    pub(crate) fn said(&self) -> usize {
        self.node
            .as_ref()
            .map_or(0, |node| node.process().stderr().count())
    }

    pub(crate) fn has_said(&self, mark: usize, text: &str) -> bool {
        let Some(node) = &self.node else { return false };
        let lines = node.process().stderr().all();
        lines.iter().skip(mark).any(|line| line.text.contains(text))
    }

    fn is_replica(&self) -> bool {
        let said = self.redis(&["INFO", "replication"]);
        said.is_ok_and(|said| said.contains("role:slave") && said.contains("master_link_status:up"))
    }

    fn epoch(&self) -> Option<String> {
        self.redis(&["GET", "bstar:epoch"]).ok()
    }
}

/// What `redis-cli` answers, as a program reads it.
fn redis_cli(address: &str, port: &str, command: &[&str]) -> Outcome<String> {
    let mut asked = Command::new("timeout");
    asked
        .args(["--foreground", "5", "redis-cli", "-e"])
        .args(["-h", address, "-p", port])
        .args(command);
    let asked = Process::spawn("redis-cli", &mut asked);
    let status = asked.wait_exit(BOUND)?;
    ensure(status.success(), || asked.describe("failed"))?;
    Ok(asked.stdout().text())
}

fn proof_of_death(peer: &str) -> String {
    format!("\n[proof_of_death]\npeer_frontends = [\"tcp://{peer}:6379\"]\n")
}

/// Two addresses of the loopback that no other process has, so that the ports can be those of the example.
fn two_addresses() -> [String; 2] {
    let [a, b, c, d] = tests::address().octets();
    // The harness hands out those whose second byte is from 64 to 127.
    [64, 128].map(|more| format!("{a}.{}.{c}.{d}", b + more))
}

fn place_files(place: &Place) -> Outcome<()> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/redis");
    let put = || -> std::io::Result<()> {
        for folder in ["redis", "redis-one", "redis-two"] {
            fs::create_dir(place.folder.join(folder))?;
        }
        for entry in fs::read_dir(files)? {
            let entry = entry?;
            let to = place.folder.join("redis").join(entry.file_name());
            // The copy keeps the permission to run a script.
            fs::copy(entry.path(), &to)?;
            fs::write(&to, place.put_into(&fs::read_to_string(&to)?))?;
        }
        Ok(())
    };
    put().map_err(|error| format!("cannot place the example: {error}"))
}
