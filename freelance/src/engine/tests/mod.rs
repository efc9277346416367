//! Each rule by itself, with fabricated time: attempts have 100 ms.

mod budget;
mod choice;
mod copies;
mod defects;
mod health;
mod links;
mod model_three;
mod model_two;
mod requests;
mod servers;

use std::time::{Duration, Instant};

use super::*;
use crate::Hedge;

const NONCE: u64 = 0xfeed;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn config(model: Model) -> Config {
    let mut config = Config::new(model);
    config.attempt_timeout = ms(100);
    config.retry_pause = ms(10);
    config
}

type Outcome = Result<Reply<Vec<Vec<u8>>>, RequestError>;

/// An engine with a clock that is moved by hand. Inputs are drained at once, as a host does it.
struct Rig {
    engine: Engine<&'static str, Vec<Vec<u8>>>,
    start: Instant,
    now: Instant,
    servers: Vec<ServerId>,
    sent: Vec<(ServerId, RequestId, u32)>,
    dialled: Vec<ServerId>,
    hung_up: Vec<ServerId>,
    pinged: Vec<ServerId>,
    named: Vec<ServerId>,
    told: Vec<(ServerId, Liveness)>,
    misnamed: Vec<(ServerId, String)>,
    drained: Vec<ServerId>,
    done: Vec<(RequestId, Outcome)>,
    /// How PINGs fail, while they do.
    deaf: Option<SendFailure>,
    /// How sendings fail, while they do, and to whom.
    jammed: Option<(ServerId, SendFailure)>,
}

impl Rig {
    /// Nobody is connected; each server is of the tier given.
    fn new(config: Config, tiers: &[u32]) -> Self {
        let start = Instant::now();
        let mut rig = Self {
            engine: Engine::new(config, NONCE, 1, start).unwrap(),
            start,
            now: start,
            servers: Vec::new(),
            sent: Vec::new(),
            dialled: Vec::new(),
            hung_up: Vec::new(),
            pinged: Vec::new(),
            named: Vec::new(),
            told: Vec::new(),
            misnamed: Vec::new(),
            drained: Vec::new(),
            done: Vec::new(),
            deaf: None,
            jammed: None,
        };
        for (index, tier) in tiers.iter().enumerate() {
            let endpoint = format!("tcp://server:{index}");
            let id = rig.engine.add_server(endpoint, *tier, start).unwrap();
            rig.servers.push(id);
        }
        rig.drain();
        rig
    }

    /// All are connected.
    fn connected(config: Config, tiers: &[u32]) -> Self {
        let mut rig = Self::new(config, tiers);
        for server in rig.servers.clone() {
            rig.connect(server);
        }
        rig
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action(self.now) {
            match action {
                Action::Dial { server } => self.dialled.push(server),
                Action::HangUp { server } => self.hung_up.push(server),
                Action::Ping { server } => {
                    self.pinged.push(server);
                    if let Some(failure) = self.deaf {
                        self.engine.handle_ping_failed(server, failure, self.now);
                    }
                }
                Action::AskName { server } => self.named.push(server),
                Action::Send {
                    server,
                    id,
                    attempt,
                } => {
                    self.sent.push((server, id, attempt));
                    if let Some((jammed, failure)) = self.jammed
                        && jammed == server
                    {
                        self.engine
                            .handle_send_failed(server, id, failure, self.now);
                    }
                }
            }
        }
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Done { id, result } => self.done.push((id, result)),
                Event::Server { server, liveness } => self.told.push((server, liveness)),
                Event::Misnamed { server, identity } => self.misnamed.push((server, identity)),
                Event::Drained { server } => self.drained.push(server),
            }
        }
    }

    fn connect(&mut self, server: ServerId) {
        self.engine.handle_connected(server, self.now);
        self.drain();
    }

    fn disconnect(&mut self, server: ServerId) {
        self.engine.handle_disconnected(server, self.now);
        self.drain();
    }

    /// Loses the link, waits for it to be dialled again, and lets it stand at once.
    fn reconnect(&mut self, server: ServerId) {
        self.disconnect(server);
        self.dialled.clear();
        while !self.dialled.contains(&server) {
            self.step();
        }
        self.connect(server);
    }

    fn submit(&mut self, idempotent: Idempotent, timeout_ms: u64) -> RequestId {
        let deadline = self.now + ms(timeout_ms);
        let submitted = self.engine.submit("body", idempotent, deadline, self.now);
        self.drain();
        submitted.unwrap()
    }

    fn message(&mut self, server: ServerId, frames: &[&[u8]]) {
        let take = |body: &[&[u8]]| body.iter().map(|frame| frame.to_vec()).collect();
        self.engine.handle_message(server, frames, take, self.now);
        self.drain();
    }

    fn envelope(&self, id: RequestId, attempt: u32) -> Vec<Vec<u8>> {
        let control = Control {
            nonce: NONCE,
            sequence: id.0,
            attempt,
        };
        let head = Head {
            model: self.engine.config().model,
            control: control.write(),
        };
        head.frames().map(<[u8]>::to_vec).collect()
    }

    fn answer(&mut self, server: ServerId, id: RequestId, attempt: u32, body: &[u8]) {
        let mut frames = self.envelope(id, attempt);
        if body.starts_with(b"fl-no") {
            frames.truncate(2);
        }
        frames.push(body.to_vec());
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        self.message(server, &frames);
    }

    /// To the last copy of the request that this server got.
    fn reply(&mut self, server: ServerId, id: RequestId) {
        let attempt = self.last_attempt(server, id);
        self.answer(server, id, attempt, b"yes");
    }

    fn refuse(&mut self, server: ServerId, id: RequestId) {
        let attempt = self.last_attempt(server, id);
        self.answer(server, id, attempt, b"fl-no full");
    }

    fn last_attempt(&self, server: ServerId, id: RequestId) -> u32 {
        let mut sent = self.sent.iter().rev();
        let found = sent.find(|(to, what, _)| *to == server && *what == id);
        found.expect("it was sent to that server").2
    }

    fn pong(&mut self, server: ServerId) {
        self.message(server, &[b"PONG"]);
    }

    /// To the next moment at which something is due.
    fn step(&mut self) {
        let at = self.engine.next_deadline().expect("something is due");
        assert!(at > self.now, "the engine spins");
        self.now = at;
        self.engine.handle_timeout(at);
        self.drain();
    }

    /// Moves to `at_ms` after the start, stopping at each deadline on the way.
    fn advance_to(&mut self, at_ms: u64) {
        self.run_until(self.start + ms(at_ms));
    }

    fn advance(&mut self, by_ms: u64) {
        self.run_until(self.now + ms(by_ms));
    }

    fn run_until(&mut self, end: Instant) {
        while self.engine.next_deadline().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    fn now_ms(&self) -> u64 {
        (self.now - self.start).as_millis() as u64
    }

    /// Who was sent something since the last call.
    fn receivers(&self) -> Vec<ServerId> {
        self.sent.iter().map(|(server, _, _)| *server).collect()
    }

    fn liveness(&self, server: ServerId) -> Liveness {
        self.engine.server(server).unwrap().liveness
    }

    /// Lets the server leave attempts unanswered until it is ejected. Requests that are no longer waited for do not
    /// go elsewhere, so nobody else is concerned.
    fn eject(&mut self, server: ServerId) {
        let others = self.servers.clone();
        let tiers: Vec<u32> = others.iter().map(|id| self.tier(*id)).collect();
        for other in others.iter().filter(|other| **other != server) {
            self.engine.set_tier(*other, 99).unwrap();
        }
        while self.liveness(server) != Liveness::Ejected {
            let id = self.submit(Idempotent::No, 10_000);
            assert_eq!(self.receivers().last(), Some(&server));
            self.advance(100);
            assert!(self.engine.cancel(id));
        }
        for (other, tier) in others.into_iter().zip(tiers) {
            self.engine.set_tier(other, tier).unwrap();
        }
        self.sent.clear();
        self.told.clear();
    }

    fn tier(&self, server: ServerId) -> u32 {
        self.engine.server(server).unwrap().tier
    }

    fn result(&mut self, id: RequestId) -> Option<Outcome> {
        let at = self.done.iter().position(|(done, _)| *done == id)?;
        let result = self.done.remove(at).1;
        let mut others = self.done.iter();
        assert!(others.all(|(done, _)| *done != id), "{id:?} ended twice");
        Some(result)
    }
}
