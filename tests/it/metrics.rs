//! The exposition keeps to OpenMetrics to the letter, tells the truth of the store on every instance, and never counts back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use health_monitor::app::App;
use health_monitor::model::SubscriptionId;
use health_monitor::outside::{Outside, http_client};
use health_monitor::query::metrics::metrics;
use health_monitor::sandbox::{Event, Fault, World};
use health_monitor::store::Backend as _;
use serde_json::json;

use crate::support::builders::onboarded;
use crate::support::{SeededRandom, TestApp};

/// Samples by name with labels, such as `x_total{a="b"}`.
type Samples = BTreeMap<String, f64>;

/// Reads an exposition as strictly as the specification allows; anything else is a panic that names the line.
fn parse(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    assert!(!body.contains("# EOF") && !body.contains('\r'), "one end");
    let (mut samples, mut done, mut current) = (Samples::new(), BTreeSet::new(), None::<Family>);
    for line in body.lines() {
        assert!(!line.is_empty() && line.trim() == line, "no blanks around: {line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let (keyword, rest) = rest.split_once(' ').expect(line);
            let (name, value) = rest.split_once(' ').expect(line);
            assert!(is_name(name), "{line}");
            if current.as_ref().is_none_or(|family| family.name != name) {
                assert!(done.insert(name.to_owned()), "a family comes once, in one piece: {line}");
                current = Some(Family { name: name.to_owned(), ..Family::default() });
            }
            let family = current.as_mut().expect("just made");
            assert!(!family.has_samples, "metadata comes before samples: {line}");
            let slot = match keyword {
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                "HELP" => &mut family.help,
                _ => panic!("unknown metadata: {line}"),
            };
            assert!(slot.replace(value.to_owned()).is_none(), "once: {line}");
            if keyword == "UNIT" {
                assert!(name.ends_with(&format!("_{value}")), "the name ends with the unit: {line}");
            }
            continue;
        }
        let family = current.as_mut().unwrap_or_else(|| panic!("no family: {line}"));
        family.has_samples = true;
        let (series, name, labels, value) = sample(line);
        let suffix = name.strip_prefix(&family.name).unwrap_or_else(|| panic!("of another family: {line}"));
        let named: BTreeSet<&str> = labels.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named.len(), labels.len(), "each label once: {line}");
        match (family.kind.as_deref().expect("a TYPE"), suffix) {
            ("gauge", "") => {}
            ("counter", "_total") => assert!(value >= 0.0 && value.is_finite(), "{line}"),
            ("info", "_info") => assert!((value - 1.0).abs() < f64::EPSILON, "{line}"),
            ("summary", "") => {
                let quantile = labels.iter().find(|(name, _)| name == "quantile").unwrap_or_else(|| panic!("{line}"));
                assert!((0.0..=1.0).contains(&quantile.1.parse::<f64>().expect("a number")), "{line}");
            }
            (kind, suffix) => panic!("a {kind} has no {suffix:?}: {line}"),
        }
        assert!(family.help.is_some(), "we explain everything: {line}");
        assert!(samples.insert(series, value).is_none(), "twice: {line}");
    }
    samples
}

#[derive(Default)]
struct Family {
    name: String,
    kind: Option<String>,
    unit: Option<String>,
    help: Option<String>,
    has_samples: bool,
}

/// `name{a="b",c="d"} 1`: the series, its name, its labels, its value.
fn sample(line: &str) -> (String, String, Vec<(String, String)>, f64) {
    let name: String = line.chars().take_while(|c| !matches!(c, '{' | ' ')).collect();
    assert!(is_name(&name), "{line}");
    let mut rest = &line[name.len()..];
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let end = loop {
                match chars.next().expect(line) {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().expect(line).1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        _ => panic!("no such escape: {line}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect(line);
    }
    let series = line[..line.len() - rest.len()].to_owned();
    let number = rest.strip_prefix(' ').expect(line);
    assert!(!number.contains(' '), "no timestamps: {line}");
    (series, name, labels, number.parse().expect(line))
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

async fn scraped(app: &TestApp) -> Samples {
    let client = http_client().expect("a client");
    let answer = client.get(app.url("/api/v1/metrics")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    parse(&answer.text().await.expect("text"))
}

/// Another instance over the same documents.
fn another(app: &TestApp) -> Arc<App> {
    let outside = Outside {
        clock: app.clock.clone(),
        random: SeededRandom::new(7),
        http: http_client().expect("a client"),
        backend: app.backend.clone(),
    };
    App::new(app.app.settings.clone(), outside)
}

#[tokio::test]
async fn every_instance_tells_the_truth_of_the_store_and_counters_never_go_back() {
    let mut world = World::new(1);
    let tenants = [onboarded(&mut world, "Contoso", 1), onboarded(&mut world, "Fabrikam", 2)];
    let hit: Vec<SubscriptionId> = world.subscriptions_of(tenants[1]);
    let app = TestApp::start(world).await;
    let before = scraped(&app).await;
    assert_eq!(before["health_monitor_customers"], 0.0);
    app.watch_all().await;
    let unpolled = scraped(&app).await;
    assert_eq!(unpolled["health_monitor_gaps{source=\"events\",reason=\"notReadYet\"}"], 3.0);
    app.sandbox.change(|world| {
        let at = world.now();
        world.event(Event::service_issue("MET1-AAA", "SQL", at).text(at, "<p>x</p>").hits(hit));
        world.fault(Fault::throttled(1).path("availabilityStatuses").times(1));
    });
    for tenant in tenants {
        app.poll(tenant).await;
    }
    app.clock.advance(Duration::from_secs(90));
    let polled = scraped(&app).await;
    assert_eq!(polled["health_monitor_transitions_total{kind=\"eventOpened\"}"], 1.0);
    assert_eq!(polled["health_monitor_active_incidents{event_type=\"ServiceIssue\"}"], 1.0);
    assert_eq!(polled["health_monitor_azure_requests_total{source=\"availability\",status=\"429\"}"], 1.0);
    let asked: f64 =
        polled.iter().filter(|(name, _)| name.starts_with("health_monitor_azure_requests")).map(|(_, n)| n).sum();
    let seen = app
        .sandbox
        .requests()
        .iter()
        .filter(|request| {
            let path = request.path.to_ascii_lowercase();
            path.contains("resourcegraph") || path.contains("resourcehealth")
        })
        .count();
    assert!(asked >= seen as f64, "{asked} counted, {seen} seen");
    assert!(polled["health_monitor_poll_lag_seconds{quantile=\"1.0\"}"] >= 90.0);
    assert_eq!(polled["health_monitor_subscriptions{source=\"events\",state=\"current\"}"], 3.0);
    assert_eq!(polled.keys().filter(|name| name.contains("tenant_id")).count(), 2, "the worst ten only");

    assert_eq!(parse(&metrics(&another(&app)).await.expect("metrics")), polled, "whoever is asked");
    app.call("DELETE", &format!("/api/v1/customers/{}?erase=true", tenants[1]), None).await;
    let after = scraped(&app).await;
    assert_eq!(after["health_monitor_customers"], 1.0);
    for (name, value) in polled.iter().filter(|(name, _)| name.contains("_total")) {
        assert!(after[name] >= *value, "{name} went back from {value} to {}", after[name]);
    }
    let kept = app.backend.get("partner/counters.json").await.expect("readable").expect("kept");
    assert!(!String::from_utf8_lossy(&kept.body).contains(&tenants[1].to_string()), "who was erased is named nowhere");
}

#[tokio::test]
async fn what_waits_was_told_or_died_is_counted_from_the_documents() {
    let app = TestApp::start(World::new(1)).await;
    let now = app.clock.time();
    let id = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    let notice = |not_before: chrono::DateTime<chrono::Utc>, delivery: serde_json::Value| json!({"schemaVersion": 1, "notBefore": not_before, "delivery": delivery});
    let mut put = Vec::new();
    for (number, after, delivery) in [
        (1, -300, json!({})),
        (2, -600, json!({"attempts": 1, "nextAttemptAt": now + TimeDelta::seconds(60)})),
        (4, 600, json!({})),
    ] {
        put.push((format!("outbox/{}.json", id(number)), notice(now + TimeDelta::seconds(after), delivery)));
    }
    for (number, folder, lag, end) in [
        (5, "delivered/2026-01-15", 4, json!({"kind": "delivered"})),
        (6, "delivered/2026-01-15", 8, json!({"kind": "superseded", "by": id(5)})),
        (7, "dead", 9, json!({"kind": "dead"})),
    ] {
        let at = now - TimeDelta::seconds(30);
        let notice = notice(at - TimeDelta::seconds(lag), json!({}));
        let outcome = json!({"schemaVersion": 1, "notice": notice, "end": end, "at": at, "detail": "x"});
        put.push((format!("{folder}/{}.json", id(number)), outcome));
    }
    for (path, document) in put {
        app.backend.create(&path, document.to_string().into()).await.expect("a new document");
    }
    let told = scraped(&app).await;
    assert_eq!(told["health_monitor_outbox_notices{state=\"due\"}"], 1.0);
    assert_eq!(told["health_monitor_outbox_notices{state=\"waiting\"}"], 2.0);
    assert_eq!(told["health_monitor_outbox_oldest_due_seconds"], 300.0);
    assert_eq!(told["health_monitor_delivery_lag_seconds{quantile=\"0.99\"}"], 4.0);
    assert_eq!(told["health_monitor_ended_notices{end=\"superseded\"}"], 1.0);
    assert_eq!(told["health_monitor_dead_letters"], 1.0);
    assert_eq!(told["health_monitor_unread_notices"], 0.0);
    app.clock.advance(Duration::from_secs(3_600));
    let later = scraped(&app).await;
    assert!(!later.contains_key("health_monitor_delivery_lag_seconds{quantile=\"0.99\"}"), "of the last hour only");
    assert_eq!(later["health_monitor_outbox_notices{state=\"due\"}"], 3.0, "their time has come");
}
