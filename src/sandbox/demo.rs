//! The world of the demo: a partner, three customers, one who is not yet a customer, and an outage that spreads.

use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use uuid::Uuid;

use super::authorization::Role;
use super::event::Event;
use super::monitor::LogsTable;
use super::resource::Resource;
use super::world::World;
use crate::model::{SubscriptionId, TenantId, Timestamp};

/// The tracking id of the outage in a demo that started at this time: each run has an outage of its own.
pub fn demo_outage(start: Timestamp) -> String {
    const LETTERS: &[u8] = b"0123456789BCDFGHJKLMNPQRSTVWXYZ_";
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, start.timestamp().to_string().as_bytes());
    let letters: Vec<char> =
        id.as_bytes().iter().take(7).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect();
    let (left, right) = letters.split_at(4);
    format!("{}-{}", left.iter().collect::<String>(), right.iter().collect::<String>())
}

/// The names of the demo's tenants: three customers, then the one who is not yet a customer.
pub const DEMO_TENANTS: [&str; 4] = ["Contoso", "Adventure Works", "Northwind Traders", "Tailspin Toys"];

/// When each act of the outage begins, after the start of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoTimes {
    /// The outage starts at Contoso.
    pub starts: Duration,
    /// It spreads to Adventure Works.
    pub spreads: Duration,
    /// The cause is found.
    pub is_understood: Duration,
    /// It is mitigated: events are resolved, resources available again.
    pub ends: Duration,
    /// The review is published.
    pub is_reviewed: Duration,
}

impl Default for DemoTimes {
    fn default() -> Self {
        Self {
            starts: Duration::from_secs(20),
            spreads: Duration::from_secs(40),
            is_understood: Duration::from_secs(55),
            ends: Duration::from_secs(70),
            is_reviewed: Duration::from_secs(100),
        }
    }
}

impl World {
    /// The demo's world, with its script at the usual times. The owner of each tenant is `olivia.owner@`, the reader
    /// `rita.reader@`, the administrator of the directory `amir.admin@` its domain: `contoso.example`,
    /// `adventureworks.example`, `northwindtraders.example`, `tailspintoys.example`. Nobody has consented yet.
    pub fn demo(redirect_uri: impl Into<String>) -> Self {
        Self::demo_at(redirect_uri, DemoTimes::default())
    }

    /// The demo's world, with its script at other times.
    pub fn demo_at(redirect_uri: impl Into<String>, times: DemoTimes) -> Self {
        let mut world = Self::new(2026);
        let redirect_uri: String = redirect_uri.into();
        world.redirect_uri(redirect_uri.replace("/consent/callback", "/consent/admin-callback"));
        world.redirect_uri(redirect_uri);
        for name in DEMO_TENANTS {
            people_and_subscriptions(&mut world, name);
        }
        partner(&mut world);
        // What Azure said before the start needs to know when the start is.
        world.at(Duration::ZERO, |world| {
            resources(world);
            standing_events(world);
            activity(world);
        });
        plan_outage(&mut world, times);
        world
    }
}

fn people_and_subscriptions(world: &mut World, name: &str) {
    let tenant = world.tenant(name);
    let owner = world.user(tenant, "Olivia Owner");
    let reader = world.user(tenant, "Rita Reader");
    let admin = world.user(tenant, "Amir Admin");
    if let Some(admin) = world.users.get_mut(&admin) {
        admin.admin = true;
    }
    let kinds: &[&str] = if name == "Northwind Traders" {
        &["Production", "Warehouse", "Development"]
    } else {
        &["Production", "Development"]
    };
    for kind in kinds {
        let subscription = world.subscription(tenant, &format!("{name} {kind}"));
        world.assign(subscription, owner, Role::Owner);
        world.assign(subscription, reader, Role::Reader);
    }
}

/// The resource of the partner's own that metrics are published for in the demo, and its region.
pub(super) const METRICS_APP: (&str, &str) = ("health-monitor", "westeurope");

/// The mailbox of the demo's partner.
pub const DEMO_MAILBOX: &str = "health.desk@fabrikammanagedservices.example";

/// The partner himself: people with mailboxes, permissions of Graph, a subscription with logs and a resource for metrics.
fn partner(world: &mut World) {
    let home = world.application.home;
    for name in ["Health Desk", "Olga Operator", "Sven Support", "Maya Manager", "Nico Nightshift"] {
        world.user(home, name);
    }
    world.guest(home, "Rita Reader", "rita.reader_contoso.example#EXT#@fabrikammanagedservices.example");
    world.permit(home, "User.Read.All");
    world.permit(home, "Mail.Send");
    let operations = world.subscription(home, "Fabrikam Operations");
    if let Some(principal) = world.service_principal(home) {
        world.assign(operations, principal, Role::Reader);
        world.assign(operations, principal, Role::MonitoringMetricsPublisher);
    }
    world.workspace(operations, "operations");
    let (name, region) = METRICS_APP;
    world.metric_resource(operations, name, region);
}

/// What the partner's workspace has of the last hours.
fn activity(world: &mut World) {
    let now = world.now();
    let row = |minutes: i64, category: &str, level: &str, operation: &str| {
        let at = (now - TimeDelta::minutes(minutes)).to_rfc3339();
        vec![at.into(), category.into(), level.into(), operation.into()]
    };
    let rows = vec![
        row(200, "Administrative", "Information", "Microsoft.Web/sites/restart/action"),
        row(95, "ServiceHealth", "Warning", "Microsoft.ServiceHealth/incident/action"),
        row(40, "ResourceHealth", "Error", "Microsoft.Resourcehealth/healthevent/Activated/action"),
        row(12, "ResourceHealth", "Information", "Microsoft.Resourcehealth/healthevent/Resolved/action"),
    ];
    let columns = [
        ("TimeGenerated", "datetime"),
        ("CategoryValue", "string"),
        ("Level", "string"),
        ("OperationNameValue", "string"),
    ];
    let workspace = world.monitor.workspaces.first().map(|workspace| workspace.id);
    if let Some(workspace) = workspace {
        world.logs(workspace, "AzureActivity", LogsTable::new(&columns, rows));
    }
}

fn named(world: &World, name: &str) -> Option<SubscriptionId> {
    world.subscription_named(name)
}

/// The start of the day. What was before the demo keeps its times when the demo is run again on the same day, so that a second
/// run over the same documents finds nothing new in it.
fn midnight(world: &World) -> Timestamp {
    world.now().date_naive().and_time(NaiveTime::MIN).and_utc()
}

fn resources(world: &mut World) {
    let since = midnight(world) - TimeDelta::days(12);
    let all: Vec<(SubscriptionId, TenantId, String)> =
        world.subscriptions.values().map(|one| (one.id, one.tenant, one.display_name.clone())).collect();
    for (id, _, name) in all {
        let production = name.ends_with("Production");
        let count = if production { 4 } else { 1 };
        for number in 1..=count {
            world.resource(id, Resource::virtual_machine(&format!("vm-web-{number}"), "westeurope", since));
        }
        if production {
            world.resource(id, Resource::sql_database("orders", "westeurope", since));
            world.resource(id, Resource::new("Microsoft.Storage/storageAccounts", "files", "northeurope", since));
        }
    }
    // A stopped machine sends no signal: neither up nor down.
    let at = midnight(world) - TimeDelta::hours(9);
    if let Some(id) = named(world, "Contoso Development") {
        world.change_resource(id, "vm-web-1", |machine, _| {
            machine.becomes("Unknown", at, "This virtual machine is stopping or stopped.");
            machine.reason_type = "UserInitiated".to_owned();
        });
    }
}

/// What Azure had said before the demo began.
fn standing_events(world: &mut World) {
    let now = midnight(world);
    let everybody: Vec<SubscriptionId> = world.subscriptions.keys().copied().collect();
    let production: Vec<SubscriptionId> =
        world.subscriptions.values().filter(|one| one.display_name.ends_with("Production")).map(|one| one.id).collect();
    let day = |days: i64| now - TimeDelta::days(days);
    world.event(
        Event::retirement("RB7T-1QZ", "Retirement notice: Basic load balancers", day(41), now + TimeDelta::days(190))
            .level("Informational")
            .service("Load Balancer", &["West Europe", "North Europe"])
            .text(
                day(41),
                "<p>Basic load balancers will be retired. <strong>What to do:</strong> move to the standard type before \
                 the day of retirement; after it, basic ones no longer take part in failover.</p>",
            )
            .hits(everybody.iter().copied()),
    );
    world.event(
        Event::planned_maintenance(
            "NM4K-PD0",
            "Planned maintenance: network devices in West Europe",
            day(6),
            now + TimeDelta::days(2),
            now + TimeDelta::days(2) + TimeDelta::hours(4),
        )
        .service("ExpressRoute", &["West Europe"])
        .text(
            day(6),
            "<p>We will renew network devices. Expect interruptions of less than a minute on one of the two paths; \
             with both paths in use there is no loss.</p>",
        )
        .hits(production.iter().copied()),
    );
    world.event(
        Event::health_advisory("HA2X-9MW", "Certificate authorities change for storage accounts", day(19))
            .service("Storage", &["Global"])
            .text(
                day(19),
                "<p>Storage accounts will use certificates of other authorities. Applications that pin certificates \
                 must trust the new ones; others need no change.</p>",
            )
            .hits(production.iter().copied()),
    );
    if let Some(id) = named(world, "Northwind Traders Warehouse") {
        world.event(
            Event::service_issue("PK6F-7R2", "Mitigated - Delays in messages of Service Bus", day(3))
                .service("Service Bus", &["North Europe"])
                .text(
                    day(3),
                    "<p><strong>Impact:</strong> messages may arrive late for some namespaces in North Europe.</p>",
                )
                .resolved(
                    day(3) + TimeDelta::minutes(95),
                    "<p><strong>Mitigated:</strong> a part of the storage behind the service was overloaded and has been \
                     given more room. Messages that waited have been delivered.</p>",
                )
                .hits([id]),
        );
        world.event(
            Event::security_advisory("SA1Y-HG4", "Security advisory for container hosts", day(9))
                .service("Azure Kubernetes Service", &["North Europe"])
                .text(day(9), "<p>Hosts of an older image need to be replaced. Affected clusters are listed.</p>")
                .hits([id]),
        );
    }
}

fn plan_outage(world: &mut World, times: DemoTimes) {
    world.at(times.starts, move |world| {
        let now = world.now();
        let outage = demo_outage(now - times.starts);
        let hit: Vec<SubscriptionId> = named(world, "Contoso Production").into_iter().collect();
        break_machines(world, &hit, now);
        let mut event = Event::service_issue(&outage, "Active - Virtual Machines unreachable in West Europe", now)
            .level("Error")
            .service("Virtual Machines", &["West Europe"])
            .service("SQL Database", &["West Europe"])
            .text(
                now,
                "<p><strong>Impact:</strong> since a few minutes, some virtual machines and databases in West Europe \
                 cannot be reached. We are looking for the cause. The next word comes within 60 minutes.</p>",
            )
            .hits(hit);
        event.priority = 2;
        event.high_impact = true;
        world.event(event);
    });
    world.at(times.spreads, move |world| {
        let now = world.now();
        let outage = demo_outage(now - times.spreads);
        let hit: Vec<SubscriptionId> = named(world, "Adventure Works Production").into_iter().collect();
        break_machines(world, &hit, now);
        world.change_event(&outage, |event| {
            event.spread(now, hit);
            event.publish(
                now,
                "<p><strong>Update:</strong> more subscriptions in West Europe are affected than first seen. Racks in one \
                 data hall have lost power; teams are on site.</p>",
            );
        });
    });
    world.at(times.is_understood, move |world| {
        let now = world.now();
        let outage = demo_outage(now - times.is_understood);
        world.change_event(&outage, |event| {
            event.publish(
                now,
                "<p><strong>Update:</strong> power is back in the data hall. Storage is checked first, then machines are \
                 started in groups. Most will be back within the hour.</p>",
            );
        });
    });
    world.at(times.ends, move |world| {
        let now = world.now();
        let outage = demo_outage(now - times.ends);
        for name in ["Contoso Production", "Adventure Works Production"] {
            let Some(id) = named(world, name) else { continue };
            for resource in BROKEN {
                world.change_resource(id, resource, |resource, now| {
                    resource.becomes("Available", now, "");
                });
            }
        }
        world.change_event(&outage, |event| {
            event.title = "Mitigated - Virtual Machines unreachable in West Europe".to_owned();
            event.resolve(
                now,
                "<p><strong>Mitigated:</strong> a faulty breaker cut the power of one data hall. It has been replaced, and \
                 all machines and databases are running again. A review follows within three days.</p>",
            );
        });
    });
    world.at(times.is_reviewed, move |world| {
        let now = world.now();
        let outage = demo_outage(now - times.is_reviewed);
        world.change_event(&outage, |event| {
            event.title = "Post Incident Review (PIR) – Virtual Machines unreachable in West Europe".to_owned();
            event.tags = vec!["Preliminary PIR".to_owned()];
            event.publish(
                now,
                "<p><strong>What happened:</strong> a breaker opened without need, and the second feed did not take over. \
                 <strong>What we change:</strong> the feeds are now tested under load each month.</p>",
            );
        });
    });
}

/// The resources that the outage takes down.
const BROKEN: [&str; 3] = ["vm-web-1", "vm-web-2", "orders"];

fn break_machines(world: &mut World, subscriptions: &[SubscriptionId], at: Timestamp) {
    for id in subscriptions {
        for name in BROKEN {
            let state = if name == "orders" { "Degraded" } else { "Unavailable" };
            world.change_resource(*id, name, |resource, _| {
                resource.becomes(state, at, "This resource cannot be reached because of a problem of the platform.");
            });
        }
    }
}
