//! Real servers, good and bad.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use reactor::{Endpoint, Reactor};

use super::*;
use crate::run::trial::{is_gone, pids, reactor, shell, turn_until};

const MS: fn(u64) -> Duration = Duration::from_millis;
/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(1000);

struct Site {
    health: Health<Site>,
    events: Vec<HealthEvent>,
}

struct Trial {
    reactor: Reactor<Site>,
    site: Site,
}

impl Trial {
    fn new(checks: Vec<CheckConfig>) -> Trial {
        let health = Health::new(
            checks,
            |site: &mut Site| &mut site.health,
            |site, _, event| site.events.push(event),
        );
        Trial {
            reactor: reactor(),
            site: Site {
                health,
                events: Vec::new(),
            },
        }
    }

    /// Started, with one check that is often made.
    fn of(kind: CheckKind, timeout: Duration) -> Trial {
        let mut trial = Trial::new(vec![check("one", kind, timeout)]);
        trial.start();
        trial
    }

    fn start(&mut self) {
        self.site.health.start(self.reactor.scope());
        assert!(self.site.events.is_empty(), "nothing is told from within");
    }

    fn until(&mut self, done: impl FnMut(&mut Site) -> bool) {
        turn_until(&mut self.reactor, &mut self.site, done);
    }

    fn next(&mut self) -> HealthEvent {
        self.until(|site| !site.events.is_empty());
        self.site.events.remove(0)
    }

    /// Waits until it is told that it is ill, and gives why.
    fn why(&mut self) -> String {
        match self.next() {
            HealthEvent::Unhealthy { why, .. } => why,
            HealthEvent::Healthy => panic!("it is ill"),
        }
    }

    /// Waits until so many looks have ended.
    fn looks(&mut self, count: usize) {
        let mut seen = Vec::new();
        self.until(|site| {
            let at = site.health.checks[0].looked_at;
            if at.is_some() && seen.last() != Some(&at) {
                seen.push(at);
            }
            seen.len() > count
        });
    }
}

fn check(name: &str, kind: CheckKind, timeout: Duration) -> CheckConfig {
    CheckConfig {
        name: name.to_owned(),
        kind,
        interval: MS(20),
        timeout,
        rise: 2,
        fall: 3,
    }
}

fn exists(file: &Path) -> CheckKind {
    CheckKind::Command(shell(&format!("test -e {}", file.display())))
}

/// A server that does this with each connection, on a thread that ends with the tests.
fn serve(each: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let each = std::sync::Arc::new(each);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = std::sync::Arc::clone(&each);
            thread::spawn(move || each(stream));
        }
    });
    address
}

fn http(address: SocketAddr, status: Option<u16>) -> CheckKind {
    CheckKind::Http {
        address,
        host: "example".to_owned(),
        path: "/health?a=b".to_owned(),
        status,
    }
}

/// Reads a request to its end, and gives it.
fn request(mut stream: &TcpStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// A server that answers each request with this, and closes.
fn answering(answer: &'static [u8]) -> SocketAddr {
    serve(move |mut stream| {
        request(&stream);
        // Who asks may have heard enough.
        let _ = stream.write_all(answer);
    })
}

#[test]
fn without_checks_a_server_is_well_when_it_is_looked_at() {
    let mut trial = Trial::new(Vec::new());
    assert!(!trial.site.health.is_healthy());
    trial.start();
    assert_eq!(trial.next(), HealthEvent::Healthy);
    assert!(trial.site.health.is_healthy());
    trial.site.health.restart(trial.reactor.scope(), NEVER);
    assert_eq!(trial.next(), HealthEvent::Healthy);
    trial.site.health.stop(trial.reactor.scope());
    assert!(!trial.site.health.is_healthy());
}

#[test]
fn the_first_result_counts_at_once_and_then_it_takes_several() {
    let kind = CheckKind::Tcp("127.0.0.1:1".parse().unwrap());
    let of = |config: CheckConfig| Check {
        probe: Probe::of(&config.kind),
        config,
        began: Instant::now(),
        timer: None,
        healthy: None,
        against: 0,
        last_error: None,
        looked_at: None,
    };
    let config = check("one", kind, NEVER);
    let run = |starting: bool, looks: &str| -> Vec<Option<bool>> {
        let mut check = of(config.clone());
        let look = |look| match look {
            '+' => Ok(()),
            _ => Err("why".to_owned()),
        };
        let results = looks.chars().map(|each| {
            check.count(look(each), starting);
            check.healthy
        });
        results.collect()
    };
    const WELL: Option<bool> = Some(true);
    const ILL: Option<bool> = Some(false);
    assert_eq!(
        run(false, "+--+---"),
        [WELL, WELL, WELL, WELL, WELL, WELL, ILL]
    );
    assert_eq!(run(false, "-+-++"), [ILL, ILL, ILL, ILL, WELL]);
    // Of one that is starting only the first success counts at once.
    assert_eq!(
        run(true, "----+---"),
        [None, None, None, None, WELL, WELL, WELL, ILL]
    );
}

#[test]
fn tcp_is_well_while_somebody_listens() {
    let mut listener = Some(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.as_ref().unwrap().local_addr().unwrap();
    let mut trial = Trial::of(CheckKind::Tcp(address), NEVER);
    assert_eq!(trial.next(), HealthEvent::Healthy);
    listener.take();
    let why = trial.why();
    assert!(why.contains("refused"), "{why}");
    let view = &trial.site.health.view()[0];
    assert_eq!((view.name.as_str(), view.healthy), ("one", Some(false)));
    assert!(view.last_error.is_some() && view.looked_at.is_some());
    trial.until(|_| {
        listener = TcpListener::bind(address).ok();
        listener.is_some()
    });
    assert_eq!(trial.next(), HealthEvent::Healthy);
}

#[test]
fn tcp_does_not_wait_for_an_answer_for_ever() {
    // A queue of one that is full: the system drops what comes beyond it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let full = listener.local_addr().unwrap();
    let _held: Vec<_> = (0..4)
        .map(|_| mio::net::TcpStream::connect(full).unwrap())
        .collect();
    let why = Trial::of(CheckKind::Tcp(full), MS(100)).why();
    assert_eq!(why, "no answer within 100ms");
}

#[test]
fn http_is_well_by_its_status() {
    let good = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(
        Trial::of(http(good, None), NEVER).next(),
        HealthEvent::Healthy
    );
    assert_eq!(
        Trial::of(http(good, Some(200)), NEVER).next(),
        HealthEvent::Healthy
    );
    assert_eq!(Trial::of(http(good, Some(204)), NEVER).why(), "status 200");
    let bad = answering(b"HTTP/1.1 503 Not now\r\n\r\n");
    assert_eq!(Trial::of(http(bad, None), NEVER).why(), "status 503");
}

#[test]
fn http_asks_as_a_client_does() {
    let address = serve(|mut stream| {
        let request = request(&stream);
        let good = request.starts_with("GET /health?a=b HTTP/1.1\r\n")
            && request.contains("\r\nHost: example\r\n");
        let status = if good { 200 } else { 400 };
        let _ = write!(stream, "HTTP/1.1 {status} X\r\n\r\n");
    });
    assert_eq!(
        Trial::of(http(address, None), NEVER).next(),
        HealthEvent::Healthy
    );
}

#[test]
fn http_servers_that_do_not_answer_are_ill() {
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let why = Trial::of(http(dead, None), NEVER).why();
    assert!(why.contains("refused"), "{why}");
    let closing = answering(b"");
    let why = Trial::of(http(closing, None), NEVER).why();
    assert!(why.contains("closed") || why.contains("reset"), "{why}");
    let half = answering(b"HTTP/1.1 200 OK\r\nContent-");
    let why = Trial::of(http(half, None), NEVER).why();
    assert!(why.contains("closed"), "{why}");
    // The system accepts for it.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let why = Trial::of(http(hanging.local_addr().unwrap(), None), MS(100)).why();
    assert_eq!(why, "no answer within 100ms");
}

#[test]
fn http_servers_that_answer_a_byte_at_a_time_are_ill_when_the_time_is_over() {
    let dripping = serve(|mut stream| {
        request(&stream);
        let head = b"HTTP/1.1 200 OK\r\nA: "
            .iter()
            .chain(std::iter::repeat(&b'x'));
        for byte in head {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(MS(5));
        }
    });
    let began = Instant::now();
    let why = Trial::of(http(dripping, None), MS(200)).why();
    assert_eq!(why, "no answer within 200ms");
    assert!(began.elapsed() >= MS(200));
}

#[test]
fn http_servers_that_talk_something_else_or_without_end_are_ill() {
    let garbage = answering(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    let why = Trial::of(http(garbage, None), NEVER).why();
    assert!(why.contains("no HTTP"), "{why}");
    let endless = serve(|mut stream| {
        request(&stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nA: ");
        while stream.write_all(&[b'x'; 1000]).is_ok() {}
    });
    let why = Trial::of(http(endless, None), NEVER).why();
    assert!(why.contains("more than 16384 bytes"), "{why}");
}

#[test]
fn a_command_is_well_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("well");
    std::fs::write(&file, "").unwrap();
    let mut trial = Trial::of(exists(&file), NEVER);
    assert_eq!(trial.next(), HealthEvent::Healthy);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(trial.why(), "exit code 1");
    std::fs::write(&file, "").unwrap();
    assert_eq!(trial.next(), HealthEvent::Healthy);

    let failing = CheckKind::Command(shell("echo no master >&2; exit 2"));
    let why = Trial::of(failing, NEVER).why();
    assert_eq!(why, "exit code 2; it said last: no master");
    let missing = CheckKind::Command(vec!["/no/such/check".to_owned()]);
    let why = Trial::of(missing, NEVER).why();
    assert!(why.contains("cannot be started"), "{why}");
}

#[test]
fn a_command_finds_what_it_is_told_in_its_environment() {
    let kind = CheckKind::Command(shell("test \"$BSTAR_STATE\" = active"));
    let mut trial = Trial::new(vec![check("one", kind, NEVER)]);
    let state = |state: &str| vec![("BSTAR_STATE".to_owned(), state.to_owned())];
    trial.site.health.set_environment(&state("passive"));
    trial.start();
    assert!(matches!(trial.next(), HealthEvent::Unhealthy { .. }));
    trial.site.health.set_environment(&state("active"));
    assert_eq!(trial.next(), HealthEvent::Healthy);
}

#[test]
fn a_command_that_hangs_is_killed_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!(
        "sleep 1000 & echo $! >>{0}; echo $$ >>{0}; wait",
        file.display()
    );
    let mut trial = Trial::of(CheckKind::Command(shell(&script)), MS(500));
    assert_eq!(trial.why(), "no answer within 500ms");
    // The one that is under way goes with the checks.
    trial.until(|_| pids(&file).len() >= 4);
    trial.site.health.stop(trial.reactor.scope());
    trial.until(|_| pids(&file).iter().all(|pid| is_gone(*pid)));
    assert!(trial.site.events.is_empty());
}

/// A REP that answers, until the flag is lowered; it ends by itself then.
struct Rep {
    on: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
    endpoint: String,
}

impl Rep {
    fn bind(endpoint: &str) -> Rep {
        let socket = reactor::zmq::Context::new()
            .socket(reactor::zmq::REP)
            .unwrap();
        socket.set_linger(0).unwrap();
        socket.set_rcvtimeo(10).unwrap();
        let end = Instant::now() + crate::run::trial::BOUND;
        // The one before it may not have let go of the port yet.
        while let Err(error) = socket.bind(endpoint) {
            assert!(Instant::now() < end, "{error}");
        }
        let endpoint = socket.get_last_endpoint().unwrap().unwrap();
        let on = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let seen = std::sync::Arc::clone(&on);
        let thread = thread::spawn(move || {
            while seen.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok(message) = socket.recv_bytes(0) {
                    assert_eq!(message, b"ping");
                    socket.send("pong", 0).unwrap();
                }
            }
        });
        Rep {
            on,
            thread: Some(thread),
            endpoint,
        }
    }
}

impl Drop for Rep {
    fn drop(&mut self) {
        self.on.store(false, std::sync::atomic::Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok());
    }
}

fn ping(endpoint: &str) -> CheckKind {
    CheckKind::Zmq {
        endpoint: Endpoint::to_connect(endpoint).unwrap(),
        message: "ping".to_owned(),
    }
}

fn socket(trial: &Trial) -> Option<SocketKey> {
    match &trial.site.health.checks[0].probe {
        Probe::Zmq(probe) => probe.socket,
        _ => None,
    }
}

#[test]
fn zmq_is_well_while_it_answers() {
    let rep = Rep::bind("tcp://127.0.0.1:*");
    let endpoint = rep.endpoint.clone();
    let mut trial = Trial::of(ping(&endpoint), MS(200));
    assert_eq!(trial.next(), HealthEvent::Healthy);
    // The socket is used again as long as it is answered, and nothing is ever wrong with it.
    let first = socket(&trial);
    trial.looks(5);
    assert!(first.is_some() && socket(&trial) == first);
    assert_eq!(trial.site.health.view()[0].last_error, None);
    drop(rep);
    assert_eq!(trial.why(), "no answer within 200ms");
    let _rep = Rep::bind(&endpoint);
    assert_eq!(trial.next(), HealthEvent::Healthy);
}

#[test]
fn zmq_servers_that_take_and_do_not_answer_are_ill() {
    let context = reactor::zmq::Context::new();
    let silent = context.socket(reactor::zmq::ROUTER).unwrap();
    silent.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = silent.get_last_endpoint().unwrap().unwrap();
    let mut trial = Trial::of(ping(&endpoint), MS(200));
    assert_eq!(trial.why(), "no answer within 200ms");
    trial.looks(1);
    // Each look has a connection of its own, and its message came.
    let mut peers = std::collections::BTreeSet::new();
    while silent.poll(reactor::zmq::POLLIN, 0).unwrap() > 0 {
        peers.insert(silent.recv_multipart(0).unwrap()[0].clone());
    }
    assert!(peers.len() >= 2, "{peers:?}");
}

#[test]
fn a_server_that_starts_is_looked_at_often_and_is_not_ill_before_it_was_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("well");
    let mut config = check("one", exists(&file), NEVER);
    config.interval = NEVER;
    let mut trial = Trial::new(vec![config]);
    trial.start();
    // Now it is known, and looked at again when nobody waits for it any more.
    assert_eq!(trial.why(), "exit code 1");
    trial.site.health.restart(trial.reactor.scope(), NEVER);
    assert_eq!(trial.site.health.view()[0].healthy, None);
    trial.looks(4);
    assert!(trial.site.events.is_empty());
    std::fs::write(&file, "").unwrap();
    assert_eq!(trial.next(), HealthEvent::Healthy);
    // Where it is not quick, it looks once and then after its interval.
    std::fs::remove_file(&file).unwrap();
    trial
        .site
        .health
        .restart(trial.reactor.scope(), Duration::ZERO);
    trial.until(|site| site.health.checks[0].looked_at.is_some());
    let timer = trial.site.health.checks[0].timer.unwrap();
    let next = trial.reactor.scope().timer_deadline(timer).unwrap();
    assert!(next > Instant::now() + NEVER / 2);
}

#[test]
fn all_checks_together_make_one_health() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["one", "two"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], "").unwrap();
    let checks = ["one", "two"].into_iter().zip(&files);
    let checks = checks.map(|(name, file)| check(name, exists(file), NEVER));
    let mut trial = Trial::new(checks.collect());
    trial.start();
    let ill = |name: &str| HealthEvent::Unhealthy {
        check: name.to_owned(),
        why: "exit code 1".to_owned(),
    };
    assert_eq!(trial.next(), ill("two"));
    std::fs::write(&files[1], "").unwrap();
    assert_eq!(trial.next(), HealthEvent::Healthy);
    std::fs::remove_file(&files[0]).unwrap();
    assert_eq!(trial.next(), ill("one"));
    // Another that falls ill is no news, and one alone that recovers neither.
    std::fs::remove_file(&files[1]).unwrap();
    trial.until(|site| site.health.view()[1].healthy == Some(false));
    std::fs::write(&files[0], "").unwrap();
    trial.until(|site| site.health.view()[0].healthy == Some(true));
    assert!(trial.site.events.is_empty());
    std::fs::write(&files[1], "").unwrap();
    assert_eq!(trial.next(), HealthEvent::Healthy);
}
