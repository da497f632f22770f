//! PagerDuty, Events API v2: what begins triggers, what ends resolves, what somebody looks after is acknowledged.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::guard::{Guard, Post};
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal, Target};
use crate::model::{Notice, NoticeScope, Phase, Subject, sha256_hex};
use crate::notify::render::event::Envelope;
use crate::notify::render::{Caps, Message, Tone, fit, line};
use crate::outside::Clock;

/// The kind.
pub const KIND: Kind = Kind {
    name: "pagerduty",
    about: "PagerDuty (Events API v2)",
    example: r#"{"routingKeySetting": "NOTIFY_PAGERDUTY_KEY", "region": "eu"}"#,
    options: &[
        ("routingKeySetting", "the setting that holds the integration key of the service"),
        ("region", "`us` (default) or `eu`"),
        ("remarks", "true: what is only to know opens an alert too, which nothing resolves"),
        ("url", "another address that speaks the same"),
    ],
    open,
};

/// PagerDuty takes 512 KB; nobody on call reads the half of it.
const MOST_BYTES: usize = 256_000;
const MAX_SUMMARY: usize = 1_024;
const MAX_KEY: usize = 255;

#[derive(Debug)]
struct PagerDuty {
    target: Target,
    routing_key: SecretString,
    remarks: bool,
    source: String,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let key = options.needed_secret("routingKeySetting", "NOTIFY_PAGERDUTY_KEY");
    if let Some(key) = &key {
        let key = key.expose_secret();
        if key.len() != 32 || !key.bytes().all(|c| c.is_ascii_alphanumeric()) {
            options.fault("routingKeySetting", "names a setting that holds no integration key: 32 letters and digits");
        }
    }
    let remarks = options.flag("remarks");
    let region = options.word("region", &["us", "eu"]);
    // Another address: a proxy of one's own, or something that speaks the same.
    let target = match options.text("url") {
        Some(url) => options.target_of("url", &url),
        None if region == "eu" => options.target_of("region", "https://events.eu.pagerduty.com/v2/enqueue"),
        None => options.target_of("region", "https://events.pagerduty.com/v2/enqueue"),
    };
    Some(Arc::new(PagerDuty {
        target: target?,
        routing_key: key?,
        remarks,
        source: options.wire.source.clone(),
        guard: options.wire.guard.clone(),
        clock: Arc::clone(&options.wire.clock),
    }))
}

/// What tells alerts apart: the same for all that is told of one incident, whatever route it came by.
fn dedup_key(notice: &Notice) -> String {
    let whom = match notice.scope {
        NoticeScope::Customer { tenant_id } => tenant_id.to_string(),
        NoticeScope::Partner => "partner".to_owned(),
    };
    let what = match &notice.subject {
        Subject::Event { tracking_id } => tracking_id.key(),
        Subject::Resource { resource_id } => resource_id.to_string(),
        Subject::Subscription { subscription_id, aspect } => format!("{subscription_id}:{aspect}"),
        // The partner hears of every customer.
        Subject::Customer => match &notice.story.customer {
            Some(customer) => format!("customer:{}", customer.tenant_id),
            None => "customer".to_owned(),
        },
        Subject::Monitor { aspect } => format!("monitor:{aspect}"),
        Subject::Test => format!("test:{}", notice.id),
    };
    let key = format!("azure-health:{whom}:{what}");
    if key.len() > MAX_KEY { format!("azure-health:{}", sha256_hex(key.as_bytes())) } else { key }
}

impl PagerDuty {
    /// The requests of a notice: none for a remark, which would stay open for ever; two for a test, which ends what it began.
    fn actions(&self, notice: &Notice) -> &'static [&'static str] {
        match (&notice.subject, notice.story.phase) {
            (Subject::Test, _) => &["trigger", "resolve"],
            _ if notice.story.word == "acknowledged" => &["acknowledge"],
            (_, Phase::Began | Phase::Changed) => &["trigger"],
            (_, Phase::Ended | Phase::Retracted) => &["resolve"],
            (_, Phase::Remark) if self.remarks => &["trigger"],
            (_, Phase::Remark) => &[],
        }
    }

    fn body(&self, parcel: &Parcel, notice: &Notice, action: &str, routing_key: &str) -> Value {
        let mut body = json!({"routing_key": routing_key, "event_action": action, "dedup_key": dedup_key(notice), "client": "Azure health"});
        if action != "trigger" {
            return body;
        }
        let alone = Parcel { notices: vec![notice.clone()], ..parcel.clone() };
        let message = Message::of(&alone, Caps { text: 0, list: 10, notices: 1, line: 300 });
        let severity = match Tone::of(notice) {
            Tone::Critical => "critical",
            Tone::Warning => "warning",
            Tone::Note | Tone::Good => "info",
        };
        let envelope = Envelope { source: self.source.clone(), type_prefix: Envelope::TYPE_PREFIX.to_owned() };
        let details = fit(
            |caps| envelope.event(&alone, caps)["data"].take(),
            |details: &Value| details.to_string().len() <= MOST_BYTES,
        );
        let event = notice.story.event.as_ref();
        let mut payload = json!({
            "summary": line(&message.subject, MAX_SUMMARY),
            "source": notice.story.customer.as_ref().map_or(self.source.clone(), |customer| line(&customer.display_name, 200)),
            "severity": severity,
            "timestamp": notice.story.at,
            "custom_details": details,
        });
        if let Some(event) = event {
            payload["class"] = event.event_type.as_str().into();
            if let Some(service) = event.impact.first() {
                payload["component"] = line(&service.service, 200).into();
            }
        }
        body["payload"] = payload;
        if let Some(link) = message.sections.first().and_then(|section| section.link.clone()) {
            body["links"] = json!([{"href": link, "text": "Open in Azure"}]);
        }
        body
    }
}

#[async_trait]
impl Channel for PagerDuty {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        let key = &sha256_hex(self.routing_key.expose_secret().as_bytes())[..8];
        format!("{} #{key}", self.target.url().host_str().unwrap_or_default())
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 4, per_minute: 120 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        let of = |notice: &Notice| {
            let actions = self.actions(notice).iter();
            actions
                .map(|action| Preview::json(&self.body(parcel, notice, action, "[the routing key]")))
                .collect::<Vec<_>>()
        };
        parcel.notices.iter().flat_map(of).collect()
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let mut sent = 0;
        // Each notice is an alert of its own, bundled or not. Tried again, those before a failure are the same alerts.
        for notice in &parcel.notices {
            for action in self.actions(notice) {
                let body = self.body(parcel, notice, action, self.routing_key.expose_secret());
                let post = Post::json(self.target.url(), &body);
                let answer = self.guard.post(post, self.clock.now()).await?;
                match answer.status {
                    200..300 => sent += 1,
                    400 | 413 => return Err(answer.never("PagerDuty")),
                    401 | 403 | 404 | 410 => return Err(answer.gone("the routing key is not known: PagerDuty")),
                    _ => return Err(answer.later("PagerDuty")),
                }
            }
        }
        let detail = if sent == 0 { "nothing to alert: a remark".to_owned() } else { format!("202, {sent} sent") };
        Ok(Receipt { detail })
    }
}
