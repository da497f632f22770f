//! The samples' files, through the library: whoever has one gets the users with it.

use health_monitor::azure::UserQuery;
use health_monitor::daemon::{Caller, Dialect};
use health_monitor::outside::http_client;
use health_monitor::sandbox::{Sandbox, World};
use serde_json::{Value, json};

use crate::support::{SeededRandom, TestClock};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/certificates/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Numbers never given before: an assertion is used once.
static SEEDS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(3);

async fn users(sandbox: &Sandbox, clock: &std::sync::Arc<TestClock>, file: &Value) -> (Option<Dialect>, usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("parameters.json");
    std::fs::write(&path, file.to_string()).expect("written");
    // The first sample names no addresses: they are set.
    let values = json!({"Values": {
        "AZURE_AUTHORITY_HOST": sandbox.authority_host(), "MICROSOFT_GRAPH_URL": sandbox.graph(),
    }});
    let settings = directory.path().join("local.settings.json");
    std::fs::write(&settings, values.to_string()).expect("written");
    let http = http_client().expect("a client");
    let random = SeededRandom::new(SEEDS.fetch_add(1_000, std::sync::atomic::Ordering::Relaxed));
    let caller = Caller::open(&settings, Some(&path), http, clock.clone(), random).await.expect("opened");
    let query = UserQuery { page_size: Some(2), ..caller.query.clone() };
    let users = caller.azure.users(caller.identity.tenant_id, &query, |_| {}).await.expect("users");
    (caller.dialect, users.rows.len())
}

#[tokio::test]
async fn each_dialect_and_each_way_to_sign_gives_the_users() {
    let mut world = World::new(17);
    let home = world.application.home;
    for name in ["Olga Operator", "Sven Support", "Maya Manager"] {
        world.user(home, name);
    }
    world.permit(home, "User.Read.All");
    world.certificate(&std::fs::read(fixture("app-public.pem")).expect("the fixture"));
    let (domain, client_id, secret) = (
        world.tenants[&home].domain.clone(),
        world.application.client_id.to_string(),
        world.client_secret().to_owned(),
    );
    let registered = world.application.registration.certificates[0].clone();
    let sha256: String = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &registered.der)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let clock = TestClock::new();
    let sandbox = Sandbox::start(world, clock.clone()).await.expect("free ports");
    let authority = sandbox.authority_host().as_str().trim_end_matches('/').to_owned();
    let endpoint = format!("{}v1.0/users", sandbox.graph());
    let scope = json!(["https://graph.microsoft.com/.default"]);
    let core = json!({"tenant_id": home, "client_id": client_id, "scope": scope, "client_secret": secret, "sample_user": "x@y.example"});
    assert_eq!(users(&sandbox, &clock, &core).await, (Some(Dialect::TenantAndSecret), 3));
    let by_domain = json!({"authority": format!("{authority}/{domain}"), "client_id": client_id, "scope": scope,
        "secret": secret, "endpoint": endpoint});
    assert_eq!(users(&sandbox, &clock, &by_domain).await, (Some(Dialect::AuthorityAndSecret), 3));
    for thumbprint in [registered.thumbprint(), registered.thumbprint().to_lowercase(), sha256] {
        let certificate = json!({"authority": format!("{authority}/{home}"), "client_id": client_id, "scope": scope,
            "thumbprint": thumbprint, "private_key_file": fixture("app-pkcs1.pem"), "endpoint": endpoint});
        assert_eq!(users(&sandbox, &clock, &certificate).await, (Some(Dialect::AuthorityAndCertificate), 3));
    }
}
