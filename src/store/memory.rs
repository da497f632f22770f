//! Documents in memory: for tests and trials.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Backend, Blob, ETag, Error, Listed};

/// A backend that forgets everything with its process.
#[derive(Debug, Default)]
pub struct Memory {
    documents: Mutex<(u64, BTreeMap<String, Blob>)>,
}

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut u64, &mut BTreeMap<String, Blob>) -> T) -> T {
        let mut guard = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let (counter, documents) = &mut *guard;
        work(counter, documents)
    }
}

#[async_trait]
impl Backend for Memory {
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error> {
        Ok(self.with(|_, documents| documents.get(path).cloned()))
    }

    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error> {
        self.with(|counter, documents| {
            if documents.contains_key(path) {
                return Err(Error::AlreadyExists { path: path.to_owned() });
            }
            *counter += 1;
            let etag = ETag(counter.to_string());
            documents.insert(path.to_owned(), Blob { body, etag: etag.clone() });
            Ok(etag)
        })
    }

    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        self.with(|counter, documents| match documents.get_mut(path) {
            Some(blob) if blob.etag == *etag => {
                *counter += 1;
                *blob = Blob { body, etag: ETag(counter.to_string()) };
                Ok(blob.etag.clone())
            }
            _ => Err(Error::Conflict { path: path.to_owned() }),
        })
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        Ok(self.with(|_, documents| {
            let listed = |(path, blob): (&String, &Blob)| Listed { path: path.clone(), etag: blob.etag.clone() };
            documents.iter().filter(|(path, _)| path.starts_with(prefix)).map(listed).collect()
        }))
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.with(|_, documents| documents.remove(path));
        Ok(())
    }
}
