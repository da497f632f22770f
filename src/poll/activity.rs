//! What the activity log adds to a reading: events that the first sources do not have, and failures of resources that began
//! and ended between two of their listings. It never says what is now: that is for the first sources. Pure.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::azure::reading::{Reading, SubscriptionReading};
use crate::model::{AvailabilityState, ResourceId, ResourceState, Snapshot, SubscriptionId};

/// Clocks of two sources of Azure agree to within this.
const SKEW: TimeDelta = TimeDelta::minutes(2);
/// What the log has of a publication is stamped this much earlier at most than what a first source has of it.
const SAME_WORD: TimeDelta = TimeDelta::minutes(20);

/// Takes what the activity log has into the reading, where it contradicts nothing that a first source says.
pub(super) fn fill(before: &Snapshot, reading: &mut Reading) {
    for (id, read) in &mut reading.subscriptions {
        let Some(activity) = &read.activity else { continue };
        if let Some(events) = &mut read.events {
            for (tracking_id, event) in &activity.events {
                match events.rows.entry(tracking_id.clone()) {
                    // Older than what a first source once said of it, it is dropped by its stamp.
                    Entry::Vacant(place) => {
                        place.insert(event.clone());
                    }
                    // Only the log has stages, such as that maintenance was called off: of the same publication it counts.
                    Entry::Occupied(mut known) => {
                        let same = known.get().last_update.is_none_or(|at| event.last_update >= Some(at - SAME_WORD));
                        if same && known.get().content.stage != event.content.stage {
                            Arc::make_mut(&mut known.get_mut().content).stage.clone_from(&event.content.stage);
                        }
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::reading::{ActivityReading, EventsReading, ResourcesReading};
    use crate::model::{Customer, TenantId, Timestamp, TransitionKind};
    use crate::poll::diff::diff;
    use proptest::prelude::*;

    fn id() -> SubscriptionId {
        uuid::Uuid::from_u128(1).into()
    }

    fn minute(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::minutes(number)
    }

    fn customer() -> Customer {
        let subscription = serde_json::json!({"displayName": "one", "access": "active"});
        serde_json::from_value(serde_json::json!({
            "tenantId": uuid::Uuid::from_u128(9), "displayName": "Contoso", "onboardedAt": minute(0),
            "subscriptions": {id().to_string(): subscription},
            "accessMode": {"kind": "appInCustomerTenant", "servicePrincipalId": uuid::Uuid::from_u128(8)},
        }))
        .expect("a record")
    }

    fn state(word: usize, since: i64) -> ResourceState {
        let words = ["Available", "Unavailable", "Degraded", "Unknown"];
        ResourceState {
            state: words[word].to_owned().into(),
            resource_type: None,
            location: None,
            since: Some(minute(since)),
            reason: None,
            summary: None,
            missed_listings: 0,
        }
    }

    fn rows() -> impl Strategy<Value = Vec<(ResourceId, ResourceState)>> {
        let resource = |n: u8| {
            let text = format!("/subscriptions/{}/resourceGroups/g/providers/p/t/{n}", id());
            ResourceId::parse(&text).expect("a resource id")
        };
        let row = (0_u8..3, 0_usize..4, 0_i64..60).prop_map(move |(n, word, since)| (resource(n), state(word, since)));
        proptest::collection::vec(row, 0..8)
    }

    fn reading(
        at: i64,
        rows: Vec<(ResourceId, ResourceState)>,
        log: Option<Vec<(ResourceId, ResourceState)>>,
    ) -> Reading {
        let events = EventsReading { rows: BTreeMap::new(), wide: true, trouble: None };
        // One row for each resource, as of a listing.
        let rows: BTreeMap<_, _> = rows.into_iter().collect();
        let mut changes = log.clone().unwrap_or_default();
        changes.sort_by_key(|(_, state)| state.since);
        let read = SubscriptionReading {
            events: Some(events),
            resources: Some(ResourcesReading { rows: rows.into_iter().collect(), trouble: None }),
            activity: log.map(|_| ActivityReading { changes, ..ActivityReading::default() }),
            ..SubscriptionReading::default()
        };
        Reading { started_at: minute(at), subscriptions: [(id(), read)].into(), ..Reading::default() }
    }

    proptest! {
        #[test]
        fn what_is_dropped_of_resources_that_work_changes_nothing(
            first in rows(), second in rows(), machines in rows(), log in proptest::option::of(rows()), recovered in rows(),
        ) {
            let tenant: TenantId = uuid::Uuid::from_u128(9).into();
            let mut before = diff(&Snapshot::empty(tenant, minute(0)), &customer(), &reading(60, first, None), minute(60)).after;
            for (id, state) in recovered.into_iter().take(1).filter(|(id, _)| !before.resources.contains_key(id)) {
                before.recovered.insert(id, state.since.expect("it has a time"));
            }
            let ask = crate::poll::plan::ask(&customer(), &before, crate::poll::plan::Scope::Due, &Default::default(), minute(70));
            let mut whole = reading(70, second, log);
            for read in whole.subscriptions.values_mut() {
                read.machines = machines.clone();
            }
            let mut condensed = whole.clone();
            for read in condensed.subscriptions.values_mut() {
                read.condense(&ask.known_resources);
            }
            for reading in [&mut whole, &mut condensed] {
                fill(&before, reading);
            }
            let [whole, condensed] = [whole, condensed].map(|reading| diff(&before, &customer(), &reading, minute(70)));
            prop_assert_eq!(condensed.after, whole.after);
            prop_assert_eq!(condensed.transitions, whole.transitions);
        }

        #[test]
        fn the_log_never_changes_what_is_now_and_tells_nothing_twice(first in rows(), second in rows(), log in rows()) {
            let tenant: TenantId = uuid::Uuid::from_u128(9).into();
            let before = diff(&Snapshot::empty(tenant, minute(0)), &customer(), &reading(60, first, None), minute(60)).after;
            let without = diff(&before, &customer(), &reading(70, second.clone(), None), minute(70));
            let mut with_log = reading(70, second.clone(), Some(log.clone()));
            fill(&before, &mut with_log);
            let with = diff(&before, &customer(), &with_log, minute(70));
            prop_assert_eq!(&with.after.resources, &without.after.resources);
            prop_assert!(without.transitions.iter().all(|one| with.transitions.contains(one)), "nothing is taken back");

            let mut again = reading(130, second, Some(log));
            fill(&with.after, &mut again);
            let told = diff(&with.after, &customer(), &again, minute(130)).transitions;
            let of_log = |kind: &TransitionKind| with.transitions.iter().any(|one| one.kind == *kind);
            prop_assert!(told.iter().all(|one| !of_log(&one.kind)), "told twice: {told:?}");
        }
    }
}
