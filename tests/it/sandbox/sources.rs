//! The secondary sources: activity log, status page, impacted resources, resource groups.

use super::*;

/// An activity log with a publication, a change of a resource's health, and what an administrator did.
fn with_log(world: &mut World) {
    let tenant = world.tenant_named("Contoso").expect("made");
    world.onboarded(tenant);
    let subscription = world.subscriptions_of(tenant)[0];
    let now = world.now();
    let mut database = Resource::sql_database("db", "westeurope", now);
    database.group = "data".to_owned();
    world.resource(subscription, database);
    world.resource(subscription, Resource::virtual_machine("vm", "westeurope", now));
    let event = Event::service_issue("OUT1-AGE", "Storage", now).service("Storage", &["UK South"]).hits([subscription]);
    world.log_event(&event, "Active", now - TimeDelta::minutes(10));
    world.log_health(subscription, "db", "Available", "Unavailable", now - TimeDelta::minutes(1));
    world.log_administration(subscription, now - TimeDelta::minutes(10));
    let machine = Resource::virtual_machine("vm", "westeurope", now);
    world.event(event.names(subscription, &machine));
}

fn categories(body: &Value) -> Vec<&str> {
    let rows = body["value"].as_array().expect("rows");
    rows.iter().map(|row| row["category"]["value"].as_str().expect("a category")).collect()
}

#[tokio::test]
async fn the_activity_log_needs_a_filter_comes_late_and_hides_health_without_being_asked_for_it() {
    let azure = Azure::start_in(with_log).await;
    let token = azure.app_token().await;
    let log = async |filter: Option<&str>| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("api-version", "2015-04-01");
        if let Some(filter) = filter {
            query.append_pair("$filter", filter);
        }
        let path = format!("/providers/microsoft.insights/eventtypes/management/values?{}", query.finish());
        azure.get(&azure.in_subscription(&path), &token).await
    };
    for wrong in [None, Some("category eq 'ServiceHealth'"), Some("eventTimestamp ge 'soon'"), Some("level eq 'x'")] {
        let (status, body) = log(wrong).await;
        assert_eq!((status.as_u16(), &body["Code"]), (400, &json!("BadRequest")), "{wrong:?}");
    }
    let since = "eventTimestamp ge '2026-01-01T00:00:00Z'";
    assert_eq!(categories(&log(Some(since)).await.1), ["Administrative"]);
    let of = |category: &str| format!("{since} and category eq '{category}'");
    let body = log(Some(&of("ServiceHealth"))).await.1;
    assert_eq!(categories(&body), ["ServiceHealth"]);
    let properties = &body["value"][0]["properties"];
    assert!(properties["impactedServices"].as_str().is_some_and(|text| text.contains("UK South")), "JSON as text");
    assert_eq!(categories(&log(Some(&of("ResourceHealth"))).await.1), [""; 0], "not readable yet");
    azure.clock.advance(Duration::from_secs(300));
    assert_eq!(categories(&log(Some(&of("ResourceHealth"))).await.1), ["ResourceHealth"]);
    azure.sandbox.change(|world| world.log.category_refused = true);
    assert_eq!(log(Some(&of("ResourceHealth"))).await.0, 400);
    let all = format!("{since} and eventChannels eq 'Admin, Operation'");
    assert_eq!(log(Some(&all)).await.1["value"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn resources_are_found_by_group_and_by_the_event_that_hits_them() {
    let azure = Azure::start_in(with_log).await;
    let token = azure.app_token().await;
    let get = async |path: &str| azure.get(&azure.in_subscription(path), &token).await;
    let (_, groups) = get("/resourcegroups?api-version=2021-04-01").await;
    assert_eq!(names(&groups), ["data", "production"]);
    let of_group =
        "/resourceGroups/data/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version=2025-05-01";
    let (_, rows) = get(of_group).await;
    assert!(rows["value"][0]["id"].as_str().is_some_and(|id| id.contains("/databases/db")), "{rows}");
    assert_eq!(rows["value"].as_array().map(Vec::len), Some(1));
    let impacted = "/providers/Microsoft.ResourceHealth/events/OUT1-AGE/impactedResources?api-version=2025-05-01";
    let (_, rows) = get(impacted).await;
    assert!(rows["value"][0]["properties"]["targetResourceId"].as_str().is_some_and(|id| id.ends_with("/vm")));
    let query = "servicehealthresources | where type =~ 'microsoft.resourcehealth/events/impactedresources' \
                 | project id, properties | order by id asc";
    let (_, body) = azure.graph(&token, json!({ "query": query })).await;
    assert_eq!(body["count"], 1);
    assert!(body["data"][0]["id"].as_str().is_some_and(|id| id.contains("/events/OUT1-AGE/impactedResources/")));
}

#[tokio::test]
async fn the_status_page_is_for_everybody_with_a_token_and_spells_its_time_in_its_own_way() {
    let azure = Azure::start_in(|world| {
        let at = world.now();
        world.emerging.push(Emerging::new("NEW1-ISS", "Storage", "Storage", "West Europe", at));
        let tenant = world.tenant_named("Contoso").expect("made");
        world.onboarded(tenant);
    })
    .await;
    let token = azure.app_token().await;
    let (status, page) =
        azure.get("/providers/Microsoft.ResourceHealth/emergingIssues/default?api-version=2025-05-01", &token).await;
    assert_eq!(status, 200);
    assert_eq!(page["properties"]["refreshTimestamp"], "2026-01-15 12:00:00Z");
    assert_eq!(page["properties"]["statusActiveEvents"][0]["trackingId"], "NEW1-ISS");
    let list = "/providers/Microsoft.ResourceHealth/emergingIssues?api-version=2025-05-01";
    assert_eq!(azure.get(list, &token).await.1["value"][0], page);
    assert_eq!(azure.get(list, "no token").await.0, 401);
}
