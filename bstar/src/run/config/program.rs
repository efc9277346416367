//! Whether the program of a command is there, before it is needed.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// Where the system looks when there is no `PATH`.
const WITHOUT_PATH: &str = "/bin:/usr/bin";

/// Where programs are looked for.
pub(super) struct Programs<'a> {
    /// Where the command will run.
    pub(super) directory: Option<&'a Path>,
    /// The `PATH` that it will have.
    pub(super) path: Option<String>,
}

impl Default for Programs<'_> {
    fn default() -> Self {
        Programs {
            directory: None,
            path: std::env::var("PATH").ok(),
        }
    }
}

impl Programs<'_> {
    /// Says what is wrong with a program, as the system will look for it: by its path, or by its name in the
    /// directories of `PATH`.
    pub(super) fn check(&self, program: &str) -> Result<(), String> {
        let in_place = |path: PathBuf| match self.directory {
            Some(directory) => directory.join(path),
            None => path,
        };
        let by_path = program.contains('/');
        let candidates: Vec<_> = if by_path {
            vec![in_place(program.into())]
        } else {
            let path = self.path.as_deref().unwrap_or(WITHOUT_PATH);
            let directories = std::env::split_paths(path);
            directories
                .map(|directory| in_place(directory.join(program)))
                .collect()
        };
        let there: Vec<_> = candidates.iter().filter(|path| path.is_file()).collect();
        if there
            .iter()
            .any(|path| access(path.as_path(), Access::EXEC_OK).is_ok())
        {
            return Ok(());
        }
        Err(match there.first() {
            Some(path) => format!(
                "{} is not executable; allow it with chmod +x",
                path.display()
            ),
            None if by_path => format!("the program {program:?} is not there; check its path"),
            None => format!("the program {program:?} is not in PATH; install it, or give its path"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_as_the_system_finds_it() {
        let usual = Programs::default();
        assert!(usual.check("sh").is_ok());
        assert!(usual.check("/bin/sh").is_ok());
        assert!(usual.check("no-such-program").unwrap_err().contains("PATH"));
        assert!(usual.check("/bin").unwrap_err().contains("not there"));
        let elsewhere = Programs {
            directory: Some(Path::new("/bin")),
            path: Some("/nowhere".to_owned()),
        };
        assert!(elsewhere.check("./sh").is_ok());
        assert!(elsewhere.check("sh").is_err());
    }
}
