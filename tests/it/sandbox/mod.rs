//! The simulated Azure keeps to the references.

mod arm;
mod browser;
mod entra;
mod graph;
mod health;
mod shapes;
mod sources;
mod whole;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use health_monitor::model::{ObjectId, SubscriptionId, TenantId};
use health_monitor::outside::http_client;
use health_monitor::sandbox::visitor::{Page, Visitor};
use health_monitor::sandbox::{
    Emerging, Event, Fault, GraphTimes, HostKind, IdTokenTamper, Resource, Role, Sandbox, World, demo_outage,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::TestClock;

const REDIRECT: &str = "http://localhost:7071/api/consent/callback";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-000";
/// base64url(SHA-256(VERIFIER)), computed with openssl.
const CHALLENGE: &str = "1SUEBEv7u6sy-TNYyxOMWvwVnBXU7p_Lz_-gf_WLKZE";

/// A sandbox with one customer, and a client that asks it.
struct Azure {
    sandbox: Sandbox,
    clock: Arc<TestClock>,
    http: reqwest::Client,
    tenant: TenantId,
    owner: ObjectId,
    subscription: SubscriptionId,
}

impl Azure {
    async fn start() -> Self {
        Self::start_in(|_| {}).await
    }

    async fn start_in(prepare: impl FnOnce(&mut World)) -> Self {
        let mut world = World::new(7);
        world.redirect_uri(REDIRECT);
        let tenant = world.tenant("Contoso");
        let owner = world.user(tenant, "Olivia Owner");
        let subscription = world.subscription(tenant, "Production");
        world.assign(subscription, owner, Role::Owner);
        prepare(&mut world);
        let clock = TestClock::new();
        let sandbox = Sandbox::start(world, clock.clone()).await.expect("free ports");
        Self { sandbox, clock, http: http_client().expect("a client"), tenant, owner, subscription }
    }

    fn entra(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.authority_host())
    }

    fn authorize_url(&self, tenant: &str, change: impl Fn(&mut Vec<(&str, String)>)) -> String {
        let client_id = self.sandbox.change(|world| world.application.client_id.to_string());
        let mut fields = vec![
            ("client_id", client_id),
            ("redirect_uri", REDIRECT.to_owned()),
            ("response_type", "code".to_owned()),
            ("response_mode", "query".to_owned()),
            ("scope", "openid profile https://management.azure.com/user_impersonation".to_owned()),
            ("state", "the-state".to_owned()),
            ("nonce", "the-nonce".to_owned()),
            ("code_challenge", CHALLENGE.to_owned()),
            ("code_challenge_method", "S256".to_owned()),
        ];
        change(&mut fields);
        let mut url = url::Url::parse(&self.entra(&format!("{tenant}/oauth2/v2.0/authorize"))).expect("an address");
        url.query_pairs_mut().extend_pairs(fields);
        url.into()
    }

    /// Signs in as a user and gives the address that the browser is sent to.
    async fn sign_in_at(&self, url: &str, upn: &str) -> Page {
        let mut visitor = Visitor::new().expect("a client");
        let page = visitor.open(url).await.expect("the sign-in page");
        let form = page.form("/authorize").expect("the sign-in form").clone();
        visitor.submit(&page, &form, &[("user", upn), ("action", "accept")]).await.expect("an answer")
    }

    async fn code(&self, upn: &str) -> String {
        let page = self.sign_in_at(&self.authorize_url(&self.tenant.to_string(), |_| {}), upn).await;
        let back = page.location().unwrap_or_else(|| panic!("sent back to the application, got: {}", page.text()));
        assert!(back.as_str().starts_with(REDIRECT));
        query(&back, "code").expect("a code")
    }

    async fn token(&self, tenant: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let (client_id, secret) =
            self.sandbox.change(|world| (world.application.client_id.to_string(), world.client_secret().to_owned()));
        let mut form = vec![("client_id", client_id.as_str()), ("client_secret", secret.as_str())];
        for (name, value) in fields {
            form.retain(|(key, _)| key != name);
            form.push((name, value));
        }
        let response = self
            .http
            .post(self.entra(&format!("{tenant}/oauth2/v2.0/token")))
            .form(&form)
            .send()
            .await
            .expect("answer");
        (response.status(), response.json().await.expect("JSON"))
    }

    async fn redeem(&self, code: &str, change: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        fields.extend_from_slice(change);
        let tenant = self.tenant.to_string();
        self.token(&tenant, &fields).await
    }

    async fn user_token(&self, upn: &str) -> String {
        let code = self.code(upn).await;
        let (status, body) = self.redeem(&code, &[]).await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().expect("a token").to_owned()
    }

    async fn app_answer(&self) -> (StatusCode, Value) {
        let fields = [("grant_type", "client_credentials"), ("scope", "https://management.azure.com/.default")];
        self.token(&self.tenant.to_string(), &fields).await
    }

    async fn app_token(&self) -> String {
        let (status, body) = self.app_answer().await;
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().expect("a token").to_owned()
    }

    async fn arm(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Response {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{}", self.sandbox.resource_manager().as_str().trim_end_matches('/'), path)
        };
        let mut request = self.http.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.expect("an answer")
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        let response = self.arm(Method::GET, path, token, None).await;
        (response.status(), response.json().await.expect("JSON"))
    }

    fn in_subscription(&self, rest: &str) -> String {
        format!("/subscriptions/{}{rest}", self.subscription)
    }

    fn events_path(&self, more: &str) -> String {
        self.in_subscription(&format!("/providers/Microsoft.ResourceHealth/events?api-version=2025-05-01{more}"))
    }

    fn assignment_path(&self, name: &str) -> String {
        self.in_subscription(&format!(
            "/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"
        ))
    }

    fn assignment(&self, principal: ObjectId) -> Value {
        let role =
            self.in_subscription(&format!("/providers/Microsoft.Authorization/roleDefinitions/{}", Role::Reader.id()));
        json!({"properties": {
            "roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal",
        }})
    }

    async fn graph(&self, token: &str, body: Value) -> (StatusCode, Value) {
        let path = "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01";
        let response = self.arm(Method::POST, path, token, Some(&body)).await;
        (response.status(), response.json().await.expect("JSON"))
    }
}

fn query(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let body = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).expect("base64url"))
        .expect("JSON")
}

fn names(body: &Value) -> Vec<&str> {
    let rows = body["value"].as_array().expect("rows");
    rows.iter().map(|row| row["name"].as_str().expect("a name")).collect()
}

const OLIVIA: &str = "olivia.owner@contoso.example";

fn with_events(world: &mut World) {
    let tenant = world.tenant_named("Contoso").expect("made");
    let subscription = world.subscription_named("Production").expect("made");
    world.onboarded(tenant);
    let now = world.now();
    let days = TimeDelta::days;
    world.event(
        Event::service_issue("NEW1-000", "Active - something", now - days(1))
            .service("Virtual Machines", &["West Europe"])
            .text(now - days(1), "<p>first</p>")
            .text(now, "<p>second</p>")
            .hits([subscription]),
    );
    world.event(
        Event::planned_maintenance("OLD1-000", "Planned", now - days(10), now + days(2), now + days(3))
            .service("ExpressRoute", &["West Europe"])
            .hits([subscription]),
    );
    world.event(Event::health_advisory("AGED-000", "Long ago", now - days(120)).hits([subscription]));
    world.event(
        Event::security_advisory("SEC1-000", "Withheld", now - days(2))
            .text(now - days(2), "<p>secret</p>")
            .hits([subscription]),
    );
    world.event(Event::service_issue("ELSE-000", "Elsewhere", now));
    world.resource(subscription, Resource::virtual_machine("vm-1", "westeurope", now - days(4)));
    world.resource(subscription, Resource::virtual_machine("vm-2", "westeurope", now - days(4)));
    world.resource(subscription, Resource::sql_database("orders", "westeurope", now - days(4)));
    world.change_resource(subscription, "vm-2", |vm, now| vm.becomes("Unavailable", now, "It cannot be reached."));
}

const EVENTS: &str = "servicehealthresources | where type =~ 'microsoft.resourcehealth/events' | project id, name, subscriptionId, properties | order by id asc";
