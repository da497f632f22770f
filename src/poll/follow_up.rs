//! What is read on slow cadences, and what is remembered of that: reviews of events that are over, the resources that active
//! events hit, the daily listing of everything. Pure.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::plan::spread;
use crate::azure::reading::{Reading, Trouble};
use crate::model::{EventRecord, EventType, Pace, Snapshot, SubscriptionId, Timestamp, TrackingId};

/// How long after its end an event is watched for its review ("Azure health data APIs", 6.4).
const REVIEWS_FOR: TimeDelta = TimeDelta::days(45);
/// How often it is asked for.
const FOLLOW_EVERY: TimeDelta = TimeDelta::hours(12);
/// How many events of one subscription are asked for one by one, the newest first.
const FOLLOWED: usize = 20;
/// How far before an event's last publication its next one is looked for.
const FOLLOW_BACK: TimeDelta = TimeDelta::days(1);
/// How often everything of the last 90 days is listed, and how soon again after a failure.
const WIDE_EVERY: TimeDelta = TimeDelta::hours(24);
const RETRY: TimeDelta = TimeDelta::hours(1);
/// How often Resource Graph is asked for the resources that active events hit; at once for an event that has none yet.
const IMPACTED_EVERY: TimeDelta = TimeDelta::minutes(10);
const IMPACTED_OF_NEW: TimeDelta = TimeDelta::minutes(1);
/// An event is new for this long: who has no answer by then waits for the usual time.
const NEW_FOR: TimeDelta = TimeDelta::minutes(30);
/// How often REST is asked, where Resource Graph has none, and for how many at once.
const IMPACTED_REST_EVERY: TimeDelta = TimeDelta::hours(1);
const IMPACTED_REST: usize = 50;
/// How long a recovery is remembered, and how many: other sources say late what was told already.
const RECOVERED_FOR: TimeDelta = TimeDelta::days(1);
const RECOVERED: usize = 1_000;

/// The events to ask for one by one through this subscription: over, not yet reviewed to the end; or known without their
/// texts. One subscription speaks for all that see the event.
pub(super) fn wanted(snapshot: &Snapshot, id: SubscriptionId, now: Timestamp) -> BTreeMap<TrackingId, Timestamp> {
    let mut found: Vec<(Timestamp, TrackingId)> = Vec::new();
    for (tracking_id, record) in &snapshot.events {
        let speaks = record.observations.keys().next() == Some(&id);
        let Some(seen) = record.observations.get(&id).filter(|_| speaks) else { continue };
        let Some(content) = record.contents.get(&seen.content) else { continue };
        let reviewed = content.tags.iter().any(|tag| tag.eq_ignore_ascii_case("Final PIR"));
        let has_review = matches!(content.event_type, EventType::ServiceIssue | EventType::SecurityAdvisory);
        let ended = content.impact_mitigation.max(seen.last_update).unwrap_or(seen.first_seen).min(now);
        let awaits_review = !content.is_active() && has_review && !reviewed && now - ended <= REVIEWS_FOR;
        let lacks_text = seen.index_only && !content.text_withheld && now - ended <= REVIEWS_FOR;
        if awaits_review || lacks_text {
            let since = seen.last_update.unwrap_or(seen.first_seen).min(now) - FOLLOW_BACK;
            found.push((since, tracking_id.clone()));
        }
    }
    found.sort();
    found.into_iter().rev().take(FOLLOWED).map(|(since, id)| (id, since)).collect()
}

/// The pairs of subscription and active event whose resources REST is to name if Resource Graph does not, those first that were
/// not read for the longest time. None: nothing is due.
pub(super) fn impacted(snapshot: &Snapshot, now: Timestamp) -> Option<Vec<(SubscriptionId, TrackingId)>> {
    let mut pairs = Vec::new();
    let mut is_new = false;
    for (id, record) in &snapshot.events {
        for (subscription, seen) in &record.observations {
            let Some(content) = record.contents.get(&seen.content) else { continue };
            let names_resources = matches!(
                content.event_type,
                EventType::ServiceIssue | EventType::PlannedMaintenance | EventType::SecurityAdvisory
            );
            if content.is_active() && names_resources && !seen.no_longer_listed() {
                let read_at = record.impacted.get(subscription).map(|known| known.read_at);
                is_new |= read_at.is_none() && now - seen.first_seen < NEW_FOR;
                pairs.push((read_at, *subscription, id));
            }
        }
    }
    let every = if is_new { IMPACTED_OF_NEW } else { IMPACTED_EVERY };
    if pairs.is_empty() || snapshot.impacted_at.is_some_and(|at| now - at < every) {
        return None;
    }
    pairs.retain(|(read_at, ..)| read_at.is_none_or(|at| now - at >= IMPACTED_REST_EVERY));
    pairs.sort();
    Some(pairs.into_iter().take(IMPACTED_REST).map(|(_, subscription, id)| (subscription, id.clone())).collect())
}

/// Remembers what the slow cadences gave, and what Azure said about its patience.
pub(super) fn note(before: &Snapshot, after: &mut Snapshot, reading: &Reading, now: Timestamp) {
    for (id, read) in &reading.subscriptions {
        let Some(known) = after.coverage.get_mut(id) else { continue };
        let next = |succeeded: bool, every: TimeDelta| {
            reading.started_at + if succeeded { every - spread(*id, every / 6) } else { RETRY }
        };
        if let Some(succeeded) = read.listed_wide {
            known.wide_due = Some(next(succeeded, WIDE_EVERY));
        }
        if let Some(succeeded) = read.followed {
            known.follow_due = Some(next(succeeded, FOLLOW_EVERY));
        }
        if let Some(activity) = &read.activity {
            let trouble: Option<&Trouble> = activity.trouble.as_ref();
            known.activity = super::diff::covered(&known.activity, trouble, reading.started_at, now);
        }
        for (event, named) in &read.impacted {
            if let Some(record) = after.events.get_mut(event) {
                record.impacted.insert(*id, named.clone());
            }
        }
    }
    for record in after.events.values_mut() {
        let EventRecord { impacted, observations, .. } = record;
        impacted.retain(|id, _| observations.contains_key(id));
    }
    if reading.impacted_asked {
        after.impacted_at = Some(reading.started_at);
    }
    forget_recovered(after, now);
    after.pace = Pace::after(&before.pace, &reading.spent, now);
}

/// Recoveries that are long ago, or too many, are forgotten: at worst an old failure is told again as over.
fn forget_recovered(after: &mut Snapshot, now: Timestamp) {
    after.recovered.retain(|_, at| now - *at < RECOVERED_FOR);
    if after.recovered.len() > RECOVERED {
        let mut times: Vec<_> = after.recovered.values().copied().collect();
        times.sort_unstable();
        let oldest_kept = times[times.len() - RECOVERED];
        after.recovered.retain(|_, at| *at >= oldest_kept);
    }
}
