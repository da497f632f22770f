//! Metrics: what is published, refused, split and tried again; and the customers' health as metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use health_monitor::azure::{MetricDocument, MetricTarget, MetricsError, Series};
use health_monitor::daemon::health_metrics::{self, MOST_CUSTOMERS, documents};
use health_monitor::hosts::work::{self, Work};
use health_monitor::query::standing;
use health_monitor::sandbox::{Event, Fault, HostKind, Role, TakenMetric, World};
use serde_json::Value;

use crate::support::TestApp;
use crate::support::builders::onboarded;

const MINUTE: Duration = Duration::from_secs(60);

fn prepare(world: &mut World) -> String {
    let home = world.application.home;
    let subscription = world.subscription(home, "Operations");
    let principal = world.service_principal(home).expect("at home");
    world.assign(subscription, principal, Role::MonitoringMetricsPublisher);
    world.metric_resource(subscription, "health-monitor", "westeurope")
}

async fn start(change: impl FnOnce(&mut World)) -> (TestApp, MetricTarget) {
    let mut world = World::new(14);
    let resource = prepare(&mut world);
    change(&mut world);
    let app = TestApp::start(world).await;
    let target = MetricTarget {
        resource: resource.parse().expect("a resource"),
        region: "West Europe".parse().expect("a region"),
    };
    (app, target)
}

fn metric(app: &TestApp, name: &str, series: usize) -> MetricDocument {
    let series = (0..series).map(|number| Series::of(vec![format!("customer {number}")], 1.0)).collect();
    MetricDocument::new(app.clock.time(), "Test", name, &["Customer"], series)
}

fn taken(app: &TestApp) -> Vec<TakenMetric> {
    app.sandbox.change(|world| world.monitor.published.clone())
}

fn series(published: &[TakenMetric], name: &str) -> Vec<Value> {
    let data = published.iter().map(|one| &one.document["data"]["baseData"]);
    data.filter(|data| data["metric"] == name)
        .flat_map(|data| data["series"].as_array().cloned().unwrap_or_default())
        .collect()
}

#[tokio::test]
async fn several_metrics_go_in_one_request_and_what_is_too_old_is_dropped_and_named() {
    let (app, target) = start(|_| ()).await;
    let mut old = metric(&app, "Old", 1);
    old.time -= TimeDelta::minutes(21);
    let all = [metric(&app, "First", 2), old, metric(&app, "Second", 3)];
    let published = app.app.azure.publish_metrics(&target, &all, MINUTE).await.expect("taken");
    assert_eq!((published.documents, published.requests, published.dropped.len()), (2, 1, 1));
    assert!(published.dropped[0].0 == "Old" && published.dropped[0].1.contains("20 minutes"));
    assert_eq!((series(&taken(&app), "First").len(), series(&taken(&app), "Second").len()), (2, 3));
}

#[tokio::test]
async fn failures_are_tried_again_but_never_beyond_the_time_in_which_azure_takes_the_values() {
    let (app, target) = start(|world| {
        world.fault(Fault::throttled(30).host(HostKind::Metrics).times(1));
        world.fault(Fault::status(503).host(HostKind::Metrics).times(3));
    })
    .await;
    let all = [metric(&app, "Late", 1)];
    let published = app.app.azure.publish_metrics(&target, &all, MINUTE * 10).await.expect("taken at last");
    assert_eq!((published.documents, published.requests), (1, 5));
    app.sandbox.change(|world| world.fault(Fault::status(500).host(HostKind::Metrics)));
    let short = app.app.azure.publish_metrics(&target, &[metric(&app, "Short", 1)], MINUTE).await;
    assert!(matches!(short, Err(MetricsError::Azure(_))), "{short:?}");
    let long = app.app.azure.publish_metrics(&target, &[metric(&app, "Lost", 1)], MINUTE * 60).await.expect("given up");
    assert_eq!((long.documents, long.dropped.len()), (0, 1));
    assert!(long.requests > 10, "tried for 20 minutes: {}", long.requests);
}

#[tokio::test]
async fn a_bad_request_is_dropped_and_a_large_one_split() {
    let (app, target) = start(|world| {
        world.fault(Fault::status(400).host(HostKind::Metrics).times(1).body("The time is out of range", "text/plain"));
    })
    .await;
    let published = app.app.azure.publish_metrics(&target, &[metric(&app, "Bad", 1)], MINUTE).await.expect("an answer");
    assert_eq!((published.documents, published.requests), (0, 1), "never again");
    assert!(published.dropped[0].1.contains("The time is out of range"), "{published:?}");
    app.sandbox.change(|world| world.monitor.largest_request = 3_000);
    let published = app.app.azure.publish_metrics(&target, &[metric(&app, "Wide", 100)], MINUTE).await.expect("taken");
    assert!(published.requests > 2 && published.dropped.is_empty());
    let values: std::collections::BTreeSet<_> =
        series(&taken(&app), "Wide").iter().map(|one| one["dimValues"][0].to_string()).collect();
    assert_eq!((values.len(), series(&taken(&app), "Wide").len()), (100, 100), "each once");
}

#[tokio::test]
async fn the_audience_s_other_spelling_is_tried_once_and_remembered() {
    let (app, target) = start(|world| world.monitor.metrics_audience_with_slash = Some(true)).await;
    for requests in [2, 1] {
        app.sandbox.forget_requests();
        app.app.azure.publish_metrics(&target, &[metric(&app, "Any", 1)], MINUTE).await.expect("taken");
        let asked = app.sandbox.requests().iter().filter(|one| one.host == HostKind::Metrics).count();
        assert_eq!(asked, requests);
    }
}

#[tokio::test]
async fn a_missing_role_and_a_wrong_region_are_told_apart() {
    let (app, target) = start(|world| world.role_assignments.clear()).await;
    let all = [metric(&app, "Any", 1)];
    let refused = app.app.azure.publish_metrics(&target, &all, MINUTE).await.expect_err("no role");
    assert!(matches!(&refused, MetricsError::NotPermitted(why) if why.status == 403), "{refused}");
    let elsewhere = MetricTarget { region: "northeurope".parse().expect("a region"), ..target };
    let refused = app.app.azure.publish_metrics(&elsewhere, &all, MINUTE).await.expect_err("elsewhere");
    assert!(matches!(refused, MetricsError::NotFound(_)), "{refused}");
}

/// The app with three customers: one healthy, one with an outage, one never read.
async fn with_customers() -> TestApp {
    let mut world = World::new(15);
    let resource = prepare(&mut world);
    let tenants = ["Contoso", "Litware", "Northwind"].map(|name| onboarded(&mut world, name, 1));
    let (hit, now) = (world.subscriptions_of(tenants[1]), world.now());
    world.event(Event::service_issue("ABCD-123", "Active - outage", now).hits(hit));
    let app = TestApp::start_with(
        world,
        &[("HEALTH_METRICS_RESOURCE_ID", &resource), ("HEALTH_METRICS_REGION", "westeurope")],
    )
    .await;
    app.watch_all().await;
    for tenant in &tenants[..2] {
        app.poll(*tenant).await;
    }
    app
}

fn status(published: &[TakenMetric], customer: &str) -> BTreeMap<String, f64> {
    let rows = series(published, "CustomerHealth");
    let of = rows.iter().filter(|row| row["dimValues"][0] == customer);
    of.map(|row| (row["dimValues"][2].as_str().unwrap_or_default().to_owned(), row["sum"].as_f64().unwrap_or(-1.0)))
        .collect()
}

#[tokio::test]
async fn the_timer_publishes_customers_health_once_a_minute_and_never_pretends() {
    let app = with_customers().await;
    let timer = async || work::run(&app.app, Work::PollTimer, MINUTE).await.expect("planned");
    timer().await;
    timer().await;
    let first = taken(&app);
    assert_eq!(first.len(), 5, "one document per metric, once: {first:#?}");
    assert!(first.iter().all(|one| one.document["time"] == app.clock.time().format("%Y-%m-%dT%H:%M:00Z").to_string()));
    let on = |customer: &str| {
        let all = status(&first, customer);
        assert_eq!((all.len(), all.values().sum::<f64>()), (4, 1.0), "{customer}: {all:?}");
        all.into_iter().find(|(_, value)| *value == 1.0).map(|(word, _)| word).expect("one")
    };
    assert_eq!([on("Contoso"), on("Litware"), on("Northwind")], ["healthy", "impacted", "unknown"]);
    // Nothing is said in numbers of who was never read.
    for name in ["ActiveEvents", "ImpactedResources", "ReadingAgeSeconds"] {
        let rows = series(&first, name);
        assert!(!rows.is_empty() && rows.iter().all(|row| row["dimValues"][0] != "Northwind"), "{name}: {rows:?}");
    }
    let issues = series(&first, "ActiveEvents");
    let issue = issues.iter().find(|row| row["dimValues"][0] == "Litware" && row["dimValues"][2] == "ServiceIssue");
    assert_eq!(issue.expect("a series")["sum"], 1.0);
    app.clock.advance(MINUTE);
    timer().await;
    assert_eq!(taken(&app).len(), 10);
}

#[tokio::test]
async fn what_azure_does_not_take_now_is_published_by_a_later_timer_and_nobodys_poll_waits_for_it() {
    let app = with_customers().await;
    app.sandbox.change(|world| world.fault(Fault::status(503).host(HostKind::Metrics)));
    for _ in 0..3 {
        let done = work::run(&app.app, Work::PollTimer, MINUTE).await.expect("planned all the same");
        assert_eq!(done.messages.len(), 3);
        app.clock.advance(MINUTE);
    }
    assert!(taken(&app).is_empty());
    app.sandbox.change(|world| world.faults.clear());
    work::run(&app.app, Work::PollTimer, MINUTE).await.expect("planned");
    let minutes: std::collections::BTreeSet<_> =
        taken(&app).iter().map(|one| one.document["time"].to_string()).collect();
    assert_eq!((taken(&app).len(), minutes.len()), (20, 4), "each minute once");
}

#[tokio::test]
async fn beyond_the_first_customers_the_others_are_one_series_and_the_sums_stay_right() {
    let app = with_customers().await;
    let three = standing::all(&app.app).await.expect("readable");
    let many: Vec<_> = (0..300_u128)
        .map(|number| {
            let mut one = three[usize::try_from(number % 3).expect("small")].clone();
            one.summary.tenant_id = uuid::Uuid::from_u128(number).into();
            one.summary.display_name = format!("Customer {number}");
            one
        })
        .collect();
    let all = documents(&many, app.clock.time());
    let health = &all[0].data.base_data;
    let names: std::collections::BTreeSet<_> = health.series.iter().map(|one| one.dim_values[0].as_str()).collect();
    assert_eq!(names.len(), MOST_CUSTOMERS + 1);
    assert!(names.contains(health_metrics::OTHERS));
    let sum =
        |word: &str| -> f64 { health.series.iter().filter(|one| one.dim_values[2] == word).map(|one| one.sum).sum() };
    assert_eq!([sum("healthy"), sum("impacted"), sum("unknown"), sum("attention")], [100.0, 100.0, 100.0, 0.0]);
    // Whoever is impacted has a name first.
    let named = health
        .series
        .iter()
        .filter(|one| one.dim_values[0] != health_metrics::OTHERS && one.dim_values[2] == "impacted");
    assert!(named.map(|one| one.sum).all(|value| value == 1.0));
    assert!(all.iter().all(|one| one.fault(app.clock.time()).is_none()));
}
