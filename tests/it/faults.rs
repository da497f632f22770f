//! A poll that is cut off at any of its writes, before or after the write took effect, is healed by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use health_monitor::app::App;
use health_monitor::model::{TenantId, TransitionId};
use health_monitor::poll;
use health_monitor::rehearsal::cut::{Boundary, Cut, CutOff};
use health_monitor::sandbox::Event;
use health_monitor::store::Key;

use crate::support::builders::polled;
use crate::support::{TestApp, over};

/// A polled customer, at whom something happened since.
async fn before_the_cut() -> (TestApp, TenantId) {
    let (app, tenant, all) = polled(2).await;
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

/// The same app over documents that are cut off at a write.
fn cut_off(app: &TestApp, boundary: Boundary) -> Arc<App> {
    over(app, CutOff::new(Arc::clone(&app.backend), boundary))
}

#[tokio::test]
async fn a_poll_cut_off_at_any_write_loses_nothing_and_tells_nothing_twice() {
    let (clean, tenant) = before_the_cut().await;
    let all = Boundary::new(usize::MAX, Cut::FailsBefore);
    poll::poll_tenant(&cut_off(&clean, all.clone()), tenant).await.expect("nothing fails");
    let writes = all.passed();
    assert!(writes >= 4, "texts, snapshot and timeline are written: {writes}");
    let expected = told(&clean, tenant).await;
    assert!(expected.len() >= 2);
    let expected_events = clean.snapshot(tenant).await.events;

    let mut outcomes = BTreeMap::new();
    for cut in [Cut::FailsBefore, Cut::FailsAfter] {
        for at in 0..writes {
            let (app, tenant) = before_the_cut().await;
            let broken = cut_off(&app, Boundary::new(at, cut));
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
