//! The customer record: what was granted, merged into what is known.

use std::collections::BTreeSet;

use super::session::Choosing;
use super::{Error, Outcome};
use crate::app::App;
use crate::model::{AccessMode, AccessTier, ClientId, Customer, Grant, ObjectId, Subscription, Timestamp};
use crate::store::{self, Key};

/// How often the record is tried again when somebody else changes it meanwhile.
const TRIES: usize = 8;

/// Everything about the grants that goes into the record.
struct News<'a> {
    choosing: &'a Choosing,
    principal: ObjectId,
    client_id: ClientId,
    label: Option<String>,
    outcomes: &'a [Outcome],
    tiers: &'a BTreeSet<AccessTier>,
    now: Timestamp,
}

/// Writes the grants that stand into the customer's record. Somebody else's change meanwhile is kept.
pub(super) async fn keep(
    app: &App,
    choosing: &Choosing,
    principal: ObjectId,
    label: Option<String>,
    outcomes: &[Outcome],
    tiers: &BTreeSet<AccessTier>,
) -> Result<(), Error> {
    let client_id = app.settings.identity.client_id;
    let news = News { choosing, principal, client_id, label, outcomes, tiers, now: app.clock.now() };
    let key = Key::Customer(choosing.tenant);
    let mut tries = 1;
    loop {
        let result = match app.store.read::<Customer>(&key).await? {
            None => app.store.create(&key, &merged(None, &news)).await,
            Some(before) => app.store.replace(&key, &before, &merged(Some(&before.value), &news)).await,
        };
        match result {
            Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) if tries < TRIES => tries += 1,
            result => return Ok(result?),
        }
    }
}

/// The record with the grants in it. Pure.
fn merged(before: Option<&Customer>, news: &News<'_>) -> Customer {
    let choosing = news.choosing;
    let name = || choosing.tenant_name.clone().unwrap_or_else(|| choosing.tenant.to_string());
    let mut customer = before.cloned().unwrap_or_else(|| Customer {
        tenant_id: choosing.tenant,
        display_name: news.label.clone().unwrap_or_else(name),
        access_mode: AccessMode::AppInCustomerTenant { service_principal_id: news.principal },
        subscriptions: Default::default(),
        onboarded_at: news.now,
        receipt: Vec::new(),
        tiers: Default::default(),
        offboarded_at: None,
        labels: Default::default(),
        time_zone: None,
        contacts: Vec::new(),
    });
    customer.offboarded_at = None;
    // A principal that was made anew has another id; the new grants are to it.
    customer.access_mode = AccessMode::AppInCustomerTenant { service_principal_id: news.principal };
    // What needs no role on a subscription is agreed to here, and tried by the poll.
    customer.tiers.extend(news.tiers.iter().copied().filter(|tier| *tier == AccessTier::TenantEvents));
    for outcome in news.outcomes {
        let Ok(access) = &outcome.result else {
            continue;
        };
        let subscription = Subscription {
            display_name: outcome.name.clone(),
            access: access.access,
            role_assignment_id: access.role_assignment_id.clone(),
            granted_at: Some(news.now),
            discovered: false,
            tiers: access.tiers.iter().filter(|(_, made)| made.is_ok()).map(|(tier, _)| *tier).collect(),
            state: None,
            lost: None,
        };
        customer.subscriptions.insert(outcome.id, subscription);
        let mut receipt = |tier: AccessTier, role_assignment_id: &str, adopted: bool| {
            customer.receipt.push(Grant {
                at: news.now,
                granted_by: Some(choosing.person),
                granted_by_name: choosing.person_shown(),
                client_id: news.client_id,
                service_principal_id: news.principal,
                scope: format!("/subscriptions/{}", outcome.id),
                role: tier.role().to_owned(),
                role_assignment_id: role_assignment_id.to_owned(),
                adopted,
            });
        };
        receipt(AccessTier::Base, &access.role_assignment_id, access.adopted);
        for (tier, made) in &access.tiers {
            if let Ok(made) = made {
                receipt(*tier, &made.role_assignment_id, made.adopted);
            }
        }
    }
    customer
}
