//! Puts messages into an SQS queue: what the Functions host does for its queue outputs, nobody does on Lambda. One call of
//! the JSON protocol, signed here, in place of an SDK.

mod sign;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};

use crate::outside::Clock;
use crate::settings::Aws;

/// Messages in one call, SQS's limit. Ours are some hundred bytes each, far below its limit of bytes.
const BATCH: usize = 10;
const TARGET: &str = "AmazonSQS.SendMessageBatch";
const MEDIA_TYPE: &str = "application/x-amz-json-1.0";
/// Waits between tries of a batch. Lambda calls a failed timer again by itself, after a minute.
const WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// A queue that can be written to.
#[derive(Debug, Clone)]
pub struct Queue {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    aws: Aws,
    address: url::Url,
}

/// Why messages were not sent. What was sent before stays sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQS could not be reached.
    #[error("SQS could not be reached")]
    Unreachable(#[source] reqwest::Error),
    /// SQS refused the call, or a message of it.
    #[error("SQS refused: {code} (status {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// SQS's code, such as `QueueDoesNotExist`.
        code: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<'a> {
    queue_url: &'a str,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    id: String,
    message_body: &'a str,
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    failed: Vec<Failed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    sender_fault: bool,
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default, rename = "__type")]
    kind: String,
}

impl Queue {
    /// The queues of customers to poll and of notices to tell.
    pub fn all(http: &reqwest::Client, clock: &Arc<dyn Clock>, aws: &Aws) -> Vec<Self> {
        let queue = |address: &url::Url| Self {
            http: http.clone(),
            clock: Arc::clone(clock),
            aws: aws.clone(),
            address: address.clone(),
        };
        [&aws.health_poll_queue, &aws.health_notices_queue].map(queue).to_vec()
    }

    /// The queue's name: the end of its address and of its ARN.
    pub fn name(&self) -> &str {
        self.address.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default()
    }

    /// Sends every message, in calls of ten.
    ///
    /// # Errors
    /// [`Error`], when some were not sent after several tries.
    pub async fn send(&self, messages: &[String]) -> Result<(), Error> {
        for batch in messages.chunks(BATCH) {
            self.send_batch(batch).await?;
        }
        Ok(())
    }

    async fn send_batch(&self, batch: &[String]) -> Result<(), Error> {
        // By id: only what SQS did not take is sent again.
        let mut left: BTreeMap<String, &str> =
            batch.iter().enumerate().map(|(index, text)| (index.to_string(), text.as_str())).collect();
        let mut waits = WAITS.iter();
        loop {
            let error = match self.call(&left).await {
                Ok(failed) if failed.is_empty() => return Ok(()),
                Ok(failed) => {
                    left.retain(|id, _| failed.iter().any(|failed| failed.id == *id));
                    let first = failed.into_iter().next().expect("it is not empty");
                    let error = Error::Refused { status: 200, code: first.code };
                    if first.sender_fault {
                        return Err(error);
                    }
                    error
                }
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(error),
            };
            match waits.next() {
                Some(wait) => self.clock.sleep(*wait).await,
                None => return Err(error),
            }
        }
    }

    /// One call; what it gives back was not taken.
    async fn call(&self, messages: &BTreeMap<String, &str>) -> Result<Vec<Failed>, Error> {
        let queue_url = self.address.as_str();
        let entries =
            messages.iter().map(|(id, text)| Entry { id: id.clone(), message_body: text }).collect::<Vec<_>>();
        let body = serde_json::to_vec(&Batch { queue_url, entries }).expect("texts are always JSON");
        let mut endpoint = self.address.clone();
        endpoint.set_path("/");
        let mut headers = BTreeMap::from([
            ("content-type", MEDIA_TYPE.to_owned()),
            ("host", host(&endpoint)),
            ("x-amz-date", self.clock.now().format("%Y%m%dT%H%M%SZ").to_string()),
            ("x-amz-target", TARGET.to_owned()),
        ]);
        if let Some(token) = &self.aws.session_token {
            headers.insert("x-amz-security-token", token.expose_secret().to_owned());
        }
        let scope = sign::Scope { region: &self.aws.region, service: "sqs" };
        let authorization = sign::authorization(&self.aws, scope, "POST", "/", &headers, &body);
        let mut request =
            self.http.post(endpoint).header(AUTHORIZATION, authorization).header(CONTENT_TYPE, MEDIA_TYPE);
        for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
            request = request.header(*name, value);
        }
        let response = request.body(body).send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            let fault: Fault = serde_json::from_slice(&bytes).unwrap_or_default();
            // "com.amazonaws.sqs#QueueDoesNotExist"
            let code = fault.kind.rsplit('#').next().unwrap_or_default().to_owned();
            return Err(Error::Refused { status: status.as_u16(), code });
        }
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| Error::Refused { status: status.as_u16(), code: "an answer that is not JSON".to_owned() })?;
        Ok(answer.failed)
    }
}

impl Error {
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, code } => *status >= 500 || *status == 429 || code.contains("Throttl"),
        }
    }
}

/// The address holds an account number, which has no place in a log.
fn unreachable(error: reqwest::Error) -> Error {
    Error::Unreachable(error.without_url())
}

/// As the HTTP client sends it.
fn host(url: &url::Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}
