//! docs/upgrade.md: what an older version wrote goes on.

use health_monitor::sandbox::World;
use health_monitor::store::Backend as _;
use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::builders::onboarded;

#[tokio::test]
async fn documents_that_have_only_what_the_first_version_wrote_are_read_polled_and_answered() {
    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let (subscription, principal) =
        (world.subscriptions_of(tenant)[0], world.service_principal(tenant).expect("the tenant has consented"));
    let app = TestApp::start(world).await;
    // No member that has a default, and none that a later version added.
    let documents = [
        (
            format!("customers/{tenant}.json"),
            json!({
                "schemaVersion": 1, "tenantId": tenant, "displayName": "Contoso", "onboardedAt": "2025-06-01T00:00:00Z",
                "accessMode": {"kind": "appInCustomerTenant", "servicePrincipalId": principal},
                "subscriptions": {subscription.to_string(): {"displayName": "Production", "access": "active"}},
            }),
        ),
        (
            format!("health/{tenant}.json"),
            json!({"schemaVersion": 1, "tenantId": tenant, "polledAt": "2025-06-01T00:00:00Z"}),
        ),
        (
            "partner/routes.json".to_owned(),
            json!({"schemaVersion": 1, "channels": {}, "routes": [{"id": "all", "audience": "partner", "channels": []}]}),
        ),
        (
            "invites/an-old-one.json".to_owned(),
            json!({"schemaVersion": 1, "label": "Contoso", "createdAt": "2025-06-01T00:00:00Z", "expiresAt": "2025-06-02T00:00:00Z"}),
        ),
        (format!("timeline/{tenant}/2025-06.json"), json!({"schemaVersion": 1, "transitions": {}})),
    ];
    for (path, document) in &documents {
        app.backend.create(path, document.to_string().into()).await.expect("a new document");
    }
    let report = app.poll(tenant).await;
    assert_eq!((report.read, report.gaps), (1, 0));
    for path in ["customers", "invites", "routes", "incidents", "changes", "metrics"] {
        assert_eq!(app.call("GET", &format!("/api/v1/{path}"), None).await.0, 200, "{path}");
    }
    let (_, customer) = app.call("GET", &format!("/api/v1/customers/{tenant}"), None).await;
    assert_eq!(
        (&customer["status"], &customer["labels"]),
        (&"healthy".into(), &Value::Object(Default::default())),
        "{customer}"
    );
    for path in ["health", "events", "timeline", "report", "receipt"] {
        let (status, answer) = app.call("GET", &format!("/api/v1/customers/{tenant}/{path}"), None).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
}
