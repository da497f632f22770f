//! The destinations of a rehearsal: they count every id that arrives, and misbehave on order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::clock::lock;
use crate::model::{ChannelConfig, NoticeId, Timestamp};
use crate::notify::channel::{Channel, Pace, Parcel, Preview, Receipt, Refusal};
use crate::notify::desk::Channels;
use crate::outside::Clock;

/// How a destination behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// The share of messages that it answers with 503; it has not taken them.
    pub server_errors: f64,
    /// The share that it does not answer in time; every other one of them it has taken all the same.
    pub timeouts: f64,
    /// The share whose connection breaks; likewise.
    pub resets: f64,
    /// Down from then to then: connections are refused.
    pub down: Option<(Timestamp, Timestamp)>,
    /// It never answers in time and takes nothing.
    pub hangs: bool,
    /// It says 410.
    pub gone: bool,
    /// How long an answer takes.
    pub takes: Duration,
}

/// A message that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// The channel.
    pub channel: String,
    /// The message's id.
    pub parcel: NoticeId,
    /// The notices in it.
    pub notices: Vec<NoticeId>,
    /// What was told, such as `eventOpened`, of each.
    pub words: Vec<String>,
    /// How many customers the first named as affected.
    pub affected: usize,
    /// For how many of them it goes on.
    pub active: usize,
    /// When the first of them was put into the outbox.
    pub created_at: Timestamp,
    /// When it arrived.
    pub at: Timestamp,
    /// False when the sender could not hear the answer.
    pub heard: bool,
}

/// All destinations of a rehearsal.
#[derive(Debug)]
pub struct Receiver {
    clock: Arc<dyn Clock>,
    weather: Mutex<BTreeMap<String, Weather>>,
    received: Mutex<Vec<Received>>,
    asked: Mutex<BTreeMap<String, u64>>,
    dice: AtomicU64,
    /// Cuts a send off: its number, and whether the message has arrived.
    cut: Mutex<Option<super::cut::Boundary>>,
}

/// How long a sender waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

impl Receiver {
    /// Destinations that take everything at once.
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            clock,
            weather: Mutex::default(),
            received: Mutex::default(),
            asked: Mutex::default(),
            dice: AtomicU64::new(seed),
            cut: Mutex::default(),
        })
    }

    /// From now on a channel behaves so.
    pub fn weather(&self, channel: &str, weather: Weather) {
        lock(&self.weather).insert(channel.to_owned(), weather);
    }

    /// What has arrived.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    /// How often a channel was asked, whatever it said.
    pub fn asked(&self, channel: &str) -> u64 {
        lock(&self.asked).get(channel).copied().unwrap_or_default()
    }

    /// Cuts a send off, or none.
    pub(super) fn cut(&self, boundary: Option<super::cut::Boundary>) {
        *lock(&self.cut) = boundary;
    }

    /// From 0 to 1, the same in every run.
    fn roll(&self) -> f64 {
        // SplitMix64.
        let mut word = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) as f64 / u64::MAX as f64
    }

    fn take(&self, channel: &str, parcel: &Parcel, heard: bool) {
        let first = parcel.notices.first();
        lock(&self.received).push(Received {
            channel: channel.to_owned(),
            parcel: parcel.id,
            notices: parcel.notices.iter().map(|notice| notice.id).collect(),
            words: parcel.notices.iter().map(|notice| notice.story.word.clone()).collect(),
            affected: first.map_or(0, |notice| notice.story.affected.len()),
            active: first.map_or(0, |notice| notice.story.affected.iter().filter(|one| one.active).count()),
            created_at: first.map_or(parcel.sent_at, |notice| notice.created_at),
            at: self.clock.now(),
            heard,
        });
    }

    async fn send(&self, channel: &str, parcel: &Parcel) -> Result<Receipt, Refusal> {
        *lock(&self.asked).entry(channel.to_owned()).or_default() += 1;
        let weather = lock(&self.weather).get(channel).copied().unwrap_or_default();
        let later = |why: &str| Refusal::Later { why: why.to_owned(), retry_after: None };
        let now = self.clock.now();
        if weather.down.is_some_and(|(from, to)| from <= now && now < to) {
            return Err(later("connection refused"));
        }
        if weather.gone {
            return Err(Refusal::Gone { why: "410".to_owned() });
        }
        if weather.hangs {
            self.clock.sleep(PATIENCE).await;
            return Err(later("no answer in time"));
        }
        if !weather.takes.is_zero() {
            self.clock.sleep(weather.takes).await;
        }
        let (roll, arrives) = (self.roll(), self.roll() < 0.5);
        if roll < weather.server_errors {
            return Err(later("503"));
        }
        if roll < weather.server_errors + weather.timeouts {
            if arrives {
                self.take(channel, parcel, false);
            }
            self.clock.sleep(PATIENCE).await;
            return Err(later("no answer in time"));
        }
        if roll < weather.server_errors + weather.timeouts + weather.resets {
            if arrives {
                self.take(channel, parcel, false);
            }
            return Err(later("the connection broke"));
        }
        let cut = lock(&self.cut).clone();
        if let Some(cut) = cut {
            let arrived = || self.take(channel, parcel, true);
            return match cut.pass(arrived).await {
                Ok(()) => Ok(Receipt { detail: "202".to_owned() }),
                Err(()) => Err(later("the connection broke")),
            };
        }
        self.take(channel, parcel, true);
        Ok(Receipt { detail: "202".to_owned() })
    }
}

/// The channels of a rehearsal: whatever their kind is, they lead to its receiver.
#[derive(Debug, Clone)]
pub(super) struct Leading(pub Arc<Receiver>);

impl Channels for Leading {
    fn open(&self, name: &str, _: &ChannelConfig) -> Result<Arc<dyn Channel>, String> {
        Ok(Arc::new(Way { receiver: Arc::clone(&self.0), name: name.to_owned() }))
    }
}

#[derive(Debug)]
struct Way {
    receiver: Arc<Receiver>,
    name: String,
}

#[async_trait]
impl Channel for Way {
    fn kind(&self) -> &'static str {
        "rehearsal"
    }

    fn destination(&self) -> String {
        self.name.clone()
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 4, per_minute: 600 }
    }

    fn preview(&self, _: &Parcel) -> Vec<Preview> {
        Vec::new()
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        self.receiver.send(&self.name, parcel).await
    }
}
