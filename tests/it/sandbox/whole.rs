//! Faults, the demo, determinism, the end.

use super::*;

/// A world with one event per case, all of them in `Production`.

#[tokio::test]
async fn faults_come_as_ordered_and_no_longer() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    let path = azure.events_path("");
    azure.sandbox.change(|world| {
        world.fault(Fault::throttled(7).host(HostKind::Arm).path("/EVENTS").times(1));
        world.fault(Fault::status(503).path("/events").after(1).times(1));
        world.fault(Fault::close().path("/events").times(1));
        world.fault(Fault::truncate().path("/events").times(1));
        world.fault(Fault::html().path("/events").times(1));
        world.fault(Fault::malformed_json().path("/events").times(1));
        world.fault(Fault::delay(Duration::from_secs(40)).path("/events").times(1));
    });
    azure.sandbox.forget_requests();
    let url = format!("{}{}", azure.sandbox.resource_manager().as_str().trim_end_matches('/'), path);
    let ask = async || azure.http.get(&url).bearer_auth(&token).send().await;
    let throttled = ask().await.expect("an answer");
    assert_eq!(
        (throttled.status().as_u16(), &throttled.headers()["retry-after"]),
        (429, &"7".parse().expect("a header"))
    );
    assert!(ask().await.is_err(), "the connection is closed without an answer");
    assert_eq!(ask().await.expect("an answer").status(), 503);
    let truncated = ask().await.expect("a head");
    assert_eq!(truncated.status(), 200);
    assert!(truncated.bytes().await.is_err(), "the body breaks off");
    assert!(ask().await.expect("an answer").text().await.expect("a body").starts_with("<html>"));
    assert!(ask().await.expect("an answer").json::<Value>().await.is_err());
    let before = azure.clock.time();
    assert_eq!(ask().await.expect("an answer").status(), 200);
    assert_eq!(azure.clock.time() - before, TimeDelta::seconds(40));
    assert_eq!(ask().await.expect("an answer").status(), 200);
    let seen: Vec<u16> = azure.sandbox.requests().iter().map(|one| one.status).collect();
    assert_eq!(seen, [429, 0, 503, 200, 200, 200, 200, 200]);
}

#[tokio::test]
async fn the_demo_tells_its_story_by_the_clock() {
    let mut world = World::demo(REDIRECT);
    let contoso = world.tenant_named("Contoso").expect("made");
    let works = world.tenant_named("Adventure Works").expect("made");
    world.onboarded(contoso);
    world.onboarded(works);
    let clock = TestClock::new();
    let sandbox = Sandbox::start(world, clock.clone()).await.expect("free ports");
    let id = demo_outage(clock.time());
    let outage = || {
        sandbox.change(|world| {
            world.events.get(&id).map(|event| (event.status.clone(), event.subscriptions.len(), event.updates.len()))
        })
    };
    let broken = || {
        sandbox.change(|world| {
            world
                .resources
                .values()
                .flatten()
                .filter(|one| one.state == "Unavailable" || one.state == "Degraded")
                .count()
        })
    };
    assert_eq!((outage(), broken()), (None, 0));
    clock.advance(Duration::from_secs(20));
    assert_eq!((outage(), broken()), (Some(("Active".to_owned(), 1, 1)), 3));
    clock.advance(Duration::from_secs(20));
    assert_eq!((outage(), broken()), (Some(("Active".to_owned(), 2, 2)), 6));
    clock.advance(Duration::from_secs(60));
    assert_eq!((outage(), broken()), (Some(("Resolved".to_owned(), 2, 5)), 0));
}

#[tokio::test]
async fn the_same_world_gives_the_same_bytes() {
    let bytes = async || {
        let azure = Azure::start_in(with_events).await;
        let user = azure.user_token(OLIVIA).await;
        let token = azure.app_token().await;
        let events = azure.arm(Method::GET, &azure.events_path(""), &token, None).await.text().await.expect("text");
        (user, token, events, azure.subscription)
    };
    assert_eq!(bytes().await, bytes().await);
}

#[tokio::test]
async fn what_must_stay_secret_is_known() {
    let azure = Azure::start().await;
    let code = azure.code(OLIVIA).await;
    let (_, body) = azure.redeem(&code, &[]).await;
    let secrets = azure.sandbox.secrets();
    for secret in
        [code.as_str(), body["access_token"].as_str().expect("a token"), body["id_token"].as_str().expect("a token")]
    {
        assert!(secrets.iter().any(|one| one == secret));
    }
    assert!(secrets.contains(&azure.sandbox.change(|world| world.client_secret().to_owned())));
}

#[tokio::test]
async fn a_stopped_sandbox_answers_nobody() {
    let azure = Azure::start().await;
    let url = azure.entra("common/discovery/v2.0/keys");
    assert_eq!(azure.http.get(&url).send().await.expect("an answer").status(), 200);
    azure.sandbox.stop().await;
    assert!(azure.http.get(&url).send().await.is_err());
}
