//! The client on an application's own reactor.

use std::rc::Rc;
use std::time::Duration;

use bstar::client::{Client, ClientHandle, Config, Error, Idempotent, RequestError};
use reactor::{Builder, Reactor, Scope};

use crate::server::{BOUND, Server, echo, nobody, refuse, silent, wait_until};

#[derive(Default)]
struct App {
    client: Option<ClientHandle<App>>,
    log: Vec<String>,
    to_send: u32,
    ok: u32,
    failed: Vec<RequestError>,
}

fn rig(servers: [&str; 2], heartbeat: Duration) -> (Reactor<App>, App, ClientHandle<App>) {
    let mut reactor: Reactor<App> = Builder::new().signals(false).build().unwrap();
    let builder = Client::builder().servers(servers).heartbeat(heartbeat);
    let client = builder.attach(reactor.scope()).unwrap();
    let app = App {
        client: Some(client.clone()),
        ..App::default()
    };
    (reactor, app, client)
}

/// Turns the reactor until something outside of it has happened, which does not wake it.
fn turn_until(reactor: &mut Reactor<App>, app: &mut App, condition: impl Fn() -> bool) {
    wait_until("what the reactor is turned for", || {
        reactor.turn(app, Some(Duration::from_millis(5))).unwrap();
        condition()
    });
}

/// Sends one and, when it is answered, the next.
fn ask(app: &mut App, scope: &mut Scope<App>) {
    if app.to_send == 0 {
        return;
    }
    app.to_send -= 1;
    let client = app.client.clone().unwrap();
    let body = app.to_send.to_string().into_bytes();
    let expected = body.clone();
    let sent = client.request(
        scope,
        [body],
        Idempotent::Yes,
        BOUND,
        move |app, scope, result| {
            match result {
                Ok(reply) if reply.frames == [expected] => app.ok += 1,
                Ok(reply) => panic!("a reply for another request: {reply:?}"),
                Err(error) => app.failed.push(error),
            }
            ask(app, scope);
        },
    );
    sent.unwrap();
}

#[test]
fn many_requests_are_under_way_and_each_gets_its_own_answer() {
    let (primary, backup) = (Server::start(echo()), Server::start(echo()));
    let (mut reactor, mut app, client) = rig(
        [&primary.endpoint, &backup.endpoint],
        Duration::from_secs(60),
    );
    app.to_send = 5000;
    for _ in 0..64 {
        ask(&mut app, reactor.scope());
    }
    assert_eq!(client.outstanding(), 64);
    reactor
        .run_until(&mut app, |app| app.ok + app.failed.len() as u32 == 5000)
        .unwrap();
    assert_eq!(app.ok, 5000);
    assert_eq!(client.outstanding(), 0);
    assert_eq!(client.stats().attempts, 5000);
    assert_eq!(backup.requests(), 0);
}

#[test]
fn requests_under_way_survive_the_servers_death() {
    let (primary, backup) = (Server::start(silent()), Server::start(echo()));
    let (mut reactor, mut app, client) = rig(
        [&primary.endpoint, &backup.endpoint],
        Duration::from_secs(60),
    );
    app.to_send = 100;
    for _ in 0..100 {
        ask(&mut app, reactor.scope());
    }
    turn_until(&mut reactor, &mut app, || primary.requests() == 100);
    let mut primary = Some(primary);
    drop(primary.take());
    reactor.run_until(&mut app, |app| app.ok == 100).unwrap();
    assert_eq!(client.stats().attempts, 200);
}

#[test]
fn a_host_that_was_paused_does_not_blame_the_server() {
    let heartbeat = Duration::from_millis(20);
    let (primary, backup) = (Server::start(echo()), Server::start(echo()));
    let (mut reactor, mut app, client) = rig([&primary.endpoint, &backup.endpoint], heartbeat);
    app.to_send = 1;
    ask(&mut app, reactor.scope());
    turn_until(&mut reactor, &mut app, || client.stats().attempts == 1);
    // Past every time-out there is, with the answer waiting.
    primary.wait_for_requests(1);
    std::thread::sleep(heartbeat * 20);
    reactor.run_until(&mut app, |app| app.ok == 1).unwrap();
    let stats = client.stats();
    assert_eq!((stats.attempts, stats.silences), (1, 0));
}

#[test]
fn the_failover_callback_runs_before_the_answers_own() {
    let (primary, backup) = (Server::start(echo()), Server::start(echo()));
    let (mut reactor, mut app, client) = rig(
        [&primary.endpoint, &backup.endpoint],
        Duration::from_secs(60),
    );
    client.on_failover(|app, _, server, _| app.log.push(format!("failover to {server}")));
    let ask = |app: &mut App, reactor: &mut Reactor<App>| {
        let count = app.log.len();
        let scope = reactor.scope();
        let sent = client.request(scope, ["x"], Idempotent::Yes, BOUND, |app, _, result| {
            app.log
                .push(format!("answer of {}", result.unwrap().server));
        });
        sent.unwrap();
        reactor.run_until(app, |app| app.log.len() > count).unwrap();
    };
    ask(&mut app, &mut reactor);
    drop(primary);
    ask(&mut app, &mut reactor);
    assert_eq!(app.log, ["answer of 0", "failover to 1", "answer of 1"]);
}

#[test]
fn a_failover_callback_may_replace_itself() {
    let (primary, backup) = (Server::start(refuse()), Server::start(echo()));
    let (mut reactor, mut app, client) = rig(
        [&backup.endpoint, &primary.endpoint],
        Duration::from_millis(100),
    );
    /// What the callback holds may speak to the client when it goes.
    struct Asks(ClientHandle<App>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.stats();
        }
    }
    let asks = Asks(client.clone());
    client.on_failover(move |_, _, _, _| {
        let second = |app: &mut App, _: &mut Scope<App>, server, _| {
            app.log.push(format!("second {server}"));
        };
        asks.0.on_failover(second);
    });
    app.to_send = 1;
    ask(&mut app, reactor.scope());
    reactor.run_until(&mut app, |app| app.ok == 1).unwrap();
    let (endpoint, second) = (backup.endpoint.clone(), primary.endpoint.clone());
    drop((primary, backup));
    let there = Server::start_at(&second, echo());
    app.to_send = 1;
    ask(&mut app, reactor.scope());
    reactor.run_until(&mut app, |app| app.ok == 2).unwrap();
    drop(there);
    let _back = Server::start_at(&endpoint, echo());
    app.to_send = 1;
    ask(&mut app, reactor.scope());
    reactor.run_until(&mut app, |app| app.ok == 3).unwrap();
    assert_eq!(app.log, ["second 0"]);
}

#[test]
fn past_the_limit_a_request_is_refused_with_a_clear_error() {
    let mut reactor: Reactor<App> = Builder::new().signals(false).build().unwrap();
    let mut config = Config::with_heartbeat(Duration::from_secs(60));
    config.max_outstanding = 3;
    let builder = Client::builder()
        .servers([nobody(), nobody()])
        .config(config);
    let client = builder.attach(reactor.scope()).unwrap();
    let submit = |reactor: &mut Reactor<App>| {
        client.request(reactor.scope(), ["x"], Idempotent::No, BOUND, |_, _, _| {})
    };
    let ids: Vec<_> = (0..3).map(|_| submit(&mut reactor).unwrap()).collect();
    let error = submit(&mut reactor).unwrap_err();
    assert!(
        matches!(error, Error::TooManyOutstanding { limit: 3 }),
        "{error}"
    );
    assert!(client.cancel(ids[0]));
    assert!(!client.cancel(ids[0]));
    assert!(submit(&mut reactor).is_ok());
}

#[test]
fn closing_ends_what_is_under_way_and_frees_what_callbacks_hold() {
    let primary = Server::start(silent());
    let (mut reactor, mut app, client) =
        rig([&primary.endpoint, &nobody()], Duration::from_secs(60));
    app.to_send = 2;
    for _ in 0..2 {
        ask(&mut app, reactor.scope());
    }
    turn_until(&mut reactor, &mut app, || primary.requests() == 2);
    app.to_send = 0;
    client.close(reactor.scope());
    let refused = client.request(reactor.scope(), ["x"], Idempotent::No, BOUND, |_, _, _| {});
    assert!(matches!(refused, Err(Error::Closed)));
    reactor
        .run_until(&mut app, |app| app.failed.len() == 2)
        .unwrap();
    assert!(
        app.failed
            .iter()
            .all(|error| matches!(error, RequestError::Closed))
    );
}

#[test]
fn the_end_of_the_reactor_frees_what_callbacks_hold() {
    let primary = Server::start(silent());
    let (mut reactor, app, client) = rig([&primary.endpoint, &nobody()], Duration::from_secs(60));
    let held = Rc::new(());
    let (copy, handle) = (Rc::clone(&held), client.clone());
    let on_done = move |_: &mut App, _: &mut Scope<App>, _| drop((copy, handle));
    client
        .request(reactor.scope(), ["x"], Idempotent::No, BOUND, on_done)
        .unwrap();
    drop((reactor, app));
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(client.outstanding(), 1, "nobody was told, as documented");
}

#[test]
fn two_clients_share_a_context() {
    let (primary, backup) = (Server::start(echo()), Server::start(echo()));
    let context = zmq::Context::new();
    let mut reactor: Reactor<App> = Builder::new().signals(false).build().unwrap();
    let mut app = App::default();
    for _ in 0..2 {
        let servers = [primary.endpoint.clone(), backup.endpoint.clone()];
        let builder = Client::builder().servers(servers).context(&context);
        let client = builder.attach(reactor.scope()).unwrap();
        let sent = client.request(
            reactor.scope(),
            ["x"],
            Idempotent::No,
            BOUND,
            |app, _, r| {
                app.ok += u32::from(r.is_ok());
            },
        );
        sent.unwrap();
    }
    reactor.run_until(&mut app, |app| app.ok == 2).unwrap();
}
