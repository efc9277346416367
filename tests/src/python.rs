//! Finds a Python with `zmq`, for the peers in another language.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::Outcome;

/// The command line of one of the programs in `python/`.
///
/// # Errors
///
/// Why there is none: no interpreter, or one without `zmq`.
pub fn script(name: &str) -> Outcome<Command> {
    static FOUND: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    let interpreter = FOUND.get_or_init(find).clone()?;
    let mut command = Command::new(interpreter);
    command.arg("-u").arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join(name),
    );
    Ok(command)
}

fn find() -> Outcome<PathBuf> {
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
        .args(["-c", "import zmq"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", interpreter.display()))?;
    if status.success() {
        Ok(interpreter)
    } else {
        Err(format!("{} has no module zmq", interpreter.display()))
    }
}
