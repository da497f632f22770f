//! Every channel: what it writes, what it takes for an answer, and what it never does.

mod hostile;
mod options;
mod rendering;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use health_monitor::azure;
use health_monitor::model::ChannelConfig;
use health_monitor::notify::channel::{self, Channel, Invalid, KINDS, Wire};
use health_monitor::outside::http_client;
use health_monitor::sandbox::{Receivers, World};
use health_monitor::settings::{Door, Settings};

use crate::support::{SeededRandom, TestApp, TestClock};

/// Secrets under the names of the examples.
const SECRETS: &[(&str, &str)] = &[
    ("NOTIFY_HOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    (
        "NOTIFY_TEAMS_OPS",
        "https://prod-12.westeurope.logic.azure.com/workflows/a/triggers/manual/paths/invoke?sig=the-signature",
    ),
    ("NOTIFY_RETIRED", "https://contoso.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d"),
    ("NOTIFY_SLACK_OPS", "https://hooks.slack.com/services/T000/B000/the-webhook-token"),
    ("NOTIFY_PAGERDUTY_KEY", "R0123456789ABCDEF0123456789ABCDE"),
    ("NOTIFY_SMTP_PASSWORD", "the-smtp-password"),
    ("NOTIFY_GRID_KEY", "VGhlIGtleSBvZiB0aGUgdG9waWMsIGJhc2U2NA=="),
];

/// A mailbox that our application may send from.
const MAILBOX: &str = "health@fabrikam.example";

/// What channels are made with in production, on a door, without anybody to talk to.
fn wire_on(door: Door, overrides: &[(&str, &str)]) -> Wire {
    let values = |name: &str| {
        let own = overrides.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        own.or_else(|| match name {
            "AZURE_TENANT_ID" | "AZURE_CLIENT_ID" => Some("00000000-0000-4000-8000-00000000aaaa".to_owned()),
            "AZURE_CLIENT_SECRET" => Some("the-client-secret".to_owned()),
            "SESSION_KEYS" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
            "PUBLIC_BASE_URL" => Some("https://health.fabrikam.com".to_owned()),
            "STATE_STORE_URL" => Some("memory:".to_owned()),
            "PARTNER_NAME" => Some("Fabrikam Managed Services".to_owned()),
            _ => None,
        })
    };
    let settings = Settings::from_lookup(door, values).expect("right settings");
    let secrets = overrides.iter().chain(SECRETS).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let settings = settings.with_secrets(secrets);
    let (clock, random) = (TestClock::new(), SeededRandom::new(1));
    let azure = azure::Client::new(
        settings.cloud.clone(),
        settings.identity.clone(),
        http_client().unwrap(),
        clock.clone(),
        random.clone(),
    );
    Wire::new(&settings, azure, clock, random)
}

pub fn wire() -> Wire {
    wire_on(Door::Standalone, &[])
}

fn config(kind: &str, options: &str) -> ChannelConfig {
    let options = serde_json::from_str(options).expect("options are an object");
    ChannelConfig { kind: kind.to_owned(), disabled: None, options }
}

/// The channel of a kind, as its example says.
fn example(kind: &str, wire: &Wire) -> Arc<dyn Channel> {
    let found = KINDS.iter().find(|one| one.name == kind).expect("a kind");
    channel::open("ops", &config(kind, found.example), wire).expect("the example is right")
}

fn opened(kind: &str, options: &str, wire: &Wire) -> Result<Arc<dyn Channel>, Vec<Invalid>> {
    channel::open("ops", &config(kind, options), wire)
}

/// The receivers, an app with its identity at the sandbox, and channels that may talk to this machine.
struct Scene {
    receivers: Receivers,
    app: TestApp,
    wire: Wire,
}

impl Scene {
    async fn start() -> Self {
        let clock = TestClock::new();
        let receivers = Receivers::start(clock.clone()).await.expect("a free port");
        let (teams, slack) = (receivers.url("/teams"), receivers.url("/slack"));
        let overrides = [
            ("PRIVATE_DESTINATIONS", "loopback"),
            ("NOTIFY_TEAMS_OPS", &teams),
            ("NOTIFY_SLACK_OPS", &slack),
            ("NOTIFY_PAGERDUTY_KEY", receivers.routing_key()),
            ("NOTIFY_GRID_KEY", receivers.topic_key()),
            ("NOTIFY_HOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
            ("NOTIFY_HOOK_NEXT", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ("NOTIFY_SMTP_PASSWORD", "the-smtp-password"),
        ];
        let mut world = World::new(7);
        let home = world.application.home;
        world.user_with_upn(home, "Health", MAILBOX);
        world.permit(home, "Mail.Send");
        let app = TestApp::start_on(world, &overrides, clock, Arc::default()).await;
        let parts = &app.app;
        let mut wire = Wire::new(&parts.settings, parts.azure.clone(), parts.clock.clone(), parts.random.clone());
        wire.guard = wire.guard.with_patience(Duration::from_secs(5));
        Self { receivers, app, wire }
    }

    /// The channel of a kind that talks to the receivers.
    fn channel(&self, kind: &str) -> Arc<dyn Channel> {
        let at = |path: &str| self.receivers.url(path);
        let options = match kind {
            "webhook" => format!(
                r#"{{"url": "{}", "secretSetting": "NOTIFY_HOOK_SECRET", "headers": {{"x-team": "ops"}}}}"#,
                at("/hook")
            ),
            "teams" => r#"{"urlSetting": "NOTIFY_TEAMS_OPS"}"#.to_owned(),
            "slack" => r#"{"urlSetting": "NOTIFY_SLACK_OPS"}"#.to_owned(),
            "pagerduty" => {
                format!(r#"{{"routingKeySetting": "NOTIFY_PAGERDUTY_KEY", "url": "{}"}}"#, at("/pagerduty/v2/enqueue"))
            }
            "eventGrid" => format!(r#"{{"endpoint": "{}", "keySetting": "NOTIFY_GRID_KEY"}}"#, at("/api/events")),
            "logAnalytics" => {
                format!(r#"{{"endpoint": "{}", "ruleId": "dcr-00a0", "stream": "Custom-HealthNotices"}}"#, at(""))
            }
            _ => unreachable!("{kind} has no receiver here"),
        };
        opened(kind, &options, &self.wire).expect("right options")
    }
}
