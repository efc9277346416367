//! All that was given: the file's keys, and over them the flags'.

use std::collections::BTreeMap;
use std::path::Path;

use super::file;
use super::flags::ConfigFlags;
use super::given::Fields;
use super::keys::Section;
use super::problem::{Checked, Origin};

/// The tables of a configuration.
#[derive(Debug)]
pub(super) struct Document {
    /// The whole of it: the file if there is one.
    pub(super) origin: Origin,
    pub(super) tables: BTreeMap<Section, Fields>,
    pub(super) lists: BTreeMap<Section, Vec<Fields>>,
}

impl Document {
    /// Reads the file, if there is one, and puts the flags over it: a flag stands for all that the file gives
    /// for its key, or in place of all tables of its name.
    pub(super) fn read(path: Option<&Path>, flags: &ConfigFlags) -> Checked<Document> {
        let mut document = match path {
            Some(path) => file::read(path)?,
            None => Document::new(Origin::CommandLine),
        };
        flags.put_over(&mut document)?;
        Ok(document)
    }

    pub(super) fn new(origin: Origin) -> Document {
        Document {
            origin,
            tables: BTreeMap::new(),
            lists: BTreeMap::new(),
        }
    }

    /// A table, if anything of it was given.
    pub(super) fn table(&mut self, section: Section) -> Option<Fields> {
        self.tables.remove(&section)
    }

    /// A table of which every key has a default.
    pub(super) fn table_or_empty(&mut self, section: Section) -> Fields {
        let empty = || Fields::new(section, self.origin.clone());
        self.tables.remove(&section).unwrap_or_else(empty)
    }

    pub(super) fn list(&mut self, section: Section) -> Vec<Fields> {
        self.lists.remove(&section).unwrap_or_default()
    }
}
