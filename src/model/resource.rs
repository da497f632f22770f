//! The availability of one resource.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Timestamp, open_enum};

open_enum!(
    /// Resource Health's verdict on one resource (`properties.availabilityState`).
    AvailabilityState {
        /// It works.
        Available = "Available",
        /// It does not work.
        Unavailable = "Unavailable",
        /// It works with loss.
        Degraded = "Degraded",
        /// Azure has had no signal for ten minutes: neither up nor down.
        Unknown = "Unknown",
    }
);

/// The availability of one resource, as last seen. Kept only while it is not `Available`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceState {
    /// The verdict.
    pub state: AvailabilityState,
    /// The resource type, such as `microsoft.compute/virtualmachines`, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The region's name, such as `westeurope`, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Since when, as Azure says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// `Unplanned`, `Planned` or `UserInitiated`, where Azure says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Azure's one-line explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Complete listings in a row that did not have the resource. Never means recovered.
    #[serde(default)]
    pub missed_listings: u32,
}

impl ResourceState {
    /// A resource that works. Nearly all do, and of these nobody reads more than since when.
    pub fn available(since: Option<Timestamp>) -> Self {
        Self {
            state: AvailabilityState::Available,
            resource_type: None,
            location: None,
            since,
            reason: None,
            summary: None,
            missed_listings: 0,
        }
    }
}
