//! Resources: kept while they are not available. Only a row that says `Available` is a recovery.
//!
//! Every change that Azure reports is a transition: a machine that flaps is told as it flaps. Whoever wants to hear less of it
//! gives his route a group time, in which a later state takes the place of an earlier one. Two sources that disagree are no
//! flapping: of what they say the latest occurrence counts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::diff::Inputs;
use crate::model::{
    AvailabilityState, ResourceId, ResourceState, Snapshot, SubscriptionId, Timestamp, Transition, TransitionKind,
};

/// Complete listings that must miss a resource before it counts as gone.
const MISSED_LISTINGS: u32 = 2;

pub(super) fn diff(inputs: Inputs<'_>, after: &mut Snapshot) -> Vec<Transition> {
    let Inputs { before, watched, now, reading, .. } = inputs;
    let started_at = reading.started_at;
    let is_watched = |id: &ResourceId| id.subscription().is_some_and(|id| watched.contains(&id));
    after.resources.retain(|id, _| is_watched(id));
    after.recovered.retain(|id, _| is_watched(id));
    let mut transitions = Vec::new();
    for (subscription, read) in inputs.read() {
        let first_sight =
            before.coverage.get(&subscription).is_none_or(|coverage| coverage.resources.read_at.is_none());
        let mut tell = |kind: TransitionKind, since: Option<Timestamp>| {
            // Without Azure's time the time of the last poll tells this occurrence from others: a repeated poll has the same.
            let occurrence = since.unwrap_or(before.polled_at).to_rfc3339();
            transitions.push(Transition::new(before.tenant_id, kind, &occurrence, now, first_sight));
        };
        let listed = read.resources.iter().flat_map(|listing| &listing.rows);
        // What is over comes before what is.
        for (id, state) in read.passed.iter().filter(|(id, _)| id.subscription() == Some(subscription)) {
            take_in(after, id, state, started_at, &mut tell);
        }
        for (id, state) in latest(listed.chain(&read.machines), subscription) {
            take_in(after, id, state, started_at, &mut tell);
        }
        if let Some(listing) = &read.resources
            && listing.trouble.is_none()
        {
            let seen: BTreeSet<&ResourceId> =
                listing.rows.iter().map(|(id, _)| id).chain(read.machines.iter().map(|(id, _)| id)).collect();
            miss(after, subscription, &seen, &mut tell);
        }
    }
    transitions
}

/// Of each resource of the subscription the latest occurrence that any source has; of two at the same time the worse, but
/// the fuller words.
fn latest<'a>(
    rows: impl Iterator<Item = &'a (ResourceId, ResourceState)>,
    subscription: SubscriptionId,
) -> BTreeMap<&'a ResourceId, &'a ResourceState> {
    let mut latest: BTreeMap<&ResourceId, &ResourceState> = BTreeMap::new();
    let rank = |state: &ResourceState| (state.since, badness(&state.state), state.summary.is_some());
    for (id, state) in rows.filter(|(id, _)| id.subscription() == Some(subscription)) {
        let known = latest.entry(id).or_insert(state);
        if rank(state) > rank(known) {
            *known = state;
        }
    }
    latest
}

/// A word we do not know is neither up nor down, as `Unknown` is.
fn badness(state: &AvailabilityState) -> u8 {
    match state {
        AvailabilityState::Available => 0,
        AvailabilityState::Unknown | AvailabilityState::Other(_) => 1,
        AvailabilityState::Degraded => 2,
        AvailabilityState::Unavailable => 3,
    }
}

fn take_in(
    after: &mut Snapshot,
    id: &ResourceId,
    state: &ResourceState,
    at: Timestamp,
    tell: &mut impl FnMut(TransitionKind, Option<Timestamp>),
) {
    let known = after.resources.get(id);
    // Two sources may disagree for a while: of two occurrences the later counts, and of two at the same time the worse, until
    // one of them says that it is over.
    if let (Some(known), Some(since)) = (known, state.since)
        && known.since.is_some_and(|was| {
            let milder = (1..badness(&known.state)).contains(&badness(&state.state));
            since < was || (since == was && milder)
        })
    {
        return;
    }
    let recovered = after.recovered.get(id);
    if known.is_none() && recovered.is_some_and(|recovered| state.since.is_some_and(|since| since <= *recovered)) {
        // A source that has not heard of the recovery.
        return;
    }
    let was = known.map(|known| known.state.clone());
    if state.state == AvailabilityState::Available {
        if after.resources.remove(id).is_some() {
            after.recovered.insert(id.clone(), state.since.unwrap_or(at));
            tell(TransitionKind::ResourceRecovered { resource_id: id.clone() }, state.since);
        }
        return;
    }
    let mut kept = state.clone();
    if let Some(known) = after.resources.get(id) {
        // Resource Graph says less: what the listing said stays while the verdict is the same.
        let same = known.state == state.state;
        kept.summary = kept.summary.or_else(|| known.summary.clone().filter(|_| same));
        kept.reason = kept.reason.or_else(|| known.reason.clone().filter(|_| same));
        kept.location = kept.location.or_else(|| known.location.clone());
    }
    after.resources.insert(id.clone(), kept);
    after.recovered.remove(id);
    if was.as_ref() != Some(&state.state) {
        let resource_id = id.clone();
        let kind = match state.state {
            AvailabilityState::Unavailable => TransitionKind::ResourceUnavailable { resource_id },
            AvailabilityState::Degraded => TransitionKind::ResourceDegraded { resource_id },
            // A word we do not know is neither up nor down.
            _ => TransitionKind::ResourceUnknown { resource_id },
        };
        tell(kind, state.since);
    }
}

fn miss(
    after: &mut Snapshot,
    subscription: SubscriptionId,
    seen: &BTreeSet<&ResourceId>,
    tell: &mut impl FnMut(TransitionKind, Option<Timestamp>),
) {
    let mut gone = Vec::new();
    for (id, state) in &mut after.resources {
        if id.subscription() == Some(subscription) && !seen.contains(id) {
            state.missed_listings = state.missed_listings.saturating_add(1);
            if state.missed_listings >= MISSED_LISTINGS {
                gone.push(id.clone());
            }
        }
    }
    for id in gone {
        let since = after.resources.remove(&id).and_then(|state| state.since);
        // What other sources say of before then is old news; should this very failure be listed again, it counts again.
        after.recovered.extend(since.map(|since| (id.clone(), since - TimeDelta::seconds(1))));
        tell(TransitionKind::ResourceNoLongerListed { resource_id: id }, since);
    }
}
