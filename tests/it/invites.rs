//! Invites: made, listed and withdrawn by portals; one use each; and nobody comes in without.

use health_monitor::model::{AccessTier, SubscriptionAccess};
use health_monitor::sandbox::Role;
use health_monitor::sandbox::visitor::Choice;
use serde_json::json;

use crate::onboarding::Case;

const BY_INVITE: [(&str, &str); 1] = [("ONBOARDING", "invite")];

#[tokio::test]
async fn an_invite_of_the_api_leads_a_customer_in_once_and_the_list_says_so() {
    let case = Case::start_in(&BY_INVITE, |_, _| {}).await;
    let body = json!({"label": "Contoso, Berlin", "tenantId": case.tenant, "expiresInDays": 3});
    let (status, made) = case.app.call("POST", "/api/v1/invites", Some(body)).await;
    assert_eq!((status, made["state"].as_str()), (201, Some("open")), "{made}");
    let link = made["link"].as_str().expect("a link").to_owned();
    let (_, listed) = case.app.call("GET", "/api/v1/invites", None).await;
    assert_eq!(listed["value"][0]["link"], made["link"]);

    let done = case.app.visitor().onboard(&link, &case.upn, Choice::All).await.expect("the way in");
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(case.customer().await.expect("a record").display_name, "Contoso, Berlin");
    let (_, listed) = case.app.call("GET", "/api/v1/invites", None).await;
    assert_eq!(listed["value"][0]["state"], "used");
    assert_eq!(listed["value"][0].get("link"), None, "a used link leads nowhere");
    let again = case.app.visitor().open(&link).await.expect("a page");
    assert_eq!(again.status, 403);
    let path = format!("/api/v1/invites/{}", made["id"].as_str().expect("an id"));
    let (status, problem) = case.app.call("DELETE", &path, None).await;
    assert_eq!((status, problem["type"].as_str()), (409, Some("urn:health-monitor:problem:invite-used")));
}

#[tokio::test]
async fn a_withdrawn_invite_turns_away_politely_and_withdrawing_twice_is_withdrawing_once() {
    let case = Case::start_in(&BY_INVITE, |_, _| {}).await;
    let (_, made) = case.app.call("POST", "/api/v1/invites", Some(json!({"label": "Contoso"}))).await;
    let path = format!("/api/v1/invites/{}", made["id"].as_str().expect("an id"));
    for _ in 0..2 {
        assert_eq!(case.app.call("DELETE", &path, None).await.0, 204);
    }
    let page = case.app.visitor().open(made["link"].as_str().expect("a link")).await.expect("a page");
    assert_eq!(page.status, 403);
    assert!(page.text().contains("This invitation was withdrawn"), "{}", page.text());
    assert_eq!(case.app.call("DELETE", "/api/v1/invites/nobody-made-this", None).await.0, 404);
    assert_eq!(case.app.call("DELETE", "/api/v1/invites/..%2Fcustomers", None).await.0, 404);
}

#[tokio::test]
async fn what_is_no_invite_is_a_problem_that_names_the_member() {
    let case = Case::start_in(&BY_INVITE, |_, _| {}).await;
    for (body, named) in [
        (json!({}), "label"),
        (json!({"label": " "}), "label"),
        (json!({"label": "a\nb"}), "label"),
        (json!({"label": "x", "tenantId": "contoso"}), "tenantId"),
        (json!({"label": "x", "expiresInDays": 0}), "expiresInDays"),
        (json!({"label": "x", "expiresInDays": 366}), "expiresInDays"),
        (json!({"label": "x", "expiresAt": "2020-01-01T00:00:00Z"}), "expiresAt"),
        (json!({"label": "x", "tiers": ["everything"]}), "everything"),
        (json!({"label": "x", "subscriptions": []}), "subscriptions"),
    ] {
        let (status, problem) = case.app.call("POST", "/api/v1/invites", Some(body.clone())).await;
        assert_eq!(status, 400, "{body}: {problem}");
        assert!(problem.to_string().contains(named), "{body}: {problem}");
    }
    assert_eq!(case.app.call("PUT", "/api/v1/invites", None).await.0, 405);
    assert_eq!(case.app.call("GET", "/api/v1/invites", None).await.1["value"], json!([]));
}

#[tokio::test]
async fn of_two_browsers_with_the_same_invite_at_once_one_comes_in() {
    let case = Case::start_in(&BY_INVITE, |world, tenant| {
        let second = world.subscription(tenant, "Second");
        let owner = world.user(tenant, "Olivia Owner");
        world.assign(second, owner, Role::Owner);
    })
    .await;
    let (_, made) = case.app.call("POST", "/api/v1/invites", Some(json!({"label": "Contoso"}))).await;
    let link = made["link"].as_str().expect("a link");
    let (mut one, mut other) = (case.app.visitor(), case.app.visitor());
    let mut choosers = Vec::new();
    for visitor in [&mut one, &mut other] {
        let sign_in = visitor.open(link).await.expect("a page");
        choosers.push(visitor.sign_in(&sign_in, &case.upn).await.expect("the choice"));
    }
    let (a, b) = tokio::join!(one.grant(&choosers[0], Choice::All), other.grant(&choosers[1], Choice::All));
    let mut statuses = [a.expect("a page").status, b.expect("a page").status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "one wins, the other is told");
    assert_eq!(case.customer().await.expect("a record").receipt.len(), 2, "and nothing was granted twice");
}

#[tokio::test]
async fn an_invite_for_some_subscriptions_offers_no_others() {
    let case = Case::start_in(&BY_INVITE, |world, tenant| {
        let owner = world.user(tenant, "Olivia Owner");
        let secret = world.subscription(tenant, "Secret");
        world.assign(secret, owner, Role::Owner);
    })
    .await;
    let secret = case.app.sandbox.change(|world| world.subscription_named("Secret").expect("made above"));
    let body = json!({"label": "Contoso", "subscriptionIds": [case.subscription]});
    let (_, made) = case.app.call("POST", "/api/v1/invites", Some(body)).await;
    let mut visitor = case.app.visitor();
    let sign_in = visitor.open(made["link"].as_str().expect("a link")).await.expect("a page");
    let chooser = visitor.sign_in(&sign_in, &case.upn).await.expect("the choice");
    assert!(chooser.text().contains("Production") && !chooser.text().contains("Secret"), "{}", chooser.text());
    let refused = visitor.grant(&chooser, Choice::Only(&[secret])).await.expect("a page");
    assert_eq!(refused.status, 400, "what was not offered is not granted");
    assert!(case.customer().await.is_none());
}

#[tokio::test]
async fn a_stranger_without_an_invite_is_turned_away_before_any_sign_in() {
    let case = Case::start_in(&BY_INVITE, |_, _| {}).await;
    let page = case.app.visitor().open(case.app.url("/api/consent/start")).await.expect("a page");
    assert_eq!(page.status, 403);
    assert!(page.text().contains("You need an invitation"));
    assert_eq!(case.sessions().await, 0);
}

#[tokio::test]
async fn a_tier_beyond_the_base_assigns_its_role_beside_reader() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    let form = chooser.form("/api/consent/grant").expect("the form").clone();
    let subscription = case.subscription.to_string();
    let fields = [("subscription", subscription.as_str()), ("tier", "securityAdvisories"), ("tier", "tenantEvents")];
    let done = visitor.submit(&chooser, &form, &fields).await.expect("a page");
    assert_eq!(done.status, 200, "{}", done.text());
    let roles = case.app.sandbox.change(|world| {
        let principal = world.service_principal(case.tenant).expect("consented");
        let ours = world.role_assignments.iter().filter(|one| one.principal == principal);
        ours.map(|one| Role::of(one.role).expect("a known role")).collect::<Vec<_>>()
    });
    assert_eq!(roles, [Role::Reader, Role::ServiceHealthSecurityReader]);
    let customer = case.customer().await.expect("a record");
    let subscription = &customer.subscriptions[&case.subscription];
    assert_eq!(subscription.access, SubscriptionAccess::Active);
    assert!(subscription.tiers.contains(&AccessTier::SecurityAdvisories));
    assert!(customer.tiers.contains(&AccessTier::TenantEvents));
    assert_eq!(customer.receipt.len(), 2, "one line for each role assignment");
}
