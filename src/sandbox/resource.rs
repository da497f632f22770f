//! Resources and their availability.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use crate::model::{SubscriptionId, Timestamp};

/// A resource in a subscription.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its own name.
    pub name: String,
    /// Its resource group.
    pub group: String,
    /// Its type, such as `Microsoft.Compute/virtualMachines`.
    pub kind: String,
    /// Its region's short name, such as `westeurope`.
    pub location: String,
    /// `Available`, `Unavailable`, `Degraded`, `Unknown`.
    pub state: String,
    /// The state before.
    pub previous_state: String,
    /// Since when.
    pub since: Timestamp,
    /// `Unplanned`, `Planned`, `UserInitiated` or empty.
    pub reason_type: String,
    /// Words for people; a usual text when empty.
    pub summary: String,
    /// When it became available again, with the words about the time before.
    pub recently_resolved: Option<(Timestamp, Timestamp, String)>,
    /// Sent as the whole row instead of everything above.
    pub raw: Option<Value>,
}

impl Resource {
    /// An available resource of any type.
    pub fn new(kind: &str, name: &str, location: &str, since: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            group: "production".to_owned(),
            kind: kind.to_owned(),
            location: location.to_owned(),
            state: "Available".to_owned(),
            previous_state: "Available".to_owned(),
            since,
            reason_type: String::new(),
            summary: String::new(),
            recently_resolved: None,
            raw: None,
        }
    }

    /// An available virtual machine.
    pub fn virtual_machine(name: &str, location: &str, since: Timestamp) -> Self {
        Self::new("Microsoft.Compute/virtualMachines", name, location, since)
    }

    /// An available SQL database.
    pub fn sql_database(name: &str, location: &str, since: Timestamp) -> Self {
        Self::new("Microsoft.Sql/servers/databases", name, location, since)
    }

    /// Changes the state, with Azure as the cause.
    pub fn becomes(&mut self, state: &str, at: Timestamp, summary: &str) {
        if state == "Available" && self.state != "Available" {
            self.recently_resolved = Some((self.since, at, self.summary.clone()));
        }
        self.previous_state = std::mem::replace(&mut self.state, state.to_owned());
        self.since = at;
        self.reason_type = if state == "Available" { String::new() } else { "Unplanned".to_owned() };
        self.summary = summary.to_owned();
    }

    /// The full resource id.
    pub fn id(&self, subscription: SubscriptionId) -> String {
        // A child type such as servers/databases has its parent's name in the path.
        let mut path = String::new();
        let (namespace, types) = self.kind.split_once('/').unwrap_or((&self.kind, "things"));
        let types: Vec<&str> = types.split('/').collect();
        for (index, kind) in types.iter().enumerate() {
            let name = if index + 1 == types.len() { self.name.clone() } else { format!("{}-host", self.name) };
            path.push_str(&format!("/{kind}/{name}"));
        }
        format!("/subscriptions/{subscription}/resourceGroups/{}/providers/{namespace}{path}", self.group)
    }

    fn title(&self) -> &str {
        &self.state
    }

    fn words(&self) -> String {
        if !self.summary.is_empty() {
            return self.summary.clone();
        }
        match self.state.as_str() {
            "Available" => "There aren't any known Azure platform problems affecting this resource.",
            "Unknown" => "We have had no word from this resource for a while.",
            _ => "A problem of the platform affects this resource.",
        }
        .to_owned()
    }

    /// The row of the availability status API.
    pub(super) fn to_json(&self, subscription: SubscriptionId, now: Timestamp) -> Value {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let healthy = self.state == "Available";
        let mut properties = json!({
            "availabilityState": self.state,
            "title": self.title(),
            "summary": self.words(),
            "reasonType": self.reason_type,
            "occuredTime": iso(self.since),
            "reasonChronicity": if healthy { "Transient" } else { "Persistent" },
            "reportedTime": iso(now),
        });
        if !healthy {
            properties["detailedStatus"] = self.words().into();
            properties["context"] = "Platform Initiated".into();
            properties["category"] = "Unplanned".into();
            properties["recommendedActions"] = json!([{
                "action": "If the problem stays, contact support",
                "actionUrl": "<#SupportCase>",
                "actionUrlText": "contact support",
            }]);
        }
        if let Some((since, resolved, summary)) = &self.recently_resolved
            && now - *resolved < chrono::Duration::hours(24)
        {
            properties["recentlyResolved"] = json!({
                "unavailableOccuredTime": iso(*since),
                "resolvedTime": iso(*resolved),
                "unavailableSummary": summary,
            });
        }
        json!({
            "id": format!("{}/providers/Microsoft.ResourceHealth/availabilityStatuses/current", self.id(subscription)),
            "name": "current",
            "type": "Microsoft.ResourceHealth/AvailabilityStatuses",
            "location": self.location,
            "properties": properties,
        })
    }

    /// The row of Resource Graph, which knows virtual machines only.
    pub(super) fn to_graph_row(&self, subscription: SubscriptionId, tenant: &str) -> Option<Value> {
        let kind = self.kind.to_ascii_lowercase();
        if !kind.starts_with("microsoft.compute/virtualmachine") {
            return None;
        }
        let id = self.id(subscription);
        Some(json!({
            "id": format!("{id}/providers/microsoft.resourcehealth/availabilitystatuses/current").to_ascii_lowercase(),
            "name": "current",
            "type": "microsoft.resourcehealth/availabilitystatuses",
            "tenantId": tenant,
            "subscriptionId": subscription,
            "location": self.location,
            "properties": {
                "targetResourceType": self.kind,
                "targetResourceId": id,
                "availabilityState": self.state,
                "previousAvailabilityState": self.previous_state,
                "occurredTime": iso(self.since),
                "reasonType": self.reason_type,
                "title": self.title(),
                "summary": self.words(),
            },
        }))
    }
}

/// Azure's usual spelling of a time: seven digits after the point.
pub(super) fn iso(time: Timestamp) -> String {
    let micros = time.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("{}0Z", micros.trim_end_matches('Z'))
}
