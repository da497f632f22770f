//! Rows of the activity log (2015-04-01, "Activity Logs - List"), of the categories ServiceHealth and ResourceHealth
//! ("Activity log event schema"). Keys are in lower case, see [`fold_keys`](super::lenient::fold_keys).

use serde::Deserialize;

use super::lenient;
use crate::model::Timestamp;

/// One row.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ActivityRow {
    #[serde(deserialize_with = "lenient::object")]
    pub category: Localized,
    #[serde(deserialize_with = "lenient::object")]
    pub status: Localized,
    #[serde(rename = "operationname", deserialize_with = "lenient::object")]
    pub operation_name: Localized,
    #[serde(rename = "eventtimestamp", deserialize_with = "lenient::time")]
    pub event_timestamp: Option<Timestamp>,
    #[serde(rename = "resourceid", deserialize_with = "lenient::text")]
    pub resource_id: Option<String>,
    #[serde(deserialize_with = "lenient::object")]
    pub properties: ActivityProperties,
}

/// A word with its translation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Localized {
    #[serde(deserialize_with = "lenient::text")]
    pub value: Option<String>,
}

/// The properties of both categories; all are texts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ActivityProperties {
    #[serde(deserialize_with = "lenient::text")]
    pub title: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub service: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub region: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub communication: Option<String>,
    #[serde(rename = "incidenttype", deserialize_with = "lenient::text")]
    pub incident_type: Option<String>,
    #[serde(rename = "trackingid", deserialize_with = "lenient::text")]
    pub tracking_id: Option<String>,
    #[serde(rename = "impactstarttime", deserialize_with = "lenient::time")]
    pub impact_start_time: Option<Timestamp>,
    #[serde(rename = "impactmitigationtime", deserialize_with = "lenient::time")]
    pub impact_mitigation_time: Option<Timestamp>,
    /// JSON as text: `[{"ImpactedRegions":[{"RegionName":".."}],"ServiceName":".."}]`; an array in some tools' copies.
    #[serde(rename = "impactedservices")]
    pub impacted_services: serde_json::Value,
    #[serde(deserialize_with = "lenient::text")]
    pub stage: Option<String>,
    #[serde(rename = "ishir", deserialize_with = "lenient::flag")]
    pub is_hir: bool,
    #[serde(rename = "issynthetic", deserialize_with = "lenient::flag")]
    pub is_synthetic: bool,
    /// ResourceHealth, in one of its two shapes.
    #[serde(rename = "currenthealthstatus", deserialize_with = "lenient::text")]
    pub current_health_status: Option<String>,
    /// ResourceHealth, in the other.
    #[serde(rename = "healthstatus", deserialize_with = "lenient::text")]
    pub health_status: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub details: Option<String>,
    #[serde(rename = "healtheventcategory", deserialize_with = "lenient::text")]
    pub health_event_category: Option<String>,
}

/// One entry of `impactedServices`, keys in lower case.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImpactedService {
    #[serde(rename = "servicename", deserialize_with = "lenient::text")]
    pub service_name: Option<String>,
    #[serde(rename = "serviceguid", deserialize_with = "lenient::text")]
    pub service_guid: Option<String>,
    #[serde(rename = "impactedregions", deserialize_with = "lenient::list")]
    pub impacted_regions: Vec<ImpactedRegion>,
}

/// One region of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImpactedRegion {
    #[serde(rename = "regionname", deserialize_with = "lenient::text")]
    pub region_name: Option<String>,
}
