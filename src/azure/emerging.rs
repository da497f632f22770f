//! Emerging issues: what the status page of a whole cloud says. Asked once per cloud, with the partner's own token
//! ("Azure health data APIs", 1.10).

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde::Deserialize as _;
use serde_json::Value;

use super::convert::{clean, line};
use super::pace::Meter;
use super::reading::Trouble;
use super::wire::emerging::{EmergingProperties, StatusEvent};
use super::wire::health::Row;
use super::wire::lenient::fold_keys;
use super::{Client, Error, resource_health};
use crate::model::{
    Banner, EmergingIssue, EmergingSeverity, EmergingStage, RegionImpact, ServiceImpact, TenantId, Timestamp,
    TrackingId, unite_impact,
};

/// The longest text that is kept of one issue, in bytes: it stands in one small document.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// Issues and banners kept of one answer.
const MAX_ROWS: usize = 200;

/// What the status page said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmergingReading {
    /// Published issues; their `first_seen` and `last_seen` are the time of the reading.
    pub issues: BTreeMap<TrackingId, EmergingIssue>,
    /// Banners.
    pub banners: Vec<Banner>,
    /// When Azure last refreshed it.
    pub refreshed_at: Option<Timestamp>,
}

impl Client {
    /// Reads the status page of the cloud. Tried once: whoever asks has other things to do.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn read_emerging(&self, tenant: TenantId) -> Result<EmergingReading, Trouble> {
        let now = self.clock.now();
        let read = async {
            let token = self.app_token(tenant).await?;
            let client = self.metered(Arc::new(Meter::hasty(tenant, now)));
            let path = format!(
                "/providers/Microsoft.ResourceHealth/emergingIssues/default?api-version={}",
                resource_health::API_VERSION
            );
            let answer = client.arm(Method::GET, &path, &token, None).await?;
            read(answer.body, now)
        };
        read.await.map_err(|error| Trouble::of(&error))
    }
}

/// Reads the document. Pure.
pub(super) fn read(body: Value, now: Timestamp) -> Result<EmergingReading, Error> {
    let known = super::request::any_case(&body, "properties").is_some_and(Value::is_object);
    if !known {
        return Err(Error::Unreadable { what: "the emerging issues".to_owned() });
    }
    let row = Row::<EmergingProperties>::deserialize(fold_keys(body))
        .map_err(|_| Error::Unreadable { what: "the emerging issues".to_owned() })?;
    let properties = row.properties;
    let published = properties.status_active_events.into_iter().filter(|event| event.published).take(MAX_ROWS);
    let issues = published.filter_map(|event| Some((event.tracking_id.as_deref()?.parse().ok()?, issue(event, now))));
    let banner = |banner: super::wire::emerging::Banner| Banner {
        title: line(&banner.title.unwrap_or_default()),
        message: banner.message.as_deref().and_then(text),
        last_update: banner.last_modified_time,
    };
    let mut known = BTreeMap::new();
    // The same issue twice: the newer one speaks.
    for (id, issue) in issues {
        let newer = known.get(&id).is_none_or(|known: &EmergingIssue| issue.last_update > known.last_update);
        if newer {
            known.insert(id, issue);
        }
    }
    Ok(EmergingReading {
        issues: known,
        banners: properties.status_banners.into_iter().take(MAX_ROWS).map(banner).collect(),
        refreshed_at: properties.refresh_timestamp,
    })
}

fn issue(event: StatusEvent, now: Timestamp) -> EmergingIssue {
    let impact = event.impacts.into_iter().filter_map(|impact| {
        let region = |region: super::wire::emerging::Named| {
            Some(RegionImpact { region: line(&region.name.or(region.id)?), status: None })
        };
        Some(ServiceImpact {
            service: line(&impact.name.or(impact.id)?),
            service_guid: None,
            regions: impact.regions.into_iter().filter_map(region).collect(),
        })
    });
    let impact: Vec<_> = impact.collect();
    EmergingIssue {
        title: line(event.title.as_deref().unwrap_or("(no title)")),
        description: event.description.as_deref().and_then(text),
        // No severity of an outage is no reason to look away.
        severity: event.severity.map_or(EmergingSeverity::Warning, Into::into),
        stage: event.stage.map_or(EmergingStage::Active, Into::into),
        start: event.start_time,
        last_update: event.last_modified_time,
        impact: unite_impact(impact.iter()),
        first_seen: now,
        last_seen: now,
        missed_listings: 0,
        episode: 0,
    }
}

fn text(html: &str) -> Option<String> {
    // Cut before it is cleaned: a tag that is cut in two is closed or dropped by that.
    let mut end = html.len().min(MAX_TEXT_BYTES);
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    clean(&html[..end])
}
