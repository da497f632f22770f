//! Who is told of what: routes, timing, reminders, and what people say about incidents.

mod delivery;
mod docs;
mod due_laws;
mod facts;
mod incidents;
mod laws;
mod log;
mod plan;
mod reminders;
mod routes;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use health_monitor::model::TenantId;
use health_monitor::sandbox::Event;
use serde_json::json;

use crate::support::TestApp;

/// What signs the webhooks of these tests.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A minute later Azure tells of an outage that hits all subscriptions of a customer, and he is polled.
async fn outage_begins(app: &TestApp, tenant: TenantId) {
    app.clock.advance(Duration::from_secs(60));
    app.sandbox.change(|world| {
        let hits = world.subscriptions_of(tenant);
        let event = Event::service_issue("OUT1-AGE", "Virtual Machines in West Europe", world.now());
        world.event(event.level("Error").hits(hits));
    });
    app.poll(tenant).await;
}

/// The settings of a monitor whose documents are in a directory, for the command line and for us.
fn values(directory: &Path) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("AZURE_TENANT_ID", "11111111-1111-4111-8111-111111111111".to_owned()),
        ("AZURE_CLIENT_ID", "22222222-2222-4222-8222-222222222222".to_owned()),
        ("AZURE_CLIENT_SECRET", "of-no-use".to_owned()),
        ("STATE_STORE_URL", format!("file:{}", directory.join("state").display())),
        ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        ("NOTIFY_OPS", SECRET.to_owned()),
        ("PRIVATE_DESTINATIONS", "loopback".to_owned()),
    ])
}

/// Exit code, output, errors.
async fn cli(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let settings = directory.join("local.settings.json");
    std::fs::write(&settings, json!({"Values": values(directory)}).to_string()).expect("writable");
    let done = tokio::process::Command::new(env!("CARGO_BIN_EXE_cli"))
        .env_clear()
        .current_dir(directory)
        .args(arguments)
        .arg("--settings")
        .arg(settings)
        .output()
        .await
        .expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code().expect("an exit code"), text(&done.stdout), text(&done.stderr))
}
