//! The other ways in: by an administrator, by hand, by delegation, for a management group; and the hard cases of the usual one.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use health_monitor::consent;
use health_monitor::consent::lighthouse::{Accept, DelegationStanding, discover};
use health_monitor::model::{AccessMode, Customer, Scope, SubscriptionAccess, TenantId};
use health_monitor::sandbox::visitor::{Choice, Page, Visitor};
use health_monitor::sandbox::{Role, World};
use health_monitor::store::Key;
use serde_json::Value;

use crate::onboarding::Case;

/// Follows the first link of a page whose address has this in it.
async fn follow(visitor: &mut Visitor, page: &Page, part: &str) -> Page {
    let links = page.body.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let link =
        links.into_iter().find(|link| link.contains(part)).unwrap_or_else(|| panic!("{part} in {}", page.text()));
    let url = page.url.join(&link.replace("&amp;", "&")).expect("an address");
    visitor.open(url.as_str()).await.expect("a page")
}

async fn press(visitor: &mut Visitor, page: &Page, fields: &[(&str, &str)]) -> Page {
    let form = page.form("/api/consent/grant").expect("the form").clone();
    let answered = visitor.submit(page, &form, fields).await.expect("an answer");
    visitor.follow(answered).await.expect("a page")
}

fn ticked(page: &Page) -> BTreeSet<String> {
    let form = page.form("/api/consent/grant").expect("the form");
    form.values().into_iter().filter(|(name, _)| name == "subscription").map(|(_, id)| id).collect()
}

fn admin(world: &mut World, tenant: TenantId) -> String {
    let admin = world.user(tenant, "Amir Admin");
    world.users.get_mut(&admin).expect("just made").admin = true;
    world.tenants.get_mut(&tenant).expect("the tenant").users_may_consent = false;
    world.upn(admin)
}

#[tokio::test]
async fn an_administrator_approves_for_all_and_then_an_owner_signs_in() {
    let case = Case::start_in(&[], |world, tenant| {
        admin(world, tenant);
    })
    .await;
    let mut visitor = case.app.visitor();
    let start = case.app.url(&format!("/api/consent/start?tenant={}", case.tenant));
    let sign_in = visitor.open(&start).await.expect("the sign-in page");
    let stopped = visitor.sign_in(&sign_in, &case.upn).await.expect("Entra's own page");
    let back = visitor.cancel_sign_in(&stopped).await.expect("a page of ours");
    let consent_page = follow(&mut visitor, &back, "way=admin").await;
    assert!(consent_page.url.path().ends_with("/adminconsent"), "{}", consent_page.url);
    let done = visitor.sign_in(&consent_page, "amir.admin@contoso.example").await.expect("a page of ours");
    assert_eq!((done.status, done.url.query()), (200, Some("step=consented")), "{}", done.text());
    let principal = case.app.sandbox.change(|world| world.service_principal(case.tenant)).expect("it was made");
    assert!(done.text().contains(&principal.to_string()), "proven by our own token: {}", done.text());
    assert!(case.customer().await.is_none(), "an approval grants nothing");
    let sign_in = follow(&mut visitor, &done, "/api/consent/start").await;
    let chooser = visitor.sign_in(&sign_in, &case.upn).await.expect("the chooser");
    let granted = visitor.grant(&chooser, Choice::All).await.expect("the form");
    assert_eq!(granted.status, 200, "{}", granted.text());
}

#[tokio::test]
async fn a_forged_admin_consent_names_a_tenant_in_vain() {
    let case = Case::start_in(&[], |world, _| {
        let other = world.tenant("Litware");
        world.consent(other);
    })
    .await;
    let other = case.app.sandbox.change(|world| world.tenant_named("Litware")).expect("the other tenant");
    let forged = |state: &str| {
        case.app.url(&format!("/api/consent/admin-callback?admin_consent=True&tenant={other}&scope=x&state={state}"))
    };
    let page = case.app.visitor().open(forged("x")).await.expect("a page");
    assert_eq!(page.status, 400, "without a session of this browser: {}", page.text());
    // A browser that began an approval of its own tenant, and an answer with another state or another tenant.
    let mut visitor = case.app.visitor();
    let start = case.app.url(&format!("/api/consent/start?way=admin&tenant={}", case.tenant));
    let entra = visitor.get(&start).await.expect("an answer").location().expect("a redirect");
    assert_eq!(visitor.open(forged("x")).await.expect("a page").status, 400);
    let state = entra.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
    let page = visitor.open(forged(&state)).await.expect("a page");
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(!page.body.contains(&other.to_string()), "the named tenant is nowhere: {}", page.text());
    assert!(page.text().contains("Microsoft says that"), "nothing is proven: {}", page.text());
    assert!(case.customer().await.is_none());
    let key = Key::Customer(other);
    assert!(case.app.app.store.read::<Customer>(&key).await.expect("a readable store").is_none());
}

#[tokio::test]
async fn a_cancelled_approval_is_no_approval_though_it_says_true() {
    let case = Case::start_in(&[], |world, tenant| {
        admin(world, tenant);
    })
    .await;
    let mut visitor = case.app.visitor();
    let start = case.app.url(&format!("/api/consent/start?way=admin&tenant={}", case.tenant));
    let page = visitor.open(&start).await.expect("Entra's page");
    let back = visitor.cancel_sign_in(&page).await.expect("a page of ours");
    assert_eq!(back.status, 403, "{}", back.text());
    assert!(back.text().contains("The sign-in was cancelled"), "{}", back.text());
}

#[tokio::test]
async fn who_lets_nobody_act_in_his_name_follows_the_recipe_and_is_verified() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let sign_in = visitor.open(case.app.url("/api/consent/start?way=manual")).await.expect("the sign-in page");
    let scope = sign_in.url.query_pairs().find(|(name, _)| name == "scope").expect("a scope").1.into_owned();
    assert_eq!(scope, "openid profile", "Azure is not asked for");
    let page = visitor.sign_in(&sign_in, &case.upn).await.expect("the recipe");
    assert_eq!(page.status, 200, "{}", page.text());
    let principal = case.app.sandbox.change(|world| world.service_principal(case.tenant)).expect("made by the sign-in");
    let mut recipe = page.url.clone();
    recipe.set_query(Some(&format!("step=manual&subscriptions={}", case.subscription)));
    let shown = visitor.open(recipe.as_str()).await.expect("the recipe");
    let line = format!(
        "az role assignment create --role Reader --scope /subscriptions/{} --assignee-object-id {principal}",
        case.subscription
    );
    assert!(shown.text().contains(&line), "{}", shown.text());
    let early = press(&mut visitor, &shown, &[("action", "verify")]).await;
    assert_eq!(early.status, 409, "{}", early.text());
    assert!(early.text().contains("cannot read any subscription"), "{}", early.text());
    assert!(case.customer().await.is_none());

    let template = follow(&mut visitor, &shown, "format=arm").await;
    assert!(template.headers["content-disposition"].to_str().expect("text").contains("reader.json"));
    let template: Value = serde_json::from_str(&template.body).expect("JSON");
    assert_eq!(template["parameters"]["principalId"]["defaultValue"], principal.to_string());
    let assignment = &template["resources"][0]["properties"];
    assert!(assignment["roleDefinitionId"].as_str().expect("text").contains(&Role::Reader.id().to_string()));
    assert_eq!(assignment["principalType"], "ServicePrincipal");
    case.app.sandbox.change(|world| world.assign(case.subscription, principal, Role::Reader));

    let done = press(&mut visitor, &early, &[("action", "verify")]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let customer = case.customer().await.expect("a record");
    assert_eq!(customer.subscriptions[&case.subscription].access, SubscriptionAccess::Active);
    assert!(customer.subscriptions[&case.subscription].role_assignment_id.contains("roleAssignments"));
    assert_eq!(case.sessions().await, 0);
}

#[tokio::test]
async fn an_invite_for_a_tenant_opens_its_recipe_and_activates_no_other_tenant() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |world, _| {
        let other = world.tenant("Litware");
        world.subscription(other, "Litware one");
        world.onboarded(other);
    })
    .await;
    let expires = case.app.clock.time() + TimeDelta::hours(1);
    let (_, link) =
        consent::invite::create(&case.app.app, "Contoso", Some(case.tenant), expires).await.expect("an invite");
    let mut visitor = case.app.visitor();
    let page = visitor.open(format!("{link}&way=manual")).await.expect("the recipe");
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("az ad sp create --id"), "there is no service principal yet: {}", page.text());
    let early = press(&mut visitor, &page, &[("action", "verify")]).await;
    assert!(early.text().contains("not in your organisation yet"), "{}", early.text());
    case.app.sandbox.change(|world| world.onboarded(case.tenant));
    let forged = press(&mut visitor, &early, &[("action", "verify"), ("csrf", "x")]).await;
    assert_eq!(forged.status, 403);
    let done = press(&mut visitor, &early, &[("action", "verify")]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let customer = case.customer().await.expect("a record");
    assert_eq!(customer.display_name, "Contoso");
    assert_eq!(customer.subscriptions.keys().collect::<Vec<_>>(), [&case.subscription]);
    let again = case.app.visitor().open(&link).await.expect("a page");
    assert_eq!(again.status, 403, "the invite is used");
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_with_the_account_and_the_choice_kept() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        let other = world.subscription(tenant, "Archive");
        world.assign(other, owner, Role::Owner);
    })
    .await;
    for (challenge, by_policy) in [(true, false), (false, false), (false, true)] {
        case.app.sandbox.change(|world| {
            world.arm.require_mfa = true;
            world.arm.mfa_challenge = challenge;
            world.arm.mfa_by_policy = by_policy;
            world.users.get_mut(&case.owner).expect("the owner").mfa_registered = false;
        });
        let mut visitor = case.app.visitor();
        let chooser = case.choose(&mut visitor, "/api/consent/start").await;
        let only = [case.subscription];
        let refused = visitor.grant(&chooser, Choice::Only(&only)).await.expect("a page");
        assert_eq!(refused.status, 403, "{}", refused.text());
        let sign_in = follow(&mut visitor, &refused, "/authorize?").await;
        let query: std::collections::BTreeMap<_, _> = sign_in.url.query_pairs().into_owned().collect();
        assert_eq!(query["login_hint"], case.upn);
        assert_eq!(query.contains_key("claims"), challenge);
        assert_eq!(query.get("prompt").map(String::as_str), (!challenge).then_some("login"));
        let chooser = visitor.sign_in(&sign_in, &case.upn).await.expect("the chooser");
        assert_eq!(ticked(&chooser), BTreeSet::from([case.subscription.to_string()]), "the choice is kept");
        // Without a second factor the next refusal ends it: nobody is sent round in circles.
        let end = visitor.grant(&chooser, Choice::Only(&only)).await.expect("a page");
        assert!(end.text().contains("aka.ms/mfasetup") && !end.body.contains("/authorize?"), "{}", end.text());
        assert!(case.assignments().is_empty());
    }
}

#[tokio::test]
async fn hundreds_of_subscriptions_are_searched_and_paged_without_losing_a_tick() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        for number in 0..250 {
            let one = world.subscription(tenant, &format!("Shop {number:03}"));
            world.assign(one, owner, Role::Owner);
        }
    })
    .await;
    let named = |name: &str| case.app.sandbox.change(|world| world.subscription_named(name)).expect("it").to_string();
    let (first, late) = (named("Shop 001"), named("Shop 242"));
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    assert!(chooser.text().contains("0 of 251 ticked") && !chooser.body.contains(&late), "{}", chooser.text());
    let searched = press(&mut visitor, &chooser, &[("subscription", &first), ("action", "search"), ("q", "242")]).await;
    assert_eq!(searched.url.query(), Some("step=choose&q=242"), "a page that can be reloaded");
    assert!(searched.body.contains(&late) && !searched.body.contains(&first), "{}", searched.text());
    let page = press(&mut visitor, &searched, &[("subscription", &late), ("action", "search"), ("q", "")]).await;
    assert!(page.text().contains("2 of 251 ticked"), "{}", page.text());
    let third = press(&mut visitor, &page, &[("action", "page:3"), ("q", "")]).await;
    assert!(third.body.contains(&late) && ticked(&third) == BTreeSet::from([late.clone()]), "{}", third.text());
    let form = third.form("/api/consent/grant").expect("the form").clone();
    let done = visitor.submit(&third, &form, &[("action", "grant")]).await.expect("a page");
    assert_eq!(done.status, 200, "{}", done.text());
    let customer = case.customer().await.expect("a record");
    let granted: BTreeSet<_> = customer.subscriptions.keys().map(ToString::to_string).collect();
    assert_eq!(granted, BTreeSet::from([first, late]));
}

#[tokio::test]
async fn a_management_group_is_granted_once_and_covers_what_is_below() {
    let case = Case::start_in(&[], |world, tenant| {
        let owner = world.users.values().find(|user| user.tenant == tenant).expect("the owner").object_id;
        let (one, two) = (world.subscription(tenant, "One"), world.subscription(tenant, "Two"));
        let root = world.management_group(tenant, "contoso-root", None, &[one]);
        world.management_group(tenant, "contoso-shops", Some(&root), &[two]);
        world.assign_at(Scope::ManagementGroup(root), owner, Role::Owner);
    })
    .await;
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    assert!(chooser.body.contains("contoso-shops"), "{}", chooser.text());
    let done = press(&mut visitor, &chooser, &[("group", "contoso-root"), ("action", "grant")]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let customer = case.customer().await.expect("a record");
    let names: BTreeSet<_> = customer.subscriptions.values().map(|one| one.display_name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["One", "Two"]), "what is below, and nothing beside it");
    assert!(customer.subscriptions.values().all(|one| one.access == SubscriptionAccess::Active));
    let [receipt] = customer.receipt.as_slice() else { panic!("{:?}", customer.receipt) };
    assert_eq!(receipt.scope, "/providers/Microsoft.Management/managementGroups/contoso-root");
    let made = case.app.sandbox.change(|world| {
        let principal = world.service_principal(case.tenant);
        world.role_assignments.iter().filter(|one| Some(one.principal) == principal).count()
    });
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_guest_is_shown_the_way_to_his_other_organisations_and_grants_where_he_is_signed_in() {
    let case = Case::start_in(&[], |world, _| {
        let other = world.tenant("Litware");
        let guest = world.guest(other, "Olivia Owner", "olivia.owner@contoso.example");
        let subscription = world.subscription(other, "Litware one");
        world.assign(subscription, guest, Role::Owner);
    })
    .await;
    let other = case.app.sandbox.change(|world| world.tenant_named("Litware")).expect("the other tenant");
    let mut visitor = case.app.visitor();
    let chooser = case.choose(&mut visitor, "/api/consent/start").await;
    assert!(!chooser.text().contains("Litware one"), "{}", chooser.text());
    let sign_in = follow(&mut visitor, &chooser, &format!("tenant={other}")).await;
    assert!(sign_in.url.path().starts_with(&format!("/{other}/")));
    let chooser = visitor.sign_in(&sign_in, &case.upn).await.expect("the chooser");
    let done = visitor.grant(&chooser, Choice::All).await.expect("the form");
    assert_eq!(done.status, 200, "{}", done.text());
    let customer =
        case.app.app.store.read::<Customer>(&Key::Customer(other)).await.expect("readable").expect("a record");
    assert_eq!(customer.value.subscriptions.len(), 1);
    assert!(case.customer().await.is_none(), "the home tenant granted nothing");
}

#[tokio::test]
async fn who_may_not_assign_roles_gets_a_mail_ready_to_send() {
    let (_case, page) = Case::start_without_right().await;
    let mail = page.body.split("href=\"mailto:").nth(1).and_then(|rest| rest.split('"').next()).expect("a mail");
    assert!(!mail.contains('+'), "mail programs would show it");
    let mail = url::Url::parse(&format!("mailto:{}", mail.replace("&amp;", "&"))).expect("an address");
    let body = mail.query_pairs().find(|(name, _)| name == "body").expect("a body").1.into_owned();
    assert!(body.contains("/api/consent/start") && body.contains("az role assignment create --role Reader"), "{body}");
}

/// Deploys a template of a delegation as Azure would: each resource is put, with the owner's rights.
async fn deploy(case: &Case, template: &Value) {
    let token = case.app.sandbox.user_token(case.owner, "user_impersonation");
    let manager = case.app.sandbox.resource_manager();
    let http = health_monitor::outside::http_client().expect("a client");
    for resource in template["resources"].as_array().expect("resources") {
        let (kind, name) = (resource["type"].as_str().expect("a type"), resource["name"].as_str().expect("a name"));
        let below = format!("/subscriptions/{}/providers", case.subscription);
        let version = resource["apiVersion"].as_str().expect("a version");
        let path = format!("{below}/{kind}/{name}?api-version={version}");
        // The one expression of the template.
        let text = resource["properties"].to_string();
        let definition = format!("{below}/Microsoft.ManagedServices/registrationDefinitions/{name}");
        let expression =
            format!("[subscriptionResourceId('Microsoft.ManagedServices/registrationDefinitions', '{name}')]");
        let properties: Value = serde_json::from_str(&text.replace(&expression, &definition)).expect("JSON");
        let put = http.put(manager.join(&path).expect("an address")).bearer_auth(&token);
        let answer = put.json(&serde_json::json!({"properties": properties})).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{path}");
    }
}

#[tokio::test]
async fn a_delegation_is_deployed_found_by_the_timer_and_polled_like_any_other() {
    let case = Case::start().await;
    let mut visitor = case.app.visitor();
    let page = visitor.open(case.app.url("/api/consent/start?way=lighthouse")).await.expect("the page");
    assert_eq!(page.status, 200, "{}", page.text());
    let template = follow(&mut visitor, &page, "download=arm").await;
    deploy(&case, &serde_json::from_str(&template.body).expect("JSON")).await;

    consent::lighthouse::discover_when_due(&case.app.app).await;
    let customer = case.customer().await.expect("taken in");
    let home = case.app.sandbox.change(|world| world.application.home);
    assert_eq!(customer.access_mode, AccessMode::Lighthouse { partner_tenant_id: home });
    let subscription = &customer.subscriptions[&case.subscription];
    assert_eq!(subscription.access, SubscriptionAccess::Active);
    assert!(subscription.role_assignment_id.contains("registrationAssignments"), "{subscription:?}");
    assert!(
        case.app.sandbox.change(|world| world.service_principal(case.tenant)).is_none(),
        "nothing of ours is there"
    );
    let report = case.app.poll(case.tenant).await;
    assert_eq!((report.read, report.gaps), (1, 0));
    // Found again, it is known; nothing is doubled.
    let again = discover(&case.app.app, &Accept::Invited).await.expect("an answer");
    assert_eq!(again.iter().map(|one| one.standing).collect::<Vec<_>>(), [DelegationStanding::Known]);
    assert_eq!(case.customer().await.expect("the record").receipt.len(), 1);
}

#[tokio::test]
async fn a_stranger_who_delegates_is_no_customer_until_the_partner_says_so() {
    let case = Case::start_in(&[("ONBOARDING", "invite")], |_, _| {}).await;
    case.app.sandbox.change(|world| world.delegate(case.subscription, Role::Reader));
    let found = discover(&case.app.app, &Accept::Invited).await.expect("an answer");
    assert_eq!(found.iter().map(|one| one.standing).collect::<Vec<_>>(), [DelegationStanding::NotInvited]);
    assert!(case.customer().await.is_none());
    let expires = case.app.clock.time() + TimeDelta::hours(1);
    consent::invite::create(&case.app.app, "Contoso (gold)", Some(case.tenant), expires).await.expect("an invite");
    let found = discover(&case.app.app, &Accept::Invited).await.expect("an answer");
    assert_eq!(found[0].standing, DelegationStanding::Added);
    assert_eq!(case.customer().await.expect("a record").display_name, "Contoso (gold)");
}

#[tokio::test]
async fn a_subscription_without_the_health_provider_is_granted_and_told_what_to_register() {
    let case = Case::start().await;
    case.app.sandbox.change(|world| world.arm.unregistered = BTreeSet::from([case.subscription]));
    let done = case.app.visitor().onboard(&case.app.url("/api/consent/start"), &case.upn, Choice::All).await;
    let done = done.expect("all pages");
    assert_eq!(done.status, 200);
    let line =
        format!("az provider register --namespace Microsoft.ResourceHealth --subscription {}", case.subscription);
    assert!(done.text().contains(&line), "{}", done.text());
}
