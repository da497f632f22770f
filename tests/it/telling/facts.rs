//! Customers, snapshots and transitions that name the case.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta};
use health_monitor::model::{
    Customer, EventContent, IncidentNotes, Notice, Routes, Snapshot, SubscriptionId, TenantId, Timestamp, TrackingId,
    Transition, TransitionKind,
};
use health_monitor::notify::plan::{Facts, notices};
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-01-15T12:00:00Z, a Thursday, and so many minutes.
pub fn minute(number: i64) -> Timestamp {
    DateTime::from_timestamp(1_768_478_400, 0).expect("a moment") + TimeDelta::minutes(number)
}

pub fn tenant(number: u128) -> TenantId {
    Uuid::from_u128(0xaaaa_0000 + number).into()
}

/// A subscription of a tenant.
pub fn subscription(of: u128, number: u128) -> SubscriptionId {
    Uuid::from_u128(0x1000 * (of + 1) + number).into()
}

/// A customer with two subscriptions.
pub fn customer(number: u128) -> Customer {
    customer_with(number, json!({}))
}

pub fn customer_with(number: u128, more: Value) -> Customer {
    let one =
        |n: u128| (subscription(number, n).to_string(), json!({"displayName": format!("Sub {n}"), "access": "active"}));
    let subscriptions: serde_json::Map<_, _> = (0..2).map(one).collect();
    let mut record = json!({
        "tenantId": tenant(number), "displayName": format!("Customer {number}"), "onboardedAt": minute(0),
        "subscriptions": subscriptions,
        "accessMode": {"kind": "appInCustomerTenant", "servicePrincipalId": Uuid::from_u128(0xbbbb)},
    });
    for (name, value) in more.as_object().expect("an object") {
        record[name] = value.clone();
    }
    serde_json::from_value(record).expect("a record")
}

/// What Azure says about an outage in West Europe.
pub fn outage() -> Value {
    json!({
        "eventType": "ServiceIssue", "status": "Active", "title": "Virtual Machines in West Europe", "eventLevel": "Error",
        "impactStart": minute(0), "tags": [],
        "impact": [{"service": "Virtual Machines", "regions": [{"region": "West Europe"}]}],
    })
}

/// A document with other members.
pub fn with(mut document: Value, members: Value) -> Value {
    for (name, value) in members.as_object().expect("an object") {
        document[name] = value.clone();
    }
    document
}

/// A snapshot of a customer in which all its subscriptions see these events.
pub fn snapshot(number: u128, events: &[(&str, u32, Value)]) -> Snapshot {
    let mut snapshot = Snapshot::empty(tenant(number), minute(0));
    for (id, episode, content) in events {
        let content: EventContent = serde_json::from_value(content.clone()).expect("a content");
        let seen =
            json!({"content": content.hash(), "lastUpdate": minute(1), "firstSeen": minute(0), "lastSeen": minute(2)});
        let observations: serde_json::Map<_, _> =
            (0..2).map(|n| (subscription(number, n).to_string(), seen.clone())).collect();
        let record = json!({
            "contents": {content.hash().to_string(): content}, "observations": observations, "episode": episode,
        });
        snapshot.events.insert(tracking(id), serde_json::from_value(record).expect("a record"));
    }
    snapshot
}

pub fn tracking(id: &str) -> TrackingId {
    id.parse().expect("a tracking id")
}

/// A transition of a kind, as documents write it.
pub fn transition(number: u128, kind: Value) -> Transition {
    let occurrence = kind.to_string();
    let kind: TransitionKind = serde_json::from_value(kind).expect("a kind");
    Transition::new(tenant(number), kind, &occurrence, minute(2), false)
}

pub fn opened(number: u128, id: &str) -> Transition {
    transition(
        number,
        json!({"kind": "eventOpened", "trackingId": id, "title": "Virtual Machines", "severity": "high"}),
    )
}

pub fn resolved(number: u128, id: &str) -> Transition {
    transition(number, json!({"kind": "eventResolved", "trackingId": id, "title": "Virtual Machines"}))
}

/// Routes with the channels `ops` and `page`.
pub fn routes(routes: Value) -> Routes {
    let channels = json!({"ops": {"kind": "webhook"}, "page": {"kind": "pagerduty"}});
    serde_json::from_value(json!({"channels": channels, "routes": routes})).expect("routes")
}

/// One route to `ops`.
pub fn route(audience: &str, members: Value) -> Routes {
    routes(json!([with(json!({"id": "r", "audience": audience, "channels": ["ops"]}), members)]))
}

/// What is planned at the usual time, with the same known before as after.
pub fn plan(routes: &Routes, customer: &Customer, known: &Snapshot, transitions: &[Transition]) -> Vec<Notice> {
    plan_at(routes, customer, known, transitions, &BTreeMap::new(), minute(2))
}

pub fn plan_at(
    routes: &Routes,
    customer: &Customer,
    known: &Snapshot,
    transitions: &[Transition],
    notes: &BTreeMap<TrackingId, IncidentNotes>,
    now: Timestamp,
) -> Vec<Notice> {
    notices(routes, &Facts { customer, before: known, after: known, transitions, notes, now })
}
