//! Reminders: before maintenance and deadlines, and of what nobody acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use health_monitor::hosts::work::{DEADLINE, Work, run};
use health_monitor::model::{Acknowledgement, Customer, IncidentNotes, Notice, Routes, Snapshot, Timestamp};
use health_monitor::notify::remind::reminders;
use health_monitor::sandbox::{Event, World};
use health_monitor::store::{Folder, Key};
use serde_json::{Value, json};

use super::facts::{customer, minute, outage, route, routes, snapshot, tracking, with};
use crate::support::TestApp;
use crate::support::builders::onboarded;

const ID: &str = "ABCD-123";
const HOUR: i64 = 60;

/// Maintenance that begins after so many hours, known since before minute 2.
fn maintenance(begins_in: i64) -> Value {
    with(outage(), json!({"eventType": "PlannedMaintenance", "impactStart": minute(begins_in * HOUR)}))
}

fn due_with(
    routes: &Routes,
    all: &[(&Customer, &Snapshot)],
    notes: Option<IncidentNotes>,
    now: Timestamp,
) -> Vec<Notice> {
    let notes: BTreeMap<_, _> = notes.into_iter().map(|notes| (notes.tracking_id.clone(), notes)).collect();
    reminders(routes, all, &notes, now)
}

fn facts_of(notices: &[Notice]) -> Vec<String> {
    notices.iter().filter_map(|notice| notice.story.facts.last()).map(|(_, fact)| fact.clone()).collect()
}

#[test]
fn before_maintenance_each_threshold_is_told_once_and_the_nearest_only() {
    let routes = route("customer", json!({"timing": {"remindBeforeHours": [24, 1]}}));
    let (customer, known) = (customer(1), snapshot(1, &[(ID, 1, maintenance(48))]));
    let at = |hours: i64| due_with(&routes, &[(&customer, &known)], None, minute(hours * HOUR));
    assert!(at(23).is_empty());
    let (day, later) = (at(24), at(30));
    assert_eq!(facts_of(&day), ["24 hours before it begins"]);
    assert_eq!(day[0].id, later[0].id, "the same reminder, whenever it is found");
    let hour = at(47);
    assert_eq!(facts_of(&hour), ["1 hours before it begins"]);
    assert_ne!(hour[0].id, day[0].id);
    assert!(at(48).is_empty(), "it has begun");
    // A new time is a new reminder.
    let moved = snapshot(1, &[(ID, 1, maintenance(60))]);
    let again = due_with(&routes, &[(&customer, &moved)], None, minute(36 * HOUR));
    assert_ne!(again[0].id, day[0].id);
}

#[test]
fn a_threshold_that_had_passed_when_it_was_announced_is_none() {
    let routes = route("customer", json!({"timing": {"remindBeforeHours": [24, 1]}}));
    let known = snapshot(1, &[(ID, 1, maintenance(10))]);
    assert!(due_with(&routes, &[(&customer(1), &known)], None, minute(5)).is_empty(), "the announcement says it");
    assert_eq!(due_with(&routes, &[(&customer(1), &known)], None, minute(9 * HOUR)).len(), 1);
}

#[test]
fn advice_is_reminded_of_before_its_deadline() {
    let routes = route("customer", json!({"timing": {"remindBeforeHours": [2160, 720, 168]}}));
    let retirement = with(outage(), json!({"eventType": "HealthAdvisory", "impactMitigation": minute(3000 * HOUR)}));
    let known = snapshot(1, &[(ID, 1, retirement)]);
    let at = |hours: i64| facts_of(&due_with(&routes, &[(&customer(1), &known)], None, minute(hours * HOUR)));
    assert_eq!(at(839), Vec::<String>::new());
    assert_eq!(at(840), ["2160 hours before its deadline"]);
    assert_eq!(at(2900), ["168 hours before its deadline"]);
}

#[test]
fn what_nobody_acknowledges_is_told_again_in_turns_and_no_more_when_somebody_does() {
    let routes = route("partner", json!({"timing": {"remindUnacknowledgedMinutes": 30}}));
    let (customer, known) = (customer(1), snapshot(1, &[(ID, 2, outage())]));
    let at = |minutes: i64, notes| due_with(&routes, &[(&customer, &known)], notes, minute(minutes));
    assert!(at(29, None).is_empty());
    let first = at(30, None);
    assert!(first[0].only_after_start, "for those only who were told of the start");
    assert_eq!(first[0].id, at(59, None)[0].id);
    assert_ne!(first[0].id, at(60, None)[0].id);
    let said = |episode, until| {
        let said = Acknowledgement { by: "Ada".into(), at: minute(31), reason: None, until, episode };
        Some(IncidentNotes { acknowledged: Some(said), ..IncidentNotes::new(tracking(ID)) })
    };
    assert!(at(60, said(2, None)).is_empty());
    assert_eq!(at(60, said(1, None)).len(), 1, "it was reopened since");
    assert_eq!(at(90, said(2, Some(minute(80)))).len(), 1, "the acknowledgement has ended");
    let over = snapshot(1, &[(ID, 2, with(outage(), json!({"status": "Resolved"})))]);
    assert!(due_with(&routes, &[(&customer, &over)], None, minute(60)).is_empty());
}

#[test]
fn the_partner_is_reminded_once_whoever_is_hit_and_in_whatever_order() {
    let all = routes(json!([
        {"id": "p", "audience": "partner", "channels": ["ops"], "timing": {"remindUnacknowledgedMinutes": 30}},
        {"id": "c", "audience": "customer", "channels": ["ops"], "timing": {"remindUnacknowledgedMinutes": 30}},
    ]));
    let customers: Vec<_> = (0..5).map(customer).collect();
    let known: Vec<_> = (0..5).map(|n| snapshot(n, &[(ID, 1, outage())])).collect();
    let mut pairs: Vec<_> = customers.iter().zip(&known).collect();
    let due = due_with(&all, &pairs, None, minute(35));
    assert_eq!(due.len(), 6, "one of the partner, one of each customer");
    pairs.reverse();
    assert_eq!(due_with(&all, &pairs, None, minute(35)), due);
}

#[tokio::test]
async fn the_timer_puts_reminders_into_the_outbox_once() {
    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let hits = world.subscriptions_of(tenant);
    let now = world.now();
    let hours = chrono::TimeDelta::hours;
    world.event(Event::planned_maintenance("MAIN-TEN", "Network", now, now + hours(30), now + hours(34)).hits(hits));
    let app = TestApp::start(world).await;
    app.watch_all().await;
    app.poll(tenant).await;
    let routes = route("customer", json!({"timing": {"remindBeforeHours": [24]}}));
    app.app.store.create(&Key::Routes, &routes).await.expect("new");
    let waiting = async || app.app.store.list(Folder::Outbox).await.expect("readable").len();
    let timer = async || run(&app.app, Work::PollTimer, DEADLINE).await.expect("the timer runs");
    timer().await;
    assert_eq!(waiting().await, 0);
    app.clock.advance(Duration::from_secs(7 * 3600));
    timer().await;
    assert_eq!(waiting().await, 1);
    timer().await;
    // Another process, which remembers nothing.
    let due = health_monitor::notify::remind::due(&app.app).await.expect("readable");
    assert!(due.is_empty(), "this process has handed it over");
    assert_eq!(waiting().await, 1);
}
