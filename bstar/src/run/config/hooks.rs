//! Hooks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::document::Document;
use super::given::{Given, Value};
use super::keys::{self, Section};
use super::problem::{Checked, Site};
use super::program::Programs;
use super::{HookConfig, HooksConfig};
use crate::core::Config;

const TIMEOUT_MS: u64 = 5000;
/// What a command of a hook may take: who waits longer should start something and let it run.
const LONGEST_MS: u64 = 3600 * 1000;
const TIMEOUT_KEY: &str = "timeout_ms";

/// Reads all hooks. What runs before a change may not take longer than the change waits for it.
pub(super) fn read(document: &mut Document, pair: &Config) -> Checked<HooksConfig> {
    let mut fields = document.table_or_empty(Section::Hooks);
    let usual = Duration::from_millis(TIMEOUT_MS);
    let usual = fields.read(TIMEOUT_KEY, usual, timeout)?;
    let never = Duration::MAX;
    let mut list =
        |name: &str, longest: Duration, waits: &'static str| -> Checked<Vec<HookConfig>> {
            let Some(given) = fields.take(name) else {
                return Ok(Vec::new());
            };
            let reader = Reader {
                usual: usual.min(longest),
                longest,
                waits,
            };
            given
                .list()?
                .iter()
                .map(|given| reader.hook(given))
                .collect()
        };
    let config = HooksConfig {
        before_active: list("before_active", pair.offer_wait(), "offer_wait_ms")?,
        on_active: list("on_active", never, "")?,
        before_passive: list("before_passive", pair.drain(), "drain_ms")?,
        on_passive: list("on_passive", never, "")?,
        on_fault: list("on_fault", never, "")?,
    };
    fields.finish();
    Ok(config)
}

fn timeout(given: &Given) -> Checked<Duration> {
    given.number(1..=LONGEST_MS).map(Duration::from_millis)
}

/// Reads the commands of one hook.
struct Reader {
    usual: Duration,
    longest: Duration,
    /// The key that says for how long this hook is waited for.
    waits: &'static str,
}

impl Reader {
    /// A list of words; a table of one and its timeout; or a flag's line, which may begin with
    /// `timeout_ms=`.
    fn hook(&self, given: &Given) -> Checked<HookConfig> {
        let (command, timeout) = match &given.value {
            Value::Text(text) => {
                return Err(given.problem(format_args!(
                    "{text:?} is a string, and each command is a list of its own; write for example {}",
                    given.site.example()
                )));
            }
            Value::Table(table) => self.table(given, table)?,
            Value::Words(line) => self.line(given, line)?,
            _ => (given.command()?, self.usual),
        };
        let program = command.first().map_or("", String::as_str);
        let found = Programs::default().check(program);
        found.map_err(|reason| given.problem(reason))?;
        Ok(HookConfig { command, timeout })
    }

    fn table(
        &self,
        given: &Given,
        table: &BTreeMap<String, Given>,
    ) -> Checked<(Vec<String>, Duration)> {
        let mut command = None;
        let mut timeout = self.usual;
        for (name, value) in table {
            match name.as_str() {
                "command" => command = Some(value.command()?),
                TIMEOUT_KEY => timeout = self.timeout(value.value.clone(), &value.site)?,
                _ => {
                    return Err(value.problem(format_args!(
                        "no such key as {name}; a command in a table has command and {TIMEOUT_KEY}"
                    )));
                }
            }
        }
        let missing = || {
            given.problem(format_args!(
                "the command is missing; write {{ command = [...], {TIMEOUT_KEY} = ... }}"
            ))
        };
        Ok((command.ok_or_else(missing)?, timeout))
    }

    fn line(&self, given: &Given, line: &str) -> Checked<(Vec<String>, Duration)> {
        let begin = line.trim_start();
        let timed = begin
            .strip_prefix(TIMEOUT_KEY)
            .and_then(|rest| rest.strip_prefix('='));
        let (timeout, line) = match timed {
            Some(rest) => {
                let (number, line) = rest.split_once(' ').unwrap_or((rest, ""));
                let number = Value::Words(number.to_owned());
                (self.timeout(number, &given.site)?, line)
            }
            None => (self.usual, line),
        };
        let given = Given {
            value: Value::Words(line.to_owned()),
            site: given.site.clone(),
        };
        Ok((given.command()?, timeout))
    }

    /// One command's own timeout.
    fn timeout(&self, value: Value, site: &Site) -> Checked<Duration> {
        let key = keys::key(Section::Hooks, TIMEOUT_KEY);
        let site = Site {
            key,
            ..site.clone()
        };
        let given = Given { value, site };
        let timeout = timeout(&given)?;
        if timeout > self.longest {
            return Err(given.problem(format_args!(
                "{} ms is longer than this hook is waited for; give at most {}, {}",
                timeout.as_millis(),
                self.waits,
                self.longest.as_millis()
            )));
        }
        Ok(timeout)
    }
}
