//! The emerging issues of the cloud, as they are kept: no customer is meant by them.

use chrono::TimeDelta;
use serde::Serialize;

use super::Error;
use crate::app::App;
use crate::model::{
    Banner, EmergingIssue, EmergingIssues, EmergingSeverity, EmergingStage, Gap, GapReason, ServiceImpact, Timestamp,
    TrackingId,
};
use crate::store::Key;

/// The status page is read every five minutes.
const CURRENT_FOR: TimeDelta = TimeDelta::minutes(20);
/// Readings that must miss an issue before it counts as no longer listed.
const MISSED: u32 = 2;

/// What the status page of the cloud says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Emerging {
    /// The issues, in order of tracking ids.
    pub value: Vec<EmergingRow>,
    /// The banners.
    pub banners: Vec<Banner>,
    /// When Azure last refreshed the page, as it says.
    pub refreshed_at: Option<Timestamp>,
    /// When we last read it.
    pub as_of: Option<Timestamp>,
    /// Whether it is read and current.
    pub coverage: EmergingCoverage,
}

/// Whether the status page is read and current.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmergingCoverage {
    /// True when it was read, recently enough to be called current.
    pub complete: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// One issue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmergingRow {
    /// The tracking id; the incident of the same id says which customers are hit, once Azure knows.
    pub tracking_id: TrackingId,
    /// One line.
    pub title: String,
    /// The text, as safe HTML.
    pub description: Option<String>,
    /// How bad it is.
    pub severity: EmergingSeverity,
    /// Where it stands.
    pub stage: EmergingStage,
    /// True when Azure shows it no longer. Not the same as resolved.
    pub no_longer_listed: bool,
    /// When it began.
    pub start: Option<Timestamp>,
    /// Azure's version stamp.
    pub last_update: Option<Timestamp>,
    /// Services and regions.
    pub impact: Vec<ServiceImpact>,
    /// When we first saw it.
    pub first_seen: Timestamp,
}

/// What is kept of the status page.
///
/// # Errors
/// [`Error::Store`].
pub async fn emerging(app: &App) -> Result<Emerging, Error> {
    let known = app.store.read::<EmergingIssues>(&Key::Emerging).await?;
    Ok(view(known.map(|known| known.value).unwrap_or_default(), app.clock.now()))
}

fn view(known: EmergingIssues, now: Timestamp) -> Emerging {
    let told = |reason, detail: &str, since| Some(Gap { reason, detail: detail.to_owned(), since, told: false });
    let gap = match (known.coverage.gap, known.coverage.read_at) {
        (Some(gap), _) => Some(gap),
        (None, None) => told(GapReason::NotReadYet, "not read yet", now),
        (None, Some(at)) if now - at > CURRENT_FOR => told(GapReason::Stale, "not read for a while", at),
        (None, Some(_)) => None,
    };
    Emerging {
        value: known.issues.into_iter().map(|(id, issue)| row(id, issue)).collect(),
        banners: known.banners,
        refreshed_at: known.refreshed_at,
        as_of: known.coverage.read_at,
        coverage: EmergingCoverage { complete: gap.is_none(), gap },
    }
}

fn row(tracking_id: TrackingId, issue: EmergingIssue) -> EmergingRow {
    EmergingRow {
        tracking_id,
        title: issue.title,
        description: issue.description,
        severity: issue.severity,
        stage: issue.stage,
        no_longer_listed: issue.missed_listings >= MISSED,
        start: issue.start,
        last_update: issue.last_update,
        impact: issue.impact,
        first_seen: issue.first_seen,
    }
}
