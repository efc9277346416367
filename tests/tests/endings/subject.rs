//! A server that is to be ended, brought into a state, and what becomes of its peer before.

use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tests::{
    BOUND, Bench, Cut, Namespace, Node, NodeConfig, Outcome, Pair, Role, ScriptedPeer, State,
    free_endpoint, port, skip,
};

/// Long enough that a busy machine is not away for that long.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(500);

/// Longer than a node may be away.
const PAUSE: Duration = Duration::from_millis(750);

/// What has become of the peer when the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It says its state.
    Speaks,
    /// It is connected, and says nothing any more.
    Silent,
    /// It has closed its sockets.
    Gone,
    /// Its process is stopped.
    Stopped,
    /// Its packets are dropped, both ways.
    Cut,
    /// It was never there.
    Never,
}

impl Peer {
    pub(crate) const ALL: [Self; 6] = [
        Self::Speaks,
        Self::Silent,
        Self::Gone,
        Self::Stopped,
        Self::Cut,
        Self::Never,
    ];

    /// Whether a server can be in this state beside such a peer.
    pub(crate) fn lets_be(self, role: Role, state: State) -> bool {
        match (self, state) {
            (Self::Never, State::Passive) => false,
            // A backup that was never paired does not serve.
            (Self::Never, State::Active | State::Resigned) => role == Role::Primary,
            _ => true,
        }
    }
}

/// The server, and all that is to be kept while it runs. The network goes last.
pub(crate) struct Subject {
    pub(crate) node: Node,
    state: State,
    peer: Peer,
    scripted: Option<ScriptedPeer>,
    real: Option<Node>,
    directory: Option<TempDir>,
    pub(crate) network: Option<Namespace>,
}

impl Subject {
    fn new(node: Node, state: State, peer: Peer) -> Self {
        Self {
            node,
            state,
            peer,
            scripted: None,
            real: None,
            directory: None,
            network: None,
        }
    }

    /// Starts a server and brings it into this state, or to where [`Subject::lose_peer`] brings it
    /// there. `None`, with a word why, where this machine cannot cut a link.
    pub(crate) fn reach(role: Role, state: State, peer: Peer) -> Outcome<Option<Self>> {
        match peer {
            Peer::Speaks | Peer::Silent | Peer::Gone => {
                Self::beside_script(role, state, peer).map(Some)
            }
            Peer::Stopped => Self::beside_real(role, state, peer, None).map(Some),
            Peer::Cut => match Namespace::new() {
                Ok(network) => Self::beside_real(role, state, peer, Some(network)).map(Some),
                Err(why) => {
                    skip(&why);
                    Ok(None)
                }
            },
            Peer::Never => {
                let mut config = NodeConfig::new(role, &free_endpoint(), HEARTBEAT);
                configure(&mut config, state);
                Ok(Some(Self::new(Node::start(&config)?, state, peer)))
            }
        }
    }

    /// It has a state directory, to which [`Subject::spoil_directory`] makes it unable to write.
    fn beside_script(role: Role, state: State, peer: Peer) -> Outcome<Self> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = directory.path().display().to_string();
        let bench = Bench::start_with(role, HEARTBEAT, false, |config| {
            config.more.extend(["--state-dir".to_owned(), path]);
            configure(config, state);
        })?;
        bench.bring_to(state)?;
        // This holds it there.
        bench.peer.say_digit(match state {
            State::Passive => b'3',
            State::Initial | State::Active | State::Resigned => b'4',
        });
        let mut subject = Self::new(bench.node, state, peer);
        subject.scripted = Some(bench.peer);
        subject.directory = Some(directory);
        Ok(subject)
    }

    fn beside_real(
        role: Role,
        state: State,
        peer: Peer,
        network: Option<Namespace>,
    ) -> Outcome<Self> {
        let mut pair = Pair::new(HEARTBEAT);
        for config in &mut pair.configs {
            configure(config, state);
        }
        // A process that is started by `ip netns exec` has its own mounts too, and the system may take
        // seconds to do away with those.
        let start = |pair: &mut Pair, index| match &network {
            Some(network) => network.within(|| pair.start(index)),
            None => pair.start(index),
        };
        let own = usize::from(role == Role::Backup);
        if state == State::Initial {
            // It must not meet its peer.
            start(&mut pair, 1 - own)?;
            lose(pair.node(1 - own), &pair.configs, network.as_ref())?;
            start(&mut pair, own)?;
        } else {
            start(&mut pair, 0)?;
            start(&mut pair, 1)?;
            pair.node(0).wait_state("active")?;
            pair.node(1).wait_state("passive")?;
            let active = if state == State::Passive {
                1 - own
            } else {
                own
            };
            if active == 1 {
                hand_over(pair.node(0), pair.node(1))?;
            }
        }
        let [node, real] = [own, 1 - own].map(|index| pair.nodes[index].take());
        let mut subject = Self::new(node.ok_or("it was started")?, state, peer);
        subject.real = real;
        subject.network = network;
        Ok(subject)
    }

    /// The peer becomes what it is to be when the server ends; a server that is to have resigned then
    /// is away for a while.
    pub(crate) fn lose_peer(&mut self) -> Outcome<()> {
        match self.peer {
            Peer::Speaks => return Ok(()),
            Peer::Silent => {
                if let Some(peer) = &self.scripted {
                    peer.silence();
                }
                return Ok(());
            }
            Peer::Gone => {
                self.scripted = None;
                return Ok(());
            }
            Peer::Stopped | Peer::Cut => {
                if let Some(real) = &self.real {
                    let configs = [self.node.config().clone(), real.config().clone()];
                    lose(real, &configs, self.network.as_ref())?;
                }
            }
            Peer::Never => {
                if self.state != State::Initial {
                    // Whoever asks votes, when the guard has passed.
                    self.node.wait_state("active")?;
                }
            }
        }
        if self.state == State::Resigned {
            self.node.pause();
            thread::sleep(PAUSE);
            self.node.resume();
            self.node.wait_state("resigned")?;
        }
        Ok(())
    }

    /// Whether the server is in the state that was wanted, as it last said.
    pub(crate) fn is_there(&self) -> bool {
        self.node.state() == self.state.name(self.node.config().role)
    }

    /// The peer says this from now on.
    pub(crate) fn hears(&self, digit: u8) -> Outcome<()> {
        let peer = self.scripted.as_ref().ok_or("the peer is no script")?;
        peer.say_digit(digit);
        Ok(())
    }

    /// From now on the server cannot write an epoch: the next record is to be exchanged for this.
    pub(crate) fn spoil_directory(&self) -> Outcome<()> {
        let directory = self.directory.as_ref().ok_or("it has no directory")?;
        let spare = directory.path().join("epoch.spare");
        std::fs::remove_file(spare).map_err(|error| error.to_string())
    }
}

/// A server that is not to be voted active while its clients gather has a long guard.
fn configure(config: &mut NodeConfig, state: State) {
    if state == State::Initial {
        let timeout = (HEARTBEAT * 60).as_millis().to_string();
        config.more.extend(["--timeout".to_owned(), timeout]);
    }
}

/// The primary may not have heard yet that its peer is passive, so it is asked until it hands over.
fn hand_over(from: &Node, to: &Node) -> Outcome<()> {
    let end = Instant::now() + BOUND;
    while to.state() != "active" && Instant::now() < end {
        from.switch_over();
        let _ = to.wait_transition(0, HEARTBEAT, |line| line.state == "active");
    }
    to.wait_state("active")?;
    from.wait_state("passive")
}

/// Cuts the link between these two, if they have a network of their own, or stops the peer.
fn lose(peer: &Node, configs: &[NodeConfig; 2], network: Option<&Namespace>) -> Outcome<()> {
    let Some(network) = network else {
        peer.pause();
        return Ok(());
    };
    let ports = configs.each_ref().map(|config| port(&config.local));
    network.cut(&ports, Cut::Both)
}
