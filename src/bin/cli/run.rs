//! Commands that do work: serve, poll.

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use health_monitor::hosts::standalone;
use health_monitor::model::TenantId;
use health_monitor::outside::http_client;
use health_monitor::{poll, telemetry};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::Common;
use crate::output::{self, WITH_GAPS, WrongInput};

/// Customers polled at once.
const IN_FLIGHT: usize = 8;
/// How long a probe waits for its answer.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

pub async fn serve(common: &Common, listen: SocketAddr) -> anyhow::Result<ExitCode> {
    output::log_to_stdout(&common.settings)?;
    let app = output::app(common)?;
    let host = standalone::Host::start(Arc::clone(&app), listen).await.map_err(|error| match error {
        error @ standalone::Error::Listen { .. } => {
            anyhow::Error::new(error).context("--listen chooses another address")
        }
        error => error.into(),
    })?;
    tracing::info!(address = %host.local_addr(), public = %app.settings.public_base_url, "serving; Ctrl-C ends it");
    standalone::asked_to_stop().await;
    host.stop().await;
    telemetry::flush().await;
    Ok(ExitCode::SUCCESS)
}

pub async fn probe(listen: SocketAddr, ready: bool) -> anyhow::Result<ExitCode> {
    // Who listens everywhere is asked here.
    let host = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let address = SocketAddr::new(host, listen.port());
    let url = format!("http://{address}/api/probe/{}", if ready { "ready" } else { "live" });
    let answer = http_client()?.get(url).timeout(PROBE_LIMIT).send().await.context("nobody answers")?;
    let good = answer.status().is_success();
    println!("{}", answer.text().await?);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub async fn poll(common: &Common, tenants: Vec<TenantId>) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let all: Vec<_> = poll::plan(&app).await?.into_iter().map(|message| message.tenant_id).collect();
    if let Some(unknown) = tenants.iter().find(|tenant| !all.contains(tenant)) {
        return Err(WrongInput(format!("{unknown} is no customer; `customers` lists them")).into());
    }
    let wanted = if tenants.is_empty() { all } else { tenants };
    let progress = progress(wanted.len(), common.json);
    let polls: Vec<_> = wanted
        .into_iter()
        .map(|tenant| {
            let app = Arc::clone(&app);
            async move { (tenant, poll::poll_tenant(&app, tenant).await) }
        })
        .collect();
    let mut polls = futures_util::stream::iter(polls).buffer_unordered(IN_FLIGHT);
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    while let Some((tenant, outcome)) = polls.next().await {
        progress.inc(1);
        match outcome {
            Ok(report) => reports.push(report),
            Err(error) => failures.push((tenant, error)),
        }
    }
    progress.finish_and_clear();
    reports.sort_by_key(|report| report.tenant_id);

    if common.json {
        let failed: Vec<_> =
            failures.iter().map(|(tenant, error)| json!({"tenantId": tenant, "error": error.to_string()})).collect();
        output::json(&json!({"value": reports, "failed": failed}))?;
    } else {
        let mut table = output::table(&["Tenant", "Subscriptions read", "With gaps", "Transitions"]);
        for report in &reports {
            let numbers = [report.read, report.gaps, report.transitions].map(|number| number.to_string());
            table.add_row([vec![report.tenant_id.to_string()], numbers.to_vec()].concat());
        }
        println!("{table}");
        for (tenant, error) in &failures {
            eprintln!("health-monitor: {tenant}: {error}");
        }
    }
    Ok(match (failures.is_empty(), reports.iter().all(|report| report.gaps == 0)) {
        (false, _) => ExitCode::FAILURE,
        (true, false) => ExitCode::from(WITH_GAPS),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Progress on stderr, where a person can see it.
fn progress(length: usize, json: bool) -> ProgressBar {
    let bar = ProgressBar::new(length as u64);
    if json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("polling {bar:30} {pos}/{len} customers, {elapsed}") {
        bar.set_style(style);
    }
    bar
}
