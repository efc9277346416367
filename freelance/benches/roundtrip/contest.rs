//! Who takes part, in which tests.

use crate::common::Kind;

/// How many servers there are.
pub(crate) const SERVERS: [usize; 2] = [1, 3];
/// How many requests are under way at the same time.
pub(crate) const OUTSTANDING: [u32; 4] = [1, 16, 64, 256];

/// A client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// REQ, send and receive.
    Req,
    /// REQ, kept from request to request, waiting in `zmq_poll`.
    ReqPoll,
    /// Our model 1 on its caller's thread.
    OursOne,
    /// A DEALER to all servers.
    Shotgun,
    /// Our model 2 on its caller's thread.
    OursTwo,
    /// A ROUTER, send and receive.
    Router,
    /// A DEALER, send and receive.
    Dealer,
    /// An agent on a thread of its own behind a PAIR.
    Guide,
    /// Our model 3 on its caller's thread.
    Blocking,
    /// Our model 3 as callbacks on a reactor.
    Callbacks,
    /// Our model 3 on a thread of its own.
    Agent,
}

/// What a client is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) servers: usize,
    pub(crate) outstanding: u32,
}

impl Contestant {
    pub(crate) const ALL: [Self; 11] = [
        Self::Req,
        Self::ReqPoll,
        Self::OursOne,
        Self::Shotgun,
        Self::OursTwo,
        Self::Router,
        Self::Dealer,
        Self::Guide,
        Self::Blocking,
        Self::Callbacks,
        Self::Agent,
    ];

    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Req => "req",
            Self::ReqPoll => "req-poll",
            Self::OursOne => "ours-1",
            Self::Shotgun => "shotgun",
            Self::OursTwo => "ours-2",
            Self::Router => "router",
            Self::Dealer => "dealer",
            Self::Guide => "guide-3",
            Self::Blocking => "ours-3",
            Self::Callbacks => "ours-3-callbacks",
            Self::Agent => "ours-3-agent",
        }
    }

    pub(crate) fn from_id(id: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|contestant| contestant.id() == id)
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Req => "REQ, no poll",
            Self::ReqPoll => "REQ and zmq_poll",
            Self::OursOne => "ours",
            Self::Shotgun => "DEALER shotgun",
            Self::OursTwo => "ours",
            Self::Router => "bare ROUTER, same frames",
            Self::Dealer => "bare DEALER",
            Self::Guide => "agent behind a PAIR",
            Self::Blocking => "ours, blocking",
            Self::Callbacks => "ours, callbacks",
            Self::Agent => "ours, agent",
        }
    }

    pub(crate) fn model(self) -> u8 {
        match self {
            Self::Req | Self::ReqPoll | Self::OursOne => 1,
            Self::Shotgun | Self::OursTwo => 2,
            Self::Router
            | Self::Dealer
            | Self::Guide
            | Self::Blocking
            | Self::Callbacks
            | Self::Agent => 3,
        }
    }

    pub(crate) fn servers(self) -> Kind {
        match self.model() {
            1 => Kind::Echo,
            2 => Kind::Shotgun,
            _ => Kind::Flp,
        }
    }

    pub(crate) fn enters(self, test: Test) -> bool {
        match self {
            Self::Req | Self::ReqPoll | Self::Shotgun | Self::Guide => test.outstanding == 1,
            Self::OursOne
            | Self::OursTwo
            | Self::Router
            | Self::Dealer
            | Self::Blocking
            | Self::Callbacks
            | Self::Agent => true,
        }
    }
}

/// All tests, in the order in which they are printed.
pub(crate) fn tests() -> impl Iterator<Item = Test> {
    SERVERS.into_iter().flat_map(|servers| {
        OUTSTANDING.into_iter().map(move |outstanding| Test {
            servers,
            outstanding,
        })
    })
}
