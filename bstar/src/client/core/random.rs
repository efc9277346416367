//! Random inputs in random order against what must hold whatever happens.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const NONCE: u64 = 0xfeed;
const MAX_OUTSTANDING: usize = 8;

#[derive(Clone, Debug)]
enum Input {
    Submit {
        idempotent: bool,
        timeout_ms: u64,
    },
    Connected(usize),
    Disconnected(usize),
    Reply {
        server: usize,
        back: u64,
    },
    Refusal {
        server: usize,
        back: u64,
        epoch: u64,
    },
    Noise {
        server: usize,
        frames: Vec<Vec<u8>>,
    },
    /// A frame of ours with one byte changed.
    Damaged {
        server: usize,
        back: u64,
        at: usize,
        byte: u8,
    },
    Cancel {
        back: u64,
    },
    Sleep {
        ms: u64,
    },
    /// The next sending fails.
    Jam,
}

fn input() -> impl Strategy<Value = Input> {
    let server = 0..MAX_SERVERS + 1;
    let back = 0..6u64;
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => (any::<bool>(), 0..1500u64)
            .prop_map(|(idempotent, timeout_ms)| Input::Submit { idempotent, timeout_ms }),
        3 => server.clone().prop_map(Input::Connected),
        1 => server.clone().prop_map(Input::Disconnected),
        3 => (server.clone(), back.clone())
            .prop_map(|(server, back)| Input::Reply { server, back }),
        3 => (server.clone(), back.clone(), any::<u64>())
            .prop_map(|(server, back, epoch)| Input::Refusal { server, back, epoch }),
        1 => (server.clone(), prop::collection::vec(bytes, 0..4))
            .prop_map(|(server, frames)| Input::Noise { server, frames }),
        1 => (server, back.clone(), 0..30usize, any::<u8>())
            .prop_map(|(server, back, at, byte)| Input::Damaged { server, back, at, byte }),
        1 => back.prop_map(|back| Input::Cancel { back }),
        4 => (0..250u64).prop_map(|ms| Input::Sleep { ms }),
        1 => Just(Input::Jam),
    ]
}

/// What the test knows of one request, by its own bookkeeping.
struct Known {
    idempotent: bool,
    deadline: Instant,
    /// Copies out, per server, that were neither refused nor failed to leave nor lost.
    out: [u32; MAX_SERVERS],
    lost: bool,
    ended: bool,
}

struct Model {
    core: Core,
    now: Instant,
    known: HashMap<RequestId, Known>,
    newest: u64,
    jammed: bool,
}

impl Model {
    fn new() -> Self {
        let now = Instant::now();
        let mut config = Config::with_heartbeat(Duration::from_millis(100));
        config.max_outstanding = MAX_OUTSTANDING;
        let core = Core::new(config, MAX_SERVERS, NONCE, now).unwrap();
        Self {
            core,
            now,
            known: HashMap::new(),
            newest: 0,
            jammed: false,
        }
    }

    fn id(&self, back: u64) -> RequestId {
        RequestId(self.newest.saturating_sub(back))
    }

    fn apply(&mut self, input: Input) {
        match input {
            Input::Submit {
                idempotent,
                timeout_ms,
            } => self.submit(idempotent, timeout_ms),
            Input::Connected(server) => self.core.handle_connected(server, self.now),
            Input::Disconnected(server) => {
                if self.core.is_connected(server) {
                    for known in self.known.values_mut() {
                        known.lost |= std::mem::take(&mut known.out[server]) > 0;
                    }
                }
                self.core.handle_disconnected(server, self.now);
            }
            Input::Reply { server, back } => {
                let first = wire::first_frame(NONCE, self.id(back).0);
                self.core
                    .handle_message(server, &[first, vec![], b"yes".to_vec()], self.now);
            }
            Input::Refusal {
                server,
                back,
                epoch,
            } => {
                let id = self.id(back);
                if let Some(out) = self.known.get_mut(&id).and_then(|k| k.out.get_mut(server)) {
                    *out = out.saturating_sub(1);
                }
                let text = format!("bstar-no state=passive epoch={epoch}").into_bytes();
                let frames = [wire::first_frame(NONCE, id.0), vec![], text];
                self.core.handle_message(server, &frames, self.now);
            }
            Input::Noise { server, frames } => self.core.handle_message(server, &frames, self.now),
            Input::Damaged {
                server,
                back,
                at,
                byte,
            } => {
                let mut first = wire::first_frame(NONCE, self.id(back).0);
                let at = at % first.len();
                // A digit of the sequence may turn it into another request's: not damage.
                if at < first.len() - 1 && first[at] != byte {
                    first[at] = byte;
                    self.core
                        .handle_message(server, &[first, vec![], vec![]], self.now);
                }
            }
            Input::Cancel { back } => {
                let id = self.id(back);
                let running = self.known.get(&id).is_some_and(|known| !known.ended);
                assert_eq!(self.core.cancel(id), running);
                self.known.entry(id).and_modify(|known| known.ended = true);
            }
            Input::Sleep { ms } => self.sleep(Duration::from_millis(ms)),
            Input::Jam => self.jammed = true,
        }
        self.drain();
    }

    fn submit(&mut self, idempotent: bool, timeout_ms: u64) {
        let deadline = self.now + Duration::from_millis(timeout_ms);
        let kind = if idempotent {
            Idempotent::Yes
        } else {
            Idempotent::No
        };
        let running = self.known.values().filter(|known| !known.ended).count();
        match self.core.submit(vec![b"body".to_vec()], kind, deadline) {
            Ok(id) => {
                assert!(running < MAX_OUTSTANDING);
                self.newest = id.0;
                let known = Known {
                    idempotent,
                    deadline,
                    out: [0; 2],
                    lost: false,
                    ended: false,
                };
                assert!(self.known.insert(id, known).is_none());
            }
            Err(error) => {
                assert!(matches!(error, Error::TooManyOutstanding { .. }), "{error}");
                assert_eq!(running, MAX_OUTSTANDING);
            }
        }
    }

    fn sleep(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            self.drain();
            steps += 1;
            assert!(steps < 1000, "the core spins");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        while let Some(action) = self.core.poll_action(self.now) {
            if let Action::Send { server, id } = action {
                self.check_sending(server, id);
            }
        }
        while let Some(event) = self.core.poll_event() {
            if let Event::Done { id, result } = event {
                self.check_end(id, &result);
            }
        }
        let overdue = self
            .known
            .values()
            .filter(|known| !known.ended && known.deadline < self.now);
        assert_eq!(overdue.count(), 0, "a request outlived its deadline");
        let running = self.known.values().filter(|known| !known.ended).count();
        assert_eq!(self.core.outstanding(), running);
        if let Some(at) = self.core.next_deadline() {
            assert!(at > self.now, "something is due, yet nothing was done");
        }
    }

    fn check_sending(&mut self, server: usize, id: RequestId) {
        assert!(self.core.is_connected(server));
        assert!(self.core.frames(id).is_some());
        let known = self.known.get_mut(&id).unwrap();
        assert!(!known.ended);
        assert!(known.deadline > self.now);
        if !known.idempotent {
            assert!(
                known.out == [0; 2] && !known.lost,
                "sent again though it may be executed"
            );
        }
        if std::mem::take(&mut self.jammed) {
            self.core.handle_send_failed(server, id, self.now);
        } else {
            known.out[server] += 1;
        }
    }

    fn check_end(&mut self, id: RequestId, result: &Result<Reply, RequestError>) {
        let known = self.known.get_mut(&id).unwrap();
        assert!(
            !std::mem::replace(&mut known.ended, true),
            "{id:?} ended twice"
        );
        let may_be_executed = known.lost || known.out != [0; 2];
        match result {
            Ok(_) => {}
            Err(RequestError::Unknown) => {
                assert!(may_be_executed);
                assert!(known.deadline <= self.now || !known.idempotent);
            }
            Err(RequestError::NoServer) => assert!(!may_be_executed),
            Err(other) => panic!("{other}"),
        }
    }

    /// Nothing is left behind once every deadline has passed.
    fn finish(mut self) {
        self.sleep(Duration::from_millis(1600));
        self.drain();
        assert_eq!(self.core.outstanding(), 0);
        assert!(self.core.queued.is_empty() && self.core.deadlines.is_empty());
        assert!(
            self.core
                .servers
                .iter()
                .all(|server| server.waiting.is_empty())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_request_ends_once_in_time_and_is_not_doubled(
        inputs in prop::collection::vec(input(), 1..200),
    ) {
        let mut model = Model::new();
        for input in inputs {
            model.apply(input);
        }
        model.finish();
    }
}
