//! The client as a source of a reactor: it moves bytes and time, and the core decides.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use reactor::{BoxError, Event, Link, MonitorEvent, Scope, SocketKey, Source, SourceKey, TimerKey};
use tracing::debug;

use super::core::{self, Action, Core, RequestId};
use super::link::Dialler;
use super::{Config, Error, Reply, RequestError};

/// Messages that one server's socket gives up before a time-out is handled, at most, so that a
/// server that floods cannot stop time.
const READ_AHEAD: usize = 1024;
const TIMER_TAG: usize = usize::MAX;

/// Told when an answer comes from another server than the one before.
pub(super) type OnFailover<S> = Box<dyn FnMut(&mut S, &mut Scope<S>, usize, Option<u64>)>;
/// Told how a request ended.
pub(super) type OnDone<S> = Box<dyn FnOnce(&mut S, &mut Scope<S>, Result<Reply, RequestError>)>;

/// What the source and the handles share. It is borrowed only where no foreign code runs.
pub(super) struct Shared<S> {
    pub(super) core: Core,
    config: Config,
    ports: Vec<Port>,
    pub(super) on_done: HashMap<RequestId, OnDone<S>>,
    pub(super) on_failover: Option<OnFailover<S>>,
    me: Option<SourceKey>,
    /// The timer that is set, and to when.
    timer: Option<(TimerKey, Instant)>,
    /// Why the first attempt at a link could not even begin.
    dial_error: Option<Error>,
    /// No request is taken on any more.
    pub(super) closed: bool,
    /// For what is received, so that it is not allocated for each message.
    frames: Vec<zmq::Message>,
}

/// One server as the host sees it.
struct Port {
    dialler: Dialler,
    /// The DEALER and its monitor, while there is a link or an attempt at one.
    sockets: Option<(SocketKey, SocketKey)>,
}

/// What is registered.
pub(super) struct ClientSource<S> {
    shared: Rc<RefCell<Shared<S>>>,
    /// The context, if it is the client's own: to be ended without waiting for it.
    own_context: Option<zmq::Context>,
}

impl<S: 'static> ClientSource<S> {
    pub(super) fn new(
        core: Core,
        config: Config,
        diallers: Vec<Dialler>,
        own_context: Option<zmq::Context>,
    ) -> Self {
        let ports = diallers.into_iter().map(|dialler| Port {
            dialler,
            sockets: None,
        });
        let shared = Shared {
            core,
            config,
            ports: ports.collect(),
            on_done: HashMap::new(),
            on_failover: None,
            me: None,
            timer: None,
            dial_error: None,
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

    /// Hands what ended to the application, whose callbacks may do anything but borrow what is
    /// borrowed here: so nothing is.
    fn deliver(&self, state: &mut S, scope: &mut Scope<S>) {
        loop {
            let event = self.shared.borrow_mut().core.poll_event();
            match event {
                None => return,
                Some(core::Event::Failover { server, epoch }) => {
                    let callback = self.shared.borrow_mut().on_failover.take();
                    if let Some(mut callback) = callback {
                        callback(state, scope, server, epoch);
                        // Unless it set another one meanwhile; then it is dropped outside of the
                        // borrow.
                        let replaced = {
                            let place = &mut self.shared.borrow_mut().on_failover;
                            match place {
                                Some(_) => Some(callback),
                                None => place.replace(callback),
                            }
                        };
                        drop(replaced);
                    }
                }
                Some(core::Event::Done { id, result }) => {
                    let callback = self.shared.borrow_mut().on_done.remove(&id);
                    if let Some(callback) = callback {
                        callback(state, scope, result);
                    }
                }
            }
        }
    }
}

impl<S: 'static> Source<S> for ClientSource<S> {
    fn start(&mut self, scope: &mut Scope<S>, me: SourceKey) -> Result<(), reactor::Error> {
        let mut shared = self.shared.borrow_mut();
        shared.me = Some(me);
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
        {
            let shared = &mut *self.shared.borrow_mut();
            let handled = match event {
                Event::Socket { tag, .. } if tag % 2 == 0 => {
                    shared.receive(scope, tag / 2, 1).map(drop)
                }
                Event::Socket { .. } => shared.read_monitors(scope),
                Event::Timer { .. } => {
                    shared.timer = None;
                    shared.handle_timeout(scope)
                }
                // Only a handle that closed the client notifies.
                Event::Notified => {
                    shared.core.close();
                    Ok(())
                }
                _ => Ok(()),
            };
            // After an error too, or the timer would not be set again.
            handled.and(shared.pump(scope))?;
        }
        self.deliver(state, scope);
        let mut shared = self.shared.borrow_mut();
        if let (Event::Notified, true, Some(me)) = (event, shared.closed, shared.me) {
            (0..shared.ports.len()).for_each(|server| shared.hang_up(scope, server));
            scope.remove_source(me);
        }
        Ok(())
    }
}

impl<S> Drop for ClientSource<S> {
    fn drop(&mut self) {
        // Callbacks may hold handles, which hold what holds the callbacks: cut that, outside of
        // the borrow, since their drop may be foreign code too.
        let callbacks = self.shared.try_borrow_mut().ok().map(|mut shared| {
            shared.closed = true;
            let contexts = shared.ports.drain(..).map(|port| port.dialler.context);
            drop(contexts);
            (
                std::mem::take(&mut shared.on_done),
                shared.on_failover.take(),
            )
        });
        drop(callbacks);
        if let Some(context) = self.own_context.take() {
            // Its end waits for the I/O threads, and one may sit in the resolver: that is nothing
            // for the thread of a reactor. Without a second thread it has to be.
            let end = std::thread::Builder::new().name("bstar-client-end".to_owned());
            drop(end.spawn(move || drop(context)));
        }
    }
}

impl<S: 'static> Shared<S> {
    pub(super) fn take_dial_error(&mut self) -> Option<Error> {
        self.dial_error.take()
    }

    pub(super) fn source(&self) -> Option<SourceKey> {
        self.me
    }

    /// Does what the core asks for, and sets the timer.
    pub(super) fn pump(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        let now = scope.fresh_now();
        while let Some(action) = self.core.poll_action(now) {
            match action {
                Action::HangUp { server } => self.hang_up(scope, server),
                Action::Dial { server } => self.dial(scope, server),
                Action::Send { server, id } => {
                    if !self.send(scope, server, id) {
                        self.core.handle_send_failed(server, id, now);
                    }
                }
            }
        }
        self.arm(scope)
    }

    /// A timer that fires too early costs less than one that is moved at each request.
    fn arm(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        let (Some(at), Some(me)) = (self.core.next_deadline(), self.me) else {
            return Ok(());
        };
        match self.timer {
            Some((_, armed_at)) if armed_at <= at => {}
            Some((key, _)) if scope.set_timer(key, at) => self.timer = Some((key, at)),
            _ => self.timer = Some((scope.own_timer(me, TIMER_TAG, at)?, at)),
        }
        Ok(())
    }

    /// What the network has delivered counts before the clock does: a host that was paused must
    /// not blame the servers.
    fn handle_timeout(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        self.read_monitors(scope)?;
        for server in 0..self.ports.len() {
            self.receive(scope, server, READ_AHEAD)?;
        }
        self.core.handle_timeout(scope.fresh_now());
        Ok(())
    }

    /// Reads at most `limit` messages of a server. Tells how many there were.
    fn receive(
        &mut self,
        scope: &mut Scope<S>,
        server: usize,
        limit: usize,
    ) -> Result<usize, reactor::Error> {
        let Some((dealer, _)) = self.ports[server].sockets else {
            return Ok(0);
        };
        for count in 0..limit {
            if !scope.recv(dealer, &mut self.frames)? {
                return Ok(count);
            }
            self.core
                .handle_message(server, &self.frames, scope.fresh_now());
        }
        Ok(limit)
    }

    /// All monitors, since the links come up in an order of their own.
    fn read_monitors(&mut self, scope: &mut Scope<S>) -> Result<(), reactor::Error> {
        for server in 0..self.ports.len() {
            while let Some((_, monitor)) = self.ports[server].sockets {
                if !scope.recv(monitor, &mut self.frames)? {
                    break;
                }
                let event = MonitorEvent::parse(&self.frames);
                match event.and_then(|event| event.what.link()) {
                    None => {}
                    Some(Link::Up) => {
                        debug!(server, "link is up");
                        self.core.handle_connected(server, scope.fresh_now());
                    }
                    Some(Link::Down) => self.link_down(scope, server)?,
                }
            }
        }
        Ok(())
    }

    /// Answers that came before the end are in the socket still; then it is closed.
    fn link_down(&mut self, scope: &mut Scope<S>, server: usize) -> Result<(), reactor::Error> {
        debug!(server, "link is down");
        while self.receive(scope, server, READ_AHEAD)? == READ_AHEAD {}
        self.core.handle_disconnected(server, scope.fresh_now());
        self.hang_up(scope, server);
        Ok(())
    }

    fn hang_up(&mut self, scope: &mut Scope<S>, server: usize) {
        if let Some((dealer, monitor)) = self.ports[server].sockets.take() {
            drop(scope.remove_socket(dealer));
            drop(scope.remove_socket(monitor));
        }
    }

    fn dial(&mut self, scope: &mut Scope<S>, server: usize) {
        if let Err(error) = self.try_dial(scope, server) {
            debug!(server, %error, "no attempt at a link");
            self.dial_error.get_or_insert(error);
            self.core.handle_disconnected(server, scope.fresh_now());
        }
    }

    fn try_dial(&mut self, scope: &mut Scope<S>, server: usize) -> Result<(), Error> {
        self.hang_up(scope, server);
        let Some(me) = self.me else {
            return Err(Error::Closed);
        };
        let port = &mut self.ports[server];
        let sockets = port.dialler.dial(scope, me, server * 2, &self.config)?;
        port.sockets = Some(sockets);
        Ok(())
    }

    /// Whether the request left.
    fn send(&mut self, scope: &mut Scope<S>, server: usize, id: RequestId) -> bool {
        let Some((dealer, _)) = self.ports[server].sockets else {
            return false;
        };
        let Some(frames) = self.core.frames(id) else {
            return false;
        };
        match scope.send(dealer, frames) {
            Ok(()) => true,
            Err(error) => {
                debug!(server, %error, "request cannot leave");
                false
            }
        }
    }
}
