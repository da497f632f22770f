//! One trace from a caller's request to the call to Azure, in the exports, in the logs and on the wire.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use health_monitor::outside::{SystemClock, http_client};
use health_monitor::sandbox::{Sandbox, World};
use health_monitor::store::{Key, Local, Store};
use serde_json::Value;
use warp::Filter as _;

use crate::support::builders::{customer, onboarded};
use crate::support::free_port;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PATIENCE: Duration = Duration::from_secs(60);

/// A span as the collector got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Exported {
    trace: String,
    id: String,
    parent: String,
    name: String,
}

/// The fields of a protobuf message: number, and the bytes of those that have some.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (first, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            shift += 7;
            if first & 0x80 == 0 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                varint(&mut bytes);
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("a length"),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((key >> 3, value.to_vec()));
    }
    found
}

/// ExportTraceServiceRequest, ResourceSpans, ScopeSpans, Span
/// (<https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>).
fn spans(body: &[u8]) -> Vec<Exported> {
    let below = |bytes: &[u8], number: u64| -> Vec<Vec<u8>> {
        fields(bytes).into_iter().filter(|(known, _)| *known == number).map(|(_, value)| value).collect()
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut all = Vec::new();
    for resource in below(body, 1) {
        for scope in below(&resource, 2) {
            for span in below(&scope, 2) {
                let mut exported = Exported::default();
                for (number, value) in fields(&span) {
                    match number {
                        1 => exported.trace = hex(&value),
                        2 => exported.id = hex(&value),
                        4 => exported.parent = hex(&value),
                        5 => exported.name = String::from_utf8(value).expect("a name"),
                        _ => {}
                    }
                }
                all.push(exported);
            }
        }
    }
    all
}

/// What a collector got, export by export.
type Received = Arc<Mutex<Vec<(String, Vec<Exported>)>>>;

/// The program, ended with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // After an orderly end there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_one_trace_from_the_request_to_the_call_to_azure() {
    let received: Received = Arc::default();
    let keep = Arc::clone(&received);
    let collector = warp::post()
        .and(warp::path!("v1" / "traces"))
        .and(warp::header("x-key"))
        .and(warp::header::exact("content-type", "application/x-protobuf"))
        .and(warp::body::bytes())
        .map(move |key: String, body: bytes::Bytes| {
            keep.lock().expect("no holder panics").push((key, spans(&body)));
            ""
        });
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let collecting = listener.local_addr().expect("bound");
    let collector = tokio::spawn(warp::serve(collector).incoming(listener).run());

    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", 1);
    let subscription = world.subscriptions_of(tenant)[0];
    let record = customer(&world, tenant);
    let sandbox = Sandbox::start(world, Arc::new(SystemClock)).await.expect("free ports");
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::new(Arc::new(Local::open(directory.path()).expect("a store")));
    store.create(&Key::Customer(tenant), &record).await.expect("a new customer");

    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
    command.env_clear().envs(sandbox.settings()).envs(sandbox.identity_settings());
    command.env("STATE_STORE_URL", format!("file:{}", directory.path().display()));
    // Nobody else polls.
    command.env("POLL_SCHEDULE", "0 0 0 1 1 *").env("LOG_FORMAT", "json").env("RUST_LOG", "info,health_monitor=debug");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collecting}"));
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hush-hush").env("OTEL_SERVICE_NAME", "tested");
    let child = command.args(["serve", "--listen", &address]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut serving = Serving(child.expect("it starts"));
    let stdout = BufReader::new(serving.0.stdout.take().expect("piped"));
    let lines = std::thread::spawn(move || stdout.lines().map_while(Result::ok).collect::<Vec<_>>());

    let client = http_client().expect("a client");
    let end = Instant::now() + PATIENCE;
    while client.get(format!("http://{address}/api/probe/live")).send().await.is_err() {
        assert!(Instant::now() < end, "it does not serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = format!("http://{address}/api/v1/customers/{tenant}/subscriptions/{subscription}/health?refresh=true");
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let answer = client.get(url).header("traceparent", &traceparent).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    // An orderly end sends what has not been sent.
    let ended = Command::new("kill").args(["-TERM", &serving.0.id().to_string()]).status().expect("kill");
    assert!(ended.success() && serving.0.wait().expect("it ends").success());
    let lines = lines.join().expect("read to the end");
    collector.abort();

    let received = received.lock().expect("no holder panics").clone();
    assert!(!received.is_empty() && received.iter().all(|(key, _)| key == "hush-hush"));
    let all: Vec<Exported> = received.into_iter().flat_map(|(_, spans)| spans).collect();
    let ours: Vec<_> = all.iter().filter(|span| span.trace == TRACE).collect();
    let request = ours.iter().find(|span| span.parent == CALLER).expect("the request goes on with the caller's trace");
    assert_eq!(request.name, "GET");
    let call = ours.iter().find(|span| span.name == "POST resourceGraph").expect("the call to Azure");
    let mut up = *call;
    let mut path = vec![up.name.clone()];
    while up.id != request.id {
        up = ours.iter().find(|span| span.id == up.parent).unwrap_or_else(|| panic!("no way up from {path:?}"));
        path.push(up.name.clone());
    }
    assert_eq!(path, ["POST resourceGraph", "poll", "GET"]);

    // On the wire: Azure was told of the very span that we exported, and so was Entra.
    let told: Vec<String> = sandbox.requests().into_iter().filter_map(|request| request.traceparent).collect();
    assert!(told.contains(&format!("00-{TRACE}-{}-01", call.id)), "{told:?}");
    assert!(ours.iter().any(|span| span.name == "POST token"));

    // In the log: one flat line for the call, with whose it was, the ids and the trace.
    let logged: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(logged.len(), lines.len(), "every line is JSON");
    let line = logged.iter().find(|line| line["message"] == "asked Azure" && line["azure.source"] == "resourceGraph");
    let line = line.expect("the call was logged");
    assert_eq!((line["trace_id"].as_str(), line["span_id"].as_str()), (Some(TRACE), Some(call.id.as_str())));
    assert_eq!(line["tenant.id"], tenant.to_string());
    for name in ["azure.client.request.id", "azure.service.request.id", "azure.correlation.request.id", "url.path"] {
        assert!(line[name].is_string(), "{name}: {line}");
    }
    assert_eq!(line["http.response.status_code"], 200);
    assert!(!lines.concat().contains("hush-hush"), "secrets are in no log");
    assert!(logged.iter().any(|line| line["subscription.id"] == subscription.to_string()));
}
