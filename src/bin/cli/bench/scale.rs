//! A large partner from end to end, in both host modes: the timer plans, the queue carries, every customer is polled.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use health_monitor::functions::Functions;
use health_monitor::hosts::{self, standalone};
use health_monitor::outside::{SystemClock, http_client};
use health_monitor::store;
use serde_json::{Value, json};

use super::measured::{Measured, Part, Scratch, app, count, onboard, peak_kib, size};
use super::process::{Azure, measure, start};
use super::table::Row;
use super::{OBSERVED, shape};

const SUBSCRIPTIONS: u32 = 3;
const RESOURCES: u32 = 100;
/// A round of all customers must be over before the next begins.
const INTERVAL: f64 = 60.0;

pub async fn standalone(tenants: u32) -> anyhow::Result<Vec<Row>> {
    let azure = Azure::start(&shape(SUBSCRIPTIONS, &OBSERVED, RESOURCES))?;
    let done = measure(&Part::Standalone { base: azure.base(), tenants })?;
    let peak = done.peak_mib();
    let rounds =
        format!("first round {:.1} s, later {:.1} s; {} missing", done.first_seconds, done.seconds, done.missing);
    let each = |bytes: u64| bytes as f64 / 1000.0 / f64::from(tenants);
    Ok(vec![
        Row::new(&format!("{tenants} tenants, standalone"), rounds, "a round within the interval of 60 s")
            .judged(done.first_seconds.max(done.seconds) <= INTERVAL && done.missing == 0),
        Row::new(&format!("Peak memory, {tenants} tenants, standalone"), format!("{peak:.0} MiB"), "100 MiB or less")
            .judged(peak <= 100.0),
        Row::new(
            "State per tenant (3 subscriptions, 5 events each)",
            format!("{:.1} KB, and {:.1} KB of texts for all", each(done.state_bytes), done.texts_kb()),
            "",
        ),
    ])
}

/// In the measured process: the whole standalone host over a directory, with a timer that fires each second.
pub async fn in_standalone(base: &str, tenants: u32) -> anyhow::Result<Measured> {
    let scratch = Scratch::new()?;
    let schedule = ("POLL_SCHEDULE", "* * * * * *".to_owned());
    let backend = Arc::new(store::Local::open(&scratch.0)?);
    let app = app(base, &[schedule], Arc::new(SystemClock), backend)?;
    onboard(&app, tenants, SUBSCRIPTIONS).await?;
    let health = scratch.0.join("health");
    let host = standalone::Host::start(Arc::clone(&app), ([127, 0, 0, 1], 0).into()).await?;

    let mut measured = Measured::default();
    for round in 0..2 {
        let begin = Instant::now();
        let marker = scratch.0.join(format!(".round-{round}"));
        std::fs::write(&marker, "")?;
        let since = std::fs::metadata(&marker)?.modified()?;
        while newer(&health, since) < tenants {
            anyhow::ensure!(begin.elapsed() < Duration::from_secs(120), "a round took more than two minutes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        measured.seconds = begin.elapsed().as_secs_f64();
        if round == 0 {
            measured.first_seconds = measured.seconds;
        }
    }
    host.stop().await;
    measured.peak_kib = peak_kib();
    count(&app, tenants, SUBSCRIPTIONS, &mut measured).await?;
    state(&scratch.0, &mut measured);
    Ok(measured)
}

fn state(directory: &Path, measured: &mut Measured) {
    measured.state_bytes = ["customers", "health", "timeline"].iter().map(|one| size(&directory.join(one))).sum();
    measured.texts_bytes = size(&directory.join("texts"));
}

/// How many files were written after a moment.
fn newer(directory: &Path, since: std::time::SystemTime) -> u32 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let written = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).filter(|at| *at > since);
    u32::try_from(written.count()).unwrap_or(u32::MAX)
}

/// Plays the Functions host: the timer's messages go to `instances` handlers, each with as many at once as host.json says.
pub async fn functions(tenants: u32, instances: u32) -> anyhow::Result<Vec<Row>> {
    let azure = Azure::start(&shape(SUBSCRIPTIONS, &OBSERVED, RESOURCES))?;
    let scratch = Scratch::new()?;
    let backend = Arc::new(store::Local::open(&scratch.0)?);
    let app = app(&azure.base(), &[], Arc::new(SystemClock), backend)?;
    onboard(&app, tenants, SUBSCRIPTIONS).await?;
    let spec = serde_json::to_string(&Part::Functions { base: azure.base(), directory: scratch.0.clone() })?;
    let handlers = (0..instances).map(|_| start("measured", &spec)).collect::<anyhow::Result<Vec<_>>>()?;

    let host = Functions::embedded().host;
    let mut rounds = Vec::new();
    let (mut longest, mut largest) = (Duration::ZERO, 0);
    for _ in 0..2 {
        let begin = Instant::now();
        let timer = json!({"Data": {"timer": {"IsPastDue": false}}, "Metadata": {}});
        let answer = invoke(&handlers[0].1, "PollTimer", &timer).await?;
        let messages = answer["Outputs"]["polls"].as_array().cloned().unwrap_or_default();
        anyhow::ensure!(messages.len() == tenants as usize, "{} messages for {tenants} tenants", messages.len());
        let calls: Vec<_> = messages
            .into_iter()
            .enumerate()
            .map(|(index, message)| {
                let handler = handlers[index % handlers.len()].1.clone();
                let text = message.as_str().unwrap_or_default().to_owned();
                async move {
                    let begin = Instant::now();
                    // As the host does: the text as JSON, and that as JSON.
                    let payload =
                        json!({"Data": {"message": json!(text).to_string()}, "Metadata": {"DequeueCount": "1"}});
                    invoke(&handler, "PollTenant", &payload).await.map(|_| (begin.elapsed(), text.len()))
                }
            })
            .collect();
        let at_once = host.queue_concurrency * handlers.len();
        let mut calls = futures_util::stream::iter(calls).buffer_unordered(at_once);
        while let Some(call) = calls.next().await {
            let (took, length) = call?;
            longest = longest.max(took);
            largest = largest.max(length);
        }
        rounds.push(begin.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut measured = Measured::default();
    count(&app, tenants, SUBSCRIPTIONS, &mut measured).await?;
    Ok(vec![
        Row::new(
            &format!(
                "{tenants} tenants, Functions, {instances} instances with {} messages at once",
                host.queue_concurrency
            ),
            format!(
                "first round {:.1} s, later {:.1} s; longest call {:.1} s; largest message {largest} bytes; {} missing",
                rounds[0],
                rounds[1],
                longest.as_secs_f64(),
                measured.missing
            ),
            "a round within the interval of 60 s",
        )
        .judged(rounds.iter().all(|round| *round <= INTERVAL) && measured.missing == 0),
    ])
}

async fn invoke(base: &str, function: &str, payload: &Value) -> anyhow::Result<Value> {
    let request = http_client()?.post(format!("{base}/{function}")).json(payload).timeout(Duration::from_secs(600));
    let answer = request.send().await.with_context(|| format!("{function} at {base}"))?.error_for_status()?;
    Ok(answer.json().await?)
}

/// In the measured process: the handler that Functions starts, until it is killed.
pub async fn in_functions(base: &str, directory: &Path) -> anyhow::Result<ExitCode> {
    let backend = Arc::new(store::Local::open(directory)?);
    let app = app(base, &[], Arc::new(SystemClock), backend)?;
    let listener = hosts::functions::bind(0).await?;
    println!("http://{}", listener.local_addr()?);
    hosts::functions::serve(app, listener).await;
    Ok(ExitCode::SUCCESS)
}
