//! How fast Azure is asked: Resource Graph's quota, rests that Azure asks for, and the budget of a poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use health_monitor::app::App;
use health_monitor::model::{AccessMode, Customer, GapReason, Pace, Quota, Snapshot, Timestamp};
use health_monitor::outside::{Clock, Outside, http_client};
use health_monitor::poll;
use health_monitor::sandbox::{Delegation, Fault, HostKind, Resource, Role};
use health_monitor::store::Key;
use tokio::sync::watch;

use super::*;
use crate::support::builders::customer;
use crate::support::{SeededRandom, TestClock};

/// A clock on which whoever waits, waits until the test lets everybody go on.
#[derive(Debug)]
struct HeldClock {
    time: Arc<TestClock>,
    waiting: AtomicUsize,
    released: watch::Sender<bool>,
}

impl Clock for HeldClock {
    fn now(&self) -> Timestamp {
        self.time.time()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let (time, mut released) = (Arc::clone(&self.time), self.released.subscribe());
        Box::pin(async move {
            released.wait_for(|released| *released).await.expect("the test holds the other end");
            time.advance(duration);
        })
    }
}

/// Another process over the same documents, with a clock of its own.
fn process(app: &TestApp, clock: Arc<dyn Clock>) -> Arc<App> {
    let outside = Outside {
        clock,
        random: SeededRandom::new(2),
        http: http_client().expect("a client"),
        backend: app.backend.clone(),
    };
    App::new(app.app.settings.clone(), outside)
}

fn throttled_answers(app: &TestApp) -> usize {
    app.sandbox.requests().iter().filter(|request| request.status == 429).count()
}

#[tokio::test]
async fn polls_at_once_keep_to_fifteen_queries_in_five_seconds_together() {
    let (app, tenant) = contoso(2, |world, _| world.graph.quota = Some(15)).await;
    let before = app.clock.time();
    let polls = (0..8).map(|_| poll::poll_tenant(&app.app, tenant));
    for outcome in futures_util::future::join_all(polls).await {
        outcome.expect("each ends well");
    }
    let queries = asked(&app, "/resources").len();
    assert!(queries > 15, "enough to need a second window: {queries}");
    assert_eq!(throttled_answers(&app), 0, "Azure never had to say so");
    assert!(app.clock.time() - before >= chrono::TimeDelta::seconds(5), "the window was waited out");
}

#[tokio::test]
async fn a_smaller_quota_is_learned_from_azures_headers() {
    let (app, tenant) = contoso(1, |world, _| world.graph.quota = Some(2)).await;
    for _ in 0..3 {
        assert_eq!(app.poll(tenant).await.gaps, 0);
        app.clock.advance(MINUTE);
    }
    assert_eq!(throttled_answers(&app), 0);
    let pace = app.snapshot(tenant).await.pace;
    assert_eq!(pace.queries_left, Some(1), "what Azure says is kept, and the last one is never used up");
    assert_eq!(pace.reads_left, Some(249));
    assert!(pace.requests["resourceGraph"][&200] >= 9 && pace.requests["events"][&200] >= 1);
}

#[tokio::test]
async fn one_tenants_throttling_does_not_delay_another() {
    let mut world = World::new(1);
    let contoso = onboarded(&mut world, "Contoso", 1);
    let northwind = onboarded(&mut world, "Northwind Traders", 1);
    let subscription = world.subscriptions_of(contoso)[0];
    world.fault(Fault::throttled(20).host(HostKind::Arm).path(&subscription.to_string()).times(1));
    let app = TestApp::start(world).await;
    app.watch_all().await;
    let clock = Arc::new(HeldClock {
        time: app.clock.clone(),
        waiting: AtomicUsize::new(0),
        released: watch::Sender::new(false),
    });
    let monitor = process(&app, clock.clone());
    let throttled = tokio::spawn({
        let monitor = Arc::clone(&monitor);
        async move { poll::poll_tenant(&monitor, contoso).await }
    });
    while clock.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let before = app.clock.time();
    let other = poll::poll_tenant(&monitor, northwind).await.expect("it ends well");
    assert_eq!((other.read, other.gaps), (1, 0));
    assert_eq!(app.clock.time(), before, "in no time at all");
    assert!(!throttled.is_finished(), "the one that is throttled still waits");
    clock.released.send_replace(true);
    let report = throttled.await.expect("no panic").expect("it ends well");
    assert_eq!(report.gaps, 0, "and is read in full after its wait");
    assert!(app.clock.time() - before >= chrono::TimeDelta::seconds(20));
    assert_eq!(app.snapshot(northwind).await.pace.budget, Pace::FULL, "whose budget is as it was");
    assert_eq!(app.snapshot(contoso).await.pace.budget, Pace::FULL / 2);
}

#[tokio::test]
async fn a_long_rest_is_kept_by_every_process_and_everything_else_is_read() {
    let (app, tenant) = contoso(2, |world, subscriptions| {
        world.fault(Fault::throttled(3600).host(HostKind::Arm).path(&subscriptions[0].to_string()).times(1));
    })
    .await;
    let resting = app.sandbox.change(|world| world.subscriptions_of(tenant)[0]);
    app.poll(tenant).await;
    let snapshot = app.snapshot(tenant).await;
    assert!(snapshot.pace.rests(Quota::Subscription(resting), app.clock.time()));
    let gap = snapshot.coverage[&resting].resources.gap.clone().expect("what was not read is a gap");
    assert_eq!(gap.reason, GapReason::Throttled);

    app.sandbox.forget_requests();
    for _ in 0..3 {
        app.clock.advance(10 * MINUTE);
        let another = process(&app, app.clock.clone());
        poll::poll_tenant(&another, tenant).await.expect("it ends well");
    }
    let requests = app.sandbox.requests();
    let about = |id: SubscriptionId| requests.iter().filter(|one| one.path.contains(&id.to_string())).count();
    assert_eq!(about(resting), 0, "nobody asks before its time");
    let other = app.sandbox.change(|world| world.subscriptions_of(tenant)[1]);
    assert!(about(other) >= 3, "the other subscription is read all the while");

    app.clock.advance(HOUR);
    assert_eq!(app.poll(tenant).await.gaps, 0, "and afterwards everything is");
}

#[tokio::test]
async fn what_does_not_fit_the_budget_is_next_times_and_never_healthy() {
    let (app, tenant) = contoso(30, |world, subscriptions| {
        let now = world.now();
        for id in subscriptions {
            world.resource(*id, Resource::sql_database("db", "westeurope", now));
        }
    })
    .await;
    // As Azure's impatience left it.
    let mut slow = Snapshot::empty(tenant, app.clock.time());
    slow.pace.budget = Pace::LEAST;
    app.app.store.create(&Key::Health(tenant), &slow).await.expect("new");

    app.poll(tenant).await;
    let rest_calls = app.sandbox.requests().iter().filter(|one| one.path.contains("/subscriptions/")).count();
    assert!(rest_calls <= Pace::LEAST as usize, "{rest_calls} calls");
    let snapshot = app.snapshot(tenant).await;
    assert!(snapshot.pace.put_off >= 30, "{}", snapshot.pace.put_off);
    assert!(snapshot.coverage.values().all(|known| known.events.gap.is_none()), "Resource Graph has all events");
    let put_off = |known: &health_monitor::model::SubscriptionCoverage| {
        known.resources.gap.as_ref().is_some_and(|gap| gap.reason == GapReason::PutOff)
    };
    assert!(snapshot.coverage.values().all(put_off), "what was not asked is a gap");
    let (_, health) = app.call("GET", &format!("/api/v1/customers/{tenant}/health"), None).await;
    assert_eq!(health["status"], "unknown", "never healthy: {health}");

    for _ in 0..3 {
        app.clock.advance(MINUTE);
        app.poll(tenant).await;
    }
    let snapshot = app.snapshot(tenant).await;
    assert!(snapshot.coverage.values().all(|known| known.resources.gap.is_none()), "the next polls read it");
    let (_, health) = app.call("GET", &format!("/api/v1/customers/{tenant}/health"), None).await;
    assert_eq!(health["status"], "healthy", "{health}");
}

#[tokio::test]
async fn few_reads_left_slow_a_subscription_down() {
    let (app, tenant) = contoso(1, |world, _| world.arm.reads_left = 10).await;
    let before = app.clock.time();
    assert_eq!(app.poll(tenant).await.gaps, 0);
    assert!(app.clock.time() - before >= chrono::TimeDelta::seconds(1), "a breath between two calls");
    assert_eq!(app.snapshot(tenant).await.pace.reads_left, Some(10));
}

#[tokio::test]
async fn customers_under_lighthouse_share_one_quota() {
    let mut world = World::new(1);
    world.graph.quota = Some(15);
    let home = world.application.home;
    let tenants: Vec<TenantId> = (0..8)
        .map(|number| {
            let tenant = world.tenant(&format!("Customer {number}"));
            let subscription = world.subscription(tenant, &format!("Customer {number}"));
            let principal = world.service_principal(home).expect("the partner's own");
            world.delegations.push(Delegation {
                name: world.id("assignment"),
                definition: world.id("definition"),
                subscription,
                managing_tenant: home,
                principal,
                role: Role::Reader.id(),
                effective_at: world.now(),
            });
            tenant
        })
        .collect();
    let app = TestApp::start(world).await;
    for tenant in &tenants {
        let customer = app.sandbox.change(|world| {
            // The record is as any other; only the way in differs.
            let access_mode = AccessMode::Lighthouse { partner_tenant_id: home };
            let principal = world.consent(*tenant);
            let customer = Customer { access_mode, ..customer(world, *tenant) };
            world.withdraw_consent(*tenant);
            assert_ne!(Some(principal), world.service_principal(*tenant));
            customer
        });
        app.app.store.create(&Key::Customer(*tenant), &customer).await.expect("a new customer");
    }
    let polls = tenants.iter().map(|tenant| poll::poll_tenant(&app.app, *tenant));
    for outcome in futures_util::future::join_all(polls).await {
        assert_eq!(outcome.expect("each ends well").gaps, 0);
    }
    assert!(asked(&app, "/resources").len() >= 24);
    assert_eq!(throttled_answers(&app), 0, "eight customers, one quota");
}
