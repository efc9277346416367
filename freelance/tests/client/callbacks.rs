//! The client on a reactor that the application owns.

use std::time::Duration;

use freelance::{Client, ClientHandle, Idempotent, Liveness, RequestError, ServerEvent};
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
        client.close(reactor.scope());
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
