//! `ConsentGrant`: from the choice to role assignments, their proof, and the customer record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use futures_util::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::session::{Choosing, Offer, Phase, Standing};
use super::start::sign_in;
use super::{Error, Failure, Onward, invite, record, sealed, verify};
use crate::app::App;
use crate::azure::{self, AccessToken, Assigned, Authority, READER, ReaderGrant, SECURITY_READER};
use crate::model::{AccessTier, ClientId, ObjectId, SubscriptionAccess, SubscriptionId, TenantId, Timestamp};

/// Role assignments in flight at once.
const ASSIGNMENTS: usize = 4;

/// How long the person waits for Azure's directory to know our service principal, and for the proof after that. Together they
/// stay below what gateways allow one request (API Gateway: 29 s).
const ASSIGN_PATIENCE: Duration = Duration::from_secs(15);
const PROOF_PATIENCE: Duration = Duration::from_secs(10);

/// The most fields of a form that are read.
const MOST_FIELDS: usize = 2_000;

/// The form of the page.
#[derive(Debug)]
pub struct GrantForm {
    csrf: SecretString,
    subscriptions: BTreeSet<SubscriptionId>,
    tiers: BTreeSet<AccessTier>,
}

impl GrantForm {
    /// Reads the body of the form.
    ///
    /// # Errors
    /// [`Error::Csrf`] without its token, [`Error::NotOffered`] for what is no subscription id, [`Error::BadForm`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let (mut csrf, mut subscriptions, mut tiers) = (None, BTreeSet::new(), BTreeSet::new());
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
                _ => {}
            }
        }
        tiers.remove(&AccessTier::Base);
        Ok(Self { csrf: csrf.ok_or(Error::Csrf)?, subscriptions, tiers })
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
    /// Each chosen subscription.
    pub outcomes: Vec<Outcome>,
    /// The sign-in with a second factor, where Azure wants one.
    pub step_up: Option<Onward>,
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
    /// A policy of the customer forbids it.
    Policy,
    /// Azure's directory does not know our service principal yet.
    PrincipalUnknown,
    /// The subscription has as many role assignments as Azure allows.
    LimitReached,
    /// A lock or the subscription's state forbids changes.
    ReadOnly,
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
        if claims.is_some() || any(&["RequestDisallowedByAzure", "insufficient_claims"]) {
            Self::SecondFactor { claims }
        } else if any(&["RequestDisallowedByPolicy"]) {
            Self::Policy
        } else if any(&["PrincipalNotFound"]) {
            Self::PrincipalUnknown
        } else if any(&["RoleAssignmentLimitExceeded"]) {
            Self::LimitReached
        } else if any(&["ReadOnlyDisabledSubscription", "ScopeLocked"]) {
            Self::ReadOnly
        } else if any(&["AuthorizationFailed"]) || refusal.status == 403 {
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
    let choosing = match std::mem::replace(&mut opened.phase, Phase::Granting) {
        Phase::Choosing(choosing) => choosing,
        Phase::SigningIn(_) => return Err(Error::StateMismatch.into()),
        Phase::Redeeming | Phase::Granting | Phase::Visiting(_) => return Err(Error::Used.into()),
    };
    let sent = form.csrf.expose_secret().as_bytes();
    verify_slices_are_equal(choosing.csrf.0.as_bytes(), sent).map_err(|_| Error::Csrf)?;
    let entry = choosing.entry.clone();
    let chosen = chosen(&choosing.offers, &form.subscriptions).map_err(|error| error.of(&entry))?;
    invite::check_for(app, entry.invite.as_deref(), choosing.tenant).await.map_err(|error| error.of(&entry))?;
    // From here on the token is in this process's memory only, and a second POST finds the session used.
    sealed::advance(app, &opened, &Phase::Granting).await?;
    let work = granted(Arc::clone(app), choosing, chosen, form.tiers);
    // The work goes on when the browser goes away: what was assigned is also recorded.
    let result = tokio::spawn(work).await.map_err(|_| Error::Internal("the grant broke off"))?;
    sealed::end(app, &opened.ticket).await;
    result.map_err(|error| error.of(&entry))
}

/// The offers that were chosen. Pure.
fn chosen(offers: &[Offer], wanted: &BTreeSet<SubscriptionId>) -> Result<Vec<Offer>, Error> {
    if wanted.is_empty() {
        return Err(Error::NothingChosen);
    }
    let offered = offers.iter().filter(|offer| offer.standing == Standing::Offered && wanted.contains(&offer.id));
    let chosen: Vec<_> = offered.cloned().collect();
    if chosen.len() == wanted.len() { Ok(chosen) } else { Err(Error::NotOffered) }
}

async fn granted(
    app: Arc<App>,
    choosing: Box<Choosing>,
    chosen: Vec<Offer>,
    tiers: BTreeSet<AccessTier>,
) -> Result<Granted, Error> {
    let invite = choosing.entry.invite.clone();
    let label = invite::claim(&app, invite.as_deref(), choosing.tenant).await?;
    let result = assigned(&app, &choosing, chosen, tiers, label).await;
    let all = result.as_ref().is_ok_and(|granted| granted.outcomes.iter().all(|outcome| outcome.result.is_ok()));
    // An invite with something left to grant stays open, for this tenant only.
    invite::settle(&app, invite.as_deref(), choosing.tenant, all).await;
    result
}

async fn assigned(
    app: &Arc<App>,
    choosing: &Choosing,
    chosen: Vec<Offer>,
    tiers: BTreeSet<AccessTier>,
    label: Option<String>,
) -> Result<Granted, Error> {
    let (tenant, now) = (choosing.tenant, app.clock.now());
    let deadline = now + ASSIGN_PATIENCE;
    let principal = principal(app, tenant, deadline).await?;
    let token = AccessToken::new(choosing.token.0.as_str().into(), choosing.token_expires_at);
    let description = format!(
        "{}: read-only health monitoring, granted {} by {tenant}/{}",
        app.settings.partner_name,
        now.format("%Y-%m-%d"),
        choosing.person
    );
    let assign = |offer: Offer| {
        let (app, token) = (Arc::clone(app), token.clone());
        let description = description.clone();
        let grant = ReaderGrant { subscription: offer.id, role: READER, tenant, principal, description };
        let advisories = tiers.contains(&AccessTier::SecurityAdvisories);
        async move {
            let base = assign(&app, &grant, &token, deadline).await;
            let mut more = BTreeMap::new();
            if base.is_ok() && advisories {
                let grant = ReaderGrant { role: SECURITY_READER, ..grant };
                let made = assign(&app, &grant, &token, deadline).await;
                let made = made.map(|Assigned { id, adopted }| TierGrant { role_assignment_id: id, adopted });
                more.insert(AccessTier::SecurityAdvisories, made);
            }
            (offer, base.map(|base| (base, more)))
        }
    };
    let assigned: Vec<_> = futures_util::stream::iter(chosen).map(assign).buffered(ASSIGNMENTS).collect().await;
    drop(token);

    let standing: Vec<_> = assigned.iter().filter(|(_, result)| result.is_ok()).map(|(offer, _)| offer.id).collect();
    let readable = verify::readable(app, tenant, &standing, app.clock.now() + PROOF_PATIENCE).await;
    let outcomes: Vec<_> = assigned
        .into_iter()
        .map(|(offer, result)| {
            let access = |(assigned, tiers): (Assigned, BTreeMap<_, _>)| Access {
                access: match readable.contains(&offer.id) {
                    true => SubscriptionAccess::Active,
                    false => SubscriptionAccess::Propagating,
                },
                role_assignment_id: assigned.id,
                adopted: assigned.adopted,
                tiers,
            };
            Outcome { id: offer.id, result: result.map(access), name: offer.name }
        })
        .collect();
    if !standing.is_empty() {
        record::keep(app, choosing, principal, label, &outcomes, &tiers).await?;
    }
    let step_up = step_up(app, choosing, &outcomes).await?;
    let client_id = app.settings.identity.client_id;
    Ok(Granted { tenant, tenant_name: choosing.tenant_name.clone(), client_id, principal, outcomes, step_up })
}

/// Our service principal, from our own token for the tenant.
async fn principal(app: &App, tenant: TenantId, deadline: Timestamp) -> Result<ObjectId, Error> {
    let token = app.azure.app_token_of_new_principal(tenant, deadline).await.map_err(|error| match error {
        azure::Error::TokenRefused(refusal) if refusal.principal_is_missing() => Error::PrincipalSpreading,
        error => Error::Azure(error),
    })?;
    app.azure.principal_of(&token, tenant).map_err(Error::Principal)
}

async fn assign(
    app: &App,
    grant: &ReaderGrant,
    token: &AccessToken,
    deadline: Timestamp,
) -> Result<Assigned, GrantRefusal> {
    let ReaderGrant { subscription, tenant, principal, .. } = grant;
    match app.azure.assign_reader(grant, token, deadline).await {
        Ok(assigned) => {
            tracing::info!(
                tenant.id = %tenant, subscription.id = %subscription, principal.id = %principal,
                role_assignment.id = assigned.id, adopted = assigned.adopted, "granted {}", azure::role_name(Some(grant.role))
            );
            Ok(assigned)
        }
        Err(error) => {
            tracing::warn!(tenant.id = %tenant, subscription.id = %subscription, %error, "could not grant {}", azure::role_name(Some(grant.role)));
            Err(GrantRefusal::of(&error))
        }
    }
}

/// Another sign-in, where Azure wants a second factor: with its claims, for the subscriptions that lack it.
async fn step_up(app: &App, choosing: &Choosing, outcomes: &[Outcome]) -> Result<Option<Onward>, Error> {
    let mut claims = None;
    let mut lacking = Vec::new();
    for outcome in outcomes {
        if let Err(GrantRefusal::SecondFactor { claims: found }) = &outcome.result {
            claims = claims.or(found.clone());
            lacking.push(outcome.id);
        }
    }
    if lacking.is_empty() {
        return Ok(None);
    }
    let authority = Authority::Tenant(choosing.tenant);
    sign_in(app, authority, choosing.entry.clone(), lacking, Some(claims.as_deref())).await.map(Some)
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
        assert_eq!(refused(403, "RequestDisallowedByPolicy", None), GrantRefusal::Policy);
        assert_eq!(refused(400, "PrincipalNotFound", None), GrantRefusal::PrincipalUnknown);
        assert_eq!(refused(400, "RoleAssignmentLimitExceeded", None), GrantRefusal::LimitReached);
        assert_eq!(refused(409, "ScopeLocked", None), GrantRefusal::ReadOnly);
        assert_eq!(refused(403, "RequestDisallowedByAzure", None), GrantRefusal::SecondFactor { claims: None });
        // {"access_token":{}}
        let challenge = r#"Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        let claims = Some(r#"{"access_token":{}}"#.to_owned());
        assert_eq!(refused(401, "", Some(challenge)), GrantRefusal::SecondFactor { claims });
        assert_eq!(GrantRefusal::of(&azure::Error::Throttled { retry_after: None }), GrantRefusal::Unavailable);
    }

    #[test]
    fn a_form_names_only_what_was_offered() {
        let id = |n: u128| SubscriptionId::from(uuid::Uuid::from_u128(n));
        let offer = |n, standing| Offer { id: id(n), name: n.to_string(), standing };
        let offers = [offer(1, Standing::Offered), offer(2, Standing::NoRight)];
        assert_eq!(chosen(&offers, &[id(1)].into()).expect("offered"), offers[..1]);
        assert!(matches!(chosen(&offers, &[].into()), Err(Error::NothingChosen)));
        for wanted in [vec![id(2)], vec![id(1), id(2)], vec![id(3)]] {
            assert!(matches!(chosen(&offers, &wanted.into_iter().collect()), Err(Error::NotOffered)));
        }
        assert!(matches!(GrantForm::parse(b"subscription=x&csrf=y"), Err(Error::NotOffered)));
        assert!(matches!(GrantForm::parse(b""), Err(Error::Csrf)));
        assert!(matches!(GrantForm::parse(b"csrf=a&csrf=b"), Err(Error::BadForm)));
    }
}
