//! What the partner himself says about an incident. Who is affected is derived from snapshots, never kept here.

use serde::{Deserialize, Serialize};

use super::{Timestamp, TrackingId};

/// The partner's words on one incident, `incidents/{trackingId}.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentNotes {
    /// The incident.
    pub tracking_id: TrackingId,
    /// Somebody looks after it: no reminders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// Nothing is told of it for a while, but its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<Snooze>,
    /// What people wrote down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// Somebody looks after an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    /// Who, as the caller named himself.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in his words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Until when it counts. None: while the incident lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Which time the incident had begun then. When Azure reopens it, somebody has to look at it anew. 0: not noted.
    #[serde(default)]
    pub episode: u32,
}

/// Somebody does not want to hear of an incident for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snooze {
    /// Who, as the caller named himself.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in his words.
    pub reason: String,
    /// Until when.
    pub until: Timestamp,
}

/// A remark on an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

impl IncidentNotes {
    /// Nothing said yet.
    pub fn new(tracking_id: TrackingId) -> Self {
        Self { tracking_id, acknowledged: None, snoozed: None, notes: Vec::new() }
    }

    /// The snooze that holds now.
    pub fn snoozed_at(&self, now: Timestamp) -> Option<&Snooze> {
        self.snoozed.as_ref().filter(|snooze| snooze.until > now)
    }

    /// The acknowledgement that holds now.
    pub fn acknowledged_at(&self, now: Timestamp) -> Option<&Acknowledgement> {
        self.acknowledged.as_ref().filter(|said| said.until.is_none_or(|until| until > now))
    }

    /// The same for the time that the incident begins: what was reopened since is not acknowledged.
    pub fn acknowledged_in(&self, episode: u32, now: Timestamp) -> Option<&Acknowledgement> {
        self.acknowledged_at(now).filter(|said| said.episode == 0 || said.episode >= episode)
    }
}
