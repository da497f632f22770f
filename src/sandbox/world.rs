//! The world that the simulated Azure shows: tenants, users, the application, subscriptions, and the switches for odd behaviour.
//! A world is deterministic: the same seed and the same names give the same ids.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chrono::TimeZone as _;
use serde_json::Value;
use uuid::Uuid;

use super::authorization::{Delegation, RoleAssignment};
use super::event::Event;
use super::faults::Fault;
use super::monitor::Monitor;
use super::office::Office;
use super::registration::{ManagedIdentity, Registration};
use super::resource::Resource;
use super::script::Script;
use super::subscriptions::{ManagementGroup, Subscription};
use super::switches::{ArmSwitches, EntraSwitches, GraphSwitches, HealthSwitches};
use super::tenants::{Tenant, User};
use crate::model::{ClientId, ManagementGroupId, ObjectId, SubscriptionId, TenantId, Timestamp};

/// Everything that the sandbox knows. Change it before the start or with [`Sandbox::change`](super::Sandbox::change).
#[derive(Debug)]
pub struct World {
    /// Ids derive from it.
    pub seed: u64,
    /// The partner's multi-tenant application.
    pub application: Application,
    /// Tenants by id.
    pub tenants: BTreeMap<TenantId, Tenant>,
    /// Users; a guest is a user of its own in each tenant, as in Entra.
    pub users: BTreeMap<ObjectId, User>,
    /// Subscriptions by id.
    pub subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Resources by subscription.
    pub resources: BTreeMap<SubscriptionId, Vec<Resource>>,
    /// Service Health events by tracking id.
    pub events: BTreeMap<String, Event>,
    /// The activity logs of all subscriptions.
    pub activity: Vec<super::LogRow>,
    /// How they behave.
    pub log: super::LogSwitches,
    /// The issues of the cloud's status page.
    pub emerging: Vec<super::Emerging>,
    /// Its banners.
    pub banners: Vec<(String, Timestamp)>,
    /// Events of a tenant itself, which no subscription sees.
    pub tenant_events: Vec<(TenantId, Event)>,
    /// Who has a role of the directory that reads the events of his tenant.
    pub directory_readers: BTreeSet<ObjectId>,
    /// Role assignments. They really decide who may read what.
    pub role_assignments: Vec<RoleAssignment>,
    /// Management groups by id.
    pub management_groups: BTreeMap<ManagementGroupId, ManagementGroup>,
    /// What is delegated to other tenants (Azure Lighthouse).
    pub delegations: Vec<Delegation>,
    /// Registration definitions of Lighthouse by subscription and name, as they were put.
    pub(super) registrations: BTreeMap<(SubscriptionId, Uuid), Value>,
    /// How Entra behaves.
    pub entra: EntraSwitches,
    /// How Resource Manager behaves.
    pub arm: ArmSwitches,
    /// How Resource Health behaves.
    pub health: HealthSwitches,
    /// How Resource Graph behaves.
    pub graph: GraphSwitches,
    /// Users and mail, as Microsoft Graph has them.
    pub office: Office,
    /// Logs and metrics, as Azure Monitor has them.
    pub monitor: Monitor,
    /// The managed identity of the partner's app.
    pub managed_identity: ManagedIdentity,
    /// Faults on order, first match wins.
    pub faults: Vec<Fault>,
    pub(super) script: Script,
    now: Timestamp,
    counter: u64,
}

/// The application registration of the partner.
#[derive(Debug, Clone)]
pub struct Application {
    /// Application (client) id.
    pub client_id: ClientId,
    /// The name on the consent page.
    pub display_name: String,
    /// The partner's name on the consent page.
    pub publisher: String,
    /// The partner's tenant.
    pub home: TenantId,
    /// Client secrets; all that have not expired are accepted.
    pub secrets: Vec<ClientSecret>,
    /// Registered redirect URIs, compared exactly (the port of `http://localhost` is ignored).
    pub redirect_uris: Vec<String>,
    /// The rest of the registration, as Graph shows it.
    pub registration: Registration,
}

/// A client secret.
#[derive(Clone)]
pub struct ClientSecret {
    /// The value.
    pub value: String,
    /// When it ends. None: never.
    pub expires_at: Option<Timestamp>,
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl World {
    /// A world with the partner's tenant and application and nothing else. Its time is 2026-01-15T12:00:00Z until it is
    /// started; then the sandbox's clock holds it.
    pub fn new(seed: u64) -> Self {
        let now = chrono::Utc.with_ymd_and_hms(2026, 1, 15, 12, 0, 0).single().expect("the date exists");
        let application = Application {
            client_id: Uuid::nil().into(),
            display_name: "Azure Health Partner Monitor".to_owned(),
            publisher: "Fabrikam Managed Services".to_owned(),
            home: Uuid::nil().into(),
            secrets: Vec::new(),
            redirect_uris: Vec::new(),
            registration: Registration::right(Uuid::nil(), "Azure Health Partner Monitor"),
        };
        let managed_identity = ManagedIdentity {
            client_id: Uuid::nil(),
            principal_id: Uuid::nil().into(),
            header: String::new(),
            assigned: true,
            token_life: Duration::from_secs(24 * 3600),
        };
        let mut world = Self {
            seed,
            application,
            tenants: BTreeMap::new(),
            users: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            resources: BTreeMap::new(),
            events: BTreeMap::new(),
            activity: Vec::new(),
            log: super::LogSwitches::default(),
            emerging: Vec::new(),
            banners: Vec::new(),
            tenant_events: Vec::new(),
            directory_readers: BTreeSet::new(),
            role_assignments: Vec::new(),
            management_groups: BTreeMap::new(),
            delegations: Vec::new(),
            registrations: BTreeMap::new(),
            entra: EntraSwitches::default(),
            arm: ArmSwitches::default(),
            health: HealthSwitches::default(),
            graph: GraphSwitches::default(),
            office: Office::default(),
            monitor: Monitor::default(),
            managed_identity,
            faults: Vec::new(),
            script: Script::default(),
            now,
            counter: 0,
        };
        world.application.client_id = world.id("application").into();
        world.application.secrets =
            vec![ClientSecret { value: format!("sandbox~{}", world.id("secret").simple()), expires_at: None }];
        world.application.registration.object_id = world.id("registration");
        world.managed_identity.client_id = world.id("managed-identity");
        world.managed_identity.principal_id = world.id("managed-identity-principal").into();
        world.managed_identity.header = format!("sandbox-identity-{}", world.id("identity-header").simple());
        let publisher = world.application.publisher.clone();
        world.application.home = world.tenant(&publisher);
        let home = world.application.home;
        world.consent(home);
        world
    }

    /// The time in this world: of the last request, or of the step of the script that is running.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// An id that is the same for the same seed and name.
    pub fn id(&self, name: &str) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("sandbox:{}:{name}", self.seed).as_bytes())
    }

    /// An id that was not given before, for codes and request ids.
    pub(super) fn fresh_id(&mut self, kind: &str) -> Uuid {
        self.counter += 1;
        self.id(&format!("{kind}:{}", self.counter))
    }

    /// A secret of the application that is accepted: the first.
    pub fn client_secret(&self) -> &str {
        self.application.secrets.first().map_or("", |secret| &secret.value)
    }

    /// Registers a redirect URI.
    pub fn redirect_uri(&mut self, uri: impl Into<String>) {
        self.application.redirect_uris.push(uri.into());
    }

    /// Adds or replaces a Service Health event.
    pub fn event(&mut self, event: Event) {
        self.events.insert(event.tracking_id.clone(), event);
    }

    /// Changes an event. Nothing happens when there is none of this tracking id.
    pub fn change_event(&mut self, tracking_id: &str, change: impl FnOnce(&mut Event)) {
        if let Some(event) = self.events.get_mut(tracking_id) {
            change(event);
        }
    }

    /// From now on Resource Graph shows the events as they are now, until `graph.stale_events` is taken away.
    pub fn graph_lags(&mut self) {
        self.graph.stale_events = Some(self.events.clone());
    }

    /// Adds a resource to a subscription.
    pub fn resource(&mut self, subscription: SubscriptionId, resource: Resource) {
        self.resources.entry(subscription).or_default().push(resource);
    }

    /// Changes the resource of this name in a subscription. Nothing happens when there is none.
    pub fn change_resource(
        &mut self,
        subscription: SubscriptionId,
        name: &str,
        change: impl FnOnce(&mut Resource, Timestamp),
    ) {
        let now = self.now;
        let resources = self.resources.get_mut(&subscription);
        if let Some(resource) = resources.and_then(|all| all.iter_mut().find(|one| one.name == name)) {
            change(resource, now);
        }
    }

    /// Orders a fault.
    pub fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Plans a change of the world for a time after the start. It happens when the clock has passed it.
    pub fn at(&mut self, after_start: Duration, change: impl FnOnce(&mut World) + Send + 'static) {
        self.script.add(after_start, Box::new(change));
    }
}
