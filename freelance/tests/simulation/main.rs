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

use crate::fleet::{Ask, Fleet, QUIET_FROM, Tally, well_from};
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
    let seeds = Seeds::from_env(SEEDS).unwrap();
    let result: Result<Counts, SearchError<Ask>> =
        Search::new(sim(run.clients, run.every), run.faults)
            .run(seeds, |seed| Fleet::new(shape(seed), &tally));
    let counts = result.unwrap_or_else(|error| panic!("{error}"));
    let mut tally = tally.into_inner();
    println!("{counts}\n{:?}", tally.total);
    println!("{} requests had to succeed", tally.judged);
    say_amplification("one by one", &mut tally.one_by_one);
    say_amplification("in volleys", &mut tally.volleys);
    (counts, tally)
}

fn say_amplification(how: &str, permille: &mut [u64]) {
    permille.sort_unstable();
    if let (Some(most), Some(median)) = (permille.last(), permille.get(permille.len() / 2)) {
        println!("copies for 1000 requests, {how}: {most} at most, {median} in the median run");
    }
}

fn usual(model: Model) -> (Counts, Tally) {
    let run = Run {
        clients: CLIENTS,
        every: ms(150),
        faults: faults(CLIENTS),
    };
    search(run, |seed| Shape::draw(model, CLIENTS, seed))
}

fn any_model(seed: u64) -> Model {
    [Model::One, Model::Two, Model::Three][(seed % 3) as usize]
}

#[test]
fn model_1_keeps_its_word_whatever_goes_wrong() {
    usual(Model::One);
}

#[test]
fn model_2_keeps_its_word_whatever_goes_wrong() {
    usual(Model::Two);
}

#[test]
fn model_3_keeps_its_word_whatever_goes_wrong() {
    usual(Model::Three);
}

#[test]
fn a_crowd_of_clients_keeps_its_word_too() {
    let run = Run {
        clients: MOST_CLIENTS,
        every: ms(300),
        faults: faults(MOST_CLIENTS),
    };
    search(run, |seed| Shape::draw(any_model(seed), MOST_CLIENTS, seed));
}

#[test]
fn one_server_that_is_well_is_enough() {
    let run = Run {
        clients: CLIENTS,
        every: ms(150),
        faults: illnesses(CLIENTS),
    };
    search(run, |seed| {
        Shape::draw(any_model(seed), CLIENTS, seed).able()
    });
}

#[test]
fn an_outage_does_not_bring_down_the_server_that_is_left() {
    let run = Run {
        clients: CLIENTS,
        every: ms(150),
        faults: illnesses(CLIENTS),
    };
    search(run, |seed| {
        Shape::draw(any_model(seed), CLIENTS, seed).thrifty()
    });
}
