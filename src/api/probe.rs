//! `Probe`: whether this process answers (`live`), and whether it could do its work (`ready`).

use std::sync::Arc;
use std::time::Duration;

use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::{StatusCode, header};
use warp::reply::Response;

use super::problem::Problem;
use crate::app::App;
use crate::model::Heartbeat;
use crate::poll::pulse;
use crate::store::Key;

/// Who probes waits some seconds only, while our tries with Entra go on for longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /api/probe/live` and `GET /api/probe/ready`.
pub(super) fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    let live = warp::path!("api" / "probe" / "live").and(warp::get()).map(|| ok("live"));
    let ready = warp::path!("api" / "probe" / "ready").and(warp::get()).then(move || ready(Arc::clone(&app)));
    live.or(ready).unify().boxed()
}

/// Names what is not usable, and no more: everybody may ask. The log has the causes.
async fn ready(app: Arc<App>) -> Response {
    let mut unusable = Vec::new();
    let partner = app.settings.identity.tenant_id;
    // On Functions no timer may run in this very process: the heartbeat tells of whichever ran last.
    let mut last_run_at = None;
    match app.store.read::<Heartbeat>(&Key::Heartbeat).await {
        Ok(heartbeat) => {
            let heartbeat = heartbeat.map(|heartbeat| heartbeat.value);
            last_run_at = heartbeat.as_ref().map(|heartbeat| heartbeat.at);
            // Where it never ran, it is late as soon as this process is old enough to have seen it run.
            let since = last_run_at.unwrap_or(app.started_at);
            if pulse::is_overdue(&app.settings.poll_schedule, since, app.clock.now()) {
                unusable.push("timer");
            }
            if heartbeat.is_some_and(|heartbeat| heartbeat.all_silent()) {
                unusable.push("polls");
            }
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store is not usable");
            unusable.push("store");
        }
    }
    match tokio::time::timeout(PATIENCE, app.azure.app_token(partner)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the credential is not usable");
            unusable.push("credential");
        }
        Err(_) => {
            tracing::warn!("the credential is not usable: Entra does not answer");
            unusable.push("credential");
        }
    }
    if unusable.is_empty() {
        return ok_with(serde_json::json!({ "status": "ready", "lastRunAt": last_run_at }));
    }
    let why = unusable.iter().map(|part| match (*part, last_run_at) {
        ("timer", Some(at)) => format!("timer (it ran last at {})", at.format("%Y-%m-%dT%H:%M:%SZ")),
        ("timer", None) => "timer (it never ran)".to_owned(),
        ("polls", _) => "polls (nothing of any customer is read)".to_owned(),
        (part, _) => part.to_owned(),
    });
    let detail = format!("Not usable: {}.", why.collect::<Vec<_>>().join(", "));
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail);
    problem.more.insert("unusable".to_owned(), unusable.into());
    problem.more.insert("lastRunAt".to_owned(), serde_json::json!(last_run_at));
    problem.into_response()
}

fn ok(status: &str) -> Response {
    ok_with(serde_json::json!({ "status": status }))
}

fn ok_with(body: serde_json::Value) -> Response {
    let mut response = Response::new(body.to_string().into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
