//! `report`: for how long the services of a customer were impaired.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use health_monitor::history;
use health_monitor::model::{EventType, TenantId, Timestamp};
use health_monitor::query;
use health_monitor::query::history::{ReportAsk, time};

use crate::Common;
use crate::output::{self, WITH_GAPS, WrongInput};

#[derive(Debug, Args)]
pub struct Options {
    /// The customer's tenant id
    tenant: TenantId,
    /// From when it counts: a month, a day or a time; by default the beginning of this month
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Until before when; by default now
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// What kind of event counts: ServiceIssue, PlannedMaintenance, ...
    #[arg(long, value_name = "TYPE", default_value = "ServiceIssue")]
    event_type: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For machines
    Json,
    /// For spreadsheets
    Csv,
}

pub async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let Options { tenant, from, to, event_type, format } = options;
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        return Err(WrongInput("--to must be later than --from".to_owned()).into());
    }
    let app = output::app(common)?;
    let ask = ReportAsk { from, to, event_type: Some(EventType::from(event_type)) };
    let report = match query::history::report(&app, tenant, &ask).await {
        Err(query::Error::NotFound) => {
            return Err(WrongInput(format!("{tenant} is no customer; `customers` lists them")).into());
        }
        other => other?,
    };
    let code = if report.gaps.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(WITH_GAPS) };
    match format {
        Format::Json => output::json(&report)?,
        Format::Csv => print!("{}", history::csv(&report)),
        Format::Table if common.json => output::json(&report)?,
        Format::Table => {
            let mut table = output::table(&["Month", "Subscription", "Service", "Region", "Minutes", "Incidents"]);
            for row in &report.rows {
                let incidents: Vec<_> = row.incidents.iter().map(ToString::to_string).collect();
                let note = match (row.still_active, row.end_unknown) {
                    (true, _) => " (goes on)",
                    (false, true) => " (end unknown)",
                    (false, false) => "",
                };
                table.add_row([
                    row.month.clone(),
                    row.subscription_id.map_or_else(|| "the tenant".to_owned(), |id| id.to_string()),
                    row.service.clone(),
                    row.region.clone(),
                    format!("{:.1}", row.impact_minutes),
                    format!("{}{note}", incidents.join(", ")),
                ]);
            }
            println!("{table}");
            println!("From {} to {}.", output::time(Some(report.from)), output::time(Some(report.to)));
            for one in &report.left_out {
                println!("  not counted: {}: {}", one.tracking_id, one.why);
            }
            for gap in &report.gaps {
                let whose = gap.subscription_id.map_or_else(|| "all subscriptions".to_owned(), |id| id.to_string());
                let until = gap.to.map_or_else(|| "now".to_owned(), |at| output::time(Some(at)));
                let from = gap.from.map_or_else(String::new, |at| format!("from {} ", output::time(Some(at))));
                println!("  gap: {whose}: {}; {from}until {until}", gap.why);
            }
            println!("How it was counted:");
            for sentence in &report.method {
                println!("  {sentence}");
            }
        }
    }
    Ok(code)
}
