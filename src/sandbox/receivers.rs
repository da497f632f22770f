//! The receivers of notices: a flow of Teams, a webhook of Slack, PagerDuty, a topic of Event Grid, the ingestion of logs, and a
//! webhook of one's own. They take and refuse as the reference says, and keep what they took.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;
use warp::Filter as _;
use warp::http::HeaderMap;

use super::base_url;
use super::exchange::Reply;
use super::tokens::Keys;
use crate::outside::Clock;

/// The integration key that PagerDuty knows, and the key of Event Grid's topic.
const ROUTING_KEY: &str = "R0123456789ABCDEF0123456789ABCDE";
const TOPIC_KEY: &str = "VGhlIGtleSBvZiB0aGUgdG9waWMsIGJhc2U2NA==";

/// What a receiver was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The path, without its query.
    pub path: String,
    /// The query.
    pub query: String,
    /// The headers, in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// What was answered.
    pub status: u16,
}

impl Received {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// An answer by order, instead of the usual one.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// The status.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

/// Running receivers. Dropping them ends them.
#[derive(Debug)]
pub struct Receivers {
    base: Url,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    keys: Keys,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    received: Vec<Received>,
    orders: VecDeque<Order>,
    /// PagerDuty's alerts by key, and how they stand.
    alerts: BTreeMap<String, &'static str>,
}

impl Receivers {
    /// Starts on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(clock: Arc<dyn Clock>) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let base = base_url(&listener)?;
        let shared = Arc::new(Shared { keys: Keys::load(), clock, state: Mutex::default() });
        let own = Arc::clone(&shared);
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        let routes = warp::post()
            .and(warp::path::full())
            .and(query)
            .and(warp::header::headers_cloned())
            .and(warp::body::bytes())
            .map(move |path: warp::path::FullPath, query: String, headers: HeaderMap, body: bytes::Bytes| {
                own.take(path.as_str(), query, &headers, &body).into_response()
            });
        let server = tokio::spawn(warp::serve(routes).incoming(listener).run());
        Ok(Self { base, shared, server })
    }

    /// An address of a receiver: `/teams`, `/slack`, `/pagerduty/v2/enqueue`, `/api/events`, `/topics/health:publish`, `/hook`,
    /// or the bare host for the ingestion of logs.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// What came in so far, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// The next requests are answered so, whatever they are.
    pub fn answer_next(&self, orders: impl IntoIterator<Item = Order>) {
        self.shared.state().orders.extend(orders);
    }

    /// PagerDuty's alerts: `triggered`, `acknowledged` or `resolved`, by key.
    pub fn alerts(&self) -> BTreeMap<String, &'static str> {
        self.shared.state().alerts.clone()
    }

    /// The integration key that PagerDuty knows.
    pub fn routing_key(&self) -> &'static str {
        ROUTING_KEY
    }

    /// The key of Event Grid's topic.
    pub fn topic_key(&self) -> &'static str {
        TOPIC_KEY
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, path: &str, query: String, headers: &HeaderMap, body: &[u8]) -> Reply {
        let text = |value: &warp::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers: BTreeMap<String, String> =
            headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = String::from_utf8_lossy(body).into_owned();
        let mut state = self.state();
        let reply = match state.orders.pop_front() {
            Some(order) => ordered(order),
            None => match path {
                "/teams" => teams(&body),
                "/slack" => slack(&body),
                "/pagerduty/v2/enqueue" => pagerduty(&mut state.alerts, &body),
                "/api/events" | "/topics/health:publish" => self.event_grid(&headers, &query, &body),
                "/hook" => Reply::empty(204),
                path if path.starts_with("/dataCollectionRules/") => self.ingestion(path, &headers, &query, &body),
                _ => Reply::empty(404),
            },
        };
        let status = reply.status;
        state.received.push(Received { path: path.to_owned(), query, headers, body, status });
        reply
    }

    /// True for a genuine token of an application for this audience.
    fn bears(&self, headers: &BTreeMap<String, String>, audience: &str) -> bool {
        let token = headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let claims = token.and_then(|token| self.keys.claims(token)).unwrap_or_default();
        claims["aud"] == audience && claims["exp"].as_i64().is_some_and(|until| until > self.clock.now().timestamp())
    }

    fn event_grid(&self, headers: &BTreeMap<String, String>, query: &str, body: &str) -> Reply {
        let keyed = headers.get("aeg-sas-key").is_some_and(|key| key == TOPIC_KEY)
            || headers.get("authorization").is_some_and(|value| *value == format!("SharedAccessKey {TOPIC_KEY}"));
        if !keyed && !self.bears(headers, "https://eventgrid.azure.net") {
            return azure(401, "Unauthorized");
        }
        if body.len() > 1_048_576 {
            return azure(413, "RequestEntityTooLarge");
        }
        let batch =
            headers.get("content-type").is_some_and(|kind| kind.starts_with("application/cloudevents-batch+json"));
        let wanted: &[&str] = if batch {
            &["id", "source", "specversion", "type"]
        } else {
            &["id", "subject", "eventType", "eventTime", "dataVersion"]
        };
        let list: Vec<Value> = serde_json::from_str(body).unwrap_or_default();
        let whole =
            |event: &Value| wanted.iter().all(|name| event[*name].as_str().is_some_and(|text| !text.is_empty()));
        if list.is_empty() || !query.contains("api-version=") || !list.iter().all(whole) {
            return azure(400, "BadRequest");
        }
        Reply::empty(200)
    }

    fn ingestion(&self, path: &str, headers: &BTreeMap<String, String>, query: &str, body: &str) -> Reply {
        const RESERVED: [&str; 7] = ["_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"];
        if !self.bears(headers, "https://monitor.azure.com") {
            return azure(403, "OperationFailed");
        }
        if body.len() > 1_048_576 {
            return azure(413, "ContentLengthLimitExceeded");
        }
        let Some((rule, stream)) = path["/dataCollectionRules/".len()..].split_once("/streams/") else {
            return azure(404, "NotFound");
        };
        if !rule.starts_with("dcr-") || !stream.starts_with("Custom-") || query != "api-version=2023-01-01" {
            return azure(404, "NotFound");
        }
        let sound = |name: &String| {
            let bytes = name.as_bytes();
            bytes.first().is_some_and(u8::is_ascii_alphabetic)
                && bytes.len() <= 45
                && bytes.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'_')
                && !RESERVED.contains(&name.as_str())
        };
        let flat = |value: &Value| !value.is_object() && !value.is_array();
        let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_str(body).unwrap_or_default();
        let fine = |row: &serde_json::Map<String, Value>| {
            row.contains_key("TimeGenerated") && row.keys().all(sound) && row.values().all(flat)
        };
        if rows.is_empty() || !rows.iter().all(fine) {
            return azure(400, "InvalidStream");
        }
        Reply::empty(204)
    }
}

fn ordered(order: Order) -> Reply {
    let mut reply = Reply::text(order.status, "text/plain", order.body);
    if let Some(wait) = order.retry_after {
        reply = reply.with("retry-after", wait);
    }
    if let Some(location) = order.location {
        reply = reply.with("location", location);
    }
    reply
}

fn azure(status: u16, code: &'static str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": "Refused."}})).with("x-ms-error-code", code)
}

fn teams(body: &str) -> Reply {
    if body.len() > 28 * 1_024 {
        return Reply::empty(413);
    }
    let message: Value = serde_json::from_str(body).unwrap_or_default();
    let attachment = &message["attachments"][0];
    let card = attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        && attachment["content"]["type"] == "AdaptiveCard"
        && attachment["content"]["body"].as_array().is_some_and(|body| !body.is_empty());
    if message["type"] == "message" && card { Reply::empty(202) } else { Reply::text(400, "text/plain", "bad card") }
}

fn slack(body: &str) -> Reply {
    let refused = |why: &'static str| Reply::text(400, "text/plain", why);
    let Ok(message) = serde_json::from_str::<Value>(body) else { return refused("invalid_payload") };
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    if message["text"].as_str().is_none_or(str::is_empty) && blocks.is_empty() {
        return refused("no_text");
    }
    let length = |value: &Value| value["text"].as_str().map_or(0, |text| text.chars().count());
    let sound = |block: &Value| match block["type"].as_str() {
        Some("header") => (1..=150).contains(&length(&block["text"])) && block["text"]["type"] == "plain_text",
        Some("section") => {
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            length(&block["text"]) <= 3_000
                && fields.len() <= 10
                && fields.iter().all(|field| (1..=2_000).contains(&length(field)))
                && (!fields.is_empty() || length(&block["text"]) > 0)
        }
        Some("context" | "actions") => block["elements"].as_array().is_some_and(|all| !all.is_empty()),
        _ => false,
    };
    if blocks.len() > 50 || !blocks.iter().all(sound) {
        return refused("invalid_blocks");
    }
    if body.chars().count() > 40_000 || characters(&message["blocks"]) > 13_000 {
        return refused("msg_blocks_too_long");
    }
    Reply::text(200, "text/plain", "ok")
}

fn characters(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(all) => all.iter().map(characters).sum(),
        Value::Object(all) => all.values().map(characters).sum(),
        _ => 0,
    }
}

fn pagerduty(alerts: &mut BTreeMap<String, &'static str>, body: &str) -> Reply {
    let invalid = |what: &str| {
        Reply::json(400, &json!({"status": "invalid event", "message": "Event object is invalid", "errors": [what]}))
    };
    let event: Value = serde_json::from_str(body).unwrap_or_default();
    if body.len() > 512 * 1_024 {
        return Reply::json(413, &json!({"status": "invalid event"}));
    }
    if event["routing_key"] != ROUTING_KEY {
        return invalid("routing_key");
    }
    let Some(key) = event["dedup_key"].as_str().filter(|key| (1..=255).contains(&key.len())) else {
        return invalid("dedup_key");
    };
    match event["event_action"].as_str() {
        Some("trigger") => {
            let payload = &event["payload"];
            let summary = payload["summary"].as_str().map_or(0, |text| text.chars().count());
            let severity = payload["severity"].as_str().unwrap_or_default();
            if !(1..=1_024).contains(&summary) || payload["source"].as_str().is_none_or(str::is_empty) {
                return invalid("payload");
            }
            if !["critical", "error", "warning", "info"].contains(&severity) {
                return invalid("severity");
            }
            alerts
                .entry(key.to_owned())
                .and_modify(|state| {
                    if *state == "resolved" {
                        *state = "triggered"
                    }
                })
                .or_insert("triggered");
        }
        // Without an open alert these are dropped, and accepted all the same.
        Some(action @ ("acknowledge" | "resolve")) => {
            if let Some(state) = alerts.get_mut(key).filter(|state| **state != "resolved") {
                *state = if action == "resolve" { "resolved" } else { "acknowledged" };
            }
        }
        _ => return invalid("event_action"),
    }
    Reply::json(202, &json!({"status": "success", "message": "Event processed", "dedup_key": key}))
}
