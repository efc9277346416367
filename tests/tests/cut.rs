//! The link between the two servers is cut: packets are dropped, and nobody is told. Clients on
//! both sides go on asking. When it is healed, one server is active, and nobody has died.

use std::thread;
use std::time::Duration;

use tests::{BOUND, Cut, Distribution, Islands, Outcome, StateLine, rounds_asked, steady, tell};

const HEARTBEAT: Duration = Duration::from_millis(100);

fn start() -> Outcome<Option<Islands>> {
    Islands::start(HEARTBEAT, |_| {})
}

fn cut_for(heartbeats: u32) -> Outcome<()> {
    let Some(islands) = start()? else {
        return Ok(());
    };
    let ports = [islands.port(0), islands.port(1)];
    let mut healed = Distribution::default();
    islands.under_traffic(|| {
        for _ in 0..rounds_asked().unwrap_or(2) {
            islands.network.cut(&ports, Cut::Both)?;
            thread::sleep(HEARTBEAT * heartbeats);
            islands.network.heal()?;
            healed.add(islands.heals()?);
        }
        Ok(())
    })?;
    if rounds_asked().is_some() {
        tell(&format!(
            "one active after a cut of {heartbeats:>2}  {healed}"
        ));
    }
    Ok(())
}

#[test]
fn cut_of_one_heartbeat() -> Outcome<()> {
    steady(HEARTBEAT / 2, || cut_for(1))
}

#[test]
fn cut_of_six_heartbeats() -> Outcome<()> {
    steady(HEARTBEAT / 2, || cut_for(6))
}

#[test]
fn cut_of_twenty_heartbeats() -> Outcome<()> {
    steady(HEARTBEAT / 2, || cut_for(20))
}

#[test]
fn an_active_server_that_is_not_heard_steps_back() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(islands) = start()? else {
            return Ok(());
        };
        let port = islands.port(0);
        islands.under_traffic(|| {
            let [primary, backup] = [0, 1].map(|index| islands.pair.node(index));
            let mark = primary.mark();
            // The backup hears nothing and is voted in; the primary hears that, and that nobody
            // hears it. There is one active server although the link is still cut.
            islands.network.cut(&[port], Cut::From)?;
            backup.wait_state("active")?;
            let passive = |line: &StateLine| line.state == "passive";
            primary.wait_transition(mark, BOUND, passive)?;
            islands.network.heal()?;
            islands.pair.settle_at(1)
        })
    })
}

#[test]
fn an_active_server_that_hears_nobody_serves_on() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(islands) = start()? else {
            return Ok(());
        };
        let port = islands.port(1);
        islands.under_traffic(|| {
            let marks = [0, 1].map(|index| islands.pair.node(index).mark());
            islands.network.cut(&[port], Cut::From)?;
            thread::sleep(HEARTBEAT * 10);
            islands.network.heal()?;
            islands.heals()?;
            islands.pair.node(0).ensure_quiet(marks[0])?;
            islands.pair.node(1).ensure_quiet(marks[1])
        })
    })
}
