//! Queries of Log Analytics: the direct endpoint first, Resource Manager where Azure refuses an application there ("Graph, Azure
//! Monitor, notification and portal-API contract", section 4).

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::any_case;
use super::resource_path::{InvalidResourcePath, ResourcePath};
use super::service::{Ask, Told};
use super::timespan::Timespan;
use super::wire::logs::{PARTIAL, QueryAnswer};
use super::{AccessToken, Client, Error, Refusal, Service, backoff};
use crate::model::TenantId;

pub use super::wire::logs::{LogColumn, LogTable};

const WORKSPACE: &str = "Microsoft.OperationalInsights/workspaces";
/// Log Analytics gives up to about 100 MiB.
const MOST_BYTES: usize = 128 * 1024 * 1024;
/// What is added to the time that the service may take, for the way there and back.
const MARGIN: Duration = Duration::from_secs(15);
/// Subscriptions that are looked through at once for a workspace.
const IN_FLIGHT: usize = 4;
/// Workspaces whose way is remembered.
const MOST_WAYS: usize = 1_000;

/// Whose logs are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogSource {
    /// A workspace by its id (`customerId`), which the portal calls workspace id.
    Workspace(Uuid),
    /// A workspace or any other resource by its full id.
    Resource(ResourcePath),
}

impl FromStr for LogSource {
    type Err = InvalidResourcePath;

    fn from_str(text: &str) -> Result<Self, InvalidResourcePath> {
        match text.trim() {
            id if id.len() == 36 && id.parse::<Uuid>().is_ok() => Ok(Self::Workspace(id.parse().expect("just read"))),
            path => path.parse().map(Self::Resource),
        }
    }
}

/// A query.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Whose logs.
    pub source: LogSource,
    /// The text, in the Kusto query language.
    pub query: String,
    /// The time it covers; Azure takes what this and the query have in common.
    pub timespan: Timespan,
    /// More workspaces, by id or full resource id.
    pub workspaces: Vec<String>,
    /// How long the service may take, 600 seconds at most.
    pub patience: Duration,
}

/// Which way an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogWay {
    /// The endpoint of Log Analytics.
    Direct,
    /// Resource Manager.
    ResourceManager,
}

/// What a query gave.
#[derive(Debug, Clone, PartialEq)]
pub struct LogAnswer {
    /// The tables; the first is the answer itself.
    pub tables: Vec<LogTable>,
    /// Why there is more than was given: partial errors, tables that may not be read. Empty: it is complete.
    pub incomplete: Vec<String>,
    /// Which way it came.
    pub way: LogWay,
}

/// Why there is no answer, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The query itself is wrong (400).
    #[error("the query is refused ({code}): {text}")]
    Query {
        /// Azure's code.
        code: String,
        /// Azure's explanation.
        text: String,
    },
    /// Our application may not read these logs (401, 403), or not yet: a fresh role takes up to an hour.
    #[error("our application may not read these logs: {0}")]
    NotPermitted(Box<Refusal>),
    /// There is no such workspace or resource.
    #[error("there are no such logs: {0}")]
    NotFound(Box<Refusal>),
    /// The service did not finish in the time it was given.
    #[error("the query took longer than {} s", .0.as_secs())]
    TooLong(Duration),
    /// Everything else.
    #[error(transparent)]
    Azure(#[from] Error),
}

/// Where Azure refuses applications at the direct endpoint, in this process: the resource to ask instead.
#[derive(Debug, Default)]
pub(crate) struct LogWays(Mutex<HashMap<String, ResourcePath>>);

impl LogWays {
    fn of(&self, source: &LogSource) -> Option<ResourcePath> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&source.key()).cloned()
    }

    fn remember(&self, source: &LogSource, path: &ResourcePath) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_WAYS {
            all.clear();
        }
        all.insert(source.key(), path.clone());
    }
}

impl LogSource {
    fn key(&self) -> String {
        match self {
            Self::Workspace(id) => id.to_string(),
            Self::Resource(path) => path.as_str().to_ascii_lowercase(),
        }
    }

    /// The path at the direct endpoint.
    fn direct(&self) -> String {
        match self {
            Self::Workspace(id) => format!("/v1/workspaces/{id}/query"),
            Self::Resource(path) => format!("/v1{path}/query"),
        }
    }
}

/// The path at Resource Manager.
fn managed(path: &ResourcePath) -> String {
    if path.is_a(WORKSPACE) {
        return format!("{path}/query?api-version=2017-10-01");
    }
    format!("{path}/providers/microsoft.insights/logs?api-version=2018-03-01-preview")
}

impl Client {
    /// Asks logs with our application's token of a tenant. Where the direct endpoint does not take applications, Resource
    /// Manager is asked, and from then on at once.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn query_logs(&self, tenant: TenantId, query: &LogQuery) -> Result<LogAnswer, LogError> {
        if let Some(path) = self.log_ways.of(&query.source) {
            return self.query_managed(tenant, query, &path).await;
        }
        let base = self.cloud.log_analytics.as_str().trim_end_matches('/').to_owned();
        let url = format!("{base}{}", query.source.direct());
        let refused = match self.query_at(tenant, Service::Logs, &url, query).await {
            Err(LogError::NotPermitted(refusal)) if refuses_applications(&refusal) => refusal,
            Err(error) => return Err(error),
            Ok(answer) => return Ok(LogAnswer { way: LogWay::Direct, ..answer }),
        };
        let path = match &query.source {
            LogSource::Resource(path) => Some(path.clone()),
            LogSource::Workspace(id) => self.workspace(tenant, *id).await?,
        };
        // What cannot be found with Resource Manager cannot be asked there.
        let Some(path) = path else { return Err(LogError::NotPermitted(refused)) };
        tracing::debug!(log.source = query.source.key(), "the direct endpoint refused us; asking Resource Manager");
        let answer = self.query_managed(tenant, query, &path).await?;
        self.log_ways.remember(&query.source, &path);
        Ok(answer)
    }

    async fn query_managed(
        &self,
        tenant: TenantId,
        query: &LogQuery,
        path: &ResourcePath,
    ) -> Result<LogAnswer, LogError> {
        let url = self.cloud.manager(&managed(path));
        let answer = self.query_at(tenant, Service::ResourceManager, &url, query).await?;
        Ok(LogAnswer { way: LogWay::ResourceManager, ..answer })
    }

    /// One query at one place, again while Azure asks for it.
    async fn query_at(
        &self,
        tenant: TenantId,
        service: Service,
        url: &str,
        query: &LogQuery,
    ) -> Result<LogAnswer, LogError> {
        let mut body = json!({"query": query.query, "timespan": query.timespan.to_string()});
        if !query.workspaces.is_empty() {
            body["workspaces"] = query.workspaces.clone().into();
        }
        let seconds = query.patience.as_secs().clamp(1, 600);
        let headers =
            [("prefer", format!("wait={seconds},include-permissions=true")), ("cache-control", "no-cache".to_owned())];
        let mut attempt = 1;
        loop {
            let token: AccessToken = self.app_token_for(tenant, service).await?;
            let ask = Ask {
                headers: &headers,
                patience: Some(Duration::from_secs(seconds) + MARGIN),
                most_bytes: MOST_BYTES,
                ..Ask::new(Method::POST, url, &token)
            };
            let failure = match self.ask(ask.json(&body)).await {
                Ok(told) => match read(told, Duration::from_secs(seconds)) {
                    Err(LogError::Azure(error)) => error,
                    result => return result,
                },
                Err(error) => error,
            };
            let Some(retry_after) = failure.passes() else { return Err(failure.into()) };
            attempt += 1;
            match backoff::wait_before(attempt, retry_after, self.jitter()) {
                Some(wait) => self.clock.sleep(wait).await,
                None => return Err(failure.into()),
            }
        }
    }

    /// The resource of a workspace's id, among what our application may read in the tenant.
    async fn workspace(&self, tenant: TenantId, id: Uuid) -> Result<Option<ResourcePath>, Error> {
        let token = self.app_token(tenant).await?;
        let subscriptions = self.subscriptions(&token).await?.subscriptions;
        let listings = subscriptions.iter().map(|subscription| {
            let path = format!("/subscriptions/{}/providers/{WORKSPACE}?api-version=2022-10-01", subscription.id);
            let token = &token;
            async move { self.arm_list(&path, token).await }
        });
        // Gathered first: a stream over closures that borrow cannot be sent to another thread.
        let listings: Vec<_> = listings.collect();
        let mut listings = futures_util::stream::iter(listings).buffer_unordered(IN_FLIGHT);
        let wanted = id.to_string();
        while let Some(listing) = listings.next().await {
            // What may not be listed does not have it for us.
            let rows = listing.map(|listing| listing.rows).unwrap_or_default();
            let found = rows.iter().find(|row| {
                let own = any_case(&row["properties"], "customerId").and_then(Value::as_str);
                own.is_some_and(|own| own.eq_ignore_ascii_case(&wanted))
            });
            if let Some(path) = found.and_then(|row| row["id"].as_str()?.parse().ok()) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// True for the refusal by which the direct endpoint turns applications away, which may have all their roles.
fn refuses_applications(refusal: &Refusal) -> bool {
    const CODES: [&str; 2] = ["InsufficientAccessError", "UnauthorizedClient"];
    let codes = std::iter::once(&refusal.code).chain(&refusal.detail_codes);
    refusal.status == 403 && codes.into_iter().any(|code| CODES.iter().any(|known| code.eq_ignore_ascii_case(known)))
}

/// Reads an answer. Pure.
fn read(told: Told, patience: Duration) -> Result<LogAnswer, LogError> {
    let unreadable = |what: &str| Err(LogError::Azure(Error::Unreadable { what: what.to_owned() }));
    if told.status == StatusCode::NO_CONTENT.as_u16() {
        // A workspace that never had data.
        return Ok(LogAnswer { tables: Vec::new(), incomplete: Vec::new(), way: LogWay::Direct });
    }
    if told.status == StatusCode::GATEWAY_TIMEOUT.as_u16() {
        return Err(LogError::TooLong(patience));
    }
    if told.status == StatusCode::OK.as_u16() {
        let Ok(answer) = serde_json::from_slice::<QueryAnswer>(&told.bytes) else {
            return unreadable("the tables of a query");
        };
        let mut incomplete = denied(&answer.permissions);
        if let Some(error) = &answer.error {
            let partial = any_case(error, "code").and_then(Value::as_str) == Some(PARTIAL);
            if !partial && answer.tables.is_empty() {
                return Err(LogError::Query { code: code_of(error), text: explanation(error) });
            }
            incomplete.push(explanation(error));
        }
        return Ok(LogAnswer { tables: answer.tables, incomplete, way: LogWay::Direct });
    }
    let body: Value = serde_json::from_slice(&told.bytes).unwrap_or(Value::Null);
    match told.answer() {
        Ok(_) => unreadable("the tables of a query"),
        Err(Error::Refused(refusal)) => Err(match refusal.status {
            401 | 403 => LogError::NotPermitted(refusal),
            404 => LogError::NotFound(refusal),
            _ if is_unresolved(&refusal) => LogError::NotFound(refusal),
            400 => {
                let error = any_case(&body, "error").unwrap_or(&body);
                LogError::Query { code: refusal.code.clone(), text: explanation(error) }
            }
            _ => LogError::Azure(Error::Refused(refusal)),
        }),
        Err(error) => Err(error.into()),
    }
}

fn is_unresolved(refusal: &Refusal) -> bool {
    let codes = std::iter::once(&refusal.code).chain(&refusal.detail_codes);
    codes.into_iter().any(|code| code == "FailedToResolveResource")
}

fn code_of(error: &Value) -> String {
    any_case(error, "code").and_then(Value::as_str).unwrap_or("no code").chars().take(100).collect()
}

/// What an error says at all its depths: the outermost is the least precise. Foreign text, capped.
fn explanation(error: &Value) -> String {
    let mut texts: Vec<&str> = Vec::new();
    let mut depths = vec![error];
    while let Some(one) = depths.pop().filter(|_| texts.len() < 10) {
        let text = any_case(one, "message").and_then(Value::as_str).map(str::trim).unwrap_or_default();
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
        depths.extend(any_case(one, "innererror"));
        depths.extend(any_case(one, "details").and_then(Value::as_array).into_iter().flatten().rev());
    }
    let text = texts.join(": ");
    if text.is_empty() { code_of(error) } else { text.chars().take(2000).collect() }
}

/// The tables that were left out for want of a permission, wherever the document names them.
fn denied(permissions: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![permissions];
    while let Some(value) = left.pop().filter(|_| found.len() < 20) {
        if let Some(tables) = any_case(value, "denyTables").and_then(Value::as_array).filter(|all| !all.is_empty()) {
            let names: Vec<&str> = tables.iter().filter_map(Value::as_str).collect();
            let place = any_case(value, "resourceId").and_then(Value::as_str).unwrap_or("the source");
            found.push(format!("no permission to read {} of {place}", names.join(", ")));
        }
        match value {
            Value::Object(members) => left.extend(members.values()),
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, body: &Value) -> Told {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Told { status, headers: reqwest::header::HeaderMap::new(), bytes }
    }

    fn read_now(status: u16, body: Value) -> Result<LogAnswer, LogError> {
        read(told(status, &body), Duration::from_secs(180))
    }

    #[test]
    fn a_partial_error_marks_the_answer_and_keeps_its_rows() {
        let body = json!({
            "tables": [{"name": "PrimaryResult", "columns": [{"name": "a", "type": "long"}], "rows": [[1], [null]]}],
            "error": {"code": "PartialError", "message": "There were some errors when processing your query.",
                "details": [{"code": "EngineError", "message": "Something went wrong.",
                    "innererror": {"code": "-2133196797", "message": "The results are too large.", "severity": 2}}]},
        });
        let answer = read_now(200, body).expect("tables");
        assert_eq!((answer.tables[0].rows.len(), answer.incomplete.len()), (2, 1));
        assert!(answer.incomplete[0].ends_with("Something went wrong.: The results are too large."), "{answer:?}");
    }

    #[test]
    fn tables_without_permission_make_it_incomplete() {
        let body = json!({"tables": [], "permissions": {"dataSources": [
            {"resourceId": "/subscriptions/s/w", "denyTables": ["SecurityEvent", "SigninLogs"]}, {"denyTables": []},
        ]}});
        let answer = read_now(200, body).expect("tables");
        assert_eq!(answer.incomplete, ["no permission to read SecurityEvent, SigninLogs of /subscriptions/s/w"]);
    }

    #[test]
    fn a_wrong_query_says_where() {
        let body = json!({"error": {"code": "BadArgumentError", "message": "The request had some invalid properties",
            "innererror": {"code": "SyntaxError", "message": "A recognition error occurred in the query.",
                "innererror": {"code": "SYN0002", "message": "Query could not be parsed at 'tke' on line [1,15]"}}}});
        let error = read_now(400, body).expect_err("refused");
        assert!(
            matches!(&error, LogError::Query { code, text } if code == "BadArgumentError"
            && text.ends_with("Query could not be parsed at 'tke' on line [1,15]")),
            "{error}"
        );
    }

    #[test]
    fn odd_successes_and_refusals_are_told_apart() {
        assert!(read_now(204, Value::Null).is_ok_and(|answer| answer.tables.is_empty()));
        assert!(matches!(read_now(200, Value::Null), Err(LogError::Azure(Error::Unreadable { .. }))));
        assert!(matches!(read_now(504, Value::Null), Err(LogError::TooLong(_))));
        assert!(matches!(read_now(429, Value::Null), Err(LogError::Azure(Error::Throttled { .. }))));
        let code = |code: &str| json!({"error": {"code": code}});
        assert!(matches!(read_now(400, code("FailedToResolveResource")), Err(LogError::NotFound(_))));
        assert!(matches!(read_now(404, code("PathNotFoundError")), Err(LogError::NotFound(_))));
        assert!(matches!(read_now(401, code("AuthenticationFailed")), Err(LogError::NotPermitted(_))));
        let inner = json!({"error": {"code": "InsufficientAccessError", "innererror": {"code": "UnauthorizedClient"}}});
        let Err(LogError::NotPermitted(refusal)) = read_now(403, inner) else { panic!("refused") };
        assert!(refuses_applications(&refusal));
        let Err(LogError::NotPermitted(refusal)) = read_now(403, code("InvalidTokenError")) else { panic!("refused") };
        assert!(!refuses_applications(&refusal));
    }
}
