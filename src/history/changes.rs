//! What is new since a caller last asked, over all customers: in the order in which it was filed, nothing left out, nothing
//! twice.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{IN_FLIGHT, SLOW_WRITE, Shelf, united};
use crate::app::App;
use crate::model::{TenantId, Timeline, Timestamp, Transition, TransitionId};
use crate::store::{self, ETag, Folder, Listed, Part};

/// What was stamped less long ago may still be on its way into the store: it is told next time. Twice [`SLOW_WRITE`]: until then
/// a write that took long has been stamped anew.
const HOLD_BACK: TimeDelta = TimeDelta::seconds(SLOW_WRITE.num_seconds() * 2);

/// Up to where a caller has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    at: Timestamp,
    id: Option<TransitionId>,
}

impl Cursor {
    /// Everything filed after a moment.
    pub fn since(at: Timestamp) -> Self {
        Self { at, id: None }
    }

    /// Reads what a caller sent: a cursor of ours, or a time.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(at) = text.parse() {
            return Some(Self::since(at));
        }
        let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (at, id) = decoded.split_once('|')?;
        let at = DateTime::from_timestamp_micros(at.parse().ok()?)?;
        let id = if id.is_empty() { None } else { Some(id.parse().ok()?) };
        Some(Self { at, id })
    }

    /// The text to send back next time.
    pub fn text(&self) -> String {
        let id = self.id.map(|id| id.to_string()).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(format!("{}|{id}", self.at.timestamp_micros()))
    }
}

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// In the order in which it was filed.
    pub rows: Vec<Transition>,
    /// Where to go on.
    pub next: Cursor,
    /// True when there is more already.
    pub more: bool,
}

/// Up to when each document was filed in, by its path and version: what has nothing new is not read again.
#[derive(Debug, Default)]
pub struct Newest(Mutex<BTreeMap<String, (ETag, Option<Timestamp>)>>);

/// What was filed after the cursor, `top` rows at most.
///
/// # Errors
/// The store's.
pub async fn changes(app: &App, since: Cursor, top: usize) -> Result<Changes, store::Error> {
    let until = app.clock.now() - HOLD_BACK;
    let listed = app.store.list(Folder::Timelines).await?;
    let candidates: Vec<&Listed> = {
        let mut known = app.newest.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|path, _| listed.binary_search_by(|line| line.path.cmp(path)).is_ok());
        let old = |line: &&Listed| {
            known.get(&line.path).is_some_and(|(etag, newest)| *etag == line.etag && *newest < Some(since.at))
        };
        listed.iter().filter(|line| !old(line)).collect()
    };
    let reads = candidates.into_iter().filter_map(|line| {
        let (shelf, part) = (shelf_of(&line.path)?, Part::of_path(&line.path)?);
        Some(async move { app.store.read::<Timeline>(&shelf.key(part)).await.map(|read| (shelf, line, read)) })
    });
    // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
    let reads: Vec<_> = reads.collect();
    let read: Vec<_> = futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
    let mut shelves: BTreeMap<Shelf, Vec<Timeline>> = BTreeMap::new();
    {
        let mut known = app.newest.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (shelf, line, document) in read {
            let Some(document) = document else { continue };
            let newest = document.value.transitions.values().map(filed_at).max();
            known.insert(line.path.clone(), (document.etag, newest));
            shelves.entry(shelf).or_default().push(document.value);
        }
    }
    let all = shelves.into_values().flat_map(|documents| united(documents.into_iter()).transitions.into_values());
    Ok(select(all.collect(), since, until, top))
}

/// What comes after the cursor and was filed long enough ago. Pure.
fn select(mut rows: Vec<Transition>, since: Cursor, until: Timestamp, top: usize) -> Changes {
    let place = |row: &Transition| Cursor { at: micros(filed_at(row)), id: Some(row.id) };
    rows.retain(|row| place(row) > since && filed_at(row) <= until);
    rows.sort_by_key(place);
    let more = rows.len() > top;
    rows.truncate(top);
    let next = rows.last().map_or(since, place);
    Changes { rows, next, more }
}

/// Older versions did not stamp what they filed: what they found is as old as that.
fn filed_at(transition: &Transition) -> Timestamp {
    transition.filed_at.unwrap_or(transition.at)
}

/// As exact as a cursor is.
fn micros(at: Timestamp) -> Timestamp {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

fn shelf_of(path: &str) -> Option<Shelf> {
    let shelf = path.strip_prefix("timeline/")?.split_once('/')?.0;
    if shelf == "partner" {
        return Some(Shelf::Partner);
    }
    shelf.parse::<TenantId>().ok().map(Shelf::Customer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{SubscriptionId, TransitionKind};

    fn filed(number: u32, second: i64) -> Transition {
        let subscription = SubscriptionId::from(uuid::Uuid::from_u128(number.into()));
        let kind = TransitionKind::SubscriptionRemoved { subscription_id: subscription };
        let at = DateTime::from_timestamp(second, 123_456_789).expect("a time");
        let transition = Transition::new(TenantId::from(uuid::Uuid::nil()), kind, "once", at, false);
        Transition { filed_at: Some(at), ..transition }
    }

    #[test]
    fn a_cursor_survives_its_text_and_nothing_else_is_one() {
        for id in [None, Some(TransitionId::from(uuid::Uuid::from_u128(7)))] {
            let cursor = Cursor { at: DateTime::from_timestamp_micros(1_700_000_000_123_456).expect("a time"), id };
            assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
        }
        assert!(Cursor::parse("2026-01-15T12:00:00Z").is_some());
        for wrong in ["", "yesterday", "MTIz", "!", "MTIzfHg"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// However writes come in between and however small the pages are, each row is told once.
        #[test]
        fn whoever_asks_again_and_again_hears_everything_once(
            seconds in proptest::collection::vec(0_i64..50, 0..40),
            top in 1_usize..7,
        ) {
            let all: Vec<_> = seconds.iter().enumerate().map(|(n, second)| filed(n as u32, *second)).collect();
            let mut cursor = Cursor::since(DateTime::UNIX_EPOCH - TimeDelta::seconds(1));
            let mut heard = Vec::new();
            for now in 0..60 {
                // What is stamped later is not in the store yet.
                let stored: Vec<_> = all.iter().filter(|row| row.at.timestamp() <= now).cloned().collect();
                loop {
                    let until = DateTime::from_timestamp(now - 3, 0).expect("a time");
                    let told = select(stored.clone(), Cursor::parse(&cursor.text()).expect("ours"), until, top);
                    heard.extend(told.rows.iter().map(|row| row.id));
                    cursor = told.next;
                    if !told.more { break; }
                }
            }
            let mut wanted: Vec<_> = all.iter().map(|row| row.id).collect();
            wanted.sort_unstable();
            heard.sort_unstable();
            prop_assert_eq!(heard, wanted);
        }
    }
}
