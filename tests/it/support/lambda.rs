//! Plays AWS over loopback for the real Lambda binary: the Runtime API, and an SQS that checks signatures.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use warp::Filter as _;
use warp::http::{HeaderMap, HeaderName, Method, StatusCode};
use warp::path::FullPath;
use warp::reply::Response;

use super::functions_host::{Level, Line, collect};

pub const REGION: &str = "eu-west-1";
pub const QUEUE_ARN: &str = "arn:aws:sqs:eu-west-1:111122223333:health-poll";

/// The handler under the fake AWS.
pub struct LambdaHost {
    /// What browsers see: a function URL's place.
    pub base: String,
    inner: Arc<Inner>,
}

struct Inner {
    child: Mutex<Child>,
    settings: BTreeMap<String, String>,
    runtime_address: String,
    invocations: mpsc::UnboundedSender<Invocation>,
    waiting: Waiting,
    sqs: FakeSqs,
    log: Arc<Mutex<Vec<Line>>>,
}

/// Invocations that are in work, by their id.
type Waiting = Arc<Mutex<BTreeMap<String, oneshot::Sender<Result<Value, Value>>>>>;

/// An SQS with one queue.
pub struct FakeSqs {
    pub queue_url: String,
    /// The address of the queue of notices.
    pub notices_url: String,
    state: Arc<Mutex<Sqs>>,
}

impl FakeSqs {
    pub const SECRET_KEY: &str = "the-secret-access-key-of-the-role";
    pub const SESSION_TOKEN: &str = "the-session-token-of-the-role";

    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(Sqs::default()));
        let address = serve_sqs(Arc::clone(&state)).await;
        let url = |name: &str| format!("http://{address}/111122223333/{name}");
        Self { queue_url: url("health-poll"), notices_url: url("health-notices"), state }
    }

    pub fn state(&self) -> MutexGuard<'_, Sqs> {
        self.state.lock().unwrap()
    }
}

struct Invocation {
    event: Value,
    reply: oneshot::Sender<Result<Value, Value>>,
}

/// How often a message is received before it is set aside: `maxReceiveCount` of the template.
const RECEIVES: usize = 5;

/// What SQS holds, and how it is to misbehave.
#[derive(Default)]
pub struct Sqs {
    queues: BTreeMap<String, Vec<Message>>,
    /// What was received too often.
    pub dead: Vec<String>,
    pub calls: usize,
    /// Answers to give before it works again: a status, or the ids that fail within a 200.
    pub faults: VecDeque<Fault>,
}

#[derive(Clone)]
struct Message {
    text: String,
    receives: usize,
}

impl Sqs {
    pub fn messages(&self, queue: &str) -> Vec<String> {
        self.queues.get(queue).into_iter().flatten().map(|message| message.text.clone()).collect()
    }

    pub fn put(&mut self, queue: &str, text: &str) {
        self.queues.entry(queue.to_owned()).or_default().push(Message { text: text.to_owned(), receives: 0 });
    }

    /// All messages of a queue; those that were received too often before go to the dead letters instead.
    fn receive(&mut self, queue: &str) -> Vec<String> {
        let messages = self.queues.entry(queue.to_owned()).or_default();
        let (dead, alive) = std::mem::take(messages).into_iter().partition(|message| message.receives >= RECEIVES);
        self.dead.extend(Vec::into_iter(dead).map(|message: Message| message.text));
        *messages = alive;
        messages.iter_mut().for_each(|message| message.receives += 1);
        messages.iter().map(|message| message.text.clone()).collect()
    }

    /// Removes what was received and is not kept. What came meanwhile stays.
    fn settle(&mut self, queue: &str, received: &[String], kept: &[String]) {
        let gone = |message: &Message| received.contains(&message.text) && !kept.contains(&message.text);
        self.queues.entry(queue.to_owned()).or_default().retain(|message| !gone(message));
    }
}

pub enum Fault {
    Status(u16),
    Entries(Vec<String>),
}

impl LambdaHost {
    pub async fn start(settings: BTreeMap<String, String>) -> Self {
        Self::start_behind(TcpListener::bind("127.0.0.1:0").await.unwrap(), settings).await
    }

    /// The handler behind a function URL at this listener.
    pub async fn start_behind(listener: TcpListener, settings: BTreeMap<String, String>) -> Self {
        let base = format!("http://{}", listener.local_addr().unwrap());
        let sqs = FakeSqs::start().await;
        let (invocations, receiver) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let runtime_address = serve_runtime(receiver, Arc::clone(&waiting)).await;
        let log = Arc::default();
        let child = Mutex::new(spawn(&settings, &runtime_address, &sqs, &log));
        let inner = Arc::new(Inner { child, settings, runtime_address, invocations, waiting, sqs, log });
        let called = Arc::clone(&inner);
        tokio::spawn(serve_function_url(listener, move |event| {
            let inner = Arc::clone(&called);
            async move { inner.invoke(event).await.ok() }
        }));
        Self { base, inner }
    }

    /// One invocation, synchronous: the answer, or the error that was reported.
    pub async fn invoke(&self, event: Value) -> Result<Value, Value> {
        self.inner.invoke(event).await
    }

    /// A request as a function URL sends it. Gives status and parsed body.
    pub async fn http(&self, method: &str, path_and_query: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let answer = self.invoke(http_event(method, path_and_query, headers, None)).await.expect("HTTP never fails");
        let body = answer["body"].as_str().unwrap_or_default();
        let status = u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Delivers all messages of a queue as one batch and removes those that succeeded, as SQS does. Gives those that failed;
    /// when the invocation fails, the whole batch stays.
    pub async fn deliver(&self, queue: &str) -> Result<Vec<String>, Value> {
        let messages = self.sqs().receive(queue);
        if messages.is_empty() {
            return Ok(messages);
        }
        let mut event = sqs_event(&messages);
        for record in event["Records"].as_array_mut().unwrap() {
            record["eventSourceARN"] = json!(QUEUE_ARN.replace("health-poll", queue));
        }
        let answer = self.invoke(event).await?;
        let failures = answer["batchItemFailures"].as_array().expect("a batch answers with its failures");
        let failed = |index: &usize| failures.iter().any(|failure| failure["itemIdentifier"] == format!("m{index}"));
        let kept: Vec<_> = (0..messages.len()).filter(failed).map(|index| messages[index].clone()).collect();
        self.sqs().settle(queue, &messages, &kept);
        Ok(kept)
    }

    pub fn sqs(&self) -> MutexGuard<'_, Sqs> {
        self.inner.sqs.state()
    }

    /// SIGKILL, as Lambda ends an environment whenever it likes. What was in work fails.
    pub async fn kill(&self) {
        self.inner.child.lock().unwrap().start_kill().unwrap();
        self.inner.waiting.lock().unwrap().clear();
    }

    /// A new environment.
    pub fn start_again(&self) {
        let inner = &self.inner;
        *inner.child.lock().unwrap() = spawn(&inner.settings, &inner.runtime_address, &inner.sqs, &inner.log);
    }

    /// All that the handler wrote.
    pub fn log(&self) -> Vec<Line> {
        self.inner.log.lock().unwrap().clone()
    }
}

impl Inner {
    async fn invoke(&self, event: Value) -> Result<Value, Value> {
        let (reply, answer) = oneshot::channel();
        assert!(self.invocations.send(Invocation { event, reply }).is_ok(), "the Runtime API runs");
        let mut answer = std::pin::pin!(answer);
        for _ in 0..600 {
            if let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), &mut answer).await {
                return answer.unwrap_or_else(|_| Err(json!({"errorType": "Runtime.ExitError"})));
            }
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the handler ended: {ended:?} {:?}", self.log.lock().unwrap());
        }
        panic!("no answer within a minute")
    }
}

fn spawn(
    settings: &BTreeMap<String, String>,
    runtime_address: &str,
    sqs: &FakeSqs,
    log: &Arc<Mutex<Vec<Line>>>,
) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lambda"))
        .env_clear()
        .env("HEALTH_POLL_QUEUE_URL", &sqs.queue_url)
        .env("HEALTH_NOTICES_QUEUE_URL", &sqs.notices_url)
        .envs(settings)
        .env("AWS_LAMBDA_RUNTIME_API", runtime_address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "health-monitor")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", FakeSqs::SECRET_KEY)
        .env("AWS_SESSION_TOKEN", FakeSqs::SESSION_TOKEN)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    collect(child.stdout.take().unwrap(), Arc::clone(log), |_| Level::Information);
    collect(child.stderr.take().unwrap(), Arc::clone(log), |_| Level::Error);
    child
}

/// HTTP as a function URL turns it into events and back. An invocation that gives nothing has failed.
pub async fn serve_function_url<F, Answered>(listener: TcpListener, invoke: F)
where
    F: Fn(Value) -> Answered + Clone + Send + Sync + 'static,
    Answered: Future<Output = Option<Value>> + Send + 'static,
{
    let filter = warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::addr::remote())
        .and(warp::body::bytes())
        .then(move |method: Method, path: FullPath, query: String, headers: HeaderMap, source: Option<_>, body| {
            let called = invoke(event_of(&method, path.as_str(), &query, &headers, source, &body));
            async move {
                called.await.map_or_else(
                    || {
                        let mut response = Response::new("Internal Server Error".into());
                        *response.status_mut() = StatusCode::BAD_GATEWAY;
                        response
                    },
                    |answer| response_of(&answer),
                )
            }
        });
    warp::serve(filter).incoming(listener).run().await;
}

/// The event of a request.
fn event_of(
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    source: Option<SocketAddr>,
    body: &Bytes,
) -> Value {
    // Lines of one name arrive as one, except cookies.
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        lines.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let joined: Vec<(&str, String)> = lines
        .into_iter()
        .map(|(name, values)| (name, values.join(if name == "cookie" { "; " } else { "," })))
        .collect();
    let headers: Vec<(&str, &str)> = joined.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut event = http_event(method.as_str(), &target, &headers, None);
    if let Some(source) = source {
        event["requestContext"]["http"]["sourceIp"] = json!(source.ip().to_string());
    }
    let kind = joined.iter().find(|(name, _)| *name == "content-type").map_or("", |(_, value)| value.as_str());
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) if kind.starts_with("text/") || kind.starts_with("application/json") => event["body"] = json!(text),
        // Forms come encoded, as every type but text and JSON does.
        _ => {
            event["body"] = json!(STANDARD.encode(body));
            event["isBase64Encoded"] = json!(true);
        }
    }
    event
}

fn response_of(answer: &Value) -> Response {
    let body = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(body).unwrap(),
        _ => body.as_bytes().to_vec(),
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap().try_into().unwrap();
    let headers = response.headers_mut();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        headers.insert(name.parse::<HeaderName>().unwrap(), value.as_str().unwrap().parse().unwrap());
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        headers.append("set-cookie", cookie.as_str().unwrap().parse().unwrap());
    }
    response
}

/// A function URL's event (payload format 2.0).
pub fn http_event(method: &str, path_and_query: &str, headers: &[(&str, &str)], body: Option<&str>) -> Value {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut event: Value = serde_json::from_str(include_str!("../../fixtures/lambda/function-url.json")).unwrap();
    event["rawPath"] = json!(path);
    event["rawQueryString"] = json!(query);
    event["requestContext"]["http"]["method"] = json!(method);
    event["requestContext"]["http"]["path"] = json!(path);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("cookie") {
            event["cookies"] = value.split("; ").map(Value::from).collect();
        } else {
            event["headers"][name.to_ascii_lowercase()] = json!(value);
        }
    }
    if let Some(body) = body {
        event["body"] = json!(body);
    }
    event
}

/// A batch of messages with the ids m0, m1, ...
pub fn sqs_event(messages: &[String]) -> Value {
    let template: Value = serde_json::from_str(include_str!("../../fixtures/lambda/sqs.json")).unwrap();
    let records = messages.iter().enumerate().map(|(index, text)| {
        let mut record = template["Records"][0].clone();
        record["messageId"] = json!(format!("m{index}"));
        record["body"] = json!(text);
        record
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

async fn serve_runtime(receiver: mpsc::UnboundedReceiver<Invocation>, waiting: Waiting) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let receiver = Arc::new(tokio::sync::Mutex::new((0u32, receiver)));
    let base = warp::path!("2018-06-01" / "runtime" / "invocation" / ..);
    let given = Arc::clone(&waiting);
    let next = base.and(warp::path!("next")).and(warp::get()).then(move || {
        let (receiver, waiting) = (Arc::clone(&receiver), Arc::clone(&given));
        async move {
            let mut receiver = receiver.lock().await;
            let Some(invocation) = receiver.1.recv().await else { return std::future::pending().await };
            receiver.0 += 1;
            let id = format!("00000000-0000-4000-b000-{:012}", receiver.0);
            waiting.lock().unwrap().insert(id.clone(), invocation.reply);
            let mut response = Response::new(invocation.event.to_string().into());
            #[expect(clippy::disallowed_methods, reason = "the handler under test reads the real clock")]
            let deadline = chrono::Utc::now().timestamp_millis() + 60_000;
            let arn = "arn:aws:lambda:eu-west-1:111122223333:function:health-monitor".to_owned();
            let headers = [
                ("lambda-runtime-aws-request-id", id),
                ("lambda-runtime-deadline-ms", deadline.to_string()),
                ("lambda-runtime-invoked-function-arn", arn),
                ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0".to_owned()),
            ];
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    });
    let answered = base.and(warp::path!(String / String)).and(warp::post()).and(warp::body::bytes()).map(
        move |id: String, kind: String, body: Bytes| {
            let value: Value = serde_json::from_slice(&body).expect("the handler answers in JSON");
            let reply = waiting.lock().unwrap().remove(&id).expect("an invocation is answered once");
            let _ = reply.send(if kind == "response" { Ok(value) } else { Err(value) });
            let mut response = Response::new("{\"status\":\"OK\"}".into());
            *response.status_mut() = warp::http::StatusCode::ACCEPTED;
            response
        },
    );
    tokio::spawn(warp::serve(next.or(answered)).incoming(listener).run());
    address
}

async fn serve_sqs(sqs: Arc<Mutex<Sqs>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let filter =
        warp::post().and(warp::path::end()).and(warp::header::headers_cloned()).and(warp::body::bytes()).and_then(
            move |headers: HeaderMap, body: Bytes| {
                let sqs = Arc::clone(&sqs);
                async move { Ok::<_, Infallible>(answer_sqs(&mut sqs.lock().unwrap(), &headers, &body)) }
            },
        );
    tokio::spawn(warp::serve(filter).incoming(listener).run());
    address
}

fn answer_sqs(sqs: &mut Sqs, headers: &HeaderMap, body: &[u8]) -> Response {
    let answer = |status: u16, body: Value| {
        let mut response = Response::new(body.to_string().into());
        *response.status_mut() = status.try_into().unwrap();
        response
    };
    sqs.calls += 1;
    if let Err(why) = check_signature(headers, body) {
        return answer(403, json!({"__type": "com.amazon.coral.service#SignatureDoesNotMatch", "message": why}));
    }
    if headers["x-amz-target"] != "AmazonSQS.SendMessageBatch"
        || headers["content-type"] != "application/x-amz-json-1.0"
    {
        return answer(400, json!({"__type": "com.amazon.coral.service#UnknownOperationException"}));
    }
    let failing = match sqs.faults.pop_front() {
        Some(Fault::Status(status)) => return answer(status, json!({"__type": "com.amazonaws.sqs#InternalError"})),
        Some(Fault::Entries(ids)) => ids,
        None => Vec::new(),
    };
    let batch: Value = serde_json::from_slice(body).unwrap();
    let queue = batch["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(["health-poll", "health-notices"].contains(&queue), "a queue {queue}");
    let entries = batch["Entries"].as_array().unwrap();
    assert!((1..=10).contains(&entries.len()), "SQS takes one to ten messages a call");
    let (mut taken, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        let id = entry["Id"].as_str().unwrap();
        if failing.iter().any(|failing| failing == id) {
            failed.push(json!({"Id": id, "SenderFault": false, "Code": "InternalError", "Message": "again"}));
        } else {
            sqs.put(queue, entry["MessageBody"].as_str().unwrap());
            taken.push(json!({"Id": id, "MessageId": "5fea7756", "MD5OfMessageBody": ""}));
        }
    }
    answer(200, json!({ "Successful": taken, "Failed": failed }))
}

/// Computes the signature anew from what came over the wire, as AWS does.
fn check_signature(headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authorization = header("authorization");
    let part = |name: &str| {
        authorization.split([' ', ',']).find_map(|part| part.strip_prefix(name)).ok_or(format!("no {name}"))
    };
    let (credential, signed, signature) = (part("Credential=")?, part("SignedHeaders=")?, part("Signature=")?);
    let (key_id, scope) = credential.split_once('/').ok_or("no scope")?;
    let at = header("x-amz-date");
    if key_id != "ASIAEXAMPLE" || scope != format!("{}/{REGION}/sqs/aws4_request", at.get(..8).unwrap_or_default()) {
        return Err(format!("credential {credential}"));
    }
    if header("x-amz-security-token") != FakeSqs::SESSION_TOKEN {
        return Err("the session token".to_owned());
    }
    for needed in ["host", "x-amz-date", "x-amz-security-token"] {
        if !signed.split(';').any(|name| name == needed) {
            return Err(format!("{needed} is not signed"));
        }
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: String = signed.split(';').map(|name| format!("{name}:{}\n", header(name))).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{signed}\n{}", hex(digest(&SHA256, body).as_ref()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(digest(&SHA256, canonical.as_bytes()).as_ref()));
    let mut key = format!("AWS4{}", FakeSqs::SECRET_KEY).into_bytes();
    for part in scope.split('/') {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    let expected = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), to_sign.as_bytes()).as_ref());
    if expected == signature { Ok(()) } else { Err("the signature".to_owned()) }
}
