//! `demo` and `sandbox`: the product against the simulated Azure, with nothing to install or configure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args;
use health_monitor::app::App;
use health_monitor::hosts::standalone::{self, Host};
use health_monitor::model::{
    NoticeEnd, NoticeId, Outcome, Routes, Story, TenantId, Timeline, Transition, TransitionId,
};
use health_monitor::outside::SystemClock;
use health_monitor::sandbox::visitor::{Choice, Visitor};
use health_monitor::sandbox::{DEMO_MAILBOX, DEMO_TENANTS, Sandbox, World};
use health_monitor::settings::{Door, Settings};
use health_monitor::store::{Day, Folder, Key, Month};
use health_monitor::{consent, poll, query};
use serde_json::json;

use crate::output;

/// The demo polls this often, so that things happen while one watches.
const POLL_SCHEDULE: &str = "*/5 * * * * *";

#[derive(Debug, Args)]
pub struct Options {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7071")]
    listen: SocketAddr,
    /// Where to keep documents; a second run finds them
    #[arg(long, value_name = "DIR", default_value = "state/demo")]
    state: PathBuf,
    /// End by itself after this many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
}

#[derive(Debug, Args)]
pub struct SandboxOptions {
    /// Where the simulated Entra listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7081")]
    entra: SocketAddr,
    /// Where the simulated Resource Manager listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7082")]
    resource_manager: SocketAddr,
    /// The address of the program under test, as browsers see it
    #[arg(long, value_name = "URL", default_value = "http://localhost:7071")]
    public_base_url: String,
    /// Where to write the settings that go with it
    #[arg(long, value_name = "DIR", default_value = "state/sandbox")]
    state: PathBuf,
}

/// The settings that make a program of ours talk to a sandbox.
fn values(sandbox: &Sandbox, base: &str, state: &Path) -> BTreeMap<&'static str, String> {
    let mut values = sandbox.settings();
    values.extend(sandbox.metrics_settings());
    values.extend([
        ("FUNCTIONS_WORKER_RUNTIME", "custom".to_owned()),
        ("PUBLIC_BASE_URL", base.to_owned()),
        ("STATE_STORE_URL", format!("file:{}", state.join("documents").display())),
        ("POLL_SCHEDULE", POLL_SCHEDULE.to_owned()),
        ("ONBOARDING", "invite".to_owned()),
    ]);
    values
}

fn write_settings(values: &BTreeMap<&'static str, String>, state: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(state).with_context(|| format!("cannot make {}", state.display()))?;
    let file = state.join("local.settings.json");
    let text = serde_json::to_string_pretty(&json!({"IsEncrypted": false, "Values": values}))?;
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// A `parameters.json` of Microsoft's daemon samples for the simulated Azure.
fn write_parameters(sandbox: &Sandbox, state: &Path) -> anyhow::Result<PathBuf> {
    let file = state.join("parameters.json");
    let text = serde_json::to_string_pretty(&sandbox.parameters(DEMO_MAILBOX))?;
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

pub async fn sandbox(options: SandboxOptions) -> anyhow::Result<ExitCode> {
    let world = World::demo(format!("{}/api/consent/callback", options.public_base_url));
    let sandbox = Sandbox::start_at(options.entra, options.resource_manager, world, Arc::new(SystemClock))
        .await
        .context("the sandbox cannot listen; --entra and --resource-manager choose other addresses")?;
    let file = write_settings(&values(&sandbox, &options.public_base_url, &options.state), &options.state)?;
    let parameters = write_parameters(&sandbox, &options.state)?;
    println!("Simulated Entra:            {}", sandbox.authority_host());
    println!("Simulated Resource Manager: {}", sandbox.resource_manager());
    println!("In another terminal:        cargo run -- serve --settings {}", file.display());
    println!("                            cargo run -- users --parameters {}", parameters.display());
    println!("Ctrl-C ends it.");
    standalone::asked_to_stop().await;
    sandbox.stop().await;
    Ok(ExitCode::SUCCESS)
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let base = format!("http://localhost:{}", options.listen.port());
    let world = World::demo(format!("{base}/api/consent/callback"));
    let sandbox = Sandbox::start(world, Arc::new(SystemClock)).await.context("the sandbox")?;
    let values = values(&sandbox, &base, &options.state);
    let settings = Settings::from_lookup(Door::Standalone, |name| values.get(name).cloned())?;
    let app = output::app_of(settings)?;
    let host = Host::start(Arc::clone(&app), options.listen).await.context("--listen chooses another address")?;
    // Only now: a demo that runs here already goes on with its own.
    let file = write_settings(&values, &options.state)?;
    let parameters = write_parameters(&sandbox, &options.state)?;

    println!("Azure Health Partner Monitor, against a simulated Azure on this machine.\n");
    let outcome = tokio::select! {
        outcome = show(&app, &sandbox, &base, [&file, &parameters, &options.state]) => outcome,
        () = ended(options.seconds) => Ok(()),
    };
    host.stop().await;
    sandbox.stop().await;
    outcome?;
    println!("\nEnded. What was found stays in {}; a second run goes on from there.", options.state.display());
    Ok(ExitCode::SUCCESS)
}

async fn ended(seconds: Option<u64>) {
    let timer = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! { () = standalone::asked_to_stop() => {}, () = timer => {} }
}

/// Onboards, polls, says where to look, then tells what happens. Goes on until it is dropped.
async fn show(app: &Arc<App>, sandbox: &Sandbox, base: &str, files: [&Path; 3]) -> anyhow::Result<()> {
    let [settings, parameters, state] = files;
    let routes = keep_routes(app, state).await?;
    let known: BTreeSet<TenantId> = poll::plan(app).await?.into_iter().map(|message| message.tenant_id).collect();
    let mut tenants = BTreeMap::new();
    let (customers, newcomer) = DEMO_TENANTS.split_at(DEMO_TENANTS.len() - 1);
    for &name in customers {
        let (tenant, owner) = person(sandbox, name)?;
        let link = invite(app, name).await?;
        let page = Visitor::new()?.onboard(&link, &owner, Choice::All).await.context(name)?;
        anyhow::ensure!(page.status == 200, "{name} could not come in: {}", page.text());
        let again = if known.contains(&tenant) { ", known from an earlier run" } else { "" };
        println!("  onboarded {name}{again}: {owner} signed in, consented and granted Reader");
        tenants.insert(tenant, name);
    }
    // What earlier runs told is not told again.
    let mut told = BTreeSet::new();
    for &tenant in tenants.keys() {
        told.extend(transitions(app, tenant).await?.into_iter().map(|transition| transition.id));
    }
    let mut sent: BTreeSet<NoticeId> = outcomes(app, &BTreeSet::new()).await?.iter().map(|one| one.notice.id).collect();
    for (&tenant, name) in &tenants {
        poll::poll_tenant(app, tenant).await?;
        let health = query::customer_health(app, tenant).await?;
        println!("  polled {name}: {}, {} active events", output::word(&health.status), health.active_events.len());
    }
    let newcomer = newcomer[0];
    let (_, signs_in) = person(sandbox, newcomer)?;
    let customer = tenants.keys().next().map(ToString::to_string).unwrap_or_default();
    println!("\nWhere to look:");
    println!("  come in as a new customer   {}", invite(app, newcomer).await?);
    println!("                              (sign in as {signs_in})");
    println!("  the health of a customer    {base}/api/v1/customers/{customer}/health");
    println!("  the incidents               {base}/api/v1/incidents");
    println!("  the same on the terminal    cargo run -- customers --settings {}", settings.display());
    println!("  who is told of what         cargo run -- routes show --settings {}", settings.display());
    for (name, channel) in &routes.channels {
        let place = channel.options.get("path").and_then(|path| path.as_str()).unwrap_or_default();
        println!("                              (channel {name}: {} {place})", channel.kind);
    }
    println!("  Graph, mail and metrics     cargo run -- users --parameters {}", parameters.display());
    if let Some(workspace) = sandbox.change(|world| world.monitor.workspaces.first().map(|workspace| workspace.id)) {
        println!(
            "  Log Analytics               cargo run -- logs query AzureActivity --workspace {workspace} --settings {}",
            settings.display()
        );
    }
    println!(
        "\nWhat happens now (an outage will start, spread to a second customer, and be resolved; Ctrl-C ends it; -> is a notice):"
    );
    loop {
        // A newcomer is told about too.
        for customer in query::customers(app, &Default::default()).await?.page.rows {
            for transition in transitions(app, customer.tenant_id).await? {
                if told.insert(transition.id) {
                    tell(&customer.display_name, &transition);
                }
            }
        }
        for outcome in outcomes(app, &sent).await? {
            sent.insert(outcome.notice.id);
            tell_end(&outcome);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Routes to files of the demo's own, unless somebody has set others: the desk hears of everything, each customer of outages.
async fn keep_routes(app: &App, state: &Path) -> anyhow::Result<Routes> {
    if let Some(known) = app.store.read::<Routes>(&Key::Routes).await? {
        return Ok(known.value);
    }
    let state = std::path::absolute(state).with_context(|| format!("no whole path of {}", state.display()))?;
    let file = |name: &str| json!({"kind": "file", "path": state.join(name)});
    let routes: Routes = serde_json::from_value(json!({
        "channels": { "desk": file("told-desk.jsonl"), "customers": file("told-customers.jsonl") },
        "routes": [
            // The outage of the demo is over within a minute: the usual group time would only tell its end.
            { "id": "everything", "audience": "partner", "channels": ["desk"], "timing": { "groupSeconds": 3 } },
            { "id": "outages", "audience": "customer", "channels": ["customers"],
              "match": { "eventTypes": ["ServiceIssue"] } },
        ],
    }))?;
    app.store.create(&Key::Routes, &routes).await.context("the routes")?;
    Ok(routes)
}

/// How notices ended today and yesterday, but for those, in the order in which they ended.
async fn outcomes(app: &App, but: &BTreeSet<NoticeId>) -> anyhow::Result<Vec<Outcome>> {
    let now = app.clock.now();
    let mut ended = Vec::new();
    for at in [now - TimeDelta::days(1), now] {
        for line in app.store.list(Folder::DeliveredOn(at.date_naive().to_epoch_days())).await? {
            let id = line.path.rsplit('/').next().and_then(|name| name.strip_suffix(".json")?.parse().ok());
            let Some(id) = id.filter(|id| !but.contains(id)) else { continue };
            let key = Key::Delivered(Day::of(at), id);
            ended.extend(app.store.read::<Outcome>(&key).await?.map(|read| read.value));
        }
    }
    ended.sort_by_key(|outcome| (outcome.at, outcome.notice.id));
    Ok(ended)
}

/// A tenant of the sandbox and the sign-in name of its owner.
fn person(sandbox: &Sandbox, name: &str) -> anyhow::Result<(TenantId, String)> {
    sandbox
        .change(|world| {
            let tenant = world.tenant_named(name)?;
            let owner =
                world.users.values().find(|user| user.tenant == tenant && user.upn.starts_with("olivia.owner@"))?;
            Some((tenant, owner.upn.clone()))
        })
        .with_context(|| format!("the sandbox has no {name}"))
}

async fn invite(app: &App, name: &str) -> anyhow::Result<String> {
    let expires = app.clock.now() + TimeDelta::days(1);
    Ok(consent::invite::create(app, name, None, expires).await?.1)
}

/// The transitions of this month and the last, oldest first.
async fn transitions(app: &App, tenant: TenantId) -> anyhow::Result<Vec<Transition>> {
    let now = app.clock.now();
    let months: BTreeSet<Month> = [Month::of(now - TimeDelta::days(28)), Month::of(now)].into();
    let mut all: BTreeMap<TransitionId, Transition> = BTreeMap::new();
    for month in months {
        if let Some(timeline) = app.store.read::<Timeline>(&Key::Timeline(tenant, month)).await? {
            all.extend(timeline.value.transitions);
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|transition| (transition.at, transition.id));
    Ok(all)
}

fn tell(customer: &str, transition: &Transition) {
    let news = transition.kind.headline();
    let history = if transition.backfill { " [known before you came]" } else { "" };
    println!("  {}  {customer:<18} {news}{history}", transition.at.format("%H:%M:%S"));
}

fn tell_end(outcome: &Outcome) {
    let notice = &outcome.notice;
    let how = match &outcome.end {
        NoticeEnd::Delivered | NoticeEnd::Bundled { .. } => "told to",
        NoticeEnd::Superseded { .. } | NoticeEnd::Withheld => "need not be told to",
        NoticeEnd::Dead => "given up for",
    };
    let Story { word, title, customer, .. } = &notice.story;
    let of = customer.as_ref().map(|customer| format!(", {}", customer.display_name)).unwrap_or_default();
    let (at, channel) = (outcome.at.format("%H:%M:%S"), &notice.channel);
    println!("  {at}  -> {how} {channel}{of}: {word}: {title} ({})", outcome.detail);
}
