//! Our application's own tokens: asked for once, kept, and not asked for again when refused.

use std::time::Duration;

use health_monitor::azure;
use health_monitor::model::GapReason;
use health_monitor::model::TenantId;
use health_monitor::sandbox::{Fault, HostKind, World};

use crate::support::TestApp;

async fn start(prepare: impl FnOnce(&mut World, TenantId)) -> (TestApp, TenantId) {
    let mut world = World::new(5);
    let tenant = world.tenant("Contoso");
    world.consent(tenant);
    prepare(&mut world, tenant);
    (TestApp::start(world).await, tenant)
}

fn asked(app: &TestApp) -> usize {
    app.sandbox.requests().iter().filter(|one| one.path.ends_with("/token")).count()
}

#[tokio::test]
async fn a_hundred_callers_at_once_ask_entra_once_and_again_shortly_before_the_end() {
    let (app, tenant) = start(|_, _| {}).await;
    let calls = (0..100).map(|_| app.app.azure.app_token(tenant));
    let tokens = futures_util::future::join_all(calls).await;
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(asked(&app), 1);
    // The sandbox's tokens live 4799 seconds.
    app.clock.advance(Duration::from_secs(4799 - 301));
    app.app.azure.app_token(tenant).await.expect("a token");
    assert_eq!(asked(&app), 1);
    app.clock.advance(Duration::from_secs(1));
    app.app.azure.app_token(tenant).await.expect("a token");
    assert_eq!(asked(&app), 2);
}

#[tokio::test]
async fn a_refusal_stands_for_a_minute_and_harms_no_other_tenant() {
    let mut stranger = None;
    let (app, tenant) = start(|world, _| stranger = Some(world.tenant("Litware"))).await;
    let stranger = stranger.expect("made");
    for _ in 0..5 {
        let refused = app.app.azure.app_token(stranger).await;
        assert!(matches!(refused, Err(azure::Error::TokenRefused(refusal)) if refusal.codes == [7_000_229]));
    }
    assert_eq!(asked(&app), 1);
    app.app.azure.app_token(tenant).await.expect("the other tenant has its token");
    app.sandbox.change(|world| world.consent(stranger));
    app.clock.advance(Duration::from_secs(60));
    app.app.azure.app_token(stranger).await.expect("asked again after a minute");
}

#[tokio::test]
async fn after_entras_loop_detection_we_keep_still_for_minutes() {
    let (app, tenant) = start(|world, _| {
        let body = r#"{"error":"invalid_grant","error_codes":[50196],"error_description":"AADSTS50196: Loop."}"#;
        world.fault(Fault::status(400).host(HostKind::Entra).path("/token").times(1).body(body, "application/json"));
    })
    .await;
    assert!(app.app.azure.app_token(tenant).await.is_err());
    app.clock.advance(Duration::from_secs(4 * 60));
    let refused = app.app.azure.app_token(tenant).await.expect_err("not asked again");
    assert_eq!(refused.gap_reason(), GapReason::Throttled);
    assert_eq!(asked(&app), 1);
    app.clock.advance(Duration::from_secs(60));
    app.app.azure.app_token(tenant).await.expect("asked again after five minutes");
}

#[tokio::test]
async fn a_bad_secret_is_tried_once_and_not_once_per_customer() {
    let mut tenants = Vec::new();
    let (app, _) = start(|world, _| {
        tenants = (0..20).map(|n| world.tenant(&format!("Customer {n}"))).collect();
        for tenant in &tenants {
            world.consent(*tenant);
        }
    })
    .await;
    app.sandbox.change(|world| world.application.secrets.clear());
    for tenant in &tenants {
        assert!(app.app.azure.app_token(*tenant).await.is_err());
    }
    assert_eq!(asked(&app), 1);
}

#[tokio::test]
async fn while_entra_fails_the_old_token_serves_and_entra_is_left_alone_as_long_as_it_asked() {
    let (app, tenant) = start(|_, _| {}).await;
    app.app.azure.app_token(tenant).await.expect("a token");
    app.sandbox.change(|world| world.fault(Fault::throttled(600).host(HostKind::Entra).path("/token")));
    app.clock.advance(Duration::from_secs(4799 - 200));
    for _ in 0..5 {
        app.app.azure.app_token(tenant).await.expect("the old token still lives");
    }
    assert_eq!(asked(&app), 2);
    app.clock.advance(Duration::from_secs(200));
    let throttled = app.app.azure.app_token(tenant).await;
    assert!(matches!(throttled, Err(azure::Error::Throttled { retry_after: Some(left) }) if left.as_secs() == 400));
    assert_eq!(asked(&app), 2);
    app.sandbox.change(|world| world.faults.clear());
    app.clock.advance(Duration::from_secs(400));
    app.app.azure.app_token(tenant).await.expect("a token after the rest");
}

#[tokio::test]
async fn a_short_failure_of_entra_is_sat_out() {
    let (app, tenant) =
        start(|world, _| world.fault(Fault::status(503).host(HostKind::Entra).path("/token").times(2))).await;
    app.app.azure.app_token(tenant).await.expect("the third try");
    assert_eq!(asked(&app), 3);
}
