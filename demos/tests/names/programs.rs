//! `flname`, and both programs called wrongly.

use std::time::Duration;

use demos::names::MAX_NAMES;

use crate::rig::{ANY, Ended, Named, ZoneDir, end_of, flname, spawn_named};

const ZONE: &str = "
    [test.orders]
    bind = ['tcp://*:6001']
    connect = ['tcp://10.0.0.2:6001', 'tcp://10.0.0.1:6001']
    [test.billing]
    connect = ['tcp://10.0.0.3:6002']
    [production.orders]
    connect = ['tcp://10.1.0.1:6001']
    ttl_ms = 60000
";

/// It failed, and said why in one line that has these words.
fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} lacks: {ended:?}");
    }
}

#[test]
fn a_name_is_looked_up_in_its_environment() {
    let zone = ZoneDir::new(ZONE);
    let named = Named::start(&zone.path(), ANY);
    let ask = |args: &[&str]| {
        let ended = flname(&[&["--server", &named.endpoint], args].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.stderr, "", "{ended:?}");
        ended.stdout
    };
    let in_test = "tcp://10.0.0.2:6001\ntcp://10.0.0.1:6001";
    assert_eq!(ask(&["orders"]), in_test);
    assert_eq!(ask(&["--env", "test", "--connect", "orders"]), in_test);
    assert_eq!(ask(&["--bind", "orders"]), "tcp://*:6001");
    assert_eq!(
        ask(&["--env", "production", "orders"]),
        "tcp://10.1.0.1:6001"
    );
    let json = ask(&["--env", "production", "--json", "orders"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["connect"][0], "tcp://10.1.0.1:6001");
    assert_eq!(json["bind"].as_array().map(Vec::len), Some(0));
    assert_eq!(json["ttl_ms"], 60_000);
    named.process.terminate().unwrap();
}

#[test]
fn names_are_listed() {
    let zone = ZoneDir::new(ZONE);
    let named = Named::start(&zone.path(), ANY);
    let list = |args: &[&str]| flname(&[&["--server", &named.endpoint, "--list"], args].concat());
    assert_eq!(
        list(&[]).stdout,
        "production orders\ntest billing\ntest orders"
    );
    assert_eq!(list(&["--env", "test"]).stdout, "test billing\ntest orders");
    let json = list(&["--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["names"].as_array().map(Vec::len), Some(3));
    says(&list(&["--env", "staging"]), 1, &["staging"]);
}

#[test]
fn the_greatest_zone_is_listed_whole() {
    let record = |n| format!("[test.n{n}]\nbind = ['tcp://*:1']\n");
    let zone = ZoneDir::new(&(0..MAX_NAMES).map(record).collect::<String>());
    let named = Named::start(&zone.path(), ANY);
    let ended = flname(&["--server", &named.endpoint, "--list"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), MAX_NAMES);
}

#[test]
fn what_there_is_not_is_said_in_one_line() {
    let zone = ZoneDir::new(ZONE);
    let named = Named::start(&zone.path(), ANY);
    let ask = |args: &[&str]| flname(&[&["--server", &named.endpoint], args].concat());
    says(&ask(&["users"]), 1, &["users", "test"]);
    let staging = ask(&["--env", "staging", "orders"]);
    says(&staging, 1, &["orders", "no environment staging"]);
    says(&ask(&["--bind", "billing"]), 1, &["bind", "billing"]);
}

#[test]
fn another_server_answers_for_one_that_is_away() {
    let zone = ZoneDir::new(ZONE);
    let away = Named::start(&zone.path(), ANY);
    let named = Named::start(&zone.path(), ANY);
    away.process.kill().unwrap();
    let servers = ["--server", &away.endpoint, "--server", &named.endpoint];
    let ended = flname(&[&servers[..], &["orders"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn nobody_there_is_an_error_by_the_timeout() {
    let zone = ZoneDir::new(ZONE);
    let nobody = zone.socket("nobody");
    let ended = flname(&["--server", &nobody, "--timeout", "200", "orders"]);
    says(&ended, 1, &["no name server answered"]);
}

#[test]
fn a_look_up_that_makes_no_sense_is_refused() {
    let server = ["--server", "tcp://127.0.0.1:9"];
    let cases: &[(&[&str], &str)] = &[
        (&[], "NAME"),
        (&["or ders"], "or ders"),
        (&["--env", "a/b", "orders"], "a/b"),
        (&["--bind", "--connect", "orders"], "--connect"),
        (&["--list", "orders"], "--list"),
        (&["--timeout", "0", "orders"], "timeout"),
        (&["--server", "nonsense", "orders"], "nonsense"),
    ];
    for (args, word) in cases {
        says(&flname(&[&server[..], args].concat()), 2, &[word]);
    }
    says(&flname(&["orders"]), 2, &["--server"]);
}

#[test]
fn a_name_server_without_a_zone_does_not_start() {
    let zone = ZoneDir::new("[test.orders]\nconnect = ['nonsense']\n");
    let ended = |path: &std::path::Path| end_of(&spawn_named(path, ANY, &[]));
    let wrong = ended(&zone.path());
    says(&wrong, 1, &["zone.toml", "test", "orders", "nonsense"]);
    says(&ended(&zone.path().with_extension("no")), 1, &["zone.no"]);
}

#[test]
fn a_name_server_that_makes_no_sense_is_refused() {
    let zone = ZoneDir::new(ZONE);
    let ended = |endpoint, args: &[&str]| end_of(&spawn_named(&zone.path(), endpoint, args));
    says(&ended("nonsense", &[]), 2, &["nonsense"]);
    says(&ended("tcp://*:*", &[]), 2, &["identity"]);
    says(
        &ended(ANY, &["--reload-interval", "0"]),
        2,
        &["reload-interval"],
    );
    let named = Named::start(&zone.path(), ANY);
    let taken = named.endpoint.as_str();
    says(&ended(taken, &[]), 1, &[taken]);
}

#[test]
fn help_has_an_example() {
    let zone = ZoneDir::new(ZONE);
    let named = end_of(&spawn_named(&zone.path(), ANY, &["--help"]));
    for ended in [flname(&["--help"]), named] {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("Example"), "{ended:?}");
    }
}

#[test]
fn a_wildcard_serves_under_the_name_that_it_is_given() {
    let zone = ZoneDir::new(ZONE);
    // Whoever binds a wildcard has to know the port, so the system is asked for one first.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port();
    let (bound, dialled) = (format!("tcp://*:{port}"), format!("tcp://127.0.0.1:{port}"));
    let named = Named::start_with(&zone.path(), &bound, &["--identity", &dialled]);
    let ended = flname(&["--server", &dialled, "orders"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    named.process.terminate().unwrap();
    assert!(named.process.wait_exit(Duration::ZERO).is_ok());
}
