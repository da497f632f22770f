//! One host or the other with the real binary in it, driven the same way.

use std::collections::BTreeMap;
use std::time::Duration;

#[cfg(feature = "lambda")]
use serde_json::json;

use super::functions_host::{FunctionsHost, Prepared, TimerStatus};
#[cfg(feature = "lambda")]
use super::lambda::LambdaHost;

/// Which host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Functions,
    #[cfg(feature = "lambda")]
    Lambda,
}

/// A host with the real binary in it.
pub enum Door {
    Functions(FunctionsHost),
    #[cfg(feature = "lambda")]
    Lambda(LambdaHost),
}

impl Door {
    /// The handler behind this host, with these settings, at the address that was prepared.
    pub async fn open(kind: Kind, prepared: Prepared, settings: BTreeMap<String, String>) -> Self {
        match kind {
            // The Functions host checks its own key, which is the same one here.
            Kind::Functions => Self::Functions(prepared.start_with_key(settings, Some(super::contoso::KEY)).await),
            #[cfg(feature = "lambda")]
            Kind::Lambda => Self::Lambda(LambdaHost::start_behind(prepared.into_listener(), settings).await),
        }
    }

    /// What browsers see.
    pub fn base(&self) -> &str {
        match self {
            Self::Functions(host) => &host.base,
            #[cfg(feature = "lambda")]
            Self::Lambda(host) => &host.base,
        }
    }

    /// Fires the timer, which must go well.
    pub async fn timer(&self) {
        match self {
            Self::Functions(host) => {
                host.fire_timer("PollTimer", TimerStatus::Regular).await.unwrap();
            }
            #[cfg(feature = "lambda")]
            Self::Lambda(host) => {
                host.invoke(json!({"function": "PollTimer"})).await.unwrap();
            }
        }
    }

    /// Puts a message into a queue, as somebody outside would.
    pub fn enqueue(&self, queue: &str, text: &str) {
        match self {
            Self::Functions(host) => host.enqueue(queue, text),
            #[cfg(feature = "lambda")]
            Self::Lambda(host) => host.sqs().put(queue, text),
        }
    }

    /// The messages of a queue.
    pub fn messages(&self, queue: &str) -> Vec<String> {
        match self {
            Self::Functions(host) => host.messages(queue).into_iter().map(|message| message.text).collect(),
            #[cfg(feature = "lambda")]
            Self::Lambda(host) => host.sqs().messages(queue),
        }
    }

    /// The messages of a queue that were tried as often as they may be and set aside.
    pub fn given_up(&self, queue: &str) -> Vec<String> {
        match self {
            Self::Functions(_) => self.messages(&format!("{queue}-poison")),
            #[cfg(feature = "lambda")]
            Self::Lambda(host) => host.sqs().dead.clone(),
        }
    }

    /// Delivers each message of a queue once. Gives those that failed; they are visible again.
    pub async fn deliver(&self, queue: &str) -> Vec<String> {
        match self {
            Self::Functions(host) => {
                let deliveries = host.drain(queue).await;
                host.advance(Duration::from_secs(30));
                let failed = deliveries.into_iter().filter(|delivery| delivery.result.is_err());
                failed.map(|delivery| delivery.message.text).collect()
            }
            #[cfg(feature = "lambda")]
            Self::Lambda(host) => host.deliver(queue).await.expect("the batch is answered"),
        }
    }

    /// All that the handler wrote.
    pub fn log(&self) -> String {
        let lines = match self {
            Self::Functions(host) => host.log(),
            #[cfg(feature = "lambda")]
            Self::Lambda(host) => host.log(),
        };
        lines.into_iter().map(|line| line.text + "\n").collect()
    }
}
