//! Finds a Python that has what a program in another language needs.
//! Finds a Python with the modules that a test needs, for peers, servers and clients in another language.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Outcome;

/// The command line of one of the programs in `python/`, which needs `zmq`.
///
/// # Errors
///
/// Why there is none: no interpreter, or one without `zmq`.
pub fn script(name: &str) -> Outcome<Command> {
    script_with(name, "zmq")
}

/// The same of one that needs the module `module`.
///
/// # Errors
///
/// Why there is none: no interpreter, or one without that module.
pub fn script_with(name: &str, module: &'static str) -> Outcome<Command> {
    static FOUND: Mutex<BTreeMap<&str, Outcome<()>>> = Mutex::new(BTreeMap::new());
    let interpreter = interpreter();
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let found = found.entry(module);
    found
        .or_insert_with(|| find(&interpreter, module))
        .clone()?;
    let mut command = Command::new(interpreter);
/// The same for a program that needs another module.
/// Why there is none: no interpreter, or one without the module.
pub fn script_with(name: &str, module: &str) -> Outcome<Command> {
    let mut command = Command::new(interpreter(module)?);
    command.arg("-u").arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(name),
    );
    Ok(command)
}

fn interpreter() -> PathBuf {
    if let Some(named) = std::env::var_os("BSTAR_PYTHON") {
        return PathBuf::from(named);
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python3");
    if own.exists() {
        own
    } else {
        PathBuf::from("python3")
    }
}

fn find(interpreter: &Path, module: &str) -> Outcome<()> {
    let status = Command::new(interpreter)
/// An interpreter that has the module.
///
/// # Errors
/// Why there is none: no interpreter, or one without the module.
pub fn interpreter(module: &str) -> Outcome<PathBuf> {
    let interpreter = match std::env::var_os("BSTAR_PYTHON") {
        Some(named) => PathBuf::from(named),
        None => {
            let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python3");
            if own.exists() {
                own
            } else {
                PathBuf::from("python3")
            }
        }
    };
    let status = Command::new(&interpreter)
        .args(["-c", &format!("import {module}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", interpreter.display()))?;
    crate::ensure(status.success(), || {
        format!("{} has no module {module}", interpreter.display())
    })
    if status.success() {
        Ok(interpreter)
    } else {
        Err(format!("{} has no module {module}", interpreter.display()))
    }
}
