//! How a server ends.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use freelance::server::{Config, Handle, Request};
use freelance::{Model, Server};
use reactor::Scope;

use crate::later::{Gate, work};
use crate::rig::{ANY, App, BOUND, Rig, control, echo, frames, keep, send};

/// A server that notes that it has closed.
fn builder(drain: Duration) -> Server<App> {
    let mut config = Config::new();
    config.drain = drain;
    Server::new(Model::Three, ANY)
        .config(config)
        .on_drained(|app: &mut App, _| {
            app.drained += 1;
            Ok(())
        })
}

/// A server that keeps one request, and its client.
fn with_one_kept(drain: Duration) -> (Rig, Handle, zmq::Socket) {
    let (mut rig, server) = Rig::keep(builder(drain));
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &[&control(1, 1), "first"]);
    rig.turn_until("the request", |app| app.kept.len() == 1);
    (rig, server, client)
}

#[test]
fn a_drain_refuses_what_is_new_and_finishes_what_is_under_way() {
    let (mut rig, server, client) = with_one_kept(BOUND);
    server.drain(rig.reactor.scope());
    server.drain(rig.reactor.scope());
    assert!(server.is_draining());
    send(&client, &["foreign", "second"]);
    send(&client, &["PING"]);
    send(&client, &[&control(2, 1), "third"]);
    assert_eq!(rig.answer(&client), frames(&["PONG"]));
    let refusal = frames(&[&control(2, 1), "fl-no draining"]);
    assert_eq!(rig.answer(&client), refusal);
    assert_eq!(rig.app.drained, 0);
    assert!(!server.is_closed());
    rig.reply(0, "done");
    assert_eq!(rig.answer(&client), frames(&[&control(1, 1), "done"]));
    rig.turn_until("the end", |app| app.drained > 0);
    assert!(server.is_closed());
    let stats = server.stats();
    assert_eq!((stats.refused, stats.dropped, stats.replied), (1, 1, 1));
    assert_eq!((stats.abandoned, rig.app.drained), (0, 1));
}

#[test]
fn a_drain_with_nothing_under_way_closes_at_once_and_frees_the_endpoint() {
    let mut rig = Rig::new();
    let server = rig.attach(builder(BOUND), echo).unwrap();
    server.drain(rig.reactor.scope());
    rig.turn_until("the end", |app| app.drained == 1);
    let endpoint = server.endpoint();
    // It is closed by a thread of its own.
    rig.turn_until("the endpoint to be free", |_| {
        std::net::TcpListener::bind(&endpoint["tcp://".len()..]).is_ok()
    });
}

#[test]
fn a_drain_refuses_what_waits_unread_also_where_nothing_is_under_way() {
    // What is sent before there is a link comes over it all at once: when the first is read, the others are there.
    let path = std::env::temp_dir().join(format!("freelance-drain-{}", std::process::id()));
    let endpoint = format!("ipc://{}", path.display());
    let mut rig = Rig::new();
    let client = rig.context.socket(zmq::DEALER).unwrap();
    client.set_linger(0).unwrap();
    client.set_reconnect_ivl(1).unwrap();
    client.connect(&endpoint).unwrap();
    for n in 1..=50 {
        send(&client, &[&control(n, 1), "x"]);
    }
    let handle = Rc::new(OnceCell::<Handle>::new());
    let own = Rc::clone(&handle);
    let drains = move |app: &mut App, scope: &mut Scope<App>, request: Request| {
        own.get().unwrap().drain(scope);
        echo(app, scope, request)
    };
    let server = rig.attach(Server::new(Model::Three, &endpoint), drains);
    handle.set(server.unwrap()).unwrap();
    let handle = handle.get().unwrap();
    assert_eq!(rig.answer(&client)[1], b"x");
    for n in 2..=50 {
        let refusal = frames(&[&control(n, 1), "fl-no draining"]);
        assert_eq!(rig.answer(&client), refusal);
    }
    rig.turn_until("the end", |_| handle.is_closed());
    assert_eq!((rig.app.seen.len(), handle.stats().refused), (1, 49));
    // libzmq leaves it there.
    std::fs::remove_file(&path).unwrap_or_default();
}

#[test]
fn a_drain_ends_at_its_bound_and_answers_that_come_later_are_let_go() {
    let (mut rig, server, client) = with_one_kept(Duration::from_millis(20));
    server.drain(rig.reactor.scope());
    rig.turn_until("the end", |app| app.drained == 1);
    assert!(server.is_closed());
    assert_eq!((server.stats().abandoned, server.under_way()), (1, 0));
    rig.reply(0, "too late");
    let stats = server.stats();
    assert_eq!((stats.replied, stats.abandoned), (0, 1));
    assert!(client.recv_multipart(zmq::DONTWAIT).is_err());
}

#[test]
fn to_close_does_not_wait() {
    let (mut rig, server, _client) = with_one_kept(BOUND);
    server.close(rig.reactor.scope());
    rig.turn_until("the end", |app| app.drained == 1);
    assert_eq!(server.stats().abandoned, 1);
    // Of no effect any more.
    server.drain(rig.reactor.scope());
    server.close(rig.reactor.scope());
    rig.app.kept.clear();
    rig.turn_until("some turns", |app| app.drained == 1);
}

#[test]
fn other_servers_go_on() {
    let (mut rig, ending, _client) = with_one_kept(BOUND);
    let other = rig.attach(Server::new(Model::One, ANY), echo).unwrap();
    let client = rig.client(zmq::DEALER, &other);
    ending.close(rig.reactor.scope());
    rig.turn_until("the end", |_| ending.is_closed());
    send(&client, &["", "x"]);
    assert_eq!(rig.answer(&client), frames(&["", "x"]));
}

#[test]
fn a_drain_waits_for_workers() {
    let (mut rig, gate) = (Rig::new(), Gate::default());
    let server = work(&mut rig, builder(BOUND), 1, &gate);
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["1", "wait"]);
    rig.turn_until("the request", |_| server.under_way() == 1);
    server.drain(rig.reactor.scope());
    rig.turn_until("a turn", |_| true);
    gate.open();
    assert_eq!(rig.answer(&client), frames(&["1", "wait"]));
    rig.turn_until("the end", |app| app.drained == 1);
}

#[test]
fn a_drain_does_not_wait_for_a_worker_that_hangs() {
    let (mut rig, gate) = (Rig::new(), Gate::default());
    let server = work(&mut rig, builder(Duration::from_millis(20)), 1, &gate);
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["1", "wait"]);
    rig.turn_until("the request", |_| server.under_way() == 1);
    server.drain(rig.reactor.scope());
    rig.turn_until("the end", |app| app.drained == 1);
    assert_eq!(server.stats().abandoned, 1);
    drop(rig);
    gate.open();
}

#[test]
fn what_waits_for_a_worker_is_not_executed_after_the_end() {
    let (mut rig, gate) = (Rig::new(), Gate::default());
    let executed = Arc::new(AtomicUsize::new(0));
    let (count, held) = (Arc::clone(&executed), gate.clone());
    let crew = builder(BOUND).workers(1, move |frames| {
        count.fetch_add(1, Ordering::SeqCst);
        held.pass();
        frames
    });
    let server = crew.attach(rig.reactor.scope()).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    for n in ["1", "2", "3"] {
        send(&client, &[n, "x"]);
    }
    rig.turn_until("the requests", |_| server.under_way() == 3);
    rig.turn_until("the worker", |_| executed.load(Ordering::SeqCst) == 1);
    server.close(rig.reactor.scope());
    rig.turn_until("the end", |app| app.drained == 1);
    gate.open();
    // With its last worker goes what it executes.
    rig.turn_until("the end of the worker", |_| {
        Arc::strong_count(&executed) == 1
    });
    assert_eq!(executed.load(Ordering::SeqCst), 1);
}

#[test]
fn the_last_answer_leaves_before_the_reactor_is_gone() {
    let (mut rig, server, client) = with_one_kept(BOUND);
    server.drain(rig.reactor.scope());
    let large = "x".repeat(20_000_000);
    rig.reply(0, &large);
    rig.turn_until("the end", |app| app.drained == 1);
    drop(rig.reactor);
    client.set_rcvtimeo(BOUND.as_millis() as i32).unwrap();
    assert_eq!(client.recv_multipart(0).unwrap()[1].len(), large.len());
}

#[test]
fn a_run_that_is_stopped_tells_who_waits_and_drains() {
    let (mut rig, server, client) = with_one_kept(BOUND);
    // Who asks last is there first: the stop comes before any turn that could serve it.
    send(&client, &["PING"]);
    assert_eq!(rig.answer(&client), frames(&["PONG"]));
    let kept_later = rig.client(zmq::DEALER, &server);
    rig.reactor.scope().stop();
    rig.reactor.run(&mut rig.app).unwrap();
    assert!(server.is_draining());
    send(&kept_later, &[&control(2, 1), "x"]);
    let refusal = frames(&[&control(2, 1), "fl-no draining"]);
    assert_eq!(rig.answer(&kept_later), refusal);
    rig.reply(0, "done");
    assert_eq!(rig.answer(&client), frames(&[&control(1, 1), "done"]));
    rig.turn_until("the end", |app| app.drained == 1);
}

#[test]
fn a_server_that_keeps_nothing_has_closed_when_a_stopped_run_returns() {
    let mut rig = Rig::new();
    let server = rig.attach(builder(BOUND), keep).unwrap();
    rig.reactor.scope().stop();
    rig.reactor.run(&mut rig.app).unwrap();
    assert!(server.is_closed());
    assert_eq!(rig.app.drained, 1);
}

#[test]
fn repliers_outlive_the_reactor() {
    let (rig, server, _client) = with_one_kept(BOUND);
    drop(rig.reactor);
    assert!(server.is_closed());
    assert_eq!(rig.app.kept.len(), 1);
    drop(rig.app);
    assert_eq!(server.stats().abandoned, 1);
}
