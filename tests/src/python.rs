//! Finds a Python with the modules that a test needs, for peers, servers and clients in another language.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// The command line of one of the programs in `python/`.
///
/// # Errors
///
/// Why there is none: no interpreter, or one without `zmq`.
pub fn script(name: &str) -> Outcome<Command> {
    script_with(name, "zmq")
}

/// The same for a program that needs another module.
///
/// # Errors
///
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

/// An interpreter that has the module.
///
/// # Errors
///
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
    if status.success() {
        Ok(interpreter)
    } else {
        Err(format!("{} has no module {module}", interpreter.display()))
    }
}
