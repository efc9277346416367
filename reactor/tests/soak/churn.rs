//! What comes and goes while the reactor is flooded.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use reactor::{
    BoxError, Connection, Error, Event, Interest, Missed, Next, Scope, Source, SourceKey,
    TicketClassKey, TimerKey, zmq,
};

use crate::App;
use crate::common::{BOUND, pair};

/// Has things come and go once a millisecond.
pub(crate) fn churn(app: &mut App, scope: &mut Scope<App>, context: &zmq::Context) -> TimerKey {
    let delay = Duration::from_millis(2);
    let tickets = scope
        .add_tickets("tickets", delay, |app: &mut App, _, _, _| {
            app.tickets.ended += 1;
            Ok(())
        })
        .unwrap();
    app.tickets_class = Some(tickets);
    let (context, period) = (context.clone(), Duration::from_millis(1));
    scope
        .add_interval("churn", period, Missed::Skip, move |app, scope, _| {
            app.ticks += 1;
            if app.ticks.is_multiple_of(8) {
                pause_or_resume(app, scope)?;
            }
            if !app.has_room() {
                return Ok(());
            }
            add_sockets(app, scope, &context)?;
            add_stream(app, scope)?;
            add_timers(app, scope)?;
            issue_tickets(app, scope, tickets)?;
            if app.ticks.is_multiple_of(16) {
                add_monitored(app, scope, &context)?;
            }
            app.sources.begun += 1;
            scope.add_source("passer-by", PasserBy)?;
            Ok(())
        })
        .unwrap()
}

pub(crate) fn pause_or_resume(app: &mut App, scope: &mut Scope<App>) -> Result<(), Error> {
    app.paused = !app.paused;
    let interest = if app.paused {
        Interest::NONE
    } else {
        Interest::READ
    };
    let mut flooded = app.flooded.iter();
    flooded.try_for_each(|key| scope.set_interest(*key, interest))
}

/// Two sockets, of which one speaks and the other listens, until both are gone.
fn add_sockets(
    app: &mut App,
    scope: &mut Scope<App>,
    context: &zmq::Context,
) -> Result<(), BoxError> {
    const MESSAGES: u64 = 3;
    let (ours, theirs) = pair(context);
    let speaker = scope
        .add_socket("speaker", theirs, Interest::NONE, |_, _, _, _| Ok(()))
        .map_err(Error::from)?;
    let (mut frames, mut heard) = (Vec::new(), 0);
    scope
        .add_socket(
            "listener",
            ours,
            Interest::READ,
            move |app: &mut App, scope, key, _| {
                if scope.recv(key, &mut frames)? {
                    assert_eq!(frames[0][..], u64::to_le_bytes(heard));
                    heard += 1;
                }
                if heard == MESSAGES {
                    app.sockets.ended += 1;
                    drop(scope.remove_socket(key));
                    drop(scope.remove_socket(speaker));
                }
                Ok(())
            },
        )
        .map_err(Error::from)?;
    for number in 0..MESSAGES {
        scope.send(speaker, [&number.to_le_bytes()[..]])?;
    }
    app.sockets.begun += 1;
    Ok(())
}

fn add_stream(app: &mut App, scope: &mut Scope<App>) -> Result<(), BoxError> {
    let (ours, mut theirs) = UnixStream::pair()?;
    theirs.write_all(b"ab")?;
    scope
        .add_fd(
            "stream",
            ours,
            Interest::READ,
            move |app: &mut App, scope, key, _| {
                let mut byte = [0];
                let mut ours = scope.fd::<UnixStream>(key).ok_or(Error::Stale)?;
                if ours.read(&mut byte)? == 0 {
                    app.streams.ended += 1;
                    scope.remove_fd(key);
                }
                Ok(())
            },
        )
        .map_err(Error::from)?;
    app.streams.begun += 1;
    Ok(())
}

/// One that fires, and one that is cancelled.
fn add_timers(app: &mut App, scope: &mut Scope<App>) -> Result<(), Error> {
    let at = scope.now() + Duration::from_millis(2);
    let cancelled = scope.add_timer("cancelled", at, |_, _, _| Err("it fired".into()))?;
    scope.add_timer(
        "timer",
        at - Duration::from_millis(1),
        move |app: &mut App, scope, _| {
            assert!(scope.cancel_timer(cancelled));
            app.timers.ended += 1;
            Ok(Next::Done)
        },
    )?;
    app.timers.begun += 1;
    Ok(())
}

/// One that expires, and one that is cancelled.
fn issue_tickets(
    app: &mut App,
    scope: &mut Scope<App>,
    class: TicketClassKey,
) -> Result<(), Error> {
    scope.issue_ticket(class, app.ticks)?;
    let cancelled = scope.issue_ticket(class, app.ticks)?;
    scope.defer(move |_, scope| assert!(scope.cancel_ticket(cancelled)));
    app.tickets.begun += 1;
    Ok(())
}

/// A socket that is removed when its monitor has seen it bound, and the monitor with it.
fn add_monitored(
    app: &mut App,
    scope: &mut Scope<App>,
    context: &zmq::Context,
) -> Result<(), BoxError> {
    let socket = context.socket(zmq::REP)?;
    let key = scope
        .add_socket("monitored", socket, Interest::READ, |_, _, _, _| Ok(()))
        .map_err(Error::from)?;
    scope.add_monitor(
        "monitor",
        context,
        key,
        move |app: &mut App, scope, event| {
            match event.what {
                Connection::Listening => drop(scope.remove_socket(key)),
                Connection::Stopped => app.monitors.ended += 1,
                _ => {}
            }
            Ok(())
        },
    )?;
    scope.with_socket(key, |socket| socket.bind("tcp://127.0.0.1:*"))??;
    app.monitors.begun += 1;
    Ok(())
}

/// A source that owns several things, and goes with the first that happens.
struct PasserBy;

impl Source<App> for PasserBy {
    fn start(&mut self, scope: &mut Scope<App>, me: SourceKey) -> Result<(), Error> {
        let now = scope.now();
        scope.own_timer(me, 0, now + Duration::from_millis(1))?;
        scope.own_timer(me, 1, now + BOUND * 10)?;
        scope.own_tickets(me, 2, BOUND)?;
        scope.own_hook(me, 3)?;
        scope.waker().notify(me);
        Ok(())
    }

    fn on_event(
        &mut self,
        app: &mut App,
        scope: &mut Scope<App>,
        event: Event,
    ) -> Result<(), BoxError> {
        if let Event::Timer { tag, key, .. } = event {
            assert_eq!(tag, 0);
            app.sources.ended += 1;
            let me = scope.owner(key).ok_or(Error::Stale)?;
            assert!(scope.remove_source(me));
        }
        Ok(())
    }
}
