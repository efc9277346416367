//! Requests that are answered later, by the application or by workers.

use std::sync::{Arc, Condvar, Mutex};

use freelance::server::{Config, Handle};
use freelance::{Model, Server};

use crate::rig::{ANY, App, Rig, control, frames, send};

/// Holds workers up until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let closed = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(closed, |open| !*open).unwrap());
    }
}

/// Opens when the test ends, also by a panic, so that no worker is left behind.
impl Drop for Gate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.open();
        }
    }
}

fn with_queue(model: Model, queue: usize) -> Server<App> {
    let mut config = Config::new();
    config.queue = queue;
    Server::new(model, ANY).config(config)
}

/// Workers that echo, panic at "panic", say nothing at "nothing", and wait at "wait".
pub(crate) fn work(rig: &mut Rig, builder: Server<App>, threads: usize, gate: &Gate) -> Handle {
    let gate = gate.clone();
    let crew = builder.workers(threads, move |frames| {
        match &frames[0][..] {
            b"panic" => panic!("as it was told"),
            b"nothing" => return Vec::new(),
            b"wait" => gate.pass(),
            _ => {}
        }
        frames
    });
    crew.attach(rig.reactor.scope()).unwrap()
}

#[test]
fn requests_of_all_models_are_answered_in_any_order() {
    for model in [Model::One, Model::Two, Model::Three] {
        let (mut rig, server) = Rig::keep(Server::new(model, ANY));
        let client = rig.client(zmq::DEALER, &server);
        let envelope = |n: &str| match model {
            Model::One => frames(&[n, ""]),
            Model::Two => frames(&["", n]),
            Model::Three => frames(&[n]),
        };
        for n in ["1", "2", "3"] {
            let message = [envelope(n), frames(&["x"])].concat();
            client.send_multipart(&message, 0).unwrap();
        }
        rig.turn_until("three requests", |app| app.kept.len() == 3);
        assert_eq!(server.under_way(), 3);
        for (at, n) in [(2, "3"), (0, "1"), (0, "2")] {
            rig.reply(at, n);
            let expected = [envelope(n), frames(&[n])].concat();
            assert_eq!(rig.answer(&client), expected);
        }
        assert_eq!((server.under_way(), server.stats().replied), (0, 3));
    }
}

#[test]
fn a_request_tells_its_client_and_its_control_frame() {
    for (model, message, expected) in [
        (Model::One, &["", "x"][..], None),
        (Model::One, &["id-1", "", "x"], Some(&b"id-1"[..])),
        (Model::Two, &["", "1", "x"], None),
        (Model::Three, &["", "x"], Some(b"")),
    ] {
        let (mut rig, server) = Rig::keep(Server::new(model, ANY));
        let client = rig.context.socket(zmq::DEALER).unwrap();
        client.set_identity(b"me").unwrap();
        client.connect(&server.endpoint()).unwrap();
        send(&client, message);
        rig.turn_until("the request", |app| !app.kept.is_empty());
        assert_eq!(rig.app.kept[0].control(), expected, "{message:?}");
        assert_eq!(rig.app.kept[0].client(), b"me");
    }
}

#[test]
fn a_full_queue_refuses_ours_by_word_and_drops_others() {
    for model in [Model::One, Model::Two, Model::Three] {
        let (mut rig, server) = Rig::keep(with_queue(model, 1));
        let client = rig.client(zmq::DEALER, &server);
        let message = |control: &str| match model {
            Model::One => frames(&[control, "", "x"]),
            Model::Two => frames(&[control, "", "1", "x"]),
            Model::Three => frames(&[control, "x"]),
        };
        let (first, second) = (control(1, 1), control(2, 1));
        for control in [&first, "foreign", &second] {
            client.send_multipart(message(control), 0).unwrap();
        }
        let mut refusal = frames(&[&second, "fl-no full"]);
        if model != Model::Three {
            refusal.insert(1, Vec::new());
        }
        assert_eq!(rig.answer(&client), refusal);
        assert_eq!((server.stats().refused, server.stats().dropped), (1, 1));
        rig.reply(0, "room again");
        assert_eq!(rig.answer(&client)[0], first.as_bytes());
        client.send_multipart(message("foreign"), 0).unwrap();
        rig.turn_until("the request", |app| app.kept.len() == 1);
    }
}

#[test]
fn a_replier_that_is_dropped_makes_room() {
    let (mut rig, server) = Rig::keep(with_queue(Model::One, 1));
    let client = rig.client(zmq::DEALER, &server);
    for n in 1..=3 {
        send(&client, &["", "x"]);
        rig.turn_until("the request", |app| app.kept.len() == 1);
        rig.app.kept.clear();
        assert_eq!((server.under_way(), server.stats().unanswered), (0, n));
    }
}

#[test]
fn a_handler_may_say_that_it_did_not_execute() {
    let mut rig = Rig::new();
    let refuse = |_: &mut App, scope: &mut _, request: freelance::server::Request| {
        request.refuse(scope);
        Ok(())
    };
    let server = rig.attach(Server::new(Model::Three, ANY), refuse).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    let own = control(1, 1);
    send(&client, &["foreign", "x"]);
    send(&client, &[&own, "x"]);
    assert_eq!(rig.answer(&client), frames(&[&own, "fl-no refused"]));
}

#[test]
fn an_error_of_the_handler_ends_the_run_and_leaves_the_server_in_order() {
    let mut rig = Rig::new();
    let fail = |app: &mut App, scope: &mut _, request: freelance::server::Request| {
        if app.seen.is_empty() {
            app.seen.push(Vec::new());
            return Err("as it was told".into());
        }
        Ok(request.echo(scope)?)
    };
    let server = rig.attach(Server::new(Model::One, ANY), fail).unwrap();
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["", "first"]);
    let error = rig.reactor.run(&mut rig.app).unwrap_err().to_string();
    assert_eq!(error, "handler of freelance server failed: as it was told");
    assert_eq!((server.under_way(), server.stats().unanswered), (0, 1));
    send(&client, &["", "second"]);
    assert_eq!(rig.answer(&client), frames(&["", "second"]));
}

#[test]
fn workers_execute_side_by_side_and_answer_as_they_are_done() {
    let (mut rig, gate) = (Rig::new(), Gate::default());
    let server = work(&mut rig, Server::new(Model::Three, ANY), 2, &gate);
    let client = rig.client(zmq::DEALER, &server);
    send(&client, &["1", "wait"]);
    for n in 2..100 {
        send(&client, &[&n.to_string(), "x"]);
    }
    for n in 2..100 {
        assert_eq!(rig.answer(&client), frames(&[&n.to_string(), "x"]));
    }
    gate.open();
    assert_eq!(rig.answer(&client), frames(&["1", "wait"]));
    assert_eq!(server.stats().replied, 99);
}

#[test]
fn a_job_that_panics_costs_its_request_and_not_its_worker() {
    let (mut rig, gate) = (Rig::new(), Gate::default());
    let server = work(&mut rig, Server::new(Model::Three, ANY), 1, &gate);
    let client = rig.client(zmq::DEALER, &server);
    let own = control(1, 1);
    send(&client, &[&own, "panic"]);
    send(&client, &["foreign", "panic"]);
    send(&client, &["2", "nothing"]);
    send(&client, &["3", "x"]);
    assert_eq!(rig.answer(&client), frames(&["3", "x"]));
    let stats = server.stats();
    assert_eq!((stats.failed, stats.unanswered), (2, 1));
    assert_eq!((stats.refused, server.under_way()), (0, 0));
}

#[test]
fn the_queue_of_workers_is_bounded() {
    let (mut rig, gate) = (Rig::new(), Gate::default());
    let server = work(&mut rig, with_queue(Model::Three, 3), 1, &gate);
    let client = rig.client(zmq::DEALER, &server);
    for n in 1..=4 {
        send(&client, &[&control(n, 1), "wait"]);
    }
    assert_eq!(rig.answer(&client), frames(&[&control(4, 1), "fl-no full"]));
    gate.open();
    for n in 1..=3 {
        assert_eq!(rig.answer(&client), frames(&[&control(n, 1), "wait"]));
    }
}
