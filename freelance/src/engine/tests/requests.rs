//! From a request to its end.

use super::*;

#[test]
fn a_request_goes_out_in_its_envelope_and_its_answer_comes_back() {
    let envelopes: [(Model, &[&[u8]]); 3] = [
        (Model::One, &[b"fl/1 000000000000feed 1 1", b""]),
        (Model::Two, &[b"fl/1 000000000000feed 1 1", b"", b"1"]),
        (Model::Three, &[b"fl/1 000000000000feed 1 1"]),
    ];
    for (model, envelope) in envelopes {
        let mut rig = Rig::connected(config(model), &[0]);
        let [a] = rig.servers[..] else { unreachable!() };
        let id = rig.submit(Idempotent::No, 1000);
        assert_eq!(rig.sent, [(a, id, 1)]);
        let head = rig.engine.head(id, 1).unwrap();
        assert_eq!(head.frames().collect::<Vec<_>>(), envelope);
        assert_eq!(rig.engine.body(id), Some(&"body"));
        rig.advance(7);
        rig.reply(a, id);
        let reply = rig.result(id).unwrap().unwrap();
        assert_eq!(reply.frames, [b"yes".to_vec()]);
        assert_eq!((reply.server, reply.attempts), (a, 1));
        assert_eq!(reply.elapsed, ms(7));
        assert_eq!(rig.engine.outstanding(), 0);
        assert!(rig.engine.head(id, 1).is_none() && rig.engine.body(id).is_none());
    }
}

#[test]
fn with_no_server_a_request_ends_at_its_deadline_as_not_executed() {
    let mut rig = Rig::new(config(Model::One), &[]);
    let id = rig.submit(Idempotent::Yes, 300);
    rig.advance_to(299);
    assert!(rig.result(id).is_none());
    rig.advance_to(300);
    assert!(matches!(rig.result(id), Some(Err(RequestError::NoServer))));
}

#[test]
fn refused_by_all_until_the_deadline_was_not_executed() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let id = rig.submit(Idempotent::No, 45);
    let mut refused = 0;
    while rig.engine.outstanding() > 0 {
        match rig.sent.pop() {
            Some((server, id, attempt)) => {
                refused += 1;
                rig.answer(server, id, attempt, b"fl-no full");
            }
            None => rig.step(),
        }
    }
    assert_eq!(rig.now_ms(), 45);
    assert!(matches!(rig.result(id), Some(Err(RequestError::NoServer))));
    assert_eq!(refused, 6, "both at once, after 10 and after 30 ms");
}

#[test]
fn what_left_and_was_not_answered_is_unknown_at_the_deadline() {
    for idempotent in [Idempotent::Yes, Idempotent::No] {
        let mut rig = Rig::connected(config(Model::One), &[0, 1]);
        let id = rig.submit(idempotent, 250);
        rig.advance_to(249);
        assert!(rig.result(id).is_none());
        rig.advance_to(250);
        assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
        rig.sent.clear();
        rig.advance_to(5000);
        assert!(rig.sent.is_empty());
    }
}

#[test]
fn nothing_is_sent_at_its_deadline() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let id = rig.submit(Idempotent::Yes, 0);
    assert!(matches!(rig.result(id), Some(Err(RequestError::NoServer))));
    let mut waiting = Rig::new(config(Model::One), &[0]);
    let id = waiting.submit(Idempotent::Yes, 50);
    waiting.advance_to(49);
    waiting.now += ms(1);
    waiting.connect(waiting.servers[0]);
    assert!(matches!(
        waiting.result(id),
        Some(Err(RequestError::NoServer))
    ));
    assert!(rig.sent.is_empty() && waiting.sent.is_empty());
}

#[test]
fn a_request_past_the_limit_is_an_error_until_an_end_is_polled() {
    let mut config = config(Model::One);
    config.max_outstanding = 2;
    let mut rig = Rig::connected(config, &[0]);
    let (now, deadline) = (rig.now, rig.now + ms(1000));
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = rig.engine.submit("body", Idempotent::Yes, deadline, now);
        ids.push(id.unwrap());
    }
    let is_full = |rig: &mut Rig| {
        let more = rig.engine.submit("body", Idempotent::Yes, deadline, now);
        matches!(more, Err(Error::TooManyOutstanding { limit: 2 }))
    };
    assert!(is_full(&mut rig));
    while rig.engine.poll_action(now).is_some() {}
    let server = rig.servers[0];
    let control = rig.envelope(ids[0], 1);
    let frames: [&[u8]; 3] = [&control[0], b"", b"yes"];
    rig.engine
        .handle_message(server, &frames, |_| Vec::new(), now);
    assert_eq!(rig.engine.outstanding(), 1);
    assert!(is_full(&mut rig), "its end was not polled");
    rig.drain();
    assert!(!is_full(&mut rig));
    assert_eq!(rig.engine.stats().submitted, 3);
}

#[test]
fn a_cancelled_request_ends_without_an_event_and_its_answer_is_late() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let id = rig.submit(Idempotent::Yes, 1000);
    assert!(rig.engine.cancel(id));
    assert!(!rig.engine.cancel(id));
    rig.reply(rig.servers[0], id);
    rig.advance_to(2000);
    assert!(rig.done.is_empty());
    assert_eq!(rig.engine.stats().late, 1);
    assert_eq!(rig.engine.server(rig.servers[0]).unwrap().late, 1);
}

#[test]
fn close_ends_every_request_and_takes_no_more() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let left = rig.submit(Idempotent::Yes, 1000);
    rig.disconnect(rig.servers[0]);
    let never_left = rig.submit(Idempotent::Yes, 1000);
    rig.engine.close();
    rig.drain();
    assert!(matches!(rig.result(left), Some(Err(RequestError::Closed))));
    assert!(matches!(
        rig.result(never_left),
        Some(Err(RequestError::NoServer))
    ));
    let more = rig
        .engine
        .submit("body", Idempotent::Yes, rig.now + ms(9), rig.now);
    assert!(matches!(more, Err(Error::Closed)));
    assert_eq!(rig.engine.next_deadline(), None);
}

#[test]
fn the_body_of_a_reply_is_taken_only_when_it_ends_a_request() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.reply(rig.servers[0], id);
    let envelope = rig.envelope(id, 1);
    let frames: [&[u8]; 3] = [&envelope[0], b"", b"again"];
    let (server, now) = (rig.servers[0], rig.now);
    let take = |_: &[&[u8]]| panic!("a late reply is not looked into");
    rig.engine.handle_message(server, &frames, take, now);
    assert_eq!(rig.engine.stats().late, 1);
}

#[test]
fn only_what_answers_a_copy_that_this_server_got_ends_a_request() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.answer(b, id, 1, b"yes");
    rig.answer(a, id, 2, b"yes");
    rig.answer(a, RequestId(id.0 + 1), 1, b"yes");
    let other = Control {
        nonce: NONCE + 1,
        sequence: id.0,
        attempt: 1,
    };
    let other = other.write();
    let frames: [&[&[u8]]; 5] = [
        &[other.as_bytes(), b"", b"yes"],
        &[],
        &[b"PONG"],
        &[b"", b"", b""],
        &[b"\xff", b"", b"yes"],
    ];
    for frames in frames {
        rig.message(a, frames);
    }
    assert_eq!(rig.engine.stats().foreign, 8);
    assert_eq!(rig.engine.outstanding(), 1);
    rig.answer(a, id, 1, b"yes");
    assert!(rig.result(id).unwrap().is_ok());
}
