//! The wired parts, made once from settings and the outside world. Every use gets it; nothing is global.

use std::sync::Arc;

use crate::azure;
use crate::consent::lighthouse::LastDiscovery;
use crate::daemon::health_metrics::Publisher;
use crate::history::Newest;
use crate::limits::Limits;
use crate::model::{Customer, Snapshot, Timestamp};
use crate::notify::channel::Wire;
use crate::notify::dead_man::DeadMan;
use crate::notify::desk::{Channels, Desk};
use crate::notify::remind::Reminded;
use crate::outside::{Clock, Outside, Random};
use crate::query::TenantCache;
use crate::query::metrics::Seen;
use crate::settings::Settings;
use crate::store::{Folder, Key, Store};

/// The product, wired.
#[derive(Debug)]
pub struct App {
    /// What was set.
    pub settings: Settings,
    /// When this process began.
    pub started_at: Timestamp,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The documents.
    pub store: Store,
    /// Azure, with our application's identity.
    pub azure: azure::Client,
    /// How often anonymous callers may ask.
    pub limits: Limits,
    /// Customer records, kept by ETag for answers over all customers.
    pub customers: TenantCache<Customer>,
    /// Snapshots, likewise.
    pub snapshots: TenantCache<Snapshot>,
    /// What this process remembers of delivering notices.
    pub desk: Desk,
    /// When this process last looked for delegations.
    pub last_discovery: LastDiscovery,
    /// Who outside is called while the timer works.
    pub dead_man: Option<DeadMan>,
    /// Up to when each timeline was filed in, kept by ETag.
    pub newest: Newest,
    /// What documents of delivery said, kept by ETag for metrics.
    pub notices_seen: Seen,
    /// What this process has published as metrics.
    pub health_metrics: Publisher,
    /// The reminders that this process put into the outbox.
    pub reminded: Reminded,
}

impl App {
    /// Wires the parts. Does no IO.
    pub fn new(settings: Settings, outside: Outside) -> Arc<Self> {
        Self::with_channels(settings, outside, |channels| Box::new(channels))
    }

    /// The same with other channels, or around them, such as a rehearsal's.
    pub fn with_channels(
        settings: Settings,
        outside: Outside,
        channels: impl FnOnce(Wire) -> Box<dyn Channels>,
    ) -> Arc<Self> {
        let Outside { clock, random, http, backend } = outside;
        let dead_man = settings.dead_man_url.clone().map(|url| DeadMan::new(http.clone(), url));
        let azure = azure::Client::new(
            settings.cloud.clone(),
            settings.identity.clone(),
            http,
            Arc::clone(&clock),
            Arc::clone(&random),
        )
        .with_requests_in_flight(settings.requests_in_flight);
        let wire = Wire::new(&settings, azure.clone(), Arc::clone(&clock), Arc::clone(&random));
        let desk = Desk::new(channels(wire));
        let limits = Limits::new(settings.rate_limits, random.as_ref());
        Arc::new(Self {
            started_at: clock.now(),
            settings,
            limits,
            clock,
            random,
            store: Store::new(backend),
            azure,
            customers: TenantCache::new(Folder::Customers, Key::Customer),
            snapshots: TenantCache::new(Folder::Health, Key::Health),
            desk,
            last_discovery: LastDiscovery::default(),
            dead_man,
            newest: Newest::default(),
            notices_seen: Seen::default(),
            health_metrics: Publisher::default(),
            reminded: Reminded::default(),
        })
    }
}
