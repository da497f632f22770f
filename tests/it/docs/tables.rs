//! Tables that must name everything: settings, metrics, problems, documents, conditions.

use health_monitor::notify::validate;
use health_monitor::settings::NAMES;
use health_monitor::store::Folder;
use serde_json::json;

use super::{pages, root};

fn page(path: &str) -> String {
    pages().into_iter().find(|page| page.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

/// What stands between `start` and `end` wherever it does in a source file.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split(end).next()).collect()
}

fn source(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|_| panic!("no {path}"))
}

#[test]
fn every_setting_is_explained() {
    let text = page("docs/settings.md");
    for (name, _) in NAMES {
        // Destinations have names of their own.
        assert!(name.starts_with("NOTIFY_") || text.contains(name), "{name}");
    }
}

#[test]
fn every_metric_is_in_operations() {
    let text = page("docs/operations.md");
    let mut seen = 0;
    for file in ["src/query/metrics/mod.rs", "src/query/metrics/notices.rs"] {
        for name in between(&source(file), "\"health_monitor_", "\"") {
            seen += 1;
            assert!(text.contains(&format!("`health_monitor_{name}")), "health_monitor_{name}");
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn everything_that_makes_us_not_ready_is_in_operations() {
    let text = page("docs/operations.md");
    let parts = source("src/api/probe.rs");
    let parts = between(&parts, "unusable.push(\"", "\"");
    assert!(parts.len() >= 4, "{parts:?}");
    for part in parts {
        assert!(text.contains(&format!("### Not ready: {part}")), "{part}");
    }
}

#[test]
fn every_alarm_of_the_templates_is_in_operations() {
    let text = page("docs/operations.md");
    let (bicep, sam) = (source("infra/azure/modules/alerts.bicep"), source("infra/aws/template.yaml"));
    // Rules by their name, and resources that raise an alarm by what follows the app's name.
    let rules = between(&bicep, "    name: '", "'").into_iter().filter(|name| !name.contains('$'));
    let alerts = bicep.split("resource ").filter(|one| one.contains("metricAlerts@"));
    let alerts = alerts.filter_map(|one| one.split("name: '${name}-").nth(1)?.split('\'').next());
    let alarms = sam.split("    Type: AWS::CloudWatch::Alarm").collect::<Vec<_>>();
    let alarms = alarms.iter().take(alarms.len() - 1).filter_map(|before| before.trim_end().lines().last());
    let alarms = alarms.map(|line| line.trim().trim_end_matches(':'));
    let all: Vec<&str> = rules.filter(|name| *name != "age").chain(alerts).chain(alarms).collect();
    assert!(all.len() >= 19, "{all:?}");
    for name in all {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_reason_of_a_gap_is_in_operations() {
    let text = page("docs/operations.md");
    let model = source("src/model/snapshot.rs");
    let variants = between(&model, "pub enum GapReason {", "\n}").concat();
    let words = variants.lines().map(str::trim).filter(|line| line.ends_with(',') && !line.starts_with('/'));
    let mut seen = 0;
    for word in words.map(|line| line.trim_end_matches(',')) {
        let word = word[..1].to_lowercase() + &word[1..];
        assert!(text.contains(&format!("`{word}`")), "{word}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_problem_is_in_the_page_of_portals() {
    let text = page("docs/portal-integration.md");
    let mut seen = 0;
    for file in ["problem.rs", "manage.rs", "telling.rs", "v1.rs", "probe.rs"] {
        let source = source(&format!("src/api/{file}"));
        for kind in between(&source, "new(", ";") {
            // `Problem::new(status, "kind", "Title", ..)`
            let mut words = kind.split('"').skip(1).step_by(2);
            let (Some(kind), Some(title)) = (words.next(), words.next()) else { continue };
            let is_kind = kind.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if is_kind && title.starts_with(|c: char| c.is_ascii_uppercase()) {
                seen += 1;
                assert!(text.contains(&format!("`{kind}`")), "{file}: {kind}");
            }
        }
    }
    assert!(seen > 12, "{seen}");
}

#[test]
fn every_kind_of_document_is_in_the_page_of_privacy() {
    let text = page("docs/privacy.md");
    for folder in Folder::ROOTS {
        assert!(text.contains(&format!("`{}`", folder.prefix())), "{folder:?}");
    }
}

#[test]
fn every_test_that_a_page_names_exists() {
    let sources = all_sources();
    let mut seen = 0;
    for page in pages().iter().filter(|page| !page.path.starts_with("docs/c")) {
        for (number, line) in page.parts().1 {
            for code in line.split('`').skip(1).step_by(2) {
                let is_sentence =
                    code.matches('_').count() >= 4 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                // Metrics are no tests.
                if is_sentence && !code.starts_with("health_monitor_") {
                    seen += 1;
                    assert!(sources.contains(&format!("fn {code}(")), "{}:{number}: no test {code}", page.path);
                }
            }
        }
    }
    assert!(seen > 25, "{seen}");
}

/// Every Rust file of `src` and `tests`, one after the other.
fn all_sources() -> String {
    let mut open = vec![root().join("src"), root().join("tests")];
    let mut all = String::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                all += &std::fs::read_to_string(path).expect("text");
            }
        }
    }
    all
}

#[test]
fn every_route_that_a_page_shows_is_sound() {
    let mut seen = 0;
    for page in pages() {
        for block in page.parts().0.into_iter().filter(|block| block.kind == "json") {
            let route: serde_json::Value = serde_json::from_str(&block.text).expect("JSON");
            let Some(channels) = route["channels"].as_array().filter(|_| route["audience"].is_string()) else {
                continue;
            };
            let named =
                channels.iter().filter_map(|name| Some((name.as_str()?.to_owned(), json!({"kind": "webhook"}))));
            let channels: serde_json::Map<_, _> = named.collect();
            let whole = json!({"channels": channels, "routes": [route]});
            let read = validate::routes(&whole, |_, _| Vec::new());
            assert!(read.is_ok(), "{}:{}: {}", page.path, block.line, read.expect_err("faults"));
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn the_limits_are_those_of_the_code() {
    let text = page("docs/limits-and-costs.md");
    // A file, a constant of it, and what the page says with `{}` for its number.
    let limits = [
        ("query/page.rs", "MAX_TOP: usize", "| rows of a page | {}, usually 100 |"),
        ("query/coverage.rs", "MAX_GAPS: usize", "| gaps named in an answer | {}; "),
        ("query/view.rs", "MAX_IMPACTED: usize", "subscription and event; {} in an answer |"),
        ("model/impacted.rs", "KEPT: usize", "| impacted resources kept | {} of each"),
        ("api/manage.rs", "MAX_SUBSCRIPTIONS: usize", "| subscriptions named in an invite | {}; "),
        ("api/manage.rs", "MAX_LABELS: usize", "| labels, contacts of a customer | {}, "),
        ("api/manage.rs", "MAX_CONTACTS: usize", "contacts of a customer | 50, {} |"),
        ("consent/invite.rs", "MAX_LIFE: TimeDelta", "an invite lives {} days"),
        ("notify/validate/mod.rs", "MOST_CHANNELS: usize", "| channels, routes | {}, "),
        ("notify/validate/mod.rs", "MOST_ROUTES: usize", "| channels, routes | 200, {} |"),
        ("notify/incident.rs", "MOST_NOTES: usize", "| remarks of an incident | {} |"),
        ("notify/log.rs", "KEPT: TimeDelta", "| delivery log, dead letters | {} days |"),
        ("notify/dry_run.rs", "MOST_DAYS: u16", "| dry run | {} days, "),
        ("notify/dry_run.rs", "MOST_LISTED: usize", "| dry run | 90 days, {} notices"),
        ("api/telling.rs", "LONGEST_SNOOZE: TimeDelta", "| {} days, 365 days |"),
        ("api/telling.rs", "LONGEST_ACKNOWLEDGEMENT: TimeDelta", "| 30 days, {} days |"),
    ];
    for (file, constant, said) in limits {
        let source = source(&format!("src/{file}"));
        let value = between(&source, &format!("const {constant} = "), ";").concat();
        let number = value.trim_start_matches("TimeDelta::days(").trim_end_matches(')').replace('_', "");
        let number = if number.len() > 3 { format!("{},{}", &number[..1], &number[1..]) } else { number };
        let said = said.replace("{}", &number);
        assert!(!number.is_empty() && text.contains(&said), "{file}: {constant}: {said}");
    }
}
