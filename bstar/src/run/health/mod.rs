//! Checks of the server's health: each on its own, and what follows from all of them.

mod command;
mod connect;
mod http;
mod tcp;
mod zmq;

use std::time::{Duration, Instant};

use reactor::{FdKey, Next, Scope, SocketKey, TimerKey};

use self::command::CommandProbe;
use self::http::HttpProbe;
use self::tcp::TcpProbe;
use self::zmq::ZmqProbe;
use super::child::Ended;
use super::config::{CheckConfig, CheckKind};
use super::hooks::HookEnv;

/// How often a server that was just started is looked at, unless its check wants it more often.
const QUICK: Duration = Duration::from_millis(100);

/// What becomes of the health of the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HealthEvent {
    /// All checks are well.
    Healthy,
    /// One is ill, the first of those that are.
    Unhealthy { check: String, why: String },
}

/// What is seen of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckView {
    pub(crate) name: String,
    /// Nothing before the first result that counts.
    pub(crate) healthy: Option<bool>,
    /// Of the last look that failed since the health was last forgotten.
    pub(crate) last_error: Option<String>,
    /// When the last look ended.
    pub(crate) looked_at: Option<Instant>,
}

/// All checks of a server.
pub(crate) struct Health<S> {
    checks: Vec<Check>,
    access: Access<S>,
    tell: Tell<S>,
    on: bool,
    /// What was told of the whole since that was last forgotten.
    told: Option<bool>,
    /// Until then a server may be starting, and looks are quick; of what has never been well nothing is told.
    starting: Option<Instant>,
}

/// Finds the checks in the application's state.
type Access<S> = fn(&mut S) -> &mut Health<S>;
/// Told of each event.
type Tell<S> = fn(&mut S, &mut Scope<S>, HealthEvent);

struct Check {
    config: CheckConfig,
    probe: Probe,
    /// When the look that is under way began, or the last one.
    began: Instant,
    /// Of the next look, or of the time that this one has.
    timer: Option<TimerKey>,
    healthy: Option<bool>,
    /// How many results in a row differ from what counts.
    against: u32,
    last_error: Option<String>,
    looked_at: Option<Instant>,
}

/// The means of a check, and the look that is under way.
enum Probe {
    Tcp(TcpProbe),
    Http(HttpProbe),
    Command(CommandProbe),
    Zmq(ZmqProbe),
}

/// What came of a look.
type Look = Result<(), String>;

/// How a probe is called again. It copies into whatever the reactor calls.
struct Caller<S> {
    access: Access<S>,
    place: usize,
}

impl<S> Clone for Caller<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Caller<S> {}

/// What a probe waits for, and what came.
enum Call {
    Fd(FdKey),
    Socket(SocketKey),
    Ended(Ended),
    /// The time of the look is over, or it is time for the next.
    Timer,
}

impl<S: 'static> Caller<S> {
    fn call(self, state: &mut S, scope: &mut Scope<S>, call: Call) {
        let health = (self.access)(state);
        let (event, tell) = (health.handle(scope, self.place, call), health.tell);
        if let Some(event) = event {
            tell(state, scope, event);
        }
    }
}

impl<S: 'static> Health<S> {
    pub(crate) fn new(checks: Vec<CheckConfig>, access: Access<S>, tell: Tell<S>) -> Health<S> {
        let began = Instant::now();
        let checks = checks.into_iter().map(|config| Check {
            probe: Probe::of(&config.kind),
            config,
            began,
            timer: None,
            healthy: None,
            against: 0,
            last_error: None,
            looked_at: None,
        });
        Health {
            checks: checks.collect(),
            access,
            tell,
            on: false,
            told: None,
            starting: None,
        }
    }

    /// Begins to look at a server that is meant to be there: the first result of each check counts at once, whatever
    /// it is. Forgets what was known. Nothing is told from within this call.
    pub(crate) fn start(&mut self, scope: &mut Scope<S>) {
        self.begin(scope, None);
    }

    /// Begins to look at a server that was just started: as [`Health::start`], but often, until `quick` has passed or
    /// the check was well once, and of a check that was never well it is not told that it is ill. So whoever calls this
    /// bounds how long the server may take to become well.
    pub(crate) fn restart(&mut self, scope: &mut Scope<S>, quick: Duration) {
        self.begin(scope, Some(scope.fresh_now() + quick));
    }

    /// Looks no more, forgets what is known, and tells nothing.
    pub(crate) fn stop(&mut self, scope: &mut Scope<S>) {
        self.on = false;
        self.told = None;
        for check in &mut self.checks {
            check.forget(scope);
        }
    }

    /// What commands find in their environment from the next look on.
    pub(crate) fn set_environment(&mut self, environment: &HookEnv) {
        for check in &mut self.checks {
            if let Probe::Command(probe) = &mut check.probe {
                probe.set_environment(environment.clone());
            }
        }
    }

    /// Whether all checks are well; without any, whether it was started.
    pub(crate) fn is_healthy(&self) -> bool {
        self.on && self.checks.iter().all(|check| check.healthy == Some(true))
    }

    pub(crate) fn view(&self) -> Vec<CheckView> {
        let view = |check: &Check| CheckView {
            name: check.config.name.clone(),
            healthy: check.healthy,
            last_error: check.last_error.clone(),
            looked_at: check.looked_at,
        };
        self.checks.iter().map(view).collect()
    }

    fn begin(&mut self, scope: &mut Scope<S>, starting: Option<Instant>) {
        self.stop(scope);
        self.on = true;
        self.starting = starting;
        if self.checks.is_empty() {
            let access = self.access;
            scope.defer(move |state, scope| {
                let health = access(state);
                let (event, tell) = (health.judge(), health.tell);
                if let Some(event) = event {
                    tell(state, scope, event);
                }
            });
        }
        let now = scope.fresh_now();
        for place in 0..self.checks.len() {
            self.set_timer(scope, place, now);
        }
    }

    /// Something that a check waits for has come.
    fn handle(&mut self, scope: &mut Scope<S>, place: usize, call: Call) -> Option<HealthEvent> {
        let caller = Caller {
            access: self.access,
            place,
        };
        let check = self.checks.get_mut(place)?;
        let look = match call {
            Call::Timer if !check.probe.is_looking() => {
                check.began = scope.fresh_now();
                check.timer = None;
                let begun = check.probe.begin(scope, caller);
                if begun.is_none() {
                    let until = check.began + check.config.timeout;
                    self.set_timer(scope, place, until);
                }
                begun
            }
            Call::Timer => {
                check.timer = None;
                Some(Err(format!("no answer within {:?}", check.config.timeout)))
            }
            // A socket may be called once more after its answer was taken.
            _ if !check.probe.is_looking() => None,
            call => check.probe.handle(scope, call),
        };
        self.conclude(scope, place, look?)
    }

    /// A look has ended.
    fn conclude(&mut self, scope: &mut Scope<S>, place: usize, look: Look) -> Option<HealthEvent> {
        let now = scope.fresh_now();
        let quick = self.starting.is_some_and(|until| now < until);
        let check = self.checks.get_mut(place)?;
        check.probe.end(scope, look.is_ok());
        if let Some(timer) = check.timer.take() {
            scope.cancel_timer(timer);
        }
        check.looked_at = Some(now);
        check.count(look, self.starting.is_some());
        let pause = match check.healthy {
            None if quick => check.config.interval.min(QUICK),
            _ => check.config.interval,
        };
        let next = check.began + pause;
        self.set_timer(scope, place, next);
        self.judge()
    }

    /// What follows for the whole, if that is new.
    fn judge(&mut self) -> Option<HealthEvent> {
        if !self.on {
            return None;
        }
        let ill = self
            .checks
            .iter()
            .find(|check| check.healthy == Some(false));
        let healthy = match ill {
            Some(_) => false,
            None if self.is_healthy() => true,
            // Not all are known yet.
            None => return None,
        };
        if self.told.replace(healthy) == Some(healthy) {
            return None;
        }
        Some(match ill {
            Some(check) => HealthEvent::Unhealthy {
                check: check.config.name.clone(),
                why: check.last_error.clone().unwrap_or_default(),
            },
            None => HealthEvent::Healthy,
        })
    }

    fn set_timer(&mut self, scope: &mut Scope<S>, place: usize, at: Instant) {
        let caller = Caller {
            access: self.access,
            place,
        };
        let timer = scope.add_timer("health", at, move |state, scope, _| {
            caller.call(state, scope, Call::Timer);
            Ok(Next::Done)
        });
        // It fails only for an owner that is gone, and this one owns itself.
        let timer = timer.inspect_err(|error| tracing::error!(%error, "no timer for a check"));
        if let Some(check) = self.checks.get_mut(place) {
            check.timer = timer.ok();
        }
    }
}

impl Check {
    /// Counts a result. That of the first look decides, but not against a server that may be starting.
    fn count(&mut self, look: Look, starting: bool) {
        let well = look.is_ok();
        if let Err(why) = look {
            tracing::debug!(check = self.config.name, why, "a check failed");
            self.last_error = Some(why);
        }
        let needed = match self.healthy {
            None if starting && !well => return,
            None => 1,
            Some(healthy) if healthy == well => {
                self.against = 0;
                return;
            }
            Some(true) => self.config.fall,
            Some(false) => self.config.rise,
        };
        self.against += 1;
        if self.against >= needed {
            self.against = 0;
            self.healthy = Some(well);
        }
    }

    fn forget<S: 'static>(&mut self, scope: &mut Scope<S>) {
        self.probe.end(scope, false);
        if let Some(timer) = self.timer.take() {
            scope.cancel_timer(timer);
        }
        self.healthy = None;
        self.against = 0;
        self.last_error = None;
        self.looked_at = None;
    }
}

impl Probe {
    fn of(kind: &CheckKind) -> Probe {
        match kind {
            CheckKind::Tcp(address) => Probe::Tcp(TcpProbe::new(*address)),
            CheckKind::Http {
                address,
                host,
                path,
                status,
            } => Probe::Http(HttpProbe::new(*address, host, path, *status)),
            CheckKind::Command(command) => Probe::Command(CommandProbe::new(command.clone())),
            CheckKind::Zmq { endpoint, message } => {
                Probe::Zmq(ZmqProbe::new(endpoint.clone(), message.clone()))
            }
        }
    }

    fn is_looking(&self) -> bool {
        match self {
            Probe::Tcp(probe) => probe.is_looking(),
            Probe::Http(probe) => probe.is_looking(),
            Probe::Command(probe) => probe.is_looking(),
            Probe::Zmq(probe) => probe.is_looking(),
        }
    }

    /// Begins a look. Gives what came of it, if that is known at once.
    fn begin<S: 'static>(&mut self, scope: &mut Scope<S>, caller: Caller<S>) -> Option<Look> {
        let begun = match self {
            Probe::Tcp(probe) => probe.begin(scope, caller),
            Probe::Http(probe) => probe.begin(scope, caller),
            Probe::Command(probe) => probe.begin(scope, caller),
            Probe::Zmq(probe) => probe.begin(scope, caller),
        };
        begun.err().map(Err)
    }

    /// Goes on with a look. Gives what came of it, if that is known now.
    fn handle<S: 'static>(&mut self, scope: &mut Scope<S>, call: Call) -> Option<Look> {
        match (self, call) {
            (Probe::Tcp(probe), Call::Fd(key)) => probe.handle(scope, key),
            (Probe::Http(probe), Call::Fd(key)) => probe.handle(scope, key),
            (Probe::Command(probe), Call::Ended(ended)) => probe.handle(&ended),
            (Probe::Zmq(probe), Call::Socket(key)) => probe.handle(scope, key),
            _ => None,
        }
    }

    /// Ends the look, whatever it has come to.
    fn end<S: 'static>(&mut self, scope: &mut Scope<S>, well: bool) {
        match self {
            Probe::Tcp(probe) => probe.end(scope),
            Probe::Http(probe) => probe.end(scope),
            Probe::Command(probe) => probe.end(),
            Probe::Zmq(probe) => probe.end(scope, well),
        }
    }
}

#[cfg(test)]
mod tests;
