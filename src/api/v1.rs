//! `HealthApi`: the routes under `/api/v1`. A handler translates; `reply` is the one way out.

use std::sync::Arc;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use serde_json::{Value, json};
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use warp::http::{HeaderValue, Method, StatusCode};
use warp::reply::Response;

use super::history;
use super::manage::{self, Changed};
use super::parameters::Parameters;
use super::problem::Problem;
use super::{notices, openapi, telling};
use crate::app::App;
use crate::consent::invite;
use crate::model::{InvalidId, sha256_hex};
use crate::query::page::Page;
use crate::query::{self, Answer, EventFilter};

/// The largest body that is read.
const BODY_LIMIT: usize = 64 * 1024;

/// Every route of `HealthApi`. What it does not know is a problem, not a rejection: nothing else lives under `/api/v1`.
pub(super) fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    warp::path!("api" / "v1" / ..)
        .and(warp::path::tail())
        .and(warp::method())
        .and(warp::header::headers_cloned())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::body::stream())
        .then(move |tail: warp::path::Tail, method, headers, query: String, body| {
            let app = Arc::clone(&app);
            async move {
                let call = Call { path: tail.as_str(), method: &method, headers: &headers, query: &query };
                serve(&app, &call, body).await
            }
        })
        .boxed()
}

/// One request, without its body.
struct Call<'a> {
    path: &'a str,
    method: &'a Method,
    headers: &'a HeaderMap,
    query: &'a str,
}

/// Answers one request, with an id that finds it in the log.
async fn serve<B: Buf, E>(app: &Arc<App>, call: &Call<'_>, body: impl Stream<Item = Result<B, E>>) -> Response {
    let headers = call.headers;
    let request_id = request_id(app, headers);
    let answer = match manage::is_change(call.method) {
        true => change(app, call, body).await.map(|done| changed(done, call.method)),
        false => answered(app, call).await,
    };
    let mut response = match answer {
        Ok(response) => response,
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

/// The routes that answer: in another form than JSON where they have one, else JSON.
async fn answered(app: &Arc<App>, call: &Call<'_>) -> Result<Response, Problem> {
    let segments: Vec<&str> = call.path.trim_end_matches('/').split('/').collect();
    if segments.as_slice() == ["metrics"] {
        read(call.method, call.query, &[])?;
        return Ok(text(query::metrics::metrics(app).await?, query::metrics::CONTENT_TYPE));
    }
    if let ["customers", tenant, "report"] = segments.as_slice() {
        let parameters = read(call.method, call.query, &history::REPORT)?;
        return Ok(match history::report(app, id("tenantId", tenant)?, &parameters, call.headers).await? {
            history::Reported::Json(report) => reply(&report, call.headers),
            history::Reported::Csv(response) => response,
        });
    }
    route(app, call.path, call.method, call.query).await.map(|body| reply(&body, call.headers))
}

fn text(body: String, kind: &'static str) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The routes that change something.
async fn change<B: Buf, E>(
    app: &Arc<App>,
    call: &Call<'_>,
    body: impl Stream<Item = Result<B, E>>,
) -> Result<Changed, Problem> {
    let segments: Vec<&str> = call.path.trim_end_matches('/').split('/').collect();
    let none = |known| Parameters::parse(call.query, known);
    match (call.method, segments.as_slice()) {
        (&Method::POST, ["invites"]) => {
            none(&[])?;
            manage::invite(app, &json_body(call, body).await?).await
        }
        (&Method::DELETE, ["invites", id]) => {
            none(&[])?;
            manage::withdraw(app, id).await
        }
        (&Method::PATCH, ["customers", tenant]) => {
            none(&[])?;
            let tenant = id("tenantId", tenant)?;
            manage::customer(app, tenant, &json_body(call, body).await?).await
        }
        (&Method::DELETE, ["customers", tenant]) => {
            let erase = none(&["erase"])?.flag("erase")?;
            manage::offboard(app, id("tenantId", tenant)?, erase).await
        }
        (&Method::PUT, ["routes"]) => {
            none(&[])?;
            let body = json_body(call, body).await?;
            let etag_of = |document: &Value| etag(&serde_json::to_vec(document).unwrap_or_default());
            telling::set_routes(app, call.headers, &body, etag_of).await
        }
        (&Method::POST, ["notices", "replay"]) => {
            none(&[])?;
            notices::replay_all(app, &json_body(call, body).await?).await
        }
        (&Method::POST, ["notices", notice, "replay"]) => {
            none(&[])?;
            notices::replay(app, id("noticeId", notice)?).await
        }
        (method, ["notices", "replay"] | ["notices", _, "replay"]) => Err(Problem::method_not_allowed(method, "POST")),
        (&Method::POST, ["routes", "dry-run"]) => {
            none(&[])?;
            telling::dry_run(app, &json_body(call, body).await?).await
        }
        (&Method::POST, ["routes", route, "test"]) => {
            none(&[])?;
            // Read for its type alone: no form on somebody else's page can ask for a message.
            json_body(call, body).await?;
            telling::test(app, route).await
        }
        (&Method::POST, ["incidents", tracking_id, said @ ("acknowledge" | "snooze" | "notes")]) => {
            none(&[])?;
            let (tracking_id, body) = (id("trackingId", tracking_id)?, json_body(call, body).await?);
            match *said {
                "acknowledge" => telling::acknowledge(app, &tracking_id, &body).await,
                "snooze" => telling::snooze(app, &tracking_id, &body).await,
                _ => telling::note(app, &tracking_id, &body).await,
            }
        }
        (&Method::DELETE, ["incidents", tracking_id, "acknowledge"]) => {
            none(&[])?;
            telling::unacknowledge(app, &id("trackingId", tracking_id)?).await
        }
        (&Method::DELETE, ["incidents", tracking_id, "snooze"]) => {
            none(&[])?;
            telling::unsnooze(app, &id("trackingId", tracking_id)?).await
        }
        (method, ["routes"]) => Err(Problem::method_not_allowed(method, "GET, PUT")),
        (method, ["incidents", _, "acknowledge" | "snooze"]) => {
            Err(Problem::method_not_allowed(method, "POST, DELETE"))
        }
        (method, ["routes", "dry-run"] | ["routes", _, "test"] | ["incidents", _, "notes"]) => {
            Err(Problem::method_not_allowed(method, "POST"))
        }
        (method, ["invites"]) => Err(Problem::method_not_allowed(method, "GET, POST")),
        (method, ["invites", _]) => Err(Problem::method_not_allowed(method, "DELETE")),
        (method, ["customers", _]) => Err(Problem::method_not_allowed(method, "GET, PATCH, DELETE")),
        // What is only read says so, and what is unknown is unknown.
        (method, _) => match route(app, call.path, &Method::HEAD, call.query).await {
            Err(problem) if problem.status == 404 => Err(problem),
            _ => Err(Problem::method_not_allowed(method, "GET")),
        },
    }
}

/// A JSON body up to the limit.
async fn json_body<B: Buf, E>(call: &Call<'_>, body: impl Stream<Item = Result<B, E>>) -> Result<Vec<u8>, Problem> {
    let kind = call.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // Another type would let a form on somebody else's page send it.
    if !(kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case("application/merge-patch+json")) {
        let detail = "The body must be application/json.";
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "Unsupported media type",
            detail,
        ));
    }
    futures_util::pin_mut!(body);
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        let Ok(mut part) = part else { return Err(Problem::invalid("body", "The body broke off.")) };
        if bytes.len() + part.remaining() > BODY_LIMIT {
            let detail = "The body has at most 64 KiB.";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large", detail));
        }
        while part.has_remaining() {
            let length = part.chunk().len();
            bytes.extend_from_slice(part.chunk());
            part.advance(length);
        }
    }
    Ok(bytes)
}

fn changed(changed: Changed, method: &Method) -> Response {
    let bytes = changed.body.as_ref().map(|body| serde_json::to_vec(body).unwrap_or_default());
    // What was put whole is what a GET gives next: the same ETag serves the next change.
    let etag = bytes.as_deref().filter(|_| method == Method::PUT).map(etag);
    let mut response = bytes.map_or_else(Response::default, |bytes| Response::new(bytes.into()));
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
        response.headers_mut().insert(ETAG, etag);
    }
    *response.status_mut() = changed.status;
    if changed.body.is_some() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
        ["customers", tenant, "receipt"] => {
            read(method, query, &[])?;
            body(&query::receipt(app, id("tenantId", tenant)?).await?)
        }
        ["routes"] => {
            read(method, query, &[])?;
            telling::routes(app).await?
        }
        ["openapi.json"] => {
            read(method, query, &[])?;
            openapi::document(&app.settings.public_url("/api/v1"))
        }
        ["invites"] => {
            read(method, query, &[])?;
            json!({ "value": invite::list(app).await? })
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
        ["customers", tenant, "timeline"] => {
            let parameters = read(method, query, &history::TIMELINE)?;
            let answer = history::timeline(app, id("tenantId", tenant)?, &parameters).await?;
            listing(app, &format!("/api/v1/{path}"), &parameters, answer)
        }
        // Answered before it comes here; other methods are told what it takes.
        ["customers", _, "report"] | ["metrics"] if method != Method::GET => {
            return Err(Problem::method_not_allowed(method, "GET"));
        }
        ["changes"] => history::changes(app, &read(method, query, &history::CHANGES)?).await?,
        ["incidents"] => {
            let parameters = read(method, query, &["top", "cursor", "status", "eventType"])?;
            let answer = query::incidents(app, &filter(&parameters), &parameters.page()?).await?;
            listing(app, "/api/v1/incidents", &parameters, answer)
        }
        ["emerging-issues"] => {
            read(method, query, &[])?;
            body(&query::emerging(app).await?)
        }
        ["notices"] => notices::list(app, &read(method, query, &["top", "cursor", "state"])?).await?,
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

/// The strong ETag of a body.
fn etag(body: &[u8]) -> String {
    format!("\"{}\"", &sha256_hex(body)[..32])
}

/// The answer with a strong ETag, or 304 when the caller has it already.
fn reply(body: &Value, headers: &HeaderMap) -> Response {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    let etag = etag(&bytes);
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
