//! Puts old months together, year by year: fewer documents, nothing lost that a report or a person asks for.
//!
//! Done by whoever's timer comes first, in any order with anybody else, and cut off anywhere: the year is written before the
//! months are removed, and readers take documents together by id.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike as _, Timelike as _};

use super::{Shelf, united};
use crate::app::App;
use crate::model::{EventFacts, TenantId, Timeline, Timestamp, TrackingId, Transition, TransitionKind};
use crate::store::{self, Folder, Key, Month, Part, Versioned};

/// Months that stay documents of their own: most questions are about them. One more than [`super::LATE`] counts, so that nobody
/// files in a month that is being put away, however wrong his clock is.
pub(super) const MONTHS_OF_THEIR_OWN: u64 = 4;
/// The largest document that is made. A month that does not fit into its year stays by itself.
const LARGEST: usize = 1024 * 1024;
/// Timelines put together in one run: it must not keep anybody from being polled.
const IN_ONE_RUN: usize = 25;

/// True for some minutes of each hour in a month's first week: a month grows old when another begins.
pub fn is_due(now: Timestamp) -> bool {
    now.day() <= 7 && (30..33).contains(&now.minute())
}

/// Puts together what is old enough, some timelines at a time. Gives how many.
///
/// # Errors
/// The store's.
pub async fn compact_some(app: &App) -> Result<usize, store::Error> {
    let horizon = horizon(app.clock.now());
    let mut due: BTreeSet<Shelf> = BTreeSet::new();
    for line in app.store.list(Folder::Timelines).await? {
        if Part::of_path(&line.path).is_some_and(|part| !part.is_year() && part.ended_before(&horizon)) {
            let shelf = line.path.strip_prefix("timeline/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
            due.extend(match shelf {
                "partner" => Some(Shelf::Partner),
                tenant => tenant.parse::<TenantId>().ok().map(Shelf::Customer),
            });
        }
    }
    let mut done = 0;
    for shelf in due {
        if done == IN_ONE_RUN {
            break;
        }
        done += usize::from(compact(app, shelf).await?);
    }
    Ok(done)
}

/// Puts one timeline together. True when there was something to do.
///
/// # Errors
/// The store's.
pub async fn compact(app: &App, shelf: Shelf) -> Result<bool, store::Error> {
    if let Shelf::Customer(tenant) = shelf
        && app.store.read_bytes(&Key::Customer(tenant)).await?.is_none()
    {
        // Being erased: nothing is written any more.
        return Ok(false);
    }
    let horizon = horizon(app.clock.now());
    let mut years: BTreeMap<Part, BTreeSet<Part>> = BTreeMap::new();
    for line in app.store.list(shelf.folder()).await? {
        if let Some(part) = Part::of_path(&line.path).filter(|part| !part.is_year() && part.ended_before(&horizon)) {
            years.entry(part.year()).or_default().insert(part);
        }
    }
    let mut changed = false;
    for (year, parts) in years {
        for part in parts {
            changed |= put_away(app, shelf, &year, &part).await?;
        }
    }
    Ok(changed)
}

/// Moves a month or day into its year, or makes it smaller where it is. Whoever is faster wins; the next run goes on.
async fn put_away(app: &App, shelf: Shelf, year: &Part, part: &Part) -> Result<bool, store::Error> {
    let (year_key, part_key) = (shelf.key(year.clone()), shelf.key(part.clone()));
    let Some(old): Option<Versioned<Timeline>> = app.store.read(&part_key).await? else { return Ok(false) };
    let known: Option<Versioned<Timeline>> = app.store.read(&year_key).await?;
    let so_far = known.as_ref().map(|known| known.value.clone());
    let together = fold(united(so_far.clone().into_iter().chain([old.value.clone()])));
    if size(&together) <= LARGEST {
        let written = match &known {
            Some(_) if so_far.as_ref() == Some(&together) => Ok(()),
            Some(known) => app.store.replace(&year_key, known, &together).await,
            None => app.store.create(&year_key, &together).await,
        };
        match written {
            Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) => return Ok(false),
            other => other?,
        }
        app.store.delete(&part_key).await?;
        return Ok(true);
    }
    let alone = fold(old.value.clone());
    if alone == old.value {
        return Ok(false);
    }
    match app.store.replace(&part_key, &old, &alone).await {
        Err(store::Error::Conflict { .. }) => Ok(false),
        other => other.map(|()| true),
    }
}

fn horizon(now: Timestamp) -> Month {
    let months = chrono::Months::new(u32::try_from(MONTHS_OF_THEIR_OWN).unwrap_or(u32::MAX));
    Month::of(now.checked_sub_months(months).unwrap_or(now))
}

fn size(timeline: &Timeline) -> usize {
    serde_json::to_vec(timeline).map_or(usize::MAX, |bytes| bytes.len())
}

/// Takes out updates that the next update stands for: of those in a row that told nothing new of when, where and whom, but
/// texts, the last stays. Starts, ends, reviews and everything about resources and access stay. Pure.
pub fn fold(timeline: Timeline) -> Timeline {
    let Timeline { mut transitions, mut folded } = timeline;
    let mut order: Vec<&Transition> = transitions.values().collect();
    order.sort_by_key(|transition| (transition.at, transition.id));
    // Of each event what was said last, and the update that may still be folded into a later one.
    let mut said: BTreeMap<&TrackingId, &Option<EventFacts>> = BTreeMap::new();
    let mut pending: BTreeMap<&TrackingId, &Transition> = BTreeMap::new();
    let mut into = Vec::new();
    for transition in order {
        let Some(id) = transition.kind.tracking_id() else { continue };
        if !matches!(transition.kind, TransitionKind::EventUpdated { .. }) {
            pending.remove(id);
            said.insert(id, &transition.event);
            continue;
        }
        let nothing_new = transition.event.is_some() && said.get(id) == Some(&&transition.event);
        // The last of them stays: until then it was seen.
        if let (Some(earlier), true) = (pending.remove(id), nothing_new) {
            into.push((earlier.id, transition.id));
        }
        if nothing_new {
            pending.insert(id, transition);
        }
        said.insert(id, &transition.event);
    }
    for (earlier, later) in into {
        let Some(gone) = transitions.remove(&earlier) else { continue };
        if let Some(kept) = transitions.get_mut(&later) {
            kept.stands_for += gone.stands_for + 1;
            unite_changes(&mut kept.kind, &gone.kind);
        }
        folded.insert(earlier);
    }
    Timeline { transitions, folded }
}

fn unite_changes(kept: &mut TransitionKind, gone: &TransitionKind) {
    if let (TransitionKind::EventUpdated { changes, .. }, TransitionKind::EventUpdated { changes: more, .. }) =
        (kept, gone)
    {
        changes.extend(more.iter().copied());
    }
}
