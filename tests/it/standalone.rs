//! The standalone host: the gate, the timer and a clean end, over real loopback HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use health_monitor::app::App;
use health_monitor::hosts::standalone::{Error, Host};
use health_monitor::outside::{self, Outside};
use health_monitor::sandbox::{Event, Sandbox, World};
use health_monitor::settings::{Door, Settings};
use health_monitor::store::{self, Key};
use serde_json::Value;

use crate::support::builders::{customer, onboarded};

/// SHA-256 of `secret-key`.
const KEYS: &str = "portal:85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";

/// The app over real time, in memory; nothing listens where it looks for Azure unless `more` says so.
fn app(more: &[(&str, &str)]) -> Arc<App> {
    let mut values: BTreeMap<&str, &str> = BTreeMap::from([
        ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
        ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
        ("AZURE_CLIENT_SECRET", "secret"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:9"),
        ("AZURE_RESOURCE_MANAGER_URL", "http://127.0.0.1:9"),
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
async fn a_probe_says_by_its_exit_code_whether_the_host_lives_and_is_ready() {
    let host = Host::start(app(&[]), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = host.local_addr().port();
    let probe = async |more: &[&str]| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cli"));
        // As a health check names it: where the host was told to listen, which may be everywhere.
        command.env_clear().args(["probe", "--listen", &format!("0.0.0.0:{port}")]).args(more);
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(probe(&[]).await, (Some(0), "{\"status\":\"live\"}\n".to_owned()));
    let (code, problem) = probe(&["--ready"]).await;
    assert!(code == Some(1) && problem.contains("credential"), "Entra cannot be reached: {problem}");
    host.stop().await;
    assert_eq!(probe(&[]).await, (Some(1), String::new()));
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

#[tokio::test]
async fn its_own_timer_and_queue_poll_every_customer() {
    let mut world = World::new(3);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let subscription = world.subscriptions_of(tenant)[0];
    world.at(Duration::ZERO, move |world| {
        let event = Event::service_issue("OUT1-AGE", "Virtual Machines", world.now()).level("Error");
        world.event(event.text(world.now(), "<p>We are investigating.</p>").hits([subscription]));
    });
    let record = customer(&world, tenant);
    let (home, client) = (world.application.home.to_string(), world.application.client_id.to_string());
    let secret = world.client_secret().to_owned();
    let sandbox = Sandbox::start(world, Arc::new(outside::SystemClock)).await.unwrap();
    let (authority, manager) = (sandbox.authority_host().to_string(), sandbox.resource_manager().to_string());
    let app = app(&[
        ("AZURE_TENANT_ID", &home),
        ("AZURE_CLIENT_ID", &client),
        ("AZURE_CLIENT_SECRET", &secret),
        ("AZURE_AUTHORITY_HOST", &authority),
        ("AZURE_RESOURCE_MANAGER_URL", &manager),
        ("POLL_SCHEDULE", "* * * * * *"),
    ]);
    app.store.create(&Key::Customer(tenant), &record).await.unwrap();
    let host = Host::start(app, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}/api/v1/customers/{tenant}/health", host.local_addr());
    let mut health = Value::Null;
    for _ in 0..200 {
        health = status("GET", url.clone(), &[]).await.1;
        if health["status"] == "impacted" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(health["status"], "impacted", "{health}");
    host.stop().await;

    // Stopped is stopped: no timer fires any more.
    sandbox.forget_requests();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(sandbox.requests().is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn serve_ends_with_zero_when_it_is_asked_to() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};

    let state = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_cli"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(state.path())
            .env_clear()
            .env("LOG_FORMAT", "json")
            .env("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa")
            .env("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc")
            .env("AZURE_CLIENT_SECRET", "secret")
            .env("AZURE_AUTHORITY_HOST", "http://127.0.0.1:9")
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("it says where it listens");
            let line: Value = serde_json::from_str(&line).unwrap();
            if let Some(address) = line["address"].as_str() {
                break address.to_owned();
            }
        };
        assert_eq!(status("GET", format!("http://{address}/api/probe/live"), &[]).await.0, 200);
        let id = child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        let ended = tokio::time::timeout(Duration::from_secs(9), child.wait()).await.expect("it ends in time").unwrap();
        assert_eq!(ended.code(), Some(0), "SIG{signal}");
    }
    // The key for sign-in sessions survives the restart, for us alone.
    assert!(state.path().join("state/session-key").is_file());
}

#[tokio::test]
async fn floods_are_limited_here_too_and_no_header_is_believed_unless_that_is_set() {
    // Over loopback nobody can be told apart: only the limit of all counts, whatever a caller writes.
    let app = app(&[("ONBOARDING", "open"), ("RATE_LIMITS", "client=2,total=5")]);
    let host = Host::start(app, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut statuses = Vec::new();
    for n in 0..7 {
        let from = format!("203.0.113.{n}");
        let url = format!("http://{}/api/consent/start", host.local_addr());
        statuses.push(status("GET", url, &[("x-forwarded-for", from.as_str())]).await.0);
    }
    assert_eq!(statuses, [303, 303, 303, 303, 303, 429, 429]);
}
