//! The way without delegated access: the customer creates our service principal and gives it Reader himself, by command line
//! or template. We find with our own token what we may read, and activate that. The tenant is proven first, by a sign-in that
//! tells who somebody is and nothing more, or by an invite that the partner made for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt as _;
use secrecy::SecretString;

use super::form::GrantForm;
use super::grant::{Access, Granted, Outcome};
use super::session::{Entry, Manual, Phase, Sealed};
use super::template::{self, Format, Template};
use super::{Error, Failure, invite, record, sealed, verify};
use crate::app::App;
use crate::azure::{self, AccessToken, FoundAssignment, SubscriptionState};
use crate::model::{
    AccessMode, ClientId, Grant, Invite, ObjectId, Scope, Subscription, SubscriptionAccess, SubscriptionId, TenantId,
    Timestamp,
};

/// Where the page is.
pub(super) const PAGE: &str = "/api/consent/callback?step=manual";

/// Role assignments read at once.
const READS: usize = 8;

/// More subscriptions than anybody types into a form.
const MOST_NAMED: usize = 50;

/// What the page shows.
#[derive(Debug)]
pub struct Instructions {
    /// The tenant.
    pub tenant: TenantId,
    /// Who signed in; foreign text. None: the invite names the tenant.
    pub person: Option<String>,
    /// Our application.
    pub client_id: ClientId,
    /// Our service principal in the tenant, once there is one.
    pub principal: Option<ObjectId>,
    /// The subscriptions that commands are shown for.
    pub subscriptions: Vec<SubscriptionId>,
    /// What the form must send back.
    pub csrf: SecretString,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// How the person came.
    pub entry: Entry,
}

/// What a verification found.
#[derive(Debug)]
pub enum Verified {
    /// Our application reads these: they are watched from now on.
    Active(Box<Granted>),
    /// The tenant has no service principal of ours yet.
    NoPrincipal,
    /// There is one, but it can read no subscription yet.
    NothingReadable,
}

/// The session of somebody whose tenant is proven.
pub(super) fn begin(app: &App, entry: Entry, tenant: TenantId, person: Option<(ObjectId, String)>) -> Manual {
    let csrf = Sealed(sealed::random_text::<32>(app.random.as_ref()));
    Manual { entry, tenant, person, csrf }
}

async fn resume(app: &App, cookie: Option<&str>) -> Result<(sealed::Opened, Manual), Failure> {
    let opened = sealed::resume(app, cookie).await?;
    match &opened.phase {
        Phase::Manual(manual) => {
            let manual = Manual::clone(manual);
            Ok((opened, manual))
        }
        _ => Err(Error::Used.into()),
    }
}

/// What to do, for these subscriptions (ids in any text) or those that the link or the invite names.
///
/// # Errors
/// Any of a session that cannot go on.
pub async fn instructions(app: &Arc<App>, cookie: Option<&str>, named: &str) -> Result<Instructions, Failure> {
    let (opened, manual) = resume(app, cookie).await?;
    let Manual { entry, tenant, person, csrf } = manual;
    let invite = invite::check_for(app, entry.invite.as_deref(), tenant).await.map_err(|error| error.of(&entry))?;
    let words = named.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let mut subscriptions: BTreeSet<SubscriptionId> = words.filter_map(|word| word.parse().ok()).collect();
    if subscriptions.is_empty() {
        subscriptions.extend(entry.subscription);
        subscriptions.extend(invite.into_iter().flat_map(|invite| invite.value.subscription_ids));
    }
    Ok(Instructions {
        tenant,
        person: person.map(|(_, name)| name),
        client_id: app.settings.identity.client_id,
        principal: present(app, tenant).await,
        subscriptions: subscriptions.into_iter().take(MOST_NAMED).collect(),
        csrf: csrf.0.into(),
        expires_at: opened.ticket.expires_at().ok_or(Error::Tampered)?,
        entry,
    })
}

/// Our service principal in a tenant, if there is one now.
async fn present(app: &App, tenant: TenantId) -> Option<ObjectId> {
    // A refusal of a moment ago says nothing about now; Entra is asked once per page.
    app.azure.forget_app_token(tenant).await;
    let token = app.azure.app_token(tenant).await.ok()?;
    app.azure.principal_of(&token, tenant).ok()
}

/// The template for the tenant of this session.
///
/// # Errors
/// Any of a session that cannot go on; [`Error::PrincipalSpreading`] while there is no service principal.
pub async fn reader_template(app: &Arc<App>, cookie: Option<&str>, format: Format) -> Result<Template, Failure> {
    let (_, manual) = resume(app, cookie).await?;
    let principal = present(app, manual.tenant).await.ok_or(Error::PrincipalSpreading)?;
    Ok(template::reader(format, principal, &app.settings.partner_name))
}

/// Looks with our own token what we may read, and activates that. When there is nothing, the session stays.
///
/// # Errors
/// Any of a session that cannot go on; [`Error::Csrf`]; what keeps us from looking at all.
pub async fn verify(app: &Arc<App>, form: &GrantForm, cookie: Option<&str>) -> Result<Verified, Failure> {
    let (opened, manual) = resume(app, cookie).await?;
    let Manual { entry, tenant, person, csrf } = manual;
    form.common.is_from(&csrf)?;
    let invite = invite::check_for(app, entry.invite.as_deref(), tenant).await.map_err(|error| error.of(&entry))?;
    let only = invite.map(|invite| named(&invite.value)).unwrap_or_default();
    let found = look(app, tenant, &only).await.map_err(|error| error.of(&entry))?;
    let Found::Readable(found) = found else {
        return Ok(if matches!(found, Found::NoPrincipal) { Verified::NoPrincipal } else { Verified::NothingReadable });
    };
    sealed::advance(app, &opened, &Phase::Granting).await?;
    let label = invite::claim(app, entry.invite.as_deref(), tenant).await.map_err(|error| error.of(&entry))?;
    let granted = keep(app, tenant, found, person, label).await;
    invite::settle(app, entry.invite.as_deref(), tenant, granted.is_ok()).await;
    sealed::end(app, &opened.ticket).await;
    Ok(Verified::Active(Box::new(granted.map_err(|error| error.of(&entry))?)))
}

/// The same on the partner's own word: no invite and no session is needed, the partner names the tenant.
///
/// # Errors
/// What keeps us from looking, or from keeping what was found.
pub async fn activate(
    app: &Arc<App>,
    tenant: TenantId,
    only: &BTreeSet<SubscriptionId>,
    label: Option<String>,
) -> Result<Verified, Error> {
    match look(app, tenant, only).await? {
        Found::NoPrincipal => Ok(Verified::NoPrincipal),
        Found::Nothing => Ok(Verified::NothingReadable),
        Found::Readable(found) => Ok(Verified::Active(Box::new(keep(app, tenant, found, None, label).await?))),
    }
}

/// Our service principal in a tenant, for commands on the partner's own command line.
///
/// # Errors
/// Entra's, but for the one that there is none.
pub async fn principal_in(app: &Arc<App>, tenant: TenantId) -> Result<Option<ObjectId>, Error> {
    match app.azure.app_token(tenant).await {
        Ok(token) => Ok(Some(app.azure.principal_of(&token, tenant).map_err(Error::Principal)?)),
        Err(azure::Error::TokenRefused(refusal)) if refusal.principal_is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The Azure CLI line that grants Reader at a scope. Ids only, never names: nothing needs quoting.
pub fn grant_command(principal: Option<ObjectId>, client_id: ClientId, scope: &str) -> String {
    // A scope with blanks in it is a placeholder, which a shell must not read as more.
    let scope = if scope.contains('<') { format!("\"{scope}\"") } else { scope.to_owned() };
    // With the object id the CLI asks no directory; without it, the principal is made first and found by its application.
    match principal {
        Some(principal) => format!(
            "az role assignment create --role Reader --scope {scope} \
             --assignee-object-id {principal} --assignee-principal-type ServicePrincipal"
        ),
        None => format!(
            "az ad sp create --id {client_id}\n\
             az role assignment create --role Reader --scope {scope} --assignee {client_id}"
        ),
    }
}

fn named(invite: &Invite) -> BTreeSet<SubscriptionId> {
    invite.subscription_ids.iter().copied().collect()
}

enum Found {
    NoPrincipal,
    Nothing,
    Readable(Readable),
}

/// What our own token reads in a tenant.
struct Readable {
    principal: ObjectId,
    token: AccessToken,
    subscriptions: Vec<(SubscriptionId, String, Option<FoundAssignment>)>,
}

/// `only`: the subscriptions that the partner wants. Empty: all.
async fn look(app: &Arc<App>, tenant: TenantId, only: &BTreeSet<SubscriptionId>) -> Result<Found, Error> {
    // A new token sees a new role sooner.
    app.azure.forget_app_token(tenant).await;
    let token = match app.azure.app_token(tenant).await {
        Err(azure::Error::TokenRefused(refusal)) if refusal.principal_is_missing() => return Ok(Found::NoPrincipal),
        token => token?,
    };
    let principal = app.azure.principal_of(&token, tenant).map_err(Error::Principal)?;
    let seen = app.azure.subscriptions(&token).await?;
    // What is kept under a tenant is that tenant's, and not what somebody else delegated to it.
    let wanted = |one: &azure::SeenSubscription| {
        one.tenant == tenant
            && (only.is_empty() || only.contains(&one.id))
            && !matches!(one.state, SubscriptionState::Deleted)
    };
    let own: Vec<_> = seen.subscriptions.into_iter().filter(wanted).collect();
    if own.is_empty() {
        return Ok(Found::Nothing);
    }
    let reads: Vec<_> = own
        .into_iter()
        .map(|one| {
            let (app, token) = (Arc::clone(app), token.clone());
            async move {
                let assignment = app.azure.assignment_of(one.id, principal, &token).await;
                let assignment = assignment.inspect_err(|error| {
                    tracing::info!(subscription.id = %one.id, %error, "the role assignment could not be read");
                });
                (one.id, one.name, assignment.ok().flatten())
            }
        })
        .collect();
    let subscriptions = futures_util::stream::iter(reads).buffered(READS).collect().await;
    Ok(Found::Readable(Readable { principal, token, subscriptions }))
}

async fn keep(
    app: &Arc<App>,
    tenant: TenantId,
    found: Readable,
    person: Option<(ObjectId, String)>,
    label: Option<String>,
) -> Result<Granted, Error> {
    let Readable { principal, token, subscriptions: found } = found;
    let (now, client_id) = (app.clock.now(), app.settings.identity.client_id);
    let (mut subscriptions, mut grants, mut outcomes) = (Vec::new(), Vec::<Grant>::new(), Vec::new());
    for (id, name, assignment) in found {
        let role_assignment_id = assignment.as_ref().map(|one| one.id.clone()).unwrap_or_default();
        subscriptions.push((id, Subscription::granted(&name, SubscriptionAccess::Active, &role_assignment_id, now)));
        // One assignment at a management group covers many subscriptions: it is one entry of the receipt.
        let is_new = !grants
            .iter()
            .any(|one| one.role_assignment_id == role_assignment_id && !one.role_assignment_id.is_empty());
        if is_new {
            let made_by = assignment.as_ref().and_then(|one| one.made_by);
            let same_person = person.as_ref().filter(|(id, _)| made_by.is_none_or(|by| by == *id));
            grants.push(Grant {
                at: now,
                granted_by: made_by.or(person.as_ref().map(|(id, _)| *id)),
                granted_by_name: same_person.map(|(_, name)| name.clone()).unwrap_or_default(),
                client_id,
                service_principal_id: principal,
                scope: assignment.as_ref().map_or(Scope::Subscription(id), |one| one.scope.clone()).to_string(),
                role: azure::role_name(assignment.as_ref().and_then(|one| one.role)),
                role_assignment_id: role_assignment_id.clone(),
                adopted: true,
            });
        }
        let access =
            Access { access: SubscriptionAccess::Active, role_assignment_id, adopted: true, tiers: Default::default() };
        outcomes.push(Outcome { id, name, result: Ok(access) });
    }
    let ids: Vec<_> = outcomes.iter().map(|outcome| outcome.id).collect();
    let (tenants, unregistered) = tokio::join!(app.azure.tenants(&token), verify::unregistered(app, &ids, &token));
    let tenant_name = tenants.ok().and_then(|all| all.into_iter().find(|one| one.id == tenant)?.name);
    let news = record::News {
        tenant,
        name: label.or_else(|| tenant_name.clone()),
        access_mode: AccessMode::AppInCustomerTenant { service_principal_id: principal },
        subscriptions,
        grants,
        tiers: BTreeSet::new(),
        at: now,
    };
    record::keep(app, &news).await?;
    tracing::info!(tenant.id = %tenant, subscriptions = outcomes.len(), "activated what was granted without us");
    Ok(Granted { tenant, tenant_name, client_id, principal, outcomes, group: None, unregistered, step_up: None })
}
