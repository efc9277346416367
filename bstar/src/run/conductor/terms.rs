//! What a conductor is told, and what it says.

use std::time::Duration;

use crate::core::{Offer, Outlook, Transition};
use crate::run::config::ServerRun;
use crate::run::front::{FrontEvent, Gate};
use crate::run::hooks::HookKind;

/// What of the configuration decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) run: ServerRun,
    pub(crate) vote_when_unhealthy: bool,
    /// There is a hook before-active, so that whoever asks has to wait for it.
    pub(crate) has_before_active: bool,
    pub(crate) start_timeout: Duration,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Transition(Transition),
    Outlook(Outlook),
    Offered(Offer),
    Front(FrontEvent),
    /// The hooks that were asked for last have ended.
    HooksEnded(Result<(), String>),
    ServerStarted,
    ServerEnded(String),
    ServerGaveUp(String),
    ServerStopped,
    Healthy,
    Unhealthy(String),
    /// The operator wants this node to end.
    Stop,
    /// The switchover that was asked for has come to its end, either way.
    SwitchoverEnded,
    /// Whether a switchover waits now, as was asked.
    Held(bool),
    /// Time passed.
    Timeout,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Gate(Gate),
    /// Answered by [`Input::HooksEnded`]. Without a cause, it is that of the last transition.
    RunHooks {
        kind: HookKind,
        cause: Option<&'static str>,
    },
    /// Something is wrong: for the log and the hook on-fault.
    Fault {
        what: Fault,
        detail: String,
    },
    StartServer,
    StopServer,
    /// The server was just started, or is somebody else's: look at its health.
    WatchHealth {
        just_started: bool,
    },
    ForgetHealth,
    CastVote,
    AnswerOffer(Offer, Result<(), String>),
    /// Whether it can serve, or why not.
    Fit(Result<(), &'static str>),
    /// From here on a switchover waits until it is released. Answered by [`Input::Held`].
    HoldSwitchover,
    ReleaseSwitchover,
    SwitchOver,
    /// All is done that was to be done before the end.
    End,
}

/// What a fault is called in the log, and by the hook on-fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    ServerEnded,
    ServerGaveUp,
    Unhealthy,
    HookFailed,
    PeerSilent,
}

impl Fault {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Fault::ServerEnded => "server-ended",
            Fault::ServerGaveUp => "server-gave-up",
            Fault::Unhealthy => "unhealthy",
            Fault::HookFailed => "hook-failed",
            Fault::PeerSilent => "peer-silent",
        }
    }
}
