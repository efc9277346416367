//! Random inputs in random order against what must hold whatever happens.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::{Budget, Hedge};

const NONCE: u64 = 0xfeed;
const MAX_OUTSTANDING: usize = 8;
const MAX_ATTEMPTS: u32 = 3;

#[derive(Clone, Debug)]
enum Input {
    Submit {
        idempotent: bool,
        timeout_ms: u64,
    },
    Connected(usize),
    Disconnected(usize),
    Pong(usize),
    Name {
        server: usize,
        known: bool,
    },
    Reply {
        back: usize,
    },
    Refusal {
        back: usize,
    },
    Noise {
        server: usize,
        frames: Vec<Vec<u8>>,
    },
    Damaged {
        back: usize,
        at: usize,
        byte: u8,
    },
    Cancel {
        back: usize,
    },
    Sleep {
        ms: u64,
    },
    JamSends(u32, bool),
    JamPings(u32, bool),
    /// The link is lost over which the next copy is sent.
    Cut,
    Add {
        tier: u32,
    },
    Remove(usize),
    Drain(usize),
    SetTier(usize, u32),
}

fn input() -> impl Strategy<Value = Input> {
    let server = || 0..4usize;
    let back = || 0..10usize;
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        8 => (any::<bool>(), 0..1500u64)
            .prop_map(|(idempotent, timeout_ms)| Input::Submit { idempotent, timeout_ms }),
        6 => server().prop_map(Input::Connected),
        2 => server().prop_map(Input::Disconnected),
        2 => server().prop_map(Input::Pong),
        1 => (server(), any::<bool>()).prop_map(|(server, known)| Input::Name { server, known }),
        6 => back().prop_map(|back| Input::Reply { back }),
        4 => back().prop_map(|back| Input::Refusal { back }),
        1 => (server(), prop::collection::vec(bytes, 0..5))
            .prop_map(|(server, frames)| Input::Noise { server, frames }),
        2 => (back(), 0..40usize, any::<u8>())
            .prop_map(|(back, at, byte)| Input::Damaged { back, at, byte }),
        1 => back().prop_map(|back| Input::Cancel { back }),
        8 => (0..150u64).prop_map(|ms| Input::Sleep { ms }),
        1 => (1..4u32, any::<bool>()).prop_map(|(count, full)| Input::JamSends(count, full)),
        1 => (1..4u32, any::<bool>()).prop_map(|(count, full)| Input::JamPings(count, full)),
        1 => Just(Input::Cut),
        1 => (0..3u32).prop_map(|tier| Input::Add { tier }),
        1 => server().prop_map(Input::Remove),
        1 => server().prop_map(Input::Drain),
        1 => (server(), 0..3u32).prop_map(|(server, tier)| Input::SetTier(server, tier)),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let model = prop_oneof![Just(Model::One), Just(Model::Two), Just(Model::Three)];
    (model, any::<bool>(), 0..5u32, 0..3u32).prop_map(|(model, hedge, burst, per_second)| {
        let mut config = Config::new(model);
        config.attempt_timeout = Duration::from_millis(100);
        config.max_attempts = MAX_ATTEMPTS;
        config.eject_after = 2;
        config.eject_for = Duration::from_millis(150);
        config.max_eject_for = Duration::from_millis(400);
        config.ping_interval = Duration::from_millis(80);
        config.dial_timeout = Duration::from_millis(200);
        config.max_outstanding = MAX_OUTSTANDING;
        config.hedge = hedge.then_some(Hedge {
            percentile: 0.5,
            floor: Duration::from_millis(5),
        });
        config.budget = Budget {
            per_request: 0.2,
            per_second: f64::from(per_second),
            burst,
        };
        config
    })
}

/// A copy that left and was not refused, as the test knows it.
struct Left {
    server: ServerId,
    attempt: u32,
    lost: bool,
}

/// What the test knows of one request, by its own bookkeeping.
struct Known {
    idempotent: bool,
    deadline: Instant,
    copies: Vec<Left>,
    last_attempt: u32,
    /// The copies of the last attempt cost nothing, since none before could have been executed.
    is_first: bool,
    ended: bool,
    /// Copies beyond the first volley, without those that took the place of one that was not executed.
    extra: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Down,
    Dialling,
    Up,
}

struct Bench {
    engine: Engine<u32, u64>,
    start: Instant,
    now: Instant,
    links: HashMap<ServerId, Link>,
    servers: Vec<ServerId>,
    next_port: u32,
    known: HashMap<RequestId, Known>,
    submitted: u64,
    /// All that left.
    log: Vec<(ServerId, RequestId, u32)>,
    jammed_sends: (u32, SendFailure),
    jammed_pings: (u32, SendFailure),
    cut: bool,
}

fn failure(full: bool) -> SendFailure {
    if full {
        SendFailure::Full
    } else {
        SendFailure::Unreachable
    }
}

impl Bench {
    fn new(config: Config, seed: u64) -> Self {
        let now = Instant::now();
        let mut bench = Self {
            engine: Engine::new(config, NONCE, seed, now).unwrap(),
            start: now,
            now,
            links: HashMap::new(),
            servers: Vec::new(),
            next_port: 1,
            known: HashMap::new(),
            submitted: 0,
            log: Vec::new(),
            jammed_sends: (0, SendFailure::Full),
            jammed_pings: (0, SendFailure::Full),
            cut: false,
        };
        for tier in [0, 0, 1] {
            bench.add(tier);
        }
        bench.drain();
        if bench.engine.config().hedge.is_some() {
            bench.warm_up();
        }
        bench
    }

    /// Nothing is hedged before some replies were seen.
    fn warm_up(&mut self) {
        self.apply(Input::Connected(0));
        for _ in 0..20 {
            self.submit(true, 1000);
            self.drain();
            self.sleep(Duration::from_millis(1));
            self.apply(Input::Reply { back: 0 });
        }
    }

    fn add(&mut self, tier: u32) {
        if self.servers.len() < 4 {
            let endpoint = format!("tcp://127.0.0.1:{}", self.next_port);
            self.next_port += 1;
            let id = self.engine.add_server(endpoint, tier, self.now).unwrap();
            self.servers.push(id);
            self.links.insert(id, Link::Down);
        }
    }

    /// One that is known, or never was.
    fn server(&self, index: usize) -> ServerId {
        self.servers.get(index).copied().unwrap_or(ServerId(999))
    }

    fn sent(&self, back: usize) -> Option<(ServerId, RequestId, u32)> {
        self.log.iter().rev().nth(back).copied()
    }

    fn apply(&mut self, input: Input) {
        let now = self.now;
        match input {
            Input::Submit {
                idempotent,
                timeout_ms,
            } => self.submit(idempotent, timeout_ms),
            Input::Connected(index) => {
                let id = self.server(index);
                self.engine.handle_connected(id, now);
                if let Some(link) = self.links.get_mut(&id)
                    && *link == Link::Dialling
                {
                    *link = Link::Up;
                }
            }
            Input::Disconnected(index) => self.engine.handle_disconnected(self.server(index), now),
            Input::Pong(index) => self.message(self.server(index), &[b"PONG".to_vec()]),
            Input::Name { server, known } => {
                let name = known.then(|| "tcp://elsewhere:1".to_owned());
                self.engine.handle_name(self.server(server), name, now);
            }
            Input::Reply { back } => self.reply(back),
            Input::Refusal { back } => self.refuse(back),
            Input::Noise { server, frames } => self.message(self.server(server), &frames),
            Input::Damaged { back, at, byte } => self.damage(back, at, byte),
            Input::Cancel { back } => {
                if let Some((_, id, _)) = self.sent(back) {
                    let known = self.known.get_mut(&id).unwrap();
                    assert_eq!(self.engine.cancel(id), !known.ended);
                    known.ended = true;
                }
            }
            Input::Sleep { ms } => self.sleep(Duration::from_millis(ms)),
            Input::JamSends(count, full) => self.jammed_sends = (count, failure(full)),
            Input::JamPings(count, full) => self.jammed_pings = (count, failure(full)),
            Input::Cut => self.cut = true,
            Input::Add { tier } => self.add(tier),
            Input::Remove(index) => {
                let id = self.server(index);
                let known = self.engine.server(id).is_some();
                assert_eq!(self.engine.remove_server(id, now).is_ok(), known);
                self.servers.retain(|server| *server != id);
            }
            Input::Drain(index) => {
                let id = self.server(index);
                let known = self.engine.server(id).is_some();
                assert_eq!(self.engine.drain_server(id, now).is_ok(), known);
            }
            Input::SetTier(index, tier) => drop(self.engine.set_tier(self.server(index), tier)),
        }
        self.drain();
    }

    fn submit(&mut self, idempotent: bool, timeout_ms: u64) {
        let deadline = self.now + Duration::from_millis(timeout_ms);
        let kind = match idempotent {
            true => Idempotent::Yes,
            false => Idempotent::No,
        };
        let running = self.known.values().filter(|known| !known.ended).count();
        match self.engine.submit(0, kind, deadline, self.now) {
            Ok(id) => {
                assert!(running < MAX_OUTSTANDING);
                self.submitted += 1;
                let known = Known {
                    idempotent,
                    deadline,
                    copies: Vec::new(),
                    last_attempt: 0,
                    is_first: true,
                    ended: false,
                    extra: 0,
                };
                assert!(self.known.insert(id, known).is_none());
            }
            Err(error) => {
                assert!(matches!(error, Error::TooManyOutstanding { .. }), "{error}");
                assert_eq!(running, MAX_OUTSTANDING);
            }
        }
    }

    fn message(&mut self, server: ServerId, frames: &[Vec<u8>]) {
        self.engine
            .handle_message(server, frames, |body| body.len() as u64, self.now);
    }

    fn envelope(&self, id: RequestId, attempt: u32) -> Vec<Vec<u8>> {
        let control = Control {
            nonce: NONCE,
            sequence: id.0,
            attempt,
        };
        let mut frames = vec![control.write().as_bytes().to_vec()];
        if self.engine.config().model != Model::Three {
            frames.push(vec![]);
        }
        frames
    }

    /// A reply of whoever was sent something, also to what has ended.
    fn reply(&mut self, back: usize) {
        let Some((server, id, attempt)) = self.sent(back) else {
            return;
        };
        let mut frames = self.envelope(id, attempt);
        if self.engine.config().model == Model::Two {
            frames.push(id.0.to_string().into_bytes());
        }
        frames.push(b"yes".to_vec());
        let known = &self.known[&id];
        let mut copies = known.copies.iter();
        let wanted = self.engine.server(server).is_some()
            && !known.ended
            && copies.any(|copy| copy.server == server && copy.attempt == attempt);
        let before = self.engine.stats().replies;
        self.message(server, &frames);
        let ended = self.engine.stats().replies - before;
        assert_eq!(ended, u64::from(wanted));
    }

    fn refuse(&mut self, back: usize) {
        let Some((server, id, attempt)) = self.sent(back) else {
            return;
        };
        let mut frames = self.envelope(id, attempt);
        frames.push(b"fl-no full".to_vec());
        let before = self.engine.stats().refused;
        self.message(server, &frames);
        let counted = self.engine.stats().refused - before;
        let known = self.known.get_mut(&id).unwrap();
        let mut copies = known.copies.iter();
        let found = copies.position(|c| c.server == server && c.attempt == attempt && !c.lost);
        let found = found.filter(|_| !known.ended && self.links.contains_key(&server));
        assert_eq!(counted, u64::from(found.is_some()));
        if let Some(found) = found {
            known.copies.remove(found);
            known.extra -= 1;
        }
    }

    /// A frame of ours with one byte changed ends nothing, unless it became that of another copy.
    fn damage(&mut self, back: usize, at: usize, byte: u8) {
        let Some((server, id, attempt)) = self.sent(back) else {
            return;
        };
        let mut frames = self.envelope(id, attempt);
        let at = at % frames[0].len();
        if frames[0][at] == byte {
            return;
        }
        frames[0][at] = byte;
        let still_ours = Control::parse(&frames[0]).is_some_and(|c| c.nonce == NONCE);
        if still_ours {
            return;
        }
        frames.push(b"yes".to_vec());
        let before = self.engine.stats();
        self.message(server, &frames);
        let mut expected = before;
        expected.foreign += u64::from(self.engine.server(server).is_some());
        assert_eq!(self.engine.stats(), expected);
    }

    fn sleep(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            assert!(at > self.now, "something is due that was just done");
            self.now = at;
            self.engine.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 2000, "the engine spins");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action(self.now) {
            self.carry_out(action);
        }
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Done { id, result } => self.check_end(id, &result),
                Event::Drained { server } => {
                    assert!(self.engine.server(server).is_none());
                    self.servers.retain(|id| *id != server);
                }
                Event::Server { server, liveness } => {
                    assert_eq!(self.engine.server(server).unwrap().liveness, liveness);
                }
                Event::Misnamed { .. } => {}
            }
        }
        self.check();
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Dial { server } => {
                assert_eq!(self.links.insert(server, Link::Dialling), Some(Link::Down));
            }
            Action::HangUp { server } => {
                self.links.insert(server, Link::Down);
                if self.engine.server(server).is_none() {
                    self.links.remove(&server);
                }
                let copies = self.known.values_mut().flat_map(|k| &mut k.copies);
                for copy in copies.filter(|copy| copy.server == server) {
                    copy.lost = true;
                }
            }
            Action::Ping { server } => {
                assert_eq!(self.links[&server], Link::Up);
                assert_eq!(self.engine.config().model, Model::Three);
                if self.jammed_pings.0 > 0 {
                    self.jammed_pings.0 -= 1;
                    let failure = self.jammed_pings.1;
                    self.engine.handle_ping_failed(server, failure, self.now);
                }
            }
            Action::AskName { server } => {
                assert_eq!(self.links[&server], Link::Up);
                assert_eq!(self.engine.config().model, Model::Three);
            }
            Action::Send {
                server,
                id,
                attempt,
            } => self.check_sending(server, id, attempt),
        }
    }

    fn check_sending(&mut self, server: ServerId, id: RequestId, attempt: u32) {
        assert_eq!(self.links[&server], Link::Up);
        assert!(self.engine.head(id, attempt).is_some());
        assert_ne!(
            self.engine.server(server).unwrap().liveness,
            Liveness::Draining
        );
        let known = self.known.get_mut(&id).unwrap();
        assert!(!known.ended);
        assert!(known.deadline > self.now);
        if attempt != known.last_attempt {
            assert!(attempt > known.last_attempt);
            known.last_attempt = attempt;
            known.is_first = known.copies.is_empty();
        }
        if !known.idempotent {
            assert!(known.copies.is_empty(), "sent again, and may be executed");
        }
        let same = known.copies.iter().filter(|copy| copy.server == server);
        assert!(same.clone().all(|copy| copy.attempt != attempt));
        if self.jammed_sends.0 > 0 {
            self.jammed_sends.0 -= 1;
            let failure = self.jammed_sends.1;
            self.engine
                .handle_send_failed(server, id, failure, self.now);
            return;
        }
        known.extra += i64::from(!known.is_first);
        known.copies.push(Left {
            server,
            attempt,
            lost: false,
        });
        if self.engine.config().model != Model::Two {
            assert!(known.copies.len() <= MAX_ATTEMPTS as usize);
        }
        self.log.push((server, id, attempt));
        if std::mem::take(&mut self.cut) {
            self.engine.handle_disconnected(server, self.now);
        }
    }

    fn check_end(&mut self, id: RequestId, result: &Result<Reply<u64>, RequestError>) {
        let known = self.known.get_mut(&id).unwrap();
        assert!(!known.ended, "{id:?} ended twice");
        known.ended = true;
        assert!(known.deadline >= self.now);
        match result {
            Ok(reply) => assert_eq!(reply.frames, 1, "frames of the body"),
            Err(RequestError::Unknown) => {
                assert!(!known.copies.is_empty());
                let lost = known.copies.iter().all(|copy| copy.lost);
                assert!(known.deadline == self.now || lost);
            }
            Err(RequestError::NoServer) => {
                assert!(known.copies.is_empty());
                assert_eq!(known.deadline, self.now);
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn check(&self) {
        let running = || self.known.values().filter(|known| !known.ended);
        assert!(running().all(|known| known.deadline > self.now));
        assert_eq!(self.engine.outstanding(), running().count());
        for server in self.engine.servers() {
            let copies = running().flat_map(|known| &known.copies);
            let there = copies.filter(|copy| copy.server == server.server && !copy.lost);
            assert_eq!(server.outstanding, there.count(), "{server:?}");
        }
        if let Some(at) = self.engine.next_deadline() {
            assert!(at > self.now, "something is due, yet nothing was done");
        }
        let extra: i64 = self.known.values().map(|known| known.extra.max(0)).sum();
        let Budget {
            per_request,
            per_second,
            burst,
        } = self.engine.config().budget;
        let elapsed = (self.now - self.start).as_secs_f64();
        let allowed = f64::from(burst) + per_request * self.submitted as f64 + per_second * elapsed;
        assert!(extra as f64 <= allowed + 1e-6, "{extra} copies, {allowed}");
    }

    /// Nothing is left behind once every deadline has passed.
    fn finish(mut self) {
        self.sleep(Duration::from_millis(1600));
        self.drain();
        let engine = &self.engine;
        assert_eq!(engine.outstanding(), 0);
        assert_eq!(engine.free.len() + engine.paid.len(), 0);
        assert!(engine.timers.is_empty());
        assert!(engine.planned.is_empty() && engine.hedges.is_empty());
        assert!(engine.hang_ups.is_empty() && engine.ended.is_empty());
        assert!(engine.servers().all(|server| server.outstanding == 0));
        let stats = engine.stats();
        let cancelled = stats.submitted - stats.replies - stats.failed;
        assert!(cancelled <= self.known.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 768, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_request_ends_once_in_time_and_within_the_budget(
        config in config(),
        seed in any::<u64>(),
        inputs in prop::collection::vec(input(), 1..250),
    ) {
        let mut bench = Bench::new(config, seed);
        for input in inputs {
            bench.apply(input);
        }
        bench.finish();
    }
}
