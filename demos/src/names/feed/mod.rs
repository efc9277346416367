//! Keeps the servers of a client equal to what a name stands for, while it runs.
//!
//! An application that is to reach a service gives its client no servers, but has it fed:
//!
//! ```no_run
//! use demos::names::{Feed, FeedConfig, Name, name_client};
//! use freelance::{Client, Model};
//!
//! let orders = Client::builder(Model::Three).spawn()?;
//! let feed = Feed::spawn(
//!     name_client(["tcp://192.0.2.1:5300", "tcp://192.0.2.2:5300"]),
//!     orders.clone(),
//!     Name::new("test", "orders")?,
//!     FeedConfig::new(),
//! )?;
//! // Requests wait for the first server, as they do for any that is not there yet.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whenever the zone changes, within the name's time to live: servers that are new are added; when
//! one of them is live, those that are no more in the zone are drained, so that what they have
//! under way is answered and nothing new is sent to them. No request fails for it.
//!
//! - **The list is the feed's.** What somebody else adds to it is drained by the next answer.
//! - **The name service is no single point of failure.** While it does not answer, or does not
//!   know the name, the list stays as it is, for as long as that takes.
//! - If none of the new servers comes up, the old ones go after [`FeedConfig::patience`] all the
//!   same: the zone has the last word.

mod core;
mod host;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use freelance::{Agent, ClientBuilder, ClientHandle, Error, ServerId, ServerStats};
use reactor::{Reactor, Scope, Waker};

use self::core::Core;
use self::host::{Host, Shared};
use super::Name;

const CLOSE_BOUND: Duration = Duration::from_secs(1);

/// In which order the endpoints of a name are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// The first in the zone gets all requests while it is well; each has a tier of its own.
    InOrder,
    /// They share the requests.
    Pool,
}

/// How a feed treats its list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedConfig {
    /// In which order the servers are asked: as the zone has them.
    pub share: Share,
    /// How long old servers are kept for new ones of which none is live, 5 s.
    pub patience: Duration,
    /// How long a question to the name service may take, over all its servers, 5 s.
    pub timeout: Duration,
    /// How soon it is asked again when it did not answer, and a change tried again that could not
    /// be made, 1 s.
    pub retry: Duration,
}

impl FeedConfig {
    /// The defaults, which are said at each field.
    #[must_use]
    pub fn new() -> Self {
        Self {
            share: Share::InOrder,
            patience: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            retry: Duration::from_secs(1),
        }
    }
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// How a feed stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedStatus {
    /// The zone that the list is made after; none before the first answer.
    pub serial: Option<u64>,
    /// Whether the list was as it should be when last looked at.
    pub is_settled: bool,
    /// What went wrong at last, until it goes well.
    pub trouble: Option<String>,
}

/// Whose servers can be fed.
///
/// An [`Agent`] answers from its own thread, and is waited for: at once, unless it is very busy.
pub trait Fed<S> {
    /// What is known of each server.
    ///
    /// # Errors
    /// When the client has ended.
    fn servers(&self) -> Result<Vec<ServerStats>, Error>;
    /// Adds a server.
    ///
    /// # Errors
    /// When it cannot be used, is known already, or too many are.
    fn add(&self, scope: &mut Scope<S>, endpoint: &str, tier: u32) -> Result<(), Error>;
    /// Changes the tier of a server.
    ///
    /// # Errors
    /// When it is not known.
    fn set_tier(&self, server: ServerId, tier: u32) -> Result<(), Error>;
    /// Sends a server nothing more, and removes it when it has answered.
    ///
    /// # Errors
    /// When it is not known.
    fn drain(&self, scope: &mut Scope<S>, server: ServerId) -> Result<(), Error>;
}

impl<S: 'static> Fed<S> for ClientHandle<S> {
    fn servers(&self) -> Result<Vec<ServerStats>, Error> {
        Ok(self.servers())
    }

    fn add(&self, scope: &mut Scope<S>, endpoint: &str, tier: u32) -> Result<(), Error> {
        self.add_server(scope, endpoint, tier).map(drop)
    }

    fn set_tier(&self, server: ServerId, tier: u32) -> Result<(), Error> {
        self.set_tier(server, tier)
    }

    fn drain(&self, scope: &mut Scope<S>, server: ServerId) -> Result<(), Error> {
        self.drain_server(scope, server)
    }
}

impl<S> Fed<S> for Agent {
    fn servers(&self) -> Result<Vec<ServerStats>, Error> {
        self.servers()
    }

    fn add(&self, _scope: &mut Scope<S>, endpoint: &str, tier: u32) -> Result<(), Error> {
        self.add_server(endpoint, tier).map(drop)
    }

    fn set_tier(&self, server: ServerId, tier: u32) -> Result<(), Error> {
        self.set_tier(server, tier)
    }

    fn drain(&self, _scope: &mut Scope<S>, server: ServerId) -> Result<(), Error> {
        self.drain_server(server)
    }
}

/// A feed on a thread of its own. It ends when this is dropped; the servers stay as they are then.
#[derive(Debug)]
pub struct Feed {
    waker: Waker,
    /// Taken by the drop.
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Feeds a client on its thread, from one of its own, which asks by a client that `names` says.
    /// The fed client goes on for as long as its feed, even if nobody else has a handle to it.
    ///
    /// # Errors
    /// When the client of the name service cannot be built, or the system refuses a thread.
    pub fn spawn(
        names: ClientBuilder,
        fed: Agent,
        name: Name,
        config: FeedConfig,
    ) -> Result<Self, Error> {
        let (report, opened) = mpsc::sync_channel(1);
        let run = move || {
            let prepare = || -> Result<Reactor<()>, Error> {
                let mut reactor = reactor::Builder::new().signals(false).build()?;
                let names = names.attach(reactor.scope())?;
                Self::attach(reactor.scope(), names, fed, name, config)?;
                Ok(reactor)
            };
            match prepare() {
                Ok(mut reactor) => {
                    let _ = report.send(Ok(reactor.handle().waker()));
                    if let Err(error) = reactor.run(&mut ()) {
                        tracing::error!(%error, "the feed has ended");
                    }
                    let _ = reactor.end(CLOSE_BOUND);
                }
                // Who asked waits for this.
                Err(error) => drop(report.send(Err(error))),
            }
        };
        let thread = std::thread::Builder::new()
            .name("name-feed".to_owned())
            .spawn(run)
            .map_err(Error::Thread)?;
        let waker = opened.recv().unwrap_or(Err(Error::Closed))?;
        Ok(Self {
            waker,
            thread: Some(thread),
        })
    }

    /// Feeds a client, asking by another one on the same reactor.
    ///
    /// # Errors
    /// When the reactor takes no further source.
    pub fn attach<S: 'static>(
        scope: &mut Scope<S>,
        names: ClientHandle<S>,
        fed: impl Fed<S> + 'static,
        name: Name,
        config: FeedConfig,
    ) -> Result<FeedHandle, reactor::Error> {
        let timeout = config.timeout;
        let core = Core::new(config, scope.fresh_now());
        let shared = Rc::new(RefCell::new(Shared::new(core, scope.waker())));
        let host = Host {
            shared: Rc::clone(&shared),
            names,
            fed: Box::new(fed),
            name,
            timeout,
            timer: None,
        };
        scope.add_source("name feed", host)?;
        Ok(FeedHandle { shared })
    }
}

/// The end takes no longer than the sockets may, whatever the name servers do.
impl Drop for Feed {
    fn drop(&mut self) {
        self.waker.stop();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// A feed on a reactor. Clones speak to the same one; to drop it changes nothing.
#[derive(Clone)]
pub struct FeedHandle {
    shared: Rc<RefCell<Shared>>,
}

impl FeedHandle {
    /// How it stands.
    pub fn status(&self) -> FeedStatus {
        self.shared.borrow().status()
    }

    /// Asks at once what the name stands for.
    pub fn refresh<S: 'static>(&self, scope: &mut Scope<S>) {
        self.shared.borrow_mut().refresh(scope.fresh_now());
    }

    /// Ends the feed. The servers stay as they are.
    pub fn close(&self) {
        self.shared.borrow_mut().close();
    }
}

impl fmt::Debug for FeedHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FeedHandle").field(&self.status()).finish()
    }
}
