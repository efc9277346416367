//! PostgreSQL with streaming replication, as `docs/postgres.md` tells: clients know nothing but two hosts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getuid};
use tests::beside::{Relative, follow, wait_until};
use tests::{
    BOUND, Beside, Distribution, Outcome, Process, TryOut, ensure, python, rounds_asked,
    second_address, skip, steady, tell,
};

const HEARTBEAT: Duration = Duration::from_millis(500);
const PORTS: [u16; 3] = [5432, 5433, 5003];
const NAMES: [&str; 2] = ["one", "two"];
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
/// So many connections in a row must be let in.
const CONNECTIONS: usize = 20;

fn try_out(heartbeat: Duration) -> Outcome<Option<TryOut>> {
    if !Path::new(PROGRAMS).join("initdb").exists() {
        skip(&format!("there is no PostgreSQL in {PROGRAMS}"));
        return Ok(None);
    }
    let place = TryOut::new("postgres", &PORTS, heartbeat)?;
    if getuid().is_root() {
        for name in NAMES {
            place.folder_of("postgres", name)?;
        }
    }
    Ok(Some(place))
}

/// What came of a fault.
struct Found {
    took: Duration,
    lost: usize,
}

/// What came of all faults of a kind.
#[derive(Default)]
struct Sum {
    took: Distribution,
    lost: usize,
    most: usize,
}

/// What came of all faults, in the order in which they first were.
#[derive(Default)]
struct Table(Vec<(String, Sum)>);

impl Table {
    fn add(&mut self, what: &str, found: &Found) {
        if !self.0.iter().any(|(name, _)| name == what) {
            self.0.push((what.to_owned(), Sum::default()));
        }
        let sums = self.0.iter_mut().filter(|(name, _)| name == what);
        for (_, sum) in sums {
            sum.took.add(found.took);
            sum.lost += found.lost;
            sum.most = sum.most.max(found.lost);
        }
    }

    fn tell(&self) {
        let mut table =
            "| | n | to the next acknowledged row, ms: least | median | p90 | greatest | lost | most in one |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|"
                .to_owned();
        for (what, sum) in &self.0 {
            let ms = |percent| sum.took.percentile(percent).as_millis();
            let times = [0, 50, 90, 100].map(|percent| ms(percent).to_string());
            table += &format!(
                "\n| {what} | {} | {} | {} | {} |",
                sum.took.count(),
                times.join(" | "),
                sum.lost,
                sum.most
            );
        }
        tell(&table);
    }
}

/// A pair, a client that writes, and a place for what the servers keep.
struct Database {
    // In this order: whoever writes, whoever serves, and then what they wrote.
    writer: Option<Process>,
    nodes: [Option<Beside>; 2],
    place: TryOut,
    active: usize,
    proof_of_death: bool,
    table: Table,
    /// Acknowledged rows that were found missing, and counted.
    missed: BTreeSet<u64>,
}

impl Database {
    fn start(place: TryOut, proof_of_death: bool) -> Outcome<Self> {
        let mut this = Self {
            writer: None,
            nodes: [None, None],
            place,
            active: 0,
            proof_of_death,
            table: Table::default(),
            missed: BTreeSet::new(),
        };
        this.script("setup-first.sh", 0)?;
        this.start_node(0)?;
        this.is_well(0)?;
        this.script("setup-second.sh", 1)?;
        this.start_node(1)?;
        // The first one hands over if its hook finds the second one's server still on its way.
        let mut settled = None;
        let is_settled = || {
            settled = (0..2).find(|one| this.is_settled(*one));
            settled.is_some()
        };
        let waited = wait_until(BOUND, is_settled);
        waited.map_err(|why| this.explain(&format!("not settled: {why}")))?;
        this.active = settled.unwrap_or_default();
        let active = this.active;
        for statement in [
            "create role app login password 'app'",
            "create database app owner app",
        ] {
            this.as_superuser(active, "postgres", statement)?;
        }
        this.as_superuser(
            active,
            "app",
            "create table rows (n bigint primary key); alter table rows owner to app",
        )?;
        Ok(this)
    }

    fn node(&self, index: usize) -> Outcome<&Beside> {
        let node = self.nodes[index].as_ref();
        node.ok_or_else(|| format!("node {} is down", NAMES[index]))
    }

    fn start_node(&mut self, index: usize) -> Outcome<()> {
        let file = format!("postgres/{}.toml", NAMES[index]);
        let peer = ["127.0.0.2:5432", "127.0.0.1:5432"][index];
        let proof = format!("\n[proof_of_death]\npeer_frontends = [\"tcp://{peer}\"]\n");
        let more = if self.proof_of_death {
            self.place.adapt(&proof)
        } else {
            String::new()
        };
        self.nodes[index] = Some(self.place.start_with(&file, &more)?);
        Ok(())
    }

    /// Runs one of the scripts for a node, and answers whether it succeeded, with what it said.
    fn run_script(&self, name: &str, index: usize) -> Outcome<(bool, String)> {
        let folder = self.place.path().join("postgres");
        let mut command = Command::new(folder.join(name));
        command.arg(folder.join(format!("{}.env", NAMES[index])));
        let script = Process::spawn(name, &mut command);
        let status = script.wait_exit(BOUND)?;
        Ok((status.success(), script.describe("")))
    }

    fn script(&self, name: &str, index: usize) -> Outcome<()> {
        let (succeeded, said) = self.run_script(name, index)?;
        ensure(succeeded, || said)
    }

    /// `why`, with what both nodes said.
    fn explain(&self, why: &str) -> String {
        let nodes = self.nodes.iter().flatten();
        let nodes: Vec<String> = nodes.map(|node| node.process().describe("")).collect();
        format!("{why}\n{}", nodes.join("\n"))
    }

    /// Waits until a node's server is well: it has all that the other one has.
    fn is_well(&self, index: usize) -> Outcome<()> {
        let is_well = || matches!(self.run_script("check.sh", index), Ok((true, _)));
        wait_until(BOUND, is_well).map_err(|why| self.explain(&format!("not well: {why}")))
    }

    /// Whether this one serves, and the other one stands by with all that it has.
    fn is_settled(&self, index: usize) -> bool {
        let [this, other] = [index, 1 - index].map(|index| self.nodes[index].as_ref());
        this.is_some_and(lets_in)
            && other.is_some_and(|node| node.state().as_deref() == Some("passive"))
            && matches!(self.run_script("check.sh", 1 - index), Ok((true, _)))
    }

    /// Waits until a node lets clients in.
    fn is_open(&self, index: usize) -> Outcome<()> {
        let node = self.node(index)?;
        wait_until(BOUND, || lets_in(node)).map_err(|why| self.explain(&format!("closed: {why}")))
    }

    fn as_superuser(&self, index: usize, database: &str, statement: &str) -> Outcome<String> {
        let socket = self.place.path().join(NAMES[index]);
        let port = self.place.adapt("5433");
        let mut command = if getuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--init-groups",
                "psql",
            ]);
            command
        } else {
            Command::new("psql")
        };
        command.args([
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-p",
            &port,
            "-d",
            database,
        ]);
        command.arg("-h").arg(socket).args(["-c", statement]);
        finish(Process::spawn("psql", &mut command))
    }

    /// The connection string of clients, with the hosts in this order.
    fn hosts(&self, first: usize) -> String {
        let hosts = [self.place.adapt("127.0.0.1"), second_address().to_string()];
        let (first, second) = (&hosts[first], &hosts[1 - first]);
        let port = self.place.adapt("5432");
        format!(
            "host={first},{second} port={port} user=app password=app dbname=app \
             target_session_attrs=any connect_timeout=2"
        )
    }

    /// What a client gets, who asks the hosts in the order that begins with `first`.
    fn ask(&self, first: usize, statement: &str) -> Outcome<String> {
        let hosts = self.hosts(first);
        let mut command = Command::new("psql");
        command.args(["-XAtq", &hosts, "-c", statement]);
        finish(Process::spawn("psql", &mut command)).map_err(|why| self.explain(&why))
    }

    fn writer(&self) -> Outcome<&Process> {
        self.writer
            .as_ref()
            .ok_or_else(|| "nobody writes".to_owned())
    }

    fn start_writer(&mut self) -> Outcome<bool> {
        match python::script_with("pg_writer.py", "psycopg2") {
            Ok(mut command) => {
                // In the gate the machine is to have time for something else.
                let pause = if rounds_asked().is_some() {
                    "0"
                } else {
                    "0.001"
                };
                command.arg(self.hosts(0)).arg(pause);
                self.writer = Some(Process::spawn("writer", &mut command));
                self.wait_row(0)?;
                Ok(true)
            }
            Err(why) => {
                skip(&why);
                Ok(false)
            }
        }
    }

    /// Waits for a row that is acknowledged after `mark`, and answers with when that was.
    fn wait_row(&self, mark: usize) -> Outcome<Instant> {
        let writer = self.writer()?;
        let found = writer.stdout().find(mark, BOUND, |line| {
            acknowledged(&line.text).map(|_| line.at)
        });
        found.ok_or_else(|| self.explain(&writer.describe("no row is written")))
    }

    /// The twenty connections of a client who asks the passive one first: a true refusal sends it on.
    fn lets_in(&self) -> Outcome<()> {
        let passive = 1 - self.active;
        for count in 0..CONNECTIONS {
            let answer = self.ask(passive, "select pg_is_in_recovery()");
            ensure(answer.as_deref() == Ok("f"), || {
                format!("connection {count} of {CONNECTIONS}: {answer:?}")
            })?;
        }
        Ok(())
    }

    /// Does something to the active side, after which `next` is the active one, and counts what was lost.
    fn fault(
        &mut self,
        what: &str,
        next: usize,
        mut strike: impl FnMut(&mut Self) -> Outcome<()>,
    ) -> Outcome<Found> {
        let since = Instant::now();
        strike(self)?;
        let mark = self.writer()?.stdout().count();
        self.node(next)?.wait_state("active")?;
        self.is_open(next)?;
        self.active = next;
        let took = self.wait_row(mark)?.saturating_duration_since(since);
        // What was acknowledged by the one that is gone, and what by the one that serves now: all of it.
        let lines = self.writer()?.stdout().all();
        let told: BTreeSet<u64> = lines
            .iter()
            .filter_map(|line| acknowledged(&line.text))
            .collect();
        let kept = self.ask(next, "select n from rows")?;
        let kept: BTreeSet<u64> = kept.lines().filter_map(|line| line.parse().ok()).collect();
        let missing: BTreeSet<u64> = told.difference(&kept).copied().collect();
        let lost = missing.difference(&self.missed).count();
        self.missed.extend(missing);
        let found = Found { took, lost };
        self.table.add(what, &found);
        Ok(found)
    }

    /// The one that was active comes back: as a standby that has the same rows.
    fn comes_back(&mut self, index: usize) -> Outcome<()> {
        if self.nodes[index].is_none() {
            self.start_node(index)?;
        }
        self.node(index)?.wait_state("passive")?;
        let is_standby = || {
            let answer = self.as_superuser(index, "postgres", "select pg_is_in_recovery()");
            answer.as_deref() == Ok("t")
        };
        wait_until(BOUND, is_standby).map_err(|why| self.explain(&format!("no standby: {why}")))?;
        self.is_well(index)?;
        // A row that is acknowledged from here on reaches it.
        let mark = self.writer()?.stdout().count();
        self.wait_row(mark)?;
        let highest = self.ask(self.active, "select max(n) from rows")?;
        let count = format!("select count(*) from rows where n <= {highest}");
        let wanted = self.ask(self.active, &count)?;
        let same = || self.as_superuser(index, "app", &count).as_ref() == Ok(&wanted);
        wait_until(BOUND, same).map_err(|why| format!("other rows on the standby: {why}"))
    }

    fn switchover(&mut self) -> Outcome<()> {
        let from = self.active;
        let found = self.fault("switchover", 1 - from, |this| {
            this.node(from)?.ask(&["switchover"]).map(drop)
        })?;
        ensure(found.lost == 0, || {
            format!("a switchover lost {} acknowledged rows", found.lost)
        })?;
        self.comes_back(from)
    }

    /// The standby receives nothing for a while: it has everything before the service moves all the same.
    fn switchover_behind(&mut self) -> Outcome<()> {
        let from = self.active;
        let found = self.fault("switchover with a standby that lags", 1 - from, |this| {
            let (active, standby) = (this.node(from)?, this.node(1 - from)?);
            let receiver = receiver(standby)?;
            receiver.signal(Signal::STOP);
            let written = this.writer()?.stdout().count();
            let lags = || {
                this.writer()
                    .is_ok_and(|w| w.stdout().count() > written + 50)
            };
            wait_until(BOUND, lags).map_err(|why| this.explain(&why))?;
            let mark = active.process().stderr().count();
            thread::scope(|scope| {
                let moved = scope.spawn(|| active.ask(&["switchover"]));
                let shuts_down = active.process().stderr().find(mark, BOUND, |line| {
                    line.text
                        .contains("received fast shutdown request")
                        .then_some(())
                });
                receiver.signal(Signal::CONT);
                shuts_down.ok_or_else(|| this.explain("the server is not shut down"))?;
                let moved = moved.join();
                moved.map_err(|_| "asking panicked".to_owned())?.map(drop)
            })
        })?;
        ensure(found.lost == 0, || {
            format!("a switchover lost {} acknowledged rows", found.lost)
        })?;
        self.comes_back(from)
    }

    fn kill_side(&mut self) -> Outcome<()> {
        let from = self.active;
        self.fault("kill -9 of the active side", 1 - from, |this| {
            let node = this.nodes[from].take();
            node.map_or(Ok(()), |node| node.kill_family())
        })?;
        self.comes_back(from)
    }

    fn kill_bstar(&mut self) -> Outcome<()> {
        let from = self.active;
        self.fault("kill -9 of the active bstar", 1 - from, |this| {
            let Some(node) = this.nodes[from].take() else {
                return Ok(());
            };
            // Its server goes with it.
            let family = node.family();
            node.process().kill()?;
            let server = family.iter().find(|one| one.name == "postgres");
            server.map_or(Ok(()), |server| server.wait_gone())
        })?;
        self.comes_back(from)
    }

    /// The active side does not run for a while, or only its bstar; the other one takes over meanwhile.
    fn stall(&mut self, what: &str, whole: bool) -> Outcome<()> {
        let from = self.active;
        self.fault(what, 1 - from, |this| {
            let node = this.node(from)?;
            let family = if whole { node.family() } else { Vec::new() };
            let tell_all = |signal| {
                node.process().signal(signal);
                family.iter().for_each(|relative| relative.signal(signal));
            };
            tell_all(Signal::STOP);
            // The one who writes waits for an answer to what it sent; somebody else asks.
            let served = wait_until(BOUND, || this.ask(1 - from, "select 1").is_ok());
            tell_all(Signal::CONT);
            served.map_err(|why| format!("{what}: the other one does not serve: {why}"))
        })?;
        self.comes_back(from)
    }

    fn kill_server(&mut self) -> Outcome<()> {
        let active = self.active;
        let found = self.fault("kill -9 of the server alone", active, |this| {
            let server = this.node(active)?.relative("postgres")?;
            server.signal(Signal::KILL);
            server.wait_gone()
        })?;
        ensure(found.lost == 0, || {
            format!(
                "a server that came back lost {} acknowledged rows",
                found.lost
            )
        })?;
        self.comes_back(1 - active)
    }
}

/// Whether a node lets clients in, by what it said last of that.
fn lets_in(node: &Beside) -> bool {
    let lines = node.process().stdout().all();
    let gates = lines.iter().rev();
    let mut gates = gates.filter_map(|line| line.text.strip_prefix("gate="));
    gates.next() == Some("open")
}

/// The process of a standby that receives what the primary writes.
fn receiver(node: &Beside) -> Outcome<Relative> {
    let is_receiver = |relative: &Relative| {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", relative.pid));
        line.is_ok_and(|line| line.contains("walreceiver"))
    };
    let found = node.family().into_iter().find(is_receiver);
    found.ok_or_else(|| node.process().describe("nobody receives"))
}

/// What a client said, if it succeeded.
fn finish(client: Process) -> Outcome<String> {
    let status = client.wait_exit(BOUND)?;
    ensure(status.success(), || client.describe("failed"))?;
    Ok(client.stdout().text())
}

fn acknowledged(line: &str) -> Option<u64> {
    line.strip_prefix("acknowledged ")?.parse().ok()
}

#[test]
fn rows_through_every_fault() -> Outcome<()> {
    steady(HEARTBEAT / 2, every_fault)
}

fn every_fault() -> Outcome<()> {
    let Some(place) = try_out(HEARTBEAT)? else {
        return Ok(());
    };
    let mut database = Database::start(place, false)?;
    database.lets_in()?;
    if !database.start_writer()? {
        return Ok(());
    }
    for _ in 0..rounds_asked().unwrap_or(1) {
        database.switchover()?;
        database.lets_in()?;
        database.switchover_behind()?;
        database.kill_server()?;
        database.kill_side()?;
        database.lets_in()?;
        database.kill_bstar()?;
        database.stall("SIGSTOP of the active side", true)?;
        database.stall("SIGSTOP of the active bstar", false)?;
    }
    database.table.tell();
    Ok(())
}

/// How long a client waits after a kill of the whole active side, by the heartbeat of the pair.
#[test]
fn failovers_by_heartbeat() -> Outcome<()> {
    let asked = rounds_asked();
    let mut table = Table::default();
    for (heartbeat, proof_of_death) in [(1000, false), (1000, true), (100, false), (100, true)] {
        // Where nobody asks how long it takes, one of them shows that it works.
        if asked.is_none() && (heartbeat, proof_of_death) != (100, true) {
            continue;
        }
        let Some(place) = try_out(Duration::from_millis(heartbeat))? else {
            return Ok(());
        };
        let mut database = Database::start(place, proof_of_death)?;
        if !database.start_writer()? {
            return Ok(());
        }
        for _ in 0..asked.unwrap_or(1) {
            database.kill_side()?;
        }
        let proof = if proof_of_death {
            ", proof of death"
        } else {
            ""
        };
        let sums = std::mem::take(&mut database.table.0).into_iter();
        let named = sums.map(|(what, sum)| (format!("{what}, {heartbeat} ms{proof}"), sum));
        table.0.extend(named);
    }
    table.tell();
    Ok(())
}

#[test]
fn the_page_can_be_followed() -> Outcome<()> {
    if !getuid().is_root() {
        skip("only root becomes the user postgres, as the page does");
        return Ok(());
    }
    let Some(place) = try_out(HEARTBEAT)? else {
        return Ok(());
    };
    let mut script = place.script("postgres.md", "A try-out on one machine")?;
    follow(&mut script, 3 * BOUND).map(drop)
}
