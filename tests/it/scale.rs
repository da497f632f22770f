//! Many instances, many customers: the same result, small messages; and the Azure that is measured against is read in full.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use health_monitor::app::App;
use health_monitor::model::{EventRecord, SubscriptionId, TenantId, TrackingId, TransitionId};
use health_monitor::outside::{Outside, http_client};
use health_monitor::poll;
use health_monitor::sandbox::loopback::{Loopback, Shape, subscription, tenant};
use health_monitor::sandbox::{Event, World};
use health_monitor::settings::{Door, Settings};
use health_monitor::store::{Key, Memory};

use crate::support::builders::{customer, onboarded};
use crate::support::{SeededRandom, TestApp, TestClock};

type Found = BTreeMap<TenantId, (BTreeSet<TransitionId>, BTreeMap<TrackingId, EventRecord>)>;

/// Three customers; an outage hits two of them, and `instances` find it at the same time.
async fn found_by(instances: u64) -> Found {
    let mut world = World::new(1);
    let tenants: Vec<_> = ["Contoso", "Fabrikam", "Tailspin"].map(|name| onboarded(&mut world, name, 2)).into();
    let hit: Vec<SubscriptionId> = tenants[..2].iter().flat_map(|tenant| world.subscriptions_of(*tenant)).collect();
    let app = TestApp::start(world).await;
    app.watch_all().await;
    for tenant in &tenants {
        app.poll(*tenant).await;
    }
    app.clock.advance(Duration::from_secs(60));
    app.sandbox.change(|world| {
        let now = app.clock.time();
        world.event(
            Event::service_issue("OUT1-AGE", "Virtual Machines", now)
                .service("Virtual Machines", &["West Europe"])
                .text(now, "<p>We are investigating.</p>")
                .hits(hit),
        );
    });
    let mut pollers = tokio::task::JoinSet::new();
    for instance in 0..instances {
        let outside = Outside {
            clock: app.clock.clone(),
            random: SeededRandom::new(instance),
            http: http_client().expect("a client"),
            backend: app.backend.clone(),
        };
        // A process of its own, but for the documents that all share.
        let one = App::new(app.app.settings.clone(), outside);
        let tenants = tenants.clone();
        pollers.spawn(async move {
            for tenant in tenants {
                poll::poll_tenant(&one, tenant).await.expect("it ends well, whoever was faster");
            }
        });
    }
    while let Some(ended) = pollers.join_next().await {
        ended.expect("no panic");
    }
    let mut found = Found::new();
    for tenant in tenants {
        let told: Vec<_> = app.timeline(tenant).await.into_iter().map(|transition| transition.id).collect();
        let distinct: BTreeSet<_> = told.iter().copied().collect();
        assert_eq!(told.len(), distinct.len(), "each is told once");
        let mut events = app.snapshot(tenant).await.events;
        for seen in events.values_mut().flat_map(|record| record.observations.values_mut()) {
            // Of several equal readings any may be the one that was kept.
            seen.first_seen = seen.last_seen;
        }
        found.insert(tenant, (distinct, events));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_instances_that_poll_the_same_customers_at_once_find_what_one_finds() {
    let one = found_by(1).await;
    assert!(one.values().any(|(told, _)| !told.is_empty()), "there is something to find");
    assert_eq!(found_by(100).await, one);
}

#[tokio::test]
async fn the_timer_names_a_thousand_customers_in_small_messages() {
    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let template = customer(&world, tenant);
    let app = TestApp::start(world).await;
    for number in 0..1000 {
        let mut one = template.clone();
        one.tenant_id = uuid::Uuid::from_u128(0x4000_8000_0000_0000_0000 + number).into();
        app.app.store.create(&Key::Customer(one.tenant_id), &one).await.expect("a new customer");
    }
    let messages = poll::plan(&app.app).await.expect("planned");
    assert_eq!(messages.len(), 1000);
    for message in messages {
        let text = serde_json::to_string(&message).expect("JSON");
        assert!(text.len() < 256, "{text}");
    }
}

#[tokio::test]
async fn a_customer_of_the_loopback_azure_is_read_in_full() {
    for (graph, gzip) in [(true, false), (false, true), (true, true)] {
        let shape = Shape {
            latency: Duration::from_millis(1),
            subscriptions: 3,
            event_bytes: vec![2_600, 77_000],
            resources: 30,
            refuse_every: 0,
            graph,
            gzip,
            news: None,
        };
        let loopback = Loopback::start(shape).await.expect("a free port");
        let values = Loopback::settings(&loopback.base());
        let lookup = |name: &str| match name {
            "STATE_STORE_URL" => Some("memory:".to_owned()),
            "SESSION_KEYS" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
            _ => values.get(name).cloned(),
        };
        let outside = Outside {
            clock: TestClock::new(),
            random: SeededRandom::new(1),
            http: http_client().expect("a client"),
            backend: Arc::new(Memory::default()),
        };
        let settings = Settings::from_lookup(Door::Standalone, lookup).expect("the settings are right");
        let app = App::new(settings, outside);
        let mut world = World::new(1);
        let any = onboarded(&mut world, "Contoso", 1);
        let mut contoso = customer(&world, any);
        let watched = contoso.subscriptions.values().next().expect("one").clone();
        contoso.tenant_id = tenant(7);
        contoso.subscriptions = (0..3).map(|index| (subscription(7, index), watched.clone())).collect();
        app.store.create(&Key::Customer(tenant(7)), &contoso).await.expect("a new customer");
        let report = poll::poll_tenant(&app, tenant(7)).await.expect("polled");
        assert_eq!((report.read, report.gaps), (3, 0), "graph: {graph}");
        let snapshot = app.store.read::<health_monitor::model::Snapshot>(&Key::Health(tenant(7))).await;
        let snapshot = snapshot.expect("readable").expect("there").value;
        let seen = snapshot.events.values().map(|record| (record.contents.len(), record.observations.len()));
        assert_eq!(seen.collect::<Vec<_>>(), [(1, 3), (1, 3)], "graph: {graph}: one content, three subscriptions");
        for text in snapshot.texts() {
            assert!(app.store.read_bytes(&Key::Text(*text)).await.expect("readable").is_some());
        }
    }
}
