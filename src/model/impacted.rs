//! The resources that Azure names as hit by an event.

use serde::{Deserialize, Serialize};

use super::{ResourceId, Timestamp};

/// What one subscription's resources Azure names as hit by one event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImpactedResources {
    /// When it was last read in full.
    pub read_at: Timestamp,
    /// How many there are, those without a resource id included.
    pub total: usize,
    /// The first of them by id, [`ImpactedResources::KEPT`] at most.
    #[serde(default)]
    pub resources: Vec<ImpactedResource>,
}

/// One resource that Azure names as hit by an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImpactedResource {
    /// The resource.
    pub resource_id: ResourceId,
    /// Its type, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Where the event stands for this resource, as Azure says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// When its maintenance begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_start: Option<Timestamp>,
    /// When its maintenance ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance_end: Option<Timestamp>,
}

impl ImpactedResources {
    /// How many are kept of one subscription and event; the total is always told.
    pub const KEPT: usize = 100;

    /// What was read, in order of ids, each once, and no more than is kept. `unnamed`: rows without a resource id.
    pub fn of(mut resources: Vec<ImpactedResource>, unnamed: usize, read_at: Timestamp) -> Self {
        resources.sort();
        resources.dedup_by(|a, b| a.resource_id == b.resource_id);
        let total = resources.len() + unnamed;
        resources.truncate(Self::KEPT);
        Self { read_at, total, resources }
    }
}
