//! What the documents of delivery say: each is read once and remembered by its version.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{NaiveDate, TimeDelta};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;

use super::seconds;
use crate::app::App;
use crate::model::{Delivery, NoticeEnd, Timestamp};
use crate::store::{self, ETag, Folder, Listed};

/// Documents that one scrape reads at most: the rest is the next one's, and it is said how many that are.
const READS: usize = 2_000;
/// Documents read at once.
const IN_FLIGHT: usize = 16;
/// Of what ended longer ago than this nothing is told.
const RECENT: TimeDelta = TimeDelta::hours(1);

/// How delivery goes.
#[derive(Debug, Default)]
pub(super) struct Notices {
    pub waiting: usize,
    pub due: usize,
    pub oldest_due: f64,
    pub lags: Vec<f64>,
    pub ended: BTreeMap<&'static str, usize>,
    pub dead: usize,
    pub unread: usize,
}

/// What was read of each document, by path and version.
#[derive(Debug, Default)]
pub struct Seen(Mutex<BTreeMap<String, (ETag, Fact)>>);

#[derive(Debug, Clone, Copy)]
enum Fact {
    Waits {
        due_at: Timestamp,
    },
    Ended {
        at: Timestamp,
        lag: f64,
        end: &'static str,
    },
    /// None of ours, or of a newer version.
    Unclear,
}

/// The part of a notice that is counted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    not_before: Timestamp,
    #[serde(default)]
    delivery: Delivery,
}

#[derive(Deserialize)]
struct CountedOutcome {
    notice: Counted,
    end: NoticeEnd,
    at: Timestamp,
}

pub(super) async fn read(app: &App, now: Timestamp) -> Result<Notices, store::Error> {
    let mut listed = app.store.list(Folder::Outbox).await?;
    let recently = now - RECENT;
    let mut days = vec![now.date_naive(), recently.date_naive()];
    days.dedup();
    for day in days {
        let number = day.signed_duration_since(NaiveDate::default()).num_days();
        listed.extend(app.store.list(Folder::DeliveredOn(i32::try_from(number).unwrap_or_default())).await?);
    }
    let dead = app.store.list(Folder::Dead).await?.len();
    let facts = facts(app, &listed).await?;

    let mut notices = Notices { dead, unread: listed.len() - facts.len(), ..Notices::default() };
    for fact in facts {
        match fact {
            Fact::Waits { due_at } if due_at <= now => {
                notices.due += 1;
                notices.oldest_due = notices.oldest_due.max(seconds(now - due_at));
            }
            Fact::Waits { .. } => notices.waiting += 1,
            Fact::Ended { at, lag, end } if at > recently => {
                *notices.ended.entry(end).or_default() += 1;
                if end == "delivered" {
                    notices.lags.push(lag);
                }
            }
            Fact::Ended { .. } | Fact::Unclear => {}
        }
    }
    Ok(notices)
}

/// What is known of the documents after reading some that are new.
async fn facts(app: &App, listed: &[Listed]) -> Result<Vec<Fact>, store::Error> {
    let new: Vec<&Listed> = {
        let mut seen = app.notices_seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there: BTreeMap<&str, &ETag> = listed.iter().map(|line| (line.path.as_str(), &line.etag)).collect();
        seen.retain(|path, (etag, _)| there.get(path.as_str()) == Some(&&*etag));
        listed.iter().filter(|line| !seen.contains_key(&line.path)).take(READS).collect()
    };
    // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
    let reads: Vec<_> =
        new.into_iter().map(|line| async move { app.store.read_listed(line).await.map(|blob| (line, blob)) }).collect();
    let read: Vec<_> = futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
    let mut seen = app.notices_seen.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (line, blob) in read {
        if let Some(blob) = blob {
            seen.insert(line.path.clone(), (line.etag.clone(), fact(&blob.body)));
        }
    }
    Ok(listed.iter().filter_map(|line| seen.get(&line.path)).map(|(_, fact)| *fact).collect())
}

fn fact(body: &[u8]) -> Fact {
    if let Ok(CountedOutcome { notice, end, at }) = serde_json::from_slice(body) {
        let end = match end {
            NoticeEnd::Delivered => "delivered",
            NoticeEnd::Superseded { .. } => "superseded",
            NoticeEnd::Bundled { .. } => "bundled",
            NoticeEnd::Withheld => "withheld",
            NoticeEnd::Dead => "dead",
        };
        return Fact::Ended { at, lag: seconds(at - notice.not_before), end };
    }
    match serde_json::from_slice::<Counted>(body) {
        Ok(Counted { not_before, delivery }) => {
            let due_at = delivery.next_attempt_at.map_or(not_before, |at| at.max(not_before));
            Fact::Waits { due_at }
        }
        Err(_) => Fact::Unclear,
    }
}
