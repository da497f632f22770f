//! Events and availability over REST.

use super::*;

#[tokio::test]
async fn events_older_than_three_days_are_listed_only_when_asked_for() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    let list = async |more: &str| azure.get(&azure.events_path(more), &token).await.1;
    assert_eq!(names(&list("").await), ["SEC1-000", "NEW1-000"]);
    assert_eq!(names(&list("&queryStartTime=2025-12-01T00:00:00Z").await), ["SEC1-000", "NEW1-000", "OLD1-000"]);
    assert_eq!(names(&list("&queryStartTime=1/2/2025").await), ["SEC1-000", "NEW1-000", "OLD1-000", "AGED-000"]);
    assert_eq!(list("&queryStartTime=soon").await["code"], "BadRequest");
    let one = |more: &str| {
        azure.in_subscription(&format!(
            "/providers/Microsoft.ResourceHealth/events/OLD1-000?api-version=2025-05-01{more}"
        ))
    };
    assert_eq!(azure.get(&one(""), &token).await.0, 404, "the default holds for one event too");
    assert_eq!(azure.get(&one("&queryStartTime=2025-12-01T00:00:00Z"), &token).await.1["name"], "OLD1-000");
    // Texts of sensitive events are withheld from readers.
    let body = list("").await;
    let sensitive = &body["value"][0]["properties"];
    assert_eq!(sensitive["isEventSensitive"], true);
    assert!(sensitive.get("summary").is_none() && sensitive.get("description").is_none());
    let fetch = azure.in_subscription(
        "/providers/Microsoft.ResourceHealth/events/SEC1-000/fetchEventDetails?api-version=2025-05-01",
    );
    assert_eq!(azure.arm(Method::POST, &fetch, &token, None).await.status(), 403);
}

#[tokio::test]
async fn lists_are_paged_and_misbehave_on_order() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    azure.sandbox.change(|world| {
        world.health.availability_page_size = 2;
        world.health.event_page_size = 1;
        world.health.empty_first_page = true;
    });
    let mut path =
        azure.in_subscription("/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version=2025-05-01");
    let mut sizes = Vec::new();
    loop {
        let (status, body) = azure.get(&path, &token).await;
        assert_eq!(status, 200, "{body}");
        sizes.push(body["value"].as_array().expect("rows").len());
        match body["nextLink"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(sizes, [0, 2, 1]);
    azure.sandbox.change(|world| {
        world.health.empty_first_page = false;
        world.health.later_pages_refused = true;
        world.health.duplicate_names = true;
        world.health.mitigation_year_one = true;
    });
    let body = azure.get(&azure.events_path("&queryStartTime=2025-12-01"), &token).await.1;
    let refused = azure.get(body["nextLink"].as_str().expect("a next page"), &token).await;
    assert_eq!((refused.0.as_u16(), &refused.1["code"]), (400, &json!("InvalidODataQueryOptions")));
    azure.sandbox.change(|world| {
        world.health.event_page_size = 100;
        world.health.next_link_host = Some("evil.example".to_owned());
        world.health.availability_page_size = 1;
    });
    let body = azure.get(&azure.events_path(""), &token).await.1;
    assert_eq!(names(&body), ["SEC1-000", "SEC1-000", "NEW1-000", "NEW1-000"]);
    assert_eq!(body["value"][2]["properties"]["impactMitigationTime"], "0001-01-01T00:00:00");
    let path = azure.in_subscription("/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version=2025-05-01");
    let body = azure.get(&path, &token).await.1;
    assert!(body["nextLink"].as_str().is_some_and(|link| link.starts_with("http://evil.example:")));
}
