//! The product's documents over the narrow trait: JSON with a schema version, where fields that we do not know survive.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{Ours, Versioned};
use super::{Backend, Blob, ETag, Error, Folder, Key, Listed};
use crate::model::{
    Counters, Customer, Destination, EmergingIssues, Heartbeat, IncidentNotes, Invite, Lane, Notice, Outcome, Routes,
    Snapshot, Timeline, Told,
};

/// A kind of document.
pub trait Stored: Serialize + DeserializeOwned {
    /// The newest schema version that this program writes and reads.
    const SCHEMA: u64;
}

impl Stored for Customer {
    const SCHEMA: u64 = 1;
}

impl Stored for Invite {
    const SCHEMA: u64 = 1;
}

impl Stored for Snapshot {
    const SCHEMA: u64 = 1;
}

impl Stored for Timeline {
    const SCHEMA: u64 = 1;
}

impl Stored for EmergingIssues {
    const SCHEMA: u64 = 1;
}

impl Stored for Notice {
    const SCHEMA: u64 = 1;
}

impl Stored for Outcome {
    const SCHEMA: u64 = 1;
}

impl Stored for Told {
    const SCHEMA: u64 = 1;
}

impl Stored for Lane {
    const SCHEMA: u64 = 1;
}

impl Stored for Destination {
    const SCHEMA: u64 = 1;
}

impl Stored for Routes {
    const SCHEMA: u64 = 1;
}

impl Stored for Heartbeat {
    const SCHEMA: u64 = 1;
}

impl Stored for Counters {
    const SCHEMA: u64 = 1;
}

impl Stored for IncidentNotes {
    const SCHEMA: u64 = 1;
}

/// Rounds of read, change and write before a contended document is given up.
const MAX_ROUNDS: u32 = 10;

/// The store in the product's words.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    ours: Arc<Ours>,
}

impl Store {
    /// A store over a backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, ours: Arc::default() }
    }

    /// The document, or None when there is none.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn read<T: Stored>(&self, key: &Key) -> Result<Option<Versioned<T>>, Error> {
        let path = key.path();
        match self.backend.get(&path).await? {
            Some(blob) => self.ours.decode(&path, blob).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a document that must not exist yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    pub async fn create<T: Stored>(&self, key: &Key, value: &T) -> Result<(), Error> {
        let path = key.path();
        let body = self.ours.encode(&path, value, None)?;
        self.backend.create(&path, body).await.map(drop)
    }

    /// Replaces a document that must still be as it was read. Fields that we do not know stay.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Unavailable`].
    pub async fn replace<T: Stored>(&self, key: &Key, before: &Versioned<T>, after: &T) -> Result<(), Error> {
        let path = key.path();
        let body = self.ours.encode(&path, after, Some(before))?;
        self.backend.update(&path, body, &before.etag).await.map(drop)
    }

    /// Reads, changes and writes a document until nobody was faster. `change` gives None when there is nothing to do. Gives
    /// what was written.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it kept changing, and what reading and writing give.
    pub async fn settle<T: Stored>(
        &self,
        key: &Key,
        change: impl Fn(Option<&T>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let mut round = 1;
        loop {
            let before: Option<Versioned<T>> = self.read(key).await?;
            let Some(after) = change(before.as_ref().map(|before| &before.value)) else { return Ok(None) };
            let written = match &before {
                Some(before) => self.replace(key, before, &after).await,
                None => self.create(key, &after).await,
            };
            match written {
                Err(Error::Conflict { .. } | Error::AlreadyExists { .. }) if round < MAX_ROUNDS => round += 1,
                other => return other.map(|()| Some(after)),
            }
        }
    }

    /// The raw bytes of a document that is no JSON: a text or a sealed session.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn read_bytes(&self, key: &Key) -> Result<Option<Blob>, Error> {
        self.backend.get(&key.path()).await
    }

    /// Writes raw bytes that must not exist yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    pub async fn create_bytes(&self, key: &Key, body: Bytes) -> Result<ETag, Error> {
        self.backend.create(&key.path(), body).await
    }

    /// Replaces raw bytes that must still have this version.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Unavailable`].
    pub async fn replace_bytes(&self, key: &Key, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        self.backend.update(&key.path(), body, etag).await
    }

    /// Every document of a folder, in order of paths.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn list(&self, folder: Folder) -> Result<Vec<Listed>, Error> {
        self.backend.list(&folder.prefix()).await
    }

    /// The raw bytes of a document that was listed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn read_listed(&self, listed: &Listed) -> Result<Option<Blob>, Error> {
        self.backend.get(&listed.path).await
    }

    /// Removes a document that was listed. One that is not there any more counts as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn delete_listed(&self, listed: &Listed) -> Result<(), Error> {
        self.backend.delete(&listed.path).await
    }

    /// Removes a document. One that is not there counts as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.backend.delete(&key.path()).await
    }
}
