//! The end: a customer is offboarded by the partner or leaves by himself, and erasing really erases.

use std::sync::Arc;
use std::time::Duration;

use health_monitor::life;
use health_monitor::model::{SubscriptionId, TenantId};
use health_monitor::poll;
use health_monitor::sandbox::visitor::{Choice, Page, Visitor};
use health_monitor::sandbox::{Event, Role};
use health_monitor::store::{Backend as _, Folder};
use serde_json::json;

use crate::onboarding::Case;

/// A customer with history, next to another one that sees the same event.
async fn with_history() -> (Case, TenantId) {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |world, tenant| {
        let second = world.subscription(tenant, "Second of Contoso");
        let owner = world.user(tenant, "Olivia Owner");
        world.assign(second, owner, Role::Owner);
        let other = world.tenant("Northwind Traders");
        let theirs = world.subscription(other, "Theirs");
        world.onboarded(other);
        let now = world.now();
        let ours = world.subscriptions_of(tenant);
        let shared = Event::service_issue("SHA-RED", "Shared outage", now).text(now, "<p>Shared text.</p>");
        world.event(shared.hits([ours[0], theirs]));
        let own = Event::service_issue("OWN-ONE", "Only Contoso", now).text(now, "<p>Only for Contoso.</p>");
        world.event(own.hits(ours));
    })
    .await;
    let (_, made) = case.app.call("POST", "/api/v1/invites", Some(json!({"label": "Contoso"}))).await;
    let link = made["link"].as_str().expect("a link");
    let done = case.app.visitor().onboard(link, &case.upn, Choice::All).await.expect("the way in");
    assert_eq!(done.status, 200, "{}", done.text());
    let other = case.app.sandbox.change(|world| world.tenant_named("Northwind Traders").expect("made above"));
    let record = case.app.sandbox.change(|world| crate::support::builders::customer(world, other));
    case.app.app.store.create(&health_monitor::store::Key::Customer(other), &record).await.expect("new");
    case.app.poll(other).await;
    case.app.poll(case.tenant).await;
    case.app.clock.advance(Duration::from_secs(900));
    let work = health_monitor::hosts::work::Work::PollTimer;
    health_monitor::hosts::work::run(&case.app.app, work, Duration::from_secs(60)).await.expect("housekeeping");
    (case, other)
}

/// Every path and every body of the store, in lower case.
async fn everything(case: &Case) -> String {
    let mut all = String::new();
    for root in Folder::ROOTS {
        for listed in case.app.backend.list(&root.prefix()).await.expect("a listing") {
            let blob = case.app.backend.get(&listed.path).await.expect("readable").expect("listed");
            all.push_str(&format!("{}\n{}\n", listed.path, String::from_utf8_lossy(&blob.body)));
        }
    }
    all.to_lowercase()
}

/// What would tell that a customer was here.
fn traces(case: &Case) -> Vec<String> {
    let ids: Vec<String> = case.app.sandbox.change(|world| {
        let subscriptions = world.subscriptions_of(case.tenant);
        let principal = world.service_principal(case.tenant).map(|id| id.to_string());
        subscriptions.iter().map(SubscriptionId::to_string).chain(principal).collect()
    });
    let own = [case.tenant.to_string(), case.owner.to_string(), "contoso".to_owned(), "olivia".to_owned()];
    let words = ["only for contoso", "own-one", "production"].map(str::to_owned);
    ids.into_iter().chain(own).chain(words).collect()
}

async fn assert_erased(case: &Case) {
    let all = everything(case).await;
    for trace in traces(case) {
        assert!(!all.contains(&trace), "{trace} is still there:\n{all}");
    }
    assert!(all.contains("shared text") && all.contains("northwind"), "the other customer keeps what is his");
}

#[tokio::test]
async fn erasing_a_customer_leaves_no_trace_and_the_others_keep_what_they_share() {
    let (case, other) = with_history().await;
    let before = everything(&case).await;
    for trace in traces(&case) {
        assert!(before.contains(&trace), "{trace} was never there: the scan proves nothing");
    }
    let path = format!("/api/v1/customers/{}?erase=true", case.tenant);
    assert_eq!(case.app.call("DELETE", &path, None).await.0, 204);
    assert_erased(&case).await;
    assert_eq!(case.app.call("DELETE", &path, None).await.0, 404);
    assert_eq!(case.app.poll(other).await.gaps, 0);
}

#[tokio::test]
async fn a_poll_that_is_under_way_while_its_customer_is_erased_brings_nothing_back() {
    for advance in [1_u64, 3600] {
        let (case, _) = with_history().await;
        case.app.clock.advance(Duration::from_secs(advance));
        let (app, tenant) = (Arc::clone(&case.app.app), case.tenant);
        let racing: Vec<_> = (0..4)
            .map(|_| {
                let app = Arc::clone(&app);
                tokio::spawn(async move { poll::poll_tenant(&app, tenant).await })
            })
            .collect();
        tokio::task::yield_now().await;
        life::offboard(&app, tenant, true).await.expect("erased");
        for poll in racing {
            let _ = poll.await.expect("no poll panics");
        }
        assert_erased(&case).await;
    }
}

#[tokio::test]
async fn what_a_killed_poll_left_of_an_erased_customer_is_swept_within_the_hour() {
    let (case, _) = with_history().await;
    let key = health_monitor::store::Key::Health(case.tenant);
    let left = case.app.snapshot(case.tenant).await;
    life::offboard(&case.app.app, case.tenant, true).await.expect("erased");
    case.app.app.store.create(&key, &left).await.expect("as a poll that was killed after its write");
    case.app.clock.advance(Duration::from_secs(45 * 60));
    let work = health_monitor::hosts::work::Work::PollTimer;
    health_monitor::hosts::work::run(&case.app.app, work, Duration::from_secs(60)).await.expect("housekeeping");
    assert_erased(&case).await;
}

#[tokio::test]
async fn an_offboarded_customer_is_not_polled_and_keeps_his_history() {
    let (case, _) = with_history().await;
    let path = format!("/api/v1/customers/{}", case.tenant);
    assert_eq!(case.app.call("DELETE", &path, None).await.0, 204);
    case.app.clock.advance(Duration::from_secs(3600));
    case.app.sandbox.forget_requests();
    assert_eq!(case.app.poll(case.tenant).await.read, 0);
    assert_eq!(case.app.sandbox.requests().len(), 0, "nobody asks Azure about him");
    let (_, list) = case.app.call("GET", "/api/v1/customers", None).await;
    assert_eq!(list["value"].as_array().expect("a list").len(), 1, "{list}");
    let (status, detail) = case.app.call("GET", &path, None).await;
    assert_eq!(status, 200);
    assert!(detail["offboardedAt"].is_string());
    assert!(!case.app.timeline(case.tenant).await.is_empty());
}

#[tokio::test]
async fn a_customer_can_be_renamed_and_labelled_and_a_wrong_change_is_a_problem() {
    let (case, _) = with_history().await;
    let path = format!("/api/v1/customers/{}", case.tenant);
    let change = json!({"displayName": "Contoso Ltd", "labels": {"contract": "gold"}, "timeZone": "Europe/Berlin",
        "contacts": ["ops@contoso.example"]});
    let (status, detail) = case.app.call("PATCH", &path, Some(change)).await;
    assert_eq!((status, detail["displayName"].as_str()), (200, Some("Contoso Ltd")), "{detail}");
    assert_eq!(detail["labels"]["contract"], "gold");
    let (_, detail) =
        case.app.call("PATCH", &path, Some(json!({"labels": {"contract": null}, "timeZone": null}))).await;
    assert_eq!((&detail["labels"], &detail["timeZone"]), (&json!({}), &json!(null)));
    assert_eq!(detail["contacts"], json!(["ops@contoso.example"]), "what is not named stays");
    for wrong in [json!({"name": "x"}), json!({"contacts": ["nobody"]}), json!({"timeZone": "../etc"}), json!([])] {
        assert_eq!(case.app.call("PATCH", &path, Some(wrong.clone())).await.0, 400, "{wrong}");
    }
}

/// The page on which a person takes back what was granted.
async fn leaving(case: &Case, visitor: &mut Visitor, upn: &str) -> Page {
    let sign_in = visitor.open(case.app.url("/api/consent/start?purpose=leave")).await.expect("a page");
    visitor.sign_in(&sign_in, upn).await.expect("a page")
}

async fn take_back(visitor: &mut Visitor, page: &Page, ids: &[SubscriptionId], erase: bool) -> Page {
    let form = page.form("/api/consent/grant").expect("the form").clone();
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let mut fields: Vec<(&str, &str)> = ids.iter().map(|id| ("subscription", id.as_str())).collect();
    if erase {
        fields.push(("erase", "1"));
    }
    visitor.submit(page, &form, &fields).await.expect("a page")
}

#[tokio::test]
async fn a_customer_leaves_by_himself_with_his_own_rights_and_erases_what_was_known() {
    let (case, _) = with_history().await;
    let mut visitor = case.app.visitor();
    let page = leaving(&case, &mut visitor, &case.upn).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("Production") && page.text().contains("Second of Contoso"), "{}", page.text());
    let all = case.app.sandbox.change(|world| world.subscriptions_of(case.tenant));
    let done = take_back(&mut visitor, &page, &all, true).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(case.assignments(), [], "the role assignments are gone");
    assert_erased(&case).await;
    assert_eq!(case.sessions().await, 0);
}

#[tokio::test]
async fn one_subscription_can_be_taken_back_and_only_its_history_is_erased() {
    let (case, _) = with_history().await;
    let mut visitor = case.app.visitor();
    let page = leaving(&case, &mut visitor, &case.upn).await;
    let done = take_back(&mut visitor, &page, &[case.subscription], true).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let customer = case.customer().await.expect("still a customer");
    assert_eq!(customer.subscriptions.len(), 1);
    assert!(customer.offboarded_at.is_none());
    case.app.clock.advance(Duration::from_secs(7200));
    case.app.poll(case.tenant).await;
    assert!(!everything(&case).await.contains(&case.subscription.to_string()), "and it does not come back");
}

#[tokio::test]
async fn taking_back_without_erasing_keeps_the_history_and_tells_the_partner() {
    let (case, _) = with_history().await;
    let mut visitor = case.app.visitor();
    let page = leaving(&case, &mut visitor, &case.upn).await;
    let all = case.app.sandbox.change(|world| world.subscriptions_of(case.tenant));
    take_back(&mut visitor, &page, &all, false).await;
    assert!(case.customer().await.expect("the record stays").offboarded_at.is_some());
    let told = case.app.news(case.tenant).await.iter().filter(|news| *news == "subscriptionRemoved").count();
    assert_eq!(told, 2);
}

#[tokio::test]
async fn who_may_not_remove_roles_removes_nothing_and_erases_nothing() {
    let (case, _) = with_history().await;
    case.app.sandbox.change(|world| {
        let reader = world.user(case.tenant, "Rita Reader");
        world.assign(case.subscription, reader, Role::Reader);
    });
    let mut visitor = case.app.visitor();
    let page = leaving(&case, &mut visitor, "rita.reader@contoso.example").await;
    let refused = take_back(&mut visitor, &page, &[case.subscription], true).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("az role assignment delete --ids"), "{}", refused.text());
    assert_eq!(case.assignments().len(), 2);
    assert_eq!(case.customer().await.expect("a record").subscriptions.len(), 2);
}

#[tokio::test]
async fn a_form_of_another_session_or_for_what_was_not_shown_takes_nothing_back() {
    let (case, other) = with_history().await;
    let theirs = case.app.sandbox.change(|world| world.subscriptions_of(other));
    let mut visitor = case.app.visitor();
    let page = leaving(&case, &mut visitor, &case.upn).await;
    let refused = take_back(&mut visitor, &page, &theirs, true).await;
    assert_eq!(refused.status, 400, "another tenant's subscription is not his to leave with");
    let form = page.form("/api/consent/grant").expect("the form").clone();
    let id = case.subscription.to_string();
    let forged = visitor.submit(&page, &form, &[("subscription", &id), ("csrf", "guess")]).await.expect("a page");
    assert!((400..500).contains(&forged.status));
    let mut attacker = case.app.visitor();
    let without = attacker.submit(&page, &form, &[("subscription", &id)]).await.expect("a page");
    assert!((400..500).contains(&without.status), "no session, no change");
    assert_eq!(case.assignments().len(), 2);
    assert_eq!(case.app.app.store.list(Folder::Customers).await.expect("a listing").len(), 2);
}

#[tokio::test]
async fn where_azure_wants_a_second_factor_the_customer_signs_in_once_more_and_leaves() {
    let (case, _) = with_history().await;
    case.app.sandbox.change(|world| world.arm.require_mfa = true);
    let mut visitor = case.app.visitor();
    let page = leaving(&case, &mut visitor, &case.upn).await;
    let refused = take_back(&mut visitor, &page, &[case.subscription], false).await;
    let onward = refused.body.split("class=\"button\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
    let onward = onward.expect("the way to a second factor").replace("&amp;", "&");
    let sign_in = visitor.open(&onward).await.expect("a page");
    let page = visitor.sign_in(&sign_in, &case.upn).await.expect("a page");
    let done = take_back(&mut visitor, &page, &[case.subscription], false).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(case.assignments().len(), 1);
}
