//! The socket of a scripted server, and the thread that moves its messages.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::manners::{Deed, Manners};
use super::request::{Frames, Received};
use super::{Behaviour, Model};
use crate::{BOUND, Outcome};

/// How long the thread waits for messages before it looks about.
const GLANCE_MS: i64 = 5;

/// Answers that wait for their time at most: far more than any client has under way.
const MOST_WAITING: usize = 1 << 16;

/// What a server has seen.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) requests: AtomicUsize,
    pub(super) pings: AtomicUsize,
    pub(super) said: AtomicUsize,
    pub(super) connections: AtomicUsize,
    pub(super) lives: AtomicUsize,
}

/// A server of this process, apart from its thread.
pub(super) struct Host {
    model: Model,
    behaviour: Behaviour,
    endpoint: String,
    context: zmq::Context,
    manners: Manners,
    /// Answers to be said later, those that are due first in front.
    waiting: Vec<(Instant, Frames)>,
}

/// Why a life ended.
enum End {
    Stopped,
    Dies(Duration),
}

impl Host {
    pub(super) fn new(model: Model, behaviour: Behaviour, endpoint: &str) -> Self {
        Self {
            model,
            behaviour,
            endpoint: endpoint.to_owned(),
            context: zmq::Context::new(),
            manners: Manners::new(behaviour),
            waiting: Vec::new(),
        }
    }

    /// A socket that is bound. One that speaks without being asked is a DEALER: a ROUTER knows
    /// nobody before it has heard of him.
    pub(super) fn bind(&self) -> zmq::Result<zmq::Socket> {
        let kind = match self.behaviour {
            Behaviour::Garbage => zmq::DEALER,
            _ => zmq::ROUTER,
        };
        let socket = self.context.socket(kind)?;
        socket.set_linger(0)?;
        if self.model == Model::Three {
            socket.set_identity(self.endpoint.as_bytes())?;
        }
        socket.bind(&self.endpoint)?;
        Ok(socket)
    }

    fn routes(&self) -> usize {
        match self.behaviour {
            Behaviour::Garbage => 0,
            _ => 1,
        }
    }

    /// Serves until the end, life after life.
    pub(super) fn run(mut self, first: zmq::Socket, tally: &Tally, ends: &AtomicBool) {
        let mut socket = first;
        loop {
            tally.lives.fetch_add(1, Ordering::Relaxed);
            self.manners.is_born();
            match self.live(&socket, tally, ends) {
                Ok(End::Dies(away)) => {
                    drop(socket);
                    self.waiting.clear();
                    rest(away, ends);
                }
                Ok(End::Stopped) => return,
                Err(error) => panic!("{}: {error}", self.endpoint),
            }
            socket = match self.bind_again(ends) {
                Ok(Some(socket)) => socket,
                Ok(None) => return,
                Err(error) => panic!("{error}"),
            };
        }
    }

    /// The port is free once libzmq has closed the old socket, which it does in its own time.
    fn bind_again(&self, ends: &AtomicBool) -> Outcome<Option<zmq::Socket>> {
        let end = Instant::now() + BOUND;
        while !ends.load(Ordering::Relaxed) {
            match self.bind() {
                Ok(socket) => return Ok(Some(socket)),
                Err(error) if Instant::now() > end => {
                    return Err(format!("{} is not bound again: {error}", self.endpoint));
                }
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        }
        Ok(None)
    }

    fn live(&mut self, socket: &zmq::Socket, tally: &Tally, ends: &AtomicBool) -> zmq::Result<End> {
        while !ends.load(Ordering::Relaxed) {
            if let Some(frames) = self.manners.unasked() {
                say(socket, frames, tally)?;
            }
            self.say_what_is_due(socket, tally)?;
            if socket.poll(zmq::POLLIN, self.glance_ms())? == 0 {
                continue;
            }
            let frames = socket.recv_multipart(zmq::DONTWAIT)?;
            match Received::read(self.model, self.routes(), frames) {
                Received::Ping(mut route) => {
                    tally.pings.fetch_add(1, Ordering::Relaxed);
                    route.push(b"PONG".to_vec());
                    say(socket, route, tally)?;
                }
                Received::Request(request) => {
                    tally.requests.fetch_add(1, Ordering::Relaxed);
                    match self.manners.take(&request) {
                        Deed::Say(messages) => {
                            for frames in messages {
                                say(socket, frames, tally)?;
                            }
                        }
                        Deed::SayLater(time, frames) => {
                            self.say_later(Instant::now() + time, frames)
                        }
                        Deed::Die(away) => return Ok(End::Dies(away)),
                    }
                }
                Received::Noise => {}
            }
        }
        Ok(End::Stopped)
    }

    /// All answers of a server wait for the same time, so the latest comes last.
    fn say_later(&mut self, due: Instant, frames: Frames) {
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push((due, frames));
        }
    }

    fn say_what_is_due(&mut self, socket: &zmq::Socket, tally: &Tally) -> zmq::Result<()> {
        let now = Instant::now();
        let due = self.waiting.partition_point(|(at, _)| *at <= now);
        for (_, frames) in self.waiting.drain(..due) {
            say(socket, frames, tally)?;
        }
        Ok(())
    }

    fn glance_ms(&self) -> i64 {
        match self.waiting.first() {
            // Rounded up, so that the wait ends when something is due.
            Some((at, _)) => {
                let left = at.saturating_duration_since(Instant::now()).as_millis();
                i64::try_from(left).map_or(GLANCE_MS, |left| GLANCE_MS.min(left + 1))
            }
            None => GLANCE_MS,
        }
    }
}

/// Sends a message, if there is somebody who takes it: nobody may be connected, or be slow.
fn say(socket: &zmq::Socket, frames: Frames, tally: &Tally) -> zmq::Result<()> {
    match socket.send_multipart(frames, zmq::DONTWAIT) {
        Ok(()) => {
            tally.said.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        Err(zmq::Error::EAGAIN | zmq::Error::EHOSTUNREACH) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits for `time`, or for the end.
fn rest(time: Duration, ends: &AtomicBool) {
    let end = Instant::now() + time;
    while Instant::now() < end && !ends.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(2));
    }
}
