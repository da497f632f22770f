//! The outbox: notices that are not told yet. The store carries truth, the queue only work: whatever is lost on its way to the
//! queue is found here by the next timer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::app::App;
use crate::model::{Notice, NoticeId, Told};
use crate::store::{self, ETag, Folder, Key, Store};

/// Documents read or written at once.
pub(super) const IN_FLIGHT: usize = 16;

/// Puts notices into the outbox, each once: one that has ended, or waits already, is not put again. Gives those that are new.
///
/// # Errors
/// The store's.
pub async fn put(app: &App, notices: &[Notice]) -> Result<Vec<Notice>, store::Error> {
    // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
    let puts: Vec<_> = notices.iter().map(|notice| put_one(app, notice)).collect();
    let put: Vec<_> = futures_util::stream::iter(puts).buffered(IN_FLIGHT).try_collect().await?;
    Ok(put.into_iter().flatten().collect())
}

async fn put_one(app: &App, notice: &Notice) -> Result<Option<Notice>, store::Error> {
    if app.store.read::<Told>(&Key::Told(notice.id)).await?.is_some() {
        return Ok(None);
    }
    match app.store.create(&Key::Outbox(notice.id), notice).await {
        Ok(()) => Ok(Some(notice.clone())),
        Err(store::Error::AlreadyExists { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The notices that wait, kept by ETag: one listing says which changed, and only those are read again.
#[derive(Debug, Default)]
pub struct Waiting {
    known: Mutex<Known>,
}

type Known = BTreeMap<NoticeId, (ETag, Arc<Notice>)>;

impl Waiting {
    /// Every notice in the outbox as it is now. One that cannot be read is reported and left out: it must not keep the others
    /// from being told.
    ///
    /// # Errors
    /// [`store::Error::Unavailable`].
    pub async fn all(&self, store: &Store) -> Result<Vec<(ETag, Arc<Notice>)>, store::Error> {
        let listed = store.list(Folder::Outbox).await?;
        let ids = listed.iter().filter_map(|line| {
            let id = line.path.strip_prefix("outbox/")?.strip_suffix(".json")?.parse::<NoticeId>().ok()?;
            Some((id, &line.etag))
        });
        let known = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut fresh, mut reads) = (Known::new(), Vec::new());
        for (id, etag) in ids {
            match known.get(&id) {
                Some(hit) if hit.0 == *etag => {
                    fresh.insert(id, hit.clone());
                }
                _ => reads.push(read(store, id)),
            }
        }
        let read: Vec<_> = futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
        fresh.extend(read.into_iter().flatten());
        let all = fresh.values().cloned().collect();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(all)
    }
}

async fn read(store: &Store, id: NoticeId) -> Result<Option<(NoticeId, (ETag, Arc<Notice>))>, store::Error> {
    match store.read::<Notice>(&Key::Outbox(id)).await {
        Ok(read) => Ok(read.map(|read| (id, (read.etag, Arc::new(read.value))))),
        Err(error @ store::Error::Unavailable { .. }) => Err(error),
        Err(error) => {
            tracing::error!(notice.id = %id, error = &error as &dyn std::error::Error, "a notice cannot be read");
            Ok(None)
        }
    }
}
