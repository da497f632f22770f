//! Tokens at Resource Manager, subscriptions and role assignments.

use super::*;

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

#[tokio::test]
async fn a_subscription_that_moved_names_its_new_tenant_and_forgot_all_roles() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    assert_eq!(azure.get(&azure.events_path(""), &token).await.0, 200);
    let other = azure.sandbox.change(|world| {
        let other = world.tenant("Adventure Works");
        world.transfer(azure.subscription, other);
        other
    });
    let response = azure.arm(Method::GET, &azure.events_path(""), &token, None).await;
    assert_eq!(response.status(), 401);
    let challenge = response.headers()["www-authenticate"].to_str().expect("text");
    assert!(challenge.contains(&format!("https://login.windows.net/{other}\"")), "{challenge}");
    let contoso = azure.tenant;
    azure.sandbox.change(|world| {
        assert!(world.role_assignments.is_empty());
        world.subscriptions.get_mut(&azure.subscription).expect("made").tenant = contoso;
    });
    assert_eq!(azure.get(&azure.events_path(""), &token).await.0, 403, "its roles do not come back");
}

#[tokio::test]
async fn a_missing_or_unknown_api_version_is_refused() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    let events = azure.in_subscription("/providers/Microsoft.ResourceHealth/events");
    for (path, code) in [
        (events.clone(), "MissingApiVersionParameter"),
        (format!("{events}?api-version=2018-07-01"), "InvalidResourceType"),
        ("/subscriptions?api-version=2025-05-01".to_owned(), "InvalidResourceType"),
        ("/subscriptions/not-a-guid?api-version=2022-12-01".to_owned(), "InvalidSubscriptionId"),
    ] {
        let (status, body) = azure.get(&path, &token).await;
        assert_eq!((status.as_u16(), body["error"]["code"].as_str()), (400, Some(code)), "{path}");
    }
}

#[tokio::test]
async fn subscriptions_come_in_pages_and_only_those_that_may_be_read() {
    let azure = Azure::start_in(|world| {
        let tenant = world.tenant_named("Contoso").expect("made");
        let owner = world.users.keys().copied().next().expect("Olivia");
        for number in 1..=4 {
            let subscription = world.subscription(tenant, &format!("More {number}"));
            if number > 1 {
                world.assign(subscription, owner, Role::Reader);
            }
        }
        world.arm.page_size = 3;
    })
    .await;
    let user = azure.user_token(OLIVIA).await;
    let (_, first) = azure.get("/subscriptions?api-version=2022-12-01", &user).await;
    let next = first["nextLink"].as_str().expect("a second page");
    let (_, second) = azure.get(next, &user).await;
    assert!(second.get("nextLink").is_none());
    let rows = [&first, &second].map(|page| page["value"].as_array().expect("rows").len());
    assert_eq!(rows, [3, 1]);
}

#[tokio::test]
async fn permissions_tell_who_may_assign_roles() {
    let azure = Azure::start_in(|world| {
        let tenant = world.tenant_named("Contoso").expect("made");
        let subscription = world.subscription_named("Production").expect("made");
        let contributor = world.user(tenant, "Carla Contributor");
        world.assign(subscription, contributor, Role::Contributor);
    })
    .await;
    let path = azure.in_subscription("/providers/Microsoft.Authorization/permissions?api-version=2022-04-01");
    let olivia = azure.user_token(OLIVIA).await;
    let (_, owner) = azure.get(&path, &olivia).await;
    assert_eq!((&owner["value"][0]["actions"], &owner["value"][0]["notActions"]), (&json!(["*"]), &json!([])));
    let carla = azure.user_token("carla.contributor@contoso.example").await;
    let (_, contributor) = azure.get(&path, &carla).await;
    assert!(contributor["value"][0]["notActions"].to_string().contains("Microsoft.Authorization/*/Write"));
    // What the list says is what happens.
    let principal = azure.sandbox.change(|world| world.service_principal(azure.tenant)).expect("consented");
    let path = azure.assignment_path("11111111-1111-4111-8111-111111111111");
    assert_eq!(azure.arm(Method::PUT, &path, &carla, Some(&azure.assignment(principal))).await.status(), 403);
    assert_eq!(azure.arm(Method::PUT, &path, &olivia, Some(&azure.assignment(principal))).await.status(), 201);
}
