//! Events of the tenant itself, which no subscription sees. Pure.

use super::diff_events::{is_history, is_newer};
use super::diff_lifecycle::{Sight, Steps, steps};
use crate::azure::reading::Reading;
use crate::model::{
    EventContent, EventStatus, MergedEvent, Snapshot, SourceCoverage, TenantEvent, Timestamp, TrackingId, Transition,
};

pub(super) fn diff(before: &Snapshot, after: &mut Snapshot, reading: &Reading, now: Timestamp) -> Vec<Transition> {
    let Some(read) = &reading.tenant_events else { return Vec::new() };
    let first_sight = before.tenant_coverage.as_ref().is_none_or(|known| known.read_at.is_none());
    let was = before.tenant_coverage.clone().unwrap_or_default();
    let covered: SourceCoverage = super::diff::covered(&was, read.trouble.as_ref(), reading.started_at, now);
    after.tenant_coverage = Some(covered);
    for (id, observed) in &read.rows {
        let known = before.tenant_events.get(id);
        match known.filter(|known| !is_newer(known, observed)) {
            Some(known) => {
                let seen = TenantEvent { last_seen: reading.started_at, ..known.clone() };
                after.tenant_events.insert(id.clone(), seen);
            }
            None => {
                let seen = TenantEvent {
                    content: EventContent::clone(&observed.content),
                    last_update: observed.last_update,
                    first_seen: known.map_or(reading.started_at, |known| known.first_seen),
                    last_seen: reading.started_at,
                    episode: known.map_or(0, |known| known.episode),
                    standing: known.and_then(|known| known.standing.clone()),
                };
                after.tenant_events.insert(id.clone(), seen);
            }
        }
    }
    let mut transitions = Vec::new();
    for (id, event) in &mut after.tenant_events {
        let known = before.tenant_events.get(id);
        let (was, is) = (known.map(|known| merged(id, known)), merged(id, event));
        let Steps { standing, episode, told } = steps(Sight {
            was: was.as_ref(),
            standing: known.and_then(|known| known.standing.as_ref()),
            episode: event.episode,
            is: &is,
            fresh: read.trouble.is_none(),
            first_sight: &Default::default(),
            waited_for_texts: false,
            then: before.polled_at,
            now,
        });
        (event.standing, event.episode) = (Some(standing), episode);
        let backfill = was.is_none() && is_history(&is, first_sight, now);
        transitions.extend(
            told.into_iter()
                .map(|(kind, occurrence)| Transition::new(before.tenant_id, kind, &occurrence, now, backfill)),
        );
    }
    transitions
}

/// The event as the merged view has it, seen by no subscription.
pub(crate) fn merged(id: &TrackingId, event: &TenantEvent) -> MergedEvent {
    let mut content = event.content.clone();
    if !content.is_active() {
        content.status = EventStatus::Resolved;
    }
    MergedEvent {
        tracking_id: id.clone(),
        severity: event.content.severity(),
        content,
        last_update: event.last_update,
        subscriptions: Default::default(),
        first_seen: Some(event.first_seen),
        no_longer_listed: false,
    }
}
