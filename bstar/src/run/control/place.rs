//! Where control sockets are, who may use them, and how they are found.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::{Uid, geteuid};

use super::ControlError;
use crate::core::{PairId, Role};

const PREFIX: &str = "bstar-";
const SUFFIX: &str = ".sock";

/// Others may write, and so put another socket in our place.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Nobody can replace what is another's, as in `/tmp`.
const STICKY: u32 = 0o1000;

/// Where a node's control socket is unless told otherwise.
pub(crate) fn default_path(pair: &PairId, role: Role) -> PathBuf {
    default_directory().join(format!("{PREFIX}{pair}-{role}{SUFFIX}"))
}

/// `$XDG_RUNTIME_DIR`, else `/run` as root, else a directory of the user's own in `/tmp`, which whoever binds the
/// first socket makes.
fn default_directory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let run = Path::new("/run");
    match runtime.filter(|path| path.is_absolute() && path.is_dir()) {
        Some(path) => path,
        None if geteuid() == Uid::ROOT && access(run, Access::WRITE_OK).is_ok() => run.to_owned(),
        None => format!("/tmp/bstar-{}", geteuid().as_raw()).into(),
    }
}

/// A socket that only its owner can reach; its path is removed with it.
pub(super) struct Place {
    path: PathBuf,
    /// The file's own number, in its file system: the path may lead to somebody else's by the time that it is removed.
    file: (u64, u64),
}

impl Place {
    /// Binds the path, in place of a socket that nobody listens at any more.
    pub(super) fn bind(path: &Path) -> Result<(UnixListener, Place), ControlError> {
        let failed = |error| ControlError::Bind {
            path: path.to_owned(),
            error,
        };
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        match DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        check_directory(directory)?;
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                return Err(ControlError::NoSocket(path.to_owned()));
            }
            Ok(_) if is_live(path) => return Err(ControlError::Runs(path.to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Under its own name it is there only once nobody else may use it. The name is short, since the path of a
        // socket has a limit.
        let new = directory.join(format!(".{}", std::process::id()));
        let bound = UnixListener::bind(&new).and_then(|listener| {
            fs::set_permissions(&new, Permissions::from_mode(0o600))?;
            let file = number(&fs::symlink_metadata(&new)?);
            fs::rename(&new, path)?;
            listener.set_nonblocking(true)?;
            Ok((listener, file))
        });
        let (listener, file) = bound.map_err(|error| {
            // What was made of it.
            let _ = fs::remove_file(&new);
            failed(error)
        })?;
        let path = path.to_owned();
        Ok((listener, Place { path, file }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours = |metadata: Metadata| number(&metadata) == self.file;
        if fs::symlink_metadata(&self.path).is_ok_and(ours)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the control socket was not removed");
        }
    }
}

fn number(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Refuses a directory in which others could put a socket of theirs in the place of ours.
fn check_directory(directory: &Path) -> Result<(), ControlError> {
    let metadata = fs::metadata(directory).map_err(|error| ControlError::Bind {
        path: directory.to_owned(),
        error,
    })?;
    let owner = [Uid::ROOT.as_raw(), geteuid().as_raw()].contains(&metadata.uid());
    let mode = metadata.mode();
    if !owner || (mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0) {
        return Err(ControlError::Directory(directory.to_owned()));
    }
    Ok(())
}

pub(super) fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

/// Whether somebody listens there.
fn is_live(path: &Path) -> bool {
    match connect(path) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Connects without waiting; where as many wait already as may, that is an error, [`io::ErrorKind::WouldBlock`].
pub(super) fn connect(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Whether the other end is this user, or root.
pub(super) fn is_ours(stream: &UnixStream) -> io::Result<bool> {
    let peer = sockopt::socket_peercred(stream)?;
    Ok([Uid::ROOT, geteuid()].contains(&peer.uid))
}

/// The sockets of nodes in the default directory: of this pair, or of any; in the order of their names.
pub(super) fn find(pair: Option<&str>, role: Option<Role>) -> (PathBuf, Vec<PathBuf>) {
    let directory = default_directory();
    let wanted = |name: &str| {
        let inner = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        let (of, is) = inner.rsplit_once('-')?;
        let is = Role::named(is)?;
        let matches = pair.is_none_or(|pair| pair == of) && role.is_none_or(|role| role == is);
        matches.then_some(())
    };
    let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().and_then(wanted).is_some())
        .map(|entry| entry.path())
        .collect();
    found.sort();
    (directory, found)
}
