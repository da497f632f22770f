//! What delivery has to remember beside the notices themselves: the order of what is told, and how destinations are.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{NoticeId, Timestamp};

/// What is told one after the other, `lanes/{laneId}.json`: the notices of one thread, or of one bundle. Whoever sends holds
/// its lease, so that a later state never overtakes an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    /// Somebody is sending until then; after that anybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased_until: Option<Timestamp>,
    /// How often in a row somebody took the lease and was never heard of again.
    #[serde(default)]
    pub unheard: u32,
    /// Of a bundle: what was in the message when it was sent first. Tries again hold the same, under the same id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<NoticeId>,
    /// The state that was told last was found then: what is older is not told any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_up_to: Option<Timestamp>,
    /// The notice that told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<NoticeId>,
    /// The episode whose beginning the destination knows of, while it goes on. 0: none.
    #[serde(default)]
    pub begun: u32,
    /// When it was last written.
    pub at: Timestamp,
}

impl Lane {
    /// A lane in which nothing was told yet.
    pub fn new(at: Timestamp) -> Self {
        Self { leased_until: None, unheard: 0, members: Vec::new(), told_up_to: None, newest: None, begun: 0, at }
    }

    /// True while somebody else may be sending.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.leased_until.is_some_and(|until| until > now)
    }
}

/// A destination that does not take what we send, or asked us to slow down, `destinations/{channel}.json`: where every
/// instance sees it. Absent: nothing is known against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// The channel's name.
    pub channel: String,
    /// The first failure of an unbroken row. None: it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Nothing is sent until then; after that one notice finds out how it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<Timestamp>,
    /// How often it was tried while it was failing.
    #[serde(default)]
    pub probes: u32,
    /// What it last answered, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// True once the partner was told that it fails.
    #[serde(default)]
    pub told: bool,
    /// When it last came back: what failed before that is due at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Timestamp>,
    /// Of a destination with a narrow limit: the minute that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minute: Option<Timestamp>,
    /// Messages begun in that minute, by all instances.
    #[serde(default)]
    pub in_minute: u32,
}

impl Destination {
    /// A destination that nothing is known against.
    pub fn new(channel: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            failing_since: None,
            rests_until: None,
            probes: 0,
            last_error: None,
            told: false,
            recovered_at: None,
            minute: None,
            in_minute: 0,
        }
    }

    /// True while nothing may be sent.
    pub fn rests(&self, now: Timestamp) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    /// True when it has failed for at least so long.
    pub fn failing_for(&self, time: TimeDelta, now: Timestamp) -> bool {
        self.failing_since.is_some_and(|since| now - since >= time)
    }
}
