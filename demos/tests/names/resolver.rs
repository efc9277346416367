//! The resolver with name servers that run, stop and come back.

use std::time::Duration;

use demos::names::{Name, Origin, ResolveError, Resolved, Resolver, ResolverConfig, name_client};

use crate::rig::{ANY, Named, ZoneDir, orders, wait_until};

const HOUR_MS: u64 = 3_600_000;

fn name() -> Name {
    Name::new("test", "orders").unwrap()
}

fn config() -> ResolverConfig {
    let mut config = ResolverConfig::new();
    config.timeout = Duration::from_secs(10);
    config.retry = Duration::from_millis(10);
    config
}

fn first(resolved: &Resolved) -> &str {
    resolved.record.connect[0].as_str()
}

#[test]
fn an_answer_is_kept_for_its_time_to_live_whatever_the_zone_says_then() {
    let zone = ZoneDir::new(&orders(&["tcp://a:1"], HOUR_MS));
    let named = Named::start(&zone.path(), ANY);
    let client = name_client([&named.endpoint]).connect().unwrap();
    let mut names = Resolver::new(client, config());
    let answer = names.resolve(&name()).unwrap();
    assert_eq!(
        (first(&answer), answer.origin),
        ("tcp://a:1", Origin::Server)
    );
    zone.replace(&orders(&["tcp://b:1"], HOUR_MS));
    wait_until("the zone", || {
        let other = name_client([&named.endpoint]).connect().unwrap();
        first(&Resolver::new(other, config()).resolve(&name()).unwrap()) == "tcp://b:1"
    });
    let again = names.resolve(&name()).unwrap();
    assert_eq!((first(&again), again.origin), ("tcp://a:1", Origin::Cache));
    assert_eq!(names.asker().stats().submitted, 1);
}

#[test]
fn after_its_time_to_live_the_zone_of_now_is_asked_for() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let named = Named::start(&zone.path(), ANY);
    let agent = name_client([&named.endpoint]).spawn().unwrap();
    let mut names = Resolver::new(agent, config());
    let before = names.resolve(&name()).unwrap();
    zone.replace(&orders(&["tcp://b:1"], 50));
    wait_until("the zone", || {
        let answer = names.resolve(&name()).unwrap();
        first(&answer) == "tcp://b:1" && answer.serial > before.serial
    });
}

#[test]
fn while_all_name_servers_are_down_old_answers_serve_and_say_so() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let (one, two) = (zone.socket("one"), zone.socket("two"));
    let servers = [&one, &two].map(|at| Named::start(&zone.path(), at));
    let client = name_client([&one, &two]).connect().unwrap();
    let mut short = config();
    short.timeout = Duration::from_millis(100);
    let mut names = Resolver::new(client, short);
    wait_until("the first answer", || names.resolve(&name()).is_ok());
    servers[0].process.kill().unwrap();
    wait_until("an answer of the other server", || {
        names.resolve(&name()).unwrap().origin == Origin::Server
    });
    servers[1].process.kill().unwrap();
    wait_until("an old answer", || {
        let answer = names.resolve(&name()).unwrap();
        assert_eq!(first(&answer), "tcp://a:1");
        answer.origin == Origin::Stale
    });
    let _back = Named::start(&zone.path(), &two);
    wait_until("a new answer", || {
        names.resolve(&name()).unwrap().origin == Origin::Server
    });
}

#[test]
fn an_old_answer_does_not_serve_for_ever() {
    let zone = ZoneDir::of(&["tcp://a:1"]);
    let named = Named::start(&zone.path(), ANY);
    let client = name_client([&named.endpoint]).connect().unwrap();
    let mut short = config();
    short.timeout = Duration::from_millis(20);
    short.stale_for = Duration::from_millis(200);
    let mut names = Resolver::new(client, short);
    wait_until("the first answer", || names.resolve(&name()).is_ok());
    named.process.kill().unwrap();
    wait_until("the end of the old answer", || {
        matches!(names.resolve(&name()), Err(ResolveError::Unanswered(_)))
    });
}

#[test]
fn an_echo_server_is_no_name_server() {
    let echo = crate::rig::Echo::start();
    let client = name_client([&echo.endpoint]).connect().unwrap();
    let error = Resolver::new(client, config())
        .resolve(&name())
        .unwrap_err();
    assert!(matches!(error, ResolveError::Malformed(_)), "{error}");
}
