//! Small documents behind one narrow trait, with conditional writes: create only if absent, update only if unchanged.

mod documents;
mod key;
mod memory;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

pub use documents::{Store, Stored, Versioned};
pub use key::{Folder, Key, Month};
pub use memory::Memory;

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

/// A place for documents. Paths come from [`Key`] only.
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
