//! Logs, to stdout: the Functions host shows every line of stderr as an error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::settings::LogSettings;

/// Starts logging: JSON lines unless stdout is a terminal or `LOG_FORMAT` says otherwise.
///
/// # Errors
/// When `RUST_LOG` cannot be read, or logging was started before.
pub fn init(settings: &LogSettings) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::try_new(settings.filter.as_deref().unwrap_or("info"))?;
    let json = settings.json.unwrap_or_else(|| !std::io::stdout().is_terminal());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stdout);
    if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.compact().with_target(false).try_init()
    }
}
