//! Logs to stdout (the Functions host shows every line of stderr as an error), and traces to where the standard OTEL_ settings
//! say. The names of fields are OpenTelemetry's where it has some.

mod json;
mod otlp;
pub mod trace;

use std::io::IsTerminal as _;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::settings::LogSettings;

/// Who asks for a flush waits this long at most: spans are worth less than an answer.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Starts logging: JSON lines unless stdout is a terminal or `LOG_FORMAT` says otherwise. Traces are sent when
/// `OTEL_EXPORTER_OTLP_ENDPOINT` is set; trace context is taken over and handed on in any case.
///
/// # Errors
/// When `RUST_LOG` or an OTEL_ setting cannot be read, or logging was started before.
pub fn init(settings: &LogSettings) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Its spans are ours; what it logs beside them says nothing new. A more exact directive of the operator's own wins.
    let filter = format!("warp=warn,{}", settings.filter.as_deref().unwrap_or("info"));
    let filter: Targets = filter.parse()?;
    let json = settings.json.unwrap_or_else(|| !std::io::stdout().is_terminal());
    let provider = otlp::provider(settings.otlp.as_ref())?;
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("health-monitor"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    let registry = tracing_subscriber::registry().with(filter).with(layer).with(Exporting(provider));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stdout);
    if json {
        let fields = tracing_subscriber::fmt::format::JsonFields::new();
        registry.with(lines.event_format(json::Flat).fmt_fields(fields)).try_init()?;
    } else {
        registry.with(lines.compact().with_target(false)).try_init()?;
    }
    Ok(())
}

/// Sends the spans that have ended, in some seconds at most: before a host freezes or ends the process.
pub async fn flush() {
    let provider = tracing::dispatcher::get_default(|dispatch| {
        dispatch.downcast_ref::<Exporting>().map(|exporting| exporting.0.clone())
    });
    let Some(provider) = provider else { return };
    // It waits for the exporter's thread, whose requests this runtime makes.
    let flushed = tokio::task::spawn_blocking(move || provider.force_flush());
    if tokio::time::timeout(FLUSH_WITHIN, flushed).await.is_err() {
        tracing::debug!("spans could not be sent in time");
    }
}

/// Keeps what must be flushed where the subscriber is found again.
struct Exporting(opentelemetry_sdk::trace::SdkTracerProvider);

impl<S: Subscriber> Layer<S> for Exporting {}

/// An error with its causes, on one line: for logs.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
