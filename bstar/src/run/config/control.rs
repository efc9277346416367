//! Where a node's control socket is.

use std::path::PathBuf;

use super::given::Fields;
use super::load::parent_is_there;
use super::problem::Checked;
use crate::core::Config;
use crate::run::control::default_path;

/// What the path of a Unix socket may have on Linux.
const MAX_BYTES: usize = 107;

/// The path that was given, or the usual one.
pub(super) fn read(top: &mut Fields, config: &Config) -> Checked<PathBuf> {
    let given = top.take("control");
    let site = given
        .as_ref()
        .map_or_else(|| top.site("control"), |given| given.site.clone());
    let path = match &given {
        Some(given) => given.path()?,
        None => default_path(config.pair(), config.role()),
    };
    let bytes = path.as_os_str().len();
    if bytes > MAX_BYTES {
        return Err(site.problem(format_args!(
            "a socket's path of {bytes} bytes is too long; give one of {MAX_BYTES} at most, for example {}",
            site.example()
        )));
    }
    if let Some(given) = &given {
        if path.is_dir() {
            return Err(given.problem(format_args!(
                "{} is a directory; give the path of a socket in it",
                path.display()
            )));
        }
        // Its directory is made with it, as one in `/run` has to be after each start of the machine.
        match path.parent() {
            Some(directory) if !directory.is_dir() => parent_is_there(given, directory)?,
            _ => {}
        }
    }
    Ok(path)
}
