//! Small documents behind one narrow trait, with conditional writes: create only if absent, update only if unchanged.

mod codec;
mod connect;
mod container;
mod documents;
mod etags;
mod key;
mod local;
mod objects;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use codec::Versioned;
pub use documents::{Store, Stored};
pub use key::{Day, Folder, Key, Month, Part};
pub use local::Local;
pub use objects::{Memory, Objects};

use crate::settings::StoreSettings;

/// The backend that is set. A local directory is made and its left-overs are removed; a remote store is not asked
/// anything yet, so that a start never waits for the network.
///
/// # Errors
/// [`Error::Unavailable`] when the directory cannot be used or the credentials cannot be understood.
pub fn open(settings: &StoreSettings) -> Result<Arc<dyn Backend>, Error> {
    Ok(match settings {
        StoreSettings::Memory => Arc::new(Memory::default()),
        StoreSettings::Directory(directory) => Arc::new(Local::open(directory)?),
        StoreSettings::AzureBlob { container, account } => Arc::new(objects::azure_blob(container, account)?),
        StoreSettings::S3 { bucket, prefix, account, endpoint } => {
            objects::s3(bucket, prefix, account.as_ref(), endpoint.as_ref())?
        }
    })
}

/// The version of a stored document, opaque.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(pub String);

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A document as bytes, with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The bytes.
    pub body: Bytes,
    /// The version.
    pub etag: ETag,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The path below the store's root.
    pub path: String,
    /// The version.
    pub etag: ETag,
}

/// A place for documents. Paths come from [`Key`] only; others are refused.
///
/// A write that failed with [`Error::Unavailable`] may or may not have happened, and one that was repeated below us may
/// report a conflict with itself. Both are healed the same way: read again, decide again.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug {
    /// The document, or None when there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error>;

    /// Writes a document that must not exist yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error>;

    /// Replaces a document that must still have this version.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it changed or is gone, [`Error::Unavailable`].
    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error>;

    /// Every document whose path starts with the prefix, in order of paths. The prefix ends with a slash.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error>;

    /// Removes a document. One that is not there counts as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn delete(&self, path: &str) -> Result<(), Error>;
}

/// What can go wrong with documents.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document that must not exist does.
    #[error("the document {path} exists already")]
    AlreadyExists {
        /// The document.
        path: String,
    },
    /// Somebody else changed the document since it was read.
    #[error("the document {path} was changed by somebody else")]
    Conflict {
        /// The document.
        path: String,
    },
    /// The document was written by a newer version of this program; it is left as it is.
    #[error("the document {path} has schema version {found}, this program knows up to {known}: update this program")]
    NewerSchema {
        /// The document.
        path: String,
        /// The version found.
        found: u64,
        /// The newest version known.
        known: u64,
    },
    /// The document is no document of ours; it is left as it is.
    #[error("the document {path} cannot be read: {why}")]
    Damaged {
        /// The document.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store failed or could not be reached.
    #[error("the store could not {doing}")]
    Unavailable {
        /// What was tried.
        doing: String,
        /// What happened.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    fn unavailable(doing: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { doing: doing.into(), source: source.into() }
    }
}

/// Refuses what [`Key`] never makes. The last gate before a path reaches a file system.
fn check_path(path: &str) -> Result<(), Error> {
    let harmless = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    if path.len() <= 512 && path.split('/').all(harmless) {
        return Ok(());
    }
    let shown: String = path.chars().take(60).collect();
    Err(Error::unavailable(format!("use the path {shown:?}"), "it is no path of a document"))
}

/// As [`check_path`], for the prefix of a listing.
fn check_prefix(prefix: &str) -> Result<&str, Error> {
    let folder = prefix.strip_suffix('/').unwrap_or(prefix);
    check_path(folder).map(|()| folder)
}
