//! Delivery, measured in virtual time: a flood through foul weather, one dead destination among many, a restart, and one
//! outage that hits everybody.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::clock::{Leaping, Virtual};
use super::faults::settings;
use super::receiver::{Received, Receiver, Weather};
use super::stage;
use crate::app::App;
use crate::model::{AccessMode, NoticeId, SubscriptionId, TenantId, Timestamp};
use crate::notify::{self, NoticeMessage, outbox};
use crate::outside::{Clock, SystemClock};
use crate::poll;
use crate::query::{self, EventFilter, page::PageAsk};
use crate::sandbox::{Event, Sandbox, World};
use crate::settings::Settings;
use crate::store::{Folder, Key, Memory};

/// Messages worked on at once: one instance with the numbers of host.json.
const WORKERS: usize = 12;

/// How long an answer of a destination in good weather takes.
const ANSWERS_IN: Duration = Duration::from_millis(200);

/// What became of many notices.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Notices put into the outbox.
    pub put: usize,
    /// Of these, how many arrived nowhere.
    pub lost: usize,
    /// Arrivals of a notice that had arrived before.
    pub again: usize,
    /// Messages that arrived without the sender hearing of it: each may double its notices once.
    pub unheard: usize,
    /// Arrivals under an id that was never given.
    pub strange: usize,
    /// Requests that reached a destination, whatever it said.
    pub requests: u64,
    /// From the outbox to the destination, in seconds, half of the notices.
    pub p50: f64,
    /// The same, 99 of 100.
    pub p99: f64,
    /// The same, all.
    pub longest: f64,
    /// Notices among the dead, or still in the outbox, at the end.
    pub left: usize,
}

impl Figures {
    /// True when nothing was lost or made up, and nothing doubled beyond what nobody could hear.
    pub fn hold(&self) -> bool {
        self.lost == 0 && self.strange == 0 && self.left == 0 && self.again <= self.unheard
    }
}

/// What is sent through what.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Notices, put into the outbox evenly over an hour.
    pub notices: usize,
    /// Channels that they go to in turn.
    pub channels: usize,
    /// How they behave.
    pub weather: Weather,
    /// How long all of them are down, from the tenth minute on.
    pub down_for: TimeDelta,
    /// The first channel answers never.
    pub one_dead: bool,
}

impl Plan {
    /// Good weather.
    pub fn fair(notices: usize, channels: usize) -> Self {
        let weather = Weather { takes: ANSWERS_IN, ..Weather::default() };
        Self { notices, channels, weather, down_for: TimeDelta::zero(), one_dead: false }
    }

    /// One answer in five is a 503, one in twenty none in time, one in fifty a broken connection, and all are down for a day.
    pub fn foul(notices: usize, channels: usize) -> Self {
        let fair = Self::fair(notices, channels);
        let weather = Weather { server_errors: 0.20, timeouts: 0.05, resets: 0.02, ..fair.weather };
        Self { weather, down_for: TimeDelta::hours(24), ..fair }
    }
}

fn name(channel: usize) -> String {
    format!("channel-{channel:03}")
}

/// Sends it all. The figures of a dead channel are left out: of it only that nothing was lost is asked, by the outbox.
///
/// # Panics
/// When the documents, which are in memory, fail.
pub async fn flood(plan: &Plan) -> Figures {
    let start = stage::start();
    let clock = Virtual::new(start);
    let receiver = Receiver::new(clock.clone(), 7);
    let names: Vec<_> = (0..plan.channels).map(name).collect();
    for name in &names {
        let from = start + TimeDelta::minutes(10);
        let down = (!plan.down_for.is_zero()).then_some((from, from + plan.down_for));
        receiver.weather(name, Weather { down, ..plan.weather });
    }
    if plan.one_dead {
        receiver.weather(&names[0], Weather { hangs: true, ..Weather::default() });
    }
    let app = stage::app(&stage::settings(), clock.clone(), Arc::new(Memory::default()), &receiver, 3);
    let tenant = stage::watch(&app, &names, start).await;
    let mut put: Vec<(NoticeId, usize)> = Vec::new();
    // Days beyond the hour, for retries; it ends when the outbox is empty, or only the dead channel's is left.
    let end = start + plan.down_for + TimeDelta::hours(6);
    clock.run(host(&app, plan, tenant, start, end, &mut put)).await;

    let counted = |channel: usize| !(plan.one_dead && channel == 0);
    let wanted: BTreeMap<NoticeId, usize> = put.iter().filter(|(_, channel)| counted(*channel)).copied().collect();
    let left = app.store.list(Folder::Outbox).await.expect("memory answers").len();
    let dead = app.store.list(Folder::Dead).await.expect("memory answers").len();
    let of_dead = put.len() - wanted.len();
    let requests = names.iter().map(|name| receiver.asked(name)).sum();
    figures(&receiver.received(), &wanted, requests, left + dead - of_dead.min(left))
}

/// The requests that a dead channel costs, and what its notices did to the others: p99 without and with it.
///
/// # Panics
/// As [`flood`].
pub async fn one_dead(notices: usize, channels: usize) -> (Figures, Figures) {
    let fair = Plan::fair(notices, channels);
    let dead = Plan { one_dead: true, ..fair.clone() };
    (flood(&fair).await, flood(&dead).await)
}

/// One instance: a timer each minute, a queue, and notices that come.
async fn host(
    app: &Arc<App>,
    plan: &Plan,
    tenant: TenantId,
    start: Timestamp,
    end: Timestamp,
    put: &mut Vec<(NoticeId, usize)>,
) {
    let (mut queue, mut queued): (VecDeque<NoticeMessage>, HashSet<Vec<NoticeId>>) = Default::default();
    let mut running = FuturesUnordered::new();
    let mut timer = app.clock.sleep(Duration::ZERO);
    let mut arrivals = app.clock.sleep(Duration::ZERO);
    let routes = stage::routes(&(0..plan.channels).map(name).collect::<Vec<_>>(), 60);
    loop {
        while running.len() < WORKERS
            && let Some(message) = queue.pop_front()
        {
            queued.remove(&message.notices);
            running.push(async move { notify::deliver::deliver(app, &message).await });
        }
        let found = tokio::select! {
            () = &mut arrivals, if put.len() < plan.notices => {
                arrivals = app.clock.sleep(Duration::from_secs(1));
                let seconds = (app.clock.now() - start).num_seconds() + 1;
                let by_now = usize::try_from(seconds).unwrap_or_default() * plan.notices / 3600 + 1;
                let fresh: Vec<_> = (put.len()..by_now.min(plan.notices))
                    .map(|number| stage::notice(tenant, number, &name(number % plan.channels), app.clock.now()))
                    .collect();
                put.extend(fresh.iter().enumerate().map(|(at, one)| (one.id, (put.len() + at) % plan.channels)).collect::<Vec<_>>());
                let fresh = outbox::put(app, &fresh).await.expect("memory answers");
                notify::due::at_once(&fresh, &routes, app.clock.now())
            }
            () = &mut timer => {
                timer = app.clock.sleep(Duration::from_secs(60));
                let idle = queue.is_empty() && running.is_empty() && put.len() == plan.notices;
                if app.clock.now() >= end || (idle && app.store.list(Folder::Outbox).await.expect("memory answers").is_empty()) {
                    return;
                }
                notify::due_now(app).await.expect("memory answers")
            }
            Some(done) = running.next(), if !running.is_empty() => {
                done.expect("memory answers");
                Vec::new()
            }
        };
        for message in found {
            if queued.insert(message.notices.clone()) {
                queue.push_back(message);
            }
        }
    }
}

fn figures(received: &[Received], wanted: &BTreeMap<NoticeId, usize>, requests: u64, left: usize) -> Figures {
    let mut arrived: BTreeMap<NoticeId, usize> = BTreeMap::new();
    let mut delays = Vec::new();
    for (message, id) in received.iter().flat_map(|message| message.notices.iter().map(move |id| (message, *id))) {
        let times = arrived.entry(id).or_default();
        *times += 1;
        if *times == 1 && wanted.contains_key(&id) {
            delays.push((message.at - message.created_at).num_milliseconds() as f64 / 1000.0);
        }
    }
    delays.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let index = ((delays.len() as f64 * share).ceil() as usize).saturating_sub(1);
        delays.get(index).copied().unwrap_or_default()
    };
    Figures {
        put: wanted.len(),
        lost: wanted.keys().filter(|id| !arrived.contains_key(id)).count(),
        again: arrived.iter().filter(|(id, _)| wanted.contains_key(id)).map(|(_, times)| times - 1).sum(),
        unheard: received.iter().filter(|message| !message.heard).map(|message| message.notices.len()).sum(),
        strange: arrived.keys().filter(|id| !wanted.contains_key(id)).count(),
        requests,
        p50: quantile(0.50),
        p99: quantile(0.99),
        longest: quantile(1.0),
        left,
    }
}

/// How long a timer needs for what waits: the first time, when all of it is read, and the second, when nothing has changed.
/// Of real time, in milliseconds.
///
/// # Panics
/// As [`flood`].
pub async fn planning(notices: usize) -> (i64, i64) {
    let start = stage::start();
    let clock = Leaping::new(start);
    let receiver = Receiver::new(clock.clone(), 1);
    let app = stage::app(&stage::settings(), clock, Arc::new(Memory::default()), &receiver, 1);
    let tenant = stage::watch(&app, &[name(0)], start).await;
    let all: Vec<_> = (0..notices).map(|number| stage::notice(tenant, number, &name(0), start)).collect();
    outbox::put(&app, &all).await.expect("memory answers");
    let mut times = [0, 0];
    for time in &mut times {
        let began = SystemClock.now();
        notify::due_now(&app).await.expect("memory answers");
        *time = (SystemClock.now() - began).num_milliseconds();
    }
    (times[0], times[1])
}

/// What a restart told again, of so many active incidents, and how many notices there had been.
///
/// # Panics
/// When the sandbox cannot start, or a poll fails.
pub async fn restart(incidents: usize) -> (usize, usize) {
    let world = Hit::new(1, 2).await;
    world.sandbox.change(|azure| {
        let at = world.clock.now();
        for number in 0..incidents {
            let id = format!("I{number:03}-AGE");
            let event = Event::service_issue(&id, "Virtual Machines", at).text(at, "<p>It began.</p>");
            azure.event(event.hits(world.subscriptions.clone()));
        }
    });
    world.round(&world.app()).await;
    let told = world.receiver.received().len();
    for _ in 0..3 {
        world.round(&world.app()).await;
    }
    (told, world.receiver.received().len() - told)
}

/// What one outage made: incidents, customers' notices, partner's notices, and the customers that the partner's named.
///
/// # Panics
/// When the sandbox cannot start, or a poll fails.
pub async fn outage(customers: usize, subscriptions: usize) -> [usize; 4] {
    let world = Hit::new(customers, subscriptions).await;
    world.sandbox.change(|azure| {
        let at = world.clock.now();
        let event = Event::service_issue("OUT1-AGE", "Virtual Machines", at).text(at, "<p>It began.</p>");
        azure.event(event.hits(world.subscriptions.clone()));
    });
    let app = world.app();
    world.round(&app).await;
    let incidents = query::incidents(&app, &EventFilter::default(), &PageAsk::default()).await.expect("memory answers");
    let received = world.receiver.received();
    let of = |name: &str| received.iter().filter(|one| one.channel == name).map(|one| one.notices.len()).sum();
    let named =
        received.iter().filter(|one| one.channel == "partner").map(|one| one.affected).max().unwrap_or_default();
    [incidents.page.rows.len(), of("ops"), of("partner"), named]
}

/// Customers in a sandbox, polled once.
struct Hit {
    sandbox: Sandbox,
    clock: Arc<Leaping>,
    settings: Settings,
    memory: Arc<Memory>,
    receiver: Arc<Receiver>,
    tenants: Vec<TenantId>,
    subscriptions: Vec<SubscriptionId>,
}

impl Hit {
    async fn new(customers: usize, subscriptions: usize) -> Self {
        let mut azure = World::new(1);
        let clock = Leaping::new(azure.now());
        let (mut records, mut all) = (Vec::new(), Vec::new());
        for number in 0..customers {
            let name = format!("Customer {number:03}");
            let tenant = azure.tenant(&name);
            for part in 0..subscriptions {
                azure.subscription(tenant, &format!("{name} {part}"));
            }
            azure.onboarded(tenant);
            let own = azure.subscriptions_of(tenant);
            let service_principal_id = azure.service_principal(tenant).expect("it has just been onboarded");
            let mode = AccessMode::AppInCustomerTenant { service_principal_id };
            let names = own.iter().map(|id| (*id, id.to_string()));
            records.push(stage::customer(tenant, &name, names, mode, azure.now()));
            all.extend(own);
        }
        let sandbox = Sandbox::start(azure, clock.clone()).await.expect("free ports");
        let settings = settings(&sandbox);
        let receiver = Receiver::new(clock.clone(), 1);
        let hit = Self {
            settings,
            sandbox,
            clock,
            memory: Arc::new(Memory::default()),
            receiver,
            tenants: records.iter().map(|record| record.tenant_id).collect(),
            subscriptions: all,
        };
        let app = hit.app();
        for record in &records {
            app.store.create(&Key::Customer(record.tenant_id), record).await.expect("an empty store");
        }
        app.store.create(&Key::Routes, &stage::routes(&["ops".to_owned()], 60)).await.expect("an empty store");
        hit.round(&app).await;
        hit
    }

    /// A new process.
    fn app(&self) -> Arc<App> {
        stage::app(&self.settings, self.clock.clone(), self.memory.clone(), &self.receiver, 5)
    }

    /// Polls everybody, and tells what is due until nothing is.
    async fn round(&self, app: &Arc<App>) {
        self.clock.set(self.clock.now() + TimeDelta::seconds(60));
        let polls: Vec<_> = self.tenants.iter().map(|tenant| poll::poll_tenant(app, *tenant)).collect();
        let done: Result<Vec<_>, _> = futures_util::stream::iter(polls).buffer_unordered(8).try_collect().await;
        done.expect("nothing fails");
        loop {
            self.clock.set(self.clock.now() + TimeDelta::seconds(61));
            let messages = notify::due_now(app).await.expect("memory answers");
            for message in &messages {
                notify::deliver::deliver(app, message).await.expect("memory answers");
            }
            if messages.is_empty() && app.store.list(Folder::Outbox).await.expect("memory answers").is_empty() {
                return;
            }
        }
    }
}
