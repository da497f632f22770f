//! Builders that name the case.

use health_monitor::model::{AccessMode, Customer, Snapshot, SubscriptionId, TenantId, Timeline, Transition};
use health_monitor::poll;
use health_monitor::rehearsal::stage;
use health_monitor::sandbox::{Event, Resource, World};
use health_monitor::store::{Key, Month};

use super::TestApp;

/// A world with one tenant, its subscriptions named `one`, `two`, ... and our application onboarded on all of them.
pub fn onboarded(world: &mut World, name: &str, subscriptions: usize) -> TenantId {
    let tenant = world.tenant(name);
    for number in 0..subscriptions {
        world.subscription(tenant, &format!("{name} {number}"));
    }
    world.onboarded(tenant);
    tenant
}

/// One customer with so many subscriptions, a virtual machine `vm1` in the first, polled once.
pub async fn polled(count: usize) -> (TestApp, TenantId, Vec<SubscriptionId>) {
    let mut subscriptions = Vec::new();
    let (app, tenant) = contoso(count, |world, all| {
        let now = world.now();
        world.resource(all[0], Resource::virtual_machine("vm1", "westeurope", now));
        subscriptions = all.to_vec();
    })
    .await;
    app.poll(tenant).await;
    (app, tenant, subscriptions)
}

/// One customer with so many subscriptions, watched.
pub async fn contoso(count: usize, build: impl FnOnce(&mut World, &[SubscriptionId])) -> (TestApp, TenantId) {
    let mut world = World::new(1);
    let tenant = onboarded(&mut world, "Contoso", count);
    let subscriptions = world.subscriptions_of(tenant);
    build(&mut world, &subscriptions);
    let app = TestApp::start(world).await;
    app.watch_all().await;
    (app, tenant)
}

/// An outage of virtual machines that begins now.
pub fn outage(world: &World, hits: impl IntoIterator<Item = SubscriptionId>) -> Event {
    Event::service_issue("OUT1-AGE", "Virtual Machines in West Europe", world.now())
        .level("Error")
        .service("Virtual Machines", &["West Europe"])
        .text(world.now(), "<p>We are investigating.</p>")
        .hits(hits)
}

/// The record that onboarding would have left.
pub fn customer(world: &World, tenant: TenantId) -> Customer {
    let name = |id| (id, world.subscriptions[&id].display_name.clone());
    let access_mode = AccessMode::AppInCustomerTenant {
        service_principal_id: world.service_principal(tenant).expect("the tenant has consented"),
    };
    let subscriptions = world.subscriptions_of(tenant).into_iter().map(name);
    let display_name = world.tenants[&tenant].display_name.clone();
    stage::customer(tenant, &display_name, subscriptions, access_mode, world.now())
}

impl TestApp {
    /// Watches every tenant of the world where our application has a service principal, but for our own.
    pub async fn watch_all(&self) {
        let customers: Vec<Customer> = self.sandbox.change(|world| {
            let home = world.application.home;
            let tenants =
                world.tenants.values().filter(|tenant| tenant.service_principal.is_some() && tenant.id != home);
            tenants.map(|tenant| customer(world, tenant.id)).collect()
        });
        for customer in customers {
            self.app.store.create(&Key::Customer(customer.tenant_id), &customer).await.expect("a new customer");
        }
    }

    /// Polls a customer, which must work.
    pub async fn poll(&self, tenant: TenantId) -> poll::PollReport {
        poll::poll_tenant(&self.app, tenant).await.expect("the poll ends well")
    }

    /// The snapshot of a polled customer.
    pub async fn snapshot(&self, tenant: TenantId) -> Snapshot {
        self.app.store.read(&Key::Health(tenant)).await.expect("readable").expect("polled before").value
    }

    /// What the timeline has of this month, in order of time.
    pub async fn timeline(&self, tenant: TenantId) -> Vec<Transition> {
        let key = Key::Timeline(tenant, Month::of(self.clock.time()));
        let timeline = self.app.store.read::<Timeline>(&key).await.expect("readable");
        let mut all: Vec<_> =
            timeline.map(|timeline| timeline.value.transitions.into_values().collect()).unwrap_or_default();
        all.sort_by_key(|transition| (transition.at, transition.id));
        all
    }

    /// The kinds of the timeline's transitions that are news, as `kind subject`.
    pub async fn news(&self, tenant: TenantId) -> Vec<String> {
        self.timeline(tenant).await.iter().filter(|transition| !transition.backfill).map(kind).collect()
    }
}

/// `kind subject` of a transition.
pub fn kind(transition: &Transition) -> String {
    let value = serde_json::to_value(&transition.kind).expect("a transition serialises");
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let subject = [text("trackingId"), text("resourceId"), text("reason")].concat();
    let subject = subject.rsplit('/').next().unwrap_or_default().to_owned();
    format!("{} {subject}", text("kind")).trim().to_owned()
}
