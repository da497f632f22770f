//! Commands that answer from what is kept.

use std::process::ExitCode;

use chrono::TimeDelta;
use health_monitor::consent::invite::{NewInvite, WithdrawError};
use health_monitor::model::{AccessTier, EventStatus, SubscriptionId, TenantId};
use health_monitor::query::page::{MAX_TOP, PageAsk};
use health_monitor::query::view::Health;
use health_monitor::query::{self, EventFilter, Known};
use health_monitor::{consent, life};
use serde_json::json;

use crate::Common;
use crate::output::{self, WrongInput, word};

/// As many rows as a page may have: the command line walks the pages itself.
fn first_page() -> PageAsk {
    PageAsk { top: MAX_TOP, after: None }
}

pub async fn customers(common: &Common) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let (mut rows, mut ask) = (Vec::new(), first_page());
    let known = loop {
        let answer = query::customers(&app, &ask).await?;
        rows.extend(answer.page.rows);
        match answer.page.next {
            Some(cursor) => ask = next_page(&cursor)?,
            None => break answer.known,
        }
    };
    if common.json {
        output::json(&json!({"value": rows, "asOf": known.as_of, "coverage": known.coverage}))?;
        return Ok(output::code(&known.coverage));
    }
    if rows.is_empty() {
        println!("No customers yet. Make an invite with `invite LABEL` and send its link.");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["Customer", "Tenant", "Health", "Issues", "Resources", "Read", "As of"]);
    for row in &rows {
        table.add_row([
            row.display_name.clone(),
            row.tenant_id.to_string(),
            word(&row.status),
            row.active_issues.to_string(),
            row.impacted_resources.to_string(),
            output::read(&row.coverage),
            output::time(row.as_of),
        ]);
    }
    println!("{table}");
    Ok(output::code(&known.coverage))
}

pub async fn health(
    common: &Common,
    tenant: TenantId,
    subscription: Option<SubscriptionId>,
    refresh: bool,
) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let answer = match subscription {
        Some(subscription) => query::subscription_health(&app, tenant, subscription, refresh).await,
        None => query::customer_health(&app, tenant).await,
    };
    let health = match answer {
        Err(query::Error::NotFound) => {
            let what = "there is no such customer or subscription; `customers` lists the customers";
            return Err(WrongInput(what.to_owned()).into());
        }
        other => other?,
    };
    if common.json {
        output::json(&health)?;
        return Ok(output::code(&health.coverage));
    }
    print(&health);
    Ok(output::coverage(health.as_of, &health.coverage))
}

fn print(health: &Health) {
    println!("{}: {}", health.display_name, word(&health.status));
    for reason in &health.reasons {
        println!("  {reason}");
    }
    if !health.active_events.is_empty() {
        let mut table = output::table(&["Event", "Type", "Severity", "Title", "Services", "Regions", "Since"]);
        for event in &health.active_events {
            let services: Vec<_> = event.impact.iter().map(|impact| impact.service.as_str()).collect();
            let regions: Vec<_> =
                event.impact.iter().flat_map(|impact| &impact.regions).map(|region| region.region.as_str()).collect();
            table.add_row([
                event.tracking_id.to_string(),
                event.event_type.to_string(),
                word(&event.severity),
                event.title.clone(),
                services.join(", "),
                regions.join(", "),
                output::time(event.impact_start),
            ]);
        }
        println!("{table}");
    }
    if !health.resources.is_empty() {
        let mut table = output::table(&["Resource", "State", "Since", "Why"]);
        for resource in &health.resources {
            table.add_row([
                resource.resource_id.to_string(),
                resource.state.to_string(),
                output::time(resource.since),
                resource.summary.clone().unwrap_or_default(),
            ]);
        }
        println!("{table}");
    }
}

pub async fn incidents(common: &Common, all: bool) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let filter = EventFilter { status: (!all).then_some(EventStatus::Active), event_type: None };
    let (mut rows, mut ask) = (Vec::new(), first_page());
    let Known { as_of, coverage } = loop {
        let answer = query::incidents(&app, &filter, &ask).await?;
        rows.extend(answer.page.rows);
        match answer.page.next {
            Some(cursor) => ask = next_page(&cursor)?,
            None => break answer.known,
        }
    };
    if common.json {
        output::json(&json!({"value": rows, "asOf": as_of, "coverage": coverage}))?;
        return Ok(output::code(&coverage));
    }
    let mut table = output::table(&["Incident", "Type", "Status", "Severity", "Title", "Customers"]);
    for row in &rows {
        let customers: Vec<_> = row.customers.iter().map(|customer| customer.display_name.as_str()).collect();
        table.add_row([
            row.event.tracking_id.to_string(),
            row.event.event_type.to_string(),
            row.event.status.to_string(),
            word(&row.event.severity),
            row.event.title.clone(),
            customers.join(", "),
        ]);
    }
    println!("{table}");
    Ok(output::coverage(as_of, &coverage))
}

fn next_page(cursor: &str) -> anyhow::Result<PageAsk> {
    PageAsk::parse(Some(&MAX_TOP.to_string()), Some(cursor)).map_err(|(name, rule)| anyhow::anyhow!("{name} {rule}"))
}

/// The tier of a word.
pub fn tier(word: &str) -> Result<AccessTier, String> {
    AccessTier::of_word(word).ok_or_else(|| "the tiers are base, securityAdvisories and tenantEvents".to_owned())
}

pub async fn invite(common: &Common, wanted: NewInvite, days: u16) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let expires = app.clock.now() + TimeDelta::days(days.into());
    let label = wanted.label.clone();
    let made = consent::invite::make(&app, wanted, expires).await?;
    let link = made.link.clone().unwrap_or_default();
    if common.json {
        output::json(&made)?;
    } else {
        println!("{link}\nSend this link to {label}. It works once, until {}.", output::time(Some(expires)));
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn invites(common: &Common) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let invites = consent::invite::list(&app).await?;
    if common.json {
        output::json(&json!({"value": invites}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["Invite", "Label", "State", "Tenant", "Expires"]);
    for one in &invites {
        let tenant = one.invite.used.as_ref().map(|used| used.tenant_id).or(one.invite.tenant_id);
        table.add_row([
            one.id.clone(),
            one.invite.label.clone(),
            word(&one.state),
            tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
            output::time(Some(one.invite.expires_at)),
        ]);
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

pub async fn withdraw(common: &Common, id: &str) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    match consent::invite::withdraw(&app, id).await {
        Err(WithdrawError::NotFound) => {
            Err(WrongInput("there is no such invite; `invites` lists them".to_owned()).into())
        }
        Err(WithdrawError::Used(tenant)) => {
            let what = format!("{tenant} came in with this invite; `offboard {tenant}` ends the watch over it");
            Err(WrongInput(what).into())
        }
        Err(error) => Err(error.into()),
        Ok(()) => {
            println!("The invite lets nobody in any more.");
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub async fn receipt(common: &Common, tenant: TenantId) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    let receipt = match query::receipt(&app, tenant).await {
        Err(query::Error::NotFound) => return Err(no_customer(tenant)),
        other => other?,
    };
    if common.json {
        output::json(&receipt)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} ({tenant}), since {}", receipt.display_name, output::time(Some(receipt.onboarded_at)));
    let mut table = output::table(&["Role", "Scope", "Granted by", "When", "Role assignment"]);
    for grant in &receipt.grants {
        let id = grant.role_assignment_id.rsplit('/').next().unwrap_or_default();
        table.add_row([&grant.role, &grant.scope, &grant.granted_by_name, &output::time(Some(grant.at)), id]);
    }
    println!("{table}\nThe customer takes it back at {} or with:", receipt.take_back.page);
    for line in receipt.take_back.commands.iter().chain(&receipt.take_back.remove_application) {
        println!("  {line}");
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn offboard(common: &Common, tenant: TenantId, erase: bool) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    match life::offboard(&app, tenant, erase).await {
        Err(life::Error::UnknownCustomer(_)) => return Err(no_customer(tenant)),
        other => other?,
    }
    let kept = if erase { "everything that was kept of it is erased" } else { "what is known is kept" };
    println!("{tenant} is no longer watched; {kept}. Its role assignments stand until the customer removes them.");
    Ok(ExitCode::SUCCESS)
}

fn no_customer(tenant: TenantId) -> anyhow::Error {
    WrongInput(format!("{tenant} is no customer; `customers` lists them")).into()
}
