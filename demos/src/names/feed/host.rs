//! A feed as a source of a reactor: it moves questions and time, and the core decides.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use freelance::{ClientHandle, Error, Idempotent, Reply, RequestError, ServerStats};
use reactor::{BoxError, Event, Scope, Source, SourceKey, TimerKey, Waker};
use tracing::{debug, info, warn};

use super::core::{Change, Core, Server};
use super::{Fed, FeedStatus};
use crate::names::Name;
use crate::names::cache::Known;
use crate::names::resolver::{ResolveError, known};
use crate::names::wire::{Answer, Question};

const TIMER_TAG: usize = 0;

/// What the source, its handles and a question under way share.
pub(super) struct Shared {
    core: Core,
    waker: Waker,
    me: Option<SourceKey>,
    trouble: Option<String>,
    closed: bool,
}

/// What is registered.
pub(super) struct Host<S> {
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) names: ClientHandle<S>,
    pub(super) fed: Box<dyn Fed<S>>,
    pub(super) name: Name,
    pub(super) timeout: Duration,
    pub(super) timer: Option<TimerKey>,
}

impl Shared {
    pub(super) fn new(core: Core, waker: Waker) -> Self {
        Self {
            core,
            waker,
            me: None,
            trouble: None,
            closed: false,
        }
    }

    pub(super) fn status(&self) -> FeedStatus {
        FeedStatus {
            serial: self.core.serial(),
            is_settled: self.core.is_settled(),
            trouble: self.trouble.clone(),
        }
    }

    pub(super) fn refresh(&mut self, now: Instant) {
        self.core.refresh(now);
        self.notify();
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.notify();
    }

    fn notify(&self) {
        if let Some(me) = self.me {
            self.waker.notify(me);
        }
    }

    fn answered(&mut self, name: &Name, answer: Result<Known, ResolveError>, now: Instant) {
        match answer {
            Ok(answer @ Known::Unknown { what, .. }) => {
                let name = name.clone();
                self.say_once(&ResolveError::Unknown { name, what });
                self.core.handle_answer(Some(&answer), now);
            }
            Ok(answer @ Known::Found { .. }) => {
                self.trouble = None;
                self.core.handle_answer(Some(&answer), now);
            }
            Err(error) => {
                self.say_once(&error);
                self.core.handle_answer(None, now);
            }
        }
        self.notify();
    }

    /// A change could not be made, or the list not be had.
    fn failed(&mut self, error: &Error, now: Instant) {
        match error {
            // It came or went while this was worked out: the next look sees it.
            Error::KnownServer(_) | Error::NoSuchServer => {
                debug!(%error, "the list has changed meanwhile");
            }
            error => self.say_once(error),
        }
        self.core.handle_failed(now);
    }

    /// What goes on to be wrong is told when it begins.
    fn say_once(&mut self, error: &dyn std::error::Error) {
        let trouble = error.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            warn!("the servers stay as they are: {trouble}");
            self.trouble = Some(trouble);
        }
    }
}

impl<S: 'static> Source<S> for Host<S> {
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), reactor::Error> {
        self.shared.borrow_mut().me = Some(me);
        // The first question is asked from the run, which sends it.
        self.timer = Some(scope.own_timer(me, TIMER_TAG, scope.now())?);
        Ok(())
    }

    fn on_event(&mut self, _: &mut S, scope: &mut Scope<S>, event: Event) -> Result<(), BoxError> {
        if !matches!(event, Event::Timer { .. } | Event::Notified) {
            return Ok(());
        }
        let (me, closed) = {
            let shared = self.shared.borrow();
            (shared.me, shared.closed)
        };
        let Some(me) = me else {
            return Ok(());
        };
        if closed {
            scope.remove_source(me);
            return Ok(());
        }
        self.ask(scope);
        self.look(scope);
        self.arm(scope, me)?;
        Ok(())
    }
}

impl<S: 'static> Host<S> {
    fn ask(&mut self, scope: &mut Scope<S>) {
        let now = scope.fresh_now();
        if !self.shared.borrow_mut().core.poll_ask(now) {
            return;
        }
        let question = Question::Lookup(self.name.clone()).frames();
        let (shared, name) = (Rc::clone(&self.shared), self.name.clone());
        let on_done = move |_: &mut S, scope: &mut Scope<S>, result| {
            let mut shared = shared.borrow_mut();
            shared.answered(&name, read(result), scope.fresh_now());
        };
        // To ask is to read: it does no harm to do so twice.
        let asked = self
            .names
            .request(scope, question, Idempotent::Yes, self.timeout, on_done);
        if let Err(error) = asked {
            let error = ResolveError::Unanswered(error.into());
            let mut shared = self.shared.borrow_mut();
            shared.answered(&self.name, Err(error), now);
        }
    }

    /// What is fed is the application's: nothing is borrowed while it is called.
    fn look(&mut self, scope: &mut Scope<S>) {
        let now = scope.fresh_now();
        if !self.shared.borrow().core.wants_look(now) {
            return;
        }
        let servers = match self.fed.servers() {
            Ok(servers) => servers,
            Err(error) => return self.shared.borrow_mut().failed(&error, now),
        };
        let list: Vec<Server> = servers.iter().map(as_it_is).collect();
        let changes = self.shared.borrow_mut().core.changes(&list, now);
        for change in changes {
            match self.make(scope, &servers, &change) {
                Ok(()) => info!(name = %self.name, ?change, "servers of the client"),
                Err(error) => self.shared.borrow_mut().failed(&error, now),
            }
        }
    }

    fn make(
        &self,
        scope: &mut Scope<S>,
        servers: &[ServerStats],
        change: &Change,
    ) -> Result<(), Error> {
        let find = |endpoint: &str| {
            let found = servers.iter().find(|server| server.endpoint == endpoint);
            found.map(|server| server.server).ok_or(Error::NoSuchServer)
        };
        match change {
            Change::Add { endpoint, tier } => self.fed.add(scope, endpoint, *tier),
            Change::SetTier { endpoint, tier } => self.fed.set_tier(find(endpoint)?, *tier),
            Change::Drain { endpoint } => self.fed.drain(scope, find(endpoint)?),
        }
    }

    fn arm(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), reactor::Error> {
        let Some(at) = self.shared.borrow().core.next_deadline() else {
            return Ok(());
        };
        match self.timer {
            // One that has fired is armed again, if this is its call.
            Some(key) if scope.set_timer(key, at) => {}
            _ => self.timer = Some(scope.own_timer(me, TIMER_TAG, at)?),
        }
        Ok(())
    }
}

fn as_it_is(server: &ServerStats) -> Server {
    Server {
        endpoint: server.endpoint.clone(),
        tier: server.tier,
        liveness: server.liveness,
    }
}

fn read(result: Result<Reply, RequestError>) -> Result<Known, ResolveError> {
    known(Answer::parse(&result?.frames)?)
}
