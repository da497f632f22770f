//! The API for routes.

use health_monitor::hosts::work::{DEADLINE, Work, run};
use health_monitor::outside::http_client;
use health_monitor::sandbox::{Event, World};
use health_monitor::store::{Folder, Key};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{SECRET, cli};
use crate::support::TestApp;
use crate::support::builders::onboarded;

fn document() -> Value {
    json!({
        "channels": {"ops": {"kind": "webhook", "url": "https://hooks.fabrikam.example/health", "secretSetting": "NOTIFY_OPS"}},
        "routes": [{"id": "critical", "audience": "partner", "channels": ["ops"], "match": {"severity": "high"}}],
    })
}

async fn start() -> TestApp {
    TestApp::start_with(World::new(1), &[("NOTIFY_OPS", SECRET)]).await
}

/// Status, ETag and body.
async fn ask(
    app: &TestApp,
    method: Method,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> (StatusCode, String, Value) {
    let mut request = http_client().expect("a client").request(method, app.url("/api/v1/routes"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.expect("an answer");
    let etag = response.headers().get("etag").map(|etag| etag.to_str().expect("text").to_owned()).unwrap_or_default();
    (response.status(), etag, serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default())
}

#[tokio::test]
async fn routes_are_set_with_the_etag_that_was_read_and_never_over_somebody_elses_change() {
    let app = start().await;
    let (status, empty, body) = ask(&app, Method::GET, &[], None).await;
    assert_eq!((status, body), (StatusCode::OK, json!({"channels": {}, "routes": []})));
    let (status, _, problem) = ask(&app, Method::PUT, &[], Some(&document())).await;
    assert_eq!(status, StatusCode::PRECONDITION_REQUIRED, "{problem}");
    let (status, first, body) = ask(&app, Method::PUT, &[("if-match", &empty)], Some(&document())).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let (_, read, body) = ask(&app, Method::GET, &[], None).await;
    assert_eq!(read, first, "the ETag of the change is the one of the next reading");
    assert_eq!(body["channels"]["ops"]["secretSetting"], "NOTIFY_OPS");
    let (status, ..) = ask(&app, Method::PUT, &[("if-match", &empty)], Some(&document())).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    let (status, ..) = ask(&app, Method::PUT, &[("if-none-match", "*")], Some(&document())).await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    // What was read may be sent back as it is.
    let (status, ..) = ask(&app, Method::PUT, &[("if-match", &first)], Some(&body)).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_fault_is_named_with_its_place_and_nothing_is_changed() {
    let app = start().await;
    let mut wrong = document();
    wrong["routes"][0]["channels"][0] = json!("opps");
    wrong["routes"][0]["match"]["transitions"] = json!(["eventOpend"]);
    wrong["channels"]["ops"]["secretSetting"] = json!("NOTIFY_OTHER");
    let (status, _, problem) = ask(&app, Method::PUT, &[("if-match", "*")], Some(&wrong)).await;
    assert_eq!(
        (status, problem["type"].as_str()),
        (StatusCode::BAD_REQUEST, Some("urn:health-monitor:problem:invalid-routes"))
    );
    let places: Vec<_> = problem["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|error| error["pointer"].as_str().expect("a place"))
        .collect();
    assert_eq!(places, ["/channels/ops/secretSetting", "/routes/0/channels/0", "/routes/0/match/transitions/0"]);
    assert_eq!(problem["errors"][1]["near"], json!(["ops"]));
    assert!(app.app.store.list(Folder::Partner).await.expect("readable").is_empty());
    let (status, problem) = app.call("POST", "/api/v1/routes/dry-run", Some(json!({"routes": wrong}))).await;
    assert_eq!((status, problem["errors"].as_array().map(Vec::len)), (400, Some(3)));
    for (method, path, allow) in [("DELETE", "routes", "GET, PUT"), ("PUT", "routes/x/test", "POST")] {
        let (status, problem) = app.call(method, &format!("/api/v1/{path}"), None).await;
        assert_eq!((status, problem["allow"].as_str()), (405, Some(allow)));
    }
}

/// Takes one message, answers with a status, gives what came.
async fn receiver(status: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let taken = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut said = Vec::new();
        let mut buffer = [0; 4096];
        // The body follows its head; its length is named there.
        loop {
            let count = stream.read(&mut buffer).await.expect("readable");
            said.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&said).to_lowercase();
            let length =
                text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
            if count == 0 || (length.is_some() && body >= length) {
                break;
            }
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("writable");
        String::from_utf8_lossy(&said).into_owned()
    });
    (address, taken)
}

#[tokio::test]
async fn a_test_is_sent_to_each_channel_and_says_what_it_answered() {
    let (good, taken) = receiver("204 No Content").await;
    let (bad, refused) = receiver("401 Unauthorized").await;
    let settings = [("NOTIFY_OPS", SECRET), ("PRIVATE_DESTINATIONS", "loopback")];
    let app = TestApp::start_with(World::new(1), &settings).await;
    let channel = |url: &str| json!({"kind": "webhook", "url": url, "secretSetting": "NOTIFY_OPS"});
    let document = json!({
        "channels": {"good": channel(&good), "bad": channel(&bad)},
        "routes": [{"id": "r", "audience": "partner", "channels": ["good", "bad"]}],
    });
    let (status, _, body) = ask(&app, Method::PUT, &[("if-match", "*")], Some(&document)).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    let (status, answer) = app.call("POST", "/api/v1/routes/r/test", None).await;
    assert_eq!((status, answer["taken"].as_bool()), (415, None), "a form on somebody's page cannot ask: {answer}");
    let (status, answer) = app.call("POST", "/api/v1/routes/r/test", Some(json!({}))).await;
    assert_eq!((status, &answer["taken"]), (200, &json!(false)), "{answer}");
    let said: Vec<_> = answer["value"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (one["channel"].clone(), one["taken"].clone()))
        .collect();
    assert_eq!(said, [(json!("bad"), json!(false)), (json!("good"), json!(true))]);
    let message = taken.await.expect("it came");
    assert!(message.contains("webhook-signature") && message.contains("Test of the route r"), "{message}");
    assert!(message.contains(answer["value"][1]["noticeId"].as_str().expect("an id")));
    refused.await.expect("it came");
    let (status, _) = app.call("POST", "/api/v1/routes/none/test", Some(json!({}))).await;
    assert_eq!(status, 404);
    assert!(app.app.store.list(Folder::Outbox).await.expect("readable").is_empty(), "a test passes by the outbox");
}

#[tokio::test]
async fn a_dry_run_says_who_would_have_been_told_and_tells_nobody() {
    let mut world = World::new(1);
    let tenants = [onboarded(&mut world, "Contoso", 2), onboarded(&mut world, "Tailwind", 1)];
    let app = TestApp::start_with(world, &[("NOTIFY_OPS", SECRET)]).await;
    app.watch_all().await;
    for tenant in tenants {
        app.poll(tenant).await;
    }
    app.clock.advance(std::time::Duration::from_secs(600));
    app.sandbox.change(|world| {
        let hits: Vec<_> = tenants.iter().flat_map(|tenant| world.subscriptions_of(*tenant)).collect();
        let event = Event::service_issue("OUT1-AGE", "Virtual Machines in West Europe", world.now());
        world.event(event.level("Error").service("Virtual Machines", &["West Europe"]).hits(hits));
    });
    for tenant in tenants {
        app.poll(tenant).await;
    }
    let mut routes = document();
    routes["routes"] = json!([
        {"id": "critical", "audience": "partner", "channels": ["ops"], "match": {"severity": "high"}},
        {"id": "each", "audience": "customer", "channels": ["ops"], "timing": {"digest": {"every": "daily"}}},
        {"id": "storage", "audience": "partner", "channels": ["ops"], "match": {"services": ["Storage"]}},
    ]);
    let (status, run_of) = app.call("POST", "/api/v1/routes/dry-run", Some(json!({"routes": routes, "days": 1}))).await;
    assert_eq!(status, 200, "{run_of}");
    assert_eq!(
        run_of["destinations"],
        json!([
            {"route": "critical", "channel": "ops", "notices": 1, "messages": 1},
            {"route": "each", "channel": "ops", "notices": 2, "messages": 2},
        ])
    );
    assert_eq!(run_of["silentRoutes"], json!(["storage"]));
    assert_eq!((&run_of["transitions"], &run_of["untold"]), (&json!(2), &json!({})));
    let (_, nothing) = app.call("POST", "/api/v1/routes/dry-run", Some(json!({}))).await;
    assert_eq!(
        (&nothing["notices"], &nothing["untold"]),
        (&json!([]), &json!({"eventOpened": 2})),
        "no routes are stored"
    );
    run(&app.app, Work::PollTimer, DEADLINE).await.expect("the timer runs");
    assert!(app.app.store.list(Folder::Outbox).await.expect("readable").is_empty());
    assert!(app.app.store.read_bytes(&Key::Routes).await.expect("readable").is_none());
    for wrong in [json!({"days": 0}), json!({"days": 91}), json!({"day": 1})] {
        let (status, _) = app.call("POST", "/api/v1/routes/dry-run", Some(wrong)).await;
        assert_eq!(status, 400);
    }
}

#[tokio::test]
async fn on_the_command_line_a_fault_is_exit_code_2_and_changes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, document: &Value| {
        std::fs::write(directory.path().join(name), document.to_string()).expect("writable");
    };
    write("good.json", &document());
    let mut wrong = document();
    wrong["routes"][0]["audience"] = json!("partnr");
    write("wrong.json", &wrong);
    let run = async |arguments: &[&str]| cli(directory.path(), arguments).await;

    let (code, said, error) = run(&["routes", "check", "good.json"]).await;
    assert_eq!((code, said.as_str()), (0, "1 channels and 1 routes, no fault.\n"), "{error}");
    assert_eq!(run(&["routes", "set", "good.json"]).await.0, 0);
    let (_, stored, _) = run(&["routes", "show"]).await;
    for command in ["check", "set", "dry-run"] {
        let (code, _, error) = run(&["routes", command, "wrong.json"]).await;
        assert_eq!(code, 2, "{command}: {error}");
        assert!(
            error.contains(
                "/routes/0/audience: found \"partnr\"; right would be one of partner, customer; did you mean partner?"
            ),
            "{error}"
        );
    }
    assert_eq!(run(&["routes", "show"]).await.1, stored, "nothing half done");
    assert_eq!(run(&["routes", "check", "none.json"]).await.0, 2);
    assert_eq!(run(&["routes", "test", "none"]).await.0, 2);
    let (code, said, _) = run(&["routes", "dry-run", "--json"]).await;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((code, &said["transitions"]), (0, &json!(0)));
}
