//! `logs query`: a query of Log Analytics, with our application's own identity.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use health_monitor::azure::{LogAnswer, LogQuery, LogSource, LogTable, LogWay, Service, Timespan};
use health_monitor::daemon::{self, explain};
use health_monitor::model::TenantId;
use serde_json::json;

use crate::Common;
use crate::asking::{Asking, explained, patiently};
use crate::output::{self, WITH_GAPS, WrongInput};
use crate::users::cell;

const NEEDS: &str = "the role Log Analytics Data Reader (or Reader) on the workspace";

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Ask a workspace, or the logs of any resource
    Query(Options),
}

#[derive(Debug, Args)]
pub struct Options {
    /// The query in the Kusto query language; - reads it from standard input
    #[arg(required_unless_present = "file")]
    query: Option<String>,
    /// Read the query from a file
    #[arg(long, value_name = "FILE", conflicts_with = "query")]
    file: Option<PathBuf>,
    /// The workspace's id, or the full id of a workspace or any resource; more of them are asked together
    #[arg(long = "workspace", visible_alias = "resource", value_name = "ID", required = true)]
    workspaces: Vec<String>,
    /// The time to look at: P1D, PT4H, 30m, 7d, start/end; the query may narrow it
    #[arg(long, value_name = "SPAN", default_value = "P1D")]
    timespan: Timespan,
    /// How to show the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// How long Azure may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=600))]
    max_wait: u64,
    /// Another tenant than our own
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

pub async fn run(common: &Common, task: Task) -> anyhow::Result<ExitCode> {
    let Task::Query(options) = task;
    let (first, more) = options.workspaces.split_first().context("clap asks for one")?;
    let source: LogSource = first.parse().map_err(|error| {
        WrongInput(format!("--workspace: neither the GUID of a workspace nor a resource id; {error}"))
    })?;
    let query = LogQuery {
        source,
        query: text(&options)?,
        timespan: options.timespan.clone(),
        workspaces: more.to_vec(),
        patience: Duration::from_secs(options.max_wait),
    };
    let caller = options.asking.caller(common).await?;
    let tenant = options.tenant.unwrap_or(caller.identity.tenant_id);
    let job = async |patience: &mut daemon::Patience<'_>| daemon::query(&caller.azure, tenant, &query, patience).await;
    let (result, waited) = patiently(&options.asking, NEEDS, job).await;
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => {
            let explain = |asker: &explain::Asker<'_>| explain::logs(&error, asker);
            return Err(explained(&error, &caller, tenant, Service::Logs, waited, explain).await);
        }
    };
    show(if common.json { Format::Json } else { options.format }, &answer)?;
    for why in &answer.incomplete {
        eprintln!("health-monitor: the answer is not complete: {why}");
    }
    Ok(if answer.incomplete.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(WITH_GAPS) })
}

fn text(options: &Options) -> anyhow::Result<String> {
    match (&options.file, options.query.as_deref()) {
        (Some(file), _) => std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display())),
        (None, Some("-")) => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            Ok(text)
        }
        (None, text) => Ok(text.unwrap_or_default().to_owned()),
    }
}

fn show(format: Format, answer: &LogAnswer) -> anyhow::Result<()> {
    let way = match answer.way {
        LogWay::Direct => "direct",
        LogWay::ResourceManager => "Resource Manager",
    };
    match format {
        Format::Json => {
            output::json(&json!({"tables": answer.tables, "incomplete": answer.incomplete, "way": way}))?;
        }
        // The tables beside the first tell about the query, not its answer.
        Format::Csv => answer.tables.iter().take(1).for_each(|table| print!("{}", csv(table))),
        Format::Table => {
            for answered in &answer.tables {
                let names: Vec<&str> = answered.columns.iter().map(|column| column.name.as_str()).collect();
                let mut table = output::table(&names);
                for row in &answered.rows {
                    table.add_row(row.iter().map(cell));
                }
                println!("{table}");
            }
            let rows: usize = answer.tables.first().map_or(0, |table| table.rows.len());
            println!("{} ({way}).", output::count(rows, "row"));
        }
    }
    Ok(())
}

/// A table as RFC 4180 has it.
fn csv(table: &LogTable) -> String {
    let quoted = |text: String| {
        let plain = !text.contains(['"', ',', '\n', '\r']);
        if plain { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
    };
    let line = |cells: Vec<String>| format!("{}\r\n", cells.into_iter().map(quoted).collect::<Vec<_>>().join(","));
    let head = line(table.columns.iter().map(|column| column.name.clone()).collect());
    let rows = table.rows.iter().map(|row| line(row.iter().map(cell).collect()));
    std::iter::once(head).chain(rows).collect()
}
