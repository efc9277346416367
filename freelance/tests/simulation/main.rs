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
mod packet;
mod requests;
mod server;
mod shape;

use std::cell::RefCell;
use std::time::Duration;

use freelance::Model;
use reactor::sim::{Counts, Faults, Kind, Link, Load, Search, SearchError, Seeds, Sim, ms};

use crate::client::Wish;
use crate::fleet::{Ask, Fleet, QUIET_FROM, Tally, well_from};
use crate::server::{LONGEST_MOOD, MOODS};
use crate::shape::{CLIENTS, MOST_CLIENTS, SERVERS, Shape};

const SEEDS: u64 = 5_000;

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
        .most(16)
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

fn search(
    model: Model,
    clients: usize,
    every: Duration,
    faults: Faults<Ask>,
) -> (Counts, Tally) {
    let tally = RefCell::default();
    let seeds = Seeds::from_env(SEEDS).unwrap();
    let result: Result<Counts, SearchError<Ask>> = Search::new(sim(clients, every), faults)
        .run(seeds, |seed| Fleet::new(Shape::draw(model, clients, seed), &tally));
    let counts = result.unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.into_inner();
    println!("{counts}\n{:?}", tally.total);
    (counts, tally)
}

#[test]
fn model_1_keeps_its_word_whatever_goes_wrong() {
    search(Model::One, CLIENTS, ms(150), faults(CLIENTS));
}

#[test]
fn model_2_keeps_its_word_whatever_goes_wrong() {
    search(Model::Two, CLIENTS, ms(150), faults(CLIENTS));
}

#[test]
fn model_3_keeps_its_word_whatever_goes_wrong() {
    search(Model::Three, CLIENTS, ms(150), faults(CLIENTS));
}
