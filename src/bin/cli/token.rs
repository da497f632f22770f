//! `doctor --token`: what our application's token for a service says. Never the token.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use health_monitor::azure::Service;
use health_monitor::daemon::explain;
use serde_json::json;

use crate::Common;
use crate::asking::{Asking, explained};
use crate::output;

#[derive(Debug, Args)]
pub struct Options {
    /// Show only what our token for this service says: where it came from, for whom, which permissions, until when
    #[arg(long, value_enum, value_name = "SERVICE")]
    pub token: Option<Which>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Which {
    Graph,
    ResourceManager,
    Logs,
    Metrics,
    LogsIngestion,
    EventGrid,
}

impl From<Which> for Service {
    fn from(which: Which) -> Self {
        match which {
            Which::Graph => Self::Graph,
            Which::ResourceManager => Self::ResourceManager,
            Which::Logs => Self::Logs,
            Which::Metrics => Self::Metrics,
            Which::LogsIngestion => Self::LogsIngestion,
            Which::EventGrid => Self::EventGrid,
        }
    }
}

impl Options {
    /// True when who asks is not in the settings: only a token can be looked at then.
    pub fn has_parameters(&self) -> bool {
        self.asking.has_parameters()
    }
}

pub async fn run(common: &Common, options: Options, which: Which) -> anyhow::Result<ExitCode> {
    let caller = options.asking.caller(common).await?;
    let (tenant, service) = (caller.identity.tenant_id, Service::from(which));
    let facts = match caller.azure.token_facts(tenant, service).await {
        Ok(facts) => facts,
        Err(error) => {
            let explain = |asker: &explain::Asker<'_>| explain::token(&error, asker, service);
            let waited = std::time::Duration::ZERO;
            return Err(explained(&error, &caller, tenant, service, waited, explain).await);
        }
    };
    // Asked again, it comes out of memory: what the samples only say.
    let again = caller.azure.token_facts(tenant, service).await.map(|facts| facts.source).unwrap_or("Entra");
    let credential = caller.identity.credential.to_string();
    if common.json {
        let mut body = serde_json::to_value(&facts)?;
        body["sourceAgain"] = again.into();
        body["credential"] = credential.into();
        body["configuredTenantId"] = json!(tenant);
        body["configuredApplicationId"] = json!(caller.identity.client_id);
        output::json(&body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["Token", "Says"]);
    let unknown = || "-".to_owned();
    let proof = facts.proof.unwrap_or("unknown");
    let roles = if facts.roles.is_empty() { "none".to_owned() } else { facts.roles.join(", ") };
    for (name, value) in [
        ("from", format!("{}; asked again: {again}", facts.source)),
        ("credential", format!("{credential} (the token says: {proof})")),
        ("asked for", facts.audience),
        ("audience (aud)", facts.aud.unwrap_or_else(unknown)),
        ("issuer (iss)", facts.issuer.unwrap_or_else(unknown)),
        ("tenant (tid)", facts.tenant_id.unwrap_or_else(unknown)),
        ("application (appid)", facts.application_id.unwrap_or_else(unknown)),
        ("service principal (oid)", facts.object_id.unwrap_or_else(unknown)),
        ("permissions (roles)", roles),
        ("issued", output::time(facts.issued_at)),
        ("ends", output::time(Some(facts.expires_at))),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}
