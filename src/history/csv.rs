//! A report as one table for spreadsheets (RFC 4180): impact, gaps, what was left out and how it was counted, each as rows.

use super::report::Report;

const HEADER: [&str; 11] = [
    "row",
    "month",
    "subscriptionId",
    "service",
    "region",
    "impactMinutes",
    "incidents",
    "stillActive",
    "endUnknown",
    "from",
    "note",
];

/// The report as CSV, UTF-8, with CRLF.
pub fn csv(report: &Report) -> String {
    let mut text = String::new();
    line(&mut text, &HEADER.map(str::to_owned));
    for row in &report.rows {
        let incidents: Vec<_> = row.incidents.iter().map(ToString::to_string).collect();
        line(
            &mut text,
            &[
                "impact".to_owned(),
                row.month.clone(),
                row.subscription_id.map(|id| id.to_string()).unwrap_or_default(),
                row.service.clone(),
                row.region.clone(),
                format!("{:.2}", row.impact_minutes),
                incidents.join(" "),
                row.still_active.to_string(),
                row.end_unknown.to_string(),
                String::new(),
                String::new(),
            ],
        );
    }
    for total in &report.subscriptions {
        let note = "any service or region, each minute once";
        let minutes = format!("{:.2}", total.impact_minutes);
        let id = total.subscription_id.map(|id| id.to_string()).unwrap_or_default();
        line(&mut text, &cells("total", [total.month.clone(), id, minutes, String::new(), note.to_owned()]));
    }
    for gap in &report.gaps {
        let id = gap.subscription_id.map(|id| id.to_string()).unwrap_or_default();
        let until = gap.to.map(|at| at.to_rfc3339()).unwrap_or_default();
        let note = if until.is_empty() { gap.why.clone() } else { format!("{}; until {until}", gap.why) };
        let from = gap.from.map(|at| at.to_rfc3339()).unwrap_or_default();
        line(&mut text, &cells("gap", [String::new(), id, String::new(), from, note]));
    }
    for left_out in &report.left_out {
        let note = format!("{}: {}", left_out.tracking_id, left_out.why);
        line(&mut text, &cells("leftOut", [String::new(), String::new(), String::new(), String::new(), note]));
    }
    for sentence in &report.method {
        let note = sentence.clone();
        line(&mut text, &cells("method", [String::new(), String::new(), String::new(), String::new(), note]));
    }
    text
}

/// A row without service and region: month, subscription, minutes, from, note.
fn cells(row: &str, [month, subscription, minutes, from, note]: [String; 5]) -> [String; 11] {
    let none = String::new;
    [row.to_owned(), month, subscription, none(), none(), minutes, none(), none(), none(), from, note]
}

fn line(text: &mut String, cells: &[String; 11]) {
    let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}

/// Azure's names are foreign text: what a spreadsheet would take for a formula is text.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_never_a_formula_and_never_two() {
        assert_eq!(quoted("Virtual Machines"), "Virtual Machines");
        assert_eq!(quoted("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(quoted("a,\"b\"\r\nc"), "\"a,\"\"b\"\"\r\nc\"");
        assert_eq!(quoted("-1,2"), "\"'-1,2\"");
    }
}
