//! Reads routes that people wrote: every fault at once, each with its place, what was found and what would be right. Pure.

mod near;
mod reader;
mod timing;

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize as _;
use serde_json::{Map, Value};

pub use near::near;
pub use reader::Fault;
use reader::{NAME_RULE, Place, Reader, is_name};

use crate::model::{ChannelConfig, Routes, SubscriptionId, TenantId};

const MOST_CHANNELS: usize = 200;
const MOST_ROUTES: usize = 500;
const MOST_NAMED: usize = 2000;

/// The kinds of transitions that a route may name.
pub const WORDS: [&str; 31] = [
    "eventOpened",
    "eventUpdated",
    "eventResolved",
    "eventReopened",
    "maintenanceAnnounced",
    "maintenanceRescheduled",
    "maintenanceStarted",
    "maintenanceCompleted",
    "eventCancelled",
    "eventRetracted",
    "actionRequired",
    "reviewPublished",
    "detailsWithheld",
    "detailsAvailable",
    "customerSilent",
    "customerHeard",
    "monitorWasSilent",
    "resourceUnavailable",
    "resourceDegraded",
    "resourceUnknown",
    "resourceRecovered",
    "resourceNoLongerListed",
    "coverageLost",
    "credentialExpiring",
    "destinationFailed",
    "coverageRestored",
    "accessLost",
    "accessRestored",
    "subscriptionAdded",
    "subscriptionRemoved",
    "subscriptionStateChanged",
];

/// Kinds that are no customer's: only the partner can be told.
const PARTNERS_OWN: [&str; 3] = ["credentialExpiring", "monitorWasSilent", "destinationFailed"];

/// The types of events that Azure has.
const EVENT_TYPES: [&str; 7] =
    ["ServiceIssue", "PlannedMaintenance", "HealthAdvisory", "SecurityAdvisory", "RCA", "EmergingIssues", "Billing"];

const SEVERITIES: [&str; 3] = ["low", "medium", "high"];

/// What is wrong with a document of routes: never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// A fault of a channel's options: the option, and what is wrong with it.
pub type OptionFault = (String, String);

/// Reads routes from text.
///
/// # Errors
/// Every fault at once.
pub fn parse(text: &[u8], check: impl Fn(&str, &ChannelConfig) -> Vec<OptionFault>) -> Result<Routes, Faults> {
    match serde_json::from_slice(text) {
        Ok(document) => routes(&document, check),
        Err(error) => {
            let found = format!("no JSON ({error})");
            let right = "a JSON object with channels and routes".to_owned();
            Err(Faults(vec![Fault { pointer: String::new(), found, right, near: Vec::new(), said: None }]))
        }
    }
}

/// Reads routes from JSON. `check` looks at a channel's own options.
///
/// # Errors
/// Every fault at once.
pub fn routes(document: &Value, check: impl Fn(&str, &ChannelConfig) -> Vec<OptionFault>) -> Result<Routes, Faults> {
    let mut reader = Reader::default();
    let place = Place { pointer: String::new(), value: document };
    // What was read with GET may be sent back as it is.
    if let Some(object) = reader.object(&place, &["channels", "routes", "schemaVersion"]) {
        let names = match reader.given(&place, object, "channels") {
            Some(place) => channels(&mut reader, &place, check),
            None => BTreeSet::new(),
        };
        if let Some(place) = reader.given(&place, object, "routes") {
            let mut ids = BTreeSet::new();
            for place in reader.list(&place, MOST_ROUTES) {
                route(&mut reader, &place, &names, &mut ids);
            }
        }
    }
    if reader.faults.is_empty() {
        match Routes::deserialize(document) {
            Ok(routes) => return Ok(routes),
            // What we did not look at ourselves.
            Err(error) => reader.fault_at(String::new(), error.to_string(), "a document of routes", Vec::new()),
        }
    }
    Err(Faults(reader.faults))
}

fn channels(
    reader: &mut Reader,
    place: &Place<'_>,
    check: impl Fn(&str, &ChannelConfig) -> Vec<OptionFault>,
) -> BTreeSet<String> {
    let Some(channels) = reader.any_object(place) else { return BTreeSet::new() };
    if channels.len() > MOST_CHANNELS {
        let found = format!("{} channels", channels.len());
        reader.fault_at(place.pointer.clone(), found, format!("at most {MOST_CHANNELS}"), Vec::new());
    }
    for (name, value) in channels {
        let place = place.at(name, value);
        if !is_name(name) {
            let found = format!("the name {}", reader::shown(&Value::String(name.clone())));
            reader.fault_at(place.pointer.clone(), found, NAME_RULE, Vec::new());
        }
        let Some(object) = reader.any_object(&place) else { continue };
        let kind = reader.needed(&place, object, "kind", "the kind of the channel, such as webhook");
        if let Some(disabled) = reader.given(&place, object, "disabled") {
            reader.text(&disabled);
        }
        if kind.is_some_and(|kind| reader.text(&kind).is_some())
            && let Ok(config) = serde_json::from_value::<ChannelConfig>(value.clone())
        {
            for (field, why) in check(name, &config) {
                let option = object.get(&field);
                // What an option holds may be a secret that somebody wrote here by mistake.
                let found = if option.is_some() { "what is there" } else { "nothing" };
                reader.option_fault(format!("{}/{field}", place.pointer), found, &field, &why);
            }
        }
    }
    channels.keys().cloned().collect()
}

fn route(reader: &mut Reader, place: &Place<'_>, channels: &BTreeSet<String>, ids: &mut BTreeSet<String>) {
    let Some(object) = reader.object(place, &["id", "audience", "channels", "match", "timing"]) else { return };
    if let Some(place) = reader.needed(place, object, "id", NAME_RULE)
        && let Some(id) = reader.name(&place)
        && !ids.insert(id.to_owned())
    {
        reader.fault(&place, "an id that no other route has: it is part of every notice's id");
    }
    let audience = reader.needed(place, object, "audience", "partner or customer");
    let audience = audience.and_then(|place| reader.word(&place, &["partner", "customer"], false));
    if let Some(place) = reader.needed(place, object, "channels", "a list of names of channels") {
        let named = reader.list(&place, MOST_CHANNELS);
        if named.is_empty() && place.value.is_array() {
            reader.fault_at(place.pointer.clone(), "an empty list".to_owned(), "at least one channel", Vec::new());
        }
        for place in named {
            let known = |name: &str| channels.contains(name);
            if !place.value.as_str().is_some_and(known) {
                let right = match channels.len() {
                    0 => "the name of a channel; there are none under /channels".to_owned(),
                    1..=20 => format!("one of {}", Vec::from_iter(channels.iter().map(String::as_str)).join(", ")),
                    count => format!("the name of one of the {count} channels"),
                };
                reader.unknown(&place, right, channels.iter().map(String::as_str));
            }
        }
    }
    if let Some(place) = reader.given(place, object, "match") {
        matches(reader, &place, audience);
    }
    if let Some(place) = reader.given(place, object, "timing") {
        timing::timing(reader, &place);
    }
}

fn matches(reader: &mut Reader, place: &Place<'_>, audience: Option<&str>) {
    const MEMBERS: [&str; 10] = [
        "transitions",
        "eventTypes",
        "severity",
        "services",
        "regions",
        "tags",
        "customers",
        "labels",
        "subscriptions",
        "resourceTypes",
    ];
    let Some(object) = reader.object(place, &MEMBERS) else { return };
    for place in elements(reader, place, object, "transitions") {
        let word = reader.word(&place, &WORDS, true);
        let own = |word: &str| PARTNERS_OWN.iter().any(|own| own.eq_ignore_ascii_case(word));
        if audience == Some("customer") && word.is_some_and(own) {
            reader.fault(&place, "a kind that concerns customers: this one is told to the audience partner only");
        }
    }
    for place in elements(reader, place, object, "eventTypes") {
        reader.word(&place, &EVENT_TYPES, true);
    }
    if let Some(place) = reader.given(place, object, "severity") {
        reader.word(&place, &SEVERITIES, false);
    }
    for name in ["services", "regions", "tags", "resourceTypes"] {
        for place in elements(reader, place, object, name) {
            reader.text(&place);
            if name == "resourceTypes" && place.value.as_str().is_some_and(|text| !text.contains('/')) {
                reader.fault(&place, "a resource type such as microsoft.compute/virtualmachines");
            }
        }
    }
    for place in elements(reader, place, object, "customers") {
        reader.parsed::<TenantId>(&place, "a tenant id such as 00000000-0000-4000-8000-000000000001");
    }
    for place in elements(reader, place, object, "subscriptions") {
        reader.parsed::<SubscriptionId>(&place, "a subscription id such as 00000000-0000-4000-8000-000000000001");
    }
    if let Some(place) = reader.given(place, object, "labels")
        && let Some(labels) = reader.any_object(&place)
    {
        for (name, value) in labels {
            reader.text(&place.at(name, value));
        }
    }
}

fn elements<'a>(reader: &mut Reader, place: &Place<'a>, object: &'a Map<String, Value>, name: &str) -> Vec<Place<'a>> {
    match reader.given(place, object, name) {
        Some(place) => reader.list(&place, MOST_NAMED),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::TransitionKind;

    /// As a channel would: `url` is needed.
    fn check(_: &str, config: &ChannelConfig) -> Vec<OptionFault> {
        match config.options.contains_key("urlSetting") {
            true => Vec::new(),
            false => vec![("urlSetting".to_owned(), "must name a setting that holds the address".to_owned())],
        }
    }

    fn faults(document: Value) -> String {
        match routes(&document, check) {
            Ok(_) => String::new(),
            Err(faults) => faults.to_string(),
        }
    }

    #[test]
    fn every_kind_of_transition_may_be_named() {
        // serde lists the kinds that there are.
        let error = serde_json::from_value::<TransitionKind>(json!({ "kind": "?" })).expect_err("no such kind");
        let error = error.to_string();
        let mut kinds: Vec<_> = error.split('`').skip(3).step_by(2).collect();
        kinds.sort_unstable();
        let mut words = WORDS.to_vec();
        words.sort_unstable();
        assert_eq!(words, kinds);
    }

    #[test]
    fn a_sound_document_is_read_whole() {
        let document = json!({
            "schemaVersion": 1,
            "channels": { "ops": { "kind": "teams", "urlSetting": "NOTIFY_TEAMS" } },
            "routes": [{
                "id": "critical",
                "audience": "partner",
                "channels": ["ops"],
                "match": { "transitions": ["eventopened"], "severity": "high", "labels": { "tier": "gold" } },
                "timing": { "businessHours": { "days": ["mon"], "from": "22:00", "to": "06:00", "bypass": "high" } },
            }],
        });
        let read = routes(&document, check).expect("sound");
        assert_eq!(read.routes[0].channels, ["ops"]);
        assert_eq!(routes(&json!({}), check).expect("nothing is told"), Routes::default());
    }

    #[test]
    fn every_fault_is_said_at_once_with_its_place_and_what_would_be_right() {
        let document = json!({
            "chanels": {},
            "channels": {
                "ops": { "kind": "teams" },
                "my ops": { "kind": 7, "urlSetting": "NOTIFY_X" },
            },
            "routes": [
                { "id": "a", "audience": "partners", "channels": ["opps"], "match": {
                    "transitions": ["eventOpend"], "severity": "critical", "eventTypes": ["ServiceIsue"],
                    "customers": ["contoso"], "resourceTypes": ["vm"], "region": ["x"] } },
                { "id": "a", "audience": "customer", "channels": [], "match": { "transitions": ["credentialExpiring"] },
                  "timing": { "groupSeconds": -1, "stormAbove": 3,
                    "digest": { "every": "hourly", "atHour": 8, "timeZone": "Europe/Berlim" },
                    "businessHours": { "days": ["monday"], "from": "8", "to": "25:00" } } },
                "c",
            ],
        });
        insta::assert_snapshot!(faults(document), @r#"
        /chanels: found the member "chanels"; right would be one of the members channels, routes, schemaVersion; did you mean channels?
        /channels/my ops: found the name "my ops"; right would be 1 to 60 letters, digits, '-' or '_'
        /channels/my ops/kind: found 7; right would be one line of text, 1 to 200 characters
        /channels/ops/urlSetting: urlSetting must name a setting that holds the address
        /routes/0/audience: found "partners"; right would be one of partner, customer; did you mean partner?
        /routes/0/channels/0: found "opps"; right would be one of my ops, ops; did you mean ops?
        /routes/0/match/region: found the member "region"; right would be one of the members transitions, eventTypes, severity, services, regions, tags, customers, labels, subscriptions, resourceTypes; did you mean regions?
        /routes/0/match/transitions/0: found "eventOpend"; right would be one of eventOpened, eventUpdated, eventResolved, eventReopened, maintenanceAnnounced, maintenanceRescheduled, maintenanceStarted, maintenanceCompleted, eventCancelled, eventRetracted, actionRequired, reviewPublished, detailsWithheld, detailsAvailable, customerSilent, customerHeard, monitorWasSilent, resourceUnavailable, resourceDegraded, resourceUnknown, resourceRecovered, resourceNoLongerListed, coverageLost, credentialExpiring, destinationFailed, coverageRestored, accessLost, accessRestored, subscriptionAdded, subscriptionRemoved, subscriptionStateChanged; did you mean eventOpened or eventReopened?
        /routes/0/match/eventTypes/0: found "ServiceIsue"; right would be one of ServiceIssue, PlannedMaintenance, HealthAdvisory, SecurityAdvisory, RCA, EmergingIssues, Billing; did you mean ServiceIssue?
        /routes/0/match/severity: found "critical"; right would be one of low, medium, high
        /routes/0/match/resourceTypes/0: found "vm"; right would be a resource type such as microsoft.compute/virtualmachines
        /routes/0/match/customers/0: found "contoso"; right would be a tenant id such as 00000000-0000-4000-8000-000000000001
        /routes/1/id: found "a"; right would be an id that no other route has: it is part of every notice's id
        /routes/1/channels: found an empty list; right would be at least one channel
        /routes/1/match/transitions/0: found "credentialExpiring"; right would be a kind that concerns customers: this one is told to the audience partner only
        /routes/1/timing/groupSeconds: found -1; right would be a whole number of seconds from 0 to 86400
        /routes/1/timing/stormAbove: found 3; right would be no stormAbove beside digest: a digest is one message already
        /routes/1/timing/digest/atHour: found 8; right would be no atHour: an hourly digest is told at each full hour
        /routes/1/timing/digest/timeZone: found "Europe/Berlim"; right would be the IANA name of a time zone, such as Europe/Berlin; did you mean Europe/Berlin?
        /routes/1/timing/businessHours/days/0: found "monday"; right would be one of mon, tue, wed, thu, fri, sat, sun; did you mean mon?
        /routes/1/timing/businessHours/from: found "8"; right would be a time such as 08:00
        /routes/1/timing/businessHours/to: found "25:00"; right would be a time such as 18:00, up to 24:00
        /routes/2: found "c"; right would be an object
        "#);
    }

    #[test]
    fn a_secret_written_by_mistake_is_not_said_back() {
        let document = json!({ "channels": { "ops": { "kind": "webhook", "url": "https://x/secret" } } });
        let said = faults(document);
        assert!(said.contains("/channels/ops/urlSetting") && !said.contains("secret\""), "{said}");
    }

    #[test]
    fn hours_that_never_open_are_refused() {
        let with = |hours: Value| {
            faults(json!({ "channels": { "x": { "kind": "k", "urlSetting": "NOTIFY_X" } }, "routes": [
                { "id": "r", "audience": "customer", "channels": ["x"], "timing": { "businessHours": hours } }] }))
        };
        assert!(
            with(json!({ "days": [], "from": "08:00", "to": "09:00" }))
                .contains("/businessHours/days: found an empty list")
        );
        assert!(with(json!({ "days": ["mon"], "from": "08:00", "to": "08:00" })).contains("another time than `from`"));
        assert_eq!(with(json!({ "days": ["mon"], "from": "00:00", "to": "24:00" })), "");
    }
}
