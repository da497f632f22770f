//! What the activity log adds to a reading: events that the first sources do not have, and failures of resources that began
//! and ended between two of their listings. It never says what is now: that is for the first sources. Pure.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::azure::reading::{Reading, SubscriptionReading};
use crate::model::{AvailabilityState, ResourceId, ResourceState, Snapshot, SubscriptionId};

/// Clocks of two sources of Azure agree to within this.
const SKEW: TimeDelta = TimeDelta::minutes(2);

/// Takes what the activity log has into the reading, where it contradicts nothing that a first source says.
pub(super) fn fill(before: &Snapshot, reading: &mut Reading) {
    for (id, read) in &mut reading.subscriptions {
        let Some(activity) = &read.activity else { continue };
        if let Some(events) = &mut read.events {
            for (tracking_id, event) in &activity.events {
                // Older than what a first source once said of it, it is dropped by its stamp.
                events.rows.entry(tracking_id.clone()).or_insert_with(|| event.clone());
            }
        }
        read.passed = passed(before, *id, read);
    }
}

/// Failures that are over, of resources that no first source says anything else about.
fn passed(before: &Snapshot, id: SubscriptionId, read: &SubscriptionReading) -> Vec<(ResourceId, ResourceState)> {
    let listed_before = before.coverage.get(&id).is_some_and(|known| known.resources.read_at.is_some());
    let Some(activity) = read.activity.as_ref().filter(|_| listed_before) else { return Vec::new() };
    let of_first_sources = read.resources.iter().flat_map(|listing| &listing.rows).chain(&read.machines);
    let now: BTreeMap<&ResourceId, &ResourceState> = of_first_sources.map(|(id, state)| (id, state)).collect();
    let mut found = Vec::new();
    for (resource, down, up) in failures(&activity.changes) {
        let is_down = before.resources.contains_key(resource);
        let otherwise = now.get(resource).is_some_and(|now| {
            // Still or again down, or available ever since before it is said to have failed.
            now.state != AvailabilityState::Available || now.since.is_some_and(|since| Some(since) < down.since)
        });
        let told = before.recovered.get(resource).is_some_and(|at| Some(*at + SKEW) >= down.since);
        if !is_down && !otherwise && !told {
            found.extend([(resource.clone(), down.clone()), (resource.clone(), up.clone())]);
        }
    }
    found
}

/// Each first row that says a resource is not available, with the next one that says it is again.
fn failures(changes: &[(ResourceId, ResourceState)]) -> Vec<(&ResourceId, &ResourceState, &ResourceState)> {
    let mut open: BTreeMap<&ResourceId, &ResourceState> = BTreeMap::new();
    let mut found = Vec::new();
    for (resource, state) in changes {
        match state.state {
            AvailabilityState::Available => {
                found.extend(open.remove(resource).map(|down| (resource, down, state)));
            }
            AvailabilityState::Unavailable | AvailabilityState::Degraded => {
                open.entry(resource).or_insert(state);
            }
            // Neither up nor down.
            _ => {}
        }
    }
    found
}
