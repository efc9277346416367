//! Who has the contestants run, one process a run, and watches that they do what they say.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Result;
use crate::args::Args;
use crate::contest::{Contestant, Placement, Test};
use crate::cpus::Cpus;
use crate::layout::sections;
use crate::peers::zloop;
use crate::results::{Entry, Results, Run};

/// The first argument of a child.
pub(crate) const RUN: &str = "run";

/// How a run is started.
struct Referee {
    cpus: Cpus,
    zloop: Option<PathBuf>,
    quick: bool,
}

pub(crate) fn race(args: &Args) -> Result<Results> {
    let descriptors = raise_descriptors();
    let zloop = zloop::compile()
        .inspect_err(|reason| eprintln!("without zloop: {reason}"))
        .ok();
    let cpus = Cpus::allowed()?;
    if cpus.count() == 1 {
        eprintln!("there is one CPU: unpinned figures are pinned too");
    }
    let referee = Referee {
        cpus,
        zloop,
        quick: args.quick,
    };
    let mut results = Results {
        rounds: args.rounds(),
        entries: referee.entries(args, descriptors),
    };
    for entry in &mut results.entries {
        referee.calibrate(entry);
    }
    for round in 0..results.rounds {
        referee.round(&mut results, round);
    }
    if let Some(program) = &referee.zloop {
        // Left behind it does no harm.
        let _ = std::fs::remove_file(program);
    }
    referee.cpus.place(Placement::Free)?;
    Ok(results)
}

/// Allows this process and its children as many descriptors as may be, and tells how many.
fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let limit = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => wanted,
        Err(_) => limit,
    };
    limit.current.unwrap_or(u64::MAX)
}

impl Referee {
    /// All that is to run, test by test.
    fn entries(&self, args: &Args, descriptors: u64) -> Vec<Entry> {
        let mut tests: Vec<Test> = Vec::new();
        for section in sections() {
            for column in section.columns {
                if args.wants(section.axis) && !tests.contains(&column.test) {
                    tests.push(column.test);
                }
            }
        }
        let mut entries = Vec::new();
        for test in tests {
            if test.descriptors() > descriptors {
                eprintln!(
                    "without {test}: it takes up to {} descriptors, and the limit is {descriptors}",
                    test.descriptors()
                );
                continue;
            }
            for contestant in Contestant::ALL {
                if self.admits(contestant, test) {
                    entries.push(Entry {
                        contestant,
                        test,
                        count: 0,
                        runs: Vec::new(),
                        out: false,
                    });
                }
            }
        }
        entries
    }

    fn admits(&self, contestant: Contestant, test: Test) -> bool {
        if !contestant.enters(test) || contestant.is_zloop() && self.zloop.is_none() {
            return false;
        }
        // To add a source calloop looks through all that there are, so that adding so many takes seconds.
        let slow = contestant == Contestant::Calloop && test.timers() >= 100_000;
        if slow && self.quick {
            eprintln!("without calloop in {test}: setting that up takes long");
        }
        !slow || !self.quick
    }

    /// Finds how much there is to dispatch for a run to take the time that it should.
    fn calibrate(&self, entry: &mut Entry) {
        let target_ns = if self.quick { 5e6 } else { 25e6 };
        let (probe, most) = match entry.test {
            Test::Sockets(_) | Test::Turn(_) | Test::TurnAlone(_) | Test::Cancel(_) => {
                (30, 100_000)
            }
            Test::Ticket(_) => (1_000, 2_000_000),
            Test::Flood(..) => (10_000, 200_000),
            Test::Wake(_) => {
                entry.count = if self.quick { 200 } else { 1_000 };
                return;
            }
            // One each 10 ms.
            Test::Fairness => {
                entry.count = if self.quick { 30 } else { 100 };
                return;
            }
        };
        // Connecting and the threads' start are part of a short flood.
        let target_ns = match entry.test {
            Test::Flood(..) => 4.0 * target_ns,
            _ => target_ns,
        };
        entry.count = probe;
        let Some(run) = self.run(entry) else { return };
        let each_ns = run.get("each_ns").and_then(|values| values.first());
        let count = target_ns / each_ns.copied().unwrap_or(f64::INFINITY).max(1.0);
        entry.count = (count as u64).clamp(probe, most);
    }

    /// Every entry once. Within a test another begins in each round.
    fn round(&self, results: &mut Results, round: u32) {
        for group in results.entries.chunk_by_mut(|a, b| a.test == b.test) {
            eprintln!(
                "round {} of {}: {}",
                round + 1,
                results.rounds,
                group[0].test
            );
            let (head, tail) = group.split_at_mut(round as usize % group.len());
            for entry in tail.iter_mut().chain(head) {
                if let Some(run) = self.run(entry) {
                    entry.runs.push(run);
                }
            }
        }
    }

    /// One run. Nothing for one that is out, be it now.
    fn run(&self, entry: &mut Entry) -> Option<Run> {
        if entry.out {
            return None;
        }
        self.try_run(entry)
            .inspect_err(|error| {
                entry.out = true;
                eprintln!(
                    "{} is out of {}: {error}",
                    entry.contestant.label(),
                    entry.test
                );
            })
            .ok()
    }

    fn try_run(&self, entry: &Entry) -> Result<Run> {
        // The child inherits it.
        self.cpus.place(entry.test.placement())?;
        let mut command = self.command(entry.contestant)?;
        command
            .arg(entry.test.word())
            .arg(entry.test.size().to_string())
            .arg(entry.count.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = command.output()?;
        if !output.status.success() {
            return Err(output.status.to_string().into());
        }
        let run = parse(&String::from_utf8(output.stdout)?)?;
        let dispatched = run.get("dispatched").and_then(|values| values.first());
        if dispatched != Some(&(entry.count as f64)) {
            let asked = entry.count;
            return Err(format!("it dispatched {dispatched:?} instead of {asked}").into());
        }
        Ok(run)
    }

    fn command(&self, contestant: Contestant) -> Result<Command> {
        if contestant.is_zloop() {
            let mut command = Command::new(self.zloop.as_ref().ok_or("it was not compiled")?);
            command.arg(contestant.batch().to_string());
            return Ok(command);
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args([RUN, contestant.id()]);
        Ok(command)
    }
}

/// Lines of a label and numbers.
fn parse(output: &str) -> Result<Run> {
    let mut run = Run::new();
    for line in output.lines() {
        let mut words = line.split_whitespace();
        let label = words.next().ok_or("an empty line")?;
        let values = words
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        run.insert(label.to_owned(), values);
    }
    Ok(run)
}
