//! How long it takes from "Azure says" until a notice of it waits in the outbox: the whole standalone host, with a clock that runs
//! ten times as fast, so that 50 ms of latency are half a second and a minute is over in six seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use health_monitor::hosts::standalone;
use health_monitor::model::{Routes, Timestamp};
use health_monitor::outside::{Clock, SystemClock};
use health_monitor::sandbox::loopback::{News, Shape};
use health_monitor::store::{Backend, Blob, ETag, Error, Key, Listed, Memory};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::measured::{BenchClock, Measured, Part, Scratch, app, onboard};
use super::process::{Azure, measure as in_process};
use super::table::Row;
use super::{EXAMPLE, shape};

const SPEED: u32 = 10;
const SUBSCRIPTIONS: u32 = 3;
/// Real time until the first event appears: two virtual minutes, in which every customer is polled for the first time.
const LEAD: Duration = Duration::from_secs(13);
/// Real time between two events, and how many there are: over three virtual minutes.
const EVERY: Duration = Duration::from_millis(61);
const COUNT: u32 = 300;
/// The poll interval, in virtual seconds.
const INTERVAL: f64 = 60.0;
/// What the outbox is written below.
const TOLD_IN: &str = "outbox/";

#[derive(Debug, Serialize, Deserialize)]
pub struct Spec {
    base: String,
    tenants: u32,
    from: Timestamp,
}

fn news(from: Timestamp, tenants: u32) -> News {
    News { from, every: EVERY, tenants, speed: SPEED }
}

pub async fn measure(tenants: u32) -> anyhow::Result<Row> {
    let from = SystemClock.now() + LEAD;
    let azure = Azure::start(&Shape { news: Some(news(from, tenants)), ..shape(SUBSCRIPTIONS, &EXAMPLE, 100) })?;
    let mut delays = in_process(&Part::Delay(Spec { base: azure.base(), tenants, from }))?.delays;
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays.get(((delays.len() as f64 * share) as usize).min(delays.len() - 1)).copied();
    let (half, most) = (at(0.5).unwrap_or(f64::NAN), at(0.99).unwrap_or(f64::NAN));
    let missing = COUNT as usize - delays.len();
    let measured = format!("half within {half:.0} s, 99 % within {most:.1} s; {missing} of {COUNT} missing");
    let name = format!("From \"Azure says\" to the outbox, {tenants} tenants (virtual time)");
    Ok(Row::new(&name, measured, "p99 of one interval and 5 s").judged(most <= INTERVAL + 5.0 && missing == 0))
}

/// In the measured process: the standalone host until every event was seen, or should have been.
pub async fn in_standalone(spec: &Spec) -> anyhow::Result<Measured> {
    let clock = BenchClock::new(spec.from, SPEED);
    let backend = Arc::new(Watched { inner: Memory::default(), clock: clock.clone(), seen: Mutex::default() });
    let app = app(&spec.base, &[], clock.clone(), backend.clone())?;
    onboard(&app, spec.tenants, SUBSCRIPTIONS).await?;
    let scratch = Scratch::new()?;
    let routes: Routes = serde_json::from_value(json!({
        "channels": {"told": {"kind": "file", "path": scratch.0.join("told.jsonl")}},
        "routes": [{"id": "everything", "audience": "customer", "channels": ["told"]}],
    }))?;
    app.store.create(&Key::Routes, &routes).await?;
    let host = standalone::Host::start(app, ([127, 0, 0, 1], 0).into()).await?;
    let enough = spec.from + EVERY * COUNT + Duration::from_secs(15);
    while backend.seen().len() < COUNT as usize && SystemClock.now() < enough {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    host.stop().await;
    let news = news(spec.from, spec.tenants);
    let said = (0..COUNT).map(|index| (News::tracking_id(index), news.stamp(news.appears(index))));
    let seen = backend.seen();
    let delays = said.filter_map(|(id, said)| Some((*seen.get(&id)? - said).as_seconds_f64())).collect();
    Ok(Measured { delays, ..Measured::default() })
}

/// Documents, with a note of when each event was first written where it is told.
#[derive(Debug)]
struct Watched {
    inner: Memory,
    clock: Arc<BenchClock>,
    seen: Mutex<BTreeMap<String, Timestamp>>,
}

impl Watched {
    fn seen(&self) -> BTreeMap<String, Timestamp> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, path: &str, body: &[u8]) {
        if !path.starts_with(TOLD_IN) {
            return;
        }
        let now = self.clock.now();
        let text = String::from_utf8_lossy(body);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, _) in text.match_indices("\"NEWS-") {
            if let Some(id) = text.get(at + 1..at + 12) {
                seen.entry(id.to_owned()).or_insert(now);
            }
        }
    }
}

#[async_trait]
impl Backend for Watched {
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error> {
        self.inner.get(path).await
    }

    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error> {
        let etag = self.inner.create(path, body.clone()).await?;
        self.note(path, &body);
        Ok(etag)
    }

    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        let etag = self.inner.update(path, body.clone(), etag).await?;
        self.note(path, &body);
        Ok(etag)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        self.inner.list(prefix).await
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.inner.delete(path).await
    }
}
