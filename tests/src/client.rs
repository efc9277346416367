//! A scripted client: asks one server, and sees whether and how it answers.

use std::time::{Duration, Instant};

use crate::{BOUND, Outcome};

/// How a server took a request that understands a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// It was answered.
    Served,
    /// It was refused with this text.
    Refused(String),
}

/// How a server took two requests sent one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether the first was answered: one of the Guide's client, which knows no refusal.
    pub bare: bool,
    /// What became of the second: one of our client.
    pub spoken: Spoken,
}

impl Probe {
    /// Whether both were answered.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.bare && self.spoken == Spoken::Served
    }

    /// Whether the first was dropped in silence, and the second refused by word.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.bare && matches!(self.spoken, Spoken::Refused(_))
    }
}

/// A DEALER connected to one server.
pub struct ScriptedClient {
    socket: zmq::Socket,
    sequence: std::cell::Cell<u64>,
}

impl ScriptedClient {
    /// Connects to the front end of a server.
    ///
    /// # Panics
    ///
    /// When the endpoint is none.
    #[must_use]
    pub fn connect(endpoint: &str) -> Self {
        let context = zmq::Context::new();
        let socket = context.socket(zmq::DEALER).expect("a socket");
        socket.set_linger(0).expect("linger can be set");
        socket.set_sndhwm(0).expect("the mark can be lifted");
        socket
            .set_reconnect_ivl(5)
            .expect("the interval can be set");
        socket
            .connect(endpoint)
            .unwrap_or_else(|error| panic!("{endpoint}: {error}"));
        Self {
            socket,
            sequence: std::cell::Cell::new(1),
        }
    }

    /// Sends frames as they are.
    ///
    /// # Errors
    ///
    /// When there is no room for them.
    pub fn send(&self, frames: &[&[u8]]) -> Outcome<()> {
        self.socket
            .send_multipart(frames, zmq::DONTWAIT)
            .map_err(|error| format!("a request does not leave: {error}"))
    }

    /// Receives a message, if one comes within `bound`.
    #[must_use]
    pub fn receive(&self, bound: Duration) -> Option<Vec<Vec<u8>>> {
        let end = Instant::now() + bound;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
            let ready = self.socket.poll(zmq::POLLIN, left_ms + 1);
            if matches!(ready, Ok(count) if count > 0) {
                return self.socket.recv_multipart(zmq::DONTWAIT).ok();
            }
            if left.is_zero() {
                return None;
            }
        }
    }

    /// Sends a request as the Guide's client does, without an envelope that allows a refusal.
    ///
    /// # Errors
    ///
    /// When there is no room for it.
    pub fn ask(&self, body: &[u8]) -> Outcome<()> {
        self.send(&[b"", body])
    }

    /// Finds out whether the server serves, without waiting for an answer that never comes.
    ///
    /// # Errors
    ///
    /// When the server does not answer the second request within the bound either.
    pub fn probe(&self) -> Outcome<Probe> {
        let body = format!("bare {}", self.sequence.get());
        self.ask(body.as_bytes())?;
        let (answers, spoken) = self.answers()?;
        let bare = answers.contains(&body.into_bytes());
        Ok(Probe { bare, spoken })
    }

    /// All answers to what was asked so far, and how a request of our client's is taken now.
    ///
    /// Requests of one client are taken in order, and our client's is always answered. So when
    /// its answer is there and one before it has none, that one was dropped.
    ///
    /// # Errors
    ///
    /// When there is neither an answer nor a refusal within the bound.
    pub fn answers(&self) -> Outcome<(Vec<Vec<u8>>, Spoken)> {
        let number = self.sequence.get();
        self.sequence.set(number + 1);
        let first = format!("bstar-cli/1 00000000000000ff {number}");
        self.send(&[first.as_bytes(), b"", b"spoken"])?;
        let end = Instant::now() + BOUND;
        let mut answers = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(frames) = self.receive(left) else {
                return Err(format!("neither answer nor refusal within {BOUND:?}"));
            };
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            match frames.as_slice() {
                [b"", answer] => answers.push(answer.to_vec()),
                [envelope, b"", b"spoken"] if *envelope == first.as_bytes() => {
                    return Ok((answers, Spoken::Served));
                }
                [envelope, b"", no] if *envelope == first.as_bytes() => {
                    let no = String::from_utf8_lossy(no).into_owned();
                    return Ok((answers, Spoken::Refused(no)));
                }
                // An echo of what a test sent on its own account.
                _ => {}
            }
        }
    }
}
