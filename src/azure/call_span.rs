//! What is said of each call to Azure in traces and logs: whose it was, what it asked, and the ids by which Microsoft's support
//! finds it. Never a query, which may hold what pages are found by.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;
use url::Url;

use super::request::{Called, header};

/// The span of one try of a call to Resource Manager.
pub(super) fn of_manager(method: &Method, called: &Called, attempt: u32) -> Span {
    let Called { url, source, .. } = called;
    let path = url.path();
    tracing::info_span!(
        "azure",
        otel.kind = "client",
        otel.name = %format!("{method} {source}"),
        otel.status_code = Empty,
        azure.source = *source,
        http.request.method = %method,
        http.request.resend_count = (attempt > 1).then(|| attempt - 1),
        server.address = url.host_str(),
        server.port = url.port_or_known_default(),
        url.path = path,
        subscription.id = after(path, "subscriptions"),
        event.tracking_id = after(path, "events"),
        http.response.status_code = Empty,
        error.r#type = Empty,
        azure.client.request.id = Empty,
        azure.service.request.id = Empty,
        azure.correlation.request.id = Empty,
    )
}

/// The span of a call to Entra's token endpoint. Its path names the tenant.
pub(super) fn of_entra(url: &str) -> Span {
    let parsed = Url::parse(url).ok();
    tracing::info_span!(
        "azure",
        otel.kind = "client",
        otel.name = "POST token",
        otel.status_code = Empty,
        azure.source = "token",
        http.request.method = "POST",
        server.address = parsed.as_ref().and_then(Url::host_str),
        url.path = parsed.as_ref().map(Url::path),
        http.response.status_code = Empty,
        error.r#type = Empty,
        azure.service.request.id = Empty,
        azure.correlation.request.id = Empty,
    )
}

/// Notes our own id of the call.
pub(super) fn sent(client_request_id: &str) {
    Span::current().record("azure.client.request.id", client_request_id);
}

/// Notes the answer: one line for each call, on `info` when Azure refused it.
pub(super) fn answered(status: StatusCode, headers: &HeaderMap) {
    let span = Span::current();
    span.record("http.response.status_code", status.as_u16());
    for (field, name) in [
        ("azure.service.request.id", "x-ms-request-id"),
        ("azure.correlation.request.id", "x-ms-correlation-request-id"),
    ] {
        if let Some(id) = header(headers, name) {
            span.record(field, id.as_str());
        }
    }
    if status.is_success() {
        tracing::debug!("asked Azure");
    } else {
        span.record("error.type", status.as_str());
        span.record("otel.status_code", "ERROR");
        tracing::info!("Azure refused a call");
    }
}

/// Notes that no answer came.
pub(super) fn lost(error: &reqwest::Error) {
    let span = Span::current();
    let kind = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "connection"
    };
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
    tracing::info!("Azure did not answer");
}

/// The segment of a path after the one of this name.
fn after<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let mut segments = path.split('/');
    segments.find(|segment| segment.eq_ignore_ascii_case(name))?;
    segments.next().filter(|segment| !segment.is_empty())
}
