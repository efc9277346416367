//! The command in a directory of its own.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A directory in which `pair.toml` is checked.
pub(crate) struct Rig {
    pub(crate) directory: TempDir,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        Rig {
            directory: tempfile::tempdir().expect("a directory for temporary files"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), bytes).expect("a file is written");
    }

    /// The command, where nothing but its arguments tells it anything.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bstar"));
        command
            .args(args)
            .current_dir(self.path())
            .env("XDG_RUNTIME_DIR", self.path())
            .env_remove("RUST_BACKTRACE");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the command runs")
    }

    /// Checks that `args` are refused with exit code 2 and this line, in which `...` is anything.
    ///
    /// Returns what is not so.
    pub(crate) fn refusal(&self, args: &[&str], line: &str) -> Option<String> {
        refusal(&self.run(args), line)
    }
}

pub(crate) fn refusal(output: &Output, line: &str) -> Option<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let right = output.status.code() == Some(2)
        && output.stdout.is_empty()
        && stderr.lines().count() == 1
        && stderr.ends_with('\n')
        && matches(stderr.trim_end(), line);
    (!right).then(|| format!("{}\n  wanted: {line}\n  stderr: {stderr}", output.status))
}

/// Whether a text is the pattern, in which `...` is anything.
fn matches(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    for (at, piece) in pattern.split("...").enumerate() {
        let found = if at == 0 {
            rest.starts_with(piece).then_some(0)
        } else {
            rest.find(piece)
        };
        match found {
            Some(found) => rest = &rest[found + piece.len()..],
            None => return false,
        }
    }
    rest.is_empty() || pattern.ends_with("...")
}

#[test]
fn a_pattern_is_matched_from_end_to_end() {
    assert!(matches("a: b; c", "a: ...; c"));
    assert!(matches("a: b; c", "a: ..."));
    assert!(!matches("a: b; c", "a: ...; d"));
    assert!(!matches("a: b; c", "a: b"));
    assert!(!matches("x a: b", "a: b"));
}
