//! The commands through the binary, against a sandbox on this machine.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use health_monitor::outside::SystemClock;
use health_monitor::sandbox::{DEMO_MAILBOX, Sandbox, World};
use serde_json::{Value, json};

/// A sandbox, and a directory with the files that lead to it.
struct Here {
    sandbox: Sandbox,
    directory: tempfile::TempDir,
}

impl Here {
    async fn start(change: impl FnOnce(&mut World)) -> Self {
        let mut world = World::demo("http://localhost:7071/api/consent/callback");
        change(&mut world);
        let sandbox = Sandbox::start(world, Arc::new(SystemClock)).await.expect("free ports");
        let directory = tempfile::tempdir().expect("a directory");
        let mut values = sandbox.settings();
        values.extend(sandbox.metrics_settings());
        values.insert("STATE_STORE_URL", format!("file:{}", directory.path().join("documents").display()));
        let here = Self { sandbox, directory };
        here.write("local.settings.json", &json!({"IsEncrypted": false, "Values": values}));
        here.write("parameters.json", &here.sandbox.parameters(DEMO_MAILBOX));
        here
    }

    fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.directory.path().join(name), value.to_string()).expect("written");
    }

    /// Runs a command in the directory. The sandbox answers meanwhile.
    async fn run(&self, arguments: &[&str]) -> Ran {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let directory = self.directory.path().to_owned();
        let output = tokio::task::spawn_blocking(move || output(&arguments, &directory)).await.expect("it runs");
        let ran = Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        };
        for secret in self.sandbox.secrets() {
            assert!(!ran.out.contains(&secret) && !ran.err.contains(&secret), "a secret shows: {}{}", ran.out, ran.err);
        }
        ran
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat()).await;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("no JSON: {}", ran.out))
    }
}

fn output(arguments: &[String], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
    command.env_clear().current_dir(directory).stdin(Stdio::null()).args(arguments);
    command.output().expect("the command runs")
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_with_the_sample_s_file_and_with_our_settings() {
    let here = Here::start(|_| ()).await;
    let sample = here.json(&["users", "--parameters", "parameters.json", "--page-size", "2"]).await;
    assert_eq!(sample["value"].as_array().map(Vec::len), Some(6), "all pages: {sample}");
    // What the sample prints is there, and more.
    assert!(sample["@odata.context"].as_str().is_some_and(|context| context.ends_with("#users")));
    for field in ["businessPhones", "displayName", "id", "mail", "userPrincipalName", "accountEnabled", "userType"] {
        assert!(sample["value"][0].get(field).is_some(), "{field}");
    }
    assert_eq!(here.json(&["users", "--parameters"]).await["value"], sample["value"], "the file of this directory");
    assert_eq!(here.json(&["users"]).await["value"], sample["value"], "our settings");
    assert_eq!(here.json(&["users", "--parameters", "local.settings.json"]).await["value"], sample["value"]);
    let one = here.json(&["users", DEMO_MAILBOX]).await;
    assert_eq!(one["displayName"], "Health Desk");
    let chosen = here.json(&["users", "--select", "mail", "--filter", "userType eq 'Guest'"]).await;
    assert_eq!((chosen["value"].as_array().map(Vec::len), &chosen["value"][0]["mail"]), (Some(1), &Value::Null));
    let table = here.run(&["users", "--limit", "3"]).await;
    assert!(table.code == Some(0) && table.out.contains("userPrincipalName"), "{}", table.err);
    assert!(table.out.contains("3 users on 1 page; there are more."), "{}", table.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_explained_and_one_that_spreads_is_waited_for() {
    let here = Here::start(|world| world.office.permissions.clear()).await;
    let refused = here.run(&["users", "--parameters"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    for part in [
        "403 Authorization_RequestDenied",
        "The token has no application permissions",
        "User.Read.All",
        "admin-consent --id",
    ] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    here.sandbox.change(|world| {
        world.office.propagation_delay = Duration::from_secs(3);
        world.permit(world.application.home, "User.Read.All");
    });
    let waited = here.run(&["users", "--wait", "1", "--json"]).await;
    assert_eq!(waited.code, Some(0), "{}", waited.err);
    assert!(
        waited.err.contains("takes up to 60 minutes") && waited.err.contains("asking again in 5 s"),
        "{}",
        waited.err
    );
    let nobody = here.run(&["users", "nobody@fabrikam.example"]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("no such user"), "{}", nobody.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_as_the_sample_does_and_refusals_say_what_is_missing() {
    let here = Here::start(|_| ()).await;
    let accepted = here.json(&["send-mail", "--parameters"]).await;
    assert_eq!(
        (&accepted["accepted"], &accepted["from"], &accepted["to"][0]),
        (&json!(true), &json!(DEMO_MAILBOX), &json!(DEMO_MAILBOX))
    );
    let more = [
        "send-mail",
        "--from",
        DEMO_MAILBOX,
        "--to",
        "ops@contoso.example",
        "--cc",
        "b@contoso.example",
        "--subject",
        "It is over",
    ];
    let plain = here.run(&[&more[..], &["--text", "All is well.", "--no-copy"]].concat()).await;
    assert!(plain.code == Some(0) && plain.out.contains("Graph took the message"), "{}", plain.err);
    let sent = here.sandbox.change(|world| world.office.sent.clone());
    assert_eq!((sent.len(), sent[0].saved, sent[1].saved), (2, true, false));
    assert_eq!(sent[1].message["body"], json!({"contentType": "Text", "content": "All is well."}));
    let nobody = here.run(&["send-mail"]).await;
    assert!(nobody.code == Some(2) && nobody.err.contains("--from"), "{}", nobody.err);
    let no_mailbox = here.run(&["send-mail", "--from", "nobody@fabrikam.example"]).await;
    assert!(
        no_mailbox.code == Some(1) && no_mailbox.err.contains("with a mailbox in Exchange Online"),
        "{}",
        no_mailbox.err
    );
    here.sandbox.change(|world| world.office.permissions.clear());
    let refused = here.run(&["send-mail", "--parameters", "--no-wait"]).await;
    for part in ["ErrorAccessDenied", "Mail.Send", "b633e1c5-b582-4048-a93e-9f11b44c7e96=Role", "RBAC for Applications"]
    {
        assert!(refused.code == Some(1) && refused.err.contains(part), "{part}: {}", refused.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_shown_in_each_form_and_an_incomplete_answer_is_exit_code_3() {
    let here = Here::start(|_| ()).await;
    let workspace = here.sandbox.change(|world| world.monitor.workspaces[0].id.to_string());
    let ask = [
        "logs",
        "query",
        "AzureActivity | where CategoryValue == 'ResourceHealth' | project Level, CategoryValue",
        "--workspace",
        &workspace,
    ];
    let answer = here.json(&ask).await;
    assert_eq!(answer["tables"][0]["rows"], json!([["Error", "ResourceHealth"], ["Information", "ResourceHealth"]]));
    assert_eq!(answer["way"], "direct");
    let csv = here.run(&[&ask[..], &["--format", "csv", "--parameters"]].concat()).await;
    assert_eq!(csv.out, "Level,CategoryValue\r\nError,ResourceHealth\r\nInformation,ResourceHealth\r\n", "{}", csv.err);
    let narrow = here.run(&[&ask[..], &["--timespan", "30m"]].concat()).await;
    assert!(narrow.code == Some(0) && narrow.out.contains("1 row (direct)."), "{}{}", narrow.out, narrow.err);
    here.sandbox.change(|world| {
        world.monitor.direct_refuses_applications = true;
        world.monitor.workspaces[0].partial = Some("Too much to show.".to_owned());
    });
    let partial = here.run(&ask).await;
    assert_eq!(partial.code, Some(3), "{}", partial.err);
    assert!(
        partial.out.contains("2 rows (Resource Manager).") && partial.err.contains("Too much to show."),
        "{}",
        partial.err
    );
    let wrong = here.run(&["logs", "query", "AzureActivity | tke", "--workspace", &workspace]).await;
    assert!(wrong.code == Some(1) && wrong.err.contains("could not be parsed at 'tke'"), "{}", wrong.err);
    for input in [["--workspace", "nonsense"], ["--timespan", "yesterday"]] {
        let ran = here.run(&[&ask[..3], &["--workspace", &workspace][..], &input[..]].concat()).await;
        assert_eq!(ran.code == Some(2), input[0] == "--timespan", "{}", ran.err);
    }
    assert_eq!(here.run(&["logs", "query", "x", "--workspace", "nonsense"]).await.code, Some(2));
    here.sandbox.change(|world| world.role_assignments.clear());
    let refused = here.run(&ask).await;
    assert!(refused.code == Some(1) && refused.err.contains("Log Analytics Data Reader"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_published_from_values_a_file_and_the_customers_health() {
    let here = Here::start(|_| ()).await;
    let published = here
        .json(&[
            "metrics",
            "publish",
            "--name",
            "QueueDepth",
            "--value",
            "3",
            "--value",
            "5",
            "--dimension",
            "Queue=poll",
        ])
        .await;
    assert_eq!((&published["published"], &published["dropped"]), (&json!(1), &json!([])));
    let taken = here.sandbox.change(|world| world.monitor.published[0].document.clone());
    let series = json!([{"dimValues": ["poll"], "min": 3.0, "max": 5.0, "sum": 8.0, "count": 2}]);
    assert_eq!(taken["data"]["baseData"]["series"], series);
    let dry = here.run(&["metrics", "publish", "--name", "A", "--value", "-1", "--dry-run"]).await;
    assert!(dry.code == Some(0) && dry.out.contains("\"sum\":-1.0"), "{}{}", dry.out, dry.err);
    std::fs::write(here.directory.path().join("lines"), format!("{0}{0}", dry.out)).expect("written");
    assert_eq!(here.json(&["metrics", "publish", "--file", "lines"]).await["published"], 2);
    // Nobody is a customer yet: there is nothing to tell of.
    assert_eq!(here.json(&["metrics", "publish", "--health"]).await["published"], 0);
    let old = here.run(&["metrics", "publish", "--name", "A", "--value", "1", "--time", "2020-01-01T00:00:00Z"]).await;
    assert!(old.code == Some(1) && old.err.contains("Azure takes the last 20 minutes"), "{}", old.err);
    let id = here.sandbox.change(|world| world.monitor.resources[0].0.clone());
    let elsewhere = here
        .run(&["metrics", "publish", "--name", "A", "--value", "1", "--resource-id", &id, "--region", "North Europe"])
        .await;
    assert!(elsewhere.code == Some(1) && elsewhere.err.contains("the resource's own location"), "{}", elsewhere.err);
    here.sandbox.change(|world| world.role_assignments.clear());
    let refused = here.run(&["metrics", "publish", "--name", "A", "--value", "1"]).await;
    assert!(refused.code == Some(1) && refused.err.contains("Monitoring Metrics Publisher"), "{}", refused.err);
    assert_eq!(here.run(&["metrics", "publish"]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_shows_what_a_token_says_and_never_the_token() {
    let here = Here::start(|_| ()).await;
    let facts = here.json(&["doctor", "--token", "graph", "--parameters"]).await;
    assert_eq!((&facts["source"], &facts["sourceAgain"]), (&json!("Entra"), &json!("memory")));
    assert_eq!((&facts["aud"], &facts["proof"]), (&json!("https://graph.microsoft.com"), &json!("secret")));
    assert_eq!(facts["roles"], json!(["Mail.Send", "User.Read.All"]));
    for (service, aud) in [("metrics", "https://monitoring.azure.com"), ("logs", "https://api.loganalytics.io")] {
        assert_eq!(here.json(&["doctor", "--token", service]).await["aud"], aud);
    }
    let table = here.run(&["doctor", "--token", "graph"]).await;
    assert!(table.code == Some(0) && table.out.contains("Mail.Send, User.Read.All"), "{}{}", table.out, table.err);
    here.sandbox.change(|world| world.application.secrets.clear());
    let refused = here.run(&["doctor", "--token", "graph"]).await;
    assert!(refused.code == Some(1) && refused.err.contains("AADSTS7000215"), "{}", refused.err);
    assert!(refused.err.contains("a secret's value is not its id"), "{}", refused.err);
    assert_eq!(here.run(&["doctor", "--parameters"]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_is_exit_code_2_with_every_fault() {
    let here = Here::start(|_| ()).await;
    let mut shipped = here.sandbox.parameters(DEMO_MAILBOX);
    shipped["client_id"] = "your_client_id".into();
    shipped["secret"] = "The secret generated by AAD during your confidential app registration".into();
    here.write("shipped.json", &shipped);
    let ran = here.run(&["users", "--parameters", "shipped.json"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    for part in [
        "shipped.json: client_id: found the sample's placeholder",
        "shipped.json: secret: found the sample's placeholder",
    ] {
        assert!(ran.err.contains(part), "{}", ran.err);
    }
    std::fs::write(here.directory.path().join("commented.json"), "{\n  // my tenant\n}").expect("written");
    let ran = here.run(&["users", "--parameters", "commented.json"]).await;
    assert!(ran.code == Some(2) && ran.err.contains("a comment at line 2"), "{}", ran.err);
    assert_eq!(here.run(&["users", "--parameters", "none.json"]).await.code, Some(2));
    std::fs::remove_file(here.directory.path().join("parameters.json")).expect("removed");
    let ran = here.run(&["users", "--parameters"]).await;
    assert!(ran.code == Some(2) && ran.err.contains("parameters.local.json"), "{}", ran.err);
}
