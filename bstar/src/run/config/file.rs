//! A file in TOML, read so that every value keeps the line at which it stands.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::document::Document;
use super::given::{Fields, Given, Value};
use super::keys::{self, Key, Section};
use super::problem::{Checked, ConfigProblem, Origin, Site};

/// A larger file is none of ours.
const MAX_BYTES: u64 = 1024 * 1024;
/// How much of a wrong line is shown.
const MAX_SHOWN: usize = 60;
/// Names as alike as this are taken for the same with a typing error.
const LEAST_LIKENESS: f64 = 0.75;

/// Reads a file: its keys are known, their values not yet.
pub(super) fn read(path: &Path) -> Checked<Document> {
    let lines = Lines {
        path: path.into(),
        text: text(path)?,
    };
    let parsed = DeTable::parse(&lines.text).map_err(|error| lines.syntax(&error))?;
    let mut document = Document::new(lines.origin(None));
    let mut top = Fields::new(Section::Top, document.origin.clone());
    for (name, value) in in_order(parsed.get_ref()) {
        let section = Section::ALL
            .into_iter()
            .filter(|section| *section != Section::Top)
            .find(|section| section.name() == name.get_ref());
        match section {
            Some(section) => lines.section(section, name, value, &mut document)?,
            None => lines.entry(&mut top, name, value)?,
        }
    }
    document.tables.insert(Section::Top, top);
    Ok(document)
}

/// The keys as they stand in the file, so that the first mistake is told first.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

fn text(path: &Path) -> Checked<String> {
    let origin = |line| Origin::File {
        path: path.into(),
        line,
    };
    let wrong = |reason: String| ConfigProblem::new(&origin(None), "", &reason);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            wrong(format!(
                "cannot be read: {error}; give the path of a configuration file"
            ))
        })?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong(format!(
            "is longer than {MAX_BYTES} bytes; give the path of a configuration file"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        ConfigProblem::new(
            &origin(Some(line)),
            "",
            "has bytes that are no UTF-8; save the file in UTF-8",
        )
    })
}

/// A file's text, and how a place in it is called.
struct Lines {
    path: Arc<Path>,
    text: String,
}

impl Lines {
    fn origin(&self, at: Option<usize>) -> Origin {
        Origin::File {
            path: self.path.clone(),
            line: at.map(|at| self.line(at)),
        }
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().iter().take(at);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    /// It is no TOML.
    fn syntax(&self, error: &toml::de::Error) -> ConfigProblem {
        // The parser counts an unexpected end of line to the line itself.
        let at = error.span().map_or(self.text.len(), |span| span.start);
        let shown = self.text.lines().nth(self.line(at) - 1).unwrap_or_default();
        let shown: String = shown.trim().chars().take(MAX_SHOWN).collect();
        let message = error.message().replace('\n', "; ");
        let reason = if shown.is_empty() {
            format!("no TOML: {message}")
        } else {
            format!("no TOML: {message}, in the line {shown}")
        };
        ConfigProblem::new(&self.origin(Some(at)), "", &reason)
    }

    /// A table, or a list of tables.
    fn section(
        &self,
        section: Section,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        document: &mut Document,
    ) -> Checked<()> {
        // The span of a table begins at its header.
        let misplaced = |is: &str| {
            let at = value.span().start.min(name.span().start);
            let reason = format!("is {is}; write {}", section.header());
            ConfigProblem::new(&self.origin(Some(at)), section.name(), &reason)
        };
        match value.get_ref() {
            DeValue::Table(table) if !section.is_list() => {
                let fields = self.fields(section, value.span().start, table)?;
                document.tables.insert(section, fields);
            }
            DeValue::Table(_) => {
                return Err(misplaced("one table, and there may be several"));
            }
            DeValue::Array(array) if section.is_list() => {
                for element in array {
                    let DeValue::Table(table) = element.get_ref() else {
                        return Err(misplaced("a list of something else than tables"));
                    };
                    let fields = self.fields(section, element.span().start, table)?;
                    document.lists.entry(section).or_default().push(fields);
                }
            }
            DeValue::Array(_) => return Err(misplaced("a list of tables, and there is one")),
            _ => return Err(misplaced("no table")),
        }
        Ok(())
    }

    fn fields(&self, section: Section, at: usize, table: &DeTable<'_>) -> Checked<Fields> {
        let mut fields = Fields::new(section, self.origin(Some(at)));
        for (name, value) in in_order(table) {
            self.entry(&mut fields, name, value)?;
        }
        Ok(fields)
    }

    fn entry(
        &self,
        fields: &mut Fields,
        name: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Checked<()> {
        let origin = self.origin(Some(name.span().start));
        let name = name.get_ref().as_ref();
        let key = keys::of(fields.section)
            .find(|key| key.name == name)
            .ok_or_else(|| unknown(&origin, fields.section, name))?;
        let given = self.given(key, origin, value);
        fields.entries.insert(key.name, given);
        Ok(())
    }

    fn given(&self, key: &'static Key, origin: Origin, value: &Spanned<DeValue<'_>>) -> Given {
        let inner = |value: &Spanned<DeValue<'_>>| {
            self.given(key, self.origin(Some(value.span().start)), value)
        };
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix());
                parsed.map_or(Value::Other("a number of too many digits"), Value::Number)
            }
            DeValue::Boolean(switch) => Value::Switch(*switch),
            DeValue::Float(_) => Value::Other("a fraction"),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(array) => Value::List(array.iter().map(inner).collect()),
            DeValue::Table(table) => {
                let entries = table.iter().map(|(name, value)| {
                    let at = self.origin(Some(name.span().start));
                    (name.get_ref().to_string(), self.given(key, at, value))
                });
                Value::Table(entries.collect::<BTreeMap<_, _>>())
            }
        };
        Given {
            value,
            site: Site { origin, key },
        }
    }
}

/// A key that is not there: with the one that was meant, if that can be seen.
pub(super) fn unknown(origin: &Origin, section: Section, name: &str) -> ConfigProblem {
    let subject = match (section, origin) {
        (section, Origin::File { .. }) if section != Section::Top => {
            format!("{}.{name}", section.name())
        }
        _ => name.to_owned(),
    };
    let tables = Section::ALL
        .into_iter()
        .filter(|table| *table != Section::Top);
    let known = keys::of(section).map(|key| (key.name, key.name.to_owned()));
    let headers = tables
        .filter(|_| section == Section::Top)
        .map(|table| (table.name(), table.header()));
    let nearest = known
        .chain(headers)
        .map(|(known, shown)| (strsim::jaro_winkler(name, known), shown))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(likeness, _)| *likeness >= LEAST_LIKENESS);
    let mut elsewhere = keys::KEYS.iter().filter(|key| key.name == name);
    // A name that is in several tables may be meant in any.
    let elsewhere = elsewhere.next().filter(|_| elsewhere.next().is_none());
    let hint = match (elsewhere, nearest) {
        (Some(key), _) if key.section == Section::Top => {
            "it belongs to the top, before the first table".to_owned()
        }
        (Some(key), _) => format!("it belongs to {}", key.section.header()),
        (None, Some((_, nearest))) => format!("did you mean {nearest}?"),
        (None, None) => {
            let known: Vec<_> = keys::of(section).map(|key| key.name).collect();
            format!("known here are {}", known.join(", "))
        }
    };
    ConfigProblem::new(origin, &subject, &format!("no such key; {hint}"))
}
