//! Where a node's control socket is.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::{Uid, getuid};

use super::given::Fields;
use super::load::parent_is_there;
use super::problem::Checked;
use crate::core::{Config, PairId, Role};

/// What the path of a Unix socket may have on Linux.
const MAX_BYTES: usize = 107;

/// Where a node's control socket is unless told otherwise: in `$XDG_RUNTIME_DIR`, else in `/run` as root, else
/// in a directory of the user's own in `/tmp`, which whoever binds the socket makes.
pub(crate) fn default_control(pair: &PairId, role: Role) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let run = Path::new("/run");
    let directory = match runtime.filter(|path| path.is_absolute() && path.is_dir()) {
        Some(path) => path,
        None if getuid() == Uid::ROOT && access(run, Access::WRITE_OK).is_ok() => run.to_owned(),
        None => format!("/tmp/bstar-{}", getuid().as_raw()).into(),
    };
    directory.join(format!("bstar-{pair}-{role}.sock"))
}

/// The path that was given, or the usual one.
pub(super) fn read(top: &mut Fields, config: &Config) -> Checked<PathBuf> {
    let given = top.take("control");
    let site = given
        .as_ref()
        .map_or_else(|| top.site("control"), |given| given.site.clone());
    let path = match &given {
        Some(given) => given.path()?,
        None => default_control(config.pair(), config.role()),
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
        parent_is_there(given, &path)?;
    }
    Ok(path)
}
