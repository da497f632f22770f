//! The activity log: the secondary source. What it says of Service Health and of resources fills what Resource Graph and
//! Resource Health miss ("Azure health data APIs", section 2).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{SecondsFormat, TimeDelta};
use serde::Deserialize as _;
use serde_json::Value;

use super::convert::{clean, line};
use super::reading::{ActivityReading, ObservedEvent, Trouble};
use super::request::Listing;
use super::wire::activity::{ActivityRow, ImpactedService};
use super::wire::lenient::fold_keys;
use super::{AccessToken, Client, Error};
use crate::model::{
    AvailabilityState, EventContent, EventStatus, EventType, EventUpdate, GapReason, RegionImpact, ResourceId,
    ResourceState, ServiceImpact, SubscriptionId, TextHash, Timestamp, TrackingId, unite_impact,
};

const API_VERSION: &str = "2015-04-01";
const CATEGORIES: [&str; 2] = ["ServiceHealth", "ResourceHealth"];
/// Pages of one listing. Without the filter by category a busy subscription has very many.
const PAGES: usize = 20;
/// A row is stamped this much early, so that a first source's version of the same publication is always newer: rows are
/// written minutes after it, never so many.
const EARLY: TimeDelta = TimeDelta::minutes(15);

impl Client {
    /// What the log of one subscription has between two times.
    pub(super) async fn read_activity(
        &self,
        token: &AccessToken,
        subscription: SubscriptionId,
        since: Timestamp,
        until: Timestamp,
        texts: &mut BTreeMap<TextHash, String>,
    ) -> ActivityReading {
        let mut rows = Vec::new();
        let mut trouble = None;
        for category in CATEGORIES {
            let filter = format!("category eq '{category}'");
            match self.list_activity(token, subscription, since, until, &filter).await {
                Ok(listing) => take(listing, &mut rows, &mut trouble),
                // The documented grammar has no categories: where Azure insists on it, we choose here.
                Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 400) => {
                    rows.clear();
                    let filter = "eventChannels eq 'Admin, Operation'";
                    match self.list_activity(token, subscription, since, until, filter).await {
                        Ok(listing) => take(listing, &mut rows, &mut trouble),
                        Err(error) => trouble = Some(Trouble::of(&error)),
                    }
                    break;
                }
                Err(error) => {
                    trouble = Some(Trouble::of(&error));
                    break;
                }
            }
        }
        let mut reading = read(rows, subscription, texts);
        reading.trouble = trouble;
        reading
    }

    async fn list_activity(
        &self,
        token: &AccessToken,
        subscription: SubscriptionId,
        since: Timestamp,
        until: Timestamp,
        more: &str,
    ) -> Result<Listing, Error> {
        let time = |at: Timestamp| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let filter = format!("eventTimestamp ge '{}' and eventTimestamp le '{}' and {more}", time(since), time(until));
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("api-version", API_VERSION)
            .append_pair("$filter", &filter)
            .finish();
        let path =
            format!("/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values?{query}");
        self.arm_list_up_to(PAGES, &path, token).await
    }
}

fn take(listing: Listing, rows: &mut Vec<Value>, trouble: &mut Option<Trouble>) {
    rows.extend(listing.rows);
    if let Some(error) = listing.broken_off {
        *trouble = Some(Trouble { reason: GapReason::Partial, detail: format!("a later page failed: {error}") });
    }
}

/// Puts the rows of a log together, whatever their order. Pure.
pub(super) fn read(
    rows: Vec<Value>,
    subscription: SubscriptionId,
    texts: &mut BTreeMap<TextHash, String>,
) -> ActivityReading {
    let mut publications: BTreeMap<TrackingId, Vec<(Timestamp, ActivityRow)>> = BTreeMap::new();
    let mut changes = Vec::new();
    for row in rows {
        let Ok(row) = ActivityRow::deserialize(fold_keys(row)) else { continue };
        let Some(at) = row.event_timestamp else { continue };
        let category = row.category.value.as_deref().unwrap_or_default();
        if category.eq_ignore_ascii_case(CATEGORIES[0]) && !row.properties.is_synthetic {
            if let Some(id) = row.properties.tracking_id.as_deref().and_then(|id| id.parse().ok()) {
                publications.entry(id).or_default().push((at, row));
            }
        } else if category.eq_ignore_ascii_case(CATEGORIES[1]) {
            changes.extend(change(at, row).filter(|(id, _)| id.subscription() == Some(subscription)));
        }
    }
    changes.sort_by(|a, b| (a.1.since, &a.0, &a.1.state).cmp(&(b.1.since, &b.0, &b.1.state)));
    changes.dedup();
    let events = publications.into_iter().filter_map(|(id, rows)| Some((id, event(rows, texts)?))).collect();
    ActivityReading { events, changes, trouble: None }
}

/// One event from all that was published about it: the newest row speaks, the texts of all are kept.
fn event(mut rows: Vec<(Timestamp, ActivityRow)>, texts: &mut BTreeMap<TextHash, String>) -> Option<ObservedEvent> {
    rows.sort_by_key(|(at, row)| (*at, row.properties.communication.clone()));
    let mut updates = BTreeSet::new();
    let mut description = None;
    for (at, row) in &rows {
        if let Some(text) = row.properties.communication.as_deref().and_then(clean) {
            let hash = TextHash::of(&text);
            texts.insert(hash, text);
            updates.insert(EventUpdate { at: Some(*at), text: hash });
            description = Some(hash);
        }
    }
    let (newest, row) = rows.pop()?;
    let word = |text: &Option<String>| text.clone().unwrap_or_default();
    let (stage, status) = (word(&row.properties.stage), word(&row.status.value));
    let over = ["Resolved", "Complete", "Canceled", "RCA"];
    let is_over = over.iter().any(|over| stage.eq_ignore_ascii_case(over))
        || (stage.is_empty() && status.eq_ignore_ascii_case("Resolved"));
    let properties = row.properties;
    let content = EventContent {
        event_type: match properties.incident_type.as_deref().unwrap_or_default() {
            "Incident" => EventType::ServiceIssue,
            "Maintenance" => EventType::PlannedMaintenance,
            "Informational" | "ActionRequired" => EventType::HealthAdvisory,
            "Security" => EventType::SecurityAdvisory,
            other => EventType::Other(line(other)),
        },
        event_sub_type: None,
        status: if is_over { EventStatus::Resolved } else { EventStatus::Active },
        title: line(properties.title.as_deref().unwrap_or("(no title)")),
        event_level: None,
        impact_start: properties.impact_start_time,
        impact_mitigation: properties.impact_mitigation_time,
        impact: impact(&properties.impacted_services, properties.service, properties.region),
        summary: None,
        description,
        updates: updates.into_iter().rev().collect(),
        tags: BTreeSet::new(),
        high_impact: properties.is_hir,
        text_withheld: false,
        stage: Some(stage).filter(|stage| !stage.is_empty()).map(|stage| line(&stage)),
    };
    Some(ObservedEvent { content: content.into(), last_update: Some(newest - EARLY), index_only: true })
}

fn impact(list: &Value, service: Option<String>, region: Option<String>) -> Vec<ServiceImpact> {
    let list = match list {
        Value::String(text) => serde_json::from_str(text).map(fold_keys).unwrap_or_default(),
        other => other.clone(),
    };
    let region_of = |name: String| RegionImpact { region: line(&name), status: None };
    let Value::Array(entries) = list else {
        let service = service.map(|service| ServiceImpact {
            service: line(&service),
            service_guid: None,
            regions: region.into_iter().map(region_of).collect(),
        });
        return service.into_iter().collect();
    };
    let read = |entry: Value| {
        let entry = ImpactedService::deserialize(entry).ok()?;
        let regions = entry.impacted_regions.into_iter().filter_map(|region| region.region_name);
        Some(ServiceImpact {
            service: line(&entry.service_name?),
            service_guid: entry.service_guid,
            regions: regions.map(region_of).collect(),
        })
    };
    let services: Vec<_> = entries.into_iter().filter_map(read).collect();
    unite_impact(services.iter())
}

/// The change of one resource's health. None for a row that says nothing about up or down.
fn change(at: Timestamp, row: ActivityRow) -> Option<(ResourceId, ResourceState)> {
    let id = ResourceId::parse(&row.resource_id?).ok()?;
    let operation = row.operation_name.value.unwrap_or_default().to_ascii_lowercase();
    let word = row.properties.current_health_status.or(row.properties.health_status);
    let state = match word {
        Some(word) => AvailabilityState::from(word),
        None if operation.contains("/resolved/") => AvailabilityState::Available,
        None => return None,
    };
    let state = ResourceState {
        state,
        resource_type: None,
        location: None,
        since: Some(at),
        reason: row.properties.health_event_category.map(|word| line(&word)),
        summary: row.properties.details.or(row.properties.title).map(|text| line(&text)),
        missed_listings: 0,
    };
    Some((id, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn subscription() -> SubscriptionId {
        uuid::Uuid::from_u128(1).into()
    }

    fn publication(at: &str, stage: &str, text: &str) -> Value {
        json!({"category": {"value": "ServiceHealth"}, "status": {"value": "Active"}, "eventTimestamp": at,
            "properties": {"title": "Storage", "incidentType": "Incident", "trackingId": "ABCD-123", "stage": stage,
                "communication": text, "impactStartTime": "2026-01-15T10:00:00Z",
                "impactedServices": "[{\"ImpactedRegions\":[{\"RegionName\":\"UK South\"}],\"ServiceName\":\"Storage\"}]"}})
    }

    #[test]
    fn publications_become_one_event_whatever_their_order() {
        let rows = vec![
            publication("2026-01-15T11:00:00Z", "Active", "<p>First.</p>"),
            publication("2026-01-15T12:00:00Z", "Resolved", "<p>Over.</p>"),
        ];
        let mut texts = BTreeMap::new();
        let forward = read(rows.clone(), subscription(), &mut texts);
        let backward = read(rows.into_iter().rev().collect(), subscription(), &mut texts);
        assert_eq!(forward, backward);
        let event = forward.events.values().next().expect("one event");
        assert_eq!(event.content.status, EventStatus::Resolved);
        assert_eq!(event.content.impact[0].regions[0].region, "UK South");
        assert_eq!((event.content.updates.len(), texts.len()), (2, 2));
        assert!(event.last_update < Some("2026-01-15T12:00:00Z".parse().expect("a time")), "a first source is newer");
    }

    #[test]
    fn rows_of_other_categories_tests_and_other_subscriptions_say_nothing() {
        let mut synthetic = publication("2026-01-15T11:00:00Z", "Active", "x");
        synthetic["properties"]["IsSynthetic"] = "True".into();
        let foreign = json!({"category": {"value": "ResourceHealth"}, "eventTimestamp": "2026-01-15T11:00:00Z",
            "resourceId": "/subscriptions/00000000-0000-4000-8000-00000000ffff/resourceGroups/g/providers/p/t/n",
            "properties": {"currentHealthStatus": "Unavailable"}});
        let other = json!({"category": {"value": "Administrative"}, "eventTimestamp": "2026-01-15T11:00:00Z"});
        let reading = read(vec![synthetic, foreign, other, json!(7)], subscription(), &mut BTreeMap::new());
        assert_eq!(reading, ActivityReading::default());
    }

    #[test]
    fn both_shapes_of_a_resource_s_change_are_read() {
        let id = format!("/subscriptions/{}/resourceGroups/g/providers/a.b/c/d", subscription());
        let rows = ["currentHealthStatus", "healthStatus"].map(|name| {
            json!({"category": {"value": "ResourceHealth"}, "eventTimestamp": "2026-01-15T11:00:00Z", "resourceId": id,
                "properties": {name: "Degraded", "details": "Slow."}})
        });
        for row in rows {
            let reading = read(vec![row], subscription(), &mut BTreeMap::new());
            assert_eq!(reading.changes[0].1.state, AvailabilityState::Degraded);
            assert_eq!(reading.changes[0].1.summary.as_deref(), Some("Slow."));
        }
    }
}
