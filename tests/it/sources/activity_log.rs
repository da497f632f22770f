//! The activity log fills what the first sources miss, and contradicts nothing that they say.

use health_monitor::model::{EventStatus, Source};
use health_monitor::query::Known;
use health_monitor::sandbox::{Fault, HostKind, Resource};

use super::*;

const LOG: &str = "/eventtypes/management/values";

#[tokio::test]
async fn an_event_that_neither_first_source_lists_is_found_in_the_log() {
    let (app, tenant) = contoso(2, |world, _| {
        world.health.unlisted.insert("OUT1-AGE".to_owned());
    })
    .await;
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    app.sandbox.change(|world| {
        let all = world.subscriptions_of(tenant);
        let event = outage(world, all);
        world.log_event(&event, "Active", app.clock.time());
        world.event(event);
    });
    app.clock.advance(65 * MINUTE);
    app.poll(tenant).await;
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE"]);
    app.sandbox.change(|world| {
        let mut event = world.events["OUT1-AGE"].clone();
        event.resolve(app.clock.time(), "<p>Mitigated.</p>");
        world.log_event(&event, "Resolved", app.clock.time());
    });
    app.clock.advance(65 * MINUTE);
    app.poll(tenant).await;
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE", "eventResolved OUT1-AGE"]);
    let snapshot = app.snapshot(tenant).await;
    let merged = event(&snapshot, "OUT1-AGE").merged(&"OUT1-AGE".parse().expect("an id")).expect("seen");
    assert_eq!(merged.subscriptions.len(), 2);
    assert_eq!(merged.content.impact[0].regions[0].region, "West Europe");
    for text in merged.content.texts() {
        let stored = app.app.store.read_bytes(&health_monitor::store::Key::Text(*text)).await.expect("readable");
        assert!(stored.is_some(), "its texts are stored");
    }
}

#[tokio::test]
async fn a_first_source_has_the_last_word() {
    let (app, tenant) =
        contoso(1, |world, subscriptions| world.event(outage(world, subscriptions.iter().copied()))).await;
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    // The log has the publication that the first sources have, minutes later, and an older word that it is over.
    app.sandbox.change(|world| {
        let event = world.events["OUT1-AGE"].clone();
        let mut over = event.clone();
        over.status = "Resolved".to_owned();
        world.log_event(&over, "Resolved", event.last_update - chrono::TimeDelta::minutes(5));
        world.log_event(&event, "Active", event.last_update + chrono::TimeDelta::minutes(10));
    });
    for _ in 0..3 {
        app.clock.advance(65 * MINUTE);
        app.poll(tenant).await;
    }
    assert!(asked(&app, LOG).len() >= 6, "the log was read");
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE"], "nothing else is new");
    let snapshot = app.snapshot(tenant).await;
    let merged = event(&snapshot, "OUT1-AGE").merged(&"OUT1-AGE".parse().expect("an id")).expect("seen");
    assert_eq!(merged.content.status, EventStatus::Active);
    assert_eq!(merged.content.updates.len(), 1);
}

/// What was told, by name: both ends of a failure that is over are found at the same time.
async fn told_at_once(app: &TestApp, tenant: TenantId) -> Vec<String> {
    let mut news = app.news(tenant).await;
    news.sort();
    news
}

/// A database that failed and came back between two listings; the log knows.
async fn failed_in_between() -> (TestApp, TenantId) {
    let (app, tenant) = contoso(1, |world, subscriptions| {
        let now = world.now() - chrono::TimeDelta::days(1);
        world.resource(subscriptions[0], Resource::sql_database("db", "westeurope", now));
    })
    .await;
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    app.sandbox.change(|world| {
        let subscription = world.subscriptions_of(tenant)[0];
        let (down, up) =
            (app.clock.time() + chrono::TimeDelta::minutes(1), app.clock.time() + chrono::TimeDelta::minutes(4));
        world.log_health(subscription, "db", "Available", "Unavailable", down);
        world.log_health(subscription, "db", "Unavailable", "Available", up);
        world.change_resource(subscription, "db", |database, _| {
            database.becomes("Unavailable", down, "Down.");
            database.becomes("Available", up, "");
        });
    });
    (app, tenant)
}

#[tokio::test]
async fn a_failure_between_two_listings_is_told_once() {
    let (app, tenant) = failed_in_between().await;
    for _ in 0..6 {
        app.clock.advance(35 * MINUTE);
        app.poll(tenant).await;
    }
    assert_eq!(told_at_once(&app, tenant).await, ["resourceRecovered db", "resourceUnavailable db"]);
    assert!(app.snapshot(tenant).await.resources.is_empty(), "the log leaves nothing behind");
}

#[tokio::test]
async fn a_failure_that_a_listing_told_is_not_told_again_by_the_log() {
    let (app, tenant) = contoso(1, |world, subscriptions| {
        let now = world.now() - chrono::TimeDelta::days(1);
        world.resource(subscriptions[0], Resource::sql_database("db", "westeurope", now));
    })
    .await;
    app.poll(tenant).await;
    for state in [("Available", "Unavailable"), ("Unavailable", "Available")] {
        app.clock.advance(11 * MINUTE);
        app.sandbox.change(|world| {
            let subscription = world.subscriptions_of(tenant)[0];
            let at = app.clock.time();
            // The log's clock is some seconds off.
            world.log_health(subscription, "db", state.0, state.1, at + chrono::TimeDelta::seconds(3));
            world.change_resource(subscription, "db", |database, _| database.becomes(state.1, at, ""));
        });
        app.poll(tenant).await;
    }
    for _ in 0..4 {
        app.clock.advance(35 * MINUTE);
        app.poll(tenant).await;
    }
    assert_eq!(app.news(tenant).await, ["resourceUnavailable db", "resourceRecovered db"]);
}

#[tokio::test]
async fn a_log_that_insists_on_documented_filters_is_read_all_the_same() {
    let (app, tenant) = failed_in_between().await;
    app.sandbox.change(|world| {
        world.log.category_refused = true;
        let subscription = world.subscriptions_of(tenant)[0];
        for minute in 0..250 {
            world.log_administration(subscription, app.clock.time() + chrono::TimeDelta::seconds(minute));
        }
    });
    app.clock.advance(65 * MINUTE);
    app.poll(tenant).await;
    assert_eq!(told_at_once(&app, tenant).await, ["resourceRecovered db", "resourceUnavailable db"]);
    let coverage = app.snapshot(tenant).await.coverage;
    assert!(coverage.values().all(|known| known.activity.gap.is_none() && known.activity.read_at.is_some()));
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_a_gap_only_where_it_is_the_last_source() {
    let (app, tenant) = contoso(1, |world, _| {
        world.fault(Fault::status(503).host(HostKind::Arm).path("microsoft.insights"));
    })
    .await;
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    let report = app.poll(tenant).await;
    assert_eq!(report.gaps, 0);
    let known = async || {
        let customer = app.app.store.read(&health_monitor::store::Key::Customer(tenant)).await.expect("readable");
        let snapshot = app.snapshot(tenant).await;
        let customer: health_monitor::store::Versioned<health_monitor::model::Customer> = customer.expect("there");
        Known::of(&customer.value, Some(&snapshot), None, &[Source::Events, Source::Resources], app.clock.time())
    };
    let snapshot = app.snapshot(tenant).await;
    assert!(snapshot.coverage.values().all(|known| known.activity.gap.is_some()), "it is kept apart");
    assert!(known().await.coverage.complete, "the first sources were read: nothing is missing");

    app.sandbox.change(|world| world.fault(Fault::status(503).host(HostKind::Arm)));
    app.clock.advance(65 * MINUTE);
    app.poll(tenant).await;
    let sources: Vec<_> = known().await.coverage.gaps.iter().map(|gap| gap.source).collect();
    assert!(sources.contains(&Source::Events) && sources.contains(&Source::ActivityLog), "{sources:?}");
}
