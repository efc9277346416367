//! The production engine in a simulated world: clients of the three models, servers in all the moods that servers have,
//! and whatever can go wrong between them, thousands of times over.
//!
//! What must hold is told in `ledger.rs`. `SIM_SEED=17` runs one seed alone, `SIM_SEEDS=100000` more than usual; a
//! million of each search is
//!
//! ```text
//! SIM_SEEDS=1000000 cargo test --release -p freelance --test simulation -- --nocapture
//! ```

mod client;
mod dice;
mod fleet;
mod ledger;
mod line;
mod outgoing;
mod packet;
mod requests;
mod server;
mod shape;
mod wishes;

use std::cell::RefCell;
use std::time::Duration;

use freelance::Model;
use reactor::sim::{Counts, Faults, Kind, Link, Load, Search, SearchError, Seeds, Sim, ms};

use crate::fleet::{Amplification, Ask, Fleet, QUIET_FROM, Tally, well_from};
use crate::ledger::Total;
use crate::server::{LONGEST_MOOD, MOODS};
use crate::shape::{CLIENTS, MOST_CLIENTS, SERVERS, Shape};
use crate::wishes::Wish;

const SEEDS: u64 = 5_000;
const FOR_EVER: Duration = Duration::from_secs(3600);

fn sim(clients: usize, every: Duration) -> Sim<Ask> {
    let servers = (0..SERVERS).map(|n| format!("server{n}"));
    let hosts = servers.chain((0..clients).map(|n| format!("client{n}")));
    let sim = Sim::new(hosts, well_from() + ms(1200))
        .link(Link {
            jitter: ms(3),
            ..Link::default()
        })
        .clock_rate(1, 1_005_000)
        .clock_rate(SERVERS, 995_000)
        .timer_slack(ms(2));
    (0..clients).fold(sim, |sim, client| {
        sim.load(Load {
            host: SERVERS + client,
            input: Ask::Client(Wish::Ask),
            every,
            jitter: every,
        })
    })
}

/// All that can go wrong with hosts and links; what can go wrong within servers and what clients wish is added.
fn faults(clients: usize) -> Faults<Ask> {
    let faults = Faults::new(QUIET_FROM)
        .most(40)
        .longest(QUIET_FROM / 2)
        .weights([
            (Kind::Crash, 8),
            (Kind::Stop, 3),
            (Kind::Pause, 6),
            (Kind::ClockRate, 2),
            (Kind::ClockStep, 2),
            (Kind::Cut, 6),
            (Kind::Part, 6),
            (Kind::Loss, 8),
            (Kind::Delay, 6),
            (Kind::Reorder, 4),
            (Kind::Duplicate, 4),
        ])
        .loss_up_to(500)
        .delay_up_to(ms(400))
        .step_up_to(ms(1000))
        .drift_up_to(10_000);
    let moods = (0..SERVERS).flat_map(|server| MOODS.map(|mood| (server, mood)));
    let faults = moods.fold(faults, |faults, (server, mood)| {
        let short = Ask::Mood(mood, LONGEST_MOOD / 4);
        faults
            .input(1, server, short)
            .input(1, server, Ask::Mood(mood, LONGEST_MOOD))
    });
    (0..clients).fold(faults, wishes)
}

/// What a client may be told beside its usual requests.
fn wishes(faults: Faults<Ask>, client: usize) -> Faults<Ask> {
    let server = client % SERVERS;
    let wishes = [
        Wish::Rush,
        Wish::CancelOne,
        Wish::Remove(server, Duration::ZERO),
        Wish::Remove(server, ms(300)),
        Wish::Drain(server, ms(100)),
        Wish::Retier(server, 7),
        Wish::Jam(server, ms(500)),
    ];
    wishes.into_iter().fold(faults, |faults, wish| {
        faults.input(1, SERVERS + client, Ask::Client(wish))
    })
}

/// Servers that stay ill, or die, and one that stays well.
fn illnesses(clients: usize) -> Faults<Ask> {
    let ill = (1..SERVERS).flat_map(|server| MOODS.map(|mood| (server, mood)));
    let faults = ill.fold(faults(clients), |faults, (server, mood)| {
        faults.input(4, server, Ask::Mood(mood, FOR_EVER))
    });
    (1..SERVERS).fold(faults, |faults, server| faults.input(12, server, Ask::Die))
}

struct Run {
    clients: usize,
    every: Duration,
    faults: Faults<Ask>,
}

fn search(run: Run, shape: impl Fn(u64) -> Shape) -> (Counts, Tally) {
    let tally = RefCell::default();
    let seeds = Seeds::from_env(SEEDS).expect("the environment names numbers");
    let result: Result<Counts, SearchError<Ask>> =
        Search::new(sim(run.clients, run.every), run.faults)
            .run(seeds, |seed| Fleet::new(shape(seed), &tally));
    let counts = result.unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.into_inner();
    println!("{counts}\n{:?}", tally.total);
    println!("{} requests had to succeed", tally.judged);
    for (kind, runs) in &tally.amplification {
        say_amplification(kind, runs);
    }
    (counts, tally)
}

fn say_amplification(kind: &str, runs: &[Amplification]) {
    let most_and_median = |of: fn(&Amplification) -> u64| {
        let mut permille: Vec<_> = runs.iter().map(of).collect();
        permille.sort_unstable();
        let median = permille.get(permille.len() / 2).copied();
        (permille.last().copied().unwrap_or(0), median.unwrap_or(0))
    };
    let (most, median) = most_and_median(|run| run.sent);
    let (most_taken, median_taken) = most_and_median(|run| run.taken);
    println!(
        "copies for 1000 requests, {kind}: {most} at most, {median} in the median run; \
         not refused {most_taken} and {median_taken}"
    );
}

/// A search that met nothing has shown nothing. A single seed need not meet anything.
fn assert_met((counts, tally): &(Counts, Tally)) {
    if counts.runs < SEEDS {
        return;
    }
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Die);
    for kind in kinds {
        assert!(counts.faults(kind) >= 100, "{kind:?}: {counts}");
    }
    let effects = [
        counts.lost,
        counts.cut,
        counts.duplicated,
        counts.waited,
        counts.undelivered,
    ];
    assert!(effects.iter().all(|times| *times >= 100), "{counts}");
    let total = &tally.total;
    let met = [
        total.refused,
        total.retries,
        total.unpaid,
        total.late,
        total.foreign,
        total.send_failed,
        total.panics,
        total.ejected,
        total.drained,
        total.failed,
        total.cancelled,
        tally.judged,
    ];
    assert!(met.iter().all(|times| *times >= 100), "{total:?}");
    assert!(total.lives > counts.runs, "{total:?}");
}

fn usual(model: Model) -> Tally {
    let run = Run {
        clients: CLIENTS,
        every: ms(200),
        faults: faults(CLIENTS),
    };
    let met = search(run, |seed| Shape::draw(model, CLIENTS, seed));
    assert_met(&met);
    met.1
}

fn any_model(seed: u64) -> Model {
    [Model::One, Model::Two, Model::Three][(seed % 3) as usize]
}

/// A single seed need not meet anything.
fn assert_many(tally: &Tally, times: u64) {
    assert!(
        tally.total.lives < SEEDS || times >= 100,
        "{:?}",
        tally.total
    );
}

#[test]
fn model_1_keeps_its_word_whatever_goes_wrong() {
    let tally = usual(Model::One);
    assert_many(&tally, tally.total.hedges_won);
}

#[test]
fn model_2_keeps_its_word_whatever_goes_wrong() {
    let tally = usual(Model::Two);
    assert_many(&tally, tally.total.late);
}

#[test]
fn model_3_keeps_its_word_whatever_goes_wrong() {
    let tally = usual(Model::Three);
    assert_many(&tally, tally.total.hedges_won);
    assert_many(&tally, tally.total.misnamed);
}

#[test]
fn a_crowd_of_clients_keeps_its_word_too() {
    let run = Run {
        clients: MOST_CLIENTS,
        every: ms(400),
        faults: faults(MOST_CLIENTS),
    };
    let met = search(run, |seed| Shape::draw(any_model(seed), MOST_CLIENTS, seed));
    assert_met(&met);
}

/// Half of the seeds have clients that can pay for what it takes, whose requests must all succeed; the other half have
/// such as cannot, which must not make the outage worse.
#[test]
fn one_server_that_is_well_is_enough_and_is_not_brought_down() {
    let run = Run {
        clients: CLIENTS,
        every: ms(200),
        faults: illnesses(CLIENTS),
    };
    let met = search(run, |seed| {
        let shape = Shape::draw(any_model(seed), CLIENTS, seed);
        if seed / 3 % 2 == 0 {
            shape.able()
        } else {
            shape.thrifty()
        }
    });
    assert_met(&met);
}

/// Runs once, without faults, or with those that a seed draws.
fn run(model: Model, seed: u64, faulty: bool) -> (reactor::sim::Run, Tally) {
    let tally = RefCell::default();
    let sim = sim(CLIENTS, ms(150));
    let schedule = match faulty {
        true => faults(CLIENTS)
            .draw(seed, &sim)
            .expect("there are faults to draw"),
        false => Vec::new(),
    };
    let fleet = Fleet::new(Shape::draw(model, CLIENTS, seed), &tally);
    let run = sim.run(seed, &schedule, fleet).expect("the world can be");
    (run, tally.into_inner())
}

#[test]
fn without_faults_each_request_takes_one_copy_or_one_for_each_server() {
    for model in [Model::One, Model::Two, Model::Three] {
        for seed in 0..20 {
            let (run, tally) = run(model, seed, false);
            assert_eq!(run.broken, None);
            let Total {
                submitted,
                copies,
                hedges,
                failed,
                ..
            } = tally.total;
            assert!(failed == 0 || Shape::draw(model, CLIENTS, seed).timeout_ms.0 < 50);
            let most = match model {
                Model::One | Model::Three => submitted + hedges,
                Model::Two => submitted * SERVERS as u64,
            };
            assert!(copies <= most, "{:?}", tally.total);
        }
    }
}

#[test]
fn a_seed_replays_byte_for_byte() {
    for model in [Model::One, Model::Two, Model::Three] {
        let (first, _) = run(model, 17, true);
        let (again, _) = run(model, 17, true);
        assert_eq!(first.timeline.to_string(), again.timeline.to_string());
        assert_eq!(first.counts, again.counts);
    }
}
