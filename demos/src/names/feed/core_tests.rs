//! Each rule of a feed by itself, with a list of servers and a clock that are made up.

use reactor::Endpoint;

use super::*;
use crate::names::Record;
use crate::names::wire::Missing;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A feed with a time to live of 1 s, a patience of 500 ms and a retry of 100 ms.
struct Rig {
    core: Core,
    start: Instant,
    list: Vec<Server>,
}

impl Rig {
    fn new(share: Share) -> Self {
        let config = FeedConfig {
            share,
            patience: MS(500),
            retry: MS(100),
            ..FeedConfig::new()
        };
        let start = Instant::now();
        Self {
            core: Core::new(config, start),
            start,
            list: Vec::new(),
        }
    }

    /// A feed whose list is as it should be.
    fn settled(endpoints: &[&str]) -> Self {
        let mut rig = Self::new(Share::InOrder);
        rig.answer(endpoints, 0);
        rig.work(0);
        rig.all_are(Liveness::Live);
        rig.work(20);
        assert!(rig.core.is_settled());
        rig
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + MS(ms)
    }

    fn answer(&mut self, endpoints: &[&str], ms: u64) {
        let connect = endpoints.iter().map(|e| Endpoint::to_connect(e).unwrap());
        let known = Known::Found {
            serial: 7,
            record: Record {
                bind: vec![Endpoint::to_bind("tcp://*:1").unwrap()],
                connect: connect.collect(),
                ttl: MS(1000),
            },
        };
        let now = self.at(ms);
        self.core.refresh(now);
        assert!(self.core.poll_ask(now));
        self.core.handle_answer(Some(&known), now);
    }

    /// Looks, if the core wants to, and does what it says.
    fn work(&mut self, ms: u64) -> Vec<Change> {
        let now = self.at(ms);
        if !self.core.wants_look(now) {
            return Vec::new();
        }
        let changes = self.core.changes(&self.list, now);
        for change in &changes {
            match change {
                Change::Add { endpoint, tier } => self.list.push(Server {
                    endpoint: endpoint.clone(),
                    tier: *tier,
                    liveness: Liveness::Unknown,
                }),
                Change::SetTier { endpoint, tier } => self.server(endpoint).tier = *tier,
                Change::Drain { endpoint } => self.server(endpoint).liveness = Liveness::Draining,
            }
        }
        changes
    }

    fn server(&mut self, endpoint: &str) -> &mut Server {
        let found = self.list.iter_mut().find(|s| s.endpoint == endpoint);
        found.unwrap()
    }

    fn all_are(&mut self, liveness: Liveness) {
        self.list.iter_mut().for_each(|s| s.liveness = liveness);
    }

    fn tiers(&self) -> Vec<(&str, u32)> {
        let pairs = self.list.iter().map(|s| (s.endpoint.as_str(), s.tier));
        pairs.collect()
    }
}

fn drain(endpoint: &str) -> Change {
    Change::Drain {
        endpoint: endpoint.to_owned(),
    }
}

fn add(endpoint: &str, tier: u32) -> Change {
    Change::Add {
        endpoint: endpoint.to_owned(),
        tier,
    }
}

#[test]
fn it_asks_at_once_and_again_when_the_time_to_live_is_over() {
    let mut rig = Rig::new(Share::InOrder);
    assert_eq!(rig.core.next_deadline(), Some(rig.start));
    rig.answer(&["tcp://a:1"], 0);
    assert!(!rig.core.poll_ask(rig.at(999)));
    assert!(rig.core.poll_ask(rig.at(1000)));
    assert!(!rig.core.poll_ask(rig.at(1000)), "one question at a time");
}

#[test]
fn without_an_answer_it_keeps_the_list_and_asks_again_after_a_pause() {
    let mut rig = Rig::settled(&["tcp://a:1"]);
    let now = rig.at(1000);
    assert!(rig.core.poll_ask(now));
    rig.core.handle_answer(None, now);
    assert_eq!(rig.work(1000), []);
    assert_eq!(rig.core.next_deadline(), Some(rig.at(1100)));
}

#[test]
fn a_name_that_is_unknown_or_has_nothing_to_connect_to_changes_nothing() {
    let mut rig = Rig::settled(&["tcp://a:1"]);
    let unknown = Known::Unknown {
        ttl: MS(300),
        what: Missing::Name,
    };
    let now = rig.at(1000);
    assert!(rig.core.poll_ask(now));
    rig.core.handle_answer(Some(&unknown), now);
    assert_eq!(rig.work(1000), []);
    assert_eq!(rig.core.next_deadline(), Some(rig.at(1300)));
    rig.answer(&[], 1300);
    assert_eq!(rig.work(1300), []);
    assert_eq!(rig.work(9000), [], "not after the patience either");
    assert!(rig.core.is_settled());
}

#[test]
fn the_list_is_in_the_order_of_the_name_or_a_pool() {
    let names = ["tcp://a:1", "tcp://b:1"];
    let mut rig = Rig::new(Share::InOrder);
    rig.answer(&names, 0);
    rig.work(0);
    assert_eq!(rig.tiers(), [("tcp://a:1", 0), ("tcp://b:1", 1)]);
    let mut rig = Rig::new(Share::Pool);
    rig.answer(&names, 0);
    rig.work(0);
    assert_eq!(rig.tiers(), [("tcp://a:1", 0), ("tcp://b:1", 0)]);
}

#[test]
fn another_order_sets_the_tiers_and_drains_nobody() {
    let mut rig = Rig::settled(&["tcp://a:1", "tcp://b:1"]);
    rig.answer(&["tcp://b:1", "tcp://a:1"], 100);
    assert_eq!(rig.work(100).len(), 2);
    assert_eq!(rig.tiers(), [("tcp://a:1", 1), ("tcp://b:1", 0)]);
    assert!(rig.core.is_settled());
}

#[test]
fn an_old_server_goes_only_when_a_new_one_is_live() {
    let mut rig = Rig::settled(&["tcp://a:1"]);
    rig.answer(&["tcp://b:1"], 100);
    assert_eq!(rig.work(100), [add("tcp://b:1", 0)]);
    rig.server("tcp://b:1").liveness = Liveness::Connecting;
    assert_eq!(rig.work(120), []);
    assert!(!rig.core.is_settled());
    rig.server("tcp://b:1").liveness = Liveness::Live;
    assert_eq!(rig.work(140), [drain("tcp://a:1")]);
    assert!(rig.core.is_settled());
}

#[test]
fn an_old_server_goes_after_a_while_though_no_new_one_lives() {
    let mut rig = Rig::settled(&["tcp://a:1"]);
    rig.answer(&["tcp://b:1"], 100);
    rig.work(100);
    // The same answer once more does not begin anew.
    rig.answer(&["tcp://b:1"], 400);
    rig.work(400);
    assert_eq!(rig.work(599), []);
    assert_eq!(rig.work(619), [drain("tcp://a:1")]);
}

#[test]
fn what_stays_and_is_live_lets_the_others_go_at_once() {
    let mut rig = Rig::settled(&["tcp://a:1", "tcp://b:1"]);
    rig.answer(&["tcp://b:1"], 100);
    let changes = rig.work(100);
    assert!(changes.contains(&drain("tcp://a:1")), "{changes:?}");
}

#[test]
fn a_server_that_is_wanted_again_while_it_drains_comes_back_when_it_has_gone() {
    let mut rig = Rig::settled(&["tcp://a:1", "tcp://b:1"]);
    rig.answer(&["tcp://b:1"], 100);
    rig.work(100);
    rig.answer(&["tcp://b:1", "tcp://a:1"], 200);
    assert_eq!(rig.work(200), []);
    rig.list.retain(|server| server.endpoint != "tcp://a:1");
    assert_eq!(rig.work(220), [add("tcp://a:1", 1)]);
    assert_eq!(rig.work(240), []);
    assert!(rig.core.is_settled());
}

#[test]
fn what_could_not_be_done_is_tried_again() {
    let mut rig = Rig::new(Share::InOrder);
    rig.answer(&["tcp://a:1"], 0);
    let now = rig.at(0);
    assert_eq!(rig.core.changes(&[], now), [add("tcp://a:1", 0)]);
    rig.core.handle_failed(now);
    assert_eq!(rig.core.next_deadline(), Some(rig.at(100)));
    assert_eq!(rig.work(100), [add("tcp://a:1", 0)]);
}

#[test]
fn no_time_to_live_makes_it_ask_without_pause() {
    let mut rig = Rig::new(Share::InOrder);
    let now = rig.start;
    assert!(rig.core.poll_ask(now));
    let unknown = Known::Unknown {
        ttl: Duration::ZERO,
        what: Missing::Name,
    };
    rig.core.handle_answer(Some(&unknown), now);
    assert!(rig.core.next_deadline() > Some(now));
}

#[test]
fn whatever_comes_it_ends_up_equal_to_the_last_answer() {
    // A generator of our own, so that a run is its seed.
    for seed in 1..500_u64 {
        let mut state = seed;
        let mut next = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(seed);
            (state >> 33) % below
        };
        let mut rig = Rig::new(Share::InOrder);
        let mut wanted: Vec<String> = Vec::new();
        let mut ms = 0;
        for _ in 0..60 {
            ms += next(60);
            match next(4) {
                0 => {
                    wanted = (0..4).map(|n| format!("tcp://s{n}:1")).collect();
                    wanted.retain(|_| next(2) == 0);
                    if wanted.is_empty() {
                        wanted.push("tcp://s9:1".to_owned());
                    }
                    let refs: Vec<&str> = wanted.iter().map(String::as_str).collect();
                    rig.answer(&refs, ms);
                }
                1 => rig.list.retain(|s| s.liveness != Liveness::Draining),
                2 => {
                    let live = |s: &mut Server| s.liveness = Liveness::Live;
                    let ups = rig
                        .list
                        .iter_mut()
                        .filter(|s| s.liveness != Liveness::Draining);
                    ups.for_each(live);
                }
                _ => {}
            }
            rig.work(ms);
        }
        for _ in 0..100 {
            ms += 20;
            rig.list.retain(|s| s.liveness != Liveness::Draining);
            rig.work(ms);
        }
        let mut have: Vec<&str> = rig.tiers().into_iter().map(|(e, _)| e).collect();
        have.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(have, wanted, "seed {seed}");
        assert!(wanted.is_empty() || rig.core.is_settled(), "seed {seed}");
    }
}
