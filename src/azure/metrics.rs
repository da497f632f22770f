//! Custom metrics of Azure Monitor, published for one resource ("Graph, Azure Monitor, notification and portal-API contract",
//! section 3).

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DurationRound as _, SecondsFormat, TimeDelta};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::any_case;
use super::resource_path::ResourcePath;
use super::service::{Ask, Told};
use super::{Client, Error, Refusal, Service};
use crate::model::Timestamp;

/// How old a value may be. Azure's own sources say 20 or 30 minutes.
pub const WINDOW: TimeDelta = TimeDelta::minutes(20);
/// The largest request.
const MOST_BYTES: usize = 4_000_000;
/// Dimensions of one metric.
const MOST_DIMENSIONS: usize = 10;
/// Characters of a namespace, a name, a key, a value.
const MOST_CHARACTERS: usize = 256;
/// The first wait after a failure, doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What metrics are published for: one resource, in its region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricTarget {
    /// The resource; the role Monitoring Metrics Publisher on it is needed.
    pub resource: ResourcePath,
    /// Where it is.
    pub region: Region,
}

/// A region as addresses have it: `westeurope`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

/// Text that is no region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a region is a name such as westeurope, the location of the resource")]
pub struct InvalidRegion;

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        // The portal writes "West Europe".
        let name: String = text.chars().filter(|c| *c != ' ').map(|c| c.to_ascii_lowercase()).collect();
        let valid = (2..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if valid { Ok(Self(name)) } else { Err(InvalidRegion) }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One metric in one minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricDocument {
    /// The minute.
    pub time: Timestamp,
    /// The rest, as Azure nests it.
    pub data: MetricData,
}

/// What Azure nests a metric in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricData {
    /// The metric.
    pub base_data: Metric,
}

/// A metric with its series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name.
    pub metric: String,
    /// What groups metrics.
    pub namespace: String,
    /// The names of its dimensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dim_names: Vec<String>,
    /// A series per combination of values.
    pub series: Vec<Series>,
}

/// What was measured in the minute, for one combination of dimension values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// The values, as many as there are dimensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dim_values: Vec<String>,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// All together.
    pub sum: f64,
    /// How many.
    pub count: u64,
}

impl Series {
    /// A series of one value.
    pub fn of(dim_values: Vec<String>, value: f64) -> Self {
        Self { dim_values, min: value, max: value, sum: value, count: 1 }
    }

    /// Takes another series' measurements in.
    pub fn add(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }
}

impl MetricDocument {
    /// A metric in the minute of this moment.
    pub fn new(at: Timestamp, namespace: &str, metric: &str, dimensions: &[&str], series: Vec<Series>) -> Self {
        let dim_names = dimensions.iter().map(|name| (*name).to_owned()).collect();
        let base_data = Metric { metric: metric.to_owned(), namespace: namespace.to_owned(), dim_names, series };
        Self { time: minute(at), data: MetricData { base_data } }
    }

    /// The rule of Azure that it breaks, if any. Pure.
    pub fn fault(&self, now: Timestamp) -> Option<String> {
        let metric = &self.data.base_data;
        let short = |text: &str| {
            (1..=MOST_CHARACTERS).contains(&text.trim().chars().count()) && !text.chars().any(char::is_control)
        };
        let age = now - self.time;
        if age > WINDOW {
            return Some(format!("it is of {}, and Azure takes the last 20 minutes", self.time.to_rfc3339()));
        }
        if age < TimeDelta::zero() {
            return Some(format!("it is of {}, which is still to come", self.time.to_rfc3339()));
        }
        if minute(self.time) != self.time {
            return Some("its time is not a whole minute".to_owned());
        }
        if metric.dim_names.len() > MOST_DIMENSIONS {
            return Some(format!("it has more than {MOST_DIMENSIONS} dimensions"));
        }
        let names = [&metric.metric, &metric.namespace].into_iter().chain(&metric.dim_names);
        if !names.into_iter().all(|name| short(name)) {
            return Some(format!("a name in it is empty or longer than {MOST_CHARACTERS} characters"));
        }
        let mut dimensions = metric.dim_names.clone();
        dimensions.sort_unstable();
        dimensions.dedup();
        if dimensions.len() != metric.dim_names.len() {
            return Some("a dimension is in it twice".to_owned());
        }
        if metric.series.is_empty() {
            return Some("it has no series".to_owned());
        }
        metric.series.iter().find_map(|series| {
            let numbers = [series.min, series.max, series.sum].iter().all(|number| number.is_finite());
            if series.dim_values.len() != metric.dim_names.len() {
                Some(format!("a series has {} values of {} dimensions", series.dim_values.len(), dimensions.len()))
            } else if !series.dim_values.iter().all(|value| short(value)) {
                Some(format!("a dimension's value is empty or longer than {MOST_CHARACTERS} characters"))
            } else if !numbers || series.min > series.max || series.count == 0 {
                Some("a series has numbers that do not fit each other".to_owned())
            } else {
                None
            }
        })
    }

    fn name(&self) -> String {
        self.data.base_data.metric.chars().take(MOST_CHARACTERS).collect()
    }

    /// The two halves of its series. None: there is only one.
    fn halves(&self) -> Option<[Self; 2]> {
        let series = &self.data.base_data.series;
        (series.len() > 1).then(|| {
            let (left, right) = series.split_at(series.len() / 2);
            [left, right].map(|part| {
                let mut half = self.clone();
                half.data.base_data.series = part.to_vec();
                half
            })
        })
    }
}

/// The minute of a moment.
pub fn minute(at: Timestamp) -> Timestamp {
    // Only times outside of what chrono can count in nanoseconds fail, centuries from now.
    at.duration_trunc(TimeDelta::minutes(1)).unwrap_or(at)
}

/// What became of metrics.
#[derive(Debug, Default)]
pub struct Published {
    /// How many documents Azure took.
    pub documents: usize,
    /// In how many requests.
    pub requests: usize,
    /// What was given up: the metric, and why. It will not be taken later either.
    pub dropped: Vec<(String, String)>,
}

/// Why metrics were not taken, and could be later.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Our application may not publish for this resource (401, 403), or not yet: a fresh role takes up to an hour.
    #[error("our application may not publish metrics for this resource: {0}")]
    NotPermitted(Box<Refusal>),
    /// There is no such resource in this region (404).
    #[error("there is no such resource in this region: {0}")]
    NotFound(Box<Refusal>),
    /// Azure has no known endpoint for this in our cloud.
    #[error("this cloud has no known endpoint for metrics; AZURE_MONITOR_METRICS_URL sets one")]
    NoEndpoint,
    /// Everything else.
    #[error(transparent)]
    Azure(#[from] Error),
}

/// Whether Azure wants the audience's other spelling, in this process.
#[derive(Debug, Default)]
pub(crate) struct AudienceSpelling(AtomicBool);

impl Client {
    /// Publishes metrics of the partner's own resource. What breaks a rule, or gets too old, is dropped and named. While Azure
    /// fails or throttles, it is tried again for `patience` at most, and never beyond the time in which Azure takes the values.
    ///
    /// # Errors
    /// [`MetricsError`]: nothing more was published; earlier requests may have been taken.
    pub async fn publish_metrics(
        &self,
        target: &MetricTarget,
        documents: &[MetricDocument],
        patience: Duration,
    ) -> Result<Published, MetricsError> {
        let path = format!("{}/metrics", target.resource);
        let url = self.cloud.metrics_url(&target.region.to_string(), &path).ok_or(MetricsError::NoEndpoint)?;
        let end = self.clock.now() + patience;
        let mut published = Published::default();
        let mut waiting = batches(self.valid(documents.to_vec(), &mut published));
        waiting.reverse();
        let mut wait = FIRST_WAIT;
        while let Some(batch) = waiting.pop() {
            let batch = self.valid(batch, &mut published);
            if batch.is_empty() {
                continue;
            }
            published.requests += 1;
            let error = match self.publish_once(&url, &batch).await {
                Ok(()) => {
                    published.documents += batch.len();
                    wait = FIRST_WAIT;
                    continue;
                }
                Err(error) => error,
            };
            match error {
                Error::Refused(refusal) if refusal.status == 413 => {
                    waiting.extend(smaller(batch, &mut published.dropped).into_iter().rev());
                }
                Error::Refused(refusal) => match refusal.status {
                    401 | 403 => return Err(MetricsError::NotPermitted(refusal)),
                    404 => return Err(MetricsError::NotFound(refusal)),
                    _ => {
                        let why = said(&refusal);
                        tracing::warn!(reason = why, "Azure takes these metrics neither now nor later");
                        published.dropped.extend(batch.iter().map(|one| (one.name(), why.clone())));
                    }
                },
                Error::Throttled { .. } | Error::Unavailable { .. } => {
                    let asked = if let Error::Throttled { retry_after } = &error { *retry_after } else { None };
                    let pause = asked.unwrap_or_else(|| wait.mul_f64(0.5 + self.jitter() / 2.0));
                    if self.clock.now() + pause > end {
                        return Err(error.into());
                    }
                    self.clock.sleep(pause).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    waiting.push(batch);
                }
                error => return Err(error.into()),
            }
        }
        Ok(published)
    }

    /// What may be sent now; the rest is dropped.
    fn valid(&self, documents: Vec<MetricDocument>, published: &mut Published) -> Vec<MetricDocument> {
        let now = self.clock.now();
        let mut valid = Vec::new();
        for document in documents {
            match document.fault(now) {
                None => valid.push(document),
                Some(why) => published.dropped.push((document.name(), why)),
            }
        }
        valid
    }

    /// One request. On a refusal of the audience, once more with its other spelling.
    async fn publish_once(&self, url: &str, documents: &[MetricDocument]) -> Result<(), Error> {
        let slash = &self.metrics_audience.0;
        let first = slash.load(Ordering::Relaxed);
        let refused = match self.publish_as(url, documents, first).await {
            Err(Error::Refused(refusal)) if is_about_audience(&refusal) => refusal,
            result => return result,
        };
        match self.publish_as(url, documents, !first).await {
            Err(Error::TokenRefused(_)) => Err(Error::Refused(refused)),
            result => {
                if result.is_ok() {
                    slash.store(!first, Ordering::Relaxed);
                }
                result
            }
        }
    }

    async fn publish_as(&self, url: &str, documents: &[MetricDocument], slash: bool) -> Result<(), Error> {
        let service = if slash { Service::MetricsWithSlash } else { Service::Metrics };
        let token = self.app_token_for(self.identity.tenant_id, service).await?;
        let kind = if documents.len() == 1 { "application/json" } else { "application/x-ndjson" };
        let body = Some((kind, documents.iter().map(line).collect::<Vec<_>>().join("\n").into_bytes()));
        accepted(self.ask(Ask { body, ..Ask::new(Method::POST, url, &token) }).await?)
    }
}

fn line(document: &MetricDocument) -> String {
    let mut value = serde_json::to_value(document).expect("texts and finite numbers are always JSON");
    value["time"] = document.time.to_rfc3339_opts(SecondsFormat::Secs, true).into();
    value.to_string()
}

fn said(refusal: &Refusal) -> String {
    let text = if refusal.message.is_empty() { "no reason given" } else { &refusal.message };
    format!("{refusal}: {text}")
}

fn is_about_audience(refusal: &Refusal) -> bool {
    matches!(refusal.status, 401 | 403)
        && (refusal.mentions(&["audience"]) || refusal.code.to_ascii_lowercase().contains("audience"))
}

/// Documents in requests that are small enough. Pure.
fn batches(documents: Vec<MetricDocument>) -> Vec<Vec<MetricDocument>> {
    let (mut all, mut batch, mut size) = (Vec::new(), Vec::new(), 0);
    for document in documents {
        let bytes = line(&document).len() + 1;
        if size + bytes > MOST_BYTES && !batch.is_empty() {
            all.push(std::mem::take(&mut batch));
            size = 0;
        }
        size += bytes;
        match document.halves().filter(|_| bytes > MOST_BYTES) {
            Some(halves) => {
                size = 0;
                all.extend(batches(halves.into()));
            }
            None => batch.push(document),
        }
    }
    all.extend(Some(batch).filter(|batch| !batch.is_empty()));
    all
}

/// The same in two smaller requests; what cannot be made smaller is dropped. Pure.
fn smaller(mut batch: Vec<MetricDocument>, dropped: &mut Vec<(String, String)>) -> Vec<Vec<MetricDocument>> {
    match batch.as_slice() {
        [] => Vec::new(),
        [one] => match one.halves() {
            Some(halves) => halves.map(|half| vec![half]).into(),
            None => {
                dropped.push((one.name(), "a single series is too large for Azure".to_owned()));
                Vec::new()
            }
        },
        _ => {
            let right = batch.split_off(batch.len() / 2);
            vec![batch, right]
        }
    }
}

/// Reads an answer: success is any 2xx, a failure comes in three shapes. Pure.
fn accepted(told: Told) -> Result<(), Error> {
    if (200..300).contains(&told.status) {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&told.bytes).unwrap_or(Value::Null);
    let inner = any_case(&body, "apiFailureResponse").cloned();
    let plain = || String::from_utf8_lossy(&told.bytes).chars().take(1000).collect::<String>();
    let message = if body.is_null() { plain() } else { String::new() };
    let told = match inner {
        Some(inner) => Told { bytes: inner.to_string().into_bytes(), ..told },
        None => told,
    };
    match told.answer() {
        Ok(_) => Ok(()),
        Err(Error::Refused(mut refusal)) => {
            if refusal.message.is_empty() {
                refusal.message = message;
            }
            Err(Error::Refused(refusal))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
