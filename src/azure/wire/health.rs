//! Service Health events and availability statuses as Resource Health (2025-05-01) and Resource Graph (2024-04-01) send
//! them. Keys are in lower case, see [`fold_keys`](super::lenient::fold_keys). Field names follow "Events - List By
//! Subscription Id" and "Availability Statuses - List By Subscription Id" of the Azure REST reference.

use serde::Deserialize;

use super::lenient;
use crate::model::Timestamp;

/// One row of a listing, over any properties.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Row<P: Default + serde::de::DeserializeOwned> {
    #[serde(deserialize_with = "lenient::text")]
    pub id: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub name: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub location: Option<String>,
    /// Only in Resource Graph.
    #[serde(rename = "subscriptionid", deserialize_with = "lenient::text")]
    pub subscription_id: Option<String>,
    #[serde(deserialize_with = "lenient::object", bound(deserialize = "P: Default + serde::de::DeserializeOwned"))]
    pub properties: P,
}

/// The properties of a Service Health event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventProperties {
    /// Only in Resource Graph, where it equals the row's name.
    #[serde(rename = "trackingid", deserialize_with = "lenient::text")]
    pub tracking_id: Option<String>,
    #[serde(rename = "eventtype", deserialize_with = "lenient::text")]
    pub event_type: Option<String>,
    #[serde(rename = "eventsubtype", deserialize_with = "lenient::text")]
    pub event_sub_type: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub status: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub title: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub summary: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub header: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub description: Option<String>,
    #[serde(rename = "eventlevel", deserialize_with = "lenient::text")]
    pub event_level: Option<String>,
    #[serde(rename = "iseventsensitive", deserialize_with = "lenient::flag")]
    pub is_event_sensitive: bool,
    #[serde(rename = "ishir", deserialize_with = "lenient::flag")]
    pub is_hir: bool,
    #[serde(rename = "impactstarttime", deserialize_with = "lenient::time")]
    pub impact_start_time: Option<Timestamp>,
    #[serde(rename = "impactmitigationtime", deserialize_with = "lenient::time")]
    pub impact_mitigation_time: Option<Timestamp>,
    #[serde(rename = "lastupdatetime", deserialize_with = "lenient::time")]
    pub last_update_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::list")]
    pub impact: Vec<Impact>,
    #[serde(rename = "eventtags", deserialize_with = "lenient::list")]
    pub event_tags: Vec<String>,
    #[serde(deserialize_with = "lenient::object")]
    pub article: Article,
}

/// One impacted service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Impact {
    #[serde(rename = "impactedservice", deserialize_with = "lenient::text")]
    pub impacted_service: Option<String>,
    #[serde(rename = "impactedserviceguid", deserialize_with = "lenient::text")]
    pub impacted_service_guid: Option<String>,
    #[serde(rename = "impactedregions", deserialize_with = "lenient::list")]
    pub impacted_regions: Vec<ImpactedRegion>,
}

/// One region of an impacted service.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImpactedRegion {
    #[serde(rename = "impactedregion", deserialize_with = "lenient::text")]
    pub impacted_region: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub status: Option<String>,
    #[serde(deserialize_with = "lenient::list")]
    pub updates: Vec<Update>,
}

/// One publication, repeated for every region.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Update {
    #[serde(deserialize_with = "lenient::text")]
    pub summary: Option<String>,
    #[serde(rename = "updatedatetime", deserialize_with = "lenient::time")]
    pub update_date_time: Option<Timestamp>,
    #[serde(rename = "eventtags", deserialize_with = "lenient::list")]
    pub event_tags: Vec<String>,
}

/// The article of an event, where its text is nowhere else.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Article {
    #[serde(rename = "articlecontent", deserialize_with = "lenient::text")]
    pub article_content: Option<String>,
}

/// The properties of an availability status.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AvailabilityProperties {
    #[serde(rename = "availabilitystate", deserialize_with = "lenient::text")]
    pub availability_state: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub summary: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    pub title: Option<String>,
    #[serde(rename = "reasontype", deserialize_with = "lenient::text")]
    pub reason_type: Option<String>,
    /// Azure's own spelling; some versions and Resource Graph spell it right.
    #[serde(rename = "occuredtime", alias = "occurredtime", deserialize_with = "lenient::time")]
    pub occured_time: Option<Timestamp>,
    /// Only in Resource Graph.
    #[serde(rename = "targetresourceid", deserialize_with = "lenient::text")]
    pub target_resource_id: Option<String>,
    /// Only in Resource Graph.
    #[serde(rename = "targetresourcetype", deserialize_with = "lenient::text")]
    pub target_resource_type: Option<String>,
}

/// The envelope of a Resource Graph answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct GraphAnswer {
    #[serde(deserialize_with = "lenient::list")]
    pub data: Vec<serde_json::Value>,
    #[serde(rename = "$skiptoken", deserialize_with = "lenient::text")]
    pub skip_token: Option<String>,
    #[serde(rename = "resulttruncated", deserialize_with = "lenient::flag")]
    pub result_truncated: bool,
}

/// The properties of a resource that an event hits ("Impacted Resources - List By Subscription Id And Event Id").
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ImpactedProperties {
    #[serde(rename = "targetresourceid", deserialize_with = "lenient::text")]
    pub target_resource_id: Option<String>,
    #[serde(rename = "targetresourcetype", deserialize_with = "lenient::text")]
    pub target_resource_type: Option<String>,
    #[serde(rename = "targetregion", deserialize_with = "lenient::text")]
    pub target_region: Option<String>,
    /// Only in Resource Graph and some versions.
    #[serde(deserialize_with = "lenient::text")]
    pub status: Option<String>,
    #[serde(rename = "maintenancestarttime", deserialize_with = "lenient::time")]
    pub maintenance_start_time: Option<Timestamp>,
    #[serde(rename = "maintenanceendtime", deserialize_with = "lenient::time")]
    pub maintenance_end_time: Option<Timestamp>,
}
