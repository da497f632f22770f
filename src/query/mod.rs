//! Answers from what is kept: never from Azure, unless a live read is asked for. Each says as of when, and what is missing.

mod cache;
mod coverage;
mod emerging;
pub mod history;
pub mod metrics;
pub mod page;
pub mod receipt;
pub mod standing;
pub mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use serde::Serialize;

pub use cache::TenantCache;
pub use coverage::{Coverage, CoverageGap, Known};
pub use emerging::{Emerging, EmergingCoverage, EmergingRow, emerging};
use page::{Page, PageAsk};
pub use receipt::{Receipt, directory_role_command};
use view::{CustomerSummary, EventSummary, Health, Incident, LostAccess, Publication, SubscriptionSummary};

use crate::app::App;
use crate::model::{
    AccessTier, Acknowledgement, Customer, EventStatus, EventType, Grant, IncidentNotes, Note, Snapshot, Snooze,
    Source, SubscriptionId, TenantId, TextHash, Timestamp, TrackingId,
};
use crate::poll;
use crate::store::{self, Key};

const BOTH: [Source; 2] = [Source::Events, Source::Resources];
/// A live read is not repeated within this time: a portal's impatience must not use up the customer's quota.
const REFRESH_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown or foreign: the same.
    #[error("not found")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The live read failed in a way that left nothing to answer from.
    #[error(transparent)]
    Poll(#[from] poll::Error),
}

/// A page of rows, with as-of and coverage over everything the rows were taken from.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The rows.
    pub page: Page<T>,
    /// As of when and how completely.
    pub known: Known,
}

/// One customer in full.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerDetail {
    /// The summary.
    #[serde(flatten)]
    pub summary: CustomerSummary,
    /// The subscriptions.
    pub subscriptions: Vec<SubscriptionSummary>,
    /// What was granted, by whom, when.
    pub receipt: Vec<Grant>,
    /// What the customer agreed to beyond the base.
    pub tiers: BTreeSet<AccessTier>,
    /// The partner's own words for the customer.
    pub labels: BTreeMap<String, String>,
    /// The customer's time zone.
    pub time_zone: Option<String>,
    /// Whom to write to.
    pub contacts: Vec<String>,
    /// Since when the customer is no longer watched. What is shown is from before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offboarded_at: Option<Timestamp>,
}

/// One incident with its texts.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentDetail {
    /// The incident.
    #[serde(flatten)]
    pub incident: Incident,
    /// The latest full text, as safe HTML.
    pub description: Option<String>,
    /// What Azure published, newest first.
    pub updates: Vec<Publication>,
    /// Somebody looks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// Nothing but its end is told of it for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snoozed: Option<Snooze>,
    /// What people wrote down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// As of when.
    pub as_of: Option<Timestamp>,
    /// What could not be read: customers that may be affected too.
    pub coverage: Coverage,
}

/// Which events or incidents are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this status.
    pub status: Option<EventStatus>,
    /// Only this type.
    pub event_type: Option<EventType>,
}

impl EventFilter {
    fn admits(&self, event: &EventSummary) -> bool {
        self.status.as_ref().is_none_or(|status| *status == event.status)
            && self.event_type.as_ref().is_none_or(|kind| *kind == event.event_type)
    }
}

/// All customers, in order of tenant ids.
///
/// # Errors
/// [`Error::Store`].
pub async fn customers(app: &App, ask: &PageAsk) -> Result<Answer<CustomerSummary>, Error> {
    let (all, now) = (everything(app).await?, app.clock.now());
    let summaries: Vec<_> =
        all.iter().map(|(customer, snapshot)| summary(customer, snapshot.as_deref(), now)).collect();
    let known = summaries.iter().fold(Known::nothing(), |known, (_, of_one)| known.and(of_one.clone()));
    let rows = summaries.into_iter().map(|(summary, _)| summary).collect();
    Ok(Answer { page: page::page(rows, |row: &CustomerSummary| row.tenant_id.to_string(), ask), known })
}

/// One customer.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn customer(app: &App, tenant: TenantId) -> Result<CustomerDetail, Error> {
    let (customer, snapshot) = one(app, tenant).await?;
    let now = app.clock.now();
    let (summary, _) = summary(&customer, snapshot.as_ref(), now);
    let subscriptions = subscriptions(&customer, snapshot.as_ref(), now);
    let Customer { receipt, tiers, labels, time_zone, contacts, offboarded_at, .. } = customer;
    Ok(CustomerDetail { summary, subscriptions, receipt, tiers, labels, time_zone, contacts, offboarded_at })
}

/// What one customer granted, and how to take it back.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn receipt(app: &App, tenant: TenantId) -> Result<Receipt, Error> {
    let (customer, snapshot) = one(app, tenant).await?;
    Ok(receipt_of(app, &customer, snapshot.as_ref()))
}

/// The receipt of a customer whose documents were read.
pub fn receipt_of(app: &App, customer: &Customer, snapshot: Option<&Snapshot>) -> Receipt {
    let tried = snapshot.and_then(|snapshot| snapshot.tenant_coverage.as_ref());
    let page = app.settings.public_url(&format!("/api/consent/start?purpose=leave&tenant={}", customer.tenant_id));
    receipt::receipt(customer, app.settings.identity.client_id, page, tried.map(|tried| tried.gap.is_none()))
}

/// The health of one customer.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn customer_health(app: &App, tenant: TenantId) -> Result<Health, Error> {
    let (customer, snapshot) = one(app, tenant).await?;
    Ok(health(&customer, snapshot.as_ref(), None, app.clock.now()))
}

/// The health of one subscription; read from Azure now when `refresh` is set. A live read that fails is a gap in the answer.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`], [`Error::Poll`].
pub async fn subscription_health(
    app: &Arc<App>,
    tenant: TenantId,
    subscription: SubscriptionId,
    refresh: bool,
) -> Result<Health, Error> {
    let (mut customer, mut snapshot) = one(app, tenant).await?;
    if !customer.subscriptions.contains_key(&subscription) {
        return Err(Error::NotFound);
    }
    if refresh && !just_tried(snapshot.as_ref(), subscription, app.clock.now()) {
        poll::poll_subscription(app, tenant, subscription).await?;
        (customer, snapshot) = one(app, tenant).await?;
    }
    Ok(health(&customer, snapshot.as_ref(), Some(subscription), app.clock.now()))
}

/// The events of one customer, in order of tracking ids.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn events(
    app: &App,
    tenant: TenantId,
    filter: &EventFilter,
    ask: &PageAsk,
) -> Result<Answer<EventSummary>, Error> {
    let (customer, snapshot) = one(app, tenant).await?;
    let known = Known::of(&customer, snapshot.as_ref(), None, &[Source::Events], app.clock.now());
    let mut rows = snapshot.as_ref().map(|snapshot| view::events(snapshot, None)).unwrap_or_default();
    rows.retain(|event| filter.admits(event));
    Ok(Answer { page: page::page(rows, |row: &EventSummary| row.tracking_id.key(), ask), known })
}

/// Incidents over all customers, in order of tracking ids.
///
/// # Errors
/// [`Error::Store`].
pub async fn incidents(app: &App, filter: &EventFilter, ask: &PageAsk) -> Result<Answer<Incident>, Error> {
    let all = everything(app).await?;
    let known = events_known(app, &all);
    let mut rows = view::incidents(with_snapshot(&all));
    rows.retain(|incident| filter.admits(&incident.event));
    Ok(Answer { page: page::page(rows, |row: &Incident| row.event.tracking_id.key(), ask), known })
}

/// One incident over all customers, with its texts.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn incident(app: &App, id: &TrackingId) -> Result<IncidentDetail, Error> {
    let all = everything(app).await?;
    let seen: Vec<_> = with_snapshot(&all)
        .filter_map(|(customer, snapshot)| Some((customer, snapshot.events.get(id)?.merged(id)?)))
        .collect();
    let incident = view::incident(&seen).ok_or(Error::NotFound)?;
    let newest = seen.iter().max_by_key(|(_, event)| event.last_update).map(|(_, event)| &event.content);
    let (mut description, mut updates) = (None, Vec::new());
    if let Some(content) = newest {
        description = match content.description.as_ref().or(content.summary.as_ref()) {
            Some(hash) => text(app, hash).await?,
            None => None,
        };
        for update in &content.updates {
            updates.push(Publication { at: update.at, html: text(app, &update.text).await? });
        }
    }
    let said = app.store.read::<IncidentNotes>(&Key::Incident(id.clone())).await?.map(|said| said.value);
    let episode = with_snapshot(&all).filter_map(|(_, snapshot)| Some(snapshot.events.get(id)?.episode)).max();
    let now = app.clock.now();
    let acknowledged = said.as_ref().and_then(|said| said.acknowledged_in(episode.unwrap_or(1), now)).cloned();
    let snoozed = said.as_ref().and_then(|said| said.snoozed_at(now)).cloned();
    let notes = said.map(|said| said.notes).unwrap_or_default();
    let Known { as_of, coverage } = events_known(app, &all);
    Ok(IncidentDetail { incident, description, updates, acknowledged, snoozed, notes, as_of, coverage })
}

type Everything = Vec<(Arc<Customer>, Option<Arc<Snapshot>>)>;

async fn everything(app: &App) -> Result<Everything, Error> {
    let customers = app.customers.all(&app.store).await?;
    let snapshots = app.snapshots.all(&app.store).await?;
    // Who left is no part of what is watched; by his id he is still found.
    let watched = customers.into_iter().filter(|(_, customer)| customer.offboarded_at.is_none());
    Ok(watched.map(|(id, customer)| (customer, snapshots.get(&id).cloned())).collect())
}

fn with_snapshot(all: &Everything) -> impl Iterator<Item = (&Customer, &Snapshot)> {
    all.iter().filter_map(|(customer, snapshot)| Some((customer.as_ref(), snapshot.as_deref()?)))
}

fn events_known(app: &App, all: &Everything) -> Known {
    let now = app.clock.now();
    all.iter().fold(Known::nothing(), |known, (customer, snapshot)| {
        known.and(Known::of(customer, snapshot.as_deref(), None, &[Source::Events], now))
    })
}

async fn one(app: &App, tenant: TenantId) -> Result<(Customer, Option<Snapshot>), Error> {
    let customer = app.store.read::<Customer>(&Key::Customer(tenant)).await?.ok_or(Error::NotFound)?;
    let snapshot = app.store.read::<Snapshot>(&Key::Health(tenant)).await?;
    Ok((customer.value, snapshot.map(|snapshot| snapshot.value)))
}

async fn text(app: &App, hash: &TextHash) -> Result<Option<String>, Error> {
    let blob = app.store.read_bytes(&Key::Text(*hash)).await?;
    Ok(blob.and_then(|blob| String::from_utf8(blob.body.to_vec()).ok()))
}

fn just_tried(snapshot: Option<&Snapshot>, subscription: SubscriptionId, now: Timestamp) -> bool {
    let coverage = snapshot.and_then(|snapshot| snapshot.coverage.get(&subscription));
    coverage.is_some_and(|coverage| {
        let recent = |at: Option<Timestamp>| at.is_some_and(|at| now - at < REFRESH_AT_MOST_EVERY);
        recent(coverage.events.tried_at) && recent(coverage.resources.tried_at)
    })
}

fn health(customer: &Customer, snapshot: Option<&Snapshot>, only: Option<SubscriptionId>, now: Timestamp) -> Health {
    let known = Known::of(customer, snapshot, only, &BOTH, now);
    let mut active_events = snapshot.map(|snapshot| view::events(snapshot, only)).unwrap_or_default();
    active_events.retain(EventSummary::is_active);
    active_events.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.tracking_id.cmp(&b.tracking_id)));
    let resources = snapshot.map(|snapshot| view::resources(snapshot, only)).unwrap_or_default();
    let (status, reasons) = view::status(&active_events, &resources, &known);
    let subscription = only.and_then(|id| customer.subscriptions.get(&id));
    Health {
        tenant_id: customer.tenant_id,
        subscription_id: only,
        display_name: subscription.map_or(&customer.display_name, |subscription| &subscription.display_name).clone(),
        status,
        reasons,
        active_events,
        resources,
        subscriptions: if only.is_some() { Vec::new() } else { subscriptions(customer, snapshot, now) },
        as_of: known.as_of,
        coverage: known.coverage,
    }
}

fn subscriptions(customer: &Customer, snapshot: Option<&Snapshot>, now: Timestamp) -> Vec<SubscriptionSummary> {
    let summary = |(&id, subscription): (&SubscriptionId, &crate::model::Subscription)| {
        let known = Known::of(customer, snapshot, Some(id), &BOTH, now);
        let events = snapshot.map(|snapshot| view::events(snapshot, Some(id))).unwrap_or_default();
        let resources = snapshot.map(|snapshot| view::resources(snapshot, Some(id))).unwrap_or_default();
        SubscriptionSummary {
            subscription_id: id,
            display_name: subscription.display_name.clone(),
            access: subscription.access,
            lost: subscription.lost.as_ref().map(|lost| LostAccess {
                reason: lost.reason,
                since: lost.since,
                fix: lost.reason.remedy(),
            }),
            state: subscription.state.clone(),
            discovered: subscription.discovered,
            tiers: subscription.tiers.clone(),
            role_assignment_id: subscription.role_assignment_id.clone(),
            status: view::status(&events, &resources, &known).0,
        }
    };
    customer.subscriptions.iter().map(summary).collect()
}

fn summary(customer: &Customer, snapshot: Option<&Snapshot>, now: Timestamp) -> (CustomerSummary, Known) {
    let known = Known::of(customer, snapshot, None, &BOTH, now);
    let events = snapshot.map(|snapshot| view::events(snapshot, None)).unwrap_or_default();
    let resources = snapshot.map(|snapshot| view::resources(snapshot, None)).unwrap_or_default();
    let (status, _) = view::status(&events, &resources, &known);
    use crate::model::AvailabilityState::{Degraded, Unavailable};
    let summary = CustomerSummary {
        tenant_id: customer.tenant_id,
        display_name: customer.display_name.clone(),
        onboarded_at: customer.onboarded_at,
        status,
        active_issues: events.iter().filter(|e| e.is_active() && e.event_type == EventType::ServiceIssue).count(),
        impacted_resources: resources.iter().filter(|r| matches!(r.state, Unavailable | Degraded)).count(),
        as_of: known.as_of,
        coverage: known.coverage.clone(),
    };
    (summary, known)
}
