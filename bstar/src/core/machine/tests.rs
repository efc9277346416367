//! The machine's rules, one by one, on fabricated time.

use std::cell::Cell;
use std::panic;
use std::time::{Duration, Instant};

use crate::core::*;

mod rows;

macro_rules! units {
    ($($test:path,)*) => { &[$((stringify!($test), $test)),*] };
}

const HEARTBEAT: Duration = Duration::from_secs(1);
const OURS: u64 = 0xa;
const THEIRS: u64 = 0xb;

thread_local! {
    /// The tables that the machines of this thread's tests follow: those of a mutant, else ours.
    static TABLES: Cell<[&'static Table; 2]> = const { Cell::new([&PAIR, &MAINTENANCE]) };
}

fn machine(config: Config, incarnation: u64, now: Instant) -> Machine {
    let [pair, maintenance] = TABLES.get();
    let mut machine = Machine::with_table(config, pair, incarnation, now);
    machine.set_maintenance_table(maintenance);
    machine
}

/// The first of these tests that fails on these tables.
pub(in crate::core) fn first_to_fail(tables: [&'static Table; 2]) -> Option<&'static str> {
    TABLES.set(tables);
    let mut all = UNITS.iter();
    all.find(|(_, test)| panic::catch_unwind(test).is_err())
        .map(|(name, _)| *name)
}

/// Those of these tests that a mutant is shown to, named by themselves.
const UNITS: &[(&str, fn())] = units![
    the_guides_table_holds_where_it_is_not_amended,
    b13_a_primary_serves_only_after_the_guard,
    a_backup_that_was_never_paired_refuses,
    a_passive_node_is_voted_active_after_the_timeout_and_not_before,
    b02_a_node_that_was_away_steps_back_before_it_serves,
    a_node_that_runs_is_never_late,
    b12_a_stall_is_no_reason_to_take_over,
    b05_the_same_role_twice_ends_an_initial_node_only,
    b14_another_pair_is_a_stranger,
    b06_garbage_is_no_sign_of_life,
    b01_of_two_actives_the_higher_epoch_stays,
    on_a_tie_the_primary_stays,
    whom_the_peer_cannot_hear_resigns_whatever_the_epochs,
    a_bare_peer_is_given_a_peer_timeout_to_give_way,
    of_two_passives_the_primary_resigns,
    a_node_steps_back_only_for_a_passive_peer,
    an_active_node_that_stops_steps_back_whoever_listens,
    b09_state_is_published_at_once_and_every_heartbeat,
    a_silent_peer_is_dialled_anew_once_a_timeout,
    metadata_is_for_those_who_ask,
    unequal_timeouts_mean_the_larger,
    the_larger_timeout_survives_a_message_without_metadata,
    b12_a_word_that_waited_out_a_pause_makes_no_second_server,
    b12_the_last_of_the_words_that_waited_counts_however_long_the_timeout,
    who_is_busy_with_requests_says_that_it_lives,
    an_activation_takes_the_next_epoch_of_its_parity,
    a_switchover_asks_the_peer_and_waits_for_what_was_begun,
    an_offer_that_is_declined_or_not_answered_changes_nothing,
    a_drain_ends,
    who_is_ready_takes_over_from_that_life_and_by_that_offer,
    a_primary_fails_back_after_it_has_stood_by_for_long_enough,
    b04_a_backup_alone_serves_when_it_is_told_to,
    nobody_is_promoted_beside_an_active_peer,
    under_maintenance_nobody_takes_over_but_by_hand,
    a_proof_of_death_holds_until_something_is_heard,
    an_epoch_is_written_down_before_anyone_is_told,
    rows::who_stands_by_and_was_away_waits_anew,
    rows::who_stands_by_is_promoted_by_hand,
    rows::who_hears_an_active_peer_stands_by,
    rows::a_drain_has_one_way_out,
    rows::a_stranger_changes_nothing_once_a_node_is_paired,
    rows::a_resigned_backup_leaves_the_service_to_its_primary,
    rows::the_offer_of_a_lower_active_is_not_for_one_that_serves,
    rows::who_serves_serves_on_beside_a_lower_one_or_alone,
    rows::who_serves_gives_way_under_maintenance_too,
    rows::a_switchover_is_by_hand_under_maintenance_too,
    rows::a_wish_that_is_refused_is_answered_so,
    rows::a_drain_is_not_cut_short_by_an_answer_nor_outlives_a_pause,
    rows::a_resigned_primary_takes_the_service_from_a_backup_that_starts,
];

/// A machine and its time.
struct Bench {
    machine: Machine,
    now: Instant,
}

impl Bench {
    fn new(role: Role) -> Bench {
        let now = Instant::now();
        Bench {
            machine: machine(Config::new(role), OURS, now),
            now,
        }
    }

    fn with_two_links(role: Role) -> Bench {
        let mut bench = Bench::new(role);
        bench.machine = bench.machine.with_second_link();
        bench
    }

    /// A node that has become active or passive by what its peer said.
    fn in_state(role: Role, state: State) -> Bench {
        let mut bench = Bench::new(role);
        match state {
            State::Initial => {}
            State::Active if role == Role::Primary => bench.hear("2"),
            State::Active => {
                bench.hear("3");
                bench.hear("1");
            }
            State::Passive => bench.hear("3"),
            State::Draining => {
                bench = Bench::in_state(role, State::Active);
                bench.offer(OfferAnswer::Ready);
            }
            State::Resigned => {
                bench = Bench::in_state(role, State::Active);
                bench.hear("4");
                bench.machine.handle_step_back(bench.now).unwrap();
            }
        }
        assert_eq!(bench.state(), state);
        bench.drain();
        bench
    }

    fn state(&self) -> State {
        self.machine.state()
    }

    fn hear(&mut self, digit: &str) {
        self.machine.handle_peer(0, &[digit], self.now);
    }

    fn hear_more(&mut self, digit: &str, epoch: u64, heard: Heard) {
        let said = self.said(epoch, heard);
        self.machine
            .handle_peer(0, &[digit, &said.to_string()], self.now);
    }

    /// A word that says by which number it comes, as with two links.
    fn hear_by(&mut self, link: usize, digit: &str, seq: u64) {
        let said = Metadata {
            seq: Some(seq),
            ..self.said(0, Heard::Incarnation(OURS))
        };
        self.machine
            .handle_peer(link, &[digit, &said.to_string()], self.now);
    }

    fn said(&self, epoch: u64, heard: Heard) -> Metadata {
        Metadata {
            pair: PairId::default(),
            role: self.machine.config().role().other(),
            incarnation: THEIRS,
            epoch,
            heard,
            timeout: 2 * HEARTBEAT,
            offer: None,
            answer: None,
            wants: false,
            maintenance: false,
            seq: None,
        }
    }

    /// What a peer of ours says, with what belongs to a hand-over.
    fn hear_told(&mut self, digit: &str, tell: impl FnOnce(&mut Metadata)) {
        let mut said = self.said(0, Heard::Incarnation(OURS));
        tell(&mut said);
        self.machine
            .handle_peer(0, &[digit, &said.to_string()], self.now);
    }

    /// The active offers the service to a passive peer of ours, which says this to it.
    fn offer(&mut self, answer: fn(u64) -> OfferAnswer) {
        self.hear_told("4", |_| {});
        assert_eq!(
            self.machine.handle_step_back(self.now),
            Ok(StepBack::Offered)
        );
        self.hear_told("4", |told| told.answer = Some(answer(1)));
    }

    fn was_offered(&mut self) -> bool {
        let outputs = self.drain();
        outputs
            .iter()
            .any(|output| matches!(output, Output::Offered(_)))
    }

    /// The application answers the offer that stands.
    fn answer_offer(&mut self, ready: bool) {
        let offer = self.machine.offered().unwrap();
        self.machine.handle_offer_answer(offer, ready, self.now);
    }

    fn request(&mut self) -> Answer {
        self.machine.handle_request(self.now)
    }

    /// Time passes while the machine runs as its host runs it.
    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.machine.next_deadline());
            self.machine.handle_timeout(self.now);
        }
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    fn rows(&mut self) -> Vec<&'static str> {
        let rows = self.drain().into_iter().filter_map(|output| match output {
            Output::Transition(transition) => Some(transition.row),
            _ => None,
        });
        rows.collect()
    }
}

fn beats(count: f64) -> Duration {
    HEARTBEAT.mul_f64(count)
}

#[test]
fn the_guides_table_holds_where_it_is_not_amended() {
    use State::{Active, Initial, Passive};
    let cases = [
        (Role::Primary, Initial, "2", Active),
        (Role::Primary, Initial, "3", Passive),
        (Role::Primary, Initial, "4", Initial),
        (Role::Backup, Initial, "1", Initial),
        (Role::Backup, Initial, "3", Passive),
        (Role::Backup, Initial, "4", Initial),
        (Role::Primary, Active, "2", Active),
        (Role::Primary, Active, "4", Active),
        (Role::Backup, Active, "1", Active),
        (Role::Backup, Active, "4", Active),
        (Role::Primary, Passive, "2", Active),
        (Role::Backup, Passive, "1", Active),
        (Role::Primary, Passive, "3", Passive),
        (Role::Backup, Passive, "3", Passive),
    ];
    for (role, state, digit, expected) in cases {
        let mut bench = Bench::in_state(role, state);
        bench.hear(digit);
        assert_eq!(bench.state(), expected, "{role} {state:?} hears {digit}");
    }
}

#[test]
fn b13_a_primary_serves_only_after_the_guard() {
    let mut bench = Bench::new(Role::Primary);
    bench.run_for(beats(1.9));
    assert_eq!(bench.request(), Answer::Refuse);
    bench.run_for(beats(0.1));
    assert_eq!(bench.request(), Answer::Accept);
    assert_eq!(bench.rows(), ["initial-primary-vote"]);
}

#[test]
fn a_backup_that_was_never_paired_refuses() {
    let mut bench = Bench::new(Role::Backup);
    bench.run_for(beats(100.0));
    bench.drain();
    assert_eq!(bench.request(), Answer::Refuse);
    assert_eq!(bench.request(), Answer::Refuse);
    assert_eq!(bench.drain(), [Output::NeverPaired], "said once");
}

#[test]
fn a_passive_node_is_voted_active_after_the_timeout_and_not_before() {
    for role in Role::ALL {
        let mut bench = Bench::in_state(role, State::Passive);
        bench.run_for(beats(1.99));
        assert_eq!(bench.request(), Answer::Refuse);
        bench.run_for(beats(0.01));
        assert_eq!(bench.request(), Answer::Accept);
        assert_eq!(bench.rows(), ["passive-vote"]);
    }
}

#[test]
fn b02_a_node_that_was_away_steps_back_before_it_serves() {
    for role in Role::ALL {
        let mut bench = Bench::in_state(role, State::Active);
        bench.now += beats(1.0);
        assert_eq!(
            bench.request(),
            Answer::Accept,
            "nobody can have taken over yet"
        );
        bench.now += beats(1.001);
        assert_eq!(bench.request(), Answer::Refuse);
        assert_eq!(bench.rows(), ["active-late"]);
        // Alone it serves again, but only after a peer timeout of its own.
        bench.run_for(beats(1.9));
        assert_eq!(bench.request(), Answer::Refuse);
        bench.run_for(beats(0.1));
        assert_eq!(bench.request(), Answer::Accept);
        assert_eq!(bench.rows(), ["resigned-vote"]);
    }
}

#[test]
fn a_node_that_runs_is_never_late() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    bench.run_for(beats(50.0));
    assert_eq!(bench.machine.status(bench.now).counters.late, 0);
    assert_eq!(bench.state(), State::Active);
}

#[test]
fn b12_a_stall_is_no_reason_to_take_over() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.now += beats(5.0);
    assert_eq!(
        bench.request(),
        Answer::Refuse,
        "its heartbeats may wait unread"
    );
    bench.run_for(beats(1.9));
    assert_eq!(bench.request(), Answer::Refuse);
    bench.run_for(beats(0.1));
    assert_eq!(bench.request(), Answer::Accept);
}

#[test]
fn b05_the_same_role_twice_ends_an_initial_node_only() {
    let mut bench = Bench::new(Role::Primary);
    bench.hear("1");
    let stranger = Some(Stranger::SameRole(Role::Primary));
    let fatal = Fatal {
        row: "initial-stranger",
        stranger,
    };
    assert!(bench.drain().contains(&Output::Fatal(fatal)));

    for state in [State::Active, State::Passive, State::Resigned] {
        let mut bench = Bench::in_state(Role::Primary, state);
        bench.run_for(beats(1.0));
        bench.drain();
        bench.hear("1");
        bench.hear("1");
        assert_eq!(
            bench.drain(),
            [Output::Stranger(Stranger::SameRole(Role::Primary))]
        );
        assert_eq!(bench.state(), state);
        let status = bench.machine.status(bench.now);
        assert_eq!(status.counters.strangers, 2);
        assert_eq!(status.silence, beats(1.0), "a stranger is no sign of life");
    }
}

#[test]
fn b14_another_pair_is_a_stranger() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    let said =
        "bstar/1 pair=other role=primary inc=000000000000000b epoch=9 heard=none timeout=2000";
    bench.machine.handle_peer(0, &["1", said], bench.now);
    assert_eq!(bench.state(), State::Passive);
    assert_eq!(bench.machine.epoch(), 0, "its epoch means nothing to us");
    assert!(matches!(
        bench.drain()[..],
        [Output::Stranger(Stranger::OtherPair { .. })]
    ));
}

#[test]
fn b06_garbage_is_no_sign_of_life() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    for _ in 0..20 {
        bench.run_for(beats(0.1));
        bench.hear("5");
        bench.machine.handle_peer(0, &["3", "3"], bench.now);
    }
    assert_eq!(bench.machine.status(bench.now).counters.garbage, 40);
    assert_eq!(bench.request(), Answer::Accept);
}

#[test]
fn b01_of_two_actives_the_higher_epoch_stays() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    assert_eq!(bench.machine.epoch(), 1);
    bench.hear_more("3", 0, Heard::Incarnation(OURS));
    assert_eq!(bench.state(), State::Active);
    bench.hear_more("3", 2, Heard::Incarnation(OURS));
    assert_eq!(bench.rows(), ["active-dual-higher"]);
    bench.hear_more("3", 2, Heard::Incarnation(OURS));
    assert_eq!(bench.rows(), ["resigned-peer-active"]);
}

#[test]
fn on_a_tie_the_primary_stays() {
    let mut primary = Bench::in_state(Role::Primary, State::Active);
    primary.hear_more("3", 1, Heard::Incarnation(OURS));
    assert_eq!(primary.state(), State::Active);
    let mut backup = Bench::in_state(Role::Backup, State::Active);
    backup.hear_more("3", 2, Heard::Incarnation(OURS));
    assert_eq!(backup.state(), State::Resigned);
}

#[test]
fn whom_the_peer_cannot_hear_resigns_whatever_the_epochs() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    bench.run_for(beats(3.0));
    bench.hear_more("3", 0, Heard::Nothing);
    assert_eq!(
        bench.state(),
        State::Active,
        "a peer just back has not heard us yet"
    );
    bench.run_for(beats(1.0));
    bench.hear_more("3", 0, Heard::Nothing);
    assert_eq!(bench.rows(), ["active-dual-deaf"]);
}

#[test]
fn a_bare_peer_is_given_a_peer_timeout_to_give_way() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    for _ in 0..2 {
        bench.hear("3");
        assert_eq!(bench.state(), State::Active);
        bench.run_for(beats(0.99));
    }
    bench.run_for(beats(0.02));
    bench.hear("3");
    assert_eq!(bench.rows(), ["active-dual-bare-long"]);
    // It went away instead: then that was no long conflict.
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    bench.hear("3");
    bench.run_for(beats(2.0));
    bench.hear("3");
    assert_eq!(bench.state(), State::Active);
}

#[test]
fn of_two_passives_the_primary_resigns() {
    let mut bench = Bench::in_state(Role::Primary, State::Passive);
    bench.hear("4");
    assert_eq!(bench.rows(), ["passive-dual-primary"]);
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.hear("4");
    assert_eq!(bench.state(), State::Passive);
}

#[test]
fn a_node_steps_back_only_for_a_passive_peer() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    assert_eq!(
        bench.machine.handle_step_back(bench.now),
        Err(StepBackError::Alone)
    );
    bench.hear("4");
    assert_eq!(
        bench.machine.handle_step_back(bench.now),
        Ok(StepBack::Done)
    );
    assert_eq!(
        bench.machine.handle_step_back(bench.now),
        Err(StepBackError::NotActive("resigned"))
    );
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    bench.hear("4");
    bench.run_for(beats(2.0));
    assert_eq!(
        bench.machine.handle_step_back(bench.now),
        Err(StepBackError::Alone)
    );
}

#[test]
fn an_active_node_that_stops_steps_back_whoever_listens() {
    for (state, expected) in [
        (State::Initial, State::Initial),
        (State::Active, State::Resigned),
        (State::Passive, State::Passive),
        (State::Resigned, State::Resigned),
    ] {
        let mut bench = Bench::in_state(Role::Primary, state);
        bench.machine.handle_stop(bench.now);
        assert_eq!(bench.state(), expected);
    }
}

#[test]
fn b09_state_is_published_at_once_and_every_heartbeat() {
    let mut bench = Bench::new(Role::Primary);
    let digits = |bench: &mut Bench| -> Vec<u8> {
        let published = bench.drain().into_iter().filter_map(|output| match output {
            Output::Publish { state, .. } => Some(state.digit()),
            _ => None,
        });
        published.collect()
    };
    bench
        .machine
        .handle_subscription(0, b"\x01", Some(1), bench.now);
    assert_eq!(digits(&mut bench), b"1");
    bench.hear("2");
    assert_eq!(digits(&mut bench), b"3");
    let mut sent = Vec::new();
    for _ in 0..40 {
        bench.run_for(beats(0.25));
        sent.extend(digits(&mut bench));
    }
    assert_eq!(sent, b"3333333333"[..].to_vec());
}

#[test]
fn a_silent_peer_is_dialled_anew_once_a_timeout() {
    let mut bench = Bench::new(Role::Backup);
    let redials = |bench: &mut Bench| {
        bench
            .drain()
            .iter()
            .filter(|o| **o == Output::Redial { link: 0 })
            .count()
    };
    bench.run_for(beats(1.5));
    bench.hear("3");
    bench.run_for(beats(1.9));
    assert_eq!(redials(&mut bench), 0);
    bench.run_for(beats(10.0));
    let count = redials(&mut bench);
    assert!(
        (4..=5).contains(&count),
        "{count} in ten heartbeats of silence"
    );
}

#[test]
fn metadata_is_for_those_who_ask() {
    let mut bench = Bench::new(Role::Backup);
    bench
        .machine
        .handle_subscription(0, b"\x01", Some(1), bench.now);
    assert!(matches!(bench.drain()[..], [Output::Publish { .. }]));
    assert!(!bench.machine.reads_metadata(0));
    bench
        .machine
        .handle_subscription(0, b"\x01bstar/1", Some(1), bench.now);
    assert!(bench.machine.reads_metadata(0));
    bench.hear_more("1", 0, Heard::Nothing);
    let [Output::Publish { metadata, .. }] = &bench.drain()[..] else {
        panic!("nothing is published")
    };
    assert_eq!(metadata.heard, Heard::Incarnation(THEIRS));
    assert_eq!(metadata.seq, None, "one link needs no numbers");
}

#[test]
fn who_listens_on_one_link_says_nothing_of_the_other() {
    let mut bench = Bench::with_two_links(Role::Backup);
    for topic in [&b"\x01"[..], b"\x01bstar/1"] {
        bench
            .machine
            .handle_subscription(1, topic, Some(1), bench.now);
    }
    let machine = &bench.machine;
    assert!(!machine.reads_metadata(0) && machine.reads_metadata(1));
}

#[test]
fn a_late_word_of_the_slower_link_makes_no_second_server() {
    let mut bench = Bench::with_two_links(Role::Backup);
    bench.hear_by(0, "1", 1);
    bench.hear_by(0, "3", 2);
    assert_eq!(bench.state(), State::Passive);
    bench.run_for(beats(1.0));
    bench.hear_by(1, "1", 1);
    assert_eq!(bench.state(), State::Passive);
    let status = bench.machine.status(bench.now);
    assert_eq!(status.counters.old, 1);
    assert_eq!(status.silence, beats(1.0), "it is no sign of life");
    assert_eq!(status.links[1].silence, Duration::ZERO);
    bench.hear_by(1, "1", 3);
    assert_eq!(bench.state(), State::Active);
}

#[test]
fn a_bare_peer_lives_by_either_link_and_is_listened_to_by_one() {
    let mut bench = Bench::with_two_links(Role::Backup);
    let by = |bench: &mut Bench, link: usize, digit: &str| {
        bench.machine.handle_peer(link, &[digit], bench.now);
    };
    by(&mut bench, 0, "3");
    bench.run_for(beats(1.5));
    by(&mut bench, 1, "1");
    assert_eq!(bench.state(), State::Passive, "of which time is that?");
    // The first link is cut. The peer is not silent for a moment.
    bench.run_for(beats(1.5));
    assert_eq!(bench.request(), Answer::Refuse);
    by(&mut bench, 1, "1");
    assert_eq!(bench.state(), State::Active);
}

#[test]
fn each_link_is_dialled_anew_and_told_of_by_itself() {
    let mut bench = Bench::with_two_links(Role::Backup);
    let mut seen = Vec::new();
    for seq in 1..=10 {
        bench.hear_by(1, "3", seq);
        bench.run_for(beats(1.0));
        seen.extend(bench.drain());
    }
    let redials = seen.iter().filter_map(|output| match output {
        Output::Redial { link } => Some(*link),
        _ => None,
    });
    let redials: Vec<_> = redials.collect();
    assert!(redials.len() >= 4 && redials.iter().all(|link| *link == 0));
    let told = |output: &&Output| matches!(output, Output::Link { .. });
    let silent = Output::Link {
        link: 0,
        silent: true,
    };
    assert_eq!(seen.iter().filter(told).collect::<Vec<_>>(), [&silent]);
}

#[test]
fn words_are_numbered_for_two_links() {
    let mut bench = Bench::with_two_links(Role::Primary);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        bench.run_for(beats(1.0));
        numbers.extend(bench.drain().into_iter().filter_map(|output| match output {
            Output::Publish { metadata, .. } => metadata.seq,
            _ => None,
        }));
    }
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn unequal_timeouts_mean_the_larger() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    let said =
        "bstar/1 pair=bstar role=primary inc=000000000000000b epoch=1 heard=none timeout=5000";
    bench.machine.handle_peer(0, &["3", said], bench.now);
    bench.machine.handle_peer(0, &["3", said], bench.now);
    let mismatch = Output::TimeoutMismatch {
        ours: beats(2.0),
        theirs: beats(5.0),
    };
    assert_eq!(bench.drain(), [mismatch]);
    bench.run_for(beats(4.9));
    assert_eq!(bench.request(), Answer::Refuse);
    bench.run_for(beats(0.1));
    assert_eq!(bench.request(), Answer::Accept);
}

#[test]
fn the_larger_timeout_survives_a_message_without_metadata() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    let said =
        "bstar/1 pair=bstar role=primary inc=000000000000000b epoch=1 heard=none timeout=10000";
    bench.machine.handle_peer(0, &["3", said], bench.now);
    bench.run_for(beats(5.0));
    bench.hear("3");
    bench.run_for(beats(9.9));
    assert_eq!(bench.request(), Answer::Refuse);
}

#[test]
fn b12_a_word_that_waited_out_a_pause_makes_no_second_server() {
    for (role, digit) in [(Role::Primary, "2"), (Role::Backup, "1")] {
        let mut bench = Bench::in_state(role, State::Passive);
        // Meanwhile the peer restarts, is voted active and serves.
        bench.now += beats(10.0);
        bench.hear(digit);
        bench.hear("3");
        assert_eq!(bench.state(), State::Passive);
        // A peer that is still in its initial state says so again.
        bench.run_for(beats(1.0));
        bench.hear(digit);
        assert_eq!(bench.state(), State::Active);
    }
}

#[test]
fn b12_the_last_of_the_words_that_waited_counts_however_long_the_timeout() {
    for (role, digit) in [(Role::Primary, "2"), (Role::Backup, "1")] {
        let mut bench = Bench::new(role);
        let config = Config::new(role).with_timeout(beats(5.0)).unwrap();
        bench.machine = machine(config, OURS, bench.now);
        bench.hear("3");
        // Not long enough for anyone to have taken over; the peer restarts and is made active.
        bench.now += beats(2.0);
        bench.hear(digit);
        bench.hear("3");
        assert_eq!(bench.state(), State::Passive);
        assert_eq!(bench.machine.status(bench.now).counters.late, 0);
    }
}

#[test]
fn who_is_busy_with_requests_says_that_it_lives() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    let mut published = 0;
    for _ in 0..40 {
        bench.now += beats(0.3);
        assert_eq!(bench.request(), Answer::Accept);
        let outputs = bench.drain();
        published += outputs
            .iter()
            .filter(|o| matches!(o, Output::Publish { .. }))
            .count();
    }
    assert!(
        published >= 9,
        "{published} in twelve heartbeats, without a single time-out"
    );
}

#[test]
fn an_activation_takes_the_next_epoch_of_its_parity() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.hear_more("3", 7, Heard::Nothing);
    bench.run_for(beats(2.0));
    assert_eq!(bench.request(), Answer::Accept);
    assert_eq!(bench.machine.epoch(), 8);
    let mut bench = Bench::in_state(Role::Primary, State::Passive);
    bench.hear_more("3", 8, Heard::Nothing);
    bench.hear_more("2", 8, Heard::Nothing);
    assert_eq!(bench.machine.epoch(), 9);
    let mut bench = Bench::in_state(Role::Primary, State::Passive);
    bench.hear_more("2", MAX_EPOCH, Heard::Nothing);
    assert_eq!(
        bench.machine.epoch(),
        MAX_EPOCH - 1,
        "and the peer still believes it"
    );
}

proptest::proptest! {
    /// Whatever the gaps between its turns: a node that serves has spoken within a peer timeout, so
    /// its peer cannot have taken over.
    #[test]
    fn b02_who_serves_has_spoken_within_a_peer_timeout(
        turns in proptest::collection::vec((1_u64..1100, proptest::bool::ANY), 1..200),
    ) {
        let mut bench = Bench::in_state(Role::Primary, State::Active);
        let mut spoke = bench.now;
        for (gap_ms, asks) in turns {
            bench.now += Duration::from_millis(gap_ms);
            let served = if asks {
                bench.request() == Answer::Accept
            } else {
                bench.machine.handle_timeout(bench.now);
                false
            };
            if served {
                proptest::prop_assert!(bench.now - spoke < 2 * HEARTBEAT);
            }
            if bench.drain().iter().any(|o| matches!(o, Output::Publish { .. })) {
                spoke = bench.now;
            }
        }
    }
}

/// Those outputs that tell of a switchover.
fn switchovers(outputs: &[Output]) -> Vec<Result<(), StepBackError>> {
    let ended = outputs.iter().filter_map(|output| match output {
        Output::SwitchoverEnded(result) => Some(*result),
        _ => None,
    });
    ended.collect()
}

/// What a node would publish now.
fn told(bench: &mut Bench) -> Metadata {
    bench
        .machine
        .handle_subscription(0, b"\x01", Some(1), bench.now);
    let outputs = bench.drain();
    let said = outputs.into_iter().find_map(|output| match output {
        Output::Publish { metadata, .. } => Some(metadata),
        _ => None,
    });
    said.expect("who is new is told at once")
}

#[test]
fn a_switchover_asks_the_peer_and_waits_for_what_was_begun() {
    for role in Role::ALL {
        let mut bench = Bench::in_state(role, State::Active);
        bench.hear_told("4", |_| {});
        let asked = bench.machine.handle_step_back(bench.now);
        assert_eq!(asked, Ok(StepBack::Offered));
        assert_eq!(told(&mut bench).offer, Some(1));
        // Until the peer has answered, it serves.
        assert_eq!(bench.request(), Answer::Accept);
        bench.hear_told("4", |told| told.answer = Some(OfferAnswer::Ready(1)));
        assert_eq!(bench.state(), State::Draining);
        assert_eq!(bench.request(), Answer::Refuse);
        assert_eq!(bench.machine.relies_until(), None);
        bench.machine.handle_drained(bench.now);
        assert_eq!(bench.state(), State::Resigned);
        let outputs = bench.drain();
        assert_eq!(switchovers(&outputs), [Ok(())]);
    }
}

#[test]
fn an_offer_that_is_declined_or_not_answered_changes_nothing() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    bench.offer(OfferAnswer::Veto);
    assert_eq!(bench.state(), State::Active);
    let outputs = bench.drain();
    assert_eq!(switchovers(&outputs), [Err(StepBackError::Vetoed)]);
    assert_eq!(told(&mut bench).offer, None);

    assert_eq!(
        bench.machine.handle_step_back(bench.now),
        Ok(StepBack::Offered)
    );
    // What was said to an offer of before, or of another life of ours, is no answer.
    bench.hear_told("4", |told| told.answer = Some(OfferAnswer::Ready(1)));
    bench.hear_told("4", |told| {
        told.answer = Some(OfferAnswer::Ready(2));
        told.heard = Heard::Incarnation(OURS + 1);
    });
    assert_eq!(bench.state(), State::Active);
    for _ in 0..4 {
        bench.run_for(beats(0.5));
        bench.hear_told("4", |_| {});
    }
    let outputs = bench.drain();
    assert_eq!(switchovers(&outputs), [Err(StepBackError::Unanswered)]);
    assert_eq!(bench.request(), Answer::Accept);
}

#[test]
fn a_drain_ends() {
    let mut bench = Bench::in_state(Role::Backup, State::Draining);
    bench.run_for(beats(1.9));
    assert_eq!(bench.state(), State::Draining);
    bench.run_for(beats(0.1));
    assert_eq!(bench.rows(), ["draining-expired"]);
}

#[test]
fn who_is_ready_takes_over_from_that_life_and_by_that_offer() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.hear_told("3", |told| told.offer = Some(7));
    assert!(bench.was_offered());
    // The application has not answered yet.
    assert_eq!(told(&mut bench).answer, None);
    bench.answer_offer(true);
    assert_eq!(told(&mut bench).answer, Some(OfferAnswer::Ready(7)));
    // It is asked once.
    bench.hear_told("3", |told| told.offer = Some(7));
    assert!(!bench.was_offered());
    bench.hear_told("1", |told| told.offer = Some(7));
    assert_eq!(bench.rows(), ["passive-handed-over"]);

    // An offer that was taken back, and made again, is asked about again.
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.hear_told("3", |told| told.offer = Some(7));
    bench.answer_offer(false);
    assert_eq!(told(&mut bench).answer, Some(OfferAnswer::Veto(7)));
    bench.hear_told("3", |_| {});
    assert_eq!(told(&mut bench).answer, None);
    bench.hear_told("3", |told| told.offer = Some(8));
    assert!(bench.was_offered());
}

#[test]
fn a_primary_fails_back_after_it_has_stood_by_for_long_enough() {
    let mut bench = Bench::in_state(Role::Primary, State::Initial);
    let config = Config::new(Role::Primary).with_fail_back(beats(10.0));
    bench.machine = machine(config.unwrap(), OURS, bench.now);
    let beside_active = |bench: &mut Bench, count: usize| {
        for _ in 0..count {
            bench.hear_told("3", |_| {});
            bench.run_for(beats(1.0));
        }
    };
    beside_active(&mut bench, 8);
    // A silence begins the time anew.
    bench.run_for(beats(3.0));
    beside_active(&mut bench, 9);
    assert!(!told(&mut bench).wants);
    beside_active(&mut bench, 2);
    assert!(told(&mut bench).wants);
    // The peer offers; not being ready, this node waits as long again.
    bench.hear_told("3", |told| told.offer = Some(1));
    bench.answer_offer(false);
    assert!(!told(&mut bench).wants);
    beside_active(&mut bench, 11);
    assert!(told(&mut bench).wants);

    // And the other side: who is asked offers, once.
    let mut bench = Bench::in_state(Role::Backup, State::Active);
    bench.hear_told("4", |told| told.wants = true);
    assert_eq!(told(&mut bench).offer, Some(1));
    bench.hear_told("4", |told| told.wants = true);
    assert_eq!(told(&mut bench).offer, Some(1));
}

#[test]
fn b04_a_backup_alone_serves_when_it_is_told_to() {
    // By hand.
    let mut bench = Bench::new(Role::Backup);
    bench.run_for(beats(5.0));
    assert_eq!(bench.request(), Answer::Refuse);
    assert_eq!(bench.machine.handle_promote(bench.now), Ok(()));
    assert_eq!(bench.request(), Answer::Accept);
    assert_eq!(
        bench.machine.handle_promote(bench.now),
        Err(PromoteError::Serves("active"))
    );
    assert_eq!(bench.rows(), ["initial-promote"]);

    // By policy.
    let mut bench = Bench::new(Role::Backup);
    let config = Config::new(Role::Backup).with_serve_alone(beats(10.0));
    bench.machine = machine(config.unwrap(), OURS, bench.now);
    bench.run_for(beats(9.9));
    assert_eq!(bench.request(), Answer::Refuse);
    bench.run_for(beats(0.1));
    assert_eq!(bench.request(), Answer::Accept);
    assert_eq!(bench.rows(), ["initial-backup-alone"]);
}

#[test]
fn nobody_is_promoted_beside_an_active_peer() {
    for state in [State::Passive, State::Resigned] {
        let mut bench = Bench::in_state(Role::Backup, state);
        bench.hear("3");
        assert_eq!(
            bench.machine.handle_promote(bench.now),
            Err(PromoteError::PeerActive)
        );
        bench.run_for(beats(2.0));
        assert_eq!(bench.machine.handle_promote(bench.now), Ok(()));
    }
}

#[test]
fn under_maintenance_nobody_takes_over_but_by_hand() {
    for role in Role::ALL {
        let mut bench = Bench::in_state(role, State::Passive);
        bench.machine.set_maintenance(true);
        let initial = [["2"], ["1"]][role as usize];
        bench.machine.handle_peer(0, &initial, bench.now);
        bench.run_for(beats(5.0));
        assert_eq!(bench.request(), Answer::Refuse);
        bench.machine.handle_peer_dead(bench.now);
        assert_eq!(bench.request(), Answer::Refuse);
        // What a hand hands over at the peer is taken.
        bench.hear_told("3", |told| told.offer = Some(3));
        bench.answer_offer(true);
        let digit = ["2", "1"][role as usize];
        bench.hear_told(digit, |told| told.offer = Some(3));
        assert_eq!(bench.state(), State::Active);
        assert_eq!(bench.request(), Answer::Accept);
        // And all is as ever when it is over.
        bench.machine.set_maintenance(false);
        bench.hear_more("3", 99, Heard::Incarnation(OURS));
        assert_eq!(bench.state(), State::Resigned);
    }
}

#[test]
fn a_proof_of_death_holds_until_something_is_heard() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    assert_eq!(bench.request(), Answer::Refuse);
    bench.machine.handle_peer_dead(bench.now);
    bench.hear("3");
    assert_eq!(bench.request(), Answer::Refuse);
    bench.machine.handle_peer_dead(bench.now);
    // Nor over a pause of our own, in which the peer may have come back.
    bench.now += beats(1.5);
    bench.machine.handle_timeout(bench.now);
    assert_eq!(bench.request(), Answer::Refuse);
    bench.hear("3");
    bench.machine.handle_peer_dead(bench.now);
    assert_eq!(bench.request(), Answer::Accept);
    assert_eq!(bench.rows(), ["passive-vote-dead"]);
    // Only a passive node has seen its peer serve, and may know by its end that nobody does.
    for role in Role::ALL {
        for state in [State::Initial, State::Resigned] {
            let mut bench = Bench::in_state(role, state);
            bench.machine.handle_peer_dead(bench.now);
            assert_eq!(bench.request(), Answer::Refuse);
        }
    }
}

#[test]
fn an_epoch_is_written_down_before_anyone_is_told() {
    let mut bench = Bench::new(Role::Primary);
    bench.machine.resume_epochs(41);
    bench.hear("2");
    let outputs = bench.drain();
    assert_eq!(outputs[0], Output::Persist { epoch: 43 });
    assert!(matches!(outputs[1], Output::Publish { .. }));
    let Some(Output::Transition(transition)) = outputs.last() else {
        panic!("{outputs:?}");
    };
    assert_eq!((transition.epoch, transition.fence), (43, Some(43)));
    // Without a store nothing may be fenced by it.
    let mut bench = Bench::new(Role::Primary);
    bench.hear("2");
    let outputs = bench.drain();
    assert!(matches!(
        outputs.last(),
        Some(Output::Transition(Transition { fence: None, .. }))
    ));
}

#[test]
fn a_monitor_takes_no_offer_back() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.machine.set_maintenance(true);
    bench.hear_told("3", |told| told.offer = Some(7));
    bench.answer_offer(true);
    bench.drain();
    // While somebody listens who reads digits alone, that is all that the peer can say.
    bench.hear("3");
    bench.hear_told("1", |told| told.offer = Some(7));
    assert_eq!(bench.state(), State::Active);
}

#[test]
fn who_is_under_maintenance_asks_for_nothing() {
    let mut bench = Bench::new(Role::Primary);
    let config = Config::new(Role::Primary).with_fail_back(beats(1.0));
    bench.machine = Machine::new(config.unwrap(), OURS, bench.now);
    for _ in 0..3 {
        bench.hear_told("3", |_| {});
        bench.run_for(beats(1.0));
    }
    assert!(told(&mut bench).wants);
    bench.machine.set_maintenance(true);
    assert!(!told(&mut bench).wants);
    bench.hear_told("3", |_| {});
    bench.run_for(beats(1.5));
    assert!(!told(&mut bench).wants);
}

#[test]
fn an_answer_is_to_the_offer_that_was_considered() {
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.hear_told("3", |told| told.offer = Some(7));
    let first = bench.machine.offered().unwrap();
    bench.hear_told("3", |_| {});
    bench.machine.handle_offer_answer(first, true, bench.now);
    bench.hear_told("3", |told| told.offer = Some(8));
    bench.machine.handle_offer_answer(first, true, bench.now);
    assert_eq!(told(&mut bench).answer, None);
    bench.answer_offer(true);
    assert_eq!(told(&mut bench).answer, Some(OfferAnswer::Ready(8)));
}

#[test]
fn an_offer_waits_for_as_long_as_the_peer_may_consider_it() {
    let mut bench = Bench::in_state(Role::Primary, State::Active);
    let config = Config::new(Role::Primary).with_offer_wait(beats(9.0));
    bench.machine = machine(config.unwrap(), OURS, bench.now);
    bench.hear("2");
    bench.hear_told("4", |_| {});
    assert_eq!(
        bench.machine.handle_step_back(bench.now),
        Ok(StepBack::Offered)
    );
    for beat in 1..=9 {
        assert_eq!(told(&mut bench).offer, Some(1), "after {beat} heartbeats");
        bench.run_for(beats(1.0));
        bench.hear_told("4", |_| {});
    }
    assert_eq!(told(&mut bench).offer, None);
    assert_eq!(bench.state(), State::Active);

    // Not for one that has gone.
    bench.hear_told("4", |_| {});
    assert_eq!(
        bench.machine.handle_step_back(bench.now),
        Ok(StepBack::Offered)
    );
    bench.run_for(beats(1.9));
    assert_eq!(told(&mut bench).offer, Some(2));
    bench.run_for(beats(0.1));
    assert_eq!(told(&mut bench).offer, None);
}

#[test]
fn a_request_would_be_a_vote_when_the_peer_is_gone_and_the_application_fit() {
    for (state, votes) in [
        (State::Passive, true),
        (State::Resigned, true),
        (State::Active, false),
        (State::Draining, false),
    ] {
        let mut bench = Bench::in_state(Role::Backup, state);
        bench.hear(if votes { "3" } else { "4" });
        bench.run_for(beats(1.9));
        assert!(!bench.machine.outlook(bench.now).vote_counts, "{state:?}");
        bench.run_for(beats(0.1));
        assert_eq!(
            bench.machine.outlook(bench.now).vote_counts,
            votes,
            "{state:?}"
        );
    }
}

#[test]
fn nobody_votes_for_a_node_that_is_unfit() {
    for state in [State::Passive, State::Resigned] {
        let mut bench = Bench::in_state(Role::Primary, state);
        bench.machine.set_fit(false);
        bench.run_for(beats(3.0));
        bench.machine.handle_peer_dead(bench.now);
        assert!(!bench.machine.outlook(bench.now).vote_counts);
        assert_eq!(bench.request(), Answer::Refuse);
        bench.machine.set_fit(true);
        assert_eq!(bench.request(), Answer::Accept);
    }
    // Nor does it say that it is ready, whatever it is told.
    let mut bench = Bench::in_state(Role::Backup, State::Passive);
    bench.machine.set_fit(false);
    bench.hear_told("3", |told| told.offer = Some(7));
    bench.answer_offer(true);
    assert_eq!(told(&mut bench).answer, Some(OfferAnswer::Veto(7)));
}

#[test]
fn an_active_node_that_is_unfit_offers_the_service_until_it_is_taken() {
    let mut bench = Bench::in_state(Role::Backup, State::Active);
    bench.machine.set_fit(false);
    // Alone it serves as well as it can.
    bench.run_for(beats(3.0));
    assert_eq!(bench.request(), Answer::Accept);
    assert_eq!(told(&mut bench).offer, None);
    bench.hear_told("4", |_| {});
    bench.run_for(beats(0.5));
    assert_eq!(told(&mut bench).offer, Some(1));
    bench.hear_told("4", |told| told.answer = Some(OfferAnswer::Veto(1)));
    assert_eq!(bench.state(), State::Active);
    bench.run_for(beats(1.0));
    bench.hear_told("4", |_| {});
    assert_eq!(told(&mut bench).offer, None);
    bench.run_for(beats(1.0));
    assert_eq!(told(&mut bench).offer, Some(2));
    bench.hear_told("4", |told| told.answer = Some(OfferAnswer::Ready(2)));
    assert_eq!(bench.state(), State::Draining);

    // One that is well again keeps it, unless an operator wants otherwise by then, also where the peer's answer is
    // heard first.
    for (asked, beats_between) in [(false, 0.5), (false, 0.0), (true, 0.5), (true, 0.0)] {
        let mut bench = Bench::in_state(Role::Backup, State::Active);
        bench.machine.set_fit(false);
        bench.hear_told("4", |_| {});
        bench.run_for(beats(0.5));
        assert_eq!(told(&mut bench).offer, Some(1));
        if asked {
            bench.machine.handle_step_back(bench.now).unwrap();
        }
        bench.machine.set_fit(true);
        bench.run_for(beats(beats_between));
        bench.hear_told("4", |told| told.answer = Some(OfferAnswer::Ready(1)));
        let drains = bench.state() == State::Draining;
        assert_eq!(drains, asked);
    }

    // One that has just become active is told first whether that makes it fit.
    for fit in [false, true] {
        let mut bench = Bench::new(Role::Primary);
        bench.machine.set_fit(false);
        bench.hear_told("2", |_| {});
        assert_eq!(bench.state(), State::Active);
        bench.hear_told("4", |_| {});
        bench.run_for(beats(0.9));
        assert_eq!(told(&mut bench).offer, None);
        bench.machine.set_fit(fit);
        bench.run_for(beats(0.2));
        assert_eq!(told(&mut bench).offer, (!fit).then_some(1));
    }

    // Nothing of this under maintenance, nor by one that is well.
    for (maintenance, fit) in [(true, false), (false, true)] {
        let mut bench = Bench::in_state(Role::Backup, State::Active);
        bench.machine.set_maintenance(maintenance);
        bench.machine.set_fit(fit);
        bench.hear_told("4", |_| {});
        bench.run_for(beats(1.5));
        assert_eq!(told(&mut bench).offer, None);
    }
}
