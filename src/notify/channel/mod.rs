//! Where notices go.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Notice, NoticeId, Timestamp};

/// One message for one destination: a notice, or a bundle of them.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The idempotency key: the same on every attempt.
    pub id: NoticeId,
    /// What it tells, oldest first; more than one only in a bundle.
    pub notices: Vec<Notice>,
    /// The texts of Azure that the stories name, sanitised HTML, by hash.
    pub texts: std::collections::BTreeMap<crate::model::TextHash, String>,
    /// When this attempt is made.
    pub sent_at: Timestamp,
    /// Which attempt it is, from 1.
    pub attempt: u32,
}

/// What a destination answered to a message that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// In one line, without secrets, such as `202`.
    pub detail: String,
}

/// Why a message was not taken. Every text is one line without secrets and without foreign text beyond codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It may be taken later: 429, 5xx, no answer.
    #[error("{why}")]
    Later {
        /// Why.
        why: String,
        /// When the destination wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// This message will never be taken: it is dead.
    #[error("{why}")]
    Never {
        /// Why.
        why: String,
    },
    /// The destination is gone (410, archived): nothing more is sent to it until somebody looks.
    #[error("{why}")]
    Gone {
        /// Why.
        why: String,
    },
}

/// How often a destination may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages under way at once.
    pub concurrent: usize,
    /// Messages a minute.
    pub per_minute: u32,
}

/// A destination that can be used.
#[async_trait]
pub trait Channel: Send + Sync + fmt::Debug {
    /// Which kind it is.
    fn kind(&self) -> &'static str;

    /// What tells destinations apart for pace and circuit breaking, without secrets: such as a host or a mailbox.
    fn destination(&self) -> String;

    /// How often it may be used.
    fn pace(&self) -> Pace;

    /// Sends one message, once: tries again are the outbox's affair.
    ///
    /// # Errors
    /// [`Refusal`].
    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal>;
}
