//! The infrastructure in Azure against the code: settings, queues, roles, alerts, versions. The Bicep files themselves are read by
//! `.ci/check-infra`.

mod page;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use health_monitor::daemon::health_metrics;
use health_monitor::functions::{Functions, HOST_JSON, Trigger};
use health_monitor::model::{NoticeEnd, TransitionKind};
use health_monitor::query::standing;
use health_monitor::settings::{Door, NAMES};

use crate::infra::{deployed, file, unknown};
use crate::support::builders::contoso;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory whose name ends so, with their text.
fn files(directory: &Path, end: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// The main file and its modules.
fn bicep() -> String {
    files(&root().join("infra/azure"), ".bicep").into_iter().map(|(_, text)| text).collect()
}

/// Names and values of the app settings that every deployment has.
fn settings() -> BTreeMap<String, String> {
    let text = file("infra/azure/modules/app.bicep");
    let (_, settings) = text.split_once("var settings = {\n").unwrap();
    let (settings, _) = settings.split_once("\n}").unwrap();
    let lines = settings.lines().filter(|line| !line.trim().starts_with("//"));
    lines.map(|line| line.trim().split_once(": ").unwrap_or_else(|| panic!("{line}"))).map(owned).collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What stands between two texts, each time.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    text.split(start).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

/// What stands in quotes of this kind.
fn quoted(text: &str, quote: char) -> Vec<&str> {
    text.split(quote).skip(1).step_by(2).collect()
}

/// All GUIDs of a text.
fn guids(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    words.filter(|word| word.parse::<uuid::Uuid>().is_ok() && word.len() == 36).map(str::to_owned).collect()
}

#[test]
fn what_is_deployed_to_azure_starts() {
    let names = settings();
    // These the Functions host reads, not we.
    let host = [
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "AzureWebJobsStorage__credential",
        "AzureWebJobsStorage__queueServiceUri",
    ];
    assert_eq!(unknown(&names), host);
    let container = names["STATE_STORE_URL"].trim_matches('\'').replace("${stateContainer}", "health-state");
    let values = [
        ("STATE_STORE_URL", container.as_str()),
        ("AzureWebJobsStorage__accountName", "contoso"),
        ("AzureWebJobsStorage__blobServiceUri", "https://contoso.blob.core.windows.net/"),
        ("MANAGED_IDENTITY_CLIENT_ID", "00000000-0000-4000-8000-00000000dddd"),
        ("PUBLIC_BASE_URL", "https://contoso.azurewebsites.net"),
        ("SESSION_KEYS", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
    ];
    // And these the platform sets, where there is an identity.
    let platform = [("IDENTITY_ENDPOINT", "http://localhost:42356/msi/token"), ("IDENTITY_HEADER", "set by Azure")];
    let settings = deployed(Door::Functions, &names, &[&values[..], &platform].concat());
    health_monitor::store::open(&settings.store).unwrap();
    assert!(names["SESSION_KEYS"].starts_with("'@Microsoft.KeyVault("), "a reference");
    // One of the two credentials is there, by the same condition.
    let identity = &names["MANAGED_IDENTITY_CLIENT_ID"];
    assert_eq!(identity, "contains(vaultSettings, 'AZURE_CLIENT_SECRET') ? '' : identityClientId");
}

#[test]
fn every_setting_is_deployed_or_the_page_says_how_it_is_set() {
    let (names, page) = (settings(), file("docs/deploy-azure.md"));
    let (_, others) = page.split_once("## Settings that the template does not set").unwrap();
    let (others, _) = others.split_once("\n## ").unwrap();
    let told: BTreeSet<&str> = quoted(others, '`').into_iter().collect();
    // Names in settings.md whose row says that they are for another host.
    let rows = file("docs/settings.md");
    let elsewhere: BTreeSet<&str> = rows
        .lines()
        .filter(|row| ["Lambda only", "standalone only", "AWS"].iter().any(|host| row.contains(host)))
        .flat_map(|row| quoted(row, '`'))
        .collect();
    for (name, _) in NAMES {
        let here = names.contains_key(*name);
        assert!(here || told.contains(name) || elsewhere.contains(name), "{name} is neither set nor explained");
        assert!(!(here && told.contains(name)), "{name} is set, and the page says that it is not");
    }
    for name in told.iter().filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')) {
        let ours = NAMES.iter().any(|(known, _)| known == name);
        assert!(ours || name.starts_with("NOTIFY_"), "{name} is no setting");
    }
}

#[test]
fn the_template_has_the_queues_of_the_functions_and_each_has_its_poison() {
    let text = file("infra/azure/modules/storage.bicep");
    let list = between(&text, "var queueNames = [", "]")[0];
    let there: BTreeSet<String> = quoted(list, '\'').into_iter().map(str::to_owned).collect();
    let mut wanted = BTreeSet::new();
    for function in Functions::embedded().list {
        if let Trigger::Queue { queue, .. } = function.trigger {
            wanted.extend([format!("{queue}-poison"), queue]);
        }
    }
    assert_eq!(there, wanted);
    let alerts = file("infra/azure/modules/alerts.bicep");
    for queue in wanted.iter().filter(|queue| queue.ends_with("-poison")) {
        assert!(alerts.contains(&format!("Message has \"{queue}\"")), "{queue} has its alert");
    }
}

/// Roles that the template assigns, and what calls for each: true where it does.
fn roles() -> Vec<(&'static str, &'static str, bool)> {
    let names = settings();
    let has = |name: &str, part: &str| names.get(name).is_some_and(|value| value.contains(part));
    let functions = Functions::embedded().list;
    let timer = functions.iter().any(|one| matches!(one.trigger, Trigger::Timer { .. }));
    let queues = functions.iter().any(|one| matches!(one.trigger, Trigger::Queue { .. }) || !one.outputs.is_empty());
    let by_identity = has("AzureWebJobsStorage__credential", "managedidentity");
    let telemetry = has("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=AAD");
    vec![
        (
            "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
            "Storage Blob Data Owner",
            by_identity && timer && has("STATE_STORE_URL", "az://"),
        ),
        ("974c5e8b-45b9-4653-ba55-5f855dd0fb88", "Storage Queue Data Contributor", by_identity && queues),
        ("4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User", has("SESSION_KEYS", "@Microsoft.KeyVault(")),
        (
            "3913510d-42f4-4e42-8a64-420c390055eb",
            "Monitoring Metrics Publisher",
            telemetry && has("HEALTH_METRICS_RESOURCE_ID", "metrics"),
        ),
    ]
}

#[test]
fn the_template_assigns_the_roles_that_something_calls_for_and_no_others() {
    let text = bicep();
    let needed: BTreeSet<String> =
        roles().into_iter().filter(|(_, _, needed)| *needed).map(|(id, ..)| id.to_owned()).collect();
    assert_eq!(guids(&text), needed);
    for (id, name, _) in roles() {
        assert!(text.contains(&format!("'{id}' // {name}\n")), "{name} stands beside its id");
    }
    // Each assignment is for one resource, never for the group or the subscription.
    let assignments = between(&text, "'Microsoft.Authorization/roleAssignments@", "properties:");
    assert!(assignments.len() >= 4 && assignments.iter().all(|one| one.contains(" scope: ")), "{assignments:?}");
    // Who may assign roles for the workflow may assign these only.
    let script = file("infra/azure/github-oidc.sh");
    assert_eq!(guids(&script), needed);
}

#[test]
fn no_key_and_no_password_opens_anything() {
    let text = bicep();
    for once in [
        "allowSharedKeyAccess: false",
        "allowBlobPublicAccess: false",
        "defaultToOAuthAuthentication: true",
        "supportsHttpsTrafficOnly: true",
        "minimumTlsVersion: 'TLS1_2'",
        "minTlsVersion: '1.2'",
        "httpsOnly: true",
        "enableRbacAuthorization: true",
        "DisableLocalAuth: true",
    ] {
        assert!(text.contains(once), "{once}");
    }
    let policies = between(&text, "'basicPublishingCredentialsPolicies' = {", "}").len();
    assert_eq!((policies, text.matches("properties: { allow: false }").count()), (2, 2));
    for key in ["listKeys", "AccountKey", "allowSharedKeyAccess: true", "accessPolicies"] {
        assert!(!text.to_lowercase().contains(&key.to_lowercase()), "{key}");
    }
    // What is secret is a parameter that Azure does not keep.
    for parameter in ["sessionKey string", "secrets object", "values object"] {
        for (place, text) in files(&root().join("infra/azure"), ".bicep") {
            let Some(at) = text.find(&format!("param {parameter}")) else { continue };
            assert!(text[..at].ends_with("@secure()\n"), "{parameter} in {}", place.display());
        }
    }
}

#[test]
fn nothing_is_set_that_flex_consumption_refuses() {
    // https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations
    let moved = [
        "FUNCTIONS_WORKER_RUNTIME",
        "FUNCTIONS_EXTENSION_VERSION",
        "WEBSITE_RUN_FROM_PACKAGE",
        "WEBSITE_TIME_ZONE",
        "TZ",
    ];
    let names = settings();
    assert!(moved.iter().all(|name| !names.contains_key(*name)));
    let text = file("infra/azure/modules/app.bicep");
    let (_, config) = text.split_once("    siteConfig: {\n").unwrap();
    let (config, _) = config.split_once("\n    }\n").unwrap();
    let set: Vec<&str> = config
        .lines()
        .filter_map(|line| line.strip_prefix("      "))
        .filter(|line| line.starts_with(char::is_alphabetic))
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    assert_eq!(set, ["minTlsVersion", "cors", "appSettings"]);
}

#[test]
fn with_fewer_lines_no_alert_misses_one() {
    assert!(file("docs/deploy-azure.md").contains("`RUST_LOG` = `warn,health_monitor::notify=info`"));
    let mut messages: Vec<String> = Vec::new();
    for query in log_alerts().values() {
        for word in ["==", "startswith"] {
            let start = format!("tostring(line.message) {word} \"");
            messages.extend(between(query, &start, "\"").into_iter().map(|text| format!("\"{text}")));
        }
    }
    // What makes the lines of `transition.kind` about silence.
    messages.push("transition.kind = told.kind.word()".to_owned());
    for message in messages {
        let source = files(&root().join("src"), ".rs");
        let (path, before) = source
            .iter()
            .find_map(|(path, text)| Some((path, text.split_once(&message)?.0)))
            .unwrap_or_else(|| panic!("nobody logs {message}"));
        let level = before.rsplit("tracing::").next().and_then(|rest| rest.split('!').next()).unwrap_or_default();
        let kept =
            ["warn", "error"].contains(&level) || (level == "info" && path.to_string_lossy().contains("/notify/"));
        assert!(kept, "{message} is logged as {level} in {}", path.display());
    }
}

/// The alerts that ask logs: name and query, with the variables of the file put in.
fn log_alerts() -> BTreeMap<String, String> {
    let text = file("infra/azure/modules/alerts.bicep");
    let lines = between(&text, "var lines = '", "'\n")[0];
    let (_, rules) = text.split_once("var rules = [\n").unwrap();
    let (rules, _) = rules.split_once("\n]").unwrap();
    let rules = rules.split("\n  }");
    let of = |rule: &str, field: &str| {
        between(rule, &format!("    {field}: '"), "'\n").first().map(|text| (*text).to_owned())
    };
    rules.filter_map(|rule| Some((of(rule, "name")?, of(rule, "query")?.replace("${lines}", lines)))).collect()
}

#[test]
fn alerts_ask_for_what_the_program_and_the_host_write() {
    let source: String = files(&root().join("src"), ".rs").into_iter().map(|(_, text)| text).collect();
    let alerts = log_alerts();
    assert_eq!(alerts.len(), 9, "{:?}", alerts.keys());
    let kinds: Vec<String> = [
        TransitionKind::CustomerSilent { last_read_at: None },
        TransitionKind::MonitorWasSilent { from: DateTime::UNIX_EPOCH, to: DateTime::UNIX_EPOCH },
    ]
    .iter()
    .map(TransitionKind::word)
    .collect();
    let functions: BTreeSet<String> = Functions::embedded().list.into_iter().map(|function| function.name).collect();
    for (name, query) in &alerts {
        assert!(
            query.starts_with("AppRequests | where ") || query.starts_with("AppTraces | where "),
            "{name}: {query}"
        );
        for message in between(query, "tostring(line.message) == \"", "\"") {
            assert!(source.contains(&format!("\"{message}\"")), "{name}: nobody logs {message:?}");
        }
        for start in between(query, "tostring(line.message) startswith \"", "\"") {
            assert!(source.contains(&format!("\"{start}")), "{name}: nobody logs {start:?}");
        }
        for field in between(query, "tostring(line[\"", "\"])") {
            assert!(source.contains(&format!("{field} = ")), "{name}: no line has {field}");
        }
        for end in between(query, "tostring(line[\"notice.end\"]) == \"", "\"") {
            assert_eq!(end, format!("{:?}", NoticeEnd::Dead), "{name}");
        }
        for list in between(query, "tostring(line[\"transition.kind\"]) in (", ")") {
            assert_eq!(quoted(list, '"'), kinds, "{name}");
        }
        for function in between(query, "Name == \"", "\"").into_iter().chain(between(query, "Name != \"", "\"")) {
            assert!(functions.contains(function), "{name}: {function}");
        }
        for list in between(query, "Name in (", ")") {
            let named: BTreeSet<&str> = quoted(list, '"').into_iter().collect();
            let worked: BTreeSet<String> = Functions::embedded()
                .list
                .into_iter()
                .filter(|one| !matches!(one.trigger, Trigger::Http { .. }))
                .map(|one| one.name)
                .collect();
            assert_eq!(named, worked.iter().map(String::as_str).collect(), "{name}: timers and queues");
        }
    }
    // Single rows are asked for, so none may be left out.
    let host: serde_json::Value = serde_json::from_str(HOST_JSON).unwrap();
    assert_eq!(host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"], "Request;Exception;Trace");
    assert!(host.get("telemetryMode").is_none(), "with OpenTelemetry the host writes no request for a timer");
    assert_eq!(settings()["LOG_FORMAT"], "'json'");
    let tries = Functions::embedded().host.max_dequeue_count;
    assert_eq!(tries, 5, "the alert of poison says how often a message was tried");
}

#[tokio::test]
async fn the_alert_of_late_readings_asks_for_a_metric_that_is_published() {
    let text = file("infra/azure/modules/alerts.bicep");
    assert_eq!(between(&text, "metricNamespace: '", "'"), [health_metrics::NAMESPACE]);
    let (test, tenant) = contoso(1, |_, _| {}).await;
    test.poll(tenant).await;
    let all = standing::all(&test.app).await.unwrap();
    let documents = health_metrics::documents(&all, test.app.clock.now());
    let names: Vec<&str> = documents.iter().map(|document| document.data.base_data.metric.as_str()).collect();
    for asked in between(&text, "metricName: '", "'") {
        assert!(names.contains(&asked), "{asked} is none of {names:?}");
    }
}

#[test]
fn resources_have_versions_that_are_published() {
    // As Microsoft's own type index has them (github.com/Azure/bicep-types-az, August 2026). A new one is looked up there first.
    let known = [
        "Microsoft.Authorization/roleAssignments@2022-04-01",
        "Microsoft.Insights/actionGroups@2023-01-01",
        "Microsoft.Insights/components@2020-02-02",
        "Microsoft.Insights/diagnosticSettings@2021-05-01-preview",
        "Microsoft.Insights/metricAlerts@2018-03-01",
        "Microsoft.Insights/scheduledQueryRules@2022-06-15",
        "Microsoft.Insights/webtests@2022-06-15",
        "Microsoft.KeyVault/vaults@2023-07-01",
        "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31",
        "Microsoft.OperationalInsights/workspaces@2023-09-01",
        "Microsoft.Storage/storageAccounts@2023-05-01",
        "Microsoft.Web/serverfarms@2024-04-01",
        "Microsoft.Web/sites@2024-04-01",
    ];
    let text = bicep();
    let there: BTreeSet<&str> =
        text.split('\'').filter(|kind| kind.starts_with("Microsoft.") && kind.contains('@')).collect();
    assert_eq!(there, BTreeSet::from(known));
}
