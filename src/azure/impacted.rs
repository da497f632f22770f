//! The resources that Azure names as hit by an event: Resource Graph's rows first, REST where it has none
//! ("Azure health data APIs", 1.9 and 3.3).

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use serde::Deserialize as _;
use serde_json::Value;

use super::convert::line;
use super::wire::health::{ImpactedProperties, Row};
use super::wire::lenient::fold_keys;
use super::{AccessToken, Client, resource_graph, resource_health};
use crate::model::{ImpactedResource, ImpactedResources, ResourceId, SubscriptionId, Timestamp, TrackingId};

/// REST calls in flight.
const IN_FLIGHT: usize = 4;

/// What is named as hit, by subscription and event.
pub(super) type Impacted = BTreeMap<(SubscriptionId, TrackingId), ImpactedResources>;

impl Client {
    /// The resources that events hit. `visible`: the subscriptions that Resource Graph shows; `pairs`: what to ask REST for where
    /// Resource Graph has nothing.
    pub(super) async fn read_impacted(
        &self,
        token: &AccessToken,
        visible: &BTreeSet<SubscriptionId>,
        pairs: &[(SubscriptionId, TrackingId)],
        at: Timestamp,
    ) -> Impacted {
        let mut found = Impacted::new();
        if !visible.is_empty() {
            match self.graph_query(token, resource_graph::IMPACTED, visible).await {
                Ok(rows) => found = group(rows, at),
                Err(error) => tracing::info!(%error, "Resource Graph did not name the resources that events hit"),
            }
        }
        let mut calls = Vec::new();
        for (subscription, id) in pairs {
            let key = (*subscription, id.clone());
            if !found.contains_key(&key) && self.spend(1) {
                calls.push(async move {
                    let path = format!(
                        "/subscriptions/{subscription}/providers/Microsoft.ResourceHealth/events/{id}/impactedResources?api-version={}",
                        resource_health::API_VERSION
                    );
                    (key, self.arm_list(&path, token).await)
                });
            }
        }
        let answers: Vec<_> = futures_util::stream::iter(calls).buffer_unordered(IN_FLIGHT).collect().await;
        for (key, answer) in answers {
            match answer {
                // What is broken off says something about what it has; it is asked for again.
                Ok(listing) if listing.broken_off.is_none() || !listing.rows.is_empty() => {
                    let rows: Vec<_> = listing.rows.into_iter().map(resource).collect();
                    let unnamed = rows.iter().filter(|row| row.is_none()).count();
                    let named = rows.into_iter().flatten().collect();
                    found.insert(key, ImpactedResources::of(named, unnamed, at));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::info!(subscription.id = %key.0, event.tracking_id = %key.1, %error, "the resources that an event hits could not be read");
                }
            }
        }
        found
    }
}

/// The rows of Resource Graph by subscription and event. Pure.
fn group(rows: Vec<Value>, at: Timestamp) -> Impacted {
    let mut grouped: BTreeMap<_, (Vec<ImpactedResource>, usize)> = BTreeMap::new();
    for row in rows {
        let Some(key) = event_of(&row) else { continue };
        let (named, unnamed) = grouped.entry(key).or_default();
        match resource(row) {
            Some(resource) => named.push(resource),
            None => *unnamed += 1,
        }
    }
    grouped.into_iter().map(|(key, (named, unnamed))| (key, ImpactedResources::of(named, unnamed, at))).collect()
}

/// Subscription and tracking id are only in the row's id.
fn event_of(row: &Value) -> Option<(SubscriptionId, TrackingId)> {
    let id = super::request::any_case(row, "id")?.as_str()?;
    let segments: Vec<&str> = id.split('/').collect();
    let after = |word: &str| {
        let at = segments.iter().position(|segment| segment.eq_ignore_ascii_case(word))?;
        segments.get(at + 1).copied()
    };
    Some((after("subscriptions")?.parse().ok()?, after("events")?.parse().ok()?))
}

/// One impacted resource. None when the row names no resource, as for security advisories; who is named there instead is
/// nobody's business.
pub(super) fn resource(row: Value) -> Option<ImpactedResource> {
    let row = Row::<ImpactedProperties>::deserialize(fold_keys(row)).ok()?;
    let properties = row.properties;
    Some(ImpactedResource {
        resource_id: ResourceId::parse(&properties.target_resource_id?).ok()?,
        resource_type: properties.target_resource_type.map(|kind| line(&kind).to_ascii_lowercase()),
        region: properties.target_region.map(|region| line(&region)),
        status: properties.status.map(|status| line(&status)),
        maintenance_start: properties.maintenance_start_time,
        maintenance_end: properties.maintenance_end_time,
    })
}
