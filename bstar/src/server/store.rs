//! What a node remembers over its lives: the highest epoch that it entered or heard of.
//!
//! It stands in one line, in a file named `epoch` of the node's state directory:
//!
//! ```text
//! bstar-epoch/1 pair=orders role=primary epoch=00000000000000000007 crc=b779d440
//! ```
//!
//! A write overwrites a second file of the same length, whose blocks are there since the store was
//! opened, and exchanges the names of the two: so it needs no room on the disk, and whenever it is
//! cut short there stands, under the name that counts, the old record or the new one, and whole.
//! A file system that writes nothing in place needs room all the same, and one that cannot exchange
//! names for the next spare; without room they say so in time.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::core::{PairId, Role};

const EPOCH: &str = "epoch";
const SPARE: &str = "epoch.spare";
const LOCK: &str = "epoch.lock";

/// More than the longest record has.
const MAX_RECORD_BYTES: u64 = 256;

/// What is wrong with a state directory.
///
/// What was read before is not affected: an epoch once written is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory cannot be made or used.
    #[error(
        "cannot use the state directory {}: {error}; it must be a directory that this process may \
         write to, or a name for one beside which it may make it",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process has it.
    #[error(
        "the state directory {} is in use by another process: end that one, or give each node a \
         directory of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// It belongs to another node.
    #[error(
        "the state directory {} belongs to the {theirs}, and this is the {ours}: give each node a \
         directory of its own",
        path.display()
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The role and the pair that its record names.
        theirs: String,
        /// The role and the pair of this node.
        ours: String,
    },
    /// There is no telling which epoch was the last.
    #[error(
        "{} holds no whole record of an epoch: bring the file back, or remove the directory if \
         nothing relies on this node's earlier epochs",
        .0.display()
    )]
    Damaged(PathBuf),
    /// An epoch cannot be written.
    #[error("cannot write an epoch to the state directory {}: {error}", path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// An epoch is not above the one that is there.
    #[error("epoch {asked} is not above epoch {stored}, which the state directory holds")]
    NotAbove {
        /// The epoch that was to be written.
        asked: u64,
        /// The one that is there.
        stored: u64,
    },
}

/// The state directory of one node, for as long as this process has it.
#[derive(Debug)]
pub(super) struct EpochStore {
    path: PathBuf,
    directory: File,
    _lock: Lock,
    record: Record,
    /// Kept open, so that a write needs no further descriptor. After an error it is made anew.
    spare: Option<File>,
    can_exchange: bool,
}

impl EpochStore {
    /// Opens the directory of this node, and makes it if it is not there; its parent must be.
    pub(super) fn open(path: &Path, pair: &PairId, role: Role) -> Result<EpochStore, StoreError> {
        let unusable = |error: io::Error| StoreError::Directory {
            path: path.to_owned(),
            error,
        };
        let directory = open_directory(path).map_err(unusable)?;
        let lock = Lock::take(&directory).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StoreError::InUse(path.to_owned()),
            _ => unusable(error),
        })?;
        let mut store = EpochStore {
            path: path.to_owned(),
            directory,
            _lock: lock,
            record: Record {
                pair: pair.clone(),
                role,
                epoch: 0,
            },
            spare: None,
            can_exchange: true,
        };
        let bytes = read(&store.directory, EPOCH).map_err(unusable)?;
        if let Some(bytes) = bytes {
            store.record.epoch = store.epoch_in(&bytes)?;
        } else {
            store.create()?;
        }
        let spare = store.prepare_spare().map_err(unusable)?;
        store.spare = Some(spare);
        Ok(store)
    }

    /// The highest epoch that was written; 0 before any.
    pub(super) fn epoch(&self) -> u64 {
        self.record.epoch
    }

    /// Writes an epoch above all that were. When this returns it outlasts a crash of the machine.
    ///
    /// After an error [`EpochStore::epoch`] is what it was, and the next life of the node may find
    /// either; the same epoch may be written again.
    pub(super) fn write(&mut self, epoch: u64) -> Result<(), StoreError> {
        let stored = self.epoch();
        if epoch <= stored {
            return Err(StoreError::NotAbove {
                asked: epoch,
                stored,
            });
        }
        self.try_write(epoch).map_err(|error| StoreError::Write {
            path: self.path.clone(),
            error,
        })
    }

    fn try_write(&mut self, epoch: u64) -> io::Result<()> {
        let next = Record {
            epoch,
            ..self.record.clone()
        };
        self.fill_spare(&next)?;
        self.put_in_place()?;
        self.sync_names()?;
        self.record = next;
        // The one that is now spare. There is none where names cannot be exchanged; if it cannot be
        // had now, the next write tries once more.
        let spare = if self.can_exchange {
            open_file(&self.directory, SPARE)
        } else {
            self.prepare_spare()
        };
        self.spare = spare.ok();
        Ok(())
    }

    /// The record goes to the disk under the name that does not count.
    fn fill_spare(&mut self, record: &Record) -> io::Result<()> {
        let spare = match self.spare.take() {
            Some(spare) => spare,
            None => self.prepare_spare()?,
        };
        overwrite(&spare, record)
    }

    /// From here on the spare is what counts.
    fn put_in_place(&mut self) -> io::Result<()> {
        if self.can_exchange {
            match exchange(&self.directory, SPARE, EPOCH) {
                // The file system, or the system, knows of no such thing.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.can_exchange = false,
                done => return Ok(done?),
            }
        }
        Ok(rustix::fs::renameat(
            &self.directory,
            SPARE,
            &self.directory,
            EPOCH,
        )?)
    }

    /// The names go to the disk.
    fn sync_names(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    /// The spare, with all of its blocks.
    fn prepare_spare(&self) -> io::Result<File> {
        let spare = open_file(&self.directory, SPARE)?;
        overwrite(&spare, &self.record)?;
        self.sync_names()?;
        Ok(spare)
    }

    /// The first record of this node. A store that was cut short here is still fresh.
    fn create(&mut self) -> Result<(), StoreError> {
        let unusable = |error| StoreError::Directory {
            path: self.path.clone(),
            error,
        };
        // A spare of later days tells that a record was here, and is lost.
        let left = read(&self.directory, SPARE).map_err(unusable)?;
        let lost = |bytes: Vec<u8>| Record::parse(&bytes).is_some_and(|record| record.epoch > 0);
        if left.is_some_and(lost) {
            return Err(StoreError::Damaged(self.path.join(EPOCH)));
        }
        let create = || -> io::Result<()> {
            self.prepare_spare()?;
            rustix::fs::renameat(&self.directory, SPARE, &self.directory, EPOCH)?;
            self.sync_names()?;
            // The directory may be new itself; one whose parent is closed to us is not.
            match open_at(&self.directory, "..", OFlags::RDONLY | OFlags::DIRECTORY) {
                Ok(parent) => sync_directory(&parent),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                Err(error) => Err(error),
            }
        };
        create().map_err(unusable)
    }

    /// The epoch in a record, which must be this node's.
    fn epoch_in(&self, bytes: &[u8]) -> Result<u64, StoreError> {
        let Some(found) = Record::parse(bytes) else {
            return Err(StoreError::Damaged(self.path.join(EPOCH)));
        };
        let ours = &self.record;
        if (&found.pair, found.role) != (&ours.pair, ours.role) {
            let name = |of: &Record| format!("{} of the pair {}", of.role, of.pair);
            return Err(StoreError::OtherNode {
                path: self.path.clone(),
                theirs: name(&found),
                ours: name(ours),
            });
        }
        Ok(found.epoch)
    }
}

/// Keeps other processes away.
#[derive(Debug)]
struct Lock(File);

impl Lock {
    fn take(directory: &File) -> io::Result<Lock> {
        let file = open_file(directory, LOCK)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Lock(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closed alone, it would be held on by a child that has not come to its program yet.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// What stands in the file. For one node every record has the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    pair: PairId,
    role: Role,
    epoch: u64,
}

impl Record {
    /// Strict: a record has one spelling, and its checksum is part of that.
    fn parse(bytes: &[u8]) -> Option<Record> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut values = text.split([' ', '=']).skip(2).step_by(2);
        let record = Record {
            pair: PairId::new(values.next()?).ok()?,
            role: values.next().and_then(Role::named)?,
            epoch: values.next()?.parse().ok()?,
        };
        (record.to_string() == text).then_some(record)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { pair, role, epoch } = self;
        let text = format!("bstar-epoch/1 pair={pair} role={role} epoch={epoch:020}");
        writeln!(f, "{text} crc={:08x}", crc32fast::hash(text.as_bytes()))
    }
}

fn open_directory(path: &Path) -> io::Result<File> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// A file to write to, made if it is not there.
fn open_file(directory: &File, name: &str) -> io::Result<File> {
    open_at(directory, name, OFlags::RDWR | OFlags::CREATE)
}

/// Follows no link, and waits for nobody at the other end of a pipe.
fn open_at(directory: &File, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    Ok(rustix::fs::openat(directory, name, flags, mode)?.into())
}

/// What is in a file; nothing where there is none. Of a long one only the begin.
fn read(directory: &File, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match open_at(directory, name, OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_RECORD_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// In place: the file keeps the blocks that it has.
fn overwrite(file: &File, record: &Record) -> io::Result<()> {
    let text = record.to_string();
    file.write_all_at(text.as_bytes(), 0)?;
    let length = text.len() as u64;
    if file.metadata()?.len() != length {
        file.set_len(length)?;
    }
    file.sync_all()
}

fn sync_directory(directory: &File) -> io::Result<()> {
    match rustix::fs::fsync(directory) {
        // There is nothing to wait for where a directory cannot be synced.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn exchange(directory: &File, one: &str, other: &str) -> rustix::io::Result<()> {
    use rustix::fs::RenameFlags;
    rustix::fs::renameat_with(directory, one, directory, other, RenameFlags::EXCHANGE)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn exchange(_: &File, _: &str, _: &str) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

#[cfg(test)]
#[path = "store_disk_tests.rs"]
mod disk_tests;
#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
