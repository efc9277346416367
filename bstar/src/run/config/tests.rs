//! Right configurations, and what comes of them.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Args, Command, FromArgMatches};

use super::keys::KEYS;
use super::*;
use crate::core::Role;

/// A file with every key.
const FULL: &str = r#"
role = "primary"
pair = "orders"
heartbeat_ms = 100
timeout_ms = 300
drain_ms = 4000
offer_wait_ms = 20000
fail_back_ms = 60000
state_dir = "/tmp/orders"
control = "/tmp/orders.sock"
max_memory_mib = 2000
vote_when_unhealthy = true

[link]
local = "tcp://127.0.0.1:6003"
remote = "tcp://127.0.0.1:6004"

[second_link]
local = "tcp://127.0.0.1:6005"
remote = "tcp://127.0.0.1:6006"

[[tcp]]
name = "web"
listen = "127.0.0.1:8080"
server = "localhost:8000"
vote = "connect"
connect_timeout_ms = 1500
idle_timeout_ms = 60000
max_connections = 20
proxy_protocol = true

[[tcp]]
listen = ":8081"
server = "[::1]:8000"

[[zmq]]
name = "queue"
listen = "tcp://*:5001"
server = "ipc:///tmp/server"
max_waiting = 7

[server]
run = "always"
command = ["sh", "-c", "sleep 1; echo 'a b'"]
directory = "/tmp"
environment = { A = "b=c", LANG = "C" }
start_timeout_ms = 1000
stop_grace_ms = 0
restart_pause_ms = 200
longest_restart_pause_ms = 300
give_up_after = 9

[[health]]
name = "up"
http = "http://localhost:8000/up?a=b,c"
status = 204
interval_ms = 500
timeout_ms = 400
rise = 1
fall = 4

[[health]]
tcp = "127.0.0.1:8000"

[[health]]
command = ["sh", "-c", "exit 0"]

[[health]]
zmq = "ipc:///tmp/server"
message = "are you there"

[hooks]
timeout_ms = 3000
before_active = [["sh", "-c", "exit 0"], ["true"]]
on_active = [{ command = ["true"], timeout_ms = 7000 }]
before_passive = [["true", "a b"]]
on_passive = [["true"]]
on_fault = [["true"]]

[proof_of_death]
peer_frontends = ["tcp://127.0.0.1:9080", "tcp://[::1]:9081"]
restart_grace_ms = 50
"#;

/// The same by flags.
const FULL_FLAGS: &[&str] = &[
    "--primary",
    "--pair=orders",
    "--heartbeat-ms=100",
    "--timeout-ms=300",
    "--drain-ms=4000",
    "--offer-wait-ms=20000",
    "--fail-back-ms=60000",
    "--state-dir=/tmp/orders",
    "--control=/tmp/orders.sock",
    "--max-memory-mib=2000",
    "--vote-when-unhealthy",
    "--link-local=tcp://127.0.0.1:6003",
    "--link-remote=tcp://127.0.0.1:6004",
    "--second-link-local=tcp://127.0.0.1:6005",
    "--second-link-remote=tcp://127.0.0.1:6006",
    "--tcp",
    "name=web,listen=127.0.0.1:8080,server=localhost:8000,vote=connect,connect_timeout_ms=1500,\
     idle_timeout_ms=60000,max_connections=20,proxy_protocol=true",
    "--tcp=listen=:8081,server=[::1]:8000",
    "--zmq=name=queue,listen=tcp://*:5001,server=ipc:///tmp/server,max_waiting=7",
    "--server-run=always",
    "--server-directory=/tmp",
    "--server-environment=A=b=c",
    "--server-environment=LANG=C",
    "--server-start-timeout-ms=1000",
    "--server-stop-grace-ms=0",
    "--server-restart-pause-ms=200",
    "--server-longest-restart-pause-ms=300",
    "--server-give-up-after=9",
    "--health",
    "name=up,http=\"http://localhost:8000/up?a=b,c\",status=204,interval_ms=500,timeout_ms=400,rise=1,fall=4",
    "--health=tcp=127.0.0.1:8000",
    "--health=command=sh -c 'exit 0'",
    "--health=zmq=ipc:///tmp/server,message=are you there",
    "--hooks-timeout-ms=3000",
    "--before-active=sh -c 'exit 0'",
    "--before-active=true",
    "--on-active=timeout_ms=7000 true",
    "--before-passive=true 'a b'",
    "--on-passive=true",
    "--on-fault=true",
    "--proof-of-death-peer-frontends=tcp://127.0.0.1:9080",
    "--proof-of-death-peer-frontends=tcp://[::1]:9081",
    "--proof-of-death-restart-grace-ms=50",
];

fn flags(args: &[&str]) -> ConfigFlags {
    let command = ConfigFlags::augment_args(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(args).unwrap();
    ConfigFlags::from_arg_matches(&matches).unwrap()
}

fn load(file: &str, args: &[&str]) -> Result<RunConfig, ConfigProblem> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pair.toml");
    std::fs::write(&path, file).unwrap();
    RunConfig::load(Some(&path), &flags(args))
}

fn by_flags(args: &[&str]) -> RunConfig {
    RunConfig::load(None, &flags(args)).unwrap()
}

#[test]
fn every_key_is_a_flag_with_the_same_meaning() {
    let by_file = load(FULL, &[]).unwrap();
    let command = ["--", "sh", "-c", "sleep 1; echo 'a b'"];
    let after_dashes = by_flags(&[FULL_FLAGS, &command].concat());
    assert_eq!(format!("{by_file:#?}"), format!("{after_dashes:#?}"));

    let quoted = r#"--server-command=sh -c "sleep 1; echo 'a b'""#;
    let by_line = by_flags(&[FULL_FLAGS, &[quoted]].concat());
    assert_eq!(format!("{by_file:#?}"), format!("{by_line:#?}"));
}

#[test]
fn the_full_file_has_every_key_and_each_is_read() {
    let parsed: toml::Table = FULL.parse().unwrap();
    let mut there = BTreeSet::new();
    for (name, value) in &parsed {
        let tables = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(list) => list.iter().filter_map(|value| value.as_table()).collect(),
            _ => {
                there.insert(name.clone());
                vec![]
            }
        };
        let keys = tables.into_iter().flatten();
        there.extend(keys.map(|(key, _)| format!("{name}.{key}")));
    }
    let all: BTreeSet<_> = KEYS.iter().map(|key| key.path()).collect();
    let missing: Vec<_> = all.difference(&there).collect();
    // The one that is for a backup.
    assert_eq!(missing, ["serve_alone_ms"]);
}

#[test]
fn what_the_file_says_is_what_is_run() {
    let config = load(FULL, &[]).unwrap();
    let millis = Duration::from_millis;
    assert_eq!(config.pair.pair().to_string(), "orders");
    assert_eq!(
        (config.pair.heartbeat(), config.pair.timeout()),
        (millis(100), millis(300))
    );
    assert_eq!(
        (config.pair.drain(), config.pair.offer_wait()),
        (millis(4000), millis(20000))
    );
    assert_eq!(config.pair.fail_back(), Some(millis(60000)));
    assert!(config.vote_when_unhealthy);
    let [web, second] = config.tcp.as_slice() else {
        panic!("{:?}", config.tcp);
    };
    assert_eq!(web.server.to_string(), "127.0.0.1:8000");
    assert_eq!((web.vote, web.max_connections), (Vote::Connect, 20));
    assert!(web.max_connections_given);
    assert_eq!(web.idle_timeout, Some(millis(60000)));
    assert_eq!(second.name, "0.0.0.0:8081");
    assert_eq!((second.vote, second.idle_timeout), (Vote::Data, None));
    assert!(!second.max_connections_given);
    assert_eq!(config.server.environment["A"], "b=c");
    let hooks = &config.hooks;
    assert_eq!(hooks.before_active[0].command, ["sh", "-c", "exit 0"]);
    assert_eq!(hooks.before_active[1].timeout, millis(3000));
    assert_eq!(hooks.on_active[0].timeout, millis(7000));
    let names: Vec<_> = config
        .health
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(names, ["up", "127.0.0.1:8000", "sh", "ipc:///tmp/server"]);
    assert!(
        matches!(&config.health[0].kind, CheckKind::Http { status: Some(204), path, .. } if path == "/up?a=b,c")
    );
}

#[test]
fn the_shortest_use_works() {
    let config = by_flags(&["--backup", "--tcp", "listen=:8080,server=127.0.0.1:8000"]);
    assert_eq!(config.pair.role(), Role::Backup);
    assert_eq!(config.link.local.as_str(), "tcp://*:5004");
    assert_eq!(config.link.remote.as_str(), "tcp://localhost:5003");
    assert_eq!(config.server.run, ServerRun::None);
    assert_eq!(config.pair.drain(), Duration::from_secs(5));
    assert_eq!(config.pair.offer_wait(), Duration::from_secs(30));
    let [check] = config.health.as_slice() else {
        panic!("one check for the one front end: {:?}", config.health);
    };
    assert!(matches!(check.kind, CheckKind::Tcp(server) if server == config.tcp[0].server));
    assert!(config.hooks.all().iter().all(|(_, list)| list.is_empty()));

    let with_command = by_flags(&[
        "--primary",
        "--tcp=listen=:8080,server=127.0.0.1:8000",
        "--",
        "sh",
    ]);
    assert_eq!(with_command.server.run, ServerRun::Active);
}

#[test]
fn a_flag_counts_in_place_of_the_file() {
    let args = [
        "--heartbeat-ms=50",
        "--tcp=listen=:9000,server=127.0.0.1:9001",
        "--on-passive=sh",
        "--second-link-remote=tcp://127.0.0.1:6007",
    ];
    let config = load(FULL, &args).unwrap();
    assert_eq!(config.pair.heartbeat(), Duration::from_millis(50));
    assert_eq!(
        config.pair.timeout(),
        Duration::from_millis(300),
        "the file's"
    );
    assert_eq!(config.tcp.len(), 1);
    assert_eq!(config.tcp[0].listen.port(), 9000);
    assert_eq!(config.hooks.on_passive[0].command, ["sh"]);
    let second = config.second_link.unwrap();
    assert_eq!(second.local.as_str(), "tcp://127.0.0.1:6005", "the file's");
    assert_eq!(second.remote.as_str(), "tcp://127.0.0.1:6007");

    let backup = load(
        "role = \"primary\"\n[[tcp]]\nlisten = \":1\"\nserver = \"127.0.0.1:2\"",
        &["--backup"],
    );
    assert_eq!(backup.unwrap().pair.role(), Role::Backup);
}

#[test]
fn a_time_that_is_not_given_fits_the_one_that_is() {
    let health = |keys: &str| {
        let checks = format!("[[health]]\ntcp = \"127.0.0.1:1\"\n{keys}");
        let file = format!(
            "role = \"primary\"\n[[tcp]]\nlisten = \":3\"\nserver = \"127.0.0.1:2\"\n{checks}"
        );
        let check = load(&file, &[]).unwrap().health.remove(0);
        (check.interval.as_millis(), check.timeout.as_millis())
    };
    assert_eq!(health(""), (1000, 1000));
    assert_eq!(health("interval_ms = 100"), (100, 100));
    assert_eq!(health("timeout_ms = 5000"), (5000, 5000));

    let hook = |top: &str, name: &str| {
        let file = format!(
            "role = \"primary\"\n{top}\n[[tcp]]\nlisten = \":3\"\nserver = \"127.0.0.1:2\"\n[hooks]\n{name} = [[\"sh\"]]"
        );
        let config = load(&file, &[]).unwrap();
        config
            .hooks
            .all()
            .iter()
            .find_map(|(_, list)| list.first().cloned())
            .unwrap()
            .timeout
            .as_millis()
    };
    assert_eq!(hook("", "before_passive"), 5000);
    assert_eq!(hook("drain_ms = 2000", "before_passive"), 2000);
    assert_eq!(hook("drain_ms = 2000", "on_passive"), 5000);
}

#[test]
fn every_key_is_in_the_documentation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let plain = |line: &str| line.replace('`', "");
    for key in KEYS {
        let row = format!("| `{}` | ", key.name);
        let flag = match key.section.list_flag() {
            Some(_) => String::new(),
            None => format!("`{}` |", key.flag_name()),
        };
        let header = key.section.header();
        let section = page
            .split("\n## ")
            .find(|section| {
                header.is_empty() && section.starts_with("At the top")
                    || section.starts_with(&format!("`{header}`"))
            })
            .unwrap_or_else(|| panic!("no section for {header:?}"));
        let found = section
            .lines()
            .find(|line| line.starts_with(&row) && line.contains(&flag));
        let line =
            found.unwrap_or_else(|| panic!("{} is not in its table, with its flag", key.path()));
        let default = key.default.split(", ").next().unwrap();
        assert!(
            plain(line).contains(default),
            "{}: its default is not told: {line}",
            key.path()
        );
    }
}
