//! Epochs over lives: with state directories no two activations share one, whatever is killed when.
//!
//! A test does a few rounds; `BSTAR_FAULTS=100` does that many.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tests::{
    BOUND, Node, NodeConfig, Outcome, Pair, PeerConfig, Process, Role, ScriptedPeer, Traffic,
    ensure, free_endpoint, rounds_asked, steady,
};

const HEARTBEAT: Duration = Duration::from_millis(100);

fn with_state_dir(config: &mut NodeConfig, directory: &Path) {
    let path = directory.join(config.role.name());
    let argument = |text: &Path| text.display().to_string();
    config.more = vec!["--state-dir".to_owned(), argument(&path)];
}

/// Every activation that was seen, over all lives of both.
#[derive(Default)]
struct History {
    activations: Vec<(Role, u64)>,
}

impl History {
    /// Kills a node, and notes what it had become before it was gone.
    fn kill(&mut self, pair: &mut Pair, index: usize) -> Outcome<()> {
        let Some(node) = pair.nodes[index].take() else {
            return Ok(());
        };
        node.process().kill()?;
        let active = node.transitions().into_iter();
        let active = active.filter(|line| line.state == "active");
        let role = node.config().role;
        self.activations
            .extend(active.map(|line| (role, line.epoch)));
        Ok(())
    }

    fn shared(&self) -> Vec<u64> {
        let mut times = BTreeMap::new();
        for (_, epoch) in &self.activations {
            *times.entry(*epoch).or_insert(0) += 1;
        }
        let shared = times.into_iter().filter(|(_, times)| *times > 1);
        shared.map(|(epoch, _)| epoch).collect()
    }
}

/// Waits until one of those that run has become active since its start.
fn newly_active(pair: &Pair) -> Outcome<usize> {
    let end = Instant::now() + BOUND;
    loop {
        let active = |index: &usize| {
            let node = pair.nodes[*index].as_ref();
            node.is_some_and(|node| node.state() == "active")
        };
        if let Some(index) = [0, 1].iter().find(|index| active(index)) {
            return Ok(*index);
        }
        ensure(Instant::now() < end, || {
            pair.describe("nobody became active")
        })?;
        thread::sleep(Duration::from_millis(1));
    }
}

/// Kills, again and again, whoever has just become active; sometimes its peer too.
fn kill_the_active(pair: &mut Pair, rounds: usize) -> Outcome<History> {
    let mut history = History::default();
    let _traffic = Traffic::start(&pair.frontends(), HEARTBEAT)?;
    for round in 0..rounds {
        for index in [round % 2, 1 - round % 2] {
            if pair.nodes[index].is_none() {
                pair.start(index)?;
            }
        }
        let active = newly_active(pair)?;
        // Between at once and some heartbeats later, when the peer has surely heard of it.
        let part = u32::try_from(round * 37 % 100).unwrap_or(0);
        thread::sleep(HEARTBEAT * 3 * part / 100);
        history.kill(pair, active)?;
        if round % 3 == 2 {
            history.kill(pair, 1 - active)?;
        }
    }
    for index in [0, 1] {
        history.kill(pair, index)?;
    }
    Ok(history)
}

#[test]
fn no_two_activations_share_an_epoch_over_kills_at_any_moment() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut pair = Pair::new(HEARTBEAT);
        for config in &mut pair.configs {
            with_state_dir(config, directory.path());
        }
        let rounds = rounds_asked().unwrap_or(9);
        let history = kill_the_active(&mut pair, rounds)?;
        let all = &history.activations;
        ensure(all.len() >= rounds, || format!("too few: {all:?}"))?;
        let shared = history.shared();
        ensure(shared.is_empty(), || format!("{shared:?} of {all:?}"))?;
        for role in [Role::Primary, Role::Backup] {
            let own = all.iter().filter(|(whose, _)| *whose == role);
            let own: Vec<u64> = own.map(|(_, epoch)| *epoch).collect();
            ensure(own.is_sorted(), || format!("{role:?}: {own:?}"))?;
        }
        Ok(())
    })
}

#[test]
fn without_state_directories_epochs_come_again() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let mut pair = Pair::new(HEARTBEAT);
        let mut history = History::default();
        for _ in 0..2 {
            for index in [0, 1] {
                pair.start(index)?;
            }
            newly_active(&pair)?;
            for index in [1, 0] {
                history.kill(&mut pair, index)?;
            }
        }
        ensure(history.shared() == [1], || {
            format!("{:?}", history.activations)
        })
    })
}

#[test]
fn what_the_peer_said_of_its_epochs_outlasts_a_node() -> Outcome<()> {
    steady(HEARTBEAT / 2, || {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let remote = free_endpoint();
        let mut config = NodeConfig::new(Role::Primary, &remote, HEARTBEAT);
        with_state_dir(&mut config, directory.path());
        let peer = ScriptedPeer::start(&PeerConfig {
            bind: remote,
            connect: config.local.clone(),
            metadata: true,
            period: HEARTBEAT / 2,
        });
        let node = Node::start(&config)?;
        peer.say(&[
            b"3",
            b"bstar/1 pair=bstar role=backup inc=000000000000000b epoch=40 heard=none timeout=200",
        ]);
        node.wait_state("passive")?;
        // It is written when what was said has been acted upon, so before the next heartbeat.
        peer.next_heard(2, BOUND)?;
        drop(peer);
        node.process().kill()?;
        // The other does not return. This one never served, and knows all the same.
        let node = Node::start(&config)?;
        let started = node.transitions();
        ensure(started[0].epoch == 40, || format!("{started:?}"))?;
        let _traffic = Traffic::start(&[config.frontend.clone(), free_endpoint()], HEARTBEAT)?;
        let active = node.wait_transition(0, BOUND, |line| line.state == "active")?;
        ensure(active.epoch == 41, || format!("{active:?}"))
    })
}

/// Starts a node that must not start, and answers with the one line that it says.
fn refused(config: &NodeConfig) -> Outcome<String> {
    let process = Process::spawn("refused", &mut config.command());
    let status = process.wait_exit(BOUND)?;
    let said = process.stderr().text();
    ensure(
        status.code() == Some(1) && said.lines().count() == 1,
        || process.describe("should have ended with 1 and one line"),
    )?;
    Ok(said)
}

#[test]
fn a_state_directory_that_cannot_be_trusted_ends_the_start_in_one_line() -> Outcome<()> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut config = NodeConfig::new(Role::Primary, &free_endpoint(), HEARTBEAT);
    with_state_dir(&mut config, directory.path());
    let path = directory.path().join("primary");
    let check = |config: &NodeConfig, part: &str| {
        let said = refused(config)?;
        let named = said.contains(&path.display().to_string());
        ensure(named && said.contains(part), || format!("{part:?}: {said}"))
    };

    let first = Node::start(&config)?;
    let mut beside = NodeConfig::new(Role::Primary, &free_endpoint(), HEARTBEAT);
    beside.more.clone_from(&config.more);
    check(&beside, "in use by another process")?;
    first.process().kill()?;

    let mut other = config.clone();
    other.role = Role::Backup;
    check(&other, "belongs to the primary of the pair bstar")?;
    let mut other = config.clone();
    other.more.extend(["--pair".to_owned(), "other".to_owned()]);
    check(&other, "this is the primary of the pair other")?;

    let record = path.join("epoch");
    let mut bytes = std::fs::read(&record).map_err(|error| error.to_string())?;
    bytes[20] ^= 1;
    std::fs::write(&record, &bytes).map_err(|error| error.to_string())?;
    check(&config, "no whole record of an epoch")?;
    bytes[20] ^= 1;
    std::fs::write(&record, &bytes).map_err(|error| error.to_string())?;
    Node::start(&config)?.process().terminate()
}
