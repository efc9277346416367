//! Starts the servers and every run, and gathers what they gave.

use std::process::{Command, Stdio};

use crate::args::Args;
use crate::common::child::Server;
use crate::common::{Kind, Result};
use crate::contest::{Contestant, SERVERS, Test, tests};
use crate::cpus;
use crate::meter::Figures;

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
                let endpoints = servers
                    .iter()
                    .filter(|(kind, _)| *kind == contestant.servers())
                    .flat_map(|(_, servers)| servers)
                    .map(|server| server.endpoint.as_str())
                    .take(test.servers);
                let count = args.requests(test.outstanding);
                match run(contestant, test, count, endpoints) {
                    Ok(figures) => results.runs.push((contestant, test, figures)),
                    Err(error) => results.out.push((contestant, test, error.to_string())),
                }
            }
        }
    }
    Ok(results)
}

fn run<'a>(
    contestant: Contestant,
    test: Test,
    count: u32,
    endpoints: impl Iterator<Item = &'a str>,
) -> Result<Figures> {
    let output = Command::new(std::env::current_exe()?)
        .args([RUN, contestant.id()])
        .args([test.outstanding, count].map(|number| number.to_string()))
        .args(endpoints)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, said.trim()).into());
    }
    String::from_utf8_lossy(&output.stdout).trim().parse()
}
