//! `HealthApi`: the routes under `/api/v1`. A handler translates; `reply` is the one way out.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use warp::http::{HeaderValue, Method, StatusCode};
use warp::reply::Response;

use super::parameters::Parameters;
use super::problem::Problem;
use crate::app::App;
use crate::model::{InvalidId, sha256_hex};
use crate::query::page::Page;
use crate::query::{self, Answer, EventFilter};

/// Every route of `HealthApi`. What it does not know is a problem, not a rejection: nothing else lives under `/api/v1`.
pub(super) fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    warp::path!("api" / "v1" / ..)
        .and(warp::path::tail())
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .then(move |tail: warp::path::Tail, method, headers, query: String| {
            let app = Arc::clone(&app);
            async move { serve(&app, tail.as_str(), &method, &headers, &query).await }
        })
        .boxed()
}

/// Answers one request, with an id that finds it in the log.
async fn serve(app: &Arc<App>, path: &str, method: &Method, headers: &HeaderMap, query: &str) -> Response {
    let request_id = request_id(app, headers);
    let mut response = match route(app, path, method, query).await {
        Ok(body) => reply(&body, headers),
        Err(problem) => {
            if problem.status >= 500 {
                tracing::error!(request.id = request_id, problem = problem.kind, "could not answer");
            }
            problem.into_response()
        }
    };
    let headers_out = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers_out.insert("x-ms-request-id", id);
    }
    if let Some(id) = headers.get("x-ms-client-request-id").filter(|id| id.len() <= 128) {
        headers_out.insert("x-ms-client-request-id", id.clone());
    }
    response
}

async fn route(app: &Arc<App>, path: &str, method: &Method, query: &str) -> Result<Value, Problem> {
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let answer = match segments.as_slice() {
        ["customers"] => {
            let parameters = read(method, query, &["top", "cursor"])?;
            let answer = query::customers(app, &parameters.page()?).await?;
            listing(app, "/api/v1/customers", &parameters, answer)
        }
        ["customers", tenant] => {
            read(method, query, &[])?;
            body(&query::customer(app, id("tenantId", tenant)?).await?)
        }
        ["customers", tenant, "health"] => {
            read(method, query, &[])?;
            body(&query::customer_health(app, id("tenantId", tenant)?).await?)
        }
        ["customers", tenant, "subscriptions", subscription, "health"] => {
            let parameters = read(method, query, &["refresh"])?;
            let (tenant, subscription) = (id("tenantId", tenant)?, id("subscriptionId", subscription)?);
            let refresh = parameters.flag("refresh")?;
            body(&query::subscription_health(app, tenant, subscription, refresh).await?)
        }
        ["customers", tenant, "events"] => {
            let parameters = read(method, query, &["top", "cursor", "status", "eventType"])?;
            let filter = filter(&parameters);
            let answer = query::events(app, id("tenantId", tenant)?, &filter, &parameters.page()?).await?;
            listing(app, &format!("/api/v1/{path}"), &parameters, answer)
        }
        ["incidents"] => {
            let parameters = read(method, query, &["top", "cursor", "status", "eventType"])?;
            let answer = query::incidents(app, &filter(&parameters), &parameters.page()?).await?;
            listing(app, "/api/v1/incidents", &parameters, answer)
        }
        ["incidents", tracking_id] => {
            read(method, query, &[])?;
            body(&query::incident(app, &id("trackingId", tracking_id)?).await?)
        }
        _ => return Err(Problem::not_found()),
    };
    Ok(answer)
}

/// Only GET, and only the parameters that the route knows.
fn read(method: &Method, query: &str, known: &[&str]) -> Result<Parameters, Problem> {
    if method != Method::GET {
        return Err(Problem::method_not_allowed(method, "GET"));
    }
    Parameters::parse(query, known)
}

fn id<T: std::str::FromStr<Err = InvalidId>>(parameter: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: InvalidId| Problem::invalid(parameter, format!("The {error}.")))
}

fn filter(parameters: &Parameters) -> EventFilter {
    EventFilter {
        status: parameters.text("status").map(|word| word.to_owned().into()),
        event_type: parameters.text("eventType").map(|word| word.to_owned().into()),
    }
}

fn body(answer: &impl Serialize) -> Value {
    // Views are plain structs with string keys: they always serialise.
    serde_json::to_value(answer).unwrap_or_default()
}

fn listing<T: Serialize>(app: &App, path: &str, parameters: &Parameters, answer: Answer<T>) -> Value {
    let Answer { page: Page { rows, next }, known } = answer;
    let mut listing = json!({ "value": rows, "asOf": known.as_of, "coverage": known.coverage });
    if let Some(cursor) = next {
        listing["nextLink"] = json!(app.settings.public_url(&parameters.with_cursor(path, &cursor)));
    }
    listing
}

/// The answer with a strong ETag, or 304 when the caller has it already.
fn reply(body: &Value, headers: &HeaderMap) -> Response {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let etag = format!("\"{}\"", &sha256_hex(&bytes)[..32]);
    let has_it =
        headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|list| {
            list.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == etag)
        });
    let mut response = if has_it { Response::default() } else { Response::new(bytes.into()) };
    if has_it {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(ETAG, etag);
    }
    // The caller may keep it, but must ask each time whether it still holds.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// The Functions host's id of this invocation, else one of our own.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let given = headers.get("x-azure-functions-invocationid").and_then(|id| id.to_str().ok());
    given.filter(|id| id.len() <= 64).map_or_else(
        || {
            let mut bytes = [0; 16];
            app.random.fill(&mut bytes);
            uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
        },
        str::to_owned,
    )
}
