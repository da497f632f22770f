//! Where notices go. A channel is one file, and one line below.

pub mod address;
pub mod guard;
mod options;
mod wire;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{ChannelConfig, Notice, NoticeId, Timestamp};

pub use self::options::{Invalid, Options, Target};
pub use self::wire::Wire;

/// Declares the rooms of the channels and lists their kinds.
macro_rules! channels {
    ($($name:ident),+ $(,)?) => {
        $(pub mod $name;)+

        /// Every kind of channel.
        pub const KINDS: &[Kind] = &[$($name::KIND),+];
    };
}

// One line each. What rustfmt does not see behind the macro, .ci/run formats by name.
channels!(webhook, teams, slack, pagerduty, graph_mail, smtp, event_grid, azure_metrics, log_analytics, command, file);

/// A kind of channel.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in `routes.json`.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its options in `routes.json`, with harmless values.
    pub example: &'static str,
    /// Every option, and what it means.
    pub options: &'static [(&'static str, &'static str)],
    /// Reads and checks the options. None when there is a fault, which the options keep.
    open: fn(&mut Options<'_>) -> Option<std::sync::Arc<dyn Channel>>,
}

/// Opens a channel: its options are checked, nothing is sent.
///
/// # Errors
/// Every fault of the options at once.
pub fn open(name: &str, config: &ChannelConfig, wire: &Wire) -> Result<std::sync::Arc<dyn Channel>, Vec<Invalid>> {
    let Some(kind) = KINDS.iter().find(|kind| kind.name == config.kind) else {
        let known: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        return Err(vec![Invalid::new("kind", format!("is none of {}", known.join(", ")))]);
    };
    let mut options = Options::new(name, &config.options, wire);
    let channel = (kind.open)(&mut options);
    options.end(channel)
}

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

impl Parcel {
    /// True until an hour after the first attempt: a role or permission that was given just before may not have spread yet.
    pub fn within_first_hour(&self) -> bool {
        let first = self.notices.iter().filter_map(|notice| notice.delivery.first_attempt_at).min();
        first.is_none_or(|first| self.sent_at - first < chrono::TimeDelta::hours(1))
    }
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

/// One request, mail or line as a channel would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The content type, such as `application/json`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Preview {
    /// JSON, written so that people can read it.
    pub fn json(value: &serde_json::Value) -> Self {
        Self { content_type: "application/json", body: format!("{value:#}") }
    }
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

    /// What [`send`](Self::send) would send, without secrets: for dry runs, and for people who want to see it first.
    fn preview(&self, parcel: &Parcel) -> Vec<Preview>;

    /// Sends one message, once: tries again are the outbox's affair.
    ///
    /// # Errors
    /// [`Refusal`].
    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal>;
}
