//! Servers that come and go.

use super::*;

#[test]
fn a_server_is_known_once_and_can_be_added_again_when_removed() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    let again = rig.engine.add_server("tcp://server:0", 3, rig.now);
    assert!(matches!(again, Err(Error::KnownServer(_))));
    rig.engine.remove_server(a, rig.now).unwrap();
    let new = rig.engine.add_server("tcp://server:0", 3, rig.now).unwrap();
    assert_ne!(new, a);
    assert_eq!(
        rig.engine.poll_action(rig.now),
        Some(Action::HangUp { server: a })
    );
    assert_eq!(
        rig.engine.poll_action(rig.now),
        Some(Action::Dial { server: new })
    );
    assert!(rig.engine.server(a).is_none());
    let unknown = rig.engine.remove_server(a, rig.now);
    assert!(matches!(unknown, Err(Error::NoSuchServer)));
}

#[test]
fn what_waits_at_a_server_that_is_removed_is_lost_as_with_its_link() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let yes = rig.submit(Idempotent::Yes, 1000);
    let no = rig.submit(Idempotent::No, 1000);
    rig.engine.remove_server(a, rig.now).unwrap();
    rig.drain();
    assert_eq!(rig.sent[2..], [(b, yes, 2)]);
    assert!(matches!(rig.result(no), Some(Err(RequestError::Unknown))));
    rig.reply(a, yes);
    assert!(rig.result(yes).is_none(), "it is a stranger now");
}

#[test]
fn a_server_is_drained_when_nothing_waits_there() {
    let mut rig = Rig::connected(config(Model::One), &[0, 1]);
    let [a, b] = rig.servers[..] else {
        unreachable!()
    };
    let id = rig.submit(Idempotent::No, 1000);
    rig.engine.drain_server(a, rig.now).unwrap();
    rig.drain();
    assert_eq!(rig.told.last(), Some(&(a, Liveness::Draining)));
    rig.submit(Idempotent::No, 1000);
    assert_eq!(rig.receivers(), [a, b]);
    assert!(rig.drained.is_empty());
    rig.reply(a, id);
    assert!(rig.result(id).unwrap().is_ok());
    assert_eq!((&rig.drained[..], &rig.hung_up[..]), (&[a][..], &[a][..]));
    assert!(rig.engine.server(a).is_none());
}

#[test]
fn a_server_on_which_nothing_waits_is_drained_at_once() {
    for connected in [false, true] {
        let mut rig = Rig::new(config(Model::Three), &[0]);
        let a = rig.servers[0];
        if connected {
            rig.connect(a);
        }
        rig.engine.drain_server(a, rig.now).unwrap();
        rig.drain();
        assert_eq!((&rig.drained[..], &rig.hung_up[..]), (&[a][..], &[a][..]));
    }
}

#[test]
fn a_server_that_is_drained_and_lost_is_gone() {
    let mut rig = Rig::connected(config(Model::One), &[0]);
    let a = rig.servers[0];
    let id = rig.submit(Idempotent::No, 1000);
    rig.engine.drain_server(a, rig.now).unwrap();
    rig.disconnect(a);
    assert_eq!(rig.drained, [a]);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
}

#[test]
fn servers_are_limited_and_listed_by_tier() {
    let now = Instant::now();
    let mut engine = Engine::<(), ()>::new(config(Model::One), NONCE, 1, now).unwrap();
    for index in 0..MAX_SERVERS {
        let tier = (MAX_SERVERS - index) as u32;
        engine
            .add_server(format!("tcp://server:{index}"), tier, now)
            .unwrap();
    }
    let more = engine.add_server("tcp://more:1", 0, now);
    assert!(matches!(more, Err(Error::TooManyServers { .. })));
    let tiers: Vec<_> = engine.servers().map(|server| server.tier).collect();
    assert!(tiers.is_sorted());
}

#[test]
fn servers_that_come_and_go_unnoticed_do_not_pile_up() {
    let now = Instant::now();
    let mut engine = Engine::<(), ()>::new(config(Model::One), NONCE, 1, now).unwrap();
    let added = (0..10_000).take_while(|_| match engine.add_server("tcp://a:1", 0, now) {
        Ok(id) => engine.remove_server(id, now).is_ok(),
        Err(_) => false,
    });
    assert!(added.count() <= 2 * MAX_SERVERS);
    while engine.poll_action(now).is_some() {}
    assert!(engine.add_server("tcp://a:1", 0, now).is_ok());
}
