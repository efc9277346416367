//! What differs from seed to seed beside the faults: how many clients there are, and how they are set up.

use std::time::Duration;

use freelance::{Budget, Config, Hedge, Model};
use reactor::sim::{HostId, ms};

use crate::dice::Dice;

pub(crate) const SERVERS: usize = 3;
pub(crate) const CLIENTS: usize = 3;
pub(crate) const MOST_CLIENTS: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) config: Config,
    pub(crate) clients: usize,
    /// The tier of each server is its place; without, all are in one.
    pub(crate) tiers: bool,
    pub(crate) idempotent_percent: u64,
    /// Requests that a client makes at a time, at most.
    pub(crate) most_at_once: u64,
    pub(crate) timeout_ms: (u64, u64),
    /// All servers but the first may stay ill.
    pub(crate) servers_stay_ill: bool,
    /// Its budget does not last through an outage.
    pub(crate) is_thrifty: bool,
}

impl Shape {
    /// Times are a fifth or so of the defaults, so that a run of some seconds has room for all that they decide.
    pub(crate) fn draw(model: Model, most_clients: usize, seed: u64) -> Self {
        let dice = &mut Dice::new(seed ^ 0x51ae);
        let mut config = Config::new(model);
        config.attempt_timeout = dice.one_of([ms(100), ms(200), ms(300)]);
        config.max_attempts = dice.one_of([1, 2, 3, 5]);
        config.hedge = dice.happens(50).then_some(Hedge {
            percentile: dice.one_of([0.5, 0.9, 0.95]),
            floor: dice.one_of([ms(1), ms(10)]),
        });
        config.budget = Budget {
            per_request: dice.one_of([0.0, 0.2, 0.5]),
            per_second: dice.one_of([0.0, 2.0, 10.0]),
            burst: dice.one_of([0, 5, 20, 1024]),
        };
        config.eject_after = dice.one_of([1, 2, 3]);
        config.eject_for = ms(200);
        config.max_eject_for = ms(800);
        config.ping_interval = ms(200);
        config.max_redial_pause = dice.one_of([ms(20), ms(300)]);
        config.dial_timeout = ms(400);
        config.max_outstanding = dice.one_of([4, 32]);
        Self {
            config,
            clients: 1 + dice.below(most_clients as u64) as usize,
            tiers: dice.happens(50),
            idempotent_percent: dice.one_of([0, 70, 70, 100]),
            most_at_once: dice.one_of([1, 1, 4]),
            timeout_ms: dice.one_of([(50, 1500), (1000, 1500), (0, 300)]),
            servers_stay_ill: false,
            is_thrifty: false,
        }
    }

    /// For servers that stay ill: requests have time for more than one attempt, and these can be paid for.
    pub(crate) fn able(mut self) -> Self {
        self.config.attempt_timeout = self.config.attempt_timeout.min(ms(200));
        self.config.max_attempts = 5;
        self.config.budget = Budget {
            burst: 1024,
            ..Budget::default()
        };
        self.timeout_ms = (1000, 1500);
        self.servers_stay_ill = true;
        self
    }

    /// The same with a budget that an outage uses up, and with hedging.
    pub(crate) fn thrifty(self) -> Self {
        let mut shape = self.able();
        shape.config.budget = Budget {
            burst: 10,
            per_request: 0.2,
            per_second: 2.0,
        };
        shape.config.hedge = Some(Hedge::default());
        shape.is_thrifty = true;
        shape
    }

    /// What decides how many copies there are.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.config.model, self.is_thrifty) {
            (Model::One | Model::Three, false) => "one by one",
            (Model::One | Model::Three, true) => "one by one, thrifty",
            (Model::Two, false) => "in volleys",
            (Model::Two, true) => "in volleys, thrifty",
        }
    }

    /// A request with this much time succeeds once all is well.
    pub(crate) fn enough(&self) -> Duration {
        if self.servers_stay_ill {
            ms(1000)
        } else {
            ms(300)
        }
    }

    pub(crate) fn tier(&self, server: HostId) -> u32 {
        if self.tiers { server as u32 } else { 0 }
    }

    /// How long a link takes, after all that was wrong with it is over, until requests go over it at the latest: it is
    /// found dead, hung up, dialled once more in vain since its first packet was lost, and dialled again.
    pub(crate) fn link_recovers_in() -> Duration {
        let suspect = ms(500);
        let (dial, pause) = (ms(400), ms(360));
        2 * suspect + 2 * (dial + pause) + ms(300)
    }
}
