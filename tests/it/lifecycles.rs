//! Whole lives of events, played by the sandbox's script: what is told of them, in order, each once.

use std::time::Duration;

use health_monitor::model::{EventStage, SubscriptionId, TenantId, Transition, TransitionKind};
use health_monitor::sandbox::{Event, World};

use crate::support::TestApp;
use crate::support::builders::{contoso, kind};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One customer with two subscriptions, polled once before the play begins.
async fn stage(build: impl FnOnce(&mut World, &[SubscriptionId])) -> (TestApp, TenantId) {
    let (app, tenant) = contoso(2, build).await;
    app.poll(tenant).await;
    (app, tenant)
}

/// Polls at these times after each other; each poll is done twice, as a queue may.
async fn watch(app: &TestApp, tenant: TenantId, pauses: &[Duration]) -> Vec<Transition> {
    for pause in pauses {
        app.clock.advance(*pause);
        app.poll(tenant).await;
        app.clock.advance(Duration::from_secs(2));
        app.poll(tenant).await;
    }
    app.timeline(tenant).await.into_iter().filter(|one| one.kind.tracking_id().is_some()).collect()
}

fn words(told: &[Transition]) -> Vec<String> {
    told.iter().map(|one| kind(one).split(' ').next().expect("a kind").to_owned()).collect()
}

#[tokio::test]
async fn an_outage_is_told_from_its_start_over_its_return_to_its_final_review() {
    let (app, tenant) = stage(|world, all| world.plays_outage("OUT1-AGE", all, MINUTE)).await;
    let told =
        watch(&app, tenant, &[2 * MINUTE, 30 * MINUTE, 30 * MINUTE, 30 * MINUTE, 30 * MINUTE, 3 * DAY, 11 * DAY]).await;
    assert_eq!(
        words(&told),
        [
            "eventOpened",
            "eventUpdated",
            "eventResolved",
            "eventReopened",
            "eventResolved",
            "reviewPublished",
            "reviewPublished"
        ]
    );
    let headlines: Vec<_> = told.iter().map(|one| one.kind.headline()).collect();
    assert!(headlines[1].starts_with("OUT1-AGE updated (over in North Europe, text)"), "{}", headlines[1]);
    assert!(headlines[5].starts_with("OUT1-AGE has a preliminary review"), "{}", headlines[5]);
    assert!(headlines[6].starts_with("OUT1-AGE has a final review"), "{}", headlines[6]);
    let snapshot = app.snapshot(tenant).await;
    let record = snapshot.events.values().next().expect("kept for its reviews");
    assert_eq!((record.episode, record.standing.as_ref().map(|one| one.stage)), (2, Some(EventStage::Over)));
}

#[tokio::test]
async fn maintenance_is_announced_moved_started_by_its_time_and_completed_before_its_end() {
    let (app, tenant) = stage(|world, all| world.plays_maintenance("MNT1-NCE", all, MINUTE)).await;
    let told = watch(&app, tenant, &[2 * MINUTE, 2 * DAY, 5 * DAY, DAY + HOUR, 2 * HOUR]).await;
    assert_eq!(
        words(&told),
        ["maintenanceAnnounced", "maintenanceRescheduled", "maintenanceStarted", "maintenanceCompleted"]
    );
    let TransitionKind::MaintenanceRescheduled { was_to_start_at, starts_at, ends_at, .. } = &told[1].kind else {
        panic!("{:?}", told[1])
    };
    assert_eq!(*starts_at, was_to_start_at.map(|at| at + DAY));
    assert_eq!(*ends_at, starts_at.map(|at| at + 4 * HOUR));
    assert_eq!(
        told[2].at - starts_at.expect("a start"),
        chrono::TimeDelta::seconds(3600 + 60 + 6),
        "the first poll after its time"
    );
}

#[tokio::test]
async fn maintenance_that_is_called_off_never_starts() {
    let (app, tenant) = stage(|world, all| world.plays_cancelled_maintenance("MNT1-NCE", all, MINUTE)).await;
    let told = watch(&app, tenant, &[2 * MINUTE, 3 * DAY, 5 * DAY]).await;
    assert_eq!(words(&told), ["maintenanceAnnounced", "eventCancelled"]);
}

#[tokio::test]
async fn maintenance_that_only_the_activity_log_calls_off_is_called_off() {
    let (app, tenant) = stage(|_, _| {}).await;
    app.sandbox.change(|world| {
        let (now, all) = (world.now(), world.subscriptions_of(tenant));
        let (from, to) = (now + chrono::TimeDelta::days(7), now + chrono::TimeDelta::days(8));
        world.event(Event::planned_maintenance("MNT1-NCE", "Router replacement", now, from, to).hits(all));
    });
    watch(&app, tenant, &[2 * MINUTE]).await;
    app.clock.advance(3 * HOUR);
    app.sandbox.change(|world| {
        let now = world.now();
        let event = world.events["MNT1-NCE"].clone();
        world.log_event(&event, "Canceled", now + chrono::TimeDelta::hours(2));
    });
    // The log shows a row some minutes after its time, and is read hourly.
    let told = watch(&app, tenant, &[HOUR, HOUR, HOUR, HOUR]).await;
    assert_eq!(words(&told), ["maintenanceAnnounced", "eventCancelled"]);
}

#[tokio::test]
async fn maintenance_that_we_cannot_read_any_more_is_not_said_to_have_started() {
    let (app, tenant) = stage(|world, all| world.plays_cancelled_maintenance("MNT1-NCE", all, MINUTE)).await;
    watch(&app, tenant, &[2 * MINUTE]).await;
    app.sandbox.change(|world| {
        world.fault(health_monitor::sandbox::Fault::status(503).host(health_monitor::sandbox::HostKind::Arm));
    });
    let told = watch(&app, tenant, &[8 * DAY]).await;
    assert_eq!(words(&told), ["maintenanceAnnounced"], "it was called off meanwhile, which we could not know");
    app.sandbox.change(|world| world.faults.clear());
    let told = watch(&app, tenant, &[2 * HOUR]).await;
    assert_eq!(words(&told), ["maintenanceAnnounced", "eventCancelled"]);
}

#[tokio::test]
async fn a_false_alarm_is_taken_back() {
    let (app, tenant) = stage(|world, all| world.plays_false_alarm("FLS1-ALM", all, MINUTE)).await;
    let told = watch(&app, tenant, &[2 * MINUTE, 20 * MINUTE, HOUR]).await;
    assert_eq!(words(&told), ["eventOpened", "eventRetracted"]);
}

#[tokio::test]
async fn a_false_alarm_for_one_subscription_is_none_for_the_customer() {
    let (app, tenant) = stage(|world, all| world.plays_outage("OUT1-AGE", all, MINUTE)).await;
    watch(&app, tenant, &[2 * MINUTE]).await;
    let snapshot = app.snapshot(tenant).await;
    let (id, record) = snapshot.events.iter().next().expect("known");
    let mut record = record.clone();
    let (_, seen) = record.observations.iter_mut().next().expect("seen");
    let mut content = record.contents[&seen.content].clone();
    content.tags.insert("False Positive".to_owned());
    content.title = "No Impact - Virtual Machines".to_owned();
    seen.content = content.hash();
    seen.last_update = seen.last_update.map(|at| at + MINUTE);
    record.contents.insert(content.hash(), content);
    let merged = record.merged(id).expect("seen");
    assert!(merged.content.is_active() && !merged.content.is_retracted(), "{:?}", merged.content);
    assert_eq!(merged.content.title, "Virtual Machines - Connection failures");
}

#[tokio::test]
async fn a_withheld_text_is_told_and_so_is_that_it_can_be_read() {
    let (app, tenant) = stage(|world, all| world.plays_withheld_advisory("SEC1-ADV", all, MINUTE)).await;
    let told = watch(&app, tenant, &[2 * MINUTE, 2 * DAY, 3 * DAY]).await;
    assert_eq!(
        words(&told)[..3].iter().collect::<std::collections::BTreeSet<_>>(),
        ["actionRequired", "detailsWithheld", "eventOpened"].map(str::to_owned).iter().collect()
    );
    assert_eq!(words(&told)[3..], ["detailsAvailable", "eventResolved"]);
}

#[tokio::test]
async fn an_end_that_moves_into_the_past_or_before_the_start_ends_nothing() {
    let (app, tenant) = stage(|world, all| {
        let now = world.now();
        let event = Event::service_issue("OUT1-AGE", "Virtual Machines", now).hits(all.iter().copied());
        world.event(event.service("Virtual Machines", &["West Europe"]).text(now, "<p>Down.</p>"));
    })
    .await;
    for hours in [-48, -1, 1, 48] {
        app.clock.advance(10 * MINUTE);
        app.sandbox.change(|world| {
            let now = world.now() + chrono::TimeDelta::minutes(10);
            world.change_event("OUT1-AGE", |event| {
                event.impact_mitigation = Some(now + chrono::TimeDelta::hours(hours));
                event.last_update = now;
            });
        });
        app.poll(tenant).await;
    }
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-AGE"], "Azure's guesses are no news and no end");
}

#[tokio::test]
async fn who_comes_in_the_middle_of_an_outage_is_told_of_it_and_of_nothing_older() {
    let (app, tenant) = stage(|world, all| {
        let now = world.now();
        let long_ago = now - chrono::TimeDelta::days(20);
        let hit = |event: Event| event.hits(all.iter().copied());
        world.event(hit(Event::service_issue("OUT1-NOW", "Down", now - chrono::TimeDelta::hours(2)).level("Error")));
        world.event(hit(Event::service_issue("OUT2-OLD", "Forgotten", long_ago).level("Error")));
        world.event(hit(Event::service_issue("OUT3-LOW", "Slow portal", now).level("Informational")));
        world.event(hit(Event::service_issue("OUT4-WAS", "Over", now).level("Error").resolved(now, "<p>Over.</p>")));
        world.event(hit(Event::retirement("ADV1-RET", "TLS ends", long_ago, now + chrono::TimeDelta::days(90))));
    })
    .await;
    assert_eq!(app.news(tenant).await, ["eventOpened OUT1-NOW"]);
    assert!(app.timeline(tenant).await.len() >= 6, "the rest is history, and kept");
}

#[tokio::test]
async fn a_deadline_that_moves_is_told_with_the_new_day() {
    let (app, tenant) = stage(|_, _| {}).await;
    app.sandbox.change(|world| {
        let (now, all) = (world.now(), world.subscriptions_of(tenant));
        let deadline = now + chrono::TimeDelta::days(90);
        world.event(Event::retirement("ADV1-RET", "TLS 1.0 ends", now, deadline).hits(all));
    });
    watch(&app, tenant, &[MINUTE]).await;
    app.sandbox.change(|world| {
        let now = world.now();
        world.change_event("ADV1-RET", |event| {
            event.impact_mitigation = event.impact_mitigation.map(|at| at + chrono::TimeDelta::days(30));
            event.last_update = now;
        });
    });
    let told = watch(&app, tenant, &[MINUTE]).await;
    let until: Vec<_> = told
        .iter()
        .filter_map(|one| match &one.kind {
            TransitionKind::ActionRequired { until, .. } => *until,
            _ => None,
        })
        .collect();
    assert_eq!(until.len(), 2, "{told:?}");
    assert_eq!(until[1] - until[0], chrono::TimeDelta::days(30));
    assert_eq!(told.len(), 3, "opened, and twice what to do: {told:?}");
}
