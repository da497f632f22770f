//! The product's documents over the narrow trait: JSON with a schema version, where fields that we do not know survive.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Backend, Blob, ETag, Error, Folder, Key, Listed};
use crate::model::{Customer, Invite, Snapshot, Timeline};

/// The member of every document that holds its schema version.
const SCHEMA_VERSION: &str = "schemaVersion";

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

/// A document as it was read, with its version and what we did not understand of it.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// The version it had.
    pub etag: ETag,
    /// The document as stored: where unknown fields live on.
    raw: Value,
}

/// The store in the product's words.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
}

impl Store {
    /// A store over a backend.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// The document, or None when there is none.
    ///
    /// # Errors
    /// [`Error::NewerSchema`], [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn read<T: Stored>(&self, key: &Key) -> Result<Option<Versioned<T>>, Error> {
        let path = key.path();
        match self.backend.get(&path).await? {
            Some(blob) => decode(&path, blob).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a document that must not exist yet.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Unavailable`].
    pub async fn create<T: Stored>(&self, key: &Key, value: &T) -> Result<(), Error> {
        let path = key.path();
        let body = encode(&path, value, None)?;
        self.backend.create(&path, body).await.map(drop)
    }

    /// Replaces a document that must still be as it was read. Fields that we do not know stay.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Unavailable`].
    pub async fn replace<T: Stored>(&self, key: &Key, before: &Versioned<T>, after: &T) -> Result<(), Error> {
        let path = key.path();
        let body = encode(&path, after, Some(before))?;
        self.backend.update(&path, body, &before.etag).await.map(drop)
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
        self.backend.list(folder.prefix()).await
    }

    /// Removes a document. One that is not there counts as removed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.backend.delete(&key.path()).await
    }
}

fn damaged(path: &str, why: impl ToString) -> Error {
    Error::Damaged { path: path.to_owned(), why: why.to_string() }
}

fn decode<T: Stored>(path: &str, blob: Blob) -> Result<Versioned<T>, Error> {
    let raw: Value = serde_json::from_slice(&blob.body).map_err(|error| damaged(path, error))?;
    let found = raw.get(SCHEMA_VERSION).and_then(Value::as_u64).ok_or_else(|| damaged(path, "no schemaVersion"))?;
    if found > T::SCHEMA {
        return Err(Error::NewerSchema { path: path.to_owned(), found, known: T::SCHEMA });
    }
    let value = T::deserialize(&raw).map_err(|error| damaged(path, error))?;
    Ok(Versioned { value, etag: blob.etag, raw })
}

fn encode<T: Stored>(path: &str, value: &T, before: Option<&Versioned<T>>) -> Result<Bytes, Error> {
    let Ok(Value::Object(mut after)) = serde_json::to_value(value) else {
        return Err(damaged(path, "not a JSON object"));
    };
    if let Some(before) = before
        && let (Value::Object(raw), Ok(Value::Object(known))) = (&before.raw, serde_json::to_value(&before.value))
    {
        keep_unknown(raw, &known, &mut after);
    }
    after.insert(SCHEMA_VERSION.to_owned(), T::SCHEMA.into());
    serde_json::to_vec(&after).map(Bytes::from).map_err(|error| damaged(path, error))
}

/// Copies what `raw` has and our types did not understand (it is not in `known`) into `after`, at the same places.
fn keep_unknown(raw: &Map<String, Value>, known: &Map<String, Value>, after: &mut Map<String, Value>) {
    for (name, value) in raw {
        match (value, known.get(name), after.get_mut(name)) {
            (_, None, None) => {
                after.insert(name.clone(), value.clone());
            }
            (Value::Object(raw), Some(Value::Object(known)), Some(Value::Object(after))) => {
                keep_unknown(raw, known, after);
            }
            _ => {}
        }
    }
}
