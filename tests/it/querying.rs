//! Health queries over real HTTP: what they answer, as of when, and what they refuse.

use std::time::Duration;

use health_monitor::model::{SubscriptionId, TenantId};
use health_monitor::sandbox::{Event, Fault, HostKind, World};
use serde_json::Value;

use crate::support::TestApp;
use crate::support::builders::onboarded;

/// An answer: status, headers that matter, body.
struct Answer {
    status: u16,
    etag: Option<String>,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

async fn send(app: &TestApp, method: reqwest::Method, path: &str, if_none_match: Option<&str>) -> Answer {
    let client = health_monitor::outside::http_client().expect("a client");
    let mut request = client.request(method, app.url(path));
    if let Some(etag) = if_none_match {
        request = request.header("if-none-match", etag);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let etag = headers.get("etag").map(|etag| etag.to_str().expect("text").to_owned());
    let body = response.bytes().await.expect("a body");
    Answer { status, etag, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

async fn get(app: &TestApp, path: &str) -> Answer {
    send(app, reqwest::Method::GET, path, None).await
}

async fn two_customers() -> (TestApp, TenantId, TenantId, SubscriptionId) {
    let mut world = World::new(1);
    let contoso = onboarded(&mut world, "Contoso", 2);
    let northwind = onboarded(&mut world, "Northwind Traders", 1);
    let first = world.subscriptions_of(contoso)[0];
    let hit = [first, world.subscriptions_of(northwind)[0]];
    let event = Event::service_issue("OUT1-AGE", "Virtual Machines in West Europe", world.now())
        .level("Error")
        .service("Virtual Machines", &["West Europe"])
        .text(world.now(), "<p>We are <script>x()</script>investigating.</p>")
        .hits(hit);
    world.event(event);
    let app = TestApp::start(world).await;
    app.watch_all().await;
    (app, contoso, northwind, first)
}

#[tokio::test]
async fn a_customer_that_was_never_polled_is_unknown_not_healthy() {
    let (app, contoso, ..) = two_customers().await;
    let health = get(&app, &format!("/api/v1/customers/{contoso}/health")).await;
    assert_eq!(health.status, 200);
    assert_eq!(health.body["status"], "unknown");
    assert_eq!(health.body["asOf"], Value::Null);
    assert_eq!(health.body["coverage"]["complete"], false);
    assert_eq!(health.body["coverage"]["gaps"][0]["reason"], "notReadYet");
}

#[tokio::test]
async fn every_answer_says_as_of_when_and_what_is_missing() {
    let (app, contoso, northwind, first) = two_customers().await;
    app.poll(contoso).await;
    app.poll(northwind).await;
    let paths = [
        "/api/v1/customers".to_owned(),
        format!("/api/v1/customers/{contoso}"),
        format!("/api/v1/customers/{contoso}/health"),
        format!("/api/v1/customers/{contoso}/subscriptions/{first}/health"),
        format!("/api/v1/customers/{contoso}/events"),
        "/api/v1/incidents".to_owned(),
        "/api/v1/incidents/out1-age".to_owned(),
    ];
    for path in &paths {
        let answer = get(&app, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.body["asOf"], "2026-01-15T12:00:00Z", "{path}");
        assert_eq!(answer.body["coverage"]["complete"], true, "{path}: {}", answer.body["coverage"]);
        assert!(answer.headers.contains_key("x-ms-request-id"), "{path}");
        let again = send(&app, reqwest::Method::GET, path, answer.etag.as_deref()).await;
        assert_eq!(again.status, 304, "{path}");
    }
    app.clock.advance(Duration::from_secs(3600));
    for path in &paths {
        let answer = get(&app, path).await;
        assert_eq!(answer.body["coverage"]["gaps"][0]["reason"], "stale", "{path}: {}", answer.body["coverage"]);
        assert_eq!(answer.body["coverage"]["complete"], false, "{path}");
        assert_eq!(answer.body["coverage"]["gaps"][0]["readAt"], "2026-01-15T12:00:00Z", "{path}: from when it is");
        assert_eq!(answer.body["asOf"], "2026-01-15T12:00:00Z", "{path}: no newer than what was read");
    }
}

#[tokio::test]
async fn what_was_healthy_an_hour_ago_is_unknown_in_every_answer() {
    let mut world = World::new(1);
    let contoso = onboarded(&mut world, "Contoso", 1);
    let first = world.subscriptions_of(contoso)[0];
    let app = TestApp::start(world).await;
    app.watch_all().await;
    app.poll(contoso).await;
    let places = [
        ("/api/v1/customers".to_owned(), "/value/0/status"),
        (format!("/api/v1/customers/{contoso}"), "/status"),
        (format!("/api/v1/customers/{contoso}"), "/subscriptions/0/status"),
        (format!("/api/v1/customers/{contoso}/health"), "/status"),
        (format!("/api/v1/customers/{contoso}/health"), "/subscriptions/0/status"),
        (format!("/api/v1/customers/{contoso}/subscriptions/{first}/health"), "/status"),
    ];
    for (path, place) in &places {
        assert_eq!(get(&app, path).await.body.pointer(place), Some(&"healthy".into()), "{path} {place}");
    }
    app.clock.advance(Duration::from_secs(3600));
    for (path, place) in &places {
        assert_eq!(get(&app, path).await.body.pointer(place), Some(&"unknown".into()), "{path} {place}");
    }
}

#[tokio::test]
async fn one_outage_over_two_customers_is_one_incident_with_safe_texts() {
    let (app, contoso, northwind, _) = two_customers().await;
    app.poll(contoso).await;
    app.poll(northwind).await;
    let list = get(&app, "/api/v1/incidents?status=active&eventType=serviceissue").await;
    assert_eq!(list.body["value"].as_array().map(Vec::len), Some(1), "{}", list.body);
    let incident = get(&app, "/api/v1/incidents/OUT1-AGE").await;
    assert_eq!(incident.body["customers"].as_array().map(Vec::len), Some(2));
    let html = incident.body["updates"][0]["html"].as_str().expect("a text");
    assert_eq!(html, "<p>We are investigating.</p>");
    let none = get(&app, "/api/v1/incidents?status=resolved").await;
    assert_eq!(none.body["value"], serde_json::json!([]));
    let health = get(&app, &format!("/api/v1/customers/{contoso}/health")).await;
    assert_eq!(health.body["status"], "impacted");
    assert_eq!(health.body["subscriptions"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_refresh_reads_azure_now_and_not_again_within_seconds() {
    let (app, contoso, _, first) = two_customers().await;
    let path = format!("/api/v1/customers/{contoso}/subscriptions/{first}/health");
    let before = get(&app, &path).await;
    assert_eq!(before.body["asOf"], Value::Null);
    let now = get(&app, &format!("{path}?refresh=true")).await;
    assert_eq!(now.body["asOf"], "2026-01-15T12:00:00Z", "{}", now.body);
    assert_eq!(now.body["status"], "impacted");
    let asked = app.sandbox.requests().len();
    get(&app, &format!("{path}?refresh=true")).await;
    assert_eq!(app.sandbox.requests().len(), asked, "an impatient portal does not reach Azure");
    app.clock.advance(Duration::from_secs(30));
    app.sandbox.change(|world| world.fault(Fault::status(503).host(HostKind::Arm)));
    let failed = get(&app, &format!("{path}?refresh=true")).await;
    assert_eq!(failed.status, 200, "what is known is answered, with the gap");
    assert_eq!(failed.body["coverage"]["gaps"][0]["reason"], "azureUnavailable");
    assert_eq!(failed.body["asOf"], "2026-01-15T12:00:00Z");
}

#[tokio::test]
async fn unknown_and_foreign_ids_give_the_same_answer() {
    let (app, contoso, northwind, first) = two_customers().await;
    let unknown = "00000000-0000-4000-8000-00000000ffff";
    let paths = [
        format!("/api/v1/customers/{unknown}"),
        format!("/api/v1/customers/{unknown}/health"),
        format!("/api/v1/customers/{northwind}/subscriptions/{first}/health"),
        format!("/api/v1/customers/{contoso}/subscriptions/{unknown}/health?refresh=true"),
        "/api/v1/incidents/NONE-000".to_owned(),
        "/api/v1/nothing".to_owned(),
        "/api/v1/customers/x/y/z".to_owned(),
    ];
    let mut bodies = Vec::new();
    for path in &paths {
        let answer = get(&app, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        bodies.push(answer.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn bad_input_is_named() {
    let (app, contoso, ..) = two_customers().await;
    let cases = [
        ("/api/v1/customers/not-a-guid".to_owned(), "tenantId"),
        (format!("/api/v1/customers/{contoso}/subscriptions/7/health"), "subscriptionId"),
        ("/api/v1/incidents/a%20b".to_owned(), "trackingId"),
        ("/api/v1/customers?top=0".to_owned(), "top"),
        ("/api/v1/customers?cursor=%21".to_owned(), "cursor"),
        ("/api/v1/customers?Top=5".to_owned(), "Top"),
        ("/api/v1/incidents?status=active&status=resolved".to_owned(), "status"),
        (format!("/api/v1/customers/{contoso}/health?refresh=true"), "refresh"),
    ];
    for (path, parameter) in cases {
        let answer = get(&app, &path).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.body);
        assert_eq!(answer.body["parameter"], parameter, "{path}");
        assert_eq!(answer.body["type"], "urn:health-monitor:problem:invalid-parameter");
    }
    let wrong = send(&app, reqwest::Method::DELETE, "/api/v1/customers", None).await;
    assert_eq!((wrong.status, wrong.headers["allow"].to_str().expect("text")), (405, "GET"));
}

#[tokio::test]
async fn pages_yield_each_customer_once() {
    let mut world = World::new(1);
    for number in 0..7 {
        onboarded(&mut world, &format!("Customer {number}"), 1);
    }
    let app = TestApp::start(world).await;
    app.watch_all().await;
    let (mut path, mut names) = ("/api/v1/customers?top=3".to_owned(), Vec::new());
    loop {
        let page = get(&app, &path).await;
        names.extend(page.body["value"].as_array().expect("rows").iter().map(|row| row["displayName"].to_string()));
        assert_eq!(page.body["coverage"]["subscriptions"], 7, "coverage is over all, not over the page");
        match page.body["nextLink"].as_str() {
            Some(link) => path = link.strip_prefix(&app.base).expect("our own address").to_owned(),
            None => break,
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 7);
}
