//! Rehearsals: what may go wrong, as a table.

use std::process::ExitCode;

use health_monitor::rehearsal::delivery::{self, Figures, Plan};
use health_monitor::rehearsal::faults;
use serde_json::json;

use crate::Common;
use crate::output;

/// Which rehearsal.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum What {
    /// A crash at each boundary of one poll and one delivery
    Faults,
    /// 10,000 notices in fair and foul weather, a dead destination, a restart, one outage for everybody
    Delivery,
}

pub async fn run(common: &Common, what: What) -> anyhow::Result<ExitCode> {
    match what {
        What::Faults => faults(common).await,
        What::Delivery => delivery(common).await,
    }
}

async fn faults(common: &Common) -> anyhow::Result<ExitCode> {
    let rows = faults::matrix().await;
    let lines = rows.iter().map(|row| {
        [
            row.what.clone(),
            row.how.clone(),
            format!("{} of {}", row.arrived, row.expected),
            format!("{} (of {} allowed)", row.again, row.allowed),
            row.left.to_string(),
            said(row.holds()),
        ]
    });
    print(common, &["Boundary", "Cut", "Arrived", "Again", "Left", "Holds"], lines.collect())?;
    let broken = rows.iter().filter(|row| !row.holds()).count();
    if !common.json {
        let again: usize = rows.iter().map(|row| row.again).sum();
        println!("{} rows: {broken} break a promise; {again} notices arrived twice, under their id.", rows.len());
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn delivery(common: &Common) -> anyhow::Result<ExitCode> {
    const NOTICES: usize = 10_000;
    let mut lines = Vec::new();
    let mut all_hold = true;
    let mut line = |what: &str, goal: &str, found: String, holds: bool| {
        all_hold &= holds;
        lines.push([what.to_owned(), goal.to_owned(), found, said(holds)]);
    };
    let of = |figures: &Figures| {
        let Figures { put, lost, again, unheard, requests, p50, p99, longest, left, .. } = figures;
        format!(
            "{put} put, {lost} lost, {left} left, {again} again of {unheard} unheard, {requests} requests; \
             p50 {p50:.1} s, p99 {p99:.1} s, longest {longest:.0} s"
        )
    };
    let fair = delivery::flood(&Plan::fair(NOTICES, 10)).await;
    line("fair weather, 10 channels", "0 lost, 0 again, p99 below 2 s", of(&fair), fair.hold() && fair.p99 < 2.0);
    let foul = delivery::flood(&Plan::foul(NOTICES, 10)).await;
    line("20 % 5xx, 5 % timeouts, 2 % resets, 24 h down", "0 lost, again at most unheard", of(&foul), foul.hold());
    let (without, with) = delivery::one_dead(NOTICES, 100).await;
    let close = with.p99 <= without.p99 * 1.05 && with.lost == 0;
    let found = format!("p99 {:.3} s without, {:.3} s with", without.p99, with.p99);
    line("one of 100 channels never answers", "the others' p99 within 5 %", found, close);
    let (told, again) = delivery::restart(500).await;
    line(
        "restart with 500 active incidents",
        "0 told again",
        format!("{told} told, {again} again"),
        again == 0 && told > 0,
    );
    let [incidents, customers, partner, named] = delivery::outage(500, 4).await;
    let found = format!("{incidents} incident, {customers} customer notices, {partner} partner notice naming {named}");
    let holds = [incidents, customers, partner, named] == [1, 500, 1, 500];
    line("one outage, 500 customers with 4 subscriptions", "1, 500, 1", found, holds);
    let (first, second) = delivery::planning(NOTICES).await;
    let found = format!("{first} ms at first, {second} ms when nothing changed");
    line("the timer's plan of 10,000 that wait", "far below its minute", found, first < 20_000);
    print(common, &["Rehearsal", "Promise", "Found", "Holds"], lines)?;
    Ok(if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn said(holds: bool) -> String {
    if holds { "yes" } else { "NO" }.to_owned()
}

fn print<const N: usize>(common: &Common, header: &[&str; N], lines: Vec<[String; N]>) -> anyhow::Result<()> {
    if common.json {
        let rows: Vec<_> = lines
            .into_iter()
            .map(|line| header.iter().zip(line).map(|(name, value)| (name.to_lowercase(), value)).collect())
            .collect::<Vec<std::collections::BTreeMap<_, _>>>();
        return output::json(&json!({ "value": rows }));
    }
    let mut table = output::table(header);
    for line in lines {
        table.add_row(line);
    }
    println!("{table}");
    Ok(())
}
