//! Custom metrics of Azure Monitor: how many notices were sent, by customer, kind of event, phase and severity, for one resource of
//! the partner's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::graph_mail::code_of;
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal};
use crate::azure::{self, MetricDocument, MetricTarget, MetricsError, Series};
use crate::model::{Notice, Timestamp};
use crate::notify::render::line;

/// The kind.
pub const KIND: Kind = Kind {
    name: "azureMetrics",
    about: "Azure Monitor custom metrics (how many notices, of what)",
    example: r#"{"region": "westeurope", "resourceId": "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/health/providers/Microsoft.Web/sites/health"}"#,
    options: &[
        (
            "resourceId",
            "a resource of the partner's own, on which our identity needs the role Monitoring Metrics Publisher",
        ),
        ("region", "the region that it is in"),
        ("namespace", "the namespace of the metric; default `AzureHealthPartner`"),
    ],
    open,
};

/// The metric's name.
const METRIC: &str = "HealthNotices";
const DIMENSIONS: [&str; 4] = ["Customer", "EventType", "Phase", "Severity"];

#[derive(Debug)]
struct AzureMetrics {
    target: MetricTarget,
    namespace: String,
    azure: azure::Client,
    clock: Arc<dyn crate::outside::Clock>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let resource = options.needed("resourceId", "/subscriptions/{id}/resourceGroups/{group}/providers/{type}/{name}");
    let region = options.needed("region", "westeurope");
    let namespace = options.text("namespace").unwrap_or_else(|| "AzureHealthPartner".to_owned());
    if namespace.len() > 100 || !namespace.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        options.fault("namespace", "must be letters, digits and '_'");
    }
    let resource = resource.and_then(|text| match text.parse() {
        Ok(resource) => Some(resource),
        Err(_) => {
            options.fault("resourceId", "must be the whole id of a single resource, as the portal shows it");
            None
        }
    });
    let region = region.and_then(|text| match text.parse() {
        Ok(region) => Some(region),
        Err(_) => {
            options.fault("region", "must be a region such as westeurope");
            None
        }
    });
    Some(Arc::new(AzureMetrics {
        target: MetricTarget { resource: resource?, region: region? },
        namespace,
        azure: options.wire.azure.clone(),
        clock: Arc::clone(&options.wire.clock),
    }))
}

fn dimensions(notice: &Notice) -> Vec<String> {
    let story = &notice.story;
    vec![
        story.customer.as_ref().map_or_else(|| "(partner)".to_owned(), |customer| line(&customer.display_name, 200)),
        story.event.as_ref().map_or_else(|| "none".to_owned(), |event| line(event.event_type.as_str(), 100)),
        word(story.phase),
        word(story.severity),
    ]
}

/// A word as documents spell it.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "none".to_owned(),
    }
}

impl AzureMetrics {
    fn document(&self, parcel: &Parcel, now: Timestamp) -> MetricDocument {
        let mut series: BTreeMap<Vec<String>, Series> = BTreeMap::new();
        for notice in &parcel.notices {
            let one = Series::of(dimensions(notice), 1.0);
            series.entry(one.dim_values.clone()).and_modify(|sum| sum.add(&one)).or_insert(one);
        }
        MetricDocument::new(now, &self.namespace, METRIC, &DIMENSIONS, series.into_values().collect())
    }
}

#[async_trait]
impl Channel for AzureMetrics {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.target.resource.to_string()
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 2, per_minute: 120 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        let document = self.document(parcel, parcel.sent_at);
        serde_json::to_value(document).iter().map(Preview::json).collect()
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let document = self.document(parcel, self.clock.now());
        // One try: trying again is the outbox's affair, with the minute of that try.
        match self.azure.publish_metrics(&self.target, &[document], Duration::ZERO).await {
            Ok(published) if published.dropped.is_empty() => Ok(Receipt { detail: "200".to_owned() }),
            Ok(_) => Err(Refusal::Never { why: "Azure takes no such metric".to_owned() }),
            Err(error) => Err(refused(error, parcel)),
        }
    }
}

fn refused(error: MetricsError, parcel: &Parcel) -> Refusal {
    let later = |why: &str, retry_after| Refusal::Later { why: why.to_owned(), retry_after };
    match error {
        MetricsError::NotPermitted(refusal) if parcel.within_first_hour() => {
            let wait = Some(Duration::from_secs(5 * 60));
            later(&format!("Azure Monitor answered {}: a fresh role takes up to an hour", refusal.status), wait)
        }
        MetricsError::NotPermitted(refusal) | MetricsError::NotFound(refusal) => {
            Refusal::Gone { why: format!("Azure Monitor answered {} {}", refusal.status, code_of(&refusal.code)) }
        }
        MetricsError::NoEndpoint => Refusal::Never { why: "this cloud has no known endpoint for metrics".to_owned() },
        MetricsError::Azure(azure::Error::Throttled { retry_after }) => {
            later("Azure Monitor wants a rest", retry_after)
        }
        MetricsError::Azure(_) => later("Azure Monitor failed or could not be reached", None),
    }
}
