//! Cuts a run off at one boundary: at a write to the documents, or at a send.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use crate::store::{Backend, Blob, ETag, Error, Listed, Memory};

/// What happens at the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// It fails and has not happened; so does all that follows in this run.
    FailsBefore,
    /// It happened, but the answer is a failure; all that follows fails.
    FailsAfter,
    /// The process is killed before it happens.
    KilledBefore,
    /// The process is killed after it happened.
    KilledAfter,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::FailsBefore, Self::FailsAfter, Self::KilledBefore, Self::KilledAfter];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::FailsBefore => "fails before effect",
            Self::FailsAfter => "fails after effect",
            Self::KilledBefore => "killed before",
            Self::KilledAfter => "killed after",
        }
    }
}

/// A boundary, counted from 0 over all that passes it.
#[derive(Debug, Clone)]
pub struct Boundary {
    at: usize,
    cut: Cut,
    passed: Arc<AtomicUsize>,
    killed: Arc<Notify>,
}

impl Boundary {
    /// The boundary of this number.
    pub fn new(at: usize, cut: Cut) -> Self {
        Self { at, cut, passed: Arc::default(), killed: Arc::default() }
    }

    /// How many have passed or been cut off.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }

    /// Ends when the process would have been killed.
    pub async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Does a send, unless it is cut off before.
    pub(super) async fn pass(&self, effect: impl FnOnce()) -> Result<(), ()> {
        let number = self.passed.fetch_add(1, Ordering::SeqCst);
        if number < self.at {
            effect();
            return Ok(());
        }
        if number == self.at && matches!(self.cut, Cut::FailsAfter | Cut::KilledAfter) {
            effect();
        }
        self.end().await;
        Err(())
    }

    async fn end(&self) {
        if matches!(self.cut, Cut::KilledBefore | Cut::KilledAfter) {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

/// Documents whose writes are cut off.
#[derive(Debug)]
pub struct CutOff {
    inner: Arc<Memory>,
    boundary: Boundary,
    /// What was written at each number: for the table.
    written: std::sync::Mutex<Vec<String>>,
}

impl CutOff {
    /// Documents that are cut off at a boundary.
    pub fn new(inner: Arc<Memory>, boundary: Boundary) -> Arc<Self> {
        Arc::new(Self { inner, boundary, written: Default::default() })
    }

    /// What was written, in order.
    pub fn written(&self) -> Vec<String> {
        super::clock::lock(&self.written).clone()
    }

    async fn write<T>(&self, what: String, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let number = self.boundary.passed.fetch_add(1, Ordering::SeqCst);
        super::clock::lock(&self.written).push(what);
        if number < self.boundary.at {
            return write.await;
        }
        if number == self.boundary.at && matches!(self.boundary.cut, Cut::FailsAfter | Cut::KilledAfter) {
            write.await?;
        }
        self.boundary.end().await;
        Err(Error::Unavailable { doing: "write".to_owned(), source: "it was cut off here".into() })
    }
}

#[async_trait]
impl Backend for CutOff {
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error> {
        self.inner.get(path).await
    }

    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error> {
        self.write(format!("create {}", folder(path)), self.inner.create(path, body)).await
    }

    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        self.write(format!("update {}", folder(path)), self.inner.update(path, body, etag)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.write(format!("delete {}", folder(path)), self.inner.delete(path)).await
    }
}

fn folder(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}
