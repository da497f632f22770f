//! Which transitions go to which channels, `routes.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Severity, SubscriptionId, TenantId};

/// Routes and channels, `routes.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    /// The channels by name (letters, digits, `-`, `_`).
    #[serde(default)]
    pub channels: BTreeMap<String, ChannelConfig>,
    /// The routes, in order; every one that matches tells.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// One destination. What its kind needs is read and checked by the channel itself; secrets are named by the setting that
/// holds them, never written here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelConfig {
    /// Which channel: `webhook`, `teams`, `slack`, ...
    pub kind: String,
    /// Why nothing is sent to it any more, such as after a 410. None: it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// What the kind needs.
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

/// Which transitions go where, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Its id (letters, digits, `-`, `_`): part of every notice's id, so that it is kept when the route changes.
    pub id: String,
    /// Whom its notices speak to.
    pub audience: Audience,
    /// The channels, by name.
    pub channels: Vec<String>,
    /// What it takes. Empty: everything that is news.
    #[serde(default, rename = "match")]
    pub matches: Matches,
    /// When it is told.
    #[serde(default)]
    pub timing: Timing,
}

/// Whom the notices of a route speak to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Audience {
    /// The partner: one notice for an incident, however many customers it hits.
    Partner,
    /// Each customer: one notice for each.
    Customer,
}

/// What a route takes: every member that is set must hold; within a list one is enough. Texts are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Matches {
    /// Kinds of transitions such as `eventOpened`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<String>,
    /// Event types such as `ServiceIssue`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// At least this severity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Azure services by name, such as `Virtual Machines`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Regions by display name, such as `West Europe`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Azure's tags of the event, such as `Final PIR`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Customers, by tenant id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub customers: Vec<TenantId>,
    /// Labels of the customer's record, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Subscriptions, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<SubscriptionId>,
    /// Resource types such as `microsoft.sql/servers/databases`, of transitions of resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_types: Vec<String>,
}

/// When a route tells what it took. Durations in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timing {
    /// How long a notice waits for more of the same: later states of its subject, and further customers of an incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_seconds: Option<u32>,
    /// When more notices than this reach one channel within the group time, they are told in one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm_above: Option<u32>,
    /// Told in one message per day or hour instead of at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Told only within these hours; what comes at other times waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_hours: Option<BusinessHours>,
    /// Before maintenance and deadlines: how many hours ahead it is told again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remind_before_hours: Vec<u32>,
    /// What goes on and nobody acknowledged is told again each so many minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remind_unacknowledged_minutes: Option<u32>,
}

/// One message for all of a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Digest {
    /// `hourly`, `daily` or `weekly`.
    pub every: DigestEvery,
    /// At which hour of the day. None: 8. Not for `hourly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_hour: Option<u8>,
    /// An IANA time zone. None: the customer's, else UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// How often a digest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DigestEvery {
    /// At the full hour.
    Hourly,
    /// Each day.
    Daily,
    /// Each Monday.
    Weekly,
}

/// The hours in which somebody listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BusinessHours {
    /// `mon` to `sun`.
    pub days: Vec<String>,
    /// `08:00`.
    pub from: String,
    /// `18:00`.
    pub to: String,
    /// An IANA time zone. None: the customer's, else UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// From this severity on it is told at any hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Severity>,
}
