//! What follows on what: hooks, the server's process, the front ends' gate, the pair.
//!
//! ```text
//!             vote or offer                 activation
//!   stands by ─────────────▶ before-active ───────────▶ server ready ──▶ on-active ──▶ gate open
//!       ▲                    (fails: a veto)                                               │ switchover
//!       │                                                                                  ▼
//!   on-passive ◀── server stopped (run = "active") ◀── gate closed ◀── before-passive ◀── gate draining
//! ```
//!
//! Pure: no process, no socket, no clock. Feed [`Conductor::handle`] what happens, with the time; drain
//! [`Conductor::poll_output`]; feed [`Input::Timeout`] no later than [`Conductor::next_deadline`].
//!
//! One hook's list runs at a time, to its end: what becomes due meanwhile waits, and is looked at anew.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::config::ServerRun;
use super::front::{FrontEvent, Gate};
use crate::core::{Offer, Outlook, State, Transition};

mod steps;
mod terms;
#[cfg(test)]
mod tests;
mod wanted;

pub(crate) use self::terms::{Fault, Input, Output, Settings};

/// Before a hook that failed is run again, and before another vote is taken after a veto.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// For how long what before-active said is good for the activation that follows.
const PREPARED_FOR: Duration = Duration::from_secs(60);
/// After so long a node that stands by may be asked again to start a server that could not be kept alive.
const REST: Duration = Duration::from_secs(30);
/// The front ends' own drain is shorter; this is for one that does not end.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// Two nodes that are started together find each other sooner.
const FIRST_HEARD_WITHIN: Duration = Duration::from_secs(5);

/// Before a switchover is to be held again that could not be.
const HOLD_AGAIN: Duration = Duration::from_millis(10);

/// A list of hooks that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    BeforeActive(Purpose),
    /// Of the activation with this epoch.
    OnActive(u64),
    BeforePassive,
    OnPassive,
}

/// Who waits for before-active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Vote,
    Offer(Offer),
    /// This node was made active without being asked: by its peer's start, or by hand.
    Activation,
}

/// The server, as far as it is ours to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Somebody else's.
    Foreign,
    Off,
    /// It was told to start, and has not or has ended; it is started again without our doing.
    Starting,
    Up,
    Stopping,
}

/// Whether a switchover waits for what this node does, which it can only while the node may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    No,
    Asked,
    Yes,
}

/// The way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Not,
    HandingOver,
    Closing,
    Ended,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Conductor {
    settings: Settings,
    state: State,
    epoch: u64,
    outlook: Outlook,
    server: Server,
    given_up_until: Option<Instant>,
    healthy: Option<bool>,
    /// The epoch of the activation for which on-active has run.
    serving: Option<u64>,
    job: Option<Job>,
    owes_on_passive: bool,
    /// The server was away since on-active has run.
    owes_on_active: bool,
    /// It was ours that was away, so nobody is let in before on-active has run again.
    restarted: bool,
    /// A hook failed without which this node cannot serve.
    hook_failed: bool,
    /// Not before then is a hook run again that failed.
    retry_at: Option<Instant>,
    /// Before-active has agreed: to whom, and when.
    prepared: Option<(Purpose, Instant)>,
    vetoed_until: Option<Instant>,
    vote_asked: bool,
    offer: Option<Offer>,
    /// The front ends have drained, or must have by this time.
    drained: bool,
    drained_by: Option<Instant>,
    ready_by: Option<Instant>,
    /// It was not ready in time.
    overdue: bool,
    stop: Stop,
    gate: Gate,
    fit: bool,
    hold: Hold,
    hold_at: Option<Instant>,
    /// Since the start nothing has been heard of the peer, and by then it should have been.
    unheard_at: Option<Instant>,
    outputs: VecDeque<Output>,
}

impl Conductor {
    /// A node that starts: its server is started, unless it is to run only while the node is active.
    pub(crate) fn new(settings: Settings, now: Instant) -> Conductor {
        let mut conductor = Conductor {
            settings,
            state: State::Initial,
            epoch: 0,
            outlook: Outlook::default(),
            server: Server::Off,
            given_up_until: None,
            healthy: None,
            serving: None,
            job: None,
            owes_on_passive: false,
            owes_on_active: false,
            restarted: false,
            hook_failed: false,
            retry_at: None,
            prepared: None,
            vetoed_until: None,
            vote_asked: false,
            offer: None,
            drained: false,
            drained_by: None,
            ready_by: None,
            overdue: false,
            stop: Stop::Not,
            gate: Gate::Closed,
            fit: true,
            hold: Hold::No,
            hold_at: None,
            unheard_at: Some(now + FIRST_HEARD_WITHIN),
            outputs: VecDeque::new(),
        };
        match settings.run {
            ServerRun::None => {
                conductor.server = Server::Foreign;
                let just_started = false;
                conductor.put(Output::WatchHealth { just_started });
            }
            ServerRun::Always => conductor.start_server(),
            ServerRun::Active => {}
        }
        conductor.settle(now);
        conductor
    }

    pub(crate) fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Transition(transition) => self.enter(&transition, now),
            Input::Outlook(outlook) => self.look_out(outlook),
            Input::Offered(offer) => self.offer = Some(offer),
            Input::Front(FrontEvent::Vote) => self.vote_asked = true,
            Input::Front(FrontEvent::Drained) => self.drained = true,
            // It is logged, and tried again, where it happens.
            Input::Front(FrontEvent::CannotListen) => {}
            Input::HooksEnded(result) => self.end_job(result, now),
            Input::ServerStarted => self.note_started(now),
            Input::ServerEnded(how) => {
                if self.server == Server::Up {
                    self.server = Server::Starting;
                }
                self.healthy = None;
                if self.serves() {
                    // The next life has a time of its own; how many there may be is its supervisor's to count.
                    self.ready_by = None;
                }
                self.fault(Fault::ServerEnded, how);
            }
            Input::ServerGaveUp(why) => {
                self.given_up_until = Some(now + REST);
                self.fault(Fault::ServerGaveUp, why);
            }
            Input::ServerStopped => self.server = Server::Off,
            Input::Healthy => self.note_healthy(),
            Input::Unhealthy(why) => {
                self.healthy = Some(false);
                self.fault(Fault::Unhealthy, why);
            }
            Input::Stop => self.begin_stop(),
            Input::SwitchoverEnded => {
                if self.stop == Stop::HandingOver {
                    self.stop = self.begin_closing();
                }
            }
            Input::Held(held) => self.note_hold(held, now),
            Input::Timeout => {}
        }
        self.settle(now);
    }

    /// What is to be done next; `None` when all is done.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due, if it is.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.retry_at,
            self.vetoed_until,
            self.drained_by,
            self.ready_by,
            self.hold_at,
            self.unheard_at,
            self.given_up_until.filter(|_| !self.is_active()),
        ];
        deadlines.into_iter().flatten().min()
    }

    pub(crate) fn gate(&self) -> Gate {
        self.gate
    }

    /// Whether the server is there, and well.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.server, Server::Foreign | Server::Up) && self.healthy == Some(true)
    }

    fn is_active(&self) -> bool {
        self.state == State::Active
    }

    /// On-active has run for this activation.
    fn is_promoted(&self) -> bool {
        self.serving == Some(self.epoch)
    }

    fn serves(&self) -> bool {
        self.is_active() && self.is_promoted()
    }

    fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn fault(&mut self, what: Fault, detail: String) {
        self.put(Output::Fault { what, detail });
    }

    fn enter(&mut self, transition: &Transition, now: Instant) {
        self.state = transition.to;
        self.epoch = transition.epoch;
        self.offer = None;
        self.vote_asked = false;
        self.vetoed_until = None;
        self.hook_failed = false;
        self.retry_at = None;
        self.hold_at = None;
        self.ready_by = None;
        self.overdue = false;
        self.drained = false;
        self.drained_by = None;
        let served = matches!(transition.from, State::Active | State::Draining);
        if transition.to != State::Draining {
            self.release();
        }
        match transition.to {
            State::Active => {}
            State::Draining => self.drained_by = Some(now + DRAINED_WITHIN),
            State::Passive if transition.from == State::Initial => self.owes_on_passive = true,
            State::Initial | State::Passive | State::Resigned => {
                // At the end it has run once; whatever this node is made then, it serves nobody.
                self.owes_on_passive |= served && self.stop != Stop::Closing;
                self.prepared = None;
            }
        }
        if self.stop == Stop::HandingOver && served && transition.to != State::Draining {
            self.stop = Stop::Closing;
        }
    }

    fn look_out(&mut self, outlook: Outlook) {
        if self.outlook.peer_heard && !outlook.peer_heard {
            let detail = "nothing was heard of the peer for a peer timeout".to_owned();
            self.fault(Fault::PeerSilent, detail);
        }
        if outlook.peer_heard {
            self.unheard_at = None;
        }
        self.outlook = outlook;
        self.vote_asked &= outlook.vote_counts;
    }

    fn start_server(&mut self) {
        self.server = Server::Starting;
        self.put(Output::StartServer);
    }

    fn stop_server(&mut self) {
        self.server = Server::Stopping;
        self.healthy = None;
        self.put(Output::ForgetHealth);
        self.put(Output::StopServer);
    }

    fn note_started(&mut self, now: Instant) {
        if self.server == Server::Starting {
            self.server = Server::Up;
            self.healthy = None;
            self.restarted = self.serving.is_some();
            if self.serves() && !self.overdue {
                // Of one that was never well no check says that it is ill, and clients wait for it.
                self.ready_by = Some(now + self.settings.start_timeout);
            }
            let just_started = true;
            self.put(Output::WatchHealth { just_started });
        }
    }

    /// A server that was away has forgotten what it was told: whether to follow, for example.
    fn note_healthy(&mut self) {
        let first = self.healthy.replace(true).is_none() && self.server == Server::Foreign;
        self.given_up_until = None;
        self.overdue = false;
        self.ready_by = None;
        match self.state {
            State::Active | State::Draining => self.owes_on_active |= self.serving.is_some(),
            State::Passive | State::Resigned => self.owes_on_passive |= !first,
            State::Initial => {}
        }
    }

    fn begin_stop(&mut self) {
        self.stop = match self.stop {
            Stop::Not if self.is_active() && self.serving.is_some() => {
                self.put(Output::SwitchOver);
                Stop::HandingOver
            }
            Stop::Not if self.state == State::Draining => Stop::HandingOver,
            Stop::Not => self.begin_closing(),
            // Whoever asks twice does not want to wait.
            Stop::HandingOver | Stop::Closing | Stop::Ended => {
                self.put(Output::End);
                Stop::Ended
            }
        };
    }

    /// Nobody has taken over from an active node that comes here, and somebody may when it has ended.
    fn begin_closing(&mut self) -> Stop {
        self.owes_on_passive |= self.is_active();
        Stop::Closing
    }

    /// Looks at all anew: what is due is begun, and gate and fitness follow.
    fn settle(&mut self, now: Instant) {
        self.pass_time(now);
        if self.job.is_none() && self.stop != Stop::Ended {
            self.begin_next(now);
        }
        let promotes = self.is_active() && matches!(self.job, Some(Job::OnActive(_)));
        if (promotes || self.serves()) && self.hold == Hold::No && self.hold_at.is_none() {
            self.hold = Hold::Asked;
            self.put(Output::HoldSwitchover);
        }
        let gate = self.gate_wanted();
        if gate != self.gate {
            self.gate = gate;
            self.put(Output::Gate(gate));
        }
        let fit = self.fit_wanted();
        if fit.is_ok() != self.fit {
            self.fit = fit.is_ok();
            self.put(Output::Fit(fit));
        }
    }

    fn pass_time(&mut self, now: Instant) {
        let is_over = |at: Option<Instant>| at.is_some_and(|at| now >= at);
        for at in [
            &mut self.retry_at,
            &mut self.vetoed_until,
            &mut self.hold_at,
        ] {
            if is_over(*at) {
                *at = None;
            }
        }
        self.prepared = self.prepared.filter(|(_, at)| now < *at + PREPARED_FOR);
        if is_over(self.drained_by) {
            self.drained_by = None;
            self.drained = true;
        }
        if is_over(self.ready_by) {
            self.ready_by = None;
            self.overdue = true;
            self.fault(Fault::Unhealthy, "its server is not ready in time".into());
        }
        if is_over(self.unheard_at) {
            self.unheard_at = None;
            let detail = "nothing was heard of the peer since the start".to_owned();
            self.fault(Fault::PeerSilent, detail);
        }
        if !self.is_active() && is_over(self.given_up_until) {
            self.given_up_until = None;
        }
    }

    fn release(&mut self) {
        if std::mem::replace(&mut self.hold, Hold::No) == Hold::Yes {
            self.put(Output::ReleaseSwitchover);
        }
    }

    fn note_hold(&mut self, held: bool, now: Instant) {
        match (self.hold, held) {
            (Hold::Asked | Hold::Yes, true) => self.hold = Hold::Yes,
            (Hold::Asked | Hold::Yes, false) => {
                self.hold = Hold::No;
                self.hold_at = Some(now + HOLD_AGAIN);
            }
            // What it was for is over.
            (Hold::No, true) => self.put(Output::ReleaseSwitchover),
            (Hold::No, false) => {}
        }
    }
}
