//! `doctor`: checks the set-up from end to end and says what to mend.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::TimeDelta;
use health_monitor::app::App;
use health_monitor::query;
use health_monitor::query::page::{MAX_TOP, PageAsk};
use health_monitor::settings::{Door, Settings, StoreSettings};
use serde::Serialize;

use crate::Common;
use crate::output;

/// One thing that was checked.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    Good,
    Doubtful,
    Bad,
}

impl Check {
    fn new(what: &'static str, verdict: Verdict, found: impl Into<String>, mend: Option<&str>) -> Self {
        Self { what, verdict, found: found.into(), mend: mend.map(str::to_owned) }
    }
}

pub async fn run(common: &Common) -> anyhow::Result<ExitCode> {
    // Faults of the settings come first, all of them: nothing else can be checked without settings.
    let settings = Settings::load(Door::Standalone, &common.settings)?;
    let mut checks = vec![of_settings(&settings), of_address(&settings), of_store_choice(&settings)];
    match output::app_of(settings) {
        Ok(app) => {
            checks.push(of_store(&app).await);
            checks.push(of_credential(&app).await);
            checks.extend(of_customers(&app).await);
        }
        Err(error) => checks.push(Check::new(
            "store",
            Verdict::Bad,
            format!("{error:#}"),
            Some("mend STATE_STORE_URL or make the place it names"),
        )),
    }
    if common.json {
        output::json(&checks)?;
    } else {
        print(&checks);
    }
    let bad = checks.iter().any(|check| check.verdict == Verdict::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(checks: &[Check]) {
    let mut table = output::table(&["", "Checked", "Found", "What to do"]);
    for check in checks {
        let mark = match check.verdict {
            Verdict::Good => "ok",
            Verdict::Doubtful => "look",
            Verdict::Bad => "BAD",
        };
        table.add_row([mark, check.what, &check.found, check.mend.as_deref().unwrap_or_default()]);
    }
    println!("{table}");
}

fn of_settings(settings: &Settings) -> Check {
    let found = format!(
        "cloud {}, tenant {}, application {}, credential: {}",
        settings.cloud.name, settings.identity.tenant_id, settings.identity.client_id, settings.identity.credential
    );
    Check::new("settings", Verdict::Good, found, None)
}

fn of_address(settings: &Settings) -> Check {
    let found = format!("redirect URI {}", settings.redirect_uri());
    if settings.public_is_https() {
        return Check::new("public address", Verdict::Good, found, None);
    }
    let mend = "fine for trying; customers elsewhere need PUBLIC_BASE_URL with https, registered as redirect URI";
    Check::new("public address", Verdict::Doubtful, found, Some(mend))
}

fn of_store_choice(settings: &Settings) -> Check {
    let (verdict, found, mend) = match &settings.store {
        StoreSettings::Memory => {
            (Verdict::Doubtful, "memory".to_owned(), Some("nothing survives a restart: set STATE_STORE_URL"))
        }
        StoreSettings::Directory(path) => (Verdict::Good, format!("directory {}", path.display()), None),
        StoreSettings::AzureBlob { container, .. } => {
            (Verdict::Good, format!("Azure Blob container {container}"), None)
        }
        StoreSettings::S3 { bucket, .. } => (Verdict::Good, format!("S3 bucket {bucket}"), None),
    };
    Check::new("documents", verdict, found, mend)
}

async fn of_store(app: &App) -> Check {
    match query::customers(app, &PageAsk::default()).await {
        Ok(answer) if answer.page.next.is_some() => Check::new("store", Verdict::Good, "readable", None),
        Ok(answer) => {
            Check::new("store", Verdict::Good, format!("readable, {} customers", answer.page.rows.len()), None)
        }
        Err(error) => {
            let found = format!("{:#}", anyhow::Error::new(error));
            Check::new("store", Verdict::Bad, found, Some("see that the store is up and that we may read and write it"))
        }
    }
}

async fn of_credential(app: &App) -> Check {
    match app.azure.app_token(app.settings.identity.tenant_id).await {
        Ok(_) => {
            Check::new("credential", Verdict::Good, "Entra gives our application tokens in the partner's tenant", None)
        }
        Err(error) => {
            let mend = "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET must belong together; a secret's value is not its id";
            Check::new("credential", Verdict::Bad, error.to_string(), Some(mend))
        }
    }
}

/// Whether customers are really polled, and which of them cannot be read.
async fn of_customers(app: &App) -> Vec<Check> {
    let answer = query::customers(app, &PageAsk { top: MAX_TOP, after: None }).await.context("customers");
    let Ok(answer) = answer else { return Vec::new() };
    let now = app.clock.now();
    let rows = answer.page.rows;
    let mut checks = Vec::new();
    if rows.is_empty() {
        let mend = "make an invite with `invite LABEL` and send its link";
        checks.push(Check::new("customers", Verdict::Doubtful, "none yet", Some(mend)));
        return checks;
    }
    let fresh = rows.iter().filter(|row| row.as_of.is_some_and(|at| now - at < TimeDelta::minutes(30))).count();
    let (verdict, mend) = match fresh == rows.len() {
        true => (Verdict::Good, None),
        false => (Verdict::Doubtful, Some("see that `serve` or the deployed timer runs")),
    };
    checks.push(Check::new(
        "polling",
        verdict,
        format!("{fresh} of {} customers read in the last 30 minutes", rows.len()),
        mend,
    ));
    for gap in &answer.known.coverage.gaps {
        let found = format!(
            "{} of {} in {}: {} ({})",
            output::word(&gap.source),
            gap.subscription_id,
            gap.tenant_id,
            output::word(&gap.reason),
            gap.detail
        );
        checks.push(Check::new("coverage", Verdict::Doubtful, found, Some(gap.reason.remedy())));
    }
    checks
}
