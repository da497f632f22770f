//! `doctor`: checks the set-up from end to end and says what to mend.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::TimeDelta;
use health_monitor::app::App;
use health_monitor::query::page::{MAX_TOP, PageAsk};
use health_monitor::settings::{Door, Expiry, Settings, StoreSettings};
use health_monitor::store::Key;
use health_monitor::{azure, query, register};
use serde::Serialize;

use crate::Common;
use crate::output;

/// How long before its end a credential is worth a warning.
const WARN_AHEAD: TimeDelta = TimeDelta::days(30);

/// What mends a way to Entra that ends on its way.
const REACH: &str = "let this machine reach the authority host (AZURE_CLOUD, AZURE_AUTHORITY_HOST)";

/// How far clocks may be apart before assertions are refused.
const MOST_SKEW: TimeDelta = TimeDelta::minutes(4);

/// One thing that was checked.
#[derive(Debug, Serialize)]
pub struct Check {
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

impl From<register::Finding> for Check {
    fn from(finding: register::Finding) -> Self {
        let verdict = match finding.verdict {
            register::Verdict::Good => Verdict::Good,
            register::Verdict::Doubtful => Verdict::Doubtful,
            register::Verdict::Bad => Verdict::Bad,
        };
        Self { what: finding.what, verdict, found: finding.found, mend: finding.mend }
    }
}

pub async fn run(common: &Common) -> anyhow::Result<ExitCode> {
    // Faults of the settings come first, all of them: nothing else can be checked without settings.
    let settings = Settings::load(Door::Standalone, &common.settings)?;
    let mut checks = vec![of_settings(&settings), of_address(&settings), of_store_choice(&settings)];
    match output::app_of(settings) {
        Ok(app) => {
            checks.push(of_store(&app).await);
            checks.push(of_writing(&app).await);
            checks.push(of_entra(&app).await);
            let credential = of_credential(&app).await;
            let token = credential.verdict != Verdict::Bad;
            checks.push(credential);
            checks.push(of_expiry(&app));
            checks.push(of_manager(&app, token).await);
            checks.push(of_public_address(&app).await);
            checks.extend(of_customers(&app).await);
        }
        Err(error) => checks.push(Check::new(
            "store",
            Verdict::Bad,
            format!("{error:#}"),
            Some("mend STATE_STORE_URL or make the place it names"),
        )),
    }
    report(checks, common.json)
}

/// Prints what was checked; the exit code says whether something must be mended.
pub fn report(checks: Vec<Check>, json: bool) -> anyhow::Result<ExitCode> {
    if json {
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
    const WHAT: &str = "redirect URIs";
    let found = format!("{}, {}", settings.redirect_uri(), settings.admin_redirect_uri());
    if settings.public_is_https() {
        return Check::new(WHAT, Verdict::Good, found, Some("must be registered: `register check` looks"));
    }
    let mend = "fine for trying; customers elsewhere need PUBLIC_BASE_URL with https, and both registered";
    Check::new(WHAT, Verdict::Doubtful, found, Some(mend))
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
        Ok(answer) => Check::new(
            "store",
            Verdict::Good,
            format!("readable, {}", output::count(answer.page.rows.len(), "customer")),
            None,
        ),
        Err(error) => {
            let found = format!("{:#}", anyhow::Error::new(error));
            Check::new("store", Verdict::Bad, found, Some("see that the store is up and that we may read and write it"))
        }
    }
}

/// A document is written and removed again, as a sign-in would do it.
async fn of_writing(app: &App) -> Check {
    let mut id = [0; 16];
    app.random.fill(&mut id);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = Key::Session(format!("doctor-{id}"));
    let written = async {
        app.store.create_bytes(&key, bytes::Bytes::from_static(b"doctor")).await?;
        app.store.delete(&key).await
    };
    match written.await {
        Ok(()) => Check::new("writing", Verdict::Good, "a document was written and removed", None),
        Err(error) => {
            let found = format!("{:#}", anyhow::Error::new(error));
            Check::new("writing", Verdict::Bad, found, Some("let us write and delete where STATE_STORE_URL points"))
        }
    }
}

/// Whether Entra knows the tenant, and whether its clock and ours agree: assertions and tokens live by it.
async fn of_entra(app: &App) -> Check {
    const WHAT: &str = "Entra";
    let tenant = app.settings.identity.tenant_id;
    let answered = match app.azure.knock_at_entra(tenant).await {
        Ok(answered) => answered,
        Err(error) => {
            return Check::new(WHAT, Verdict::Bad, error.to_string(), Some(REACH));
        }
    };
    if answered.status != 200 {
        let found = format!("status {} for the tenant {tenant}", answered.status);
        let mend = "AZURE_TENANT_ID is not known in this cloud: see AZURE_TENANT_ID and AZURE_CLOUD";
        return Check::new(WHAT, Verdict::Bad, found, Some(mend));
    }
    let skew = answered.date.map(|date| (app.clock.now() - date).abs());
    match skew {
        Some(skew) if skew > MOST_SKEW => {
            let found = format!("our clock and Entra's are {} s apart", skew.num_seconds());
            Check::new(WHAT, Verdict::Bad, found, Some("set this machine's clock"))
        }
        _ => Check::new(WHAT, Verdict::Good, "knows the partner's tenant, and our clocks agree", None),
    }
}

async fn of_credential(app: &App) -> Check {
    let credential = &app.settings.identity.credential;
    match app.azure.app_token(app.settings.identity.tenant_id).await {
        Ok(_) => {
            let found = format!("{credential}: Entra gives our application tokens in the partner's tenant");
            Check::new("credential", Verdict::Good, found, None)
        }
        Err(error) => {
            let remedy = match &error {
                azure::Error::TokenRefused(refusal) => refusal.remedy(),
                // Nobody looked at the credential.
                azure::Error::Unavailable { .. } | azure::Error::Throttled { .. } => Some(REACH),
                _ => None,
            };
            let mend = remedy.unwrap_or("AZURE_TENANT_ID, AZURE_CLIENT_ID and the credential must belong together");
            Check::new("credential", Verdict::Bad, format!("{credential}: {error}"), Some(mend))
        }
    }
}

fn of_expiry(app: &App) -> Check {
    const WHAT: &str = "credential's end";
    const MEND: &str = "make the next one now: `register add-secret`, `register add-certificate`";
    match app.settings.identity.credential.expiry() {
        Expiry::Renewed => Check::new(WHAT, Verdict::Good, "none: it is renewed without us", None),
        Expiry::Unknown => {
            let mend = "set AZURE_CLIENT_SECRET_EXPIRES, so that we can warn in time; `register check` shows it";
            Check::new(WHAT, Verdict::Doubtful, "unknown: a client secret does not say", Some(mend))
        }
        Expiry::At(end) => {
            let left = end - app.clock.now();
            let found = format!("{} ({} days left)", output::time(Some(end)), left.num_days().max(0));
            match left {
                left if left <= TimeDelta::zero() => Check::new(WHAT, Verdict::Bad, found, Some(MEND)),
                left if left <= WARN_AHEAD => Check::new(WHAT, Verdict::Doubtful, found, Some(MEND)),
                _ => Check::new(WHAT, Verdict::Good, found, None),
            }
        }
    }
}

async fn of_manager(app: &App, token: bool) -> Check {
    const WHAT: &str = "Resource Manager";
    if !token {
        return Check::new(WHAT, Verdict::Bad, "not asked: there is no token", Some("mend what is above"));
    }
    match app.azure.subscriptions_in(app.settings.identity.tenant_id).await {
        Ok(count) => {
            let visible = output::count(count, "subscription");
            let found = format!("takes our token; {visible} of the partner's own tenant can be seen");
            Check::new(WHAT, Verdict::Good, found, None)
        }
        Err(error) => {
            let mend = "let this machine reach Resource Manager (AZURE_CLOUD, AZURE_RESOURCE_MANAGER_URL)";
            Check::new(WHAT, Verdict::Bad, error.to_string(), Some(mend))
        }
    }
}

/// Whether the product answers where browsers are sent.
async fn of_public_address(app: &App) -> Check {
    const WHAT: &str = "public address";
    match app.azure.knock(&app.settings.public_url("/api/probe/live")).await {
        Ok(answered) if answered.status == 200 => {
            Check::new(WHAT, Verdict::Good, "the product answers at PUBLIC_BASE_URL", None)
        }
        Ok(answered) => {
            let found = format!("status {} instead of the product", answered.status);
            let mend = "PUBLIC_BASE_URL must lead to the deployed product or to `serve`";
            Check::new(WHAT, Verdict::Doubtful, found, Some(mend))
        }
        Err(_) => {
            let found = format!("nobody answers at {}", app.settings.public_url("/"));
            let mend = "start `serve` or deploy; PUBLIC_BASE_URL must lead there";
            Check::new(WHAT, Verdict::Doubtful, found, Some(mend))
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
