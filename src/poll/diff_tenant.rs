//! Events of the tenant itself, which no subscription sees. Pure.

use super::diff_events::{changes, is_newer};
use crate::azure::reading::Reading;
use crate::model::{
    EventRecord, MergedEvent, Snapshot, SourceCoverage, TenantEvent, Timestamp, TrackingId, Transition,
};

pub(super) fn diff(before: &Snapshot, after: &mut Snapshot, reading: &Reading, now: Timestamp) -> Vec<Transition> {
    let Some(read) = &reading.tenant_events else { return Vec::new() };
    let first_sight = before.tenant_coverage.as_ref().is_none_or(|known| known.read_at.is_none());
    let was = before.tenant_coverage.clone().unwrap_or_default();
    let covered: SourceCoverage = super::diff::covered(&was, read.trouble.as_ref(), reading.started_at, now);
    after.tenant_coverage = Some(covered);
    let mut transitions = Vec::new();
    for (id, observed) in &read.rows {
        let known = before.tenant_events.get(id);
        if known.is_some_and(|known| !is_newer(known, observed)) {
            if let Some(known) = after.tenant_events.get_mut(id) {
                known.last_seen = reading.started_at;
            }
            continue;
        }
        let event = TenantEvent {
            content: observed.content.clone(),
            last_update: observed.last_update,
            first_seen: known.map_or(reading.started_at, |known| known.first_seen),
            last_seen: reading.started_at,
            episode: known.map_or(0, |known| known.episode),
        };
        let mut record = EventRecord { episode: event.episode, ..EventRecord::default() };
        let (was, is) = (known.map(|known| merged(id, known)), merged(id, &event));
        for (kind, occurrence) in changes(was.as_ref(), &is, &mut record, &Default::default(), false) {
            let backfill = was.is_none() && first_sight;
            transitions.push(Transition::new(before.tenant_id, kind, &occurrence, now, backfill));
        }
        after.tenant_events.insert(id.clone(), TenantEvent { episode: record.episode, ..event });
    }
    transitions
}

/// The event as the merged view has it, seen by no subscription.
pub(crate) fn merged(id: &TrackingId, event: &TenantEvent) -> MergedEvent {
    MergedEvent {
        tracking_id: id.clone(),
        severity: event.content.severity(),
        content: event.content.clone(),
        last_update: event.last_update,
        subscriptions: Default::default(),
        first_seen: Some(event.first_seen),
        no_longer_listed: false,
    }
}
