//! Polling one customer: what is read, what is told, and what is kept when Azure misbehaves.

use std::time::Duration;

use health_monitor::model::{EventStatus, GapReason, SubscriptionAccess, SubscriptionId, TenantId};
use health_monitor::poll;
use health_monitor::sandbox::{Event, Fault, GraphTimes, HostKind, Resource, World};
use health_monitor::store::Key;

use crate::support::TestApp;
use crate::support::builders::{self, kind, onboarded, outage};

const MINUTE: Duration = Duration::from_secs(60);

/// One customer with two subscriptions, watched.
async fn contoso(build: impl FnOnce(&mut World, &[SubscriptionId])) -> (TestApp, TenantId) {
    builders::contoso(2, build).await
}

#[tokio::test]
async fn the_first_poll_is_history_and_finds_what_is_quiet_for_weeks() {
    let (app, tenant) = contoso(|world, subscriptions| {
        let long_ago = world.now() - chrono::TimeDelta::days(60);
        world.event(Event::retirement("OLD1-RET", "TLS 1.0 ends", long_ago, world.now()).hits([subscriptions[0]]));
    })
    .await;
    app.poll(tenant).await;
    let timeline = app.timeline(tenant).await;
    assert_eq!(timeline.iter().map(kind).collect::<Vec<_>>(), ["eventOpened OLD1-RET"]);
    assert!(timeline[0].backfill, "what was there before the first poll is history");
    let snapshot = app.snapshot(tenant).await;
    assert!(
        snapshot.coverage.values().all(|coverage| coverage.events.gap.is_none() && coverage.resources.gap.is_none())
    );
}

#[tokio::test]
async fn an_outage_is_opened_updated_spread_and_resolved_each_told_once() {
    let (app, tenant) = contoso(|_, _| {}).await;
    app.poll(tenant).await;
    let subscriptions = app.sandbox.change(|world| world.subscriptions_of(tenant));

    app.clock.advance(MINUTE);
    app.sandbox.change(|world| world.event(outage(world, [subscriptions[0]])));
    for _ in 0..3 {
        app.poll(tenant).await;
        app.clock.advance(MINUTE);
    }
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE"]);

    app.sandbox.change(|world| {
        let now = world.now();
        world.change_event("OUT1-AGE", |event| {
            event.publish(now + chrono::TimeDelta::minutes(5), "<p>A fix is rolling out.</p>")
        });
    });
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE", "eventUpdated OUT1-AGE"]);

    app.clock.advance(10 * MINUTE);
    app.sandbox.change(|world| {
        let at = world.now() + chrono::TimeDelta::minutes(30);
        world.change_event("OUT1-AGE", |event| event.spread(at, [subscriptions[1]]));
    });
    app.poll(tenant).await;
    app.clock.advance(40 * MINUTE);
    app.sandbox.change(|world| {
        let at = world.now() + chrono::TimeDelta::minutes(60);
        world.change_event("OUT1-AGE", |event| event.resolve(at, "<p>Mitigated.</p>"));
    });
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    let news = app.news(tenant).await;
    assert_eq!(
        news,
        ["eventOpened OUT1-AGE", "eventUpdated OUT1-AGE", "eventUpdated OUT1-AGE", "eventResolved OUT1-AGE"]
    );
    let snapshot = app.snapshot(tenant).await;
    let (id, record) = snapshot.events.iter().next().expect("kept for its review");
    let merged = record.merged(id).expect("seen");
    assert_eq!(merged.content.status, EventStatus::Resolved);
    assert_eq!(merged.subscriptions.len(), 2);
    for text in merged.content.texts() {
        let stored = app.app.store.read_bytes(&Key::Text(*text)).await.expect("readable");
        assert!(stored.is_some(), "a text that the snapshot refers to is stored");
    }
}

#[tokio::test]
async fn an_event_that_azure_stops_listing_is_not_resolved() {
    let (app, tenant) = contoso(|world, subscriptions| world.event(outage(world, [subscriptions[0]]))).await;
    app.poll(tenant).await;
    app.sandbox.change(|world| world.events.clear());
    for _ in 0..4 {
        app.clock.advance(MINUTE);
        app.poll(tenant).await;
    }
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE"], "nothing follows from silence");
    let snapshot = app.snapshot(tenant).await;
    let (id, record) = snapshot.events.iter().next().expect("kept");
    let merged = record.merged(id).expect("seen");
    assert_eq!(merged.content.status, EventStatus::Active);
    assert!(merged.no_longer_listed);
}

#[tokio::test]
async fn without_resource_graph_everything_is_read_over_rest() {
    let (app, tenant) = contoso(|world, subscriptions| {
        world.fault(Fault::status(500).host(HostKind::Arm).path("Microsoft.ResourceGraph"));
        world.event(outage(world, subscriptions.iter().copied()));
    })
    .await;
    let report = app.poll(tenant).await;
    assert_eq!((report.read, report.gaps), (2, 0));
    assert_eq!(app.snapshot(tenant).await.events.len(), 1);
}

#[tokio::test]
async fn a_subscription_that_resource_graph_drops_silently_is_read_over_rest() {
    let (app, tenant) = contoso(|world, subscriptions| {
        world.graph.drops.insert(subscriptions[1]);
        world.event(outage(world, [subscriptions[1]]));
    })
    .await;
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    let report = app.poll(tenant).await;
    assert_eq!(report.gaps, 0);
    assert_eq!(app.snapshot(tenant).await.events.len(), 1);
}

#[tokio::test]
async fn rest_is_always_asked_with_a_start_time() {
    let (app, tenant) = contoso(|_, _| {}).await;
    app.poll(tenant).await;
    let events: Vec<_> =
        app.sandbox.requests().into_iter().filter(|request| request.path.ends_with("/events")).collect();
    assert_eq!(events.len(), 2, "first sight of two subscriptions");
    assert!(events.iter().all(|request| request.query.contains("queryStartTime=2025-")), "{events:?}");
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    let again = app.sandbox.requests().into_iter().filter(|request| request.path.ends_with("/events")).count();
    assert_eq!(again, 2, "nothing is new, so Resource Graph is enough");
}

#[tokio::test]
async fn a_removed_role_is_a_gap_and_everything_else_is_read() {
    let mut world = World::new(1);
    let contoso = onboarded(&mut world, "Contoso", 2);
    let other = onboarded(&mut world, "Northwind Traders", 1);
    let lost = world.subscriptions_of(contoso)[0];
    world.event(outage(&world, [lost]));
    let app = TestApp::start(world).await;
    app.watch_all().await;
    app.poll(contoso).await;
    app.sandbox.change(|world| {
        let principal = world.service_principal(contoso).expect("consented");
        world.unassign(lost, principal);
    });
    app.clock.advance(15 * MINUTE);
    let report = app.poll(contoso).await;
    assert_eq!((report.gaps, app.poll(other).await.gaps), (1, 0));
    let snapshot = app.snapshot(contoso).await;
    let gap = snapshot.coverage[&lost].events.gap.clone().expect("a gap");
    assert_eq!(gap.reason, GapReason::AccessDenied);
    assert!(gap.detail.contains("AuthorizationFailed"), "{}", gap.detail);
    assert_eq!(snapshot.events.len(), 1, "what was known stays");
    assert_eq!(app.news(contoso).await, ["eventOpened OUT1-AGE"], "one refusal is no news");
    for _ in 0..8 {
        app.clock.advance(15 * MINUTE);
        app.poll(contoso).await;
    }
    assert_eq!(app.news(contoso).await[1..], ["accessLost accessDenied"], "the same for more than an hour is");

    app.sandbox.change(|world| {
        let principal = world.service_principal(contoso).expect("consented");
        world.assign(lost, principal, health_monitor::sandbox::Role::Reader);
    });
    app.clock.advance(90 * MINUTE);
    assert_eq!(app.poll(contoso).await.gaps, 0, "healed without anybody's help");
    assert_eq!(app.news(contoso).await[2..], ["accessRestored"]);
}

#[tokio::test]
async fn a_withdrawn_consent_is_reported_and_the_other_tenants_are_polled() {
    let mut world = World::new(1);
    let gone = onboarded(&mut world, "Contoso", 1);
    let other = onboarded(&mut world, "Northwind Traders", 1);
    world.withdraw_consent(gone);
    let gone_customer = {
        let mut rebuilt = World::new(1);
        let tenant = onboarded(&mut rebuilt, "Contoso", 1);
        crate::support::builders::customer(&rebuilt, tenant)
    };
    let app = TestApp::start(world).await;
    app.watch_all().await;
    app.app.store.create(&Key::Customer(gone), &gone_customer).await.expect("new");
    let plan = poll::plan(&app.app).await.expect("a plan");
    assert_eq!(plan.len(), 2);
    app.poll(gone).await;
    assert_eq!(app.poll(other).await.gaps, 0);
    let snapshot = app.snapshot(gone).await;
    let gap = snapshot.coverage.values().next().and_then(|coverage| coverage.events.gap.clone()).expect("a gap");
    assert_eq!(gap.reason, GapReason::ConsentWithdrawn);
}

#[tokio::test]
async fn throttling_is_waited_out_as_long_as_azure_asks() {
    let (app, tenant) = contoso(|world, _| {
        world.fault(Fault::throttled(7).host(HostKind::Arm).path("/events").times(2));
    })
    .await;
    let before = app.clock.time();
    assert_eq!(app.poll(tenant).await.gaps, 0);
    assert!(app.clock.time() - before >= chrono::TimeDelta::seconds(7), "the wait was kept");
}

#[tokio::test]
async fn whatever_azure_answers_what_is_known_stays_and_the_gap_is_named() {
    let faults = [
        (Fault::status(503), GapReason::AzureUnavailable),
        (Fault::throttled(3600), GapReason::Throttled),
        (Fault::close(), GapReason::AzureUnavailable),
        (Fault::truncate(), GapReason::AzureUnavailable),
        (Fault::malformed_json(), GapReason::Unreadable),
        (Fault::html(), GapReason::Unreadable),
    ];
    for (fault, reason) in faults {
        let (app, tenant) = contoso(|world, subscriptions| world.event(outage(world, [subscriptions[0]]))).await;
        app.poll(tenant).await;
        let known = app.snapshot(tenant).await;
        app.clock.advance(15 * MINUTE);
        app.sandbox.change(|world| world.fault(fault.clone().host(HostKind::Arm)));
        let report = app.poll(tenant).await;
        assert_eq!(report.gaps, 2, "{fault:?}");
        let snapshot = app.snapshot(tenant).await;
        assert_eq!(snapshot.events, known.events, "{fault:?}");
        for (id, coverage) in &snapshot.coverage {
            let gap = coverage.events.gap.as_ref().expect("a gap");
            assert_eq!(gap.reason, reason, "{fault:?}: {}", gap.detail);
            assert_eq!(coverage.events.read_at, known.coverage[id].events.read_at, "nothing newer was read");
        }
        assert_eq!(app.news(tenant).await.len(), 1, "passing trouble is no news at once: {fault:?}");
        app.sandbox.change(|world| world.faults.clear());
        app.clock.advance(120 * MINUTE);
        assert_eq!(app.poll(tenant).await.gaps, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refused_second_page_keeps_the_first_and_is_partial() {
    let (app, tenant) = contoso(|world, subscriptions| {
        let now = world.now();
        for number in 0..5 {
            let mut database = Resource::sql_database(&format!("db{number}"), "westeurope", now);
            database.becomes("Unavailable", now, "We are looking into it.");
            world.resource(subscriptions[0], database);
        }
    })
    .await;
    app.poll(tenant).await;
    assert_eq!(app.snapshot(tenant).await.resources.len(), 5);
    app.sandbox.change(|world| {
        world.health.availability_page_size = 2;
        world.health.later_pages_refused = true;
    });
    for _ in 0..3 {
        app.clock.advance(30 * MINUTE);
        app.poll(tenant).await;
    }
    let snapshot = app.snapshot(tenant).await;
    assert_eq!(snapshot.resources.len(), 5, "nothing follows from a page that was not read");
    let gaps: Vec<_> =
        snapshot.coverage.values().filter_map(|c| c.resources.gap.as_ref().map(|gap| gap.reason)).collect();
    assert_eq!(gaps, [GapReason::Partial]);
}

#[tokio::test]
async fn a_next_page_on_another_host_is_not_followed() {
    let (app, tenant) = contoso(|world, subscriptions| {
        let now = world.now();
        for number in 0..4 {
            world.resource(subscriptions[0], Resource::sql_database(&format!("db{number}"), "westeurope", now));
        }
        world.health.availability_page_size = 2;
        world.health.next_link_host = Some("http://127.0.0.1:9".to_owned());
    })
    .await;
    app.poll(tenant).await;
    let snapshot = app.snapshot(tenant).await;
    let gap = snapshot.coverage.values().find_map(|coverage| coverage.resources.gap.clone()).expect("a gap");
    assert_eq!(gap.reason, GapReason::Partial);
    assert!(gap.detail.contains("host"), "{}", gap.detail);
}

#[tokio::test]
async fn a_resource_that_fails_and_recovers_is_told_once_each() {
    let (app, tenant) = contoso(|world, subscriptions| {
        let now = world.now();
        world.resource(subscriptions[0], Resource::virtual_machine("vm1", "westeurope", now));
    })
    .await;
    let subscription = app.sandbox.change(|world| world.subscriptions_of(tenant)[0]);
    app.poll(tenant).await;
    for state in ["Unavailable", "Degraded", "Unknown", "Available"] {
        app.clock.advance(MINUTE);
        app.sandbox.change(|world| {
            world.change_resource(subscription, "vm1", |vm, _| vm.becomes(state, app.clock.time(), "As it is."));
        });
        for _ in 0..2 {
            app.poll(tenant).await;
            app.clock.advance(MINUTE);
        }
    }
    assert_eq!(
        app.news(tenant).await,
        ["resourceUnavailable vm1", "resourceDegraded vm1", "resourceUnknown vm1", "resourceRecovered vm1"]
    );
    assert!(app.snapshot(tenant).await.resources.is_empty());
}

#[tokio::test]
async fn odd_spellings_and_one_bad_row_do_not_spoil_the_rest() {
    let (app, tenant) = contoso(|world, subscriptions| {
        world.graph.times = GraphTimes::Ticks;
        world.graph.camel_case = true;
        world.health.duplicate_names = true;
        world.health.mitigation_year_one = true;
        world.event(outage(world, [subscriptions[0]]));
        let mut bad = Event::service_issue("BAD1-ROW", "", world.now()).hits([subscriptions[0]]);
        bad.raw = Some(serde_json::json!({"name": "no tracking id!", "properties": "none"}));
        world.event(bad);
    })
    .await;
    assert_eq!(app.poll(tenant).await.gaps, 0);
    app.clock.advance(MINUTE);
    assert_eq!(app.poll(tenant).await.transitions, 0);
    let snapshot = app.snapshot(tenant).await;
    let known: Vec<_> = snapshot.events.keys().map(ToString::to_string).collect();
    assert_eq!(known, ["BAD1-ROW", "OUT1-AGE"], "REST's row of the one is unreadable, Resource Graph's is not");
}

#[tokio::test]
async fn a_withheld_text_is_a_state_of_its_own() {
    let (app, tenant) = contoso(|world, subscriptions| {
        let mut advisory = Event::security_advisory("SEC1-ADV", "Action needed", world.now()).hits([subscriptions[0]]);
        advisory.sensitive = true;
        world.event(advisory);
    })
    .await;
    app.poll(tenant).await;
    let snapshot = app.snapshot(tenant).await;
    let (id, record) = snapshot.events.iter().next().expect("listed");
    assert!(record.merged(id).expect("seen").content.text_withheld);
}

#[tokio::test]
async fn two_pollers_of_one_customer_at_once_give_what_one_gives() {
    let (app, tenant) = contoso(|_, _| {}).await;
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    app.sandbox.change(|world| {
        let all = world.subscriptions_of(tenant);
        world.event(outage(world, all));
    });
    let polls = (0..6).map(|_| poll::poll_tenant(&app.app, tenant));
    for outcome in futures_util::future::join_all(polls).await {
        outcome.expect("each ends well");
    }
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE"]);
}

#[tokio::test]
async fn a_subscription_that_was_read_is_no_longer_propagating() {
    let (app, tenant) = contoso(|_, _| {}).await;
    app.poll(tenant).await;
    let customer: health_monitor::model::Customer =
        app.app.store.read(&Key::Customer(tenant)).await.expect("readable").expect("there").value;
    assert!(customer.subscriptions.values().all(|one| one.access == SubscriptionAccess::Active));
}

#[tokio::test]
async fn texts_that_can_be_read_only_later_are_no_second_update() {
    let (app, tenant) = contoso(|world, subscriptions| world.event(outage(world, [subscriptions[0]]))).await;
    app.poll(tenant).await;
    app.clock.advance(MINUTE);
    app.sandbox.change(|world| {
        let at = app.clock.time();
        world.change_event("OUT1-AGE", |event| event.publish(at, "<p>A fix is rolling out.</p>"));
        world.fault(Fault::status(503).host(HostKind::Arm).path("/events?"));
    });
    let report = app.poll(tenant).await;
    assert_eq!(report.gaps, 0, "Resource Graph saw everything; only texts are missing");
    let index_only = |snapshot: &health_monitor::model::Snapshot| {
        snapshot.events.values().flat_map(|record| record.observations.values()).any(|seen| seen.index_only)
    };
    assert!(index_only(&app.snapshot(tenant).await));
    app.sandbox.change(|world| world.faults.clear());
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    assert!(!index_only(&app.snapshot(tenant).await), "the texts were asked for again");
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE", "eventUpdated OUT1-AGE"]);
    let snapshot = app.snapshot(tenant).await;
    let (id, record) = snapshot.events.iter().next().expect("known");
    assert_eq!(record.merged(id).expect("seen").content.updates.len(), 2);
}
