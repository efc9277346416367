//! The client of the name service.

use std::fmt;
use std::time::{Duration, Instant};

use freelance::{Agent, Client, ClientBuilder, Config, Idempotent, Model, RequestError};

use super::cache::{Cache, Known, Look};
use super::wire::{Answer, Malformed, Missing, Question};
use super::{Label, Name, Record};

/// How a [`Resolver`] treats time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResolverConfig {
    /// How long a call waits for an answer at most, over all name servers, 5 s.
    pub timeout: Duration,
    /// How much longer than its time to live an answer is used while nobody answers, an hour: an
    /// old address is most likely right, and none is of no use.
    pub stale_for: Duration,
    /// How long nobody is asked again after that, 1 s: a call that gets an old answer need not
    /// wait for the time-out each time.
    pub retry: Duration,
}

impl ResolverConfig {
    /// The defaults, which are said at each field.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            stale_for: Duration::from_secs(3600),
            retry: Duration::from_secs(1),
        }
    }
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// What a name stands for, and how sure that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What it stands for.
    pub record: Record,
    /// Which zone says so.
    pub serial: u64,
    /// Where the answer is from.
    pub origin: Origin,
}

/// Where an answer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A name server, just now.
    Server,
    /// The cache, within its time to live.
    Cache,
    /// The cache, beyond its time to live: no name server answers. It may be wrong.
    Stale,
}

/// Why a name could not be resolved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The name service knows the environment and not the name, or not even that.
    #[error("{}", unknown(name, *what))]
    Unknown {
        /// What was asked for.
        name: Name,
        /// Which part of it there is not.
        what: Missing,
    },
    /// There is no such environment to list.
    #[error("no environment is called {0}")]
    UnknownEnvironment(Label),
    /// No name server answered, and nothing is known from before.
    #[error("no name server answered: {0}")]
    Unanswered(#[from] RequestError),
    /// The name server did not understand the question.
    #[error("the name server refuses: {reason}")]
    Refused {
        /// Why, as it says.
        reason: String,
    },
    /// What answered is no name server, or one of another version.
    #[error("who answered is no name server of this version: {0}")]
    Malformed(#[from] Malformed),
    /// An answer to another question than the one that was asked.
    #[error("the name server answered another question")]
    Mismatched,
}

fn unknown(name: &Name, what: Missing) -> String {
    match what {
        Missing::Environment => {
            let environment = &name.environment;
            format!("no name is {name}: there is no environment {environment}")
        }
        Missing::Name => format!("no name is {name}"),
    }
}

/// Who carries a question to a name server: a [`Client`], an [`Agent`], or something for a test.
pub trait Ask {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When none came.
    fn ask(
        &mut self,
        frames: Vec<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, RequestError>;
}

impl Ask for Client {
    fn ask(
        &mut self,
        frames: Vec<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, RequestError> {
        // To ask is to read: it does no harm to do so twice.
        Ok(self.request(frames, Idempotent::Yes, timeout)?.frames)
    }
}

impl Ask for Agent {
    fn ask(
        &mut self,
        frames: Vec<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Vec<Vec<u8>>, RequestError> {
        Ok(self.request(frames, Idempotent::Yes, timeout)?.frames)
    }
}

/// What a client of name servers is told: the one to ask first in front.
pub fn name_client<I>(servers: I) -> ClientBuilder
where
    I: IntoIterator<Item: Into<String>>,
{
    let mut config = Config::new(Model::Three);
    // An answer takes a name server no time at all; who waits for a name waits for everything.
    config.attempt_timeout = Duration::from_millis(300);
    Client::builder(Model::Three)
        .config(config)
        .servers(servers)
}

/// Resolves names, and remembers what they stand for as long as the name service allows.
///
/// ```no_run
/// use demos::names::{Name, Resolver, ResolverConfig, name_client};
///
/// let client = name_client(["tcp://192.0.2.1:5300", "tcp://192.0.2.2:5300"]).connect()?;
/// let mut names = Resolver::new(client, ResolverConfig::new());
/// let orders = names.resolve(&Name::new("test", "orders")?)?;
/// for endpoint in &orders.record.connect {
///     println!("{endpoint}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Resolver<A> {
    asker: A,
    config: ResolverConfig,
    cache: Cache,
}

impl<A: Ask> Resolver<A> {
    /// A resolver that has asked nothing yet.
    pub fn new(asker: A, config: ResolverConfig) -> Self {
        let cache = Cache::new(config.stale_for, config.retry);
        Self {
            asker,
            config,
            cache,
        }
    }

    /// What a name stands for: from the cache while that may be used, else from a name server.
    ///
    /// # Errors
    /// When there is no such name, or that cannot be found out.
    pub fn resolve(&mut self, name: &Name) -> Result<Resolved, ResolveError> {
        self.resolve_at(name, Instant::now())
    }

    /// As [`resolve`](Self::resolve), begun at `now`.
    fn resolve_at(&mut self, name: &Name, now: Instant) -> Result<Resolved, ResolveError> {
        match self.cache.look(name, now) {
            Look::Fresh(known) => return resolved(name, known, Origin::Cache),
            Look::Stale(known) => return resolved(name, known, Origin::Stale),
            Look::Ask => {}
        }
        match self.look_up(name) {
            Ok(known) => {
                let answer = resolved(name, &known, Origin::Server);
                self.cache.keep(name.clone(), known, now);
                answer
            }
            Err(error) => match self.cache.unanswered(name, now) {
                Some(known) => {
                    tracing::warn!(%name, %error, "an old answer has to do");
                    resolved(name, known, Origin::Stale)
                }
                None => Err(error),
            },
        }
    }

    /// The names that there are, in one environment or in all. Always from a name server.
    ///
    /// # Errors
    /// When there is no such environment, or that cannot be found out.
    pub fn list(&mut self, environment: Option<&Label>) -> Result<Vec<Name>, ResolveError> {
        match (
            self.ask(&Question::List(environment.cloned()))?,
            environment,
        ) {
            (Answer::List { names, .. }, _) => Ok(names),
            (Answer::Unknown { .. }, Some(environment)) => {
                Err(ResolveError::UnknownEnvironment(environment.clone()))
            }
            (Answer::Error { reason }, _) => Err(ResolveError::Refused { reason }),
            (Answer::Found { .. } | Answer::Unknown { .. }, _) => Err(ResolveError::Mismatched),
        }
    }

    /// Who asks.
    pub fn asker(&self) -> &A {
        &self.asker
    }

    fn look_up(&mut self, name: &Name) -> Result<Known, ResolveError> {
        known(self.ask(&Question::Lookup(name.clone()))?)
    }

    fn ask(&mut self, question: &Question) -> Result<Answer, ResolveError> {
        let reply = self.asker.ask(question.frames(), self.config.timeout)?;
        Ok(Answer::parse(&reply)?)
    }
}

/// What an answer to a lookup says.
pub(super) fn known(answer: Answer) -> Result<Known, ResolveError> {
    match answer {
        Answer::Found { serial, record } => Ok(Known::Found { serial, record }),
        Answer::Unknown { ttl, what, .. } => Ok(Known::Unknown { ttl, what }),
        Answer::Error { reason } => Err(ResolveError::Refused { reason }),
        Answer::List { .. } => Err(ResolveError::Mismatched),
    }
}

fn resolved(name: &Name, known: &Known, origin: Origin) -> Result<Resolved, ResolveError> {
    match known {
        Known::Found { serial, record } => Ok(Resolved {
            record: record.clone(),
            serial: *serial,
            origin,
        }),
        Known::Unknown { what, .. } => Err(ResolveError::Unknown {
            name: name.clone(),
            what: *what,
        }),
    }
}

impl<A> fmt::Debug for Resolver<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("config", &self.config)
            .field("names", &self.cache.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
