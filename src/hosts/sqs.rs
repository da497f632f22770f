//! Puts messages into an SQS queue: what the Functions host does for its queue outputs, nobody does on Lambda.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::aws::Error;
use super::aws::{self, Operation, WAITS};
use crate::outside::Clock;
use crate::settings::{Aws, AwsAccount};

/// Messages in one call, SQS's limit. Ours are some hundred bytes each, far below its limit of bytes.
const BATCH: usize = 10;
const SEND: Operation = Operation {
    service: "sqs",
    target: "AmazonSQS.SendMessageBatch",
    media_type: "application/x-amz-json-1.0",
    name: "SQS",
};

/// A queue that can be written to.
#[derive(Debug, Clone)]
pub struct Queue {
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    account: AwsAccount,
    address: url::Url,
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

impl Queue {
    /// The queues of customers to poll and of notices to tell.
    pub fn all(http: &reqwest::Client, clock: &Arc<dyn Clock>, aws: &Aws) -> Vec<Self> {
        let queue = |address: &url::Url| Self {
            http: http.clone(),
            clock: Arc::clone(clock),
            account: aws.account.clone(),
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
    /// [`Error`], when some were not sent after several tries. What was sent before stays sent.
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
                    let error = Error::Refused { service: SEND.name, status: 200, code: first.code };
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
        let answer = aws::call(&self.http, self.clock.as_ref(), &self.account, SEND, &self.address, body).await?;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|_| aws::not_understood(SEND))?;
        Ok(answer.failed)
    }
}
