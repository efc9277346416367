//! The pair of docs/postgres.md, from the files of examples/postgres, with a client that writes.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Instant;

use rustix::process::getuid;
use tests::beside::wait_until;
use tests::{
    BOUND, Beside, Outcome, Process, Timing, TryOut, ensure, python, rounds_asked, second_address,
    skip,
};

use crate::table::{Found, Table};

pub(crate) const NAMES: [&str; 2] = ["one", "two"];
/// So many connections in a row must be let in.
const CONNECTIONS: usize = 20;

/// A pair, a client that writes, and a place for what the servers keep.
pub(crate) struct Database {
    // In this order: whoever writes, whoever serves, and then what they wrote.
    writer: Option<Process>,
    pub(crate) nodes: [Option<Beside>; 2],
    place: TryOut,
    pub(crate) active: usize,
    timing: Timing,
    table: Table,
    /// Acknowledged rows that were found missing, and counted.
    missed: BTreeSet<u64>,
}

impl Database {
    pub(crate) fn start(place: TryOut, timing: Timing) -> Outcome<Self> {
        let mut this = Self {
            writer: None,
            nodes: [None, None],
            place,
            active: 0,
            timing,
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

    pub(crate) fn node(&self, index: usize) -> Outcome<&Beside> {
        let node = self.nodes[index].as_ref();
        node.ok_or_else(|| format!("node {} is down", NAMES[index]))
    }

    fn start_node(&mut self, index: usize) -> Outcome<()> {
        let file = format!("postgres/{}.toml", NAMES[index]);
        let peer = ["127.0.0.2:5432", "127.0.0.1:5432"][index];
        let more = self.timing.section(&self.place.adapt(peer));
        self.nodes[index] = Some(self.place.start_with(&file, &more)?);
        Ok(())
    }

    /// What came of all that was done to it. It ends.
    pub(crate) fn into_table(self) -> Table {
        self.table
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
    pub(crate) fn explain(&self, why: &str) -> String {
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
    pub(crate) fn ask(&self, first: usize, statement: &str) -> Outcome<String> {
        let hosts = self.hosts(first);
        let mut command = Command::new("psql");
        command.args(["-XAtq", &hosts, "-c", statement]);
        finish(Process::spawn("psql", &mut command)).map_err(|why| self.explain(&why))
    }

    pub(crate) fn writer(&self) -> Outcome<&Process> {
        self.writer
            .as_ref()
            .ok_or_else(|| "nobody writes".to_owned())
    }

    pub(crate) fn start_writer(&mut self) -> Outcome<bool> {
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
    pub(crate) fn lets_in(&self) -> Outcome<()> {
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
    pub(crate) fn fault(
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
    pub(crate) fn comes_back(&mut self, index: usize) -> Outcome<()> {
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
        self.node(index)?.wait_ready()?;
        // A row that is acknowledged from here on reaches it.
        let mark = self.writer()?.stdout().count();
        self.wait_row(mark)?;
        let highest = self.ask(self.active, "select max(n) from rows")?;
        let count = format!("select count(*) from rows where n <= {highest}");
        let wanted = self.ask(self.active, &count)?;
        let same = || self.as_superuser(index, "app", &count).as_ref() == Ok(&wanted);
        wait_until(BOUND, same).map_err(|why| format!("other rows on the standby: {why}"))
    }
}

/// Whether a node lets clients in, by what it said last of that.
fn lets_in(node: &Beside) -> bool {
    let lines = node.process().stdout().all();
    let gates = lines.iter().rev();
    let mut gates = gates.filter_map(|line| line.text.strip_prefix("gate="));
    gates.next() == Some("open")
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
