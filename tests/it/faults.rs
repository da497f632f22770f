//! A poll that is cut off at any of its writes, before or after the write took effect, is healed by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use health_monitor::app::App;
use health_monitor::model::{SubscriptionId, TenantId, TransitionId};
use health_monitor::outside::{Outside, http_client};
use health_monitor::poll;
use health_monitor::sandbox::{Event, Resource, World};
use health_monitor::store::{Backend, Blob, ETag, Error, Key, Listed, Memory};

use crate::support::builders::onboarded;
use crate::support::{SeededRandom, TestApp};

/// Where the cut is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The write did not happen.
    Before,
    /// The write happened, but nobody heard of it.
    After,
}

/// Documents whose n-th write and everything after it fails: as if the process had ended there.
#[derive(Debug)]
struct CutOff {
    inner: Arc<Memory>,
    cut: Cut,
    at: usize,
    writes: AtomicUsize,
}

impl CutOff {
    fn gone() -> Error {
        Error::Unavailable { doing: "write".to_owned(), source: "the process ended here".into() }
    }

    /// Does a write unless the cut is before it.
    async fn write<T>(&self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        match number.cmp(&self.at) {
            std::cmp::Ordering::Less => write.await,
            std::cmp::Ordering::Equal if self.cut == Cut::After => {
                write.await?;
                Err(Self::gone())
            }
            _ => Err(Self::gone()),
        }
    }
}

#[async_trait]
impl Backend for CutOff {
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error> {
        self.inner.get(path).await
    }

    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error> {
        self.write(self.inner.create(path, body)).await
    }

    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        self.write(self.inner.update(path, body, etag)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.write(self.inner.delete(path)).await
    }
}

/// A polled customer, at whom something happened since.
async fn before_the_cut() -> (TestApp, TenantId) {
    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", 2);
    let all: Vec<SubscriptionId> = world.subscriptions_of(tenant);
    let now = world.now();
    world.resource(all[0], Resource::virtual_machine("vm1", "westeurope", now));
    let app = TestApp::start(world).await;
    app.watch_all().await;
    app.poll(tenant).await;
    app.clock.advance(Duration::from_secs(60));
    app.sandbox.change(|world| {
        let at = app.clock.time();
        let event =
            Event::service_issue("OUT1-AGE", "Virtual Machines", at).text(at, "<p>First.</p>").hits(all.clone());
        world.event(event.text(at, "<p>Second.</p>").service("Virtual Machines", &["West Europe"]));
        world.change_resource(all[0], "vm1", |vm, _| vm.becomes("Unavailable", at, "Down."));
    });
    (app, tenant)
}

async fn told(app: &TestApp, tenant: TenantId) -> BTreeSet<TransitionId> {
    app.timeline(tenant).await.into_iter().map(|transition| transition.id).collect()
}

/// The same app over documents that fail from a write on.
fn cut_off(app: &TestApp, at: usize, cut: Cut) -> (Arc<App>, Arc<CutOff>) {
    let backend = Arc::new(CutOff { inner: Arc::clone(&app.backend), cut, at, writes: AtomicUsize::new(0) });
    let outside = Outside {
        clock: app.clock.clone(),
        random: SeededRandom::new(2),
        http: http_client().expect("a client"),
        backend: backend.clone(),
    };
    (App::new(app.app.settings.clone(), outside), backend)
}

#[tokio::test]
async fn a_poll_cut_off_at_any_write_loses_nothing_and_tells_nothing_twice() {
    let (clean, tenant) = before_the_cut().await;
    let (counting, writes) = cut_off(&clean, usize::MAX, Cut::Before);
    poll::poll_tenant(&counting, tenant).await.expect("nothing fails");
    let writes = writes.writes.load(Ordering::SeqCst);
    assert!(writes >= 4, "texts, snapshot and timeline are written: {writes}");
    let expected = told(&clean, tenant).await;
    assert!(expected.len() >= 2);
    let expected_events = clean.snapshot(tenant).await.events;

    let mut outcomes = BTreeMap::new();
    for cut in [Cut::Before, Cut::After] {
        for at in 0..writes {
            let (app, tenant) = before_the_cut().await;
            let (broken, _) = cut_off(&app, at, cut);
            poll::poll_tenant(&broken, tenant).await.expect_err("it was cut off");
            app.clock.advance(Duration::from_secs(60));
            app.poll(tenant).await;
            assert_eq!(told(&app, tenant).await, expected, "cut {cut:?} write {at}");
            let snapshot = app.snapshot(tenant).await;
            assert_eq!(
                snapshot.events.keys().collect::<Vec<_>>(),
                expected_events.keys().collect::<Vec<_>>(),
                "cut {cut:?} write {at}"
            );
            for text in snapshot.events.values().flat_map(|record| record.contents.values()).flat_map(|c| c.texts()) {
                let stored = app.app.store.read_bytes(&Key::Text(*text)).await.expect("readable");
                assert!(stored.is_some(), "cut {cut:?} write {at}: a text is missing");
            }
            outcomes.insert((format!("{cut:?}"), at), "healed");
        }
    }
    assert_eq!(outcomes.len(), 2 * writes);
}
