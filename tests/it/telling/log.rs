//! The delivery log and sending anew, through the API and on the command line, with a webhook that really is called.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use health_monitor::app::App;
use health_monitor::notify::{self, deliver, outbox};
use health_monitor::outside::{Outside, SystemClock};
use health_monitor::rehearsal::stage;
use health_monitor::sandbox::{Order, Received, Receivers, World};
use health_monitor::settings::{Door, Settings};
use health_monitor::store::{self, Key};
use serde_json::{Value, json};

use super::{SECRET, cli, outage_begins, values};
use crate::support::builders::onboarded;
use crate::support::{TestApp, TestClock};

const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Checks a message as a receiver with this secret does: Standard Webhooks 1.0.
fn verifies(secret: &str, received: &Received) -> bool {
    let base64 = &base64::engine::general_purpose::STANDARD;
    let key = base64.decode(secret.trim_start_matches("whsec_")).expect("base64");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let (id, at) = (&received.headers["webhook-id"], &received.headers["webhook-timestamp"]);
    let signed = format!("{id}.{at}.{}", received.body);
    let given = base64.decode(received.headers["webhook-signature"].trim_start_matches("v1,")).expect("base64");
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &given).is_ok()
}

/// Two channels that lead to the receiver.
fn document(receivers: &Receivers) -> Value {
    let channel = json!({"kind": "webhook", "url": receivers.url("/hook"), "secretSetting": "NOTIFY_OPS"});
    json!({
        "channels": {"ops": channel, "page": channel},
        "routes": [{"id": "customers", "audience": "partner", "channels": ["ops", "page"]}],
    })
}

async fn timer(app: &Arc<App>) {
    for message in notify::due_now(app).await.expect("readable") {
        deliver::deliver(app, &message).await.expect("the store works");
    }
}

/// It takes nothing of this kind, ever.
fn refused() -> Order {
    Order { status: 415, ..Order::default() }
}

/// Channel and state of each line.
fn lines(listing: &Value) -> Vec<(&str, &str)> {
    let entries = listing["value"].as_array().expect("a list").iter();
    let mut lines: Vec<_> = entries
        .map(|entry| (entry["channel"].as_str().expect("a channel"), entry["state"].as_str().expect("a state")))
        .collect();
    lines.sort();
    lines
}

fn id_of(listing: &Value, channel: &str) -> String {
    let entries = listing["value"].as_array().expect("a list");
    let entry = entries.iter().find(|entry| entry["channel"] == channel).expect("there");
    entry["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_log_says_what_waits_what_was_given_up_and_what_was_told_and_sends_anew_under_the_same_id() {
    let clock = TestClock::new();
    let receivers = Receivers::start(clock.clone()).await.expect("a free port");
    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let settings = [("NOTIFY_OPS", SECRET), ("PRIVATE_DESTINATIONS", "loopback")];
    let app = TestApp::start_on(world, &settings, clock, Arc::default()).await;
    app.watch_all().await;
    app.poll(tenant).await;
    let routes = serde_json::from_value::<health_monitor::model::Routes>(document(&receivers)).expect("routes");
    app.app.store.create(&Key::Routes, &routes).await.expect("new");
    outage_begins(&app, tenant).await;

    let list = async |query: &str| {
        let (status, listing) = app.call("GET", &format!("/api/v1/notices{query}"), None).await;
        assert_eq!(status, 200, "{listing}");
        listing
    };
    let pending = list("").await;
    assert_eq!(lines(&pending), [("ops", "pending"), ("page", "pending")]);
    assert!(pending["value"][0]["dueAt"].is_string() && pending["value"][0]["word"] == "eventOpened", "{pending}");
    // Page by page it is the same.
    let first = list("?top=1").await;
    let next = first["nextLink"].as_str().expect("there is more");
    let (_, second) = app.call("GET", next.trim_start_matches(&app.base), None).await;
    assert_eq!(json!([first["value"][0], second["value"][0]]), pending["value"]);
    assert!(second.get("nextLink").is_none());

    receivers.answer_next([refused(), refused()]);
    app.clock.advance(Duration::from_secs(120));
    timer(&app.app).await;
    assert_eq!(lines(&list("?state=pending").await), []);
    let dead = list("?state=dead").await;
    assert_eq!(lines(&dead), [("ops", "dead"), ("page", "dead")]);
    assert!(dead["value"][0]["detail"].as_str().is_some_and(|detail| detail.contains("415")), "{dead}");
    assert_eq!(dead["value"][0]["attempts"], 1);

    let (ops, page) = (id_of(&dead, "ops"), id_of(&dead, "page"));
    let post = async |path: &str, body: Value| {
        let (status, answer) = app.call("POST", &format!("/api/v1/notices/{path}"), Some(body)).await;
        (status, answer["replayed"].as_u64())
    };
    assert_eq!(post("replay", json!({"channel": "none"})).await, (202, Some(0)));
    assert_eq!(post("replay", json!({"chanel": "ops"})).await.0, 400, "a slip of the pen replays nothing");
    assert_eq!(post("replay", json!({"channel": "ops"})).await, (202, Some(1)));
    assert_eq!(lines(&list("?state=dead").await), [("page", "dead")]);
    assert_eq!(post(&format!("{page}/replay"), json!({})).await, (202, Some(1)));
    assert_eq!(lines(&list("?state=dead").await), []);
    timer(&app.app).await;
    let told = list("?state=delivered").await;
    assert_eq!(lines(&told), [("ops", "delivered"), ("page", "delivered")]);
    assert!(told["value"][0]["endedAt"].is_string() && told["value"][0]["detail"].is_string(), "{told}");

    let received = receivers.received();
    assert_eq!(received.len(), 4);
    for id in [&ops, &page] {
        let same: Vec<_> = received.iter().filter(|one| one.headers["webhook-id"] == **id).collect();
        let answers: Vec<_> = same.iter().map(|one| one.status >= 300).collect();
        assert_eq!(answers, [true, false], "refused, then taken, under one id");
        assert!(same.iter().all(|one| verifies(SECRET, one) && !verifies(OTHER, one)));
        assert!(same.iter().all(|one| one.json()["id"] == **id));
    }
    let mut altered = received[0].clone();
    altered.body = altered.body.replace("West Europe", "East Europe");
    assert!(altered.body != received[0].body && !verifies(SECRET, &altered), "the body is signed");

    for path in [format!("{ops}/replay"), "00000000-0000-4000-8000-00000000abcd/replay".to_owned()] {
        assert_eq!(post(&path, json!({})).await.0, 404, "told or unknown: {path}");
    }
    assert_eq!(post("nonsense/replay", json!({})).await.0, 400, "no id at all");
    assert_eq!(app.call("GET", "/api/v1/notices?state=lost", None).await.0, 400);
    assert_eq!(app.call("PUT", "/api/v1/notices/replay", None).await.0, 405);
    assert_eq!(receivers.received().len(), 4);
}

#[tokio::test]
async fn on_the_command_line_routes_are_set_and_tried_and_what_was_given_up_is_sent_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let receivers = Receivers::start(Arc::new(SystemClock)).await.expect("a free port");
    std::fs::write(directory.path().join("routes.json"), document(&receivers).to_string()).expect("writable");
    let run = async |arguments: &[&str]| cli(directory.path(), arguments).await;
    let json_of = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");

    let (code, said, error) = run(&["routes", "check", "routes.json"]).await;
    assert_eq!((code, said.as_str()), (0, "2 channels and 1 routes, no fault.\n"), "{error}");
    assert_eq!(json_of(&run(&["routes", "show"]).await.1)["routes"], json!([]), "checking sets nothing");
    assert_eq!(run(&["routes", "set", "routes.json"]).await.0, 0);
    let (_, shown, _) = run(&["routes", "show"]).await;
    assert_eq!(json_of(&shown)["channels"], document(&receivers)["channels"]);
    assert!(!shown.contains(SECRET));

    let (code, said, error) = run(&["routes", "test", "customers", "--json"]).await;
    assert_eq!((code, &json_of(&said)["taken"]), (0, &json!(true)), "{error}");
    let received = receivers.received();
    assert_eq!(received.len(), 2, "one to each channel");
    assert!(received.iter().all(|one| verifies(SECRET, one) && !verifies(OTHER, one)));
    receivers.answer_next([refused()]);
    let (code, said, _) = run(&["routes", "test", "customers"]).await;
    assert!(code == 1 && said.contains("415") && !said.contains(SECRET), "{said}");

    // What a monitor over the same documents gives up.
    let values = values(directory.path());
    let settings = Settings::from_lookup(Door::Standalone, |name| values.get(name).cloned()).expect("right settings");
    let settings = settings.with_secrets([("NOTIFY_OPS".to_owned(), SECRET.to_owned())]);
    let backend = store::open(&settings.store).expect("a directory");
    let app = App::new(settings, Outside::real(backend).expect("a client"));
    let now = app.clock.now();
    let tenant = super::facts::tenant(1);
    app.store.create(&Key::Customer(tenant), &super::facts::customer(1)).await.expect("new");
    let notices =
        [(1, "ops"), (2, "ops"), (3, "page")].map(|(number, channel)| stage::notice(tenant, number, channel, now));
    outbox::put(&app, &notices).await.expect("written");
    let list = async |state: &str| json_of(&run(&["notices", "list", "--state", state, "--json"]).await.1);
    assert_eq!(lines(&list("pending").await), [("ops", "pending"), ("ops", "pending"), ("page", "pending")]);
    receivers.answer_next([refused(), refused(), refused()]);
    timer(&app).await;
    assert_eq!(lines(&list("dead").await).len(), 3);
    let (_, table, _) = run(&["notices", "list", "--state", "dead"]).await;
    assert!(table.contains(&notices[0].id.to_string()) && table.contains("415"), "{table}");

    assert_eq!(run(&["notices", "replay"]).await.0, 2, "which ones is to be said");
    assert_eq!(run(&["notices", "replay", "00000000-0000-4000-8000-00000000abcd"]).await.0, 2);
    let replayed = async |arguments: &[&str]| json_of(&run(arguments).await.1)["replayed"].as_u64();
    assert_eq!(replayed(&["notices", "replay", &notices[0].id.to_string(), "--json"]).await, Some(1));
    assert_eq!(replayed(&["notices", "replay", "--all", "--channel", "page", "--json"]).await, Some(1));
    assert_eq!(lines(&list("dead").await), [("ops", "dead")]);
    assert_eq!(replayed(&["notices", "replay", "--all", "--json"]).await, Some(1));
    timer(&app).await;
    assert_eq!(lines(&list("delivered").await), [("ops", "delivered"), ("ops", "delivered"), ("page", "delivered")]);
    let received = receivers.received();
    for notice in &notices {
        let id = notice.id.to_string();
        let same: Vec<_> = received.iter().filter(|one| one.headers["webhook-id"] == id).collect();
        assert_eq!(same.iter().map(|one| one.status >= 300).collect::<Vec<_>>(), [true, false], "{id}");
        assert!(same.iter().all(|one| verifies(SECRET, one)));
    }
}
