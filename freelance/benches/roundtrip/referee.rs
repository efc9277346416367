//! Starts the servers and every run, and gathers what they gave.

use std::process::{Command, Stdio};

use crate::args::Args;
use crate::common::child::Server;
use crate::common::{Kind, Result};
use crate::contest::{Contestant, SERVERS, Test, tests};
use crate::cpus;
use crate::meter::{self, Figures};

/// The first argument of a process that is to be a client.
pub(crate) const RUN: &str = "run";

/// All figures of all runs.
pub(crate) struct Results {
    runs: Vec<(Contestant, Test, Figures)>,
    /// Who is out of which test, and why.
    pub(crate) out: Vec<(Contestant, Test, String)>,
}

impl Results {
    /// Over the rounds.
    pub(crate) fn median(
        &self,
        contestant: Contestant,
        test: Test,
        of: fn(&Figures) -> f64,
    ) -> Option<f64> {
        if self.is_out(contestant, test) {
            return None;
        }
        let mut values: Vec<f64> = self
            .runs
            .iter()
            .filter(|(whose, which, _)| (*whose, *which) == (contestant, test))
            .map(|(_, _, figures)| of(figures))
            .collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    fn is_out(&self, contestant: Contestant, test: Test) -> bool {
        self.out
            .iter()
            .any(|(whose, which, _)| (*whose, *which) == (contestant, test))
    }
}

pub(crate) fn race(args: &Args) -> Result<Results> {
    if !args.unpinned {
        cpus::use_first()?;
    }
    let most = SERVERS.into_iter().max().unwrap_or_default();
    let mut servers = Vec::new();
    for kind in [Kind::Echo, Kind::Shotgun, Kind::Flp] {
        servers.push((kind, Server::start_all(kind, most)?));
    }
    let mut results = Results {
        runs: Vec::new(),
        out: Vec::new(),
    };
    for round in 0..args.rounds() {
        for test in tests() {
            let mut order = Contestant::ALL;
            order.rotate_left(round as usize % Contestant::ALL.len());
            for contestant in order {
                let enters = args.wants(contestant.model()) && contestant.enters(test);
                if !enters || results.is_out(contestant, test) {
                    continue;
                }
                let servers: Vec<&Server> = servers
                    .iter()
                    .filter(|(kind, _)| *kind == contestant.servers())
                    .flat_map(|(_, servers)| servers)
                    .take(test.servers)
                    .collect();
                let count = args.requests(test.outstanding);
                match run(contestant, test, count, &servers) {
                    Ok(figures) => results.runs.push((contestant, test, figures)),
                    Err(error) => results.out.push((contestant, test, error.to_string())),
                }
            }
        }
    }
    Ok(results)
}

fn run(contestant: Contestant, test: Test, count: u32, servers: &[&Server]) -> Result<Figures> {
    let before_us = cpu_time_us(servers)?;
    let output = Command::new(std::env::current_exe()?)
        .args([RUN, contestant.id()])
        .args([test.outstanding, count].map(|number| number.to_string()))
        .args(servers.iter().map(|server| &server.endpoint))
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, said.trim()).into());
    }
    let mut figures: Figures = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let requests = f64::from(count + meter::warm_up(count));
    figures.servers_cpu_us = (cpu_time_us(servers)? - before_us) / requests;
    Ok(figures)
}

/// What the servers have had of the CPUs, on all their threads.
fn cpu_time_us(servers: &[&Server]) -> Result<f64> {
    let mut sum_ns = 0;
    for server in servers {
        for task in std::fs::read_dir(format!("/proc/{}/task", server.process.id()))? {
            let said = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let on_cpu_ns = said.split_whitespace().next().ok_or("no schedstat")?;
            sum_ns += on_cpu_ns.parse::<u64>()?;
        }
    }
    Ok(sum_ns as f64 / 1e3)
}
