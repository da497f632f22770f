//! What changed in an event: as a kind of change, and in names.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Severity, SubscriptionId};

/// What changed in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventChange {
    /// The title.
    Title,
    /// The severity or level.
    Severity,
    /// The services or regions, as older versions of this program told it.
    Scope,
    /// Azure named more services.
    ServicesAdded,
    /// Azure no longer names some services.
    ServicesRemoved,
    /// Azure named more regions.
    RegionsAdded,
    /// Azure no longer names some regions.
    RegionsRemoved,
    /// It is over in some regions, or goes on again there.
    RegionStatus,
    /// The subscriptions that see it.
    Subscriptions,
    /// Start or mitigation time.
    Times,
    /// A new text was published.
    Text,
    /// The tags, but for those that are told on their own, such as a published review.
    Tags,
}

/// What changed in an event, in names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventDelta {
    /// The severity before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was_severity: Option<Severity>,
    /// Services that are hit, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services_added: BTreeSet<String>,
    /// Services that are no longer named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services_removed: BTreeSet<String>,
    /// Regions that are hit, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions_added: BTreeSet<String>,
    /// Regions that are no longer named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions_removed: BTreeSet<String>,
    /// Regions where it is over, while it goes on elsewhere.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions_over: BTreeSet<String>,
    /// Regions where it goes on again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions_back: BTreeSet<String>,
    /// Subscriptions that see it, too.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub subscriptions_added: BTreeSet<SubscriptionId>,
}

impl EventDelta {
    /// True when there is nothing to name.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
