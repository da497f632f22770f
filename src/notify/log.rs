//! The delivery log: who was told what, when, with which answer; what waits; what was given up, and how it is sent anew.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::outbox::IN_FLIGHT;
use crate::app::App;
use crate::model::{Delivery, Lane, Notice, NoticeEnd, NoticeId, NoticeScope, Outcome, TenantId, Timestamp};
use crate::store::{self, Day, Folder, Key, Listed};

/// How long the log, the dead letters and what belongs to them are kept: a year, and a month to look back at it.
pub const KEPT: TimeDelta = TimeDelta::days(396);

/// How far back of [`KEPT`] the daily sweep looks, in days: a monitor that stood still for as long leaves nothing behind.
const SWEPT_DAYS: i32 = 62;

/// Documents swept at once, so that a sweep ends well within its call.
const SWEPT_AT_ONCE: usize = 2_000;

/// Which notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// In the outbox.
    Pending,
    /// Told, or ended without being told.
    Delivered,
    /// Given up.
    Dead,
}

impl State {
    /// The state of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "pending" => Some(Self::Pending),
            "delivered" => Some(Self::Delivered),
            "dead" => Some(Self::Dead),
            _ => None,
        }
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The notice.
    pub id: NoticeId,
    /// `pending`, or how it ended.
    pub state: String,
    /// Its channel.
    pub channel: String,
    /// Its route.
    pub route: String,
    /// The customer whom it speaks to or of; none in the partner's notice of an incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// What kind of story, such as `eventOpened`.
    pub word: String,
    /// Its line.
    pub title: String,
    /// When it was put into the outbox.
    pub created_at: Timestamp,
    /// How often it was sent.
    pub attempts: u32,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// When it is to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// What the destination answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Entry {
    fn of(notice: Notice, state: &str) -> Self {
        let tenant_id = match (notice.scope, &notice.story.customer) {
            (NoticeScope::Customer { tenant_id }, _) => Some(tenant_id),
            (NoticeScope::Partner, customer) => customer.as_ref().map(|customer| customer.tenant_id),
        };
        Self {
            id: notice.id,
            state: state.to_owned(),
            channel: notice.channel,
            route: notice.route,
            tenant_id,
            word: notice.story.word,
            title: notice.story.title,
            created_at: notice.created_at,
            attempts: notice.delivery.attempts,
            ended_at: None,
            due_at: None,
            detail: notice.delivery.last_error,
        }
    }

    fn waiting(notice: Notice) -> Self {
        let due_at = Some(notice.due_at());
        Self { due_at, ..Self::of(notice, "pending") }
    }

    fn ended(outcome: Outcome) -> Self {
        let state = match outcome.end {
            NoticeEnd::Delivered => "delivered",
            NoticeEnd::Superseded { .. } => "superseded",
            NoticeEnd::Bundled { .. } => "bundled",
            NoticeEnd::Withheld => "withheld",
            NoticeEnd::Dead => "dead",
        };
        Self { ended_at: Some(outcome.at), detail: Some(outcome.detail), ..Self::of(outcome.notice, state) }
    }
}

/// One page of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The lines; of what was delivered, the newest day first.
    pub entries: Vec<Entry>,
    /// Where the next page begins: pass it on as it is. None: this is the last.
    pub next: Option<String>,
}

/// A page of the log, of `top` lines at most, behind `after`.
///
/// # Errors
/// The store's.
pub async fn page(app: &App, state: State, top: usize, after: Option<&str>) -> Result<Page, store::Error> {
    let folder = match state {
        State::Pending => Folder::Outbox,
        State::Dead => Folder::Dead,
        State::Delivered => return delivered(app, top, after).await,
    };
    let listed = app.store.list(folder).await?;
    let mut lines: Vec<_> =
        listed.into_iter().filter(|line| after.is_none_or(|after| line.path.as_str() > after)).collect();
    let more = lines.len() > top;
    lines.truncate(top);
    let next = lines.last().filter(|_| more).map(|line| line.path.clone());
    Ok(Page { entries: entries(app, state, &lines).await?, next })
}

/// The newest day first; within a day in order of ids. A day without notices costs one listing of nothing.
async fn delivered(app: &App, top: usize, after: Option<&str>) -> Result<Page, store::Error> {
    let today = app.clock.now().date_naive();
    let start = after.and_then(|path| path.split('/').nth(1)?.parse::<NaiveDate>().ok()).unwrap_or(today);
    let (mut entries_of_page, mut day) = (Vec::new(), start.min(today));
    let oldest = today - KEPT;
    while day >= oldest {
        let listed = app.store.list(Folder::DeliveredOn(day.to_epoch_days())).await?;
        let behind = |line: &Listed| day != start || after.is_none_or(|after| line.path.as_str() > after);
        let lines: Vec<_> = listed.into_iter().filter(behind).collect();
        let room = top - entries_of_page.len();
        let part = &lines[..lines.len().min(room)];
        entries_of_page.extend(entries(app, State::Delivered, part).await?);
        if lines.len() > room || entries_of_page.len() == top {
            let next = part.last().map(|line| line.path.clone());
            // Nothing of this day fitted: the page before had ended with the day before it.
            return Ok(Page { entries: entries_of_page, next: next.or_else(|| after.map(str::to_owned)) });
        }
        day -= TimeDelta::days(1);
    }
    Ok(Page { entries: entries_of_page, next: None })
}

async fn entries(app: &App, state: State, lines: &[Listed]) -> Result<Vec<Entry>, store::Error> {
    let reads: Vec<_> = lines.iter().map(|line| entry(app, state, line)).collect();
    let read: Vec<_> = futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

async fn entry(app: &App, state: State, line: &Listed) -> Result<Option<Entry>, store::Error> {
    let Some(id) = id_of(&line.path) else { return Ok(None) };
    Ok(match state {
        State::Pending => app.store.read::<Notice>(&Key::Outbox(id)).await?.map(|read| Entry::waiting(read.value)),
        State::Dead => app.store.read::<Outcome>(&Key::Dead(id)).await?.map(|read| Entry::ended(read.value)),
        State::Delivered => {
            let Some(day) = Day::of_path(&line.path) else { return Ok(None) };
            app.store.read::<Outcome>(&Key::Delivered(day, id)).await?.map(|read| Entry::ended(read.value))
        }
    })
}

fn id_of(path: &str) -> Option<NoticeId> {
    path.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
}

/// Why a notice was not sent anew.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It neither waits nor was given up.
    #[error("there is no notice {0} that waits or was given up")]
    NotFound(NoticeId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Sends a notice anew that was given up, or one that waits now instead of later. Its id stays: a destination that had it
/// after all knows it.
///
/// # Errors
/// [`ReplayError`].
pub async fn replay(app: &App, id: NoticeId) -> Result<(), ReplayError> {
    let now = app.clock.now();
    if let Some(dead) = app.store.read::<Outcome>(&Key::Dead(id)).await? {
        let mut notice = dead.value.notice;
        notice.not_before = now;
        notice.bundle = None;
        notice.delivery = Delivery { replays: notice.delivery.replays + 1, ..Delivery::default() };
        // In this order a crash leaves the dead letter, and doing it again finishes it.
        app.store.delete(&Key::Told(id)).await?;
        match app.store.create(&Key::Outbox(id), &notice).await {
            Ok(()) | Err(store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        app.store.delete(&Key::Dead(id)).await?;
        tracing::info!(notice.id = %id, notice.channel = notice.channel, "a notice is sent anew");
        return Ok(());
    }
    let sooner = |notice: Option<&Notice>| {
        let mut notice = notice?.clone();
        notice.not_before = notice.not_before.min(now);
        notice.delivery.next_attempt_at = None;
        Some(notice)
    };
    match app.store.settle(&Key::Outbox(id), sooner).await? {
        Some(_) => Ok(()),
        None => Err(ReplayError::NotFound(id)),
    }
}

/// Sends all notices anew that were given up, or those of one channel. Gives how many.
///
/// # Errors
/// The store's.
pub async fn replay_all(app: &App, channel: Option<&str>) -> Result<usize, store::Error> {
    let mut replayed = 0;
    for line in app.store.list(Folder::Dead).await? {
        let Some(id) = id_of(&line.path) else { continue };
        if let Some(wanted) = channel {
            let dead = app.store.read::<Outcome>(&Key::Dead(id)).await?;
            if dead.is_none_or(|dead| dead.value.notice.channel != wanted) {
                continue;
            }
        }
        match replay(app, id).await {
            Ok(()) => replayed += 1,
            // Somebody else was faster.
            Err(ReplayError::NotFound(_)) => {}
            Err(ReplayError::Store(error)) => return Err(error),
        }
    }
    Ok(replayed)
}

/// Removes what is older than [`KEPT`]: the log, with its marks and lanes, and dead letters. Gives how many notices went.
///
/// # Errors
/// The store's.
pub async fn sweep(app: &App) -> Result<usize, store::Error> {
    let now = app.clock.now();
    let last = (now - KEPT).date_naive().to_epoch_days();
    let mut old: Vec<(Key, NoticeId)> = Vec::new();
    for day in last - SWEPT_DAYS..last {
        for line in app.store.list(Folder::DeliveredOn(day)).await? {
            if let (Some(day), Some(id)) = (Day::of_path(&line.path), id_of(&line.path)) {
                old.push((Key::Delivered(day, id), id));
            }
        }
    }
    let dead = app.store.list(Folder::Dead).await?;
    old.extend(dead.iter().filter_map(|line| id_of(&line.path)).map(|id| (Key::Dead(id), id)));
    let mut swept = 0;
    for (key, id) in old.into_iter().take(SWEPT_AT_ONCE) {
        let Some(outcome) = app.store.read::<Outcome>(&key).await? else { continue };
        if now - outcome.value.at < KEPT {
            continue;
        }
        for lane in lanes(&outcome.value.notice) {
            let idle = app.store.read::<Lane>(&lane).await?.is_some_and(|lane| now - lane.value.at >= KEPT);
            if idle {
                app.store.delete(&lane).await?;
            }
        }
        // The log last: it is by it that the rest is found.
        app.store.delete(&Key::Told(id)).await?;
        app.store.delete(&key).await?;
        swept += 1;
    }
    Ok(swept)
}

fn lanes(notice: &Notice) -> [Key; 2] {
    [Key::Lane(notice.thread_lane()), Key::Lane(notice.lane())]
}

/// Removes every notice that names one of these ids, such as a tenant's: from the outbox, the log, the dead letters, with marks
/// and lanes. True when there was one.
///
/// # Errors
/// The store's.
pub async fn forget(app: &App, names: &[String]) -> Result<bool, store::Error> {
    let mut found = false;
    for folder in [Folder::Outbox, Folder::Delivered, Folder::Dead] {
        let lines = app.store.list(folder).await?;
        let reads: Vec<_> = lines.iter().map(|line| mentioned(app, line, names)).collect();
        let keys: Vec<Option<BTreeSet<Key>>> =
            futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
        for key in keys.into_iter().flatten().flatten() {
            app.store.delete(&key).await?;
            found = true;
        }
    }
    Ok(found)
}

/// What belongs to a notice that names one of the ids, in the order in which it is to be removed. Texts are compared: whichever
/// member names it, now or in a later version.
async fn mentioned(app: &App, line: &Listed, names: &[String]) -> Result<Option<BTreeSet<Key>>, store::Error> {
    let Some(blob) = app.store.read_listed(line).await? else { return Ok(None) };
    let text = String::from_utf8_lossy(&blob.body).to_ascii_lowercase();
    let Some(id) = id_of(&line.path).filter(|_| names.iter().any(|name| text.contains(name))) else { return Ok(None) };
    let mut keys = BTreeSet::from([Key::Told(id), Key::Outbox(id), Key::Dead(id)]);
    keys.extend(Day::of_path(&line.path).map(|day| Key::Delivered(day, id)));
    let value: serde_json::Value = serde_json::from_slice(&blob.body).unwrap_or_default();
    let notice = value.get("notice").unwrap_or(&value);
    if let Ok(notice) = serde_json::from_value::<Notice>(notice.clone()) {
        keys.extend(lanes(&notice));
    }
    Ok(Some(keys))
}
