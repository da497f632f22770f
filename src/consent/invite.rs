//! Invites: made by the partner, one tenant each, checked at every step.

use super::sealed::random_text;
use super::{Entry, Error, InviteFault};
use crate::app::App;
use crate::model::{Invite, InviteUse, TenantId, Timestamp};
use crate::settings::Onboarding;
use crate::store::{self, Key, Versioned};

/// How often a change is tried again when somebody else changes the invite meanwhile.
const TRIES: usize = 5;

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
    let id = random_text::<16>(app.random.as_ref());
    let invite = Invite {
        label: label.trim().chars().take(200).collect(),
        tenant_id: tenant,
        created_at: app.clock.now(),
        expires_at,
        used: None,
    };
    app.store.create(&Key::Invite(id.clone()), &invite).await?;
    let entry = Entry { invite: Some(id.clone()), ..Entry::default() };
    Ok((id, app.settings.public_url(&entry.start_path())))
}

/// The invite of a link, checked. None: none was given and none is needed.
pub(super) async fn check(app: &App, id: Option<&str>) -> Result<Option<Versioned<Invite>>, Error> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return match app.settings.onboarding {
            Onboarding::Open => Ok(None),
            Onboarding::Invite => Err(Error::Invite(InviteFault::Missing)),
        };
    };
    // An id in other characters names no document: the store would cut them off.
    let sound = id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let invite = if sound { app.store.read::<Invite>(&Key::Invite(id.to_owned())).await? } else { None };
    let invite = invite.ok_or(Error::Invite(InviteFault::Unknown))?;
    usable(&invite.value, app.clock.now()).map_err(Error::Invite)?;
    Ok(Some(invite))
}

/// Whether an invite lets anybody in now. Pure.
fn usable(invite: &Invite, now: Timestamp) -> Result<(), InviteFault> {
    if invite.used.is_some() {
        return Err(InviteFault::Used);
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

/// Ties the invite to the tenant before anything is granted: of two tenants with the same link, one comes in. Gives the
/// customer's label.
pub(super) async fn claim(app: &App, id: Option<&str>, tenant: TenantId) -> Result<Option<String>, Error> {
    for _ in 0..TRIES {
        let Some(before) = check_for(app, id, tenant).await? else {
            return Ok(None);
        };
        let label = Some(before.value.label.clone()).filter(|label| !label.is_empty());
        if before.value.tenant_id == Some(tenant) {
            return Ok(label);
        }
        let after = Invite { tenant_id: Some(tenant), ..before.value.clone() };
        match replace(app, id, &before, &after).await {
            Err(store::Error::Conflict { .. }) => {}
            Ok(()) => return Ok(label),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Used)
}

/// Marks the invite as used. One that cannot be marked stays tied to its tenant, which is noted and no more.
pub(super) async fn mark_used(app: &App, id: Option<&str>, tenant: TenantId) {
    for _ in 0..TRIES {
        let before = match check_for(app, id, tenant).await {
            Ok(Some(before)) => before,
            Ok(None) | Err(Error::Invite(InviteFault::Used)) => return,
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, %error, "an invite could not be marked as used");
                return;
            }
        };
        let used = Some(InviteUse { tenant_id: tenant, at: app.clock.now() });
        let after = Invite { used, ..before.value.clone() };
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
