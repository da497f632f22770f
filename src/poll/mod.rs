//! Reading health on a timer: plan who is due, read, compare, keep. Done twice, it gives the same.

mod activity;
mod budget;
pub mod credential;
pub mod diff;
mod diff_access;
mod diff_events;
mod diff_lifecycle;
mod diff_resources;
pub(crate) mod diff_tenant;
pub mod emerging;
mod facts;
mod follow_up;
mod keep;
pub mod plan;
pub mod pulse;

pub(crate) use keep::{file, file_partner};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use crate::app::App;
use crate::life;
use crate::model::{Customer, Snapshot, SubscriptionId, TenantId, Transition};
use crate::notify::{self, NoticeMessage};
use crate::store::{self, Folder, Key, Versioned};
use plan::Scope;

/// How often a poll starts over when another poll of the same customer was faster.
const MAX_ROUNDS: u32 = 5;

/// A message of the queue `health-poll`: poll this customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollMessage {
    /// The customer.
    pub tenant_id: TenantId,
}

/// What one poll did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PollReport {
    /// The customer.
    pub tenant_id: TenantId,
    /// Subscriptions that something was read of.
    pub read: usize,
    /// Subscriptions with a gap after this poll.
    pub gaps: usize,
    /// Transitions found.
    pub transitions: usize,
    /// Notices to be handed to the queue now.
    #[serde(skip)]
    pub notices: Vec<NoticeMessage>,
}

/// Why a poll did not end well. What Azure refused is no error but a gap in the snapshot's coverage.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant is no customer of ours (any more).
    #[error("the tenant {0} is no customer")]
    UnknownCustomer(TenantId),
    /// Other polls of the same customer were faster, again and again.
    #[error("the snapshot of {0} kept changing while it was polled")]
    Contended(TenantId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// `PollTimer`: who is due now. Every customer: what of a customer is due is decided when it is polled, from its snapshot.
///
/// # Errors
/// [`Error::Store`].
pub async fn plan(app: &Arc<App>) -> Result<Vec<PollMessage>, Error> {
    let listed = app.store.list(Folder::Customers).await?;
    let tenant = |path: &str| path.strip_prefix("customers/")?.strip_suffix(".json")?.parse().ok();
    Ok(listed.iter().filter_map(|line| Some(PollMessage { tenant_id: tenant(&line.path)? })).collect())
}

/// `PollTenant`: reads what is due of one customer and keeps it.
///
/// # Errors
/// [`Error::UnknownCustomer`], [`Error::Contended`], [`Error::Store`].
pub async fn poll_tenant(app: &Arc<App>, tenant: TenantId) -> Result<PollReport, Error> {
    poll(app, tenant, Scope::Due).await
}

/// Reads one subscription live, whatever is due, and keeps it.
///
/// # Errors
/// [`Error::UnknownCustomer`], [`Error::Contended`], [`Error::Store`].
pub async fn poll_subscription(
    app: &Arc<App>,
    tenant: TenantId,
    subscription: SubscriptionId,
) -> Result<PollReport, Error> {
    poll(app, tenant, Scope::Now(subscription)).await
}

async fn poll(app: &Arc<App>, tenant: TenantId, scope: Scope) -> Result<PollReport, Error> {
    let span = tracing::info_span!("poll", tenant.id = %tenant);
    let done = rounds(app, tenant, scope).instrument(span).await;
    // Whoever erases a customer removes the record first. What this poll wrote meanwhile goes as well.
    if app.store.read_bytes(&Key::Customer(tenant)).await?.is_none() {
        life::sweep(app, tenant).await?;
        return Err(Error::UnknownCustomer(tenant));
    }
    done
}

async fn rounds(app: &Arc<App>, tenant: TenantId, scope: Scope) -> Result<PollReport, Error> {
    for _ in 0..MAX_ROUNDS {
        let mut customer: Versioned<Customer> =
            app.store.read(&Key::Customer(tenant)).await?.ok_or(Error::UnknownCustomer(tenant))?;
        let before: Option<Versioned<Snapshot>> = app.store.read(&Key::Health(tenant)).await?;
        // A poll that ended between its snapshot and its timeline is finished here.
        if let Some(before) = &before {
            keep::file(app, tenant, before.value.unfiled.values()).await?;
        }
        let now = app.clock.now();
        let nothing = Snapshot::empty(tenant, now);
        let known = before.as_ref().map_or(&nothing, |before| &before.value);
        if customer.value.offboarded_at.is_some() {
            return Ok(PollReport { tenant_id: tenant, read: 0, gaps: 0, transitions: 0, notices: Vec::new() });
        }
        let listing = scope == Scope::Due && plan::listing_is_due(&customer.value, known, now);
        let visible = if listing { list(app, &customer.value).await? } else { BTreeSet::new() };
        if listing {
            customer = app.store.read(&Key::Customer(tenant)).await?.ok_or(Error::UnknownCustomer(tenant))?;
        }
        let ask = plan::ask(&customer.value, known, scope, &visible, now);
        if ask.subscriptions.is_empty() && ask.tenant_events.is_none() && !listing {
            // Nothing is due: another poll was faster, or the same message came twice.
            let gaps = gaps(known);
            return Ok(PollReport { tenant_id: tenant, read: 0, gaps, transitions: 0, notices: Vec::new() });
        }
        let mut reading = app.azure.read_health(customer.value.token_tenant(), &ask).await;
        activity::fill(known, &mut reading);
        let mut diff = diff::diff(known, &customer.value, &reading, app.clock.now());
        diff.after.count(&diff.transitions);
        if listing {
            diff.after.listed_at = Some(now);
        }

        keep::texts(app, &diff.new_texts, &reading.texts).await?;
        // Before the snapshot: once that is written, nobody finds these transitions again.
        let notices = notify::tell(app, &customer.value, known, &diff.after, &diff.transitions).await?;
        match keep::snapshot(app, before.as_ref(), &diff.after).await {
            Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) => continue,
            other => other?,
        }
        keep::file(app, tenant, diff.after.unfiled.values()).await?;
        // Once more: whoever erased a customer meanwhile may have found nobody who refers to these.
        keep::missing_texts(app, &diff.new_texts, &reading.texts).await?;
        keep::record(app, tenant, |customer| {
            diff_access::record(customer, &diff.after, reading.principal, app.clock.now())
        })
        .await?;

        diff.transitions.iter().for_each(log);
        let report = PollReport {
            tenant_id: tenant,
            read: reading.subscriptions.len(),
            gaps: gaps(&diff.after),
            transitions: diff.transitions.len(),
            notices,
        };
        tracing::info!(
            tenant.id = %tenant,
            poll.read = report.read,
            poll.gaps = report.gaps,
            poll.transitions = report.transitions,
            poll.unreadable_rows = reading.unreadable_rows,
            "polled a customer"
        );
        return Ok(report);
    }
    Err(Error::Contended(tenant))
}

/// One line for each transition that is kept; what was history already is no news for the log either.
fn log(transition: &Transition) {
    let kind = &transition.kind;
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                tenant.id = %transition.tenant_id,
                transition.id = %transition.id,
                transition.kind = kind.word(),
                event.tracking_id = kind.tracking_id().map(tracing::field::display),
                subscription.id = kind.subscription_id().map(tracing::field::display),
                azure.resource.id = kind.resource_id().map(tracing::field::display),
                "a transition"
            )
        };
    }
    match transition.backfill {
        true => line!(tracing::Level::DEBUG),
        false => line!(tracing::Level::INFO),
    }
}

/// Asks which subscriptions our application can read, and takes what is new into the record. Gives those that were seen; none
/// when Azure would not say, which the reading finds too.
async fn list(app: &App, customer: &Customer) -> Result<BTreeSet<SubscriptionId>, Error> {
    let tenant = customer.tenant_id;
    let seen = match app.azure.app_token(customer.token_tenant()).await {
        Ok(token) => app.azure.subscriptions(&token).await,
        Err(error) => Err(error),
    };
    let seen = match seen {
        Ok(seen) => seen.subscriptions,
        Err(error) => {
            tracing::info!(tenant.id = %tenant, %error, "what our application can read could not be listed");
            return Ok(BTreeSet::new());
        }
    };
    // Under a tenant is kept what is that tenant's, whoever else lets us in.
    let own = seen.into_iter().filter(|one| one.tenant == tenant);
    let own: BTreeMap<_, _> = own.map(|one| (one.id, (one.name, one.state.as_str().to_owned()))).collect();
    let now = app.clock.now();
    keep::record(app, tenant, |customer| diff_access::listed(customer, &own, now)).await?;
    Ok(own.into_keys().collect())
}

/// Subscriptions that could not be read in full.
fn gaps(snapshot: &Snapshot) -> usize {
    snapshot.coverage.values().filter(|known| known.events.gap.is_some() || known.resources.gap.is_some()).count()
}
