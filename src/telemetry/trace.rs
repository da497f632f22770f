//! W3C trace context (<https://www.w3.org/TR/trace-context/>): taken over from who calls us, handed on to whom we call, and
//! carried through queues in our own messages.

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde_json::{Map, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The member of our queue messages that carries it.
const TRACEPARENT: &str = "traceparent";

/// Makes a span, which nobody has entered yet, go on with what the headers of a request say. Headers that say nothing, or
/// nonsense, leave it the beginning of a trace of its own.
pub fn go_on(span: &Span, headers: &HeaderMap) {
    let parent =
        TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &HeaderExtractor(headers));
    if parent.span().span_context().is_valid() {
        // Without the layer there is nothing to go on with.
        let _ = span.set_parent(parent);
    }
}

/// The headers that hand the current span on.
pub fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    TraceContextPropagator::new().inject_context(&opentelemetry::Context::current(), &mut HeaderInjector(&mut headers));
    // An empty one says nothing, and some servers refuse it.
    if headers.get("tracestate").is_some_and(|state| state.is_empty()) {
        headers.remove("tracestate");
    }
    headers
}

/// A queue message that carries the current span with it, if it is a JSON object.
pub fn carried(text: String) -> String {
    let headers = headers();
    let Some(parent) = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()) else { return text };
    match serde_json::from_str::<Map<String, Value>>(&text) {
        Ok(mut message) => {
            message.insert(TRACEPARENT.to_owned(), parent.into());
            Value::Object(message).to_string()
        }
        Err(_) => text,
    }
}

/// A queue message without what it carries: what tells it from others.
pub fn bare(text: &str) -> String {
    let message = serde_json::from_str::<Map<String, Value>>(text).ok();
    let without =
        message.and_then(|mut message| message.remove(TRACEPARENT).map(|_| Value::Object(message).to_string()));
    without.unwrap_or_else(|| text.to_owned())
}

/// The span of working on a queue message, which goes on with the trace of whoever sent it.
pub fn processing(function: &str, text: &str) -> Span {
    let span = tracing::info_span!("process", otel.kind = "consumer", otel.name = %format!("process {function}"), faas.name = function);
    let carried: Option<Map<String, Value>> = serde_json::from_str(text).ok();
    let parent = carried.as_ref().and_then(|message| message.get(TRACEPARENT)?.as_str());
    if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
        go_on(&span, &HeaderMap::from_iter([(http::HeaderName::from_static(TRACEPARENT), parent)]));
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_same_whatever_trace_it_carries() {
        let message = r#"{"tenantId":"11111111-1111-4111-8111-111111111111"}"#;
        let with = message.replace('}', r#","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}"#);
        assert_eq!((bare(&with).as_str(), bare(message).as_str()), (message, message));
        assert_eq!(bare("no JSON"), "no JSON");
        assert_eq!(carried(message.to_owned()), message, "without a span there is nothing to carry");
    }
}
