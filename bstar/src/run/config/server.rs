//! The server's process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::given::{Given, Value};
use super::keys::Section;
use super::problem::{Checked, ConfigProblem};
use super::program::Programs;
use super::{ServerConfig, ServerRun};

const START_TIMEOUT_MS: u64 = 30_000;
const STOP_GRACE_MS: u64 = 10_000;
const RESTART_PAUSE_MS: u64 = 100;
const LONGEST_RESTART_PAUSE_MS: u64 = 10_000;
const GIVE_UP_AFTER: u64 = 5;
/// Restarts that an operator may ask for before anybody is told.
const MOST_RESTARTS: u64 = 1000;

pub(super) fn read(document: &mut Document) -> Checked<ServerConfig> {
    let mut fields = document.table_or_empty(Section::Server);
    let run = fields.take("run");
    let given = fields.take("command");
    let directory = fields.optional("directory", directory)?;
    let environment = fields.read("environment", BTreeMap::new(), environment)?;
    let command = given.as_ref().map(Given::command).transpose()?;
    // A server that both nodes start might write to what both share.
    let usual = if command.is_some() {
        ServerRun::Active
    } else {
        ServerRun::None
    };
    let words = [
        ("none", ServerRun::None),
        ("always", ServerRun::Always),
        ("active", ServerRun::Active),
    ];
    let wanted = run.as_ref().map_or(Ok(usual), |run| run.one_of(&words))?;
    match (wanted, &given) {
        (ServerRun::None, Some(given)) => {
            return Err(given.problem(
                "nothing runs it, since run is none; set run to active or always, or take it out",
            ));
        }
        (ServerRun::Always | ServerRun::Active, None) => {
            return Err(fields.site("command").missing());
        }
        _ => {}
    }
    let command = command.unwrap_or_default();
    if let (Some(given), Some(program)) = (&given, command.first()) {
        check_program(given, program, directory.as_deref(), &environment)?;
    }
    let pause = fields.millis("restart_pause_ms", RESTART_PAUSE_MS, 1)?;
    let longest = fields.take("longest_restart_pause_ms");
    let longest_pause = match &longest {
        Some(given) => {
            let longest = given.millis(1)?;
            if longest < pause {
                return Err(given.problem(format_args!(
                    "the longest pause is below the first, restart_pause_ms; give {} or more",
                    pause.as_millis()
                )));
            }
            longest
        }
        None => pause.max(std::time::Duration::from_millis(LONGEST_RESTART_PAUSE_MS)),
    };
    let give_up = |given: &Given| given.number(1..=MOST_RESTARTS);
    let config = ServerConfig {
        run: wanted,
        command,
        directory,
        environment,
        start_timeout: fields.millis("start_timeout_ms", START_TIMEOUT_MS, 1)?,
        stop_grace: fields.millis("stop_grace_ms", STOP_GRACE_MS, 0)?,
        restart_pause: pause,
        longest_restart_pause: longest_pause,
        give_up_after: u32::try_from(fields.read("give_up_after", GIVE_UP_AFTER, give_up)?)
            .unwrap_or(u32::MAX),
    };
    fields.finish();
    Ok(config)
}

fn directory(given: &Given) -> Checked<PathBuf> {
    let path = given.path()?;
    if !path.is_dir() {
        let reason = format!("the directory {} is not there; make it", path.display());
        return Err(given.problem(reason));
    }
    Ok(path)
}

/// By a table in a file, and by a flag for each variable.
fn environment(given: &Given) -> Checked<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    match &given.value {
        Value::Table(table) => {
            for (name, value) in table {
                let Value::Text(text) = &value.value else {
                    return Err(value.problem(format_args!(
                        "the value of {name} is no string; write for example {}",
                        value.site.example()
                    )));
                };
                variables.insert(variable(value, name, text)?, text.clone());
            }
        }
        Value::List(list) => {
            for one in list {
                let (name, text) = match &one.value {
                    Value::Words(words) => words.split_once('=').ok_or_else(|| one.unfit())?,
                    _ => return Err(given.unfit()),
                };
                variables.insert(variable(one, name, text)?, text.to_owned());
            }
        }
        _ => return Err(given.unfit()),
    }
    Ok(variables)
}

fn variable(given: &Given, name: &str, text: &str) -> Checked<String> {
    if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
        return Err(given.problem(format_args!(
            "the variable {name:?} cannot be set; use a name without =, and no NUL characters"
        )));
    }
    Ok(name.to_owned())
}

fn check_program(
    given: &Given,
    program: &str,
    directory: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<(), ConfigProblem> {
    let usual = Programs::default();
    let programs = Programs {
        directory,
        path: environment.get("PATH").cloned().or(usual.path),
    };
    programs
        .check(program)
        .map_err(|reason| given.problem(reason))
}
