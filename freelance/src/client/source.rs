//! The client as a source of a reactor: it moves bytes and time, and the engine decides.

mod traffic;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use reactor::{BoxError, Event, Scope, Source, SourceKey, TimerKey, Waker, zmq};
use tracing::{debug, warn};

use super::ServerEvent;
use super::port::Ports;
use crate::engine::{self, Engine, RequestId};
use crate::{Error, Reply, RequestError};

const TIMER_TAG: usize = usize::MAX;

/// The frames of a request or a reply, without the envelope.
pub(super) type Body = Vec<Vec<u8>>;
/// Told how a request ended.
pub(super) type OnDone<S> = Box<dyn FnOnce(&mut S, &mut Scope<S>, Result<Reply, RequestError>)>;
/// Told what becomes of servers.
pub(super) type OnServer<S> = Box<dyn FnMut(&mut S, &mut Scope<S>, ServerEvent)>;

/// What the source and the handles share. It is borrowed only where no foreign code runs.
pub(super) struct Shared<S> {
    pub(super) engine: Engine<Body, Body>,
    pub(super) ports: Ports,
    pub(super) on_done: HashMap<RequestId, OnDone<S>>,
    pub(super) on_server: Option<OnServer<S>>,
    /// How requests without a callback ended, in that order, while somebody wants to know.
    pub(super) finished: VecDeque<(RequestId, Result<Reply, RequestError>)>,
    /// The one of these that somebody waits for, and how it ended.
    pub(super) awaited: Option<RequestId>,
    pub(super) answer: Option<Result<Reply, RequestError>>,
    me: Option<SourceKey>,
    waker: Option<Waker>,
    /// The timer that is set, and to when.
    timer: Option<(TimerKey, Instant)>,
    /// Why the first attempt at a link could not even begin.
    dial_error: Option<Error>,
    /// Callbacks run, and what they ask for is sent after them: together, so that libzmq's thread is woken once.
    delivering: bool,
    /// No request is taken on any more.
    pub(super) closed: bool,
    /// For what is received, so that it is not allocated for each message.
    frames: Vec<zmq::Message>,
}

/// What is registered.
pub(super) struct ClientSource<S> {
    shared: Rc<RefCell<Shared<S>>>,
    /// The context, if it is the client's own: to be ended without waiting for it.
    own_context: Option<zmq::Context>,
}

impl<S: 'static> ClientSource<S> {
    pub(super) fn new(
        engine: Engine<Body, Body>,
        ports: Ports,
        own_context: Option<zmq::Context>,
    ) -> Self {
        let shared = Shared {
            engine,
            ports,
            on_done: HashMap::new(),
            on_server: None,
            finished: VecDeque::new(),
            awaited: None,
            answer: None,
            me: None,
            waker: None,
            timer: None,
            dial_error: None,
            delivering: false,
            closed: false,
            frames: Vec::new(),
        };
        Self {
            shared: Rc::new(RefCell::new(shared)),
            own_context,
        }
    }

    pub(super) fn shared(&self) -> Rc<RefCell<Shared<S>>> {
        Rc::clone(&self.shared)
    }

    /// Hands what happened to the application, whose callbacks may do anything but borrow what is borrowed here: so
    /// nothing is.
    fn deliver(&self, state: &mut S, scope: &mut Scope<S>) {
        loop {
            let mut shared = self.shared.borrow_mut();
            match shared.engine.poll_event() {
                None => return,
                Some(engine::Event::Done { id, result }) => {
                    let callback = shared.on_done.remove(&id);
                    if let Some(callback) = callback {
                        drop(shared);
                        callback(state, scope, result);
                    } else {
                        shared.store(id, result);
                    }
                }
                Some(engine::Event::Server { server, liveness }) => {
                    debug!(?server, ?liveness, "a server's state changed");
                    drop(shared);
                    self.tell(state, scope, ServerEvent::Changed { server, liveness });
                }
                Some(engine::Event::Misnamed { server, identity }) => {
                    let dialled = shared.ports.endpoint(server).unwrap_or_default();
                    warn!(
                        "the server dialled as {dialled} calls itself {identity}: \
                         clients reach it by that name only"
                    );
                    drop(shared);
                    self.tell(state, scope, ServerEvent::Misnamed { server, identity });
                }
                Some(engine::Event::Drained { server }) => {
                    drop(shared);
                    self.tell(state, scope, ServerEvent::Drained { server });
                }
            }
        }
    }

    fn tell(&self, state: &mut S, scope: &mut Scope<S>, event: ServerEvent) {
        let callback = self.shared.borrow_mut().on_server.take();
        if let Some(mut callback) = callback {
            callback(state, scope, event);
            // Unless it set another one meanwhile; then it is dropped outside of the borrow.
            let replaced = {
                let place = &mut self.shared.borrow_mut().on_server;
                match place {
                    Some(_) => Some(callback),
                    None => place.replace(callback),
                }
            };
            drop(replaced);
        }
    }
}

impl<S: 'static> Source<S> for ClientSource<S> {
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), reactor::Error> {
        let mut shared = self.shared.borrow_mut();
        shared.me = Some(me);
        shared.waker = Some(scope.waker());
        shared.pump(scope)?;
        match shared.dial_error {
            None => Ok(()),
            Some(_) => Err(reactor::Error::Invalid("a server cannot be dialled")),
        }
    }

    fn on_event(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError> {
        let closing;
        {
            let shared = &mut *self.shared.borrow_mut();
            closing = event == Event::Notified && shared.closed;
            let handled = match event {
                Event::Socket { tag, .. } => shared.read(scope, tag),
                Event::Timer { .. } => {
                    shared.timer = None;
                    shared.handle_timeout(scope)
                }
                // By a handle that closed the client, or one that has something to deliver.
                Event::Notified if shared.closed => {
                    shared.engine.close();
                    Ok(())
                }
                _ => Ok(()),
            };
            // After an error too, or the timer would not be set again.
            handled.and(shared.pump(scope))?;
        }
        self.shared.borrow_mut().delivering = true;
        self.deliver(state, scope);
        let shared = &mut *self.shared.borrow_mut();
        shared.delivering = false;
        if shared.engine.outstanding() > 0 {
            shared.pump(scope)?;
        }
        if shared.engine.has_ended() {
            // What a callback asked for ended at once: that is for the next turn, or it could go on for ever.
            shared.notify();
        }
        if let Event::Socket { key, .. } = event
            && shared.engine.outstanding() == 0
        {
            scope.leave(key);
        }
        if let (true, Some(me)) = (closing, shared.me) {
            shared.ports.hang_up_all(scope);
            scope.remove_source(me);
        }
        Ok(())
    }
}

impl<S> Drop for ClientSource<S> {
    fn drop(&mut self) {
        // Callbacks may hold handles, which hold what holds the callbacks: cut that, outside of the borrow, since
        // their drop may be foreign code too.
        let callbacks = self.shared.try_borrow_mut().ok().map(|mut shared| {
            shared.closed = true;
            shared.ports.let_go();
            (std::mem::take(&mut shared.on_done), shared.on_server.take())
        });
        drop(callbacks);
        if let Some(context) = self.own_context.take() {
            // Its end waits for the I/O threads, and one may sit in the resolver: that is nothing for the thread of a
            // reactor. Without a second thread it has to be.
            let end = std::thread::Builder::new().name("freelance-client-end".to_owned());
            drop(end.spawn(move || drop(context)));
        }
    }
}

impl<S: 'static> Shared<S> {
    pub(super) fn take_dial_error(&mut self) -> Option<Error> {
        self.dial_error.take()
    }

    /// Has the source look again, from the reactor: to end, or to deliver what a handle brought about.
    pub(super) fn notify(&self) {
        if let (Some(waker), Some(me)) = (&self.waker, self.me) {
            waker.notify(me);
        }
    }

    /// Does what the engine asks for after a request was taken on, unless that is about to be done anyway.
    pub(super) fn pump_soon(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        if self.delivering {
            return Ok(());
        }
        self.pump(scope)?;
        if self.engine.has_ended() {
            self.notify();
        }
        Ok(())
    }

    /// Does what the engine asks for, and sets the timer.
    pub(super) fn pump(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        let now = scope.fresh_now();
        while let Some(action) = self.engine.poll_action(now) {
            match action {
                engine::Action::HangUp { server } => {
                    self.ports.hang_up(scope, server);
                    if self.engine.server(server).is_none() {
                        self.ports.remove(server);
                    }
                }
                engine::Action::Dial { server } => self.dial(scope, server),
                engine::Action::AskName { server } => self.ask_name(scope, server),
                engine::Action::Ping { server } => {
                    if let Err(failure) = self.ports.ping(scope, server) {
                        self.engine.handle_ping_failed(server, failure, now);
                    }
                }
                engine::Action::Send {
                    server,
                    id,
                    attempt,
                } => {
                    if let Err(failure) = self.send(scope, server, id, attempt) {
                        self.engine.handle_send_failed(server, id, failure, now);
                    }
                }
            }
        }
        self.arm(scope)
    }

    /// A timer that fires too early costs less than one that is moved at each request.
    fn arm(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        let (Some(at), Some(me)) = (self.engine.next_deadline(), self.me) else {
            return Ok(());
        };
        match self.timer {
            Some((_, armed_at)) if armed_at <= at => {}
            Some((key, _)) if scope.set_timer(key, at) => self.timer = Some((key, at)),
            _ => self.timer = Some((scope.own_timer(me, TIMER_TAG, at)?, at)),
        }
        Ok(())
    }

    fn store(&mut self, id: RequestId, result: Result<Reply, RequestError>) {
        if self.awaited == Some(id) {
            self.awaited = None;
            self.answer = Some(result);
        } else {
            self.finished.push_back((id, result));
        }
    }
}
