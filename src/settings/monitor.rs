//! Settings of Azure Monitor: where logs are asked and metrics published, and for what.

use url::Url;

use super::read::{Reader, is_plain, is_secure_or_loopback, shown};
use crate::azure::{Cloud, MetricTarget};

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// Overrides of Azure Monitor's endpoints.
    pub(super) fn monitor(&mut self, cloud: &mut Cloud) {
        const METRICS: &str = "AZURE_MONITOR_METRICS_URL";
        const AUDIENCE: &str = "AZURE_MONITOR_METRICS_AUDIENCE";
        if let Some(url) = self.address("AZURE_LOG_ANALYTICS_URL") {
            cloud.log_analytics = url;
        }
        let secure = |text: &str| text.parse::<Url>().is_ok_and(|url| is_plain(&url) && is_secure_or_loopback(&url));
        if let Some(text) = self.text(METRICS) {
            // The place of the region is no valid part of a host.
            if secure(&text.replace("{region}", "westeurope")) {
                cloud.metrics = Some(text);
            } else {
                let expected = "an https address such as https://{region}.monitoring.azure.com, or http on loopback";
                self.fault(METRICS, shown(&text), expected);
            }
        }
        if let Some(text) = self.text(AUDIENCE) {
            let audience = text.trim_end_matches('/');
            if audience.starts_with("https://") && secure(audience) {
                cloud.metrics_audience = audience.to_owned();
            } else {
                self.fault(AUDIENCE, shown(&text), "an address such as https://monitoring.azure.com");
            }
        }
    }

    /// What customers' health is published for as metrics.
    pub(super) fn health_metrics(&mut self) -> Option<MetricTarget> {
        const RESOURCE: &str = "HEALTH_METRICS_RESOURCE_ID";
        const REGION: &str = "HEALTH_METRICS_REGION";
        let (resource, region) = match (self.text(RESOURCE), self.text(REGION)) {
            (None, None) => return None,
            (Some(resource), Some(region)) => (resource, region),
            (Some(_), None) => {
                self.fault(REGION, format!("nothing beside {RESOURCE}"), "the resource's region, such as westeurope");
                return None;
            }
            (None, Some(_)) => {
                self.fault(RESOURCE, format!("nothing beside {REGION}"), "the full id of one resource of yours");
                return None;
            }
        };
        let resource = resource.parse().map_err(|rule| self.wrong(RESOURCE, &resource, rule)).ok();
        let region = region.parse().map_err(|rule| self.wrong(REGION, &region, rule)).ok();
        Some(MetricTarget { resource: resource?, region: region? })
    }

    fn wrong(&mut self, name: &str, found: &str, rule: impl std::fmt::Display) {
        self.fault(name, shown(found), rule.to_string());
    }
}
