//! What a pair costs: echoes through the active server of a running pair, beside a bare ROUTER
//! loop on libzmq, in one run.
//!
//! Servers and client run on one CPU, since across two what is measured is the waking of the
//! other CPU; `--unpinned` lets them run where they like. The rounds of the two servers take
//! turns, and a median is of all rounds.
//!
//! ```text
//! cargo bench -p bstar --bench echo
//! ```

use std::error::Error;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bstar::{Config, Role, Server};
use reactor::{Interest, Reactor, Scope};
use zmq::Message;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const ROUNDS: usize = 31;
const ROUND_TRIPS: u32 = 4_000;
const OUTSTANDING: u32 = 64;
const PIPELINED: u32 = 40_000;
/// The slowest of any step; it ends a run that hangs.
const BOUND_MS: i32 = 10_000;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["bare", frontend] => serve_bare(frontend),
        ["poll", frontend] => serve_polled(frontend),
        ["reactor", frontend] => serve_reactor(frontend),
        ["node", role, local, remote, frontend] => serve_pair(role, local, remote, frontend),
        _ => compare(args.contains(&"--unpinned")),
    }
}

fn compare(unpinned: bool) -> Result<()> {
    if !unpinned {
        let mut cpus = rustix::thread::CpuSet::new();
        cpus.set(0);
        // Children inherit it.
        rustix::thread::sched_setaffinity(None, &cpus)?;
    }
    let [
        bare,
        polled,
        reactor,
        frontend,
        other_frontend,
        states,
        other_states,
    ] = free_endpoints()?;
    let _servers = [
        Running::start(&["bare", &bare])?,
        Running::start(&["poll", &polled])?,
        Running::start(&["reactor", &reactor])?,
        Running::start(&["node", "primary", &states, &other_states, &frontend])?,
        Running::start(&["node", "backup", &other_states, &states, &other_frontend])?,
    ];
    let context = zmq::Context::new();
    let mut servers = Vec::new();
    for (name, endpoint) in [
        ("bare ROUTER, blocking", &bare),
        ("bare ROUTER, zmq_poll", &polled),
        ("reactor alone", &reactor),
        ("active server of a pair", &frontend),
    ] {
        servers.push(Measured::new(name, Echo::connect(&context, endpoint)?));
    }
    for _ in 0..ROUNDS {
        for server in &mut servers {
            server.times.push(server.echo.round_trip_us()?);
        }
        for server in &mut servers {
            server.rates.push(server.echo.rate()?);
        }
    }
    println!(
        "{ROUNDS} rounds each, medians{}",
        if unpinned { "" } else { ", all on one CPU" }
    );
    println!("{:26}{:>22}{:>28}", "", "1 outstanding", "64 outstanding");
    let (first_time, first_rate) = servers[0].medians();
    for server in &servers {
        let (time, rate) = server.medians();
        println!(
            "{:26}{time:>8.2} µs  {:>6.3} ×  {rate:>12.0} echoes/s  {:>6.3} ×",
            server.name,
            time / first_time,
            rate / first_rate
        );
    }
    Ok(())
}

/// The least that an echo server on libzmq does.
fn serve_bare(frontend: &str) -> Result<()> {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::ROUTER)?;
    socket.bind(frontend)?;
    let mut frame = Message::new();
    loop {
        socket.recv(&mut frame, 0)?;
        let more = if frame.get_more() { zmq::SNDMORE } else { 0 };
        socket.send(std::mem::replace(&mut frame, Message::new()), more)?;
    }
}

/// The same with `zmq_poll`, as a server needs it that has a timer or a second socket.
fn serve_polled(frontend: &str) -> Result<()> {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::ROUTER)?;
    socket.bind(frontend)?;
    let mut frame = Message::new();
    loop {
        socket.poll(zmq::POLLIN, -1)?;
        loop {
            match socket.recv(&mut frame, zmq::DONTWAIT) {
                Ok(()) => {}
                Err(zmq::Error::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
            let more = if frame.get_more() { zmq::SNDMORE } else { 0 };
            socket.send(std::mem::replace(&mut frame, Message::new()), more)?;
        }
    }
}

/// The reactor alone, to tell its part from the pair's.
fn serve_reactor(frontend: &str) -> Result<()> {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::ROUTER)?;
    socket.bind(frontend)?;
    let mut reactor = Reactor::new()?;
    let mut frames = Vec::new();
    let echo = move |(): &mut (), scope: &mut Scope<()>, key, _| {
        if scope.recv(key, &mut frames)? {
            scope.send(key, frames.drain(..))?;
        }
        Ok(())
    };
    reactor
        .scope()
        .add_socket("echo", socket, Interest::READ, echo)
        .map_err(reactor::Error::from)?;
    Ok(reactor.run(&mut ())?)
}

fn serve_pair(role: &str, local: &str, remote: &str, frontend: &str) -> Result<()> {
    let role = if role == "primary" {
        Role::Primary
    } else {
        Role::Backup
    };
    let mut reactor = Reactor::new()?;
    Server::new(Config::new(role), local, remote)
        .frontend(frontend, |_: &mut (), scope, request| {
            Ok(request.echo(scope)?)
        })
        .attach(reactor.scope())?;
    Ok(reactor.run(&mut ())?)
}

/// A client of one echo server, on libzmq alone.
struct Echo {
    socket: zmq::Socket,
}

impl Echo {
    /// Connects, and waits until it is served.
    fn connect(context: &zmq::Context, endpoint: &str) -> Result<Echo> {
        let socket = context.socket(zmq::DEALER)?;
        socket.set_linger(0)?;
        socket.set_rcvtimeo(100)?;
        socket.connect(endpoint)?;
        let deadline = Instant::now() + Duration::from_millis(BOUND_MS as u64);
        loop {
            socket.send("", 0)?;
            match socket.recv_msg(0) {
                Ok(_) => break,
                Err(zmq::Error::EAGAIN) if Instant::now() < deadline => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Answers to what was asked before it served are none of a round's.
        while socket.recv_msg(0).is_ok() {}
        socket.set_rcvtimeo(BOUND_MS)?;
        Ok(Echo { socket })
    }

    fn round_trip_us(&self) -> Result<f64> {
        let began = Instant::now();
        for _ in 0..ROUND_TRIPS {
            self.socket.send("x", 0)?;
            self.socket.recv_msg(0)?;
        }
        Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS))
    }

    fn rate(&self) -> Result<f64> {
        let began = Instant::now();
        for _ in 0..OUTSTANDING {
            self.socket.send("x", 0)?;
        }
        for _ in OUTSTANDING..PIPELINED {
            self.socket.recv_msg(0)?;
            self.socket.send("x", 0)?;
        }
        for _ in 0..OUTSTANDING {
            self.socket.recv_msg(0)?;
        }
        Ok(f64::from(PIPELINED) / began.elapsed().as_secs_f64())
    }
}

/// A server, and what its rounds gave.
struct Measured {
    name: &'static str,
    echo: Echo,
    times: Vec<f64>,
    rates: Vec<f64>,
}

impl Measured {
    fn new(name: &'static str, echo: Echo) -> Measured {
        Measured {
            name,
            echo,
            times: Vec::new(),
            rates: Vec::new(),
        }
    }

    fn medians(&self) -> (f64, f64) {
        (median(&self.times), median(&self.rates))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server process, ended with this.
struct Running(Child);

impl Running {
    fn start(args: &[&str]) -> Result<Running> {
        let child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Running(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that the system gives, all at once, so that no two are the same.
fn free_endpoints<const N: usize>() -> Result<[String; N]> {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind(("127.0.0.1", 0))?);
    }
    let endpoint =
        |listener: &TcpListener| Ok(format!("tcp://127.0.0.1:{}", listener.local_addr()?.port()));
    let endpoints = listeners.iter().map(endpoint).collect::<Result<Vec<_>>>()?;
    endpoints
        .try_into()
        .map_err(|_| "as many ports as were asked for".into())
}
