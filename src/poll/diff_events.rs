//! Service Health events: what each subscription sees is kept by version, the merged view before and after is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;

use super::diff::Inputs;
use super::diff_lifecycle::{Sight, Steps, steps};
use crate::azure::reading::{EventsReading, ObservedEvent};
use crate::model::{
    EventContent, EventRecord, EventUpdate, MergedEvent, Observation, ServiceImpact, Severity, Snapshot,
    SubscriptionId, TenantEvent, TextHash, Timestamp, TrackingId, Transition,
};

/// How long an event that Azure no longer lists is kept: reviews appear up to six weeks later.
const KEEP_UNLISTED: TimeDelta = TimeDelta::days(45);
/// What Azure has not spoken of for longer than this when it is first seen is history, not news.
const OLD_NEWS: TimeDelta = TimeDelta::days(3);

pub(super) fn diff(inputs: Inputs<'_>, after: &mut Snapshot) -> Vec<Transition> {
    let Inputs { before, watched, reading, now, .. } = inputs;
    for (subscription, read) in inputs.read() {
        if let Some(events) = &read.events {
            observe(&mut after.events, subscription, events, reading.started_at);
        }
    }
    tidy(&mut after.events, watched, now);

    let first_sight: BTreeSet<_> = watched
        .iter()
        .copied()
        .filter(|id| before.coverage.get(id).is_none_or(|coverage| coverage.events.read_at.is_none()))
        .collect();
    let read_now: BTreeSet<_> = inputs
        .read()
        .filter(|(_, read)| read.events.as_ref().is_some_and(|events| events.trouble.is_none()))
        .map(|(id, _)| id)
        .collect();
    let mut transitions = Vec::new();
    for (id, record) in &mut after.events {
        let known = before.events.get(id);
        let was = known.and_then(|record| record.merged(id));
        let Some(is) = record.merged(id) else { continue };
        let Steps { standing, episode, told } = steps(Sight {
            was: was.as_ref(),
            standing: known.and_then(|record| record.standing.as_ref()),
            episode: record.episode,
            is: &is,
            fresh: !is.subscriptions.is_disjoint(&read_now),
            first_sight: &first_sight,
            waited_for_texts: known.is_some_and(|record| record.observations.values().any(|seen| seen.index_only)),
            then: before.polled_at,
            now,
        });
        (record.standing, record.episode) = (Some(standing), episode);
        let backfill = was.is_none() && is_history(&is, is.subscriptions.is_subset(&first_sight), now);
        transitions.extend(
            told.into_iter()
                .map(|(kind, occurrence)| Transition::new(before.tenant_id, kind, &occurrence, now, backfill)),
        );
    }
    transitions
}

/// Whether an event that was not known before is history rather than news.
///
/// What is over for days, or was called off before anybody heard of it, is history. So is what a new customer brings along,
/// unless it is serious, goes on, and Azure spoke of it within days: who comes in the middle of an outage is told of it.
/// Outages last hours, rarely a day; what Azure has kept open without a word for longer, such as advisories, can be looked up
/// and is no alarm.
pub(super) fn is_history(event: &MergedEvent, first_sight: bool, now: Timestamp) -> bool {
    let content = &event.content;
    let spoken_of = event.last_update.max(content.impact_start.filter(|start| *start <= now));
    let long_ago = spoken_of.is_some_and(|at| now - at > OLD_NEWS);
    let serious = content.is_active() && event.severity >= Severity::Medium;
    match content.is_active() {
        false if content.is_retracted() || content.is_cancelled() => true,
        false => long_ago || first_sight,
        true => first_sight && (long_ago || !serious),
    }
}

/// Takes in what one subscription sees now.
fn observe(
    events: &mut BTreeMap<TrackingId, EventRecord>,
    subscription: SubscriptionId,
    read: &EventsReading,
    at: Timestamp,
) {
    for (id, observed) in &read.rows {
        let record = events.entry(id.clone()).or_default();
        let known = record.observations.get(&subscription);
        let version = accept(known.and_then(|seen| Some((seen, record.contents.get(&seen.content)?))), observed);
        let first_seen = known.map_or(at, |seen| seen.first_seen);
        let last_seen = known.map_or(at, |seen| seen.last_seen.max(at));
        let seen = match (version, known) {
            (Some(content), _) => {
                // What another subscription said already has its name.
                let same = record.contents.iter().find(|(_, known)| **known == *content).map(|(hash, _)| *hash);
                let hash = same.unwrap_or_else(|| content.hash());
                record.contents.entry(hash).or_insert_with(|| Arc::unwrap_or_clone(content));
                Observation {
                    content: hash,
                    last_update: known.and_then(|seen| seen.last_update).max(observed.last_update),
                    first_seen,
                    last_seen,
                    missed_listings: 0,
                    // Only a newer version can lack texts that are to be read.
                    index_only: observed.index_only
                        && known.is_none_or(|seen| seen.index_only || observed.last_update > seen.last_update),
                }
            }
            (None, Some(known)) => Observation { missed_listings: 0, last_seen, ..known.clone() },
            // Without a known version every version is accepted.
            (None, None) => continue,
        };
        record.observations.insert(subscription, seen);
    }
    // Only a listing of everything can miss an event, and even then it is not over: Azure forgets after 90 days.
    if read.wide && read.trouble.is_none() {
        for (id, record) in events.iter_mut() {
            if let Some(seen) = record.observations.get_mut(&subscription)
                && !read.rows.contains_key(id)
            {
                seen.missed_listings = seen.missed_listings.saturating_add(1);
            }
        }
    }
}

/// The content to keep, or None when what we know is as new ("Azure health data APIs", 6.3).
fn accept(known: Option<(&Observation, &EventContent)>, observed: &ObservedEvent) -> Option<Arc<EventContent>> {
    let Some((seen, content)) = known else { return Some(Arc::clone(&observed.content)) };
    // An older stamp is a stale replica of Azure, in whatever order the answers come.
    if observed.last_update < seen.last_update {
        return None;
    }
    let same_stamp = observed.last_update == seen.last_update;
    // The text that we were given once is not taken back by an answer that withholds it.
    if same_stamp && observed.content.text_withheld && !content.text_withheld {
        return None;
    }
    // A stage of the publication that we know.
    if same_stamp && observed.content.stage.is_some() && observed.content.stage != content.stage {
        return Some(EventContent { stage: observed.content.stage.clone(), ..content.clone() }.into());
    }
    let mut newer = Arc::clone(&observed.content);
    if newer.stage.is_none()
        && content.stage.is_some()
        && newer.status == content.status
        && newer.title == content.title
    {
        // Only the activity log has stages: what it said of this publication stays.
        Arc::make_mut(&mut newer).stage.clone_from(&content.stage);
    }
    if observed.index_only {
        // Resource Graph may lack texts: those we have stay until REST gives newer ones.
        return (!same_stamp).then(|| keep_texts(content, Arc::unwrap_or_clone(newer)).into());
    }
    if same_stamp && !content.is_active() && observed.content.is_active() && observed.last_update.is_some() {
        return None;
    }
    let unchanged = !seen.index_only && *content == *newer && same_stamp;
    (!unchanged).then_some(newer)
}

fn keep_texts(known: &EventContent, mut newer: EventContent) -> EventContent {
    newer.summary = newer.summary.or(known.summary);
    newer.description = newer.description.or(known.description);
    let updates: BTreeSet<EventUpdate> = known.updates.iter().chain(&newer.updates).cloned().collect();
    newer.updates = updates.into_iter().rev().collect();
    newer.text_withheld = newer.text_withheld && newer.description.is_none() && newer.summary.is_none();
    // The same with what stands beside texts: tags of reviews, and the status of single regions.
    newer.tags.extend(known.tags.iter().filter(|tag| tag.contains("PIR")).cloned());
    let statuses = |service: &ServiceImpact| service.regions.iter().any(|region| region.status.is_some());
    if newer.status == known.status && !newer.impact.iter().any(statuses) {
        for service in &mut newer.impact {
            let known = known.impact.iter().filter(|known| known.service == service.service);
            let regions: BTreeMap<_, _> =
                known.flat_map(|known| &known.regions).map(|one| (one.region.clone(), one.status.clone())).collect();
            for region in &mut service.regions {
                region.status = regions.get(&region.region).cloned().flatten();
            }
        }
    }
    newer
}

/// True when an answer says something about an event of the tenant that we do not know yet.
pub(super) fn is_newer(known: &TenantEvent, observed: &ObservedEvent) -> bool {
    let same_stamp = observed.last_update == known.last_update && observed.last_update.is_some();
    let back = same_stamp && !known.content.is_active() && observed.content.is_active();
    observed.last_update >= known.last_update && known.content != *observed.content && !back
}

/// Drops what nobody watches or Azure has long forgotten, and contents that nothing refers to.
fn tidy(events: &mut BTreeMap<TrackingId, EventRecord>, watched: &BTreeSet<SubscriptionId>, now: Timestamp) {
    events.retain(|_, record| {
        record.observations.retain(|id, seen| {
            watched.contains(id) && !(seen.no_longer_listed() && now - seen.last_seen > KEEP_UNLISTED)
        });
        let used: BTreeSet<&TextHash> = record.observations.values().map(|seen| &seen.content).collect();
        record.contents.retain(|hash, _| used.contains(hash));
        !record.observations.is_empty()
    });
}
