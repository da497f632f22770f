//! Emerging issues: what Azure's status page says about a whole cloud, before it says whom it hits.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ServiceImpact, SourceCoverage, Timestamp, TrackingId, Transition, TransitionId, open_enum};

open_enum!(
    /// How bad an emerging issue is (`severity`).
    EmergingSeverity {
        /// Good to know.
        Information = "Information",
        /// Some are hit.
        Warning = "Warning",
        /// Many are hit.
        Error = "Error",
    }
);

open_enum!(
    /// Where an emerging issue stands (`stage`).
    EmergingStage {
        /// It goes on.
        Active = "Active",
        /// Azure says it is over.
        Resolved = "Resolve",
        /// Over, and put away.
        Archived = "Archived",
    }
);

impl EmergingStage {
    /// True when Azure says that it is over.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Resolved | Self::Archived) || self.as_str().eq_ignore_ascii_case("Resolved")
    }
}

/// What is known of the emerging issues of one cloud, `cloud/emerging.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmergingIssues {
    /// The issues, over or not, until Azure has not listed them for a week.
    #[serde(default)]
    pub issues: BTreeMap<TrackingId, EmergingIssue>,
    /// The banners of the status page.
    #[serde(default)]
    pub banners: Vec<Banner>,
    /// When Azure last refreshed the page, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreshed_at: Option<Timestamp>,
    /// How well it is known.
    #[serde(flatten)]
    pub coverage: SourceCoverage,
    /// Transitions that the partner's timeline may not have yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unfiled: BTreeMap<TransitionId, Transition>,
}

/// One emerging issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmergingIssue {
    /// One line.
    pub title: String,
    /// The text, as safe HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How bad it is.
    pub severity: EmergingSeverity,
    /// Where it stands.
    pub stage: EmergingStage,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Azure's version stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<Timestamp>,
    /// Services, each with its regions.
    #[serde(default)]
    pub impact: Vec<ServiceImpact>,
    /// When we first saw it.
    pub first_seen: Timestamp,
    /// When we last saw it listed.
    pub last_seen: Timestamp,
    /// Complete readings in a row that did not have it. Never means resolved.
    #[serde(default)]
    pub missed_listings: u32,
    /// How often it was opened.
    #[serde(default)]
    pub episode: u32,
}

/// A banner of the status page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Banner {
    /// One line.
    pub title: String,
    /// The text, as safe HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<Timestamp>,
}

/// What happened to an emerging issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmergingChange {
    /// Azure shows it for the first time, or again after it was over.
    Opened,
    /// Its title, text, severity or impact changed.
    Updated,
    /// Azure says that it is over.
    Resolved,
    /// Azure shows it no longer, without having said that it is over.
    NoLongerListed,
}
