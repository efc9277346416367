//! A server under test between a scripted peer and a scripted client.

use std::time::Duration;

use crate::{
    BOUND, Node, NodeConfig, Outcome, PeerConfig, Role, ScriptedClient, ScriptedPeer, StateLine,
    ensure, free_endpoint,
};

/// A state of a server, as it is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Started and not yet paired.
    Initial,
    /// Serves.
    Active,
    /// Stands by.
    Passive,
    /// Has stepped back.
    Resigned,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Initial, Self::Active, Self::Passive, Self::Resigned];

    /// What a server of this role publishes in this state.
    #[must_use]
    pub fn digit(self, role: Role) -> u8 {
        match self {
            Self::Initial | Self::Resigned => role.digit(),
            Self::Active => b'3',
            Self::Passive => b'4',
        }
    }

    /// What a server of this role calls this state.
    #[must_use]
    pub fn name(self, role: Role) -> &'static str {
        match self {
            Self::Initial => role.name(),
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Resigned => "resigned",
        }
    }
}

/// A server under test with the two who talk to it.
pub struct Bench {
    /// The server.
    pub node: Node,
    /// Who stands in for its peer; silent at first.
    pub peer: ScriptedPeer,
    /// Who stands in for a client.
    pub client: ScriptedClient,
}

impl Bench {
    /// Starts the server and its two partners, of which the peer asks for `metadata` or not.
    ///
    /// # Errors
    ///
    /// When the server does not start, or is not heard.
    pub fn start(role: Role, heartbeat: Duration, metadata: bool) -> Outcome<Self> {
        Self::start_with(role, heartbeat, metadata, |_| {})
    }

    /// As [`Bench::start`], with what `configure` adds.
    ///
    /// # Errors
    ///
    /// When the server does not start, or is not heard.
    pub fn start_with(
        role: Role,
        heartbeat: Duration,
        metadata: bool,
        configure: impl FnOnce(&mut NodeConfig),
    ) -> Outcome<Self> {
        let bind = free_endpoint();
        let mut config = NodeConfig::new(role, &bind, heartbeat);
        configure(&mut config);
        let peer = ScriptedPeer::start(&PeerConfig {
            bind,
            connect: config.local.clone(),
            metadata,
            // Twice a heartbeat: what is tested is the rule, not the luck of a busy machine.
            period: heartbeat / 2,
        });
        let node = Node::start(&config)?;
        peer.wait_subscribed(BOUND)?;
        let client = ScriptedClient::connect(&config.frontend);
        let bench = Self { node, peer, client };
        bench.hears(State::Initial)?;
        Ok(bench)
    }

    /// The server's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.node.config().role
    }

    /// Waits until the server publishes the digit of `state`.
    ///
    /// # Errors
    ///
    /// When it does not, with all that the server has said.
    pub fn hears(&self, state: State) -> Outcome<()> {
        self.saw(0, 0, state)
    }

    /// Says `digit` until the server publishes the digit of `state`.
    ///
    /// # Errors
    ///
    /// When it does not, with all that the server has said.
    pub fn moves(&self, said: u8, state: State) -> Outcome<()> {
        let (heard, lines) = (self.peer.mark(), self.node.mark());
        self.peer.say_digit(said);
        self.saw(heard, lines, state)
    }

    /// Waits until the server has both published and printed that it is in `state`.
    fn saw(&self, heard: usize, lines: usize, state: State) -> Outcome<()> {
        let digit = state.digit(self.role());
        let heard = self.peer.wait_digit(heard, digit, BOUND);
        heard.map_err(|error| self.fails(&error))?;
        let name = state.name(self.role());
        let named = |line: &StateLine| line.state == name;
        self.node.wait_transition(lines, BOUND, named).map(drop)
    }

    /// Brings the server, fresh from its start, into `state`.
    ///
    /// # Errors
    ///
    /// When it does not, with all that the server has said.
    pub fn bring_to(&self, state: State) -> Outcome<()> {
        match state {
            State::Initial => Ok(()),
            State::Passive => self.moves(b'3', State::Passive),
            State::Active => match self.role() {
                Role::Primary => self.moves(b'2', State::Active),
                Role::Backup => {
                    self.moves(b'3', State::Passive)?;
                    self.moves(b'1', State::Active)
                }
            },
            State::Resigned => {
                self.bring_to(State::Active)?;
                self.peer.say_digit(b'4');
                for _ in 0..100 {
                    // The server does not say when it has heard the peer's digit, so it is asked
                    // again until it has.
                    self.node.switch_over();
                    let heard = self.peer.next_heard(1, BOUND)?;
                    let resigned = State::Resigned.digit(self.role());
                    if heard.iter().any(|heard| heard.digit() == Some(resigned)) {
                        return Ok(());
                    }
                }
                Err(self.node.process().describe("did not step back"))
            }
        }
    }

    /// For six of its heartbeats the server publishes the digit of `state` and no other.
    ///
    /// # Errors
    ///
    /// When it does not, with all that the server has said.
    pub fn stays(&self, state: State) -> Outcome<()> {
        let heard = self.peer.next_heard(6, BOUND);
        let heard = heard.map_err(|error| self.node.process().describe(&error))?;
        let expected = state.digit(self.role());
        let all = heard.iter().all(|heard| heard.digit() == Some(expected));
        ensure(all, || self.fails(&format!("did not stay {state:?}")))
    }

    /// The server answers exactly if it is active.
    ///
    /// # Errors
    ///
    /// When it does not, with all that the server has said.
    pub fn answers(&self, state: State) -> Outcome<()> {
        let probe = self.client.probe()?;
        let fits = match state {
            State::Active => probe.is_served(),
            State::Initial | State::Passive | State::Resigned => probe.is_refused(),
        };
        ensure(fits, || self.fails(&format!("{state:?}: {probe:?}")))
    }

    /// `what`, with all that the server has said.
    #[must_use]
    pub fn fails(&self, what: &str) -> String {
        self.node.process().describe(what)
    }

    /// No message to a peer that did not ask for metadata had a second frame.
    ///
    /// # Errors
    ///
    /// When it does not, with all that the server has said.
    pub fn is_bare(&self) -> Outcome<()> {
        let heard = self.peer.heard();
        let bare = heard.iter().all(|heard| heard.frames.len() == 1);
        ensure(bare, || self.fails("a bare peer got a second frame"))
    }
}
