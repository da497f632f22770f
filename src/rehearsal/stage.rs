//! What every rehearsal is played on: settings, documents, customers, routes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::receiver::{Leading, Receiver};
use crate::app::App;
use crate::model::{
    AccessMode, Customer, Notice, NoticeId, NoticeScope, Routes, Subscription, SubscriptionAccess, SubscriptionId,
    TenantId, Timestamp,
};
use crate::outside::{Clock, Outside, Random, http_client};
use crate::settings::{Door, Settings};
use crate::store::{Backend, Key};

/// The same bytes in every run.
#[derive(Debug)]
struct Dice(AtomicU64);

impl Dice {
    fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Random for Dice {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let mut word = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The product over these documents, with its channels leading to the receiver.
pub fn app(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    backend: Arc<dyn Backend>,
    receiver: &Arc<Receiver>,
    seed: u64,
) -> Arc<App> {
    let http = http_client().expect("the TLS backend starts");
    let outside = Outside { clock, random: Dice::new(seed), http, backend };
    let leading = Leading(Arc::clone(receiver));
    App::with_channels(settings.clone(), outside, |_| Box::new(leading))
}

/// A customer as onboarding would have left it.
pub fn customer(
    tenant_id: TenantId,
    name: &str,
    subscriptions: impl IntoIterator<Item = (SubscriptionId, String)>,
    mode: AccessMode,
    now: Timestamp,
) -> Customer {
    let subscription = |(id, display_name): (SubscriptionId, String)| {
        let role = format!("/subscriptions/{id}/providers/Microsoft.Authorization/roleAssignments/x");
        let granted = Subscription::granted(&display_name, SubscriptionAccess::Propagating, &role, now);
        (id, Subscription { granted_at: None, ..granted })
    };
    let subscriptions = subscriptions.into_iter().map(subscription).collect();
    Customer { subscriptions, ..Customer::new(tenant_id, name.to_owned(), mode, now) }
}

/// Routes that tell every customer's news through each of these channels, and the partner's through `partner`.
pub fn routes(channels: &[String], group_seconds: u32) -> Routes {
    let named = |name: &str| (name.to_owned(), json!({ "kind": "rehearsal" }));
    let all: serde_json::Map<_, _> = channels.iter().map(|name| named(name)).chain([named("partner")]).collect();
    let routes = json!({
        "channels": all,
        "routes": [
            { "id": "customers", "audience": "customer", "channels": channels },
            { "id": "partner", "audience": "partner", "channels": ["partner"], "timing": { "groupSeconds": group_seconds } },
        ],
    });
    serde_json::from_value(routes).expect("these routes are routes")
}

/// One customer, and the routes to these channels.
pub async fn watch(app: &App, channels: &[String], now: Timestamp) -> TenantId {
    let tenant = TenantId::from(uuid::Uuid::from_u128(0x1111));
    let mode = AccessMode::Lighthouse { partner_tenant_id: tenant };
    let record = customer(tenant, "Contoso", [], mode, now);
    app.store.create(&Key::Customer(tenant), &record).await.expect("an empty store");
    app.store.create(&Key::Routes, &routes(channels, 60)).await.expect("an empty store");
    tenant
}

/// A notice of an incident of its own for each number.
pub fn notice(tenant_id: TenantId, number: usize, channel: &str, now: Timestamp) -> Notice {
    let scope = NoticeScope::Customer { tenant_id };
    let notice = json!({
        "id": NoticeId::of(scope, "customers", channel, &number.to_string()),
        "scope": scope,
        "route": "customers",
        "channel": channel,
        "subject": { "kind": "event", "trackingId": format!("N{number:05}-AGE") },
        "episode": 1,
        "story": { "word": "eventOpened", "phase": "began", "title": "Virtual Machines", "severity": "high", "at": now },
        "createdAt": now,
        "notBefore": now,
    });
    serde_json::from_value(notice).expect("this notice is a notice")
}

/// When rehearsals begin.
pub fn start() -> Timestamp {
    "2026-01-15T12:00:00Z".parse().expect("a time")
}

/// Settings of a product that never speaks to Azure.
pub fn settings() -> Settings {
    let values = [
        ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
        ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
        ("AZURE_CLIENT_SECRET", "of-a-rehearsal"),
        ("PUBLIC_BASE_URL", "http://localhost:7071"),
        ("STATE_STORE_URL", "memory:"),
        ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ];
    let value = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::from_lookup(Door::Standalone, value).expect("these settings are right")
}
