//! What the commands print: tables on a terminal, JSON for machines; and how they wire the product.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use health_monitor::app::App;
use health_monitor::hosts::standalone;
use health_monitor::model::Timestamp;
use health_monitor::outside::{Outside, SystemRandom};
use health_monitor::query::Coverage;
use health_monitor::settings::{Door, LogSettings, Settings};
use health_monitor::{store, telemetry};

use crate::Common;

/// Done, but something could not be read.
pub const WITH_GAPS: u8 = 3;

/// Input that names nothing: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongInput(pub String);

/// Whoever reads our output may stop reading, as `head` does: then nothing more needs to be said, and that is no crash.
pub fn end_with_the_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let what = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if what.starts_with("failed printing to stdout") && what.contains("Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}

/// A number and what it counts.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Reads the settings and wires the product.
pub fn app(common: &Common) -> anyhow::Result<Arc<App>> {
    let settings = Settings::load(Door::Standalone, &common.settings)?;
    app_of(settings)
}

/// Wires the product from settings.
pub fn app_of(mut settings: Settings) -> anyhow::Result<Arc<App>> {
    standalone::ensure_session_key(&mut settings, &SystemRandom).context("the session key beside the documents")?;
    let backend = store::open(&settings.store).context("STATE_STORE_URL")?;
    let outside = Outside::real(backend).context("the HTTP client")?;
    Ok(App::new(settings, outside))
}

/// Logs for commands that run on: to stdout, as the hosts do.
///
/// # Errors
/// Settings that cannot be read.
pub fn log_to_stdout(settings: &std::path::Path) -> anyhow::Result<()> {
    // Logging that was started before goes on as it is.
    if let Err(error) = telemetry::init(&LogSettings::load(settings)?) {
        eprintln!("health-monitor: no logs: {error}");
    }
    Ok(())
}

/// Prints a value as JSON.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table that fits the terminal; plain columns when it goes elsewhere.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    if std::io::stdout().is_terminal() {
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.load_style(presets::NOTHING);
    }
    table.set_header(header.iter().map(Cell::new));
    table
}

/// A moment as people write it.
pub fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// The word that serde has for a value of an enumeration.
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}

/// Says what could not be read, and the exit code that follows.
pub fn coverage(as_of: Option<Timestamp>, coverage: &Coverage) -> ExitCode {
    println!("As of {}; {}.", time(as_of), read(coverage));
    for gap in &coverage.gaps {
        println!(
            "  not read: {} of subscription {} since {} ({}: {})",
            word(&gap.source),
            gap.subscription_id,
            time(gap.since),
            word(&gap.reason),
            gap.detail
        );
    }
    code(coverage)
}

/// In a few words how much was read.
pub fn read(coverage: &Coverage) -> String {
    match (coverage.subscriptions, coverage.gap_count) {
        (0, _) => "no subscriptions".to_owned(),
        (all, 0) => format!("{all} of {all} subscriptions read in full"),
        (all, gaps) => format!("{gaps} gaps over {all} subscriptions"),
    }
}

/// The exit code that follows from what could not be read.
pub fn code(coverage: &Coverage) -> ExitCode {
    if coverage.complete { ExitCode::SUCCESS } else { ExitCode::from(WITH_GAPS) }
}
