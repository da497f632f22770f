//! `users`: the users of a tenant, with our application's own identity.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use health_monitor::azure::{LARGEST_PAGE, Service, UserQuery, Users};
use health_monitor::daemon::{self, explain};
use health_monitor::model::TenantId;
use serde_json::{Value, json};

use crate::Common;
use crate::asking::{Asking, explained, patiently};
use crate::output::{self, WITH_GAPS};

const NEEDS: &str = "User.Read.All of Microsoft Graph, as an application permission with an administrator's consent";

/// What a table shows when nothing is chosen.
const COLUMNS: [&str; 6] = ["displayName", "userPrincipalName", "mail", "accountEnabled", "userType", "id"];

#[derive(Debug, Args)]
pub struct Options {
    /// Only this user: sign-in name or object id
    user: Option<String>,
    /// Properties to show, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    select: Option<Vec<String>>,
    /// Only who fits, such as "userType eq 'Guest'"
    #[arg(long, value_name = "ODATA", conflicts_with = "user")]
    filter: Option<String>,
    /// Only who is found, such as "\"displayName:olivia\""
    #[arg(long, value_name = "SEARCH", conflicts_with = "user")]
    search: Option<String>,
    /// At most this many users; all without it
    #[arg(long, visible_alias = "top", value_name = "N", conflicts_with = "user")]
    limit: Option<usize>,
    /// Users on a page of Graph
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(LARGEST_PAGE)))]
    page_size: Option<u16>,
    /// Another tenant than our own, where our application was consented to
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    #[command(flatten)]
    asking: Asking,
}

pub async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let caller = options.asking.caller(common).await?;
    let tenant = options.tenant.unwrap_or(caller.identity.tenant_id);
    let select = options.select.clone().or_else(|| caller.query.select.clone());
    if let Some(user) = &options.user {
        let job = async |patience: &mut daemon::Patience<'_>| {
            daemon::user(&caller.azure, tenant, user, select.as_deref(), patience).await
        };
        let (result, waited) = patiently(&options.asking, NEEDS, job).await;
        return match result {
            Ok(user) => show_one(common, &user),
            Err(error) => {
                Err(explained(&error, &caller, tenant, Service::Graph, waited, |asker| explain::users(&error, asker))
                    .await)
            }
        };
    }
    let query = UserQuery {
        select: select.clone(),
        filter: options.filter.or_else(|| caller.query.filter.clone()),
        search: options.search.or_else(|| caller.query.search.clone()),
        page_size: options.page_size.or(caller.query.page_size),
        limit: options.limit,
    };
    let job = async |patience: &mut daemon::Patience<'_>| {
        daemon::users(&caller.azure, tenant, &query, patience, |_| ()).await
    };
    let (result, waited) = patiently(&options.asking, NEEDS, job).await;
    match result {
        Ok(users) => show(common, &users, select.as_deref()),
        Err(error) => {
            Err(explained(&error, &caller, tenant, Service::Graph, waited, |asker| explain::users(&error, asker)).await)
        }
    }
}

fn show(common: &Common, users: &Users, select: Option<&[String]>) -> anyhow::Result<ExitCode> {
    let incomplete = users.broken_off.as_ref().map(ToString::to_string);
    if common.json {
        let mut body = json!({"@odata.context": users.context, "value": users.rows});
        if let Some(why) = &incomplete {
            body["incomplete"] = why.clone().into();
        }
        output::json(&body)?;
    } else {
        let chosen: Vec<&str> = match select {
            Some(fields) if !fields.is_empty() => fields.iter().map(String::as_str).collect(),
            _ => COLUMNS.to_vec(),
        };
        let mut table = output::table(&chosen);
        for row in &users.rows {
            table.add_row(chosen.iter().map(|name| cell(&row[*name])));
        }
        println!("{table}");
        let more = if users.more { "; there are more" } else { "" };
        let (rows, pages) = (output::count(users.rows.len(), "user"), output::count(users.pages, "page"));
        println!("{rows} on {pages}{more}.");
    }
    Ok(match incomplete {
        None => ExitCode::SUCCESS,
        Some(why) => {
            eprintln!("health-monitor: not all users could be read: {why}");
            ExitCode::from(WITH_GAPS)
        }
    })
}

fn show_one(common: &Common, user: &Value) -> anyhow::Result<ExitCode> {
    if common.json {
        output::json(user)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(&["Property", "Value"]);
    let members = user.as_object().context("Graph shows a user as an object")?;
    for (name, value) in members.iter().filter(|(name, _)| !name.starts_with('@')) {
        table.add_row([name.clone(), cell(value)]);
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}

/// A value as people read it.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
