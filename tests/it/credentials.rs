//! Every way to prove who we are, through the main job; what is refused, and what never shows.

use std::time::Duration;

use health_monitor::azure;
use health_monitor::hosts::work::{self, Work};
use health_monitor::model::{GapReason, Timeline, TransitionKind};
use health_monitor::poll;
use health_monitor::sandbox::visitor::Choice;
use health_monitor::sandbox::{Event, Fault, FederatedCredential, HostKind, Role, Sandbox, World};
use health_monitor::store::{Backend as _, Key, Month, Versioned};

use crate::support::TestApp;
use crate::support::log::listen;

const PASSWORD: &str = "fixture-password";

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/certificates/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Settings with another credential than the secret.
fn instead<'a>(credential: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("AZURE_CLIENT_SECRET", "")], credential].concat()
}

fn world() -> World {
    let mut world = World::new(21);
    let tenant = world.tenant("Contoso");
    let owner = world.user(tenant, "Olivia Owner");
    let subscription = world.subscription(tenant, "Production");
    world.assign(subscription, owner, Role::Owner);
    let now = world.now();
    world.event(Event::service_issue("OUT1-AGE", "Storage is slow", now).hits([subscription]));
    world.certificate(&std::fs::read(fixture("app-public.pem")).expect("the fixture"));
    world
}

/// Trusts the managed identity as the application, as `register` would.
fn federate(app: &TestApp) {
    let home = app.sandbox.change(|world| world.application.home);
    let issuer = app.sandbox.issuer(home);
    app.sandbox.change(|world| {
        let subject = world.managed_identity.principal_id.to_string();
        let audience = "api://AzureADTokenExchange".to_owned();
        let one = FederatedCredential { name: "mi-fn".to_owned(), issuer, subject, audience };
        world.application.registration.federated.push(one);
    });
}

/// Onboards, polls and asks; then looks for every secret in what was shown, kept and logged.
async fn main_job(app: &TestApp, more_secrets: &[String]) {
    let heard = listen();
    let mut visitor = app.visitor();
    let start = app.url("/api/consent/start");
    let sign_in = visitor.open(&start).await.expect("an answer");
    let chooser = visitor.sign_in(&sign_in, "olivia.owner@contoso.example").await.expect("the sign-in page");
    let done = visitor.grant(&chooser, Choice::All).await.expect("the form");
    assert_eq!(done.status, 200, "{}", done.text());
    let tenant = app.sandbox.change(|world| world.tenant_named("Contoso").expect("made"));
    let report = poll::poll_tenant(&app.app, tenant).await.expect("polled");
    assert_eq!((report.read, report.gaps, report.transitions), (1, 0, 1));
    let health = visitor.get(app.url(&format!("/api/v1/customers/{tenant}/health"))).await.expect("an answer");
    assert!(health.body.contains("OUT1-AGE"), "{}", health.body);
    let ready = visitor.get(app.url("/api/probe/ready")).await.expect("an answer");
    assert_eq!(ready.status, 200, "{}", ready.body);

    let mut kept = String::new();
    for folder in ["customers/", "invites/", "sessions/", "health/", "texts/", "timeline/"] {
        for listed in app.backend.list(folder).await.expect("a listing") {
            let blob = app.backend.get(&listed.path).await.expect("readable").expect("it was listed");
            kept.push_str(&String::from_utf8_lossy(&blob.body));
        }
    }
    let log = heard.text();
    assert!(log.contains("polled a customer") && kept.contains("OUT1-AGE"), "log and store were read");
    let addresses: String = app.sandbox.requests().into_iter().map(|one| one.path + "?" + &one.query).collect();
    let debug = format!("{:?}", app.app);
    let mut secrets = app.sandbox.secrets();
    secrets.retain(|secret| !secret.starts_with("0.sandbox-"));
    secrets.extend_from_slice(more_secrets);
    for secret in secrets {
        for (place, text) in [
            ("page", &chooser.body),
            ("page", &done.body),
            ("answer", &health.body),
            ("store", &kept),
            ("log", &log),
            ("address", &addresses),
            ("Debug", &debug),
        ] {
            assert!(!text.contains(&secret), "a secret is in the {place}: {:.20}", secret);
        }
    }
}

/// The lines of a PEM file's private key.
fn key_lines(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(fixture(name)).expect("the fixture");
    let (_, key) = text.split_once("PRIVATE KEY-----\n").expect("a key");
    key.lines().take_while(|line| !line.starts_with("-----")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_main_job_is_done_with_a_secret_and_nothing_secret_shows() {
    main_job(&TestApp::start(world()).await, &[]).await;
}

#[tokio::test]
async fn the_main_job_is_done_with_a_certificate_in_each_shape_and_nothing_secret_shows() {
    for (file, password, algorithm) in [
        ("app.pem", "", ""),
        ("app-pkcs1.pem", "", "RS256"),
        ("app.pfx", PASSWORD, "PS256"),
        ("app-legacy.pfx", PASSWORD, "RS256"),
    ] {
        let path = fixture(file);
        let settings = instead(&[
            ("AZURE_CLIENT_CERTIFICATE_PATH", &path),
            ("AZURE_CLIENT_CERTIFICATE_PASSWORD", password),
            ("AZURE_CLIENT_CERTIFICATE_ALGORITHM", algorithm),
        ]);
        let app = TestApp::start_with(world(), &settings).await;
        app.sandbox.change(|world| world.application.secrets.clear());
        let secrets = [key_lines("app.pem"), key_lines("app-pkcs1.pem"), vec![PASSWORD.to_owned()]].concat();
        main_job(&app, &secrets).await;
    }
}

#[tokio::test]
async fn the_main_job_is_done_with_a_managed_identity_that_is_asked_once() {
    let world = world();
    let identity = world.managed_identity.client_id.to_string();
    let app = TestApp::start_with(world, &instead(&[("MANAGED_IDENTITY_CLIENT_ID", &identity)])).await;
    app.sandbox.change(|world| world.application.secrets.clear());
    federate(&app);
    main_job(&app, &[]).await;
    let asked = || app.sandbox.requests().iter().filter(|one| one.host == HostKind::Identity).count();
    assert_eq!(asked(), 1, "its token serves for the code, the customer and the partner's tenant");
    let partner = app.app.settings.identity.tenant_id;
    app.clock.advance(Duration::from_secs(24 * 3600 - 299));
    app.app.azure.app_token(partner).await.expect("a token");
    assert_eq!(asked(), 2, "asked again by expires_on");
}

#[tokio::test]
async fn the_main_job_is_done_with_a_token_file_that_is_read_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    let path = file.to_str().expect("a path").to_owned();
    let app = TestApp::start_with(world(), &instead(&[("AZURE_FEDERATED_TOKEN_FILE", &path)])).await;
    let (issuer, subject, audience) =
        ("https://oidc.cluster.example/", "system:serviceaccount:health:monitor", "api://AzureADTokenExchange");
    app.sandbox.change(|world| {
        world.application.secrets.clear();
        world.application.registration.federated.push(FederatedCredential {
            name: "cluster".to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: audience.to_owned(),
        });
    });
    let tenant = app.app.settings.identity.tenant_id;
    let missing = app.app.azure.app_token(tenant).await.expect_err("no file");
    assert!(matches!(missing, azure::Error::Credential { .. }) && missing.gap_reason() == GapReason::CredentialRefused);
    let write = |life: u64| {
        let token = app.sandbox.federated_token(issuer, subject, audience, Duration::from_secs(life));
        std::fs::write(&file, format!("{token}\n")).expect("written");
    };
    write(600);
    main_job(&app, &[]).await;
    // The first one has ended; what is in the file now counts.
    app.clock.advance(Duration::from_secs(2 * 3600));
    let ended = app.app.azure.app_token(tenant).await.expect_err("the old token");
    assert!(matches!(&ended, azure::Error::TokenRefused(refusal) if refusal.codes == [700_024]), "{ended}");
    write(600);
    app.clock.advance(Duration::from_secs(60));
    app.app.azure.app_token(tenant).await.expect("the new token");
}

#[tokio::test]
async fn each_refusal_of_an_assertion_is_an_alarm_of_ours_and_is_asked_once() {
    /// The code, the credential, and what is wrong with the world.
    type Case<'a> = (u32, &'a [(&'a str, String)], fn(&mut World));
    let certificate = |name: &str| vec![("AZURE_CLIENT_CERTIFICATE_PATH", fixture(name))];
    let identity = vec![("MANAGED_IDENTITY_CLIENT_ID", world().managed_identity.client_id.to_string())];
    let secret = vec![];
    let cases: [Case<'_>; 15] = [
        (700_027, &certificate("stranger.pem"), |_| ()),
        (700_027, &certificate("app.pem"), |world| world.application.registration.certificates.clear()),
        (700_030, &certificate("app.pem"), |world| world.entra.client_refused = Some(700_030)),
        (50_012, &certificate("app.pem"), |world| world.entra.client_refused = Some(50_012)),
        (50_013, &certificate("app.pem"), |world| world.entra.client_refused = Some(50_013)),
        (50_048, &certificate("app.pem"), |world| world.entra.client_refused = Some(50_048)),
        (70_021, &identity, |world| world.application.registration.federated.clear()),
        (700_211, &identity, |world| world.application.registration.federated[0].issuer.push('/')),
        (700_212, &identity, |world| world.application.registration.federated[0].audience.push('X')),
        (700_213, &identity, |world| world.application.registration.federated[0].subject.push('0')),
        (700_222, &identity, |world| world.entra.client_refused = Some(700_222)),
        (7_000_215, &secret, |world| world.application.secrets.clear()),
        (7_000_222, &secret, |world| world.application.secrets[0].expires_at = Some(world.now())),
        (7_000_218, &secret, |world| world.entra.client_refused = Some(7_000_218)),
        (700_025, &secret, |world| world.entra.client_refused = Some(700_025)),
    ];
    for (code, credential, spoil) in cases {
        let pairs: Vec<_> = credential.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let settings = if pairs.is_empty() { Vec::new() } else { instead(&pairs) };
        let app = TestApp::start_with(world(), &settings).await;
        federate(&app);
        app.sandbox.change(spoil);
        let tenants = app.sandbox.change(|world| {
            let mut tenants = Vec::new();
            for n in 0..3 {
                let tenant = world.tenant(&format!("Customer {n}"));
                world.consent(tenant);
                tenants.push(tenant);
            }
            tenants
        });
        for tenant in tenants {
            let error = app.app.azure.app_token(tenant).await.expect_err("refused");
            assert_eq!(error.gap_reason(), GapReason::CredentialRefused, "{code}");
            let azure::Error::TokenRefused(refusal) = error else { panic!("{code}: {error}") };
            assert_eq!(refusal.codes, [code]);
            assert!(refusal.remedy().is_some(), "{code} has a remedy");
        }
        let asked = app.sandbox.requests().iter().filter(|one| one.path.ends_with("/token")).count();
        // The identity's own endpoint ends in /token too.
        let wanted = if credential == identity.as_slice() { 2 } else { 1 };
        assert_eq!(asked, wanted, "{code}: once, not once per customer");
    }
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_refused_by_its_date() {
    let path = fixture("app.pem");
    let app = TestApp::start_with(world(), &instead(&[("AZURE_CLIENT_CERTIFICATE_PATH", &path)])).await;
    let tenant = app.app.settings.identity.tenant_id;
    app.app.azure.app_token(tenant).await.expect("a token in January");
    app.clock.advance(Duration::from_secs(140 * 24 * 3600));
    let ended = app.app.azure.app_token(tenant).await.expect_err("ended on the first of June");
    assert!(matches!(ended, azure::Error::TokenRefused(refusal) if refusal.codes == [700_027]));
}

#[tokio::test]
async fn an_identity_that_is_not_assigned_is_told_apart_from_a_platform_that_fails() {
    let world = world();
    let identity = world.managed_identity.client_id.to_string();
    let app = TestApp::start_with(world, &instead(&[("MANAGED_IDENTITY_CLIENT_ID", &identity)])).await;
    federate(&app);
    let tenant = app.app.settings.identity.tenant_id;
    app.sandbox.change(|world| world.managed_identity.assigned = false);
    let error = app.app.azure.app_token(tenant).await.expect_err("not assigned");
    assert!(error.to_string().contains("not assigned to this app"), "{error}");
    app.sandbox.change(|world| {
        world.managed_identity.assigned = true;
        world.fault(Fault::status(500).host(HostKind::Identity).times(1));
    });
    app.clock.advance(Duration::from_secs(5));
    app.app.azure.app_token(tenant).await.expect("the second try of the platform");
}

#[tokio::test]
async fn the_old_token_serves_while_the_next_is_fetched_at_the_time_that_entra_named() {
    let mut world = world();
    world.entra.refresh_in = Some(Duration::from_secs(1000));
    let app = TestApp::start(world).await;
    let tenant = app.app.settings.identity.tenant_id;
    let asked = || app.sandbox.requests().iter().filter(|one| one.path.ends_with("/token")).count();
    // The sandbox answers each request in turn; a background request needs the loop to go round.
    let settle = async |wanted: usize| {
        for _ in 0..400 {
            if asked() >= wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(asked(), wanted);
    };
    app.app.azure.app_token(tenant).await.expect("a token");
    app.clock.advance(Duration::from_secs(1000));
    app.sandbox.change(|world| world.fault(Fault::throttled(100).host(HostKind::Entra).path("/token").times(1)));
    for _ in 0..20 {
        app.app.azure.app_token(tenant).await.expect("the old one, at once");
    }
    settle(2).await;
    app.app.azure.app_token(tenant).await.expect("it failed, and the old one goes on");
    settle(2).await;
    app.clock.advance(Duration::from_secs(100));
    for _ in 0..20 {
        app.app.azure.app_token(tenant).await.expect("the old one, at once");
    }
    settle(3).await;
    app.clock.advance(Duration::from_secs(999));
    app.app.azure.app_token(tenant).await.expect("the new one");
    settle(3).await;
}

#[tokio::test]
async fn the_end_of_our_credential_is_told_once_for_each_threshold() {
    let path = fixture("app.pem");
    let app = TestApp::start_with(world(), &instead(&[("AZURE_CLIENT_CERTIFICATE_PATH", &path)])).await;
    let timer = async || work::run(&app.app, Work::PollTimer, work::DEADLINE).await.expect("planned");
    let told = async || {
        let mut told = Vec::new();
        for listed in app.backend.list("timeline/partner/").await.expect("a listing") {
            let month = listed.path.trim_start_matches("timeline/partner/").trim_end_matches(".json").to_owned();
            let at = format!("{month}-02T00:00:00Z").parse().expect("a time");
            let timeline: Versioned<Timeline> =
                app.app.store.read(&Key::PartnerTimeline(Month::of(at))).await.expect("readable").expect("listed");
            for transition in timeline.value.transitions.into_values() {
                assert_eq!(transition.tenant_id, app.app.settings.identity.tenant_id);
                // Between the runs of this test the monitor is silent for hours, which it says.
                let (within_days, credential) = match transition.kind {
                    TransitionKind::CredentialExpiring { within_days, credential, .. } => (within_days, credential),
                    TransitionKind::MonitorWasSilent { .. } => continue,
                    other => panic!("{other:?}"),
                };
                assert!(credential.starts_with("certificate "));
                told.push(within_days);
            }
        }
        told.sort_unstable();
        told
    };
    let day = Duration::from_secs(24 * 3600);
    timer().await;
    assert_eq!(told().await, Vec::<u16>::new(), "in January there is time");
    // From the middle of April to the middle of July, twice a day.
    app.clock.advance(90 * day);
    for _ in 0..180 {
        timer().await;
        app.clock.advance(day / 2);
    }
    assert_eq!(told().await, [0, 1, 7, 14, 30]);
}

#[tokio::test]
async fn a_replayed_assertion_is_refused_and_so_is_one_for_another_tenant() {
    let path = fixture("app.pem");
    let app = TestApp::start_with(world(), &instead(&[("AZURE_CLIENT_CERTIFICATE_PATH", &path)])).await;
    let identity = &app.app.settings.identity;
    app.app.azure.app_token(identity.tenant_id).await.expect("a token");
    // The first secret that the sandbox saw beside its own is our assertion.
    let assertion = app.sandbox.secrets().into_iter().find(|one| one.split('.').count() == 3).expect("an assertion");
    let other = app.sandbox.change(|world| world.tenant("Litware"));
    for (tenant, text) in [(identity.tenant_id, "was used before"), (other, "audience is not the token endpoint")] {
        let url = format!("{}{tenant}/oauth2/v2.0/token", app.sandbox.authority_host());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &identity.client_id.to_string()),
            ("scope", "https://management.azure.com/.default"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        let http = health_monitor::outside::http_client().expect("a client");
        let answer = http.post(url).form(&form).send().await.expect("an answer");
        assert_eq!(answer.status(), 401);
        let body = answer.text().await.expect("a body");
        assert!(body.contains(text), "{body}");
    }
}

#[tokio::test]
async fn a_customer_who_signs_in_while_our_credential_is_refused_learns_only_that_it_is_our_fault() {
    let heard = listen();
    for code in [700_027, 50_012, 50_013, 700_030, 50_048, 70_021, 700_211, 700_212, 700_213, 7_000_215, 7_000_222] {
        let mut world = world();
        world.entra.client_refused = Some(code);
        let app = TestApp::start(world).await;
        let mut visitor = app.visitor();
        let sign_in = visitor.open(app.url("/api/consent/start")).await.expect("an answer");
        let page = visitor.sign_in(&sign_in, "olivia.owner@contoso.example").await.expect("the sign-in page");
        assert_eq!(page.status, 500, "{code}: {}", page.text());
        assert!(!page.body.contains(&code.to_string()) && !page.body.contains("AADSTS"), "{}", page.text());
        assert!(heard.text().contains(&format!("AADSTS{code}")), "{code} is in the log");
    }
    let settings = instead(&[("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token")]);
    let app = TestApp::start_with(world(), &settings).await;
    let mut visitor = app.visitor();
    let sign_in = visitor.open(app.url("/api/consent/start")).await.expect("an answer");
    let page = visitor.sign_in(&sign_in, "olivia.owner@contoso.example").await.expect("the sign-in page");
    assert!(page.status == 500 && !page.body.contains("nowhere"), "{}", page.text());
}

#[tokio::test]
async fn nobody_else_hears_of_a_token_or_a_credential_whoever_redirects_us() {
    let world = world();
    let identity = world.managed_identity.client_id.to_string();
    let app = TestApp::start_with(world, &instead(&[("MANAGED_IDENTITY_CLIENT_ID", &identity)])).await;
    federate(&app);
    let elsewhere = Sandbox::start(World::new(22), app.clock.clone()).await.expect("free ports");
    let tenant = app.sandbox.change(|world| {
        let tenant = world.tenant_named("Contoso").expect("made");
        world.onboarded(tenant);
        tenant
    });
    // A sandbox that is redirected to would answer, and write down that it was asked.
    for (host, to) in [
        (HostKind::Identity, elsewhere.resource_manager()),
        (HostKind::Entra, elsewhere.authority_host()),
        (HostKind::Arm, elsewhere.resource_manager()),
    ] {
        app.sandbox.change(|world| world.fault(Fault::redirect(to).host(host)));
        let seen = app.app.azure.subscriptions_in(tenant).await;
        assert!(seen.is_err(), "{host:?}: {seen:?}");
        let asked = app.sandbox.requests();
        assert!(asked.iter().any(|one| one.host == host && one.status == 307), "{host:?} redirected us");
        assert_eq!(elsewhere.requests(), [], "{host:?}");
        app.sandbox.change(|world| world.faults.clear());
        app.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(app.app.azure.subscriptions_in(tenant).await.expect("without redirects"), 1);
}
