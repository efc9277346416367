//! CZMQ's zloop: a program in C, compiled when it is needed, for the library that is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = include_str!("zloop.c");

/// Compiles the program into Cargo's folder for such things; says what is missing if it cannot.
pub(crate) fn compile() -> Result<PathBuf, String> {
    let flags = run(Command::new("pkg-config").args(["--cflags", "--libs", "libczmq", "libzmq"]))?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // By process, so that two races do not write the same file.
    let name = format!("race-zloop-{}", std::process::id());
    let (source, program) = (folder.join(&name).with_extension("c"), folder.join(&name));
    std::fs::write(&source, PROGRAM).map_err(|error| format!("{}: {error}", source.display()))?;
    let compiled = run(Command::new("cc")
        .args(["-O2", "-pthread", "-o"])
        .args([&program, &source])
        .args(flags.split_whitespace()));
    // It can be written again.
    let _ = std::fs::remove_file(&source);
    compiled.map(|_| program)
}

/// Runs a program to its end, and gives what it said.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let line = complaint.lines().next().unwrap_or("no reason given");
        return Err(format!("{name} failed: {line}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
