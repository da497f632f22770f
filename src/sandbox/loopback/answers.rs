//! The answers of the loopback Azure, written once with gaps for the ids.

use serde_json::{Map, Value, json};

use super::body::{Body, Piece};
use super::{News, Shape, number, subscription};
use crate::model::Timestamp;
use crate::outside::{Clock, SystemClock};

/// Where a subscription's id belongs.
const GAP: &str = "00000000-dead-4000-8000-00000000beef";

pub(super) const THROTTLED: &[u8] =
    br#"{"error":{"code":"SubscriptionRequestsThrottled","message":"Number of requests exceeded the limit."}}"#;
pub(super) const DENIED: &[u8] =
    br#"{"error":{"code":"AuthorizationFailed","message":"The client does not have authorization."}}"#;

/// Text with gaps for a subscription's id.
#[derive(Debug)]
struct Template(Vec<Piece>);

impl Template {
    fn new(value: &Value) -> Self {
        Self(value.to_string().split(GAP).map(|piece| Piece::new(piece.as_bytes())).collect())
    }

    fn write(&self, out: &mut Body<'_>, id: &str) {
        for (index, piece) in self.0.iter().enumerate() {
            if index > 0 {
                out.text(id.as_bytes());
            }
            out.piece(piece);
        }
    }
}

/// Every answer, written.
#[derive(Debug)]
pub(super) struct Answers {
    /// The rows of one subscription: events, resources, machines, itself; as REST and as Resource Graph send them.
    events: Vec<Template>,
    graph_events: Vec<Template>,
    resources: Vec<Template>,
    machines: Vec<Template>,
    container: Template,
}

/// A token that says whose it is, which is all that the answers need.
pub(super) fn token(out: &mut Body<'_>, tenant: &str) {
    let text = json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": tenant});
    out.text(text.to_string().as_bytes());
}

impl Answers {
    pub(super) fn new(shape: &Shape, now: Timestamp) -> Self {
        let updated = now - chrono::TimeDelta::hours(5);
        let events: Vec<_> = shape
            .event_bytes
            .iter()
            .enumerate()
            .map(|(index, bytes)| event(&format!("EVT{index}-{bytes}"), *bytes, updated))
            .collect();
        let resources: Vec<_> = (0..shape.resources).map(|index| resource(index, updated)).collect();
        let machines = resources.iter().filter(|row| is_machine(row)).map(|row| Template::new(&graph_machine(row)));
        Self {
            graph_events: events.iter().map(|row| Template::new(&graph_event(row))).collect(),
            events: events.iter().map(Template::new).collect(),
            machines: machines.collect(),
            resources: resources.iter().map(Template::new).collect(),
            container: Template::new(&json!({
                "id": format!("/subscriptions/{GAP}"), "name": "Production", "subscriptionId": GAP,
                "type": "microsoft.resources/subscriptions", "location": "", "properties": {"state": "Enabled"},
            })),
        }
    }

    /// An answer of Resource Manager. What is not known here is an empty list.
    pub(super) fn rest(&self, out: &mut Body<'_>, shape: &Shape, path: &str, tenant: &str) {
        let mut parts = path.trim_start_matches('/').split('/');
        let of = match (parts.next(), parts.next()) {
            (Some("subscriptions"), Some(id)) => Some(id),
            (Some("subscriptions"), None) => return subscriptions(out, shape, tenant),
            _ => None,
        };
        let (kind, more) = (parts.nth(2).unwrap_or_default(), parts.next());
        let Some(id) = of.filter(|_| more.is_none()) else {
            out.text(b"{\"value\":[]}");
            return;
        };
        let rows = match kind {
            "events" => self.events.as_slice(),
            "availabilityStatuses" => self.resources.as_slice(),
            _ => &[],
        };
        out.text(b"{\"value\":[");
        let mut first = true;
        for row in rows {
            comma(out, &mut first);
            row.write(out, id);
        }
        if kind == "events" {
            for row in news(shape, id) {
                comma(out, &mut first);
                Template::new(&row).write(out, id);
            }
        }
        out.text(b"],\"nextLink\":null}");
    }

    /// A page of Resource Graph: rows of each subscription in turn. The skip token is the number of rows that were sent.
    pub(super) fn graph(&self, out: &mut Body<'_>, shape: &Shape, body: &[u8]) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let query = body["query"].as_str().unwrap_or_default();
        let rows: &[Template] = match query.split_whitespace().next().unwrap_or_default() {
            "servicehealthresources" if query.contains("microsoft.resourcehealth/events'") => &self.graph_events,
            "healthresources" if query.contains("availabilitystatuses") => &self.machines,
            "resourcecontainers" => std::slice::from_ref(&self.container),
            _ => &[],
        };
        let ids: Vec<_> = body["subscriptions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let from = body["options"]["$skipToken"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0_usize);
        let top = body["options"]["$top"].as_u64().and_then(|top| usize::try_from(top).ok()).unwrap_or(1000);
        let all = ids.len() * rows.len();
        let page = from..all.min(from + top.clamp(1, 1000));
        out.text(format!("{{\"totalRecords\":{all},\"count\":{},\"data\":[", page.len()).as_bytes());
        let mut first = true;
        for row in page.clone() {
            comma(out, &mut first);
            rows[row % rows.len()].write(out, ids[row / rows.len()]);
        }
        if query.starts_with("servicehealthresources") && page.end == all {
            for (id, row) in ids.iter().flat_map(|id| news(shape, id).map(move |row| (id, row))) {
                comma(out, &mut first);
                Template::new(&graph_event(&row)).write(out, id);
            }
        }
        out.text(b"],\"facets\":[],\"resultTruncated\":\"false\"");
        if page.end < all {
            out.text(format!(",\"$skipToken\":\"{}\"", page.end).as_bytes());
        }
        out.text(b"}");
    }
}

fn comma(out: &mut Body<'_>, first: &mut bool) {
    if !std::mem::take(first) {
        out.text(b",");
    }
}

fn subscriptions(out: &mut Body<'_>, shape: &Shape, tenant: &str) {
    let whose = tenant.parse().map(number).unwrap_or_default();
    let rows: Vec<_> = (0..shape.subscriptions)
        .map(|index| {
            let id = subscription(whose, index).to_string();
            json!({
                "id": format!("/subscriptions/{id}"), "subscriptionId": id, "tenantId": tenant, "state": "Enabled",
                "displayName": format!("Subscription {index}"), "authorizationSource": "RoleBased",
            })
        })
        .collect();
    out.text(json!({ "value": rows }).to_string().as_bytes());
}

/// The events that appeared so far on this subscription.
fn news(shape: &Shape, id: &str) -> impl Iterator<Item = Value> + use<> {
    let whose = id.parse().map(number).unwrap_or_default();
    let is_first = id == subscription(whose, 0).to_string();
    let now = SystemClock.now();
    let news = shape.news.filter(|news| is_first && whose < news.tenants);
    news.into_iter().flat_map(move |news| {
        let mine = (whose..).step_by(usize::try_from(news.tenants).unwrap_or(usize::MAX));
        mine.take_while(move |index| news.appears(*index) <= now)
            .map(move |index| event(&News::tracking_id(index), 2600, news.stamp(news.appears(index))))
    })
}

/// An event as REST sends it, of about this many bytes: the same text for each region, as Azure repeats it (section 8).
fn event(id: &str, bytes: usize, updated: Timestamp) -> Value {
    let stamp = updated.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let paragraph = |number: usize| {
        format!(
            "<p><strong>{id}, paragraph {number}:</strong> Starting at 09:47 UTC, customers using \"Virtual Machines\" may \
             see errors when they start, scale or delete them.</p>\n<p>We are working on it &mdash; the next update comes in \
             60 minutes. See <a href=\"https://aka.ms/status?id={number}\">status</a>.</p>\n"
        )
    };
    let text: String = (0..4).map(paragraph).collect();
    let region = |number: usize| {
        json!({
            "impactedRegion": format!("Region {number}"), "status": "Active",
            "impactedSubscriptions": [GAP], "impactedTenants": [], "lastUpdateTime": stamp,
            "updates": [{"summary": text, "updateDateTime": stamp, "eventTags": []}],
        })
    };
    let row = |regions: usize, text: &str| {
        json!({
            "id": format!("/providers/Microsoft.ResourceHealth/events/{id}"), "name": id,
            "type": "/providers/Microsoft.ResourceHealth/events",
            "properties": {
                "eventType": "ServiceIssue", "eventSource": "ServiceHealth", "status": "Active",
                "title": format!("Active - Virtual Machines - {id}"), "summary": text, "header": "Service issue",
                "description": text, "level": "Warning", "eventLevel": "Warning", "externalIncidentId": "512345678",
                "impactStartTime": "2026-10-20T09:47:00Z", "impactMitigationTime": "0001-01-01T00:00:00Z",
                "impact": [{
                    "impactedService": "Virtual Machines", "impactedServiceGuid": "ff64b1b5-eb5b-4fdf-9d5c-1a6d0a4a2a2b",
                    "impactedRegions": (0..regions).map(region).collect::<Vec<_>>(),
                }],
                "recommendedActions": {}, "isHIR": false, "platformInitiated": true, "priority": 15,
                "lastUpdateTime": stamp,
            },
        })
    };
    // The smallest events have a line of text and one region; the others grow by regions.
    if bytes < 6000 {
        let mut small = row(1, &text[..text.len() / 4]);
        small["properties"]["impact"][0]["impactedRegions"][0]["updates"][0]["summary"] =
            json!(&text[..text.len() / 4]);
        return small;
    }
    let (none, one) = (row(0, &text).to_string().len(), row(1, &text).to_string().len());
    row(bytes.saturating_sub(none) / (one - none), &text)
}

/// The same event as Resource Graph has it: keys in Pascal case, a full id, the subscription in a column.
fn graph_event(event: &Value) -> Value {
    let name = &event["name"];
    let mut properties = pascal(&event["properties"]);
    properties["TrackingId"] = name.clone();
    json!({
        "id": format!("/subscriptions/{GAP}/providers/Microsoft.ResourceHealth/events/{}", name.as_str().unwrap_or_default()),
        "name": name, "type": "microsoft.resourcehealth/events", "tenantId": "", "subscriptionId": GAP,
        "location": "global", "properties": properties,
    })
}

fn pascal(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let upper = |name: &str| name[..1].to_ascii_uppercase() + &name[1..];
            Value::Object(members.iter().map(|(name, value)| (upper(name), pascal(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(pascal).collect()),
        other => other.clone(),
    }
}

/// A resource's status; every third is a virtual machine, one in two hundred is not available.
fn resource(index: u32, updated: Timestamp) -> Value {
    let kind = if index.is_multiple_of(3) { "Microsoft.Compute/virtualMachines" } else { "Microsoft.Sql/servers" };
    let state = if index % 200 == 7 { "Unavailable" } else { "Available" };
    let stamp = updated.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    json!({
        "id": format!(
            "/subscriptions/{GAP}/resourceGroups/rg-{}/providers/{kind}/item-{index}/providers/Microsoft.ResourceHealth/availabilityStatuses/current",
            index % 10
        ),
        "name": "current", "type": "Microsoft.ResourceHealth/AvailabilityStatuses", "location": "westeurope",
        "properties": {
            "availabilityState": state, "title": state, "summary": "There aren't any known Azure platform problems affecting this resource.",
            "reasonType": "", "occuredTime": stamp, "reasonChronicity": "Persistent", "reportedTime": stamp,
        },
    })
}

fn is_machine(row: &Value) -> bool {
    row["id"].as_str().is_some_and(|id| id.contains("virtualMachines"))
}

fn graph_machine(row: &Value) -> Value {
    let target = row["id"].as_str().and_then(|id| id.split_once("/providers/Microsoft.ResourceHealth"));
    json!({
        "id": row["id"], "name": "current", "type": "microsoft.resourcehealth/availabilitystatuses", "tenantId": "",
        "subscriptionId": GAP, "location": "westeurope",
        "properties": {
            "targetResourceId": target.map(|(id, _)| id), "targetResourceType": "microsoft.compute/virtualmachines",
            "availabilityState": row["properties"]["availabilityState"],
            "previousAvailabilityState": "Available", "occurredTime": row["properties"]["occuredTime"],
        },
    })
}
