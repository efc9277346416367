//! What happens in the demo, told for someone who has never heard of the pattern.

use std::time::{Duration, Instant};

use bstar::Role::{self, Backup, Primary};
use bstar::programs::{Failure, say};
use rustix::process::Signal;

use super::children::{Actor, INTERVAL, Stage};

/// Plays every step; an error names the first that did not hold.
pub(super) fn play(stage: &mut Stage, timeout: Duration) -> Result<(), Failure> {
    say("Two servers make one pair: exactly one is active and serves, the other stands by.");
    say(&format!(
        "Each tells the other that it lives. After {} ms of silence the next client request",
        timeout.as_millis()
    ));
    say("decides: it reached the server that stands by, so that one takes over.\n");
    start(stage)?;
    let steps = [kill, restart, fail_back, switch_over, freeze];
    for step in steps {
        stage.breathe()?;
        step(stage)?;
    }
    stage.breathe()?;
    finish(stage)
}

fn start(stage: &mut Stage) -> Result<(), Failure> {
    let primary = stage.start_node(Primary)?;
    let backup = stage.start_node(Backup)?;
    let client = stage.start_client()?;
    tell(
        stage,
        "start",
        &format!(
            "primary (pid {primary}), backup (pid {backup}), and a client (pid {client}) that asks \
             every {} ms",
            INTERVAL.as_millis()
        ),
    );
    let at = settled(stage, Primary)?;
    tell_state(stage, at, Primary);
    tell_state(stage, at, Backup);
    Ok(())
}

fn kill(stage: &mut Stage) -> Result<(), Failure> {
    tell(stage, "kill -9", "the primary dies without a word");
    stage.signal(Actor::Node(Primary), Signal::KILL)?;
    stage.wait_for_end(Actor::Node(Primary))?;
    let at = active_and_serving(stage, Backup)?;
    tell_state(stage, at, Backup);
    tell_waited(stage);
    Ok(())
}

fn restart(stage: &mut Stage) -> Result<(), Failure> {
    let id = stage.start_node(Primary)?;
    tell(
        stage,
        "restart",
        &format!("the primary is back (pid {id}), and does not push in"),
    );
    let at = settled(stage, Backup)?;
    tell_state(stage, at, Primary);
    tell_waited(stage);
    Ok(())
}

fn fail_back(stage: &mut Stage) -> Result<(), Failure> {
    tell(
        stage,
        "fail back",
        "the operator stops the backup, which says goodbye first",
    );
    stage.signal(Actor::Node(Backup), Signal::TERM)?;
    let at = active_and_serving(stage, Primary)?;
    tell_state(stage, at, Primary);
    tell_waited(stage);
    ended_well(stage, Actor::Node(Backup))?;
    let id = stage.start_node(Backup)?;
    tell(stage, "restart", &format!("the backup is back (pid {id})"));
    let at = settled(stage, Primary)?;
    tell_state(stage, at, Backup);
    Ok(())
}

fn switch_over(stage: &mut Stage) -> Result<(), Failure> {
    tell(
        stage,
        "switch over",
        "the operator asks the primary to hand over, as for an upgrade",
    );
    stage.signal(Actor::Node(Primary), Signal::USR1)?;
    let at = active_and_serving(stage, Backup)?;
    tell_state(stage, at, Backup);
    let at = settled(stage, Backup)?;
    tell_state(stage, at, Primary);
    tell_waited(stage);
    Ok(())
}

fn freeze(stage: &mut Stage) -> Result<(), Failure> {
    tell(
        stage,
        "freeze",
        "the active backup is stopped in mid-flight, as a paused machine is",
    );
    stage.signal(Actor::Node(Backup), Signal::STOP)?;
    let at = active_and_serving(stage, Primary)?;
    tell_state(stage, at, Primary);
    tell_waited(stage);
    stage.breathe()?;
    tell(
        stage,
        "thaw",
        "it goes on, still believes that it is active, and must not serve",
    );
    stage.signal(Actor::Node(Backup), Signal::CONT)?;
    let at = stage.wait("the backup knows that it was away", |stage| {
        stage.is_in(Backup, "resigned") || stage.is_in(Backup, "passive")
    })?;
    tell_state(stage, at, Backup);
    let at = settled(stage, Primary)?;
    tell_state(stage, at, Backup);
    tell_waited(stage);
    Ok(())
}

fn finish(stage: &mut Stage) -> Result<(), Failure> {
    stage.signal(Actor::Client, Signal::INT)?;
    ended_well(stage, Actor::Client)?;
    // Its last line may still be on the way.
    stage.wait("the client sums up", |stage| !stage.totals().is_empty())?;
    for role in [Backup, Primary] {
        stage.signal(Actor::Node(role), Signal::TERM)?;
        ended_well(stage, Actor::Node(role))?;
    }
    let summary = stage.totals().to_owned();
    tell(stage, "end", &summary);
    say("\nEvery step held.");
    Ok(())
}

/// This one is active, and the client has had an answer from it.
fn active_and_serving(stage: &mut Stage, role: Role) -> Result<Instant, Failure> {
    let active = stage.wait(&format!("the {role} becomes active"), |stage| {
        stage.is_in(role, "active")
    })?;
    stage.wait(&format!("the {role} answers the client"), |stage| {
        stage.served_by() == Some(role)
    })?;
    Ok(active)
}

/// This one is active and serves, and the other is passive.
fn settled(stage: &mut Stage, active: Role) -> Result<Instant, Failure> {
    active_and_serving(stage, active)?;
    let passive = active.other();
    stage.wait(&format!("the {passive} stands by"), |stage| {
        stage.is_in(passive, "passive") && stage.is_in(active, "active")
    })
}

fn ended_well(stage: &mut Stage, actor: Actor) -> Result<(), Failure> {
    if stage.wait_for_end(actor)? {
        Ok(())
    } else {
        Err(format!("{actor:?} did not end well").into())
    }
}

fn tell(stage: &Stage, what: &str, more: &str) {
    line(stage, Instant::now(), what, more);
}

fn tell_state(stage: &Stage, at: Instant, role: Role) {
    let said = stage.said(role);
    let state = said.state.to_uppercase();
    line(
        stage,
        at,
        "",
        &format!(
            "→ the {role} is {state}   ({}, epoch {})",
            said.row, said.epoch
        ),
    );
}

fn tell_waited(stage: &mut Stage) {
    let waited = stage.take_waited();
    let more = match waited.as_millis() {
        _ if waited.is_zero() => "the client noticed nothing".to_owned(),
        0 => "the client waited less than 1 ms".to_owned(),
        millis => format!("the client waited {millis} ms, and got its answer"),
    };
    line(stage, Instant::now(), "", &format!("  {more}"));
}

fn line(stage: &Stage, at: Instant, what: &str, more: &str) {
    let seconds = at.saturating_duration_since(stage.began).as_secs_f64();
    say(&format!("{seconds:6.2} s  {what:<13}{more}"));
}
