//! What happened, for a person to follow.

use std::fmt;

use super::node::{HostId, LinkChange};

/// More lines than this are counted and not kept.
const MAX_ENTRIES: usize = 1_000_000;

/// What happened in one run. Its text is the same, byte for byte, whenever the run is repeated.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    names: Vec<String>,
    entries: Vec<Entry>,
    dropped: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    at_ns: u64,
    host: Option<HostId>,
    what: What,
    /// Nothing came of it.
    dull: bool,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Starts {
        life: u64,
    },
    Gone(&'static str),
    Exits(String),
    Delivered {
        from: HostId,
        text: String,
        sent_ns: u64,
        copy: bool,
    },
    Lost {
        to: HostId,
        text: String,
        why: Loss,
    },
    Duplicated {
        to: HostId,
        text: String,
    },
    Link {
        peer: HostId,
        change: LinkChange,
    },
    Input(String),
    Note(String),
    Begins(String),
    Ends(String),
    Broken(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    Chance,
    Cut,
    NoConnection,
    NoNode,
    Full,
}

impl Timeline {
    pub(super) fn new(names: &[String]) -> Self {
        Self {
            names: names.to_vec(),
            entries: Vec::new(),
            dropped: 0,
        }
    }

    pub(super) fn add(&mut self, at_ns: u64, host: Option<HostId>, what: What) {
        if self.entries.len() >= MAX_ENTRIES {
            self.dropped += 1;
            return;
        }
        self.entries.push(Entry {
            at_ns,
            host,
            what,
            dull: false,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing came of the entry before this length, if nothing was added since.
    pub(super) fn mark_dull(&mut self, len: usize) {
        if self.entries.len() == len
            && let Some(last) = self.entries.last_mut()
        {
            last.dull = true;
        }
    }

    /// The same without what repeats itself: inputs of which nothing came, and messages that were delivered or lost
    /// like the one before on the same link.
    pub fn brief(&self) -> String {
        let hosts = self.names.len();
        let mut last: Vec<Option<&What>> = vec![None; hosts * hosts];
        let mut left_out = self.dropped;
        let mut text = String::new();
        for entry in &self.entries {
            let link = match (&entry.what, entry.host) {
                (What::Delivered { from, .. }, Some(to)) => Some(from * hosts + to),
                (What::Lost { to, .. }, Some(from)) => Some(from * hosts + to),
                _ => None,
            };
            let repeats = link.is_some_and(|link| {
                let before = last[link].replace(&entry.what);
                before.is_some_and(|before| entry.what.is_like(before))
            });
            let dull_input = entry.dull && matches!(entry.what, What::Input(_));
            if dull_input || (repeats && (entry.dull || matches!(entry.what, What::Lost { .. }))) {
                left_out += 1;
            } else {
                text.push_str(&self.line(entry));
            }
        }
        if left_out > 0 {
            text.push_str(&format!(
                "({left_out} lines that repeat others are left out)\n"
            ));
        }
        text
    }

    fn line(&self, entry: &Entry) -> String {
        let name = |host: HostId| self.names.get(host).map_or("?", String::as_str);
        let host = entry.host.map_or("", name);
        let what = match &entry.what {
            What::Starts { life } => format!("starts, life {life}"),
            What::Gone(how) => how.to_string(),
            What::Exits(why) => format!("EXITS by itself: {why}"),
            What::Delivered {
                from,
                text,
                sent_ns,
                copy,
            } => {
                let copy = if *copy { ", a copy" } else { "" };
                let age = Millis(entry.at_ns - sent_ns);
                format!("<- {}: {text} (sent {age} ms ago{copy})", name(*from))
            }
            What::Lost { to, text, why } => format!("-> {}: {text} LOST, {why}", name(*to)),
            What::Duplicated { to, text } => format!("-> {}: {text} DUPLICATED", name(*to)),
            What::Link {
                peer,
                change: LinkChange::Up { connection },
            } => {
                format!("connection {connection} to {} is up", name(*peer))
            }
            What::Link {
                peer,
                change: LinkChange::Down { connection },
            } => {
                format!("connection {connection} to {} is down", name(*peer))
            }
            What::Input(text) => format!("is asked: {text}"),
            What::Note(text) => format!("* {text}"),
            What::Begins(text) => format!("FAULT {text}"),
            What::Ends(text) => format!("OVER  {text}"),
            What::Broken(text) => format!("BROKEN {text}"),
        };
        let width = self.names.iter().map(String::len).max().unwrap_or(0);
        let at = Millis(entry.at_ns).to_string();
        format!("{at:>13} ms  {host:<width$}  {what}\n")
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            f.write_str(&self.line(entry))?;
        }
        match self.dropped {
            0 => Ok(()),
            more => writeln!(f, "({more} more lines were not kept)"),
        }
    }
}

impl What {
    fn is_like(&self, other: &What) -> bool {
        match (self, other) {
            (What::Delivered { text: a, .. }, What::Delivered { text: b, .. }) => a == b,
            (
                What::Lost {
                    text: a, why: x, ..
                },
                What::Lost {
                    text: b, why: y, ..
                },
            ) => a == b && x == y,
            _ => false,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Chance => "by chance",
            Loss::Cut => "the link is cut",
            Loss::NoConnection => "there is no connection",
            Loss::NoNode => "nobody is there",
            Loss::Full => "too many wait",
        })
    }
}

/// Nanoseconds, shown as milliseconds with three decimals.
struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000_000, self.0 % 1_000_000 / 1000)
    }
}
