//! Notices: never lost, never multiplied, whatever befalls the process, the store, the queue or the destination.

use std::sync::Arc;

use chrono::TimeDelta;
use health_monitor::app::App;
use health_monitor::model::{Notice, Phase, Routes, TenantId};
use health_monitor::notify::log::{self, State};
use health_monitor::notify::{self, outbox};
use health_monitor::outside::Clock as _;
use health_monitor::rehearsal::clock::Leaping;
use health_monitor::rehearsal::delivery::{self, Plan};
use health_monitor::rehearsal::{Receiver, Weather, faults, stage};
use health_monitor::store::{Folder, Key, Memory};
use health_monitor::{hosts::work, life};

#[tokio::test]
async fn a_crash_at_any_boundary_loses_nothing_and_doubles_at_most_one_notice_under_its_id() {
    let rows = faults::matrix().await;
    let broken: Vec<_> = rows.iter().filter(|row| !row.holds()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    let cut = |what: &str| rows.iter().filter(|row| row.what.starts_with(what)).count();
    assert!(cut("poll, write") >= 8 * 4, "texts, outbox, snapshot and timeline are cut off");
    assert!(cut("delivery, write") >= 25 * 4, "lane, log, mark and outbox of five notices are cut off");
    assert!(cut("delivery, send") >= 5 * 4);
    let again: usize = rows.iter().map(|row| row.again).sum();
    assert!(again > 0, "a crash after a send is felt, or nothing was cut off there");
}

#[tokio::test]
async fn foul_weather_and_a_day_without_any_destination_lose_nothing() {
    let figures = delivery::flood(&Plan::foul(240, 4)).await;
    assert!(figures.hold(), "{figures:?}");
    assert_eq!(figures.put, 240);
    assert!(figures.longest > 20.0 * 3600.0, "somebody waited for the end of the outage: {figures:?}");
    assert!(figures.longest < 32.0 * 3600.0, "and not much longer: {figures:?}");
    assert!(figures.requests < 240 * 4, "a dead destination costs probes, not tries of each notice: {figures:?}");
}

#[tokio::test]
async fn one_dead_destination_does_not_delay_the_others() {
    let (without, with) = delivery::one_dead(400, 20).await;
    assert!(without.hold() && with.lost == 0, "{without:?} {with:?}");
    assert!(with.p99 <= without.p99 * 1.05, "{without:?} {with:?}");
}

#[tokio::test]
async fn a_restart_repeats_nothing() {
    let (told, again) = delivery::restart(20).await;
    assert!(told >= 20, "{told}");
    assert_eq!(again, 0);
}

#[tokio::test]
async fn one_outage_is_one_incident_one_notice_for_each_customer_and_one_for_the_partner() {
    assert_eq!(delivery::outage(6, 2).await, [1, 6, 1, 6]);
}

/// A product with one customer and one channel, `ops`, and the partner's.
pub struct Told {
    pub app: Arc<App>,
    pub clock: Arc<Leaping>,
    pub receiver: Arc<Receiver>,
    pub tenant: TenantId,
}

impl Told {
    pub async fn new() -> Self {
        let clock = Leaping::new(stage::start());
        let receiver = Receiver::new(clock.clone(), 1);
        let memory = Arc::new(Memory::default());
        let app = stage::app(&stage::settings(), clock.clone(), memory, &receiver, 1);
        let tenant = stage::watch(&app, &["ops".to_owned()], clock.now()).await;
        Self { app, clock, receiver, tenant }
    }

    /// A state of one incident.
    pub fn state(&self, number: usize, phase: Phase) -> Notice {
        let mut notice = stage::notice(self.tenant, number, "ops", self.clock.now());
        notice.subject = stage::notice(self.tenant, 0, "ops", self.clock.now()).subject;
        notice.story.phase = phase;
        notice
    }

    pub async fn put(&self, notices: &[Notice]) {
        assert_eq!(outbox::put(&self.app, notices).await.unwrap().len(), notices.len());
    }

    /// What a timer plans, delivered, after so long.
    pub async fn minutes(&self, minutes: i64) {
        for _ in 0..minutes {
            self.clock.set(self.clock.now() + TimeDelta::minutes(1));
            for message in notify::due_now(&self.app).await.unwrap() {
                let text = serde_json::to_string(&message).unwrap();
                let work = work::Work::of_message("DeliverNotice", &text).unwrap().unwrap();
                work::run(&self.app, work, work::DEADLINE).await.unwrap();
            }
        }
    }

    pub fn arrived(&self, channel: &str) -> Vec<health_monitor::model::NoticeId> {
        let all = self.receiver.received();
        all.into_iter().filter(|one| one.channel == channel).flat_map(|one| one.notices).collect()
    }

    pub async fn count(&self, folder: Folder) -> usize {
        self.app.store.list(folder).await.unwrap().len()
    }

    pub async fn states(&self, state: State) -> Vec<String> {
        let page = log::page(&self.app, state, 100, None).await.unwrap();
        page.entries.into_iter().map(|entry| entry.state).collect()
    }
}

#[tokio::test]
async fn a_channel_that_is_gone_is_disabled_and_told_elsewhere_and_its_notices_are_sent_anew() {
    let told = Told::new().await;
    told.receiver.weather("ops", Weather { gone: true, ..Weather::default() });
    let notice = stage::notice(told.tenant, 1, "ops", told.clock.now());
    told.put(std::slice::from_ref(&notice)).await;
    told.minutes(3).await;
    assert_eq!(told.arrived("ops"), []);
    assert_eq!(told.states(State::Dead).await, ["dead"]);
    let routes = told.app.store.read::<Routes>(&Key::Routes).await.unwrap().unwrap().value;
    assert!(routes.channels["ops"].disabled.as_deref().unwrap().starts_with("410"));
    let words: Vec<_> = told.receiver.received().into_iter().flat_map(|one| one.words).collect();
    assert_eq!(words, ["destinationFailed"], "the partner hears of it once, on another channel");

    told.receiver.weather("ops", Weather::default());
    let mended = |routes: Option<&Routes>| {
        let mut routes = routes?.clone();
        routes.channels.get_mut("ops")?.disabled = None;
        Some(routes)
    };
    told.app.store.settle(&Key::Routes, mended).await.unwrap();
    assert_eq!(log::replay_all(&told.app, Some("ops")).await.unwrap(), 1);
    told.minutes(3).await;
    assert_eq!(told.arrived("ops"), [notice.id], "under its id");
    assert_eq!(told.states(State::Dead).await, Vec::<String>::new());
    assert_eq!(outbox::put(&told.app, &[notice]).await.unwrap(), [], "what was told is not put again");
}

#[tokio::test]
async fn a_later_state_is_told_instead_of_an_earlier_one_that_nobody_took() {
    let told = Told::new().await;
    let (from, hour) = (told.clock.now(), TimeDelta::hours(1));
    told.receiver.weather("ops", Weather { down: Some((from, from + hour)), ..Weather::default() });
    let began = told.state(1, Phase::Began);
    told.put(std::slice::from_ref(&began)).await;
    told.minutes(5).await;
    let changed = told.state(2, Phase::Changed);
    told.put(std::slice::from_ref(&changed)).await;
    told.minutes(90).await;
    assert_eq!(told.arrived("ops"), [changed.id]);
    let mut states = told.states(State::Delivered).await;
    states.retain(|state| state == "superseded");
    assert_eq!(states.len(), 1);
    assert_eq!(told.count(Folder::Outbox).await, 0);
    // Out of order: the earlier one, found again later, is not told after the later one.
    let late = Notice { created_at: began.created_at, ..told.state(3, Phase::Began) };
    told.put(&[late]).await;
    told.minutes(3).await;
    assert_eq!(told.arrived("ops"), [changed.id]);
}

#[tokio::test]
async fn an_end_is_told_to_those_only_who_were_told_of_the_start() {
    let told = Told::new().await;
    let end = |number| Notice { only_after_start: true, ..told.state(number, Phase::Ended) };
    told.put(&[end(1)]).await;
    told.minutes(2).await;
    assert_eq!(told.arrived("ops"), []);
    assert_eq!(told.states(State::Delivered).await, ["withheld"]);
    let began = told.state(2, Phase::Began);
    told.put(std::slice::from_ref(&began)).await;
    told.minutes(2).await;
    let ended = Notice { only_after_start: true, ..told.state(3, Phase::Ended) };
    told.put(std::slice::from_ref(&ended)).await;
    told.minutes(2).await;
    assert_eq!(told.arrived("ops"), [began.id, ended.id]);
}

#[tokio::test]
async fn a_destination_that_takes_nothing_for_more_than_three_days_gives_its_notices_up() {
    let told = Told::new().await;
    told.receiver.weather("ops", Weather { hangs: true, ..Weather::default() });
    let all: Vec<_> = (0..30).map(|number| stage::notice(told.tenant, number, "ops", told.clock.now())).collect();
    told.put(&all).await;
    told.minutes(60 * 72).await;
    assert_eq!(told.count(Folder::Dead).await, 0, "not before three days");
    told.minutes(60 * 8).await;
    assert_eq!(told.count(Folder::Dead).await, 30);
    assert_eq!(told.count(Folder::Outbox).await, 0);
    assert!(told.receiver.asked("ops") < 400, "four probes an hour, not one try of each notice");
    let words: Vec<_> = told.receiver.received().into_iter().flat_map(|one| one.words).collect();
    assert_eq!(words, ["destinationFailed"]);
}

#[tokio::test]
async fn an_erased_customer_leaves_no_notice_behind() {
    let told = Told::new().await;
    told.put(&[stage::notice(told.tenant, 1, "ops", told.clock.now())]).await;
    told.minutes(2).await;
    told.put(&[stage::notice(told.tenant, 2, "ops", told.clock.now() + TimeDelta::days(1))]).await;
    life::offboard(&told.app, told.tenant, true).await.unwrap();
    for folder in [Folder::Outbox, Folder::Told, Folder::Lanes, Folder::Delivered, Folder::Dead] {
        assert_eq!(told.count(folder).await, 0, "{folder:?}");
    }
}

#[tokio::test]
async fn old_entries_of_the_log_are_removed_with_what_belongs_to_them() {
    let told = Told::new().await;
    told.put(&[stage::notice(told.tenant, 1, "ops", told.clock.now())]).await;
    told.minutes(2).await;
    told.clock.set(told.clock.now() + log::KEPT - TimeDelta::days(1));
    assert_eq!(log::sweep(&told.app).await.unwrap(), 0);
    told.clock.set(told.clock.now() + TimeDelta::days(3));
    assert_eq!(log::sweep(&told.app).await.unwrap(), 1);
    for folder in [Folder::Told, Folder::Lanes, Folder::Delivered] {
        assert_eq!(told.count(folder).await, 0, "{folder:?}");
    }
}
