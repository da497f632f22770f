//! The fault matrix: one poll and one delivery, cut off at each write and each send in four ways, then started anew. Every id
//! is counted where it arrives: nothing may be lost, and a crash may double one notice at most, under the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::future::{Either, join, join_all, select};

use super::clock::Leaping;
use super::cut::{Boundary, Cut, CutOff};
use super::receiver::{Receiver, Weather};
use super::stage;
use crate::app::App;
use crate::model::{AccessMode, NoticeId, SubscriptionId, TenantId, Timestamp};
use crate::notify::{self, NoticeMessage};
use crate::outside::Clock as _;
use crate::poll;
use crate::sandbox::{Event, Resource, Sandbox, World};
use crate::settings::{Door, Settings};
use crate::store::{Backend, Folder, Key, Memory};

/// Minutes in which everything must have settled after a crash: a lease runs out, a retry comes.
const SETTLES_WITHIN: u32 = 30;

/// One line of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What was cut off or disturbed.
    pub what: String,
    /// How.
    pub how: String,
    /// Notices that must arrive.
    pub expected: usize,
    /// Of these, how many did.
    pub arrived: usize,
    /// Arrivals that must not be: unknown ids.
    pub strange: usize,
    /// How often one arrived again, under its id.
    pub again: usize,
    /// How often that may be.
    pub allowed: usize,
    /// What is left in the outbox or among the dead.
    pub left: usize,
}

impl Row {
    /// True when it is as promised.
    pub fn holds(&self) -> bool {
        self.arrived == self.expected && self.strange == 0 && self.again <= self.allowed && self.left == 0
    }
}

/// The whole matrix.
///
/// # Panics
/// When the sandbox cannot start, or a run without a cut fails.
pub async fn matrix() -> Vec<Row> {
    let stage = Stage::new().await;
    let mut rows = stage.of_poll().await;
    rows.extend(stage.of_delivery().await);
    rows.extend(stage.disturbed().await);
    rows
}

/// Documents to begin with.
type Documents = Vec<(String, Bytes)>;

/// A customer at whom something has just happened, and the routes that tell it.
struct Stage {
    /// It answers as long as it is held.
    _sandbox: Sandbox,
    clock: Arc<Leaping>,
    settings: Settings,
    tenant: TenantId,
    start: Timestamp,
    documents: Documents,
    expected: BTreeSet<NoticeId>,
}

impl Stage {
    async fn new() -> Self {
        let mut world = World::new(1);
        let tenant = world.tenant("Contoso");
        for name in ["Contoso 0", "Contoso 1"] {
            world.subscription(tenant, name);
        }
        world.onboarded(tenant);
        let all: Vec<SubscriptionId> = world.subscriptions_of(tenant);
        let now = world.now();
        world.resource(all[0], Resource::virtual_machine("vm1", "westeurope", now));
        let service_principal_id = world.service_principal(tenant).expect("it has just been onboarded");
        let clock = Leaping::new(now);
        let sandbox = Sandbox::start(world, clock.clone()).await.expect("free ports");
        let settings = settings(&sandbox);

        let memory = Arc::new(Memory::default());
        let receiver = Receiver::new(clock.clone(), 1);
        let app = stage::app(&settings, clock.clone(), memory.clone(), &receiver, 1);
        let mode = AccessMode::AppInCustomerTenant { service_principal_id };
        let names = all.iter().map(|id| (*id, id.to_string()));
        let customer = stage::customer(tenant, "Contoso", names, mode, now);
        app.store.create(&Key::Customer(tenant), &customer).await.expect("an empty store");
        let routes = stage::routes(&["ops".to_owned(), "mail".to_owned()], 60);
        app.store.create(&Key::Routes, &routes).await.expect("an empty store");
        poll::poll_tenant(&app, tenant).await.expect("nothing fails");
        clock.set(clock.now() + TimeDelta::seconds(60));
        sandbox.change(|world| {
            let at = clock.now();
            let event =
                Event::service_issue("OUT1-AGE", "Virtual Machines", at).text(at, "<p>First.</p>").hits(all.clone());
            world.event(event.text(at, "<p>Second.</p>").service("Virtual Machines", &["West Europe"]));
            world.change_resource(all[0], "vm1", |vm, _| vm.becomes("Unavailable", at, "Down."));
        });
        let (start, documents) = (clock.now(), copy(&memory).await);
        let mut stage =
            Self { _sandbox: sandbox, clock, settings, tenant, start, documents, expected: BTreeSet::new() };
        let (memory, receiver) = stage.anew().await;
        stage.settle(&memory, &receiver).await;
        stage.expected = told(&receiver).into_keys().collect();
        assert!(
            stage.expected.len() >= 5,
            "two channels are told of two things, the partner of one: {:?}",
            stage.expected
        );
        stage
    }

    /// Documents, clock and destinations as they were at the start.
    async fn anew(&self) -> (Arc<Memory>, Arc<Receiver>) {
        self.with(&self.documents, self.start).await
    }

    async fn with(&self, documents: &Documents, now: Timestamp) -> (Arc<Memory>, Arc<Receiver>) {
        self.clock.set(now);
        let memory = Memory::default();
        for (path, body) in documents {
            memory.create(path, body.clone()).await.expect("an empty store");
        }
        (Arc::new(memory), Receiver::new(self.clock.clone(), 1))
    }

    fn app(&self, backend: Arc<dyn Backend>, receiver: &Arc<Receiver>) -> Arc<App> {
        stage::app(&self.settings, self.clock.clone(), backend, receiver, 2)
    }

    /// What a new process makes of it: polls twice, and tells what is due each minute until nothing is left.
    async fn settle(&self, memory: &Arc<Memory>, receiver: &Arc<Receiver>) {
        let app = self.app(memory.clone(), receiver);
        for minute in 0..SETTLES_WITHIN {
            if minute < 2 {
                poll::poll_tenant(&app, self.tenant).await.expect("nothing fails");
            } else if memory.list(&Folder::Outbox.prefix()).await.expect("memory answers").is_empty() {
                return;
            }
            for message in notify::due_now(&app).await.expect("nothing fails") {
                notify::deliver::deliver(&app, &message).await.expect("nothing fails");
            }
            self.clock.set(self.clock.now() + TimeDelta::seconds(60));
        }
    }

    async fn row(&self, what: String, how: &str, allowed: usize, memory: &Memory, receiver: &Receiver) -> Row {
        let told = told(receiver);
        let left = [Folder::Outbox, Folder::Dead]
            .map(|folder| async move { memory.list(&folder.prefix()).await.expect("memory answers").len() });
        Row {
            what,
            how: how.to_owned(),
            expected: self.expected.len(),
            arrived: self.expected.iter().filter(|id| told.contains_key(id)).count(),
            strange: told.keys().filter(|id| !self.expected.contains(id)).count(),
            again: told.values().map(|times| times - 1).sum(),
            allowed,
            left: join_all(left).await.into_iter().sum(),
        }
    }

    async fn of_poll(&self) -> Vec<Row> {
        let (memory, receiver) = self.anew().await;
        let counting = CutOff::new(memory, Boundary::new(usize::MAX, Cut::FailsBefore));
        poll::poll_tenant(&self.app(counting.clone(), &receiver), self.tenant).await.expect("nothing fails");
        let mut rows = Vec::new();
        for (number, write) in counting.written().iter().enumerate() {
            for cut in Cut::ALL {
                let (memory, receiver) = self.anew().await;
                let boundary = Boundary::new(number, cut);
                let app = self.app(CutOff::new(memory.clone(), boundary.clone()), &receiver);
                let run = Box::pin(poll::poll_tenant(&app, self.tenant));
                // Dropped where it is: the process has ended.
                select(run, Box::pin(boundary.killed())).await;
                self.clock.set(self.clock.now() + TimeDelta::seconds(60));
                self.settle(&memory, &receiver).await;
                let what = format!("poll, write {number:>2}: {write}");
                rows.push(self.row(what, cut.words(), 0, &memory, &receiver).await);
            }
        }
        rows
    }

    /// The documents after a poll, when its notices are due.
    async fn polled(&self) -> (Documents, Timestamp) {
        let (memory, receiver) = self.anew().await;
        poll::poll_tenant(&self.app(memory.clone(), &receiver), self.tenant).await.expect("nothing fails");
        (copy(&memory).await, self.clock.now() + TimeDelta::seconds(120))
    }

    async fn of_delivery(&self) -> Vec<Row> {
        let (documents, due) = self.polled().await;
        let (memory, receiver) = self.with(&documents, due).await;
        let sends = Boundary::new(usize::MAX, Cut::FailsBefore);
        receiver.cut(Some(sends.clone()));
        let counting = CutOff::new(memory, Boundary::new(usize::MAX, Cut::FailsBefore));
        deliver_all(&self.app(counting.clone(), &receiver)).await;
        let mut rows = Vec::new();
        let writes = counting.written();
        let boundaries = (0..writes.len()).map(|number| (number, Some(writes[number].as_str())));
        for (number, write) in boundaries.chain((0..sends.passed()).map(|number| (number, None))) {
            for cut in Cut::ALL {
                let (memory, receiver) = self.with(&documents, due).await;
                let boundary = Boundary::new(number, cut);
                let backend: Arc<dyn Backend> = match write {
                    Some(_) => CutOff::new(memory.clone(), boundary.clone()),
                    None => {
                        receiver.cut(Some(boundary.clone()));
                        memory.clone()
                    }
                };
                let app = self.app(backend, &receiver);
                let run = Box::pin(deliver_all(&app));
                if let Either::Left(_) = select(run, Box::pin(boundary.killed())).await {
                    // The process went on; it is replaced all the same.
                }
                receiver.cut(None);
                self.clock.set(self.clock.now() + TimeDelta::seconds(60));
                self.settle(&memory, &receiver).await;
                let what = match write {
                    Some(write) => format!("delivery, write {number:>2}: {write}"),
                    None => format!("delivery, send {number:>2}"),
                };
                rows.push(self.row(what, cut.words(), 1, &memory, &receiver).await);
            }
        }
        rows
    }

    /// What doubles and disorders work without ending a process.
    async fn disturbed(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let slow = Weather { takes: Duration::from_secs(1), ..Weather::default() };
        let weather = |receiver: &Receiver| ["ops", "mail", "partner"].map(|name| receiver.weather(name, slow));

        let (memory, receiver) = self.anew().await;
        weather(&receiver);
        let (one, two) = (self.app(memory.clone(), &receiver), self.app(memory.clone(), &receiver));
        let polls = join(poll::poll_tenant(&one, self.tenant), poll::poll_tenant(&two, self.tenant)).await;
        self.settle(&memory, &receiver).await;
        let how = if polls.0.is_ok() && polls.1.is_ok() { "at once" } else { "at once, one gave way" };
        rows.push(self.row("two polls of one customer".to_owned(), how, 0, &memory, &receiver).await);

        let (documents, due) = self.polled().await;
        type Order = fn(Vec<NoticeMessage>) -> Vec<Vec<NoticeMessage>>;
        let orders: [(&str, &str, Order); 5] = [
            ("each message", "twice at once", |all| vec![all.iter().chain(&all).cloned().collect()]),
            ("each message", "twice, one after the other", |all| {
                all.iter().chain(&all).map(|one| vec![one.clone()]).collect()
            }),
            ("messages", "in reverse order", |all| all.into_iter().rev().map(|one| vec![one]).collect()),
            ("messages", "all of them poison", |_| Vec::new()),
            ("messages", "each notice by itself, in reverse", |all| {
                let ids = all.into_iter().flat_map(|one| one.notices).rev();
                ids.map(|id| vec![NoticeMessage { notices: vec![id], whole: false }]).collect()
            }),
        ];
        for (what, how, order) in orders {
            let (memory, receiver) = self.with(&documents, due).await;
            weather(&receiver);
            let app = self.app(memory.clone(), &receiver);
            let messages = notify::due_now(&app).await.expect("nothing fails");
            for together in order(messages) {
                // Each by a process of its own.
                let apps: Vec<_> = together.iter().map(|_| self.app(memory.clone(), &receiver)).collect();
                let runs = together.iter().zip(&apps).map(|(message, app)| notify::deliver::deliver(app, message));
                for run in join_all(runs).await {
                    run.expect("nothing fails");
                }
            }
            self.clock.set(self.clock.now() + TimeDelta::seconds(60));
            self.settle(&memory, &receiver).await;
            rows.push(self.row(what.to_owned(), how, 0, &memory, &receiver).await);
        }

        let (memory, receiver) = self.with(&documents, due).await;
        weather(&receiver);
        let (one, two) = (self.app(memory.clone(), &receiver), self.app(memory.clone(), &receiver));
        join(deliver_all(&one), deliver_all(&two)).await;
        self.settle(&memory, &receiver).await;
        rows.push(self.row("the timer".to_owned(), "twice at once, by two processes", 0, &memory, &receiver).await);
        rows
    }
}

/// What one timer plans, delivered. What fails fails: a host would bring it again, here the next timer does.
async fn deliver_all(app: &Arc<App>) {
    let Ok(messages) = notify::due_now(app).await else { return };
    for message in messages {
        let _ = notify::deliver::deliver(app, &message).await;
    }
}

/// How often each notice arrived.
fn told(receiver: &Receiver) -> BTreeMap<NoticeId, usize> {
    let mut told = BTreeMap::new();
    for id in receiver.received().into_iter().flat_map(|message| message.notices) {
        *told.entry(id).or_default() += 1;
    }
    told
}

async fn copy(memory: &Memory) -> Documents {
    let mut documents = Vec::new();
    for folder in Folder::ROOTS {
        for line in memory.list(&folder.prefix()).await.expect("memory answers") {
            let blob = memory.get(&line.path).await.expect("memory answers").expect("nobody else writes");
            documents.push((line.path, blob.body));
        }
    }
    documents
}

pub(super) fn settings(sandbox: &Sandbox) -> Settings {
    let mut values = sandbox.settings();
    values.extend(sandbox.identity_settings());
    values.extend([
        ("PUBLIC_BASE_URL", "http://localhost:7071".to_owned()),
        ("STATE_STORE_URL", "memory:".to_owned()),
        ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
    ]);
    Settings::from_lookup(Door::Standalone, |name| values.get(name).cloned()).expect("the sandbox's settings are right")
}
