//! The designs of the Guide's models 2 and 3, with the least code that does what they do.
//!
//! They lack the Guide's defects where these would lie in the way: an answer is taken only for the request that it
//! belongs to, and no wake-up sends a request again.

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zmq::{Context, Message, Socket};

use super::bare::{bound_ms, connect_router, socket};
use super::{Peer, is_echo, one_by_one, wrong};
use crate::common::{BODY, Result};
use crate::meter::Times;

const SHOTGUN_TIMEOUT: Duration = Duration::from_millis(2_500);
const REQUEST_TIMEOUT: Duration = Duration::from_millis(3_000);
const PING_INTERVAL: Duration = Duration::from_millis(2_000);
const SILENCE: Duration = Duration::from_millis(6_000);

/// Model 2: a DEALER that sends a copy to every server and takes the first answer.
pub(crate) struct Shotgun {
    socket: Socket,
    servers: usize,
    sequence: u32,
}

impl Shotgun {
    pub(crate) fn connect(endpoints: &[&str]) -> Result<Self> {
        let socket = socket(zmq::DEALER)?;
        for endpoint in endpoints {
            socket.connect(endpoint)?;
        }
        Ok(Self {
            socket,
            servers: endpoints.len(),
            sequence: 0,
        })
    }

    fn request(&mut self) -> Result<()> {
        self.sequence += 1;
        let sequence = self.sequence.to_string();
        for _ in 0..self.servers {
            self.socket.send("", zmq::SNDMORE)?;
            self.socket.send(&sequence, zmq::SNDMORE)?;
            self.socket.send(BODY, 0)?;
        }
        let end = Instant::now() + SHOTGUN_TIMEOUT;
        loop {
            if self.socket.poll(zmq::POLLIN, ms_until(end))? == 0 {
                return Err("no answer".into());
            }
            let empty = self.socket.recv_msg(0)?;
            let answered = self.socket.recv_msg(0)?;
            let word = self.socket.recv_msg(0)?;
            if !empty.is_empty() || word[..] != b"OK"[..] {
                return Err(wrong());
            }
            if *answered == *sequence.as_bytes() {
                return Ok(());
            }
        }
    }
}

impl Peer for Shotgun {
    fn exchange(&mut self, _outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        one_by_one(count, times, || self.request())
    }
}

/// Model 3: what the application holds of it, one end of a pipe to the agent.
pub(crate) struct Complex {
    pipe: Option<Socket>,
    agent: Option<JoinHandle<()>>,
}

impl Complex {
    pub(crate) fn connect(endpoints: &[&str]) -> Result<Self> {
        let context = Context::new();
        let [pipe, far_end] = [context.socket(zmq::PAIR)?, context.socket(zmq::PAIR)?];
        far_end.bind("inproc://agent")?;
        pipe.connect("inproc://agent")?;
        pipe.set_rcvtimeo(bound_ms().try_into()?)?;
        let mut agent = Agent::new(far_end, connect_router(endpoints)?, endpoints);
        let run = move || {
            // Nobody answers any more then, which the application notices.
            if let Err(error) = agent.run() {
                eprintln!("the agent has ended: {error}");
            }
        };
        Ok(Self {
            pipe: Some(pipe),
            agent: Some(std::thread::Builder::new().spawn(run)?),
        })
    }

    fn request(&self) -> Result<()> {
        let pipe = self.pipe.as_ref().ok_or("closed")?;
        pipe.send("REQUEST", zmq::SNDMORE)?;
        pipe.send(BODY, 0)?;
        let word = pipe.recv_msg(0)?;
        if word[..] != b"OK"[..] || !word.get_more() {
            return Err(wrong());
        }
        is_echo(&pipe.recv_msg(0)?)
    }
}

impl Peer for Complex {
    fn exchange(&mut self, _outstanding: u32, count: u32, times: &mut Times) -> Result<()> {
        one_by_one(count, times, || self.request())
    }
}

impl Drop for Complex {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            // An agent that has ended does not need to be told.
            let _ = pipe.send("STOP", zmq::DONTWAIT);
            drop(self.agent.take().map(JoinHandle::join));
        }
    }
}

/// What runs in the background.
struct Agent {
    pipe: Socket,
    router: Socket,
    servers: HashMap<Vec<u8>, Known>,
    /// Those that live; the first is asked.
    live: Vec<Vec<u8>>,
    sequence: u32,
    request: Option<UnderWay>,
}

struct Known {
    is_live: bool,
    ping_at: Instant,
    expires_at: Instant,
}

struct UnderWay {
    sequence: String,
    body: Message,
    is_sent: bool,
    expires_at: Instant,
}

impl Agent {
    fn new(pipe: Socket, router: Socket, endpoints: &[&str]) -> Self {
        let now = Instant::now();
        let live: Vec<Vec<u8>> = endpoints.iter().map(|e| e.as_bytes().to_vec()).collect();
        let known = |endpoint: &Vec<u8>| (endpoint.clone(), Known::heard_at(now));
        Self {
            pipe,
            router,
            servers: live.iter().map(known).collect(),
            live,
            sequence: 0,
            request: None,
        }
    }

    fn run(&mut self) -> Result<()> {
        loop {
            let mut items = [
                self.router.as_poll_item(zmq::POLLIN),
                self.pipe.as_poll_item(zmq::POLLIN),
            ];
            // One request at a time: the next waits in the pipe.
            let listened = if self.request.is_some() { 1 } else { 2 };
            zmq::poll(&mut items[..listened], ms_until(self.next_time()))?;
            let (answered, asked) = (items[0].is_readable(), items[1].is_readable());
            if asked && !self.take_request()? {
                return Ok(());
            }
            if answered {
                self.take_answer()?;
            }
            let now = Instant::now();
            self.send_request(now)?;
            self.look_after_servers(now)?;
        }
    }

    fn next_time(&self) -> Instant {
        let pings = self.servers.values().map(|server| server.ping_at);
        let request = self.request.as_ref().map(|request| request.expires_at);
        pings
            .chain(request)
            .min()
            .unwrap_or_else(|| Instant::now() + PING_INTERVAL)
    }

    /// `false` when it is told to stop.
    fn take_request(&mut self) -> Result<bool> {
        let command = self.pipe.recv_msg(0)?;
        if command[..] != b"REQUEST"[..] {
            return Ok(false);
        }
        self.sequence += 1;
        self.request = Some(UnderWay {
            sequence: self.sequence.to_string(),
            body: self.pipe.recv_msg(0)?,
            is_sent: false,
            expires_at: Instant::now() + REQUEST_TIMEOUT,
        });
        Ok(true)
    }

    fn take_answer(&mut self) -> Result<()> {
        let endpoint = self.router.recv_msg(0)?;
        let control = self.router.recv_msg(0)?;
        let Some(server) = self.servers.get_mut(&*endpoint) else {
            return Err(wrong());
        };
        if !server.is_live {
            self.live.push(endpoint.to_vec());
        }
        *server = Known::heard_at(Instant::now());
        // A PONG is alone.
        if !control.get_more() {
            return Ok(());
        }
        let body = self.router.recv_msg(0)?;
        let is_answer = |request: &UnderWay| *control == *request.sequence.as_bytes();
        if self.request.as_ref().is_some_and(is_answer) {
            self.request = None;
            self.pipe.send("OK", zmq::SNDMORE)?;
            self.pipe.send(body, 0)?;
        }
        Ok(())
    }

    /// To the first that lives, once; when its time is over the application is told.
    fn send_request(&mut self, now: Instant) -> Result<()> {
        let Some(request) = &mut self.request else {
            return Ok(());
        };
        if now >= request.expires_at {
            self.request = None;
            return Ok(self.pipe.send("FAILED", 0)?);
        }
        if let (Some(first), false) = (self.live.first(), request.is_sent) {
            self.router.send(&first[..], zmq::SNDMORE)?;
            self.router.send(&request.sequence, zmq::SNDMORE)?;
            self.router.send(&request.body[..], 0)?;
            request.is_sent = true;
        }
        Ok(())
    }

    fn look_after_servers(&mut self, now: Instant) -> Result<()> {
        for (endpoint, server) in &mut self.servers {
            if now >= server.ping_at {
                self.router
                    .send_multipart([&endpoint[..], &b"PING"[..]], 0)?;
                server.ping_at = now + PING_INTERVAL;
            }
            if server.is_live && now >= server.expires_at {
                server.is_live = false;
                self.live.retain(|live| live != endpoint);
            }
        }
        Ok(())
    }
}

impl Known {
    fn heard_at(now: Instant) -> Self {
        Self {
            is_live: true,
            ping_at: now + PING_INTERVAL,
            expires_at: now + SILENCE,
        }
    }
}

/// Up, so that nothing is waited for in vain, and never below 0.
fn ms_until(end: Instant) -> i64 {
    let left = end.saturating_duration_since(Instant::now());
    i64::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i64::MAX)
}
