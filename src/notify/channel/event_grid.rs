//! Azure Event Grid: a custom topic or a topic of a namespace, with its key or our own identity.

use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::guard::{Guard, Post};
use super::webhook::type_prefix;
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal, Target};
use crate::azure::{self, Service};
use crate::notify::render::event::Envelope;
use crate::notify::render::fit;
use crate::outside::Clock;

/// The kind.
pub const KIND: Kind = Kind {
    name: "eventGrid",
    about: "Azure Event Grid (CloudEvents 1.0, key or our identity)",
    example: r#"{"endpoint": "https://health.westeurope-1.eventgrid.azure.net/api/events", "keySetting": "NOTIFY_GRID_KEY"}"#,
    options: &[
        ("endpoint", "the topic's endpoint with its path: `/api/events`, of a namespace `/topics/<topic>:publish`"),
        (
            "keySetting",
            "the setting that holds the topic's key; without it our own identity, which needs the role EventGrid Data Sender",
        ),
        ("schema", "`cloudEvents` (default) or `eventGrid`, as the topic takes it"),
        ("typePrefix", "what the types of events begin with; default `azurehealthpartner`"),
    ],
    open,
};

const HOSTS: &[&str] = &[".eventgrid.azure.net", ".eventgrid.azure.us", ".eventgrid.azure.cn"];
/// Event Grid bills in steps of 64 KB.
const MOST_EVENT: usize = 63_000;
/// The most of one request.
const MOST_BYTES: usize = 1_000_000;

#[derive(Debug)]
struct EventGrid {
    target: Target,
    url: Url,
    namespace: bool,
    key: Option<SecretString>,
    /// In the schema of Event Grid, where the topic does not take CloudEvents.
    own_schema: bool,
    envelope: Envelope,
    azure: azure::Client,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let example = "https://health.westeurope-1.eventgrid.azure.net/api/events";
    let target = options.azure_target("endpoint", example, HOSTS);
    // Without a key our own identity is used, with the role EventGrid Data Sender on the topic.
    let key = options.secret("keySetting");
    let own_schema = options.word("schema", &["cloudEvents", "eventGrid"]) == "eventGrid";
    let type_prefix = type_prefix(options);
    let target = target?;
    let mut url = target.url().clone();
    let namespace = url.path().starts_with("/topics/");
    if namespace && own_schema {
        options.fault("schema", "of a namespace's topic is cloudEvents");
    }
    if !namespace && url.path() != "/api/events" {
        options.fault("endpoint", "has a path that is neither /api/events nor /topics/<topic>:publish");
    }
    let asked = url.query_pairs().any(|(name, _)| name == "api-version");
    if !asked {
        url.query_pairs_mut().append_pair("api-version", if namespace { "2024-06-01" } else { "2018-01-01" });
    }
    Some(Arc::new(EventGrid {
        target,
        url,
        namespace,
        key,
        own_schema,
        envelope: Envelope { source: options.wire.source.clone(), type_prefix },
        azure: options.wire.azure.clone(),
        guard: options.wire.guard.clone(),
        clock: Arc::clone(&options.wire.clock),
    }))
}

impl EventGrid {
    /// Requests, each a list of events below the limit.
    fn batches(&self, parcel: &Parcel) -> Vec<Value> {
        let events = parcel.notices.iter().map(|notice| {
            let alone = Parcel { id: notice.id, notices: vec![notice.clone()], ..parcel.clone() };
            let event =
                fit(|caps| self.envelope.event(&alone, caps), |event: &Value| event.to_string().len() <= MOST_EVENT);
            if self.own_schema { own_schema(event) } else { event }
        });
        split(events, MOST_BYTES).into_iter().map(Value::Array).collect()
    }

    async fn proof(&self) -> Result<(HeaderName, HeaderValue), Refusal> {
        let (name, text) = match &self.key {
            Some(key) if self.namespace => (AUTHORIZATION, format!("SharedAccessKey {}", key.expose_secret())),
            Some(key) => (HeaderName::from_static("aeg-sas-key"), key.expose_secret().to_owned()),
            None => (AUTHORIZATION, bearer(&self.azure, Service::EventGrid).await?),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Refusal::Never { why: "the key of the topic cannot be a header".to_owned() })?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

/// The value of `Authorization` with our application's token for a service.
pub(super) async fn bearer(azure: &azure::Client, service: Service) -> Result<String, Refusal> {
    match azure.app_token_for(azure.identity.tenant_id, service).await {
        Ok(token) => Ok(format!("Bearer {}", token.expose())),
        Err(_) => Err(Refusal::Later { why: "our application has no token for it".to_owned(), retry_after: None }),
    }
}

/// Lists below `most` bytes, in order.
pub(super) fn split(all: impl Iterator<Item = Value>, most: usize) -> Vec<Vec<Value>> {
    let mut lists: Vec<Vec<Value>> = Vec::new();
    let mut room = 0;
    for one in all {
        let size = one.to_string().len() + 1;
        match lists.last_mut().filter(|_| size <= room) {
            Some(list) => list.push(one),
            None => {
                lists.push(vec![one]);
                room = most - 2;
            }
        }
        room = room.saturating_sub(size);
    }
    lists
}

fn own_schema(mut event: Value) -> Value {
    json!({
        "id": event["id"].take(),
        "subject": event["subject"].as_str().unwrap_or("bundle"),
        "eventType": event["type"].take(),
        "eventTime": event["time"].take(),
        "dataVersion": "1.0",
        "data": event["data"].take(),
    })
}

#[async_trait]
impl Channel for EventGrid {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.target.name()
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 4, per_minute: 600 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        self.batches(parcel).iter().map(Preview::json).collect()
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let mut detail = String::new();
        for batch in self.batches(parcel) {
            let content_type =
                if self.own_schema { "application/json" } else { "application/cloudevents-batch+json; charset=utf-8" };
            let post = Post {
                url: &self.url,
                headers: vec![self.proof().await?],
                content_type,
                body: batch.to_string().into_bytes(),
                patience: None,
            };
            let answer = self.guard.post(post, self.clock.now()).await?;
            match answer.status {
                200..300 => detail = answer.status.to_string(),
                400 | 413 => return Err(answer.never("Event Grid")),
                // A role takes its time to spread; a key does not.
                401 | 403 if self.key.is_none() && parcel.within_first_hour() => return Err(answer.later("Event Grid")),
                401 | 403 | 404 | 410 => return Err(answer.gone("Event Grid")),
                _ => return Err(answer.later("Event Grid")),
            }
        }
        Ok(Receipt { detail })
    }
}
