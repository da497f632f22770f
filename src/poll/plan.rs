//! What is due. Pure.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::azure::reading::{Ask, AskEvents, AskSubscription};
use crate::model::{Customer, Snapshot, SourceCoverage, SubscriptionId, Timestamp, TrackingId};

/// How far back the first reading goes: as far as Resource Graph and the portal's history ("health-apis", 1.3).
const FIRST_WINDOW: TimeDelta = TimeDelta::days(90);
/// How far a later reading goes back before the last full one, against late publication.
const OVERLAP: TimeDelta = TimeDelta::days(1);
/// Events are read with every poll; what was read within this time was read by another delivery of the same message.
const EVENTS_EVERY: TimeDelta = TimeDelta::seconds(1);
/// How often the complete availability listing is read; virtual machines come with every sweep.
const RESOURCES_EVERY: TimeDelta = TimeDelta::minutes(10);
/// The longest pause between tries at something that keeps failing.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

/// What a poll should read of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is due, of all subscriptions.
    Due,
    /// Everything of one subscription, now.
    Now(SubscriptionId),
}

/// What to read of one customer now.
pub fn ask(customer: &Customer, snapshot: &Snapshot, scope: Scope, now: Timestamp) -> Ask {
    let mut subscriptions = BTreeMap::new();
    for &id in customer.subscriptions.keys() {
        let coverage = snapshot.coverage.get(&id).cloned().unwrap_or_default();
        let forced = match scope {
            Scope::Due => false,
            Scope::Now(only) if only == id => true,
            Scope::Now(_) => continue,
        };
        let events = (forced || is_due(&coverage.events, EVENTS_EVERY, now)).then(|| AskEvents {
            since: coverage.events.read_at.map_or(now - FIRST_WINDOW, |at| at - OVERLAP),
            listing: forced || coverage.events.read_at.is_none() || coverage.events.gap.is_some(),
            known: known_versions(snapshot, id),
        });
        let resources = forced || is_due(&coverage.resources, RESOURCES_EVERY, now);
        if events.is_some() || resources {
            subscriptions.insert(id, AskSubscription { events, resources });
        }
    }
    Ask { subscriptions }
}

/// The versions we know with all their texts.
fn known_versions(snapshot: &Snapshot, id: SubscriptionId) -> BTreeMap<TrackingId, Option<Timestamp>> {
    let known = |record: &crate::model::EventRecord| {
        record.observations.get(&id).filter(|seen| !seen.index_only).map(|seen| seen.last_update)
    };
    snapshot.events.iter().filter_map(|(id, record)| Some((id.clone(), known(record)?))).collect()
}

/// Due when the last try is long enough ago. What keeps failing is tried at pauses that grow with the time it has failed,
/// from every poll up to an hour.
fn is_due(coverage: &SourceCoverage, every: TimeDelta, now: Timestamp) -> bool {
    let Some(tried_at) = coverage.tried_at else { return true };
    let pause = match &coverage.gap {
        Some(gap) => ((tried_at - gap.since) / 2).clamp(EVENTS_EVERY, LONGEST_PAUSE),
        None => every,
    };
    now - tried_at >= pause
}
