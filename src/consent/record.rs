//! The customer record: what was granted, merged into what is known.

use std::collections::BTreeSet;

use super::Error;
use crate::app::App;
use crate::model::{AccessMode, AccessTier, Customer, Grant, Subscription, SubscriptionId, TenantId, Timestamp};
use crate::store::{self, Key};

/// How often the record is tried again when somebody else changes it meanwhile.
const TRIES: usize = 8;

/// Everything about grants that goes into the record.
pub(super) struct News {
    pub tenant: TenantId,
    /// What to call the customer, if he is new.
    pub name: Option<String>,
    pub access_mode: AccessMode,
    pub subscriptions: Vec<(SubscriptionId, Subscription)>,
    pub grants: Vec<Grant>,
    /// The tiers that were agreed to.
    pub tiers: BTreeSet<AccessTier>,
    pub at: Timestamp,
}

/// Writes the grants that stand into the customer's record. Somebody else's change meanwhile is kept.
pub(super) async fn keep(app: &App, news: &News) -> Result<(), Error> {
    let key = Key::Customer(news.tenant);
    let mut tries = 1;
    loop {
        let result = match app.store.read::<Customer>(&key).await? {
            None => app.store.create(&key, &merged(None, news)).await,
            Some(before) => app.store.replace(&key, &before, &merged(Some(&before.value), news)).await,
        };
        match result {
            Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) if tries < TRIES => tries += 1,
            result => return Ok(result?),
        }
    }
}

/// The record with the grants in it. Pure.
fn merged(before: Option<&Customer>, news: &News) -> Customer {
    let mut customer = before.cloned().unwrap_or_else(|| {
        let name = news.name.clone().unwrap_or_else(|| news.tenant.to_string());
        Customer::new(news.tenant, name, news.access_mode.clone(), news.at)
    });
    customer.offboarded_at = None;
    // A principal that was made anew has another id; the new grants are to it.
    let same_principal = customer.access_mode == news.access_mode;
    customer.access_mode = news.access_mode.clone();
    // What needs no role on a subscription is agreed to here, and tried by the poll.
    customer.tiers.extend(news.tiers.iter().copied().filter(|tier| *tier == AccessTier::TenantEvents));
    for (id, subscription) in &news.subscriptions {
        let mut subscription = subscription.clone();
        // What was granted beyond the base stands, whether it is spoken of this time or not.
        if let Some(known) = customer.subscriptions.get(id).filter(|_| same_principal) {
            subscription.tiers.extend(known.tiers.iter().copied());
        }
        customer.subscriptions.insert(*id, subscription);
    }
    for grant in &news.grants {
        if !customer.receipt.iter().any(|known| tells_as_much(known, grant)) {
            customer.receipt.push(grant.clone());
        }
    }
    customer
}

/// True for an entry of the assignment that was found again: who made it, and when, is filed already.
fn tells_as_much(known: &Grant, found: &Grant) -> bool {
    let same = known.role_assignment_id.eq_ignore_ascii_case(&found.role_assignment_id)
        && known.service_principal_id == found.service_principal_id;
    let named = !known.granted_by_name.is_empty() || found.granted_by_name.is_empty();
    found.adopted && !found.role_assignment_id.is_empty() && same && named
}
