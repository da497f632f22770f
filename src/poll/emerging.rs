//! Emerging issues: read once per cloud, whoever the customers are. What changes is the partner's to know.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use super::{diff, keep};
use crate::app::App;
use crate::azure::EmergingReading;
use crate::azure::reading::Trouble;
use crate::model::{
    EmergingChange, EmergingIssue, EmergingIssues, TenantId, Timestamp, TrackingId, Transition, TransitionKind,
};
use crate::notify;
use crate::store::{self, Key, Versioned};

/// How often the status page is read. A minute's timer that is a little early must not make it six.
const EVERY: TimeDelta = TimeDelta::seconds(290);
/// Complete readings that must miss an issue before it counts as no longer listed.
const MISSED_LISTINGS: u32 = 2;
/// How long an issue that is no longer listed is kept.
const KEEP_UNLISTED: TimeDelta = TimeDelta::days(7);

/// Reads the emerging issues when they are due, keeps them, and files what changed. Gives that; what a crash left is filed
/// first.
///
/// # Errors
/// The store's. What Azure refused is a gap in the document.
pub async fn read_when_due(app: &Arc<App>) -> Result<Vec<Transition>, store::Error> {
    let now = app.clock.now();
    let before: Option<Versioned<EmergingIssues>> = app.store.read(&Key::Emerging).await?;
    if let Some(before) = &before {
        keep::file_in(app, Key::PartnerTimeline, before.value.unfiled.values()).await?;
        if before.value.coverage.tried_at.is_some_and(|at| now - at < EVERY) {
            return Ok(Vec::new());
        }
    }
    let partner = app.settings.identity.tenant_id;
    let read = app.azure.read_emerging(partner).await;
    if let Err(trouble) = &read {
        tracing::info!(reason = ?trouble.reason, detail = trouble.detail, "the emerging issues could not be read");
    }
    let known = before.as_ref().map(|before| before.value.clone()).unwrap_or_default();
    let (after, transitions) = compare(&known, &read, partner, now);
    notify::tell_partner(app, &transitions).await?;
    let written = match &before {
        Some(before) => app.store.replace(&Key::Emerging, before, &after).await,
        None => app.store.create(&Key::Emerging, &after).await,
    };
    match written {
        // Another process was faster, and files what it found.
        Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) => return Ok(Vec::new()),
        other => other?,
    }
    keep::file_in(app, Key::PartnerTimeline, transitions.iter()).await?;
    Ok(transitions)
}

/// What is known after a reading, and what changed. Pure.
fn compare(
    known: &EmergingIssues,
    read: &Result<EmergingReading, Trouble>,
    partner: TenantId,
    now: Timestamp,
) -> (EmergingIssues, Vec<Transition>) {
    let mut after = known.clone();
    after.unfiled.clear();
    after.coverage = diff::covered(&known.coverage, read.as_ref().err(), now, now);
    let Ok(read) = read else { return (after, Vec::new()) };
    after.banners.clone_from(&read.banners);
    after.refreshed_at = read.refreshed_at;
    // The first reading is history, not news.
    let backfill = known.coverage.read_at.is_none();
    let mut transitions = Vec::new();
    let mut tell = |id: &TrackingId, issue: &EmergingIssue, change: EmergingChange| {
        let kind = TransitionKind::EmergingIssueChanged {
            tracking_id: id.clone(),
            title: issue.title.clone(),
            severity: issue.severity.clone(),
            change,
        };
        let stamp = issue.last_update.map(|at| at.to_rfc3339()).unwrap_or_default();
        let occurrence = match change {
            EmergingChange::Updated => format!("{}|{stamp}|{}", issue.episode, version(issue)),
            EmergingChange::NoLongerListed => format!("{}|{}", issue.episode, issue.last_seen.to_rfc3339()),
            EmergingChange::Opened | EmergingChange::Resolved => issue.episode.to_string(),
        };
        transitions.push(Transition::new(partner, kind, &occurrence, now, backfill));
    };
    for (id, seen) in &read.issues {
        let was = known.issues.get(id);
        // A replica of Azure that lags behind takes nothing back.
        if let Some(was) = was.filter(|was| seen.last_update < was.last_update) {
            let still = EmergingIssue { last_seen: now, missed_listings: 0, ..was.clone() };
            after.issues.insert(id.clone(), still);
            continue;
        }
        let mut is = EmergingIssue {
            first_seen: was.map_or(now, |was| was.first_seen),
            episode: was.map_or(1, |was| was.episode),
            ..seen.clone()
        };
        match was.map(|was| (was.stage.is_over(), is.stage.is_over())) {
            None => {
                tell(id, &is, EmergingChange::Opened);
                if is.stage.is_over() {
                    tell(id, &is, EmergingChange::Resolved);
                }
            }
            Some((false, true)) => tell(id, &is, EmergingChange::Resolved),
            Some((true, false)) => {
                is.episode = is.episode.saturating_add(1);
                tell(id, &is, EmergingChange::Opened);
            }
            Some(_) if was.is_some_and(|was| version(was) != version(&is)) => tell(id, &is, EmergingChange::Updated),
            Some(_) => {}
        }
        after.issues.insert(id.clone(), is);
    }
    for (id, issue) in after.issues.iter_mut().filter(|(id, _)| !read.issues.contains_key(*id)) {
        issue.missed_listings = issue.missed_listings.saturating_add(1);
        if issue.missed_listings == MISSED_LISTINGS && !issue.stage.is_over() {
            tell(id, issue, EmergingChange::NoLongerListed);
        }
    }
    after.issues.retain(|_, issue| now - issue.last_seen <= KEEP_UNLISTED);
    after.unfiled = transitions.iter().map(|one| (one.id, one.clone())).collect::<BTreeMap<_, _>>();
    (after, transitions)
}

/// What makes two versions of an issue differ for people.
fn version(issue: &EmergingIssue) -> String {
    let parts = (&issue.title, &issue.description, &issue.severity, &issue.impact);
    crate::model::sha256_hex(serde_json::to_string(&parts).unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EmergingSeverity, EmergingStage, GapReason};

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn issue(stage: EmergingStage, minute: i64) -> EmergingIssue {
        EmergingIssue {
            title: "Storage".to_owned(),
            description: None,
            severity: EmergingSeverity::Error,
            stage,
            start: None,
            last_update: Some(at(minute)),
            impact: Vec::new(),
            first_seen: at(minute),
            last_seen: at(minute),
            missed_listings: 0,
            episode: 0,
        }
    }

    fn page(issues: &[EmergingIssue]) -> Result<EmergingReading, Trouble> {
        let id: TrackingId = "ABCD-123".parse().expect("a tracking id");
        let issues = issues.iter().map(|issue| (id.clone(), issue.clone())).collect();
        Ok(EmergingReading { issues, ..EmergingReading::default() })
    }

    fn changes(transitions: &[Transition]) -> Vec<EmergingChange> {
        let change = |one: &Transition| match one.kind {
            TransitionKind::EmergingIssueChanged { change, .. } => Some(change),
            _ => None,
        };
        transitions.iter().filter_map(change).collect()
    }

    #[test]
    fn each_change_is_told_once_and_absence_is_not_resolved() {
        let partner: TenantId = uuid::Uuid::from_u128(1).into();
        let mut known = EmergingIssues::default();
        let trouble = || Err(Trouble { reason: GapReason::AzureUnavailable, detail: "status 503".to_owned() });
        let mut worse = issue(EmergingStage::Active, 7);
        worse.description = Some("It spreads.".to_owned());
        let mut told = Vec::new();
        for (minute, read) in [
            (0, page(&[])),
            (5, page(&[issue(EmergingStage::Active, 4)])),
            (10, page(&[issue(EmergingStage::Active, 4)])),
            (15, page(&[worse.clone()])),
            (20, page(&[issue(EmergingStage::Active, 4)])),
            (25, trouble()),
            (30, page(&[issue(EmergingStage::Resolved, 29)])),
            (35, page(&[issue(EmergingStage::Active, 34)])),
            (40, page(&[])),
            (45, page(&[])),
            (50, page(&[])),
        ] {
            let (after, transitions) = compare(&known, &read, partner, at(minute));
            let again = compare(&known, &read, partner, at(minute)).1;
            assert_eq!(transitions, again, "the same twice has the same ids");
            told.extend(changes(&transitions).into_iter().map(|change| (minute, change)));
            known = after;
        }
        use EmergingChange::{NoLongerListed, Opened, Resolved, Updated};
        assert_eq!(told, [(5, Opened), (15, Updated), (30, Resolved), (35, Opened), (45, NoLongerListed)]);
        let kept = known.issues.values().next().expect("kept for a week");
        assert!(!kept.stage.is_over(), "nobody said that it is over");
        let (after, _) = compare(&known, &page(&[]), partner, at(50) + KEEP_UNLISTED);
        assert!(after.issues.is_empty());
    }

    #[test]
    fn what_is_there_at_first_is_history() {
        let partner: TenantId = uuid::Uuid::from_u128(1).into();
        let read = page(&[issue(EmergingStage::Active, 4)]);
        let (_, transitions) = compare(&EmergingIssues::default(), &read, partner, at(5));
        assert!(transitions.iter().all(|one| one.backfill) && !transitions.is_empty());
    }
}
