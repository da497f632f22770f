//! Resource Graph: one POST over many subscriptions. It reads the query shape of this project's design and refuses every other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use serde_json::{Map, Value, json};

use super::arm::error;
use super::exchange::{Reply, Request};
use super::kql::{self, Query};
use super::switches::{GraphSwitches, GraphTimes};
use super::tokens::Principal;
use super::world::World;
use super::{Event, State};
use crate::model::{SubscriptionId, Timestamp};

/// How long events stay in Resource Graph.
const EVENT_DAYS: i64 = 90;

/// The window of the quota.
const QUOTA_WINDOW: TimeDelta = TimeDelta::seconds(5);

pub(super) fn answer(state: &mut State, request: &Request, principal: &Principal) -> Reply {
    if request.method != "POST" {
        return super::arm::method_not_allowed(request);
    }
    if !request.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        return error(500, "InternalServerError", "Encountered internal server error.");
    }
    let world = &mut state.world;
    let (remaining, resets_after) = match use_quota(world, principal) {
        Ok(left) => left,
        Err(seconds) => {
            let message = "Client application has been throttled and should not attempt to repeat the request until an amount of time has elapsed. Please see https://aka.ms/resourcegraph-throttling for help.";
            return refused(world, 429, "RateLimiting", "RateLimiting", message)
                .with("x-ms-user-quota-remaining", "0")
                .with("x-ms-user-quota-resets-after", format!("00:00:{seconds:02}"))
                .with("retry-after", seconds.to_string());
        }
    };
    let reply = query(world, request, principal).unwrap_or_else(|refusal| refusal);
    reply
        .with("x-ms-user-quota-remaining", remaining.to_string())
        .with("x-ms-user-quota-resets-after", format!("00:00:{resets_after:02}"))
        .with("x-ms-ratelimit-remaining-tenant-resource-requests", remaining.to_string())
}

/// How many queries are left and after how many seconds all are again; or after how many the next is served.
fn use_quota(world: &mut World, principal: &Principal) -> Result<(u32, i64), i64> {
    let Some(quota) = world.graph.quota else { return Ok((15, 5)) };
    let now = world.now();
    let window = world.graph.windows.entry(principal.object_id).or_insert((now, 0));
    if now - window.0 >= QUOTA_WINDOW {
        *window = (now, 0);
    }
    let resets_after = (QUOTA_WINDOW - (now - window.0)).num_seconds().max(1);
    if window.1 >= quota {
        return Err(resets_after);
    }
    window.1 += 1;
    Ok((quota - window.1, resets_after))
}

/// A refusal in Resource Graph's shape: the outer message is a support line, the detail explains.
fn refused(world: &World, status: u16, code: &str, detail: &str, message: &str) -> Reply {
    let time = super::resource::iso(world.now());
    let body = json!({"error": {
        "code": code,
        "message": format!("Please provide below info when asking for support: timestamp = {time}, correlationId = 00000000-0000-4000-8000-00000000dddd."),
        "details": [{"code": detail, "message": message}],
    }});
    Reply::json(status, &body)
}

/// What the body of a request asks for.
struct Asked {
    query: Query,
    text: String,
    subscriptions: Option<Vec<SubscriptionId>>,
    top: usize,
    skip: usize,
}

fn asked(world: &World, request: &Request) -> Result<Asked, Reply> {
    let bad = |detail: &str, message: &str| refused(world, 400, "BadRequest", detail, message);
    let body: Value = serde_json::from_slice(&request.body)
        .map_err(|_| bad("InvalidRequestContent", "The request content is not valid JSON."))?;
    if body.get("managementGroups").is_some_and(|groups| !groups.is_null()) {
        return Err(bad("UnsupportedByTheSandbox", "The sandbox has no management groups."));
    }
    let text = body["query"].as_str().ok_or_else(|| bad("EmptyQuery", "The query must not be empty."))?.to_owned();
    let query = kql::parse(&text).map_err(|fault| bad(fault.code, &fault.message))?;
    let subscriptions = match body.get("subscriptions") {
        None | Some(Value::Null) => None,
        Some(list) => {
            let ids = list.as_array().and_then(|all| all.iter().map(|one| one.as_str()?.parse().ok()).collect());
            Some(ids.ok_or_else(|| bad("InvalidSubscriptionId", "Each subscription must be a GUID."))?)
        }
    };
    if subscriptions.as_ref().is_some_and(|all: &Vec<_>| all.len() > 1000) {
        return Err(bad("TooManySubscriptions", "At most 1000 subscriptions per query."));
    }
    let options = &body["options"];
    if options["resultFormat"].as_str().is_some_and(|format| format != "objectArray") {
        return Err(bad("UnsupportedByTheSandbox", "The sandbox answers with objectArray only."));
    }
    let number = |name: &str| options.get(name).filter(|value| !value.is_null()).map(Value::as_u64);
    let top = match number("$top") {
        None => 1000,
        Some(Some(top @ 1..=1000)) => usize::try_from(top).unwrap_or(1000),
        Some(_) => return Err(bad("InvalidTopParameter", "$top must be between 1 and 1000.")),
    };
    let skip = match options["$skipToken"].as_str() {
        None => usize::try_from(number("$skip").flatten().unwrap_or(0)).unwrap_or(usize::MAX),
        Some(token) => {
            skip_of(token, &text).ok_or_else(|| bad("InvalidSkipToken", "The skip token is not of this query."))?
        }
    };
    Ok(Asked { query, text, subscriptions, top, skip })
}

/// A token carries the row to go on with and a mark of its query.
fn skip_token(offset: usize, query: &str) -> String {
    STANDARD.encode(json!({"offset": offset, "query": mark(query)}).to_string())
}

fn skip_of(token: &str, query: &str) -> Option<usize> {
    let value: Value = serde_json::from_slice(&STANDARD.decode(token).ok()?).ok()?;
    if value["query"].as_str()? != mark(query) {
        return None;
    }
    usize::try_from(value["offset"].as_u64()?).ok()
}

fn mark(query: &str) -> String {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, query.as_bytes()).simple().to_string()
}

fn query(world: &mut World, request: &Request, principal: &Principal) -> Result<Reply, Reply> {
    let asked = asked(world, request)?;
    let subscriptions = readable(world, principal, asked.subscriptions.as_deref());
    if subscriptions.is_empty() {
        let given = asked.subscriptions.unwrap_or_default();
        let given = given.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let message =
            format!("There must be at least one subscription that is eligible to contain resources. Given: '{given}'.");
        return Err(refused(world, 400, "BadRequest", "NoValidSubscriptionsInQueryRequest", &message));
    }
    let mut rows: Vec<Value> = table(world, &asked.query.table, &subscriptions);
    rows.retain(|row| asked.query.keeps(row));
    rows.sort_by_cached_key(|row| row["id"].as_str().unwrap_or_default().to_ascii_lowercase());
    let total = rows.len();
    let page: Vec<Value> = rows.iter().skip(asked.skip).take(asked.top).map(|row| asked.query.project(row)).collect();
    let end = asked.skip.saturating_add(page.len());
    let more = end < total;
    // Only what has an id can be read on; without one the rest is cut off silently.
    let can_go_on = asked.query.columns.iter().any(|column| column == "id");
    let mut body = json!({
        "totalRecords": total,
        "count": page.len(),
        "resultTruncated": if more && !can_go_on { "true" } else { "false" },
        "facets": [],
        "data": page,
    });
    if more && can_go_on {
        body["$skipToken"] = skip_token(end, &asked.text).into();
    }
    let reply = Reply::json(200, &body);
    if reply.body.len() > world.graph.payload_limit {
        let message = format!(
            "Response payload size is {}, and has exceeded the limit of {}. Please consider querying less data at a time and make paginated call if needed.",
            reply.body.len(),
            world.graph.payload_limit
        );
        return Err(refused(world, 400, "BadRequest", "ResponsePayloadTooLarge", &message));
    }
    Ok(reply)
}

/// The subscriptions that are in scope and may be read. The others are dropped without a word, as Azure does.
fn readable(world: &mut World, principal: &Principal, asked: Option<&[SubscriptionId]>) -> Vec<SubscriptionId> {
    let mut all = world.within_reach(principal);
    all.retain(|id| {
        asked.is_none_or(|asked| asked.contains(id))
            && world.subscriptions[id].state != "Deleted"
            && !world.graph.drops.contains(id)
            && world.allows(principal.object_id, *id, "Microsoft.Resources/subscriptions/read")
    });
    all
}

fn table(world: &World, name: &str, subscriptions: &[SubscriptionId]) -> Vec<Value> {
    let tenant = |id: &SubscriptionId| world.subscriptions[id].tenant.to_string();
    match name {
        "servicehealthresources" => {
            let oldest = world.now() - TimeDelta::days(EVENT_DAYS);
            let events = world.graph.stale_events.as_ref().unwrap_or(&world.events);
            let unlisted = &world.health.unlisted;
            let rows = subscriptions.iter().flat_map(|id| {
                let here = events.values().filter(move |event| {
                    let known = event.subscriptions.contains_key(id) && !unlisted.contains(&event.tracking_id);
                    known && event.last_update_in(*id) >= oldest
                });
                here.flat_map(move |event| {
                    let impacted = impacted_rows(world, event, *id, &tenant(id));
                    std::iter::once(event_row(world, event, *id, &tenant(id))).chain(impacted)
                })
            });
            rows.collect()
        }
        "healthresources" => {
            let rows = subscriptions.iter().flat_map(|id| {
                let resources = world.resources.get(id).map(Vec::as_slice).unwrap_or_default();
                resources.iter().filter_map(move |one| one.to_graph_row(*id, &tenant(id)))
            });
            rows.collect()
        }
        // The parser lets no other table pass.
        _ => subscriptions.iter().map(|id| container_row(world, *id)).collect(),
    }
}

fn container_row(world: &World, id: SubscriptionId) -> Value {
    let subscription = &world.subscriptions[&id];
    json!({
        "id": format!("/subscriptions/{id}"),
        "name": subscription.display_name,
        "type": "microsoft.resources/subscriptions",
        "tenantId": subscription.tenant,
        "subscriptionId": id,
        "location": "",
        "properties": {"state": subscription.state, "managedByTenants": super::arm::managed_by(world, id)},
    })
}

fn event_row(world: &World, event: &Event, subscription: SubscriptionId, tenant: &str) -> Value {
    let rest = event.to_json(subscription, &world.health, false);
    let mut properties = match rest.get("properties") {
        Some(Value::Object(properties)) => properties.clone(),
        _ => Map::new(),
    };
    properties.insert("trackingId".to_owned(), event.tracking_id.clone().into());
    properties.insert("subscriptionId".to_owned(), subscription.to_string().into());
    json!({
        "id": format!("/subscriptions/{subscription}/providers/Microsoft.ResourceHealth/events/{}", event.tracking_id),
        "name": event.tracking_id,
        "type": "microsoft.resourcehealth/events",
        "tenantId": tenant,
        "subscriptionId": subscription,
        "location": "global",
        "properties": graph_bag(Value::Object(properties), &world.graph),
    })
}

/// The rows of the resources that an event hits.
fn impacted_rows(world: &World, event: &Event, subscription: SubscriptionId, tenant: &str) -> Vec<Value> {
    if world.graph.without_impacted {
        return Vec::new();
    }
    let mut rows = event.impacted_json(subscription);
    for row in &mut rows {
        row["type"] = "microsoft.resourcehealth/events/impactedresources".into();
        row["tenantId"] = tenant.into();
        row["subscriptionId"] = subscription.to_string().into();
        row["location"] = "global".into();
        row["properties"]["status"] = "Confirmed".into();
    }
    rows
}

/// The property bag in Resource Graph's spelling: PascalCase but for two, its own way with times, usually no update texts.
fn graph_bag(value: Value, switches: &GraphSwitches) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(|item| graph_bag(item, switches)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().filter(|(name, _)| name != "updates" || switches.update_texts);
            let spelled = members.map(|(name, value)| {
                let value =
                    if name.ends_with("Time") { graph_time(value, switches) } else { graph_bag(value, switches) };
                let keep = switches.camel_case || name == "impactType" || name == "duration";
                (if keep { name } else { pascal(&name) }, value)
            });
            Value::Object(spelled.collect())
        }
        other => other,
    }
}

fn pascal(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn graph_time(value: Value, switches: &GraphSwitches) -> Value {
    match (switches.times, value.as_str().map(DateTime::parse_from_rfc3339)) {
        (GraphTimes::Ticks, Some(Ok(time))) => ticks(time.to_utc()).into(),
        _ => value,
    }
}

/// .NET ticks: hundreds of nanoseconds since the year 1.
fn ticks(time: Timestamp) -> i64 {
    621_355_968_000_000_000 + time.timestamp_micros() * 10
}
