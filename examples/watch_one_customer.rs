//! The library on its own: one customer in the simulated Azure, an outage, what changed, and the message that tells of it.
//!
//! `cargo run --example watch_one_customer` needs no account and no network.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use health_monitor::app::App;
use health_monitor::consent::invite;
use health_monitor::model::{Notice, Routes, Timeline, Timestamp};
use health_monitor::notify::channel::Parcel;
use health_monitor::notify::render::{Message, fit, text};
use health_monitor::outside::{Clock, Outside, SystemClock, SystemRandom, http_client};
use health_monitor::poll::poll_tenant;
use health_monitor::sandbox::visitor::{Choice, Visitor};
use health_monitor::sandbox::{Event, Role, Sandbox, World};
use health_monitor::settings::{Door, Settings};
use health_monitor::store::{Folder, Key, Memory, Month};
use serde_json::json;

/// The clock of this machine, some seconds ahead: a poll that comes too early finds nothing to do, and nobody wants to wait
/// here.
#[derive(Debug, Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    print!("{}", watch().await?);
    Ok(())
}

/// The whole way; gives what is to be said of it.
pub async fn watch() -> anyhow::Result<String> {
    let mut said = String::new();

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.context("a free port")?;
    let base = format!("http://{}", listener.local_addr()?);

    // A simulated Azure with one tenant, its owner and two subscriptions.
    let mut world = World::new(1);
    let tenant = world.tenant("Contoso");
    let owner = world.user(tenant, "Olivia Owner");
    let sign_in_name = world.upn(owner);
    let subscriptions = ["Production", "Development"].map(|name| world.subscription(tenant, name));
    subscriptions.into_iter().for_each(|subscription| world.assign(subscription, owner, Role::Owner));
    world.redirect_uri(format!("{base}/api/consent/callback"));
    let clock = Arc::new(Ahead::default());
    let sandbox = Sandbox::start(world, clock.clone()).await.context("the sandbox")?;

    // The product, wired as a host wires it. Its documents are in memory.
    let mut values: BTreeMap<&str, String> = sandbox.settings();
    values.extend([
        ("PUBLIC_BASE_URL", base),
        ("STATE_STORE_URL", "memory:".to_owned()),
        ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
    ]);
    let settings = Settings::from_lookup(Door::Standalone, |name| values.get(name).cloned())?;
    let outside = Outside {
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
        http: http_client()?,
        backend: Arc::new(Memory::default()),
    };
    let app = App::new(settings, outside);
    let routes: Routes = serde_json::from_value(json!({
        "channels": { "desk": { "kind": "file", "path": "/dev/null" } },
        "routes": [{ "id": "outages", "audience": "customer", "channels": ["desk"] }],
    }))?;
    app.store.create(&Key::Routes, &routes).await?;

    // The customer comes in through the pages, as a browser does.
    let pages = tokio::spawn(health_monitor::hosts::functions::serve(Arc::clone(&app), listener));
    let (_, link) = invite::create(&app, "Contoso", Some(tenant), app.clock.now() + TimeDelta::days(1)).await?;
    let page = Visitor::new()?.onboard(&link, &sign_in_name, Choice::All).await?;
    writeln!(said, "{}: {}", page.status, page.text().split(" · ").next().unwrap_or_default())?;

    // The first poll finds history; then something happens, and the second finds it.
    poll_tenant(&app, tenant).await?;
    clock.0.fetch_add(60, Ordering::Relaxed);
    sandbox.change(|world| {
        let now = world.now();
        let outage = Event::service_issue("OUT1-AGE", "Virtual Machines in West Europe", now)
            .level("Error")
            .service("Virtual Machines", &["West Europe"])
            .text(now, "<p>We are investigating.</p>");
        world.event(outage.hits(subscriptions));
    });
    let report = poll_tenant(&app, tenant).await?;
    writeln!(said, "{} subscriptions read, {} gaps", report.read, report.gaps)?;
    let timeline = app.store.read::<Timeline>(&Key::Timeline(tenant, Month::of(app.clock.now()))).await?;
    for transition in timeline.into_iter().flat_map(|timeline| timeline.value.transitions.into_values()) {
        writeln!(
            said,
            "{} {}: {}",
            transition.at.format("%H:%M:%S"),
            transition.kind.word(),
            transition.kind.headline()
        )?;
    }

    // What waits in the outbox, as a message of plain text.
    for line in app.store.list(Folder::Outbox).await? {
        let id = line.path.trim_start_matches("outbox/").trim_end_matches(".json").parse()?;
        let Some(notice) = app.store.read::<Notice>(&Key::Outbox(id)).await? else { continue };
        let parcel =
            Parcel { id, notices: vec![notice.value], texts: BTreeMap::new(), sent_at: app.clock.now(), attempt: 1 };
        let message = fit(|caps| Message::of(&parcel, caps), |_| true);
        writeln!(said, "\n{}\n\n{}", message.subject, text::text(&message))?;
    }
    pages.abort();
    sandbox.stop().await;
    Ok(said)
}
