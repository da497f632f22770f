//! The timeline: transitions kept for longer than Azure keeps its own history. Filed once, read as one whatever documents they
//! are in, put together when they are old; what is new since, and reports.

mod changes;
pub mod compact;
mod csv;
pub mod report;
mod span;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use futures_util::{StreamExt as _, TryStreamExt as _};

pub use changes::{Changes, Cursor, Newest, changes};
pub use compact::{compact, compact_some, fold};
pub use csv::csv;

use crate::app::App;
use crate::model::{TenantId, Timeline, Timestamp, Transition, TransitionId};
use crate::store::{self, Folder, Key, Month, Part, Versioned};

/// A document that weighs more takes no more: the rest of the month is kept by days. Some two MiB, since each filing rewrites it.
const FULL: usize = 4_000;
/// What is older is filed with its year: months are put together after [`compact::MONTHS_OF_THEIR_OWN`], a month later.
const LATE: TimeDelta = TimeDelta::days(31 * 3);
/// A write that takes longer than this is stamped anew: who asked for changes meanwhile has not passed it then.
const SLOW_WRITE: TimeDelta = TimeDelta::seconds(5);
/// Documents read at once.
const IN_FLIGHT: usize = 8;

/// Whose timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// A customer's.
    Customer(TenantId),
    /// The partner's own.
    Partner,
}

impl Shelf {
    fn key(self, part: Part) -> Key {
        match self {
            Self::Customer(tenant) => Key::TimelinePart(tenant, part),
            Self::Partner => Key::PartnerTimelinePart(part),
        }
    }

    fn folder(self) -> Folder {
        match self {
            Self::Customer(tenant) => Folder::Timeline(tenant),
            Self::Partner => Folder::PartnerTimeline,
        }
    }
}

/// Adds transitions to the timeline. One that is there already stays as it is, in whatever document it is.
///
/// # Errors
/// The store's.
pub async fn file<'a>(
    app: &App,
    shelf: Shelf,
    transitions: impl Iterator<Item = &'a Transition>,
) -> Result<(), store::Error> {
    let mut months: BTreeMap<Part, Vec<&Transition>> = BTreeMap::new();
    let late = Month::of(app.clock.now() - LATE);
    for transition in transitions {
        let month = Part::month(transition.at);
        let part = if month.ended_before(&late) { month.year() } else { month };
        months.entry(part).or_default().push(transition);
    }
    for (part, transitions) in months {
        let limit = if part.is_year() { usize::MAX } else { FULL };
        let rest = file_in(app, &shelf.key(part), &transitions, limit).await?;
        let mut days: BTreeMap<Part, Vec<&Transition>> = BTreeMap::new();
        for transition in transitions.iter().filter(|transition| rest.contains(&transition.id)) {
            days.entry(Part::day(transition.at)).or_default().push(transition);
        }
        for (day, transitions) in days {
            file_in(app, &shelf.key(day), &transitions, usize::MAX).await?;
        }
    }
    Ok(())
}

/// Adds them to one document, and gives those for which it has no room.
async fn file_in(
    app: &App,
    key: &Key,
    transitions: &[&Transition],
    limit: usize,
) -> Result<BTreeSet<TransitionId>, store::Error> {
    let ids: BTreeSet<TransitionId> = transitions.iter().map(|transition| transition.id).collect();
    let mut slow: BTreeSet<TransitionId> = BTreeSet::new();
    let rest = Mutex::new(BTreeSet::new());
    loop {
        let stamp = Mutex::new(app.clock.now());
        let written = app
            .store
            .settle(key, |timeline: Option<&Timeline>| {
                let now = app.clock.now();
                *stamp.lock().unwrap_or_else(PoisonError::into_inner) = now;
                let (filed, left) = filed(timeline, transitions, &slow, limit, now);
                *rest.lock().unwrap_or_else(PoisonError::into_inner) = left;
                filed
            })
            .await?;
        let stamp = stamp.into_inner().unwrap_or_else(PoisonError::into_inner);
        let Some(written) = written else { break };
        if app.clock.now() - stamp <= SLOW_WRITE {
            break;
        }
        slow = written.transitions.values().filter(|one| ids.contains(&one.id)).map(|one| one.id).collect();
    }
    Ok(rest.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// The document with what is new to it and what is stamped anew, or None when there is nothing; and what it has no room for.
/// Pure.
fn filed(
    timeline: Option<&Timeline>,
    transitions: &[&Transition],
    again: &BTreeSet<TransitionId>,
    limit: usize,
    now: Timestamp,
) -> (Option<Timeline>, BTreeSet<TransitionId>) {
    let mut after = timeline.cloned().unwrap_or_default();
    let mut left = BTreeSet::new();
    let mut changed = false;
    let mut room = limit.saturating_sub(after.transitions.values().map(weight).sum());
    for transition in transitions {
        if let Some(known) = after.transitions.get_mut(&transition.id) {
            if again.contains(&transition.id) {
                known.filed_at = Some(now);
                changed = true;
            }
        } else if !after.folded.contains(&transition.id) {
            if room == 0 {
                left.insert(transition.id);
                continue;
            }
            room = room.saturating_sub(weight(transition));
            let filed = Transition { filed_at: Some(now), ..(*transition).clone() };
            after.transitions.insert(transition.id, filed);
            changed = true;
        }
    }
    (changed.then_some(after), left)
}

/// How much room a transition takes, in units of some 500 bytes: those of large customers name many subscriptions.
fn weight(transition: &Transition) -> usize {
    let views = transition.event.iter().flat_map(|event| &event.views);
    1 + views.map(|view| view.subscriptions.len() / 12 + view.impact.len() / 4).sum::<usize>()
}

/// The transitions found from `since` until before `until`, in order of time.
///
/// # Errors
/// The store's: a document that cannot be read is not left out silently.
pub async fn read(
    app: &App,
    shelf: Shelf,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Transition>, store::Error> {
    let listed = app.store.list(shelf.folder()).await?;
    let parts = listed.iter().filter_map(|line| Part::of_path(&line.path)).filter(|part| part.overlaps(since, until));
    // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
    let reads: Vec<_> = parts.map(|part| async move { app.store.read::<Timeline>(&shelf.key(part)).await }).collect();
    let all: Vec<Option<Versioned<Timeline>>> =
        futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
    let mut together = united(all.into_iter().flatten().map(|read| read.value)).transitions;
    together.retain(|_, transition| since <= transition.at && transition.at < until);
    let mut rows: Vec<_> = together.into_values().collect();
    rows.sort_by_key(|transition| (transition.at, transition.id));
    Ok(rows)
}

/// Several documents as one: what one of them has folded is gone from all. Pure.
fn united(timelines: impl Iterator<Item = Timeline>) -> Timeline {
    let mut together = Timeline::default();
    for timeline in timelines {
        for (id, transition) in timeline.transitions {
            let known = together.transitions.entry(id).or_insert_with(|| transition.clone());
            // A compacted document knows more of what it stands for.
            known.stands_for = known.stands_for.max(transition.stands_for);
        }
        together.folded.extend(timeline.folded);
    }
    let Timeline { transitions, folded } = &mut together;
    transitions.retain(|id, _| !folded.contains(id));
    together
}
