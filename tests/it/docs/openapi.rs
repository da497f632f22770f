//! `openapi.json` describes what is served: each operation is asked and its answer held against its shape, what the
//! operation takes is what the program says that it takes, and nothing is served that is not described.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use health_monitor::consent::invite;
use health_monitor::notify::{self, deliver};
use health_monitor::outside::http_client;
use health_monitor::sandbox::visitor::Choice;
use health_monitor::sandbox::{DEMO_TENANTS, Emerging, Order, Receivers, World};
use health_monitor::store::Key;
use serde_json::{Value, json};

use super::shape;
use crate::support::{TestApp, TestClock};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One operation as it is described.
struct Operation {
    method: String,
    path: String,
    described: Value,
    /// Its own parameters and those of its path, resolved.
    parameters: Vec<Value>,
}

struct Described {
    document: Value,
}

impl Described {
    async fn read(app: &TestApp) -> Self {
        let (status, document) = app.call("GET", "/api/v1/openapi.json", None).await;
        assert_eq!(status, 200);
        Self { document }
    }

    fn resolve(&self, value: &Value) -> Value {
        match value["$ref"].as_str() {
            Some(name) => {
                self.document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("no {name}")).clone()
            }
            None => value.clone(),
        }
    }

    fn operations(&self) -> Vec<Operation> {
        let mut all = Vec::new();
        for (path, item) in self.document["paths"].as_object().expect("paths") {
            for (method, described) in
                item.as_object().expect("an object").iter().filter(|(name, _)| *name != "parameters")
            {
                let own = described["parameters"].as_array().into_iter().flatten();
                let of_path = item["parameters"].as_array().into_iter().flatten();
                all.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    described: described.clone(),
                    parameters: of_path.chain(own).map(|parameter| self.resolve(parameter)).collect(),
                });
            }
        }
        all
    }

    /// Holds an answer against what is described.
    fn check(&self, operation: &Operation, status: u16, kind: &str, body: &Value) {
        let name = format!("{} {}: {status}", operation.method, operation.path);
        let answers = &operation.described["responses"];
        let known = answers.get(status.to_string()).or_else(|| (status >= 400).then_some(&answers["default"]));
        let answer = self.resolve(known.unwrap_or_else(|| panic!("{name} is not described: {body}")));
        let Some(content) = answer["content"].as_object() else {
            assert!(body.is_null(), "{name} has no body: {body}");
            return;
        };
        let schema = &content.get(kind).unwrap_or_else(|| panic!("{name}: {kind} is not described"))["schema"];
        if kind.contains("json") {
            let faults = shape::faults(&self.document, schema, body);
            assert!(faults.is_empty(), "{name}: {faults:#?}\n{body}");
        }
    }
}

impl Operation {
    fn names(&self, place: &str) -> BTreeSet<String> {
        let there = self.parameters.iter().filter(|parameter| parameter["in"] == place);
        there.map(|parameter| parameter["name"].as_str().expect("a name").to_owned()).collect()
    }
}

/// The demo's world with an outage that two customers see, and somebody who is told of it.
pub struct Stage {
    pub app: TestApp,
    pub receivers: Receivers,
    /// What stands for the parameters of paths.
    values: BTreeMap<&'static str, String>,
}

impl Stage {
    pub async fn start() -> Self {
        let clock = TestClock::new();
        let receivers = Receivers::start(clock.clone()).await.expect("a free port");
        let settings = [("NOTIFY_OPS", SECRET), ("PRIVATE_DESTINATIONS", "loopback"), ("ONBOARDING", "invite")];
        let world = World::demo("http://localhost:7071/api/consent/callback");
        let app = TestApp::start_on(world, &settings, clock, Default::default()).await;
        let channel = json!({"kind": "webhook", "url": receivers.url("/hook"), "secretSetting": "NOTIFY_OPS"});
        let routes = json!({"channels": {"ops": channel}, "routes": [{"id": "all", "audience": "partner", "channels": ["ops"]}]});
        let routes = serde_json::from_value::<health_monitor::model::Routes>(routes).expect("routes");
        app.app.store.create(&Key::Routes, &routes).await.expect("new");
        let mut tenants = Vec::new();
        for name in &DEMO_TENANTS[..3] {
            let expires = app.clock.time() + Duration::from_secs(86_400);
            let (_, link) = invite::create(&app.app, name, None, expires).await.expect("an invite");
            let (tenant, owner) = app.sandbox.change(|world| {
                let tenant = world.tenant_named(name).expect("a tenant");
                let owner = world.users.values().find(|user| user.tenant == tenant && user.upn.starts_with("olivia"));
                (tenant, owner.expect("an owner").upn.clone())
            });
            app.visitor().onboard(&link, &owner, Choice::All).await.expect("onboarded");
            app.poll(tenant).await;
            tenants.push(tenant);
        }
        app.clock.advance(Duration::from_secs(60));
        app.sandbox.change(|world| {
            let now = world.now();
            let (service, region) = ("Virtual Machines", "West Europe");
            world.emerging.push(Emerging::new("EMER-1", "We are looking into it", service, region, now));
        });
        health_monitor::poll::emerging::read_when_due(&app.app).await.expect("read");
        for tenant in &tenants {
            app.poll(*tenant).await;
        }
        // One notice is given up, the others are told.
        receivers.answer_next([Order { status: 415, ..Order::default() }]);
        for _ in 0..3 {
            app.clock.advance(Duration::from_secs(120));
            for message in notify::due_now(&app.app).await.expect("readable") {
                deliver::deliver(&app.app, &message).await.expect("the store works");
            }
        }
        let tenant = tenants[0];
        let subscription = app.sandbox.change(|world| world.subscriptions_of(tenant)[0]);
        let (_, incidents) = app.call("GET", "/api/v1/incidents", None).await;
        let hit =
            incidents["value"].as_array().expect("incidents").iter().find(|row| row["eventType"] == "ServiceIssue");
        let tracking_id = hit.expect("the outage")["trackingId"].as_str().expect("an id").to_owned();
        let (_, dead) = app.call("GET", "/api/v1/notices?state=dead", None).await;
        let notice = dead["value"][0]["id"].as_str().unwrap_or_else(|| panic!("a dead letter: {dead}")).to_owned();
        let (_, made) = app.call("POST", "/api/v1/invites", Some(json!({"label": "Woodgrove"}))).await;
        let values = BTreeMap::from([
            ("tenantId", tenant.to_string()),
            ("subscriptionId", subscription.to_string()),
            ("trackingId", tracking_id),
            ("noticeId", notice),
            ("routeId", "all".to_owned()),
            ("inviteId", made["id"].as_str().expect("an id").to_owned()),
        ]);
        Self { app, receivers, values }
    }

    fn path(&self, operation: &Operation) -> String {
        let fill = |segment: &str| match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => self.values[name].clone(),
            None => segment.to_owned(),
        };
        format!("/api/v1{}", operation.path.split('/').map(fill).collect::<Vec<_>>().join("/"))
    }

    /// A body that is taken.
    async fn body(&self, operation: &Operation) -> Option<Value> {
        let (_, routes) = self.app.call("GET", "/api/v1/routes", None).await;
        Some(match operation.described["operationId"].as_str().expect("an id") {
            "changeCustomer" => {
                json!({"labels": {"tier": "gold"}, "timeZone": "Europe/Berlin", "contacts": ["a@contoso.example"]})
            }
            "acknowledgeIncident" => json!({"by": "Ada", "reason": "on it", "minutes": 30}),
            "snoozeIncident" => json!({"by": "Ada", "reason": "known", "minutes": 30}),
            "noteIncident" => json!({"by": "Ada", "text": "The customer knows."}),
            "makeInvite" => json!({"label": "Litware", "tiers": ["securityAdvisories"], "expiresInDays": 3}),
            "setRoutes" => routes,
            "dryRunRoutes" => json!({"routes": routes, "days": 2}),
            "replayNotices" => json!({"channel": "ops"}),
            "testRoute" => json!({}),
            _ => return None,
        })
    }

    /// Status, media type, ETag and body.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        etag: Option<(&str, &str)>,
        body: Option<&Value>,
    ) -> (u16, String, String, Value) {
        let client = http_client().expect("a client");
        let mut request = client.request(method.parse().expect("a method"), self.app.url(path));
        if let Some((name, etag)) = etag {
            request = request.header(name, etag);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("an answer");
        let header = |name| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        let (status, kind, etag) = (response.status().as_u16(), header("content-type"), header("etag"));
        assert!(response.headers().contains_key("x-ms-request-id"), "{method} {path}");
        let bytes = response.bytes().await.expect("a body");
        (status, kind.unwrap_or_default(), etag.unwrap_or_default(), serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

#[tokio::test]
async fn every_operation_is_answered_as_it_is_described() {
    let stage = Stage::start().await;
    let described = Described::read(&stage.app).await;
    let mut operations = described.operations();
    assert!(operations.len() > 30, "{}", operations.len());
    // What ends things comes last; of these, the customer at the very end.
    operations.sort_by_key(|one| (one.method == "DELETE", one.path.starts_with("/customers"), one.path.clone()));
    for operation in &operations {
        let (path, body) = (stage.path(operation), stage.body(operation).await);
        // What waits is told soon: of the log only the end stands still.
        let path =
            if operation.method == "GET" && path.ends_with("/notices") { path + "?state=delivered" } else { path };
        let before = stage.ask("GET", &path, None, None).await.2;
        let precondition = (operation.method == "PUT").then_some(("if-match", before.as_str()));
        let (status, kind, etag, answer) = stage.ask(&operation.method, &path, precondition, body.as_ref()).await;
        assert!(status < 300, "{} {path}: {status} {answer}", operation.method);
        described.check(operation, status, &kind, &answer);
        // The list is not empty, or its rows were not held against anything.
        if operation.method == "GET" && answer["value"].is_array() {
            assert!(answer["value"].as_array().is_some_and(|rows| !rows.is_empty()), "{path}");
        }
        if let Some(ok) = operation.described["responses"].get("304") {
            assert!(ok.is_object() && !etag.is_empty(), "{path} has an ETag");
            let (status, kind, _, answer) = stage.ask("GET", &path, Some(("if-none-match", &etag)), None).await;
            assert_eq!(status, 304, "{path}");
            described.check(operation, status, &kind, &answer);
        }
    }
    assert!(!stage.receivers.received().is_empty(), "somebody was told");
}

#[tokio::test]
async fn each_operation_takes_what_is_described_and_nothing_else() {
    let stage = Stage::start().await;
    let described = Described::read(&stage.app).await;
    let names = |text: &str| -> BTreeSet<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    for operation in described.operations() {
        let path = stage.path(&operation);
        let body = stage.body(&operation).await;
        let name = format!("{} {path}", operation.method);
        // An unknown parameter is refused with the known ones.
        let (status, kind, _, problem) =
            stage.ask(&operation.method, &format!("{path}?nonsense=1"), None, body.as_ref()).await;
        described.check(&operation, status, &kind, &problem);
        let told = problem["detail"].as_str().unwrap_or_default();
        let known = told.split("known are: ").nth(1);
        let known: BTreeSet<String> = match known.map(|known| known.trim_end_matches('.')) {
            Some("none") => BTreeSet::new(),
            Some(known) => known.split(", ").map(str::to_owned).collect(),
            // What replays one notice takes nothing at all and looks at nothing.
            None => panic!("{name}: {problem}"),
        };
        assert_eq!(known, operation.names("query"), "{name}");
        // An unknown member of a body is refused with the known ones.
        let content = &operation.described["requestBody"]["content"]["application/json"]["schema"];
        let schema = described.resolve(content);
        if schema["additionalProperties"] == json!(false) {
            let properties: BTreeSet<String> =
                schema["properties"].as_object().expect("members").keys().cloned().collect();
            let (status, _, _, problem) =
                stage.ask(&operation.method, &path, None, Some(&json!({"nonsense": 1}))).await;
            let told = problem["detail"].as_str().unwrap_or_default();
            assert_eq!(status, 400, "{name}: {problem}");
            if problem["parameter"] == "nonsense" {
                assert!(properties.iter().all(|property| told.contains(property.as_str())), "{name}: {told}");
            } else {
                let mut known = names(told);
                assert!(known.remove("nonsense"), "{name}: {told}");
                assert_eq!(known, properties, "{name}: {told}");
            }
            // What is required is missed; what is not is not.
            let (_, _, _, problem) = stage.ask(&operation.method, &path, None, Some(&json!({}))).await;
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let first = required.first().and_then(Value::as_str);
            let told = problem["detail"].as_str().unwrap_or_default();
            let missed = told.contains("missing field").then(|| names(told).into_iter().next()).flatten();
            assert_eq!(missed.as_deref(), first, "{name}: {problem}");
        }
    }
}

#[tokio::test]
async fn each_address_takes_the_methods_that_are_described() {
    let stage = Stage::start().await;
    let described = Described::read(&stage.app).await;
    let mut methods: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for operation in described.operations() {
        let known = methods.entry(operation.path.clone()).or_insert_with(|| (stage.path(&operation), BTreeSet::new()));
        known.1.insert(operation.method.clone());
    }
    for (path, known) in methods.values() {
        let other =
            ["PATCH", "PUT", "DELETE", "POST"].into_iter().find(|method| !known.contains(*method)).expect("one");
        let client = http_client().expect("a client");
        let request = client.request(other.parse().expect("a method"), stage.app.url(path));
        let response = request.json(&json!({})).send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 405, "{other} {path}");
        let allowed = response.headers()["allow"].to_str().expect("text").split(", ").map(str::to_owned).collect();
        assert_eq!(*known, allowed, "{path}");
    }
}

/// The addresses that `src/api/v1.rs` matches, with `{}` for what varies.
fn served() -> BTreeSet<String> {
    let text = include_str!("../../../src/api/v1.rs");
    let mut served = BTreeSet::new();
    for (at, _) in text.match_indices("[\"") {
        let before = text[..at].trim_end().chars().next_back();
        let (inside, _) = text[at + 1..].split_once(']').expect("it ends");
        // What is not matched is a list of parameters, or a member of an answer.
        if before.is_some_and(|c| c == '&' || c.is_alphanumeric()) {
            continue;
        }
        let mut paths = vec![String::new()];
        for segment in inside.split(',').map(str::trim) {
            let words: Vec<&str> = segment.split('"').skip(1).step_by(2).collect();
            let words = if words.is_empty() { vec!["{}"] } else { words };
            paths = paths.iter().flat_map(|path| words.iter().map(move |word| format!("{path}/{word}"))).collect();
        }
        served.extend(paths);
    }
    served
}

#[tokio::test]
async fn nothing_is_served_that_is_not_described() {
    let app = TestApp::start(World::new(1)).await;
    let described = Described::read(&app).await;
    let plain = |path: &str| {
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
        segments.collect::<Vec<_>>().join("/")
    };
    let known: BTreeSet<String> = described.operations().iter().map(|operation| plain(&operation.path)).collect();
    assert_eq!(served(), known);
}

#[tokio::test]
async fn the_description_names_the_address_that_it_came_from() {
    let app = TestApp::start(World::new(1)).await;
    let described = Described::read(&app).await;
    assert_eq!(described.document["servers"][0]["url"], format!("{}/api/v1", app.base));
    assert_eq!(described.document["openapi"], "3.1.0");
    // For .ci/check-docs, which has OpenAPI's own validator read it.
    std::fs::write(super::root().join("target/openapi.json"), described.document.to_string()).expect("written");
    // Every shape that is there is used, and every one that is used is there.
    let text = described.document.to_string();
    for kind in ["schemas", "parameters", "headers", "responses"] {
        for name in described.document["components"][kind].as_object().expect("components").keys() {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "{kind}/{name} is not used");
        }
    }
    for name in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(described.document.pointer(name).is_some(), "there is no {name}");
    }
    let ids: BTreeSet<String> =
        described.operations().iter().map(|one| one.described["operationId"].to_string()).collect();
    assert_eq!(ids.len(), described.operations().len(), "each id once");
}
