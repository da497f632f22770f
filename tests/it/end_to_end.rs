//! The main job through each door, with the real binaries: consent in a browser, timer, queue, health query. A handler that
//! is killed in the middle of a poll changes nothing of what is answered in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::DateTime;
use futures_util::future::BoxFuture;
use health_monitor::model::Timestamp;
use health_monitor::outside::{self, Clock, SystemClock};
use health_monitor::sandbox::visitor::{Choice, Visitor};
use health_monitor::sandbox::{Fault, HostKind, Sandbox};
use serde_json::{Value, json};

use crate::support::contoso::{self, KEY, OUTAGE};
use crate::support::door::{Door, Kind};
use crate::support::functions_host::{InvocationError, Prepared};

const QUEUE: &str = "health-poll";
/// Real time, but whoever is told to wait waits for ever: a request that the sandbox delays hangs until its caller is gone.
#[derive(Debug, Default)]
struct HangingClock {
    hanging: AtomicUsize,
}

impl Clock for HangingClock {
    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        self.hanging.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

/// Fires the timer, which must plan one poll.
async fn plan(door: &Door) {
    door.timer().await;
    assert_eq!(door.messages(QUEUE).len(), 1);
}

/// Delivers what is in the queue, which must go well at this time of trying.
async fn deliver(door: &Door, tries: u32) {
    match door {
        Door::Functions(host) => {
            let deliveries = host.drain(QUEUE).await;
            assert_eq!(deliveries.len(), 1);
            assert_eq!(deliveries[0].message.dequeue_count, tries);
            deliveries[0].result.as_ref().unwrap();
            assert!(host.messages(QUEUE).is_empty() && host.messages("health-poll-poison").is_empty());
        }
        #[cfg(feature = "lambda")]
        Door::Lambda(host) => assert_eq!(host.deliver(QUEUE).await.unwrap(), Vec::<String>::new()),
    }
}

/// Delivers while Azure hangs, kills the handler in the middle of it, and lets the host do what it does then.
async fn deliver_and_kill(door: &Door, clock: &HangingClock) {
    let hangs = async {
        for _ in 0..1200 {
            if clock.hanging.load(Ordering::SeqCst) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the poll never came to the request that hangs");
    };
    match door {
        Door::Functions(host) => {
            let killed = async {
                hangs.await;
                host.kill().await;
            };
            let (delivery, ()) = tokio::join!(host.deliver(QUEUE), killed);
            let result = delivery.unwrap().result;
            assert!(matches!(result, Err(InvocationError::Connection(_))), "{result:?}");
            host.advance(Duration::from_secs(30));
        }
        #[cfg(feature = "lambda")]
        Door::Lambda(host) => {
            let killed = async {
                hangs.await;
                host.kill().await;
            };
            let (delivery, ()) = tokio::join!(host.deliver(QUEUE), killed);
            assert!(delivery.is_err(), "{delivery:?}");
            host.start_again();
        }
    }
}

/// The whole main job, with the handler killed before this many answers of Resource Manager. Gives what is answered at last.
async fn main_job(kind: Kind, kill_after_answers: Option<u32>) -> Value {
    let state = tempfile::tempdir().unwrap();
    let clock = Arc::new(HangingClock::default());
    // The host's address is needed before the handler starts: it is in the redirect URI.
    let prepared = Prepared::new().await;
    let sandbox =
        Sandbox::start(contoso::world(format!("{}/api/consent/callback", prepared.base)), clock.clone()).await.unwrap();
    let settings = contoso::settings(&sandbox, &prepared.base, &state.path().join("documents"));
    let door = Door::open(kind, prepared, settings).await;

    let start = format!("{}/api/consent/start", door.base());
    let last = Visitor::new().unwrap().onboard(&start, "olivia@contoso.example", Choice::All).await.unwrap();
    assert_eq!(last.status, 200, "{}", last.text());
    assert!(last.text().contains("Contoso Production"), "{}", last.text());

    plan(&door).await;
    if let Some(answers) = kill_after_answers {
        let hang = Fault::delay(Duration::from_secs(1)).host(HostKind::Arm).after(answers).times(1);
        sandbox.change(|world| world.fault(hang));
        deliver_and_kill(&door, &clock).await;
        deliver(&door, 2).await;
    } else {
        deliver(&door, 1).await;
    }

    let (tenant, hit) = sandbox.change(|world| {
        (world.tenant_named("Contoso").unwrap(), world.subscription_named("Contoso Production").unwrap())
    });
    let mut answers = BTreeMap::new();
    for path in [
        "customers".to_owned(),
        format!("customers/{tenant}"),
        format!("customers/{tenant}/health"),
        format!("customers/{tenant}/events"),
        format!("customers/{tenant}/subscriptions/{hit}/health"),
        "incidents".to_owned(),
        format!("incidents/{OUTAGE}"),
    ] {
        let url = format!("{}/api/v1/{path}", door.base());
        let answer = outside::http_client().unwrap().get(url).header("x-functions-key", KEY).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answers.insert(path, timeless(answer.json().await.unwrap()));
    }
    assert_eq!(answers[&format!("customers/{tenant}/subscriptions/{hit}/health")]["status"], "impacted");
    assert_eq!(answers[&format!("incidents/{OUTAGE}")]["trackingId"], OUTAGE);

    let log = door.log();
    assert!(log.contains("polled"), "the log is read: {log}");
    for secret in sandbox.secrets().iter().chain([&KEY.to_owned()]) {
        assert!(!log.contains(secret.as_str()), "a secret is in the log");
    }
    json!(answers)
}

/// The same answer with every time in it made equal: two runs are not at the same time.
fn timeless(value: Value) -> Value {
    match value {
        Value::String(text) if DateTime::parse_from_rfc3339(&text).is_ok() => json!("a time"),
        Value::Array(items) => items.into_iter().map(timeless).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, timeless(value))).collect(),
        other => other,
    }
}

#[tokio::test]
async fn a_handler_killed_in_the_middle_of_a_poll_answers_the_same_in_the_end() {
    let undisturbed = main_job(Kind::Functions, None).await;
    for answers in [0, 1] {
        assert_eq!(main_job(Kind::Functions, Some(answers)).await, undisturbed, "killed after {answers} answers");
    }
}

#[cfg(feature = "lambda")]
#[tokio::test]
async fn the_lambda_door_answers_as_the_functions_door_does_killed_or_not() {
    let expected = main_job(Kind::Functions, None).await;
    assert_eq!(main_job(Kind::Lambda, None).await, expected);
    assert_eq!(main_job(Kind::Lambda, Some(1)).await, expected);
}
