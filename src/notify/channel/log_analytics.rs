//! Log Analytics, through the Logs Ingestion API: a row for each notice in a table of the partner's own workspace.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use url::Url;

use super::event_grid::{bearer, split};
use super::guard::{Guard, Post};
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal, Target};
use crate::azure::{self, Service};
use crate::model::{Notice, NoticeScope};
use crate::notify::render::{Caps, Message, Tone, label, line};
use crate::outside::Clock;

/// The kind.
pub const KIND: Kind = Kind {
    name: "logAnalytics",
    about: "Log Analytics (Logs Ingestion API)",
    example: r#"{"endpoint": "https://health-a1b2.westeurope-1.ingest.monitor.azure.com",
  "ruleId": "dcr-000a00a000a00000a000000aa000a0aa", "stream": "Custom-HealthNotices"}"#,
    options: &[
        ("endpoint", "the ingestion endpoint of the data collection rule"),
        ("ruleId", "its immutable id; our identity needs the role Monitoring Metrics Publisher on it"),
        ("stream", "its stream, such as `Custom-HealthNotices`"),
    ],
    open,
};

const HOSTS: &[&str] = &[".ingest.monitor.azure.com", ".ingest.monitor.azure.us", ".ingest.monitor.azure.cn"];
/// The most of one request.
const MOST_BYTES: usize = 1_000_000;
/// Azure cuts a field at 64 KB; this many characters stay below it in any language.
const MOST_TEXT: usize = 16_000;

#[derive(Debug)]
struct LogAnalytics {
    target: Target,
    url: Url,
    azure: azure::Client,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let example = "https://health-a1b2.westeurope-1.ingest.monitor.azure.com";
    let target = options.azure_target("endpoint", example, HOSTS);
    let rule = options.needed("ruleId", "dcr-000a00a000a00000a000000aa000a0aa, the immutable id of the rule");
    let sound = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    if rule.as_deref().is_some_and(|rule| !rule.starts_with("dcr-") || !sound(rule)) {
        options.fault("ruleId", "must be the immutable id of a data collection rule, which begins with dcr-");
    }
    let stream = options.needed("stream", "Custom-HealthNotices");
    if stream.as_deref().is_some_and(|stream| !stream.starts_with("Custom-") || !sound(stream)) {
        options.fault("stream", "must begin with Custom-");
    }
    let (target, rule, stream) = (target?, rule?, stream?);
    let mut url = target.url().clone();
    url.set_path(&format!("/dataCollectionRules/{rule}/streams/{stream}"));
    url.set_query(Some("api-version=2023-01-01"));
    Some(Arc::new(LogAnalytics {
        target,
        url,
        azure: options.wire.azure.clone(),
        guard: options.wire.guard.clone(),
        clock: Arc::clone(&options.wire.clock),
    }))
}

/// The row of a notice: flat, no column of a reserved name. The same notice sent twice is two rows with one `EventId`.
fn row(notice: &Notice, parcel: &Parcel) -> Value {
    let story = &notice.story;
    let alone = Parcel { notices: vec![notice.clone()], ..parcel.clone() };
    let message = Message::of(&alone, Caps { text: MOST_TEXT, list: 100, notices: 1, line: 500 });
    let section = message.sections.first();
    let (severity, number) = Tone::of(notice).severity();
    let mut row = Map::new();
    let mut say = |name: &str, value: Value| {
        let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
        if !empty {
            row.insert(name.to_owned(), value);
        }
    };
    say("TimeGenerated", json!(story.at));
    say("EventId", json!(notice.id));
    say("Transition", json!(story.word));
    say("Revision", json!(notice.episode));
    say("Phase", json!(story.phase));
    say("Label", label(story).into());
    say("Severity", severity.into());
    say("SeverityNumber", number.into());
    say("Audience", if notice.scope == NoticeScope::Partner { "partner" } else { "customer" }.into());
    say("RouteId", line(&notice.route, 100).into());
    if let Some(customer) = &story.customer {
        say("CustomerTenantId", json!(customer.tenant_id));
        say("CustomerName", line(&customer.display_name, 200).into());
    }
    say("EventTitle", line(&story.title, 1_000).into());
    if let Some(event) = &story.event {
        say("TrackingId", json!(event.tracking_id));
        say("EventType", json!(event.event_type));
        say("EventStatus", json!(event.status));
        say("ImpactStart", json!(event.impact_start));
        say("ImpactMitigation", json!(event.impact_mitigation));
        say("Services", event.impact.iter().map(|one| line(&one.service, 100)).collect::<Vec<_>>().join(", ").into());
        let regions: std::collections::BTreeSet<_> =
            event.impact.iter().flat_map(|one| one.regions.iter().map(|region| line(&region.region, 100))).collect();
        say("Regions", regions.into_iter().collect::<Vec<_>>().join(", ").into());
    }
    let subscriptions: Vec<_> = story.subscriptions.keys().take(1_000).map(ToString::to_string).collect();
    say("SubscriptionIds", subscriptions.join(",").into());
    if let Some(section) = section {
        say("ResourceIds", section.resources.join("\n").into());
        say("AffectedCustomers", section.affected.join("\n").into());
        say("Remedy", section.remedy.clone().into());
        say("Link", section.link.clone().into());
        say("Text", section.text.as_ref().map(|text| text.paragraphs.join("\n")).into());
    }
    if !story.affected.is_empty() {
        say("AffectedCustomersCount", story.affected.len().into());
    }
    row.into()
}

fn batches(parcel: &Parcel) -> Vec<Value> {
    split(parcel.notices.iter().map(|notice| row(notice, parcel)), MOST_BYTES).into_iter().map(Value::Array).collect()
}

#[async_trait]
impl Channel for LogAnalytics {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        format!("{} {}", self.target.name(), self.url.path().rsplit('/').next().unwrap_or_default())
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 4, per_minute: 600 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        batches(parcel).iter().map(Preview::json).collect()
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let mut detail = String::new();
        for batch in batches(parcel) {
            let mut token = HeaderValue::from_str(&bearer(&self.azure, Service::LogsIngestion).await?)
                .map_err(|_| Refusal::Never { why: "our token cannot be a header".to_owned() })?;
            token.set_sensitive(true);
            let request_id = HeaderValue::from_str(&parcel.id.to_string())
                .map_err(|_| Refusal::Never { why: "the id cannot be a header".to_owned() })?;
            let post = Post {
                url: &self.url,
                headers: vec![(AUTHORIZATION, token), (HeaderName::from_static("x-ms-client-request-id"), request_id)],
                content_type: "application/json",
                body: batch.to_string().into_bytes(),
                patience: None,
            };
            let answer = self.guard.post(post, self.clock.now()).await?;
            match answer.status {
                200..300 => detail = answer.status.to_string(),
                400 | 413 => return Err(answer.never("the ingestion of logs")),
                401 | 403 if parcel.within_first_hour() => {
                    let why =
                        format!("the ingestion of logs answered {}: a fresh role takes up to an hour", answer.status);
                    return Err(Refusal::Later { why, retry_after: answer.retry_after });
                }
                401 | 403 => {
                    return Err(answer.gone("the role Monitoring Metrics Publisher on the rule is missing: it"));
                }
                404 => return Err(answer.gone("the rule or stream is not known: the ingestion of logs")),
                _ => return Err(answer.later("the ingestion of logs")),
            }
        }
        Ok(Receipt { detail })
    }
}
