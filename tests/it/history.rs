//! The timeline, what is new, and reports, as portals see them; and timelines that are put together when they are old.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use health_monitor::app::App;
use health_monitor::history::{self, Shelf};
use health_monitor::model::{SubscriptionId, TenantId, Timestamp, TransitionId};
use health_monitor::outside::http_client;
use health_monitor::rehearsal::cut::{Boundary, Cut, CutOff};
use health_monitor::sandbox::{Event, World};
use health_monitor::store::{Backend, Folder, Memory};
use serde_json::Value;

use crate::support::builders::{onboarded, polled};
use crate::support::{TestApp, over};

impl TestApp {
    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// So much later, what Azure says then, and a poll of it.
    async fn later(&self, tenant: TenantId, minutes: u64, change: impl FnOnce(&mut World, Timestamp)) {
        self.clock.advance(Duration::from_secs(minutes * 60));
        let at = self.clock.time();
        self.sandbox.change(|world| change(world, at));
        self.poll(tenant).await;
    }
}

fn outage(id: &str, at: Timestamp, hits: &[SubscriptionId]) -> Event {
    let event = Event::service_issue(id, "Virtual Machines", at).text(at, "<p>First.</p>").hits(hits.to_vec());
    event.service("Virtual Machines", &["West Europe"])
}

fn column(body: &Value, name: &str) -> Vec<String> {
    body["value"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row[name].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn a_timeline_is_walked_page_by_page_and_filtered() {
    let (app, tenant, all) = polled(1).await;
    app.later(tenant, 1, |world, at| {
        world.event(outage("TIM1-AAA", at, &all));
        world.change_resource(all[0], "vm1", |vm, _| vm.becomes("Unavailable", at, "Down."));
    })
    .await;
    app.later(tenant, 5, |world, at| world.change_event("TIM1-AAA", |event| event.resolve(at, "<p>Over.</p>"))).await;
    let path = format!("/api/v1/customers/{tenant}/timeline");
    let whole = app.get(&path).await;
    assert_eq!(
        column(&whole, "kind"),
        ["eventResolved", "resourceUnavailable", "eventOpened"].map(str::to_owned),
        "the newest first: {whole}"
    );
    assert!(whole["coverage"]["complete"].is_boolean() && whole["asOf"].is_string());
    let opened = whole["value"].as_array().expect("rows").iter().find(|row| row["kind"] == "eventOpened").expect("it");
    assert_eq!(opened["event"]["views"][0]["impact"][0]["regions"][0]["region"], "West Europe");
    let down = whole["value"].as_array().expect("rows").iter().find(|row| row["kind"] == "resourceUnavailable");
    assert_eq!(down.expect("it")["resource"]["location"], "westeurope");

    let (mut walked, mut next) = (Vec::new(), format!("{path}?top=1"));
    loop {
        let page = app.get(&next).await;
        walked.extend(column(&page, "id"));
        let Some(link) = page["nextLink"].as_str() else { break };
        next = link.strip_prefix(&app.base).expect("our own address").to_owned();
    }
    assert_eq!(walked, column(&whole, "id"));
    let filtered = |query: &str| format!("{path}?{query}");
    assert_eq!(column(&app.get(&filtered("kind=eventopened")).await, "kind"), ["eventOpened"]);
    assert_eq!(column(&app.get(&filtered("trackingId=tim1-aaa")).await, "kind"), ["eventResolved", "eventOpened"]);
    assert_eq!(column(&app.get(&filtered("since=2026-01-15T12:03:00Z")).await, "kind"), ["eventResolved"]);
    assert!(column(&app.get(&filtered("until=2026-01-15")).await, "kind").is_empty());
    for wrong in ["since=yesterday", "kind=a&kind=b", "trackingId=", "colour=red"] {
        assert_eq!(app.call("GET", &filtered(wrong), None).await.0, 400, "{wrong}");
    }
    assert_eq!(app.call("GET", "/api/v1/customers/11111111-1111-4111-8111-111111111111/timeline", None).await.0, 404);
}

#[tokio::test]
async fn whoever_asks_for_changes_hears_of_each_once_over_all_customers() {
    let mut world = World::new(1);
    let tenants = [onboarded(&mut world, "Contoso", 1), onboarded(&mut world, "Fabrikam", 2)];
    let hit: Vec<SubscriptionId> = tenants.iter().flat_map(|tenant| world.subscriptions_of(*tenant)).collect();
    let app = TestApp::start(world).await;
    app.watch_all().await;
    for tenant in tenants {
        app.poll(tenant).await;
    }
    let first = app.get("/api/v1/changes").await;
    assert!(column(&first, "id").is_empty() && first["nextLink"].is_null());
    let mut link = first["deltaLink"].as_str().expect("a link").strip_prefix(&app.base).expect("ours").to_owned();
    let mut heard = Vec::new();
    for step in 0..4_u64 {
        app.clock.advance(Duration::from_secs(60));
        let at = app.clock.time();
        app.sandbox.change(|world| match step {
            0 => world.event(outage("NEW1-AAA", at, &hit)),
            2 => world.change_event("NEW1-AAA", |event| event.resolve(at, "<p>Over.</p>")),
            _ => {}
        });
        for tenant in tenants {
            app.poll(tenant).await;
        }
        // What was filed this very moment may still be on its way: told next time, not lost.
        loop {
            let page = app.get(&format!("{link}&top=1")).await;
            heard.extend(column(&page, "id"));
            let next = page["nextLink"].as_str();
            let more = next.is_some();
            let text = next.or(page["deltaLink"].as_str()).expect("a link");
            link = text.strip_prefix(&app.base).expect("ours").replace("top=1&", "");
            if !more {
                break;
            }
        }
    }
    app.clock.advance(Duration::from_secs(60));
    heard.extend(column(&app.get(&link).await, "id"));
    let mut wanted = Vec::new();
    for tenant in tenants {
        wanted.extend(app.timeline(tenant).await.into_iter().map(|one| one.id.to_string()));
    }
    assert_eq!(wanted.len(), 4);
    assert_eq!(heard.iter().collect::<BTreeSet<_>>(), wanted.iter().collect::<BTreeSet<_>>());
    assert_eq!(heard.len(), wanted.len(), "nothing twice");
    assert_eq!(app.call("GET", "/api/v1/changes?since=nonsense", None).await.0, 400);
}

#[tokio::test]
async fn a_report_counts_overlapping_incidents_once_and_says_what_it_does_not_know() {
    let (app, tenant, all) = polled(2).await;
    // 12:10 to 12:40 on both; a second incident from 12:30 on one of them, which goes on in another region as well.
    app.later(tenant, 10, |world, at| world.event(outage("REP1-AAA", at, &all))).await;
    app.later(tenant, 20, |world, at| world.event(outage("REP2-BBB", at, &all[..1]))).await;
    let mitigated = app.clock.time() + TimeDelta::minutes(10);
    app.later(tenant, 15, |world, at| {
        world.change_event("REP1-AAA", |event| {
            event.resolve(at, "<p>Over.</p>");
            event.impact_mitigation = Some(mitigated);
        })
    })
    .await;
    app.later(tenant, 15, |world, at| {
        world.change_event("REP2-BBB", |event| {
            event.last_update = at;
            event.services.push(("SQL Database".to_owned(), vec!["North Europe".to_owned()]));
        });
    })
    .await;
    app.clock.advance(Duration::from_secs(30 * 60));
    let report = app.get(&format!("/api/v1/customers/{tenant}/report")).await;
    let rows: Vec<_> = report["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| {
            let which = if row["subscriptionId"] == all[0].to_string() { "first" } else { "second" };
            let names: Vec<_> = row["incidents"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
            format!(
                "{which} {} {} {} {names:?} {}",
                row["service"], row["region"], row["impactMinutes"], row["stillActive"]
            )
        })
        .collect();
    let mut rows = rows;
    rows.sort();
    // 12:10 to now (13:30); SQL from 13:00, when it was first seen; the second subscription to 12:40.
    assert_eq!(
        rows,
        [
            r#"first "SQL Database" "North Europe" 30.0 ["REP2-BBB"] true"#,
            r#"first "Virtual Machines" "West Europe" 80.0 ["REP1-AAA", "REP2-BBB"] true"#,
            r#"second "Virtual Machines" "West Europe" 30.0 ["REP1-AAA"] false"#,
        ]
    );
    let totals: Vec<_> =
        report["subscriptions"].as_array().expect("totals").iter().map(|one| one["impactMinutes"].clone()).collect();
    assert!(totals.contains(&80.0.into()) && totals.contains(&30.0.into()), "{totals:?}");
    assert!(report["method"].as_array().is_some_and(|method| method.len() >= 6));
    let why: Vec<_> = report["gaps"].as_array().expect("gaps").iter().filter_map(|gap| gap["why"].as_str()).collect();
    assert!(why.iter().any(|why| why.starts_with("not watched yet")), "{why:?}");

    let client = http_client().expect("a client");
    let url = app.url(&format!("/api/v1/customers/{tenant}/report?from=2026-01"));
    let csv = client.get(&url).header("accept", "text/csv").send().await.expect("an answer");
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    let csv = csv.text().await.expect("text");
    let line = format!("impact,2026-01,{},Virtual Machines,West Europe,30.00,REP1-AAA,false,false,,\r\n", all[1]);
    assert!(csv.contains(&line), "{csv}");
    assert!(csv.lines().all(|line| !line.is_empty()) && csv.contains("\r\nmethod,"));
    for wrong in ["from=now", "format=xml", "from=2026-02&to=2026-01"] {
        assert_eq!(
            app.call("GET", &format!("/api/v1/customers/{tenant}/report?{wrong}"), None).await.0,
            400,
            "{wrong}"
        );
    }
    assert_eq!(app.call("POST", &format!("/api/v1/customers/{tenant}/report"), None).await.0, 405);
}

/// Every transition that a reader finds, over all time.
async fn read(app: &TestApp, tenant: TenantId) -> BTreeSet<TransitionId> {
    let end = app.clock.time() + TimeDelta::days(1);
    let rows = history::read(&app.app, Shelf::Customer(tenant), Timestamp::UNIX_EPOCH, end).await.expect("readable");
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), rows.len(), "nothing twice");
    ids
}

async fn documents(app: &TestApp, tenant: TenantId) -> Vec<String> {
    let listed = app.app.store.list(Folder::Timeline(tenant)).await.expect("listed");
    listed.iter().filter_map(|line| Some(line.path.rsplit('/').next()?.strip_suffix(".json")?.to_owned())).collect()
}

/// A customer with an outage in each of eight months.
async fn aged() -> (TestApp, TenantId) {
    let (app, tenant, all) = polled(1).await;
    for number in 0..8 {
        app.later(tenant, 30 * 24 * 60, |world, at| world.event(outage(&format!("OLD{number}-AAA"), at, &all))).await;
        app.later(tenant, 60, |world, at| {
            world.change_event(&format!("OLD{number}-AAA"), |event| event.resolve(at, "<p>Over.</p>"))
        })
        .await;
    }
    (app, tenant)
}

#[tokio::test]
async fn old_months_are_put_together_and_read_as_before() {
    let (app, tenant) = aged().await;
    let before = read(&app, tenant).await;
    assert_eq!(before.len(), 16);
    assert!(documents(&app, tenant).await.len() >= 7);
    assert_eq!(history::compact_some(&app.app).await.expect("compacted"), 1);
    let after = documents(&app, tenant).await;
    assert!(after.contains(&"2026".to_owned()), "{after:?}");
    assert!(after.len() <= 6, "{after:?}");
    assert_eq!(read(&app, tenant).await, before);
    assert_eq!(history::compact_some(&app.app).await.expect("nothing to do"), 0);

    // What is filed again late finds its place, once.
    let rows =
        history::read(&app.app, Shelf::Customer(tenant), Timestamp::UNIX_EPOCH, app.clock.time()).await.expect("rows");
    history::file(&app.app, Shelf::Customer(tenant), rows.iter()).await.expect("filed");
    assert_eq!(read(&app, tenant).await, before);
    assert_eq!(documents(&app, tenant).await, after);

    app.call("DELETE", &format!("/api/v1/customers/{tenant}?erase=true"), None).await;
    assert!(documents(&app, tenant).await.is_empty(), "erasing takes every part");
}

#[tokio::test]
async fn two_who_put_the_same_months_together_lose_nothing() {
    let (app, tenant) = aged().await;
    let before = read(&app, tenant).await;
    let (one, two) = (Arc::clone(&app.app), Arc::clone(&app.app));
    let shelf = Shelf::Customer(tenant);
    let both = tokio::join!(history::compact(&one, shelf), history::compact(&two, shelf));
    both.0.expect("compacted");
    both.1.expect("compacted");
    assert_eq!(read(&app, tenant).await, before);
}

/// The documents as they are now, for somebody else to write on.
async fn copied(app: &TestApp) -> Arc<Memory> {
    let copy = Memory::default();
    for folder in Folder::ROOTS {
        for line in app.backend.list(&folder.prefix()).await.expect("memory answers") {
            let blob = app.backend.get(&line.path).await.expect("memory answers").expect("nobody else writes");
            copy.create(&line.path, blob.body).await.expect("it was empty");
        }
    }
    Arc::new(copy)
}

#[tokio::test]
async fn months_whose_putting_together_is_cut_off_at_any_write_are_read_as_before_at_once_and_later() {
    let (app, tenant) = aged().await;
    let shelf = Shelf::Customer(tenant);
    let end = app.clock.time() + TimeDelta::days(1);
    let parts = async |app: &Arc<App>| app.store.list(Folder::Timeline(tenant)).await.expect("listed").len();
    let read = async |app: &Arc<App>| history::read(app, shelf, Timestamp::UNIX_EPOCH, end).await.expect("readable");
    let before = read(&app.app).await;
    let all = Boundary::new(usize::MAX, Cut::FailsBefore);
    let clean = over(&app, CutOff::new(copied(&app).await, all.clone()));
    history::compact(&clean, shelf).await.expect("nothing fails");
    let (after, writes) = (read(&clean).await, all.passed());
    assert!(writes >= 6, "each month is written into the year and removed: {writes}");
    assert_eq!(after, before);
    for cut in Cut::ALL {
        for at in 0..writes {
            let documents = copied(&app).await;
            let boundary = Boundary::new(at, cut);
            let broken = over(&app, CutOff::new(Arc::clone(&documents), boundary.clone()));
            tokio::select! {
                outcome = history::compact(&broken, shelf) => drop(outcome.expect_err("it was cut off")),
                () = boundary.killed() => {}
            }
            let next = over(&app, documents);
            assert_eq!(read(&next).await, before, "write {at} {}", cut.words());
            history::compact(&next, shelf).await.expect("nothing fails");
            assert_eq!(read(&next).await, before, "write {at} {}, put together again", cut.words());
            assert_eq!(parts(&next).await, parts(&clean).await, "write {at} {}", cut.words());
        }
    }
}
