//! The verdicts of a run, a line each, so that it can go on where it was stopped.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Outcome, ensure};

use super::trial::Verdict;

/// What a run is of; the first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The seed of its plan.
    pub seed: u64,
    /// The heartbeat in ms.
    pub heartbeat_ms: u64,
    /// Whose rules the servers ran.
    pub table: String,
}

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Result {
    /// It was judged.
    Judged(Verdict),
    /// It cannot be made on this machine.
    Skipped(String),
    /// It could not be made.
    Error(String),
}

/// One fault and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the plan.
    pub index: u64,
    /// Its own seed.
    pub seed: u64,
    /// Its kind.
    pub kind: String,
    /// What was done.
    pub action: String,
    /// How often it was repeated since it failed while this machine was away.
    pub repeats: usize,
    /// What became of it.
    pub result: Result,
    /// What happened, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<String>,
}

impl Entry {
    /// Its verdict, if it was judged.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.result {
            Result::Judged(verdict) => Some(verdict),
            Result::Skipped(_) | Result::Error(_) => None,
        }
    }

    /// Why it is no pass; empty when it is one, or was skipped.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        match &self.result {
            Result::Judged(verdict) => verdict.failures.clone(),
            Result::Error(why) => vec![format!("the fault could not be made: {why}")],
            Result::Skipped(_) => Vec::new(),
        }
    }
}

/// A run and its verdicts so far.
#[derive(Debug)]
pub struct Journal {
    /// What it is of.
    pub head: Head,
    /// The verdicts, in the order in which they came.
    pub entries: Vec<Entry>,
    file: Option<File>,
}

impl Journal {
    /// A journal that is kept in memory.
    #[must_use]
    pub fn in_memory(head: Head) -> Self {
        Self {
            head,
            entries: Vec::new(),
            file: None,
        }
    }

    /// Opens a journal to go on with it, or begins one.
    ///
    /// # Errors
    ///
    /// When the file cannot be used, or is of another run.
    pub fn open(path: &Path, head: Head) -> Outcome<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = whole_lines(&text).len();
        let is_new = whole == 0;
        let mut journal = if is_new {
            Self::in_memory(head)
        } else {
            let journal = Self::read(path)?;
            ensure(journal.head == head, || {
                format!(
                    "{shown} is of another run: {:?}, and not {head:?}",
                    journal.head
                )
            })?;
            journal
        };
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| format!("{shown}: {error}"))?;
        // What a crash cut off is written anew.
        file.set_len(whole as u64)
            .map_err(|error| format!("{shown}: {error}"))?;
        if is_new {
            write_line(&mut file, &journal.head)?;
        }
        journal.file = Some(file);
        Ok(journal)
    }

    /// Reads a journal. A last line that was cut off by a crash is left out.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no journal.
    pub fn read(path: &Path) -> Outcome<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let mut lines = whole_lines(&text).lines().enumerate();
        let head = lines.next().map_or("", |(_, line)| line);
        let head = serde_json::from_str(head).map_err(|error| format!("{shown}: {error}"))?;
        let mut journal = Self::in_memory(head);
        for (at, line) in lines {
            let entry = serde_json::from_str(line);
            let entry = entry.map_err(|error| format!("{shown}: line {}: {error}", at + 1))?;
            journal.entries.push(entry);
        }
        Ok(journal)
    }

    /// Whether the fault at this place has its verdict.
    #[must_use]
    pub fn has(&self, index: u64) -> bool {
        self.entries.iter().any(|entry| entry.index == index)
    }

    /// Takes a verdict in.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(&mut self, entry: Entry) -> Outcome<()> {
        if let Some(file) = &mut self.file {
            write_line(file, &entry)?;
        }
        self.entries.push(entry);
        Ok(())
    }
}

fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..=end])
}

fn write_line(file: &mut File, value: &impl Serialize) -> Outcome<()> {
    let mut line = serde_json::to_string(value).map_err(|error| error.to_string())?;
    line.push('\n');
    file.write_all(line.as_bytes())
        .map_err(|error| format!("the journal: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seed: u64) -> Head {
        Head {
            seed,
            heartbeat_ms: 50,
            table: "pair".to_owned(),
        }
    }

    fn entry(index: u64) -> Entry {
        Entry {
            index,
            seed: 3,
            kind: "a kind".to_owned(),
            action: "Pause".to_owned(),
            repeats: 0,
            result: Result::Skipped("no such thing here".to_owned()),
            timeline: None,
        }
    }

    #[test]
    fn a_run_goes_on_where_it_was_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, head(1)).expect("a new journal");
        journal.add(entry(4)).expect("it is written");
        drop(journal);
        // A crash in the midst of a line.
        let mut file = OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("it is there");
        file.write_all(b"{\"index\":").expect("it is written");
        let journal = Journal::open(&path, head(1)).expect("the same journal");
        assert_eq!(journal.entries, [entry(4)]);
        assert!(journal.has(4) && !journal.has(5));
        let mut journal = journal;
        journal.add(entry(5)).expect("it is written");
        let journal = Journal::read(&path).expect("what was cut off is gone");
        assert_eq!(journal.entries, [entry(4), entry(5)]);
        assert!(
            Journal::open(&path, head(2)).is_err(),
            "another seed is another run"
        );
    }
}
