//! What this process remembers of delivering: opened channels, how fast each destination may be used, failures in a row. None
//! of it is truth; a new process begins without it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::channel::{self, Channel, Pace, Wire};
use super::due::{NOT_AGAIN_WITHIN, NoticeMessage};
use super::outbox::Waiting;
use crate::model::{ChannelConfig, Notice, NoticeId, Timestamp};
use crate::outside::Clock;
use crate::store::ETag;

/// The longest that a message waits for its turn at a busy destination. Longer would keep others' messages from being worked
/// on: it goes back and is planned anew.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a destination may get at once after a pause, as a share of its minute.
const BURST: i32 = 6;

/// Opens channels by their configuration.
pub trait Channels: Send + Sync + fmt::Debug {
    /// The channel, or in one line without secrets why there is none.
    ///
    /// # Errors
    /// Why it cannot be used.
    fn open(&self, name: &str, config: &ChannelConfig) -> Result<Arc<dyn Channel>, String>;
}

impl Channels for Wire {
    fn open(&self, name: &str, config: &ChannelConfig) -> Result<Arc<dyn Channel>, String> {
        let faults = |faults: Vec<channel::Invalid>| {
            let faults: Vec<_> = faults.iter().map(|fault| format!("{} {}", fault.field, fault.why)).collect();
            faults.join("; ")
        };
        channel::open(name, config, self).map_err(faults)
    }
}

/// A channel that was opened, and what it was opened with.
type Opened = (ChannelConfig, Arc<dyn Channel>);

/// The memory of delivering.
#[derive(Debug)]
pub struct Desk {
    /// What waits, by ETag.
    pub(super) waiting: Waiting,
    channels: Box<dyn Channels>,
    opened: Mutex<BTreeMap<String, Opened>>,
    turns: Mutex<BTreeMap<String, Arc<Turns>>>,
    planned: Mutex<BTreeMap<NoticeId, (ETag, Timestamp)>>,
    tries: Mutex<BTreeMap<String, Tries>>,
}

/// How the latest tries at a channel went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tries {
    /// Failures since the last success.
    pub failed: u32,
    /// The first of them.
    pub failed_since: Option<Timestamp>,
    /// The last success.
    pub succeeded_at: Option<Timestamp>,
}

impl Desk {
    /// An empty memory.
    pub fn new(channels: Box<dyn Channels>) -> Self {
        Self {
            waiting: Waiting::default(),
            channels,
            opened: Mutex::default(),
            turns: Mutex::default(),
            planned: Mutex::default(),
            tries: Mutex::default(),
        }
    }

    /// The channel of a configuration. It is opened once for each configuration.
    pub(super) fn open(&self, name: &str, config: &ChannelConfig) -> Result<Arc<dyn Channel>, String> {
        if let Some((known, channel)) = lock(&self.opened).get(name)
            && known == config
        {
            return Ok(Arc::clone(channel));
        }
        let channel = self.channels.open(name, config)?;
        lock(&self.opened).insert(name.to_owned(), (config.clone(), Arc::clone(&channel)));
        Ok(channel)
    }

    /// A turn at a destination: as many at once and as often as it may be used. None: not soon.
    pub(super) async fn turn(&self, channel: &dyn Channel, clock: &dyn Clock) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(
            lock(&self.turns).entry(channel.destination()).or_insert_with(|| Arc::new(Turns::new(channel.pace()))),
        );
        turns.take(clock).await
    }

    /// What of the messages was not handed to the queue a moment ago, with what was handed out now remembered.
    pub(super) fn not_planned_yet(
        &self,
        messages: Vec<NoticeMessage>,
        waiting: &[(ETag, Arc<Notice>)],
        now: Timestamp,
    ) -> Vec<NoticeMessage> {
        let versions: BTreeMap<NoticeId, &ETag> = waiting.iter().map(|(etag, notice)| (notice.id, etag)).collect();
        let mut planned = lock(&self.planned);
        planned.retain(|id, (etag, at)| now - *at < NOT_AGAIN_WITHIN && versions.get(id) == Some(&&*etag));
        let fresh: Vec<_> =
            messages.into_iter().filter(|one| one.notices.iter().any(|id| !planned.contains_key(id))).collect();
        for id in fresh.iter().flat_map(|message| &message.notices) {
            if let Some(etag) = versions.get(id) {
                planned.insert(*id, ((*etag).clone(), now));
            }
        }
        fresh
    }

    /// Counts a try at a channel. Gives how the latest went, this one among them.
    pub(super) fn tried(&self, channel: &str, taken: bool, now: Timestamp) -> Tries {
        let mut all = lock(&self.tries);
        let tries = all.entry(channel.to_owned()).or_default();
        if taken {
            *tries = Tries { failed: 0, failed_since: None, succeeded_at: Some(now) };
        } else {
            tries.failed = tries.failed.saturating_add(1);
            tries.failed_since.get_or_insert(now);
        }
        *tries
    }
}

/// The turns at one destination, by its pace: so many at once, so many a minute, with a sixth of a minute's at once after a
/// pause.
#[derive(Debug)]
struct Turns {
    at_once: Arc<Semaphore>,
    between: TimeDelta,
    burst: TimeDelta,
    /// When the next message would be sent if all were sent evenly.
    next: Mutex<Option<Timestamp>>,
}

impl Turns {
    fn new(pace: Pace) -> Self {
        let between = TimeDelta::milliseconds(60_000 / i64::from(pace.per_minute.max(1)));
        Self {
            at_once: Arc::new(Semaphore::new(pace.concurrent.max(1))),
            between,
            burst: TimeDelta::minutes(1) / BURST,
            next: Mutex::default(),
        }
    }

    async fn take(&self, clock: &dyn Clock) -> Option<OwnedSemaphorePermit> {
        let permit = match Arc::clone(&self.at_once).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waited = clock.sleep(PATIENCE);
                let turn = Arc::clone(&self.at_once).acquire_owned();
                match futures_util::future::select(Box::pin(turn), waited).await {
                    futures_util::future::Either::Left((permit, _)) => permit.ok()?,
                    futures_util::future::Either::Right(_) => return None,
                }
            }
        };
        let now = clock.now();
        let wait = {
            let mut next = lock(&self.next);
            let due = next.unwrap_or(now).max(now);
            let wait = due - now - self.burst;
            if wait > TimeDelta::from_std(PATIENCE).unwrap_or_default() {
                return None;
            }
            *next = Some(due + self.between);
            wait.to_std().unwrap_or_default()
        };
        if !wait.is_zero() {
            clock.sleep(wait).await;
        }
        Some(permit)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
