//! Users of a tenant, from Microsoft Graph.

use health_monitor::azure::{Error, UserQuery};
use health_monitor::model::TenantId;
use health_monitor::sandbox::{Fault, HostKind, World};

use crate::support::TestApp;

async fn start(count: usize, prepare: impl FnOnce(&mut World, TenantId)) -> (TestApp, TenantId) {
    let mut world = World::new(11);
    let home = world.application.home;
    for number in 0..count {
        world.user(home, &format!("Person {number:04}"));
    }
    world.permit(home, "User.Read.All");
    prepare(&mut world, home);
    (TestApp::start(world).await, home)
}

fn asked(app: &TestApp) -> Vec<String> {
    let graph = app.sandbox.requests().into_iter().filter(|one| one.host == HostKind::Graph);
    graph.map(|one| one.query).collect()
}

fn names(rows: &[serde_json::Value]) -> std::collections::BTreeSet<String> {
    rows.iter().map(|row| row["displayName"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn all_pages_are_read_and_each_user_is_there_once() {
    let (app, home) = start(2_345, |_, _| {}).await;
    let mut progress = Vec::new();
    let users = app.app.azure.users(home, &UserQuery::default(), |count| progress.push(count)).await.expect("users");
    assert_eq!((users.rows.len(), names(&users.rows).len(), users.pages), (2_345, 2_345, 3));
    assert_eq!(progress, [999, 1998, 2345]);
    assert!(users.broken_off.is_none() && !users.more);
    assert!(users.context.is_some_and(|context| context.ends_with("$metadata#users")));
    assert!(asked(&app)[0].contains("$select=id,displayName,mail,userPrincipalName,accountEnabled,userType,givenName"));
    let small = UserQuery { page_size: Some(100), ..UserQuery::default() };
    let again = app.app.azure.users(home, &small, |_| {}).await.expect("users");
    assert_eq!((names(&again.rows), again.pages), (names(&users.rows), 24));
}

#[tokio::test]
async fn an_empty_first_page_and_short_failures_hide_nobody() {
    let (app, home) = start(30, |world, _| {
        world.office.empty_first_page = true;
        world.fault(Fault::throttled(3).host(HostKind::Graph).after(1).times(1));
        world.fault(Fault::status(503).host(HostKind::Graph).after(2).times(2));
    })
    .await;
    let query = UserQuery { page_size: Some(10), ..UserQuery::default() };
    let users = app.app.azure.users(home, &query, |_| {}).await.expect("users");
    assert_eq!((users.rows.len(), users.pages), (30, 4));
}

#[tokio::test]
async fn a_limit_ends_the_listing_and_says_whether_there_are_more() {
    let (app, home) = start(25, |_, _| {}).await;
    for (limit, page_size, pages, more) in
        [(10, 10, 1, true), (15, 10, 2, true), (25, 25, 1, false), (99, 10, 3, false)]
    {
        let query = UserQuery { limit: Some(limit), page_size: Some(page_size), ..UserQuery::default() };
        let users = app.app.azure.users(home, &query, |_| {}).await.expect("users");
        assert_eq!((users.rows.len(), users.pages, users.more), (limit.min(25), pages, more), "limit {limit}");
    }
}

#[tokio::test]
async fn filters_and_searches_carry_their_header_on_every_page() {
    let (app, home) = start(30, |world, home| {
        for number in 0..12 {
            world.guest(home, &format!("Visitor {number}"), &format!("visitor_{number}.example#EXT#@fabrikam.example"));
        }
    })
    .await;
    let query = UserQuery {
        filter: Some("userType eq 'Guest'".to_owned()),
        search: Some("\"displayName:visi\"".to_owned()),
        page_size: Some(5),
        ..UserQuery::default()
    };
    // The sandbox refuses a search without the header, on any page.
    let users = app.app.azure.users(home, &query, |_| {}).await.expect("users");
    assert_eq!((users.rows.len(), users.pages), (12, 3));
    assert!(users.rows.iter().all(|row| row["mail"].is_null() && row["userType"] == "Guest"));
    // Guests have `#` in their names.
    let guest = users.rows[0]["userPrincipalName"].as_str().expect("a name");
    let one = app.app.azure.user(home, guest, None).await.expect("found");
    assert_eq!(one["id"], users.rows[0]["id"]);
}

#[tokio::test]
async fn a_later_pages_failure_keeps_what_was_read_and_says_so() {
    let (app, home) =
        start(30, |world, _| world.fault(Fault::status(500).host(HostKind::Graph).path("skiptoken").after(1))).await;
    let query = UserQuery { page_size: Some(10), ..UserQuery::default() };
    let users = app.app.azure.users(home, &query, |_| {}).await.expect("the first pages");
    assert_eq!(users.rows.len(), 20);
    assert!(matches!(users.broken_off, Some(Error::Unavailable { .. })));
}

#[tokio::test]
async fn the_token_goes_to_no_other_host_with_a_next_link() {
    let (app, home) = start(30, |world, _| {
        world.office.next_link_host = Some("https://graph.microsoft.com.evil.example".to_owned());
    })
    .await;
    let query = UserQuery { page_size: Some(10), ..UserQuery::default() };
    let users = app.app.azure.users(home, &query, |_| {}).await.expect("the first page");
    assert_eq!(users.rows.len(), 10);
    assert!(matches!(users.broken_off, Some(Error::Unreadable { .. })));
}

#[tokio::test]
async fn without_the_permission_the_refusal_names_its_code_and_request() {
    let (app, home) = start(3, |world, home| _ = world.office.permissions.remove(&home)).await;
    let error = app.app.azure.users(home, &UserQuery::default(), |_| {}).await.expect_err("refused");
    assert!(error.has_code("Authorization_RequestDenied"), "{error}");
    assert!(error.refusal().is_some_and(|refusal| refusal.status == 403 && refusal.request_id.is_some()));
    let nobody = app.app.azure.user(home, "nobody@fabrikam.example", None).await.expect_err("refused likewise");
    assert!(nobody.has_code("Authorization_RequestDenied"));
    app.sandbox.change(|world| world.permit(home, "User.Read.All"));
    // The token in memory does not have it.
    assert!(app.app.azure.users(home, &UserQuery::default(), |_| {}).await.is_err());
    app.clock.advance(std::time::Duration::from_secs(5000));
    let nobody = app.app.azure.user(home, "nobody@fabrikam.example", None).await.expect_err("nobody");
    assert!(nobody.has_code("Request_ResourceNotFound"), "{nobody}");
}
