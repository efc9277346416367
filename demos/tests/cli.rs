//! Bad input to the programs: one clear line, the right status, and never a panic.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SERVER: &str = env!("CARGO_BIN_EXE_bstarsrv");
const CLIENT: &str = env!("CARGO_BIN_EXE_bstarcli");

const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// How a program ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a program to its end; one that does not end by itself is killed and has no status.
fn run(program: &str, args: &[&str]) -> Ended {
    let mut child = Command::new(program)
        .args(args)
        .env_remove("RUST_LOG")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let bound = Instant::now() + Duration::from_secs(20);
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < bound {
        thread::sleep(Duration::from_millis(2));
    }
    let code = match child.try_wait() {
        Ok(Some(status)) => status.code(),
        Ok(None) | Err(_) => {
            child.kill().expect("a child can be killed");
            None
        }
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let mut out = child.stdout.take().expect("standard output is piped");
    out.read_to_string(&mut stdout).expect("it writes text");
    let mut err = child.stderr.take().expect("standard error is piped");
    err.read_to_string(&mut stderr).expect("it writes text");
    child.wait().expect("a child can be waited for");
    Ended {
        code,
        stdout,
        stderr,
    }
}

/// The program ends with `code`, says one thing that names `about`, and does not panic.
fn fails(program: &str, args: &[&str], code: i32, about: &str) {
    let ended = run(program, args);
    let told = format!("{program} {args:?}: {ended:?}");
    assert_eq!(ended.code, Some(code), "{told}");
    assert!(!ended.stderr.contains("panicked"), "{told}");
    assert!(!ended.stderr.contains("backtrace"), "{told}");
    assert!(ended.stderr.contains(about), "should name {about}: {told}");
    let lines = ended.stderr.lines().filter(|line| !line.trim().is_empty());
    // A usage error may show the usage below it.
    let most = if code == USAGE { 8 } else { 1 };
    assert!((1..=most).contains(&lines.count()), "{told}");
}

/// An address at which nobody listens, handed out once: this process has a loopback address of
/// its own, and the system chooses ports above these.
fn free() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(10_000);
    format!("tcp://{}:{}", own(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((own(), 0)).expect("a loopback address takes a listener");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

fn own() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + high % 64, middle, low)
}

/// The arguments of a server that would run, with `changed` in place of its own.
fn server(changed: &[(&str, &str)]) -> Vec<String> {
    let mut args = vec!["-p".to_owned()];
    for option in ["--local", "--remote", "--frontend"] {
        let given = changed.iter().find(|(name, _)| *name == option);
        args.push(option.to_owned());
        args.push(given.map_or_else(free, |(_, value)| (*value).to_owned()));
    }
    args
}

fn server_fails(changed: &[(&str, &str)], code: i32, about: &str) {
    let args = server(changed);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    fails(SERVER, &args, code, about);
}

#[test]
fn an_endpoint_that_does_not_parse() {
    for endpoint in [
        "nonsense",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999",
        "tcp://x:y",
    ] {
        for option in ["--local", "--remote", "--frontend"] {
            server_fails(&[(option, endpoint)], USAGE, endpoint);
        }
        fails(
            CLIENT,
            &["--server", endpoint, "--server", &free()],
            USAGE,
            endpoint,
        );
    }
}

#[test]
fn a_port_in_use() {
    let (_listener, address) = listener();
    let endpoint = format!("tcp://{address}");
    for option in ["--local", "--frontend"] {
        server_fails(&[(option, &endpoint)], FAILED, &endpoint);
    }
}

#[test]
fn a_name_that_does_not_resolve() {
    // The top-level name `invalid` is reserved, so that it never resolves.
    let endpoint = "tcp://no-such-host.invalid:5003";
    server_fails(&[("--remote", endpoint)], FAILED, "no-such-host.invalid");
    server_fails(&[("--local", endpoint)], FAILED, "no-such-host.invalid");
    let args = [
        "--server",
        endpoint,
        "--server",
        &free(),
        "--requests",
        "1",
        "--timeout",
        "500",
    ];
    fails(CLIENT, &args, FAILED, "no-such-host.invalid");
}

#[test]
fn both_roles_and_no_role() {
    fails(SERVER, &["-p", "-b"], USAGE, "-b");
    fails(SERVER, &[], USAGE, "-p");
}

#[test]
fn a_heartbeat_that_is_none() {
    let week = "604800000";
    for heartbeat in ["0", week, "soon", "-5", "1.5", "", "99999999999999999999"] {
        let heartbeat = format!("--heartbeat={heartbeat}");
        fails(SERVER, &["-p", &heartbeat], USAGE, "heartbeat");
        let args = ["--server", &free(), "--server", &free(), &heartbeat];
        fails(CLIENT, &args, USAGE, "heartbeat");
    }
}

#[test]
fn an_unknown_option() {
    for program in [SERVER, CLIENT] {
        fails(program, &["--no-such-option"], USAGE, "--no-such-option");
        fails(program, &["stray"], USAGE, "stray");
    }
}

#[test]
fn more_servers_than_a_pair_has() {
    let args = [
        "--server",
        &free(),
        "--server",
        &free(),
        "--server",
        &free(),
    ];
    fails(CLIENT, &args, USAGE, "--server");
}

#[test]
fn a_client_of_nobody_fails_by_its_deadline() {
    let args = [
        "--server",
        &free(),
        "--server",
        &free(),
        "--requests",
        "2",
        "--timeout",
        "300",
        "--heartbeat",
        "50",
        "--json",
    ];
    let ended = run(CLIENT, &args);
    assert_eq!(ended.code, Some(FAILED), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    let last = ended.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with('{') && last.ends_with('}'), "{ended:?}");
    let plain: String = last.split_whitespace().collect();
    assert!(
        plain.contains("\"failed\":2") && plain.contains("\"ok\":0"),
        "{ended:?}"
    );
}

#[test]
fn help_has_an_example() {
    for program in [SERVER, CLIENT] {
        let ended = run(program, &["--help"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.to_lowercase().contains("example"), "{ended:?}");
    }
}
