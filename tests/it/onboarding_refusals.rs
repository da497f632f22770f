//! A customer does not come in, and is told why and what to do.

use std::time::Duration;

use chrono::TimeDelta;
use health_monitor::consent;
use health_monitor::sandbox::visitor::{Choice, Page};
use health_monitor::sandbox::{Fault, HostKind, IdTokenTamper, Role};

use crate::onboarding::Case;
use crate::support::log::listen;

fn assert_refused(page: &Page, status: u16, words: &str) {
    let text = page.text();
    assert_eq!(page.status, status, "{text}");
    assert!(text.contains(words), "{words:?} in {text}");
    assert!(text.contains("What to do now") && text.contains("reference"), "{text}");
}

#[tokio::test]
async fn who_cancels_is_offered_to_try_again_and_can() {
    let heard = listen();
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let sign_in = visitor.open(case.app.url("/api/consent/start")).await.expect("the sign-in page");
    let cancelled = visitor.cancel_sign_in(&sign_in).await.expect("a page");
    assert_refused(&cancelled, 403, "The sign-in was cancelled");
    assert!(cancelled.text().contains("administrator"), "the same answer comes when an administrator is needed");
    let reference = cancelled.text().split("the reference ").nth(1).expect("a reference")[..12].to_owned();
    let log = heard.text();
    assert!(log.contains(&reference), "the reference {reference} is in the log");
    // Going back in the browser and accepting still works: nothing was used up.
    let chooser = visitor.sign_in(&sign_in, &case.upn).await.expect("a page");
    assert_eq!(chooser.status, 200, "{}", chooser.text());
}

#[tokio::test]
async fn where_only_administrators_may_consent_the_page_says_whom_to_ask() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| {
        world.tenants.get_mut(&case.tenant).expect("the tenant").users_may_consent = false;
    });
    let mut visitor = case.app.visitor();
    let sign_in = visitor.open(case.app.url("/api/consent/start")).await.expect("the sign-in page");
    let stopped = visitor.sign_in(&sign_in, &case.upn).await.expect("Entra's own page");
    let back = visitor.cancel_sign_in(&stopped).await.expect("a page of ours");
    assert_refused(&back, 403, "send your link to an administrator");

    let told = case.app.url("/api/consent/callback?error=access_denied&error_description=AADSTS90094%3A+x&state=y");
    let page = case.app.visitor().get(told).await.expect("a page");
    assert_refused(&page, 403, "An administrator must approve first");
    assert!(page.text().contains("az ad sp create"), "{}", page.text());
}

#[tokio::test]
async fn who_may_not_assign_roles_gets_a_ready_command_for_somebody_who_may() {
    let (case, page) = Case::start_without_right().await;
    assert_refused(&page, 403, "You may not grant this");
    let principal = case.app.sandbox.change(|world| world.service_principal(case.tenant)).expect("consented");
    let line = format!(
        "az role assignment create --role Reader --scope /subscriptions/{} --assignee-object-id {principal} \
         --assignee-principal-type ServicePrincipal",
        case.subscription
    );
    assert!(page.text().contains(&line), "{}", page.text());
    assert_eq!(case.sessions().await, 0, "the token is gone at once");
}

#[tokio::test]
async fn a_right_that_is_lost_between_the_pages_is_told_per_subscription() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    case.app.sandbox.change(|world| {
        world.unassign(case.subscription, case.owner);
        world.assign(case.subscription, case.owner, Role::Reader);
    });
    let page = visitor.grant(&chooser, Choice::All).await.expect("a page");
    assert_eq!(page.status, 403, "{}", page.text());
    assert!(page.text().contains("Nothing was granted") && page.text().contains("az role assignment create"));
    assert!(case.customer().await.is_none());
}

#[tokio::test]
async fn a_principal_that_the_directory_does_not_learn_of_ends_in_time_with_advice() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| world.arm.principal_not_found = 1000);
    let mut visitor = case.app.visitor();
    let before = case.app.clock.time();
    let page = visitor.onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await.expect("all pages");
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(page.text().contains("does not know the new application everywhere yet"), "{}", page.text());
    assert!(case.app.clock.time() - before < TimeDelta::seconds(29));
    assert!(case.customer().await.is_none());
}

#[tokio::test]
async fn a_principal_that_entra_does_not_yet_know_ends_with_advice_and_nothing_granted() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| world.entra.replication_delay = Duration::from_secs(300));
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    assert!(chooser.text().contains("being created"), "{}", chooser.text());
    let page = visitor.grant(&chooser, Choice::All).await.expect("a page");
    assert_refused(&page, 503, "Microsoft is still setting up");
    assert!(page.headers.contains_key("retry-after"));
    assert!(case.customer().await.is_none());
}

#[tokio::test]
async fn each_kind_of_bad_invite_has_its_own_page() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |_, _| {}).await;
    let open = async |link: String| case.app.visitor().open(&link).await.expect("a page");
    assert_refused(&open(case.app.url("/api/consent/start")).await, 403, "You need an invitation");
    assert_refused(&open(case.app.url("/api/consent/start?invite=guess")).await, 403, "This invitation is not known");
    let path = case.app.url("/api/consent/start?invite=..%2Fcustomers%2Fx");
    assert_refused(&open(path).await, 403, "This invitation is not known");
    let expires = case.app.clock.time() + TimeDelta::hours(1);
    let (_, link) = consent::invite::create(&case.app.app, "Contoso", None, expires).await.expect("an invite");
    case.app.clock.advance(Duration::from_secs(3601));
    assert_refused(&open(link).await, 403, "This invitation has expired");
}

#[tokio::test]
async fn an_invite_for_one_tenant_lets_no_other_in() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |world, _| {
        let other = world.tenant("Litware");
        world.user_with_upn(other, "Lena", "lena@litware.example");
    })
    .await;
    let expires = case.app.clock.time() + TimeDelta::hours(1);
    let invite = consent::invite::create(&case.app.app, "Contoso", Some(case.tenant), expires).await;
    let (_, link) = invite.expect("an invite");
    let entra = case.app.visitor().get(&link).await.expect("an answer").location().expect("a redirect");
    assert!(entra.path().starts_with(&format!("/{}/", case.tenant)));
    let other = case.app.sandbox.change(|world| world.tenant_named("Litware")).expect("the other tenant");
    let page = case.app.visitor().get(format!("{link}&tenant={other}")).await.expect("a page");
    assert_refused(&page, 400, "The link is about two organisations");
}

#[tokio::test]
async fn an_invite_that_ends_during_the_sign_in_ends_it_before_anything_is_read() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |_, _| {}).await;
    let invite = async || {
        let expires = case.app.clock.time() + TimeDelta::minutes(5);
        consent::invite::create(&case.app.app, "Contoso", None, expires).await.expect("an invite").1
    };
    let listed = || case.app.sandbox.requests().iter().filter(|one| one.path == "/subscriptions").count();
    let mut late = case.app.visitor();
    let sign_in = late.open(invite().await).await.expect("the sign-in page");
    case.app.clock.advance(Duration::from_secs(301));
    let page = late.sign_in(&sign_in, &case.upn).await.expect("a page");
    assert_refused(&page, 403, "This invitation has expired");
    assert_eq!(listed(), 0);

    let link = invite().await;
    let sign_in = late.open(&link).await.expect("the sign-in page");
    case.app.visitor().onboard(&link, &case.upn, Choice::All).await.expect("all pages");
    let before = listed();
    let page = late.sign_in(&sign_in, &case.upn).await.expect("a page");
    assert_refused(&page, 403, "This invitation was used");
    assert_eq!(listed(), before);
}

#[tokio::test]
async fn links_that_are_no_links_are_refused_with_words() {
    let case = Case::start().await;
    for query in ["subscriptionId=1", "tenant=a%2Fb", "invite=a&invite=b", "subscriptionId=%00"] {
        let page = case.app.visitor().get(case.app.url(&format!("/api/consent/start?{query}"))).await.expect("a page");
        assert_refused(&page, 400, "This link is not complete");
    }
    assert!(case.app.sandbox.requests().is_empty(), "nothing malformed reaches Azure");
}

#[tokio::test]
async fn without_a_usable_subscription_the_page_names_what_was_seen() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| {
        world.subscriptions.get_mut(&case.subscription).expect("it").state = "Disabled".to_owned();
    });
    let page = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    assert_refused(&page, 403, "There is no subscription to grant");
    assert!(page.text().contains("Production") && page.text().contains("Disabled"), "{}", page.text());
    case.app.sandbox.change(|world| world.unassign(case.subscription, case.owner));
    let page = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    assert_refused(&page, 403, "you see no Azure subscription");
}

#[tokio::test]
async fn a_personal_account_and_a_foreign_tenant_are_told_apart() {
    let case = Case::start_in(&[], |world, _| {
        world.tenant("Litware");
    })
    .await;
    let start = format!("/api/consent/start?tenant={}", case.tenant);
    case.app.sandbox.change(|world| world.entra.tamper = Some(IdTokenTamper::PersonalAccount));
    let page = case.choose(&mut case.app.visitor(), &start).await;
    assert_refused(&page, 403, "A personal account cannot be used");
    case.app.sandbox.change(|world| {
        let other = world.tenant_named("Litware").expect("the other tenant");
        world.entra.tamper = Some(IdTokenTamper::ForeignTenant(other));
    });
    let page = case.choose(&mut case.app.visitor(), &start).await;
    assert_refused(&page, 403, "This account is of another organisation");
}

#[tokio::test]
async fn when_entra_or_azure_fails_the_page_says_so_and_the_next_try_works() {
    let case = Case::start().await;
    for (fault, status, words) in [
        (Fault::status(502).host(HostKind::Entra).path("/token"), 502, "Azure did not answer as it should"),
        (Fault::html().host(HostKind::Entra).path("/token"), 502, "Azure did not answer as it should"),
        (Fault::throttled(120).host(HostKind::Entra).path("/token"), 503, "Azure is busy"),
        (Fault::throttled(120).host(HostKind::Arm).path("/subscriptions"), 503, "Azure is busy"),
        (Fault::malformed_json().host(HostKind::Arm).path("/subscriptions"), 502, "Azure did not answer"),
        (Fault::close().host(HostKind::Arm).path("/subscriptions"), 502, "Azure did not answer"),
    ] {
        case.app.sandbox.change(|world| world.faults = vec![fault]);
        let page = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
        assert_refused(&page, status, words);
        assert_eq!(page.headers.contains_key("retry-after"), status == 503);
        case.app.sandbox.change(|world| world.faults.clear());
        case.app.clock.advance(Duration::from_secs(3700));
    }
    let page = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test]
async fn our_own_bad_secret_is_our_fault_on_the_page() {
    let case = Case::start_in(&[("AZURE_CLIENT_SECRET", "an-old-secret")], |_, _| {}).await;
    let page = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    assert_refused(&page, 500, "Something is wrong on our side");
    assert!(!page.body.contains("7000215"), "what is wrong with us is in the log, not on the page");
}

#[tokio::test]
async fn a_form_without_a_tick_is_shown_again_and_one_with_a_foreign_id_is_refused() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        let second = world.subscription(tenant, "Second");
        world.assign(second, owner, Role::Owner);
        let foreign = world.tenant("Litware");
        // Seen by the owner, owned by another tenant: not this tenant's to give.
        let delegated = world.subscription(foreign, "Foreign");
        world.assign(delegated, owner, Role::Owner);
    })
    .await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    assert!(!chooser.text().contains("Foreign"), "{}", chooser.text());
    let again = visitor.grant(&chooser, Choice::Only(&[])).await.expect("a page");
    assert_eq!(again.status, 400);
    assert!(again.text().contains("Please tick at least one subscription"), "{}", again.text());
    let foreign = case.app.sandbox.change(|world| world.subscription_named("Foreign")).expect("it");
    let both = [case.subscription, foreign];
    let refused = visitor.grant(&again, Choice::Only(&both)).await.expect("a page");
    assert_refused(&refused, 400, "That subscription was not on offer");
    assert!(case.assignments().is_empty());
    // Neither mistake has ended the session.
    let done = visitor.grant(&again, Choice::Only(&[case.subscription])).await.expect("a page");
    assert_eq!(done.status, 200, "{}", done.text());
}
