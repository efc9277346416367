//! A pair in a network of its own, whose links can be cut.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Namespace, NodeConfig, Outcome, Pair, ScriptedClient, ensure, port, skip};

/// A pair in a network of its own. The pair is dropped first, the network last.
pub struct Islands {
    /// The pair.
    pub pair: Pair,
    /// Its network.
    pub network: Namespace,
}

impl Islands {
    /// Starts a pair, each node with what `configure` adds, and waits until the primary is active
    /// and the backup passive. `None`, with a word why, where there can be no such network.
    ///
    /// # Errors
    ///
    /// When the two do not come to that.
    pub fn start(
        heartbeat: Duration,
        configure: impl FnOnce(&mut [NodeConfig; 2]),
    ) -> Outcome<Option<Self>> {
        let network = match Namespace::new() {
            Ok(network) => network,
            Err(why) => {
                skip(&why);
                return Ok(None);
            }
        };
        let mut pair = Pair::new(heartbeat);
        for config in &mut pair.configs {
            config.namespace = Some(network.name().to_owned());
        }
        configure(&mut pair.configs);
        pair.start(0)?;
        pair.start(1)?;
        pair.settle_at(0)?;
        Ok(Some(Self { pair, network }))
    }

    /// The port at which the server `index` publishes its state.
    #[must_use]
    pub fn port(&self, index: usize) -> u16 {
        port(&self.pair.configs[index].local)
    }

    /// Does `task` while a client at each side asks the server of its side.
    ///
    /// # Errors
    ///
    /// That of the task, or of a client.
    pub fn under_traffic(&self, task: impl FnOnce() -> Outcome<()> + Send) -> Outcome<()> {
        let ends = AtomicBool::new(false);
        let ask = |index: usize| -> Outcome<usize> {
            let client = ScriptedClient::connect(&self.pair.configs[index].frontend);
            let mut served = 0;
            while !ends.load(Ordering::Relaxed) {
                served += usize::from(client.probe()?.is_served());
                thread::sleep(Duration::from_millis(10));
            }
            Ok(served)
        };
        thread::scope(|scope| {
            let sides = [0, 1].map(|index| {
                let ask = &ask;
                scope.spawn(move || self.network.within(move || ask(index)))
            });
            let done = task();
            ends.store(true, Ordering::Relaxed);
            for side in sides {
                // A side that panicked has already said so on the standard error.
                side.join().map_err(|_| "a client panicked".to_owned())??;
            }
            done
        })
    }

    /// Waits until one is active and the other passive, and both live; answers with how long that
    /// took.
    ///
    /// # Errors
    ///
    /// When they do not come to that, or take far too long.
    pub fn heals(&self) -> Outcome<Duration> {
        let since = Instant::now();
        let marks = [0, 1].map(|index| self.pair.node(index).mark());
        self.pair.settle()?;
        let behind = |index: usize| {
            let lines = self.pair.node(index).process().stdout().all();
            lines.get(marks[index]..).unwrap_or_default().to_vec()
        };
        let last = behind(0).into_iter().chain(behind(1)).map(|line| line.at);
        let took = last.max().map_or(Duration::ZERO, |at| at - since);
        // Three heartbeats is the aim; what is asserted leaves room for a busy machine.
        ensure(took < self.pair.configs[0].heartbeat * 20, || {
            self.pair.describe(&format!("healed after {took:?}"))
        })?;
        Ok(took)
    }
}
