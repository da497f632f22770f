//! The Functions custom handler keeps the host's contract: the real binary, driven as the host drives it.

use std::collections::BTreeMap;
use std::time::Duration;

use health_monitor::functions::{Functions, Trigger};
use serde_json::{Value, json};

use crate::support::functions_host::{Framing, FunctionsHost, InvocationError, Level, Prepared, TimerStatus};
use crate::support::without_azure;

const QUEUE: &str = "health-poll";

fn settings(base: &str) -> BTreeMap<String, String> {
    without_azure(&[("PUBLIC_BASE_URL", base), ("POLL_SCHEDULE", "0 * * * * *")])
}

async fn started() -> FunctionsHost {
    let prepared = Prepared::new().await;
    let settings = settings(&prepared.base);
    prepared.start(settings).await
}

async fn get(url: &str) -> reqwest::Response {
    health_monitor::outside::http_client().unwrap().get(url).send().await.unwrap()
}

#[tokio::test]
async fn http_is_passed_through_and_unknown_routes_never_reach_the_handler() {
    let host = started().await;
    let live = get(&format!("{}/api/probe/live", host.base)).await;
    assert_eq!(live.status(), 200);
    assert_eq!(live.json::<Value>().await.unwrap(), json!({"status": "live"}));
    let unknown_kind = get(&format!("{}/api/probe/dead", host.base)).await;
    assert_eq!(unknown_kind.status(), 404);
    assert_eq!(unknown_kind.headers()["content-type"], "application/problem+json");
    assert_eq!(get(&format!("{}/PollTimer", host.base)).await.status(), 404);
}

#[tokio::test]
async fn every_http_function_is_answered_by_its_own_handler() {
    let host = started().await;
    for function in Functions::embedded().list {
        let Trigger::Http { route, methods, .. } = function.trigger else { continue };
        let path = route.to_string().replace("{kind}", "live").replace("{*path}", "customers");
        for method in methods {
            let client = health_monitor::outside::http_client().unwrap();
            let url = format!("{}/api/{path}", host.base);
            let answer = client.request(method.parse().unwrap(), url).send().await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.text().await.unwrap();
            let nobody = body.contains("urn:health-monitor:problem:not-found") || body.is_empty() || status >= 500;
            assert!(!nobody, "{method} {path}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn a_function_run_by_hand_runs_in_the_background() {
    let host = started().await;
    let client = health_monitor::outside::http_client().unwrap();
    let run = |function: &str, body: &'static str| {
        client.post(format!("{}/admin/functions/{function}", host.base)).body(body).send()
    };
    assert_eq!(run("PollTimer", "{\"input\":\"\"}").await.unwrap().status(), 202);
    host.log_with("customers are due").await;
    assert_eq!(run("PollTenant", "{\"input\":\"by hand\"}").await.unwrap().status(), 202);
    host.log_with("the message cannot be read").await;
    assert_eq!(run("Nothing", "{}").await.unwrap().status(), 404);
    assert_eq!(run("PollTimer", "").await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_host_that_cannot_reach_entra_is_alive_but_not_ready() {
    let host = started().await;
    let ready = get(&format!("{}/api/probe/ready", host.base)).await;
    assert_eq!(ready.status(), 503);
    let problem: Value = ready.json().await.unwrap();
    assert_eq!(problem["unusable"], json!(["credential"]));
    assert_eq!(problem["type"], "urn:health-monitor:problem:not-ready");
}

#[tokio::test]
async fn a_timer_runs_whatever_its_status_and_however_the_payload_is_framed() {
    let host = started().await;
    for status in [TimerStatus::First, TimerStatus::Regular, TimerStatus::PastDue, TimerStatus::Unmonitored] {
        for _framing in 0..2 {
            let answer = host.fire_timer("PollTimer", status).await.unwrap();
            assert_eq!(answer, json!({"Outputs": {}, "Logs": ["0 customers are due"], "ReturnValue": null}));
        }
    }
    assert!(host.messages(QUEUE).is_empty());
}

#[tokio::test]
async fn a_payload_that_is_none_fails_with_a_reason_and_harms_nothing() {
    let host = started().await;
    let too_large = vec![b' '; 1024 * 1024 + 1];
    let cases: [(&str, &[u8], u16, &str); 8] = [
        ("PollTimer", b"", 400, "malformed-payload"),
        ("PollTimer", b"{\"Data\":", 400, "malformed-payload"),
        ("PollTimer", b"{\"Data\":{}}", 400, "malformed-payload"),
        ("PollTenant", b"{\"Data\":{\"message\":\"\\\"nonsense\\\"\"}}", 400, "malformed-payload"),
        ("PollTenant", b"\xff\xfe", 400, "malformed-payload"),
        ("HealthApi", b"{}", 404, "unknown-function"),
        ("pollTimer", b"{}", 404, "unknown-function"),
        ("PollTimer", &too_large, 413, "too-large"),
    ];
    for (function, body, status, kind) in cases {
        for framing in [Framing::Chunked, Framing::Length] {
            let answer = host.call_raw(function, body, framing).await.unwrap();
            assert_eq!(answer.status, status, "{function} {framing:?}");
            assert_eq!(answer.json()["type"], format!("urn:health-monitor:problem:{kind}"));
        }
    }
    host.fire_timer("PollTimer", TimerStatus::Regular).await.unwrap();
}

#[tokio::test]
async fn a_message_that_cannot_be_read_becomes_poison_after_five_tries() {
    let host = started().await;
    host.enqueue(QUEUE, "not a message");
    for count in 1..=5 {
        let delivery = host.deliver(QUEUE).await.expect("the message is visible");
        assert_eq!(delivery.message.dequeue_count, count);
        assert_eq!(delivery.result, Err(InvocationError::Status(400)));
        assert!(host.deliver(QUEUE).await.is_none(), "it waits for its visibility timeout");
        host.advance(Duration::from_secs(30));
    }
    assert!(host.messages(QUEUE).is_empty());
    assert_eq!(host.messages("health-poll-poison")[0].text, "not a message");
}

#[tokio::test]
async fn a_message_for_a_customer_that_is_gone_is_done_with() {
    let host = started().await;
    host.enqueue(QUEUE, r#"{"tenantId":"99999999-9999-4999-8999-999999999999"}"#);
    let delivery = host.deliver(QUEUE).await.unwrap();
    let answer = delivery.result.unwrap();
    assert_eq!(answer["Logs"], json!(["99999999-9999-4999-8999-999999999999 is no customer any more"]));
    assert!(host.messages(QUEUE).is_empty());
}

#[tokio::test]
async fn a_killed_handler_is_started_again_until_the_host_gives_it_up() {
    let host = started().await;
    for _ in 0..2 {
        host.kill().await;
        host.fire_timer("PollTimer", TimerStatus::Regular).await.unwrap();
    }
    host.kill().await;
    let error = host.fire_timer("PollTimer", TimerStatus::Regular).await.unwrap_err();
    assert_eq!(error, InvocationError::HostStopped);
}

#[tokio::test]
async fn with_keys_turned_on_only_the_partner_api_asks_for_one() {
    let prepared = Prepared::new().await;
    let settings = settings(&prepared.base);
    let host = prepared.start_with_key(settings, Some("function-key")).await;
    let url = format!("{}/api/v1/customers", host.base);
    assert_eq!(get(&url).await.status(), 401);
    assert_eq!(get(&format!("{url}?code=wrong")).await.status(), 401);
    assert_ne!(get(&format!("{url}?code=function-key")).await.status(), 401);
    assert_eq!(get(&format!("{}/api/probe/live", host.base)).await.status(), 200);
}

#[tokio::test]
async fn logs_are_json_on_stdout_and_stderr_stays_silent() {
    let host = started().await;
    host.enqueue(QUEUE, "not a message");
    host.deliver(QUEUE).await.unwrap().result.unwrap_err();
    get(&format!("{}/api/probe/live?code=a-key-in-a-query", host.base)).await;
    host.fire_timer("PollTimer", TimerStatus::Regular).await.unwrap();
    let log = host.log_with("customers are due").await;
    for line in &log {
        assert_eq!(line.level, Level::Information, "{}", line.text);
        let parsed: Value = serde_json::from_str(&line.text).expect("a log line is JSON");
        assert!(parsed["timestamp"].is_string());
        assert!(!line.text.contains("a-key-in-a-query") && !line.text.contains("contract-test-secret"));
    }
    assert!(log.iter().any(|line| line.text.contains("7f0d9d6e-1111-4111-8111-000000000001")), "the invocation's id");
}

#[tokio::test]
async fn a_handler_without_settings_says_all_that_is_missing_and_does_not_end_with_zero() {
    let run = |port: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_azure"));
        command.env_clear().envs(port.map(|port| ("FUNCTIONS_CUSTOMHANDLER_PORT", port)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let complaint = run(Some("0"));
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "SESSION_KEYS"] {
        assert!(complaint.contains(name), "{name} not in {complaint}");
    }
    assert!(run(None).contains("FUNCTIONS_CUSTOMHANDLER_PORT"));
}
