//! The clients of all three models over real sockets, with servers that are bare `zmq`.

#![allow(clippy::unwrap_used)] // in what tests share, as in tests themselves

mod agent;
mod blocking;
mod callbacks;
mod changes;
mod conformance;
mod peer;
mod regressions;

use std::time::Duration;

use freelance::{Client, ClientBuilder, Config, Model};

const MODELS: [Model; 3] = [Model::One, Model::Two, Model::Three];

/// The body of a reply to a request that was echoed, in each model.
fn echoed(model: Model, frames: &[Vec<u8>]) -> &[Vec<u8>] {
    match model {
        Model::Two => {
            assert_eq!(frames[0], b"OK");
            &frames[1..]
        }
        Model::One | Model::Three => frames,
    }
}

/// A client that gives a server up after 150 ms, so that tests are quick; on a machine that stalls it may be wrong
/// about one, which no test here forbids.
fn quick(model: Model) -> ClientBuilder {
    let mut config = Config::new(model);
    config.attempt_timeout = Duration::from_millis(150);
    config.ping_interval = Duration::from_millis(100);
    config.redial_pause = Duration::from_millis(5);
    config.max_redial_pause = Duration::from_millis(50);
    config.eject_for = Duration::from_millis(200);
    Client::builder(model).config(config)
}
