//! Microsoft Teams, through a flow of Workflows with the trigger "When a Teams webhook request is received".

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::guard::{Guard, Post};
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal, Target};
use crate::notify::render::{Message, card, fit};
use crate::outside::Clock;

/// The kind.
pub const KIND: Kind = Kind {
    name: "teams",
    about: "Microsoft Teams (Workflows, Adaptive Card)",
    example: r#"{"urlSetting": "NOTIFY_TEAMS_OPS"}"#,
    options: &[("urlSetting", "the setting that holds the address of the flow")],
    open,
};

/// Teams takes about 28 KB and loses silently what is larger.
const MOST_BYTES: usize = 24_000;

#[derive(Debug)]
struct Teams {
    target: Target,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let target = options.secret_target()?;
    let host = target.url().host_str().unwrap_or_default();
    let retired =
        host.ends_with(".webhook.office.com") || host == "outlook.office.com" || host == "outlook.office365.com";
    if retired {
        let advice = "is of an Office 365 connector, which Microsoft retired in 2026: make a flow in Workflows with the trigger \
                      \"When a Teams webhook request is received\" and take its address";
        options.fault("urlSetting", advice);
        return None;
    }
    Some(Arc::new(Teams { target, guard: options.wire.guard.clone(), clock: Arc::clone(&options.wire.clock) }))
}

fn body(parcel: &Parcel) -> Value {
    let make = |caps| {
        let content = card::card(&Message::of(parcel, caps));
        let kind = "application/vnd.microsoft.card.adaptive";
        json!({"type": "message", "attachments": [{"contentType": kind, "contentUrl": null, "content": content}]})
    };
    fit(make, |body| body.to_string().len() <= MOST_BYTES)
}

#[async_trait]
impl Channel for Teams {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.target.name()
    }

    /// Teams takes 4 a second and 60 in 30 seconds for each chat.
    fn pace(&self) -> Pace {
        Pace { concurrent: 2, per_minute: 100 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        vec![Preview::json(&body(parcel))]
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let answer = self.guard.post(Post::json(self.target.url(), &body(parcel)), self.clock.now()).await?;
        match answer.status {
            // Throttled connectors said so inside of a 200.
            200..300 if answer.body.contains("HTTP error 429") => {
                Err(Refusal::Later { why: "Teams answered 429".to_owned(), retry_after: answer.retry_after })
            }
            200..300 => Ok(Receipt { detail: answer.status.to_string() }),
            400 | 413 => Err(answer.never("Teams")),
            // The flow was deleted or turned off, or its address is no longer valid.
            401 | 403 | 404 | 410 => Err(answer.gone("the flow is gone: Teams")),
            _ => Err(answer.later("Teams")),
        }
    }
}
