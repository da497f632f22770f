//! `ConsentGrant`: from the choice to role assignments, their proof, and the customer record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::form::GrantForm;
use super::refusal::GrantRefusal;
use super::session::{Choosing, Chosen, Offer, Phase};
use super::start::{Again, Wanted, sign_in};
use super::{Error, Failure, Onward, choose, invite, record, sealed, verify};
use crate::app::App;
use crate::azure::{self, AccessToken, Assigned, Authority, READER, Reach, ReaderGrant, SECURITY_READER};
use crate::model::{
    AccessMode, AccessTier, ClientId, Grant, ManagementGroupId, ObjectId, Scope, Subscription, SubscriptionAccess,
    SubscriptionId, TenantId, Timestamp,
};

/// Role assignments in flight at once.
const ASSIGNMENTS: usize = 4;

/// How long the person waits for Azure's directory to know our service principal, and for the proof after that. Together they
/// stay below what gateways allow one request (API Gateway: 29 s).
const ASSIGN_PATIENCE: Duration = Duration::from_secs(15);
const PROOF_PATIENCE: Duration = Duration::from_secs(10);

/// What came of a grant.
#[derive(Debug)]
pub struct Granted {
    /// The tenant.
    pub tenant: TenantId,
    /// What it calls itself; foreign text.
    pub tenant_name: Option<String>,
    /// Our application.
    pub client_id: ClientId,
    /// Our service principal there.
    pub principal: ObjectId,
    /// Each chosen subscription, or each one below the chosen management group.
    pub outcomes: Vec<Outcome>,
    /// What came of the management group, if one was chosen.
    pub group: Option<GrantedGroup>,
    /// Subscriptions that can be read, but have not registered the resource provider of health.
    pub unregistered: BTreeSet<SubscriptionId>,
    /// The sign-in with a second factor, where Azure wants one.
    pub step_up: Option<Onward>,
}

/// What came of a management group.
#[derive(Debug)]
pub struct GrantedGroup {
    /// The management group.
    pub id: ManagementGroupId,
    /// The full id of the role assignment, or why there is none.
    pub result: Result<String, GrantRefusal>,
}

/// What came of one subscription.
#[derive(Debug)]
pub struct Outcome {
    /// The subscription.
    pub id: SubscriptionId,
    /// Its name; foreign text.
    pub name: String,
    /// Where access stands, or why there is none.
    pub result: Result<Access, GrantRefusal>,
}

/// A grant that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Whether our application has read the subscription.
    pub access: SubscriptionAccess,
    /// The full id of the role assignment.
    pub role_assignment_id: String,
    /// True when it stood before.
    pub adopted: bool,
    /// The tiers beyond the base, each with its role assignment, or why it was not made.
    pub tiers: BTreeMap<AccessTier, Result<TierGrant, GrantRefusal>>,
}

/// The role assignment of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierGrant {
    /// The full id of the role assignment.
    pub role_assignment_id: String,
    /// True when it stood before.
    pub adopted: bool,
}

/// Grants Reader on what was chosen, to our service principal, in the person's name; then forgets his token.
///
/// # Errors
/// Everything that keeps the grant from being tried; what Azure says to one subscription is in its outcome.
pub async fn grant(app: &Arc<App>, form: GrantForm, cookie: Option<&str>) -> Result<Granted, Failure> {
    let mut opened = sealed::resume(app, cookie).await?;
    let choosing = std::mem::replace(&mut opened.phase, Phase::Granting).choosing().map_err(|failure| *failure)?;
    form.common.is_from(&choosing.csrf)?;
    let entry = choosing.entry.clone();
    let target = target(&choosing, &form).map_err(|error| error.of(&entry))?;
    invite::check_for(app, entry.invite.as_deref(), choosing.tenant).await.map_err(|error| error.of(&entry))?;
    // From here on the token is in this process's memory only, and a second POST finds the session used.
    sealed::advance(app, &opened, &Phase::Granting).await?;
    let mut choosing = choosing;
    choosing.chosen.tiers.clone_from(&form.tiers);
    let work = granted(Arc::clone(app), choosing, target, form.tiers);
    // The work goes on when the browser goes away: what was assigned is also recorded.
    let result = tokio::spawn(work).await.map_err(|_| Error::Internal("the grant broke off"))?;
    sealed::end(app, &opened.ticket).await;
    result.map_err(|error| error.of(&entry))
}

/// What a role is to be assigned on.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Subscriptions(Vec<Offer>),
    Group(ManagementGroupId),
}

/// What was chosen. Pure.
fn target(choosing: &Choosing, form: &GrantForm) -> Result<Target, Error> {
    if let Some(group) = &form.group {
        return if choosing.groups_allowed { Ok(Target::Group(group.clone())) } else { Err(Error::GroupNotInvited) };
    }
    let ticked = choose::ticked(choosing, form)?;
    if ticked.is_empty() {
        return Err(Error::NothingChosen);
    }
    Ok(Target::Subscriptions(choosing.offers.iter().filter(|offer| ticked.contains(&offer.id)).cloned().collect()))
}

async fn granted(
    app: Arc<App>,
    choosing: Box<Choosing>,
    target: Target,
    tiers: BTreeSet<AccessTier>,
) -> Result<Granted, Error> {
    let invite = choosing.entry.invite.clone();
    let label = invite::claim(&app, invite.as_deref(), choosing.tenant).await?;
    let result = assigned(&app, &choosing, target, tiers, label).await;
    let all = result.as_ref().is_ok_and(|granted| {
        let group = granted.group.as_ref().is_none_or(|group| group.result.is_ok() && !granted.outcomes.is_empty());
        group && granted.outcomes.iter().all(|outcome| outcome.result.is_ok())
    });
    // An invite with something left to grant stays open, for this tenant only.
    invite::settle(&app, invite.as_deref(), choosing.tenant, all).await;
    result
}

/// The roles at one scope: Reader, and those of the tiers; or why there is no Reader.
type Made = Result<(Assigned, BTreeMap<AccessTier, Result<TierGrant, GrantRefusal>>), GrantRefusal>;

/// One grant's surroundings: who grants to whom, with what.
#[derive(Clone)]
struct Granting {
    tenant: TenantId,
    principal: ObjectId,
    token: AccessToken,
    description: String,
    advisories: bool,
    stepped_up: bool,
    deadline: Timestamp,
}

impl Granting {
    /// Assigns Reader at a scope, and what goes with it.
    async fn at(&self, app: &App, scope: Scope) -> Made {
        let Self { tenant, principal, description, .. } = self.clone();
        let grant = ReaderGrant { scope, role: READER, tenant, principal, description };
        let base = self.assign(app, &grant).await?;
        let mut more = BTreeMap::new();
        if self.advisories {
            let grant = ReaderGrant { role: SECURITY_READER, ..grant };
            let made = self.assign(app, &grant).await;
            let made = made.map(|Assigned { id, adopted }| TierGrant { role_assignment_id: id, adopted });
            more.insert(AccessTier::SecurityAdvisories, made);
        }
        Ok((base, more))
    }

    async fn assign(&self, app: &App, grant: &ReaderGrant) -> Result<Assigned, GrantRefusal> {
        let ReaderGrant { scope, tenant, principal, .. } = grant;
        let role = azure::role_name(Some(grant.role));
        match app.azure.assign_reader(grant, &self.token, self.deadline).await {
            Ok(assigned) => {
                tracing::info!(
                    tenant.id = %tenant, %scope, principal.id = %principal,
                    role_assignment.id = assigned.id, adopted = assigned.adopted, "granted {role}"
                );
                Ok(assigned)
            }
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, %scope, %error, "could not grant {role}");
                Err(match GrantRefusal::of(&error) {
                    GrantRefusal::SecondFactor { .. } if self.stepped_up => GrantRefusal::SecondFactorMissing,
                    refusal => refusal,
                })
            }
        }
    }
}

async fn assigned(
    app: &Arc<App>,
    choosing: &Choosing,
    target: Target,
    tiers: BTreeSet<AccessTier>,
    label: Option<String>,
) -> Result<Granted, Error> {
    let (tenant, now) = (choosing.tenant, app.clock.now());
    let deadline = now + ASSIGN_PATIENCE;
    let principal = principal(app, tenant, deadline).await?;
    let partner = &app.settings.partner_name;
    let (date, person) = (now.format("%Y-%m-%d"), choosing.person);
    let granting = Granting {
        tenant,
        principal,
        token: AccessToken::new(choosing.token.0.as_str().into(), choosing.token_expires_at),
        description: format!("{partner}: read-only health monitoring, granted {date} by {tenant}/{person}"),
        advisories: tiers.contains(&AccessTier::SecurityAdvisories),
        stepped_up: choosing.stepped_up,
        deadline,
    };
    let (made, group) = match target {
        Target::Subscriptions(offers) => (on_subscriptions(app, &granting, offers).await, None),
        Target::Group(id) => {
            let (made, result) = on_group(app, &granting, &id).await;
            (made, Some(GrantedGroup { id, result }))
        }
    };
    drop(granting);

    let standing: Vec<_> = made.iter().filter(|(_, _, made)| made.is_ok()).map(|(id, ..)| *id).collect();
    let readable = verify::readable(app, tenant, &standing, app.clock.now() + PROOF_PATIENCE).await;
    let active: Vec<_> = readable.iter().copied().collect();
    let unregistered = match app.azure.app_token(tenant).await {
        Ok(token) => verify::unregistered(app, &active, &token).await,
        Err(_) => BTreeSet::new(),
    };
    let outcomes: Vec<_> = made
        .into_iter()
        .map(|(id, name, made)| {
            let access = |(assigned, tiers): (Assigned, BTreeMap<_, _>)| Access {
                access: match readable.contains(&id) {
                    true => SubscriptionAccess::Active,
                    false => SubscriptionAccess::Propagating,
                },
                role_assignment_id: assigned.id,
                adopted: assigned.adopted,
                tiers,
            };
            Outcome { id, result: made.map(access), name }
        })
        .collect();
    let group_stands = group.as_ref().is_some_and(|group| group.result.is_ok());
    if !standing.is_empty() || group_stands {
        record::keep(app, &news(app, choosing, principal, label, &outcomes, group.as_ref(), tiers, now)).await?;
    }
    let mut granted = Granted {
        tenant,
        tenant_name: choosing.tenant_name.clone(),
        client_id: app.settings.identity.client_id,
        principal,
        outcomes,
        group,
        unregistered,
        step_up: None,
    };
    granted.step_up = step_up(app, choosing, &granted).await?;
    Ok(granted)
}

type Row = (SubscriptionId, String, Made);

async fn on_subscriptions(app: &Arc<App>, granting: &Granting, offers: Vec<Offer>) -> Vec<Row> {
    let assign = |offer: Offer| {
        let (app, granting) = (Arc::clone(app), granting.clone());
        async move {
            let made = granting.at(&app, Scope::Subscription(offer.id)).await;
            (offer.id, offer.name, made)
        }
    };
    futures_util::stream::iter(offers).map(assign).buffered(ASSIGNMENTS).collect().await
}

/// One assignment for all subscriptions below the group, today's and future ones.
async fn on_group(
    app: &Arc<App>,
    granting: &Granting,
    id: &ManagementGroupId,
) -> (Vec<Row>, Result<String, GrantRefusal>) {
    let made = match granting.at(app, Scope::ManagementGroup(id.clone())).await {
        Ok(made) => made,
        Err(refusal) => return (Vec::new(), Err(refusal)),
    };
    let assignment = made.0.id.clone();
    let below = match app.azure.subscriptions_below(id, &granting.token).await {
        Ok(below) => below,
        // What the role lets us read is found by our own token too, only later.
        Err(error) => {
            tracing::info!(tenant.id = %granting.tenant, %error, "the subscriptions below a management group are not known yet");
            Vec::new()
        }
    };
    (below.into_iter().map(|(id, name)| (id, name, Ok(made.clone()))).collect(), Ok(assignment))
}

/// What goes into the customer's record.
#[expect(clippy::too_many_arguments, reason = "each is one fact of the grant")]
fn news(
    app: &App,
    choosing: &Choosing,
    principal: ObjectId,
    label: Option<String>,
    outcomes: &[Outcome],
    group: Option<&GrantedGroup>,
    tiers: BTreeSet<AccessTier>,
    now: Timestamp,
) -> record::News {
    let (mut subscriptions, mut grants) = (Vec::new(), Vec::new());
    let mut receipt = |scope: &Scope, tier: AccessTier, role_assignment_id: &str, adopted: bool| {
        grants.push(Grant {
            at: now,
            granted_by: Some(choosing.person),
            granted_by_name: choosing.person_shown(),
            client_id: app.settings.identity.client_id,
            service_principal_id: principal,
            scope: scope.to_string(),
            role: tier.role().to_owned(),
            role_assignment_id: role_assignment_id.to_owned(),
            adopted,
        });
    };
    let mut written = false;
    for outcome in outcomes {
        let Ok(access) = &outcome.result else { continue };
        let mut subscription = Subscription::granted(&outcome.name, access.access, &access.role_assignment_id, now);
        subscription.tiers = access.tiers.iter().filter(|(_, made)| made.is_ok()).map(|(tier, _)| *tier).collect();
        subscriptions.push((outcome.id, subscription));
        // One assignment at a management group is one entry, whatever is below.
        if group.is_none() || !written {
            let scope = group.map_or(Scope::Subscription(outcome.id), |group| Scope::ManagementGroup(group.id.clone()));
            receipt(&scope, AccessTier::Base, &access.role_assignment_id, access.adopted);
            for (tier, made) in &access.tiers {
                if let Ok(made) = made {
                    receipt(&scope, *tier, &made.role_assignment_id, made.adopted);
                }
            }
            written = true;
        }
    }
    if let Some(GrantedGroup { id, result: Ok(assignment) }) = group.filter(|_| !written) {
        receipt(&Scope::ManagementGroup(id.clone()), AccessTier::Base, assignment, false);
    }
    record::News {
        tenant: choosing.tenant,
        name: label.or_else(|| choosing.tenant_name.clone()),
        access_mode: AccessMode::AppInCustomerTenant { service_principal_id: principal },
        subscriptions,
        grants,
        tiers,
        at: now,
    }
}

/// Our service principal, from our own token for the tenant.
pub(super) async fn principal(app: &App, tenant: TenantId, deadline: Timestamp) -> Result<ObjectId, Error> {
    let token = app.azure.app_token_of_new_principal(tenant, deadline).await.map_err(|error| match error {
        azure::Error::TokenRefused(refusal) if refusal.principal_is_missing() => Error::PrincipalSpreading,
        error => Error::Azure(error),
    })?;
    app.azure.principal_of(&token, tenant).map_err(Error::Principal)
}

/// Another sign-in, where Azure wants a second factor: with its claims, for what lacks it. Asked for once.
async fn step_up(app: &App, choosing: &Choosing, granted: &Granted) -> Result<Option<Onward>, Error> {
    let mut chosen = Chosen { tiers: choosing.chosen.tiers.clone(), ..Chosen::default() };
    let mut claims = None;
    for outcome in &granted.outcomes {
        if let Err(GrantRefusal::SecondFactor { claims: found }) = &outcome.result {
            claims = claims.or(found.clone());
            chosen.subscriptions.insert(outcome.id);
        }
    }
    if let Some(GrantedGroup { id, result: Err(GrantRefusal::SecondFactor { claims: found }) }) = &granted.group {
        claims = found.clone();
        chosen.group = Some(id.clone());
    }
    if chosen.subscriptions.is_empty() && chosen.group.is_none() {
        return Ok(None);
    }
    let again = Again { chosen, claims: claims.as_deref(), login_hint: &choosing.person_user_name };
    let wanted = Wanted { entry: choosing.entry.clone(), reach: Reach::ResourceManager, again: Some(again) };
    sign_in(app, Authority::Tenant(choosing.tenant), wanted).await.map(Some)
}
