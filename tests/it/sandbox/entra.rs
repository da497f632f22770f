//! Sign-in, consent and tokens.

use super::*;

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
async fn a_guest_signs_in_as_another_user_of_the_same_name() {
    const ADA: &str = "ada.admin@adventureworks.example";
    let azure = Azure::start_in(|world| {
        let home = world.tenant("Adventure Works");
        world.user(home, "Ada Admin");
        let tenant = world.tenant_named("Contoso").expect("made");
        world.guest(tenant, "Ada Admin", ADA);
    })
    .await;
    let code = azure.code(ADA).await;
    let (_, body) = azure.redeem(&code, &[]).await;
    let guest = claims(body["id_token"].as_str().expect("an ID token"));
    assert_eq!((&guest["tid"], &guest["acct"]), (&json!(azure.tenant), &json!(1)));
    let home = azure.sandbox.change(|world| world.users.values().find(|one| one.upn == ADA && !one.guest).cloned());
    assert_ne!(guest["oid"], json!(home.expect("made").object_id));
}

#[tokio::test]
async fn a_form_that_posts_itself_carries_the_code_outside_of_addresses() {
    let azure = Azure::start().await;
    let url = azure.authorize_url(&azure.tenant.to_string(), |fields| {
        fields.retain(|(key, _)| *key != "response_mode" && *key != "redirect_uri");
        fields.push(("response_mode", "form_post".to_owned()));
        // The port of localhost does not count.
        fields.push(("redirect_uri", REDIRECT.replace("7071", "9")));
    });
    let page = azure.sign_in_at(&url, OLIVIA).await;
    assert_eq!((page.status, page.location()), (200, None));
    let form = page.form("/api/consent/callback").expect("a form to the application");
    assert_eq!(form.value("state"), Some("the-state"));
    assert!(form.value("code").is_some());
}

#[tokio::test]
async fn the_token_endpoint_throttles_and_breaks_on_order() {
    let azure = Azure::start_in(with_events).await;
    azure.sandbox.change(|world| {
        world.fault(Fault::throttled(3).host(HostKind::Entra).path("/token").times(1));
        world.fault(Fault::status(502).host(HostKind::Entra).path("/token").times(1));
    });
    let ask = async || azure.http.post(azure.entra(&format!("{}/oauth2/v2.0/token", azure.tenant))).send().await;
    let throttled = ask().await.expect("an answer");
    assert_eq!((throttled.status().as_u16(), throttled.headers()["retry-after"].as_bytes()), (429, b"3".as_slice()));
    let body: Value = throttled.json().await.expect("JSON");
    assert_eq!(body["error_codes"], json!([90_055]));
    let broken = ask().await.expect("an answer");
    assert_eq!(broken.status(), 502);
    assert!(broken.text().await.expect("text").starts_with("<html>"), "a proxy speaks no JSON");
    azure.app_token().await;
}
