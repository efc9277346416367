//! A handler that fails, in the midst of a flood.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use bstar::{Config, Role, Server};
use reactor::{Builder, Error};
use tests::{BOUND, Distribution, Outcome, ensure, free_endpoint, rounds_asked, tell};

use crate::LIMIT;
use crate::crowd::{Clients, Crowd};

const HEARTBEAT: Duration = Duration::from_millis(100);
/// As the program gives its sockets.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Runs a lone primary that fails at a word, and answers with how long its end took from there.
fn fail(clients: Clients) -> Outcome<Duration> {
    let [local, frontend] = [free_endpoint(), free_endpoint()];
    let (took, is_told) = channel();
    let (bound, is_bound) = channel();
    let (at, where_it_is) = (frontend.clone(), local.clone());
    let server = thread::spawn(move || -> Outcome<()> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let config = Config::new(Role::Primary).with_heartbeat(HEARTBEAT);
        let config = config.map_err(|error| text(&error))?;
        let mut reactor = Builder::new()
            .signals(false)
            .build::<Option<Instant>>()
            .map_err(|error| text(&error))?;
        Server::new(config, where_it_is, free_endpoint())
            .frontend(at, |failed: &mut Option<Instant>, scope, request| {
                if request.body().iter().any(|frame| &frame[..] == b"fail") {
                    *failed = Some(Instant::now());
                    return Err("out of paper".into());
                }
                Ok(request.echo(scope)?)
            })
            .attach(reactor.scope())
            .map_err(|error| text(&error))?;
        let _ = bound.send(());
        let mut failed = None;
        let result = reactor.run(&mut failed);
        let is_so = matches!(&result, Err(Error::Handler { error, .. }) if error.to_string() == "out of paper");
        ensure(is_so, || format!("{result:?}"))?;
        let _ = reactor.end(END_WITHIN);
        let failed = failed.ok_or("it has not failed")?;
        let _ = took.send(failed.elapsed());
        Ok(())
    });
    is_bound
        .recv()
        .map_err(|_| "it does not start".to_owned())?;
    let crowd = Crowd::gather(clients, &frontend, &local, None, std::process::id())?;
    let client = tests::ScriptedClient::connect(&frontend);
    // Before the guard has passed it is refused, and after that it is the last that is begun.
    let end = Instant::now() + BOUND;
    while !server.is_finished() && Instant::now() < end {
        client.ask(b"fail")?;
        thread::sleep(Duration::from_millis(5));
    }
    ensure(server.is_finished(), || "it runs on".to_owned())?;
    server.join().map_err(|_| "it panicked".to_owned())??;
    drop(crowd);
    is_told.recv().map_err(|error| error.to_string())
}

#[test]
fn a_handler_that_fails_ends_the_node_within_its_bound() -> Outcome<()> {
    let asked = rounds_asked();
    let mut all = Distribution::default();
    for round in 0..asked.map_or(3, |rounds| rounds.div_ceil(10)) {
        let clients = Clients::ALL[round % 3];
        let took = fail(clients)?;
        ensure(took <= LIMIT, || format!("{took:?} beside {clients:?}"))?;
        all.add(took);
    }
    if asked.is_some() {
        tell(&format!("endings, a handler that fails {all}"));
    }
    Ok(())
}
