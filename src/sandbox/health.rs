//! Resource Health over REST: events and availability statuses of a subscription.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use serde_json::{Value, json};

use super::arm::{Call, error, get_only, method_not_allowed, next_link, skip};
use super::event::Event;
use super::exchange::Reply;
use crate::model::Timestamp;

/// The api-versions that are served; events in a shape older than 2022-10-01 are not.
pub(super) const VERSIONS: &[&str] = &["2025-05-01", "2025-04-01", "2024-02-01", "2022-10-01"];

pub(super) fn answer(call: &mut Call<'_>, kind: &str, more: &[&str]) -> Result<Reply, Reply> {
    match (kind, more) {
        ("events", []) => {
            get_only(call.request)?;
            call.require("Microsoft.ResourceHealth/events/read")?;
            events(call)
        }
        ("events", [tracking_id]) => {
            get_only(call.request)?;
            call.require("Microsoft.ResourceHealth/events/read")?;
            event(call, tracking_id)
        }
        ("events", [tracking_id, action]) if action.eq_ignore_ascii_case("fetchEventDetails") => {
            if call.request.method != "POST" {
                return Err(method_not_allowed(call.request));
            }
            call.require("Microsoft.ResourceHealth/events/fetchEventDetails/action")?;
            let world = &call.state.world;
            let event = world.events.get(*tracking_id).filter(|one| hits(one, call));
            let event = event.ok_or_else(|| event_not_found(tracking_id))?;
            Ok(Reply::json(200, &event.to_json(call.subscription, &world.health, true)))
        }
        ("events", [tracking_id, kind]) if kind.eq_ignore_ascii_case("impactedResources") => {
            get_only(call.request)?;
            call.require("Microsoft.ResourceHealth/events/impactedResources/read")?;
            reject_filter(call)?;
            let event = call.state.world.events.get(*tracking_id).filter(|one| hits(one, call));
            let rows = event.ok_or_else(|| event_not_found(tracking_id))?.impacted_json(call.subscription);
            let size = call.state.world.health.event_page_size;
            paged(call, rows, size)
        }
        ("availabilitystatuses", []) => {
            get_only(call.request)?;
            call.require("Microsoft.ResourceHealth/availabilityStatuses/read")?;
            availability(call, None)
        }
        _ => Err(error(404, "NotFound", "The Resource Health operation was not found.")),
    }
}

fn hits(event: &Event, call: &Call<'_>) -> bool {
    event.subscriptions.contains_key(&call.subscription)
}

/// Azure publishes up to a year back, and without `queryStartTime` the last three days only.
fn query_start(call: &Call<'_>) -> Result<Timestamp, Reply> {
    let now = call.state.world.now();
    let Some(text) = call.request.param("queryStartTime") else { return Ok(now - TimeDelta::days(3)) };
    let date_time = DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc()).ok();
    let naive = || NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|time| time.and_utc());
    let american = || {
        let date =
            NaiveDate::parse_from_str(&text, "%m/%d/%Y").or_else(|_| NaiveDate::parse_from_str(&text, "%Y-%m-%d"));
        date.ok()?.and_hms_opt(0, 0, 0).map(|time| time.and_utc())
    };
    let start = date_time
        .or_else(naive)
        .or_else(american)
        .ok_or_else(|| flat(400, "BadRequest", &format!("The queryStartTime '{text}' is no date.")))?;
    Ok(start.max(now - TimeDelta::days(365)))
}

/// The provider's own error shape, without the `error` wrapper.
fn flat(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message, "code": code}))
}

fn reject_filter(call: &Call<'_>) -> Result<(), Reply> {
    // The grammar of filters is not documented: whoever relies on it relies on luck.
    match call.request.param("$filter") {
        Some(filter) => {
            Err(flat(400, "InvalidODataQueryOptions", &format!("The sandbox knows no filters, got '{filter}'.")))
        }
        None => Ok(()),
    }
}

fn events(call: &mut Call<'_>) -> Result<Reply, Reply> {
    let start = query_start(call)?;
    reject_filter(call)?;
    let world = &call.state.world;
    let switches = &world.health;
    let subscription = call.subscription;
    let mut found: Vec<&Event> = world
        .events
        .values()
        .filter(|event| hits(event, call) && event.last_update_in(subscription) >= start)
        .filter(|event| !switches.unlisted.contains(&event.tracking_id))
        .collect();
    found.sort_by_key(|event| (event.priority, std::cmp::Reverse(event.last_update_in(subscription))));
    let mut rows = Vec::with_capacity(found.len());
    for event in found {
        let row = event.to_json(subscription, switches, false);
        if switches.duplicate_names {
            let mut older = event.clone();
            older.last_update -= TimeDelta::seconds(1);
            rows.push(older.to_json(subscription, switches, false));
        }
        rows.push(row);
    }
    let size = switches.event_page_size;
    paged(call, rows, size)
}

fn event_not_found(tracking_id: &str) -> Reply {
    error(404, "ResourceNotFound", &format!("The event '{tracking_id}' was not found."))
}

fn event(call: &mut Call<'_>, tracking_id: &str) -> Result<Reply, Reply> {
    let start = query_start(call)?;
    let world = &call.state.world;
    let found = world.events.values().find(|one| one.tracking_id.eq_ignore_ascii_case(tracking_id));
    let listed = |one: &&Event| !world.health.unlisted.contains(&one.tracking_id);
    let found = found.filter(listed).filter(|one| hits(one, call) && one.last_update_in(call.subscription) >= start);
    let found = found.ok_or_else(|| event_not_found(tracking_id))?;
    Ok(Reply::json(200, &found.to_json(call.subscription, &world.health, false)))
}

/// The resource groups of a subscription: those that have resources.
pub(super) fn groups(call: &mut Call<'_>) -> Result<Reply, Reply> {
    get_only(call.request)?;
    call.require("Microsoft.Resources/subscriptions/resourceGroups/read")?;
    let resources = call.state.world.resources.get(&call.subscription).map(Vec::as_slice).unwrap_or_default();
    let names: std::collections::BTreeSet<&str> = resources.iter().map(|one| one.group.as_str()).collect();
    let row = |name: &&str| json!({"id": format!("/subscriptions/{}/resourceGroups/{name}", call.subscription), "name": name, "type": "Microsoft.Resources/resourceGroups", "location": "westeurope"});
    let rows = names.iter().map(row).collect();
    super::arm::page(call.shared, call.request, rows, call.state.world.arm.page_size)
}

/// The availability of the resources of one group.
pub(super) fn group_availability(call: &mut Call<'_>, group: &str) -> Result<Reply, Reply> {
    get_only(call.request)?;
    call.require("Microsoft.ResourceHealth/availabilityStatuses/read")?;
    availability(call, Some(group))
}

fn availability(call: &mut Call<'_>, group: Option<&str>) -> Result<Reply, Reply> {
    let world = &call.state.world;
    let expand = call.request.param("$expand").map(|text| text.to_ascii_lowercase());
    if expand.is_some_and(|expand| expand != "recommendedactions") {
        return Err(flat(400, "InvalidODataQueryOptions", "Only recommendedactions can be expanded."));
    }
    let now = world.now();
    let resources = world.resources.get(&call.subscription).map(Vec::as_slice).unwrap_or_default();
    let in_group = resources.iter().filter(|one| group.is_none_or(|group| one.group.eq_ignore_ascii_case(group)));
    let rows = in_group.map(|one| one.to_json(call.subscription, now)).collect();
    let size = world.health.availability_page_size;
    paged(call, rows, size)
}

/// A page, with the faults of Resource Health's paging on order.
fn paged(call: &Call<'_>, rows: Vec<Value>, size: usize) -> Result<Reply, Reply> {
    let switches = &call.state.world.health;
    // The empty page counts as one row of its own, so that offsets stay unambiguous.
    let shift = usize::from(switches.empty_first_page);
    let start = skip(call.request)?;
    if start > 0 && switches.later_pages_refused {
        let message = "Query option 'SkipToken' is not allowed. To allow it, set the 'AllowedQueryOptions' property on EnableQueryAttribute or QueryValidationSettings.";
        return Err(flat(400, "InvalidODataQueryOptions", message));
    }
    let (rows, next) = if shift == 1 && start == 0 {
        (Vec::new(), Some(1))
    } else {
        let first = start - shift.min(start);
        let total = rows.len();
        let page: Vec<Value> = rows.into_iter().skip(first).take(size.max(1)).collect();
        let end = first + page.len();
        (page, (end < total).then_some(end + shift))
    };
    let mut body = json!({"value": rows});
    if let Some(next) = next {
        let mut link = next_link(call.shared, call.request, next);
        if let Some(host) = &switches.next_link_host
            && let Ok(mut url) = url::Url::parse(&link)
            && url.set_host(Some(host)).is_ok()
        {
            link = url.into();
        }
        body["nextLink"] = link.into();
    }
    Ok(Reply::json(200, &body))
}
