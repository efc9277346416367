//! How long a kill of the active costs: a distribution over many rounds.

use rustix::process::Signal;

use crate::{Distribution, Outcome};

use super::clock::{now, wait};
use super::hosts::Hosts;
use super::kind::Kind;
use super::side::Side;
use super::site::{Settings, Site};
use super::trial::{begin, settle};
use super::verdict::{Marks, outage};

/// Kills the active in each round; the times from the kill to the next answer by anyone.
///
/// # Errors
///
/// When nobody answers any more, or the pair does not settle.
pub fn run(settings: &Settings, rounds: u32) -> Outcome<Distribution> {
    let hosts = Hosts::new()?;
    let mut site = Site::new(&hosts, settings);
    begin(&mut site, Side::A)?;
    let mut outages = Distribution::default();
    for round in 0..rounds {
        let active = site
            .active()
            .ok_or_else(|| site.describe("nobody is active"))?;
        // The kill may come at any time between two heartbeats.
        wait(settings.heartbeat * (400 + round * 37 % 100) / 100)?;
        let mark = site.mark();
        let began = now();
        site.end(active, Signal::KILL)?;
        let made = now();
        wait(settings.heartbeat * 4)?;
        site.start(active)?;
        let healed = now();
        settle(&site, healed)?;
        let settled = now();
        let marks = Marks {
            began,
            made,
            healed,
            settled,
        };
        let outage = outage(&site.records(mark)?, &marks);
        let kind = Kind::KillActive.name();
        outages.add(outage.ok_or_else(|| site.describe(&format!("no answer after {kind}")))?);
    }
    Ok(outages)
}
