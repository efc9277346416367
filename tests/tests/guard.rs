//! The examples of a guard, as their users run them: a server of lines and one of HTTP, each a pair of
//! processes whose service goes on through a switchover, an illness and a kill.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tests::{BOUND, Outcome, Process, ensure, free_endpoint, programs, steady};

const HEARTBEAT: Duration = Duration::from_millis(200);
const ROLES: [&str; 2] = ["primary", "backup"];

/// A pair of an example's processes, and where their clients come.
struct Pair {
    nodes: [Process; 2],
    addresses: [SocketAddr; 2],
}

impl Pair {
    fn start(example: &str) -> Outcome<Pair> {
        let program = programs::example(example);
        let links = [free_endpoint(), free_endpoint()];
        let addresses = [free_address()?, free_address()?];
        let nodes = [0, 1].map(|node| {
            let mut command = Command::new(&program);
            command
                .args([ROLES[node], &links[node], &links[1 - node]])
                .arg(addresses[node].to_string())
                .arg(HEARTBEAT.as_millis().to_string());
            Process::spawn_listening(ROLES[node], &mut command)
        });
        Ok(Pair { nodes, addresses })
    }

    /// Asks both in turn, as a client does, until `wanted` is what the node of this number answers; the
    /// other's answers are seen by `other`.
    fn wait_until<T: Debug + PartialEq>(
        &self,
        node: usize,
        wanted: &T,
        ask: impl Fn(SocketAddr) -> T,
        mut other: impl FnMut(T) -> Outcome<()>,
    ) -> Outcome<()> {
        let deadline = Instant::now() + BOUND;
        loop {
            let got = ask(self.addresses[node]);
            if got == *wanted {
                return Ok(());
            }
            other(ask(self.addresses[1 - node]))?;
            ensure(Instant::now() < deadline, || {
                let both = self.nodes.each_ref().map(|node| node.describe("asked"));
                format!("{}: {got:?}\n{}", ROLES[node], both.join("\n"))
            })?;
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn free_address() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

/// What a client of lines sees.
#[derive(Debug, PartialEq)]
enum Line {
    Answer(String),
    Refused,
    Closed,
}

fn ask_line(address: SocketAddr) -> Line {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, BOUND)?;
        stream.set_read_timeout(Some(BOUND))?;
        stream.write_all(b"hello\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    };
    match asked() {
        Ok(answer) if answer.is_empty() => Line::Closed,
        Ok(answer) => Line::Answer(answer),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Line::Refused,
        Err(_) => Line::Closed,
    }
}

#[test]
fn a_server_of_lines_goes_on_through_a_switchover_an_illness_and_a_kill() -> Outcome<()> {
    steady(HEARTBEAT, || {
        let pair = Pair::start("guard_tcp")?;
        let served = ROLES.map(|role| Line::Answer(format!("{role} hello\n")));
        let serves = |node: usize| {
            let never = |line| {
                // While the service moves, the other may still answer; but nobody answers for another.
                let own = line == served[1 - node] || !matches!(line, Line::Answer(_));
                ensure(own, || format!("{line:?}"))
            };
            pair.wait_until(node, &served[node], ask_line, never)
        };
        let refuses = |node| {
            pair.wait_until(node, &Line::Refused, ask_line, |_: Line| -> Outcome<()> {
                Ok(())
            })
        };
        serves(0)?;
        refuses(1)?;
        // Refused until it has heard that its peer stands by.
        pair.wait_until(1, &served[1], ask_line, |_| pair.nodes[0].say("switch"))?;
        refuses(0)?;
        pair.nodes[1].say("ill its disk is full")?;
        serves(0)?;
        refuses(1)?;
        pair.nodes[1].say("well")?;
        pair.nodes[0].kill()?;
        serves(1)?;
        pair.nodes[1].say("end")?;
        let status = pair.nodes[1].wait_exit(BOUND)?;
        ensure(status.success(), || pair.nodes[1].describe("told to end"))
    })
}

/// The status and the body of an answer; 0 when there was none.
fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, BOUND)?;
        stream.set_read_timeout(Some(BOUND))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: pair\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = asked().unwrap_or_default();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body.to_owned())
}

#[test]
fn a_server_of_http_goes_on_through_a_switchover_an_illness_and_a_kill() -> Outcome<()> {
    steady(HEARTBEAT, || {
        let pair = Pair::start("guard_axum")?;
        let get = |address| http(address, "GET", "/", "");
        let served = ROLES.map(|role| (200, format!("{role}\n")));
        let serves = |node: usize| {
            pair.wait_until(node, &served[node], get, |other| {
                let known = [200, 503, 0].contains(&other.0);
                ensure(known, || format!("{other:?}"))
            })
        };
        let stands_by = |node| {
            let health = |address| http(address, "GET", "/health", "").1;
            let passive = "Passive fit=true\n".to_owned();
            pair.wait_until(node, &passive, health, |_| Ok(()))?;
            let answer = get(pair.addresses[node]);
            ensure(answer.0 == 503, || {
                format!("{answer:?} of one that stands by")
            })
        };
        let told = |node: usize, method: &str, path: &str, body: &str| {
            let answer = http(pair.addresses[node], method, path, body);
            ensure(answer.0 == 200, || format!("{method} {path}: {answer:?}"))
        };
        serves(0)?;
        stands_by(1)?;
        // Refused, with a word why, until it has heard that its peer stands by.
        pair.wait_until(1, &served[1], get, |_| {
            let answer = http(pair.addresses[0], "POST", "/switchover", "");
            let known = [200, 409].contains(&answer.0);
            ensure(known, || format!("switchover: {answer:?}"))
        })?;
        stands_by(0)?;
        told(1, "PUT", "/health", "its disk is full")?;
        serves(0)?;
        told(1, "PUT", "/health", "")?;
        stands_by(1)?;
        pair.nodes[0].kill()?;
        serves(1)
    })
}
