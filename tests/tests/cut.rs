//! The link between the two servers is cut: packets are dropped, and nobody is told. Clients on
//! both sides go on asking. When it is healed, one server is active, and nobody has died.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tests::{
    BOUND, Cut, Distribution, Namespace, Outcome, Pair, ScriptedClient, StateLine, ensure,
    rounds_asked, skip, steady, tell,
};

const HEARTBEAT: Duration = Duration::from_millis(100);

/// A pair in a network of its own. The pair is dropped first, the network last.
struct Islands {
    pair: Pair,
    network: Namespace,
}

impl Islands {
    fn start() -> Outcome<Option<Self>> {
        let network = match Namespace::new() {
            Ok(network) => network,
            Err(why) => {
                skip(&why);
                return Ok(None);
            }
        };
        let mut pair = Pair::new(HEARTBEAT);
        for config in &mut pair.configs {
            config.namespace = Some(network.name().to_owned());
        }
        pair.start(0)?;
        pair.start(1)?;
        pair.settle_at(0)?;
        Ok(Some(Self { pair, network }))
    }

    fn port(&self, index: usize) -> Outcome<u16> {
        let local = &self.pair.configs[index].local;
        let port = local.rsplit(':').next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| format!("no port in {local}"))
    }

    /// Does `task` while a client at each side asks the server of its side.
    fn under_traffic(&self, task: impl FnOnce() -> Outcome<()> + Send) -> Outcome<()> {
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

    /// One is active and the other passive, and both live; answers with how long that took.
    fn heals(&self) -> Outcome<Duration> {
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
        ensure(took < HEARTBEAT * 20, || {
            self.pair.describe(&format!("healed after {took:?}"))
        })?;
        Ok(took)
    }
}

fn cut_for(heartbeats: u32) -> Outcome<()> {
    let Some(islands) = Islands::start()? else {
        return Ok(());
    };
    let ports = [islands.port(0)?, islands.port(1)?];
    let mut healed = Distribution::default();
    islands.under_traffic(|| {
        for _ in 0..rounds_asked().unwrap_or(2) {
            islands.network.cut(&ports, Cut::Both)?;
            thread::sleep(HEARTBEAT * heartbeats);
            islands.network.heal()?;
            healed.add(islands.heals()?);
        }
        Ok(())
    })?;
    if rounds_asked().is_some() {
        tell(&format!(
            "one active after a cut of {heartbeats:>2}  {healed}"
        ));
    }
    Ok(())
}

#[test]
fn cut_of_one_heartbeat() -> Outcome<()> {
    steady(HEARTBEAT / 2, || cut_for(1))
}

#[test]
fn cut_of_six_heartbeats() -> Outcome<()> {
    steady(HEARTBEAT / 2, || cut_for(6))
}

#[test]
fn cut_of_twenty_heartbeats() -> Outcome<()> {
    steady(HEARTBEAT / 2, || cut_for(20))
}

#[test]
fn an_active_server_that_is_not_heard_steps_back() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(islands) = Islands::start()? else {
            return Ok(());
        };
        let port = islands.port(0)?;
        islands.under_traffic(|| {
            let [primary, backup] = [0, 1].map(|index| islands.pair.node(index));
            let mark = primary.mark();
            // The backup hears nothing and is voted in; the primary hears that, and that nobody
            // hears it. There is one active server although the link is still cut.
            islands.network.cut(&[port], Cut::From)?;
            backup.wait_state("active")?;
            let passive = |line: &StateLine| line.state == "passive";
            primary.wait_transition(mark, BOUND, passive)?;
            islands.network.heal()?;
            islands.pair.settle_at(1)
        })
    })
}

#[test]
fn an_active_server_that_hears_nobody_serves_on() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let Some(islands) = Islands::start()? else {
            return Ok(());
        };
        let port = islands.port(1)?;
        islands.under_traffic(|| {
            let marks = [0, 1].map(|index| islands.pair.node(index).mark());
            islands.network.cut(&[port], Cut::From)?;
            thread::sleep(HEARTBEAT * 10);
            islands.network.heal()?;
            islands.heals()?;
            islands.pair.node(0).ensure_quiet(marks[0])?;
            islands.pair.node(1).ensure_quiet(marks[1])
        })
    })
}
