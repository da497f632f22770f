//! What Azure's refusals mean for our access. Pure.
//!
//! One refusal proves nothing: roles spread slowly, and Azure has its moments. Access counts as lost when the same refusal
//! has come again and again for more than an hour; one reading that is let in heals it.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::azure::reading::{Reading, Trouble};
use crate::model::{
    AccessTrouble, Customer, GapReason, Snapshot, StateSeen, Subscription, SubscriptionAccess, SubscriptionCoverage,
    SubscriptionId, Timestamp, Transition, TransitionKind,
};

/// How long a fresh grant may take without anybody being worried: Azure says ten minutes, and rarely needs more.
pub const PROPAGATION: TimeDelta = TimeDelta::minutes(30);
/// How long the same must have been said before it is believed.
const CONFIRMED_AFTER: TimeDelta = TimeDelta::hours(1);
/// How often, too.
const CONFIRMED_BY: u32 = 3;

/// The trouble, in the light of what the record knows: a fresh grant that still spreads, or a principal that was made anew.
pub(super) fn in_context(
    trouble: &Trouble,
    id: SubscriptionId,
    customer: &Customer,
    known: &SubscriptionCoverage,
    reading: &Reading,
) -> Trouble {
    use GapReason as Reason;
    let granted_at = customer.subscriptions.get(&id).and_then(|one| one.granted_at);
    let spreading = granted_at.is_some_and(|at| {
        reading.started_at - at < PROPAGATION && known.events.read_at.is_none_or(|read_at| read_at < at)
    });
    let reason = match trouble.reason {
        Reason::AccessDenied | Reason::SubscriptionNotFound | Reason::ConsentWithdrawn if spreading => {
            Reason::Propagating
        }
        Reason::AccessDenied | Reason::SubscriptionNotFound
            if reading.principal.is_some_and(|now| customer.service_principal_id().is_some_and(|was| was != now)) =>
        {
            Reason::PrincipalRecreated
        }
        reason => reason,
    };
    Trouble { reason, detail: trouble.detail.clone() }
}

/// Notes refusals in a row, and tells what is confirmed: access lost or restored, subscriptions come, gone, or changed.
pub(super) fn diff(before: &Snapshot, after: &mut Snapshot, customer: &Customer, reading: &Reading) -> Vec<Transition> {
    let at = reading.started_at;
    let mut told: Vec<(TransitionKind, String)> = Vec::new();
    for (&id, read) in &reading.subscriptions {
        let (Some(subscription), Some(known)) = (customer.subscriptions.get(&id), after.coverage.get_mut(&id)) else {
            continue;
        };
        if subscription.discovered && !before.coverage.contains_key(&id) {
            let display_name = subscription.display_name.clone();
            let kind = TransitionKind::SubscriptionAdded { subscription_id: id, display_name };
            told.push((kind, subscription.granted_at.map(|at| at.to_rfc3339()).unwrap_or_default()));
        }
        let verdict = read.events.as_ref().map(|_| known.events.gap.as_ref().map(|gap| gap.reason));
        told.extend(verdict.and_then(|verdict| access(id, subscription, known, verdict, at)));
        told.extend(state(id, subscription, known, at));
    }
    // What the record no longer has was ended by somebody; the reading that was there last tells one end from another.
    for (&id, known) in before.coverage.iter().filter(|(id, _)| !customer.subscriptions.contains_key(id)) {
        let last = known.events.tried_at.or(known.resources.tried_at);
        told.push((
            TransitionKind::SubscriptionRemoved { subscription_id: id },
            last.map(|at| at.to_rfc3339()).unwrap_or_default(),
        ));
    }
    let tenant = before.tenant_id;
    told.into_iter().map(|(kind, occurrence)| Transition::new(tenant, kind, &occurrence, at, false)).collect()
}

/// Moves the row of refusals on. `verdict`: why the reading was refused; None: it was let in.
fn access(
    id: SubscriptionId,
    subscription: &Subscription,
    known: &mut SubscriptionCoverage,
    verdict: Option<GapReason>,
    at: Timestamp,
) -> Option<(TransitionKind, String)> {
    let was = known.access.clone();
    let suspended = was.as_ref().filter(|was| was.suspended_at.is_some());
    let Some(reason) = verdict.filter(|reason| *reason != GapReason::Partial) else {
        let restored = suspended.map(|was| {
            let kind = TransitionKind::AccessRestored { subscription_id: id };
            (kind, was.since.to_rfc3339())
        });
        known.access = None;
        return restored;
    };
    if !reason.is_about_access() {
        // Azure's own trouble, ours, or a grant that spreads: neither proves anything about access.
        return None;
    }
    let regranted = |was: &AccessTrouble| subscription.granted_at.is_some_and(|granted| granted > was.since);
    let mut now = match &was {
        Some(was) if !regranted(was) => {
            let refusals = if was.reason == reason { was.refusals.saturating_add(1) } else { 1 };
            AccessTrouble { reason, refusals, ..was.clone() }
        }
        _ => AccessTrouble { reason, since: at, refusals: 1, suspended_at: None },
    };
    let confirmed = now.refusals >= CONFIRMED_BY && at - now.since > CONFIRMED_AFTER;
    let mut lost = None;
    if confirmed && now.suspended_at.is_none() {
        now.suspended_at = Some(at);
        let kind = TransitionKind::AccessLost { subscription_id: id, reason, since: now.since };
        lost = Some((kind, now.since.to_rfc3339()));
    }
    known.access = Some(now);
    lost
}

/// Compares what Azure says of the subscription's own state with what was told. Good news at once, bad news when it stays.
fn state(
    id: SubscriptionId,
    subscription: &Subscription,
    known: &mut SubscriptionCoverage,
    at: Timestamp,
) -> Option<(TransitionKind, String)> {
    let is = subscription.state.clone()?;
    let Some(seen) = &mut known.state else {
        known.state = Some(StateSeen { told: is.clone(), seen: is, since: at });
        return None;
    };
    if seen.seen != is {
        (seen.seen, seen.since) = (is.clone(), at);
    }
    let usable = matches!(is.as_str(), "Enabled" | "Warned" | "PastDue");
    if seen.told == is || !(usable || at - seen.since > CONFIRMED_AFTER) {
        return None;
    }
    let was = std::mem::replace(&mut seen.told, is.clone());
    Some((TransitionKind::SubscriptionStateChanged { subscription_id: id, was, is }, seen.since.to_rfc3339()))
}

/// The record after a reading: where the access to each subscription stands. None: as it was.
pub(super) fn record(
    customer: &Customer,
    snapshot: &Snapshot,
    reading_principal: Option<crate::model::ObjectId>,
    now: Timestamp,
) -> Option<Customer> {
    let mut after = customer.clone();
    let mut read_by_other = false;
    for (id, subscription) in &mut after.subscriptions {
        let Some(known) = snapshot.coverage.get(id) else { continue };
        let granted_at = subscription.granted_at;
        let read = known.events.read_at.is_some_and(|read_at| granted_at.is_none_or(|granted| read_at >= granted));
        let suspended = known
            .access
            .as_ref()
            .filter(|trouble| trouble.suspended_at.is_some_and(|at| granted_at.is_none_or(|granted| at > granted)));
        let refused = known.events.gap.as_ref().is_some_and(|gap| gap.reason.is_about_access());
        let overdue = granted_at.is_some_and(|granted| now - granted >= PROPAGATION);
        if let Some(trouble) = suspended {
            subscription.access = SubscriptionAccess::Suspended;
            subscription.lost = Some(crate::model::AccessLoss { reason: trouble.reason, since: trouble.since });
        } else if read && known.access.is_none() {
            subscription.access = SubscriptionAccess::Active;
            subscription.lost = None;
            read_by_other = true;
        } else if !read && refused && overdue {
            subscription.access = SubscriptionAccess::Attention;
        }
    }
    // Somebody gave the roles to the principal that was made anew: it is ours, by our own token.
    if let (true, Some(now), Some(was)) = (read_by_other, reading_principal, customer.service_principal_id())
        && now != was
    {
        after.access_mode = crate::model::AccessMode::AppInCustomerTenant { service_principal_id: now };
    }
    (after != *customer).then_some(after)
}

/// The record after Azure listed what our application can read: names and states as they are now, and what is new. None: as
/// it was.
pub(super) fn listed(
    customer: &Customer,
    seen: &BTreeMap<SubscriptionId, (String, String)>,
    now: Timestamp,
) -> Option<Customer> {
    let mut after = customer.clone();
    for (id, (name, state)) in seen {
        match after.subscriptions.get_mut(id) {
            Some(known) => {
                known.display_name.clone_from(name);
                known.state = Some(state.clone());
            }
            None if matches!(state.as_str(), "Enabled" | "Warned" | "PastDue") => {
                after.subscriptions.insert(
                    *id,
                    Subscription {
                        display_name: name.clone(),
                        access: SubscriptionAccess::Propagating,
                        role_assignment_id: String::new(),
                        granted_at: Some(now),
                        discovered: true,
                        tiers: Default::default(),
                        state: Some(state.clone()),
                        lost: None,
                    },
                );
            }
            None => {}
        }
    }
    (after != *customer).then_some(after)
}
