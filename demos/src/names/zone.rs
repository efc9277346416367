//! The zone: what all names stand for, as a file says it.
//!
//! ```toml
//! ttl_ms = 5000                        # how long clients may keep an answer; 10,000 if not said
//!
//! [test.orders]                        # environment, then name
//! bind = ["tcp://*:6001"]
//! connect = ["tcp://10.0.0.1:6001", "tcp://10.0.0.2:6001"]
//!
//! [production.orders]
//! bind = ["tcp://*:6001"]
//! connect = ["tcp://10.1.0.1:6001"]
//! ttl_ms = 60000                       # for this name alone
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reactor::{Endpoint, EndpointError};
use serde::Deserialize;

use super::{Label, LabelError, MAX_LABEL_BYTES, Name};

/// Bytes of a zone file at most.
pub const MAX_ZONE_BYTES: usize = 1 << 20;
/// Names of a zone at most, over all environments.
pub const MAX_NAMES: usize = 4096;
/// Endpoints of a name at most, to bind and to connect each.
pub const MAX_ENDPOINTS: usize = 16;
/// Bytes of an endpoint at most: as the identity of a server of model 3 it can have no more.
pub const MAX_ENDPOINT_BYTES: usize = 255;
/// How long an answer may be kept at most, a day: what is kept longer nobody can move any more.
pub const MAX_TTL: Duration = Duration::from_secs(24 * 3600);
/// How long an answer may be kept if the zone does not say.
pub const DEFAULT_TTL: Duration = Duration::from_secs(10);

const TTL_KEY: &str = "ttl_ms";

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where the service's own programs bind.
    pub bind: Vec<Endpoint>,
    /// Where clients connect, the one to ask first in front.
    pub connect: Vec<Endpoint>,
    /// How long this may be kept.
    pub ttl: Duration,
}

/// All names, in all environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    environments: BTreeMap<Label, BTreeMap<Label, Record>>,
}

/// What is wrong with the text of a zone. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZoneError {
    /// It has more bytes than are read.
    #[error("it has more than {MAX_ZONE_BYTES} bytes, which is the limit; divide it")]
    TooLarge,
    /// It is no text at all.
    #[error("it is not UTF-8; save it as such")]
    Encoding,
    /// It is not TOML.
    #[error("line {line}: {reason}; mend the line")]
    Syntax {
        /// The line, from 1 on.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// It names nothing: more likely a file that is being written than one that is meant.
    #[error("it has no names; write one, such as [test.orders] with connect = [\"tcp://…\"]")]
    Empty,
    /// It has more names than a zone can.
    #[error("it has more than {MAX_NAMES} names, which is the limit; divide it")]
    TooManyNames,
    /// A setting of the whole zone makes no sense.
    #[error("{key}: {problem}")]
    Setting {
        /// Which.
        key: String,
        /// Why.
        problem: Problem,
    },
    /// An environment makes no sense.
    #[error("environment {environment}: {problem}")]
    Environment {
        /// What it is called.
        environment: String,
        /// Why.
        problem: Problem,
    },
    /// A name makes no sense.
    #[error("name {name} in environment {environment}: {problem}")]
    Name {
        /// In which environment.
        environment: String,
        /// What it is called.
        name: String,
        /// Why.
        problem: Problem,
    },
}

/// What is wrong at one place of a zone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is called what nothing can be called.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// Something else stands where a table belongs.
    #[error("it is no table; write [ENVIRONMENT.NAME] above its bind and connect")]
    NoTable,
    /// Its table has other keys than it may, or values of another kind.
    #[error("{0}; it takes bind and connect, lists of endpoints, and ttl_ms, a number")]
    Fields(String),
    /// It has no endpoint at all.
    #[error("it has no endpoints; give connect or bind, or remove it")]
    NoEndpoints,
    /// It has too many endpoints.
    #[error("{key} has more than {MAX_ENDPOINTS} endpoints, which is the limit; give fewer")]
    TooManyEndpoints {
        /// `bind` or `connect`.
        key: &'static str,
    },
    /// An endpoint is none.
    #[error("{key}: {reason}")]
    Endpoint {
        /// `bind` or `connect`.
        key: &'static str,
        /// Why.
        reason: Unusable,
    },
    /// A time is out of its bounds.
    #[error("ttl_ms must be a number from 1 to 86400000, which is a day")]
    Ttl,
}

/// Why an endpoint cannot stand in a zone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// It does not parse.
    #[error(transparent)]
    Syntax(#[from] EndpointError),
    /// It ends at the border of a process.
    #[error("{0} is for one process alone; use tcp or ipc")]
    Inproc(String),
    /// It is longer than an identity can be.
    #[error("{0}… has more than {MAX_ENDPOINT_BYTES} bytes; use a shorter name")]
    TooLong(String),
    /// It is there already.
    #[error("{0} is given twice; remove one")]
    Twice(String),
}

/// The table of a name, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRecord {
    #[serde(default)]
    bind: Vec<String>,
    #[serde(default)]
    connect: Vec<String>,
    ttl_ms: Option<i64>,
}

impl Zone {
    /// Reads a zone; all of it is right, or nothing of it is used.
    ///
    /// # Errors
    /// [`ZoneError`] says where the first mistake is and what to do.
    pub fn parse(bytes: &[u8]) -> Result<Self, ZoneError> {
        if bytes.len() > MAX_ZONE_BYTES {
            return Err(ZoneError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ZoneError::Encoding)?;
        let mut table: toml::Table = text.parse().map_err(|e| syntax(text, &e))?;
        let default_ttl = match table.remove(TTL_KEY) {
            None => DEFAULT_TTL,
            Some(value) => value
                .as_integer()
                .and_then(ttl)
                .ok_or_else(|| ZoneError::Setting {
                    key: TTL_KEY.to_owned(),
                    problem: Problem::Ttl,
                })?,
        };
        let mut environments = BTreeMap::new();
        let mut names = 0;
        for (key, value) in table {
            let (environment, records) = read_environment(&key, value, default_ttl)?;
            names += records.len();
            if names > MAX_NAMES {
                return Err(ZoneError::TooManyNames);
            }
            environments.insert(environment, records);
        }
        if names == 0 {
            return Err(ZoneError::Empty);
        }
        Ok(Self { environments })
    }

    /// What a name stands for.
    pub fn get(&self, name: &Name) -> Option<&Record> {
        self.environments.get(&name.environment)?.get(&name.service)
    }

    /// Whether there is such an environment.
    pub fn has_environment(&self, environment: &Label) -> bool {
        self.environments.contains_key(environment)
    }

    /// All names, in order; those of one environment if one is given.
    pub fn names<'a>(&'a self, only: Option<&'a Label>) -> impl Iterator<Item = Name> + 'a {
        let wanted = move |environment: &Label| only.is_none_or(|only| only == environment);
        self.environments
            .iter()
            .filter(move |(environment, _)| wanted(environment))
            .flat_map(|(environment, records)| {
                records.keys().map(|service| Name {
                    environment: environment.clone(),
                    service: service.clone(),
                })
            })
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.environments.values().map(BTreeMap::len).sum()
    }

    /// Never: a zone without names is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> ZoneError {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.as_bytes().get(..at).unwrap_or_default();
    ZoneError::Syntax {
        line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        reason: one_line(error.message()),
    }
}

/// A parser's message quotes what it found, which may be anything.
fn one_line(text: &str) -> String {
    const MOST_CHARS: usize = 300;
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(shown).take(MOST_CHARS).collect()
}

/// What was given as a name, short and in one line whatever it is.
fn shown(key: &str) -> String {
    key.escape_debug().take(MAX_LABEL_BYTES + 1).collect()
}

fn read_environment(
    key: &str,
    value: toml::Value,
    default_ttl: Duration,
) -> Result<(Label, BTreeMap<Label, Record>), ZoneError> {
    let wrong = |problem| ZoneError::Environment {
        environment: shown(key),
        problem,
    };
    let environment = Label::new(key).map_err(|error| wrong(error.into()))?;
    let toml::Value::Table(table) = value else {
        return Err(wrong(Problem::NoTable));
    };
    let mut records = BTreeMap::new();
    for (service, value) in table {
        let wrong = |problem| ZoneError::Name {
            environment: shown(key),
            name: shown(&service),
            problem,
        };
        let label = Label::new(&service).map_err(|error| wrong(error.into()))?;
        let record = read_record(value, default_ttl).map_err(wrong)?;
        records.insert(label, record);
    }
    Ok((environment, records))
}

fn read_record(value: toml::Value, default_ttl: Duration) -> Result<Record, Problem> {
    if !value.is_table() {
        return Err(Problem::NoTable);
    }
    let raw: RawRecord = value
        .try_into()
        .map_err(|error: toml::de::Error| Problem::Fields(one_line(error.message())))?;
    let record = Record {
        bind: read_endpoints("bind", &raw.bind, Endpoint::to_bind)?,
        connect: read_endpoints("connect", &raw.connect, Endpoint::to_connect)?,
        ttl: match raw.ttl_ms {
            None => default_ttl,
            Some(ms) => ttl(ms).ok_or(Problem::Ttl)?,
        },
    };
    if record.bind.is_empty() && record.connect.is_empty() {
        return Err(Problem::NoEndpoints);
    }
    Ok(record)
}

fn read_endpoints(
    key: &'static str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<Endpoint, EndpointError>,
) -> Result<Vec<Endpoint>, Problem> {
    if texts.len() > MAX_ENDPOINTS {
        return Err(Problem::TooManyEndpoints { key });
    }
    usable(texts.iter().map(String::as_str), parse)
        .map_err(|reason| Problem::Endpoint { key, reason })
}

/// Endpoints that a name may stand for, whether a file or a server says so.
pub(super) fn usable<'a>(
    texts: impl Iterator<Item = &'a str>,
    parse: impl Fn(&str) -> Result<Endpoint, EndpointError>,
) -> Result<Vec<Endpoint>, Unusable> {
    let mut seen = BTreeSet::new();
    let check = |text: &'a str| {
        if text.len() > MAX_ENDPOINT_BYTES {
            return Err(Unusable::TooLong(text.escape_debug().take(40).collect()));
        }
        let endpoint = parse(text)?;
        if endpoint.is_inproc() {
            return Err(Unusable::Inproc(text.to_owned()));
        }
        if !seen.insert(text) {
            return Err(Unusable::Twice(text.to_owned()));
        }
        Ok(endpoint)
    };
    texts.map(check).collect()
}

/// Milliseconds from 1 to a day.
pub(super) fn ttl(ms: i64) -> Option<Duration> {
    let ttl = Duration::from_millis(u64::try_from(ms).ok()?);
    (!ttl.is_zero() && ttl <= MAX_TTL).then_some(ttl)
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;
