//! Service Health events: what each subscription sees is kept by version, the merged view before and after is compared.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::diff::Inputs;
use crate::azure::reading::{EventsReading, ObservedEvent};
use crate::model::{
    EventChange, EventContent, EventRecord, EventUpdate, MergedEvent, Observation, Snapshot, SubscriptionId,
    TenantEvent, TextHash, Timestamp, TrackingId, Transition, TransitionKind,
};

/// How long an event that Azure no longer lists is kept: reviews appear up to six weeks later.
const KEEP_UNLISTED: TimeDelta = TimeDelta::days(45);
/// An event that is over for longer than this when first seen is history, not news.
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
    let mut transitions = Vec::new();
    for (id, record) in &mut after.events {
        let known = before.events.get(id);
        let was = known.and_then(|record| record.merged(id));
        let Some(is) = record.merged(id) else { continue };
        let waited_for_texts = known.is_some_and(|record| record.observations.values().any(|seen| seen.index_only));
        for (kind, occurrence) in changes(was.as_ref(), &is, record, &first_sight, waited_for_texts) {
            let backfill = was.is_none() && is_history(&is, &first_sight, now);
            transitions.push(Transition::new(before.tenant_id, kind, &occurrence, now, backfill));
        }
    }
    transitions
}

/// History: only subscriptions that were never read before see it, or it was over long before we first saw it.
fn is_history(event: &MergedEvent, first_sight: &BTreeSet<SubscriptionId>, now: Timestamp) -> bool {
    let long_over = !event.content.is_active() && event.last_update.is_some_and(|at| now - at > OLD_NEWS);
    long_over || event.subscriptions.is_subset(first_sight)
}

/// Takes in what one subscription sees now.
fn observe(
    events: &mut BTreeMap<TrackingId, EventRecord>,
    subscription: SubscriptionId,
    read: &EventsReading,
    at: Timestamp,
) {
    for (id, observed) in &read.rows {
        let record = events.entry(id.clone()).or_insert_with(|| EventRecord {
            contents: BTreeMap::new(),
            observations: BTreeMap::new(),
            episode: 0,
            impacted: BTreeMap::new(),
        });
        let known = record.observations.get(&subscription);
        let version = accept(known.and_then(|seen| Some((seen, record.contents.get(&seen.content)?))), observed);
        let first_seen = known.map_or(at, |seen| seen.first_seen);
        let last_seen = known.map_or(at, |seen| seen.last_seen.max(at));
        let seen = match (version, known) {
            (Some(content), _) => {
                let hash = content.hash();
                record.contents.insert(hash.clone(), content);
                Observation {
                    content: hash,
                    last_update: known.and_then(|seen| seen.last_update).max(observed.last_update),
                    first_seen,
                    last_seen,
                    missed_listings: 0,
                    index_only: observed.index_only,
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
fn accept(known: Option<(&Observation, &EventContent)>, observed: &ObservedEvent) -> Option<EventContent> {
    let Some((seen, content)) = known else { return Some(observed.content.clone()) };
    // An older stamp is a stale replica of Azure, in whatever order the answers come.
    if observed.last_update < seen.last_update {
        return None;
    }
    let same_stamp = observed.last_update == seen.last_update;
    // The text that we were given once is not taken back by an answer that withholds it.
    if same_stamp && observed.content.text_withheld && !content.text_withheld {
        return None;
    }
    if observed.index_only {
        // Resource Graph may lack texts: those we have stay until REST gives newer ones.
        return (!same_stamp).then(|| keep_texts(content, observed.content.clone()));
    }
    if same_stamp && !content.is_active() && observed.content.is_active() && observed.last_update.is_some() {
        return None;
    }
    let unchanged = !seen.index_only && *content == observed.content && same_stamp;
    (!unchanged).then(|| observed.content.clone())
}

fn keep_texts(known: &EventContent, mut newer: EventContent) -> EventContent {
    newer.summary = newer.summary.or_else(|| known.summary.clone());
    newer.description = newer.description.or_else(|| known.description.clone());
    let updates: BTreeSet<EventUpdate> = known.updates.iter().chain(&newer.updates).cloned().collect();
    newer.updates = updates.into_iter().rev().collect();
    newer.text_withheld = newer.text_withheld && newer.description.is_none() && newer.summary.is_none();
    newer
}

/// True when an answer says something about an event of the tenant that we do not know yet.
pub(super) fn is_newer(known: &TenantEvent, observed: &ObservedEvent) -> bool {
    observed.last_update >= known.last_update && known.content != observed.content
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

/// What happened to one event, each with the text that tells this occurrence from others. Moves the episode on.
pub(super) fn changes(
    was: Option<&MergedEvent>,
    is: &MergedEvent,
    record: &mut EventRecord,
    first_sight: &BTreeSet<SubscriptionId>,
    waited_for_texts: bool,
) -> Vec<(TransitionKind, String)> {
    let (tracking_id, title, severity) = (is.tracking_id.clone(), is.content.title.clone(), is.severity);
    let resolved = |episode: u32| {
        let kind = TransitionKind::EventResolved { tracking_id: tracking_id.clone(), title: title.clone() };
        (kind, episode.to_string())
    };
    let Some(was) = was else {
        record.episode = record.episode.max(1);
        let mut kinds = vec![(
            TransitionKind::EventOpened { tracking_id: tracking_id.clone(), title: title.clone(), severity },
            record.episode.to_string(),
        )];
        // It began and ended between two polls: both are told.
        if !is.content.is_active() {
            kinds.push(resolved(record.episode));
        }
        return kinds;
    };
    match (was.content.is_active(), is.content.is_active()) {
        (true, false) => vec![resolved(record.episode)],
        (false, true) => {
            record.episode = record.episode.saturating_add(1);
            vec![(TransitionKind::EventReopened { tracking_id, title, severity }, record.episode.to_string())]
        }
        _ => {
            let changes = material(was, is, first_sight);
            let only_texts = changes.iter().all(|change| *change == EventChange::Text);
            if changes.is_empty() || (only_texts && waited_for_texts && was.last_update == is.last_update) {
                return Vec::new();
            }
            let stamp = is.last_update.map(|at| at.to_rfc3339()).unwrap_or_default();
            let occurrence = format!("{stamp}|{}|{}", is.content.hash().as_str(), is.subscriptions.len());
            vec![(TransitionKind::EventUpdated { tracking_id, title, severity, changes }, occurrence)]
        }
    }
}

/// What differs in a way that matters to people. A few seconds between two subscriptions' stamps do not.
fn material(was: &MergedEvent, is: &MergedEvent, first_sight: &BTreeSet<SubscriptionId>) -> BTreeSet<EventChange> {
    let (old, new) = (&was.content, &is.content);
    let mut joined = is.subscriptions.difference(&was.subscriptions);
    [
        (EventChange::Title, old.title != new.title),
        (EventChange::Severity, was.severity != is.severity),
        (EventChange::Scope, scope(old) != scope(new)),
        (EventChange::Subscriptions, joined.any(|id| !first_sight.contains(id))),
        (EventChange::Times, (old.impact_start, old.impact_mitigation) != (new.impact_start, new.impact_mitigation)),
        (EventChange::Text, published(old) != published(new)),
        (EventChange::Tags, old.tags != new.tags),
    ]
    .into_iter()
    .filter_map(|(change, differs)| differs.then_some(change))
    .collect()
}

/// Which services and regions are hit; the status of single regions is not scope.
fn scope(content: &EventContent) -> BTreeSet<(&str, &str)> {
    let mut pairs = BTreeSet::new();
    for service in &content.impact {
        let name = service.service_guid.as_deref().unwrap_or(&service.service);
        // A service without regions is hit all the same.
        pairs.insert((name, ""));
        pairs.extend(service.regions.iter().map(|region| (name, region.region.as_str())));
    }
    pairs
}

/// The texts that people read; the summary is only the description's first line.
fn published(content: &EventContent) -> (Option<&TextHash>, BTreeSet<&TextHash>) {
    (content.description.as_ref(), content.updates.iter().map(|update| &update.text).collect())
}
