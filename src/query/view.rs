//! The shapes of answers, made from what is kept. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::coverage::{Coverage, Known};
use crate::model::{
    AccessTier, AvailabilityState, Customer, EventLevel, EventRecord, EventStatus, EventType, GapReason,
    ImpactedResource, MergedEvent, ResourceId, ServiceImpact, Severity, Snapshot, SubscriptionAccess, SubscriptionId,
    TenantId, Timestamp, TrackingId,
};

/// The health of a customer or subscription, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthStatus {
    /// Everything was read and nothing is wrong.
    Healthy,
    /// Nothing is wrong now, but something wants attention: maintenance, advisories.
    Attention,
    /// Not everything could be read, and what was read shows nothing wrong. Not healthy.
    Unknown,
    /// A service issue goes on, or a resource is not available.
    Impacted,
}

/// One customer in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerSummary {
    /// The tenant.
    pub tenant_id: TenantId,
    /// What people call it.
    pub display_name: String,
    /// When it granted access.
    pub onboarded_at: Timestamp,
    /// The health in one word.
    pub status: HealthStatus,
    /// Active service issues.
    pub active_issues: usize,
    /// Resources that are unavailable or degraded.
    pub impacted_resources: usize,
    /// As of when.
    pub as_of: Option<Timestamp>,
    /// What could not be read.
    pub coverage: Coverage,
}

/// One subscription of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionSummary {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its name.
    pub display_name: String,
    /// Whether we were seen reading it.
    pub access: SubscriptionAccess,
    /// Why it cannot be read any more, and what to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostAccess>,
    /// What Azure says about the subscription itself, such as `Disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// True when nobody chose it: a wider scope covers it.
    pub discovered: bool,
    /// The tiers beyond the base that were granted on it.
    pub tiers: BTreeSet<AccessTier>,
    /// The role assignment that gives access.
    pub role_assignment_id: String,
    /// The health in one word.
    pub status: HealthStatus,
}

/// Access that is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LostAccess {
    /// Why.
    pub reason: GapReason,
    /// The first refusal.
    pub since: Timestamp,
    /// What to do, in plain words.
    pub fix: &'static str,
}

/// The health of a customer or of one of its subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The subscription, when the answer is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<SubscriptionId>,
    /// What people call it.
    pub display_name: String,
    /// The health in one word.
    pub status: HealthStatus,
    /// Why it has this status, in plain words, worst first.
    pub reasons: Vec<String>,
    /// Events that go on.
    pub active_events: Vec<EventSummary>,
    /// Resources that are not available.
    pub resources: Vec<ResourceSummary>,
    /// The subscriptions, when the answer is about a customer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<SubscriptionSummary>,
    /// As of when.
    pub as_of: Option<Timestamp>,
    /// What could not be read.
    pub coverage: Coverage,
}

/// One event of one customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventSummary {
    /// The tracking id.
    pub tracking_id: TrackingId,
    /// What kind of event it is.
    pub event_type: EventType,
    /// A finer kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_sub_type: Option<String>,
    /// Whether it goes on.
    pub status: EventStatus,
    /// True when Azure no longer lists it. Not the same as resolved.
    pub no_longer_listed: bool,
    /// One line.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// How bad Azure says it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_level: Option<EventLevel>,
    /// When the impact began or will begin.
    pub impact_start: Option<Timestamp>,
    /// When it ended or will end, as Azure says.
    pub impact_mitigation: Option<Timestamp>,
    /// Azure's version stamp.
    pub last_update: Option<Timestamp>,
    /// Services and regions.
    pub impact: Vec<ServiceImpact>,
    /// The customer's subscriptions that see it.
    pub subscriptions: BTreeSet<SubscriptionId>,
    /// Azure's tags.
    pub tags: BTreeSet<String>,
    /// True when Azure withholds the text from readers.
    pub text_withheld: bool,
    /// The customer's resources that Azure names as hit. None: it was not asked, or could not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impacted_resources: Option<Impacted>,
}

/// Resources that Azure names as hit by an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Impacted {
    /// How many there are.
    pub count: usize,
    /// The oldest reading of them.
    pub as_of: Timestamp,
    /// The resources that are kept: of each subscription the first hundred, of all together as many as an answer has.
    pub value: Vec<ImpactedResource>,
}

/// The most impacted resources in one event of an answer.
const MAX_IMPACTED: usize = 200;

impl Impacted {
    fn of(record: &EventRecord, only: Option<SubscriptionId>) -> Option<Self> {
        let known = record.impacted.iter().filter(|(id, _)| only.is_none_or(|only| only == **id));
        let known: Vec<_> = known.map(|(_, impacted)| impacted).collect();
        Some(Self {
            count: known.iter().map(|impacted| impacted.total).sum(),
            as_of: known.iter().map(|impacted| impacted.read_at).min()?,
            value: known.iter().flat_map(|impacted| &impacted.resources).take(MAX_IMPACTED).cloned().collect(),
        })
    }
}

/// One resource that is not available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSummary {
    /// The resource.
    pub resource_id: ResourceId,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Resource Health's verdict.
    pub state: AvailabilityState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// `Unplanned`, `Planned` or `UserInitiated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// One tracking id over all customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// The event, merged over all customers that see it.
    #[serde(flatten)]
    pub event: EventSummary,
    /// The customers that see it.
    pub customers: Vec<AffectedCustomer>,
}

/// A customer that sees an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AffectedCustomer {
    /// The tenant.
    pub tenant_id: TenantId,
    /// What people call it.
    pub display_name: String,
    /// Its subscriptions that see it.
    pub subscriptions: BTreeSet<SubscriptionId>,
    /// Whether it goes on for this customer.
    pub status: EventStatus,
    /// When we first saw it there.
    pub first_seen: Option<Timestamp>,
}

/// One publication, with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// When.
    pub at: Option<Timestamp>,
    /// The text, as safe HTML. None when it is not stored any more.
    pub html: Option<String>,
}

impl EventSummary {
    /// The view of a merged event.
    pub fn of(event: MergedEvent) -> Self {
        let content = event.content;
        Self {
            tracking_id: event.tracking_id,
            event_type: content.event_type,
            event_sub_type: content.event_sub_type,
            status: content.status,
            no_longer_listed: event.no_longer_listed,
            title: content.title,
            severity: event.severity,
            event_level: content.event_level,
            impact_start: content.impact_start,
            impact_mitigation: content.impact_mitigation,
            last_update: event.last_update,
            impact: content.impact,
            subscriptions: event.subscriptions,
            tags: content.tags,
            text_withheld: content.text_withheld,
            impacted_resources: None,
        }
    }

    /// True while Azure does not say that it is over.
    pub fn is_active(&self) -> bool {
        self.status != EventStatus::Resolved
    }
}

/// Every event of a customer, or of one of its subscriptions, in order of tracking ids.
pub fn events(snapshot: &Snapshot, only: Option<SubscriptionId>) -> Vec<EventSummary> {
    let scope = only.map(|id| BTreeSet::from([id]));
    let merged = snapshot.events.iter().filter_map(|(id, record)| {
        let merged = match &scope {
            Some(scope) => record.merged_for(id, scope),
            None => record.merged(id),
        };
        Some(EventSummary { impacted_resources: Impacted::of(record, only), ..EventSummary::of(merged?) })
    });
    let mut all: Vec<_> = merged.collect();
    if only.is_none() {
        let of_tenant = snapshot.tenant_events.iter().filter(|(id, _)| !snapshot.events.contains_key(id));
        all.extend(of_tenant.map(|(id, event)| EventSummary::of(crate::poll::diff_tenant::merged(id, event))));
        all.sort_by(|a, b| a.tracking_id.cmp(&b.tracking_id));
    }
    all
}

/// Resources of a customer, or of one of its subscriptions, that are not available.
pub fn resources(snapshot: &Snapshot, only: Option<SubscriptionId>) -> Vec<ResourceSummary> {
    let wanted = |id: &ResourceId| only.is_none_or(|only| id.subscription() == Some(only));
    let view = |(id, state): (&ResourceId, &crate::model::ResourceState)| ResourceSummary {
        resource_id: id.clone(),
        resource_type: state.resource_type.clone(),
        location: state.location.clone(),
        state: state.state.clone(),
        since: state.since,
        reason: state.reason.clone(),
        summary: state.summary.clone(),
    };
    snapshot.resources.iter().filter(|(id, _)| wanted(id)).map(view).collect()
}

/// The status and the reasons for it.
pub fn status(events: &[EventSummary], resources: &[ResourceSummary], known: &Known) -> (HealthStatus, Vec<String>) {
    let mut findings: Vec<(HealthStatus, String)> = Vec::new();
    for event in events.iter().filter(|event| event.is_active()) {
        let status = match (&event.event_type, event.no_longer_listed) {
            // Azure stopped listing it without saying that it is over.
            (EventType::ServiceIssue | EventType::EmergingIssues, true) => HealthStatus::Unknown,
            (_, true) => continue,
            (EventType::ServiceIssue | EventType::EmergingIssues | EventType::Other(_), false) => {
                HealthStatus::Impacted
            }
            _ => HealthStatus::Attention,
        };
        findings.push((status, format!("{} {}: {}", event.event_type, event.tracking_id, event.title)));
    }
    for resource in resources {
        let status = match (&resource.state, resource.reason.as_deref()) {
            // Somebody stopped it: neither an impact nor a question.
            (_, Some(reason)) if is_user_initiated(reason) => HealthStatus::Attention,
            (AvailabilityState::Unavailable | AvailabilityState::Degraded, _) => HealthStatus::Impacted,
            _ => HealthStatus::Unknown,
        };
        findings.push((status, format!("{} is {}", resource.resource_id.name(), resource.state)));
    }
    if !known.coverage.complete {
        let count = known.unknown().len();
        let noun = if count == 1 { "subscription" } else { "subscriptions" };
        findings.push((HealthStatus::Unknown, format!("{count} {noun} could not be read completely")));
    }
    findings.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
    let status = findings.first().map_or(HealthStatus::Healthy, |(status, _)| *status);
    (status, findings.into_iter().map(|(_, reason)| reason).collect())
}

/// Spacing and hyphens differ between Azure's answers: letters only are compared.
fn is_user_initiated(reason: &str) -> bool {
    let letters: String = reason.chars().filter(char::is_ascii_alphabetic).collect();
    letters.eq_ignore_ascii_case("UserInitiated") || letters.eq_ignore_ascii_case("CustomerInitiated")
}

/// One tracking id over all customers that see it. The newest content speaks; active if it goes on for any customer.
pub fn incident(seen: &[(&Customer, MergedEvent)]) -> Option<Incident> {
    let newest = seen.iter().max_by(|a, b| {
        let rank = |event: &MergedEvent| (event.last_update, event.content.hash());
        rank(&a.1).cmp(&rank(&b.1))
    })?;
    let mut event = EventSummary::of(newest.1.clone());
    if let Some((_, active)) = seen.iter().find(|(_, event)| event.content.is_active()) {
        event.status = active.content.status.clone();
    }
    event.severity = seen.iter().map(|(_, event)| event.severity).max()?;
    event.last_update = seen.iter().filter_map(|(_, event)| event.last_update).max();
    event.impact = crate::model::unite_impact(seen.iter().flat_map(|(_, event)| &event.content.impact));
    event.tags = seen.iter().flat_map(|(_, event)| event.content.tags.iter().cloned()).collect();
    event.subscriptions = seen.iter().flat_map(|(_, event)| event.subscriptions.iter().copied()).collect();
    event.no_longer_listed = seen.iter().all(|(_, event)| event.no_longer_listed);
    let customers = seen.iter().map(|(customer, event)| AffectedCustomer {
        tenant_id: customer.tenant_id,
        display_name: customer.display_name.clone(),
        subscriptions: event.subscriptions.clone(),
        status: event.content.status.clone(),
        first_seen: event.first_seen,
    });
    Some(Incident { event, customers: customers.collect() })
}

/// Every tracking id over all customers, in order.
pub fn incidents<'a>(all: impl Iterator<Item = (&'a Customer, &'a Snapshot)>) -> Vec<Incident> {
    let mut seen: BTreeMap<TrackingId, Vec<(&Customer, MergedEvent)>> = BTreeMap::new();
    for (customer, snapshot) in all {
        for (id, record) in &snapshot.events {
            if let Some(merged) = record.merged(id) {
                seen.entry(id.clone()).or_default().push((customer, merged));
            }
        }
    }
    seen.values().filter_map(|seen| incident(seen)).collect()
}
