//! A customer comes in: from the link to a verified grant, through the real pages.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::FutureExt as _;
use health_monitor::consent;
use health_monitor::model::{AccessMode, Customer, Invite, ObjectId, SubscriptionAccess, SubscriptionId, TenantId};
use health_monitor::sandbox::visitor::{Choice, Page, Visitor};
use health_monitor::sandbox::{Role, World};
use health_monitor::store::{Backend as _, Folder, Key, Versioned};

use crate::support::TestApp;
use crate::support::log::listen;

/// A world with one customer who owns one subscription, and the app in it.
pub struct Case {
    pub app: TestApp,
    pub tenant: TenantId,
    pub owner: ObjectId,
    pub upn: String,
    pub subscription: SubscriptionId,
}

impl Case {
    pub async fn start() -> Self {
        Self::start_in(&[], |_, _| {}).await
    }

    pub async fn start_in(settings: &[(&str, &str)], prepare: impl FnOnce(&mut World, TenantId)) -> Self {
        let mut world = World::new(11);
        let tenant = world.tenant("Contoso");
        let owner = world.user(tenant, "Olivia Owner");
        let upn = world.upn(owner);
        let subscription = world.subscription(tenant, "Production");
        world.assign(subscription, owner, Role::Owner);
        prepare(&mut world, tenant);
        Self { app: TestApp::start_with(world, settings).await, tenant, owner, upn, subscription }
    }

    /// The usual case, and the page of somebody who has signed in and may assign no roles.
    pub async fn start_without_right() -> (Self, Page) {
        const RITA: &str = "rita@contoso.example";
        let case = Self::start_in(&[], |world, tenant| {
            let reader = world.user_with_upn(tenant, "Rita Reader", RITA);
            let subscription = world.subscription_named("Production").expect("a subscription");
            world.assign(subscription, reader, Role::Contributor);
        })
        .await;
        let mut visitor = case.app.visitor();
        let sign_in = visitor.open(case.app.url("/api/consent/start")).await.expect("the sign-in page");
        let page = visitor.sign_in(&sign_in, RITA).await.expect("a page");
        (case, page)
    }

    /// The page on which a browser chooses, after the sign-in.
    pub async fn choose(&self, visitor: &mut Visitor, start: &str) -> Page {
        let sign_in = visitor.open(self.app.url(start)).await.expect("an answer");
        visitor.sign_in(&sign_in, &self.upn).await.expect("the sign-in page")
    }

    pub async fn customer(&self) -> Option<Customer> {
        let read = self.app.app.store.read::<Customer>(&Key::Customer(self.tenant)).await;
        read.expect("a readable store").map(|versioned: Versioned<Customer>| versioned.value)
    }

    pub async fn sessions(&self) -> usize {
        self.app.app.store.list(Folder::Sessions).await.expect("a readable store").len()
    }

    /// The role assignments of the application in the sandbox.
    pub fn assignments(&self) -> Vec<(SubscriptionId, String)> {
        self.app.sandbox.change(|world| {
            let principal = world.service_principal(self.tenant);
            let ours = world.role_assignments.iter().filter(|one| Some(one.principal) == principal);
            ours.filter_map(|one| Some((one.subscription()?, one.id()))).collect()
        })
    }
}

#[tokio::test]
async fn a_customer_grants_reader_and_the_record_says_what_was_granted_by_whom() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    assert_eq!(chooser.status, 200);
    assert_eq!(chooser.url.query(), Some("step=choose"), "the code is out of the address");
    let (principal, client) = case.app.sandbox.change(|world| {
        (world.service_principal(case.tenant).expect("consented"), world.application.client_id.to_string())
    });
    let words = chooser.text();
    for shown in ["Olivia Owner", "Contoso", "Fabrikam Managed Services", "Reader", "Production", &client] {
        assert!(words.contains(shown), "{shown} in {words}");
    }
    assert!(words.contains(&principal.to_string()) && words.contains(&case.subscription.to_string()));
    assert!(case.assignments().is_empty(), "nothing is granted before the form");

    let done = visitor.grant(&chooser, Choice::All).await.expect("the form");
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(done.text().contains("Active"), "{}", done.text());
    let assignments = case.assignments();
    let [(subscription, id)] = assignments.as_slice() else { panic!("{assignments:?}") };
    assert_eq!(*subscription, case.subscription);

    let customer = case.customer().await.expect("a record");
    assert_eq!(customer.display_name, "Contoso");
    assert_eq!(customer.access_mode, AccessMode::AppInCustomerTenant { service_principal_id: principal });
    let granted = &customer.subscriptions[&case.subscription];
    assert_eq!(granted.access, SubscriptionAccess::Active);
    assert!(granted.role_assignment_id.eq_ignore_ascii_case(id));
    let [receipt] = customer.receipt.as_slice() else { panic!("{:?}", customer.receipt) };
    assert_eq!((receipt.granted_by, receipt.role.as_str(), receipt.adopted), (Some(case.owner), "Reader", false));
    assert_eq!(receipt.scope, format!("/subscriptions/{}", case.subscription));
    assert_eq!(case.sessions().await, 0, "the session is gone");
    assert!(visitor.cookie_names("127.0.0.1").is_empty(), "and so is its cookie");
}

#[tokio::test]
async fn no_secret_is_ever_in_a_page_in_an_address_of_ours_in_the_store_or_in_the_log() {
    let heard = listen();
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    let stored = async || {
        let mut all = String::new();
        for folder in ["customers/", "invites/", "sessions/", "health/", "texts/", "timeline/"] {
            for listed in case.app.backend.list(folder).await.expect("a listing") {
                let blob = case.app.backend.get(&listed.path).await.expect("a readable store").expect("it was listed");
                all.push_str(&listed.path);
                all.push_str(&String::from_utf8_lossy(&blob.body));
            }
        }
        all
    };
    let while_choosing = stored().await;
    assert!(while_choosing.contains("sessions/"), "the session with the token is in the store, sealed");
    let done = visitor.grant(&chooser, Choice::All).await.expect("the form");
    assert_eq!(done.status, 200);
    let after = stored().await;
    let log = heard.text();
    assert!(log.contains("granted Reader"), "the log was heard: {log}");
    let secrets = case.app.sandbox.secrets();
    assert!(secrets.len() >= 4, "a client secret, a code and tokens");
    for secret in secrets {
        for (place, text) in [
            ("page", &chooser.body),
            ("page", &done.body),
            ("store", &while_choosing),
            ("store", &after),
            ("log", &log),
        ] {
            assert!(!text.contains(&secret), "a secret is in the {place}");
        }
    }
    for name in ["state=", "code_verifier", "csrf", "Bearer"] {
        assert!(!log.contains(name), "{name} is in the log");
    }
}

#[tokio::test]
async fn a_subscription_in_the_link_leads_to_its_tenant_and_is_the_only_one_ticked() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        let other = world.subscription(tenant, "Archive");
        world.assign(other, owner, Role::Owner);
    })
    .await;
    let mut visitor = case.app.visitor();
    let start = format!("/api/consent/start?subscriptionId={}", case.subscription);
    let redirect = visitor.get(case.app.url(&start)).await.expect("an answer");
    assert_eq!(redirect.status, 303);
    let entra = redirect.location().expect("a redirect");
    assert!(entra.path().starts_with(&format!("/{}/", case.tenant)), "{entra}");

    let chooser = case.choose(&mut visitor, &start).await;
    let form = chooser.form("/api/consent/grant").expect("the form");
    let ticked: Vec<_> = form.values().into_iter().filter(|(name, _)| name == "subscription").collect();
    assert_eq!(ticked, [("subscription".to_owned(), case.subscription.to_string())]);
    // One click ticks the others too.
    let form = chooser.form("/api/consent/grant").expect("the form").clone();
    let all = visitor.submit(&chooser, &form, &[("action", "all")]).await.expect("an answer");
    let all = visitor.follow(all).await.expect("the page");
    let form = all.form("/api/consent/grant").expect("the form");
    assert_eq!(form.values().into_iter().filter(|(name, _)| name == "subscription").count(), 2);
}

#[tokio::test]
async fn a_tenant_in_the_link_may_be_an_id_or_a_domain() {
    let case = Case::start().await;
    let domain = case.app.sandbox.change(|world| world.tenants[&case.tenant].domain.clone());
    for tenant in [case.tenant.to_string(), domain] {
        let mut visitor = case.app.visitor();
        let start = case.app.url(&format!("/api/consent/start?tenant={tenant}"));
        let entra = visitor.get(&start).await.expect("an answer").location().expect("a redirect");
        assert!(entra.path().starts_with(&format!("/{}/", case.tenant)), "{tenant}: {entra}");
    }
    let unknown =
        case.app.visitor().get(case.app.url("/api/consent/start?tenant=nobody.example")).await.expect("a page");
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn an_invite_names_the_customer_and_serves_once() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |_, _| {}).await;
    let app = &case.app.app;
    let expires = case.app.clock.time() + TimeDelta::days(7);
    let (id, link) = consent::invite::create(app, "Contoso, the Berlin one", None, expires).await.expect("an invite");
    assert!(link.starts_with(&case.app.base) && link.contains(&id));
    let done = case.app.visitor().onboard(&link, &case.upn, Choice::All).await.expect("all pages");
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(case.customer().await.expect("a record").display_name, "Contoso, the Berlin one");
    let invite = app.store.read::<Invite>(&Key::Invite(id)).await.expect("a readable store").expect("the invite").value;
    assert_eq!(invite.used.map(|used| used.tenant_id), Some(case.tenant));
    let again = case.app.visitor().open(&link).await.expect("a page");
    assert_eq!(again.status, 403);
    assert!(again.text().contains("This invitation was used"), "{}", again.text());
    assert!(again.body.contains("/api/consent/start?purpose=receipt\""), "whoever used it finds what he granted");
}

#[tokio::test]
async fn of_two_tenants_with_the_same_invite_the_first_to_grant_comes_in() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |world, _| {
        let other = world.tenant("Litware");
        let owner = world.user_with_upn(other, "Lena", "lena@litware.example");
        let subscription = world.subscription(other, "Litware one");
        world.assign(subscription, owner, Role::Owner);
    })
    .await;
    let expires = case.app.clock.time() + TimeDelta::days(7);
    let (_, link) = consent::invite::create(&case.app.app, "Contoso", None, expires).await.expect("an invite");
    let (mut first, mut second) = (case.app.visitor(), case.app.visitor());
    let sign_in = second.open(&link).await.expect("the sign-in page");
    let slow = second.sign_in(&sign_in, "lena@litware.example").await.expect("the chooser");
    assert_eq!(slow.status, 200);
    first.onboard(&link, &case.upn, Choice::All).await.expect("all pages");
    let refused = second.grant(&slow, Choice::All).await.expect("a page");
    assert_eq!(refused.status, 403, "{}", refused.text());
    let customers = case.app.app.store.list(Folder::Customers).await.expect("a listing");
    assert_eq!(customers.len(), 1);
}

#[tokio::test]
async fn an_invite_with_something_left_to_grant_stays_open_for_its_tenant_only() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |_, _| {}).await;
    let expires = case.app.clock.time() + TimeDelta::days(7);
    let (id, link) = consent::invite::create(&case.app.app, "Contoso", None, expires).await.expect("an invite");
    case.app.sandbox.change(|world| world.arm.principal_not_found = 1000);
    let refused = case.app.visitor().onboard(&link, &case.upn, Choice::All).await.expect("all pages");
    assert_eq!(refused.status, 503, "{}", refused.text());
    let store = &case.app.app.store;
    let invite = store.read::<Invite>(&Key::Invite(id)).await.expect("a readable store").expect("the invite").value;
    assert_eq!((invite.tenant_id, invite.used), (Some(case.tenant), None));
    case.app.sandbox.change(|world| world.arm.principal_not_found = 0);
    let done = case.app.visitor().onboard(&link, &case.upn, Choice::All).await.expect("all pages");
    assert_eq!(done.status, 200, "{}", done.text());
}

#[tokio::test]
async fn a_second_onboarding_adds_to_the_record_and_keeps_what_others_wrote() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        let other = world.subscription(tenant, "Archive");
        world.assign(other, owner, Role::Owner);
    })
    .await;
    let start = case.app.url("/api/consent/start");
    let only = [case.subscription];
    case.app.visitor().onboard(&start, &case.upn, Choice::Only(&only)).await.expect("all pages");
    let key = Key::Customer(case.tenant);
    let store = &case.app.app.store;
    let before = store.read::<Customer>(&key).await.expect("a readable store").expect("a record");
    let renamed = Customer { display_name: "Contoso (gold)".to_owned(), ..before.value.clone() };
    store.replace(&key, &before, &renamed).await.expect("written");
    case.app.clock.advance(Duration::from_secs(3600));
    case.app.visitor().onboard(&start, &case.upn, Choice::All).await.expect("all pages");

    let after = case.customer().await.expect("a record");
    assert_eq!(after.display_name, "Contoso (gold)");
    assert_eq!(after.subscriptions.len(), 2);
    assert_eq!(after.onboarded_at, before.value.onboarded_at);
    assert_eq!(
        (&after.receipt[..1], after.receipt.len()),
        (&before.value.receipt[..], 2),
        "what is found is not made anew"
    );
    assert_eq!(case.assignments().len(), 2, "nothing was doubled");
}

#[tokio::test]
async fn two_people_who_grant_at_once_both_end_up_in_the_record() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.user_with_upn(tenant, "Otto Owner", "otto@contoso.example");
        let other = world.subscription(tenant, "Archive");
        world.assign(other, owner, Role::Owner);
    })
    .await;
    let start = case.app.url("/api/consent/start");
    let (mut one, mut two) = (case.app.visitor(), case.app.visitor());
    let (one, two) = tokio::join!(
        one.onboard(&start, &case.upn, Choice::All),
        two.onboard(&start, "otto@contoso.example", Choice::All)
    );
    assert_eq!((one.expect("all pages").status, two.expect("all pages").status), (200, 200));
    let customer = case.customer().await.expect("a record");
    assert_eq!((customer.subscriptions.len(), customer.receipt.len()), (2, 2));
}

#[tokio::test]
async fn an_assignment_that_somebody_made_by_hand_is_adopted() {
    let case = Case::start().await;
    let by_hand = case.app.sandbox.change(|world| {
        let principal = world.consent(case.tenant);
        world.assign(case.subscription, principal, Role::Reader);
        world.role_assignments.last().expect("just made").id()
    });
    let done = case.app.visitor().onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await;
    assert_eq!(done.expect("all pages").status, 200);
    let customer = case.customer().await.expect("a record");
    assert!(customer.subscriptions[&case.subscription].role_assignment_id.eq_ignore_ascii_case(&by_hand));
    assert!(customer.receipt[0].adopted);
    assert_eq!(case.assignments().len(), 1);
}

#[tokio::test]
async fn a_directory_that_learns_of_the_principal_late_is_waited_for() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| {
        world.arm.principal_not_found = 2;
        world.entra.replication_delay = Duration::from_secs(5);
    });
    let done = case.app.visitor().onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await;
    let done = done.expect("all pages");
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(case.assignments().len(), 1);
}

#[tokio::test]
async fn a_role_that_takes_its_time_is_recorded_as_propagating_and_the_page_says_so() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| world.propagation(Duration::from_secs(300), 0));
    let before = case.app.clock.time();
    let done = case.app.visitor().onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await;
    let done = done.expect("all pages");
    assert_eq!(done.status, 200);
    assert!(done.text().contains("up to ten minutes"), "{}", done.text());
    let customer = case.customer().await.expect("a record");
    assert_eq!(customer.subscriptions[&case.subscription].access, SubscriptionAccess::Propagating);
    assert!(case.app.clock.time() - before < TimeDelta::seconds(29), "the browser is not kept waiting for long");
}

#[tokio::test]
async fn a_subscription_that_azure_shows_in_another_tenant_is_no_proof() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    let id = case.subscription.to_string();
    let moved = serde_json::json!({ "subscriptionId": id, "tenantId": id, "displayName": "Moved", "state": "Enabled" });
    case.app.sandbox.change(|world| {
        let fault = health_monitor::sandbox::Fault::status(200).body(moved.to_string(), "application/json");
        world.fault(fault.method("GET").path(&format!("/subscriptions/{id}")));
    });
    visitor.grant(&chooser, Choice::All).await.expect("a page");
    let customer = case.customer().await.expect("a record");
    assert_eq!(customer.subscriptions[&case.subscription].access, SubscriptionAccess::Propagating);
}

#[tokio::test]
async fn a_role_that_comes_after_some_reads_is_seen_by_the_same_page() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| world.propagation(Duration::ZERO, 2));
    let done = case.app.visitor().onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await;
    assert_eq!(done.expect("all pages").status, 200);
    let customer = case.customer().await.expect("a record");
    assert_eq!(customer.subscriptions[&case.subscription].access, SubscriptionAccess::Active);
}

#[tokio::test]
async fn where_azure_wants_a_second_factor_one_more_sign_in_completes_the_grant() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| {
        world.arm.require_mfa = true;
        world.users.get_mut(&case.owner).expect("the owner").mfa_registered = true;
    });
    let mut visitor = case.app.visitor();
    let refused =
        visitor.onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await.expect("all pages");
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(case.customer().await.is_none());
    let link =
        refused.body.split("href=\"").find(|part| part.contains("/authorize?")).expect("the link to sign in again");
    let link = link.split('"').next().expect("an end").replace("&amp;", "&");
    let sign_in = visitor.open(&link).await.expect("the sign-in page");
    let chooser = visitor.sign_in(&sign_in, &case.upn).await.expect("the chooser");
    let done = visitor.grant(&chooser, Choice::All).await.expect("the form");
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(case.assignments().len(), 1);
}

#[tokio::test]
async fn a_busy_azure_does_not_keep_the_page_from_a_customer_with_many_subscriptions() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        for n in 0..60 {
            let one = world.subscription(tenant, &format!("Branch {n}"));
            world.assign(one, owner, Role::Owner);
        }
        world.fault(health_monitor::sandbox::Fault::throttled(5).path("/permissions"));
    })
    .await;
    let chooser = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
    assert_eq!(chooser.status, 200, "{}", chooser.text());
    let asked = case.app.sandbox.requests().iter().filter(|one| one.path.ends_with("/permissions")).count();
    assert!((1..=8 * 4).contains(&asked), "{asked} checks, of 8 at once with 4 tries each");
    let form = chooser.form("/api/consent/grant").expect("the form");
    assert_eq!(form.named("subscription").filter(|one| !one.disabled).count(), 61, "what was not checked is offered");
}

#[tokio::test]
async fn one_refused_subscription_does_not_undo_the_others() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        let full = world.subscription(tenant, "Full");
        world.assign(full, owner, Role::Owner);
        world.fault(
            health_monitor::sandbox::Fault::status(403)
                .body(r#"{"error":{"code":"AuthorizationFailed","message":"no"}}"#, "application/json")
                .method("PUT")
                .path(&full.to_string()),
        );
    })
    .await;
    let done = case.app.visitor().onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await;
    let done = done.expect("all pages");
    assert_eq!(done.status, 200);
    assert!(done.text().contains("1 of 2 subscriptions granted"), "{}", done.text());
    assert!(done.body.contains("az role assignment create --role Reader"), "{}", done.body);
    let customer = case.customer().await.expect("a record");
    assert_eq!(customer.subscriptions.keys().collect::<Vec<_>>(), [&case.subscription]);
}

#[tokio::test]
async fn a_grant_is_finished_and_recorded_when_the_browser_goes_away() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    let form = chooser.form("/api/consent/grant").expect("the form");
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form.values()).finish();
    let cookie = visitor.cookie("127.0.0.1", "health-consent").expect("the session's cookie");
    let form = consent::GrantForm::parse(body.as_bytes()).expect("our own form");
    // One poll begins the work; then the connection is gone, and with it the future that waits.
    let gone = consent::grant(&case.app.app, form, Some(cookie)).now_or_never();
    assert!(gone.is_none());
    for _ in 0..500 {
        if case.customer().await.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(case.customer().await.is_some_and(|customer| customer.subscriptions.contains_key(&case.subscription)));
}

#[tokio::test]
async fn sessions_that_nobody_ended_are_pruned_when_their_time_is_over() {
    let case = Case::start().await;
    case.app.visitor().get(case.app.url("/api/consent/start")).await.expect("an answer");
    assert_eq!(case.sessions().await, 1);
    assert_eq!(consent::prune_sessions(&case.app.app).await.expect("a readable store"), 0);
    case.app.clock.advance(Duration::from_secs(601));
    assert_eq!(consent::prune_sessions(&case.app.app).await.expect("a readable store"), 1);
    assert_eq!(case.sessions().await, 0);
}
