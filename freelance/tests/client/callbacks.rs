//! The client on a reactor that the application owns.

use std::time::Duration;

use freelance::{Client, ClientHandle, Idempotent, Liveness, Model, RequestError, ServerEvent};
use reactor::Reactor;

use crate::peer::{Peer, SOON, echo, free_endpoint, mute};
use crate::{MODELS, echoed, quick};

#[derive(Default)]
struct App {
    client: Option<ClientHandle<App>>,
    answered: usize,
    errors: Vec<RequestError>,
    events: Vec<ServerEvent>,
}

fn reactor() -> Reactor<App> {
    Reactor::<App>::builder().signals(false).build().unwrap()
}

#[test]
fn a_callback_may_ask_again() {
    fn ask(app: &mut App, scope: &mut reactor::Scope<App>, left: usize) {
        let client = app.client.clone().unwrap();
        client
            .request(
                scope,
                [vec![7]],
                Idempotent::Yes,
                SOON,
                move |app: &mut App, scope, result| {
                    result.unwrap();
                    app.answered += 1;
                    match left {
                        0 => scope.stop(),
                        left => ask(app, scope, left - 1),
                    }
                },
            )
            .unwrap();
    }
    for model in MODELS {
        let server = Peer::echo(model);
        let mut reactor = reactor();
        let client = Client::builder(model).servers([server.endpoint()]);
        let mut app = App {
            client: Some(client.attach(reactor.scope()).unwrap()),
            ..App::default()
        };
        ask(&mut app, reactor.scope(), 99);
        reactor.run(&mut app).unwrap();
        assert_eq!(app.answered, 100, "{model:?}");
    }
}

#[test]
fn a_client_that_is_closed_ends_what_is_under_way() {
    for model in MODELS {
        let server = Peer::start(model, mute);
        let mut reactor = reactor();
        let client = Client::builder(model).servers([server.endpoint()]);
        let client = client.attach(reactor.scope()).unwrap();
        let done = |app: &mut App, _: &mut _, result: Result<_, RequestError>| {
            app.errors.push(result.err().unwrap());
        };
        client
            .request(reactor.scope(), ["x"], Idempotent::No, SOON, done)
            .unwrap();
        let mut app = App::default();
        let sent = |_: &mut App| !server.requests().is_empty();
        run_until(&mut reactor, &mut app, sent);
        client.close();
        let refused = client.request(reactor.scope(), ["x"], Idempotent::No, SOON, done);
        assert!(matches!(refused, Err(freelance::Error::Closed)));
        run_until(&mut reactor, &mut app, |app| !app.errors.is_empty());
        assert!(
            matches!(app.errors[..], [RequestError::Closed]),
            "{model:?}"
        );
    }
}

#[test]
fn what_was_cancelled_is_not_called_back() {
    for model in MODELS {
        let server = Peer::echo(model);
        let mut reactor = reactor();
        let client = Client::builder(model).servers([server.endpoint()]);
        let client = client.attach(reactor.scope()).unwrap();
        let count = |app: &mut App, _: &mut _, _| app.answered += 1;
        let first = client
            .request(reactor.scope(), ["a"], Idempotent::No, SOON, count)
            .unwrap();
        client
            .request(reactor.scope(), ["b"], Idempotent::No, SOON, count)
            .unwrap();
        assert!(client.cancel(first));
        let mut app = App::default();
        run_until(&mut reactor, &mut app, |app| app.answered > 0);
        reactor.turn(&mut app, Some(Duration::ZERO)).unwrap();
        assert_eq!((app.answered, client.outstanding()), (1, 0));
    }
}

#[test]
fn what_becomes_of_servers_is_told() {
    for model in MODELS {
        let endpoint = free_endpoint();
        let server = Peer::start_at(model, &endpoint, None, echo(model));
        let mut reactor = reactor();
        let client = quick(model).servers([&endpoint]);
        let client = client.attach(reactor.scope()).unwrap();
        client.on_server(|app: &mut App, _, event| app.events.push(event));
        let id = client.servers()[0].server;
        let last = move |app: &mut App, wanted| {
            app.events.last()
                == Some(&ServerEvent::Changed {
                    server: id,
                    liveness: wanted,
                })
        };
        let mut app = App::default();
        let changed = |server, liveness| ServerEvent::Changed { server, liveness };
        run_until(&mut reactor, &mut app, |app| {
            app.events.contains(&changed(id, Liveness::Live))
        });
        drop(server);
        run_until(&mut reactor, &mut app, |app| {
            last(app, Liveness::Connecting)
        });
        let _server = Peer::start_at(model, &endpoint, None, echo(model));
        run_until(&mut reactor, &mut app, |app| last(app, Liveness::Live));
    }
}

#[test]
fn a_reactor_that_ends_drops_callbacks_that_hold_the_client() {
    let server = Peer::start(freelance::Model::Three, mute);
    let token = std::rc::Rc::new(());
    {
        let mut reactor = reactor();
        let client = Client::builder(freelance::Model::Three).servers([server.endpoint()]);
        let client = client.attach(reactor.scope()).unwrap();
        let (held, kept) = (client.clone(), std::rc::Rc::clone(&token));
        let on_done = move |_: &mut App, _: &mut _, _| drop((held, kept));
        client
            .request(reactor.scope(), ["x"], Idempotent::No, SOON, on_done)
            .unwrap();
    }
    assert_eq!(std::rc::Rc::strong_count(&token), 1);
}

#[test]
fn replies_are_given_to_whom_they_belong() {
    for model in MODELS {
        let servers = [Peer::echo(model), Peer::echo(model)];
        let mut reactor = reactor();
        let client = Client::builder(model).pool(servers.iter().map(Peer::endpoint));
        let client = client.attach(reactor.scope()).unwrap();
        for n in 0..500_u32 {
            let body = n.to_be_bytes().to_vec();
            let expected = body.clone();
            let on_done = move |app: &mut App, _: &mut _, result: Result<freelance::Reply, _>| {
                let reply = result.unwrap();
                assert_eq!(echoed(model, &reply.frames), [expected]);
                app.answered += 1;
            };
            client
                .request(reactor.scope(), [body], Idempotent::Yes, SOON, on_done)
                .unwrap();
        }
        let mut app = App::default();
        run_until(&mut reactor, &mut app, |app| app.answered == 500);
    }
}

fn run_until(reactor: &mut Reactor<App>, app: &mut App, done: impl Fn(&mut App) -> bool) {
    let end = std::time::Instant::now() + SOON;
    while !done(app) {
        assert!(std::time::Instant::now() < end, "not within {SOON:?}");
        reactor.turn(app, Some(Duration::from_millis(5))).unwrap();
    }
}

#[test]
fn a_request_without_time_ends_from_the_reactor_and_in_the_next_turn() {
    fn ask(app: &mut App, scope: &mut reactor::Scope<App>) {
        let client = app.client.clone().unwrap();
        client
            .request(
                scope,
                ["x"],
                Idempotent::Yes,
                Duration::ZERO,
                |app: &mut App, scope, result| {
                    app.errors.push(result.unwrap_err());
                    ask(app, scope);
                },
            )
            .unwrap();
    }
    for model in MODELS {
        let server = Peer::echo(model);
        let mut reactor = reactor();
        let client = Client::builder(model).servers([server.endpoint()]);
        let mut app = App {
            client: Some(client.attach(reactor.scope()).unwrap()),
            ..App::default()
        };
        let is_ready = |app: &mut App| app.client.as_ref().unwrap().is_ready();
        run_until(&mut reactor, &mut app, is_ready);
        ask(&mut app, reactor.scope());
        assert!(app.errors.is_empty(), "never from within the call");
        for _ in 0..5 {
            let before = app.errors.len();
            reactor.turn(&mut app, Some(SOON)).unwrap();
            // One for each event of the client, of which a turn may bring a few.
            let ended = app.errors.len() - before;
            assert!((1..10).contains(&ended), "{model:?}: {ended} in a turn");
        }
        assert!(matches!(app.errors[0], RequestError::NoServer));
    }
}

#[test]
fn a_client_closed_by_a_callback_ends_what_is_under_way() {
    for model in MODELS {
        let server = Peer::start(model, mute);
        let mut reactor = reactor();
        let client = Client::builder(model).servers([server.endpoint()]);
        let client = client.attach(reactor.scope()).unwrap();
        let done = |app: &mut App, _: &mut _, result: Result<_, RequestError>| {
            app.errors.push(result.err().unwrap());
        };
        client
            .request(reactor.scope(), ["x"], Idempotent::No, SOON, done)
            .unwrap();
        let mut app = App::default();
        run_until(&mut reactor, &mut app, |_| !server.requests().is_empty());
        let closed = client.clone();
        client.on_server(move |_, _, event| {
            if matches!(&event, ServerEvent::Changed { liveness, .. } if *liveness == Liveness::Draining)
            {
                closed.close();
            }
        });
        let id = client.servers()[0].server;
        client.drain_server(reactor.scope(), id).unwrap();
        run_until(&mut reactor, &mut app, |app| !app.errors.is_empty());
        assert!(
            matches!(app.errors[..], [RequestError::Closed]),
            "{model:?}"
        );
        assert!(!client.is_ready());
    }
}

#[test]
fn a_callback_may_be_replaced_by_itself() {
    struct Asks(ClientHandle<App>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.stats();
        }
    }
    let server = Peer::echo(Model::Three);
    let mut reactor = reactor();
    let client = Client::builder(Model::Three).servers([server.endpoint()]);
    let client = client.attach(reactor.scope()).unwrap();
    let asks = Asks(client.clone());
    client.on_server(move |app: &mut App, _, event| {
        app.events.push(event);
        asks.0.on_server(|_, _, _| {});
    });
    let mut app = App::default();
    run_until(&mut reactor, &mut app, |app| !app.events.is_empty());
}

#[test]
fn a_server_that_is_drained_is_gone_when_its_last_request_is_cancelled() {
    for model in MODELS {
        let server = Peer::start(model, mute);
        let mut reactor = reactor();
        let client = Client::builder(model).servers([server.endpoint()]);
        let client = client.attach(reactor.scope()).unwrap();
        let request = client
            .request(reactor.scope(), ["x"], Idempotent::No, SOON, |_, _, _| {})
            .unwrap();
        let mut app = App::default();
        run_until(&mut reactor, &mut app, |_| !server.requests().is_empty());
        client
            .drain_server(reactor.scope(), client.servers()[0].server)
            .unwrap();
        reactor.turn(&mut app, Some(Duration::ZERO)).unwrap();
        assert!(client.cancel(request));
        // Well before anything else would come due.
        let due = std::time::Instant::now() + SOON / 2;
        run_until(&mut reactor, &mut app, |_| client.servers().is_empty());
        assert!(std::time::Instant::now() < due, "{model:?}");
    }
}
