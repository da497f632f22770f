//! Documents in a directory of this machine: whole after a crash, and correct between processes.
//!
//! A write takes one of a few locks (by a hash of its path), compares, writes the lock's one new file, makes it durable
//! and moves it into place. So a reader sees the old or the new document, never a part, and needs no lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::etags::Etags;
use super::{Backend, Blob, ETag, Error, Listed, check_path, check_prefix};
use crate::model::sha256_hex;

/// Locks and new files live here. A name with a dot is never a document.
const WORKSHOP: &str = ".store";

/// Writers of different documents rarely meet with this many locks.
const LOCKS: usize = 16;

/// How long a write waits for another process. A write takes milliseconds; a process that holds a lock longer is stopped.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// A backend in a directory.
#[derive(Debug, Clone)]
pub struct Local {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Threads of this process queue here, so that only one of them asks for the file's lock.
    queues: [Mutex<()>; LOCKS],
    etags: Etags,
}

impl Local {
    /// The documents of a directory, which is made when it is missing. What a killed writer left is removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the directory cannot be made or written.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, Error> {
        // Absolute from the start: a later change of the working directory moves nothing.
        let root = std::path::absolute(root.as_ref())
            .map_err(|error| Error::unavailable(format!("find the directory {}", root.as_ref().display()), error))?;
        let inner = Inner { queues: Default::default(), etags: Etags::default(), root };
        inner.prepare().map_err(|error| {
            Error::unavailable(format!("use the directory {}: it must be writable", inner.root.display()), error)
        })?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result,
            Err(error) => Err(Error::unavailable("finish its work", error)),
        }
    }
}

#[async_trait]
impl Backend for Local {
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error> {
        check_path(path)?;
        let path = path.to_owned();
        self.blocking(move |inner| inner.read(&path).map_err(|error| inner.failed("read", &path, error))).await
    }

    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error> {
        check_path(path)?;
        let path = path.to_owned();
        self.blocking(move |inner| {
            let failed = |error| inner.failed("write", &path, error);
            let lock = inner.lock(&path).map_err(failed)?;
            if inner.target(&path).try_exists().map_err(failed)? {
                return Err(Error::AlreadyExists { path });
            }
            inner.put(&lock, &path, &body).map_err(failed)
        })
        .await
    }

    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        check_path(path)?;
        let (path, etag) = (path.to_owned(), etag.clone());
        self.blocking(move |inner| {
            let failed = |error| inner.failed("write", &path, error);
            let lock = inner.lock(&path).map_err(failed)?;
            match inner.read(&path).map_err(failed)? {
                Some(blob) if blob.etag == etag => inner.put(&lock, &path, &body).map_err(failed),
                _ => Err(Error::Conflict { path }),
            }
        })
        .await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        let folder = check_prefix(prefix)?.to_owned();
        self.blocking(move |inner| {
            let mut listed = Vec::new();
            inner.walk(&folder, &mut listed).map_err(|error| inner.failed("list", &folder, error))?;
            listed.sort();
            Ok(listed)
        })
        .await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        check_path(path)?;
        let path = path.to_owned();
        self.blocking(move |inner| {
            let failed = |error| inner.failed("remove", &path, error);
            let _lock = inner.lock(&path).map_err(failed)?;
            match fs::remove_file(inner.target(&path)) {
                Ok(()) => sync_directory(parent(&inner.target(&path))).map_err(failed),
                Err(error) if is_absent(&error) => Ok(()),
                Err(error) => Err(failed(error)),
            }
        })
        .await
    }
}

/// A held lock, with the one file that its holder may write before moving it into place.
struct Lock<'a> {
    new_file: PathBuf,
    _file: File,
    _queue: std::sync::MutexGuard<'a, ()>,
}

impl Inner {
    fn prepare(&self) -> io::Result<()> {
        make_directory(&self.root.join(WORKSHOP))?;
        for index in 0..LOCKS {
            // Who holds the lock is writing; what lies there without a holder was left by a killed writer.
            if self.lock_file(index)?.try_lock().is_ok() {
                remove_if_there(&self.new_file(index))?;
            }
        }
        Ok(())
    }

    fn target(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn new_file(&self, index: usize) -> PathBuf {
        self.root.join(WORKSHOP).join(format!("new-{index:02}"))
    }

    fn lock_file(&self, index: usize) -> io::Result<File> {
        private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(self.root.join(WORKSHOP).join(format!("lock-{index:02}")))
    }

    fn failed(&self, doing: &str, path: &str, error: io::Error) -> Error {
        Error::unavailable(format!("{doing} {path} in {}", self.root.display()), error)
    }

    fn lock(&self, path: &str) -> io::Result<Lock<'_>> {
        // FNV-1a: every process of every version must choose the same lock for the same path.
        let hash = path
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let index = (hash % LOCKS as u64) as usize;
        let queue = self.queues[index].lock().unwrap_or_else(PoisonError::into_inner);
        let file = match self.lock_file(index) {
            // Somebody removed the directory under us, as one does to start anew.
            Err(error) if is_absent(&error) => {
                make_directory(&self.root.join(WORKSHOP))?;
                self.lock_file(index)?
            }
            result => result?,
        };
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { new_file: self.new_file(index), _file: file, _queue: queue }),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if waited >= LOCK_PATIENCE => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process does not release its lock"));
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(pause);
                    waited += pause;
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
            }
        }
    }

    fn read(&self, path: &str) -> io::Result<Option<Blob>> {
        match fs::read(self.target(path)) {
            Ok(body) => Ok(Some(Blob { etag: ETag(sha256_hex(&body)), body: body.into() })),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn put(&self, lock: &Lock<'_>, path: &str, body: &Bytes) -> io::Result<ETag> {
        let target = self.target(path);
        make_directory(parent(&target))?;
        let mut file = private(OpenOptions::new().create(true).truncate(true).write(true)).open(&lock.new_file)?;
        file.write_all(body)?;
        // The bytes must be on disk before the name points at them, and the name before we say that it is done.
        file.sync_all()?;
        drop(file);
        fs::rename(&lock.new_file, &target)?;
        sync_directory(parent(&target))?;
        Ok(ETag(sha256_hex(body)))
    }

    fn walk(&self, folder: &str, listed: &mut Vec<Listed>) -> io::Result<()> {
        let entries = match fs::read_dir(self.target(folder)) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let Some(path) = entry.file_name().to_str().map(|name| format!("{folder}/{name}")) else { continue };
            // What other programs put here (editors' backups, `.DS_Store`) is no document.
            if check_path(&path).is_err() {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.walk(&path, listed)?;
            } else if kind.is_file() {
                let metadata = match entry.metadata() {
                    Err(error) if is_absent(&error) => continue,
                    other => other?,
                };
                let read = || Ok(self.read(&path)?.map(|blob| blob.etag));
                if let Some(etag) = self.etags.of(&path, &metadata, read)? {
                    listed.push(Listed { path, etag });
                }
            }
        }
        Ok(())
    }
}

/// True when the file is not there, be it that a directory above it is missing or is a document.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(error),
        _ => Ok(()),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("a document's path has a folder, since it lies below the root")
}

/// Makes a directory and those above it, durably and for this user only.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_directory(above)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
    }
}

/// Options for a file that only this user may read: documents name customers.
fn private(options: &mut OpenOptions) -> &OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes the names in a directory durable. Windows neither needs nor allows it.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
