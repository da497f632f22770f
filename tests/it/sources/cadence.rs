//! Which source is due when, and what completes what.

use health_monitor::model::{AvailabilityState, GapReason, ImpactedResources};
use health_monitor::sandbox::{Fault, HostKind, Resource};

use super::*;

#[tokio::test]
async fn once_a_day_everything_of_ninety_days_is_listed() {
    let (app, tenant) = contoso(1, |_, _| {}).await;
    let mut starts = Vec::new();
    for _ in 0..49 {
        app.sandbox.forget_requests();
        app.poll(tenant).await;
        starts.extend(asked(&app, "/events").into_iter().map(|asked| {
            let start = asked.rsplit_once("queryStartTime=").expect("always with a start").1.to_owned();
            let start: health_monitor::model::Timestamp = start.parse().expect("a time");
            (app.clock.time() - start).num_days()
        }));
        app.clock.advance(HOUR);
    }
    assert_eq!(starts, [90, 90, 90], "at first sight, and on each of the two days after it");
}

#[tokio::test]
async fn a_daily_listing_that_fails_is_tried_again_within_the_hour() {
    let (app, tenant) = contoso(1, |_, _| {}).await;
    app.poll(tenant).await;
    app.clock.advance(25 * HOUR);
    app.sandbox.change(|world| world.fault(Fault::status(503).host(HostKind::Arm).path("/events?")));
    app.poll(tenant).await;
    app.sandbox.change(|world| world.faults.clear());
    app.sandbox.forget_requests();
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    assert_eq!(asked(&app, "/events").len(), 0, "not at once");
    app.clock.advance(HOUR);
    app.poll(tenant).await;
    assert_eq!(asked(&app, "/events").len(), 1);
}

#[tokio::test]
async fn an_event_that_is_over_is_followed_until_its_review_is_published() {
    let (app, tenant) = contoso(2, |world, subscriptions| {
        let event = outage(world, subscriptions.iter().copied());
        let now = world.now();
        world.event(event.resolved(now, "<p>Mitigated.</p>"));
    })
    .await;
    app.poll(tenant).await;
    // Resource Graph does not see what comes.
    app.sandbox.change(|world| world.graph_lags());
    app.clock.advance(MINUTE);
    app.sandbox.forget_requests();
    app.poll(tenant).await;
    assert_eq!(asked(&app, "/events/OUT1-AGE").len(), 1, "one subscription speaks for both");
    app.clock.advance(MINUTE);
    app.poll(tenant).await;
    assert_eq!(asked(&app, "/events/OUT1-AGE").len(), 1, "not each minute");

    app.sandbox.change(|world| {
        let at = app.clock.time();
        world.change_event("OUT1-AGE", |event| {
            event.publish(at, "<p>What happened, and why.</p>");
            event.tags.push("Final PIR".to_owned());
        });
    });
    app.clock.advance(12 * HOUR);
    app.sandbox.forget_requests();
    app.poll(tenant).await;
    assert_eq!(asked(&app, "/events/OUT1-AGE").len(), 1);
    assert!(asked(&app, "/events/OUT1-AGE")[0].contains("queryStartTime="), "else Azure hides what is quiet");
    let snapshot = app.snapshot(tenant).await;
    let id = "OUT1-AGE".parse().expect("an id");
    let merged = event(&snapshot, "OUT1-AGE").merged(&id).expect("seen");
    assert!(merged.content.tags.contains("Final PIR"));
    app.clock.advance(13 * HOUR);
    app.sandbox.forget_requests();
    app.poll(tenant).await;
    assert!(asked(&app, "/events/OUT1-AGE").is_empty(), "the review is there: nobody asks any more");
}

#[tokio::test]
async fn nobody_waits_for_a_review_for_ever() {
    let (app, tenant) = contoso(1, |world, subscriptions| {
        let event = outage(world, subscriptions.iter().copied());
        let now = world.now();
        world.event(event.resolved(now, "<p>Mitigated.</p>"));
    })
    .await;
    app.poll(tenant).await;
    app.clock.advance(44 * 24 * HOUR);
    app.poll(tenant).await;
    assert_eq!(asked(&app, "/events/OUT1-AGE").len(), 1);
    app.clock.advance(2 * 24 * HOUR);
    app.sandbox.forget_requests();
    app.poll(tenant).await;
    assert!(asked(&app, "/events/OUT1-AGE").is_empty());
}

#[tokio::test]
async fn a_listing_whose_second_page_is_refused_is_completed_by_resource_group() {
    let (app, tenant) = contoso(1, |world, subscriptions| {
        let now = world.now();
        for number in 0..6 {
            let mut database = Resource::sql_database(&format!("db{number}"), "westeurope", now);
            database.group = format!("group ({})", number / 2);
            database.becomes("Unavailable", now, "We are looking into it.");
            world.resource(subscriptions[0], database);
        }
        world.health.availability_page_size = 2;
        world.health.later_pages_refused = true;
    })
    .await;
    assert_eq!(app.poll(tenant).await.gaps, 0, "three groups of two rows each");
    assert_eq!(app.snapshot(tenant).await.resources.len(), 6);
    app.clock.advance(11 * MINUTE);
    app.sandbox.change(|world| {
        let subscription = world.subscriptions_of(tenant)[0];
        world.change_resource(subscription, "db5", |database, at| database.becomes("Available", at, ""));
    });
    app.poll(tenant).await;
    assert_eq!(app.snapshot(tenant).await.resources.len(), 5, "a recovery on a page that cannot be read is found");

    // A group that does not fit on one page stays partial, and nothing follows from what is missing.
    app.clock.advance(11 * MINUTE);
    app.sandbox.change(|world| world.health.availability_page_size = 1);
    app.poll(tenant).await;
    let snapshot = app.snapshot(tenant).await;
    let gap = snapshot.coverage.values().find_map(|known| known.resources.gap.clone()).expect("a gap");
    assert_eq!((gap.reason, snapshot.resources.len()), (GapReason::Partial, 5));
    assert!(snapshot.resources.values().all(|state| state.state == AvailabilityState::Unavailable));
}

#[tokio::test]
async fn the_resources_that_an_incident_hits_are_kept_with_it() {
    for without_graph in [false, true] {
        let (app, tenant) = contoso(2, |world, subscriptions| {
            world.graph.without_impacted = without_graph;
            let machine = Resource::virtual_machine("vm1", "westeurope", world.now());
            world.event(outage(world, subscriptions.iter().copied()).names(subscriptions[0], &machine));
        })
        .await;
        for _ in 0..2 {
            app.poll(tenant).await;
            app.clock.advance(MINUTE);
        }
        let subscriptions = app.sandbox.change(|world| world.subscriptions_of(tenant));
        let snapshot = app.snapshot(tenant).await;
        let named = &event(&snapshot, "OUT1-AGE").impacted;
        assert_eq!((named[&subscriptions[0]].total, named[&subscriptions[1]].total), (1, 0), "{without_graph}");
        assert_eq!(named[&subscriptions[0]].resources[0].resource_id.name(), "vm1");
        let over_rest = asked(&app, "/impactedResources").len();
        assert_eq!(over_rest, if without_graph { 2 } else { 1 }, "REST only where Resource Graph has nothing");
        let (_, events) = app.call("GET", &format!("/api/v1/customers/{tenant}/events"), None).await;
        assert_eq!(events["value"][0]["impactedResources"]["count"], 1, "{events}");

        // Not asked again each minute; and what is not named any more stays with its event.
        app.sandbox.change(|world| world.change_event("OUT1-AGE", |event| event.impacted.clear()));
        app.clock.advance(20 * MINUTE);
        app.poll(tenant).await;
        assert_eq!(asked(&app, "/impactedResources").len(), over_rest);
        assert_eq!(event(&app.snapshot(tenant).await, "OUT1-AGE").impacted[&subscriptions[0]].total, 1);
    }
}

#[tokio::test]
async fn of_very_many_impacted_resources_the_number_is_kept_and_the_first() {
    let (app, tenant) = contoso(1, |world, subscriptions| {
        let mut event = outage(world, subscriptions.iter().copied());
        for number in 0..350 {
            let machine = Resource::virtual_machine(&format!("vm{number:03}"), "westeurope", world.now());
            event = event.names(subscriptions[0], &machine);
        }
        world.event(event);
    })
    .await;
    for _ in 0..2 {
        app.poll(tenant).await;
        app.clock.advance(MINUTE);
    }
    let snapshot = app.snapshot(tenant).await;
    let named = event(&snapshot, "OUT1-AGE").impacted.values().next().expect("named");
    assert_eq!((named.total, named.resources.len()), (350, ImpactedResources::KEPT));
}

/// The oddities and faults of Azure that change nothing in what is known.
fn faults() -> Vec<(&'static str, fn(&mut World))> {
    use health_monitor::sandbox::{EventIdSpelling, GraphTimes};
    vec![
        ("duplicate names", |world| world.health.duplicate_names = true),
        ("bare ids", |world| world.health.id_spelling = EventIdSpelling::Bare),
        ("full ids", |world| world.health.id_spelling = EventIdSpelling::Full),
        ("mitigation in the year 1", |world| world.health.mitigation_year_one = true),
        ("an empty page with a next one", |world| world.health.empty_first_page = true),
        ("a next page on another host", |world| {
            world.health.event_page_size = 1;
            world.health.next_link_host = Some("evil.example".to_owned());
        }),
        ("a second page that is refused", |world| {
            world.health.event_page_size = 1;
            world.health.later_pages_refused = true;
        }),
        ("ticks", |world| world.graph.times = GraphTimes::Ticks),
        ("camelCase", |world| world.graph.camel_case = true),
        ("answers that are too large", |world| world.graph.payload_limit = 1_500),
        ("subscriptions dropped by Resource Graph", |world| {
            world.graph.drops = world.subscriptions.keys().copied().collect();
        }),
        ("a stamp that moves back", |world| {
            world.change_event("OUT1-AGE", |event| event.last_update -= chrono::TimeDelta::minutes(5));
        }),
        ("HTML instead of JSON", |world| world.fault(Fault::html().host(HostKind::Arm))),
        ("an answer that breaks off", |world| world.fault(Fault::truncate().host(HostKind::Arm))),
        ("no Resource Graph", |world| world.fault(Fault::status(500).host(HostKind::Arm).path("resourcegraph"))),
        ("no REST", |world| world.fault(Fault::status(502).host(HostKind::Arm).path("microsoft.resourcehealth"))),
        ("another tenant's subscription", |world| {
            let elsewhere = world.tenant("Elsewhere");
            for id in world.subscriptions.keys().copied().collect::<Vec<_>>() {
                world.transfer(id, elsewhere);
            }
        }),
    ]
}

#[tokio::test]
async fn no_fault_of_azure_changes_what_is_known_or_is_told_as_news() {
    for (name, fault) in faults() {
        let (app, tenant) = contoso(2, |world, subscriptions| {
            let mut event = outage(world, subscriptions.iter().copied());
            // The same publication, stamped a little later in one of them.
            event.subscriptions.insert(subscriptions[1], Duration::from_millis(1_800));
            world.event(event);
            let advisory = Event::security_advisory("SEC1-ADV", "Action needed", world.now()).hits([subscriptions[0]]);
            world.event(advisory);
            let mut quiet = outage(world, [subscriptions[0]]);
            quiet.tracking_id = "OLD1-OUT".to_owned();
            quiet.last_update -= chrono::TimeDelta::days(60);
            world.event(quiet.property("summary", serde_json::Value::Null));
        })
        .await;
        app.poll(tenant).await;
        let known = |snapshot: &Snapshot| {
            let merged = |(id, record): (&health_monitor::model::TrackingId, &health_monitor::model::EventRecord)| {
                let merged = record.merged(id).expect("seen");
                (
                    id.clone(),
                    merged.content.status,
                    merged.content.title,
                    merged.content.description,
                    merged.last_update,
                )
            };
            snapshot.events.iter().map(merged).collect::<Vec<_>>()
        };
        let before = known(&app.snapshot(tenant).await);
        assert_eq!(before.len(), 3);
        let told = app.news(tenant).await;
        app.sandbox.change(fault);
        for _ in 0..2 {
            // Past the daily listing, so that every source is asked.
            app.clock.advance(25 * HOUR);
            app.poll(tenant).await;
        }
        assert_eq!(known(&app.snapshot(tenant).await), before, "{name}");
        let news = app.news(tenant).await;
        let about_events: Vec<_> = news.iter().filter(|one| one.starts_with("event") && !told.contains(one)).collect();
        assert!(about_events.is_empty(), "{name}: {about_events:?}");
    }
}
