//! The simulated Azure keeps to the references.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use health_monitor::model::{ObjectId, SubscriptionId, TenantId};
use health_monitor::outside::http_client;
use health_monitor::sandbox::visitor::{Page, Visitor};
use health_monitor::sandbox::{
    DEMO_OUTAGE, Event, Fault, GraphTimes, HostKind, IdTokenTamper, Resource, Role, Sandbox, World,
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

#[tokio::test]
async fn a_person_signs_in_consents_and_the_code_gives_tokens_once() {
    let azure = Azure::start().await;
    assert_eq!(azure.app_answer().await.1["error_codes"], json!([7_000_229]));
    let code = azure.code(OLIVIA).await;
    let (status, body) = azure.redeem(&code, &[]).await;
    assert_eq!(status, 200, "{body}");
    let id = claims(body["id_token"].as_str().expect("an ID token"));
    assert_eq!(id["tid"], azure.tenant.to_string());
    assert_eq!(id["oid"], azure.owner.to_string());
    assert_eq!(id["nonce"], "the-nonce");
    assert_eq!(id["iss"], format!("{}{}/v2.0", azure.sandbox.authority_host(), azure.tenant));
    let (status, body) = azure.redeem(&code, &[]).await;
    assert_eq!((status.as_u16(), &body["error"]), (400, &json!("invalid_grant")));
    assert_eq!(body["error_codes"], json!([54_005]));
    assert!(body["error_description"].as_str().is_some_and(|text| text.starts_with("AADSTS54005: ")));
    // Consent made the service principal: now the application has a token of its own.
    let app = claims(&azure.app_token().await);
    assert_eq!(app["oid"], app["sub"]);
    assert_eq!(app["idtyp"], "app");
    assert!(app.get("scp").is_none());
}

#[tokio::test]
async fn a_code_is_bound_to_its_verifier_its_redirect_uri_and_its_tenant() {
    let azure = Azure::start_in(|world| {
        world.tenant("Adventure Works");
        world.redirect_uri("https://other.example/callback");
    })
    .await;
    let other = azure.sandbox.change(|world| world.tenant_named("Adventure Works").expect("made")).to_string();
    let code = azure.code(OLIVIA).await;
    let refusals = [
        (vec![("code_verifier", "another-verifier-of-at-least-forty-three-characters")], 501_481),
        (vec![("code_verifier", "short")], 501_481),
        (vec![("redirect_uri", "https://other.example/callback")], 50_112),
        (vec![("code", "never-given")], 9_002_313),
        (vec![("client_secret", "wrong")], 7_000_215),
        (vec![("client_secret", "")], 7_000_218),
        (vec![("client_id", "00000000-0000-4000-8000-000000000000")], 700_016),
    ];
    for (change, aadsts) in refusals {
        let (status, body) = azure.redeem(&code, &change).await;
        assert!(status.is_client_error());
        assert_eq!(body["error_codes"], json!([aadsts]), "{change:?}");
    }
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(azure.token(&other, &fields).await.1["error_codes"], json!([700_005]));
    assert_eq!(azure.token("no-such.example", &fields).await.1["error_codes"], json!([90_002]));
    // None of these used the code up.
    assert_eq!(azure.redeem(&code, &[]).await.0, 200);
    let code = azure.code(OLIVIA).await;
    azure.clock.advance(Duration::from_secs(601));
    assert_eq!(azure.redeem(&code, &[]).await.1["error_codes"], json!([70_008]));
}

#[tokio::test]
async fn a_wrong_redirect_uri_or_application_ends_on_entras_own_page() {
    let azure = Azure::start().await;
    let tenant = azure.tenant.to_string();
    let mut visitor = Visitor::new().expect("a client");
    let set = |name: &'static str, value: &'static str| {
        move |fields: &mut Vec<(&str, String)>| {
            fields.retain(|(key, _)| *key != name);
            fields.push((name, value.to_owned()));
        }
    };
    let cases = [
        (
            azure.authorize_url(&tenant, set("redirect_uri", "http://localhost:7071/api/consent/callback/")),
            "AADSTS50011",
        ),
        (azure.authorize_url(&tenant, set("redirect_uri", "https://evil.example/")), "AADSTS50011"),
        (azure.authorize_url(&tenant, set("client_id", "00000000-0000-4000-8000-000000000000")), "AADSTS700016"),
        (azure.authorize_url("no-such.example", |_| {}), "AADSTS90002"),
    ];
    for (url, aadsts) in cases {
        let page = visitor.get(&url).await.expect("a page");
        assert_eq!(page.location(), None);
        assert!(page.text().contains(aadsts), "{}", page.text());
    }
    // What is wrong with the rest goes back to the application, with its state.
    let back = [
        (set("response_type", "token"), "unsupported_response_type"),
        (set("code_challenge_method", "plain"), "invalid_request"),
        (set("code_challenge", ""), "invalid_request"),
        (set("scope", "openid https://graph.example/.default"), "invalid_resource"),
        (set("scope", "openid nonsense"), "invalid_scope"),
        (set("prompt", "none"), "login_required"),
        (set("prompt", "admin_consent"), "invalid_request"),
    ];
    for (change, error) in back {
        let page = visitor.get(azure.authorize_url(&tenant, change)).await.expect("a page");
        let location = page.location().expect("back to the application");
        assert_eq!(query(&location, "error").as_deref(), Some(error));
        assert_eq!(query(&location, "state").as_deref(), Some("the-state"));
    }
}

#[tokio::test]
async fn where_users_may_not_consent_only_an_administrator_opens_the_door() {
    let azure = Azure::start_in(|world| {
        let tenant = world.tenant_named("Contoso").expect("made");
        world.tenants.get_mut(&tenant).expect("made").users_may_consent = false;
        let admin = world.user(tenant, "Amir Admin");
        world.users.get_mut(&admin).expect("made").admin = true;
    })
    .await;
    let url = azure.authorize_url(&azure.tenant.to_string(), |_| {});
    let mut visitor = Visitor::new().expect("a client");
    let page = azure.sign_in_at(&url, OLIVIA).await;
    assert!(page.text().contains("Need admin approval"), "{}", page.text());
    let form = page.form("/authorize").expect("a way out").clone();
    let out = visitor.submit(&page, &form, &[("action", "cancel")]).await.expect("an answer");
    let back = out.location().expect("back to the application");
    assert_eq!(query(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&back, "error_subcode").as_deref(), Some("cancel"));
    assert_eq!(azure.app_answer().await.1["error_codes"], json!([7_000_229]));
    // The administrator consents for everybody; then the user passes.
    let page = visitor.open(&url).await.expect("the sign-in page");
    let form = page.form("/authorize").expect("the form").clone();
    let fields = [("user", "amir.admin@contoso.example"), ("organization", "yes"), ("action", "accept")];
    let back = visitor.submit(&page, &form, &fields).await.expect("an answer").location().expect("back");
    assert!(query(&back, "code").is_some());
    azure.code(OLIVIA).await;
}

#[tokio::test]
async fn who_is_not_in_the_tenant_or_refused_by_policy_stays_on_entras_page() {
    let azure = Azure::start_in(|world| {
        let other = world.tenant("Adventure Works");
        world.user(other, "Ada Admin");
        let tenant = world.tenant_named("Contoso").expect("made");
        let blocked = world.user(tenant, "Blocked User");
        world.users.get_mut(&blocked).expect("made").sign_in_refused =
            Some((53_003, "Access has been blocked by Conditional Access policies.".to_owned()));
    })
    .await;
    let url = azure.authorize_url(&azure.tenant.to_string(), |_| {});
    for (upn, aadsts) in
        [("ada.admin@adventureworks.example", "AADSTS50020"), ("blocked.user@contoso.example", "AADSTS53003")]
    {
        let page = azure.sign_in_at(&url, upn).await;
        assert_eq!(page.location(), None);
        assert!(page.text().contains(aadsts), "{}", page.text());
    }
    // Without a tenant in the address she lands in her own.
    let page =
        azure.sign_in_at(&azure.authorize_url("organizations", |_| {}), "ada.admin@adventureworks.example").await;
    assert!(query(&page.location().expect("back"), "code").is_some());
}

#[tokio::test]
async fn discovery_names_the_template_and_each_key_its_issuer() {
    let azure = Azure::start().await;
    let read = async |path: &str| -> Value {
        azure.http.get(azure.entra(path)).send().await.expect("an answer").json().await.expect("JSON")
    };
    let authority = azure.sandbox.authority_host().as_str().trim_end_matches('/').to_owned();
    let any = read("organizations/v2.0/.well-known/openid-configuration").await;
    assert_eq!(any["issuer"], format!("{authority}/{{tenantid}}/v2.0"));
    // A domain leads to the tenant's id.
    let one = read("contoso.example/v2.0/.well-known/openid-configuration").await;
    assert_eq!(one["issuer"], format!("{authority}/{}/v2.0", azure.tenant));
    let keys = read("common/discovery/v2.0/keys").await;
    let issuers: Vec<&str> =
        keys["keys"].as_array().expect("keys").iter().filter_map(|key| key["issuer"].as_str()).collect();
    let personal = format!("{authority}/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0");
    assert_eq!(issuers, [format!("{authority}/{{tenantid}}/v2.0"), personal]);
}

#[tokio::test]
async fn each_way_of_tampering_changes_the_id_token() {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let azure = Azure::start().await;
    let body: Value = azure
        .http
        .get(azure.entra("common/discovery/v2.0/keys"))
        .send()
        .await
        .expect("answer")
        .json()
        .await
        .expect("JSON");
    let keys: JwkSet = serde_json::from_value(body).expect("a key set");
    let client_id = azure.sandbox.change(|world| world.application.client_id.to_string());
    let issuer = format!("{}{}/v2.0", azure.sandbox.authority_host(), azure.tenant);
    // A good token in every respect that this test looks at.
    let good = |token: &str| -> Option<()> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = keys.find(&header.kid?)?;
        if key.common.key_id.as_deref() != Some("sandbox-any-tenant") {
            return None;
        }
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.set_audience(&[&client_id]);
        let claims = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key).ok()?, &validation).ok()?.claims;
        let now = azure.clock.time().timestamp();
        let right = claims["iss"] == issuer
            && claims["tid"] == azure.tenant.to_string()
            && claims["nonce"] == "the-nonce"
            && claims["ver"] == "2.0"
            && claims["nbf"].as_i64()? <= now
            && claims["exp"].as_i64()? > now;
        right.then_some(())
    };
    let foreign: TenantId = "00000000-0000-4000-8000-00000000bbbb".parse().expect("a GUID");
    let all = [
        None,
        Some(IdTokenTamper::Audience("another".to_owned())),
        Some(IdTokenTamper::Issuer("https://evil.example".to_owned())),
        Some(IdTokenTamper::TenantClaim(foreign.to_string())),
        Some(IdTokenTamper::ForeignTenant(foreign)),
        Some(IdTokenTamper::PersonalAccount),
        Some(IdTokenTamper::Nonce("another".to_owned())),
        Some(IdTokenTamper::NoNonce),
        Some(IdTokenTamper::AlgNone),
        Some(IdTokenTamper::Hs256),
        Some(IdTokenTamper::UnknownKid),
        Some(IdTokenTamper::PinnedKey),
        Some(IdTokenTamper::BadSignature),
        Some(IdTokenTamper::Expired),
        Some(IdTokenTamper::NotYetValid),
        Some(IdTokenTamper::Version("1.0".to_owned())),
        Some(IdTokenTamper::Garbage),
        Some(IdTokenTamper::Missing),
    ];
    for tamper in all {
        azure.sandbox.change(|world| world.entra.tamper = tamper.clone());
        let code = azure.code(OLIVIA).await;
        let (_, body) = azure.redeem(&code, &[]).await;
        let accepted = body["id_token"].as_str().and_then(good).is_some();
        assert_eq!(accepted, tamper.is_none(), "{tamper:?}");
    }
}

#[tokio::test]
async fn the_application_is_told_why_it_gets_no_token() {
    let azure = Azure::start_in(|world| world.entra.replication_delay = Duration::from_secs(60)).await;
    azure.code(OLIVIA).await;
    assert_eq!(azure.app_answer().await.1["error_codes"], json!([7_000_229]), "replication is not over");
    azure.sandbox.change(|world| world.entra.missing_principal_code = 700_016);
    let (status, body) = azure.app_answer().await;
    assert_eq!((status.as_u16(), &body["error"]), (400, &json!("unauthorized_client")));
    azure.clock.advance(Duration::from_secs(60));
    azure.app_token().await;
    let tenant = azure.tenant;
    azure.sandbox.change(|world| {
        let principal = world.tenants.get_mut(&tenant).expect("made").service_principal.as_mut();
        principal.expect("consented").disabled = true;
    });
    assert_eq!(azure.app_answer().await.1["error_codes"], json!([7_000_112]));
    let now = azure.clock.time();
    azure.sandbox.change(|world| world.application.secrets[0].expires_at = Some(now));
    let (status, body) = azure.app_answer().await;
    assert_eq!((status.as_u16(), &body["error_codes"]), (401, &json!([7_000_222])));
    let fields = [("grant_type", "client_credentials"), ("scope", "https://management.azure.com/.default")];
    azure.sandbox.change(|world| world.application.secrets[0].expires_at = None);
    assert_eq!(azure.token("organizations", &fields).await.1["error_codes"], json!([9_001_023]));
}

#[tokio::test]
async fn consent_after_a_withdrawal_makes_another_service_principal() {
    let azure = Azure::start().await;
    azure.code(OLIVIA).await;
    let first = claims(&azure.app_token().await)["oid"].clone();
    let tenant = azure.tenant;
    azure.sandbox.change(|world| world.withdraw_consent(tenant));
    assert_eq!(azure.app_answer().await.0, 401);
    azure.code(OLIVIA).await;
    assert_ne!(claims(&azure.app_token().await)["oid"], first);
}

#[tokio::test]
async fn a_subscription_tells_its_tenant_to_whoever_asks_without_a_token() {
    let azure = Azure::start().await;
    let url = |id: &str| format!("{}subscriptions/{id}?api-version=2022-12-01", azure.sandbox.resource_manager());
    let response = azure.http.get(url(&azure.subscription.to_string())).send().await.expect("an answer");
    assert_eq!(response.status(), 401);
    let challenge = response.headers()["www-authenticate"].to_str().expect("text").to_owned();
    let start =
        format!("Bearer authorization_uri=\"https://login.windows.net/{}\", error=\"invalid_token\"", azure.tenant);
    assert!(challenge.starts_with(&start), "{challenge}");
    let unknown = azure.http.get(url("00000000-0000-4000-8000-000000000009")).send().await.expect("an answer");
    assert_eq!(unknown.status(), 404);
    let body: Value = unknown.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "SubscriptionNotFound");
}

#[tokio::test]
async fn tokens_are_really_checked() {
    let azure = Azure::start_in(|world| {
        let other = world.tenant("Adventure Works");
        let subscription = world.subscription(other, "Theirs");
        let contoso = world.tenant_named("Contoso").expect("made");
        world.onboarded(contoso);
        let foreign = world.service_principal(contoso).expect("consented");
        // Not even a role helps a token of another tenant.
        world.assign(subscription, foreign, Role::Owner);
    })
    .await;
    let token = azure.app_token().await;
    let path = azure.events_path("");
    assert_eq!(azure.get(&path, &token).await.0, 200);
    let theirs = azure.sandbox.change(|world| world.subscription_named("Theirs").expect("made"));
    let path = format!("/subscriptions/{theirs}?api-version=2022-12-01");
    let (status, body) = azure.get(&path, &token).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (401, &json!("InvalidAuthenticationTokenTenant")));
    let (body_part, signature) = token.rsplit_once('.').expect("a JWT");
    let mut tampered = signature.to_owned();
    tampered.replace_range(0..4, if signature.starts_with("AAAA") { "BBBB" } else { "AAAA" });
    let path = azure.events_path("");
    let (status, body) = azure.get(&path, &format!("{body_part}.{tampered}")).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (401, &json!("InvalidAuthenticationToken")));
    azure.clock.advance(Duration::from_secs(4799));
    let (status, body) = azure.get(&path, &token).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (401, &json!("ExpiredAuthenticationToken")));
}

#[tokio::test]
async fn a_role_assignment_decides_what_the_application_reads() {
    let azure = Azure::start().await;
    let user = azure.user_token(OLIVIA).await;
    let app = azure.app_token().await;
    let principal: ObjectId = claims(&app)["oid"].as_str().expect("an object id").parse().expect("a GUID");
    let path = azure.events_path("");
    let (status, body) = azure.get(&path, &app).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (403, &json!("AuthorizationFailed")));
    let message = body["error"]["message"].as_str().expect("a message");
    assert!(message.contains("'Microsoft.ResourceHealth/events/read' over scope '/subscriptions/"), "{message}");
    assert_eq!(azure.get("/subscriptions?api-version=2022-12-01", &app).await.1["value"], json!([]));

    let assignment = azure.assignment(principal);
    let name = azure.assignment_path("11111111-1111-4111-8111-111111111111");
    let refused = azure.arm(Method::PUT, &name, &app, Some(&assignment)).await;
    assert_eq!(refused.status(), 403, "the application cannot help itself");
    let made = azure.arm(Method::PUT, &name, &user, Some(&assignment)).await;
    assert_eq!(made.status(), 201);
    let again = azure.arm(Method::PUT, &name, &user, Some(&assignment)).await;
    assert_eq!(again.status(), 200);
    assert_eq!(azure.get(&path, &app).await.0, 200);
    assert_eq!(
        azure.get("/subscriptions?api-version=2022-12-01", &app).await.1["value"][0]["tenantId"],
        azure.tenant.to_string()
    );

    assert_eq!(azure.arm(Method::DELETE, &name, &app, None).await.status(), 403, "a reader cannot remove itself");
    assert_eq!(azure.arm(Method::DELETE, &name, &user, None).await.status(), 200);
    assert_eq!(azure.arm(Method::DELETE, &name, &user, None).await.status(), 204);
    assert_eq!(azure.get(&path, &app).await.0, 403);
}

#[tokio::test]
async fn a_second_role_assignment_of_the_same_triple_names_the_first() {
    let azure = Azure::start().await;
    let user = azure.user_token(OLIVIA).await;
    let principal = azure.sandbox.change(|world| world.service_principal(azure.tenant)).expect("consented");
    let first = azure.assignment_path("11111111-1111-4111-8111-111111111111");
    assert_eq!(azure.arm(Method::PUT, &first, &user, Some(&azure.assignment(principal))).await.status(), 201);
    let second = azure.assignment_path("22222222-2222-4222-8222-222222222222");
    let response = azure.arm(Method::PUT, &second, &user, Some(&azure.assignment(principal))).await;
    assert_eq!(response.status(), 409);
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "RoleAssignmentExists");
    assert!(body["error"]["message"].as_str().expect("text").ends_with("11111111111141118111111111111111"));
    // The same name cannot be pointed at somebody else.
    let response = azure.arm(Method::PUT, &first, &user, Some(&azure.assignment(azure.owner))).await;
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(body["error"]["code"], "RoleAssignmentUpdateNotPermitted");
    let list = azure.in_subscription(&format!(
        "/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()%20and%20assignedTo('{principal}')"
    ));
    let (_, body) = azure.get(&list, &user).await;
    assert_eq!(names(&body), ["11111111-1111-4111-8111-111111111111"]);
    azure.sandbox.change(|world| world.arm.identical_put_conflicts = true);
    let response = azure.arm(Method::PUT, &first, &user, Some(&azure.assignment(principal))).await;
    assert_eq!(response.status(), 409);
}

#[tokio::test]
async fn writing_role_assignments_is_refused_for_each_documented_reason() {
    let azure = Azure::start_in(|world| {
        let tenant = world.tenant_named("Contoso").expect("made");
        let subscription = world.subscription_named("Production").expect("made");
        let reader = world.user(tenant, "Rita Reader");
        world.assign(subscription, reader, Role::Reader);
    })
    .await;
    let user = azure.user_token(OLIVIA).await;
    let reader = azure.user_token("rita.reader@contoso.example").await;
    let principal = azure.sandbox.change(|world| world.service_principal(azure.tenant)).expect("consented");
    let path = azure.assignment_path("11111111-1111-4111-8111-111111111111");
    let put = async |token: &str, body: &Value| {
        let response = azure.arm(Method::PUT, &path, token, Some(body)).await;
        let (status, challenge) = (response.status().as_u16(), response.headers().get("www-authenticate").cloned());
        let body: Value = response.json().await.expect("JSON");
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned(), challenge)
    };
    let good = azure.assignment(principal);
    assert_eq!(put(&reader, &good).await.1, "AuthorizationFailed");
    let mut untyped = good.clone();
    untyped["properties"].as_object_mut().expect("an object").remove("principalType");
    assert_eq!(put(&user, &untyped).await.1, "PrincipalNotFound", "fresh principals need their type");
    let mut wrong = good.clone();
    wrong["properties"]["principalType"] = "User".into();
    assert_eq!(put(&user, &wrong).await.1, "UnmatchedPrincipalType");
    azure.sandbox.change(|world| world.arm.principal_not_found = 1);
    assert_eq!(put(&user, &good).await.1, "PrincipalNotFound");
    azure.sandbox.change(|world| world.arm.role_assignment_limit = 2);
    assert_eq!(put(&user, &good).await.1, "RoleAssignmentLimitExceeded");
    azure.sandbox.change(|world| {
        world.arm.role_assignment_limit = 4000;
        world.subscriptions.get_mut(&azure.subscription).expect("made").state = "Disabled".to_owned();
    });
    assert_eq!(put(&user, &good).await.1, "ReadOnlyDisabledSubscription");
    azure.sandbox.change(|world| {
        world.subscriptions.get_mut(&azure.subscription).expect("made").state = "Enabled".to_owned();
        world.arm.require_mfa = true;
    });
    let (status, code, challenge) = put(&user, &good).await;
    assert_eq!((status, code.as_str()), (401, "RequestDisallowedByAzure"));
    let challenge = challenge.expect("a challenge").to_str().expect("text").to_owned();
    assert!(challenge.contains("error=\"insufficient_claims\", claims=\""), "{challenge}");
    // With the claims asked for, the new token passes.
    let url = azure.authorize_url(&azure.tenant.to_string(), |fields| {
        let claims = r#"{"access_token":{"acrs":{"essential":true,"values":["p1"]}}}"#;
        fields.push(("claims", claims.to_owned()));
    });
    let back = azure.sign_in_at(&url, OLIVIA).await.location().expect("back");
    let (_, body) = azure.redeem(&query(&back, "code").expect("a code"), &[]).await;
    assert_eq!(put(body["access_token"].as_str().expect("a token"), &good).await.0, 201);
}

#[tokio::test]
async fn a_new_role_assignment_takes_effect_after_its_time_or_its_reads() {
    let azure = Azure::start_in(|world| world.propagation(Duration::from_secs(300), 2)).await;
    let user = azure.user_token(OLIVIA).await;
    let app = azure.app_token().await;
    let principal = azure.sandbox.change(|world| world.service_principal(azure.tenant)).expect("consented");
    let name = azure.assignment_path("11111111-1111-4111-8111-111111111111");
    assert_eq!(azure.arm(Method::PUT, &name, &user, Some(&azure.assignment(principal))).await.status(), 201);
    let path = azure.events_path("");
    let status = async || azure.get(&path, &app).await.0.as_u16();
    azure.clock.advance(Duration::from_secs(299));
    assert_eq!([status().await, status().await, status().await], [403, 403, 403]);
    azure.clock.advance(Duration::from_secs(1));
    assert_eq!(status().await, 200);
}

/// A world with one event per case, all of them in `Production`.
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

#[tokio::test]
async fn events_older_than_three_days_are_listed_only_when_asked_for() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    let list = async |more: &str| azure.get(&azure.events_path(more), &token).await.1;
    assert_eq!(names(&list("").await), ["SEC1-000", "NEW1-000"]);
    assert_eq!(names(&list("&queryStartTime=2025-12-01T00:00:00Z").await), ["SEC1-000", "NEW1-000", "OLD1-000"]);
    assert_eq!(names(&list("&queryStartTime=1/2/2025").await), ["SEC1-000", "NEW1-000", "OLD1-000", "AGED-000"]);
    assert_eq!(list("&queryStartTime=soon").await["code"], "BadRequest");
    let one = |more: &str| {
        azure.in_subscription(&format!(
            "/providers/Microsoft.ResourceHealth/events/OLD1-000?api-version=2025-05-01{more}"
        ))
    };
    assert_eq!(azure.get(&one(""), &token).await.0, 404, "the default holds for one event too");
    assert_eq!(azure.get(&one("&queryStartTime=2025-12-01T00:00:00Z"), &token).await.1["name"], "OLD1-000");
    // Texts of sensitive events are withheld from readers.
    let body = list("").await;
    let sensitive = &body["value"][0]["properties"];
    assert_eq!(sensitive["isEventSensitive"], true);
    assert!(sensitive.get("summary").is_none() && sensitive.get("description").is_none());
    let fetch = azure.in_subscription(
        "/providers/Microsoft.ResourceHealth/events/SEC1-000/fetchEventDetails?api-version=2025-05-01",
    );
    assert_eq!(azure.arm(Method::POST, &fetch, &token, None).await.status(), 403);
}

#[tokio::test]
async fn lists_are_paged_and_misbehave_on_order() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    azure.sandbox.change(|world| {
        world.health.availability_page_size = 2;
        world.health.event_page_size = 1;
        world.health.empty_first_page = true;
    });
    let mut path =
        azure.in_subscription("/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version=2025-05-01");
    let mut sizes = Vec::new();
    loop {
        let (status, body) = azure.get(&path, &token).await;
        assert_eq!(status, 200, "{body}");
        sizes.push(body["value"].as_array().expect("rows").len());
        match body["nextLink"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(sizes, [0, 2, 1]);
    azure.sandbox.change(|world| {
        world.health.empty_first_page = false;
        world.health.later_pages_refused = true;
        world.health.duplicate_names = true;
        world.health.mitigation_year_one = true;
    });
    let body = azure.get(&azure.events_path("&queryStartTime=2025-12-01"), &token).await.1;
    let refused = azure.get(body["nextLink"].as_str().expect("a next page"), &token).await;
    assert_eq!((refused.0.as_u16(), &refused.1["code"]), (400, &json!("InvalidODataQueryOptions")));
    azure.sandbox.change(|world| {
        world.health.event_page_size = 100;
        world.health.next_link_host = Some("evil.example".to_owned());
        world.health.availability_page_size = 1;
    });
    let body = azure.get(&azure.events_path(""), &token).await.1;
    assert_eq!(names(&body), ["SEC1-000", "SEC1-000", "NEW1-000", "NEW1-000"]);
    assert_eq!(body["value"][2]["properties"]["impactMitigationTime"], "0001-01-01T00:00:00");
    let path = azure.in_subscription("/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version=2025-05-01");
    let body = azure.get(&path, &token).await.1;
    assert!(body["nextLink"].as_str().is_some_and(|link| link.starts_with("http://evil.example:")));
}

const EVENTS: &str = "servicehealthresources | where type =~ 'microsoft.resourcehealth/events' | project id, name, subscriptionId, properties | order by id asc";

#[tokio::test]
async fn resource_graph_drops_what_may_not_be_read_without_a_word() {
    let azure = Azure::start_in(|world| {
        with_events(world);
        let tenant = world.tenant_named("Contoso").expect("made");
        let closed = world.subscription(tenant, "Closed");
        world.change_event("NEW1-000", |event| {
            event.subscriptions.insert(closed, Duration::from_millis(1800));
        });
    })
    .await;
    let token = azure.app_token().await;
    let closed = azure.sandbox.change(|world| world.subscription_named("Closed").expect("made"));
    let both = json!({"subscriptions": [azure.subscription, closed], "query": EVENTS});
    let (status, body) = azure.graph(&token, both).await;
    assert_eq!(status, 200, "{body}");
    let rows = body["data"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["subscriptionId"] == azure.subscription.to_string()));
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    // Sorted by id; older than ninety days is gone.
    assert_eq!(ids, ["NEW1-000", "OLD1-000", "SEC1-000"]);
    assert_eq!(
        (&body["count"], &body["totalRecords"], &body["resultTruncated"]),
        (&json!(3), &json!(3), &json!("false"))
    );
    let bag = &rows[0]["properties"];
    assert_eq!(bag["Status"], "Active");
    assert_eq!(bag["Impact"][0]["ImpactedRegions"][0]["ImpactedRegion"], "West Europe");
    assert!(bag["Impact"][0]["ImpactedRegions"][0].get("Updates").is_none());
    assert_eq!(rows[1]["properties"]["impactType"], "Network Connectivity");
    let (status, body) = azure.graph(&token, json!({"subscriptions": [closed], "query": EVENTS})).await;
    assert_eq!(
        (status.as_u16(), &body["error"]["details"][0]["code"]),
        (400, &json!("NoValidSubscriptionsInQueryRequest"))
    );
    // The owner sees both, with her own token.
    azure.sandbox.change(|world| world.assign(closed, azure.owner, Role::Reader));
    let user = azure.user_token(OLIVIA).await;
    let coverage =
        "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' | project id, name | order by id asc";
    assert_eq!(azure.graph(&user, json!({"query": coverage})).await.1["count"], 2);
}

#[tokio::test]
async fn resource_graph_pages_only_with_an_id_and_keeps_its_limits() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    let page =
        async |query: &str, options: Value| azure.graph(&token, json!({"query": query, "options": options})).await;
    let (_, first) = page(EVENTS, json!({"$top": 2})).await;
    assert_eq!((&first["count"], &first["totalRecords"]), (&json!(2), &json!(3)));
    let skip = first["$skipToken"].as_str().expect("a token");
    let (_, last) = page(EVENTS, json!({"$top": 2, "$skipToken": skip})).await;
    assert_eq!(last["data"][0]["name"], "SEC1-000");
    assert!(last.get("$skipToken").is_none());
    let (status, body) = page("servicehealthresources | project id", json!({"$skipToken": skip})).await;
    assert_eq!((status.as_u16(), &body["error"]["details"][0]["code"]), (400, &json!("InvalidSkipToken")));
    let (_, blind) = page("servicehealthresources | project name", json!({"$top": 2})).await;
    assert_eq!(blind["resultTruncated"], "true");
    assert!(blind.get("$skipToken").is_none());
    let (_, machines) = page(
        "HealthResources | where tostring(properties.availabilityState) !~ 'available' | project id, properties",
        json!({}),
    )
    .await;
    assert_eq!(machines["count"], 1);
    assert_eq!(machines["data"][0]["properties"]["previousAvailabilityState"], "Available");
    let (status, body) = page("healthresources | summarize count()", json!({})).await;
    assert_eq!((status.as_u16(), &body["error"]["details"][0]["code"]), (400, &json!("ParserFailure")));
    azure.sandbox.change(|world| {
        world.graph.times = GraphTimes::Ticks;
        world.graph.quota = Some(2);
    });
    let (_, body) = page(EVENTS, json!({})).await;
    // 2026-01-15T12:00:00Z, computed with .NET's formula by hand.
    assert_eq!(body["data"][0]["properties"]["LastUpdateTime"], 639_040_752_000_000_000_i64);
    azure.sandbox.change(|world| world.graph.payload_limit = 100);
    let (_, body) = page(EVENTS, json!({})).await;
    assert_eq!(body["error"]["details"][0]["code"], "ResponsePayloadTooLarge");
    let (status, body) = page(EVENTS, json!({})).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (429, &json!("RateLimiting")));
    azure.clock.advance(Duration::from_secs(5));
    assert_eq!(page("resourcecontainers | project id", json!({})).await.0, 400, "the payload limit holds still");
}

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
    let outage = || {
        sandbox.change(|world| {
            world
                .events
                .get(DEMO_OUTAGE)
                .map(|event| (event.status.clone(), event.subscriptions.len(), event.updates.len()))
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

/// The official example of this name, or None when they are not at hand.
fn example(path: &str) -> Option<Value> {
    #[expect(clippy::disallowed_methods, reason = "the examples are no setting of the product")]
    let folder = std::env::var("AZURE_EXAMPLES").ok()?;
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join(path)).expect("the example is there");
    Some(serde_json::from_str(&text).expect("the example is JSON"))
}

/// Every member that we emit must be in the example with the same JSON type; `null` fits everything, and every element of our
/// arrays is held against all elements of theirs. Keys in `beyond` are known from elsewhere, each with its source.
fn assert_shape(ours: &Value, theirs: &[&Value], path: &str, beyond: &[&str]) {
    match ours {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}.{name}");
                if beyond.contains(&path.as_str()) {
                    continue;
                }
                let known: Vec<&Value> = theirs.iter().filter_map(|one| one.get(name)).collect();
                assert!(!known.is_empty(), "{path} is not in the official example");
                let same = |one: &&Value| {
                    one.is_null() || value.is_null() || std::mem::discriminant(*one) == std::mem::discriminant(value)
                };
                assert!(known.iter().any(same), "{path} has another type than in the official example: {value}");
                assert_shape(value, &known, &path, beyond);
            }
        }
        Value::Array(items) => {
            let known: Vec<&Value> = theirs.iter().filter_map(|one| one.as_array()).flatten().collect();
            for item in items.iter().filter(|_| !known.is_empty()) {
                assert_shape(item, &known, &format!("{path}[]"), beyond);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_member_that_is_sent_is_in_the_official_examples() {
    if example("subscriptions/GetSubscriptions.json").is_none() {
        println!("skipped: AZURE_EXAMPLES is not set");
        return;
    }
    let official = |path: &str, status: &str| {
        let file = example(path).expect("AZURE_EXAMPLES is set");
        file["responses"][status]["body"].clone()
    };
    let azure = Azure::start_in(with_events).await;
    azure.sandbox.change(|world| {
        world.arm.page_size = 1;
        world.change_event("NEW1-000", |event| {
            let now = event.last_update;
            event.resolve(now, "<p>over</p>");
            event.tags.push("Final PIR".to_owned());
        });
        let subscription = world.subscription_named("Production").expect("made");
        world.change_resource(subscription, "vm-1", |vm, now| {
            vm.becomes("Degraded", now, "It is slow.");
            vm.becomes("Available", now, "");
        });
    });
    let token = azure.app_token().await;
    let user = azure.user_token(OLIVIA).await;

    let (_, ours) = azure.get("/subscriptions?api-version=2022-12-01", &user).await;
    assert_shape(&ours, &[&official("subscriptions/GetSubscriptions.json", "200")], "subscriptions", &[]);
    let (_, ours) = azure.get(&azure.in_subscription("?api-version=2022-12-01"), &user).await;
    assert_shape(&ours, &[&official("subscriptions/GetSubscription.json", "200")], "subscription", &[]);
    let (_, ours) = azure.get("/tenants?api-version=2022-12-01", &user).await;
    assert_shape(&ours, &[&official("subscriptions/GetTenants.json", "200")], "tenants", &[]);

    let (status, ours) = azure.get(&azure.events_path("&queryStartTime=2025-12-01"), &token).await;
    assert_eq!((status.as_u16(), ours["value"].as_array().expect("rows").len()), (200, 3));
    let theirs = official("resource-health/Events_ListBySubscriptionId.json", "200");
    let observed = example("resource-health/observed/Events_ListBySubscriptionId.observed-2024.sanitized.json");
    // The example shows one event; what real ones carried besides is in the observed answer.
    assert_shape(&ours, &[&theirs, &observed.expect("AZURE_EXAMPLES is set")], "events", &[]);
    assert_shape(
        &ours,
        &[&theirs],
        "events",
        &[
            "events.value[].properties.description",
            "events.value[].properties.externalIncidentId",
            "events.value[].properties.impactType",
            "events.value[].properties.platformInitiated",
        ],
    );

    let path = azure.in_subscription("/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version=2025-05-01");
    let (_, ours) = azure.get(&path, &token).await;
    assert_eq!(ours["value"].as_array().expect("rows").len(), 3);
    let theirs = official("resource-health/AvailabilityStatuses_ListBySubscriptionId.json", "200");
    assert_shape(&ours, &[&theirs], "statuses", &[]);

    let (status, ours) = azure.graph(&token, json!({"query": EVENTS, "options": {"$top": 1}})).await;
    assert_eq!(status, 200);
    let theirs = official("resource-graph/ResourcesFirstPageQuery.json", "200");
    let row = ["graph.data[].subscriptionId", "graph.data[].properties"];
    assert_shape(&ours, &[&theirs], "graph", &row);
    let machines = "healthresources | project id, properties";
    let (_, ours) = azure.graph(&token, json!({"query": machines})).await;
    let theirs = example("resource-graph/HealthResources_availabilitystatus_properties.json").expect("set");
    // Newer documents list these three too ("health-apis", 3.3).
    let newer = ["machine.reasonType", "machine.title", "machine.summary"];
    assert_shape(&ours["data"][0]["properties"], &[&theirs], "machine", &newer);

    let principal = azure.sandbox.change(|world| world.service_principal(azure.tenant)).expect("consented");
    azure.sandbox.change(|world| world.unassign(azure.subscription, principal));
    let path = azure.assignment_path("11111111-1111-4111-8111-111111111111");
    let response = azure.arm(Method::PUT, &path, &user, Some(&azure.assignment(principal))).await;
    assert_eq!(response.status(), 201);
    let ours: Value = response.json().await.expect("JSON");
    let theirs = official("authorization/RoleAssignments_CreateForSubscription.json", "201");
    let full = ["description", "condition", "conditionVersion", "createdOn", "updatedOn", "createdBy", "updatedBy"];
    let full: Vec<String> = full
        .iter()
        .chain(&["delegatedManagedIdentityResourceId"])
        .map(|name| format!("assignment.properties.{name}"))
        .collect();
    // The short example leaves out what the specification has ("identity-and-consent", 5.4).
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    assert_shape(&ours, &[&theirs], "assignment", &full);
}

#[tokio::test]
async fn refusals_have_the_words_that_were_observed() {
    let Some(official) = example("errors/AuthorizationFailed.events.json") else {
        println!("skipped: AZURE_EXAMPLES is not set");
        return;
    };
    let azure = Azure::start().await;
    azure.code(OLIVIA).await;
    let token = azure.app_token().await;
    // Ids and times apart, text for text.
    let bare = |text: &Value| {
        let words = text.as_str().expect("a message").split(['\'', '/']);
        words.filter(|word| word.len() != 36).collect::<Vec<_>>().join("|")
    };
    let response = azure.arm(Method::GET, &azure.events_path(""), &token, None).await;
    assert_eq!(response.status().as_u16(), official["status"]);
    assert_eq!(response.headers()["x-ms-failure-cause"], "gateway");
    let ours: Value = response.json().await.expect("JSON");
    assert_eq!(bare(&ours["error"]["message"]), bare(&official["body"]["error"]["message"]));

    let other = azure.sandbox.change(|world| {
        let other = world.tenant("Adventure Works");
        world.subscription(other, "Theirs")
    });
    let (_, ours) = azure.get(&format!("/subscriptions/{other}?api-version=2022-12-01"), &token).await;
    let official = example("errors/InvalidAuthenticationTokenTenant.json").expect("set");
    assert_eq!(bare(&ours["error"]["message"]), bare(&official["body"]["error"]["message"]));
    let (_, ours) = azure.graph(&token, json!({"subscriptions": [other], "query": EVENTS})).await;
    let official = example("errors/ResourceGraph.NoValidSubscriptionsInQueryRequest.json").expect("set");
    let detail = |body: &Value| bare(&body["error"]["details"][0]["message"]);
    assert_eq!(detail(&ours), detail(&official["body"]));
}
