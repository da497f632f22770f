//! Rehearsals: what may go wrong, as a table.

use std::process::ExitCode;

use health_monitor::rehearsal::faults;

use crate::Common;
use crate::output;

/// Which rehearsal.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum What {
    /// A crash at each boundary of one poll and one delivery
    Faults,
}

pub async fn run(common: &Common, what: What) -> anyhow::Result<ExitCode> {
    let _ = common;
    match what {
        What::Faults => faults().await,
    }
}

async fn faults() -> anyhow::Result<ExitCode> {
    let rows = faults::matrix().await;
    let mut table = output::table(&["Boundary", "Cut", "Arrived", "Again", "Allowed", "Left", "Holds"]);
    for row in &rows {
        table.add_row([
            row.what.clone(),
            row.how.clone(),
            format!("{} of {}", row.arrived, row.expected),
            row.again.to_string(),
            row.allowed.to_string(),
            row.left.to_string(),
            if row.holds() { "yes" } else { "NO" }.to_owned(),
        ]);
    }
    println!("{table}");
    let broken = rows.iter().filter(|row| !row.holds()).count();
    let again: usize = rows.iter().map(|row| row.again).sum();
    println!("{} boundaries and disturbances; {broken} broke a promise; {again} notices told again, under their id.", rows.len());
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
