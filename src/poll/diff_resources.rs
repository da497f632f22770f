//! Resources: kept while they are not available. Only a row that says `Available` is a recovery.

use std::collections::BTreeSet;

use super::diff::Inputs;
use crate::model::{
    AvailabilityState, ResourceId, ResourceState, Snapshot, SubscriptionId, Timestamp, Transition, TransitionKind,
};

/// Complete listings that must miss a resource before it counts as gone.
const MISSED_LISTINGS: u32 = 2;

pub(super) fn diff(inputs: Inputs<'_>, after: &mut Snapshot) -> Vec<Transition> {
    let Inputs { before, watched, now, .. } = inputs;
    after.resources.retain(|id, _| id.subscription().is_some_and(|id| watched.contains(&id)));
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
        for (id, state) in read
            .passed
            .iter()
            .chain(listed)
            .chain(&read.machines)
            .filter(|(id, _)| id.subscription() == Some(subscription))
        {
            take_in(after, id, state, &mut tell);
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

fn take_in(
    after: &mut Snapshot,
    id: &ResourceId,
    state: &ResourceState,
    tell: &mut impl FnMut(TransitionKind, Option<Timestamp>),
) {
    let known = after.resources.get(id);
    // Two sources may disagree for a while: of two occurrences the later counts.
    if let (Some(known), Some(since)) = (known.and_then(|known| known.since), state.since)
        && since < known
    {
        return;
    }
    let was = known.map(|known| known.state.clone());
    if state.state == AvailabilityState::Available {
        if after.resources.remove(id).is_some() {
            tell(TransitionKind::ResourceRecovered { resource_id: id.clone() }, state.since);
        }
        return;
    }
    let mut kept = state.clone();
    if let Some(known) = known {
        // Resource Graph says less: what the listing said stays while the verdict is the same.
        let same = known.state == state.state;
        kept.summary = kept.summary.or_else(|| known.summary.clone().filter(|_| same));
        kept.reason = kept.reason.or_else(|| known.reason.clone().filter(|_| same));
        kept.location = kept.location.or_else(|| known.location.clone());
    }
    after.resources.insert(id.clone(), kept);
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
        tell(TransitionKind::ResourceNoLongerListed { resource_id: id }, since);
    }
}
