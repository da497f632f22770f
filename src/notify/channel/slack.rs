//! Slack, through an incoming webhook.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::guard::{Guard, Post};
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal, Target};
use crate::notify::render::{Message, blocks, fit};
use crate::outside::Clock;

/// The kind.
pub const KIND: Kind = Kind {
    name: "slack",
    about: "Slack (incoming webhook, blocks)",
    example: r#"{"urlSetting": "NOTIFY_SLACK_OPS"}"#,
    options: &[(
        "urlSetting",
        "the setting that holds the address of the webhook; what takes the same blocks works too",
    )],
    open,
};

#[derive(Debug)]
struct Slack {
    target: Target,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let target = options.secret_target()?;
    Some(Arc::new(Slack { target, guard: options.wire.guard.clone(), clock: Arc::clone(&options.wire.clock) }))
}

fn body(parcel: &Parcel) -> Value {
    fit(|caps| blocks::body(&Message::of(parcel, caps)), blocks::fits)
}

#[async_trait]
impl Channel for Slack {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.target.name()
    }

    /// About one a second for each webhook.
    fn pace(&self) -> Pace {
        Pace { concurrent: 1, per_minute: 50 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        vec![Preview::json(&body(parcel))]
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let answer = self.guard.post(Post::json(self.target.url(), &body(parcel)), self.clock.now()).await?;
        match answer.status {
            200 if answer.body.trim() == "ok" => Ok(Receipt { detail: "200 ok".to_owned() }),
            400 | 413 => Err(answer.never("Slack")),
            // The webhook, its chat or its workspace is gone, or may not be written to.
            403 | 404 | 410 => Err(answer.gone("the webhook is gone: Slack")),
            // A 200 without the word is somebody else's page.
            _ => Err(answer.later("Slack")),
        }
    }
}
