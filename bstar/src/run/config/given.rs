//! What was given, by the file or by flags, before it is known to be right.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::{self, Key, Section};
use super::problem::{Checked, ConfigProblem, Origin, Site};

/// A day: what anybody may wait for.
const LONGEST_MS: u64 = 24 * 3600 * 1000;

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(i128),
    Switch(bool),
    List(Vec<Given>),
    Table(BTreeMap<String, Given>),
    /// What follows a flag; it becomes what is wanted.
    Words(String),
    /// What no key takes, by its name.
    Other(&'static str),
}

/// The value of a key.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) site: Site,
}

impl Given {
    pub(super) fn problem(&self, reason: impl std::fmt::Display) -> ConfigProblem {
        self.site.problem(reason)
    }

    /// The value is of another type.
    pub(super) fn unfit(&self) -> ConfigProblem {
        let is = match &self.value {
            Value::Text(_) => "a string".to_owned(),
            Value::Number(_) => "a number".to_owned(),
            Value::Switch(_) => "true or false".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::Words(words) => format!("{words:?}"),
            Value::Other(is) => (*is).to_owned(),
        };
        self.problem(format_args!(
            "is {is}; write for example {}",
            self.site.example()
        ))
    }

    /// A text that is not empty.
    pub(super) fn text(&self) -> Checked<&str> {
        match &self.value {
            Value::Text(text) | Value::Words(text) if text.trim().is_empty() => Err(self.problem(
                format_args!("is empty; write for example {}", self.site.example()),
            )),
            Value::Text(text) | Value::Words(text) if text.contains('\0') => {
                Err(self.problem("has a NUL character in it; take it out"))
            }
            Value::Text(text) | Value::Words(text) => Ok(text),
            _ => Err(self.unfit()),
        }
    }

    /// A text, read by something that says what is wrong with it.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Checked<T> {
        parse(self.text()?).map_err(|reason| self.problem(reason))
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&self, words: &[(&str, T)]) -> Checked<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.problem(format_args!(
                "{text:?} is not known here; write {}",
                all.join(" or ")
            ))
        })
    }

    pub(super) fn path(&self) -> Checked<PathBuf> {
        self.text().map(PathBuf::from)
    }

    pub(super) fn switch(&self) -> Checked<bool> {
        match &self.value {
            Value::Switch(switch) => Ok(*switch),
            Value::Words(words) => words.parse().map_err(|_| self.unfit()),
            _ => Err(self.unfit()),
        }
    }

    /// A whole number.
    pub(super) fn number(&self, range: RangeInclusive<u64>) -> Checked<u64> {
        let number = match &self.value {
            Value::Number(number) => *number,
            Value::Words(words) => words.parse::<i128>().map_err(|_| self.unfit())?,
            _ => return Err(self.unfit()),
        };
        let wrong = |what| {
            let example = self.site.example();
            Err(self.problem(format_args!(
                "{number} is {what}; write for example {example}"
            )))
        };
        if number < 0 {
            return wrong("negative");
        }
        if number > i128::from(u64::MAX) {
            return wrong("too large");
        }
        let fits = u64::try_from(number)
            .ok()
            .filter(|number| range.contains(number));
        fits.ok_or_else(|| {
            let (least, most) = range.into_inner();
            self.problem(format_args!(
                "{number} is out of range: it goes from {least} to {most}"
            ))
        })
    }

    /// Milliseconds, from so many to a day.
    pub(super) fn millis(&self, least: u64) -> Checked<Duration> {
        self.number(least..=LONGEST_MS).map(Duration::from_millis)
    }

    /// The values of a list; a flag that is given once is a list of one.
    pub(super) fn list(self) -> Checked<Vec<Given>> {
        match self.value {
            Value::List(list) => Ok(list),
            _ => Err(self.unfit()),
        }
    }

    /// A program and its arguments: a list of strings, or a line quoted as for a shell.
    pub(super) fn command(&self) -> Checked<Vec<String>> {
        let words = match &self.value {
            Value::List(list) => list
                .iter()
                .map(|word| match &word.value {
                    Value::Text(text) | Value::Words(text) if !text.contains('\0') => {
                        Ok(text.clone())
                    }
                    _ => Err(word.unfit()),
                })
                .collect::<Checked<Vec<_>>>()?,
            Value::Words(line) => self.split(line)?,
            _ => return Err(self.unfit()),
        };
        match words.first() {
            Some(program) if !program.is_empty() => Ok(words),
            _ => Err(self.problem(format_args!(
                "the command is empty; write for example {}",
                self.site.example()
            ))),
        }
    }

    pub(super) fn split(&self, line: &str) -> Checked<Vec<String>> {
        shlex::split(line).ok_or_else(|| {
            self.problem(format_args!(
                "the quotes in {line:?} do not come in pairs; close the open one"
            ))
        })
    }
}

/// The keys of one table, taken out as they are read.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) section: Section,
    /// Of its header.
    pub(super) origin: Origin,
    pub(super) entries: BTreeMap<&'static str, Given>,
}

impl Fields {
    pub(super) fn new(section: Section, origin: Origin) -> Fields {
        Fields {
            section,
            origin,
            entries: BTreeMap::new(),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Given> {
        self.entries.remove(self.key(name).name)
    }

    pub(super) fn need(&mut self, name: &str) -> Checked<Given> {
        self.take(name).ok_or_else(|| self.site(name).missing())
    }

    /// What a key says, or what is right without it.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        default: T,
        read: impl FnOnce(&Given) -> Checked<T>,
    ) -> Checked<T> {
        self.take(name).map_or(Ok(default), |given| read(&given))
    }

    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Given) -> Checked<T>,
    ) -> Checked<Option<T>> {
        self.take(name).map(|given| read(&given)).transpose()
    }

    pub(super) fn millis(&mut self, name: &str, default: u64, least: u64) -> Checked<Duration> {
        self.read(name, Duration::from_millis(default), |given| {
            given.millis(least)
        })
    }

    /// Something is wrong with the table as a whole.
    pub(super) fn problem(&self, reason: &str) -> ConfigProblem {
        let subject = match self.origin {
            Origin::File { .. } => self.section.name(),
            Origin::Flag(_) | Origin::Rest | Origin::CommandLine => "",
        };
        ConfigProblem::new(&self.origin, subject, reason)
    }

    /// Where a key that is not given should have been, or would be.
    pub(super) fn site(&self, name: &str) -> Site {
        let key = self.key(name);
        let origin = match &self.origin {
            Origin::CommandLine => Origin::Flag(key.flag_name()),
            origin => origin.clone(),
        };
        Site { origin, key }
    }

    fn key(&self, name: &str) -> &'static Key {
        keys::key(self.section, name)
    }

    /// All was read.
    pub(super) fn finish(self) {
        debug_assert!(self.entries.is_empty(), "nothing reads {:?}", self.entries);
    }
}
