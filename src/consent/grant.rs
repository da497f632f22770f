//! `ConsentGrant`: from the choice to role assignments, their proof, and the customer record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use futures_util::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::choose::{self, Shown};
use super::session::{Choosing, Chosen, Offer, Phase, Sealed};
use super::start::{Again, Wanted, sign_in};
use super::{Error, Failure, Onward, invite, record, sealed, verify};
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

/// The most fields of a form that are read.
const MOST_FIELDS: usize = 2_000;

/// The form of a page.
#[derive(Debug)]
pub struct GrantForm {
    /// What the person wants.
    pub action: Action,
    csrf: SecretString,
    /// What of the list the form shows.
    pub(super) shown: Shown,
    /// What to search for next.
    pub(super) search: String,
    pub(super) subscriptions: BTreeSet<SubscriptionId>,
    /// The management group to grant on instead.
    pub(super) group: Option<ManagementGroupId>,
    pub(super) tiers: BTreeSet<AccessTier>,
}

/// What a form is sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// To grant what is chosen.
    Grant,
    /// To search.
    Search,
    /// To tick everything that matches the search.
    TickAll,
    /// To untick everything that matches the search.
    TickNone,
    /// To show this page, from 0.
    Page(usize),
    /// To verify what was granted without us.
    Verify,
}

impl Action {
    fn of_word(word: &str) -> Option<Self> {
        match word {
            "grant" => Some(Self::Grant),
            "search" => Some(Self::Search),
            "all" => Some(Self::TickAll),
            "none" => Some(Self::TickNone),
            "verify" => Some(Self::Verify),
            other => Some(Self::Page(other.strip_prefix("page:")?.parse::<usize>().ok()?.clamp(1, 10_000) - 1)),
        }
    }
}

impl GrantForm {
    /// Reads the body of the form.
    ///
    /// # Errors
    /// [`Error::Csrf`] without its token, [`Error::NotOffered`] for what is no subscription or management group id,
    /// [`Error::BadForm`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let (mut csrf, mut subscriptions, mut tiers) = (None, BTreeSet::new(), BTreeSet::new());
        let (mut action, mut search, mut group) = (None, String::new(), None);
        let (mut shown_search, mut shown_page) = (String::new(), None);
        for (index, (name, value)) in url::form_urlencoded::parse(body).enumerate() {
            if index >= MOST_FIELDS {
                return Err(Error::BadForm);
            }
            match name.as_ref() {
                "csrf" if csrf.is_some() => return Err(Error::BadForm),
                "csrf" => csrf = Some(SecretString::from(value.as_ref())),
                "subscription" => {
                    subscriptions.insert(value.parse().map_err(|_| Error::NotOffered)?);
                }
                "tier" => {
                    tiers.insert(AccessTier::of_word(&value).ok_or(Error::BadForm)?);
                }
                "action" if action.is_some() => return Err(Error::BadForm),
                "action" => action = Some(Action::of_word(&value).ok_or(Error::BadForm)?),
                // The list of groups and the field for another one; the field wins.
                "group" | "otherGroup" if !value.trim().is_empty() => {
                    group = Some(value.trim().parse().map_err(|_| Error::NotOffered)?);
                }
                "q" => search = value.trim().chars().take(100).collect(),
                "shownSearch" => shown_search = value.into_owned(),
                "shownPage" => shown_page = Some(value.into_owned()),
                _ => {}
            }
        }
        tiers.remove(&AccessTier::Base);
        let shown = Shown::of(Some(&shown_search), shown_page.as_deref());
        let action = action.unwrap_or(Action::Grant);
        Ok(Self { action, csrf: csrf.ok_or(Error::Csrf)?, shown, search, subscriptions, group, tiers })
    }

    /// That the form was sent by the session's own page.
    pub(super) fn is_from(&self, csrf: &Sealed) -> Result<(), Error> {
        let sent = self.csrf.expose_secret().as_bytes();
        verify_slices_are_equal(csrf.0.as_bytes(), sent).map_err(|_| Error::Csrf)
    }
}

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

/// Why a grant was not made, by what the person can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantRefusal {
    /// The person may not assign roles.
    NoRight,
    /// Azure wants a second factor for changes; with the claims to sign in with, where it gives them.
    SecondFactor {
        /// The claims, as JSON.
        claims: Option<String>,
    },
    /// Azure wants a second factor, and the person has signed in for it already: he has none.
    SecondFactorMissing,
    /// The person may assign roles under conditions that this one does not meet.
    Condition,
    /// A deny assignment forbids it.
    Denied,
    /// A policy of the customer forbids it.
    Policy {
        /// The names of the policies; foreign text.
        names: Vec<String>,
    },
    /// Azure's directory does not know our service principal yet.
    PrincipalUnknown,
    /// The subscription has as many role assignments as Azure allows.
    LimitReached,
    /// The subscription is disabled.
    Disabled,
    /// A lock forbids changes.
    Locked,
    /// The subscription is gone, or of another tenant since a moment ago.
    Gone,
    /// Azure does not take the person's sign-in any more.
    SignInEnded,
    /// Azure asked to slow down, or failed.
    Unavailable,
    /// Anything else, by Azure's code.
    Other {
        /// Azure's code.
        code: String,
    },
}

impl GrantRefusal {
    /// What a failed assignment means. Pure.
    pub(super) fn of(error: &azure::Error) -> Self {
        let any = |codes: &[&str]| codes.iter().any(|code| error.has_code(code));
        let Some(refusal) = error.refusal() else {
            return Self::Unavailable;
        };
        let claims = refusal.claims_challenge();
        // The same codes are used for refusals of regions, capacity and other policies: the message tells, for wording only.
        let about_factor = refusal.mentions(&["must use MFA", "MFAforAzure", "multi-factor", "multifactor"]);
        let disallowed = any(&["RequestDisallowedByAzure", "RequestDisallowedByPolicy"]);
        if claims.is_some() || any(&["insufficient_claims"]) || (disallowed && about_factor) {
            Self::SecondFactor { claims }
        } else if any(&["RequestDisallowedByPolicy"]) {
            Self::Policy { names: refusal.policies.clone() }
        } else if any(&["PrincipalNotFound"]) {
            Self::PrincipalUnknown
        } else if any(&["RoleAssignmentLimitExceeded"]) {
            Self::LimitReached
        } else if any(&["ReadOnlyDisabledSubscription"]) {
            Self::Disabled
        } else if any(&["ScopeLocked"]) {
            Self::Locked
        } else if any(&["SubscriptionNotFound", "InvalidSubscriptionId", "InvalidAuthenticationTokenTenant"]) {
            Self::Gone
        } else if any(&["DenyAssignmentAuthorizationFailed"]) || refusal.mentions(&["deny assignment"]) {
            Self::Denied
        } else if any(&["AuthorizationFailed"]) && refusal.mentions(&["condition is not"]) {
            Self::Condition
        } else if any(&["AuthorizationFailed"]) {
            Self::NoRight
        } else if disallowed {
            Self::Other { code: refusal.code.clone() }
        } else if refusal.status == 401 {
            Self::SignInEnded
        } else if refusal.status == 403 {
            Self::NoRight
        } else {
            Self::Other { code: refusal.code.clone() }
        }
    }
}

/// Grants Reader on what was chosen, to our service principal, in the person's name; then forgets his token.
///
/// # Errors
/// Everything that keeps the grant from being tried; what Azure says to one subscription is in its outcome.
pub async fn grant(app: &Arc<App>, form: GrantForm, cookie: Option<&str>) -> Result<Granted, Failure> {
    let mut opened = sealed::resume(app, cookie).await?;
    let choosing = std::mem::replace(&mut opened.phase, Phase::Granting).choosing()?;
    form.is_from(&choosing.csrf)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::Refusal;

    #[test]
    fn each_refusal_of_azure_has_its_own_meaning() {
        let refused = |status, code: &str, challenge: Option<&str>| {
            let refusal = Refusal {
                status,
                code: code.to_owned(),
                challenge: challenge.map(str::to_owned),
                ..Refusal::default()
            };
            GrantRefusal::of(&azure::Error::Refused(Box::new(refusal)))
        };
        assert_eq!(refused(403, "AuthorizationFailed", None), GrantRefusal::NoRight);
        assert_eq!(refused(403, "RequestDisallowedByPolicy", None), GrantRefusal::Policy { names: Vec::new() });
        assert_eq!(refused(400, "PrincipalNotFound", None), GrantRefusal::PrincipalUnknown);
        assert_eq!(refused(400, "RoleAssignmentLimitExceeded", None), GrantRefusal::LimitReached);
        assert_eq!(refused(409, "ScopeLocked", None), GrantRefusal::Locked);
        // Without claims and without a word of a second factor it is about a region or the like.
        let other = GrantRefusal::Other { code: "RequestDisallowedByAzure".to_owned() };
        assert_eq!(refused(403, "RequestDisallowedByAzure", None), other);
        assert_eq!(refused(401, "ExpiredAuthenticationToken", None), GrantRefusal::SignInEnded);
        // {"access_token":{}}
        let challenge = r#"Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        let claims = Some(r#"{"access_token":{}}"#.to_owned());
        assert_eq!(refused(401, "", Some(challenge)), GrantRefusal::SecondFactor { claims });
        assert_eq!(GrantRefusal::of(&azure::Error::Throttled { retry_after: None }), GrantRefusal::Unavailable);
    }

    #[test]
    fn a_form_is_read_strictly() {
        assert!(matches!(GrantForm::parse(b"subscription=x&csrf=y"), Err(Error::NotOffered)));
        assert!(matches!(GrantForm::parse(b""), Err(Error::Csrf)));
        assert!(matches!(GrantForm::parse(b"csrf=a&csrf=b"), Err(Error::BadForm)));
        assert!(matches!(GrantForm::parse(b"csrf=a&action=x"), Err(Error::BadForm)));
        assert!(matches!(GrantForm::parse(b"csrf=a&group=a%2Fb"), Err(Error::NotOffered)));
        let form = GrantForm::parse(b"csrf=a&action=page%3A3&group=&otherGroup=root").expect("a form");
        assert_eq!((form.action, form.group.map(String::from).as_deref()), (Action::Page(2), Some("root")));
    }
}
