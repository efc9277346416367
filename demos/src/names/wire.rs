//! What goes between a name server and who asks it: frames of text, as the body of a request.
//!
//! ```text
//! lookup   [name/1 lookup] [ENVIRONMENT] [NAME]
//! answer   [name/1 ok] [TTL] [SERIAL] [COUNT] [endpoint to bind] × COUNT [endpoint to connect] ...
//!      or  [name/1 unknown] [TTL] [SERIAL] [environment | name]
//!
//! list     [name/1 list] ([ENVIRONMENT])
//! answer   [name/1 list] [SERIAL] ([ENVIRONMENT] [NAME]) ...
//!      or  [name/1 unknown] [TTL] [SERIAL] [environment]
//!
//! any      [name/1 error] [REASON]
//! ```
//!
//! TTL is in milliseconds, from 1 to a day. TTL, SERIAL and COUNT are decimal numbers without
//! leading zeros. REASON is a line of printable ASCII. Both sides are strict: what differs from
//! this by one byte is an error, so that it is found in a test and not in a year.

use std::ops::Deref;
use std::time::Duration;

use reactor::Endpoint;

use super::zone::{self, MAX_ENDPOINTS, MAX_NAMES, Record};
use super::{Label, Name};

const LOOKUP: &[u8] = b"name/1 lookup";
const LIST: &[u8] = b"name/1 list";
const OK: &[u8] = b"name/1 ok";
const UNKNOWN: &[u8] = b"name/1 unknown";
const ERROR: &[u8] = b"name/1 error";

/// Bytes of the reason of an error at most.
const MAX_REASON_BYTES: usize = 200;
/// Digits of the greatest number, `u64::MAX`.
const MAX_DIGITS: usize = 20;

/// What a name server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What a name stands for.
    Lookup(Name),
    /// Which names there are, in one environment or in all.
    List(Option<Label>),
}

/// What a name server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What the name stands for.
    Found {
        /// Which zone says so.
        serial: u64,
        /// What it says.
        record: Record,
    },
    /// There is no such name.
    Unknown {
        /// Which zone says so.
        serial: u64,
        /// How long that may be kept.
        ttl: Duration,
        /// Which part of it there is not.
        what: Missing,
    },
    /// The names that there are.
    List {
        /// Which zone says so.
        serial: u64,
        /// In order.
        names: Vec<Name>,
    },
    /// The server did not understand the question.
    Error {
        /// Why, in a line.
        reason: String,
    },
}

/// Which part of a name there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No name is in that environment.
    Environment,
    /// The environment has others.
    Name,
}

/// What came is no message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message of name/1: {0}")]
pub struct Malformed(&'static str);

impl Question {
    /// As it goes over the wire.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Lookup(name) => vec![
                LOOKUP.to_vec(),
                text(&name.environment),
                text(&name.service),
            ],
            Self::List(None) => vec![LIST.to_vec()],
            Self::List(Some(environment)) => vec![LIST.to_vec(), text(environment)],
        }
    }

    /// Reads what a client asks.
    ///
    /// # Errors
    /// When it is not a question, with a reason that the client can be told.
    pub fn parse<F: Deref<Target = [u8]>>(frames: &[F]) -> Result<Self, Malformed> {
        let (verb, rest) = frames.split_first().ok_or(Malformed("it is empty"))?;
        match (&**verb, rest) {
            (LOOKUP, [environment, service]) => Ok(Self::Lookup(Name {
                environment: label(environment)?,
                service: label(service)?,
            })),
            (LOOKUP, _) => Err(Malformed("a lookup takes an environment and a name")),
            (LIST, []) => Ok(Self::List(None)),
            (LIST, [environment]) => Ok(Self::List(Some(label(environment)?))),
            (LIST, _) => Err(Malformed("a list takes one environment or none")),
            _ => Err(Malformed("it asks for neither lookup nor list")),
        }
    }
}

impl Answer {
    /// As it goes over the wire.
    pub fn frames(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Found { serial, record } => {
                let mut frames = vec![
                    OK.to_vec(),
                    text(record.ttl.as_millis()),
                    text(serial),
                    text(record.bind.len()),
                ];
                frames.extend(record.bind.iter().chain(&record.connect).map(text));
                frames
            }
            Self::Unknown { serial, ttl, what } => vec![
                UNKNOWN.to_vec(),
                text(ttl.as_millis()),
                text(serial),
                what.word().to_vec(),
            ],
            Self::List { serial, names } => {
                let mut frames = vec![LIST.to_vec(), text(serial)];
                let parts = names
                    .iter()
                    .flat_map(|name| [text(&name.environment), text(&name.service)]);
                frames.extend(parts);
                frames
            }
            Self::Error { reason } => {
                let printable = |c: &char| *c == ' ' || c.is_ascii_graphic();
                let reason = reason.chars().filter(printable).take(MAX_REASON_BYTES);
                vec![ERROR.to_vec(), reason.collect::<String>().into_bytes()]
            }
        }
    }

    /// Reads what a server answers.
    ///
    /// # Errors
    /// When it is not an answer; nothing of it is used.
    pub fn parse<F: Deref<Target = [u8]>>(frames: &[F]) -> Result<Self, Malformed> {
        let (verb, rest) = frames.split_first().ok_or(Malformed("it is empty"))?;
        match (&**verb, rest) {
            (OK, [ttl_ms, serial, count, endpoints @ ..]) => Ok(Self::Found {
                serial: number(serial)?,
                record: read_record(ttl(ttl_ms)?, number(count)?, endpoints)?,
            }),
            (UNKNOWN, [ttl_ms, serial, what]) => Ok(Self::Unknown {
                serial: number(serial)?,
                ttl: ttl(ttl_ms)?,
                what: Missing::parse(what)?,
            }),
            (LIST, [serial, parts @ ..]) => Ok(Self::List {
                serial: number(serial)?,
                names: read_names(parts)?,
            }),
            (ERROR, [reason]) => Ok(Self::Error {
                reason: read_reason(reason)?,
            }),
            (OK | UNKNOWN | LIST | ERROR, _) => Err(Malformed("frames are missing, or too many")),
            _ => Err(Malformed("its first frame is no answer")),
        }
    }
}

impl Missing {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Environment => b"environment",
            Self::Name => b"name",
        }
    }

    fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        [Self::Environment, Self::Name]
            .into_iter()
            .find(|what| what.word() == frame)
            .ok_or(Malformed("it does not say what is unknown"))
    }
}

fn text(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn label(frame: &[u8]) -> Result<Label, Malformed> {
    Label::from_bytes(frame).ok_or(Malformed(
        "a name or environment takes 1 to 63 of A-Z a-z 0-9 . _ -",
    ))
}

/// Without leading zeros, so that a number has one spelling.
fn number(frame: &[u8]) -> Result<u64, Malformed> {
    let wrong = Malformed("a number is none");
    let is_canonical = match frame {
        [b'0'] => true,
        [first, ..] => *first != b'0' && frame.len() <= MAX_DIGITS,
        [] => false,
    };
    if !is_canonical || !frame.iter().all(u8::is_ascii_digit) {
        return Err(wrong);
    }
    let text = std::str::from_utf8(frame).map_err(|_| wrong)?;
    text.parse().map_err(|_| wrong)
}

fn ttl(frame: &[u8]) -> Result<Duration, Malformed> {
    i64::try_from(number(frame)?)
        .ok()
        .and_then(zone::ttl)
        .ok_or(Malformed("its time to live is not from 1 ms to a day"))
}

fn read_record<F: Deref<Target = [u8]>>(
    ttl: Duration,
    bind_count: u64,
    endpoints: &[F],
) -> Result<Record, Malformed> {
    let (bind, connect) = usize::try_from(bind_count)
        .ok()
        .and_then(|count| endpoints.split_at_checked(count))
        .ok_or(Malformed("it has fewer endpoints than it says"))?;
    if bind.len() > MAX_ENDPOINTS || connect.len() > MAX_ENDPOINTS {
        return Err(Malformed("it has too many endpoints"));
    }
    if endpoints.is_empty() {
        return Err(Malformed("it has no endpoints"));
    }
    Ok(Record {
        bind: read_endpoints(bind, Endpoint::to_bind)?,
        connect: read_endpoints(connect, Endpoint::to_connect)?,
        ttl,
    })
}

fn read_endpoints<F: Deref<Target = [u8]>>(
    frames: &[F],
    parse: impl Fn(&str) -> Result<Endpoint, reactor::EndpointError>,
) -> Result<Vec<Endpoint>, Malformed> {
    let wrong = Malformed("an endpoint is none");
    let texts: Vec<&str> = frames
        .iter()
        .map(|frame| std::str::from_utf8(frame).map_err(|_| wrong))
        .collect::<Result<_, _>>()?;
    zone::usable(texts.into_iter(), parse).map_err(|_| wrong)
}

fn read_names<F: Deref<Target = [u8]>>(parts: &[F]) -> Result<Vec<Name>, Malformed> {
    let (pairs, rest) = parts.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Malformed("a name lacks its other half"));
    }
    if pairs.len() > MAX_NAMES {
        return Err(Malformed("it has too many names"));
    }
    let names = pairs.iter().map(|[environment, service]| {
        Ok(Name {
            environment: label(environment)?,
            service: label(service)?,
        })
    });
    names.collect()
}

fn read_reason(frame: &[u8]) -> Result<String, Malformed> {
    let is_line = frame.iter().all(|b| *b == b' ' || b.is_ascii_graphic());
    match std::str::from_utf8(frame) {
        Ok(text) if is_line && text.len() <= MAX_REASON_BYTES => Ok(text.to_owned()),
        _ => Err(Malformed("its reason is no line of text")),
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
