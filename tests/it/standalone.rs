//! The standalone host: the gate, the timer and a clean end, over real loopback HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use health_monitor::app::App;
use health_monitor::hosts::standalone::{Error, Host};
use health_monitor::outside::{self, Outside};
use health_monitor::settings::{Door, Settings};
use health_monitor::store;
use serde_json::Value;

/// SHA-256 of `secret-key`.
const KEYS: &str = "portal:85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";

fn app(more: &[(&str, &str)]) -> Arc<App> {
    let mut values: BTreeMap<&str, &str> = BTreeMap::from([
        ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
        ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
        ("AZURE_CLIENT_SECRET", "secret"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:9"),
        ("STATE_STORE_URL", "memory:"),
        ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ]);
    values.extend(more.iter().copied());
    let lookup = |name: &str| values.get(name).map(|value| (*value).to_owned());
    let settings = Settings::from_lookup(Door::Standalone, lookup).unwrap();
    let backend = store::open(&settings.store).unwrap();
    App::new(settings, Outside::real(backend).unwrap())
}

async fn status(method: &str, url: String, headers: &[(&str, &str)]) -> (u16, Value) {
    let client = outside::http_client().unwrap();
    let mut request = client.request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn the_gate_follows_the_functions_files() {
    let host = Host::start(app(&[("PARTNER_API_KEYS", KEYS)]), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = |path: &str| format!("http://{}{path}", host.local_addr());
    let customers = url("/api/v1/customers");
    assert_eq!(status("GET", url("/api/probe/live"), &[]).await.0, 200);
    let (code, problem) = status("GET", customers.clone(), &[]).await;
    assert_eq!((code, problem["type"].as_str()), (401, Some("urn:health-monitor:problem:unauthorized")));
    assert_eq!(status("GET", customers.clone(), &[("x-functions-key", "wrong")]).await.0, 401);
    assert_ne!(status("GET", customers.clone(), &[("x-functions-key", "secret-key")]).await.0, 401);
    assert_ne!(status("GET", format!("{customers}?code=secret-key"), &[]).await.0, 401);
    assert_eq!(status("DELETE", customers, &[("x-functions-key", "secret-key")]).await.0, 405);
    let (code, problem) = status("GET", url("/api/nothing"), &[]).await;
    assert_eq!((code, problem["type"].as_str()), (404, Some("urn:health-monitor:problem:not-found")));
    for path in ["/", "/PollTimer", "/PollTenant", "/api"] {
        assert_eq!(status("POST", url(path), &[]).await.0, 404, "{path}");
    }
    host.stop().await;
}

#[tokio::test]
async fn without_keys_it_serves_this_machine_only() {
    let error = Host::start(app(&[]), "0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::KeysNeeded(_)));
    assert!(error.to_string().contains("PARTNER_API_KEYS"));

    let host = Host::start(app(&[]), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let customers = format!("http://{}/api/v1/customers", host.local_addr());
    assert_ne!(status("GET", customers.clone(), &[]).await.0, 401);
    // As through a tunnel.
    assert_eq!(status("GET", customers, &[("host", "monitor.example")]).await.0, 401);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Host::start(app(&[]), address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

#[tokio::test]
async fn it_stops_at_once_when_nothing_runs_and_frees_its_address() {
    let host = Host::start(app(&[("POLL_SCHEDULE", "* * * * * *")]), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = host.local_addr();
    tokio::time::timeout(Duration::from_secs(5), host.stop()).await.expect("it stops");
    std::net::TcpListener::bind(address).expect("the address is free again");
}
