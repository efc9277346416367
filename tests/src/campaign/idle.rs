//! Whether the service ever moves with no fault at all, on a machine that is busy.

use std::process::Command;
use std::time::Duration;

use crate::steady::witnessed;
use crate::{Outcome, Process};

use super::clock::wait;
use super::hosts::Hosts;
use super::side::Side;
use super::site::{Settings, Site};
use super::trial::begin;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// Changes of a state: each is a false one.
    pub changes: usize,
    /// The longest that a thread which only sleeps was late.
    pub away: Duration,
}

/// Lets a pair serve for a time beside so many children that never sleep.
///
/// # Errors
///
/// When the pair does not come to serve.
pub fn run(settings: &Settings, lasts: Duration, busy: usize) -> Outcome<Idle> {
    let hosts = Hosts::new()?;
    let mut site = Site::new(&hosts, settings);
    begin(&mut site, Side::A)?;
    let hogs: Vec<Process> = (0..busy).map(hog).collect();
    let before = changes(&site);
    let (waited, away) = witnessed(|| wait(lasts));
    waited?;
    drop(hogs);
    let changes = changes(&site) - before;
    if changes > 0 {
        eprintln!("{}", site.describe("the service moved"));
    }
    Ok(Idle { changes, away })
}

fn changes(site: &Site<'_>) -> usize {
    let all = Side::BOTH.iter().filter_map(|side| site.process(*side));
    all.map(|process| process.stdout().count()).sum()
}

fn hog(_: usize) -> Process {
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "--",
        "sh",
        "-c",
        "while :; do :; done",
    ]);
    Process::spawn("hog", &mut command)
}
