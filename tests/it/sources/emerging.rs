//! Emerging issues: once per cloud, for the partner.

use health_monitor::hosts::work::{DEADLINE, Work, run};
use health_monitor::model::{Timeline, Transition};
use health_monitor::sandbox::{Emerging, Fault, HostKind};
use health_monitor::store::{Key, Month};

use super::*;
use crate::support::builders::kind;

/// Lets the timer fire.
async fn timer(app: &TestApp) {
    run(&app.app, Work::PollTimer, DEADLINE).await.expect("it ends well");
}

async fn partner_news(app: &TestApp) -> Vec<Transition> {
    let key = Key::PartnerTimeline(Month::of(app.clock.time()));
    let timeline = app.app.store.read::<Timeline>(&key).await.expect("readable");
    let all = timeline.map(|timeline| timeline.value.transitions.into_values()).into_iter().flatten();
    let mut news: Vec<_> = all.filter(|one| !one.backfill && kind(one).starts_with("emerging")).collect();
    news.sort_by_key(|one| one.at);
    news
}

#[tokio::test]
async fn emerging_issues_are_read_once_per_cloud_and_their_changes_are_the_partners() {
    let mut world = World::new(1);
    let contoso = onboarded(&mut world, "Contoso", 1);
    onboarded(&mut world, "Northwind Traders", 1);
    let app = TestApp::start(world).await;
    app.watch_all().await;
    let (_, empty) = app.call("GET", "/api/v1/emerging-issues", None).await;
    assert_eq!((&empty["asOf"], &empty["coverage"]["gap"]["reason"]), (&serde_json::Value::Null, &"notReadYet".into()));
    timer(&app).await;
    app.poll(contoso).await;
    app.clock.advance(MINUTE);
    timer(&app).await;
    assert_eq!(asked(&app, "/emergingIssues/default").len(), 1, "once, however many customers, and not each minute");

    app.sandbox.change(|world| {
        let at = app.clock.time();
        world.emerging.push(Emerging::new("NEW1-ISS", "Storage in West Europe", "Storage", "West Europe", at));
        let mut draft = Emerging::new("DRA1-FTX", "Not shown yet", "Storage", "West Europe", at);
        draft.published = false;
        world.emerging.push(draft);
        world.banners.push(("Look at the status page".to_owned(), at));
    });
    for stage in ["Active", "Resolve"] {
        app.clock.advance(5 * MINUTE);
        app.sandbox.change(|world| {
            world.emerging[0].stage = stage.to_owned();
            world.emerging[0].last_modified = app.clock.time();
        });
        for _ in 0..2 {
            timer(&app).await;
        }
    }
    let news = partner_news(&app).await;
    let told: Vec<_> = news.iter().map(|one| one.kind.headline()).collect();
    assert_eq!(
        told,
        [
            "NEW1-ISS on Azure's status page: Storage in West Europe",
            "NEW1-ISS resolved, says Azure's status page: Storage in West Europe"
        ]
    );
    let home = app.sandbox.change(|world| world.application.home);
    assert!(news.iter().all(|one| one.tenant_id == home), "no customer is meant");

    let (status, page) = app.call("GET", "/api/v1/emerging-issues", None).await;
    assert_eq!(status, 200);
    assert_eq!(page["value"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(page["value"][0]["trackingId"], "NEW1-ISS");
    assert_eq!(page["value"][0]["stage"], "Resolve");
    assert_eq!(page["banners"][0]["title"], "Look at the status page");
    assert_eq!(page["coverage"]["complete"], true);
    assert!(page["refreshedAt"].is_string(), "a time with a blank in it is read");
}

#[tokio::test]
async fn a_status_page_that_cannot_be_read_is_told_and_keeps_nobody_waiting() {
    let mut world = World::new(1);
    onboarded(&mut world, "Contoso", 1);
    world.fault(Fault::throttled(600).host(HostKind::Arm).path("emergingissues"));
    let app = TestApp::start(world).await;
    app.watch_all().await;
    let before = app.clock.time();
    timer(&app).await;
    assert_eq!(app.clock.time(), before, "it is not waited for");
    let (_, page) = app.call("GET", "/api/v1/emerging-issues", None).await;
    assert_eq!(page["coverage"]["gap"]["reason"], "throttled");
    assert_eq!(page["coverage"]["complete"], false);
    app.sandbox.change(|world| world.faults.clear());
    app.clock.advance(20 * MINUTE);
    timer(&app).await;
    let (_, page) = app.call("GET", "/api/v1/emerging-issues", None).await;
    assert_eq!(page["coverage"]["complete"], true);
    app.clock.advance(30 * MINUTE);
    let (_, page) = app.call("GET", "/api/v1/emerging-issues", None).await;
    assert_eq!(page["coverage"]["gap"]["reason"], "stale", "what is old is not called current");
}
