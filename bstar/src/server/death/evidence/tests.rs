//! The evidence, piece by piece, and in whatever order it comes.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    evidence: Evidence,
    links: usize,
    now: Instant,
}

impl Bench {
    fn new(links: usize, grace: Duration) -> Bench {
        let mut bench = Bench {
            evidence: Evidence::new(links, grace),
            links,
            now: Instant::now(),
        };
        for link in 0..links {
            bench.link(link, Change::Up);
            bench.listens(link, true);
        }
        assert_eq!(bench.orders(), []);
        bench
    }

    fn link(&mut self, link: usize, change: Change) {
        self.evidence.handle_link(link, change, self.now);
    }

    fn listens(&mut self, link: usize, any: bool) {
        self.evidence.handle_listeners(link, any, self.now);
    }

    fn ends(&mut self) {
        for link in 0..self.links {
            self.link(link, Change::Lost);
            self.listens(link, false);
        }
    }

    fn round(&mut self, all_refused: bool) {
        self.evidence.handle_round(all_refused, self.now);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.evidence.handle_timeout(self.now);
    }

    fn orders(&mut self) -> Vec<Order> {
        std::iter::from_fn(|| self.evidence.poll()).collect()
    }

    /// One that has proved it.
    fn proved() -> Bench {
        let mut bench = Bench::new(1, Duration::ZERO);
        bench.ends();
        bench.round(true);
        bench.wait(PAUSE);
        bench.round(true);
        assert_eq!(bench.orders(), [Order::Ask, Order::Ask, Order::Proved]);
        bench
    }
}

#[test]
fn two_refused_rounds_after_both_ends_prove_it() {
    Bench::proved();
}

#[test]
fn one_end_alone_is_no_reason_to_ask() {
    for links in [1, 2] {
        for spared in 0..2 * links {
            let mut bench = Bench::new(links, Duration::ZERO);
            for link in 0..links {
                if spared != 2 * link {
                    bench.link(link, Change::Lost);
                }
                if spared != 2 * link + 1 {
                    bench.listens(link, false);
                }
            }
            bench.wait(100 * SECOND);
            assert_eq!(bench.orders(), [], "all but end {spared} of {links} links");
        }
    }
}

#[test]
fn who_was_never_there_has_not_gone() {
    let mut bench = Bench::new(1, Duration::ZERO);
    bench.evidence = Evidence::new(1, Duration::ZERO);
    bench.ends();
    assert_eq!(bench.orders(), []);
    // The peer was heard before anybody watched its connection.
    bench.evidence.handle_word(0, bench.now);
    bench.listens(0, true);
    bench.ends();
    assert_eq!(bench.orders(), [Order::Ask]);
}

#[test]
fn a_link_that_we_ended_was_not_reset() {
    let mut bench = Bench::new(1, Duration::ZERO);
    bench.link(0, Change::Unclear);
    bench.ends();
    assert_eq!(bench.orders(), []);
}

#[test]
fn another_answer_begins_all_rounds_anew_later() {
    let mut bench = Bench::new(1, Duration::ZERO);
    bench.ends();
    bench.round(true);
    bench.wait(PAUSE);
    bench.round(false);
    assert_eq!(bench.orders(), [Order::Ask, Order::Ask]);
    bench.wait(FIRST_RETRY - Duration::from_millis(1));
    assert_eq!(bench.orders(), []);
    bench.wait(Duration::from_millis(1));
    bench.round(true);
    assert_eq!(bench.orders(), [Order::Ask]);
    bench.wait(PAUSE);
    bench.round(true);
    assert_eq!(bench.orders(), [Order::Ask, Order::Proved]);
}

#[test]
fn attempts_are_bounded_until_something_changes() {
    let mut bench = Bench::new(1, Duration::ZERO);
    bench.ends();
    let mut asked = 0;
    for _ in 0..10 * MAX_ATTEMPTS {
        asked += bench.orders().len();
        bench.round(false);
        bench.wait(LONGEST_RETRY);
    }
    assert_eq!(asked, usize::try_from(MAX_ATTEMPTS).unwrap());
    bench.link(0, Change::Up);
    bench.link(0, Change::Lost);
    assert_eq!(bench.orders(), [Order::Ask]);
}

#[test]
fn a_grace_is_waited_for_and_then_it_is_proved_again() {
    let mut bench = Bench::new(1, SECOND);
    bench.ends();
    bench.round(true);
    bench.wait(PAUSE);
    bench.round(true);
    assert_eq!(bench.orders(), [Order::Ask, Order::Ask]);
    bench.wait(SECOND - Duration::from_millis(1));
    assert_eq!(bench.orders(), []);
    bench.wait(Duration::from_millis(1));
    bench.round(true);
    bench.wait(PAUSE);
    bench.round(true);
    assert_eq!(bench.orders(), [Order::Ask, Order::Ask, Order::Proved]);
}

#[test]
fn whatever_speaks_for_the_peer_takes_the_proof_away() {
    let mut bench = Bench::proved();
    bench.link(0, Change::Unclear);
    assert_eq!(bench.orders(), [Order::Withdrawn]);
    let mut bench = Bench::proved();
    bench.link(0, Change::Up);
    assert_eq!(bench.orders(), [Order::Withdrawn]);
    let mut bench = Bench::proved();
    bench.listens(0, true);
    assert_eq!(bench.orders(), [Order::Withdrawn]);
    let mut bench = Bench::proved();
    bench.evidence.handle_word(0, bench.now);
    assert_eq!(bench.orders(), [Order::Withdrawn]);
    let mut bench = Bench::proved();
    bench.evidence.handle_pause(bench.now);
    assert_eq!(bench.orders(), [Order::Withdrawn]);
    // It is still gone, and proved so once more.
    bench.wait(FIRST_RETRY);
    bench.round(true);
    bench.wait(PAUSE);
    bench.round(true);
    assert_eq!(bench.orders(), [Order::Ask, Order::Ask, Order::Proved]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Link(usize, Change),
    Listens(usize, bool),
    Word(usize),
    Pause,
    Round(bool),
    Wait(u64),
}

fn steps(links: usize) -> impl Strategy<Value = Vec<Step>> {
    let change = prop_oneof![
        1 => Just(Change::Up),
        6 => Just(Change::Lost),
        1 => Just(Change::Unclear),
    ];
    let step = prop_oneof![
        3 => (0..links, change).prop_map(|(link, change)| Step::Link(link, change)),
        3 => (0..links, prop::bool::weighted(0.2))
            .prop_map(|(link, any)| Step::Listens(link, any)),
        1 => (0..links).prop_map(Step::Word),
        1 => Just(Step::Pause),
        8 => prop::bool::weighted(0.9).prop_map(Step::Round),
        8 => (1_u64..40).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Told again from the outside: what is proved rests on everything that it needs.
    #[test]
    fn nothing_is_proved_without_all_the_evidence(
        (links, steps) in (1_usize..3).prop_flat_map(|links| (Just(links), steps(links))),
        grace in prop_oneof![Just(Duration::ZERO), Just(Duration::from_millis(50))],
    ) {
        let mut bench = Bench::new(links, grace);
        // Of each link: whether it can be told how our connection ends; and which ends are closed.
        let mut told = vec![true; links];
        let mut closed = vec![[false; 2]; links];
        let mut asked = None;
        // When the rounds were asked for that were refused since something else happened.
        let mut refused: Vec<Instant> = Vec::new();
        for step in steps {
            let anew = match step {
                Step::Link(link, change) => {
                    bench.link(link, change);
                    match change {
                        Change::Lost => closed[link][0] |= told[link],
                        Change::Up | Change::Unclear => closed[link][0] = false,
                    }
                    told[link] = change == Change::Up || told[link] && change == Change::Lost;
                    change != Change::Lost
                }
                Step::Listens(link, any) => {
                    bench.listens(link, any);
                    closed[link][1] = !any;
                    any
                }
                Step::Word(link) => {
                    bench.evidence.handle_word(link, bench.now);
                    told[link] = true;
                    true
                }
                Step::Pause => {
                    bench.evidence.handle_pause(bench.now);
                    true
                }
                Step::Round(all) => {
                    bench.round(all);
                    let asked = asked.take();
                    refused.extend(asked.filter(|_| all));
                    asked.is_some() && !all
                }
                Step::Wait(ms) => {
                    bench.wait(Duration::from_millis(ms));
                    false
                }
            };
            if anew {
                refused.clear();
                asked = None;
            }
            for order in bench.orders() {
                match order {
                    Order::Ask => asked = Some(bench.now),
                    Order::Proved => {
                        prop_assert!(closed.iter().flatten().all(|closed| *closed));
                        let rounds = if grace.is_zero() { 2 } else { 4 };
                        prop_assert_eq!(refused.len(), rounds);
                        let gaps = refused.windows(2).map(|two| two[1] - two[0]);
                        prop_assert!(gaps.clone().all(|gap| gap >= PAUSE));
                        prop_assert!(grace.is_zero() || gaps.max() >= Some(grace));
                    }
                    Order::Withdrawn => prop_assert!(anew),
                }
            }
            prop_assert!(!bench.evidence.is_proved() || !anew);
        }
    }
}
