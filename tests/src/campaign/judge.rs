//! The process that asks: a prober of each server, and a client of ours over both.
//!
//! It runs in the host of the clients, and writes a [`Record`] for each request to its standard
//! output. It judges by what it can see alone: that an answer carries what was asked. The rest is
//! for who reads the records.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::Duration;

use bstar::client::{Client, Idempotent};

use crate::Outcome;

use super::clock::{Moment, between, end_with_parent, now};
use super::record::{Asker, Fate, Record};
use super::side::Side;

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct Questions {
    /// The front ends for the probers.
    pub probed: [String; 2],
    /// The front ends for the client.
    pub servers: [String; 2],
    /// The pair's heartbeat.
    pub heartbeat: Duration,
    /// The pause between an answer and the next request.
    pub interval: Duration,
}

/// Requests of a prober that are remembered, to know a late answer.
const REMEMBERED: u64 = 10_000;

/// Old sockets of a prober that are still listened to.
const OLD_SOCKETS: usize = 16;

/// After so much silence a prober dials anew beside its old connection: TCP would take its time to
/// find out that a cut is over.
const RENEWED_AFTER: Duration = Duration::from_millis(500);

/// Asks until this process is killed.
///
/// # Errors
///
/// When a socket cannot be made.
pub fn run(questions: &Questions) -> Outcome<()> {
    end_with_parent()?;
    thread::scope(|scope| {
        let probers = Side::BOTH.map(|side| scope.spawn(move || probe(questions, side)));
        let client = scope.spawn(|| ask(questions));
        let threads = probers.into_iter().chain([client]);
        let ended =
            threads.map(|thread| thread.join().map_err(|_| "an asker panicked".to_owned())?);
        ended.collect()
    })
}

/// Who reads the records decides when this ends, so that nobody reads them is the end.
fn write(record: &Record) -> Outcome<()> {
    writeln!(std::io::stdout(), "{record}").map_err(|error| error.to_string())
}

fn ask(questions: &Questions) -> Outcome<()> {
    let client = Client::builder()
        .servers(questions.servers.clone())
        .heartbeat(questions.heartbeat);
    let mut client = client.connect().map_err(|error| error.to_string())?;
    let timeout = (questions.heartbeat * 20).max(Duration::from_secs(2));
    for number in 0_u64.. {
        let body = format!("client {number}");
        let sent = now();
        let answer = client.request([body.as_str()], Idempotent::Yes, timeout);
        let ended = now();
        let fate = match answer {
            Ok(reply) if reply.frames != [body.as_bytes()] => {
                Fate::Wrong(format!("asked {body:?}, was answered {reply:?}"))
            }
            Ok(reply) => match reply.server {
                0 => Fate::Answered(Side::A),
                1 => Fate::Answered(Side::B),
                other => Fate::Wrong(format!("answered by server {other} of two")),
            },
            Err(_) => Fate::Failed,
        };
        write(&Record {
            asker: Asker::Client,
            sent,
            ended,
            fate,
        })?;
        thread::sleep(questions.interval);
    }
    Ok(())
}

fn probe(questions: &Questions, side: Side) -> Outcome<()> {
    let mut prober = Prober::new(side, &questions.probed[side.index()])?;
    // A request that nothing came of is no reason to wait long: a vote needs a request.
    let patience = (questions.heartbeat / 4).max(Duration::from_millis(5));
    loop {
        prober.ask(patience)?;
        thread::sleep(questions.interval);
    }
}

/// Asks one server, one request after the other; what comes late is taken note of too.
struct Prober {
    side: Side,
    endpoint: String,
    context: zmq::Context,
    /// The newest is asked, all are listened to.
    sockets: Vec<zmq::Socket>,
    /// What was sent and not ended by an answer or a refusal.
    open: BTreeMap<u64, Moment>,
    next: u64,
    heard: Moment,
}

impl Prober {
    fn new(side: Side, endpoint: &str) -> Outcome<Self> {
        let mut prober = Self {
            side,
            endpoint: endpoint.to_owned(),
            context: zmq::Context::new(),
            sockets: Vec::new(),
            open: BTreeMap::new(),
            next: 0,
            heard: now(),
        };
        prober.dial()?;
        Ok(prober)
    }

    fn dial(&mut self) -> Outcome<()> {
        let dial = || -> zmq::Result<zmq::Socket> {
            let socket = self.context.socket(zmq::DEALER)?;
            socket.set_linger(0)?;
            socket.set_reconnect_ivl(5)?;
            socket.connect(&self.endpoint)?;
            Ok(socket)
        };
        let socket = dial().map_err(|error| format!("{}: {error}", self.endpoint))?;
        self.sockets.push(socket);
        if self.sockets.len() > OLD_SOCKETS {
            self.sockets.remove(0);
        }
        self.heard = now();
        Ok(())
    }

    fn envelope(&self, number: u64) -> String {
        format!("bstar-cli/1 {:016x} {number}", self.side.index() + 1)
    }

    fn body(&self, number: u64) -> String {
        format!("prober-{} {number}", self.side)
    }

    fn ask(&mut self, patience: Duration) -> Outcome<()> {
        if between(self.heard, now()) > RENEWED_AFTER {
            self.dial()?;
        }
        let number = self.next;
        self.next += 1;
        self.open.retain(|open, _| open + REMEMBERED > number);
        let sent = now();
        self.open.insert(number, sent);
        let frames = [self.envelope(number), String::new(), self.body(number)];
        // A request that finds no room is not answered, and that is what is looked for.
        if let Some(newest) = self.sockets.last() {
            let _ = newest.send_multipart(frames.each_ref().map(String::as_str), zmq::DONTWAIT);
        }
        while self.open.contains_key(&number) {
            let left = patience.saturating_sub(between(sent, now()));
            if left.is_zero() {
                return self.note(sent, Fate::Silent);
            }
            self.listen(left)?;
        }
        Ok(())
    }

    /// Waits for messages, and takes what there is.
    fn listen(&mut self, patience: Duration) -> Outcome<()> {
        let items = self
            .sockets
            .iter()
            .map(|socket| socket.as_poll_item(zmq::POLLIN));
        let mut items: Vec<_> = items.collect();
        let millis = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        match zmq::poll(&mut items, millis + 1) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error.to_string()),
        }
        drop(items);
        let mut messages = Vec::new();
        for socket in &self.sockets {
            while let Ok(frames) = socket.recv_multipart(zmq::DONTWAIT) {
                messages.push(frames);
            }
        }
        for frames in messages {
            self.heard = now();
            self.take(&frames)?;
        }
        Ok(())
    }

    fn take(&mut self, frames: &[Vec<u8>]) -> Outcome<()> {
        let number = frames.first().and_then(|frame| {
            let number = std::str::from_utf8(frame).ok()?.rsplit(' ').next()?;
            let number: u64 = number.parse().ok()?;
            (self.envelope(number).as_bytes() == frame).then_some(number)
        });
        let sent = number.and_then(|number| self.open.remove(&number));
        let (Some(number), Some(sent)) = (number, sent) else {
            let what = format!("answers nothing that waits: {}", shown(frames));
            return self.note(now(), Fate::Wrong(what));
        };
        let body = self.body(number);
        let fate = match &frames[1..] {
            [empty, got] if empty.is_empty() && got == body.as_bytes() => Fate::Answered(self.side),
            [empty, no] if empty.is_empty() && no.starts_with(b"bstar-no") => Fate::Refused,
            _ => Fate::Wrong(format!("asked {body:?}, was answered {}", shown(frames))),
        };
        self.note(sent, fate)
    }

    fn note(&self, sent: Moment, fate: Fate) -> Outcome<()> {
        write(&Record {
            asker: Asker::Prober(self.side),
            sent,
            ended: now(),
            fate,
        })
    }
}

fn shown(frames: &[Vec<u8>]) -> String {
    let frames = frames.iter().map(|frame| String::from_utf8_lossy(frame));
    format!("{:?}", frames.collect::<Vec<_>>())
}
