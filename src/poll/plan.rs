//! What is due. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::azure::reading::{Ask, AskEvents, AskSubscription};
use crate::model::{
    AccessTier, Customer, EventRecord, Snapshot, SourceCoverage, Subscription, SubscriptionCoverage, SubscriptionId,
    Timestamp, TrackingId,
};

/// How far back the first reading goes: as far as Resource Graph and the portal's history ("health-apis", 1.3).
const FIRST_WINDOW: TimeDelta = TimeDelta::days(90);
/// How far a later reading goes back before the last full one, against late publication.
const OVERLAP: TimeDelta = TimeDelta::days(1);
/// Events are read with every poll; what was read within this time was read by another delivery of the same message.
const EVENTS_EVERY: TimeDelta = TimeDelta::seconds(1);
/// How often the complete availability listing is read; virtual machines come with every sweep.
const RESOURCES_EVERY: TimeDelta = TimeDelta::minutes(10);
/// How often the events of the tenant itself are read.
const TENANT_EVENTS_EVERY: TimeDelta = TimeDelta::minutes(5);
/// How often we ask which subscriptions our application can read.
const LISTING_EVERY: TimeDelta = TimeDelta::hours(1);
/// What is lost is probed hourly for a day, and daily after that.
const PROBED_HOURLY_FOR: TimeDelta = TimeDelta::days(1);
const LATER_PROBES: TimeDelta = TimeDelta::days(1);
/// How long a refused text is not asked for again, and how long while the role still spreads.
const DETAILS_AFTER_REFUSAL: TimeDelta = TimeDelta::days(1);
const DETAILS_WHILE_SPREADING: TimeDelta = TimeDelta::minutes(5);
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
/// `visible`: what Azure just listed as readable; a subscription that was lost is among what is due by that.
pub fn ask(
    customer: &Customer,
    snapshot: &Snapshot,
    scope: Scope,
    visible: &BTreeSet<SubscriptionId>,
    now: Timestamp,
) -> Ask {
    let mut subscriptions = BTreeMap::new();
    if customer.offboarded_at.is_some() {
        return Ask::default();
    }
    for (&id, subscription) in &customer.subscriptions {
        let coverage = snapshot.coverage.get(&id).cloned().unwrap_or_default();
        let granted_anew = subscription.granted_at > coverage.events.tried_at;
        let back = coverage.access.is_some() && (visible.contains(&id) || granted_anew);
        let suspended_at = coverage.access.as_ref().and_then(|trouble| trouble.suspended_at);
        let forced = match scope {
            Scope::Due => back,
            Scope::Now(only) if only == id => true,
            Scope::Now(_) => continue,
        };
        let events = (forced || is_due(&coverage.events, EVENTS_EVERY, suspended_at, now)).then(|| AskEvents {
            since: coverage.events.read_at.map_or(now - FIRST_WINDOW, |at| at - OVERLAP),
            listing: forced || coverage.events.read_at.is_none() || coverage.events.gap.is_some(),
            wide: coverage.events.read_at.is_none(),
            follow: BTreeMap::new(),
            known: known_versions(snapshot, id),
            withheld: may_ask_details(subscription, &coverage, now).then(|| withheld(snapshot, id)),
        });
        let resources = forced || is_due(&coverage.resources, RESOURCES_EVERY, suspended_at, now);
        if events.is_some() || resources {
            subscriptions.insert(id, AskSubscription { events, resources, ..AskSubscription::default() });
        }
    }
    let tenant_events = (scope == Scope::Due && customer.tiers.contains(&AccessTier::TenantEvents)).then(|| {
        let coverage = snapshot.tenant_coverage.clone().unwrap_or_default();
        let since = coverage.read_at.map_or(now - FIRST_WINDOW, |at| at - OVERLAP);
        is_due(&coverage, TENANT_EVENTS_EVERY, None, now).then_some(since)
    });
    Ask { subscriptions, tenant_events: tenant_events.flatten(), ..Ask::default() }
}

/// True when it is time to ask which subscriptions our application can read: hourly, and daily when all that we know have
/// been lost for a day.
pub fn listing_is_due(customer: &Customer, snapshot: &Snapshot, now: Timestamp) -> bool {
    let lost = |id: &SubscriptionId| {
        let trouble = snapshot.coverage.get(id).and_then(|coverage| coverage.access.as_ref());
        trouble.and_then(|trouble| trouble.suspended_at).is_some_and(|at| now - at >= PROBED_HOURLY_FOR)
    };
    let all_lost = !customer.subscriptions.is_empty() && customer.subscriptions.keys().all(lost);
    let every = if all_lost { LATER_PROBES } else { LISTING_EVERY };
    customer.offboarded_at.is_none() && snapshot.listed_at.is_none_or(|at| now - at >= every)
}

/// Asked only where the role was granted; a refusal is believed for a day, or until the next grant.
fn may_ask_details(subscription: &Subscription, coverage: &SubscriptionCoverage, now: Timestamp) -> bool {
    subscription.tiers.contains(&AccessTier::SecurityAdvisories)
        && coverage.details_refused_at.is_none_or(|at| {
            let spreading =
                subscription.granted_at.is_some_and(|granted| at - granted < super::diff_access::PROPAGATION);
            now - at >= if spreading { DETAILS_WHILE_SPREADING } else { DETAILS_AFTER_REFUSAL }
                || subscription.granted_at > Some(at)
        })
}

/// The events of which we have everything but the text.
fn withheld(snapshot: &Snapshot, id: SubscriptionId) -> BTreeSet<TrackingId> {
    let lacks = |record: &EventRecord| {
        let seen = record.observations.get(&id);
        seen.and_then(|seen| record.contents.get(&seen.content)).is_some_and(|content| content.text_withheld)
    };
    snapshot.events.iter().filter(|(_, record)| lacks(record)).map(|(id, _)| id.clone()).collect()
}

/// The versions we know with all their texts.
fn known_versions(snapshot: &Snapshot, id: SubscriptionId) -> BTreeMap<TrackingId, Option<Timestamp>> {
    let known = |record: &EventRecord| {
        record.observations.get(&id).filter(|seen| !seen.index_only).map(|seen| seen.last_update)
    };
    snapshot.events.iter().filter_map(|(id, record)| Some((id.clone(), known(record)?))).collect()
}

/// Due when the last try is long enough ago. What keeps failing is tried at pauses that grow with the time it has failed,
/// from every poll up to an hour.
fn is_due(coverage: &SourceCoverage, every: TimeDelta, suspended_at: Option<Timestamp>, now: Timestamp) -> bool {
    let Some(tried_at) = coverage.tried_at else { return true };
    if let Some(suspended_at) = suspended_at {
        let pause = if tried_at - suspended_at < PROBED_HOURLY_FOR { LONGEST_PAUSE } else { LATER_PROBES };
        return now - tried_at >= pause;
    }
    let pause = match &coverage.gap {
        Some(gap) => ((tried_at - gap.since) / 2).clamp(EVENTS_EVERY, LONGEST_PAUSE),
        None => every,
    };
    now - tried_at >= pause
}
