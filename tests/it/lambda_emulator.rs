//! The real binary under AWS's own emulator of the Runtime API, `cargo lambda watch`, with S3, SQS and Secrets Manager of moto and
//! the simulated Azure behind it. What no emulator does, the event source mappings of the queues, a small driver does here.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use health_monitor::outside::{SystemClock, http_client};
use health_monitor::sandbox::Sandbox;
use health_monitor::sandbox::visitor::{Choice, Visitor};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::support::contoso::{self, KEY, OWNER};
use crate::support::lambda::http_event;
use crate::support::moto::Moto;

/// How often a message is received before SQS sets it aside, here.
const RECEIVES: usize = 2;

/// A running emulator. It starts the binary itself, as `cargo run` does.
struct Emulator {
    child: Child,
    base: String,
    log: std::path::PathBuf,
}

impl Emulator {
    /// The emulator at this port, with these settings for the binary.
    async fn start(program: &str, port: u16, settings: &[(String, String)], log: std::path::PathBuf) -> Self {
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(program)
            .args(["lambda", "watch", "--ignore-changes", "--disable-cors", "--bin", "lambda"])
            .args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            // The binary is a grandchild: all of them are ended together.
            .process_group(0)
            .spawn()
            .unwrap();
        let emulator = Self { child, base: format!("http://127.0.0.1:{port}"), log };
        // The first request may have to wait until everything is compiled.
        for _ in 0..1200 {
            let live = http_client().unwrap().get(format!("{}/api/probe/live", emulator.base)).send().await;
            if live.is_ok_and(|answer| answer.status() == 200) {
                return emulator;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("the binary never answered: {}", emulator.log());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// One invocation with a raw event: the answer, or the error that was reported.
    async fn invoke(&self, event: &Value) -> Result<Value, Value> {
        let url = format!("{}/2015-03-31/functions/_/invocations", self.base);
        let answer = http_client().unwrap().post(url).body(event.to_string()).send().await.unwrap();
        let failed = answer.status() != 200;
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if failed { Err(body) } else { Ok(body) }
    }

    /// What an event source mapping does: one batch of a queue, and only what did not fail is removed. Gives what failed.
    async fn deliver(&self, moto: &Moto, queue: &str) -> Vec<String> {
        let messages = moto.receive(queue).await;
        if messages.is_empty() {
            return Vec::new();
        }
        let records = messages.iter().map(|message| {
            json!({
                "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs", "eventSourceARN": moto.queue_arn(queue), "awsRegion": moto.region,
            })
        });
        let answer = self.invoke(&json!({ "Records": records.collect::<Vec<_>>() })).await.unwrap();
        let failures = answer["batchItemFailures"].as_array().expect("a batch answers with its failures");
        let mut failed = Vec::new();
        for message in &messages {
            let succeeded = !failures.iter().any(|failure| failure["itemIdentifier"] == message["MessageId"]);
            moto.settle(queue, message, succeeded).await;
            if !succeeded {
                failed.push(message["Body"].as_str().unwrap().to_owned());
            }
        }
        failed
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Some(group) = self.child.id() {
            let _ = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "where cargo-lambda is comes from .ci/check-lambda")]
fn program() -> Option<String> {
    let found = std::env::var("CARGO_LAMBDA").ok();
    if found.is_none() {
        println!("skipped: CARGO_LAMBDA is not set; run .ci/check-lambda to test under cargo lambda watch");
    }
    found
}

#[tokio::test]
async fn the_whole_way_of_a_customer_under_cargo_lambda_with_moto() {
    let (Some(program), Some(moto)) = (program(), Moto::in_region("eu-west-1")) else { return };
    let state = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let base = format!("http://127.0.0.1:{port}");
    let world = contoso::world(format!("{base}/api/consent/callback"));
    let sandbox = Sandbox::start(world, Arc::new(SystemClock)).await.unwrap();

    // What the template makes.
    moto.make_bucket("health-monitor-state").await;
    for queue in ["health-poll", "health-notices"] {
        let dead = format!("{queue}-dead");
        moto.make_queue(&dead, json!({})).await;
        let redrive = json!({"deadLetterTargetArn": moto.queue_arn(&dead), "maxReceiveCount": RECEIVES});
        moto.make_queue(queue, json!({"VisibilityTimeout": "1800", "RedrivePolicy": redrive.to_string()})).await;
    }
    let mut settings = contoso::settings(&sandbox, &base, state.path());
    let mut secret = json!({});
    for name in ["AZURE_CLIENT_SECRET", "SESSION_KEYS"] {
        secret[name] = json!(settings.remove(name).unwrap());
    }
    moto.make_secret("health-monitor", &secret.to_string()).await;
    let account = moto.account();
    let of_aws = [
        ("STATE_STORE_URL", "s3://health-monitor-state/health".to_owned()),
        ("SETTINGS_SECRET_ID", "health-monitor".to_owned()),
        ("HEALTH_POLL_QUEUE_URL", moto.queue("health-poll")),
        ("HEALTH_NOTICES_QUEUE_URL", moto.queue("health-notices")),
        ("AWS_ENDPOINT_URL", moto.url.clone()),
        ("AWS_REGION", account.region),
        ("AWS_ACCESS_KEY_ID", account.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", secrecy::ExposeSecret::expose_secret(&account.secret_access_key).to_owned()),
    ];
    settings.extend(of_aws.map(|(name, value)| (name.to_owned(), value)));
    let settings: Vec<_> = settings.into_iter().collect();
    let lambda = Emulator::start(&program, port, &settings, state.path().join("emulator.log")).await;

    // Through the function URL: a browser consents, the portal sets routes.
    let last = Visitor::new().unwrap().onboard(&format!("{base}/api/consent/start"), OWNER, Choice::All).await.unwrap();
    assert_eq!(last.status, 200, "{}", last.text());
    let portal = |method: reqwest::Method, path: &str| {
        http_client().unwrap().request(method, format!("{base}/api/v1/{path}")).header("x-functions-key", KEY)
    };
    let empty = portal(reqwest::Method::GET, "routes").send().await.unwrap().headers()["etag"].clone();
    let set = portal(reqwest::Method::PUT, "routes").header("if-match", empty).json(&contoso::routes());
    assert_eq!(set.send().await.unwrap().status(), 201);

    // The schedule plans into SQS; somebody else's message lies beside the plan.
    let rule: Value = serde_json::from_str(include_str!("../fixtures/lambda/schedule-rule.json")).unwrap();
    assert_eq!(lambda.invoke(&rule).await.unwrap(), json!({"summary": "1 customers are due"}));
    moto.send("health-poll", "not a message").await;
    for time in 1..=RECEIVES {
        assert_eq!(lambda.deliver(&moto, "health-poll").await, ["not a message"], "time {time}");
    }
    assert!(lambda.deliver(&moto, "health-poll").await.is_empty());
    let dead = moto.receive("health-poll-dead").await;
    assert_eq!(dead.iter().map(|message| &message["Body"]).collect::<Vec<_>>(), ["not a message"]);

    // What the poll found is told, once.
    assert!(lambda.deliver(&moto, "health-notices").await.is_empty());
    assert_eq!(sandbox.change(|world| world.office.sent.len()), 1);
    let nothing_more = lambda.invoke(&json!({"function": "PollTimer"})).await.unwrap();
    assert!(!nothing_more["summary"].as_str().unwrap().contains("notices"), "{nothing_more}");

    // An HTTP API with a stage asks, in the shape of its events, another instance over the same documents.
    let (tenant, hit) = sandbox.change(|world| {
        (world.tenant_named("Contoso").unwrap(), world.subscription_named("Contoso Production").unwrap())
    });
    let path = format!("/prod/api/v1/customers/{tenant}/subscriptions/{hit}/health");
    let mut event = http_event("GET", &path, &[("x-functions-key", KEY)], None);
    event["requestContext"]["stage"] = json!("prod");
    let named = format!("{base}/2015-03-31/functions/lambda/invocations");
    let answer = http_client().unwrap().post(named).body(event.to_string()).send().await.unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let health: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(health["status"], "impacted", "{health}");
    assert_eq!(lambda.invoke(&json!({"function": "Nothing"})).await.unwrap_err()["errorType"], "UnknownEvent");

    let keys = moto.keys("health-monitor-state").await;
    for key in [format!("health/customers/{tenant}.json"), format!("health/health/{tenant}.json")] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    // The emulator writes down every address it is asked for; ours are the lines in JSON.
    let log: String =
        lambda.log().lines().filter(|line| line.starts_with('{')).map(|line| format!("{line}\n")).collect();
    assert!(log.contains("polled"), "the log is read: {log}");
    for secret in sandbox.secrets().iter().map(String::as_str).chain([KEY, &settings_key(&secret)]) {
        let told = log.lines().find(|line| line.contains(secret));
        assert_eq!(told.map(|line| line.replace(secret, "[secret]")), None, "a secret is in the log");
    }
}

fn settings_key(secret: &Value) -> String {
    secret["SESSION_KEYS"].as_str().unwrap().to_owned()
}

mod by_itself {
    //! What is said to AWS, in this process.

    use std::collections::BTreeMap;

    use health_monitor::hosts::aws::{Error, secret};
    use health_monitor::hosts::sqs::Queue;
    use health_monitor::outside::Clock;
    use health_monitor::settings::{Aws, SettingsSecret};

    use super::*;

    #[tokio::test]
    async fn messages_are_in_the_queue_that_they_were_sent_to() {
        let Some(moto) = Moto::in_region("eu-central-1") else { return };
        moto.make_queue("health-poll", json!({})).await;
        moto.make_queue("health-notices", json!({})).await;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queues = |poll: &str| {
            let aws = Aws {
                account: moto.account(),
                health_poll_queue: moto.queue(poll).parse().unwrap(),
                health_notices_queue: moto.queue("health-notices").parse().unwrap(),
            };
            Queue::all(&http_client().unwrap(), &clock, &aws)
        };
        // Characters that SQS takes and that a wrong signature or encoding would stumble over.
        let mut sent: Vec<String> = (0..23).map(|n| format!("{{\"message\":\"{n} Größe 東京 \\\" + & %\"}}")).collect();
        queues("health-poll")[0].send(&sent).await.unwrap();
        let mut found = Vec::new();
        for _ in 0..6 {
            for message in moto.receive("health-poll").await {
                found.push(message["Body"].as_str().unwrap().to_owned());
                moto.settle("health-poll", &message, true).await;
            }
        }
        found.sort();
        sent.sort();
        assert_eq!(found, sent);
        assert!(moto.receive("health-notices").await.is_empty());
        let error = queues("nowhere")[0].send(&sent).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { status: 400, .. }), "{error}");
        assert!(
            error.to_string().contains("NonExistentQueue") || error.to_string().contains("QueueDoesNotExist"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn settings_are_read_out_of_a_secret_and_a_wrong_one_is_not_repeated() {
        let Some(moto) = Moto::in_region("eu-north-1") else { return };
        let read = async |id: &str| {
            let endpoint = moto.url.parse().unwrap();
            let secret = SettingsSecret { id: id.to_owned(), account: moto.account(), endpoint };
            secret::read(&http_client().unwrap(), &SystemClock, &secret).await
        };
        moto.make_secret("good", r#"{"AZURE_CLIENT_SECRET": "s", "NOTIFY_OPS": "whsec_x"}"#).await;
        let expected = [("AZURE_CLIENT_SECRET", "s"), ("NOTIFY_OPS", "whsec_x")];
        let expected: BTreeMap<_, _> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(read("good").await.unwrap(), expected);
        moto.make_secret("text", "hunter2").await;
        let wrong = read("text").await.unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("hunter2"), "{wrong}");
        assert!(wrong.to_string().contains("no JSON object of texts"));
        let missing = read("nothing").await.unwrap_err();
        assert!(missing.to_string().contains("ResourceNotFoundException"), "{missing}");
    }
}
