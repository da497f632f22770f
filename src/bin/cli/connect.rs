//! Customers that come in without our pages: by command line or template, or by Azure Lighthouse.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Subcommand;
use health_monitor::azure;
use health_monitor::consent::Error;
use health_monitor::consent::lighthouse::{self, Accept, DelegationStanding};
use health_monitor::consent::manual::{self, Verified};
use health_monitor::model::{Scope, SubscriptionId, TenantId};
use serde_json::json;

use crate::Common;
use crate::output::{self, WrongInput};

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Look for subscriptions that customers delegated to your tenant (Azure Lighthouse), and watch those of invited tenants
    Discover {
        /// Take this tenant in, though nobody invited it (may be given more than once)
        #[arg(long, value_name = "ID")]
        accept: Vec<TenantId>,
    },
    /// Print the commands with which a customer grants Reader himself; with --verify, find what was granted and watch it
    Connect {
        /// The customer's tenant
        tenant: TenantId,
        /// Only this subscription (may be given more than once)
        #[arg(long, value_name = "ID")]
        subscription: Vec<SubscriptionId>,
        /// What to call the customer
        #[arg(long)]
        label: Option<String>,
        /// Find with our own token what may be read, and watch that
        #[arg(long)]
        verify: bool,
    },
}

pub async fn run(common: &Common, task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Discover { accept } => discover(common, accept).await,
        Task::Connect { tenant, subscription, label, verify: true } => {
            verify(common, tenant, subscription.into_iter().collect(), label).await
        }
        Task::Connect { tenant, subscription, .. } => commands(common, tenant, &subscription).await,
    }
}

async fn discover(common: &Common, accept: Vec<TenantId>) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let accept = if accept.is_empty() { Accept::Invited } else { Accept::These(accept.into_iter().collect()) };
    let found = lighthouse::discover(&app, &accept).await?;
    let word = |standing| match standing {
        DelegationStanding::Known => "watched",
        DelegationStanding::Added => "watched from now on",
        DelegationStanding::NotInvited => "not invited",
        DelegationStanding::OtherWay => "a customer by another way",
    };
    if common.json {
        let rows = found.iter().map(|one| {
            let subscriptions: Vec<_> = one.subscriptions.iter().map(|(id, _)| id).collect();
            json!({"tenantId": one.tenant, "displayName": one.name, "subscriptions": subscriptions, "standing": word(one.standing)})
        });
        output::json(&json!({"value": rows.collect::<Vec<_>>()}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        println!(
            "Nobody has delegated a subscription to your tenant, or Azure does not show it yet (up to 15 minutes)."
        );
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["Tenant", "Customer", "Subscriptions", "Standing"]);
    for one in &found {
        let names: Vec<_> = one.subscriptions.iter().map(|(_, name)| name.as_str()).collect();
        let row = [one.tenant.to_string(), one.name.clone().unwrap_or_default(), names.join(", ")];
        table.add_row([row.to_vec(), vec![word(one.standing).to_owned()]].concat());
    }
    println!("{table}");
    if found.iter().any(|one| one.standing == DelegationStanding::NotInvited) {
        println!("Take a tenant in with: customers discover --accept TENANT");
    }
    Ok(ExitCode::SUCCESS)
}

async fn commands(common: &Common, tenant: TenantId, subscriptions: &[SubscriptionId]) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let principal = manual::principal_in(&app, tenant).await.map_err(|error| of_tenant(tenant, error))?;
    let scopes: Vec<_> = match subscriptions {
        [] => vec!["/subscriptions/<subscription id>".to_owned()],
        some => some.iter().map(|id| Scope::Subscription(*id).to_string()).collect(),
    };
    let client_id = app.settings.identity.client_id;
    let lines: Vec<_> = scopes.iter().map(|scope| manual::grant_command(principal, client_id, scope)).collect();
    if common.json {
        output::json(&json!({"tenantId": tenant, "servicePrincipalId": principal, "commands": lines}))?;
    } else {
        println!("Somebody of {tenant} who may assign roles runs:\n\n{}\n", lines.join("\n"));
        println!("Then: customers connect {tenant} --verify");
    }
    Ok(ExitCode::SUCCESS)
}

async fn verify(
    common: &Common,
    tenant: TenantId,
    only: BTreeSet<SubscriptionId>,
    label: Option<String>,
) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let verified = manual::activate(&app, tenant, &only, label).await.map_err(|error| of_tenant(tenant, error))?;
    let missing = match verified {
        Verified::Active(granted) => {
            let ids: Vec<_> = granted.outcomes.iter().map(|outcome| outcome.id).collect();
            if common.json {
                output::json(&json!({"tenantId": tenant, "subscriptions": ids}))?;
            } else {
                for outcome in &granted.outcomes {
                    println!("{} ({}) is watched from now on", outcome.name, outcome.id);
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        Verified::NoPrincipal => "the tenant has no service principal of our application yet",
        Verified::NothingReadable => {
            "our application cannot read any such subscription of the tenant yet (up to 10 minutes)"
        }
    };
    anyhow::bail!("{missing}");
}

/// A tenant that Entra does not know is wrong input.
fn of_tenant(tenant: TenantId, error: Error) -> anyhow::Error {
    const TENANT_NOT_FOUND: u32 = 90_002;
    match &error {
        Error::Azure(azure::Error::TokenRefused(refusal)) if refusal.codes.contains(&TENANT_NOT_FOUND) => {
            WrongInput(format!("Entra knows no tenant {tenant} in this cloud")).into()
        }
        _ => error.into(),
    }
}
