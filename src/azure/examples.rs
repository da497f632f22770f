//! Azure's official example payloads, read by our wire types. They are not part of this repository: their place comes from
//! `AZURE_EXAMPLES`, which `.ci/run` sets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize as _;
use serde_json::Value;

use super::wire::health::GraphAnswer;
use super::wire::lenient::fold_keys;
use super::{Error, convert, request};
use crate::model::{AvailabilityState, EventStatus, EventType, GapReason};

/// The folder, or None with a line that says so.
#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn examples(folder: &str) -> Option<PathBuf> {
    let root = std::env::var("AZURE_EXAMPLES").ok();
    if root.is_none() {
        println!("skipped: AZURE_EXAMPLES is not set");
    }
    root.map(|root| Path::new(&root).join(folder))
}

fn files(folder: &Path, prefixes: &[&str]) -> Vec<(String, Value)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, path)| (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!found.is_empty(), "no files in {}", folder.display());
    found
}

/// The API's own JSON: official files wrap it.
fn body(file: &Value) -> Value {
    file.pointer("/responses/200/body").unwrap_or(file).clone()
}

/// Every file of health rows; none where they are not on this machine.
pub(super) fn all() -> Vec<Value> {
    let folders = ["resource-health", "resource-graph"].into_iter().filter_map(examples);
    folders.flat_map(|folder| files(&folder, &[""])).map(|(_, file)| body(&file)).collect()
}

fn rows(body: Value) -> Vec<Value> {
    match body.get("value") {
        Some(Value::Array(rows)) => rows.clone(),
        _ if body.is_array() => body.as_array().unwrap().clone(),
        _ => vec![body],
    }
}

#[test]
fn every_official_event_is_read_in_full() {
    let Some(folder) = examples("resource-health") else { return };
    for (name, file) in files(&folder, &["Events_", "Event_"]) {
        for row in rows(body(&file)) {
            let mut texts = BTreeMap::new();
            let mut row = row;
            // Some files have a placeholder instead of an id.
            let tracking = row["name"].as_str().unwrap().replace(['{', '}'], "");
            row["name"] = tracking.clone().into();
            let event = convert::event(row, false, &mut texts).unwrap_or_else(|| panic!("{name}: not read"));
            assert_eq!(event.tracking_id.as_str(), tracking, "{name}");
            let content = &event.event.content;
            assert!(!matches!(content.event_type, EventType::Other(_)), "{name}: {:?}", content.event_type);
            assert!(!matches!(content.status, EventStatus::Other(_)), "{name}: {:?}", content.status);
            assert!(event.event.last_update.is_some(), "{name}: no lastUpdateTime");
            assert!(content.impact_start.is_some(), "{name}: no impactStartTime");
            assert_ne!(content.title, "(no title)", "{name}");
            assert!(content.texts().all(|hash| texts.contains_key(hash)), "{name}: a text is missing");
        }
    }
}

#[test]
fn the_observed_events_are_read_row_by_row() {
    let Some(folder) = examples("resource-health/observed") else { return };
    let mut count = 0;
    for (name, file) in files(&folder, &["Events_"]) {
        for row in rows(body(&file)) {
            let mut texts = BTreeMap::new();
            let event = convert::event(row, false, &mut texts).unwrap_or_else(|| panic!("{name}: not read"));
            assert!(event.event.last_update.is_some(), "{name}");
            assert!(!event.event.content.impact.is_empty(), "{name}: no impact");
            count += 1;
        }
    }
    assert!(count >= 21, "only {count} observed events");
}

#[test]
fn official_emerging_issues_are_read_in_full() {
    let Some(folder) = examples("resource-health") else { return };
    for (name, file) in files(&folder, &["EmergingIssues_"]) {
        for row in rows(body(&file)) {
            let read = super::emerging::read(row, chrono::DateTime::UNIX_EPOCH).unwrap();
            assert_eq!((read.issues.len(), read.banners.len()), (2, 2), "{name}");
            assert!(read.refreshed_at.is_some());
            let issue = &read.issues[&"4KHK-LS8".parse().unwrap()];
            assert_eq!(issue.severity.as_str(), "Error");
            assert_eq!(issue.impact[0].regions[0].region, "West Europe");
            assert!(read.issues.values().all(|issue| issue.start.is_some() && issue.last_update.is_some()));
            let texts = read.banners.iter().filter_map(|banner| banner.message.as_deref());
            assert!(texts.clone().count() == 2 && texts.clone().all(|text| !text.contains("style")));
        }
    }
}

#[test]
fn official_impacted_resources_are_read_and_identities_are_not() {
    let Some(folder) = examples("resource-health") else { return };
    for (name, named) in [("ImpactedResources_ListBySubscription", 2), ("SecurityAdvisoryImpactedResources_ListBy", 0)]
    {
        for (name, file) in files(&folder, &[name]) {
            let found: Vec<_> = rows(body(&file)).into_iter().filter_map(super::impacted::resource).collect();
            assert_eq!(found.len(), named, "{name}");
            assert!(found.iter().all(|one| one.resource_type.as_deref() == Some("microsoft.compute/virtualmachines")));
        }
    }
}

#[test]
fn official_rows_of_the_activity_log_are_read() {
    let Some(folder) = examples("activity-log") else { return };
    let id = "00000000-0000-4000-8000-000000000001";
    for (name, file) in files(&folder, &["ServiceHealth_event", "ResourceHealth_event"]) {
        let text = file.to_string().replace("<subscription ID>", id).replace("<resource group>", "g");
        let row = serde_json::from_str(&text.replace("<resource name>", "n")).unwrap();
        let read = super::activity_log::read(vec![row], id.parse().unwrap(), &mut BTreeMap::new());
        assert_eq!(read.events.len() + read.changes.len(), 1, "{name}");
        for event in read.events.values() {
            assert_eq!(event.content.event_type, EventType::ServiceIssue);
            assert_eq!(event.content.impact[0].regions[0].region, "UK South");
            assert!(event.content.is_active() && event.content.impact_start.is_some());
        }
        for (_, state) in &read.changes {
            assert_eq!(state.state, AvailabilityState::Unavailable);
        }
    }
}

#[test]
fn every_official_availability_status_is_read() {
    let Some(folder) = examples("resource-health") else { return };
    for (name, file) in files(&folder, &["AvailabilityStatuses_", "AvailabilityStatus_"]) {
        for row in rows(body(&file)) {
            let mut row = row;
            // The listing's example has a placeholder instead of the resource.
            let place = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg/providers/a.b/c/d";
            row["id"] = row["id"].as_str().unwrap().replace("<resourceId>", place).into();
            let has_state = row.pointer("/properties/availabilityState").is_some_and(Value::is_string);
            let read = convert::availability(row);
            assert_eq!(read.is_some(), has_state, "{name}");
            if let Some((id, state)) = read {
                assert!(id.as_str().starts_with("/subscriptions/"), "{name}: {id}");
                assert!(!id.as_str().contains("resourcehealth"), "{name}: {id}");
                assert!(!matches!(state.state, AvailabilityState::Other(_)), "{name}: {:?}", state.state);
                assert!(state.since.is_some(), "{name}: no time");
            }
        }
    }
}

#[test]
fn resource_graph_answers_and_their_rows_are_read() {
    let Some(folder) = examples("resource-graph") else { return };
    for (name, file) in files(&folder, &["Resources"]) {
        let body = body(&file);
        let expected = body["data"].as_array().map(Vec::len);
        let answer = GraphAnswer::deserialize(fold_keys(body.clone())).unwrap();
        assert_eq!(Some(answer.data.len()), expected, "{name}");
        assert_eq!(answer.skip_token.is_some(), body["$skipToken"].is_string(), "{name}");
        assert_eq!(answer.result_truncated, body["resultTruncated"] == "true", "{name}");
    }
    for (name, properties) in files(&folder, &["HealthResources_"]) {
        let (_, state) = convert::availability(serde_json::json!({ "properties": properties }))
            .unwrap_or_else(|| panic!("{name}: not read"));
        assert_eq!(state.state, AvailabilityState::Unavailable);
        assert!(state.since.is_some());
        assert_eq!(state.resource_type.as_deref(), Some("microsoft.compute/virtualmachines"));
    }
}

#[test]
fn every_error_body_is_told_apart() {
    let Some(folder) = examples("errors") else { return };
    for (name, file) in files(&folder, &[""]) {
        let status = StatusCode::from_u16(u16::try_from(file["status"].as_u64().unwrap()).unwrap()).unwrap();
        let bytes = serde_json::to_vec(&file["body"]).unwrap();
        let refusal = request::refusal(status, &HeaderMap::new(), &bytes);
        assert!(!refusal.code.is_empty(), "{name}: no code");
        assert!(!refusal.message.is_empty(), "{name}: no message");
        let reason = Error::Refused(Box::new(refusal)).gap_reason();
        let expected = match name.as_str() {
            "AuthorizationFailed.events.json" | "AuthorizationFailed.tenant-events.json" => GapReason::AccessDenied,
            "ExpiredAuthenticationToken.json" | "DisallowedOperation.json" => GapReason::AccessDenied,
            "InvalidAuthenticationTokenTenant.json" => GapReason::SubscriptionMoved,
            "SubscriptionNotFound.json" => GapReason::SubscriptionNotFound,
            "MissingSubscriptionRegistration.json" => GapReason::ProviderNotRegistered,
            _ => GapReason::Unreadable,
        };
        assert_eq!(reason, expected, "{name}");
    }
}
