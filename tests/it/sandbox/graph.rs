//! Resource Graph.

use super::*;

#[tokio::test]
async fn resource_graph_drops_what_may_not_be_read_without_a_word() {
    let azure = Azure::start_in(|world| {
        with_events(world);
        let tenant = world.tenant_named("Contoso").expect("made");
        let closed = world.subscription(tenant, "Closed");
        world.change_event("NEW1-000", |event| {
            event.subscriptions.insert(closed, Duration::from_millis(1800));
        });
    })
    .await;
    let token = azure.app_token().await;
    let closed = azure.sandbox.change(|world| world.subscription_named("Closed").expect("made"));
    let both = json!({"subscriptions": [azure.subscription, closed], "query": EVENTS});
    let (status, body) = azure.graph(&token, both).await;
    assert_eq!(status, 200, "{body}");
    let rows = body["data"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["subscriptionId"] == azure.subscription.to_string()));
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    // Sorted by id; older than ninety days is gone.
    assert_eq!(ids, ["NEW1-000", "OLD1-000", "SEC1-000"]);
    assert_eq!(
        (&body["count"], &body["totalRecords"], &body["resultTruncated"]),
        (&json!(3), &json!(3), &json!("false"))
    );
    let bag = &rows[0]["properties"];
    assert_eq!(bag["Status"], "Active");
    assert_eq!(bag["Impact"][0]["ImpactedRegions"][0]["ImpactedRegion"], "West Europe");
    assert!(bag["Impact"][0]["ImpactedRegions"][0].get("Updates").is_none());
    assert_eq!(rows[1]["properties"]["impactType"], "Network Connectivity");
    let (status, body) = azure.graph(&token, json!({"subscriptions": [closed], "query": EVENTS})).await;
    assert_eq!(
        (status.as_u16(), &body["error"]["details"][0]["code"]),
        (400, &json!("NoValidSubscriptionsInQueryRequest"))
    );
    // The owner sees both, with her own token.
    azure.sandbox.change(|world| world.assign(closed, azure.owner, Role::Reader));
    let user = azure.user_token(OLIVIA).await;
    let coverage =
        "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' | project id, name | order by id asc";
    assert_eq!(azure.graph(&user, json!({"query": coverage})).await.1["count"], 2);
}

#[tokio::test]
async fn resource_graph_may_lag_behind_rest() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    azure.sandbox.change(|world| {
        world.graph_lags();
        let now = world.now();
        world.change_event("NEW1-000", |event| event.resolve(now, "<p>over</p>"));
    });
    let graph = async || {
        let (_, body) = azure.graph(&token, json!({"query": EVENTS})).await;
        body["data"][0]["properties"]["Status"].clone()
    };
    assert_eq!(graph().await, "Active");
    let (_, rest) = azure.get(&azure.events_path(""), &token).await;
    assert_eq!(rest["value"][1]["properties"]["status"], "Resolved");
    azure.sandbox.change(|world| world.graph.stale_events = None);
    assert_eq!(graph().await, "Resolved");
}

#[tokio::test]
async fn resource_graph_pages_only_with_an_id_and_keeps_its_limits() {
    let azure = Azure::start_in(with_events).await;
    let token = azure.app_token().await;
    let page =
        async |query: &str, options: Value| azure.graph(&token, json!({"query": query, "options": options})).await;
    let (_, first) = page(EVENTS, json!({"$top": 2})).await;
    assert_eq!((&first["count"], &first["totalRecords"]), (&json!(2), &json!(3)));
    let skip = first["$skipToken"].as_str().expect("a token");
    let (_, last) = page(EVENTS, json!({"$top": 2, "$skipToken": skip})).await;
    assert_eq!(last["data"][0]["name"], "SEC1-000");
    assert!(last.get("$skipToken").is_none());
    let (status, body) = page("servicehealthresources | project id", json!({"$skipToken": skip})).await;
    assert_eq!((status.as_u16(), &body["error"]["details"][0]["code"]), (400, &json!("InvalidSkipToken")));
    let (_, blind) = page("servicehealthresources | project name", json!({"$top": 2})).await;
    assert_eq!(blind["resultTruncated"], "true");
    assert!(blind.get("$skipToken").is_none());
    let (_, machines) = page(
        "HealthResources | where tostring(properties.availabilityState) !~ 'available' | project id, properties",
        json!({}),
    )
    .await;
    assert_eq!(machines["count"], 1);
    assert_eq!(machines["data"][0]["properties"]["previousAvailabilityState"], "Available");
    let (status, body) = page("healthresources | summarize count()", json!({})).await;
    assert_eq!((status.as_u16(), &body["error"]["details"][0]["code"]), (400, &json!("ParserFailure")));
    azure.sandbox.change(|world| {
        world.graph.times = GraphTimes::Ticks;
        world.graph.quota = Some(2);
    });
    let (_, body) = page(EVENTS, json!({})).await;
    // 2026-01-15T12:00:00Z, computed with .NET's formula by hand.
    assert_eq!(body["data"][0]["properties"]["LastUpdateTime"], 639_040_752_000_000_000_i64);
    azure.sandbox.change(|world| world.graph.payload_limit = 100);
    let (_, body) = page(EVENTS, json!({})).await;
    assert_eq!(body["error"]["details"][0]["code"], "ResponsePayloadTooLarge");
    let (status, body) = page(EVENTS, json!({})).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (429, &json!("RateLimiting")));
    azure.clock.advance(Duration::from_secs(5));
    assert_eq!(page("resourcecontainers | project id", json!({})).await.0, 400, "the payload limit holds still");
}
