//! What Azure Monitor has of the partner: workspaces of logs, and resources that metrics are published for.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::authorization::Role;
use super::exchange::{Reply, Request};
use super::world::World;
use super::{Shared, State};
use crate::model::{Scope, SubscriptionId, Timestamp};

/// Azure Monitor's part of the world.
#[derive(Debug, Clone)]
pub struct Monitor {
    /// Workspaces of Log Analytics.
    pub workspaces: Vec<Workspace>,
    /// The direct endpoint of logs turns applications away, whatever roles they have.
    pub direct_refuses_applications: bool,
    /// Resources that metrics can be published for, each with its region.
    pub resources: Vec<(String, String)>,
    /// Only this spelling of the audience is taken for metrics: with a slash at its end, or without. None: both.
    pub metrics_audience_with_slash: Option<bool>,
    /// The largest request with metrics, in bytes.
    pub largest_request: usize,
    /// Metrics that were taken.
    pub published: Vec<TakenMetric>,
}

/// A workspace of Log Analytics.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Its own id (`customerId`).
    pub id: Uuid,
    /// Where it is.
    pub subscription: SubscriptionId,
    /// Its full resource id.
    pub resource_id: String,
    /// Its tables by name. None at all: it never had data.
    pub tables: BTreeMap<String, LogsTable>,
    /// Queries end with a partial error that says this.
    pub partial: Option<String>,
    /// Tables that the application may not read.
    pub denied: Vec<String>,
}

/// A table of logs.
#[derive(Debug, Clone, PartialEq)]
pub struct LogsTable {
    /// Names and types.
    pub columns: Vec<(String, String)>,
    /// Rows, each with one value per column.
    pub rows: Vec<Vec<Value>>,
}

/// A document of metrics that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenMetric {
    /// For which resource.
    pub resource: String,
    /// When it came.
    pub at: Timestamp,
    /// The document.
    pub document: Value,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            workspaces: Vec::new(),
            direct_refuses_applications: false,
            resources: Vec::new(),
            metrics_audience_with_slash: None,
            largest_request: 4_000_000,
            published: Vec::new(),
        }
    }
}

impl LogsTable {
    /// A table.
    pub fn new(columns: &[(&str, &str)], rows: Vec<Vec<Value>>) -> Self {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
        Self { columns, rows }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(own, _)| own == name)
    }
}

impl World {
    /// Adds a workspace without tables; gives its id.
    pub fn workspace(&mut self, subscription: SubscriptionId, name: &str) -> Uuid {
        let id = self.id(&format!("workspace:{subscription}:{name}"));
        let resource_id = format!(
            "/subscriptions/{subscription}/resourceGroups/monitoring/providers/Microsoft.OperationalInsights/workspaces/{name}"
        );
        self.monitor.workspaces.push(Workspace {
            id,
            subscription,
            resource_id,
            tables: BTreeMap::new(),
            partial: None,
            denied: Vec::new(),
        });
        id
    }

    /// Puts a table into a workspace.
    pub fn logs(&mut self, workspace: Uuid, name: &str, table: LogsTable) {
        if let Some(workspace) = self.monitor.workspaces.iter_mut().find(|one| one.id == workspace) {
            workspace.tables.insert(name.to_owned(), table);
        }
    }

    /// Adds a resource that metrics can be published for; gives its id.
    pub fn metric_resource(&mut self, subscription: SubscriptionId, name: &str, region: &str) -> String {
        let id = format!("/subscriptions/{subscription}/resourceGroups/health/providers/Microsoft.Web/sites/{name}");
        self.monitor.resources.push((id.clone(), region.to_owned()));
        id
    }
}

fn refused(status: u16, code: &str, message: &str) -> Reply {
    let inner = json!({"error": {"code": code, "message": message}});
    Reply::json(status, &json!({"statusCode": status, "apiFailureResponse": inner}))
}

/// The host that takes metrics. The region is the first segment of the path, as it is part of the host in Azure.
pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request) -> Reply {
    take(shared, state, request).unwrap_or_else(|refusal| refusal)
}

fn take(shared: &Shared, state: &mut State, request: &Request) -> Result<Reply, Reply> {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let claims = token.and_then(|token| shared.keys.claims(token));
    let Some(claims) = claims.filter(|one| one["exp"].as_i64() > Some(state.world.now().timestamp())) else {
        return Err(refused(401, "Unauthorized", "A valid bearer token is required."));
    };
    let audience = claims["aud"].as_str().unwrap_or_default();
    let fits = match state.world.monitor.metrics_audience_with_slash {
        Some(true) => audience == "https://monitoring.azure.com/",
        Some(false) => audience == "https://monitoring.azure.com",
        None => audience.trim_end_matches('/') == "https://monitoring.azure.com",
    };
    if !fits {
        return Err(refused(401, "InvalidAudience", "The token's audience is not the one of this service."));
    }
    let path = request.path.trim_matches('/');
    let (region, rest) = path.split_once('/').unwrap_or((path, ""));
    let resource = rest.strip_suffix("/metrics").map(|id| format!("/{id}")).unwrap_or_default();
    let known =
        state.world.monitor.resources.iter().find(|(id, place)| id.eq_ignore_ascii_case(&resource) && place == region);
    let Some((resource, _)) = known.cloned().filter(|_| request.method == "POST") else {
        return Err(refused(404, "ResourceNotFound", "The resource was not found in this region."));
    };
    let subscription = resource.split('/').nth(2).and_then(|id| id.parse::<SubscriptionId>().ok());
    let principal = claims["sub"].as_str().and_then(|id| id.parse().ok());
    let roles = principal
        .zip(subscription)
        .map(|(principal, subscription)| state.world.roles(principal, &Scope::Subscription(subscription)));
    if !roles.is_some_and(|roles| roles.contains(&Role::MonitoringMetricsPublisher)) {
        let message = "The client does not have authorization to perform action 'Microsoft.Insights/Metrics/Write'.";
        return Err(refused(403, "AuthorizationFailed", message));
    }
    if request.body.len() > state.world.monitor.largest_request {
        return Err(refused(413, "RequestEntityTooLarge", "The request is too large."));
    }
    let lines = request.header("content-type") == Some("application/x-ndjson");
    let text = String::from_utf8_lossy(&request.body);
    let parts: Vec<&str> = if lines { text.lines().collect() } else { vec![text.as_ref()] };
    let mut documents = Vec::new();
    for part in parts {
        let document: Value = serde_json::from_str(part).unwrap_or(Value::Null);
        if let Some(fault) = fault(&document, state.world.now()) {
            return Err(refused(400, "BadRequest", fault));
        }
        documents.push(document);
    }
    let at = state.world.now();
    let taken = documents.into_iter().map(|document| TakenMetric { resource: resource.clone(), at, document });
    state.world.monitor.published.extend(taken);
    Ok(Reply::json(200, &json!({"statusCode": 200})))
}

fn fault(document: &Value, now: Timestamp) -> Option<&'static str> {
    let Some(time) = document["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok()) else {
        return Some("The document has no valid time.");
    };
    if time < now - TimeDelta::minutes(30) || time > now + TimeDelta::minutes(4) {
        return Some("The time is not within the last 30 minutes and the next 4 minutes.");
    }
    let data = &document["data"]["baseData"];
    let text = |name: &str| data[name].as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= 256);
    if !text("metric") || !text("namespace") {
        return Some("A metric needs its name and namespace.");
    }
    let names = data["dimNames"].as_array().map_or(0, Vec::len);
    let series = data["series"].as_array().filter(|all| !all.is_empty());
    let Some(series) = series else { return Some("A metric needs a series.") };
    let fits = |one: &Value| {
        let values = one["dimValues"].as_array().map_or(0, Vec::len);
        let filled = one["dimValues"]
            .as_array()
            .into_iter()
            .flatten()
            .all(|value| value.as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= 256));
        let numbers = ["min", "max", "sum"].iter().all(|name| one[*name].is_number()) && one["count"].is_u64();
        values == names && filled && numbers
    };
    (names > 10 || !series.iter().all(fits)).then_some("The dimensions of a series do not match.")
}
