//! The customer whose way in is gone through each door: a tenant with an outage, and the settings of a handler that watches it.

use std::collections::BTreeMap;
use std::time::Duration;

use health_monitor::sandbox::{Event, Resource, Role, Sandbox, World};
use serde_json::{Value, json};

pub const OUTAGE: &str = "OUT1-AGE";
/// Who brings the tenant in.
pub const OWNER: &str = "olivia@contoso.example";
/// The mailbox that the partner tells from.
pub const DESK: &str = "desk@fabrikam.example";
/// The key of the partner's portal, and its SHA-256.
pub const KEY: &str = "secret-key";
pub const KEYS: &str = "portal:85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";

/// One tenant, its owner, two subscriptions, an outage that hits one of them.
pub fn world(redirect_uri: String) -> World {
    let mut world = World::new(7);
    world.redirect_uri(redirect_uri);
    let home = world.application.home;
    world.user_with_upn(home, "Health Desk", DESK);
    world.permit(home, "Mail.Send");
    let tenant = world.tenant("Contoso");
    let owner = world.user_with_upn(tenant, "Olivia Owner", OWNER);
    for name in ["Contoso Production", "Contoso Development"] {
        let subscription = world.subscription(tenant, name);
        world.assign(subscription, owner, Role::Owner);
    }
    world.at(Duration::ZERO, |world| {
        let (now, tenant) = (world.now(), world.tenant_named("Contoso").unwrap());
        let since = now - chrono::TimeDelta::hours(1);
        let hit = world.subscription_named("Contoso Production").unwrap();
        for subscription in world.subscriptions_of(tenant) {
            world.resource(subscription, Resource::virtual_machine("vm-web-1", "westeurope", since));
        }
        world.change_resource(hit, "vm-web-1", |machine, now| machine.becomes("Unavailable", now, "We look into it."));
        let event = Event::service_issue(OUTAGE, "Virtual Machines in West Europe", since)
            .level("Error")
            .service("Virtual Machines", &["West Europe"])
            .text(since, "<p>We are investigating.</p>")
            .hits([hit]);
        world.event(event);
    });
    world
}

/// The settings of a handler that watches it, with its documents in this directory.
pub fn settings(sandbox: &Sandbox, base: &str, state: &std::path::Path) -> BTreeMap<String, String> {
    let mut values = sandbox.settings();
    values.extend([
        ("PUBLIC_BASE_URL", base.to_owned()),
        ("STATE_STORE_URL", format!("file:{}", state.display())),
        ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        ("POLL_SCHEDULE", "0 * * * * *".to_owned()),
        ("PARTNER_API_KEYS", KEYS.to_owned()),
        ("ONBOARDING", "open".to_owned()),
        ("RUST_LOG", "debug".to_owned()),
    ]);
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Routes that tell the customer's outages by mail, at once.
pub fn routes() -> Value {
    json!({
        "channels": {"mail": {"kind": "graphMail", "from": DESK, "to": ["ops@contoso.example"]}},
        "routes": [{
            "id": "everything", "audience": "customer", "channels": ["mail"],
            "match": {"eventTypes": ["ServiceIssue"]}, "timing": {"groupSeconds": 0},
        }],
    })
}
