//! PostgreSQL with streaming replication, as `docs/postgres.md` tells: clients know nothing but two hosts.
//!
//! `BSTAR_FAULTS=50 cargo test -p tests --test postgres -- --nocapture` does each fault so often.

mod database;
mod faults;
mod table;

use std::path::Path;
use std::time::Duration;

use rustix::process::getuid;
use tests::beside::follow;
use tests::{BOUND, Outcome, Timing, TryOut, rounds_asked, skip, steady};

use database::{Database, NAMES};
use table::Table;

const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(500),
    proof_of_death: false,
};
const PORTS: [u16; 3] = [5432, 5433, 5003];
const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

fn try_out(timing: Timing) -> Outcome<Option<TryOut>> {
    if !Path::new(PROGRAMS).join("initdb").exists() {
        skip(&format!("there is no PostgreSQL in {PROGRAMS}"));
        return Ok(None);
    }
    let place = TryOut::new("postgres", &PORTS, timing.heartbeat)?;
    if getuid().is_root() {
        for name in NAMES {
            place.folder_of("postgres", name)?;
        }
    }
    Ok(Some(place))
}

#[test]
fn rows_through_every_fault() -> Outcome<()> {
    steady(TIMING.heartbeat / 2, every_fault)
}

fn every_fault() -> Outcome<()> {
    let Some(place) = try_out(TIMING)? else {
        return Ok(());
    };
    let mut database = Database::start(place, TIMING)?;
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
    database.into_table().tell();
    Ok(())
}

/// How long a client waits after a kill of the whole active side, by the heartbeat of the pair.
#[test]
fn failovers_by_heartbeat() -> Outcome<()> {
    let mut table = Table::default();
    for timing in Timing::measured() {
        steady(timing.heartbeat / 2, || {
            let Some(found) = failovers(timing)? else {
                return Ok(());
            };
            table.append(found, &timing.to_string());
            Ok(())
        })?;
    }
    table.tell();
    Ok(())
}

/// What came of the kills, unless what they need is missing.
fn failovers(timing: Timing) -> Outcome<Option<Table>> {
    let Some(place) = try_out(timing)? else {
        return Ok(None);
    };
    let mut database = Database::start(place, timing)?;
    if !database.start_writer()? {
        return Ok(None);
    }
    for _ in 0..rounds_asked().unwrap_or(1) {
        database.kill_side()?;
    }
    Ok(Some(database.into_table()))
}

#[test]
fn the_page_can_be_followed() -> Outcome<()> {
    if !getuid().is_root() {
        skip("only root becomes the user postgres, as the page does");
        return Ok(());
    }
    let Some(place) = try_out(TIMING)? else {
        return Ok(());
    };
    let mut script = place.script("postgres.md", "A try-out on one machine")?;
    follow(&mut script, 3 * BOUND).map(drop)
}
