//! Files that are wrong in one table.

use crate::bad_files::{check, good_but};

#[test]
fn wrong_tables() {
    let cases = TABLES
        .iter()
        .map(|(tables, line)| (good_but("", tables), *line));
    check(cases);
}

/// Line 6, and what is said of it.
const TABLES: &[(&str, &str)] = &[
    (
        "[link]\nremote = \"tcp://no-such-host.invalid:5004\"",
        "pair.toml:7: link.remote: the host of tcp://no-such-host.invalid:5004 cannot be found: ...; check the name, or give an address",
    ),
    (
        "[link]\nlocal = \"inproc://x\"",
        "pair.toml:7: link.local: inproc://x does not lead out of this process; write for example tcp://192.0.2.1:5003",
    ),
    (
        "[link]\nlocal = \"tcp://*:0\"",
        r#"pair.toml:7: link.local: the port of "tcp://*:0" is no number from 1 to 65535"#,
    ),
    (
        "[link]\nlocal = \"127.0.0.1:5003\"",
        r#"pair.toml:7: link.local: "127.0.0.1:5003" is no endpoint: it does not begin with a transport such as tcp://; write for example tcp://192.0.2.1:5003"#,
    ),
    (
        "[link]\nlocal = \"tcp://127.0.0.1:5004\"\nremote = \"tcp://127.0.0.1:5004\"",
        "pair.toml:8: link.remote: it leads back to this node, where link.local of line 7 listens; give another",
    ),
    (
        "[link]\nremote = \"tcp://localhost:5003\"",
        "pair.toml:7: link.remote: it leads back to this node, where link.local of line 6 listens; give another",
    ),
    (
        "[link]\nremote = \"tcp://*:5004\"",
        r#"pair.toml:7: link.remote: "tcp://*:5004" is no endpoint: a wildcard can be bound, not connected to; write for example tcp://192.0.2.1:5003"#,
    ),
    (
        "[link]\nlocal = \"tcp://127.0.0.1:8080\"",
        "pair.toml:4: tcp.listen: link.local of line 7 listens there already; give it a port of its own",
    ),
    (
        "[link]\nlokal = \"tcp://127.0.0.1:5003\"",
        "pair.toml:7: link.lokal: no such key; did you mean local?",
    ),
    (
        "[link]\nheartbeat_ms = 100",
        "pair.toml:7: link.heartbeat_ms: no such key; it belongs to the top, before the first table",
    ),
    (
        "[[link]]\nlocal = \"tcp://127.0.0.1:5003\"",
        "pair.toml:6: link: is a list of tables, and there is one; write [link]",
    ),
    (
        "[second_link]\nlocal = \"tcp://127.0.0.1:5005\"",
        r#"pair.toml:6: second_link.remote: missing; write for example remote = "tcp://10.0.1.2:5003""#,
    ),
    (
        "[second_link]\nremote = \"tcp://127.0.0.1:5006\"",
        r#"pair.toml:6: second_link.local: missing; write for example local = "tcp://10.0.1.1:5003""#,
    ),
    (
        "[second_link]\nlocal = \"tcp://127.0.0.1:5003\"\nremote = \"tcp://127.0.0.1:5006\"",
        "pair.toml:7: second_link.local: link.local listens there already; give it a port of its own",
    ),
    (
        "[second_link]\nlocal = \"tcp://127.0.0.1:5005\"\nremote = \"tcp://localhost:5004\"",
        "pair.toml:8: second_link.remote: it is the first link's too; give the peer's address on the second network",
    ),
    (
        "[heath]\ntcp = \"127.0.0.1:8000\"",
        "pair.toml:6: heath: no such key; did you mean [[health]]?",
    ),
    (
        "[[tcp]]\nlisten = \"127.0.0.1:8080\"\nserver = \"127.0.0.1:8001\"",
        "pair.toml:7: tcp.listen: tcp.listen of line 4 listens there already; give it a port of its own",
    ),
    (
        "[[tcp]]\nlisten = \":8080\"\nserver = \"127.0.0.1:8001\"",
        "pair.toml:7: tcp.listen: tcp.listen of line 4 listens there already; give it a port of its own",
    ),
    (
        "[[tcp]]\nname = \"127.0.0.1:8080\"\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"",
        "pair.toml:7: tcp.name: there is a 127.0.0.1:8080 already; give another name",
    ),
    (
        "[[tcp]]\nname = \"a b\"\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"",
        r#"pair.toml:7: tcp.name: "a b" is no name; use 1 to 64 characters without white space"#,
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8081\"",
        "pair.toml:8: tcp.server: it leads back to this node, where tcp.listen of line 7 listens; give another",
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8080\"",
        "pair.toml:8: tcp.server: it leads back to this node, where tcp.listen of line 4 listens; give another",
    ),
    (
        "[[tcp]]\nlisten = \":8081\"",
        r#"pair.toml:6: tcp.server: missing; write for example server = "127.0.0.1:8000""#,
    ),
    (
        "[[tcp]]\nserver = \"127.0.0.1:8081\"",
        r#"pair.toml:6: tcp.listen: missing; write for example listen = "0.0.0.0:8080""#,
    ),
    (
        "[[tcp]]\nlisten = \":0\"\nserver = \"127.0.0.1:8001\"",
        r#"pair.toml:7: tcp.listen: the port of ":0" is no number from 1 to 65535"#,
    ),
    (
        "[[tcp]]\nlisten = \":65536\"\nserver = \"127.0.0.1:8001\"",
        r#"pair.toml:7: tcp.listen: the port of ":65536" is no number from 1 to 65535"#,
    ),
    (
        "[[tcp]]\nlisten = 8081\nserver = \"127.0.0.1:8001\"",
        r#"pair.toml:7: tcp.listen: is a number; write for example listen = "0.0.0.0:8080""#,
    ),
    (
        "[[tcp]]\nlisten = \"tcp://*:8081\"\nserver = \"127.0.0.1:8001\"",
        r#"pair.toml:7: tcp.listen: "tcp://*:8081" is an endpoint; write HOST:PORT, for example 127.0.0.1:8000"#,
    ),
    (
        "[[tcp]]\nlisten = \"::1:8081\"\nserver = \"127.0.0.1:8001\"",
        r#"pair.toml:7: tcp.listen: "::1:8081" has too many colons; put an IPv6 address in brackets"#,
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"8001\"",
        r#"pair.toml:8: tcp.server: "8001" has no port; write HOST:PORT, for example 127.0.0.1:8000"#,
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"0.0.0.0:8001\"",
        r#"pair.toml:8: tcp.server: "0.0.0.0:8001" says where to listen, not where to connect; give its address, for example 127.0.0.1:8000"#,
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \":8001\"",
        r#"pair.toml:8: tcp.server: ":8001" says where to listen, not where to connect; give its address, for example 127.0.0.1:8000"#,
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"no-such-host.invalid:8001\"",
        r#"pair.toml:8: tcp.server: the host of "no-such-host.invalid:8001" cannot be found: ...; check the name, or give an address"#,
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"\nvote = \"date\"",
        r#"pair.toml:9: tcp.vote: "date" is not known here; write data or connect"#,
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"\nmax_connections = 0",
        "pair.toml:9: tcp.max_connections: 0 is out of range: it goes from 1 to 1000000",
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"\nconnect_timeout_ms = 0",
        "pair.toml:9: tcp.connect_timeout_ms: 0 is out of range: it goes from 1 to 86400000",
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"\nidle_timeout_ms = 86400001",
        "pair.toml:9: tcp.idle_timeout_ms: 86400001 is out of range: it goes from 0 to 86400000",
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"\nproxy_protocol = 2",
        "pair.toml:9: tcp.proxy_protocol: is a number; write for example proxy_protocol = true",
    ),
    (
        "[[tcp]]\nlisten = \":8081\"\nserver = \"127.0.0.1:8001\"\nlitsen = \":1\"",
        "pair.toml:9: tcp.litsen: no such key; did you mean listen?",
    ),
    (
        "[[zmq]]\nlisten = \"tcp://*:8080\"\nserver = \"tcp://127.0.0.1:5555\"",
        "pair.toml:7: zmq.listen: tcp.listen of line 4 listens there already; give it a port of its own",
    ),
    (
        "[[zmq]]\nlisten = \"tcp://*:*\"\nserver = \"tcp://127.0.0.1:5555\"",
        r#"pair.toml:7: zmq.listen: the port of "tcp://*:*" is no number from 1 to 65535"#,
    ),
    (
        "[[zmq]]\nlisten = \"tcp://*:5001\"\nserver = \"tcp://127.0.0.1:5001\"",
        "pair.toml:8: zmq.server: it leads back to this node, where zmq.listen of line 7 listens; give another",
    ),
    (
        "[[zmq]]\nlisten = \"inproc://a\"\nserver = \"tcp://127.0.0.1:5555\"",
        "pair.toml:7: zmq.listen: inproc://a does not lead out of this process; write for example tcp://192.0.2.1:5003",
    ),
    (
        "[[zmq]]\nlisten = \"tcp://*:5001\"\nserver = \"tcp://127.0.0.1\"",
        r#"pair.toml:8: zmq.server: "tcp://127.0.0.1" is no endpoint: the port is missing; write for example tcp://192.0.2.1:5003"#,
    ),
    (
        "[[zmq]]\nlisten = \"tcp://*:5001\"\nserver = \"tcp://127.0.0.1:5555\"\nmax_waiting = 1000001",
        "pair.toml:9: zmq.max_waiting: 1000001 is out of range: it goes from 1 to 1000000",
    ),
    (
        "[[zmq]]\nlisten = \"tcp://*:5001\"\nserver = \"tcp://127.0.0.1:5555\"\nmax_memory_mib = 64",
        "pair.toml:9: zmq.max_memory_mib: no such key; it belongs to the top, before the first table",
    ),
    (
        "[server]\nrun = \"active\"",
        r#"pair.toml:6: server.command: missing; write for example command = ["redis-server", "a.conf"]"#,
    ),
    (
        "[server]\nrun = \"sometimes\"\ncommand = [\"sh\"]",
        r#"pair.toml:7: server.run: "sometimes" is not known here; write none or always or active"#,
    ),
    (
        "[server]\nrun = \"none\"\ncommand = [\"sh\"]",
        "pair.toml:8: server.command: nothing runs it, since run is none; set run to active or always, or take it out",
    ),
    (
        "[server]\ncommand = []",
        r#"pair.toml:7: server.command: the command is empty; write for example command = ["redis-server", "a.conf"]"#,
    ),
    (
        "[server]\ncommand = [\"\"]",
        r#"pair.toml:7: server.command: the command is empty; write for example command = ["redis-server", "a.conf"]"#,
    ),
    (
        "[server]\ncommand = \"redis-server a.conf\"",
        r#"pair.toml:7: server.command: is a string; write for example command = ["redis-server", "a.conf"]"#,
    ),
    (
        "[server]\ncommand = [\"sh\", 5]",
        r#"pair.toml:7: server.command: is a number; write for example command = ["redis-server", "a.conf"]"#,
    ),
    (
        "[server]\ncommand = [\"no-such-program\"]",
        r#"pair.toml:7: server.command: the program "no-such-program" is not in PATH; install it, or give its path"#,
    ),
    (
        "[server]\ncommand = [\"./no-such-program\"]",
        r#"pair.toml:7: server.command: the program "./no-such-program" is not there; check its path"#,
    ),
    (
        "[server]\ncommand = [\"./plain\"]",
        "pair.toml:7: server.command: ./plain is not executable; allow it with chmod +x",
    ),
    (
        "[server]\ncommand = [\"sh\"]\nenvironment = { PATH = \"/nowhere\" }",
        r#"pair.toml:7: server.command: the program "sh" is not in PATH; install it, or give its path"#,
    ),
    (
        "[server]\ncommand = [\"sh\"]\ndirectory = \"no/such/place\"",
        "pair.toml:8: server.directory: the directory no/such/place is not there; make it",
    ),
    (
        "[server]\ncommand = [\"sh\"]\nenvironment = [\"A=b\"]",
        r#"pair.toml:8: server.environment: is a list; write for example environment = { LANG = "C" }"#,
    ),
    (
        "[server]\ncommand = [\"sh\"]\nenvironment = { A = 5 }",
        r#"pair.toml:8: server.environment: the value of A is no string; write for example environment = { LANG = "C" }"#,
    ),
    (
        "[server]\ncommand = [\"sh\"]\nenvironment = { \"A=b\" = \"c\" }",
        r#"pair.toml:8: server.environment: the variable "A=b" cannot be set; use a name without =, and no NUL characters"#,
    ),
    (
        "[server]\ncommand = [\"sh\"]\nstart_timeout_ms = 0",
        "pair.toml:8: server.start_timeout_ms: 0 is out of range: it goes from 1 to 86400000",
    ),
    (
        "[server]\ncommand = [\"sh\"]\ngive_up_after = 0",
        "pair.toml:8: server.give_up_after: 0 is out of range: it goes from 1 to 1000",
    ),
    (
        "[server]\ncommand = [\"sh\"]\nrestart_pause_ms = 500\nlongest_restart_pause_ms = 100",
        "pair.toml:9: server.longest_restart_pause_ms: the longest pause is below the first, restart_pause_ms; give 500 or more",
    ),
    (
        "[[health]]\ninterval_ms = 1000",
        r#"pair.toml:6: health: what is checked is missing; give one of tcp, http, command, zmq, for example tcp = "127.0.0.1:6380""#,
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1:8000\"\nhttp = \"http://127.0.0.1:8000/\"",
        "pair.toml:8: health.http: there is tcp already; write a check of its own for each",
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1\"",
        r#"pair.toml:7: health.tcp: "127.0.0.1" has no port; write HOST:PORT, for example 127.0.0.1:8000"#,
    ),
    (
        "[[health]]\nhttp = \"https://127.0.0.1:8000/\"",
        r#"pair.toml:7: health.http: "https://127.0.0.1:8000/" needs TLS, which a check does not speak; check with http, or with a command such as curl"#,
    ),
    (
        "[[health]]\nhttp = \"127.0.0.1:8000\"",
        r#"pair.toml:7: health.http: "127.0.0.1:8000" is no URL; write for example http://127.0.0.1:8080/health"#,
    ),
    (
        "[[health]]\nhttp = \"http://127.0.0.1:port/\"",
        r#"pair.toml:7: health.http: the port of "127.0.0.1:port" is no number from 1 to 65535"#,
    ),
    (
        "[[health]]\nhttp = \"http://127.0.0.1:8000/a b\"",
        r#"pair.toml:7: health.http: the path of "http://127.0.0.1:8000/a b" has characters that a request has not; write them as %XX"#,
    ),
    (
        "[[health]]\nhttp = \"http://127.0.0.1:8000/\"\nstatus = 999",
        "pair.toml:8: health.status: 999 is out of range: it goes from 100 to 599",
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1:8000\"\nstatus = 200",
        "pair.toml:8: health.status: it is for http; take it out",
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1:8000\"\nmessage = \"ping\"",
        "pair.toml:8: health.message: it is for zmq; take it out",
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1:8000\"\nrise = 0",
        "pair.toml:8: health.rise: 0 is out of range: it goes from 1 to 1000",
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1:8000\"\nfall = 1001",
        "pair.toml:8: health.fall: 1001 is out of range: it goes from 1 to 1000",
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1:8000\"\ninterval_ms = 500\ntimeout_ms = 1000",
        "pair.toml:9: health.timeout_ms: a check may not last longer than to the next; give at most interval_ms, 500",
    ),
    (
        "[[health]]\ntcp = \"127.0.0.1:8000\"\ntimeout_ms = 0",
        "pair.toml:8: health.timeout_ms: 0 is out of range: it goes from 1 to 86400000",
    ),
    (
        "[[health]]\ncommand = [\"no-such-program\"]",
        r#"pair.toml:7: health.command: the program "no-such-program" is not in PATH; install it, or give its path"#,
    ),
    (
        "[[health]]\nzmq = \"inproc://a\"",
        "pair.toml:7: health.zmq: inproc://a does not lead out of this process; write for example tcp://192.0.2.1:5003",
    ),
    (
        "[[health]]\nname = \"a\"\ntcp = \"127.0.0.1:8000\"\n[[health]]\nname = \"a\"\ntcp = \"127.0.0.1:8001\"",
        "pair.toml:10: health.name: there is a a already; give another name",
    ),
    (
        "[hooks]\non_active = [[]]",
        r#"pair.toml:7: hooks.on_active: the command is empty; write for example on_active = [["/etc/bstar/promote"]]"#,
    ),
    (
        "[hooks]\non_active = [\"/etc/bstar/promote\"]",
        r#"pair.toml:7: hooks.on_active: "/etc/bstar/promote" is a string, and each command is a list of its own; write for example on_active = [["/etc/bstar/promote"]]"#,
    ),
    (
        "[hooks]\non_active = \"/etc/bstar/promote\"",
        r#"pair.toml:7: hooks.on_active: is a string; write for example on_active = [["/etc/bstar/promote"]]"#,
    ),
    (
        "[hooks]\non_active = [[\"no-such-program\"]]",
        r#"pair.toml:7: hooks.on_active: the program "no-such-program" is not in PATH; install it, or give its path"#,
    ),
    (
        "[hooks]\non_active = [\n  [\"sh\"],\n  [\"no-such-program\"],\n]",
        r#"pair.toml:9: hooks.on_active: the program "no-such-program" is not in PATH; install it, or give its path"#,
    ),
    (
        "[hooks]\non_active = [{ timeout_ms = 1000 }]",
        "pair.toml:7: hooks.on_active: the command is missing; write { command = [...], timeout_ms = ... }",
    ),
    (
        "[hooks]\non_active = [{ command = [\"sh\"], timeout_ms = 0 }]",
        "pair.toml:7: hooks.timeout_ms: 0 is out of range: it goes from 1 to 3600000",
    ),
    (
        "[hooks]\non_active = [{ command = [\"sh\"], timeout = 10 }]",
        "pair.toml:7: hooks.on_active: no such key as timeout; a command in a table has command and timeout_ms",
    ),
    (
        "[hooks]\ntimeout_ms = 3600001",
        "pair.toml:7: hooks.timeout_ms: 3600001 is out of range: it goes from 1 to 3600000",
    ),
    (
        "[hooks]\nbefore_passive = [{ command = [\"sh\"], timeout_ms = 6000 }]",
        "pair.toml:7: hooks.timeout_ms: 6000 ms is longer than this hook is waited for; give at most drain_ms, 5000",
    ),
    (
        "[hooks]\nbefore_active = [{ command = [\"sh\"], timeout_ms = 31000 }]",
        "pair.toml:7: hooks.timeout_ms: 31000 ms is longer than this hook is waited for; give at most offer_wait_ms, 30000",
    ),
    (
        "[hooks]\nafter_active = [[\"sh\"]]",
        "pair.toml:7: hooks.after_active: no such key; did you mean before_active?",
    ),
    (
        "[hooks]\nvote_when_unhealthy = true",
        "pair.toml:7: hooks.vote_when_unhealthy: no such key; it belongs to the top, before the first table",
    ),
    (
        "[proof_of_death]\nrestart_grace_ms = 5",
        r#"pair.toml:6: proof_of_death.peer_frontends: missing; write for example peer_frontends = ["tcp://10.0.0.2:6379"]"#,
    ),
    (
        "[proof_of_death]\npeer_frontends = []",
        "pair.toml:7: proof_of_death.peer_frontends: a proof of death needs all front ends of the peer: name 1 to 16",
    ),
    (
        "[proof_of_death]\npeer_frontends = \"tcp://127.0.0.1:8080\"",
        r#"pair.toml:7: proof_of_death.peer_frontends: is a string; write for example peer_frontends = ["tcp://10.0.0.2:6379"]"#,
    ),
    (
        "[proof_of_death]\npeer_frontends = [\"tcp://localhost:8080\"]",
        "pair.toml:7: proof_of_death.peer_frontends: a proof of death needs numeric addresses, since a name may lead elsewhere: write tcp://localhost:8080 as for example tcp://192.0.2.1:5003",
    ),
    (
        "[proof_of_death]\npeer_frontends = [\"ipc:///tmp/x\"]",
        "pair.toml:7: proof_of_death.peer_frontends: a proof of death needs numeric addresses, since a name may lead elsewhere: write ipc:///tmp/x as for example tcp://192.0.2.1:5003",
    ),
    (
        "[proof_of_death]\npeer_frontends = [\"tcp://127.0.0.1:8080\"]",
        "pair.toml: link.remote: a proof of death needs numeric addresses, since a name may lead elsewhere: write tcp://localhost:5004 as for example tcp://192.0.2.1:5003",
    ),
];
