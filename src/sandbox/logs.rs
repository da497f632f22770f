//! Log Analytics: the direct endpoint, and the same queries through Resource Manager.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::exchange::{Reply, Request};
use super::monitor::{LogsTable, Workspace};
use super::tokens::Principal;
use super::world::World;
use super::{Shared, State, kusto};
use crate::model::Timestamp;

const AUDIENCE: &str = "https://api.loganalytics.io";

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// The direct endpoint.
pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request) -> Reply {
    direct(shared, state, request).unwrap_or_else(|refusal| refusal)
}

fn direct(shared: &Shared, state: &mut State, request: &Request) -> Result<Reply, Reply> {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let principal = token.and_then(|token| Principal::of(&shared.keys, token));
    let Some(principal) = principal.filter(|one| !one.expired(state.world.now())) else {
        return Err(error(401, "AuthenticationFailed", "A valid bearer token is required."));
    };
    if principal.audience != AUDIENCE {
        return Err(error(403, "InvalidTokenError", "The provided authentication is not valid for this resource"));
    }
    let path = request.path.strip_prefix("/v1").and_then(|path| path.strip_suffix("/query"));
    let Some(path) = path.filter(|_| request.method == "POST") else {
        return Err(error(404, "PathNotFoundError", "The requested path does not exist"));
    };
    let insufficient = |inner: &str| {
        let message = "The provided credentials have insufficient access to perform the requested operation";
        let body = json!({"error": {"code": "InsufficientAccessError", "message": message,
            "innererror": {"code": inner, "message": message}}});
        Reply::json(403, &body)
    };
    let Some(workspace) = named(&state.world, path) else {
        let details = json!({"error": {"code": "BadArgumentError", "message": "The request had some invalid properties",
            "innererror": {"code": "FailedToResolveResource", "message": "The resource could not be resolved."}}});
        return Err(Reply::json(400, &details));
    };
    if state.world.monitor.direct_refuses_applications && principal.app {
        return Err(insufficient("UnauthorizedClient"));
    }
    if !may_query(&mut state.world, &principal, &workspace) {
        return Err(insufficient("InsufficientAccessError"));
    }
    Ok(query(state, request, &workspace))
}

pub(super) fn may_query(world: &mut World, principal: &Principal, workspace: &Workspace) -> bool {
    const ACTION: &str = "Microsoft.OperationalInsights/workspaces/query/read";
    world.allows(principal.object_id, workspace.subscription, ACTION)
}

/// The workspace of a path: `/workspaces/{id}`, or a resource's id.
pub(super) fn named(world: &World, path: &str) -> Option<Workspace> {
    let all = || world.monitor.workspaces.iter();
    let found = match path.strip_prefix("/workspaces/") {
        Some(id) => all().find(|one| one.id.to_string().eq_ignore_ascii_case(id)),
        None => all().find(|one| one.resource_id.eq_ignore_ascii_case(path)),
    };
    found.cloned()
}

/// The row of a workspace in Resource Manager.
pub(super) fn row(workspace: &Workspace) -> Value {
    let name = workspace.resource_id.rsplit('/').next().unwrap_or_default();
    json!({
        "id": workspace.resource_id,
        "name": name,
        "type": "Microsoft.OperationalInsights/workspaces",
        "location": "westeurope",
        "properties": {"customerId": workspace.id, "provisioningState": "Succeeded", "retentionInDays": 30},
    })
}

/// Runs the query of a request that may ask.
pub(super) fn query(state: &mut State, request: &Request, workspace: &Workspace) -> Reply {
    if !request.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        // Log Analytics says nothing at all then.
        return Reply::empty(200);
    }
    if workspace.tables.is_empty() {
        return Reply::empty(204);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let Some(text) = body["query"].as_str() else {
        return error(400, "BadArgumentError", "The request had some invalid properties");
    };
    let now = state.world.now();
    let since = body["timespan"].as_str().and_then(|span| start_of(span, now));
    let mut allowed = workspace.tables.clone();
    for table in &workspace.denied {
        // Silently fewer rows.
        if let Some(table) = allowed.get_mut(table) {
            table.rows.clear();
        }
    }
    let table = match kusto::run(text, &allowed, since, now) {
        Ok(table) => table,
        Err(fault) => {
            let innermost = json!({"code": fault.inner, "message": fault.message});
            let message = "A recognition error occurred in the query.";
            let inner = json!({"code": fault.code, "message": message, "innererror": innermost});
            let body = json!({"error": {"code": "BadArgumentError",
                "message": "The request had some invalid properties", "innererror": inner}});
            return Reply::json(400, &body);
        }
    };
    let mut answer = json!({"tables": [shown(&table)]});
    if let Some(partial) = &workspace.partial {
        answer["error"] = json!({"code": "PartialError", "message": "There were some errors when processing your query.",
            "details": [{"code": "EngineError", "message": "Something went wrong processing your query on the server.",
                "innererror": {"code": "-2133196797", "message": partial, "severity": 2}}]});
    }
    let prefer = request.header("prefer").unwrap_or_default();
    if prefer.contains("include-permissions=true") && !workspace.denied.is_empty() {
        answer["permissions"] =
            json!({"dataSources": [{"resourceId": workspace.resource_id, "denyTables": workspace.denied}]});
    }
    Reply::json(200, &answer)
}

fn shown(table: &LogsTable) -> Value {
    let columns: Vec<Value> = table.columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    json!({"name": "PrimaryResult", "columns": columns, "rows": table.rows})
}

/// The beginning of a time span of whole days, hours or minutes up to now, or of an interval.
fn start_of(span: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some((start, _)) = span.split_once('/') {
        return start.parse().ok();
    }
    let number = |text: &str, unit: char| text.strip_suffix(unit)?.parse::<i64>().ok();
    let rest = span.strip_prefix('P')?;
    let back = match rest.strip_prefix('T') {
        None => TimeDelta::days(number(rest, 'D')?),
        Some(time) => number(time, 'H').map(TimeDelta::hours).or_else(|| number(time, 'M').map(TimeDelta::minutes))?,
    };
    Some(now - back)
}
