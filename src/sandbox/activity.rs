//! The activity log: what was published and what happened to resources, minutes late.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use uuid::Uuid;

use super::arm::{Call, get_only, page, versions};
use super::event::Event;
use super::exchange::Reply;
use super::resource::iso;
use super::world::World;
use crate::model::{SubscriptionId, Timestamp};

/// How long rows are kept.
const KEPT: TimeDelta = TimeDelta::days(90);

/// One row of a subscription's log.
#[derive(Debug, Clone)]
pub struct LogRow {
    /// Whose log.
    pub subscription: SubscriptionId,
    /// When it happened.
    pub at: Timestamp,
    /// `ServiceHealth`, `ResourceHealth`, `Administrative`.
    pub category: String,
    /// The row as it is sent.
    pub row: Value,
}

/// How the log behaves.
#[derive(Debug, Clone)]
pub struct LogSwitches {
    /// How long after it happened a row can be read.
    pub delay: Duration,
    /// The log insists on the documented filters, which have no categories.
    pub category_refused: bool,
}

impl Default for LogSwitches {
    fn default() -> Self {
        Self { delay: Duration::from_secs(300), category_refused: false }
    }
}

impl World {
    /// Writes what an event says now into the logs of all subscriptions that it hits.
    pub fn log_event(&mut self, event: &Event, stage: &str, at: Timestamp) {
        let incident_type = match event.event_type.as_str() {
            "ServiceIssue" => "Incident",
            "PlannedMaintenance" => "Maintenance",
            "SecurityAdvisory" => "Security",
            _ => "Informational",
        };
        let region = |name: &String| json!({"RegionName": name});
        let services: Vec<Value> = event
            .services
            .iter()
            .map(|(service, regions)| {
                json!({"ServiceName": service, "ImpactedRegions": regions.iter().map(region).collect::<Vec<_>>()})
            })
            .collect();
        let communication = self.fresh_id("communication");
        let properties = json!({
            "title": event.title, "incidentType": incident_type, "trackingId": event.tracking_id, "stage": stage,
            "service": event.services.first().map_or("", |(service, _)| service),
            "region": event.services.first().and_then(|(_, regions)| regions.first()).map_or("", String::as_str),
            "communication": event.description, "defaultLanguageTitle": event.title,
            "defaultLanguageContent": event.description, "impactStartTime": iso(event.impact_start),
            "impactedServices": Value::Array(services).to_string(), "communicationId": communication, "version": "0.1.1",
            "isHIR": if event.high_impact { "true" } else { "false" },
        });
        let status = if event.status == "Resolved" { "Resolved" } else { "Active" };
        let operation = format!("Microsoft.ServiceHealth/{}/action", incident_type.to_ascii_lowercase());
        for subscription in event.subscriptions.keys().copied().collect::<Vec<_>>() {
            let resource = format!("/subscriptions/{subscription}");
            let row = self.log_row(at, "ServiceHealth", "Admin", &operation, &resource, status, &properties);
            let category = "ServiceHealth".to_owned();
            self.activity.push(LogRow { subscription, at, category, row });
        }
    }

    /// Writes a change of a resource's health into the log of its subscription.
    pub fn log_health(&mut self, subscription: SubscriptionId, name: &str, was: &str, is: &str, at: Timestamp) {
        let resources = self.resources.get(&subscription).map(Vec::as_slice).unwrap_or_default();
        let Some(resource) = resources.iter().find(|one| one.name == name).map(|one| one.id(subscription)) else {
            return;
        };
        let (verb, status) = if is == "Available" { ("Resolved", "Resolved") } else { ("Activated", "Active") };
        let properties = json!({
            "title": format!("Health status changed to {is}"), "details": "Noticed by the platform.",
            "currentHealthStatus": is, "previousHealthStatus": was, "type": "Downtime", "cause": "PlatformInitiated",
        });
        let operation = format!("Microsoft.Resourcehealth/healthevent/{verb}/action");
        let row = self.log_row(at, "ResourceHealth", "Admin, Operation", &operation, &resource, status, &properties);
        self.activity.push(LogRow { subscription, at, category: "ResourceHealth".to_owned(), row });
    }

    /// Writes into the log what somebody did, which is nobody's concern here.
    pub fn log_administration(&mut self, subscription: SubscriptionId, at: Timestamp) {
        let resource = format!("/subscriptions/{subscription}");
        let operation = "Microsoft.Resources/tags/write";
        let row = self.log_row(at, "Administrative", "Operation", operation, &resource, "Succeeded", &json!({}));
        self.activity.push(LogRow { subscription, at, category: "Administrative".to_owned(), row });
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one row, all texts")]
    fn log_row(
        &mut self,
        at: Timestamp,
        category: &str,
        channels: &str,
        operation: &str,
        resource: &str,
        status: &str,
        properties: &Value,
    ) -> Value {
        let id: Uuid = self.fresh_id("log-row");
        json!({
            "channels": channels, "eventDataId": id, "correlationId": id, "eventName": {"value": null},
            "category": {"value": category, "localizedValue": category}, "eventTimestamp": iso(at),
            "submissionTimestamp": iso(at + TimeDelta::seconds(20)), "level": "Warning",
            "id": format!("{resource}/events/{id}"), "resourceId": resource,
            "operationName": {"value": operation, "localizedValue": operation}, "operationId": "",
            "status": {"value": status, "localizedValue": status}, "subStatus": {"value": null},
            "properties": properties,
        })
    }
}

/// The error shape of the log, which is neither of the others.
fn bad_filter() -> Reply {
    Reply::json(400, &json!({"Code": "BadRequest", "Message": "$filter searching parameters invalid"}))
}

/// `GET eventtypes/management/values`.
pub(super) fn answer(call: &mut Call<'_>) -> Result<Reply, Reply> {
    versions(call.request, &["2015-04-01"])?;
    get_only(call.request)?;
    call.require("Microsoft.Insights/eventtypes/values/read")?;
    let world = &call.state.world;
    let filter = Filter::parse(&call.request.param("$filter").ok_or_else(bad_filter)?).ok_or_else(bad_filter)?;
    if world.log.category_refused && filter.category.is_some() {
        return Err(bad_filter());
    }
    let now = world.now();
    let delay = TimeDelta::from_std(world.log.delay).unwrap_or_default();
    let mut rows: Vec<&LogRow> = world
        .activity
        .iter()
        .filter(|row| row.subscription == call.subscription && filter.admits(row))
        .filter(|row| row.at + delay <= now && now - row.at <= KEPT)
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    let rows = rows.into_iter().map(|row| row.row.clone()).collect();
    page(call.shared, call.request, rows, world.arm.page_size)
}

/// The filters that the log understands: a time, and at most one thing more.
struct Filter {
    from: Timestamp,
    to: Option<Timestamp>,
    category: Option<String>,
    all_channels: bool,
}

impl Filter {
    fn parse(text: &str) -> Option<Self> {
        let (mut from, mut to, mut category, mut all_channels) = (None, None, None, false);
        for part in text.split(" and ") {
            let (name, value) = part.trim().split_once('\'')?;
            let value = value.strip_suffix('\'')?;
            let time = || DateTime::parse_from_rfc3339(value).map(|time| time.to_utc()).ok();
            match name.trim() {
                "eventTimestamp ge" => from = Some(time()?),
                "eventTimestamp le" => to = Some(time()?),
                "category eq" => category = Some(value.to_owned()),
                "eventChannels eq" => all_channels = value == "Admin, Operation",
                _ => return None,
            }
        }
        Some(Self { from: from?, to, category, all_channels })
    }

    fn admits(&self, row: &LogRow) -> bool {
        let in_channel = self.all_channels || self.category.is_some() || row.category == "Administrative";
        row.at >= self.from
            && self.to.is_none_or(|to| row.at <= to)
            && self.category.as_ref().is_none_or(|category| *category == row.category)
            && in_channel
    }
}
