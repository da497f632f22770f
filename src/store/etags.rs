//! The versions of files that were not touched since they were read: a listing need not read every document each time.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::ETag;

/// More documents than one directory has; beyond it everything is read once more.
const MOST: usize = 100_000;

/// File systems note times in steps of milliseconds up to two seconds: a file that was written so shortly before it was read
/// may be written again without showing it.
const SETTLED_AFTER: Duration = Duration::from_secs(4);

/// Versions by path.
#[derive(Debug, Default)]
pub(super) struct Etags {
    known: Mutex<HashMap<String, (Stamp, ETag)>>,
}

/// What changes when a file is replaced: each write makes a new file and moves it into place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: SystemTime,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Option<Self> {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { length: metadata.len(), modified: metadata.modified().ok()?, inode })
    }

    /// True when whoever writes it from now on gives it another time.
    #[expect(clippy::disallowed_methods, reason = "compared with what the file system noted, by the same clock")]
    fn is_settled(&self) -> bool {
        SystemTime::now().duration_since(self.modified).is_ok_and(|age| age > SETTLED_AFTER)
    }
}

impl Etags {
    /// The version of the file: as known, or as `read` finds it. None when it is not there any more.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn of(
        &self,
        path: &str,
        metadata: &Metadata,
        read: impl FnOnce() -> io::Result<Option<ETag>>,
    ) -> io::Result<Option<ETag>> {
        let held = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(metadata).filter(Stamp::is_settled);
        if let Some((known, etag)) = held().get(path)
            && stamp.as_ref() == Some(known)
        {
            return Ok(Some(etag.clone()));
        }
        // The stamp is older than what is read: a write in between gives it another one.
        let etag = read()?;
        let mut known = held();
        match (stamp, &etag) {
            (Some(stamp), Some(etag)) => {
                if known.len() >= MOST {
                    known.clear();
                }
                known.insert(path.to_owned(), (stamp, etag.clone()));
            }
            _ => {
                known.remove(path);
            }
        }
        Ok(etag)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_read_again_only_when_it_was_touched_or_is_fresh() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let etags = Etags::default();
        let reads = Cell::new(0);
        let version = || {
            let read = || {
                reads.set(reads.get() + 1);
                Ok(Some(ETag(fs::read_to_string(&path)?)))
            };
            etags.of("a.json", &fs::metadata(&path).unwrap(), read).unwrap().unwrap().0
        };
        let write = |text: &str, age: u64| {
            let new = directory.path().join("new");
            fs::write(&new, text).unwrap();
            let at = fs::metadata(&new).unwrap().modified().unwrap() - Duration::from_secs(age);
            fs::File::options().write(true).open(&new).unwrap().set_modified(at).unwrap();
            fs::rename(&new, &path).unwrap();
        };
        write("one", 60);
        assert_eq!([version(), version(), version()], ["one", "one", "one"]);
        assert_eq!(reads.get(), 1);
        write("two", 50);
        assert_eq!([version(), version()], ["two", "two"]);
        assert_eq!(reads.get(), 2);
        // Written a moment ago: the next write may leave the same stamp.
        write("red", 0);
        assert_eq!([version(), version()], ["red", "red"]);
        assert_eq!(reads.get(), 4);
    }
}
