//! The client for many threads: it runs on one of its own, in the background.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use reactor::{Handle, PostError, Reactor, Scope, SendError, Sender};

use super::pending::{Pending, Promise, promise};
use super::source::Body;
use super::{ClientBuilder, ClientHandle, LONGEST};
use crate::{Error, Idempotent, Reply, RequestError, ServerId, ServerStats, Stats};

const CLOSE_BOUND: Duration = Duration::from_secs(1);
/// How often somebody who waits until it is ready looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A client on a thread of its own. Clones speak to the same one, from any thread; it ends when the last of them and of
/// the [`Pending`] requests is gone.
///
/// ```no_run
/// # use std::time::Duration;
/// # use freelance::{Client, Idempotent, Model};
/// let agent = Client::builder(Model::Three).pool(["tcp://192.0.2.1:5555", "tcp://192.0.2.2:5555"]).spawn()?;
/// let timeout = Duration::from_secs(2);
/// let questions: Vec<_> = ["alice", "bob"]
///     .into_iter()
///     .map(|name| agent.submit([name], Idempotent::Yes, timeout))
///     .collect::<Result<_, _>>()?;
/// for question in questions {
///     println!("{:?}", question.wait()?.frames);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

/// What all clones, and the requests under way, keep alive.
struct Inner {
    requests: Sender<Request>,
    handle: Handle<State>,
    limit: usize,
}

struct Request {
    body: Body,
    idempotent: Idempotent,
    deadline: Instant,
    promise: Promise,
}

struct State {
    client: ClientHandle<State>,
    closed: bool,
}

impl Agent {
    /// Sends a request and waits for its reply, at most for `timeout`, however many servers are tried.
    ///
    /// # Errors
    /// See [`RequestError`], which says whether the request may have been executed.
    pub fn request<I>(
        &self,
        frames: I,
        idempotent: Idempotent,
        timeout: Duration,
    ) -> Result<Reply, RequestError>
    where
        I: IntoIterator<Item: Into<Vec<u8>>>,
    {
        self.submit(frames, idempotent, timeout)?.wait()
    }

    /// Sends a request and does not wait.
    ///
    /// # Errors
    /// When as many requests wait for the agent as may be under way, or it has ended: nothing was sent. Limits of the
    /// client itself come with the [`Pending`].
    pub fn submit<I>(
        &self,
        frames: I,
        idempotent: Idempotent,
        timeout: Duration,
    ) -> Result<Pending, Error>
    where
        I: IntoIterator<Item: Into<Vec<u8>>>,
    {
        let (promise, pending) = promise(Arc::clone(&self.inner) as Arc<dyn Send + Sync>);
        let now = Instant::now();
        let request = Request {
            body: frames.into_iter().map(Into::into).collect(),
            idempotent,
            // Too far away to be said is as good as never; the client has a bound of its own.
            deadline: now.checked_add(timeout).unwrap_or(now + LONGEST),
            promise,
        };
        match self.inner.requests.send(request) {
            Ok(()) => Ok(pending),
            Err(SendError::Full(_)) => Err(Error::TooManyOutstanding {
                limit: self.inner.limit,
            }),
            Err(_) => Err(Error::Closed),
        }
    }

    /// Waits until some server is live, at most for `timeout`. A request need not wait for that: it waits itself.
    ///
    /// # Errors
    /// [`Error::NotReady`] when none was.
    pub fn wait_ready(&self, timeout: Duration) -> Result<(), Error> {
        let end = Instant::now().checked_add(timeout);
        loop {
            match self.call(|state, _| state.client.is_ready()) {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Error::Busy) => {}
                Err(error) => return Err(error),
            }
            if end.is_some_and(|end| end <= Instant::now()) {
                return Err(Error::NotReady);
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Adds a server. The lowest tier is asked first.
    ///
    /// # Errors
    /// When the address cannot be used, is known already, or too many are.
    pub fn add_server(&self, endpoint: &str, tier: u32) -> Result<ServerId, Error> {
        let endpoint = endpoint.to_owned();
        self.call(move |state, scope| state.client.add_server(scope, &endpoint, tier))?
    }

    /// Removes a server at once. What waits for its answer is as after the loss of its link.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn remove_server(&self, server: ServerId) -> Result<(), Error> {
        self.call(move |state, scope| state.client.remove_server(scope, server))?
    }

    /// Sends a server nothing more, and removes it when it has answered what it has.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn drain_server(&self, server: ServerId) -> Result<(), Error> {
        self.call(move |state, scope| state.client.drain_server(scope, server))?
    }

    /// Changes the tier of a server, for the requests that come.
    ///
    /// # Errors
    /// [`Error::NoSuchServer`].
    pub fn set_tier(&self, server: ServerId, tier: u32) -> Result<(), Error> {
        self.call(move |state, _| state.client.set_tier(server, tier))?
    }

    /// What is known of each server, by tier.
    ///
    /// # Errors
    /// [`Error::Closed`] when the agent has ended.
    pub fn servers(&self) -> Result<Vec<ServerStats>, Error> {
        self.call(|state, _| state.client.servers())
    }

    /// Counters since the start.
    ///
    /// # Errors
    /// [`Error::Closed`] when the agent has ended.
    pub fn stats(&self) -> Result<Stats, Error> {
        self.call(|state, _| state.client.stats())
    }

    pub(super) fn open(builder: ClientBuilder) -> Result<Self, Error> {
        let (report, opened) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("freelance-agent".to_owned())
            .spawn(move || match prepare(builder) {
                Ok((mut reactor, mut state, agent)) => {
                    // Who asked has gone if this fails, and the agent with it.
                    let _ = report.send(Ok(agent));
                    drop(report);
                    run(&mut reactor, &mut state);
                    drop(state);
                    let _ = reactor.end(CLOSE_BOUND);
                }
                Err(error) => drop(report.send(Err(error))),
            })
            .map_err(Error::Thread)?;
        opened.recv().unwrap_or(Err(Error::Closed))
    }

    /// Has something done on the agent's thread, and waits for what comes of it.
    fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State, &mut Scope<State>) -> R + Send + 'static,
    ) -> Result<R, Error> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.inner
            .handle
            .post(move |state, scope| drop(answer.send(work(state, scope))))
            .map_err(|error| match error {
                PostError::Full => Error::Busy,
                _ => Error::Closed,
            })?;
        answered.recv().map_err(|_| Error::Closed)
    }
}

/// All that lives on the agent's thread, and the first handle to it.
fn prepare(builder: ClientBuilder) -> Result<(Reactor<State>, State, Agent), Error> {
    let mut reactor = Reactor::<State>::builder().signals(false).build()?;
    let client = builder.attach(reactor.scope())?;
    let limit = client.with(|shared| shared.engine.config().max_outstanding);
    let (requests, _) =
        reactor
            .scope()
            .add_channel("requests", limit, |state: &mut State, scope, request| {
                match request {
                    Some(request) => state.begin(scope, request),
                    None => state.close(),
                }
                Ok(())
            })?;
    let inner = Inner {
        requests,
        handle: reactor.handle(),
        limit,
    };
    let state = State {
        client,
        closed: false,
    };
    let agent = Agent {
        inner: Arc::new(inner),
    };
    Ok((reactor, state, agent))
}

fn run(reactor: &mut Reactor<State>, state: &mut State) {
    let done = |state: &mut State| state.closed && state.client.outstanding() == 0;
    if let Err(error) = reactor.run_until(state, done) {
        tracing::error!(%error, "the client's agent has ended");
    }
}

impl State {
    fn begin(&mut self, scope: &mut Scope<Self>, request: Request) {
        let Request {
            body,
            idempotent,
            deadline,
            promise,
        } = request;
        let timeout = deadline.saturating_duration_since(scope.fresh_now());
        let refused = promise.clone();
        let begun = self
            .client
            .request(scope, body, idempotent, timeout, move |_, _, result| {
                promise.keep(result)
            });
        if let Err(error) = begun {
            refused.keep(Err(error.into()));
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.client.close();
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").finish_non_exhaustive()
    }
}
