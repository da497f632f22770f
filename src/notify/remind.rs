//! Reminders: before maintenance and deadlines, and while nobody acknowledges what goes on. Found from snapshots, with ids
//! that follow from what they remind of, so that each is told once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;

use super::again::{self, Again, Telling};
use super::{documents, story};
use crate::app::App;
use crate::model::{
    Customer, EventType, IncidentNotes, MergedEvent, Notice, NoticeId, Phase, Route, Routes, Snapshot, Timestamp,
    TrackingId,
};
use crate::store;

/// What this process handed over already: a help only, the notices' ids are what keeps a reminder from being told twice.
#[derive(Debug, Default)]
pub struct Reminded(Mutex<BTreeSet<NoticeId>>);

impl Reminded {
    /// Those that this process did not hand over yet. What is no longer due is forgotten.
    fn new_of(&self, due: Vec<Notice>) -> Vec<Notice> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ids: BTreeSet<_> = due.iter().map(|notice| notice.id).collect();
        known.retain(|id| ids.contains(id));
        due.into_iter().filter(|notice| !known.contains(&notice.id)).collect()
    }

    /// Notes what was put into the outbox.
    pub fn note(&self, put: &[Notice]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(put.iter().map(|notice| notice.id));
    }
}

/// The reminders that are due and that this process did not hand over yet. Whoever put them into the outbox says so with
/// [`Reminded::note`].
///
/// # Errors
/// When documents cannot be read.
pub async fn due(app: &App) -> Result<Vec<Notice>, store::Error> {
    let routes = documents::routes(app).await?;
    let wanted = |route: &Route| {
        !route.timing.remind_before_hours.is_empty() || route.timing.remind_unacknowledged_minutes.is_some()
    };
    if !routes.routes.iter().any(wanted) {
        return Ok(Vec::new());
    }
    let customers = app.customers.all(&app.store).await?;
    let snapshots = app.snapshots.all(&app.store).await?;
    let watched = customers.values().filter(|customer| customer.offboarded_at.is_none());
    let all: Vec<(&Customer, &Snapshot)> = watched
        .filter_map(|customer| Some((customer.as_ref(), snapshots.get(&customer.tenant_id)?.as_ref())))
        .collect();
    let notes = documents::notes(app).await?;
    let due = reminders(&routes, &all, &notes, app.clock.now());
    Ok(app.reminded.new_of(due))
}

/// The reminders that are due now, each id once, in order of ids. Pure: the order of customers does not matter.
pub fn reminders(
    routes: &Routes,
    all: &[(&Customer, &Snapshot)],
    notes: &BTreeMap<TrackingId, IncidentNotes>,
    now: Timestamp,
) -> Vec<Notice> {
    let seen = again::active_events(all);
    let mut planned = BTreeMap::new();
    for route in &routes.routes {
        for (id, seen) in &seen {
            let note = notes.get(id);
            for again in Again::all(routes, route, seen, note, now) {
                let found = of_event(route, &again, note, now);
                planned.extend(found.into_iter().map(|notice| (notice.id, notice)));
            }
        }
    }
    planned.into_values().collect()
}

/// What one route reminds of, of one event.
fn of_event(route: &Route, again: &Again<'_>, note: Option<&IncidentNotes>, now: Timestamp) -> Vec<Notice> {
    let (event, episode, first_seen) = (again.event(), again.episode, again.first_seen);
    let reminder = |occurrence: String, fact: String, only_after_start: bool| {
        let fact = ("Reminder".to_owned(), fact);
        again.tell(Telling { word: story::REMINDER, phase: Phase::Changed, occurrence, fact, only_after_start })
    };
    let mut notices = Vec::new();
    if let Some((moment, hours)) = ahead(route, event, first_seen, now) {
        let fact = format!("{hours} hours before {}", what_is_ahead(event));
        notices.extend(reminder(format!("{}|{hours}", moment.to_rfc3339()), fact, false));
    }
    if let Some(round) = unacknowledged(route, event, episode, first_seen, note, now) {
        let minutes = round * i64::from(route.timing.remind_unacknowledged_minutes.unwrap_or_default());
        let fact = format!("it goes on, and nobody has acknowledged it for {minutes} minutes");
        // Whoever was not told that it began is not asked to acknowledge it.
        notices.extend(reminder(format!("unacknowledged|{episode}|{round}"), fact, true));
    }
    notices
}

fn what_is_ahead(event: &MergedEvent) -> &'static str {
    match event.content.event_type {
        EventType::PlannedMaintenance => "it begins",
        _ => "its deadline",
    }
}

/// What is ahead and the nearest threshold that has come. A threshold that had passed when we first saw the event or its newest
/// publication is not one: the news itself told it.
fn ahead(route: &Route, event: &MergedEvent, first_seen: Timestamp, now: Timestamp) -> Option<(Timestamp, u32)> {
    let moment = match event.content.event_type {
        EventType::PlannedMaintenance => event.content.impact_start?,
        EventType::ServiceIssue | EventType::EmergingIssues => return None,
        // Advice stays active until its deadline ("Azure health data APIs", 6.4).
        _ => event.content.impact_mitigation?,
    };
    let known_since = first_seen.max(event.last_update.filter(|at| *at <= now).unwrap_or(first_seen));
    let threshold = |hours: &u32| moment - TimeDelta::hours((*hours).into());
    let nearest = route.timing.remind_before_hours.iter().filter(|hours| threshold(hours) <= now).min()?;
    (now < moment && known_since <= threshold(nearest)).then_some((moment, *nearest))
}

/// How many times the pause has passed without anybody's word. None: it is too early, or somebody looks after it.
fn unacknowledged(
    route: &Route,
    event: &MergedEvent,
    episode: u32,
    first_seen: Timestamp,
    note: Option<&IncidentNotes>,
    now: Timestamp,
) -> Option<i64> {
    let pause = i64::from(route.timing.remind_unacknowledged_minutes.filter(|minutes| *minutes > 0)?);
    let goes_on = matches!(
        event.content.event_type,
        EventType::ServiceIssue | EventType::EmergingIssues | EventType::SecurityAdvisory
    );
    let looked_after = note.is_some_and(|note| note.acknowledged_in(episode, now).is_some());
    let round = (now - first_seen).num_minutes().div_euclid(pause);
    (goes_on && !looked_after && round >= 1).then_some(round)
}
