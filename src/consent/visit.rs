//! What a customer comes back for: to see his receipt, or to take back what he granted, with his own rights.
//!
//! Nobody is shown more than he sees in Azure himself: a subscription appears when his own token lists it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::form::{Common, MOST_FIELDS};
use super::session::{Chosen, Entry, Phase, Purpose, Sealed};
use super::start::{Again, Wanted, sign_in};
use super::{Error, Failure, GrantRefusal, Onward, sealed};
use crate::app::App;
use crate::azure::{self, AccessToken, Authority, Person, Reach, role_name};
use crate::life;
use crate::model::{Customer, ObjectId, Snapshot, SubscriptionId, TenantId, Timestamp};
use crate::query::{self, Receipt};
use crate::store::Key;

/// Calls in flight at once.
const IN_FLIGHT: usize = 8;

/// Who came back, and what he sees of what was granted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Visit {
    pub entry: Entry,
    pub tenant: TenantId,
    pub person: String,
    /// Only for who takes something back.
    pub token: Option<(Sealed, Timestamp)>,
    pub csrf: Sealed,
    pub held: Vec<Held>,
    pub chosen: Vec<SubscriptionId>,
    pub user_name: String,
    /// True when Azure did not say everything.
    pub incomplete: bool,
}

/// What our application holds on one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The subscription.
    pub id: SubscriptionId,
    /// Its name; foreign text.
    pub name: String,
    /// Our role assignments that reach it.
    pub assignments: Vec<HeldAssignment>,
    /// Whether the person may remove role assignments there, as far as Azure tells beforehand.
    pub may_remove: bool,
    /// True while we watch it.
    pub watched: bool,
}

/// One role assignment of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldAssignment {
    /// The full id.
    pub id: String,
    /// Where it was made.
    pub scope: String,
    /// The role.
    pub role: String,
}

/// What the page of somebody who came back shows.
#[derive(Debug)]
pub enum Shown {
    /// The receipt, as far as he sees its subscriptions.
    Receipt {
        /// Who looks.
        person: String,
        /// What he sees.
        receipt: Box<Receipt>,
    },
    /// What he can take back.
    Leaving(Leaving),
}

/// What a person can take back.
#[derive(Debug)]
pub struct Leaving {
    /// Who takes it back.
    pub person: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The subscriptions.
    pub held: Vec<Held>,
    /// Those that are ticked at first.
    pub chosen: Vec<SubscriptionId>,
    /// True when Azure did not say everything.
    pub incomplete: bool,
    /// What the form must send back.
    pub csrf: SecretString,
}

/// The form of who takes something back.
#[derive(Debug)]
pub struct LeaveForm {
    common: Common,
    erase: bool,
}

impl LeaveForm {
    /// True when a form is this one: it names its action.
    pub fn is_meant(body: &[u8]) -> bool {
        url::form_urlencoded::parse(body).take(MOST_FIELDS).any(|(name, value)| name == "action" && value == "leave")
    }

    /// Reads the body of the form.
    ///
    /// # Errors
    /// [`Error::Csrf`], [`Error::NotOffered`], [`Error::BadForm`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut erase = false;
        let common = Common::parse(body, |name, value| {
            if name == "erase" {
                erase = value == "1";
            }
            Ok(())
        })?;
        Ok(Self { common, erase })
    }
}

/// What came of taking back.
#[derive(Debug)]
pub struct Left {
    /// The tenant.
    pub tenant: TenantId,
    /// Each chosen subscription, and why its role stands still.
    pub outcomes: Vec<(Held, Result<(), GrantRefusal>)>,
    /// True when the history of what was taken back was erased.
    pub erased: bool,
    /// The sign-in with a second factor, where Azure wants one.
    pub step_up: Option<Onward>,
}

/// Begins what the person came back for, after his sign-in.
pub(super) async fn begin(
    app: &Arc<App>,
    entry: &Entry,
    again: Option<&Chosen>,
    person: Person,
    token: &AccessToken,
) -> Result<Visit, Error> {
    let tenant = person.tenant;
    let customer = app.store.read::<Customer>(&Key::Customer(tenant)).await?.map(|customer| customer.value);
    let principals = principals(app, tenant, customer.as_ref()).await;
    if customer.is_none() && (principals.is_empty() || entry.purpose == Purpose::Receipt) {
        return Err(Error::NotACustomer);
    }
    let seen = app.azure.subscriptions(token).await?;
    let mut incomplete = seen.incomplete;
    let own: Vec<_> = seen.subscriptions.into_iter().filter(|one| one.tenant == tenant).collect();
    let watched = |id: &SubscriptionId| customer.as_ref().is_some_and(|known| known.subscriptions.contains_key(id));
    let look = |one: azure::SeenSubscription| {
        let (app, token, principals) = (Arc::clone(app), token.clone(), principals.clone());
        let (purpose, watched) = (entry.purpose, watched(&one.id));
        async move {
            let mut held = Held { id: one.id, name: one.name, assignments: Vec::new(), may_remove: false, watched };
            if purpose != Purpose::Leave {
                return (held, true);
            }
            let mut complete = true;
            for principal in principals {
                match app.azure.roles_held(one.id, principal, &token).await {
                    Ok(roles) => held.assignments.extend(roles.into_iter().map(|role| HeldAssignment {
                        id: role.id,
                        scope: role.scope,
                        role: role_name(role.role),
                    })),
                    Err(error) => {
                        tracing::info!(subscription.id = %one.id, %error, "our role assignments could not be listed");
                        complete = false;
                    }
                }
            }
            held.may_remove = app.azure.may_remove_roles(one.id, &token).await.unwrap_or(true);
            (held, complete)
        }
    };
    let looks: Vec<_> = own.into_iter().map(look).collect();
    let found: Vec<_> = futures_util::stream::iter(looks).buffered(IN_FLIGHT).collect().await;
    incomplete |= found.iter().any(|(_, complete)| !complete);
    let mut held: Vec<Held> = found.into_iter().map(|(held, _)| held).collect();
    held.retain(|one| one.watched || !one.assignments.is_empty());
    held.sort_by_cached_key(|one| (one.name.to_lowercase(), one.id));
    let shown = match (person.name.as_str(), person.user_name.as_str()) {
        ("", "") => person.object_id.to_string(),
        (name, "") | ("", name) => name.to_owned(),
        (name, user_name) => format!("{name} ({user_name})"),
    };
    // Who only looks needs no token any more.
    let token = (entry.purpose == Purpose::Leave).then(|| (Sealed(token.expose().to_owned()), token.expires_at));
    Ok(Visit {
        entry: entry.clone(),
        tenant,
        person: shown,
        token,
        csrf: Sealed(sealed::random_text::<32>(app.random.as_ref())),
        held,
        chosen: again.map(|again| again.subscriptions.iter().copied().collect()).unwrap_or_default(),
        user_name: person.user_name,
        incomplete,
    })
}

/// Our service principals in a tenant: the one that is known, and the one that there is now.
async fn principals(app: &App, tenant: TenantId, customer: Option<&Customer>) -> BTreeSet<ObjectId> {
    let mut principals: BTreeSet<ObjectId> = customer.and_then(Customer::service_principal_id).into_iter().collect();
    principals.extend(customer.into_iter().flat_map(|known| known.receipt.iter().map(|one| one.service_principal_id)));
    match app.azure.app_token(tenant).await {
        Ok(token) => principals.extend(app.azure.principal_of(&token, tenant).ok()),
        Err(error) => tracing::info!(tenant.id = %tenant, %error, "no application token: what is known is looked for"),
    }
    principals
}

/// What the page of this browser shows.
///
/// # Errors
/// Any of a session that cannot go on.
pub async fn shown(app: &Arc<App>, cookie: Option<&str>) -> Result<Shown, Failure> {
    let opened = sealed::resume(app, cookie).await?;
    let Phase::Visiting(visit) = opened.phase else {
        return Err(Error::StateMismatch.into());
    };
    let Visit { entry, tenant, person, csrf, held, chosen, incomplete, .. } = *visit;
    if entry.purpose == Purpose::Leave {
        return Ok(Shown::Leaving(Leaving { person, tenant, held, chosen, incomplete, csrf: csrf.0.into() }));
    }
    let customer = app.store.read::<Customer>(&Key::Customer(tenant)).await?.ok_or(Error::NotACustomer)?.value;
    let snapshot = app.store.read::<Snapshot>(&Key::Health(tenant)).await?;
    let sees: BTreeSet<_> = held.iter().map(|one| one.id).collect();
    let visible = visible(&customer, &sees);
    let receipt = query::receipt_of(app, &visible, snapshot.as_ref().map(|snapshot| &snapshot.value));
    Ok(Shown::Receipt { person, receipt: Box::new(receipt) })
}

/// The record as far as somebody sees its subscriptions. Pure.
fn visible(customer: &Customer, sees: &BTreeSet<SubscriptionId>) -> Customer {
    let mut visible = customer.clone();
    visible.subscriptions.retain(|id, _| sees.contains(id));
    visible.receipt.retain(|grant| {
        let of = grant.scope.strip_prefix("/subscriptions/").and_then(|rest| rest.split('/').next()?.parse().ok());
        // What was granted above subscriptions concerns whoever sees one of them.
        of.map_or(!sees.is_empty(), |id: SubscriptionId| sees.contains(&id))
    });
    visible
}

/// Removes our role assignments with the person's own token, ends the watch over what is gone, and erases it if he says so.
///
/// # Errors
/// Everything that keeps it from being tried; what Azure says to one subscription is in its outcome.
pub async fn leave(app: &Arc<App>, form: LeaveForm, cookie: Option<&str>) -> Result<Left, Failure> {
    let mut opened = sealed::resume(app, cookie).await?;
    let visit = match std::mem::replace(&mut opened.phase, Phase::Granting) {
        Phase::Visiting(visit) if visit.entry.purpose == Purpose::Leave => visit,
        Phase::Redeeming | Phase::Granting => return Err(Error::Used.into()),
        _ => return Err(Error::StateMismatch.into()),
    };
    form.common.is_from(&visit.csrf)?;
    let entry = visit.entry.clone();
    if form.common.subscriptions.is_empty() {
        return Err(Error::NothingChosen.of(&entry));
    }
    if !form.common.subscriptions.iter().all(|id| visit.held.iter().any(|held| held.id == *id)) {
        return Err(Error::NotOffered.of(&entry));
    }
    // From here on the token is in this process's memory only, and a second POST finds the session used.
    sealed::advance(app, &opened, &Phase::Granting).await?;
    let work = removed(Arc::clone(app), visit, form);
    // The work goes on when the browser goes away: what was removed is also no longer watched.
    let result = tokio::spawn(work).await.map_err(|_| Error::Internal("taking back broke off"))?;
    sealed::end(app, &opened.ticket).await;
    result.map_err(|error| error.of(&entry))
}

async fn removed(app: Arc<App>, visit: Box<Visit>, form: LeaveForm) -> Result<Left, Error> {
    let (secret, expires_at) = visit.token.as_ref().ok_or(Error::Internal("who takes back has a token"))?;
    let token = AccessToken::new(secret.0.as_str().into(), *expires_at);
    let chosen: Vec<&Held> = visit.held.iter().filter(|held| form.common.subscriptions.contains(&held.id)).collect();
    // One assignment on a management group reaches several subscriptions, and is removed once.
    let ids: BTreeSet<String> =
        chosen.iter().flat_map(|held| held.assignments.iter().map(|one| one.id.clone())).collect();
    let tenant = visit.tenant;
    let remove = |id: String| {
        let (app, token) = (Arc::clone(&app), token.clone());
        async move {
            let removed = app.azure.remove_role(&id, &token).await;
            match &removed {
                Ok(()) => tracing::info!(tenant.id = %tenant, role_assignment.id = id, "a customer removed our role"),
                Err(error) => {
                    tracing::warn!(tenant.id = %tenant, role_assignment.id = id, %error, "could not remove our role")
                }
            }
            (id, removed.map_err(|error| GrantRefusal::of(&error)))
        }
    };
    let removals: Vec<_> = ids.into_iter().map(remove).collect();
    let results: BTreeMap<String, Result<(), GrantRefusal>> =
        futures_util::stream::iter(removals).buffer_unordered(IN_FLIGHT).collect().await;
    let outcome = |held: &Held| {
        let refused = held.assignments.iter().find_map(|one| results.get(&one.id)?.as_ref().err().cloned());
        match refused {
            Some(refusal) => Err(refusal),
            // Nothing to remove proves nothing: only who could have removed it may end the watch.
            None if held.assignments.is_empty() && !held.may_remove => Err(GrantRefusal::NoRight),
            None => Ok(()),
        }
    };
    let outcomes: Vec<_> = chosen.iter().map(|held| ((*held).clone(), outcome(held))).collect();
    // Others that the same assignments reached are not readable either.
    let bare = |held: &&Held| {
        !held.assignments.is_empty()
            && held.assignments.iter().all(|one| results.get(&one.id).is_some_and(Result::is_ok))
    };
    let mut gone: BTreeSet<_> = visit.held.iter().filter(bare).map(|held| held.id).collect();
    gone.extend(outcomes.iter().filter(|(_, result)| result.is_ok()).map(|(held, _)| held.id));
    let mut erased = false;
    if !gone.is_empty() {
        app.azure.forget_app_token(visit.tenant).await;
        match life::forget_subscriptions(&app, visit.tenant, &gone, form.erase).await {
            Ok(()) => erased = form.erase,
            // Offboarded and erased before: there is nothing left to end.
            Err(life::Error::UnknownCustomer(_)) => erased = form.erase,
            Err(life::Error::Store(error)) => return Err(error.into()),
        }
    }
    let step_up = step_up(&app, &visit, &outcomes).await?;
    Ok(Left { tenant: visit.tenant, outcomes, erased, step_up })
}

/// Another sign-in, where Azure wants a second factor for changes.
async fn step_up(
    app: &App,
    visit: &Visit,
    outcomes: &[(Held, Result<(), GrantRefusal>)],
) -> Result<Option<Onward>, Error> {
    let (mut claims, mut chosen) = (None, Chosen::default());
    for (held, result) in outcomes {
        if let Err(GrantRefusal::SecondFactor { claims: found }) = result {
            claims = claims.or(found.clone());
            chosen.subscriptions.insert(held.id);
        }
    }
    if chosen.subscriptions.is_empty() {
        return Ok(None);
    }
    let again = Again { chosen, claims: claims.as_deref(), login_hint: &visit.user_name };
    let wanted = Wanted { entry: visit.entry.clone(), reach: Reach::ResourceManager, again: Some(again) };
    sign_in(app, Authority::Tenant(visit.tenant), wanted).await.map(Some)
}
