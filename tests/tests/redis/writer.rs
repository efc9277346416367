//! A program that writes to the pair, and what it was told.

use std::time::Duration;

use tests::{BOUND, Outcome, Process, ensure, python};

/// How many of them write at once.
pub(crate) const WRITERS: usize = 4;

/// A write that the server has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) writer: usize,
    pub(crate) number: u64,
    /// With which the server was promoted that acknowledged it.
    pub(crate) epoch: u64,
    pub(crate) server: String,
    /// By the writers' own clock.
    pub(crate) sent: Duration,
    pub(crate) answered: Duration,
}

impl Ack {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.strip_prefix("ack ")?.split(' ').collect();
        let [writer, number, epoch, server, sent, answered] = fields[..] else {
            return None;
        };
        Some(Self {
            writer: writer.parse().ok()?,
            number: number.parse().ok()?,
            epoch: epoch.parse().ok()?,
            server: server.to_owned(),
            sent: Duration::from_micros(sent.parse().ok()?),
            answered: Duration::from_micros(answered.parse().ok()?),
        })
    }
}

/// The writers, each with a list of its own.
pub(crate) struct Writers {
    prefix: String,
    process: Process,
}

impl Writers {
    pub(crate) fn start(prefix: &str, fronts: &[String]) -> Outcome<Self> {
        let mut command = python::script_with("redis_writer.py", "redis")?;
        command.args(["--prefix", prefix, "--writers", &WRITERS.to_string()]);
        for front in fronts {
            command.args(["--server", front]);
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            process: Process::spawn("writers", &mut command),
        })
    }

    pub(crate) fn mark(&self) -> usize {
        self.process.stdout().count()
    }

    /// Waits for `count` acknowledged writes, after `mark`, that are `wanted`.
    pub(crate) fn wait_acks(
        &self,
        mark: usize,
        count: usize,
        wanted: impl Fn(&Ack) -> bool,
    ) -> Outcome<Ack> {
        let mut seen = 0;
        let found = self.process.stdout().find(mark, BOUND, |line| {
            let ack = Ack::parse(&line.text).filter(&wanted)?;
            seen += 1;
            (seen == count).then_some(ack)
        });
        found.ok_or_else(|| {
            let lines = self.process.stdout().all();
            let last = lines.iter().rev().take(40).rev();
            let last: Vec<&str> = last.map(|line| line.text.as_str()).collect();
            let errors = self.process.stderr().text();
            let last = last.join("\n");
            format!("{seen} of {count} writes are acknowledged; at the end:\n{last}\n{errors}")
        })
    }

    /// Ends them, and answers with all that was acknowledged, in the order of the answers.
    pub(crate) fn stop(&self) -> Outcome<Vec<Ack>> {
        self.process.kill()?;
        let lines = self.process.stdout().all().into_iter();
        let mut acks: Vec<Ack> = lines.filter_map(|line| Ack::parse(&line.text)).collect();
        acks.sort_by_key(|ack| ack.answered);
        ensure(!acks.is_empty(), || "nothing was acknowledged".to_owned())?;
        Ok(acks)
    }

    /// The key of a writer's list.
    pub(crate) fn key(&self, writer: usize) -> String {
        format!("{}:{writer}", self.prefix)
    }
}
