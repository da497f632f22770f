//! What waits and for what, what is told together and what is never told, in virtual time.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use health_monitor::model::{Delivery, IncidentNotes, Notice, NoticeScope, Phase, Routes, Snapshot, Snooze, Timestamp};
use health_monitor::notify::incident;
use health_monitor::notify::log::State;
use health_monitor::outside::Clock as _;
use health_monitor::rehearsal::{Weather, stage};
use health_monitor::store::{Folder, Key};
use serde_json::{Value, json};

use super::facts::{customer, outage, snapshot, tenant, tracking, with};
use crate::outbox::Told;

/// What [`Told::state`] tells of.
const INCIDENT: &str = "N00000-AGE";

fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

async fn snooze(told: &Told, until: Timestamp) {
    let said = Snooze { by: "Ada".to_owned(), at: told.clock.now(), reason: "known".to_owned(), until };
    let notes = IncidentNotes { snoozed: Some(said), ..IncidentNotes::new(tracking(INCIDENT)) };
    told.app.store.create(&Key::Incident(tracking(INCIDENT)), &notes).await.expect("new");
}

fn end_of(notice: Notice) -> Notice {
    Notice { only_after_start: true, ..notice }
}

#[tokio::test]
async fn a_snoozed_incident_waits_and_is_told_after_the_snooze() {
    let told = Told::new().await;
    let until = told.clock.now() + minutes(120);
    snooze(&told, until).await;
    let began = told.state(1, Phase::Began);
    let other = stage::notice(told.tenant, 7, "ops", told.clock.now());
    told.put(&[began.clone(), other.clone()]).await;
    told.minutes(119).await;
    assert_eq!(told.arrived("ops"), [other.id], "another incident is told");
    told.minutes(3).await;
    assert_eq!(told.arrived("ops"), [other.id, began.id]);
    assert!(told.receiver.received().last().is_some_and(|last| last.at >= until && last.at <= until + minutes(2)));
}

#[tokio::test]
async fn what_begins_and_ends_within_a_snooze_is_told_once_as_over_and_not_as_begun_afterwards() {
    // Held back when it was to be sent, or planned for the end of the snooze.
    for planned in [false, true] {
        let told = Told::new().await;
        let until = told.clock.now() + minutes(120);
        snooze(&told, until).await;
        let mut began = told.state(1, Phase::Began);
        if planned {
            began.not_before = until;
        }
        told.put(&[began]).await;
        told.minutes(30).await;
        assert_eq!(told.arrived("ops"), []);
        let ended = end_of(told.state(2, Phase::Ended));
        told.put(std::slice::from_ref(&ended)).await;
        told.minutes(2).await;
        assert_eq!(told.arrived("ops"), [ended.id], "of the end no snooze keeps anybody, planned: {planned}");
        told.minutes(120).await;
        assert_eq!(told.arrived("ops"), [ended.id], "planned: {planned}");
        let mut states = told.states(State::Delivered).await;
        states.sort();
        assert_eq!(states, ["delivered", "superseded"]);
        assert_eq!(told.count(Folder::Outbox).await, 0);
    }
}

/// What a customer's snapshot says of the incident.
async fn sees(told: &Told, number: u128, status: &str) {
    let after: Snapshot = snapshot(number, &[(INCIDENT, 1, with(outage(), json!({"status": status})))]);
    let change = |_: Option<&Snapshot>| Some(after.clone());
    told.app.store.settle(&Key::Health(tenant(number)), change).await.expect("written");
}

async fn three_customers() -> Told {
    let told = Told::new().await;
    for number in 1..=3 {
        told.app.store.create(&Key::Customer(tenant(number)), &customer(number)).await.expect("new");
        sees(&told, number, if number == 1 { "Resolved" } else { "Active" }).await;
    }
    told
}

/// The partner's notice that it is over, found at one customer.
fn over(told: &Told) -> Notice {
    let (scope, name) = (NoticeScope::Partner, "partner".to_owned());
    Notice { scope, route: name.clone(), channel: name, ..told.state(1, Phase::Ended) }
}

#[tokio::test]
async fn a_partners_end_waits_for_the_other_customers_for_an_hour_at_most() {
    let told = three_customers().await;
    let end = over(&told);
    told.put(std::slice::from_ref(&end)).await;
    told.minutes(59).await;
    assert_eq!(told.arrived("partner"), []);
    told.minutes(3).await;
    let all = told.receiver.received();
    let [only] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&only.notices[..], only.affected, only.active), (&[end.id][..], 3, 2), "over for one of three");
    assert!(only.at - end.created_at >= minutes(60) && only.at - end.created_at <= minutes(62), "{only:?}");
}

#[tokio::test]
async fn a_partners_end_is_told_as_soon_as_it_is_over_for_everybody() {
    let told = three_customers().await;
    let end = over(&told);
    told.put(std::slice::from_ref(&end)).await;
    told.minutes(10).await;
    sees(&told, 2, "Resolved").await;
    told.minutes(10).await;
    assert_eq!(told.arrived("partner"), []);
    sees(&told, 3, "Resolved").await;
    told.minutes(2).await;
    let all = told.receiver.received();
    let [only] = &all[..] else { panic!("{all:?}") };
    assert_eq!((&only.notices[..], only.affected, only.active), (&[end.id][..], 3, 0));
    told.minutes(90).await;
    assert_eq!(told.receiver.received().len(), 1);
}

/// Connections break, and of every other message nobody knows that it arrived.
fn breaking() -> Weather {
    Weather { resets: 1.0, ..Weather::default() }
}

#[tokio::test]
async fn a_storm_is_one_message_under_one_id_however_often_it_is_tried() {
    let told = Told::new().await;
    let storms = |routes: Option<&Routes>| {
        let mut routes = routes?.clone();
        routes.routes[0].timing.storm_above = Some(3);
        Some(routes)
    };
    told.app.store.settle(&Key::Routes, storms).await.expect("written");
    told.receiver.weather("ops", breaking());
    let now = told.clock.now();
    let all: Vec<_> = (0..5).map(|number| stage::notice(told.tenant, number, "ops", now)).collect();
    told.put(&all).await;
    told.minutes(2).await;
    let late = stage::notice(told.tenant, 9, "ops", told.clock.now());
    told.put(std::slice::from_ref(&late)).await;
    told.minutes(60).await;
    told.receiver.weather("ops", Weather::default());
    told.minutes(60).await;
    let received = told.receiver.received();
    let (alone, storm): (Vec<_>, Vec<_>) = received.into_iter().partition(|one| one.parcel == late.id);
    assert!(alone.iter().all(|one| one.notices == [late.id]) && alone.last().is_some_and(|one| one.heard));
    assert!(storm.len() > 1, "it was tried again after it had arrived");
    assert_eq!(storm.iter().map(|one| one.parcel).collect::<BTreeSet<_>>().len(), 1, "{storm:?}");
    let wanted: BTreeSet<_> = all.iter().map(|notice| notice.id).collect();
    assert!(storm.iter().all(|one| one.notices.iter().copied().collect::<BTreeSet<_>>() == wanted), "{storm:?}");
    assert_eq!(storm.iter().filter(|one| one.heard).count(), 1, "once it is taken it is not sent again");
    assert_eq!(told.count(Folder::Outbox).await, 0);
}

#[tokio::test]
async fn a_digest_is_one_message_under_one_id_and_tells_the_newest_state_of_each_incident() {
    let told = Told::new().await;
    told.receiver.weather("ops", breaking());
    let window = told.clock.now() + minutes(30);
    let in_digest = |notice: Notice| Notice { bundle: Some("digest|d".to_owned()), not_before: window, ..notice };
    let began = in_digest(told.state(1, Phase::Began));
    let other = in_digest(stage::notice(told.tenant, 7, "ops", told.clock.now()));
    told.put(&[began, other.clone()]).await;
    told.minutes(10).await;
    told.put(&[in_digest(told.state(2, Phase::Changed))]).await;
    told.minutes(10).await;
    let ended = in_digest(end_of(told.state(3, Phase::Ended)));
    told.put(std::slice::from_ref(&ended)).await;
    assert_eq!(told.receiver.asked("ops"), 0, "before its time");
    told.minutes(60).await;
    told.receiver.weather("ops", Weather::default());
    told.minutes(60).await;
    let received = told.receiver.received();
    assert!(received.len() > 1, "it was tried again after it had arrived");
    assert_eq!(received.iter().map(|one| one.parcel).collect::<BTreeSet<_>>().len(), 1, "{received:?}");
    assert!(received.iter().all(|one| one.notices == [other.id, ended.id]), "{received:?}");
    let mut states = told.states(State::Delivered).await;
    states.sort();
    assert_eq!(states, ["bundled", "bundled", "superseded", "superseded"]);
    assert_eq!(told.count(Folder::Outbox).await, 0);
}

#[tokio::test]
async fn a_message_keeps_its_id_when_one_of_its_notices_ends_between_two_tries() {
    let told = Told::new().await;
    told.receiver.weather("ops", breaking());
    let now = told.clock.now();
    let in_digest = |notice: Notice| Notice { bundle: Some("digest|d".to_owned()), ..notice };
    let [first, second, third] = [1, 2, 3].map(|number| in_digest(stage::notice(told.tenant, number, "ops", now)));
    told.put(&[first.clone(), second.clone(), third.clone()]).await;
    told.minutes(30).await;
    for erased in [&second, &third] {
        told.app.store.delete(&Key::Outbox(erased.id)).await.expect("deleted");
        told.minutes(30).await;
    }
    told.receiver.weather("ops", Weather::default());
    told.minutes(60).await;
    let received: Vec<_> = told.receiver.received().into_iter().filter(|one| one.channel == "ops").collect();
    assert_eq!(received.first().map(|one| one.notices.len()), Some(3), "{received:?}");
    assert_eq!(received.last().map(|one| one.notices.clone()), Some(vec![first.id]), "{received:?}");
    assert_eq!(received.iter().map(|one| one.parcel).collect::<BTreeSet<_>>().len(), 1, "{received:?}");
    assert!(told.states(State::Delivered).await.contains(&"bundled".to_owned()));
}

#[tokio::test]
async fn an_end_is_withheld_in_a_digest_too_but_not_while_its_start_waits_in_an_earlier_one() {
    let told = Told::new().await;
    let now = told.clock.now();
    let in_digest = |notice: Notice, name: &str, at: i64| {
        let bundle = Some(format!("digest|{name}"));
        Notice { bundle, not_before: now + minutes(at), ..notice }
    };
    let untold = end_of(stage::notice(told.tenant, 7, "ops", now));
    let untold = in_digest(Notice { story: told.state(1, Phase::Ended).story, ..untold }, "a", 5);
    told.put(&[untold]).await;
    told.minutes(10).await;
    assert_eq!((told.arrived("ops"), told.states(State::Delivered).await), (vec![], vec!["withheld".to_owned()]));

    snooze(&told, now + minutes(180)).await;
    let began = in_digest(told.state(2, Phase::Began), "b", 20);
    told.put(std::slice::from_ref(&began)).await;
    told.minutes(20).await;
    let ended = in_digest(end_of(told.state(3, Phase::Ended)), "c", 60);
    told.put(std::slice::from_ref(&ended)).await;
    told.minutes(240).await;
    assert_eq!(told.arrived("ops"), [began.id, ended.id]);
}

#[tokio::test]
async fn taking_a_snooze_back_wakes_only_what_waits_for_it() {
    let told = Told::new().await;
    let now = told.clock.now();
    let until = now + minutes(120);
    snooze(&told, until).await;
    let again = |at: Timestamp| Delivery { attempts: 1, next_attempt_at: Some(at), ..Delivery::default() };
    let state = |number| told.state(number, Phase::Changed);
    let other = stage::notice(told.tenant, 7, "ops", now);
    let planned = Notice { not_before: until, ..state(1) };
    let held_back = Notice { delivery: again(until), ..state(2) };
    let asleep = [
        ("business hours", Notice { not_before: now + minutes(600), ..state(3) }),
        ("its next try", Notice { delivery: again(now + minutes(30)), ..state(4) }),
        ("its time, long ago", state(5)),
        ("the same moment, of another incident", Notice { not_before: until, ..other.clone() }),
        (
            "its next try, of another incident",
            Notice { delivery: again(until), ..stage::notice(told.tenant, 8, "ops", now) },
        ),
    ];
    told.put(&[planned.clone(), held_back.clone()]).await;
    told.put(&asleep.clone().map(|(_, notice)| notice)).await;
    told.clock.set(now + minutes(10));
    incident::unsnooze(&told.app, &tracking(INCIDENT)).await.expect("written");
    let stored = async |notice: &Notice| {
        told.app.store.read::<Notice>(&Key::Outbox(notice.id)).await.expect("readable").expect("there").value
    };
    for notice in [&planned, &held_back] {
        assert_eq!(stored(notice).await.due_at(), now + minutes(10));
    }
    for (what, notice) in &asleep {
        assert_eq!(stored(notice).await, *notice, "waits for {what}");
    }
    let notes: Value = told
        .app
        .store
        .read_bytes(&Key::Incident(tracking(INCIDENT)))
        .await
        .expect("readable")
        .map_or(Value::Null, |read| serde_json::from_slice(&read.body).expect("JSON"));
    assert_eq!((notes["trackingId"].as_str(), &notes["snoozed"]), (Some(INCIDENT), &Value::Null));
}
