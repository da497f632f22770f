//! Acknowledgements, snoozes and remarks on incidents.

use std::time::Duration;

use health_monitor::model::{Notice, TenantId};
use health_monitor::notify::remind;
use health_monitor::sandbox::World;
use health_monitor::store::{Folder, Key};
use serde_json::{Value, json};

use super::facts::routes;
use super::outage_begins;
use crate::support::TestApp;
use crate::support::builders::onboarded;

const INCIDENT: &str = "/api/v1/incidents/OUT1-AGE";

/// A customer with an outage that everybody was told of.
async fn outage() -> (TestApp, TenantId) {
    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let app = TestApp::start(world).await;
    app.watch_all().await;
    app.poll(tenant).await;
    let all = routes(json!([
        {"id": "p", "audience": "partner", "channels": ["ops", "page"], "timing": {"remindUnacknowledgedMinutes": 30}},
    ]));
    app.app.store.create(&Key::Routes, &all).await.expect("new");
    outage_begins(&app, tenant).await;
    (app, tenant)
}

async fn waiting(app: &TestApp) -> Vec<Notice> {
    let mut notices = Vec::new();
    for line in app.app.store.list(Folder::Outbox).await.expect("readable") {
        let id = line.path.trim_start_matches("outbox/").trim_end_matches(".json").parse().expect("an id");
        notices.push(app.app.store.read::<Notice>(&Key::Outbox(id)).await.expect("readable").expect("there").value);
    }
    notices.sort_by_key(|notice| (notice.story.word.clone(), notice.channel.clone()));
    notices
}

async fn incident(app: &TestApp) -> Value {
    let (status, incident) = app.call("GET", INCIDENT, None).await;
    assert_eq!(status, 200, "{incident}");
    incident
}

#[tokio::test]
async fn an_acknowledged_incident_is_not_reminded_of_and_the_pager_hears_of_it() {
    let (app, _) = outage().await;
    app.clock.advance(Duration::from_secs(1800));
    assert_eq!(remind::due(&app.app).await.expect("readable").len(), 2, "one for each channel");
    let said = json!({"by": "Ada", "reason": "we are on it"});
    let (status, answer) = app.call("POST", &format!("{INCIDENT}/acknowledge"), Some(said)).await;
    assert_eq!((status, answer["acknowledged"]["by"].as_str()), (200, Some("Ada")), "{answer}");
    assert!(remind::due(&app.app).await.expect("readable").is_empty());
    assert_eq!(incident(&app).await["acknowledged"]["reason"], "we are on it");
    let told: Vec<_> = waiting(&app).await.into_iter().filter(|notice| notice.story.word == "acknowledged").collect();
    assert_eq!(told.iter().map(|notice| notice.channel.as_str()).collect::<Vec<_>>(), ["page"], "no noise elsewhere");
    assert!(told[0].only_after_start);

    let (status, _) = app.call("DELETE", &format!("{INCIDENT}/acknowledge"), None).await;
    assert_eq!(status, 204);
    assert!(incident(&app).await.get("acknowledged").is_none());
    assert_eq!(remind::due(&app.app).await.expect("readable").len(), 2);
}

#[tokio::test]
async fn an_acknowledgement_ends_at_its_time_and_when_the_incident_is_reopened() {
    let (app, tenant) = outage().await;
    let acknowledge = async |body: Value| app.call("POST", &format!("{INCIDENT}/acknowledge"), Some(body)).await.0;
    assert_eq!(acknowledge(json!({"by": "Ada", "minutes": 10})).await, 200);
    app.clock.advance(Duration::from_secs(660));
    assert!(incident(&app).await.get("acknowledged").is_none(), "its time is over");
    assert_eq!(acknowledge(json!({"by": "Ada"})).await, 200);
    for step in ["resolve", "reopen"] {
        app.clock.advance(Duration::from_secs(120));
        app.sandbox.change(|world| {
            let now = world.now();
            world.change_event("OUT1-AGE", |event| match step {
                "resolve" => event.resolve(now, "<p>Over.</p>"),
                _ => {
                    event.status = "Active".to_owned();
                    event.publish(now, "<p>It is back.</p>");
                }
            });
        });
        app.poll(tenant).await;
        assert_eq!(incident(&app).await.get("acknowledged").is_some(), step == "resolve", "after {step}");
    }
}

#[tokio::test]
async fn a_snooze_holds_back_what_is_told_and_taking_it_back_lets_it_go() {
    let (app, tenant) = outage().await;
    let before = waiting(&app).await.len();
    let said = json!({"by": "Ada", "reason": "known", "minutes": 120});
    let (status, answer) = app.call("POST", &format!("{INCIDENT}/snooze"), Some(said)).await;
    assert_eq!((status, answer["snoozed"]["reason"].as_str()), (200, Some("known")), "{answer}");
    app.clock.advance(Duration::from_secs(120));
    app.sandbox.change(|world| {
        let now = world.now();
        world.change_event("OUT1-AGE", |event| event.publish(now, "<p>A fix is rolling out.</p>"));
    });
    app.poll(tenant).await;
    let updates = |all: Vec<Notice>| all.into_iter().filter(|one| one.story.word == "eventUpdated").collect::<Vec<_>>();
    let held = updates(waiting(&app).await);
    assert_eq!(waiting(&app).await.len(), before + held.len());
    let until =
        incident(&app).await["snoozed"]["until"].as_str().expect("a time").parse::<chrono::DateTime<chrono::Utc>>();
    assert!(!held.is_empty() && held.iter().all(|notice| Ok(notice.not_before) == until));
    let (status, _) = app.call("DELETE", &format!("{INCIDENT}/snooze"), None).await;
    assert_eq!(status, 204);
    assert!(updates(waiting(&app).await).iter().all(|notice| notice.not_before == app.clock.time()));
    assert!(incident(&app).await.get("snoozed").is_none());
}

#[tokio::test]
async fn remarks_are_kept_and_faults_are_named() {
    let (app, _) = outage().await;
    for text in ["Called Azure support.", "Ticket 4711"] {
        let (status, _) =
            app.call("POST", &format!("{INCIDENT}/notes"), Some(json!({"by": "Ada", "text": text}))).await;
        assert_eq!(status, 200);
    }
    let notes = incident(&app).await["notes"].clone();
    assert_eq!((notes[0]["text"].as_str(), notes[1]["by"].as_str()), (Some("Called Azure support."), Some("Ada")));
    for (what, body, wanted) in [
        ("acknowledge", json!({}), 400),
        ("acknowledge", json!({"by": "A", "minutes": 5, "until": "2026-02-01T00:00:00Z"}), 400),
        ("acknowledge", json!({"by": "A", "until": "2020-01-01T00:00:00Z"}), 400),
        ("snooze", json!({"by": "A", "reason": "r"}), 400),
        ("snooze", json!({"by": "A", "minutes": 5}), 400),
        ("snooze", json!({"by": "A", "reason": "r", "minutes": 60 * 24 * 31}), 400),
        ("notes", json!({"by": "A", "text": " "}), 400),
    ] {
        let (status, problem) = app.call("POST", &format!("{INCIDENT}/{what}"), Some(body.clone())).await;
        assert_eq!(status, wanted, "{what} {body}: {problem}");
    }
    for what in ["acknowledge", "snooze", "notes"] {
        let body = json!({"by": "A", "reason": "r", "minutes": 5});
        let body = if what == "notes" { json!({"by": "A", "text": "t"}) } else { body };
        let (status, _) = app.call("POST", &format!("/api/v1/incidents/NONE-XXX/{what}"), Some(body)).await;
        assert_eq!(status, 404, "{what}");
    }
    assert!(
        app.app.store.read_bytes(&Key::Incident("NONE-XXX".parse().expect("an id"))).await.expect("readable").is_none()
    );
}
