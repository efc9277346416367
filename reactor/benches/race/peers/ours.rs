//! The reactor.

use std::time::Instant;

use reactor::zmq::Message;
use reactor::{Backend, Builder, Interest, Missed, Next, Reactor, Scope, TimerKey};

use crate::Result;
use crate::contest::{Contestant, Test};
use crate::meter::{
    FAR_OFF, Fairness, Flooded, Meter, PERIOD, Poster, Relay, Report, Spread, idle_sockets,
};

pub(super) fn run(contestant: Contestant, test: Test, count: u64) -> Result<Report> {
    let builder = match contestant {
        Contestant::Polling => Builder::new().backend(Backend::Polling),
        Contestant::MioSingle => Builder::new().backend(Backend::Mio).budget(1),
        _ => Builder::new().backend(Backend::Mio),
    };
    match test {
        Test::Sockets(size) => sockets(builder, size, count),
        Test::Turn(size) => turns(builder, size, count, 1),
        Test::TurnAlone(size) => turns(builder, size, count, 0),
        Test::Cancel(size) => cancels(builder, size, count),
        Test::Ticket(size) => tickets(builder, size, count),
        Test::Wake(_) => wakes(builder, count),
        Test::Flood(transport, _) => {
            let (pull, flooded) = Flooded::start(transport, count)?;
            flood(builder, pull, flooded)
        }
        Test::Fairness => fairness(builder, count),
    }
}

fn sockets(builder: Builder, size: u32, count: u64) -> Result<Report> {
    let (busy, mut relay) = Relay::new(count)?;
    let mut reactor: Reactor<Relay> = builder.build()?;
    let mut frames = Vec::new();
    let scope = reactor.scope();
    scope.add_socket("busy", busy, Interest::READ, move |relay, scope, key, _| {
        if scope.recv(key, &mut frames)? && relay.pass(&mut frames[0])? {
            scope.stop();
        }
        Ok(())
    })?;
    add_idle(scope, size)?;
    reactor.run(&mut relay)?;
    Ok(relay.meter.report())
}

fn add_idle<S: 'static>(scope: &mut Scope<S>, size: u32) -> Result<()> {
    for idle in idle_sockets(size)? {
        let mut frames = Vec::new();
        scope.add_socket("idle", idle, Interest::READ, move |_, scope, key, _| {
            if scope.recv(key, &mut frames)? {
                return Err("an idle socket is readable".into());
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn turns(builder: Builder, size: u32, count: u64, idle: u32) -> Result<Report> {
    let mut reactor: Reactor<Meter> = builder.build()?;
    let scope = reactor.scope();
    for at in Spread::new(size).pending() {
        add_far_off(scope, at)?;
    }
    add_idle(scope, idle)?;
    // Always due again at once, as a timer of no delay is with zloop.
    scope.add_timer("turn", Instant::now(), |meter, scope, _| {
        if meter.tick() {
            scope.stop();
            return Ok(Next::Done);
        }
        Ok(Next::At(scope.now()))
    })?;
    let mut meter = Meter::on_cpu(count);
    reactor.run(&mut meter)?;
    Ok(meter.report())
}

fn add_far_off<S: 'static>(scope: &mut Scope<S>, at: Instant) -> Result<TimerKey> {
    Ok(scope.add_timer("far off", at, |_, _, _| Err("a far-off timer fired".into()))?)
}

fn cancels(builder: Builder, size: u32, count: u64) -> Result<Report> {
    let mut reactor: Reactor<()> = builder.build()?;
    let scope = reactor.scope();
    let mut spread = Spread::new(size);
    for at in spread.pending() {
        add_far_off(scope, at)?;
    }
    let mut meter = Meter::on_cpu(count);
    loop {
        let key = add_far_off(scope, spread.next())?;
        if !scope.cancel_timer(key) {
            return Err("the timer was not there".into());
        }
        if meter.tick() {
            return Ok(meter.report());
        }
    }
}

fn tickets(builder: Builder, size: u32, count: u64) -> Result<Report> {
    let mut reactor: Reactor<()> = builder.build()?;
    let scope = reactor.scope();
    let class = scope.add_tickets("clients", FAR_OFF, |_, _, _, _| {
        Err("a far-off ticket came up".into())
    })?;
    let mut tickets = Vec::new();
    for client in 0..u64::from(size) {
        tickets.push(scope.issue_ticket(class, client)?);
    }
    let mut meter = Meter::on_cpu(count);
    loop {
        for ticket in &tickets {
            if !scope.reset_ticket(*ticket) {
                return Err("the ticket was not there".into());
            }
            if meter.tick() {
                return Ok(meter.report());
            }
        }
    }
}

fn wakes(builder: Builder, count: u64) -> Result<Report> {
    let mut reactor: Reactor<Option<Poster>> = builder.build()?;
    let handle = reactor.handle();
    let poster = Poster::start(count, move || {
        // Where it fails nobody answers, and the run ends by its bound.
        let _ = handle.post(|poster: &mut Option<Poster>, scope| {
            if poster.as_mut().is_some_and(Poster::answer) {
                scope.stop();
            }
        });
    });
    let mut state = Some(poster);
    reactor.run(&mut state)?;
    Ok(state.map(Poster::report).unwrap_or_default())
}

fn flood(builder: Builder, pull: reactor::zmq::Socket, mut flooded: Flooded) -> Result<Report> {
    let mut reactor: Reactor<Flooded> = builder.build()?;
    let mut frames = Vec::new();
    reactor.scope().add_socket(
        "flood",
        pull,
        Interest::READ,
        move |flooded, scope, key, _| {
            if scope.recv(key, &mut frames)? && flooded.take(&frames[0]) {
                scope.stop();
            }
            Ok(())
        },
    )?;
    reactor.run(&mut flooded)?;
    Ok(flooded.meter.report())
}

fn fairness(builder: Builder, ticks: u64) -> Result<Report> {
    let (pull, neighbour, mut fairness) = Fairness::start(ticks)?;
    let mut reactor: Reactor<Fairness> = builder.build()?;
    let scope = reactor.scope();
    let mut frames: Vec<Message> = Vec::new();
    scope.add_socket(
        "flood",
        pull,
        Interest::READ,
        move |fairness, scope, key, _| {
            if scope.recv(key, &mut frames)? {
                fairness.flooded(&frames[0]);
            }
            Ok(())
        },
    )?;
    let mut frames: Vec<Message> = Vec::new();
    scope.add_socket(
        "neighbour",
        neighbour,
        Interest::READ,
        move |fairness, scope, key, _| {
            if scope.recv(key, &mut frames)? {
                fairness.neighboured(&frames[0]);
            }
            Ok(())
        },
    )?;
    scope.add_interval("tick", PERIOD, Missed::Skip, |fairness, scope, deadline| {
        if fairness.ticked(deadline) {
            scope.stop();
        }
        Ok(())
    })?;
    reactor.run(&mut fairness)?;
    Ok(fairness.report())
}
