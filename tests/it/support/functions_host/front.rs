//! The HTTP front: routes, keys, and requests passed on with the headers that the real host changes (sections 4, 5.3, 8).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use health_monitor::functions::{AuthLevel, Lookup, Trigger};
use health_monitor::outside;
use serde_json::Value;
use tokio::net::TcpListener;
use warp::Filter as _;
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;

use super::{Inner, TimerStatus};

const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "upgrade-insecure-requests",
    "alt-svc",
];

pub(super) async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    let client = outside::http_client().unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let filter = warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .and_then(move |method, path: FullPath, query, headers, body| {
            let request = Request { method, path: path.as_str().to_owned(), query, headers, body };
            let (inner, client, own) = (Arc::clone(&inner), client.clone(), own.clone());
            async move { Ok::<_, Infallible>(answer(inner, client, &own, request).await) }
        });
    warp::serve(filter).incoming(listener).run().await;
}

struct Request {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new("".into());
    *response.status_mut() = status;
    response
}

async fn answer(inner: Arc<Inner>, client: reqwest::Client, own: &str, request: Request) -> Response {
    if let Some(name) = request.path.strip_prefix("/admin/functions/") {
        return run_by_hand(&inner, name, &request);
    }
    let Lookup::Found(function) = inner.functions.find(request.method.as_str(), &request.path) else {
        return status(StatusCode::NOT_FOUND);
    };
    let Trigger::Http { auth, .. } = &function.trigger else { return status(StatusCode::NOT_FOUND) };
    if let (AuthLevel::Function, Some(key)) = (auth, &inner.key) {
        let in_header = request.headers.get("x-functions-key").map(|value| value.as_bytes() == key.as_bytes());
        let in_query = || request.query.split('&').any(|pair| pair == format!("code={key}"));
        if !in_header.unwrap_or_else(in_query) {
            return status(StatusCode::UNAUTHORIZED);
        }
    }
    if inner.handler.ensure_running().await.is_err() {
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    pass_on(&inner, client, own, request).await
}

async fn pass_on(inner: &Inner, client: reqwest::Client, own: &str, request: Request) -> Response {
    let mut headers = without_hop_by_hop(&request.headers);
    let host = headers.remove("host").unwrap_or_else(|| HeaderValue::from_str(own).unwrap());
    headers.remove("forwarded");
    headers.remove("content-length");
    headers.insert("x-forwarded-host", host);
    headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
    headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
    let invocation = HeaderValue::from_static("7f0d9d6e-1111-4111-8111-000000000002");
    headers.insert("x-azure-functions-hostversion", HeaderValue::from_static("4.1052.200"));
    headers.insert("x-azure-functions-invocationid", invocation.clone());
    headers.insert("x-ms-invocation-id", invocation);
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let url = format!("http://127.0.0.1:{}{}{query}", inner.handler.port, request.path);
    let mut wait = Duration::from_millis(50);
    for _ in 0..10 {
        let sent = client
            .request(request.method.clone(), &url)
            .headers(headers.clone())
            .body(request.body.clone())
            .send()
            .await;
        if let Ok(answer) = sent {
            let (code, answered) = (answer.status(), without_hop_by_hop(answer.headers()));
            let Ok(body) = answer.bytes().await else { break };
            let mut response = Response::new(body.into());
            *response.status_mut() = code;
            *response.headers_mut() = answered;
            return response;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(250));
    }
    status(StatusCode::INTERNAL_SERVER_ERROR)
}

fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    let kept = |name: &HeaderName| !HOP_BY_HOP.contains(&name.as_str());
    headers.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `POST /admin/functions/<name>`: accepted at once, run in the background.
fn run_by_hand(inner: &Arc<Inner>, name: &str, request: &Request) -> Response {
    let Some(function) = inner.functions.named(name).cloned() else { return status(StatusCode::NOT_FOUND) };
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return status(StatusCode::BAD_REQUEST) };
    let inner = Arc::clone(inner);
    match function.trigger {
        Trigger::Http { .. } => return status(StatusCode::BAD_REQUEST),
        Trigger::Timer { .. } => {
            tokio::spawn(async move { inner.fire_timer(&function.name, TimerStatus::PastDue).await });
        }
        Trigger::Queue { queue, .. } => {
            let text = body.get("input").and_then(Value::as_str).unwrap_or_default();
            inner.queues.lock().unwrap().put(&queue, text);
            tokio::spawn(async move { inner.deliver(&queue).await });
        }
    }
    status(StatusCode::ACCEPTED)
}
