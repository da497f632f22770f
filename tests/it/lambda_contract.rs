//! The Lambda door keeps Lambda's contract: the real binary against a Runtime API and an SQS on loopback.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::lambda::{Fault, LambdaHost, QUEUE_ARN, http_event, sqs_event};
use crate::support::without_azure;

/// SHA-256 of `secret-key`.
const KEYS: &str = "portal:85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";
const GONE: &str = r#"{"tenantId":"99999999-9999-4999-8999-999999999999"}"#;

fn settings() -> BTreeMap<String, String> {
    without_azure(&[("PUBLIC_BASE_URL", "https://abcdefghij.lambda-url.eu-west-1.on.aws"), ("PARTNER_API_KEYS", KEYS)])
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/lambda/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[tokio::test]
async fn every_front_of_lambda_reaches_the_same_routes() {
    let host = LambdaHost::start(settings()).await;
    let mut staged = http_event("GET", "/prod/api/probe/live", &[], None);
    staged["requestContext"]["stage"] = json!("prod");
    let events = [
        ("function URL", http_event("GET", "/api/probe/live", &[], None)),
        ("HTTP API with a stage", staged),
        ("REST API", fixture("rest-api")),
        ("load balancer", fixture("load-balancer")),
    ];
    for (front, event) in events {
        let answer = host.invoke(event).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{front}: {answer}");
        assert_eq!(answer["body"], "{\"status\":\"live\"}", "{front}");
        assert_eq!(answer["isBase64Encoded"], false, "{front}");
    }
}

#[tokio::test]
async fn the_gate_stands_in_front_of_the_routes() {
    let host = LambdaHost::start(settings()).await;
    assert_eq!(host.http("GET", "/api/v1/customers", &[]).await.0, 401);
    let (status, _) = host.http("GET", "/api/v1/customers", &[("x-functions-key", "secret-key")]).await;
    assert_eq!(status, 200);
    assert_eq!(host.http("GET", "/api/v1/customers?code=secret-key", &[]).await.0, 200);
    let (status, problem) = host.http("PUT", "/api/probe/live", &[]).await;
    assert_eq!((status, problem["type"].as_str()), (405, Some("urn:health-monitor:problem:method-not-allowed")));
    assert_eq!(host.http("POST", "/PollTimer", &[]).await.0, 404);
}

#[tokio::test]
async fn floods_are_limited_by_the_address_that_aws_names() {
    let mut settings = settings();
    settings.insert("ONBOARDING".to_owned(), "open".to_owned());
    settings.insert("RATE_LIMITS".to_owned(), "client=2".to_owned());
    let host = LambdaHost::start(settings).await;
    let mut statuses = Vec::new();
    for (n, source) in [(1, "203.0.113.7"), (2, "203.0.113.7"), (3, "203.0.113.7"), (4, "203.0.113.8")] {
        let made_up = format!("198.51.100.{n}");
        let mut event = http_event("GET", "/api/consent/start", &[("x-forwarded-for", &made_up)], None);
        event["requestContext"]["http"]["sourceIp"] = json!(source);
        statuses.push(host.invoke(event).await.unwrap()["statusCode"].as_u64().unwrap());
    }
    assert_eq!(statuses, [303, 303, 429, 303]);
}

#[tokio::test]
async fn the_schedule_runs_the_timer_in_every_shape_it_comes_in() {
    let host = LambdaHost::start(settings()).await;
    for event in [fixture("schedule-rule"), json!({"function": "PollTimer"}), json!({"source": "aws.scheduler"})] {
        assert_eq!(host.invoke(event).await.unwrap(), json!({"summary": "0 customers are due"}));
    }
    assert_eq!(host.sqs().calls, 0, "nothing is due, so nothing is sent");
}

/// The dead-man alarm counts lines of the log: no line like that is no metric, and then an alarm for ever.
#[tokio::test]
async fn a_good_run_of_the_timer_logs_the_line_that_the_alarm_counts() {
    let template = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/infra/aws/template.yaml")).unwrap();
    let (_, pattern) = template.split_once("FilterPattern: '{ ").unwrap();
    let (pattern, _) = pattern.split_once(" }'").unwrap();
    let wanted: Vec<(&str, Value)> = pattern
        .split(" && ")
        .map(|term| term.strip_prefix("$.").unwrap().split_once(" = ").unwrap())
        .map(|(name, value)| (name, serde_json::from_str(value).unwrap()))
        .collect();
    let host = LambdaHost::start(settings()).await;
    let counted = |log: Vec<crate::support::functions_host::Line>| {
        let lines = log.into_iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
        lines.filter(|line| wanted.iter().all(|(name, value)| line[*name] == *value)).count()
    };
    host.invoke(json!({"function": "Nothing"})).await.unwrap_err();
    assert_eq!(counted(host.log()), 0, "{:?}", host.log());
    host.invoke(json!({"function": "PollTimer"})).await.unwrap();
    // What the handler wrote is read by a task of its own.
    for _ in 0..100 {
        if counted(host.log()) == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("no such line: {:?}", host.log());
}

#[tokio::test]
async fn only_the_messages_that_failed_come_again() {
    let host = LambdaHost::start(settings()).await;
    let messages = [GONE, "not a message", GONE].map(str::to_owned);
    let answer = host.invoke(sqs_event(&messages)).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m1"}]}));
    let answer = host.invoke(sqs_event(&messages[..1])).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
}

#[tokio::test]
async fn the_queue_of_notices_has_its_own_reader() {
    let host = LambdaHost::start(settings()).await;
    // A notice that was told since is no failure; what is no message is.
    let told = r#"{"notices":["99999999-9999-5999-8999-999999999999"]}"#;
    let mut event = sqs_event(&[told.to_owned(), GONE.to_owned()]);
    for record in event["Records"].as_array_mut().unwrap() {
        record["eventSourceARN"] = json!(QUEUE_ARN.replace("health-poll", "health-notices"));
    }
    let answer = host.invoke(event).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m1"}]}));
}

#[tokio::test]
async fn an_event_that_is_not_understood_fails_and_the_next_one_is_served() {
    let host = LambdaHost::start(settings()).await;
    let mut foreign = sqs_event(&[GONE.to_owned()]);
    foreign["Records"][0]["eventSourceARN"] = json!(QUEUE_ARN.replace("health-poll", "orders"));
    for event in [json!({}), json!({"function": "Nothing"}), foreign, json!({"requestContext": {}})] {
        let error = host.invoke(event.clone()).await.unwrap_err();
        assert_eq!(error["errorType"], "UnknownEvent");
        let message = error["errorMessage"].as_str().unwrap();
        assert!(message.starts_with("the event is not understood"), "{event}: {message}");
    }
    assert_eq!(host.http("GET", "/api/probe/live", &[]).await.0, 200);
}

mod sqs {
    //! The queue by itself, in this process.

    use std::sync::Arc;

    use health_monitor::hosts::sqs::{Error, Queue};
    use health_monitor::outside::{self, Clock, SystemClock};
    use health_monitor::settings::{Door, Settings};

    use super::*;
    use crate::support::lambda::FakeSqs;

    async fn queue(secret: &str) -> (Queue, FakeSqs) {
        let fake = FakeSqs::start().await;
        let aws = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_SESSION_TOKEN", FakeSqs::SESSION_TOKEN),
            ("HEALTH_POLL_QUEUE_URL", fake.queue_url.as_str()),
            ("HEALTH_NOTICES_QUEUE_URL", fake.notices_url.as_str()),
        ];
        let lookup = |name: &str| {
            let found = aws.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            found.or_else(|| settings().remove(name))
        };
        let settings = Settings::from_lookup(Door::Lambda, lookup).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let queues = Queue::all(&outside::http_client().unwrap(), &clock, &settings.aws.unwrap());
        (queues.into_iter().next().unwrap(), fake)
    }

    fn messages(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("message {index}")).collect()
    }

    #[tokio::test]
    async fn messages_go_in_signed_calls_of_ten() {
        let (queue, fake) = queue(FakeSqs::SECRET_KEY).await;
        queue.send(&messages(23)).await.unwrap();
        assert_eq!(fake.state().messages("health-poll"), messages(23));
        assert_eq!(fake.state().calls, 3);
        queue.send(&[]).await.unwrap();
        assert_eq!(fake.state().calls, 3);
    }

    #[tokio::test]
    async fn what_was_not_taken_is_sent_again_and_nothing_twice() {
        let (queue, fake) = queue(FakeSqs::SECRET_KEY).await;
        fake.state().faults.extend([Fault::Status(503), Fault::Entries(vec!["1".to_owned()])]);
        queue.send(&messages(3)).await.unwrap();
        assert_eq!(fake.state().messages("health-poll"), ["message 0", "message 2", "message 1"]);
    }

    #[tokio::test]
    async fn an_outage_is_an_error_after_three_tries_and_a_refusal_at_once() {
        let (reached, fake) = queue(FakeSqs::SECRET_KEY).await;
        fake.state().faults.extend([Fault::Status(500), Fault::Status(500), Fault::Status(500)]);
        let error = reached.send(&messages(1)).await.unwrap_err();
        assert!(matches!(error, Error::Refused { status: 500, .. }), "{error}");
        assert_eq!(fake.state().calls, 3);

        let (refused, fake) = queue("another-secret").await;
        let error = refused.send(&messages(1)).await.unwrap_err();
        assert_eq!(error.to_string(), "SQS refused: SignatureDoesNotMatch (status 403)");
        assert_eq!(fake.state().calls, 1);
    }
}
