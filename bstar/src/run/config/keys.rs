//! Every key of the configuration: the one list from which flags, help, examples in errors and the search
//! for keys that do not exist are made.

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    /// What stands before the first table.
    Top,
    Link,
    SecondLink,
    Tcp,
    Zmq,
    Server,
    Health,
    Hooks,
    ProofOfDeath,
}

impl Section {
    pub(super) const ALL: [Section; 9] = [
        Section::Top,
        Section::Link,
        Section::SecondLink,
        Section::Tcp,
        Section::Zmq,
        Section::Server,
        Section::Health,
        Section::Hooks,
        Section::ProofOfDeath,
    ];

    /// Its name in the file; empty at the top.
    pub(super) fn name(self) -> &'static str {
        match self {
            Section::Top => "",
            Section::Link => "link",
            Section::SecondLink => "second_link",
            Section::Tcp => "tcp",
            Section::Zmq => "zmq",
            Section::Server => "server",
            Section::Health => "health",
            Section::Hooks => "hooks",
            Section::ProofOfDeath => "proof_of_death",
        }
    }

    /// Whether there may be several, each by one flag with `key=value,key=value`.
    pub(super) fn is_list(self) -> bool {
        self.list_flag().is_some()
    }

    /// The flag of which each is one more table.
    pub(super) fn list_flag(self) -> Option<&'static str> {
        match self {
            Section::Tcp => Some("--tcp"),
            Section::Zmq => Some("--zmq"),
            Section::Health => Some("--health"),
            _ => None,
        }
    }

    /// How its header is written.
    pub(super) fn header(self) -> String {
        match self {
            Section::Top => String::new(),
            section if section.is_list() => format!("[[{}]]", section.name()),
            section => format!("[{}]", section.name()),
        }
    }
}

/// How often a flag is given, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arity {
    One,
    /// A flag alone means `true`.
    Switch,
    /// Each further one adds to a list.
    Many,
}

/// A key of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) section: Section,
    pub(super) name: &'static str,
    /// Its flag, with both dashes; empty where the flag is the table's.
    own_flag: &'static str,
    pub(super) arity: Arity,
    /// What help calls the value.
    pub(super) value: &'static str,
    /// A right value, as it stands in a file.
    pub(super) example: &'static str,
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

impl Key {
    /// Its name with its table's.
    pub(super) fn path(&self) -> String {
        match self.section {
            Section::Top => self.name.to_owned(),
            section => format!("{}.{}", section.name(), self.name),
        }
    }

    /// How its flag begins.
    pub(super) fn flag(&self) -> String {
        match self.section.list_flag() {
            Some(flag) => format!("{flag} {}=", self.name),
            None => self.own_flag.to_owned(),
        }
    }

    /// Its flag, or its table's.
    pub(super) fn flag_name(&self) -> &'static str {
        self.section.list_flag().unwrap_or(self.own_flag)
    }

    /// Its flag with a right value.
    pub(super) fn flag_example(&self) -> String {
        let plain: String = self
            .example
            .chars()
            .filter(|c| !"[]{}\"".contains(*c))
            .collect();
        let plain = plain.trim().replace(", ", " ").replace(" = ", "=");
        let quoted = if plain.contains(' ') {
            format!("\"{plain}\"")
        } else {
            plain
        };
        match self.section.list_flag() {
            Some(_) => format!("{}={quoted}", self.name),
            None => format!("{} {quoted}", self.own_flag),
        }
    }
}

/// The key of a table by its name.
///
/// # Panics
///
/// If there is none: a defect of this program.
pub(super) fn key(section: Section, name: &str) -> &'static Key {
    let found = of(section).find(|key| key.name == name);
    found.expect("every key that is read is in the list")
}

/// The keys of a table.
pub(super) fn of(section: Section) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

/// Of a table that has one flag for all its keys.
const fn listed(
    section: Section,
    name: &'static str,
    (value, example): (&'static str, &'static str),
    default: &'static str,
    help: &'static str,
) -> Key {
    Key {
        section,
        name,
        own_flag: "",
        arity: Arity::One,
        value,
        example,
        default,
        help,
    }
}

/// With a flag of its own.
const fn single(
    section: Section,
    (name, own_flag): (&'static str, &'static str),
    (value, example): (&'static str, &'static str),
    default: &'static str,
    help: &'static str,
) -> Key {
    Key {
        own_flag,
        ..listed(section, name, (value, example), default, help)
    }
}

const fn of_arity(arity: Arity, key: Key) -> Key {
    Key { arity, ..key }
}

/// All keys, in the order of the documentation.
#[rustfmt::skip]
pub(super) static KEYS: &[Key] = &[
    single(Section::Top, ("role", "--role"), ("ROLE", r#""primary""#), "",
        "Which of the two this node is: primary or backup; --primary and --backup are short for it"),
    single(Section::Top, ("pair", "--pair"), ("NAME", r#""orders""#), "bstar",
        "Name of the pair; the same on both nodes"),
    single(Section::Top, ("heartbeat_ms", "--heartbeat-ms"), ("MS", "1000"), "1000",
        "Milliseconds between two signs of life; the same on both nodes"),
    single(Section::Top, ("timeout_ms", "--timeout-ms"), ("MS", "2000"), "two heartbeats",
        "Milliseconds of silence after which the peer may be replaced"),
    single(Section::Top, ("drain_ms", "--drain-ms"), ("MS", "5000"), "5000",
        "Milliseconds that a switchover may take for what was begun and the before-passive hooks"),
    single(Section::Top, ("offer_wait_ms", "--offer-wait-ms"), ("MS", "30000"), "30000",
        "Milliseconds that an active node which offers the service waits for its peer's before-active hooks"),
    single(Section::Top, ("fail_back_ms", "--fail-back-ms"), ("MS", "60000"), "never",
        "As primary: ask for the service again after so many milliseconds beside an active backup"),
    single(Section::Top, ("serve_alone_ms", "--serve-alone-ms"), ("MS", "60000"), "never",
        "As backup that was never paired: serve when the primary has been silent for so many milliseconds"),
    single(Section::Top, ("state_dir", "--state-dir"), ("DIR", r#""/var/lib/bstar-orders""#), "none",
        "Directory that keeps this node's epochs over restarts; made if it is not there, in one that is"),
    single(Section::Top, ("control", "--control"), ("PATH", r#""/run/bstar-orders.sock""#), "bstar-PAIR-ROLE.sock in $XDG_RUNTIME_DIR, else in /run as root, else in /tmp/bstar-UID",
        "Socket at which bstar status and the like find this node"),
    single(Section::Top, ("max_memory_mib", "--max-memory-mib"), ("MIB", "1024"), "1024",
        "MiB by which this process may grow before its ZeroMQ front ends disconnect all clients and begin anew"),
    of_arity(Arity::Switch, single(Section::Top, ("vote_when_unhealthy", "--vote-when-unhealthy"), ("BOOL", "true"), "false",
        "Take over at a client's request although the server here is not well")),

    single(Section::Link, ("local", "--link-local"), ("EP", r#""tcp://10.0.0.1:5003""#), "tcp://*:5003 as primary, tcp://*:5004 as backup",
        "Where this node publishes its state"),
    single(Section::Link, ("remote", "--link-remote"), ("EP", r#""tcp://10.0.0.2:5003""#), "tcp://localhost:5004 as primary, tcp://localhost:5003 as backup",
        "Where its peer does"),
    single(Section::SecondLink, ("local", "--second-link-local"), ("EP", r#""tcp://10.0.1.1:5003""#), "",
        "Where this node publishes its state a second time, on a network of its own"),
    single(Section::SecondLink, ("remote", "--second-link-remote"), ("EP", r#""tcp://10.0.1.2:5003""#), "",
        "Where its peer does"),

    listed(Section::Tcp, "name", ("NAME", r#""web""#), "its listen",
        "How the front end is called in the status"),
    listed(Section::Tcp, "listen", ("ADDR", r#""0.0.0.0:8080""#), "",
        "Where clients connect: HOST:PORT; :PORT and *:PORT are all IPv4 addresses of this machine"),
    listed(Section::Tcp, "server", ("ADDR", r#""127.0.0.1:8000""#), "",
        "Where the server listens: HOST:PORT"),
    listed(Section::Tcp, "vote", ("VOTE", r#""data""#), "data",
        "What of a client asks a passive node to take over: data or connect"),
    listed(Section::Tcp, "connect_timeout_ms", ("MS", "5000"), "5000",
        "Milliseconds in which the server must accept a connection"),
    listed(Section::Tcp, "idle_timeout_ms", ("MS", "3600000"), "0, never",
        "Milliseconds without a byte in either direction after which a connection ends"),
    listed(Section::Tcp, "max_connections", ("N", "10000"), "10000, fewer with fewer descriptors",
        "Clients at once"),
    listed(Section::Tcp, "proxy_protocol", ("BOOL", "true"), "false",
        "Tell the server the client's address by the PROXY protocol, version 2"),

    listed(Section::Zmq, "name", ("NAME", r#""orders""#), "its listen",
        "How the front end is called in the status"),
    listed(Section::Zmq, "listen", ("EP", r#""tcp://*:5001""#), "",
        "Where clients connect"),
    listed(Section::Zmq, "server", ("EP", r#""tcp://127.0.0.1:5555""#), "",
        "Where the server's REP or ROUTER is bound"),
    listed(Section::Zmq, "max_waiting", ("N", "1000"), "1000",
        "Requests that may wait for the server at once"),

    single(Section::Server, ("run", "--server-run"), ("WHEN", r#""active""#), "active with a command, else none",
        "When the server's process is there: none (it is somebody else's), always or active"),
    single(Section::Server, ("command", "--server-command"), ("COMMAND", r#"["redis-server", "a.conf"]"#), "",
        "The server's program and its arguments, quoted as for a shell; also as all that follows --"),
    single(Section::Server, ("directory", "--server-directory"), ("DIR", r#""/var/lib/redis""#), "this program's",
        "Where the server's process runs"),
    of_arity(Arity::Many, single(Section::Server, ("environment", "--server-environment"), ("NAME=VALUE", r#"{ LANG = "C" }"#), "none",
        "Added to the environment of the server's process; once for each variable")),
    single(Section::Server, ("start_timeout_ms", "--server-start-timeout-ms"), ("MS", "30000"), "30000",
        "Milliseconds between the server's start and the first time that it is well"),
    single(Section::Server, ("stop_grace_ms", "--server-stop-grace-ms"), ("MS", "10000"), "10000",
        "Milliseconds between SIGTERM and SIGKILL"),
    single(Section::Server, ("restart_pause_ms", "--server-restart-pause-ms"), ("MS", "100"), "100",
        "Milliseconds before the first restart; twice as many before each further one"),
    single(Section::Server, ("longest_restart_pause_ms", "--server-longest-restart-pause-ms"), ("MS", "10000"), "10000",
        "The most milliseconds before a restart"),
    single(Section::Server, ("give_up_after", "--server-give-up-after"), ("N", "5"), "5",
        "So many ends in a row, and the server counts as one that cannot be kept alive"),

    listed(Section::Health, "name", ("NAME", r#""ping""#), "what is checked",
        "How the check is called in the status"),
    listed(Section::Health, "tcp", ("ADDR", r#""127.0.0.1:6380""#), "",
        "Good if a connection to HOST:PORT is accepted"),
    listed(Section::Health, "http", ("URL", r#""http://127.0.0.1:8080/health""#), "",
        "Good if a GET is answered with a good status"),
    listed(Section::Health, "command", ("COMMAND", r#"["redis-cli", "ping"]"#), "",
        "Good if this command exits with 0"),
    listed(Section::Health, "zmq", ("EP", r#""tcp://127.0.0.1:5555""#), "",
        "Good if the message of a REQ is answered"),
    listed(Section::Health, "status", ("N", "200"), "any from 200 to 399",
        "The good status, with http"),
    listed(Section::Health, "message", ("TEXT", r#""ping""#), "ping",
        "What is asked, with zmq"),
    listed(Section::Health, "interval_ms", ("MS", "1000"), "1000, or timeout_ms if that is more",
        "Milliseconds from the start of one check to the start of the next"),
    listed(Section::Health, "timeout_ms", ("MS", "1000"), "1000, or interval_ms if that is less",
        "Milliseconds until a check has failed"),
    listed(Section::Health, "rise", ("N", "2"), "2",
        "Good checks in a row that make the server well again"),
    listed(Section::Health, "fall", ("N", "3"), "3",
        "Failed checks in a row that make it ill"),

    single(Section::Hooks, ("timeout_ms", "--hooks-timeout-ms"), ("MS", "5000"), "5000",
        "Milliseconds that each command of a hook may take, unless it has a timeout_ms of its own"),
    of_arity(Arity::Many, single(Section::Hooks, ("before_active", "--before-active"), ("COMMAND", r#"[["/etc/bstar/prepare"]]"#), "none",
        "Command before this node becomes active; its failure is a veto. Once for each command, quoted as for a shell")),
    of_arity(Arity::Many, single(Section::Hooks, ("on_active", "--on-active"), ("COMMAND", r#"[["/etc/bstar/promote"]]"#), "none",
        "Command when this node is active, before clients are let in")),
    of_arity(Arity::Many, single(Section::Hooks, ("before_passive", "--before-passive"), ("COMMAND", r#"[["/etc/bstar/flush"]]"#), "none",
        "Command in a switchover, when clients are served no more and the peer not yet")),
    of_arity(Arity::Many, single(Section::Hooks, ("on_passive", "--on-passive"), ("COMMAND", r#"[["/etc/bstar/demote"]]"#), "none",
        "Command when this node is passive")),
    of_arity(Arity::Many, single(Section::Hooks, ("on_fault", "--on-fault"), ("COMMAND", r#"[["/etc/bstar/alert"]]"#), "none",
        "Command when something is wrong; BSTAR_FAULT names it")),

    of_arity(Arity::Many, single(Section::ProofOfDeath, ("peer_frontends", "--proof-of-death-peer-frontends"), ("EP", r#"["tcp://10.0.0.2:6379"]"#), "no proof of death",
        "Replace the peer as soon as its host refuses these, all of its front ends by numeric address. Only where nothing between the two answers in the peer's stead. Once for each")),
    single(Section::ProofOfDeath, ("restart_grace_ms", "--proof-of-death-restart-grace-ms"), ("MS", "2000"), "0",
        "Milliseconds that a peer whose process is gone has to be restarted in"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_keys_are_one() {
        let paths: BTreeSet<_> = KEYS.iter().map(Key::path).collect();
        let flags: BTreeSet<_> = KEYS.iter().map(Key::flag).collect();
        assert_eq!((paths.len(), flags.len()), (KEYS.len(), KEYS.len()));
    }

    #[test]
    fn a_flag_is_the_key_with_dashes() {
        for key in KEYS.iter().filter(|key| !key.section.is_list()) {
            let path = key.path().replace(['_', '.'], "-");
            let without_table = path.trim_start_matches("hooks-");
            let flag = key.flag();
            assert!(
                flag == format!("--{path}") || flag == format!("--{without_table}"),
                "{flag}"
            );
        }
    }

    #[test]
    fn an_example_is_turned_into_a_flag() {
        assert_eq!(
            key(Section::Server, "command").flag_example(),
            r#"--server-command "redis-server a.conf""#
        );
        assert_eq!(
            key(Section::Server, "environment").flag_example(),
            "--server-environment LANG=C"
        );
        assert_eq!(key(Section::Tcp, "vote").flag_example(), "vote=data");
    }
}
