//! Documents kept in memory by their ETag: one listing says which changed, and only those are read again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::model::TenantId;
use crate::store::{self, ETag, Folder, Key, Store, Stored};

/// Documents read at once.
const IN_FLIGHT: usize = 16;

type Documents<T> = BTreeMap<TenantId, (ETag, Arc<T>)>;

/// All documents of one folder that has one per tenant.
#[derive(Debug)]
pub struct TenantCache<T> {
    folder: Folder,
    key: fn(TenantId) -> Key,
    known: Mutex<Documents<T>>,
}

impl<T: Stored + Send + Sync> TenantCache<T> {
    /// An empty cache of a folder.
    pub fn new(folder: Folder, key: fn(TenantId) -> Key) -> Self {
        Self { folder, key, known: Mutex::default() }
    }

    /// Every document as it is in the store now.
    ///
    /// # Errors
    /// Any [`store::Error`]: a document that cannot be read is not left out silently.
    pub async fn all(&self, store: &Store) -> Result<BTreeMap<TenantId, Arc<T>>, store::Error> {
        let listed = store.list(self.folder).await?;
        let prefix = self.folder.prefix();
        let tenants = listed.iter().filter_map(|line| {
            let id = line.path.strip_prefix(prefix.as_ref())?.strip_suffix(".json")?.parse().ok()?;
            Some((id, &line.etag))
        });
        let known = |id: &TenantId| self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let reads = tenants.map(|(id, etag)| async move {
            match known(&id) {
                Some(hit) if hit.0 == *etag => Ok(Some((id, hit))),
                _ => {
                    let read = store.read::<T>(&(self.key)(id)).await?;
                    Ok::<_, store::Error>(read.map(|read| (id, (read.etag, Arc::new(read.value)))))
                }
            }
        });
        // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
        let reads: Vec<_> = reads.collect();
        // One deleted between listing and reading is simply not there.
        let all: Vec<_> = futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
        let documents: Documents<T> = all.into_iter().flatten().collect();
        let answer = documents.iter().map(|(id, (_, document))| (*id, Arc::clone(document))).collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = documents;
        Ok(answer)
    }
}
