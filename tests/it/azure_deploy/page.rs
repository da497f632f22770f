//! `docs/azure-parameters.md`: every parameter of the template and every alert, as they stand in the Bicep files.

use std::fmt::Write as _;
use std::fs;

use super::{between, root};
use crate::infra::file;

/// A text between single quotes, as Bicep writes it.
fn text(line: &str) -> Option<String> {
    Some(line.strip_prefix('\'')?.strip_suffix('\'')?.replace("\\'", "'"))
}

fn parameters() -> String {
    let mut table = "| parameter | default | meaning |\n|---|---|---|\n".to_owned();
    let (mut meaning, mut limits, mut secret) = (String::new(), Vec::new(), false);
    let source = file("infra/azure/main.bicep");
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let argument = |name: &str| line.strip_prefix(name)?.strip_suffix(')').map(str::to_owned);
        if let Some(words) = argument("@description(") {
            meaning = text(&words).unwrap();
        } else if let Some(list) = argument("@allowed(") {
            limits.push(format!("one of {}", list.trim_matches(['[', ']']).replace('\'', "`")));
        } else if let Some(least) = argument("@minValue(") {
            limits.push(format!("at least {least}"));
        } else if let Some(most) = argument("@maxValue(") {
            limits.push(format!("at most {most}"));
        } else if line == "@secure()" {
            secret = true;
        } else if let Some(rest) = line.strip_prefix("param ") {
            let (name, rest) = rest.split_once(' ').unwrap();
            let default = match rest.split_once(" = ") {
                None => "needed".to_owned(),
                Some((_, "''" | "[]" | "{}")) => "empty".to_owned(),
                // It goes on over some lines: a choice.
                Some((_, value)) if lines.clone().next().is_some_and(|next| next.starts_with("  ?")) => {
                    assert!(value.starts_with("environment()"), "{name}");
                    "by the cloud of the deployment".to_owned()
                }
                Some((_, value)) => format!("`{}`", value.trim_matches('\'')),
            };
            let limits: String = std::mem::take(&mut limits).iter().map(|limit| format!("; {limit}")).collect();
            let kind = if std::mem::take(&mut secret) { " A secret." } else { "" };
            let meaning = std::mem::take(&mut meaning).replace('|', "\\|");
            writeln!(table, "| `{name}` | {default}{limits} | {meaning}{kind} |").unwrap();
        }
    }
    table
}

fn alerts() -> String {
    let source = file("infra/azure/modules/alerts.bicep");
    let mut table = "| alert | severity | says | asks |\n|---|---|---|---|\n".to_owned();
    let lines = between(&source, "var lines = '", "'\n")[0];
    let (_, rules) = source.split_once("var rules = [\n").unwrap();
    let (rules, rest) = rules.split_once("\n]").unwrap();
    let plain = |words: &str| {
        words.replace("\\'", "'").replace("${silentAfterMinutes}", "15").replace("${readingAgeMinutes}", "20")
    };
    for rule in rules.split("\n  }\n") {
        let of = |field: &str| between(rule, &format!("    {field}: "), "\n")[0];
        let query = text(of("query")).unwrap().replace("${lines}", lines).replace('|', "\\|");
        let (name, what) = (text(of("name")).unwrap(), plain(&text(of("what")).unwrap()));
        writeln!(table, "| `{name}` | {} | {what} | `{query}` |", of("severity")).unwrap();
    }
    for alert in rest.split("'Microsoft.Insights/metricAlerts@").skip(1) {
        let of = |field: &str| between(alert, &format!("{field}: "), "\n")[0];
        let name = text(of("name")).unwrap().replace("${name}-", "");
        let asks = match between(alert, "metricName: '", "'").first() {
            Some(metric) => format!(
                "the greatest `{metric}` of all customers in `{}`",
                between(alert, "metricNamespace: '", "'")[0]
            ),
            None => "the test from outside, `/api/probe/ready`".to_owned(),
        };
        let what = plain(&text(of("description")).unwrap());
        writeln!(table, "| `{name}` | {} | {} | {asks} |", of("severity"), what.replace('|', "\\|")).unwrap();
    }
    table
}

#[test]
fn the_page_of_parameters_and_alerts_is_what_the_template_says() {
    let page = format!(
        "# Parameters and alerts in Azure\n\nFrom `infra/azure/main.bicep` and its modules; a test makes this page. `deploy-azure.md` says how they are set.\n\n\
         ## Parameters\n\n{}\n## Alerts\n\nWith the defaults. What to do about each is in `deploy-azure.md`.\n\n{}",
        parameters(),
        alerts()
    );
    let there = fs::read_to_string(root().join("docs/azure-parameters.md")).unwrap_or_default();
    if there != page {
        let found = root().join("target/docs/azure-parameters.md");
        fs::create_dir_all(found.parent().unwrap()).unwrap();
        fs::write(&found, page).unwrap();
        panic!("docs/azure-parameters.md is not what comes out; look at {} and copy it", found.display());
    }
    // Each alert has its answer.
    let guide = file("docs/deploy-azure.md");
    for row in alerts().lines().filter_map(|row| row.strip_prefix("| `")) {
        let (name, _) = row.split_once('`').unwrap();
        assert!(guide.contains(&format!("| `{name}` |")), "deploy-azure.md says what to do about {name}");
    }
}
