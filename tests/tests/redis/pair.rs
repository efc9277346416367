//! The pair of docs/redis.md, from the files of examples/redis, at addresses of its own.

use std::fs;
use std::process::Command;
use std::time::Duration;

use tests::beside::wait_until;
use tests::{BOUND, Beside, Outcome, Process, Timing, TryOut, ensure};

/// How many seconds of writes may be missing, as the script of the example has it.
const LIMIT: &str = "limit=30";

/// How long one write may take to the replica, before it is tried with another one.
const COPY: Duration = Duration::from_secs(2);

/// None of them is another than in the example: `redis-cli` asks at 6379 where the page names no port.
pub(crate) const PORTS: [u16; 0] = [];

/// Both sides.
pub(crate) struct RedisPair {
    pub(crate) sides: [Side; 2],
    timing: Timing,
    // Last, so that its folder is removed when nobody writes there any more.
    place: TryOut,
}

/// A machine: Redis with a `bstar run` beside it.
pub(crate) struct Side {
    name: &'static str,
    address: String,
    node: Option<Beside>,
}

impl RedisPair {
    /// Starts both and waits until the second is a copy of the first. How much may be missing in a copy that takes
    /// over is `limit` where that is given.
    pub(crate) fn start(timing: Timing, limit: Option<Duration>) -> Outcome<Self> {
        let place = TryOut::new("redis", &PORTS, timing.heartbeat)?;
        for folder in ["redis-one", "redis-two"] {
            let made = fs::create_dir(place.path().join(folder));
            made.map_err(|error| format!("{folder}: {error}"))?;
        }
        if let Some(limit) = limit {
            place.edit(
                "redis/pair.sh",
                LIMIT,
                &format!("limit={}", limit.as_secs()),
            )?;
        }
        let side = |name, address| Side {
            name,
            address: place.adapt(address),
            node: None,
        };
        let mut pair = Self {
            sides: [side("one", "127.0.0.1"), side("two", "127.0.0.2")],
            timing,
            place,
        };
        pair.start_side(0)?;
        pair.start_side(1)?;
        pair.wait_settled()?;
        Ok(pair)
    }

    /// Starts one that is down.
    pub(crate) fn start_side(&mut self, index: usize) -> Outcome<()> {
        let more = self.timing.section(&self.sides[1 - index].front());
        let side = &mut self.sides[index];
        // What is left of its last life has the addresses.
        side.node = None;
        let file = format!("redis/{}.toml", side.name);
        side.node = Some(self.place.start_with(&file, &more)?);
        Ok(())
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

    /// Waits until one is active, the other passive, and what is written now reaches its data.
    pub(crate) fn wait_settled(&self) -> Outcome<()> {
        wait_until(BOUND, || {
            self.active().is_ok_and(|(active, passive)| {
                self.sides[passive].state().as_deref() == Some("passive")
                    && self.sides[passive].is_replica()
                    && self.sides[passive].epoch() == self.sides[active].epoch()
                    && self.is_copied(active, passive)
            })
        })
        .map_err(|why| self.describe(&format!("not settled: {why}")))
    }

    /// Whether a write has reached the replica. Its link is up before anything is sent on it: the master waits for a
    /// first word of a replica that was copied as a whole, for up to a second.
    fn is_copied(&self, active: usize, passive: usize) -> bool {
        let Ok(count) = self.sides[active].redis(&["INCR", "settled"]) else {
            return false;
        };
        let has_come = || self.sides[passive].redis(&["GET", "settled"]).as_ref() == Ok(&count);
        wait_until(COPY, has_come).is_ok()
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
