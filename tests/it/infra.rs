//! What is deployed names our settings, all that must be set and none that we do not read. Azure has more: `azure_deploy`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use health_monitor::functions::{Functions, Trigger};
use health_monitor::settings::{Door, NAMES, Settings};

pub fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Names and values of the function's environment in the SAM template.
fn aws() -> BTreeMap<String, String> {
    let text = file("infra/aws/template.yaml");
    let (_, variables) = text.split_once("        Variables:\n").unwrap();
    let variables = variables.lines().map_while(|line| line.strip_prefix("          "));
    variables.map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.into(), value.into())).collect()
}

/// Settings as they are after a deployment that sets these names: an example in place of each value.
pub fn deployed(door: Door, names: &BTreeMap<String, String>, values: &[(&str, &str)]) -> Settings {
    let read = |name: &str| {
        let platform = values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let example = || NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        platform.or_else(|| names.contains_key(name).then(example).flatten())
    };
    Settings::from_lookup(door, read).unwrap()
}

pub fn unknown(names: &BTreeMap<String, String>) -> Vec<&String> {
    names.keys().filter(|name| !NAMES.iter().any(|(known, _)| known == name)).collect()
}

#[test]
fn the_example_settings_are_all_settings_and_nothing_else() {
    let example: serde_json::Value = serde_json::from_str(&file("local.settings.example.json")).unwrap();
    let mut wanted: serde_json::Map<_, _> =
        NAMES.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    wanted.insert("FUNCTIONS_WORKER_RUNTIME".to_owned(), "custom".into());
    // `func` takes a missing IsEncrypted for true.
    assert_eq!(example, serde_json::json!({"IsEncrypted": false, "Values": wanted}));
}

#[test]
fn what_is_deployed_to_aws_starts() {
    let names = aws();
    assert_eq!(unknown(&names), Vec::<&String>::new());
    let bucket = names["STATE_STORE_URL"].replace("!Sub ", "").replace("${State}", "a-bucket");
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    deployed(
        Door::Lambda,
        &names,
        &[
            ("STATE_STORE_URL", bucket.trim_matches('"')),
            ("PARTNER_API_KEYS", &format!("portal:{hash}")),
            ("PUBLIC_BASE_URL", "https://contoso.lambda-url.eu-west-1.on.aws"),
            ("HEALTH_POLL_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/111122223333/health-poll"),
            ("HEALTH_NOTICES_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/111122223333/health-notices"),
            ("SESSION_KEYS", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "set by Lambda"),
        ],
    );
    for secret in ["AZURE_CLIENT_SECRET", "SESSION_KEYS"] {
        assert!(names[secret].contains("{{resolve:secretsmanager:"), "{secret} is a reference");
    }
}

#[test]
fn what_is_deployed_has_the_queues_and_timers_of_the_functions() {
    let sam = file("infra/aws/template.yaml");
    let mut queues = BTreeSet::new();
    for function in Functions::embedded().list {
        match function.trigger {
            Trigger::Http { .. } => {}
            Trigger::Timer { .. } => {
                assert!(sam.contains(&format!("Input: '{{\"function\":\"{}\"}}'", function.name)), "{}", function.name);
            }
            Trigger::Queue { queue, .. } => {
                queues.insert(queue);
            }
        }
    }
    for queue in queues {
        assert!(sam.contains(&format!("QueueName: {queue}\n")), "{queue} is in the SAM template");
    }
    assert!(sam.contains("FunctionResponseTypes: [ReportBatchItemFailures]"), "one bad message returns alone");
    let number = |name: &str| {
        let (_, after) = sam.split_once(&format!(" {name}: ")).unwrap();
        after.lines().next().unwrap().parse::<u64>().unwrap()
    };
    assert!(number("VisibilityTimeout") >= 6 * number("Timeout"), "as AWS advises");
}

#[test]
fn both_redirect_uris_are_named_where_somebody_registers_them() {
    let settings = deployed(
        Door::Standalone,
        &BTreeMap::new(),
        &[
            ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
            ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
            ("AZURE_CLIENT_SECRET", "s"),
            ("PUBLIC_BASE_URL", "https://contoso.example"),
        ],
    );
    let paths = [settings.redirect_uri(), settings.admin_redirect_uri()];
    for path in paths.iter().map(|uri| uri.strip_prefix("https://contoso.example").unwrap()) {
        for place in ["infra/azure/register-app.sh", "infra/azure/main.bicep", "infra/aws/template.yaml", "README.md"] {
            let named =
                file(place).split(|c: char| c.is_whitespace() || "\"'`$}".contains(c)).any(|word| word.ends_with(path));
            assert!(named, "{path} in {place}");
        }
    }
}
