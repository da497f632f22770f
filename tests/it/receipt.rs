//! The receipt: what was granted, by whom, when, and how it is taken back.

use std::collections::BTreeSet;

use health_monitor::consent::manual::{self, Verified};
use health_monitor::model::AccessTier;
use health_monitor::sandbox::Role;
use health_monitor::sandbox::visitor::Choice;

use crate::onboarding::Case;

#[tokio::test]
async fn the_receipt_names_the_assignment_who_made_it_and_the_command_that_removes_it() {
    let case = Case::start().await;
    let start = case.app.url("/api/consent/start");
    case.app.visitor().onboard(&start, &case.upn, Choice::All).await.expect("the way in");
    let (_, id) = case.assignments()[0].clone();
    let (status, receipt) = case.app.call("GET", &format!("/api/v1/customers/{}/receipt", case.tenant), None).await;
    assert_eq!(status, 200);
    let grant = &receipt["grants"][0];
    assert_eq!((grant["role"].as_str(), grant["roleAssignmentId"].as_str()), (Some("Reader"), Some(id.as_str())));
    assert_eq!(grant["grantedBy"], serde_json::json!(case.owner));
    assert_eq!(receipt["takeBack"]["commands"][0], format!("az role assignment delete --ids {id}"));
    assert_eq!(
        case.app.call("GET", "/api/v1/customers/00000000-0000-4000-8000-000000000009/receipt", None).await.0,
        404
    );
}

#[tokio::test]
async fn what_is_found_again_keeps_who_granted_it_and_all_that_was_granted() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    let form = chooser.form("/api/consent/grant").expect("the form").clone();
    let subscription = case.subscription.to_string();
    let fields = [("subscription", subscription.as_str()), ("tier", "securityAdvisories")];
    assert_eq!(visitor.submit(&chooser, &form, &fields).await.expect("a page").status, 200);
    let before = case.customer().await.expect("a record");
    let receipt = case.app.call("GET", &format!("/api/v1/customers/{}/receipt", case.tenant), None).await.1;
    case.app.clock.advance(std::time::Duration::from_secs(3600));

    // The partner looks for himself, as `customers connect --verify` does.
    let found = manual::activate(&case.app.app, case.tenant, &BTreeSet::new(), None).await.expect("it looks");
    assert!(matches!(found, Verified::Active(_)));
    let after = case.customer().await.expect("a record");
    assert_eq!(after.receipt, before.receipt, "by whom and when is not forgotten");
    assert_eq!(after.subscriptions[&case.subscription].tiers, [AccessTier::SecurityAdvisories].into());
    let again = case.app.call("GET", &format!("/api/v1/customers/{}/receipt", case.tenant), None).await.1;
    assert_eq!(again, receipt);

    // What was given to a principal that is no more is not carried over.
    let principal = case.app.sandbox.change(|world| {
        world.withdraw_consent(case.tenant);
        let principal = world.consent(case.tenant);
        world.assign(case.subscription, principal, Role::Reader);
        principal
    });
    case.app.clock.advance(std::time::Duration::from_secs(3600));
    manual::activate(&case.app.app, case.tenant, &BTreeSet::new(), None).await.expect("it looks");
    let after = case.customer().await.expect("a record");
    assert_eq!(after.service_principal_id(), Some(principal));
    assert_eq!(after.subscriptions[&case.subscription].tiers, BTreeSet::new());
}

#[tokio::test]
async fn who_signs_in_sees_the_receipt_as_far_as_he_sees_its_subscriptions() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.user(tenant, "Olivia Owner");
        let reader = world.user(tenant, "Rita Reader");
        let second = world.subscription(tenant, "Second");
        world.assign(second, owner, Role::Owner);
        world.assign(second, reader, Role::Reader);
        let strangers = world.tenant("Strangers");
        world.user(strangers, "Sam Stranger");
    })
    .await;
    let start = case.app.url("/api/consent/start");
    case.app.visitor().onboard(&start, &case.upn, Choice::All).await.expect("the way in");
    let ids: Vec<_> = case.assignments();
    let page_of = async |upn: &str| {
        let mut visitor = case.app.visitor();
        let sign_in = visitor.open(case.app.url("/api/consent/start?purpose=receipt")).await.expect("a page");
        visitor.sign_in(&sign_in, upn).await.expect("a page")
    };
    let owner = page_of(&case.upn).await;
    assert_eq!(owner.status, 200, "{}", owner.text());
    for (_, id) in &ids {
        assert!(owner.body.contains(id.as_str()), "{id}");
    }
    let reader = page_of("rita.reader@contoso.example").await;
    assert_eq!(reader.status, 200);
    let (own, foreign): (Vec<_>, Vec<_>) = ids.iter().partition(|(one, _)| *one != case.subscription);
    assert!(reader.body.contains(own[0].1.as_str()));
    assert!(!reader.body.contains(foreign[0].1.as_str()), "a subscription that he does not see is not on his receipt");
    let stranger = page_of("sam.stranger@strangers.example").await;
    assert_eq!(stranger.status, 404, "{}", stranger.text());
    assert!(!stranger.body.contains(&case.tenant.to_string()));
}
