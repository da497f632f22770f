//! What the web does to a site that lets strangers in. Together with `onboarding_attacks` this holds the list of issue 3:
//! login CSRF, code injection, replay, tampered cookies, forged tokens and key rotation are there; here are fixation, mix-up,
//! the confused deputy, redirects, frames, cookies, floods, and everything that could leak.

use std::collections::BTreeSet;
use std::time::Duration;

use health_monitor::model::TenantId;
use health_monitor::sandbox::visitor::{Choice, Page, Visitor};
use health_monitor::sandbox::{Event, Role, World};
use health_monitor::store::{Backend as _, Key};
use url::Url;

use crate::onboarding::Case;
use crate::support::TestApp;
use crate::support::builders::onboarded;
use crate::support::log::listen;

const HOST: &str = "127.0.0.1";
const COOKIE: &str = "health-consent";
const CHOOSE: &str = "/api/consent/callback?step=choose";

fn http() -> reqwest::Client {
    health_monitor::outside::http_client().expect("a client")
}

#[tokio::test]
async fn a_session_planted_before_the_sign_in_shows_the_planter_nothing_after_it() {
    let case = Case::start().await;
    // The attacker begins, and plants his cookie and his link with the victim, who signs in.
    let (mut attacker, mut victim) = (case.app.visitor(), case.app.visitor());
    let sign_in = attacker.open(case.app.url("/api/consent/start")).await.expect("the sign-in page");
    let planted = attacker.cookie(HOST, COOKIE).expect("a cookie").to_owned();
    victim.force_cookie(HOST, COOKIE, &planted);
    let chooser = victim.sign_in(&sign_in, &case.upn).await.expect("the page");
    assert_eq!(chooser.status, 200, "he cannot know that somebody else began");
    assert_ne!(victim.cookie(HOST, COOKIE), Some(planted.as_str()), "the sign-in makes a new session");
    let seen = attacker.get(case.app.url(CHOOSE)).await.expect("a page");
    assert_eq!(seen.status, 409, "{}", seen.text());
    assert!(!seen.text().contains("Production") && !seen.text().contains(&case.upn));
    // Nor does the victim's page serve in the attacker's browser.
    let page = attacker.grant(&chooser, Choice::All).await.expect("a page");
    assert_eq!(page.status, 409);
    assert!(case.assignments().is_empty());
}

#[tokio::test]
async fn a_sign_in_that_was_moved_to_another_tenant_is_refused() {
    let case = Case::start_in(&[], |world, _| {
        let evil = world.tenant("Evil");
        let mallory = world.user(evil, "Mallory Mixer");
        let own = world.subscription(evil, "Evil Production");
        world.assign(own, mallory, Role::Owner);
    })
    .await;
    let evil = case.app.sandbox.change(|world| world.tenant_named("Evil")).expect("it");
    let mallory = case.app.sandbox.change(|world| {
        world.users.values().find(|user| user.tenant == evil).map(|user| user.upn.clone()).expect("her")
    });
    let mut visitor = case.app.visitor();
    let redirect = visitor.get(case.app.url(&format!("/api/consent/start?tenant={}", case.tenant))).await.expect("it");
    // The same request, with our state, nonce and challenge, at another tenant's endpoint.
    let mut moved = redirect.location().expect("to Entra");
    let path = moved.path().replace(&case.tenant.to_string(), &evil.to_string());
    assert_ne!(moved.path(), path);
    moved.set_path(&path);
    let sign_in = visitor.open(moved.as_str()).await.expect("the sign-in page");
    let page = visitor.sign_in(&sign_in, &mallory).await.expect("a page");
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(!page.text().contains("Evil Production"));
    let listed = case.app.sandbox.requests().iter().filter(|one| one.path == "/subscriptions").count();
    assert_eq!(listed, 0, "nothing was read");
}

#[tokio::test]
async fn who_is_of_one_tenant_neither_sees_nor_changes_another() {
    let mut world = World::new(21);
    let (contoso, evil) = (world.tenant("Contoso"), world.tenant("Evil"));
    let (owner, mallory) = (world.user(contoso, "Olivia Owner"), world.user(evil, "Mallory Mixer"));
    let theirs = world.subscription(contoso, "Contoso Secret");
    let hers = world.subscription(evil, "Evil Production");
    world.assign(theirs, owner, Role::Owner);
    world.assign(hers, mallory, Role::Owner);
    let (owner, mallory) = (world.upn(owner), world.upn(mallory));
    let app = TestApp::start(world).await;
    let start = app.url("/api/consent/start");
    let done = app.visitor().onboard(&start, &owner, Choice::All).await.expect("all pages");
    assert_eq!(done.status, 200, "{}", done.text());
    let record = app.app.store.read_bytes(&Key::Customer(contoso)).await.expect("a store").expect("it").body;

    // With her own good session she names the other tenant's subscription, beside hers and alone.
    for wanted in [vec![theirs], vec![hers, theirs]] {
        let mut visitor = app.visitor();
        let sign_in = visitor.open(format!("{start}?subscriptionId={hers}")).await.expect("the sign-in page");
        let chooser = visitor.sign_in(&sign_in, &mallory).await.expect("the page");
        assert!(!chooser.body.contains(&theirs.to_string()) && !chooser.body.contains("Contoso"));
        let page = visitor.grant(&chooser, Choice::Only(&wanted)).await.expect("a page");
        assert_eq!(page.status, 400, "{}", page.text());
    }
    // By a link about it she is led to its tenant, where she is nobody.
    let mut visitor = app.visitor();
    let sign_in = visitor.open(format!("{start}?subscriptionId={theirs}")).await.expect("the sign-in page");
    assert!(!sign_in.text().contains("mallory"), "the sign-in is the other tenant's: {}", sign_in.text());

    let put = app
        .sandbox
        .requests()
        .iter()
        .filter(|one| one.method == "PUT" && one.path.contains(&theirs.to_string()))
        .count();
    assert_eq!(put, 1, "the owner's own grant");
    let after = app.app.store.read_bytes(&Key::Customer(contoso)).await.expect("a store").expect("it").body;
    assert_eq!(record, after, "the other customer's record is as it was");
    assert!(app.app.store.read_bytes(&Key::Customer(evil)).await.expect("a store").is_none());
}

#[tokio::test]
async fn no_parameter_and_no_header_leads_a_browser_or_a_token_elsewhere() {
    let case = Case::start().await;
    let entra = case.app.sandbox.authority_host().clone();
    let evil = "https://evil.example/";
    let names =
        ["redirect_uri", "redirect", "next", "url", "return", "returnUrl", "post_logout_redirect_uri", "lang", "step"];
    let mut addresses: Vec<String> = names.iter().map(|name| format!("/api/consent/start?{name}={evil}")).collect();
    addresses.extend(names.map(|name| format!("/api/consent/callback?{name}={evil}")));
    addresses.extend(
        [
            "/api/consent/start?tenant=evil.example/",
            "/api/consent/start?invite=//evil.example",
            "//evil.example/api/consent/start",
        ]
        .map(str::to_owned),
    );
    let own = format!("{}/api/consent/callback", case.app.base);
    for address in addresses {
        let mut request = http().get(case.app.url(&address));
        for header in [
            "x-forwarded-host",
            "x-original-host",
            "forwarded",
            "origin",
            "referer",
            "x-forwarded-proto",
            "x-original-url",
        ] {
            request = request.header(header, evil);
        }
        let response = request
            .header("host", "evil.example")
            .header("cookie", format!("health-language={evil}"))
            .send()
            .await
            .expect("it");
        if let Some(location) = response.headers().get("location") {
            let to: Url = location.to_str().expect("text").parse().expect("an address");
            assert_eq!(to.origin(), entra.origin(), "{address}");
            let back =
                to.query_pairs().find(|(name, _)| name == "redirect_uri").expect("a redirect URI").1.into_owned();
            assert_eq!(back, own, "{address}");
        }
        let headers = format!("{:?}", response.headers());
        assert!(!headers.contains("evil"), "{address}: {headers}");
        let body = response.text().await.expect("a body");
        assert!(!body.contains("//evil") && !body.contains("http:") && !body.contains("https:"), "{address}: {body}");
    }
}

/// The owner may consent for his whole tenant.
async fn with_an_administrator() -> Case {
    Case::start_in(&[], |world, tenant| {
        world.users.values_mut().filter(|user| user.tenant == tenant).for_each(|user| user.admin = true);
    })
    .await
}

/// Every kind of page and answer that a browser can get, with what it is.
async fn pages(case: &Case) -> Vec<(&'static str, Page)> {
    let mut visitor = case.app.visitor();
    let mut pages = Vec::new();
    let url = |path: &str| case.app.url(path);
    pages.push(("redirect", visitor.get(url("/api/consent/start")).await.expect("it")));
    pages.push(("bad link", visitor.get(url("/api/consent/start?subscriptionId=x")).await.expect("it")));
    let sign_in = visitor.open(url("/api/consent/start")).await.expect("it");
    pages.push(("cancelled", visitor.cancel_sign_in(&sign_in).await.expect("it")));
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    pages.push(("nothing ticked", visitor.grant(&chooser, Choice::Only(&[])).await.expect("it")));
    pages.push(("searched", visitor.get(url("/api/consent/callback?step=choose&search=prod")).await.expect("it")));
    pages.push(("granted", visitor.grant(&chooser, Choice::All).await.expect("it")));
    pages.push(("chooser", chooser));
    pages.push(("no session", visitor.get(url(CHOOSE)).await.expect("it")));
    pages.push(("wrong method", visitor.get(url("/api/consent/grant")).await.expect("it")));
    pages.push(("nothing there", visitor.get(url("/api/consent/nothing")).await.expect("it")));
    pages.push(("all ways", visitor.open(url("/api/consent/start?way=all")).await.expect("it")));
    pages.push(("delegation", visitor.open(url("/api/consent/start?way=lighthouse")).await.expect("it")));
    let sign_in = visitor.open(url("/api/consent/start?way=manual")).await.expect("it");
    pages.push(("by hand", visitor.sign_in(&sign_in, &case.upn).await.expect("it")));
    let sign_in = visitor.open(url(&format!("/api/consent/start?way=admin&tenant={}", case.tenant))).await.expect("it");
    pages.push(("approved", visitor.sign_in(&sign_in, &case.upn).await.expect("it")));
    pages.push(("no form", visitor.post(url("/api/consent/grant"), &[]).await.expect("it")));
    pages
}

#[tokio::test]
async fn every_answer_to_a_browser_keeps_itself_out_of_frames_caches_and_scripts_and_is_sound() {
    let case = with_an_administrator().await;
    let pages = pages(&case).await;
    let statuses: BTreeSet<u16> = pages.iter().map(|(_, page)| page.status).collect();
    assert_eq!(statuses, BTreeSet::from([200, 303, 400, 403, 404, 405]));
    for (what, page) in pages {
        let header = |name: &str| page.headers.get(name).map_or("", |value| value.to_str().expect("text"));
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(header(name), value, "{what}");
        }
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert!(
            !policy.contains("unsafe") && !policy.contains("script-src") && !policy.contains('*'),
            "{what}: {policy}"
        );
        if page.status != 303 {
            assert_eq!(header("content-type"), "text/html; charset=utf-8", "{what}");
            assert_eq!(page.faults(), Vec::<String>::new(), "{what}");
            assert!(page.body.len() < 16 * 1024, "{what} has {} bytes, and is all there is to load", page.body.len());
        }
    }
}

#[tokio::test]
async fn every_page_that_turns_somebody_away_has_a_reference_that_finds_its_line_in_the_log() {
    let heard = listen();
    let case = with_an_administrator().await;
    let mut references = BTreeSet::new();
    for (what, page) in pages(&case).await {
        if page.status < 400 || what == "nothing ticked" {
            continue;
        }
        let (_, after) = page.body.split_once("class=\"reference\"").unwrap_or_else(|| panic!("{what}: {}", page.body));
        let reference =
            after.split_once("<code>").expect("a reference").1.split_once('<').expect("its end").0.to_owned();
        let log = heard.text();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&format!("reference=\"{reference}\""))).collect();
        assert_eq!(lines.len(), 1, "{what}: {lines:?}");
        assert!(lines[0].contains(&format!("status={}", page.status)), "{what}: {}", lines[0]);
        assert!(references.insert(reference), "{what} has a reference of its own");
    }
    assert!(references.len() >= 6);
}

#[tokio::test]
async fn a_language_that_was_asked_for_is_kept_through_the_whole_way() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start?lang=de").await;
    let done = visitor.grant(&chooser, Choice::All).await.expect("a page");
    let ended = visitor.get(case.app.url(CHOOSE)).await.expect("a page");
    for (page, words) in
        [(&chooser, "Was Sie erteilen"), (&done, "überwacht jetzt"), (&ended, "Ihre Anmeldung ist beendet")]
    {
        assert!(page.body.contains("<html lang=\"de\">") && page.text().contains(words), "{}", page.text());
        assert_eq!(page.faults(), Vec::<String>::new());
    }
    let back = visitor.get(case.app.url(&format!("{CHOOSE}&lang=en"))).await.expect("a page");
    assert!(back.text().contains("Your sign-in has ended"));
    assert!(visitor.get(case.app.url(CHOOSE)).await.expect("a page").text().contains("Your sign-in has ended"));
    let asked = http().get(case.app.url(CHOOSE)).header("accept-language", "fr, de-AT;q=0.7, en;q=0.3");
    assert!(asked.send().await.expect("it").text().await.expect("a body").contains("<html lang=\"de\">"));
}

#[tokio::test]
async fn cookies_are_for_this_site_and_not_for_scripts_with_and_without_tls() {
    for (base, flags) in [
        (None, &["HttpOnly", "SameSite=Lax"][..]),
        (Some("https://h.example"), &["HttpOnly", "SameSite=Lax", "Secure"]),
    ] {
        let settings: Vec<_> = base.iter().map(|base| ("PUBLIC_BASE_URL", *base)).collect();
        let case = Case::start_in(&settings, |_, _| {}).await;
        let response = http().get(case.app.url("/api/consent/start?lang=de")).send().await.expect("it");
        let cookies: Vec<_> =
            response.headers().get_all("set-cookie").iter().map(|value| value.to_str().expect("text")).collect();
        assert_eq!(cookies.len(), 2, "the session and the language: {cookies:?}");
        for cookie in cookies {
            assert!(flags.iter().all(|flag| cookie.contains(flag)) && !cookie.contains("Domain"), "{cookie}");
            assert!(!cookie.starts_with("health-language") || cookie.starts_with("health-language=de;"), "{cookie}");
        }
    }
}

async fn ask(app: &TestApp, path: &str, from: &str) -> reqwest::Response {
    http().get(app.url(path)).header("x-forwarded-for", from).send().await.expect("an answer")
}

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let settings = [
        ("RATE_LIMITS", "client=4,total=50,clientLookups=1,totalLookups=9"),
        ("CLIENT_ADDRESS_HEADER", "x-forwarded-for"),
    ];
    let case = Case::start_in(&settings, |_, _| {}).await;
    let start = "/api/consent/start";
    for made_up in 0..4 {
        let response = ask(&case.app, start, &format!("198.51.100.{made_up}, 203.0.113.1")).await;
        assert_eq!(response.status(), 303);
    }
    let response = ask(&case.app, &format!("{start}?lang=de"), "198.51.100.99, 203.0.113.1:4711").await;
    assert_eq!(response.status(), 429, "what the caller makes up before his address does not count");
    assert_eq!(response.headers()["retry-after"], "15");
    assert_eq!(response.headers()["x-frame-options"], "DENY");
    let page = response.text().await.expect("a body");
    assert!(page.contains("Warten Sie 15 Sekunden") && page.contains("class=\"reference\""), "{page}");
    assert_eq!(health_monitor::sandbox::visitor::faults(&page), Vec::<String>::new());
    assert_eq!(ask(&case.app, start, "203.0.113.2").await.status(), 303, "somebody else");
    assert_eq!(ask(&case.app, "/api/v1/customers", "203.0.113.1").await.status(), 200, "what has a key is not counted");
    assert_eq!(ask(&case.app, "/api/probe/live", "203.0.113.1").await.status(), 200, "being alive costs nothing");
    case.app.clock.advance(Duration::from_secs(15));
    assert_eq!(ask(&case.app, start, "203.0.113.1").await.status(), 303, "the wait that was told is enough");

    // Whose a subscription is may be asked less often: the second question does not reach Azure.
    let lookups = || case.app.sandbox.requests().iter().filter(|one| one.path.starts_with("/subscriptions/")).count();
    let before = lookups();
    let of = |n: u32| format!("{start}?subscriptionId=00000000-0000-4000-8000-{n:012}");
    assert_ne!(ask(&case.app, &of(1), "203.0.113.3").await.status(), 429);
    assert_eq!(lookups(), before + 1);
    assert_eq!(ask(&case.app, &of(2), "203.0.113.3").await.status(), 429);
    assert_eq!(lookups(), before + 1);
    assert_eq!(ask(&case.app, start, "203.0.113.3").await.status(), 303, "but he may still come in");
}

#[tokio::test]
async fn a_flood_from_everywhere_meets_the_limit_of_all() {
    let settings = [("RATE_LIMITS", "client=4,total=10"), ("CLIENT_ADDRESS_HEADER", "x-forwarded-for")];
    let case = Case::start_in(&settings, |_, _| {}).await;
    let mut refused = 0;
    for n in 0..30 {
        refused += usize::from(ask(&case.app, "/api/consent/start", &format!("203.0.113.{n}")).await.status() == 429);
    }
    assert_eq!(refused, 20);
    assert_ne!(ask(&case.app, "/api/probe/ready", "203.0.113.99").await.status(), 429, "a platform is still answered");
}

/// Everything that the program gives out or keeps in one whole run, with where it was.
async fn whole_run(app: &TestApp, contoso: TenantId, upn: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let keep = |out: &mut Vec<(String, String)>, page: &Page| {
        out.push((format!("{} {}", page.status, page.url.path()), format!("{:?}\n{}", page.headers, page.body)));
    };
    let mut visitor: Visitor = app.visitor();
    let redirect = visitor.get(app.url("/api/consent/start")).await.expect("it");
    keep(&mut out, &redirect);
    let sign_in = visitor.follow(redirect).await.expect("the sign-in page");
    let form = sign_in.form("/authorize").expect("a form").clone();
    let answered = visitor.submit(&sign_in, &form, &[("user", upn), ("action", "accept")]).await.expect("it");
    let callback = answered.location().expect("back to us");
    let accepted = visitor.get(callback.as_str()).await.expect("it");
    keep(&mut out, &accepted);
    keep(&mut out, &visitor.get(callback.as_str()).await.expect("a replay"));
    let chooser = visitor.get(app.url(CHOOSE)).await.expect("it");
    keep(&mut out, &chooser);
    stored(app, &mut out).await;
    keep(&mut out, &visitor.grant(&chooser, Choice::All).await.expect("it"));
    app.clock.advance(Duration::from_secs(60));
    for tenant in [contoso] {
        health_monitor::poll::poll_tenant(&app.app, tenant).await.expect("a poll");
    }
    for path in ["customers", "incidents"] {
        keep(&mut out, &visitor.get(app.url(&format!("/api/v1/{path}"))).await.expect("it"));
    }
    for path in ["", "/health", "/events"] {
        keep(&mut out, &visitor.get(app.url(&format!("/api/v1/customers/{contoso}{path}"))).await.expect("it"));
    }
    // And once where our own credential is refused: errors name causes.
    app.sandbox.change(|world| world.application.secrets[0].value.push('x'));
    app.clock.advance(Duration::from_secs(7_200));
    let _ = health_monitor::poll::poll_tenant(&app.app, contoso).await;
    keep(&mut out, &visitor.get(app.url("/api/probe/ready")).await.expect("it"));
    let sign_in = visitor.open(app.url("/api/consent/start")).await.expect("the sign-in page");
    let failed = visitor.sign_in(&sign_in, upn).await.expect("a page");
    assert_eq!(failed.status, 500, "{}", failed.text());
    keep(&mut out, &failed);
    stored(app, &mut out).await;
    out.push(("Debug".to_owned(), format!("{:?}", app.app)));
    out
}

async fn stored(app: &TestApp, out: &mut Vec<(String, String)>) {
    for folder in ["customers/", "invites/", "sessions/", "health/", "texts/", "timeline/"] {
        for listed in app.backend.list(folder).await.expect("a listing") {
            let blob = app.backend.get(&listed.path).await.expect("a store").expect("it was listed");
            out.push((format!("store {}", listed.path), String::from_utf8_lossy(&blob.body).into_owned()));
        }
    }
}

#[tokio::test]
async fn no_secret_leaves_the_program_in_a_whole_run() {
    let heard = listen();
    let mut world = World::new(31);
    let contoso = world.tenant("Contoso");
    let owner = world.user(contoso, "Olivia Owner");
    let subscription = world.subscription(contoso, "Production");
    world.assign(subscription, owner, Role::Owner);
    onboarded(&mut world, "Northwind Traders", 1);
    let event = Event::service_issue("OUT1-AGE", "An outage", world.now()).hits([subscription]);
    world.event(event);
    let upn = world.upn(owner);
    let first_secret = world.client_secret().to_owned();
    let app = TestApp::start(world).await;
    let mut out = whole_run(&app, contoso, &upn).await;
    out.push(("log".to_owned(), heard.text()));
    let places: Vec<_> = out.iter().map(|(place, _)| place.as_str()).collect();
    for wanted in
        ["200 /api/consent/grant", "200 /api/v1/incidents", "503 /api/probe/ready", "store sessions/", "store health/"]
    {
        assert!(places.iter().any(|place| place.starts_with(wanted)), "{wanted} in {places:?}");
    }
    let mut secrets = app.sandbox.secrets();
    secrets.push(first_secret);
    secrets.push("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned());
    assert!(secrets.len() >= 8, "client secrets, codes, tokens and our own key: {}", secrets.len());
    for secret in secrets {
        for (place, text) in &out {
            assert!(!text.contains(&secret), "a secret that starts with {} is in {place}", &secret[..6]);
        }
    }
}
