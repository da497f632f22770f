//! `Probe`: whether this process answers (`live`), and whether it could do its work (`ready`).

use std::sync::Arc;
use std::time::Duration;

use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::{StatusCode, header};
use warp::reply::Response;

use super::problem::Problem;
use crate::app::App;
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
    // One read of a document that need not be there: a listing would cost more with each customer.
    let partner = app.settings.identity.tenant_id;
    if let Err(error) = app.store.read_bytes(&Key::Customer(partner)).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "the store is not usable");
        unusable.push("store");
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
        return ok("ready");
    }
    let detail = format!("Not usable: {}.", unusable.join(", "));
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", detail);
    problem.more.insert("unusable".to_owned(), unusable.into());
    problem.into_response()
}

fn ok(status: &str) -> Response {
    let mut response = Response::new(serde_json::json!({ "status": status }).to_string().into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
