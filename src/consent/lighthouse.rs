//! Azure Lighthouse: the template of a delegation, and the discovery of what was delegated, with the partner's own token.
//!
//! Whoever knows our ids can delegate a subscription to us. So nobody becomes a customer by that alone, unless onboarding is
//! open: the partner has invited the tenant, or says so on his command line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use futures_util::StreamExt as _;

use super::template::{self, Template};
use super::{Error, invite, record};
use crate::app::App;
use crate::azure::SeenSubscription;
use crate::model::{
    AccessMode, Customer, Grant, ObjectId, Subscription, SubscriptionAccess, SubscriptionId, TenantId, Timestamp,
};
use crate::settings::Onboarding;
use crate::store::Key;

/// How often the timer looks: a delegation takes up to 15 minutes to appear anyway.
const EVERY: TimeDelta = TimeDelta::minutes(10);

/// Registration assignments read at once.
const READS: usize = 8;

/// When delegations were last looked for by this process.
#[derive(Debug, Default)]
pub struct LastDiscovery(Mutex<Option<Timestamp>>);

/// Whose delegations are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accept {
    /// Those of invited tenants; of all when onboarding is open.
    Invited,
    /// Those of these tenants, too: the partner says so.
    These(BTreeSet<TenantId>),
}

/// What one tenant delegated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegated {
    /// The tenant.
    pub tenant: TenantId,
    /// What to call it.
    pub name: Option<String>,
    /// The subscriptions, with their names.
    pub subscriptions: Vec<(SubscriptionId, String)>,
    /// What became of it.
    pub standing: DelegationStanding,
}

/// What became of a delegation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelegationStanding {
    /// All of it is watched already.
    Known,
    /// It is watched from now on.
    Added,
    /// Nobody invited the tenant.
    NotInvited,
    /// The tenant is a customer through our application in its own tenant, which stays the way to it.
    OtherWay,
}

/// What the page about Lighthouse says.
#[derive(Debug)]
pub struct DelegationOffer {
    /// The partner's tenant.
    pub partner_tenant: TenantId,
    /// Our service principal there.
    pub principal: ObjectId,
}

/// Whom a customer delegates to.
///
/// # Errors
/// [`Error::NoPartnerPrincipal`].
pub(super) async fn offer(app: &Arc<App>) -> Result<DelegationOffer, Error> {
    let partner_tenant = app.settings.identity.tenant_id;
    let token = app.azure.app_token(partner_tenant).await.map_err(|error| match error {
        crate::azure::Error::TokenRefused(refusal) if refusal.principal_is_missing() => Error::NoPartnerPrincipal,
        error => Error::Azure(error),
    })?;
    let principal = app.azure.principal_of(&token, partner_tenant).map_err(Error::Principal)?;
    Ok(DelegationOffer { partner_tenant, principal })
}

/// The template of a delegation.
///
/// # Errors
/// [`Error::NoPartnerPrincipal`], [`Error::Azure`].
pub async fn delegation_template(app: &Arc<App>) -> Result<Template, Error> {
    let DelegationOffer { partner_tenant, principal } = offer(app).await?;
    Ok(template::delegation(partner_tenant, principal, &app.settings.partner_name))
}

/// Looks for delegations when it is time: for the timer. What fails is logged; the next time is soon.
pub async fn discover_when_due(app: &Arc<App>) {
    let now = app.clock.now();
    {
        let mut last = app.last_discovery.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now - last < EVERY) {
            return;
        }
        *last = Some(now);
    }
    match discover(app, &Accept::Invited).await {
        Ok(found) => {
            for one in found.iter().filter(|one| one.standing == DelegationStanding::NotInvited) {
                tracing::warn!(
                    tenant.id = %one.tenant, subscriptions = one.subscriptions.len(),
                    "a tenant that nobody invited delegated subscriptions; `customers discover --accept` takes it in"
                );
            }
        }
        // A partner who does not use Lighthouse may have no service principal at home.
        Err(error) => tracing::info!(%error, "delegations could not be looked for"),
    }
}

/// Looks with the partner's own token what was delegated to him, and takes in what is accepted.
///
/// # Errors
/// Azure's and the store's.
pub async fn discover(app: &Arc<App>, accept: &Accept) -> Result<Vec<Delegated>, Error> {
    let partner_tenant = app.settings.identity.tenant_id;
    let token = app.azure.app_token(partner_tenant).await?;
    let principal = app.azure.principal_of(&token, partner_tenant).map_err(Error::Principal)?;
    let seen = app.azure.subscriptions(&token).await?;
    let tenants = delegated(seen.subscriptions, partner_tenant);
    let mut found = Vec::new();
    for (tenant, subscriptions) in tenants {
        let known = app.store.read::<Customer>(&Key::Customer(tenant)).await?.map(|known| known.value);
        let watched = |id: &SubscriptionId| known.as_ref().is_some_and(|known| known.subscriptions.contains_key(id));
        let mut one = Delegated {
            tenant,
            name: known.as_ref().map(|known| known.display_name.clone()),
            subscriptions: subscriptions.iter().map(|one| (one.id, one.name.clone())).collect(),
            standing: DelegationStanding::Known,
        };
        let left = known.as_ref().is_some_and(|known| known.offboarded_at.is_some());
        let ours = known.as_ref().filter(|_| !left);
        let new: Vec<_> = subscriptions.into_iter().filter(|one| left || !watched(&one.id)).collect();
        if ours.is_some_and(|known| matches!(known.access_mode, AccessMode::AppInCustomerTenant { .. })) {
            one.standing = DelegationStanding::OtherWay;
        } else if !new.is_empty() {
            let by_partner = matches!(accept, Accept::These(tenants) if tenants.contains(&tenant));
            let invited = if ours.is_some() || by_partner { None } else { invite::of_tenant(app, tenant).await? };
            // Who was offboarded does not come back by a delegation that he forgot.
            let open = app.settings.onboarding == Onboarding::Open && !left;
            if ours.is_some() || by_partner || open || invited.is_some() {
                let (invite_id, invite) = invited.map_or((None, None), |(id, invite)| (Some(id), Some(invite)));
                let only = invite.as_ref().map(|invite| invite.subscription_ids.clone()).unwrap_or_default();
                let new: Vec<_> = new.into_iter().filter(|one| only.is_empty() || only.contains(&one.id)).collect();
                let label = invite.map(|invite| invite.label).filter(|label| !label.is_empty());
                take_in(app, tenant, label, new, principal, &token).await?;
                invite::settle(app, invite_id.as_deref(), tenant, true).await;
                one.standing = DelegationStanding::Added;
            } else {
                one.standing = DelegationStanding::NotInvited;
            }
        }
        found.push(one);
    }
    Ok(found)
}

/// Subscriptions of other tenants that are delegated to the partner's, by tenant. Pure.
fn delegated(seen: Vec<SeenSubscription>, partner: TenantId) -> BTreeMap<TenantId, Vec<SeenSubscription>> {
    let mut tenants: BTreeMap<TenantId, Vec<SeenSubscription>> = BTreeMap::new();
    for one in seen {
        // What is visible for another reason, such as a managed application, is not delegated to us.
        if one.tenant != partner && one.managed_by.contains(&partner) {
            tenants.entry(one.tenant).or_default().push(one);
        }
    }
    tenants
}

async fn take_in(
    app: &Arc<App>,
    tenant: TenantId,
    label: Option<String>,
    new: Vec<SeenSubscription>,
    principal: ObjectId,
    token: &crate::azure::AccessToken,
) -> Result<(), Error> {
    let now = app.clock.now();
    let reads: Vec<_> = new
        .into_iter()
        .map(|one| {
            let (app, token) = (Arc::clone(app), token.clone());
            async move {
                let id = app.azure.registration_assignment(one.id, &token).await;
                (one, id.ok().flatten().unwrap_or_default())
            }
        })
        .collect();
    let new: Vec<_> = futures_util::stream::iter(reads).buffered(READS).collect().await;
    let (mut subscriptions, mut grants) = (Vec::new(), Vec::new());
    for (one, registration) in new {
        // It was listed by our own token: that is the proof.
        subscriptions.push((one.id, Subscription::granted(&one.name, SubscriptionAccess::Active, &registration, now)));
        grants.push(Grant {
            at: now,
            granted_by: None,
            granted_by_name: String::new(),
            client_id: app.settings.identity.client_id,
            service_principal_id: principal,
            scope: format!("/subscriptions/{}", one.id),
            role: "Reader (Azure Lighthouse)".to_owned(),
            role_assignment_id: registration,
            adopted: true,
        });
    }
    let count = subscriptions.len();
    let news = record::News {
        tenant,
        name: label,
        access_mode: AccessMode::Lighthouse { partner_tenant_id: app.settings.identity.tenant_id },
        subscriptions,
        grants,
        tiers: BTreeSet::new(),
        at: now,
    };
    record::keep(app, &news).await?;
    tracing::info!(tenant.id = %tenant, subscriptions = count, "took in what was delegated");
    Ok(())
}
