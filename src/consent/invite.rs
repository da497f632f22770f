//! Invites: made by the partner, one tenant each, checked at every step.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use serde::Serialize;

use super::sealed::random_text;
use super::{Entry, Error, InviteFault};
use crate::app::App;
use crate::model::{AccessTier, Invite, InviteUse, SubscriptionId, TenantId, Timestamp};
use crate::settings::Onboarding;
use crate::store::{self, Folder, Key, Versioned};

/// How often a change is tried again when somebody else changes the invite meanwhile.
const TRIES: usize = 5;

/// Invites read at once.
const READS: usize = 16;

/// How long a grant holds its invite at most; one that broke off gives it free by that.
const CLAIM: TimeDelta = TimeDelta::minutes(2);

/// The longest life of an invite.
pub const MAX_LIFE: TimeDelta = TimeDelta::days(365);

/// What an invite is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewInvite {
    /// What the partner calls the customer.
    pub label: String,
    /// Only this tenant may use it.
    pub tenant: Option<TenantId>,
    /// Only these subscriptions are offered, if any are named.
    pub subscriptions: BTreeSet<SubscriptionId>,
    /// What the customer is asked for beyond the base.
    pub tiers: BTreeSet<AccessTier>,
}

/// Where an invite stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum InviteState {
    /// It lets a customer in.
    Open,
    /// A customer came in with it.
    Used,
    /// Its time is over.
    Expired,
    /// The partner took it back.
    Withdrawn,
}

/// An invite as the partner sees it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InviteView {
    /// Its id: the secret of the link.
    pub id: String,
    /// Where it stands.
    pub state: InviteState,
    /// The link, while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The rest of it.
    #[serde(flatten)]
    pub invite: Invite,
}

/// Why an invite cannot be withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    /// There is none of this id.
    #[error("there is no such invite")]
    NotFound,
    /// A customer came in with it: taking it back would change nothing.
    #[error("the invite was used by {0}")]
    Used(TenantId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Makes an invite that lets one customer in until it expires, and gives its id and its link. The id is the link's secret.
///
/// # Errors
/// The store's.
pub async fn create(
    app: &App,
    label: &str,
    tenant: Option<TenantId>,
    expires_at: Timestamp,
) -> Result<(String, String), store::Error> {
    let wanted = NewInvite { label: label.to_owned(), tenant, ..NewInvite::default() };
    let made = make(app, wanted, expires_at).await?;
    Ok((made.id, made.link.unwrap_or_default()))
}

/// Makes an invite.
///
/// # Errors
/// The store's.
pub async fn make(app: &App, wanted: NewInvite, expires_at: Timestamp) -> Result<InviteView, store::Error> {
    let id = random_text::<16>(app.random.as_ref());
    let NewInvite { label, tenant, subscriptions, mut tiers } = wanted;
    tiers.remove(&AccessTier::Base);
    let invite = Invite {
        label: label.trim().chars().take(200).collect(),
        tenant_id: tenant,
        subscription_ids: subscriptions,
        tiers,
        created_at: app.clock.now(),
        expires_at,
        used: None,
        withdrawn_at: None,
        claimed_until: None,
    };
    app.store.create(&Key::Invite(id.clone()), &invite).await?;
    Ok(view(app, id, invite))
}

/// Every invite, the newest first.
///
/// # Errors
/// The store's.
pub async fn list(app: &App) -> Result<Vec<InviteView>, store::Error> {
    let listed = app.store.list(Folder::Invites).await?;
    let id = |path: &str| path.strip_prefix("invites/")?.strip_suffix(".json").map(str::to_owned);
    let ids: Vec<_> = listed.iter().filter_map(|line| id(&line.path)).collect();
    let reads: Vec<_> = ids
        .into_iter()
        .map(|id| async move { (app.store.read::<Invite>(&Key::Invite(id.clone())).await, id) })
        .collect();
    let read: Vec<_> = futures_util::stream::iter(reads).buffered(READS).collect().await;
    let mut views = Vec::new();
    for (invite, id) in read {
        // One removed between listing and reading is simply not there.
        views.extend(invite?.map(|invite| view(app, id, invite.value)));
    }
    views.sort_by(|a, b| b.invite.created_at.cmp(&a.invite.created_at).then_with(|| a.id.cmp(&b.id)));
    Ok(views)
}

/// Takes an open invite back. Done twice, it is done once.
///
/// # Errors
/// [`WithdrawError`].
pub async fn withdraw(app: &App, id: &str) -> Result<(), WithdrawError> {
    if !is_id(id) {
        return Err(WithdrawError::NotFound);
    }
    let key = Key::Invite(id.to_owned());
    for _ in 0..TRIES {
        let before = app.store.read::<Invite>(&key).await?.ok_or(WithdrawError::NotFound)?;
        if let Some(used) = &before.value.used {
            return Err(WithdrawError::Used(used.tenant_id));
        }
        if before.value.withdrawn_at.is_some() {
            return Ok(());
        }
        let after = Invite { withdrawn_at: Some(app.clock.now()), ..before.value.clone() };
        match app.store.replace(&key, &before, &after).await {
            Err(store::Error::Conflict { .. }) => {}
            other => return Ok(other?),
        }
    }
    Err(store::Error::Conflict { path: key.path() }.into())
}

fn view(app: &App, id: String, invite: Invite) -> InviteView {
    let state = match usable(&invite, app.clock.now()) {
        Ok(()) | Err(InviteFault::InUse) => InviteState::Open,
        Err(InviteFault::Used) => InviteState::Used,
        Err(InviteFault::Withdrawn) => InviteState::Withdrawn,
        Err(InviteFault::Expired | InviteFault::Missing | InviteFault::Unknown) => InviteState::Expired,
    };
    let entry = Entry { invite: Some(id.clone()), ..Entry::default() };
    let link = (state == InviteState::Open).then(|| app.settings.public_url(&entry.start_path()));
    InviteView { id, state, link, invite }
}

/// An id in other characters names no document: the store would cut them off.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// An open invite that the partner made for this very tenant, with its id.
///
/// # Errors
/// The store's.
pub(super) async fn of_tenant(app: &App, tenant: TenantId) -> Result<Option<(String, Invite)>, store::Error> {
    let open = |one: &InviteView| one.state == InviteState::Open && one.invite.tenant_id == Some(tenant);
    Ok(list(app).await?.into_iter().find(open).map(|one| (one.id, one.invite)))
}

/// The invite of a link, checked. None: none was given and none is needed.
pub(super) async fn check(app: &App, id: Option<&str>) -> Result<Option<Versioned<Invite>>, Error> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return match app.settings.onboarding {
            Onboarding::Open => Ok(None),
            Onboarding::Invite => Err(Error::Invite(InviteFault::Missing)),
        };
    };
    let invite = if is_id(id) { app.store.read::<Invite>(&Key::Invite(id.to_owned())).await? } else { None };
    let invite = invite.ok_or(Error::Invite(InviteFault::Unknown))?;
    usable(&invite.value, app.clock.now()).map_err(Error::Invite)?;
    Ok(Some(invite))
}

/// Whether an invite lets anybody in now. Pure.
fn usable(invite: &Invite, now: Timestamp) -> Result<(), InviteFault> {
    if invite.used.is_some() {
        return Err(InviteFault::Used);
    }
    if invite.withdrawn_at.is_some() {
        return Err(InviteFault::Withdrawn);
    }
    if invite.expires_at <= now {
        return Err(InviteFault::Expired);
    }
    Ok(())
}

/// The same for a person whose tenant is proven.
pub(super) async fn check_for(
    app: &App,
    id: Option<&str>,
    tenant: TenantId,
) -> Result<Option<Versioned<Invite>>, Error> {
    let invite = check(app, id).await?;
    if invite.as_ref().and_then(|invite| invite.value.tenant_id).is_some_and(|only| only != tenant) {
        return Err(Error::InviteOfOtherTenant);
    }
    Ok(invite)
}

/// Ties the invite to the tenant before anything is granted, and holds it while it is: of two tenants with the same link, and
/// of two browsers at once, one comes in. Gives the customer's label.
pub(super) async fn claim(app: &App, id: Option<&str>, tenant: TenantId) -> Result<Option<String>, Error> {
    for _ in 0..TRIES {
        let Some(before) = check_for(app, id, tenant).await? else {
            return Ok(None);
        };
        let label = Some(before.value.label.clone()).filter(|label| !label.is_empty());
        let now = app.clock.now();
        if before.value.claimed_until.is_some_and(|until| until > now) {
            return Err(Error::Invite(InviteFault::InUse));
        }
        let after = Invite { tenant_id: Some(tenant), claimed_until: Some(now + CLAIM), ..before.value.clone() };
        match replace(app, id, &before, &after).await {
            Err(store::Error::Conflict { .. }) => {}
            Ok(()) => return Ok(label),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Used)
}

/// Ends what [`claim`] began: the invite is used, or free again for the same tenant. One that cannot be marked stays tied to
/// its tenant, which is noted and no more.
pub(super) async fn settle(app: &App, id: Option<&str>, tenant: TenantId, all_granted: bool) {
    for _ in 0..TRIES {
        let before = match check_for(app, id, tenant).await {
            Ok(Some(before)) => before,
            Ok(None) | Err(Error::Invite(InviteFault::Used)) => return,
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, %error, "an invite could not be marked as used");
                return;
            }
        };
        let used = all_granted.then(|| InviteUse { tenant_id: tenant, at: app.clock.now() });
        let after = Invite { used, claimed_until: None, ..before.value.clone() };
        match replace(app, id, &before, &after).await {
            Err(store::Error::Conflict { .. }) => {}
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, %error, "an invite could not be marked as used");
                return;
            }
        }
    }
}

async fn replace(app: &App, id: Option<&str>, before: &Versioned<Invite>, after: &Invite) -> Result<(), store::Error> {
    app.store.replace(&Key::Invite(id.unwrap_or_default().to_owned()), before, after).await
}
