//! What is wrong with a configuration, in one line.

use std::path::Path;
use std::sync::Arc;

use super::keys::Key;

/// A configuration that cannot be run: one line that names the file, the line and the key, or the flag, and
/// says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigProblem(String);

pub(super) type Checked<T> = Result<T, ConfigProblem>;

impl ConfigProblem {
    /// Of something that is no single key.
    pub(super) fn new(origin: &Origin, subject: &str, reason: &str) -> ConfigProblem {
        let place = match origin {
            Origin::File { path, line: None } => format!("{}: ", path.display()),
            Origin::File {
                path,
                line: Some(line),
            } => format!("{}:{line}: ", path.display()),
            Origin::Flag(flag) => format!("{flag}: "),
            Origin::Rest => "-- COMMAND: ".to_owned(),
            Origin::CommandLine => String::new(),
        };
        let subject = if subject.is_empty() {
            String::new()
        } else {
            format!("{subject}: ")
        };
        // A line stays one line whatever a path or a value holds.
        let line = format!("{place}{subject}{reason}").chars().fold(
            String::new(),
            |mut line, character| {
                if character.is_control() {
                    line.extend(character.escape_default());
                } else {
                    line.push(character);
                }
                line
            },
        );
        ConfigProblem(line)
    }
}

/// Where something was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File {
        path: Arc<Path>,
        /// Counted from 1; `None` for what concerns the file as a whole.
        line: Option<usize>,
    },
    Flag(&'static str),
    /// What follows `--`.
    Rest,
    /// The flags together.
    CommandLine,
}

/// Where a key's value was given, or should have been.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) origin: Origin,
    pub(super) key: &'static Key,
}

impl Site {
    pub(super) fn problem(&self, reason: impl std::fmt::Display) -> ConfigProblem {
        let reason = reason.to_string();
        match &self.origin {
            Origin::File { .. } => ConfigProblem::new(&self.origin, &self.key.path(), &reason),
            // The flag of a table holds several keys, and that of a hook's command may have a second.
            Origin::Flag(flag) if self.key.section.is_list() || *flag != self.key.flag_name() => {
                ConfigProblem::new(&self.origin, self.key.name, &reason)
            }
            Origin::Flag(_) | Origin::Rest => ConfigProblem::new(&self.origin, "", &reason),
            Origin::CommandLine => ConfigProblem::new(&self.origin, &self.key.flag(), &reason),
        }
    }

    /// How the key is written here.
    pub(super) fn example(&self) -> String {
        match &self.origin {
            Origin::File { .. } => format!("{} = {}", self.key.name, self.key.example),
            Origin::Flag(_) | Origin::Rest | Origin::CommandLine => self.key.flag_example(),
        }
    }

    pub(super) fn missing(&self) -> ConfigProblem {
        self.problem(format_args!(
            "missing; write for example {}",
            self.example()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_is_named() {
        let origin = Origin::File {
            path: Path::new("a\nb.toml").into(),
            line: Some(3),
        };
        let problem = ConfigProblem::new(&origin, "role", "no\r\nrole");
        assert_eq!(problem.to_string(), r"a\nb.toml:3: role: no\r\nrole");
    }
}
