//! One list of behaviours, gone through by each door with its real binary: what a host changes on the way must not be seen.

use std::sync::Arc;

use health_monitor::outside::{SystemClock, http_client};
use health_monitor::sandbox::Sandbox;
use health_monitor::sandbox::visitor::{Choice, Visitor};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::contoso::{self, KEY, OUTAGE, OWNER};
use crate::support::door::{Door, Kind};
use crate::support::functions_host::Prepared;

const POLLS: &str = "health-poll";
const NOTICES: &str = "health-notices";
const GONE: &str = r#"{"tenantId":"99999999-9999-4999-8999-999999999999"}"#;

macro_rules! through_each_door {
    ($($behaviour:ident),+ $(,)?) => {
        through_each_door!(@door functions Functions $($behaviour)+);
        #[cfg(feature = "lambda")]
        through_each_door!(@door lambda Lambda $($behaviour)+);
    };
    (@door $name:ident $kind:ident $($behaviour:ident)+) => {
        mod $name {
            $(
                #[tokio::test]
                async fn $behaviour() {
                    super::$behaviour(super::Stage::open(super::Kind::$kind).await).await;
                }
            )+
        }
    };
}

through_each_door!(
    a_customer_consents_is_polled_and_answered_for,
    what_is_known_already_is_not_sent_again,
    what_is_asked_wrongly_is_answered_as_a_problem,
    keys_open_the_partner_api_and_nothing_else_needs_one,
    bodies_arrive_as_they_were_sent,
    several_cookies_go_both_ways,
    a_timer_without_customers_plans_nothing,
    only_the_messages_that_cannot_be_read_come_again_until_they_are_given_up,
    an_outage_is_told_once_however_often_its_message_comes,
    pages_are_pages_and_their_refusals_too,
);

/// A host with the sandbox behind it.
struct Stage {
    door: Door,
    sandbox: Sandbox,
    _state: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Stage {
    async fn open(kind: Kind) -> Self {
        let state = tempfile::tempdir().unwrap();
        let prepared = Prepared::new().await;
        let world = contoso::world(format!("{}/api/consent/callback", prepared.base));
        let sandbox = Sandbox::start(world, Arc::new(SystemClock)).await.unwrap();
        let settings = contoso::settings(&sandbox, &prepared.base, &state.path().join("documents"));
        Self { door: Door::open(kind, prepared, settings).await, sandbox, _state: state }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = format!("{}{path}", self.door.base());
        let mut request = http_client().unwrap().request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.text().await.unwrap() }
    }

    /// The partner's portal asks.
    async fn portal(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("x-functions-key", KEY), ("content-type", "application/json")];
        all.extend(headers);
        self.ask(method, &format!("/api/v1/{path}"), &all, body).await
    }

    /// Olivia brings her tenant in; gives its path in the API.
    async fn onboard(&self) -> String {
        let start = format!("{}/api/consent/start", self.door.base());
        let last = Visitor::new().unwrap().onboard(&start, OWNER, Choice::All).await.unwrap();
        assert_eq!(last.status, 200, "{}", last.text());
        assert!(last.text().contains("Contoso Production"), "{}", last.text());
        let tenant = self.sandbox.change(|world| world.tenant_named("Contoso").unwrap());
        format!("customers/{tenant}")
    }

    /// The timer plans, and what it planned is done.
    async fn poll(&self) {
        self.door.timer().await;
        assert_eq!(self.door.messages(POLLS).len(), 1, "one customer is due");
        assert_eq!(self.door.deliver(POLLS).await, [] as [&str; 0]);
        assert!(self.door.messages(POLLS).is_empty());
    }
}

async fn a_customer_consents_is_polled_and_answered_for(stage: Stage) {
    let customer = stage.onboard().await;
    let hit = stage.sandbox.change(|world| world.subscription_named("Contoso Production").unwrap());
    stage.poll().await;
    let health = stage.portal("GET", &format!("{customer}/subscriptions/{hit}/health"), &[], "").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("impacted")), "{}", health.body);
    let incident = stage.portal("GET", &format!("incidents/{OUTAGE}"), &[], "").await;
    assert_eq!(incident.json()["trackingId"], OUTAGE);
    let log = stage.door.log();
    for secret in stage.sandbox.secrets().iter().map(String::as_str).chain([KEY]) {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

async fn what_is_known_already_is_not_sent_again(stage: Stage) {
    let customer = stage.onboard().await;
    stage.poll().await;
    let path = format!("{customer}/health");
    let first = stage.portal("GET", &path, &[], "").await;
    let etag = first.header("etag").to_owned();
    assert!(first.status == 200 && etag.starts_with('"'), "{etag}");
    let again = stage.portal("GET", &path, &[("if-none-match", &etag)], "").await;
    assert_eq!((again.status, again.header("etag"), again.body.as_str()), (304, etag.as_str(), ""));
    let other = stage.portal("GET", &path, &[("if-none-match", "\"another\"")], "").await;
    assert_eq!((other.status, other.body == first.body), (200, true));
}

async fn what_is_asked_wrongly_is_answered_as_a_problem(stage: Stage) {
    let too_large = format!("{{\"label\": \"{}\"}}", "x".repeat(1024 * 1024));
    for (method, path, body, status) in [
        ("GET", "customers/99999999-9999-4999-8999-999999999999", "", 404),
        ("GET", "nothing-of-ours", "", 404),
        ("PUT", "routes", "{\"channels\": {}, \"routes\": []}", 428),
        ("POST", "invites", "{\"label\"", 400),
        ("POST", "invites", too_large.as_str(), 413),
        ("PUT", "invites", "{}", 405),
        ("GET", "customers?$top=many", "", 400),
    ] {
        let answer = stage.portal(method, path, &[], body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{method} {path}");
        let kind = problem["type"].as_str().unwrap_or_default();
        assert!(kind.starts_with("urn:health-monitor:problem:"), "{method} {path}: {kind}");
    }
}

async fn keys_open_the_partner_api_and_nothing_else_needs_one(stage: Stage) {
    assert_eq!(stage.ask("GET", "/api/v1/customers", &[], "").await.status, 401);
    assert_eq!(stage.ask("GET", "/api/v1/customers", &[("x-functions-key", "wrong")], "").await.status, 401);
    assert_eq!(stage.ask("GET", &format!("/api/v1/customers?code={KEY}"), &[], "").await.status, 200);
    let live = stage.ask("GET", "/api/probe/live", &[], "").await;
    assert_eq!((live.status, live.json()), (200, json!({"status": "live"})));
    for internal in ["/PollTimer", "/PollTenant", "/DeliverNotice"] {
        assert_eq!(stage.ask("POST", internal, &[("x-functions-key", KEY)], "{}").await.status, 404, "{internal}");
    }
}

async fn bodies_arrive_as_they_were_sent(stage: Stage) {
    let label = "Größe – 東京 🚑 \"quoted\" \\ and 100 %";
    let body = json!({ "label": label }).to_string();
    // The second media type is one that AWS may hand over encoded.
    for kind in ["application/json; charset=utf-8", "application/merge-patch+json"] {
        let headers = [("x-functions-key", KEY), ("content-type", kind)];
        let made = stage.ask("POST", "/api/v1/invites", &headers, &body).await;
        assert_eq!(made.json()["label"], label, "{kind}: {} {}", made.status, made.body);
    }
    let listed = stage.portal("GET", "invites", &[], "").await.json();
    assert_eq!(listed["value"].as_array().unwrap().len(), 2);
}

async fn several_cookies_go_both_ways(stage: Stage) {
    let start = stage.ask("GET", "/api/consent/start?lang=de", &[], "").await;
    assert_eq!(start.status, 303);
    let cookies: Vec<_> = start.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for (name, value) in [("health-consent=", ""), ("health-language=", "de;")] {
        assert!(cookies.iter().any(|cookie| cookie.starts_with(&format!("{name}{value}"))), "{name} {cookies:?}");
    }
    let sent = "theirs=1; health-language=de; health-consent=made-up";
    let page = stage.ask("GET", "/api/consent/callback?code=x&state=y", &[("cookie", sent)], "").await;
    assert!(page.body.contains("<html lang=\"de\">"), "the language is known from the second cookie: {}", page.body);
}

async fn a_timer_without_customers_plans_nothing(stage: Stage) {
    stage.door.timer().await;
    assert!(stage.door.messages(POLLS).is_empty() && stage.door.messages(NOTICES).is_empty());
    // Another process writes it, and may write after its answer.
    let mut logged = false;
    for _ in 0..200 {
        logged = stage.door.log().contains("0 customers are due");
        if logged {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(logged, "{}", stage.door.log());
}

async fn only_the_messages_that_cannot_be_read_come_again_until_they_are_given_up(stage: Stage) {
    for text in [GONE, "not a message", GONE] {
        stage.door.enqueue(POLLS, text);
    }
    for time in 1..=5 {
        assert_eq!(stage.door.deliver(POLLS).await, ["not a message"], "time {time}");
    }
    assert_eq!(stage.door.deliver(POLLS).await, [] as [&str; 0]);
    assert!(stage.door.messages(POLLS).is_empty());
    assert_eq!(stage.door.given_up(POLLS), ["not a message"]);
}

async fn an_outage_is_told_once_however_often_its_message_comes(stage: Stage) {
    let empty = stage.portal("GET", "routes", &[], "").await.header("etag").to_owned();
    let routes = contoso::routes().to_string();
    let set = stage.portal("PUT", "routes", &[("if-match", &empty)], &routes).await;
    assert_eq!(set.status, 201, "{}", set.body);
    stage.onboard().await;
    stage.poll().await;
    let messages = stage.door.messages(NOTICES);
    assert!(!messages.is_empty(), "the poll hands on what is to be told");
    for _ in 0..2 {
        assert_eq!(stage.door.deliver(NOTICES).await, [] as [&str; 0]);
        let sent = stage.sandbox.change(|world| world.office.sent.clone());
        assert_eq!(sent.len(), 1, "told once");
        assert!(sent[0].message["subject"].as_str().unwrap().contains("Virtual Machines in West Europe"));
        messages.iter().for_each(|message| stage.door.enqueue(NOTICES, message));
    }
    let told = stage.portal("GET", "notices?state=delivered", &[], "").await.json();
    assert_eq!(told["value"].as_array().unwrap().len(), 1, "{told}");
}

async fn pages_are_pages_and_their_refusals_too(stage: Stage) {
    let turned_away = stage.ask("GET", "/api/consent/callback?error=access_denied&state=x", &[], "").await;
    assert!((400..500).contains(&turned_away.status), "{}", turned_away.status);
    assert!(turned_away.header("content-type").starts_with("text/html"), "{}", turned_away.header("content-type"));
    assert!(turned_away.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(turned_away.header("cache-control"), "no-store");
}
