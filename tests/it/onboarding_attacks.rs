//! Somebody tries to come in where he should not, or to make somebody else come in.

use std::time::Duration;

use health_monitor::sandbox::visitor::{Choice, Page, Visitor};
use health_monitor::sandbox::{Fault, HostKind, IdTokenTamper, World};
use reqwest::Method;
use url::Url;

use crate::onboarding::Case;
use crate::support::TestApp;

const HOST: &str = "127.0.0.1";
const COOKIE: &str = "health-consent";

/// The address with which Entra sends a signed-in browser back, not opened yet.
async fn callback_address(case: &Case, visitor: &mut Visitor) -> Url {
    let sign_in = visitor.open(case.app.url("/api/consent/start")).await.expect("the sign-in page");
    let form = sign_in.form("/authorize").expect("the sign-in form").clone();
    let fields = [("user", case.upn.as_str()), ("action", "accept")];
    visitor.submit(&sign_in, &form, &fields).await.expect("an answer").location().expect("back to us")
}

fn with_query(url: &Url, name: &str, value: &str) -> Url {
    let mut changed = url.clone();
    let pairs: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    changed.query_pairs_mut().clear().extend_pairs(pairs).append_pair(name, value);
    changed
}

fn assert_stopped(page: &Page, status: u16, words: &str) {
    let text = page.text();
    assert_eq!(page.status, status, "{text}");
    assert!(text.contains(words), "{words:?} in {text}");
}

fn token_requests(case: &Case) -> usize {
    case.app.sandbox.requests().iter().filter(|one| one.path.ends_with("/oauth2/v2.0/token")).count()
}

#[tokio::test]
async fn a_replayed_callback_is_refused() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let address = callback_address(&case, &mut visitor).await;
    let cookie = visitor.cookie(HOST, COOKIE).expect("the session's cookie").to_owned();
    let page = visitor.get(address.as_str()).await.expect("an answer");
    assert_eq!(page.status, 303);
    // In the same browser, and with the cookie of before.
    assert_stopped(&visitor.get(address.as_str()).await.expect("a page"), 409, "This step was done before");
    let mut thief = case.app.visitor();
    thief.force_cookie(HOST, COOKIE, &cookie);
    assert_stopped(&thief.get(address.as_str()).await.expect("a page"), 409, "This step was done before");
    let chooser = visitor.get(case.app.url("/api/consent/callback?step=choose")).await.expect("a page");
    assert_eq!(chooser.status, 200, "the person himself goes on");
}

#[tokio::test]
async fn of_two_callbacks_at_once_one_goes_on() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let address = callback_address(&case, &mut visitor).await;
    let mut twin = case.app.visitor();
    twin.force_cookie(HOST, COOKIE, visitor.cookie(HOST, COOKIE).expect("the session's cookie"));
    let (one, two) = tokio::join!(visitor.get(address.as_str()), twin.get(address.as_str()));
    let mut statuses = [one.expect("a page").status, two.expect("a page").status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 409]);
}

#[tokio::test]
async fn a_replayed_grant_is_refused_and_changes_nothing() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    let cookie = visitor.cookie(HOST, COOKIE).expect("the session's cookie").to_owned();
    let done = visitor.grant(&chooser, Choice::All).await.expect("a page");
    assert_eq!(done.status, 200);
    let before = case.customer().await;
    visitor.force_cookie(HOST, COOKIE, &cookie);
    let again = visitor.grant(&chooser, Choice::All).await.expect("a page");
    assert_stopped(&again, 409, "This step was done before");
    assert_eq!(case.customer().await, before);
}

#[tokio::test]
async fn a_callback_that_another_browser_began_is_refused_before_the_code_is_redeemed() {
    let case = Case::start().await;
    let (mut attacker, mut victim) = (case.app.visitor(), case.app.visitor());
    let address = callback_address(&case, &mut attacker).await;
    assert_stopped(&victim.get(address.as_str()).await.expect("a page"), 400, "Your sign-in has ended");
    // The victim has a sign-in of his own under way: the state tells them apart.
    victim.open(case.app.url("/api/consent/start")).await.expect("the sign-in page");
    assert_stopped(&victim.get(address.as_str()).await.expect("a page"), 400, "did not begin here");
    let forged = with_query(&address, "state", "forged");
    assert_stopped(&attacker.get(forged.as_str()).await.expect("a page"), 400, "did not begin here");
    assert_eq!(token_requests(&case), 0);
    // A forged state has not used the session up.
    assert_eq!(attacker.get(address.as_str()).await.expect("an answer").status, 303);
}

#[tokio::test]
async fn an_injected_code_of_another_sign_in_is_refused() {
    let case = Case::start().await;
    let (mut attacker, mut victim) = (case.app.visitor(), case.app.visitor());
    let stolen = callback_address(&case, &mut victim).await;
    let own = callback_address(&case, &mut attacker).await;
    let code = stolen.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
    let injected = with_query(&own, "code", &code);
    let page = attacker.get(injected.as_str()).await.expect("a page");
    assert_stopped(&page, 403, "Microsoft refused the sign-in");
    assert!(!page.body.contains(&code));
}

#[tokio::test]
async fn an_altered_cookie_is_refused_and_an_old_one_has_expired() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let address = callback_address(&case, &mut visitor).await;
    let cookie = visitor.cookie(HOST, COOKIE).expect("the session's cookie").to_owned();
    let mut parts: Vec<_> = cookie.split('.').map(str::to_owned).collect();
    // A longer life, under the old signature.
    parts[0] = format!("9{}", parts[0]);
    for forged in [parts.join("."), "x".to_owned(), format!("{cookie}A"), "..".to_owned()] {
        let mut thief = case.app.visitor();
        thief.force_cookie(HOST, COOKIE, &forged);
        let page = thief.get(address.as_str()).await.expect("a page");
        assert_stopped(&page, 400, "Your sign-in cannot be read");
    }
    case.app.clock.advance(Duration::from_secs(601));
    assert_stopped(&visitor.get(address.as_str()).await.expect("a page"), 410, "Your sign-in has ended");
}

#[tokio::test]
async fn the_choice_too_serves_for_ten_minutes_only() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    case.app.clock.advance(Duration::from_secs(601));
    let page = visitor.grant(&chooser, Choice::All).await.expect("a page");
    assert_stopped(&page, 410, "Your sign-in has ended");
    assert!(case.assignments().is_empty());
}

#[tokio::test]
async fn every_forged_id_token_is_refused() {
    let case = Case::start().await;
    let other = "00000000-0000-4000-8000-00000000dead";
    for tamper in [
        IdTokenTamper::Audience(other.to_owned()),
        IdTokenTamper::Issuer(format!("https://evil.example/{}/v2.0", case.tenant)),
        IdTokenTamper::TenantClaim(other.to_owned()),
        IdTokenTamper::Nonce("another".to_owned()),
        IdTokenTamper::NoNonce,
        IdTokenTamper::AlgNone,
        IdTokenTamper::Hs256,
        IdTokenTamper::UnknownKid,
        IdTokenTamper::PinnedKey,
        IdTokenTamper::BadSignature,
        IdTokenTamper::Expired,
        IdTokenTamper::NotYetValid,
        IdTokenTamper::Version("1.0".to_owned()),
        IdTokenTamper::Missing,
        IdTokenTamper::Garbage,
    ] {
        case.app.sandbox.change(|world| world.entra.tamper = Some(tamper.clone()));
        let mut visitor = case.app.visitor();
        let page = case.choose(&mut visitor, "/api/consent/start").await;
        assert_stopped(&page, 502, "The sign-in could not be trusted");
        assert_eq!(case.sessions().await, 0, "{tamper:?}");
    }
    let listed = case.app.sandbox.requests().iter().filter(|one| one.path == "/subscriptions").count();
    assert_eq!(listed, 0, "nothing is read for somebody who is not proven");
}

#[tokio::test]
async fn a_flood_of_unknown_keys_becomes_no_flood_of_requests() {
    let case = Case::start().await;
    let fetched =
        || case.app.sandbox.requests().iter().filter(|one| one.path.ends_with("/discovery/v2.0/keys")).count();
    case.app.sandbox.change(|world| world.entra.tamper = Some(IdTokenTamper::UnknownKid));
    for _ in 0..4 {
        case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    }
    assert_eq!(fetched(), 1);
    case.app.clock.advance(Duration::from_secs(301));
    case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    assert_eq!(fetched(), 2, "a key may be new: it is looked for again after five minutes");
    // Known keys serve on, also while Entra's documents cannot be read.
    case.app.sandbox.change(|world| {
        world.entra.tamper = None;
        world.fault(Fault::status(503).host(HostKind::Entra).path("/discovery"));
    });
    case.app.clock.advance(Duration::from_secs(25 * 3600));
    let page = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test]
async fn a_subscription_of_another_tenant_is_not_offered_however_visible_it_is() {
    let case = Case::start().await;
    let foreign = "00000000-0000-4000-8000-00000000f0f0";
    // As Azure lists delegated subscriptions: with their home tenant.
    let row = |id: &str, tenant: &str, name: &str| serde_json::json!({ "subscriptionId": id, "tenantId": tenant, "displayName": name, "state": "Enabled" });
    let own = row(&case.subscription.to_string(), &case.tenant.to_string(), "Production");
    let listing = serde_json::json!({ "value": [own, row(foreign, foreign, "Delegated")] }).to_string();
    let fault =
        Fault::status(200).body(listing, "application/json").host(HostKind::Arm).path("/subscriptions").times(1);
    case.app.sandbox.change(|world| world.fault(fault));
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    assert!(chooser.text().contains("Production") && !chooser.text().contains("Delegated"), "{}", chooser.text());
    let page = visitor.grant(&chooser, Choice::Only(&[foreign.parse().expect("a GUID")])).await.expect("a page");
    assert_stopped(&page, 400, "That subscription was not on offer");
    assert!(case.assignments().is_empty());
}

#[tokio::test]
async fn an_application_token_of_somebody_else_grants_nothing() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| world.entra.app_token_without_oid = true);
    let mut visitor = case.app.visitor();
    let page = visitor.onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await.expect("all pages");
    assert_stopped(&page, 500, "Something is wrong on our side");
    let put = case.app.sandbox.requests().iter().filter(|one| one.method == "PUT").count();
    assert_eq!(put, 0);
    assert!(case.customer().await.is_none());
}

#[tokio::test]
async fn a_form_without_the_right_token_or_from_another_site_does_nothing() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    case.choose(&mut visitor, "/api/consent/start").await;
    let grant = case.app.url("/api/consent/grant");
    let subscription = case.subscription.to_string();
    for fields in [
        vec![("subscription", subscription.as_str())],
        vec![("csrf", "guess"), ("subscription", subscription.as_str())],
        vec![("csrf", ""), ("subscription", subscription.as_str())],
    ] {
        let page = visitor.post(&grant, &fields).await.expect("a page");
        assert_stopped(&page, 403, "The form is not from this page");
    }
    // The right token in a browser without the cookie.
    let chooser = visitor.get(case.app.url("/api/consent/callback?step=choose")).await.expect("the page");
    let page = case.app.visitor().grant(&chooser, Choice::All).await.expect("a page");
    assert_stopped(&page, 400, "Your sign-in has ended");
    assert!(case.assignments().is_empty());
}

#[tokio::test]
async fn methods_bodies_and_kinds_that_are_not_ours_are_refused() {
    let case = Case::start().await;
    let http = health_monitor::outside::http_client().expect("a client");
    for (path, allowed) in [("start", "GET"), ("callback", "GET"), ("grant", "POST")] {
        for method in [Method::PUT, Method::DELETE, if allowed == "GET" { Method::POST } else { Method::GET }] {
            let url = case.app.url(&format!("/api/consent/{path}"));
            let response = http.request(method.clone(), url).send().await.expect("an answer");
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], allowed);
        }
    }
    let grant = case.app.url("/api/consent/grant");
    let form = "application/x-www-form-urlencoded";
    let post = async |kind: &'static str, body: String| {
        http.post(&grant).header("content-type", kind).body(body).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(post(form, "x".repeat(64 * 1024 + 1)).await, 413);
    assert_eq!(post("application/json", "{}".to_owned()).await, 415);
    assert_eq!(post(form, "csrf=%FF&subscription=%FF".to_owned()).await, 400);
    let foreign = http.post(&grant).header("sec-fetch-site", "cross-site").header("content-type", form).body("csrf=x");
    assert_eq!(foreign.send().await.expect("an answer").status(), 403);
    assert_eq!(http.get(case.app.url("/api/consent/other")).send().await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn every_answer_has_the_headers_that_guard_it_and_names_are_escaped() {
    let case = Case::start_in(&[], |world, tenant| {
        let subscription = world.subscription_named("Production").expect("it");
        world.subscriptions.get_mut(&subscription).expect("it").display_name = "<script>alert(1)</script>".to_owned();
        world.tenants.get_mut(&tenant).expect("it").display_name = "\"><img src=x>".to_owned();
    })
    .await;
    let mut visitor = case.app.visitor();
    let redirect = visitor.get(case.app.url("/api/consent/start")).await.expect("an answer");
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    let refused = visitor.get(case.app.url("/api/consent/callback")).await.expect("a page");
    for page in [&redirect, &chooser, &refused] {
        let header = |name: &str| page.headers[name].to_str().expect("text").to_owned();
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    }
    let cookie = redirect.headers["set-cookie"].to_str().expect("text");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/api/consent", "Max-Age=600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!chooser.body.contains("<script") && !chooser.body.contains("<img"), "{}", chooser.body);
    assert!(chooser.body.contains("&lt;script&gt;"));
}

#[tokio::test]
async fn over_tls_the_cookie_is_bound_to_the_host() {
    let settings = [("PUBLIC_BASE_URL", "https://health.fabrikam.example/azure")];
    let case = Case::start_in(&settings, |_, _| {}).await;
    let redirect = case.app.visitor().get(case.app.url("/api/consent/start")).await.expect("an answer");
    let cookie = redirect.headers["set-cookie"].to_str().expect("text");
    assert!(cookie.starts_with("__Host-") && cookie.contains("Path=/;") && cookie.contains("Secure"), "{cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert!(redirect.headers.contains_key("strict-transport-security"));
    let refused =
        case.app.visitor().get(case.app.url("/api/consent/callback?error=access_denied")).await.expect("a page");
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn a_session_begun_under_the_old_key_is_read_while_that_key_is_among_the_keys() {
    let old = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let new = "/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let case = Case::start_in(&[("SESSION_KEYS", old)], |_, _| {}).await;
    let mut visitor = case.app.visitor();
    visitor.open(case.app.url("/api/consent/start")).await.expect("the sign-in page");
    let cookie = visitor.cookie(HOST, COOKIE).expect("the session's cookie").to_owned();
    // The page of a session that is read but not yet there, and the one of a cookie that is not believed.
    for (keys, words) in [(format!("{new},{old}"), "did not begin here"), (new.to_owned(), "cannot be read")] {
        let (clock, backend) = (case.app.clock.clone(), case.app.backend.clone());
        let restarted = TestApp::start_on(World::new(1), &[("SESSION_KEYS", &keys)], clock, backend).await;
        let mut visitor = restarted.visitor();
        visitor.force_cookie(HOST, COOKIE, &cookie);
        let page = visitor.get(restarted.url("/api/consent/callback?step=choose")).await.expect("a page");
        assert_stopped(&page, 400, words);
    }
}
