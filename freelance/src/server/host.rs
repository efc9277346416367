//! The server as a source of a reactor: it moves messages, and the desk decides.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use reactor::{BoxError, Event, Interest, Scope, Source, SourceKey, TimerKey};

use super::desk::Phase;
use super::request::Request;
use super::shared::Shared;
use super::workers::Pool;

/// What executes requests.
pub(super) type Handler<S> = Box<dyn FnMut(&mut S, &mut Scope<S>, Request) -> Result<(), BoxError>>;
/// Told when the server has closed.
pub(super) type OnDrained<S> = Box<dyn FnOnce(&mut S, &mut Scope<S>) -> Result<(), BoxError>>;

/// How long the end of the reactor waits for the last answers to leave.
const END_WITHIN: Duration = Duration::from_secs(2);
/// Requests that are told of a stop in one go.
const REFUSED_AT_ONCE: usize = 1024;

/// Who executes.
pub(super) enum Service<S> {
    Handler(Handler<S>),
    Workers(Pool),
}

/// The ROUTER and its context, from the beginning to the end.
pub(super) enum Link {
    Unregistered(zmq::Socket),
    Registered,
    /// A thread closes it, and hangs up when that is done.
    Closing(Receiver<()>),
}

/// What is registered.
pub(super) struct Host<S> {
    pub(super) shared: Rc<RefCell<Shared>>,
    pub(super) service: Service<S>,
    pub(super) link: Link,
    /// The context, if it is the server's own: to be ended without waiting for it.
    pub(super) own_context: Option<zmq::Context>,
    pub(super) on_drained: Option<OnDrained<S>>,
    pub(super) timer: Option<TimerKey>,
    /// Kept from message to message.
    pub(super) frames: Vec<zmq::Message>,
}

impl<S: 'static> Source<S> for Host<S> {
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), reactor::Error> {
        let Link::Unregistered(socket) = std::mem::replace(&mut self.link, Link::Registered) else {
            return Err(reactor::Error::Invalid("a server is attached once"));
        };
        let key = scope.own_socket(me, 0, socket, Interest::READ)?;
        let mut shared = self.shared.borrow_mut();
        shared.socket = Some(key);
        shared.me = Some(me);
        Ok(())
    }

    fn on_event(
        &mut self,
        state: &mut S,
        scope: &mut Scope<S>,
        event: Event,
    ) -> Result<(), BoxError> {
        self.shared.borrow_mut().see(scope.now());
        let served = match event {
            Event::Socket { .. } => self.serve(state, scope),
            // The time of the drain is up.
            Event::Timer { .. } => {
                self.timer = None;
                self.shared.borrow_mut().desk.close();
                Ok(())
            }
            Event::Stopping => self.refuse_the_rest(scope),
            // Notified: something changed that is looked at below.
            _ => Ok(()),
        };
        self.advance(state, scope).and(served)
    }
}

impl<S: 'static> Host<S> {
    fn serve(&mut self, state: &mut S, scope: &mut Scope<S>) -> Result<(), BoxError> {
        let arrival = {
            let shared = &mut *self.shared.borrow_mut();
            let Some(socket) = shared.socket else {
                return Ok(());
            };
            if !scope.recv(socket, &mut self.frames)? {
                return Ok(());
            }
            let arrival = shared.desk.handle_message(&mut self.frames, scope.now());
            shared.flush(scope);
            arrival
        };
        let Some(arrival) = arrival else {
            return Ok(());
        };
        let request = Request::new(Rc::clone(&self.shared), arrival);
        match &mut self.service {
            Service::Handler(handler) => handler(state, scope, request),
            Service::Workers(pool) => {
                pool.execute(scope, request);
                Ok(())
            }
        }
    }

    /// The run is about to return: whoever waits here is told, so that it goes elsewhere at once.
    fn refuse_the_rest(&mut self, scope: &mut Scope<S>) -> Result<(), BoxError> {
        let shared = &mut *self.shared.borrow_mut();
        let now = scope.now();
        shared.drain(now);
        for _ in 0..REFUSED_AT_ONCE {
            let Some(socket) = shared.socket else {
                return Ok(());
            };
            if !scope.recv(socket, &mut self.frames)? {
                return Ok(());
            }
            // While it drains the desk hands nothing out.
            let refused = shared.desk.handle_message(&mut self.frames, now);
            debug_assert!(refused.is_none(), "a server that drains takes nothing");
            shared.flush(scope);
        }
        Ok(())
    }

    /// Does what the phase asks for.
    fn advance(&mut self, state: &mut S, scope: &mut Scope<S>) -> Result<(), BoxError> {
        if let Link::Closing(ended) = &self.link {
            let me = self.shared.borrow().me;
            if let (Err(TryRecvError::Disconnected), Some(me)) = (ended.try_recv(), me) {
                scope.remove_source(me);
            }
            return Ok(());
        }
        let (phase, under_way, until, me) = {
            let shared = self.shared.borrow();
            let desk = &shared.desk;
            (
                desk.phase(),
                desk.under_way(),
                shared.drain_until,
                shared.me,
            )
        };
        match phase {
            Phase::Serving => Ok(()),
            Phase::Draining if under_way > 0 => {
                if let (None, Some(until), Some(me)) = (self.timer, until, me) {
                    self.timer = Some(scope.own_timer(me, 0, until)?);
                }
                Ok(())
            }
            Phase::Draining => {
                self.refuse_the_rest(scope)?;
                self.finish(state, scope)
            }
            Phase::Closed => self.finish(state, scope),
        }
    }

    /// Closes the socket, behind what is on its way, and tells.
    fn finish(&mut self, state: &mut S, scope: &mut Scope<S>) -> Result<(), BoxError> {
        if let Some(timer) = self.timer.take() {
            scope.cancel_timer(timer);
        }
        let abandoned = match &self.service {
            Service::Handler(_) => None,
            Service::Workers(pool) => Some(pool.abandon()),
        };
        let watchers = {
            let shared = &mut *self.shared.borrow_mut();
            shared.desk.close();
            shared.ended = true;
            let socket = shared.socket.take();
            let socket = socket.and_then(|key| scope.remove_socket(key));
            let notify = shared.me.map(|me| (scope.waker(), me));
            self.link = Link::Closing(close_aside(socket, self.own_context.take(), notify));
            std::mem::take(&mut shared.watchers)
        };
        drop(abandoned);
        for watcher in watchers {
            scope.waker().notify(watcher);
        }
        match self.on_drained.take() {
            Some(on_drained) => on_drained(state, scope),
            None => Ok(()),
        }
    }
}

impl<S> Drop for Host<S> {
    fn drop(&mut self) {
        if let Ok(mut shared) = self.shared.try_borrow_mut() {
            shared.desk.close();
            shared.ended = true;
            shared.socket = None;
        }
        if let Link::Closing(ended) = &self.link {
            // Nothing is ever sent: it waits for the hang-up.
            let _ = ended.recv_timeout(END_WITHIN);
        }
        self.link = Link::Registered;
        if let Some(context) = self.own_context.take() {
            // What is left behind has been logged.
            let _ = reactor::end_context(context, END_WITHIN);
        }
    }
}

/// Closes a socket on a thread of its own, which waits for what is on its way, at most for the socket's linger.
fn close_aside(
    socket: Option<zmq::Socket>,
    context: Option<zmq::Context>,
    notify: Option<(reactor::Waker, SourceKey)>,
) -> Receiver<()> {
    let (done, ended) = mpsc::channel();
    let close = move || {
        drop(socket);
        drop(context);
        drop(done);
        if let Some((waker, me)) = notify {
            waker.notify(me);
        }
    };
    // Without a thread it is closed here and now, with the closure, and the source stays until the reactor ends.
    if let Err(error) = std::thread::Builder::new()
        .name("freelance-end".to_owned())
        .spawn(close)
    {
        tracing::warn!(%error, "no thread to close a server on");
    }
    ended
}
