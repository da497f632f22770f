//! What runs in the measured process: polls of the real engine, or a client that does nothing with what it gets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use health_monitor::app::App;
use health_monitor::model::{AccessMode, Customer, Subscription, SubscriptionAccess, TenantId, Timestamp};
use health_monitor::outside::{Clock, Outside, SystemClock, SystemRandom, http_client};
use health_monitor::poll;
use health_monitor::sandbox::loopback::{Loopback, subscription, tenant};
use health_monitor::settings::{Door, Settings};
use health_monitor::store::{self, Backend, Key};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::table::Row;
use super::{LATENCY, OBSERVED, delay, scale};

/// What a measured process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Part {
    /// Ask for events and throw them away.
    Ceiling { base: String, requests: u32, in_flight: u32 },
    /// Ask with the product's HTTP client for what a first poll over REST asks, and throw it away.
    Client { base: String, tenants: u32, subscriptions: u32, in_flight: u32 },
    /// Poll customers.
    Polls { base: String, polls: Polls },
    /// The standalone host, until every customer was polled twice.
    Standalone { base: String, tenants: u32 },
    /// The Functions handler, until it is killed.
    Functions { base: String, directory: PathBuf },
    /// The standalone host while events appear.
    Delay(delay::Spec),
}

/// How customers are polled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Polls {
    pub tenants: u32,
    pub subscriptions: u32,
    /// Customers polled at once.
    pub at_once: u32,
    /// Requests to Azure in flight at most.
    pub in_flight: u32,
    /// How often each is polled, a minute apart.
    pub rounds: u32,
    pub store: StoreKind,
}

/// Where the measured process keeps documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreKind {
    Memory,
    /// A fresh directory, so that documents are not counted as memory.
    Directory,
}

/// What was measured.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Of the last rounds together; of the only one where there is one.
    pub seconds: f64,
    pub first_seconds: f64,
    /// The longest poll of one customer.
    pub longest: f64,
    pub cpu_seconds: f64,
    /// The same without the first round.
    pub later_cpu_seconds: f64,
    /// What Azure was asked in `seconds`.
    pub requests: u64,
    pub subscriptions: u64,
    /// Events in all snapshots, one per subscription that sees it.
    pub events: u64,
    /// Subscriptions with a gap, and events that are not known.
    pub missing: u64,
    pub peak_kib: u64,
    /// Documents of customers, and texts, in bytes.
    pub state_bytes: u64,
    pub texts_bytes: u64,
    /// Seconds, in virtual time.
    pub delays: Vec<f64>,
}

impl Measured {
    pub fn peak_mib(&self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }

    pub fn state_kb(&self) -> f64 {
        self.state_bytes as f64 / 1000.0
    }

    pub fn texts_kb(&self) -> f64 {
        self.texts_bytes as f64 / 1000.0
    }

    /// The row of a throughput: what the requests took, compared with what the latency alone takes.
    pub fn share(&self, name: &str, in_flight: u32) -> Row {
        let floor = self.requests as f64 * LATENCY.as_secs_f64() / f64::from(in_flight);
        let share = 100.0 * floor / self.seconds;
        let measured = format!(
            "{share:.1} % of the latency floor, {:.0} subscriptions/s ({:.1} requests each), {:.0} MiB",
            self.subscriptions as f64 / self.seconds,
            self.requests as f64 / self.subscriptions as f64,
            self.peak_mib()
        );
        Row::new(name, measured, "95 % or more").judged(share >= 95.0)
    }
}

pub async fn run(spec: &str) -> anyhow::Result<ExitCode> {
    let measured = match serde_json::from_str(spec).context("what to measure")? {
        Part::Ceiling { base, requests, in_flight } => ceiling(&base, requests, in_flight).await?,
        Part::Client { base, tenants, subscriptions, in_flight } => {
            thrown_away(&base, tenants, subscriptions, in_flight).await?
        }
        Part::Polls { base, polls } => poll_all(&base, &polls).await?,
        Part::Standalone { base, tenants } => scale::in_standalone(&base, tenants).await?,
        Part::Functions { base, directory } => return scale::in_functions(&base, &directory).await,
        Part::Delay(spec) => delay::in_standalone(&spec).await?,
    };
    println!("{}", serde_json::to_string(&measured)?);
    Ok(ExitCode::SUCCESS)
}

/// A clock that can be put on, and that may run faster.
#[derive(Debug)]
pub struct BenchClock {
    from: Timestamp,
    speed: u32,
    ahead: Mutex<Duration>,
}

impl BenchClock {
    pub fn new(from: Timestamp, speed: u32) -> Arc<Self> {
        Arc::new(Self { from, speed, ahead: Mutex::default() })
    }

    pub fn put_on(&self, by: Duration) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for BenchClock {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.from + (SystemClock.now() - self.from) * i32::try_from(self.speed).unwrap_or(1) + ahead
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration / self.speed)
    }
}

/// The product over the loopback Azure.
pub fn app(
    base: &str,
    more: &[(&str, String)],
    clock: Arc<dyn Clock>,
    backend: Arc<dyn Backend>,
) -> anyhow::Result<Arc<App>> {
    let mut values: BTreeMap<&str, String> = Loopback::settings(base);
    values.insert("STATE_STORE_URL", "memory:".to_owned());
    values.insert("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned());
    values.extend(more.iter().cloned());
    let settings = Settings::from_lookup(Door::Standalone, |name| values.get(name).cloned())?;
    let outside = Outside { clock, random: Arc::new(SystemRandom), http: http_client()?, backend };
    Ok(App::new(settings, outside))
}

/// Writes the records of customers as onboarding leaves them.
pub async fn onboard(app: &App, tenants: u32, subscriptions: u32) -> anyhow::Result<()> {
    let now = app.clock.now();
    for number in 0..tenants {
        let watched = (0..subscriptions).map(|index| {
            let name = format!("Subscription {index}");
            (subscription(number, index), Subscription::granted(&name, SubscriptionAccess::Active, "", now))
        });
        let mode = AccessMode::AppInCustomerTenant { service_principal_id: uuid::Uuid::from_u128(7).into() };
        let customer = Customer::new(tenant(number), format!("Customer {number}"), mode, now);
        let customer = Customer { subscriptions: watched.collect(), ..customer };
        app.store.create(&Key::Customer(customer.tenant_id), &customer).await?;
    }
    Ok(())
}

async fn poll_all(base: &str, polls: &Polls) -> anyhow::Result<Measured> {
    let scratch = (polls.store == StoreKind::Directory).then(Scratch::new).transpose()?;
    let backend: Arc<dyn Backend> = match &scratch {
        Some(scratch) => Arc::new(store::Local::open(&scratch.0)?),
        None => Arc::new(store::Memory::default()),
    };
    let clock = BenchClock::new(SystemClock.now(), 1);
    let in_flight = ("AZURE_REQUESTS_IN_FLIGHT", polls.in_flight.to_string());
    let app = app(base, &[in_flight], clock.clone(), backend)?;
    onboard(&app, polls.tenants, polls.subscriptions).await?;

    let mut measured = Measured::default();
    let cpu_before = cpu_seconds();
    let mut first_cpu = 0.0;
    for round in 0..polls.rounds {
        let (start, asked) = (Instant::now(), asked(base).await?);
        let polled: Vec<_> = (0..polls.tenants)
            .map(|number| {
                let app = Arc::clone(&app);
                // A task each, as the hosts have it: else all would share one thread.
                async move {
                    let begin = Instant::now();
                    let report = tokio::spawn(async move { poll::poll_tenant(&app, tenant(number)).await }).await;
                    (report, begin.elapsed().as_secs_f64())
                }
            })
            .collect();
        let mut polled = futures_util::stream::iter(polled).buffer_unordered(usize::try_from(polls.at_once)?);
        while let Some((report, took)) = polled.next().await {
            report?.context("a poll")?;
            measured.longest = measured.longest.max(took);
        }
        drop(polled);
        let seconds = start.elapsed().as_secs_f64();
        if round == 0 {
            measured.first_seconds = seconds;
            first_cpu = cpu_seconds() - cpu_before;
        }
        if round > 0 || polls.rounds == 1 {
            measured.seconds += seconds;
            measured.requests += self::asked(base).await? - asked;
            measured.subscriptions += u64::from(polls.tenants * polls.subscriptions);
        }
        clock.put_on(Duration::from_secs(60));
    }
    measured.cpu_seconds = cpu_seconds() - cpu_before;
    measured.later_cpu_seconds = measured.cpu_seconds - first_cpu;
    measured.peak_kib = peak_kib();
    count(&app, polls.tenants, polls.subscriptions, &mut measured).await?;
    if let Some(scratch) = &scratch {
        measured.state_bytes = ["customers", "health", "timeline"].iter().map(|one| size(&scratch.0.join(one))).sum();
        measured.texts_bytes = size(&scratch.0.join("texts"));
    }
    Ok(measured)
}

/// Counts what is known, and what should be and is not.
pub async fn count(app: &App, tenants: u32, subscriptions: u32, measured: &mut Measured) -> anyhow::Result<()> {
    for number in 0..tenants {
        let id: TenantId = tenant(number);
        let snapshot = app.store.read::<health_monitor::model::Snapshot>(&Key::Health(id)).await?;
        let snapshot = snapshot.map(|read| read.value).with_context(|| format!("the snapshot of {id}"))?;
        let read = |known: &&health_monitor::model::SubscriptionCoverage| {
            [&known.events, &known.resources].iter().all(|source| source.read_at.is_some() && source.gap.is_none())
        };
        let in_full = snapshot.coverage.values().filter(read).count() as u64;
        let events: usize = snapshot.events.values().map(|record| record.observations.len()).sum();
        let wanted = u64::from(subscriptions) * OBSERVED.len() as u64;
        measured.events += events as u64;
        measured.missing += u64::from(subscriptions).saturating_sub(in_full) + wanted.saturating_sub(events as u64);
    }
    Ok(())
}

/// What Azure was asked so far.
async fn asked(base: &str) -> anyhow::Result<u64> {
    let text = http_client()?.get(format!("{base}/loopback/counts")).send().await?.text().await?;
    let counts: BTreeMap<String, u64> = serde_json::from_str(&text)?;
    Ok(["token", "rest", "graph"].iter().filter_map(|kind| counts.get(*kind)).sum())
}

/// A directory that is gone afterwards.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("health-monitor-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The bytes of all files below a directory.
pub fn size(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// The most memory that this process had at once; 0 where the system does not say.
pub fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// The CPU time of this process so far, in user and system mode; 0 where the system does not say.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may have blanks; what follows its bracket has not. The clock ticks 100 times a second on every Linux.
    let after = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|one| one.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// Asks for the events and the resources of every subscription as a poll does, with the same client and as many at once.
async fn thrown_away(base: &str, tenants: u32, subscriptions: u32, in_flight: u32) -> anyhow::Result<Measured> {
    let cpu_before = cpu_seconds();
    let client = http_client()?;
    let all =
        (0..tenants).flat_map(|number| (0..subscriptions).map(move |index| (number, subscription(number, index))));
    let each = all.flat_map(|(number, id)| ["events", "availabilityStatuses"].map(|kind| (number, id, kind)));
    let asked = each.map(|(number, id, kind)| {
        let request = client
            .get(format!("{base}/subscriptions/{id}/providers/Microsoft.ResourceHealth/{kind}"))
            .bearer_auth(tenant(number));
        async move {
            let mut answer = request.send().await?.error_for_status()?;
            let mut length = 0;
            while let Some(piece) = answer.chunk().await? {
                length += piece.len();
            }
            anyhow::Ok(length)
        }
    });
    let mut asked = futures_util::stream::iter(asked.map(tokio::spawn)).buffer_unordered(usize::try_from(in_flight)?);
    while let Some(answer) = asked.next().await {
        anyhow::ensure!(answer?? > 0, "an empty answer");
    }
    let events = u64::from(tenants) * u64::from(subscriptions) * OBSERVED.len() as u64;
    Ok(Measured { cpu_seconds: cpu_seconds() - cpu_before, events, ..Measured::default() })
}

/// Asks over `in_flight` connections, one request at a time on each.
async fn ceiling(base: &str, requests: u32, in_flight: u32) -> anyhow::Result<Measured> {
    let address = base.trim_start_matches("http://").to_owned();
    let path = format!("/subscriptions/{}/providers/Microsoft.ResourceHealth/events", subscription(0, 0));
    let ask = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n", tenant(0));
    let start = Instant::now();
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let (address, ask) = (address.clone(), ask.clone());
        connections.spawn(async move { talk(&address, ask.as_bytes(), requests / in_flight).await });
    }
    while let Some(ended) = connections.join_next().await {
        ended??;
    }
    Ok(Measured { seconds: start.elapsed().as_secs_f64(), ..Measured::default() })
}

async fn talk(address: &str, ask: &[u8], requests: u32) -> anyhow::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 * 1024];
    for _ in 0..requests {
        stream.write_all(ask).await?;
        let mut have = 0;
        let head = loop {
            if let Some(end) = buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            let more = stream.read(&mut buffer[have..]).await?;
            anyhow::ensure!(more > 0, "the connection ended");
            have += more;
        };
        let text = String::from_utf8_lossy(&buffer[..head]).into_owned();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).context("a length")?;
        let mut left = (head + length.trim().parse::<usize>()?).saturating_sub(have);
        while left > 0 {
            let more = stream.read(&mut buffer).await?;
            anyhow::ensure!(more > 0, "the connection ended");
            left = left.saturating_sub(more);
        }
    }
    Ok(())
}
