//! One node: the pair, its server, hooks and front ends around one reactor. Moves what happens to the
//! conductor, does what it says, and decides nothing.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use reactor::{Builder, Next, Scope, SendError, Sender, TimerKey};

use super::board::{Board, CheckView, FaultView, HookView, ServerView, View};
use super::conductor::{Conductor, Fault, Input, Output, Settings};
use super::config::{HookConfig, RunConfig};
use super::control::{About, Control};
use super::front::{FrontEnds, FrontEvent};
use super::health::{Health, HealthEvent};
use super::hooks::{HookEnv, HookKind, HookRun, run_hooks};
use super::keeper;
use super::signals::stop_on_signals;
use super::supervisor::{ServerEvent, Supervisor};
use crate::core::{Outlook, Role, State, Transition};
use crate::programs::{Failure, say};
use crate::server::{Handle, Server, Work};

/// How long the sockets may take to close.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Words of other threads that may wait: each front end has few to say at a time.
const MAX_TOLD: usize = 1024;
/// Before somebody is told again who had no room for it.
const ROOM_AFTER: Duration = Duration::from_millis(10);
/// Faults whose hook has not run yet; of more the oldest are only logged.
const MAX_ALARMS: usize = 8;
/// When nothing is due, the timer waits at least so long.
const FAR: Duration = Duration::from_secs(3600);

/// What other threads tell.
enum Told {
    Front(FrontEvent),
    SwitchoverEnded,
}

/// The state of the main thread's reactor.
pub(super) struct Run {
    config: RunConfig,
    conductor: Conductor,
    supervisor: Supervisor<Run>,
    health: Health<Run>,
    fronts: FrontEnds,
    node: Handle,
    board: Board,
    told: Sender<Told>,
    timer: TimerKey,
    /// While it is held, a switchover waits for what is under way.
    work: Option<Work>,
    /// Hooks that run now.
    hooks_run: Option<HookRun<Run>>,
    last: Option<Transition>,
    /// Since when the peer does not count as heard. It had been silent for a peer timeout by then.
    unheard: Option<Instant>,
    alarms: VecDeque<(Fault, String)>,
    alarm_runs: bool,
}

/// Runs a node until it is stopped.
pub(crate) fn run(config: RunConfig) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let mut reactor = Builder::new().signals(false).build()?;
    let scope = reactor.scope();
    // The keeper ends the server with this program, whatever ends that.
    let launcher = keeper::launcher();
    let (told, _) = scope.add_channel("told", MAX_TOLD, |run: &mut Run, scope, told| {
        match told {
            Some(Told::Front(event)) => run.feed(scope, Input::Front(event)),
            Some(Told::SwitchoverEnded) => run.feed(scope, Input::SwitchoverEnded),
            None => {}
        }
        Ok(())
    })?;
    let timer = scope.add_timer("conductor", started + FAR, |run: &mut Run, scope, _| {
        run.feed(scope, Input::Timeout);
        let next = run.conductor.next_deadline();
        Ok(Next::At(next.unwrap_or(scope.now() + FAR)))
    })?;
    let node = attach(&config, scope)?;
    let to_conductor = told.clone();
    let fronts = FrontEnds::start(
        &config.tcp,
        &config.zmq,
        node.clone(),
        Box::new(move |event| {
            // Full or closed: the conductor is about to end, or its own timers get it on.
            let _ = to_conductor.send(Told::Front(event));
        }),
    )?;
    let board = Board::new(View::new(config.server.run));
    board.change(|view| view.fronts = fronts.views().to_vec());
    let control = Control::start(
        &config.control,
        about(&config, started),
        node.clone(),
        board.clone(),
    )?;
    stop_on_signals(scope, |run: &mut Run, scope| run.feed(scope, Input::Stop))?;
    say_bound(&config, &node, &fronts);
    let settings = Settings {
        run: config.server.run,
        vote_when_unhealthy: config.vote_when_unhealthy,
        has_before_active: !config.hooks.before_active.is_empty(),
        start_timeout: config.server.start_timeout,
    };
    let mut run = Run {
        conductor: Conductor::new(settings, scope.fresh_now()),
        supervisor: Supervisor::new(
            config.server.clone(),
            launcher,
            |run| &mut run.supervisor,
            Run::hear_server,
        ),
        health: Health::new(
            config.health.clone(),
            |run| &mut run.health,
            Run::hear_health,
        ),
        config,
        fronts,
        node,
        board,
        told,
        timer,
        work: None,
        hooks_run: None,
        last: None,
        unheard: None,
        alarms: VecDeque::new(),
        alarm_runs: false,
    };
    run.health.set_environment(&run.env_of_node(None));
    run.feed(scope, Input::Timeout);
    let result = reactor.run(&mut run);
    drop(control);
    run.fronts.end();
    if reactor.end(END_WITHIN) == reactor::Ending::Leaked {
        tracing::warn!("the sockets did not close within {END_WITHIN:?}");
    }
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(reactor::Error::Handler { error, .. }) => Err(error),
        Err(error) => Err(error.into()),
    }
}

/// Puts the pair on the reactor. All votes come from the front ends.
fn attach(config: &RunConfig, scope: &mut Scope<Run>) -> Result<Handle, Failure> {
    let (local, remote) = (&config.link.local, &config.link.remote);
    let mut server = Server::new(config.pair.clone(), local.as_str(), remote.as_str())
        .without_voters()
        .on_transition(|run: &mut Run, scope, transition| {
            run.last = Some(*transition);
            say(&format!(
                "state={} row={} epoch={} cause={}",
                transition.to.name(run.role()),
                transition.row,
                transition.epoch,
                transition.cause.name()
            ));
            run.health.set_environment(&run.env_of_node(None));
            run.feed(scope, Input::Transition(*transition));
            Ok(())
        })
        .on_outlook(|run, scope, outlook| {
            run.hear_outlook(outlook, scope.now());
            run.feed(scope, Input::Outlook(outlook));
        })
        .on_offer_later(|run, scope, offer| run.feed(scope, Input::Offered(offer)));
    if let Some(second) = &config.second_link {
        server = server.second_link(second.local.as_str(), second.remote.as_str());
    }
    if let Some(path) = &config.state_dir {
        server = server.state_dir(path);
    }
    if let Some(wanted) = &config.proof_of_death {
        server = server.proof_of_death(wanted.clone());
    }
    Ok(server.attach(scope)?)
}

fn about(config: &RunConfig, started: Instant) -> About {
    let before_active = config.hooks.before_active.iter();
    let considered: Duration = before_active.map(|hook| hook.timeout).sum();
    About {
        pair: config.pair.pair().to_string(),
        role: config.pair.role(),
        switchover_within: config.pair.offer_wait().max(considered)
            + config.pair.drain()
            + config.pair.timeout(),
        started,
    }
}

/// Tells a reactor what it must not miss, and waits until there is room.
fn tell_surely<T>(told: &Sender<T>, word: T, mut wait: impl FnMut()) {
    let mut word = word;
    // One that has ended need not be told.
    while let Err(SendError::Full(again)) = told.send(word) {
        word = again;
        wait();
    }
}

fn say_bound(config: &RunConfig, node: &Handle, fronts: &FrontEnds) {
    let listens = fronts.endpoints().join(",");
    let second = node.second_local_endpoint();
    say(&format!(
        "state={} row=- epoch={} cause=start local={}{} remote={}{} frontend={listens} control={}",
        State::Initial.name(config.pair.role()),
        node.stored_epoch(),
        node.local_endpoint(),
        second.map_or(String::new(), |endpoint| format!(" local2={endpoint}")),
        config.link.remote,
        config
            .second_link
            .as_ref()
            .map_or(String::new(), |link| format!(" remote2={}", link.remote)),
        config.control.display(),
    ));
}

impl Run {
    fn role(&self) -> Role {
        self.config.pair.role()
    }

    fn feed(&mut self, scope: &mut Scope<Run>, input: Input) {
        self.conductor.handle(input, scope.fresh_now());
        while let Some(output) = self.conductor.poll_output() {
            if let Err(error) = self.carry_out(output, scope) {
                // The node has ended; the run is about to.
                tracing::debug!(%error, "the node was not told");
            }
        }
        if let Some(at) = self.conductor.next_deadline() {
            scope.set_timer(self.timer, at);
        }
        self.show();
    }

    fn carry_out(
        &mut self,
        output: Output,
        scope: &mut Scope<Run>,
    ) -> Result<(), crate::server::HandleError> {
        match output {
            Output::Gate(gate) => {
                tracing::info!(?gate, "the front ends");
                say(&format!("gate={}", gate.name()));
                self.fronts.set_gate(gate);
            }
            Output::RunHooks { kind, cause } => self.run_hooks(scope, kind, cause),
            Output::Fault { what, detail } => self.raise(scope, what, detail),
            Output::StartServer => self.supervisor.start(scope),
            Output::StopServer => self.supervisor.stop(scope),
            Output::WatchHealth { just_started: true } => {
                let quick = self.config.server.start_timeout;
                self.health.restart(scope, quick);
            }
            Output::WatchHealth {
                just_started: false,
            } => self.health.start(scope),
            Output::ForgetHealth => self.health.stop(scope),
            Output::CastVote => self.node.request_vote()?,
            Output::AnswerOffer(offer, answer) => self.node.answer_offer(offer, answer)?,
            Output::Fit(Ok(())) => self.node.set_well()?,
            Output::Fit(Err(why)) => self.node.set_ill(why)?,
            Output::HoldSwitchover => scope.defer(Run::hold_switchover),
            Output::ReleaseSwitchover => self.work = None,
            Output::SwitchOver => self.switch_over(scope),
            Output::End => {
                if let Some(run) = self.hooks_run.take() {
                    run.cancel();
                }
                scope.stop();
            }
        }
        Ok(())
    }

    /// Within the call that tells of a transition nobody may serve yet.
    fn hold_switchover(&mut self, scope: &mut Scope<Run>) {
        self.work = self.node.try_begin();
        self.feed(scope, Input::Held(self.work.is_some()));
    }

    /// Waits on a thread of its own for what may take as long as the peer's hooks.
    fn switch_over(&self, scope: &mut Scope<Run>) {
        let (node, told) = (self.node.clone(), self.told.clone());
        let within = about(&self.config, Instant::now()).switchover_within;
        let begun = thread::Builder::new()
            .name("switchover".to_owned())
            .spawn(move || {
                if let Err(error) = node.switch_over(within) {
                    tracing::warn!(%error, "nobody takes over");
                }
                tell_surely(&told, Told::SwitchoverEnded, || thread::sleep(ROOM_AFTER));
            });
        if let Err(error) = begun {
            tracing::warn!(%error, "nobody takes over");
            scope.defer(|run: &mut Run, scope| run.feed(scope, Input::SwitchoverEnded));
        }
    }

    fn hear_server(&mut self, scope: &mut Scope<Run>, event: ServerEvent) {
        let input = match event {
            ServerEvent::Started => {
                tracing::info!("the server has started");
                Input::ServerStarted
            }
            ServerEvent::Ended { how } => Input::ServerEnded(how),
            ServerEvent::GaveUp { why } => Input::ServerGaveUp(why),
            ServerEvent::Stopped => {
                tracing::info!("the server has stopped");
                Input::ServerStopped
            }
        };
        self.feed(scope, input);
    }

    fn hear_health(&mut self, scope: &mut Scope<Run>, event: HealthEvent) {
        match event {
            HealthEvent::Healthy => {
                tracing::info!("the server is well");
                self.supervisor.note_ready(scope.fresh_now());
                // That the server is well says nothing of the peer.
                self.end_fault(|what| what != Fault::PeerSilent.name());
                self.feed(scope, Input::Healthy);
            }
            HealthEvent::Unhealthy { check, why } => {
                self.feed(scope, Input::Unhealthy(format!("{check}: {why}")));
            }
        }
    }

    fn hooks(&self, kind: HookKind) -> &[HookConfig] {
        let hooks = &self.config.hooks;
        match kind {
            HookKind::BeforeActive => &hooks.before_active,
            HookKind::OnActive => &hooks.on_active,
            HookKind::BeforePassive => &hooks.before_passive,
            HookKind::OnPassive => &hooks.on_passive,
            HookKind::OnFault => &hooks.on_fault,
        }
    }

    fn run_hooks(&mut self, scope: &mut Scope<Run>, kind: HookKind, cause: Option<&'static str>) {
        let env = self.env(kind, cause, scope.fresh_now());
        let began = scope.fresh_now();
        let run = run_hooks(
            scope,
            kind,
            self.hooks(kind),
            env,
            move |run: &mut Run, scope, result| {
                run.hooks_run = None;
                let result = result.map_err(|error| error.to_string());
                run.note_hook(kind, &result, began, scope.fresh_now());
                run.feed(scope, Input::HooksEnded(result));
            },
        );
        self.hooks_run = Some(run);
    }

    fn note_hook(&self, kind: HookKind, result: &Result<(), String>, began: Instant, at: Instant) {
        if self.hooks(kind).is_empty() {
            return;
        }
        let took = at.saturating_duration_since(began);
        let (kind, result) = (kind.to_string(), result.clone());
        self.board.change(|view| {
            view.note_hooks(HookView {
                kind,
                result,
                took,
                at,
            });
        });
    }

    /// What a hook finds in its environment.
    fn env(&self, kind: HookKind, cause: Option<&'static str>, now: Instant) -> HookEnv {
        let mut env = self.env_of_node(cause);
        env.push(("BSTAR_HOOK".to_owned(), kind.to_string()));
        let silent = self.unheard.map_or(Duration::ZERO, |since| {
            now.saturating_duration_since(since) + self.config.pair.timeout()
        });
        let silent_ms = silent.as_millis().to_string();
        env.push(("BSTAR_SILENT_MS".to_owned(), silent_ms));
        env
    }

    /// Shows no fault any more, if it is one of these.
    fn end_fault(&self, is_over: impl FnOnce(&str) -> bool) {
        self.board.change(|view| {
            view.fault.take_if(|fault| is_over(&fault.what));
        });
    }

    fn hear_outlook(&mut self, outlook: Outlook, now: Instant) {
        if outlook.peer_heard {
            self.end_fault(|what| what == Fault::PeerSilent.name());
        }
        self.unheard = match self.unheard {
            _ if outlook.peer_heard => None,
            None => Some(now),
            since => since,
        };
    }

    /// What this node is, for what it runs.
    fn env_of_node(&self, cause: Option<&'static str>) -> HookEnv {
        let last = self.last.as_ref();
        let state = last.map_or(State::Initial, |last| last.to);
        let mut env = vec![
            ("BSTAR_ROLE", self.role().to_string()),
            ("BSTAR_PAIR", self.config.pair.pair().to_string()),
            ("BSTAR_STATE", state.name(self.role()).to_owned()),
            ("BSTAR_EPOCH", last.map_or(0, |last| last.epoch).to_string()),
        ];
        if let Some(fence) = last.and_then(|last| last.fence) {
            env.push(("BSTAR_FENCE", fence.to_string()));
        }
        match (cause, last) {
            (Some(cause), _) => env.push(("BSTAR_CAUSE", cause.to_owned())),
            (None, Some(last)) => {
                env.push(("BSTAR_CAUSE", last.cause.name().to_owned()));
                env.push(("BSTAR_ROW", last.row.to_owned()));
            }
            (None, None) => {}
        }
        let env = env.into_iter();
        env.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Logs a fault, and has its hook run when those before it have.
    fn raise(&mut self, scope: &mut Scope<Run>, what: Fault, detail: String) {
        tracing::warn!(fault = what.name(), "{detail}");
        let view = FaultView {
            what: what.name().to_owned(),
            detail: detail.clone(),
            since: scope.now(),
        };
        self.board.change(|board| board.fault = Some(view));
        if self.config.hooks.on_fault.is_empty() {
            return;
        }
        if self.alarms.len() >= MAX_ALARMS {
            self.alarms.pop_front();
        }
        self.alarms.push_back((what, detail));
        self.run_alarm(scope);
    }

    fn run_alarm(&mut self, scope: &mut Scope<Run>) {
        if self.alarm_runs {
            return;
        }
        let Some((what, detail)) = self.alarms.pop_front() else {
            return;
        };
        self.alarm_runs = true;
        let kind = HookKind::OnFault;
        let mut env = self.env(kind, None, scope.fresh_now());
        env.push(("BSTAR_FAULT".to_owned(), what.name().to_owned()));
        env.push(("BSTAR_FAULT_DETAIL".to_owned(), detail));
        let began = scope.fresh_now();
        run_hooks(
            scope,
            kind,
            self.hooks(kind),
            env,
            move |run: &mut Run, scope, result| {
                let result = result.map_err(|error| error.to_string());
                if let Err(error) = &result {
                    tracing::warn!(error, "nobody was told of the fault");
                }
                run.note_hook(kind, &result, began, scope.fresh_now());
                run.alarm_runs = false;
                run.run_alarm(scope);
            },
        );
    }

    /// What those who watch see.
    fn show(&self) {
        let checks = self.health.view().into_iter();
        let checks = checks.map(|check| CheckView {
            name: check.name,
            healthy: check.healthy,
            last_error: check.last_error,
            looked_at: check.looked_at,
        });
        let server = self.supervisor.view();
        let server = ServerView {
            run: self.config.server.run,
            phase: server.phase,
            pid: server.pid,
            restarts: server.restarts,
            last_end: server.last_end,
        };
        self.board.change(|view| {
            view.gate = self.conductor.gate();
            view.ready = self.conductor.is_ready();
            view.health = checks.collect();
            view.server = server;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::trial::{reactor, turn_until};

    #[test]
    fn what_must_not_be_missed_waits_for_room() {
        let mut reactor = reactor::<Vec<u8>>();
        let (told, _) = reactor
            .scope()
            .add_channel("told", 1, |heard: &mut Vec<u8>, _, word| {
                heard.extend(word);
                Ok(())
            })
            .unwrap();
        told.send(1).unwrap();
        let mut heard = Vec::new();
        tell_surely(&told, 2, || {
            reactor.turn(&mut heard, Some(Duration::ZERO)).unwrap();
        });
        turn_until(&mut reactor, &mut heard, |heard| heard.len() == 2);
        assert_eq!(heard, [1, 2]);
        // And nobody waits for a reactor that has ended.
        let (told, _) = reactor
            .scope()
            .add_channel("told", 1, |_: &mut Vec<u8>, _, _: Option<u8>| Ok(()))
            .unwrap();
        told.send(1).unwrap();
        drop(reactor);
        tell_surely(&told, 2, || unreachable!("there will be no room"));
    }
}
