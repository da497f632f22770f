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
    let variables = variables.filter(|line| !line.starts_with('#'));
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
            ("PUBLIC_BASE_URL", "https://abcdefghij.execute-api.eu-west-1.amazonaws.com"),
            ("HEALTH_POLL_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/111122223333/health-poll"),
            ("HEALTH_NOTICES_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/111122223333/health-notices"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "set by Lambda"),
            // These two are in the secret that SETTINGS_SECRET_ID names.
            ("AZURE_CLIENT_SECRET", "in the secret"),
            ("SESSION_KEYS", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
        ],
    );
    assert_eq!(names["SETTINGS_SECRET_ID"], "!Ref SecretName");
    let sam = file("infra/aws/template.yaml");
    let (_, about) = sam.split_once("\n  SecretName:\n").unwrap();
    let (about, _) = about.split_once("Default:").unwrap();
    for secret in ["AZURE_CLIENT_SECRET", "SESSION_KEYS", "DEAD_MAN_URL"] {
        assert!(!names.contains_key(secret), "{secret} is not in the function's configuration");
        assert!(NAMES.iter().any(|(known, _)| *known == secret) && about.contains(secret), "{secret} is in the secret");
    }
}

#[test]
fn the_function_on_aws_may_do_what_it_calls_and_no_more() {
    let sam = file("infra/aws/template.yaml");
    let (_, role) = sam.split_once("\n  Role:\n").unwrap();
    let (role, _) = role.split_once("\n  Log:\n").unwrap();
    let mut allowed = BTreeSet::new();
    for line in role.lines().filter_map(|line| line.trim().strip_prefix("Action: ")) {
        allowed.extend(line.trim_matches(['[', ']']).split(", ").map(str::to_owned));
    }
    // S3: the five calls of `Backend`. SQS: SendMessageBatch, which the permission to send covers, and what Lambda itself takes
    // messages with. Secrets Manager: one reading. Logs: Lambda's own.
    let called = [
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "sts:AssumeRole",
    ];
    assert_eq!(allowed, called.map(str::to_owned).into());
    for line in role.lines().filter_map(|line| line.trim().strip_prefix("Resource: ")) {
        assert!(!line.contains("\"*\"") && !line.starts_with('*'), "{line} is everything");
    }
}

#[test]
fn what_may_go_wrong_on_aws_has_its_alarm_and_somebody_to_tell() {
    let sam = file("infra/aws/template.yaml");
    let alarms: Vec<&str> = sam.split("    Type: AWS::CloudWatch::Alarm\n").skip(1).collect();
    for metric in [
        "Planned",
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesVisible",
        "Errors",
        "Throttles",
        "!If [HasHttpApi, 5xx, Url5xxCount]",
    ] {
        assert!(alarms.iter().any(|alarm| alarm.contains(&format!("MetricName: {metric}\n"))), "{metric}");
    }
    for alarm in &alarms {
        let (alarm, _) = alarm.split_once("\n\n").unwrap_or((alarm, ""));
        assert!(alarm.contains("AlarmActions: [!Ref Alarms]") && alarm.contains("AlarmDescription: "), "{alarm}");
        // What is only counted when it happens is no trouble while it does not; the timer that is silent is.
        let missing = if alarm.contains("MetricName: Planned\n") { "breaching" } else { "notBreaching" };
        assert!(alarm.contains(&format!("TreatMissingData: {missing}\n")), "{alarm}");
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
    let tries = u64::from(Functions::embedded().host.max_dequeue_count);
    assert_eq!(number("maxReceiveCount"), tries, "a message is given up after as many tries on either cloud");
    let kept = number("MessageRetentionPeriod");
    assert!(kept >= tries * number("VisibilityTimeout"), "a message lives long enough to be tried that often");
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
        for place in [
            "infra/azure/register-app.sh",
            "infra/azure/main.bicep",
            "infra/aws/template.yaml",
            "docs/register-the-app.md",
        ] {
            let named =
                file(place).split(|c: char| c.is_whitespace() || "\"'`$}".contains(c)).any(|word| word.ends_with(path));
            assert!(named, "{path} in {place}");
        }
    }
}

#[test]
fn the_container_is_built_from_all_that_the_program_includes_and_with_its_compiler() {
    let sent: BTreeSet<String> =
        file(".dockerignore").lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect();
    for needed in [".cargo", "Cargo.toml", "Cargo.lock", "src"] {
        assert!(sent.contains(needed), "{needed} is kept from the build");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut included = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
            if entry.is_dir() {
                folders.push(entry);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = fs::read_to_string(&entry).unwrap();
                for start in ["include_str!(\"", "include_bytes!(\""] {
                    let paths = text.split(start).skip(1).map(|rest| rest.split('"').next().unwrap());
                    included.extend(paths.map(|path| folder.join(path).canonicalize().unwrap()));
                }
            }
        }
    }
    let first = |path: &std::path::PathBuf| {
        let inside = path.strip_prefix(root.canonicalize().unwrap()).unwrap();
        inside.iter().next().unwrap().to_str().unwrap().to_owned()
    };
    let wanted: BTreeSet<String> = included.iter().map(first).collect();
    assert!(wanted.contains("functions") && wanted.is_subset(&sent), "{wanted:?} of {sent:?}");
    let toolchain = file("rust-toolchain.toml");
    let (_, channel) = toolchain.split_once("channel = \"").unwrap();
    let image = format!("FROM rust:{}-slim-", channel.split('"').next().unwrap());
    assert!(file("infra/container/Dockerfile").contains(&image), "{image}");
}
