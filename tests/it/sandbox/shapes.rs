//! Our answers against the official examples.

use super::*;

/// The official example of this name, or None when they are not at hand.
fn example(path: &str) -> Option<Value> {
    #[expect(clippy::disallowed_methods, reason = "the examples are no setting of the product")]
    let folder = std::env::var("AZURE_EXAMPLES").ok()?;
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join(path)).expect("the example is there");
    Some(serde_json::from_str(&text).expect("the example is JSON"))
}

/// Every member that we emit must be in the example with the same JSON type; `null` fits everything, and every element of our
/// arrays is held against all elements of theirs. Keys in `beyond` are known from elsewhere, each with its source.
fn assert_shape(ours: &Value, theirs: &[&Value], path: &str, beyond: &[&str]) {
    match ours {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}.{name}");
                if beyond.contains(&path.as_str()) {
                    continue;
                }
                let known: Vec<&Value> = theirs.iter().filter_map(|one| one.get(name)).collect();
                assert!(!known.is_empty(), "{path} is not in the official example");
                let same = |one: &&Value| {
                    one.is_null() || value.is_null() || std::mem::discriminant(*one) == std::mem::discriminant(value)
                };
                assert!(known.iter().any(same), "{path} has another type than in the official example: {value}");
                assert_shape(value, &known, &path, beyond);
            }
        }
        Value::Array(items) => {
            let known: Vec<&Value> = theirs.iter().filter_map(|one| one.as_array()).flatten().collect();
            for item in items.iter().filter(|_| !known.is_empty()) {
                assert_shape(item, &known, &format!("{path}[]"), beyond);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn every_member_that_is_sent_is_in_the_official_examples() {
    if example("subscriptions/GetSubscriptions.json").is_none() {
        println!("skipped: AZURE_EXAMPLES is not set");
        return;
    }
    let official = |path: &str, status: &str| {
        let file = example(path).expect("AZURE_EXAMPLES is set");
        file["responses"][status]["body"].clone()
    };
    let azure = Azure::start_in(with_events).await;
    azure.sandbox.change(|world| {
        world.arm.page_size = 1;
        world.change_event("NEW1-000", |event| {
            let now = event.last_update;
            event.resolve(now, "<p>over</p>");
            event.tags.push("Final PIR".to_owned());
        });
        let subscription = world.subscription_named("Production").expect("made");
        world.change_resource(subscription, "vm-1", |vm, now| {
            vm.becomes("Degraded", now, "It is slow.");
            vm.becomes("Available", now, "");
        });
    });
    let token = azure.app_token().await;
    let user = azure.user_token(OLIVIA).await;

    let (_, ours) = azure.get("/subscriptions?api-version=2022-12-01", &user).await;
    assert_shape(&ours, &[&official("subscriptions/GetSubscriptions.json", "200")], "subscriptions", &[]);
    let (_, ours) = azure.get(&azure.in_subscription("?api-version=2022-12-01"), &user).await;
    assert_shape(&ours, &[&official("subscriptions/GetSubscription.json", "200")], "subscription", &[]);
    let (_, ours) = azure.get("/tenants?api-version=2022-12-01", &user).await;
    assert_shape(&ours, &[&official("subscriptions/GetTenants.json", "200")], "tenants", &[]);

    let (status, ours) = azure.get(&azure.events_path("&queryStartTime=2025-12-01"), &token).await;
    assert_eq!((status.as_u16(), ours["value"].as_array().expect("rows").len()), (200, 3));
    let theirs = official("resource-health/Events_ListBySubscriptionId.json", "200");
    let observed = example("resource-health/observed/Events_ListBySubscriptionId.observed-2024.sanitized.json");
    // The example shows one event; what real ones carried besides is in the observed answer.
    assert_shape(&ours, &[&theirs, &observed.expect("AZURE_EXAMPLES is set")], "events", &[]);
    assert_shape(
        &ours,
        &[&theirs],
        "events",
        &[
            "events.value[].properties.description",
            "events.value[].properties.externalIncidentId",
            "events.value[].properties.impactType",
            "events.value[].properties.platformInitiated",
        ],
    );

    let path = azure.in_subscription("/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version=2025-05-01");
    let (_, ours) = azure.get(&path, &token).await;
    assert_eq!(ours["value"].as_array().expect("rows").len(), 3);
    let theirs = official("resource-health/AvailabilityStatuses_ListBySubscriptionId.json", "200");
    assert_shape(&ours, &[&theirs], "statuses", &[]);

    let (status, ours) = azure.graph(&token, json!({"query": EVENTS, "options": {"$top": 1}})).await;
    assert_eq!(status, 200);
    let theirs = official("resource-graph/ResourcesFirstPageQuery.json", "200");
    let row = ["graph.data[].subscriptionId", "graph.data[].properties"];
    assert_shape(&ours, &[&theirs], "graph", &row);
    let machines = "healthresources | project id, properties";
    let (_, ours) = azure.graph(&token, json!({"query": machines})).await;
    let theirs = example("resource-graph/HealthResources_availabilitystatus_properties.json").expect("set");
    // Newer documents list these three too ("health-apis", 3.3).
    let newer = ["machine.reasonType", "machine.title", "machine.summary"];
    assert_shape(&ours["data"][0]["properties"], &[&theirs], "machine", &newer);

    let principal = azure.sandbox.change(|world| world.service_principal(azure.tenant)).expect("consented");
    azure.sandbox.change(|world| world.unassign(azure.subscription, principal));
    let path = azure.assignment_path("11111111-1111-4111-8111-111111111111");
    let response = azure.arm(Method::PUT, &path, &user, Some(&azure.assignment(principal))).await;
    assert_eq!(response.status(), 201);
    let ours: Value = response.json().await.expect("JSON");
    let theirs = official("authorization/RoleAssignments_CreateForSubscription.json", "201");
    let full = ["description", "condition", "conditionVersion", "createdOn", "updatedOn", "createdBy", "updatedBy"];
    let full: Vec<String> = full
        .iter()
        .chain(&["delegatedManagedIdentityResourceId"])
        .map(|name| format!("assignment.properties.{name}"))
        .collect();
    // The short example leaves out what the specification has ("identity-and-consent", 5.4).
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    assert_shape(&ours, &[&theirs], "assignment", &full);
}

#[tokio::test]
async fn refusals_have_the_words_that_were_observed() {
    let Some(official) = example("errors/AuthorizationFailed.events.json") else {
        println!("skipped: AZURE_EXAMPLES is not set");
        return;
    };
    let azure = Azure::start().await;
    azure.code(OLIVIA).await;
    let token = azure.app_token().await;
    // Ids and times apart, text for text.
    let bare = |text: &Value| {
        let words = text.as_str().expect("a message").split(['\'', '/']);
        words.filter(|word| word.len() != 36).collect::<Vec<_>>().join("|")
    };
    let response = azure.arm(Method::GET, &azure.events_path(""), &token, None).await;
    assert_eq!(response.status().as_u16(), official["status"]);
    assert_eq!(response.headers()["x-ms-failure-cause"], "gateway");
    let ours: Value = response.json().await.expect("JSON");
    assert_eq!(bare(&ours["error"]["message"]), bare(&official["body"]["error"]["message"]));

    let other = azure.sandbox.change(|world| {
        let other = world.tenant("Adventure Works");
        world.subscription(other, "Theirs")
    });
    let (_, ours) = azure.get(&format!("/subscriptions/{other}?api-version=2022-12-01"), &token).await;
    let official = example("errors/InvalidAuthenticationTokenTenant.json").expect("set");
    assert_eq!(bare(&ours["error"]["message"]), bare(&official["body"]["error"]["message"]));
    let (_, ours) = azure.graph(&token, json!({"subscriptions": [other], "query": EVENTS})).await;
    let official = example("errors/ResourceGraph.NoValidSubscriptionsInQueryRequest.json").expect("set");
    let detail = |body: &Value| bare(&body["error"]["details"][0]["message"]);
    assert_eq!(detail(&ours), detail(&official["body"]));
}
