//! Emerging issues of Resource Health (2025-05-01, "Emerging Issues - Get"). Keys are in lower case.

use serde::Deserialize;

use super::lenient;
use crate::model::Timestamp;

/// The properties of the one document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EmergingProperties {
    /// Written with a blank instead of the `T`.
    #[serde(rename = "refreshtimestamp", deserialize_with = "lenient::time")]
    pub refresh_timestamp: Option<Timestamp>,
    #[serde(rename = "statusbanners", deserialize_with = "lenient::list")]
    pub status_banners: Vec<Banner>,
    #[serde(rename = "statusactiveevents", deserialize_with = "lenient::list")]
    pub status_active_events: Vec<StatusEvent>,
}

/// A banner.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Banner {
    #[serde(deserialize_with = "lenient::text")]
    pub title: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub message: Option<String>,
    #[serde(rename = "lastmodifiedtime", deserialize_with = "lenient::time")]
    pub last_modified_time: Option<Timestamp>,
}

/// An issue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusEvent {
    #[serde(deserialize_with = "lenient::text")]
    pub title: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub description: Option<String>,
    #[serde(rename = "trackingid", deserialize_with = "lenient::text")]
    pub tracking_id: Option<String>,
    #[serde(rename = "starttime", deserialize_with = "lenient::time")]
    pub start_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::text")]
    pub severity: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub stage: Option<String>,
    #[serde(deserialize_with = "lenient::flag_or_true", default = "lenient::yes")]
    pub published: bool,
    #[serde(rename = "lastmodifiedtime", deserialize_with = "lenient::time")]
    pub last_modified_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::list")]
    pub impacts: Vec<StatusImpact>,
}

/// A service that an issue hits.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StatusImpact {
    #[serde(deserialize_with = "lenient::text")]
    pub id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub name: Option<String>,
    #[serde(deserialize_with = "lenient::list")]
    pub regions: Vec<Named>,
}

/// A region.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    #[serde(deserialize_with = "lenient::text")]
    pub id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub name: Option<String>,
}
