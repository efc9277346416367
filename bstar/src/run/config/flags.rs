//! The flags: one for each key, made from the list of keys.

use clap::builder::{ArgAction, StyledStr};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::document::Document;
use super::file::unknown;
use super::given::{Fields, Given, Value};
use super::keys::{self, Arity, KEYS, Key, Section};
use super::problem::{Checked, ConfigProblem, Origin, Site};

const PRIMARY: &str = "primary";
const BACKUP: &str = "backup";
/// The id of all that follows `--`.
const COMMAND_LINE: &str = "command_line";

/// The flags that were given, as they were written.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFlags {
    keys: Vec<(&'static Key, Vec<String>)>,
    tables: Vec<(Section, Vec<String>)>,
    /// What follows `--`.
    command: Vec<String>,
}

impl ConfigFlags {
    /// Puts what was given by flags in place of what the file says.
    pub(super) fn put_over(&self, document: &mut Document) -> Checked<()> {
        for (key, words) in &self.keys {
            let site = Site {
                origin: Origin::Flag(key.flag_name()),
                key,
            };
            put(document, given(site, words));
        }
        if !self.command.is_empty() {
            let site = Site {
                origin: Origin::Rest,
                key: keys::key(Section::Server, "command"),
            };
            let words = self.command.iter().cloned().map(Value::Words);
            let list = words.map(|value| Given {
                value,
                site: site.clone(),
            });
            let value = Value::List(list.collect());
            put(document, Given { value, site });
        }
        for (section, texts) in &self.tables {
            let tables = texts.iter().map(|text| table(*section, text));
            document
                .lists
                .insert(*section, tables.collect::<Checked<_>>()?);
        }
        Ok(())
    }
}

fn put(document: &mut Document, given: Given) {
    let key = given.site.key;
    let fields = document
        .tables
        .entry(key.section)
        .or_insert_with(|| Fields::new(key.section, Origin::CommandLine));
    fields.entries.insert(key.name, given);
}

fn given(site: Site, words: &[String]) -> Given {
    let one = |words: &String| Value::Words(words.clone());
    let value = match (site.key.arity, words) {
        (Arity::One | Arity::Switch, [words]) => one(words),
        _ => {
            let each = words.iter().map(|words| Given {
                value: one(words),
                site: site.clone(),
            });
            Value::List(each.collect())
        }
    };
    Given { value, site }
}

/// A table by one flag: `key=value,key=value`.
fn table(section: Section, text: &str) -> Checked<Fields> {
    let flag = section.list_flag().unwrap_or_default();
    let origin = Origin::Flag(flag);
    let mut fields = Fields::new(section, origin.clone());
    for pair in split_at_commas(text) {
        let Some((name, value)) = pair.split_once('=') else {
            let reason = format!(
                "{pair:?} has no value; write key=value,key=value, for example {}",
                keys::of(section)
                    .filter(|key| matches!(key.name, "listen" | "server" | "tcp"))
                    .map(Key::flag_example)
                    .collect::<Vec<_>>()
                    .join(",")
            );
            return Err(ConfigProblem::new(&origin, "", &reason));
        };
        let key = keys::of(section)
            .find(|key| key.name == name.trim())
            .ok_or_else(|| unknown(&origin, section, name.trim()))?;
        let site = Site {
            origin: origin.clone(),
            key,
        };
        let given = Given {
            value: Value::Words(unquoted(key, value).to_owned()),
            site,
        };
        if let Some(earlier) = fields.entries.insert(key.name, given) {
            return Err(earlier.problem("is given twice; give it once"));
        }
    }
    Ok(fields)
}

/// Quotes around a whole value were there for its commas. A command is split further, by its quotes.
fn unquoted<'a>(key: &Key, value: &'a str) -> &'a str {
    let inner = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    inner.filter(|_| key.value != "COMMAND").unwrap_or(value)
}

/// Splits at the commas that no quotes enclose.
fn split_at_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut open = None;
    for character in text.chars() {
        match (open, character) {
            (None, ',') => {
                parts.push(String::new());
                continue;
            }
            (None, '"' | '\'') => open = Some(character),
            (Some(quote), _) if quote == character => open = None,
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

impl Args for ConfigFlags {
    fn augment_args(command: Command) -> Command {
        let mut command = command
            .arg(role(PRIMARY).conflicts_with_all(["--role", BACKUP]))
            .arg(role(BACKUP).conflicts_with_all(["--role", PRIMARY]));
        for section in Section::ALL {
            let heading = match section {
                Section::Top => "The pair",
                Section::Link | Section::SecondLink => "State links",
                Section::Tcp | Section::Zmq => "Front ends",
                Section::Server => "The server's process",
                Section::Health => "Checks of the server's health",
                Section::Hooks => "Hooks",
                Section::ProofOfDeath => "Proof of the peer's death",
            };
            let args: Vec<_> = match section.list_flag() {
                Some(flag) => vec![list_arg(section, flag)],
                None => keys::of(section).map(key_arg).collect(),
            };
            for arg in args {
                command = command.arg(arg.help_heading(heading));
            }
        }
        command.arg(
            Arg::new(COMMAND_LINE)
                .value_name("COMMAND")
                .num_args(1..)
                .last(true)
                .conflicts_with("--server-command")
                .help("The server's program and its arguments, in place of --server-command"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn role(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(StyledStr::from(format!("This node is the {name}")))
}

fn key_arg(key: &'static Key) -> Arg {
    let arg = Arg::new(key.flag_name())
        .long(key.flag_name().trim_start_matches("--"))
        .value_name(key.value)
        // A negative number is a wrong value, not a flag that nobody knows.
        .allow_negative_numbers(matches!(key.value, "MS" | "N"))
        .help(StyledStr::from(help(key)));
    match key.arity {
        Arity::One => arg,
        Arity::Switch => arg.num_args(0..=1).default_missing_value("true"),
        Arity::Many => arg.action(ArgAction::Append),
    }
}

fn help(key: &Key) -> String {
    match key.default {
        "" => key.help.to_owned(),
        default => format!("{} [default: {default}]", key.help),
    }
}

fn list_arg(section: Section, flag: &'static str) -> Arg {
    let what = match section {
        Section::Tcp => "A front end that forwards bytes",
        Section::Zmq => "A front end that forwards ZeroMQ messages",
        _ => "A check, by one of tcp, http, command and zmq",
    };
    let keys: Vec<_> = keys::of(section).map(|key| key.name).collect();
    Arg::new(flag)
        .long(flag.trim_start_matches("--"))
        .value_name("KEY=VALUE,...")
        .action(ArgAction::Append)
        .help(StyledStr::from(format!(
            "{what}; once for each. Keys: {}",
            keys.join(", ")
        )))
}

impl FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = ConfigFlags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let words = |id: &str| -> Option<Vec<String>> {
            let given = matches.value_source(id) == Some(ValueSource::CommandLine);
            let values = matches.try_get_many::<String>(id).ok().flatten();
            values
                .filter(|_| given)
                .map(|values| values.cloned().collect())
        };
        for key in KEYS.iter().filter(|key| !key.section.is_list()) {
            self.keys
                .extend(words(key.flag_name()).map(|words| (key, words)));
        }
        for name in [PRIMARY, BACKUP] {
            if matches.get_flag(name) {
                let role = keys::key(Section::Top, "role");
                self.keys.push((role, vec![name.to_owned()]));
            }
        }
        for section in Section::ALL {
            let texts = section.list_flag().and_then(words);
            self.tables.extend(texts.map(|texts| (section, texts)));
        }
        self.command = words(COMMAND_LINE).unwrap_or_default();
        Ok(())
    }
}
