//! What the commands that work with our application's own identity have in common: who asks, waiting while a permission
//! spreads, and what a refusal means.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use health_monitor::azure::{HttpClient, Service};
use health_monitor::daemon::explain::Asker;
use health_monitor::daemon::{Caller, LONGEST, OpenError, Patience, Waiting};
use health_monitor::model::TenantId;
use health_monitor::outside::{SystemClock, SystemRandom, http_client};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Common;
use crate::output::WrongInput;

/// What the samples call their file; the first is the one that is kept out of git.
const FILES: [&str; 2] = ["parameters.local.json", "parameters.json"];

#[derive(Debug, Clone, Args)]
pub struct Asking {
    /// Who asks: a parameters.json of Microsoft's daemon samples; without FILE (or of a directory) parameters.local.json, else
    /// parameters.json
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = ".")]
    parameters: Option<PathBuf>,
    /// Wait while a fresh permission spreads, MINUTES at most; on a terminal that is so by itself
    #[arg(
        long,
        value_name = "MINUTES",
        num_args = 0..=1,
        default_missing_value = "60",
        conflicts_with = "no_wait",
        value_parser = clap::value_parser!(u64).range(1..=60)
    )]
    wait: Option<u64>,
    /// Do not wait for permissions
    #[arg(long)]
    no_wait: bool,
}

impl Asking {
    /// Our application, as settings or the parameters file say.
    pub async fn caller(&self, common: &Common) -> anyhow::Result<Caller> {
        let http: HttpClient = http_client().context("the HTTP client")?;
        let parameters = self.file()?;
        let opened =
            Caller::open(&common.settings, parameters.as_deref(), http, Arc::new(SystemClock), Arc::new(SystemRandom));
        opened.await.map_err(|error| match error {
            OpenError::Faults(faults) => faults.into(),
            other => other.into(),
        })
    }

    fn file(&self) -> anyhow::Result<Option<PathBuf>> {
        match &self.parameters {
            Some(path) if path.is_dir() => {
                let found = FILES.into_iter().map(|name| path.join(name)).find(|path| path.exists());
                let none = || {
                    let place = path.display();
                    WrongInput(format!("--parameters: there is no {} in {place}", FILES.join(" and no ")))
                };
                Ok(Some(found.ok_or_else(none)?))
            }
            other => Ok(other.clone()),
        }
    }

    /// True when settings are not what says who asks.
    pub fn has_parameters(&self) -> bool {
        self.parameters.is_some()
    }

    /// How long may be waited: people see it and can end it; a script must say that it wants to.
    pub fn limit(&self) -> Duration {
        match (self.no_wait, self.wait) {
            (true, _) => Duration::ZERO,
            (false, Some(minutes)) => Duration::from_secs(minutes * 60),
            (false, None) if std::io::stderr().is_terminal() => LONGEST,
            (false, None) => Duration::ZERO,
        }
    }
}

/// Tells of waiting: a bar on a terminal, else a line now and then.
pub struct Teller {
    needs: &'static str,
    bar: Option<ProgressBar>,
    told: Option<Duration>,
}

impl Teller {
    /// For a job that needs this permission.
    pub fn new(needs: &'static str) -> Self {
        Self { needs, bar: None, told: None }
    }

    pub fn tell(&mut self, waiting: &Waiting<'_>) {
        let minutes = waiting.limit.as_secs().div_ceil(60);
        if self.told.is_none() {
            eprintln!(
                "health-monitor: {}\nNeeded is {}. A permission that was given just now takes up to 60 minutes to be known \
                 everywhere: asking again for {minutes} minutes (Ctrl-C ends it, --no-wait does not wait).",
                waiting.why, self.needs
            );
        }
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| bar(waiting.limit));
            bar.set_position(waiting.waited.as_secs());
            bar.set_message(format!("asking again in {} s", waiting.pause.as_secs()));
        } else if self.told.is_none_or(|told| waiting.waited >= told + Duration::from_secs(60)) {
            eprintln!(
                "health-monitor: waited {} s, asking again in {} s",
                waiting.waited.as_secs(),
                waiting.pause.as_secs()
            );
            self.told = Some(waiting.waited);
        }
        self.told = self.told.or(Some(waiting.waited));
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(limit: Duration) -> ProgressBar {
    let bar = ProgressBar::new(limit.as_secs());
    if let Ok(style) = ProgressStyle::with_template("{spinner} waiting for permissions {bar:30} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Runs a job with patience; gives what it gave, and how long was waited.
pub async fn patiently<T, E>(
    asking: &Asking,
    needs: &'static str,
    job: impl AsyncFnOnce(&mut Patience<'_>) -> Result<T, E>,
) -> (Result<T, E>, Duration) {
    let mut teller = Teller::new(needs);
    let (result, waited) = {
        let mut tell = |waiting: &Waiting<'_>| teller.tell(waiting);
        let mut patience = Patience::new(&SystemClock, asking.limit(), &mut tell);
        let result = job(&mut patience).await;
        (result, patience.waited())
    };
    teller.finish();
    (result, waited)
}

/// A failure with what it means, for people.
pub async fn explained(
    error: impl std::fmt::Display,
    caller: &Caller,
    tenant_id: TenantId,
    service: Service,
    waited: Duration,
    explain: impl FnOnce(&Asker<'_>) -> Option<String>,
) -> anyhow::Error {
    let facts = caller.azure.token_facts(tenant_id, service).await.ok();
    let asker = Asker {
        client_id: caller.identity.client_id,
        tenant_id,
        authority: &caller.authority,
        roles: facts.as_ref().map(|facts| facts.roles.as_slice()),
        waited,
    };
    match explain(&asker) {
        Some(meaning) => anyhow::anyhow!("{error}\n{meaning}"),
        None => anyhow::anyhow!("{error}"),
    }
}
