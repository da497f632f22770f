//! Never pretend: a customer of whom nothing is read, and a monitor that does not run, are noticed.

use std::time::Duration;

use health_monitor::hosts::work::{self, Work};
use health_monitor::model::{Heartbeat, TenantId, Timeline, Transition, TransitionKind};
use health_monitor::sandbox::{Fault, HostKind, World};
use health_monitor::store::{Key, Month};
use serde_json::json;

use crate::support::TestApp;
use crate::support::builders::{kind, onboarded};

const MINUTE: Duration = Duration::from_secs(60);

async fn two_customers(settings: &[(&str, &str)]) -> (TestApp, TenantId, TenantId) {
    let mut world = World::new(1);
    let contoso = onboarded(&mut world, "Contoso", 2);
    let northwind = onboarded(&mut world, "Northwind Traders", 1);
    let app = TestApp::start_with(world, settings).await;
    app.watch_all().await;
    (app, contoso, northwind)
}

async fn timer(app: &TestApp) {
    work::run(&app.app, Work::PollTimer, work::DEADLINE).await.expect("the timer's work is done");
}

/// Minutes of the timer, in which only these customers' messages arrive.
async fn minutes(app: &TestApp, count: u32, arriving: &[TenantId]) {
    for _ in 0..count {
        app.clock.advance(MINUTE);
        timer(app).await;
        for tenant in arriving {
            app.poll(*tenant).await;
        }
    }
}

async fn of_partner(app: &TestApp) -> Vec<Transition> {
    let key = Key::PartnerTimeline(Month::of(app.clock.time()));
    let timeline = app.app.store.read::<Timeline>(&key).await.expect("readable");
    timeline.map(|timeline| timeline.value.transitions.into_values().collect()).unwrap_or_default()
}

async fn ready(app: &TestApp) -> (u16, serde_json::Value) {
    app.call("GET", "/api/probe/ready", None).await
}

#[tokio::test]
async fn a_customer_whose_messages_never_arrive_is_told_once_and_once_when_heard_again() {
    let (app, contoso, northwind) = two_customers(&[]).await;
    minutes(&app, 2, &[contoso, northwind]).await;
    minutes(&app, 40, &[northwind]).await;
    assert_eq!(app.news(contoso).await, ["customerSilent"]);
    assert_eq!(app.news(northwind).await, [""; 0]);
    let told = &app.timeline(contoso).await[0];
    let TransitionKind::CustomerSilent { last_read_at: Some(last) } = told.kind else { panic!("{told:?}") };
    assert_eq!(told.at - last, chrono::TimeDelta::minutes(16), "15 minutes are no news yet");
    minutes(&app, 3, &[contoso, northwind]).await;
    assert_eq!(app.news(contoso).await, ["customerSilent", "customerHeard"]);
    assert!(of_partner(&app).await.is_empty(), "the monitor itself ran");
}

#[tokio::test]
async fn a_customer_whom_azure_refuses_us_is_told_as_that_and_not_as_silent() {
    let (app, contoso, northwind) = two_customers(&[]).await;
    minutes(&app, 2, &[contoso, northwind]).await;
    app.sandbox.change(|world| {
        let principal = world.service_principal(contoso).expect("consented");
        for id in world.subscriptions_of(contoso) {
            world.unassign(id, principal);
        }
    });
    minutes(&app, 100, &[contoso, northwind]).await;
    let news = app.news(contoso).await;
    assert!(news.iter().all(|one| one.starts_with("accessLost")) && news.len() == 2, "{news:?}");
}

#[tokio::test]
async fn a_monitor_that_did_not_run_says_so_itself_and_blames_no_customer() {
    let (app, contoso, northwind) = two_customers(&[]).await;
    minutes(&app, 2, &[contoso, northwind]).await;
    let last = app.clock.time();
    assert_eq!(ready(&app).await.0, 200);
    app.clock.advance(5 * MINUTE);
    assert_eq!(ready(&app).await.0, 200, "a deployment takes that long");
    app.clock.advance(MINUTE);
    let (status, problem) = ready(&app).await;
    assert_eq!((status, &problem["unusable"]), (503, &json!(["timer"])));
    assert_eq!(problem["detail"], "Not usable: timer (it ran last at 2026-01-15T12:02:00Z).");
    app.clock.advance(180 * MINUTE);
    timer(&app).await;
    timer(&app).await;
    let told = of_partner(&app).await;
    let [Transition { kind: TransitionKind::MonitorWasSilent { from, to }, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((*from, *to), (last, app.clock.time()));
    assert_eq!(ready(&app).await.0, 200);
    minutes(&app, 3, &[contoso, northwind]).await;
    for tenant in [contoso, northwind] {
        assert_eq!(app.news(tenant).await, [""; 0], "nobody could be heard while nobody listened");
    }
    assert_eq!(of_partner(&app).await.iter().map(kind).collect::<Vec<_>>(), ["monitorWasSilent"]);
}

#[tokio::test]
async fn a_monitor_whose_timer_never_ran_is_not_ready() {
    let (app, ..) = two_customers(&[]).await;
    app.clock.advance(5 * MINUTE);
    assert_eq!(ready(&app).await.0, 200, "a deployment takes that long");
    app.clock.advance(2 * MINUTE);
    let (status, problem) = ready(&app).await;
    assert_eq!((status, &problem["detail"]), (503, &json!("Not usable: timer (it never ran).")));
    timer(&app).await;
    assert_eq!(ready(&app).await.0, 200);
}

#[tokio::test]
async fn a_timer_that_fires_twice_and_a_crash_before_the_heartbeat_tell_nothing_twice() {
    let (app, contoso, northwind) = two_customers(&[]).await;
    minutes(&app, 2, &[contoso, northwind]).await;
    minutes(&app, 20, &[northwind]).await;
    let before: Heartbeat = app.app.store.read(&Key::Heartbeat).await.expect("readable").expect("written").value;
    assert_eq!(before.silent.keys().collect::<Vec<_>>(), [&contoso]);
    // As if the run had ended before it noted what it told.
    app.app.store.delete(&Key::Heartbeat).await.expect("gone");
    let unaware = Heartbeat { silent: Default::default(), ..before };
    app.app.store.create(&Key::Heartbeat, &unaware).await.expect("written");
    let runs = (0..2).map(|_| timer(&app));
    futures_util::future::join_all(runs).await;
    assert_eq!(app.news(contoso).await, ["customerSilent"]);
}

#[tokio::test]
async fn the_dead_man_switch_is_called_while_customers_are_read_and_not_when_none_is() {
    let sink = warp_sink().await;
    let (app, contoso, northwind) = two_customers(&[("DEAD_MAN_URL", &sink.url)]).await;
    minutes(&app, 3, &[contoso, northwind]).await;
    assert_eq!(sink.calls(), 3);
    app.sandbox.change(|world| world.fault(Fault::status(503).host(HostKind::Arm)));
    minutes(&app, 30, &[contoso, northwind]).await;
    let calls = sink.calls();
    assert!((10..25).contains(&calls), "{calls}: the calls end when both are silent");
    let (status, problem) = ready(&app).await;
    assert_eq!((status, &problem["unusable"]), (503, &json!(["polls"])), "{problem}");
    app.sandbox.change(|world| world.faults.clear());
    minutes(&app, 60, &[contoso, northwind]).await;
    assert!(sink.calls() > calls, "and begin again");
    assert!(!format!("{:?}{:?}", app.app, app.app.settings).contains("a-secret-path"), "the address is a secret");
}

/// An address that counts its calls.
struct Sink {
    url: String,
    calls: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Sink {
    fn calls(&self) -> usize {
        self.calls.load(std::sync::atomic::Ordering::SeqCst)
    }
}

async fn warp_sink() -> Sink {
    use warp::Filter as _;
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&calls);
    let route = warp::path!("ping" / "a-secret-path").map(move || {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        "OK"
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/ping/a-secret-path", listener.local_addr().expect("bound"));
    tokio::spawn(warp::serve(route).incoming(listener).run());
    Sink { url, calls }
}
