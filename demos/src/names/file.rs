//! The zone file: read at the start, and again when it changes.
//!
//! Nobody has to tell the program that the file has changed, and none of the ways in which editors
//! and deployments change files is special: it is looked at once in a while, and what counts is
//! its content. A file that is wrong, half written or gone changes nothing.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::zone::MAX_ZONE_BYTES;
use super::{Zone, ZoneError};

/// File systems tell times by ticks, of up to two seconds: a file may be written twice in one, and
/// the second time has nothing to show for it. So what was read counts only when it was read so
/// much later than its stamp was first seen.
const RACY: Duration = Duration::from_secs(3);

/// A zone, and the file that it is from.
#[derive(Debug)]
pub struct ZoneFile {
    path: PathBuf,
    zone: Zone,
    serial: u64,
    /// What the file held when it was last read, be it right or wrong.
    content: Vec<u8>,
    seen: Option<Seen>,
    /// What was last said to be wrong with it.
    trouble: Option<String>,
}

/// Why there is no zone.
#[derive(Debug, thiserror::Error)]
#[error("zone file {path}: {reason}", path = path.display())]
pub struct ZoneFileError {
    path: PathBuf,
    reason: Box<Reason>,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("it cannot be read: {0}; give the path of a file that can")]
    Read(#[from] std::io::Error),
    #[error("it is no file; give the path of one")]
    NoFile,
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

/// What came of looking at the file.
#[derive(Debug)]
pub enum Reload {
    /// Nothing new.
    Same,
    /// It holds another zone, which serves from now on.
    Taken,
    /// There is something wrong with it that was not said yet. The zone of before serves on.
    Refused(ZoneFileError),
}

/// What tells that a file was not touched. Unlike the time that a file says it was modified, that
/// of its last change of any kind cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
    modified_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    stamp: Stamp,
    /// When the stamp was seen first.
    since: Instant,
    /// Whether a change of the file since it was read would show.
    is_settled: bool,
}

impl Seen {
    /// A file with this stamp is read right after `now`.
    fn next(before: Option<Self>, stamp: Stamp, now: Instant) -> Self {
        let since = match before {
            Some(before) if before.stamp == stamp => before.since,
            _ => now,
        };
        Self {
            stamp,
            since,
            is_settled: now.saturating_duration_since(since) >= RACY,
        }
    }
}

impl ZoneFile {
    /// Reads a zone file. `now` is the time before that.
    ///
    /// # Errors
    /// When it cannot be read, or there is something wrong with the zone.
    pub fn open(path: impl Into<PathBuf>, now: Instant) -> Result<Self, ZoneFileError> {
        let path = path.into();
        let read = read(&path).and_then(|(content, stamp)| {
            let zone = Zone::parse(&content)?;
            Ok((zone, content, stamp))
        });
        match read {
            Ok((zone, content, stamp)) => Ok(Self {
                path,
                zone,
                serial: stamp.modified_ms.max(1),
                content,
                seen: Some(Seen::next(None, stamp, now)),
                trouble: None,
            }),
            Err(reason) => Err(ZoneFileError {
                path,
                reason: Box::new(reason),
            }),
        }
    }

    /// The zone that serves.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Tells one zone from the next: the time of its file in milliseconds since 1970, and always
    /// more than that of the one before. Name servers with copies of one file that keep its time
    /// have the same.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the zone of the file, if that has changed and is right. `now` is the time before that.
    pub fn reload(&mut self, now: Instant) -> Reload {
        match self.try_reload(now) {
            Ok(false) => Reload::Same,
            Ok(true) => {
                self.trouble = None;
                Reload::Taken
            }
            Err(reason) => {
                let trouble = reason.to_string();
                if self.trouble.as_ref() == Some(&trouble) {
                    return Reload::Same;
                }
                self.trouble = Some(trouble);
                Reload::Refused(ZoneFileError {
                    path: self.path.clone(),
                    reason: Box::new(reason),
                })
            }
        }
    }

    fn try_reload(&mut self, now: Instant) -> Result<bool, Reason> {
        if let Some(seen) = self.seen
            && seen.is_settled
            && std::fs::metadata(&self.path).is_ok_and(|found| Stamp::of(&found) == seen.stamp)
        {
            return Ok(false);
        }
        let (content, stamp) = match read(&self.path) {
            Ok(read) => read,
            Err(reason) => {
                // What comes back is news, even if it is what was there before.
                self.seen = None;
                self.content.clear();
                return Err(reason);
            }
        };
        self.seen = Some(Seen::next(self.seen, stamp, now));
        if content == self.content {
            return Ok(false);
        }
        let parsed = Zone::parse(&content);
        self.content = content;
        self.zone = parsed?;
        self.serial = stamp.modified_ms.max(self.serial.saturating_add(1));
        Ok(true)
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        let modified_ms = metadata
            .mtime()
            .saturating_mul(1000)
            .saturating_add(metadata.mtime_nsec() / 1_000_000);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            modified_ms: u64::try_from(modified_ms).unwrap_or(0),
        }
    }
}

/// Reads the file, no more of it than a zone can have, and what shows that it has changed since.
fn read(path: &Path) -> Result<(Vec<u8>, Stamp), Reason> {
    // To open a pipe would wait for who writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(Reason::NoFile);
    }
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let mut content = Vec::new();
    let most = u64::try_from(MAX_ZONE_BYTES).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1))
        .read_to_end(&mut content)?;
    Ok((content, stamp))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
