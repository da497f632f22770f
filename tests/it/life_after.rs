//! Life after onboarding: access that is lost, found again, or comes by itself.

use std::time::Duration;

use health_monitor::model::{Customer, GapReason, SubscriptionAccess, SubscriptionId, TenantId};
use health_monitor::sandbox::{Event, Role, World};
use health_monitor::store::Key;

use crate::support::TestApp;
use crate::support::builders::{customer, onboarded};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn start(build: impl FnOnce(&mut World, TenantId, SubscriptionId)) -> (TestApp, TenantId, SubscriptionId) {
    let mut world = World::new(3);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let subscription = world.subscriptions_of(tenant)[0];
    build(&mut world, tenant, subscription);
    let app = TestApp::start(world).await;
    app.watch_all().await;
    app.poll(tenant).await;
    (app, tenant, subscription)
}

async fn record(app: &TestApp, tenant: TenantId) -> Customer {
    app.app.store.read(&Key::Customer(tenant)).await.expect("readable").expect("a customer").value
}

/// Polls every ten minutes for so long, as a timer would do more often.
async fn polls(app: &TestApp, tenant: TenantId, over: Duration) {
    let until = app.clock.time() + over;
    while app.clock.time() < until {
        app.clock.advance(10 * MINUTE);
        app.poll(tenant).await;
    }
}

/// What each way to lose access is recognised as, and that it heals.
async fn lost_and_found(
    reason: GapReason,
    lose: impl FnOnce(&mut World, TenantId, SubscriptionId),
    heal: impl FnOnce(&mut World, TenantId, SubscriptionId),
) {
    let (app, tenant, subscription) = start(|_, _, _| {}).await;
    app.sandbox.change(|world| lose(world, tenant, subscription));
    // Tokens that were issued before live on for up to eighty minutes: only their end shows what was done to the principal.
    app.clock.advance(81 * MINUTE);
    app.poll(tenant).await;
    assert_eq!(app.news(tenant).await, [""; 0], "{reason:?}: one refusal is no news");
    assert_eq!(record(&app, tenant).await.subscriptions[&subscription].access, SubscriptionAccess::Active);

    polls(&app, tenant, 2 * HOUR).await;
    let word = serde_json::to_value(reason).expect("a word");
    let expected = format!("accessLost {}", word.as_str().expect("a word"));
    assert_eq!(app.news(tenant).await, [expected], "told once");
    let (_, shown) = app.call("GET", &format!("/api/v1/customers/{tenant}"), None).await;
    let shown = &shown["subscriptions"][0];
    assert_eq!((&shown["access"], &shown["lost"]["reason"]), (&"suspended".into(), &word), "{shown}");
    assert_eq!(shown["lost"]["fix"], reason.remedy());

    app.sandbox.change(|world| heal(world, tenant, subscription));
    polls(&app, tenant, 2 * HOUR).await;
    assert_eq!(
        record(&app, tenant).await.subscriptions[&subscription].access,
        SubscriptionAccess::Active,
        "{reason:?}"
    );
    assert_eq!(app.news(tenant).await[1..], ["accessRestored"], "{reason:?}: healed without a new grant");
}

fn reader(world: &mut World, tenant: TenantId, subscription: SubscriptionId) {
    let principal = world.service_principal(tenant).expect("consented");
    world.assign(subscription, principal, Role::Reader);
}

#[tokio::test]
async fn a_removed_role_is_told_after_more_than_an_hour_and_heals_by_itself() {
    let lose = |world: &mut World, tenant, subscription| {
        let principal = world.service_principal(tenant).expect("consented");
        world.unassign(subscription, principal);
    };
    lost_and_found(GapReason::AccessDenied, lose, reader).await;
}

#[tokio::test]
async fn a_disabled_application_is_told_apart_from_a_removed_one() {
    let set = |disabled: bool| {
        move |world: &mut World, tenant: TenantId, _: SubscriptionId| {
            let tenant = world.tenants.get_mut(&tenant).expect("a tenant");
            tenant.service_principal.as_mut().expect("consented").disabled = disabled;
        }
    };
    lost_and_found(GapReason::ApplicationDisabled, set(true), set(false)).await;
}

#[tokio::test]
async fn a_subscription_that_moved_away_and_back_is_told_as_moved() {
    let lose = |world: &mut World, _, subscription| {
        let other = world.tenant("Elsewhere");
        world.transfer(subscription, other);
    };
    let heal = |world: &mut World, tenant, subscription| {
        world.transfer(subscription, tenant);
        reader(world, tenant, subscription);
    };
    lost_and_found(GapReason::SubscriptionMoved, lose, heal).await;
}

#[tokio::test]
async fn a_deleted_subscription_that_is_restored_is_told_as_not_found() {
    let set = |state: &'static str| {
        move |world: &mut World, _: TenantId, subscription: SubscriptionId| {
            world.subscriptions.get_mut(&subscription).expect("a subscription").state = state.to_owned();
        }
    };
    lost_and_found(GapReason::SubscriptionNotFound, set("Deleted"), set("Enabled")).await;
}

#[tokio::test]
async fn a_withdrawn_consent_is_told_and_a_principal_made_anew_is_recognised() {
    let (app, tenant, subscription) = start(|_, _, _| {}).await;
    let old = record(&app, tenant).await.service_principal_id();
    app.sandbox.change(|world| world.withdraw_consent(tenant));
    app.clock.advance(81 * MINUTE);
    polls(&app, tenant, 2 * HOUR).await;
    assert_eq!(app.news(tenant).await, ["accessLost consentWithdrawn"]);

    let new = app.sandbox.change(|world| world.consent(tenant));
    polls(&app, tenant, 3 * HOUR).await;
    let lost = record(&app, tenant).await.subscriptions[&subscription].lost.clone().expect("still lost");
    assert_eq!(lost.reason, GapReason::PrincipalRecreated, "the roles of the old principal are gone");
    assert_eq!(record(&app, tenant).await.service_principal_id(), old);

    app.sandbox.change(|world| world.assign(subscription, new, Role::Reader));
    polls(&app, tenant, 2 * HOUR).await;
    let healed = record(&app, tenant).await;
    assert_eq!(healed.subscriptions[&subscription].access, SubscriptionAccess::Active);
    assert_eq!(healed.service_principal_id(), Some(new), "it reads for us: it is ours");
}

#[tokio::test]
async fn passing_trouble_of_azure_never_becomes_lost_access() {
    use health_monitor::sandbox::{Fault, HostKind};
    let (app, tenant, subscription) = start(|_, _, _| {}).await;
    app.sandbox.change(|world| world.fault(Fault::status(503).host(HostKind::Arm)));
    polls(&app, tenant, 5 * HOUR).await;
    assert_eq!(record(&app, tenant).await.subscriptions[&subscription].access, SubscriptionAccess::Active);
    assert!(!app.news(tenant).await.iter().any(|news| news.starts_with("accessLost")));
}

#[tokio::test]
async fn a_fresh_grant_that_spreads_is_no_failure_for_half_an_hour_and_attention_after() {
    let mut world = World::new(3);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let subscription = world.subscriptions_of(tenant)[0];
    let principal = world.service_principal(tenant).expect("consented");
    let mut fresh = customer(&world, tenant);
    fresh.subscriptions.get_mut(&subscription).expect("watched").granted_at = Some(world.now());
    world.unassign(subscription, principal);
    let app = TestApp::start(world).await;
    app.app.store.create(&Key::Customer(tenant), &fresh).await.expect("new");
    app.poll(tenant).await;
    polls(&app, tenant, 20 * MINUTE).await;
    let gap = app.snapshot(tenant).await.coverage[&subscription].events.gap.clone().expect("not readable yet");
    assert_eq!(gap.reason, GapReason::Propagating);
    assert_eq!(record(&app, tenant).await.subscriptions[&subscription].access, SubscriptionAccess::Propagating);

    polls(&app, tenant, 30 * MINUTE).await;
    assert_eq!(record(&app, tenant).await.subscriptions[&subscription].access, SubscriptionAccess::Attention);
    assert_eq!(app.news(tenant).await, [""; 0], "nothing was lost yet");
    app.sandbox.change(|world| reader(world, tenant, subscription));
    polls(&app, tenant, 2 * HOUR).await;
    assert_eq!(record(&app, tenant).await.subscriptions[&subscription].access, SubscriptionAccess::Active);
}

#[tokio::test]
async fn what_is_lost_is_probed_hourly_for_a_day_and_daily_after() {
    let (app, tenant, subscription) = start(|_, _, _| {}).await;
    app.sandbox.change(|world| {
        let principal = world.service_principal(tenant).expect("consented");
        world.unassign(subscription, principal);
    });
    polls(&app, tenant, 3 * HOUR).await;
    let probes = async |over: Duration| {
        app.sandbox.forget_requests();
        polls(&app, tenant, over).await;
        let asked = app.sandbox.requests();
        asked.iter().filter(|one| one.path.contains("/events")).count()
    };
    let first = probes(10 * HOUR).await;
    assert!((8..=11).contains(&first), "hourly: {first}");
    app.clock.advance(24 * HOUR);
    app.poll(tenant).await;
    let later = probes(48 * HOUR).await;
    assert!((1..=3).contains(&later), "daily: {later}");
}

#[tokio::test]
async fn a_new_subscription_within_reach_is_found_watched_and_told_once() {
    let (app, tenant, _) = start(|_, _, _| {}).await;
    let (new, out_of_reach) = app.sandbox.change(|world| {
        let new = world.subscription(tenant, "Brand new");
        reader(world, tenant, new);
        (new, world.subscription(tenant, "Out of reach"))
    });
    polls(&app, tenant, 2 * HOUR).await;
    let customer = record(&app, tenant).await;
    assert!(!customer.subscriptions.contains_key(&out_of_reach));
    let found = &customer.subscriptions[&new];
    assert_eq!((found.access, found.discovered), (SubscriptionAccess::Active, true));
    assert_eq!(app.news(tenant).await, ["subscriptionAdded"]);
}

#[tokio::test]
async fn a_disabled_subscription_is_told_when_azure_keeps_saying_so_and_stays_readable() {
    let (app, tenant, subscription) = start(|_, _, _| {}).await;
    let set = |state: &str| {
        let state = state.to_owned();
        app.sandbox.change(|world| world.subscriptions.get_mut(&subscription).expect("one").state = state);
    };
    set("Disabled");
    polls(&app, tenant, HOUR + 20 * MINUTE).await;
    assert_eq!(app.news(tenant).await, [""; 0], "said once is not confirmed");
    polls(&app, tenant, 2 * HOUR).await;
    assert_eq!(app.news(tenant).await, ["subscriptionStateChanged"]);
    let one = record(&app, tenant).await.subscriptions[&subscription].clone();
    assert_eq!((one.access, one.state.as_deref()), (SubscriptionAccess::Active, Some("Disabled")));
    set("Enabled");
    polls(&app, tenant, 2 * HOUR).await;
    assert_eq!(app.news(tenant).await.len(), 2, "good news is told at once");
}

#[tokio::test]
async fn texts_of_security_advisories_are_had_where_the_role_was_granted_and_a_refusal_is_remembered() {
    let advisory = |world: &mut World, _: TenantId, subscription| {
        let now = world.now();
        let event = Event::security_advisory("SEC1-ADV", "Look at your keys", now).text(now, "<p>Rotate them.</p>");
        world.event(event.hits([subscription]));
    };
    let (app, tenant, subscription) = start(advisory).await;
    let text = async || {
        let (_, events) = app.call("GET", &format!("/api/v1/customers/{tenant}/events"), None).await;
        !events["value"][0]["textWithheld"].as_bool().expect("a flag")
    };
    assert!(!text().await, "Reader alone gets no text");
    // Agreed to, but the role is not there: asked once, and not again with every poll.
    let key = Key::Customer(tenant);
    let before = app.app.store.read::<Customer>(&key).await.expect("readable").expect("a customer");
    let mut after = before.value.clone();
    after.subscriptions.get_mut(&subscription).expect("one").tiers =
        [health_monitor::model::AccessTier::SecurityAdvisories].into();
    app.app.store.replace(&key, &before, &after).await.expect("written");
    app.sandbox.forget_requests();
    polls(&app, tenant, 2 * HOUR).await;
    let asked = app.sandbox.requests().iter().filter(|one| one.path.contains("fetchEventDetails")).count();
    assert_eq!(asked, 1, "the refusal is remembered");
    app.sandbox.change(|world| {
        let principal = world.service_principal(tenant).expect("consented");
        world.assign(subscription, principal, Role::ServiceHealthSecurityReader);
    });
    polls(&app, tenant, 25 * HOUR).await;
    assert!(text().await, "now it is there");
    app.sandbox.forget_requests();
    polls(&app, tenant, 3 * HOUR).await;
    assert!(text().await, "an answer that withholds the text does not take it back");
    assert!(!app.sandbox.requests().iter().any(|one| one.path.contains("fetchEventDetails")), "once per version");
}

#[tokio::test]
async fn events_of_the_tenant_itself_are_read_where_a_role_of_the_directory_lets_us() {
    let (app, tenant, _) = start(|world, tenant, _| {
        let event = Event::service_issue("ENT1-RA", "Sign-in is slow", world.now());
        world.tenant_events.push((tenant, event));
    })
    .await;
    let key = Key::Customer(tenant);
    let before = app.app.store.read::<Customer>(&key).await.expect("readable").expect("a customer");
    let tiers = [health_monitor::model::AccessTier::TenantEvents].into();
    app.app.store.replace(&key, &before, &Customer { tiers, ..before.value.clone() }).await.expect("written");
    polls(&app, tenant, HOUR).await;
    let receipt = app.call("GET", &format!("/api/v1/customers/{tenant}/receipt"), None).await.1;
    assert_eq!(receipt["tiers"][2]["works"], false, "{receipt}");
    assert!(receipt["tiers"][2]["how"].as_str().expect("what to do").contains("Global Reader"));
    app.sandbox.change(|world| {
        let principal = world.service_principal(tenant).expect("consented");
        world.directory_readers.insert(principal);
    });
    polls(&app, tenant, 3 * HOUR).await;
    let (_, events) = app.call("GET", &format!("/api/v1/customers/{tenant}/events"), None).await;
    assert_eq!(events["value"][0]["trackingId"], "ENT1-RA", "{events}");
    let receipt = app.call("GET", &format!("/api/v1/customers/{tenant}/receipt"), None).await.1;
    assert_eq!(receipt["tiers"][2]["works"], true);
}
