//! What is due. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::budget::{self, Choice, Due, What};
use crate::azure::reading::{Ask, AskEvents, AskSubscription};
use crate::model::{
    AccessTier, Customer, EventRecord, GapReason, Quota, Snapshot, SourceCoverage, Subscription, SubscriptionCoverage,
    SubscriptionId, Timestamp, TrackingId,
};

/// How far back the first reading goes: as far as Resource Graph and the portal's history ("health-apis", 1.3).
const FIRST_WINDOW: TimeDelta = TimeDelta::days(90);
/// How far a later reading goes back before the last full one, against late publication.
const OVERLAP: TimeDelta = TimeDelta::days(1);
/// Events are read with every poll; what was read within this time was read by another delivery of the same message.
const EVENTS_EVERY: TimeDelta = TimeDelta::seconds(1);
/// How often the complete availability listing is read; virtual machines come with every sweep.
const RESOURCES_EVERY: TimeDelta = TimeDelta::minutes(10);
/// A customer with more subscriptions than this has their listings spread over the time between two.
const MANY: usize = 20;
/// How often the activity log is read, how far back at first, and how far before the last reading: rows come late.
const ACTIVITY_EVERY: TimeDelta = TimeDelta::hours(1);
const FIRST_ACTIVITY: TimeDelta = TimeDelta::hours(1);
const ACTIVITY_OVERLAP: TimeDelta = TimeDelta::hours(1);
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

/// What to read of one customer now: what is due, as far as the budget reaches, whoever waited longest first.
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
    let pace = &snapshot.pace;
    let many = customer.subscriptions.len() > MANY;
    let mut due = Vec::new();
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
        let rests = pace.rests(Quota::Subscription(id), now);
        let is_due = |source: &SourceCoverage, every: TimeDelta| !rests && is_due(source, every, suspended_at, now);
        let wide = coverage.events.read_at.is_none() || coverage.wide_due.is_none_or(|due| due <= now);
        let must_list = forced || coverage.events.read_at.is_none() || coverage.events.gap.is_some();
        // Resource Graph may be asked even while the subscription's own calls rest.
        let events = (forced || self::is_due(&coverage.events, EVENTS_EVERY, suspended_at, now)).then(|| AskEvents {
            since: match coverage.events.read_at {
                Some(at) if !wide => at - OVERLAP,
                _ => now - FIRST_WINDOW,
            },
            listing: must_list || (wide && !rests),
            wide,
            follow: match !rests && coverage.follow_due.is_none_or(|due| due <= now) {
                true => super::follow_up::wanted(snapshot, id, now),
                false => BTreeMap::new(),
            },
            known: known_versions(snapshot, id),
            withheld: may_ask_details(subscription, &coverage, now).then(|| withheld(snapshot, id)),
        });
        let every = if many { RESOURCES_EVERY - spread(id, RESOURCES_EVERY / 4) } else { RESOURCES_EVERY };
        let resources = forced || is_due(&coverage.resources, every);
        let activity =
            events.is_some() && coverage.events.tried_at.is_some() && is_due(&coverage.activity, ACTIVITY_EVERY);
        let mut add = |what: What, waits_since: Option<Timestamp>, calls: usize| {
            let calls = u32::try_from(calls).unwrap_or(u32::MAX);
            due.push(Due { subscription: id, what, waits_since, calls });
        };
        if let Some(events) = &events {
            match (must_list, events.listing) {
                (true, _) => add(What::Listing, coverage.events.read_at, 1),
                (false, true) => add(What::Wide, coverage.wide_due, 1),
                (false, false) => {}
            }
            if !events.follow.is_empty() {
                add(What::Follow, coverage.follow_due, events.follow.len());
            }
        }
        if resources {
            add(What::Resources, coverage.resources.read_at, 1);
        }
        if activity {
            add(What::Activity, coverage.activity.read_at, 2);
        }
        if events.is_some() || resources {
            let activity =
                activity.then(|| coverage.activity.read_at.map_or(now - FIRST_ACTIVITY, |at| at - ACTIVITY_OVERLAP));
            subscriptions.insert(id, AskSubscription { events, resources, activity, ..AskSubscription::default() });
        }
    }
    let Choice { put_off, spare } = match scope {
        Scope::Due => budget::choose(due, pace.budget),
        // One subscription always fits.
        Scope::Now(_) => Choice { put_off: Vec::new(), spare: pace.budget },
    };
    for (id, what) in &put_off {
        if let Some(asked) = subscriptions.get_mut(id) {
            let known = snapshot.coverage.get(id).and_then(|coverage| coverage.resources.read_at);
            leave_out(asked, *what, known, now);
        }
    }
    let tenant_is_asked = scope == Scope::Due && !pace.rests(Quota::Tenant, now);
    let tenant_events = (tenant_is_asked && customer.tiers.contains(&AccessTier::TenantEvents)).then(|| {
        let coverage = snapshot.tenant_coverage.clone().unwrap_or_default();
        let since = coverage.read_at.map_or(now - FIRST_WINDOW, |at| at - OVERLAP);
        is_due(&coverage, TENANT_EVENTS_EVERY, None, now).then_some(since)
    });
    Ask {
        subscriptions,
        tenant_events: tenant_events.flatten(),
        impacted: (scope == Scope::Due).then(|| super::follow_up::impacted(snapshot, now)).flatten(),
        spare,
        put_off: u32::try_from(put_off.len()).unwrap_or(u32::MAX),
        rests: pace.rests.iter().filter(|(_, until)| **until > now).map(|(lane, until)| (*lane, *until)).collect(),
        known_texts: snapshot.texts().into_iter().cloned().collect(),
        known_resources: snapshot.resources.keys().chain(snapshot.recovered.keys()).cloned().collect(),
    }
}

/// Leaves a due reading to the next poll. Of the events only REST's listing is left out: Resource Graph is asked all the same.
fn leave_out(asked: &mut AskSubscription, what: What, resources_read_at: Option<Timestamp>, now: Timestamp) {
    match (what, &mut asked.events) {
        (What::Listing | What::Wide, Some(events)) => events.listing = false,
        (What::Follow, Some(events)) => events.follow.clear(),
        (What::Resources, _) => {
            asked.resources = false;
            // A little late is no news; what is later than that is told as a gap.
            asked.resources_put_off = resources_read_at.is_none_or(|at| now - at >= RESOURCES_EVERY * 2);
        }
        (What::Activity, _) => asked.activity = None,
        (_, None) => {}
    }
}

/// A part of a time that is always the same for one subscription, so that a customer's many are not all due together.
pub(super) fn spread(id: SubscriptionId, within: TimeDelta) -> TimeDelta {
    let seconds = u128::try_from(within.num_seconds()).unwrap_or(0).max(1);
    TimeDelta::seconds(i64::try_from(id.guid().as_u128() % seconds).unwrap_or(0))
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
        // What was not asked, or may be asked again, is not worn out by trying: Azure's own rests are kept apart from this.
        Some(gap) if matches!(gap.reason, GapReason::PutOff | GapReason::Throttled) => EVENTS_EVERY,
        Some(gap) => ((tried_at - gap.since) / 2).clamp(EVENTS_EVERY, LONGEST_PAUSE),
        None => every,
    };
    now - tried_at >= pause
}
