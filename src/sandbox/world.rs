//! The world that the simulated Azure shows: tenants, users, the application, subscriptions, and the switches for odd behaviour.
//! A world is deterministic: the same seed and the same names give the same ids.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chrono::TimeZone as _;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::authorization::{Delegation, Role, RoleAssignment};
use super::event::Event;
use super::faults::Fault;
use super::monitor::Monitor;
use super::office::Office;
use super::registration::{ManagedIdentity, Registration};
use super::resource::Resource;
use super::script::Script;
use super::switches::{ArmSwitches, EntraSwitches, GraphSwitches, HealthSwitches};
use crate::model::{ClientId, ManagementGroupId, ObjectId, Scope, SubscriptionId, TenantId, Timestamp};

/// The tenant in which all personal Microsoft accounts live.
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

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

/// A tenant of Entra.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub display_name: String,
    /// Its domain, such as `contoso.example`.
    pub domain: String,
    /// False: only administrators may consent to applications.
    pub users_may_consent: bool,
    /// The service principal of the application, once consented.
    pub service_principal: Option<ServicePrincipal>,
    /// How often a service principal was made: each has an object id of its own.
    generation: u32,
}

/// The application's copy in a tenant.
#[derive(Debug, Clone)]
pub struct ServicePrincipal {
    /// Its object id in this tenant.
    pub object_id: ObjectId,
    /// Since when.
    pub created_at: Timestamp,
    /// Sign-in disabled by the customer.
    pub disabled: bool,
    /// An administrator consented for everybody.
    pub consented_for_all: bool,
    /// Users who consented for themselves.
    pub consented: BTreeSet<ObjectId>,
}

/// A user in one tenant.
#[derive(Debug, Clone)]
pub struct User {
    /// Object id in this tenant.
    pub object_id: ObjectId,
    /// The tenant.
    pub tenant: TenantId,
    /// Sign-in name.
    pub upn: String,
    /// Name for people.
    pub display_name: String,
    /// May consent for the whole tenant, and where users may not.
    pub admin: bool,
    /// At home in another tenant.
    pub guest: bool,
    /// Can pass a step-up to multi-factor authentication.
    pub mfa_registered: bool,
    /// Entra refuses the sign-in on its own page with this AADSTS code and text.
    pub sign_in_refused: Option<(u32, String)>,
}

/// A subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Its name.
    pub display_name: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// `Enabled`, `Warned`, `PastDue`, `Disabled`, `Deleted`.
    pub state: String,
    /// Tags; not sent when empty.
    pub tags: Map<String, Value>,
    /// The management group that it is in. None: the tenant's root, which has no row here.
    pub parent: Option<ManagementGroupId>,
}

/// A management group.
#[derive(Debug, Clone)]
pub struct ManagementGroup {
    /// Its id.
    pub id: ManagementGroupId,
    /// Its name.
    pub display_name: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The group above it.
    pub parent: Option<ManagementGroupId>,
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

    /// Adds a tenant; its domain is its name in lower case without blanks, below `.example`.
    pub fn tenant(&mut self, display_name: &str) -> TenantId {
        let id: TenantId = self.id(&format!("tenant:{display_name}")).into();
        let label: String =
            display_name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let tenant = Tenant {
            id,
            display_name: display_name.to_owned(),
            domain: format!("{label}.example"),
            users_may_consent: true,
            service_principal: None,
            generation: 0,
        };
        self.tenants.insert(id, tenant);
        id
    }

    /// The id of the tenant of this name.
    pub fn tenant_named(&self, display_name: &str) -> Option<TenantId> {
        self.tenants.values().find(|tenant| tenant.display_name == display_name).map(|tenant| tenant.id)
    }

    /// Adds a user. `name` becomes the sign-in name at the tenant's domain: "Olivia Owner" is `olivia.owner@...`.
    pub fn user(&mut self, tenant: TenantId, display_name: &str) -> ObjectId {
        let domain = self.tenants.get(&tenant).map_or("unknown.example", |tenant| &tenant.domain);
        let upn = format!("{}@{domain}", display_name.to_lowercase().replace(' ', "."));
        self.user_with_upn(tenant, display_name, &upn)
    }

    /// Adds a user with a sign-in name.
    pub fn user_with_upn(&mut self, tenant: TenantId, display_name: &str, upn: &str) -> ObjectId {
        let object_id: ObjectId = self.id(&format!("user:{tenant}:{upn}")).into();
        let user = User {
            object_id,
            tenant,
            upn: upn.to_owned(),
            display_name: display_name.to_owned(),
            admin: false,
            guest: false,
            mfa_registered: true,
            sign_in_refused: None,
        };
        self.users.insert(object_id, user);
        object_id
    }

    /// Adds a user of another tenant as a guest: the same sign-in name, an object id of its own.
    pub fn guest(&mut self, tenant: TenantId, display_name: &str, upn: &str) -> ObjectId {
        let id = self.user_with_upn(tenant, display_name, upn);
        if let Some(user) = self.users.get_mut(&id) {
            user.guest = true;
        }
        id
    }

    /// The sign-in name of a user; empty for an unknown one.
    pub fn upn(&self, user: ObjectId) -> String {
        self.users.get(&user).map(|user| user.upn.clone()).unwrap_or_default()
    }

    /// Adds a subscription, enabled.
    pub fn subscription(&mut self, tenant: TenantId, display_name: &str) -> SubscriptionId {
        let id: SubscriptionId = self.id(&format!("subscription:{tenant}:{display_name}")).into();
        let subscription = Subscription {
            id,
            display_name: display_name.to_owned(),
            tenant,
            state: "Enabled".to_owned(),
            tags: Map::new(),
            parent: None,
        };
        self.subscriptions.insert(id, subscription);
        id
    }

    /// Moves a subscription to another tenant. As in Azure, all its role assignments are deleted by it.
    pub fn transfer(&mut self, subscription: SubscriptionId, to: TenantId) {
        if let Some(moved) = self.subscriptions.get_mut(&subscription) {
            moved.tenant = to;
            moved.parent = None;
            self.role_assignments.retain(|one| one.subscription() != Some(subscription));
        }
    }

    /// The id of the subscription of this name.
    pub fn subscription_named(&self, display_name: &str) -> Option<SubscriptionId> {
        self.subscriptions.values().find(|one| one.display_name == display_name).map(|one| one.id)
    }

    /// The subscriptions of a tenant, in order of id.
    pub fn subscriptions_of(&self, tenant: TenantId) -> Vec<SubscriptionId> {
        self.subscriptions.values().filter(|one| one.tenant == tenant).map(|one| one.id).collect()
    }

    /// Gives a principal a role on a subscription, in effect at once.
    pub fn assign(&mut self, subscription: SubscriptionId, principal: ObjectId, role: Role) {
        self.assign_at(Scope::Subscription(subscription), principal, role);
    }

    /// Gives a principal a role at a scope, in effect at once.
    pub fn assign_at(&mut self, scope: Scope, principal: ObjectId, role: Role) {
        let place = match &scope {
            Scope::Subscription(id) => id.to_string(),
            Scope::ManagementGroup(id) => id.to_string(),
        };
        let name = self.id(&format!("assignment:{place}:{principal}:{}", role.id()));
        let is_user = self.users.contains_key(&principal);
        let kind = if is_user { "User" } else { "ServicePrincipal" };
        let now = self.now;
        self.role_assignments.push(RoleAssignment::new(name, scope, role.id(), principal, kind, now));
    }

    /// Takes every role on a subscription from a principal.
    pub fn unassign(&mut self, subscription: SubscriptionId, principal: ObjectId) {
        self.role_assignments.retain(|one| one.subscription() != Some(subscription) || one.principal != principal);
    }

    /// Adds a management group of a tenant, below another one or at the root, with subscriptions in it.
    ///
    /// # Panics
    /// When the id is none.
    pub fn management_group(
        &mut self,
        tenant: TenantId,
        id: &str,
        parent: Option<&ManagementGroupId>,
        subscriptions: &[SubscriptionId],
    ) -> ManagementGroupId {
        let id: ManagementGroupId = id.parse().expect("the world's own ids are right");
        for subscription in subscriptions {
            if let Some(subscription) = self.subscriptions.get_mut(subscription) {
                subscription.parent = Some(id.clone());
            }
        }
        let group = ManagementGroup { id: id.clone(), display_name: id.to_string(), tenant, parent: parent.cloned() };
        self.management_groups.insert(id.clone(), group);
        id
    }

    /// Makes the application's service principal in a tenant, as consent by an administrator would; gives its object id.
    pub fn consent(&mut self, tenant: TenantId) -> ObjectId {
        let id = self.ensure_service_principal(tenant);
        if let Some(principal) = self.tenants.get_mut(&tenant).and_then(|tenant| tenant.service_principal.as_mut()) {
            principal.consented_for_all = true;
        }
        id
    }

    /// Consent, and the role Reader on every subscription of the tenant: what onboarding ends with.
    pub fn onboarded(&mut self, tenant: TenantId) -> ObjectId {
        let principal = self.consent(tenant);
        for subscription in self.subscriptions_of(tenant) {
            self.assign(subscription, principal, Role::Reader);
        }
        principal
    }

    /// Deletes the application's service principal in a tenant. Its role assignments stay, as orphans.
    pub fn withdraw_consent(&mut self, tenant: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.service_principal = None;
        }
    }

    /// The object id of the application's service principal in a tenant.
    pub fn service_principal(&self, tenant: TenantId) -> Option<ObjectId> {
        Some(self.tenants.get(&tenant)?.service_principal.as_ref()?.object_id)
    }

    pub(super) fn ensure_service_principal(&mut self, tenant: TenantId) -> ObjectId {
        if let Some(principal) = self.service_principal(tenant) {
            return principal;
        }
        let generation = self.tenants.get(&tenant).map_or(0, |tenant| tenant.generation) + 1;
        let object_id: ObjectId = self.id(&format!("service-principal:{tenant}:{generation}")).into();
        let created_at = self.now;
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.generation = generation;
            tenant.service_principal = Some(ServicePrincipal {
                object_id,
                created_at,
                disabled: false,
                consented_for_all: false,
                consented: BTreeSet::new(),
            });
        }
        object_id
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
