//! Service Health events, and builders that name the case.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::resource::iso;
use super::switches::{EventIdSpelling, HealthSwitches};
use crate::model::{SubscriptionId, Timestamp};

/// An event as Azure sees it: one for the whole cloud, listed for each subscription that it hits.
#[derive(Debug, Clone)]
pub struct Event {
    /// The key, such as `KSYM-9_8`.
    pub tracking_id: String,
    /// `ServiceIssue`, `PlannedMaintenance`, `HealthAdvisory`, `SecurityAdvisory`, `RCA`, `EmergingIssues`, `Billing`.
    pub event_type: String,
    /// Such as `Retirement`.
    pub event_sub_type: Option<String>,
    /// `Active` or `Resolved`.
    pub status: String,
    /// Title.
    pub title: String,
    /// First lines, HTML.
    pub summary: String,
    /// The newest full text, HTML.
    pub description: String,
    /// `Critical`, `Error`, `Warning`, `Informational`.
    pub event_level: String,
    /// 0 most important to 23.
    pub priority: u8,
    /// When the impact began.
    pub impact_start: Timestamp,
    /// When it ended or will end.
    pub impact_mitigation: Option<Timestamp>,
    /// The version stamp.
    pub last_update: Timestamp,
    /// Services and the regions in which they are hit.
    pub services: Vec<(String, Vec<String>)>,
    /// Regions where it is over while it goes on elsewhere.
    pub regions_over: BTreeSet<String>,
    /// Texts, oldest first.
    pub updates: Vec<Update>,
    /// Who is hit, and how much later than `last_update` Azure stamped the event there.
    pub subscriptions: BTreeMap<SubscriptionId, Duration>,
    /// The resources that it hits: their subscription, full id and region.
    pub impacted: Vec<(SubscriptionId, String, String)>,
    /// Texts are withheld from readers.
    pub sensitive: bool,
    /// Such as `Final PIR`.
    pub tags: Vec<String>,
    /// High impact.
    pub high_impact: bool,
    /// More properties, or others in the place of the usual ones. `null` takes one out.
    pub properties: Map<String, Value>,
    /// Sent as the whole row instead of everything above.
    pub raw: Option<Value>,
}

/// One text of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// When it was published.
    pub at: Timestamp,
    /// HTML.
    pub text: String,
    /// Such as `Action Recommended`.
    pub tags: Vec<String>,
}

impl Event {
    /// An active event of any type that began at this time.
    pub fn new(event_type: &str, tracking_id: &str, title: &str, started: Timestamp) -> Self {
        Self {
            tracking_id: tracking_id.to_owned(),
            event_type: event_type.to_owned(),
            event_sub_type: None,
            status: "Active".to_owned(),
            title: title.to_owned(),
            summary: String::new(),
            description: String::new(),
            event_level: "Informational".to_owned(),
            priority: 16,
            impact_start: started,
            impact_mitigation: None,
            last_update: started,
            services: Vec::new(),
            regions_over: BTreeSet::new(),
            updates: Vec::new(),
            subscriptions: BTreeMap::new(),
            impacted: Vec::new(),
            sensitive: false,
            tags: Vec::new(),
            high_impact: false,
            properties: Map::new(),
            raw: None,
        }
    }

    /// An active service issue.
    pub fn service_issue(tracking_id: &str, title: &str, started: Timestamp) -> Self {
        Self::new("ServiceIssue", tracking_id, title, started).level("Warning")
    }

    /// A maintenance announced now that begins and ends at these times.
    pub fn planned_maintenance(
        tracking_id: &str,
        title: &str,
        announced: Timestamp,
        from: Timestamp,
        to: Timestamp,
    ) -> Self {
        let mut event = Self::new("PlannedMaintenance", tracking_id, title, from);
        event.last_update = announced;
        event.impact_mitigation = Some(to);
        event.priority = 20;
        event.properties.insert("impactType".to_owned(), "Network Connectivity".into());
        event
    }

    /// A health advisory.
    pub fn health_advisory(tracking_id: &str, title: &str, published: Timestamp) -> Self {
        let mut event = Self::new("HealthAdvisory", tracking_id, title, published);
        event.priority = 22;
        event
    }

    /// The retirement of something, on a day.
    pub fn retirement(tracking_id: &str, title: &str, published: Timestamp, deadline: Timestamp) -> Self {
        let mut event = Self::health_advisory(tracking_id, title, published);
        event.event_sub_type = Some("Retirement".to_owned());
        event.impact_mitigation = Some(deadline);
        event
    }

    /// A security advisory whose texts are withheld from readers.
    pub fn security_advisory(tracking_id: &str, title: &str, published: Timestamp) -> Self {
        let mut event = Self::new("SecurityAdvisory", tracking_id, title, published).level("Warning");
        event.sensitive = true;
        event.priority = 5;
        event
    }

    /// With this event level.
    #[must_use]
    pub fn level(mut self, level: &str) -> Self {
        self.event_level = level.to_owned();
        self
    }

    /// Hits a service in regions.
    #[must_use]
    pub fn service(mut self, service: &str, regions: &[&str]) -> Self {
        self.services.push((service.to_owned(), regions.iter().map(|&region| region.to_owned()).collect()));
        self
    }

    /// Hits subscriptions.
    #[must_use]
    pub fn hits(mut self, subscriptions: impl IntoIterator<Item = SubscriptionId>) -> Self {
        self.subscriptions.extend(subscriptions.into_iter().map(|one| (one, Duration::ZERO)));
        self
    }

    /// With a text published at this time.
    #[must_use]
    pub fn text(mut self, at: Timestamp, html: &str) -> Self {
        self.publish(at, html);
        self
    }

    /// Over since this time.
    #[must_use]
    pub fn resolved(mut self, at: Timestamp, html: &str) -> Self {
        self.resolve(at, html);
        self
    }

    /// Names a resource as hit.
    #[must_use]
    pub fn names(mut self, subscription: SubscriptionId, resource: &super::Resource) -> Self {
        self.impacted.push((subscription, resource.id(subscription), resource.location.clone()));
        self
    }

    /// The rows of the resources of one subscription that it hits.
    pub(super) fn impacted_json(&self, subscription: SubscriptionId) -> Vec<Value> {
        let of_it = self.impacted.iter().filter(|(owner, ..)| *owner == subscription);
        let row = |(_, id, region): &(SubscriptionId, String, String)| {
            let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}|{id}", self.tracking_id).as_bytes());
            let kind = id.rsplit('/').nth(1).map(|kind| format!("Microsoft.Compute/{kind}"));
            json!({
                "id": format!(
                    "/subscriptions/{subscription}/providers/Microsoft.ResourceHealth/events/{}/impactedResources/{name}",
                    self.tracking_id
                ),
                "name": name,
                "type": "Microsoft.ResourceHealth/events/impactedResources",
                "properties": {"targetResourceId": id, "targetResourceType": kind, "targetRegion": region, "info": []},
            })
        };
        of_it.map(row).collect()
    }

    /// With one more property, or another value of a usual one.
    #[must_use]
    pub fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(name.to_owned(), value.into());
        self
    }

    /// Publishes a text. The version stamp moves on.
    pub fn publish(&mut self, at: Timestamp, html: &str) {
        if self.summary.is_empty() {
            self.summary = html.to_owned();
        }
        self.description = html.to_owned();
        self.updates.push(Update { at, text: html.to_owned(), tags: Vec::new() });
        self.last_update = self.last_update.max(at);
    }

    /// Hits more subscriptions from this time on.
    pub fn spread(&mut self, at: Timestamp, subscriptions: impl IntoIterator<Item = SubscriptionId>) {
        self.subscriptions.extend(subscriptions.into_iter().map(|one| (one, Duration::ZERO)));
        self.last_update = self.last_update.max(at);
    }

    /// Ends the event with a last text.
    pub fn resolve(&mut self, at: Timestamp, html: &str) {
        self.status = "Resolved".to_owned();
        self.impact_mitigation = Some(at);
        self.publish(at, html);
    }

    /// It is over in a region, and goes on in the others.
    pub fn recover(&mut self, at: Timestamp, region: &str, html: &str) {
        self.regions_over.insert(region.to_owned());
        self.publish(at, html);
    }

    /// Goes on after it was over.
    pub fn reopen(&mut self, at: Timestamp, html: &str) {
        self.status = "Active".to_owned();
        self.impact_mitigation = None;
        self.publish(at, html);
    }

    /// Publishes a review of what is over: `Preliminary PIR` or `Final PIR`. The texts of before stay.
    pub fn review(&mut self, at: Timestamp, tag: &str, html: &str) {
        if !self.title.starts_with("Post Incident Review") {
            self.title = format!("Post Incident Review (PIR) – {}", self.title);
        }
        self.publish(at, html);
        self.tags = vec![tag.to_owned()];
        if let Some(update) = self.updates.last_mut() {
            update.tags.clone_from(&self.tags);
        }
    }

    /// There was no such problem: over, and tagged as a false alarm.
    pub fn retract(&mut self, at: Timestamp, html: &str) {
        self.title = format!("No Impact - {}", self.title);
        self.tags = vec!["False Positive".to_owned()];
        self.resolve(at, html);
    }

    /// Moves maintenance.
    pub fn reschedule(&mut self, at: Timestamp, from: Timestamp, to: Timestamp, html: &str) {
        self.impact_start = from;
        self.impact_mitigation = Some(to);
        self.publish(at, html);
    }

    /// Calls maintenance off: Azure changes its title, and for a while nothing else.
    pub fn call_off(&mut self, at: Timestamp, html: &str) {
        self.title = format!("Canceled - {}", self.title);
        self.publish(at, html);
    }

    /// Ends maintenance, maybe before its planned end.
    pub fn complete(&mut self, at: Timestamp, html: &str) {
        self.title = format!("End of {}", self.title);
        self.resolve(at, html);
    }

    /// Lets everybody read what was withheld.
    pub fn disclose(&mut self, at: Timestamp, html: &str) {
        self.sensitive = false;
        self.publish(at, html);
    }

    fn header(&self) -> &'static str {
        match self.event_type.as_str() {
            "PlannedMaintenance" => "Your service is scheduled for maintenance",
            "HealthAdvisory" => "Your service might need your attention",
            "SecurityAdvisory" => "Your service might be affected by a security matter",
            _ => "Your service might have been impacted by an Azure service issue",
        }
    }

    /// When Azure stamped the event in this subscription.
    pub(super) fn last_update_in(&self, subscription: SubscriptionId) -> Timestamp {
        self.last_update + self.subscriptions.get(&subscription).copied().unwrap_or_default()
    }

    /// The row of the REST API as one subscription sees it. `texts`: the caller may read withheld texts.
    pub(super) fn to_json(&self, subscription: SubscriptionId, switches: &HealthSwitches, texts: bool) -> Value {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let withheld = self.sensitive && !texts;
        let last_update = iso(self.last_update_in(subscription));
        let mut properties = json!({
            "eventType": self.event_type,
            "eventSource": "ServiceHealth",
            "status": self.status,
            "title": self.title,
            "header": self.header(),
            "level": "Warning",
            "eventLevel": self.event_level,
            "externalIncidentId": self.external_incident_id(),
            "impactStartTime": iso(self.impact_start),
            "impact": self.impact_json(subscription, &last_update, !withheld),
            "recommendedActions": {},
            "isHIR": self.high_impact,
            "isEventSensitive": self.sensitive,
            "platformInitiated": true,
            "priority": self.priority,
            "lastUpdateTime": last_update,
        });
        if !withheld {
            properties["summary"] = self.summary.clone().into();
            properties["description"] = self.description.clone().into();
        }
        match self.impact_mitigation {
            Some(time) => properties["impactMitigationTime"] = iso(time).into(),
            None if switches.mitigation_year_one => properties["impactMitigationTime"] = "0001-01-01T00:00:00".into(),
            None => {}
        }
        if let Some(sub_type) = &self.event_sub_type {
            properties["eventSubType"] = sub_type.clone().into();
        }
        if !self.tags.is_empty() {
            properties["eventTags"] = self.tags.clone().into();
        }
        if let Value::Object(all) = &mut properties {
            for (name, value) in &self.properties {
                if value.is_null() {
                    all.remove(name);
                } else {
                    all.insert(name.clone(), value.clone());
                }
            }
        }
        let path = format!("providers/Microsoft.ResourceHealth/events/{}", self.tracking_id);
        let (id, kind) = match switches.id_spelling {
            EventIdSpelling::Specified => (format!("/{path}"), "/providers/Microsoft.ResourceHealth/events"),
            EventIdSpelling::Bare => (path["providers/".len()..].to_owned(), "Microsoft.ResourceHealth/events"),
            EventIdSpelling::Full => {
                (format!("/subscriptions/{subscription}/{path}"), "Microsoft.ResourceHealth/events")
            }
        };
        json!({"id": id, "name": self.tracking_id, "type": kind, "properties": properties})
    }

    fn external_incident_id(&self) -> String {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, self.tracking_id.as_bytes()).as_u128();
        (500_000_000 + id % 100_000_000).to_string()
    }

    fn impact_json(&self, subscription: SubscriptionId, last_update: &str, texts: bool) -> Value {
        let update = |update: &Update| json!({"summary": update.text, "updateDateTime": iso(update.at), "eventTags": update.tags});
        let updates: Vec<Value> = if texts { self.updates.iter().rev().map(update).collect() } else { Vec::new() };
        let region = |region: &String| {
            json!({
                "impactedRegion": region,
                "status": if self.regions_over.contains(region) { "Resolved" } else { &self.status },
                "impactedSubscriptions": [subscription],
                "impactedTenants": [],
                "lastUpdateTime": last_update,
                "updates": updates,
            })
        };
        let service = |(service, regions): &(String, Vec<String>)| {
            json!({
                "impactedService": service,
                "impactedServiceGuid": Uuid::new_v5(&Uuid::NAMESPACE_OID, service.as_bytes()),
                "impactedRegions": regions.iter().map(region).collect::<Vec<_>>(),
            })
        };
        self.services.iter().map(service).collect()
    }
}
