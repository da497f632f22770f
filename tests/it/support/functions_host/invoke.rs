//! Calls by payload, and how their answers are judged (section 3).

use health_monitor::functions::Function;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::queues::Message;

/// How the length of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Chunked,
    Length,
}

/// Why an invocation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvocationError {
    /// Refused, reset or cut.
    Connection(String),
    /// Any status but 2xx; the body is not looked at.
    Status(u16),
    /// 2xx that the host cannot use.
    Unusable(String),
    /// 2xx without a body: the real host would hang until functionTimeout.
    EmptyAnswer,
    /// functionTimeout; the handler was killed.
    Timeout,
    /// The host gave the handler up.
    HostStopped,
    /// The message was tried too often and is not delivered any more.
    Poison,
}

/// What is sent.
pub struct Payload {
    binding: String,
    value: Value,
    metadata: Map<String, Value>,
}

/// A raw HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

impl Payload {
    pub(super) fn new(binding: &str, value: Value) -> Self {
        Self { binding: binding.to_owned(), value, metadata: Map::new() }
    }

    pub(super) fn of_message(binding: &str, message: &Message) -> Self {
        let mut metadata = Map::new();
        metadata.insert("DequeueCount".to_owned(), double(&json!(message.dequeue_count)));
        metadata.insert("Id".to_owned(), double(&json!(message.id)));
        metadata.insert("PopReceipt".to_owned(), double(&json!("AgAAAAMAAAAAAAAA")));
        metadata.insert("InsertionTime".to_owned(), json!("2026-01-15T12:00:00+00:00"));
        metadata.insert("ExpirationTime".to_owned(), json!("2026-01-22T12:00:00+00:00"));
        metadata.insert("NextVisibleTime".to_owned(), json!("2026-01-15T12:10:00+00:00"));
        // Properties of the message land in the metadata and overwrite what was there.
        if let Ok(Value::Object(properties)) = serde_json::from_str(&message.text) {
            for (name, value) in properties.iter().filter(|(_, value)| !value.is_array()) {
                metadata.retain(|known, _| !known.eq_ignore_ascii_case(name));
                metadata.insert(name.clone(), double(value));
            }
        }
        Self { binding: binding.to_owned(), value: double(&json!(message.text)), metadata }
    }

    pub(super) fn body(mut self, function: &str) -> String {
        let sys = json!({
            "MethodName": function, "UtcNow": "2026-01-15T12:00:00Z", "RandGuid": "5b3f1c1e-0000-4000-8000-000000000001",
        });
        self.metadata.insert("sys".to_owned(), sys);
        let mut data = Map::new();
        data.insert(self.binding, self.value);
        json!({ "Data": data, "Metadata": self.metadata }).to_string()
    }
}

/// The double encoding: everything but objects becomes a text that holds its JSON.
fn double(value: &Value) -> Value {
    match value {
        Value::Object(_) => value.clone(),
        other => Value::String(other.to_string()),
    }
}

/// One POST over its own connection.
pub(super) async fn post(port: u16, function: &str, body: &[u8], framing: Framing) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let length = match framing {
        Framing::Chunked => "Transfer-Encoding: chunked".to_owned(),
        Framing::Length => format!("Content-Length: {}", body.len()),
    };
    let head = format!(
        "POST /{function} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json; charset=utf-8\r\n\
         X-Azure-Functions-HostVersion: 4.1052.200\r\n\
         X-Azure-Functions-InvocationId: 7f0d9d6e-1111-4111-8111-000000000001\r\n\
         User-Agent: Azure-Functions-Host/4.1052.200\r\nConnection: close\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    match framing {
        Framing::Length => send(&mut stream, body).await?,
        Framing::Chunked => {
            // Small chunks, so that a payload comes in several.
            for chunk in body.chunks(4096) {
                send(&mut stream, format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                send(&mut stream, chunk).await?;
                send(&mut stream, b"\r\n").await?;
            }
            send(&mut stream, b"0\r\n\r\n").await?;
        }
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    parse(&answer).ok_or_else(|| std::io::Error::other("the connection was cut before the answer was whole"))
}

/// A server may answer and close before it has read all; then its answer counts.
async fn send(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    match stream.write_all(bytes).await {
        Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => Ok(()),
        other => other,
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let rest = &answer[end + 4..];
    let mut parsed = Answer { status, headers, body: Vec::new() };
    parsed.body = match parsed.header("content-length") {
        Some(length) => rest.get(..length.parse().ok()?)?.to_vec(),
        None if parsed.header("transfer-encoding").is_some() => unchunk(rest)?,
        None => rest.to_vec(),
    };
    Some(parsed)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + length)?);
        rest = rest.get(end + 4 + length..)?;
    }
}

/// What the host makes of an answer (3.5).
pub(super) fn judge(answer: &Answer) -> Result<Value, InvocationError> {
    if !(200..300).contains(&answer.status) {
        return Err(InvocationError::Status(answer.status));
    }
    let content_type = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    if answer.body.is_empty() {
        return Err(InvocationError::EmptyAnswer);
    }
    if !matches!(content_type.trim(), "application/json" | "text/json") {
        return Err(InvocationError::Unusable(format!("content type {content_type:?}")));
    }
    let value: Value =
        serde_json::from_slice(&answer.body).map_err(|error| InvocationError::Unusable(error.to_string()))?;
    match &value {
        Value::Null => Err(InvocationError::EmptyAnswer),
        Value::Object(members) => {
            let logs = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("logs")).map(|(_, value)| value);
            let are_texts = |logs: &Vec<Value>| logs.iter().all(Value::is_string);
            if logs.is_some_and(|logs| !logs.is_null() && !logs.as_array().is_some_and(are_texts)) {
                return Err(InvocationError::Unusable("Logs is no array of texts".to_owned()));
            }
            Ok(value)
        }
        _ => Err(InvocationError::Unusable("the answer is no object".to_owned())),
    }
}

/// The messages for queues: one per element of an array. Anything else would be changed on its way, so it is refused here,
/// and so is a name that no binding has, which the real host would drop without a word.
pub(super) fn queue_messages(function: &Function, answer: &Value) -> Result<Vec<(String, String)>, InvocationError> {
    let unusable = |why: String| Err(InvocationError::Unusable(why));
    let Some(Value::Object(outputs)) = answer.get("Outputs") else { return Ok(Vec::new()) };
    let mut messages = Vec::new();
    for (binding, value) in outputs {
        let Some(output) = function.outputs.iter().find(|output| output.binding == *binding) else {
            return unusable(format!("{} has no output {binding}", function.name));
        };
        let Some(texts) = value.as_array() else { return unusable(format!("{binding} is no array")) };
        for text in texts {
            let Some(text) = text.as_str() else {
                return unusable(format!("{binding} has an element that is no text"));
            };
            messages.push((output.queue.clone(), text.to_owned()));
        }
    }
    Ok(messages)
}
