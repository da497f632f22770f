//! The heartbeat: what the timer leaves behind, so that its silence can be noticed by whoever still runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{TenantId, Timestamp};

/// The last run of the timer that ended well, `partner/heartbeat.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// When it was.
    pub at: Timestamp,
    /// Since when it has run without a silence.
    pub running_since: Timestamp,
    /// How many customers are watched.
    #[serde(default)]
    pub watched: usize,
    /// Customers of whom nothing could be read for several intervals, as it was told.
    #[serde(default)]
    pub silent: BTreeMap<TenantId, Silence>,
}

/// The silence of one customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// The last time that anything of it was read in full. None: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_read_at: Option<Timestamp>,
    /// When it was told.
    pub told_at: Timestamp,
}

impl Heartbeat {
    /// True when nothing of any customer arrives: the timer runs, the rest does not.
    pub fn all_silent(&self) -> bool {
        self.watched > 0 && self.silent.len() >= self.watched
    }
}
