//! Wrong flags.

use crate::rig::Rig;

const GOOD: [&str; 3] = [
    "--primary",
    "--tcp",
    "listen=127.0.0.1:8080,server=127.0.0.1:8000",
];

#[test]
fn wrong_flags() {
    let rig = Rig::new();
    assert!(
        rig.run(&[&["check-config"], &GOOD[..]].concat())
            .status
            .success()
    );
    let mut wrong = Vec::new();
    let mut check = |command: &str, flags: &[&str], line: &str| {
        let refusal = rig.refusal(&[&[command], flags].concat(), line);
        wrong.extend(refusal.map(|refusal| format!("{command} {flags:?}\n{refusal}")));
    };
    for (flags, line) in MORE {
        let flags = [&GOOD[..], flags].concat();
        check("check-config", &flags, line);
        check("run", &flags, line);
    }
    for (flags, line) in ALONE {
        check("check-config", flags, line);
    }
    for (flags, line) in RUN_ALONE {
        check("run", flags, line);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Beside good ones.
const MORE: &[(&[&str], &str)] = &[
    (
        &["--backup"],
        "error: the argument '--primary' cannot be used with '--backup'; --help tells more",
    ),
    (
        &["--role", "backup"],
        "error: the argument '--primary' cannot be used with '--role <ROLE>'; --help tells more",
    ),
    (
        &["--hartbeat-ms", "100"],
        "error: unexpected argument '--hartbeat-ms' found; a similar argument exists: '--heartbeat-ms'; --help tells more",
    ),
    (
        &["--heartbeat-ms"],
        "error: a value is required for '--heartbeat-ms <MS>' but none was supplied; --help tells more",
    ),
    (
        &["--heartbeat-ms", "soon"],
        r#"--heartbeat-ms: is "soon"; write for example --heartbeat-ms 1000"#,
    ),
    (
        &["--heartbeat-ms", "-5"],
        "--heartbeat-ms: -5 is negative; write for example --heartbeat-ms 1000",
    ),
    (
        &["--heartbeat-ms", "0"],
        "--heartbeat-ms: a heartbeat of 0 ms is out of range: it goes from 1 ms to 60 s",
    ),
    (
        &["--heartbeat-ms", "5", "--heartbeat-ms", "6"],
        "error: the argument '--heartbeat-ms <MS>' cannot be used multiple times; --help tells more",
    ),
    (
        &["--timeout-ms", "1000"],
        "--timeout-ms: a peer timeout of 1s is out of range: it goes from two heartbeats (2s) to 600 s",
    ),
    (
        &["--serve-alone-ms", "1000"],
        "--serve-alone-ms: serving alone is for a backup, and this is a primary; take it out",
    ),
    (
        &["--pair", "two words"],
        r#"--pair: "two words" is no name for a pair: use 1 to 64 of the characters a-z A-Z 0-9 . _ -"#,
    ),
    (
        &["--vote-when-unhealthy=perhaps"],
        r#"--vote-when-unhealthy: is "perhaps"; write for example --vote-when-unhealthy true"#,
    ),
    (
        &["--link-local", "inproc://x"],
        "--link-local: inproc://x does not lead out of this process; write for example tcp://192.0.2.1:5003",
    ),
    (
        &["--second-link-local", "tcp://*:5005"],
        "--second-link-remote: missing; write for example --second-link-remote tcp://10.0.1.2:5003",
    ),
    (
        &["--tcp", "listen=127.0.0.1:8080,server=127.0.0.1:8001"],
        "--tcp: listen: a --tcp listens there already; give it a port of its own",
    ),
    (
        &["--tcp", "listen=127.0.0.1:8081"],
        "--tcp: server: missing; write for example server=127.0.0.1:8000",
    ),
    (
        &["--tcp", "listen=:8081,sever=127.0.0.1:8001"],
        "--tcp: sever: no such key; did you mean server?",
    ),
    (
        &["--tcp", "listen=:8081,listen=:8082,server=127.0.0.1:8001"],
        "--tcp: listen: is given twice; give it once",
    ),
    (
        &["--tcp", ":8081"],
        r#"--tcp: ":8081" has no value; write key=value,key=value, for example listen=0.0.0.0:8080,server=127.0.0.1:8000"#,
    ),
    (
        &["--tcp", ""],
        r#"--tcp: "" has no value; write key=value,key=value, for example listen=0.0.0.0:8080,server=127.0.0.1:8000"#,
    ),
    (
        &["--tcp", "listen=:8081,server=127.0.0.1:8001,vote=date"],
        r#"--tcp: vote: "date" is not known here; write data or connect"#,
    ),
    (
        &[
            "--tcp",
            "listen=:8081,server=127.0.0.1:8001,max_connections=many",
        ],
        r#"--tcp: max_connections: is "many"; write for example max_connections=10000"#,
    ),
    (
        &["--zmq", "listen=tcp://*:5001,server=tcp://127.0.0.1:5001"],
        "--zmq: server: it leads back to this node, where a --zmq listens; give another",
    ),
    (
        &["--server-run", "always"],
        r#"--server-command: missing; write for example --server-command "redis-server a.conf""#,
    ),
    (
        &["--server-run", "none", "--", "sh"],
        "-- COMMAND: nothing runs it, since run is none; set run to active or always, or take it out",
    ),
    (
        &["--server-command", "sh 'a"],
        r#"--server-command: the quotes in "sh 'a" do not come in pairs; close the open one"#,
    ),
    (
        &["--server-command", "no-such-program -x"],
        r#"--server-command: the program "no-such-program" is not in PATH; install it, or give its path"#,
    ),
    (
        &["--server-command", "sh", "--", "sh"],
        "error: the argument '--server-command <COMMAND>' cannot be used with '[COMMAND]...'; --help tells more",
    ),
    (
        &["--server-environment", "A", "--", "sh"],
        r#"--server-environment: is "A"; write for example --server-environment LANG=C"#,
    ),
    (
        &["--", "no-such-program"],
        r#"-- COMMAND: the program "no-such-program" is not in PATH; install it, or give its path"#,
    ),
    (
        &["--health", "interval_ms=5"],
        "--health: what is checked is missing; give one of tcp, http, command, zmq, for example tcp=127.0.0.1:6380",
    ),
    (
        &["--health", "tcp=127.0.0.1:8000,rise=0"],
        "--health: rise: 0 is out of range: it goes from 1 to 1000",
    ),
    (
        &["--health", "http=https://127.0.0.1/"],
        r#"--health: http: "https://127.0.0.1/" needs TLS, which a check does not speak; check with http, or with a command such as curl"#,
    ),
    (
        &["--on-active", ""],
        "--on-active: the command is empty; write for example --on-active /etc/bstar/promote",
    ),
    (
        &["--on-active", "no-such-program a"],
        r#"--on-active: the program "no-such-program" is not in PATH; install it, or give its path"#,
    ),
    (
        &["--on-active", "timeout_ms=0 sh"],
        "--on-active: timeout_ms: 0 is out of range: it goes from 1 to 3600000",
    ),
    (
        &["--before-passive", "timeout_ms=60000 sh"],
        "--before-passive: timeout_ms: 60000 ms is longer than this hook is waited for; give at most drain_ms, 5000",
    ),
    (
        &["--hooks-timeout-ms", "0"],
        "--hooks-timeout-ms: 0 is out of range: it goes from 1 to 3600000",
    ),
    (
        &["--proof-of-death-peer-frontends", "tcp://localhost:8080"],
        "--proof-of-death-peer-frontends: a proof of death needs numeric addresses, since a name may lead elsewhere: write tcp://localhost:8080 as for example tcp://192.0.2.1:5003",
    ),
    (
        &["--proof-of-death-restart-grace-ms", "1000"],
        "--proof-of-death-peer-frontends: missing; write for example --proof-of-death-peer-frontends tcp://10.0.0.2:6379",
    ),
];

/// By themselves.
const ALONE: &[(&[&str], &str)] = &[
    (&[], "--role: missing; write for example --role primary"),
    (
        &["--primary"],
        "--tcp: no front end; give --tcp listen=0.0.0.0:8080,server=127.0.0.1:8000, or --zmq",
    ),
    (
        &["no-such-file.toml"],
        "no-such-file.toml: cannot be read: No such file or directory (os error 2); give the path of a configuration file",
    ),
    (
        &["no-such-file.toml", "another"],
        "error: unexpected argument 'another' found; the server's command goes after --; --help tells more",
    ),
];

/// By themselves, where a file is no argument.
const RUN_ALONE: &[(&[&str], &str)] = &[(
    &["pair.toml"],
    "error: unexpected argument 'pair.toml' found; the server's command goes after --, and a file after --config; --help tells more",
)];
