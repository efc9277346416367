//! Each rule by itself, with fabricated time: the heartbeat is 100 ms.

use std::time::{Duration, Instant};

use super::*;

const NONCE: u64 = 0xfeed;
const PRIMARY: usize = 0;
const BACKUP: usize = 1;

/// A core with a clock that is moved by hand. Inputs are drained at once, as a host does it.
struct Rig {
    core: Core,
    start: Instant,
    now: Instant,
    sent: Vec<(usize, RequestId)>,
    dialled: Vec<usize>,
    hung_up: Vec<usize>,
    failovers: Vec<(usize, Option<u64>)>,
    done: Vec<(RequestId, Result<Reply, RequestError>)>,
}

impl Rig {
    fn new() -> Self {
        let start = Instant::now();
        let config = Config::with_heartbeat(Duration::from_millis(100));
        let core = Core::new(config, 2, NONCE, start).unwrap();
        let mut rig = Self {
            core,
            start,
            now: start,
            sent: Vec::new(),
            dialled: Vec::new(),
            hung_up: Vec::new(),
            failovers: Vec::new(),
            done: Vec::new(),
        };
        rig.drain();
        rig
    }

    /// Both links up.
    fn connected() -> Self {
        let mut rig = Self::new();
        rig.connect(PRIMARY);
        rig.connect(BACKUP);
        rig
    }

    fn drain(&mut self) {
        while let Some(action) = self.core.poll_action(self.now) {
            match action {
                Action::HangUp { server } => self.hung_up.push(server),
                Action::Dial { server } => self.dialled.push(server),
                Action::Send { server, id } => self.sent.push((server, id)),
            }
        }
        while let Some(event) = self.core.poll_event() {
            match event {
                Event::Failover { server, epoch } => self.failovers.push((server, epoch)),
                Event::Done { id, result } => self.done.push((id, result)),
            }
        }
    }

    fn connect(&mut self, server: usize) {
        self.core.handle_connected(server, self.now);
        self.drain();
    }

    fn disconnect(&mut self, server: usize) {
        self.core.handle_disconnected(server, self.now);
        self.drain();
    }

    fn submit(&mut self, idempotent: Idempotent, timeout_ms: u64) -> RequestId {
        let deadline = self.now + Duration::from_millis(timeout_ms);
        let id = self
            .core
            .submit(vec![b"body".to_vec()], idempotent, deadline)
            .unwrap();
        self.drain();
        id
    }

    fn message(&mut self, server: usize, frames: &[&[u8]]) {
        self.core.handle_message(server, frames, self.now);
        self.drain();
    }

    fn reply(&mut self, server: usize, id: RequestId) {
        let first = wire::first_frame(NONCE, id.0);
        self.message(server, &[&first, b"", b"yes"]);
    }

    fn refuse(&mut self, server: usize, id: RequestId) {
        let first = wire::first_frame(NONCE, id.0);
        self.message(server, &[&first, b"", b"bstar-no state=passive epoch=4"]);
    }

    /// Moves to `at_ms` after the start, stopping at each deadline on the way.
    fn advance_to(&mut self, at_ms: u64) {
        let end = self.start + Duration::from_millis(at_ms);
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    fn now_ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    /// Servers that were sent something since the last call.
    fn take_sent(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.sent)
            .into_iter()
            .map(|(server, _)| server)
            .collect()
    }

    fn result(&mut self, id: RequestId) -> Option<Result<Reply, RequestError>> {
        let at = self.done.iter().position(|(done, _)| *done == id)?;
        let result = self.done.remove(at).1;
        assert!(
            self.done.iter().all(|(done, _)| *done != id),
            "{id:?} ended twice"
        );
        Some(result)
    }
}

#[test]
fn a_request_goes_to_the_primary_and_its_answer_back() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::No, 1000);
    assert_eq!(rig.sent, [(PRIMARY, id)]);
    let frames: Vec<_> = rig.core.frames(id).unwrap().map(<[u8]>::to_vec).collect();
    assert_eq!(
        frames,
        [
            b"bstar-cli/1 000000000000feed 1".to_vec(),
            vec![],
            b"body".to_vec()
        ]
    );
    rig.reply(PRIMARY, id);
    let reply = rig.result(id).unwrap().unwrap();
    assert_eq!(
        reply,
        Reply {
            frames: vec![b"yes".to_vec()],
            server: PRIMARY
        }
    );
    assert_eq!(rig.core.outstanding(), 0);
    assert!(rig.failovers.is_empty(), "a first answer is no failover");
    assert_eq!(rig.core.next_deadline(), None);
}

#[test]
fn the_primary_is_first_even_when_the_backups_link_is_faster() {
    let mut rig = Rig::new();
    rig.submit(Idempotent::Yes, 1000);
    rig.connect(BACKUP);
    assert!(rig.take_sent().is_empty());
    rig.connect(PRIMARY);
    assert_eq!(rig.take_sent(), [PRIMARY]);
}

#[test]
fn a_primary_that_refuses_the_connection_is_not_waited_for() {
    let mut rig = Rig::new();
    rig.submit(Idempotent::Yes, 1000);
    rig.connect(BACKUP);
    rig.disconnect(PRIMARY);
    assert_eq!(rig.take_sent(), [BACKUP]);
    assert_eq!(rig.now_ms(), 0);
}

#[test]
fn a_primary_whose_link_hangs_is_waited_for_one_attempt_timeout() {
    let mut rig = Rig::new();
    rig.submit(Idempotent::Yes, 1000);
    rig.connect(BACKUP);
    rig.advance_to(99);
    assert!(rig.take_sent().is_empty());
    rig.advance_to(100);
    assert_eq!(rig.take_sent(), [BACKUP]);
}

#[test]
fn a_refusal_moves_any_request_to_the_other_server_at_once() {
    for idempotent in [Idempotent::Yes, Idempotent::No] {
        let mut rig = Rig::connected();
        let id = rig.submit(idempotent, 1000);
        rig.refuse(PRIMARY, id);
        assert_eq!(rig.take_sent(), [PRIMARY, BACKUP]);
        assert_eq!(rig.now_ms(), 0);
        rig.reply(BACKUP, id);
        assert_eq!(rig.result(id).unwrap().unwrap().server, BACKUP);
    }
}

#[test]
fn who_refuses_is_asked_again_soon_and_then_less_often() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::No, 1000);
    let mut asked = [Vec::new(), Vec::new()];
    for ms in 0..100 {
        rig.advance_to(ms);
        for server in rig.take_sent() {
            asked[server].push(ms);
            rig.refuse(server, id);
        }
    }
    for times in asked {
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted(), "{gaps:?}");
        // The longest is the pause of the configuration, and it is not waited at first.
        assert!(
            gaps.first() <= Some(&2) && gaps.last() == Some(&10),
            "{gaps:?}"
        );
    }
}

#[test]
fn who_replied_is_asked_again_soon_after_its_next_refusal() {
    let mut rig = Rig::connected();
    let mut ms = 0;
    let mut pauses = Vec::new();
    // Each request is refused by both, and then answered.
    for _ in 0..3 {
        let id = rig.submit(Idempotent::No, 1000);
        for _ in 0..2 {
            for server in rig.take_sent() {
                rig.refuse(server, id);
            }
        }
        let refused_at = ms;
        let asked = loop {
            ms += 1;
            rig.advance_to(ms);
            if let Some(server) = rig.take_sent().pop() {
                break server;
            }
        };
        pauses.push(ms - refused_at);
        rig.reply(asked, id);
        // So that what the other server said is long ago.
        ms += 100;
        rig.advance_to(ms);
    }
    assert_eq!(pauses, [1, 1, 1]);
}

#[test]
fn refused_by_all_until_the_deadline_was_not_executed() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::No, 25);
    let mut refused = 0;
    for ms in 0..=25 {
        rig.advance_to(ms);
        for server in rig.take_sent() {
            refused += 1;
            rig.refuse(server, id);
        }
    }
    assert!(matches!(rig.result(id), Some(Err(RequestError::NoServer))));
    assert!(refused >= 6, "{refused}");
    assert_eq!(rig.core.stats().refused, refused);
}

#[test]
fn it_stays_with_the_server_that_answers() {
    let mut rig = Rig::connected();
    rig.disconnect(PRIMARY);
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.reply(BACKUP, id);
    rig.advance_to(10);
    rig.connect(PRIMARY);
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.take_sent(), [BACKUP, BACKUP]);
}

#[test]
fn silence_moves_an_idempotent_request_after_the_attempt_timeout() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(99);
    assert_eq!(rig.take_sent(), [PRIMARY]);
    rig.advance_to(100);
    assert_eq!(rig.take_sent(), [BACKUP]);
    rig.reply(BACKUP, id);
    assert!(rig.result(id).unwrap().is_ok());
    assert_eq!(rig.core.stats().silences, 1);
}

#[test]
fn the_settle_delay_is_spent_only_against_silent_servers() {
    let mut rig = Rig::connected();
    rig.submit(Idempotent::Yes, 1000);
    let mut times = Vec::new();
    for at in (0..=500).step_by(10) {
        rig.advance_to(at);
        times.extend(rig.take_sent().into_iter().map(|server| (at, server)));
    }
    // Each is asked again two heartbeats after it was asked, and not sooner.
    let expected = [(0, 0), (100, 1), (200, 0), (300, 1), (400, 0), (500, 1)];
    assert_eq!(times, expected);
}

#[test]
fn a_single_silent_server_is_asked_again_after_the_settle_delay() {
    let mut rig = Rig::connected();
    rig.disconnect(BACKUP);
    rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(199);
    assert_eq!(rig.take_sent(), [PRIMARY]);
    rig.advance_to(200);
    assert_eq!(rig.take_sent(), [PRIMARY]);
}

#[test]
fn a_server_that_answers_others_is_slow_and_not_silent() {
    let mut rig = Rig::connected();
    let slow = rig.submit(Idempotent::Yes, 1000);
    for at in [50, 120, 190, 260] {
        rig.advance_to(at);
        let quick = rig.submit(Idempotent::Yes, 1000);
        rig.reply(PRIMARY, quick);
    }
    assert!(rig.take_sent().iter().all(|server| *server == PRIMARY));
    rig.advance_to(359);
    assert!(rig.take_sent().is_empty());
    rig.advance_to(360);
    assert_eq!(rig.sent, [(BACKUP, slow)]);
}

#[test]
fn silence_does_not_send_what_is_not_idempotent_again() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::No, 1000);
    rig.advance_to(150);
    let later = rig.submit(Idempotent::No, 1000);
    assert_eq!(
        rig.sent,
        [(PRIMARY, id), (BACKUP, later)],
        "later ones go elsewhere"
    );
    rig.advance_to(999);
    assert!(rig.result(id).is_none());
    rig.advance_to(1000);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
    assert_eq!(rig.sent.iter().filter(|(_, sent)| *sent == id).count(), 1);
}

#[test]
fn a_server_that_kept_silent_is_not_asked_first_by_a_later_request() {
    let mut rig = Rig::connected();
    rig.submit(Idempotent::No, 200);
    rig.advance_to(5000);
    rig.submit(Idempotent::No, 1000);
    assert_eq!(rig.take_sent(), [PRIMARY, BACKUP]);
}

#[test]
fn a_late_word_of_a_silent_server_still_counts() {
    let mut rig = Rig::connected();
    let answered = rig.submit(Idempotent::No, 1000);
    let refused = rig.submit(Idempotent::No, 1000);
    rig.advance_to(150);
    rig.take_sent();
    rig.reply(PRIMARY, answered);
    assert!(rig.result(answered).unwrap().is_ok());
    rig.refuse(PRIMARY, refused);
    assert_eq!(
        rig.sent,
        [(BACKUP, refused)],
        "refused by word, so it may go elsewhere"
    );
}

#[test]
fn a_lost_link_sends_idempotent_requests_again_and_fails_the_others() {
    let mut rig = Rig::connected();
    let yes = rig.submit(Idempotent::Yes, 1000);
    let no = rig.submit(Idempotent::No, 1000);
    rig.disconnect(PRIMARY);
    assert_eq!(rig.sent, [(PRIMARY, yes), (PRIMARY, no), (BACKUP, yes)]);
    assert!(matches!(rig.result(no), Some(Err(RequestError::Unknown))));
    rig.reply(BACKUP, yes);
    assert!(rig.result(yes).unwrap().is_ok());
}

#[test]
fn a_lost_link_fails_a_stalled_request_at_once() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::No, 10_000);
    rig.advance_to(150);
    rig.disconnect(PRIMARY);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
}

#[test]
fn what_was_lost_with_its_link_is_unknown_even_when_nobody_is_left() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 500);
    rig.disconnect(PRIMARY);
    rig.disconnect(BACKUP);
    rig.advance_to(500);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
}

#[test]
fn with_no_server_a_request_fails_at_its_deadline_as_not_executed() {
    let mut rig = Rig::new();
    rig.disconnect(PRIMARY);
    rig.disconnect(BACKUP);
    let id = rig.submit(Idempotent::No, 300);
    rig.advance_to(299);
    assert!(rig.result(id).is_none());
    rig.advance_to(300);
    assert!(matches!(rig.result(id), Some(Err(RequestError::NoServer))));
    assert!(rig.sent.is_empty());
}

#[test]
fn what_could_not_leave_goes_to_the_other_server() {
    for idempotent in [Idempotent::Yes, Idempotent::No] {
        let mut rig = Rig::connected();
        let id = rig.submit(idempotent, 1000);
        rig.core.handle_send_failed(PRIMARY, id, rig.now);
        rig.drain();
        assert_eq!(rig.take_sent(), [PRIMARY, BACKUP]);
        rig.core.handle_send_failed(BACKUP, id, rig.now);
        rig.drain();
        assert!(rig.take_sent().is_empty());
        rig.advance_to(10);
        assert_eq!(
            rig.take_sent(),
            [BACKUP],
            "the server that was current is asked first"
        );
    }
}

#[test]
fn the_deadline_spans_all_attempts() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 350);
    rig.advance_to(349);
    assert_eq!(rig.take_sent().len(), 4);
    assert!(rig.result(id).is_none());
    rig.advance_to(350);
    assert!(matches!(rig.result(id), Some(Err(RequestError::Unknown))));
    rig.advance_to(2000);
    assert!(rig.take_sent().is_empty());
}

#[test]
fn nothing_is_sent_at_or_after_its_deadline() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 0);
    assert!(matches!(rig.result(id), Some(Err(RequestError::NoServer))));
    assert!(rig.sent.is_empty());
}

#[test]
fn late_duplicate_and_foreign_messages_are_counted_and_dropped() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.reply(PRIMARY, id);
    rig.reply(PRIMARY, id);
    rig.refuse(PRIMARY, id);
    assert_eq!(rig.core.stats().late, 2);
    let other_client = wire::first_frame(NONCE + 1, 1);
    let not_sent_yet = wire::first_frame(NONCE, 99);
    let foreign: [&[&[u8]]; 5] = [
        &[],
        &[b"5"],
        &[&other_client, b"", b"x"],
        &[&not_sent_yet, b"", b"x"],
        &[b"\xff\x00", b"", b"x"],
    ];
    for frames in foreign {
        rig.message(PRIMARY, frames);
    }
    assert_eq!(rig.core.stats().foreign, 5);
    assert!(rig.result(id).unwrap().is_ok());
    assert!(rig.done.is_empty());
}

#[test]
fn an_answer_of_a_server_that_was_not_asked_is_dropped() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.reply(BACKUP, id);
    rig.refuse(BACKUP, id);
    assert!(rig.result(id).is_none());
    assert_eq!(rig.core.stats().late, 2);
    assert_eq!(rig.take_sent(), [PRIMARY]);
}

#[test]
fn noise_is_not_a_sign_of_life() {
    let mut rig = Rig::connected();
    rig.submit(Idempotent::Yes, 1000);
    for at in (10..100).step_by(10) {
        rig.advance_to(at);
        rig.message(PRIMARY, &[b"3"]);
    }
    rig.advance_to(100);
    assert_eq!(rig.take_sent(), [PRIMARY, BACKUP]);
}

#[test]
fn a_failover_is_told_before_the_answer_that_shows_it() {
    let mut rig = Rig::connected();
    let first = rig.submit(Idempotent::Yes, 1000);
    rig.reply(PRIMARY, first);
    let second = rig.submit(Idempotent::Yes, 1000);
    rig.refuse(PRIMARY, second);
    let frame = wire::first_frame(NONCE, second.0);
    rig.core
        .handle_message(BACKUP, &[&frame[..], b"", b"yes"], rig.now);
    let events: Vec<_> = std::iter::from_fn(|| rig.core.poll_event()).collect();
    assert!(matches!(
        events[..],
        [
            Event::Failover {
                server: BACKUP,
                epoch: Some(4)
            },
            Event::Done { .. }
        ]
    ));
    assert_eq!(rig.core.stats().failovers, 1);
}

#[test]
fn an_old_answer_does_not_bring_the_old_server_back() {
    let mut rig = Rig::connected();
    let stalled = rig.submit(Idempotent::No, 1000);
    rig.advance_to(120);
    let other = rig.submit(Idempotent::Yes, 1000);
    rig.reply(BACKUP, other);
    rig.advance_to(130);
    rig.reply(PRIMARY, stalled);
    assert!(rig.result(stalled).unwrap().is_ok());
    rig.take_sent();
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(rig.take_sent(), [BACKUP]);
}

#[test]
fn a_slow_answer_brings_the_request_back_to_its_server() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(130);
    rig.reply(PRIMARY, id);
    assert_eq!(rig.take_sent(), [PRIMARY, BACKUP]);
    rig.submit(Idempotent::Yes, 1000);
    assert_eq!(
        rig.take_sent(),
        [PRIMARY],
        "the backup said nothing, the primary answered"
    );
}

#[test]
fn a_link_is_dialled_again_after_a_pause_that_does_not_grow() {
    let mut rig = Rig::new();
    assert_eq!(rig.dialled, [PRIMARY, BACKUP]);
    rig.connect(BACKUP);
    rig.dialled.clear();
    for round in 1..=20 {
        rig.disconnect(PRIMARY);
        rig.advance_to(round * 10);
        assert_eq!(rig.dialled, [PRIMARY], "round {round}");
        rig.dialled.clear();
    }
    assert_eq!(rig.hung_up, [PRIMARY; 20]);
}

#[test]
fn an_attempt_at_a_link_that_hangs_is_given_up() {
    let mut rig = Rig::new();
    rig.dialled.clear();
    rig.connect(BACKUP);
    rig.advance_to(199);
    assert!(rig.hung_up.is_empty());
    rig.advance_to(209);
    assert_eq!(rig.hung_up, [PRIMARY]);
    rig.connect(PRIMARY);
    assert!(
        !rig.core.is_connected(PRIMARY),
        "what was hung up cannot stand"
    );
    rig.advance_to(210);
    assert_eq!(rig.dialled, [PRIMARY]);
    rig.connect(PRIMARY);
    assert!(rig.core.is_connected(PRIMARY));
}

#[test]
fn a_new_link_is_a_new_start() {
    let mut rig = Rig::connected();
    rig.disconnect(BACKUP);
    rig.submit(Idempotent::Yes, 1000);
    rig.advance_to(120);
    rig.disconnect(PRIMARY);
    rig.advance_to(130);
    rig.connect(PRIMARY);
    assert_eq!(
        rig.take_sent(),
        [PRIMARY, PRIMARY],
        "the settle delay was the old link's"
    );
    assert_eq!(rig.now_ms(), 130);
}

#[test]
fn limits_are_kept_and_named() {
    let start = Instant::now();
    let config = Config {
        max_outstanding: 2,
        max_request_frames: 3,
        max_request_bytes: 10,
        ..Config::default()
    };
    let mut core = Core::new(config.clone(), 2, NONCE, start).unwrap();
    let far = start + Duration::from_secs(1);
    let mut submit = |body: Vec<Vec<u8>>| core.submit(body, Idempotent::Yes, far);
    assert!(matches!(submit(vec![]), Err(Error::Empty)));
    assert!(matches!(
        submit(vec![vec![]; 4]),
        Err(Error::TooManyFrames {
            frames: 4,
            limit: 3
        })
    ));
    let large = vec![vec![0; 6], vec![0; 5]];
    assert!(matches!(
        submit(large),
        Err(Error::TooLarge {
            bytes: 11,
            limit: 10
        })
    ));
    assert!(matches!(
        submit(vec![b"bstar-no x".to_vec()]),
        Err(Error::LooksLikeRefusal)
    ));
    submit(vec![b"bstar-no".to_vec(), vec![]]).unwrap();
    submit(vec![b"bstar-nox".to_vec()]).unwrap();
    let error = submit(vec![vec![]]).unwrap_err();
    assert!(
        matches!(error, Error::TooManyOutstanding { limit: 2 }),
        "{error}"
    );
    // What ended but was not fetched still takes room.
    core.handle_timeout(far);
    assert!(core.submit(vec![vec![]], Idempotent::Yes, far).is_err());
    while core.poll_event().is_some() {}
    assert!(core.submit(vec![vec![]], Idempotent::Yes, far).is_ok());
    for servers in [0, 3] {
        assert!(Core::new(config.clone(), servers, NONCE, start).is_err());
    }
}

#[test]
fn a_cancelled_request_leaves_nothing_behind() {
    let mut rig = Rig::connected();
    let id = rig.submit(Idempotent::Yes, 1000);
    assert!(rig.core.cancel(id));
    assert!(!rig.core.cancel(id));
    assert_eq!(rig.core.next_deadline(), None);
    rig.reply(PRIMARY, id);
    assert_eq!(rig.core.stats().late, 1);
    rig.advance_to(2000);
    assert!(rig.done.is_empty());
}

#[test]
fn closing_ends_everything_and_says_what_is_known() {
    let mut rig = Rig::connected();
    let left = rig.submit(Idempotent::No, 1000);
    rig.disconnect(BACKUP);
    rig.core.handle_send_failed(PRIMARY, left, rig.now);
    let queued = left;
    let waiting = {
        rig.advance_to(20);
        rig.submit(Idempotent::Yes, 1000)
    };
    rig.core.handle_send_failed(PRIMARY, queued, rig.now);
    rig.core.close();
    rig.drain();
    assert!(matches!(
        rig.result(queued),
        Some(Err(RequestError::NoServer))
    ));
    assert!(matches!(
        rig.result(waiting),
        Some(Err(RequestError::Closed))
    ));
}
