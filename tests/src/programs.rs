//! Finds the programs under test, freshly built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Outcome, ensure};

/// The path of the program `name`, a binary of the packages `demos` or `bstar`.
///
/// The first call of a test process builds them, for the same target folder and profile as the
/// test itself, so that a test never runs against a program that is stale or missing.
///
/// # Panics
///
/// When the programs do not build, or there is none of that name.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    let build = || build(&["-p", "demos", "-p", "bstar", "--bins"]);
    found(BUILT.get_or_init(build), Path::new(name))
}

/// The same of an example of the package `bstar`.
///
/// # Panics
///
/// As [`program`].
#[must_use]
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    let build = || build(&["-p", "bstar", "--examples"]);
    found(BUILT.get_or_init(build), &Path::new("examples").join(name))
}

/// A `PATH` on which the program `name` is found before all others.
///
/// # Panics
///
/// As [`program`].
#[must_use]
pub fn search_path(name: &str) -> String {
    let program = program(name);
    let folder = program.parent().expect("a program lies in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", folder.display())
}

fn found(built: &Outcome<PathBuf>, name: &Path) -> PathBuf {
    let folder = match built {
        Ok(folder) => folder,
        Err(why) => panic!("{why}"),
    };
    let path = folder.join(name);
    assert!(path.is_file(), "no program {}", path.display());
    path
}

fn build(what: &[&str]) -> Outcome<PathBuf> {
    let executable = std::env::current_exe().expect("a test knows its own executable");
    // TARGET/PROFILE/deps/test, or TARGET/TRIPLE/PROFILE/deps/test when a triple was asked for; a
    // program that is no test lies in PROFILE itself.
    let own = executable.parent().expect("an executable lies in a folder");
    let folder = if name_of(own) == "deps" {
        own.parent()
            .expect("a test's executable lies in PROFILE/deps")
    } else {
        own
    };
    let above = folder.parent().expect("a profile lies in a folder");
    let profile = match name_of(folder) {
        "debug" => "dev",
        other => other,
    };
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--quiet"])
        .args(what)
        .args(["--profile", profile])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // Cargo keeps this in the target folder itself, whoever made the folder.
    if above.join(".rustc_info.json").exists() {
        command.arg("--target-dir").arg(above);
    } else {
        let target = above.parent().expect("a triple lies in a target folder");
        command.arg("--target-dir").arg(target);
        command.args(["--target", name_of(above)]);
    }
    let status = command.status().expect("cargo starts");
    ensure(status.success(), || {
        format!("the programs do not build: {command:?}")
    })?;
    Ok(folder.to_path_buf())
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("cargo names its folders in text")
}
