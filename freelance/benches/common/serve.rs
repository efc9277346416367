//! The servers: the least that a server of each model does.

use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use zmq::{Message, Socket};

use super::Result;

/// Ports that are tried before it is given up: a port that the system has just given can be taken only by somebody who
/// was given it in the same moment.
const PORTS: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of model 1: a REP that returns what it gets.
    Echo,
    /// Of model 2: a REP that answers `[sequence][body]` by `[sequence][OK]`.
    Shotgun,
    /// Of model 3: a ROUTER whose identity is its address, that answers PING by PONG and returns what else it gets.
    Flp,
}

impl Kind {
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Shotgun => "shotgun",
            Self::Flp => "flp",
        }
    }

    fn from_id(id: &str) -> Option<Self> {
        [Self::Echo, Self::Shotgun, Self::Flp]
            .into_iter()
            .find(|kind| kind.id() == id)
    }
}

/// Serves until it is killed, or its parent dies; says on its output where.
pub(crate) fn serve(kind: &str, delay_us: &str) -> Result<()> {
    let kind = Kind::from_id(kind).ok_or("no such kind of server")?;
    let delay_us: u64 = delay_us.parse()?;
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let context = zmq::Context::new();
    let (socket, endpoint) = bind(&context, kind)?;
    println!("{endpoint}");
    std::io::stdout().flush()?;
    match kind {
        Kind::Echo => echo(&socket),
        Kind::Shotgun => shotgun(&socket),
        Kind::Flp if delay_us == 0 => flp(&socket),
        Kind::Flp => {
            let delay_us = listen_for_delay(delay_us)?;
            flp_late(&socket, &delay_us)
        }
    }
}

/// The identity has to be set before the port is bound, and has the port in it: so the port is chosen first.
fn bind(context: &zmq::Context, kind: Kind) -> Result<(Socket, String)> {
    let mut in_use = zmq::Error::EADDRINUSE;
    for _ in 0..PORTS {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let endpoint = format!("tcp://127.0.0.1:{port}");
        let socket = context.socket(match kind {
            Kind::Echo | Kind::Shotgun => zmq::REP,
            Kind::Flp => zmq::ROUTER,
        })?;
        socket.set_linger(0)?;
        if kind == Kind::Flp {
            socket.set_identity(endpoint.as_bytes())?;
        }
        match socket.bind(&endpoint) {
            Ok(()) => return Ok((socket, endpoint)),
            Err(error) => in_use = error,
        }
    }
    Err(in_use.into())
}

fn echo(socket: &Socket) -> Result<()> {
    let mut frames = Vec::new();
    loop {
        // A REP answers when it has all of the request.
        loop {
            let frame = socket.recv_msg(0)?;
            let more = frame.get_more();
            frames.push(frame);
            if !more {
                break;
            }
        }
        socket.send_multipart(frames.drain(..), 0)?;
    }
}

fn shotgun(socket: &Socket) -> Result<()> {
    let mut frame = Message::new();
    loop {
        socket.recv(&mut frame, 0)?;
        let sequence = std::mem::replace(&mut frame, Message::new());
        skip_rest(socket, sequence.get_more(), &mut frame)?;
        socket.send(sequence, zmq::SNDMORE)?;
        socket.send("OK", 0)?;
    }
}

fn flp(socket: &Socket) -> Result<()> {
    let mut frame = Message::new();
    loop {
        socket.recv(&mut frame, 0)?;
        // From a ROUTER there is always more than the identity of who sent it, unless its message had no frame.
        if !frame.get_more() {
            continue;
        }
        pass_on(socket, &mut frame)?;
        socket.recv(&mut frame, 0)?;
        if !frame.get_more() && frame[..] == b"PING"[..] {
            socket.send("PONG", 0)?;
            continue;
        }
        while pass_on(socket, &mut frame)? {
            socket.recv(&mut frame, 0)?;
        }
    }
}

/// As [`flp`], but each answer leaves so much later than its request came. It takes any number at the same time: what
/// is late is the network or what stands behind the server, not the server.
fn flp_late(socket: &Socket, delay_us: &AtomicU64) -> Result<()> {
    let mut waiting: VecDeque<(Instant, Vec<Vec<u8>>)> = VecDeque::new();
    loop {
        let now = Instant::now();
        while let Some((due, answer)) = waiting.pop_front() {
            if due > now {
                waiting.push_front((due, answer));
                break;
            }
            socket.send_multipart(answer, 0)?;
        }
        // Up, so that it does not spin through the last millisecond.
        let timeout_ms = waiting.front().map_or(-1, |(due, _)| {
            i64::try_from((*due - now).as_micros().div_ceil(1000)).unwrap_or(i64::MAX)
        });
        if socket.poll(zmq::POLLIN, timeout_ms)? == 0 {
            continue;
        }
        let mut frames = socket.recv_multipart(0)?;
        if frames.len() == 2 && frames[1] == b"PING" {
            frames[1] = b"PONG".to_vec();
            socket.send_multipart(frames, 0)?;
        } else {
            let delay = Duration::from_micros(delay_us.load(Ordering::Relaxed));
            waiting.push_back((Instant::now() + delay, frames));
        }
    }
}

/// The delay, which a line on the input changes.
fn listen_for_delay(delay_us: u64) -> Result<Arc<AtomicU64>> {
    let delay_us = Arc::new(AtomicU64::new(delay_us));
    let changed = Arc::clone(&delay_us);
    let listen = move || {
        for line in std::io::stdin().lock().lines().map_while(|line| line.ok()) {
            if let Ok(new) = line.parse() {
                changed.store(new, Ordering::Relaxed);
            }
        }
    };
    std::thread::Builder::new().spawn(listen)?;
    Ok(delay_us)
}

/// Sends a frame as it was received, and tells whether more of the message follow.
fn pass_on(socket: &Socket, frame: &mut Message) -> Result<bool> {
    let more = frame.get_more();
    let flags = if more { zmq::SNDMORE } else { 0 };
    socket.send(std::mem::replace(frame, Message::new()), flags)?;
    Ok(more)
}

/// Receives the frames that follow one, if `more` do.
fn skip_rest(socket: &Socket, mut more: bool, frame: &mut Message) -> Result<()> {
    while more {
        socket.recv(frame, 0)?;
        more = frame.get_more();
    }
    Ok(())
}
