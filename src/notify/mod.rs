//! Telling people: transitions become notices by routes, notices wait in the outbox, channels deliver them.

mod again;
pub mod channel;
pub mod dead_man;
pub mod deliver;
pub mod desk;
mod destination;
pub(crate) mod documents;
pub mod dry_run;
pub mod due;
pub mod hours;
pub mod incident;
mod ledger;
pub mod log;
pub(crate) mod matching;
pub mod outbox;
pub mod plan;
pub mod remind;
pub mod render;
pub mod schedule;
pub mod storm;
pub mod story;
pub mod trial;
pub mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use due::NoticeMessage;

use crate::app::App;
use crate::model::{
    Customer, Destination, IncidentNotes, Notice, Routes, Snapshot, TrackingId, Transition, TransitionKind,
};
use crate::store::{self, Folder, Key};

/// Tells a customer's transitions: what the routes make of them is put into the outbox. Gives what is to be handed to the
/// queue now; whatever of it gets lost, the next timer finds in the outbox.
///
/// # Errors
/// The store's. What was not put is put when the same transitions are told again.
pub async fn tell(
    app: &App,
    customer: &Customer,
    before: &Snapshot,
    after: &Snapshot,
    transitions: &[Transition],
) -> Result<Vec<NoticeMessage>, store::Error> {
    if transitions.iter().all(|transition| transition.backfill) {
        return Ok(Vec::new());
    }
    let Some(routes) = routes(app).await? else { return Ok(Vec::new()) };
    let notes = notes(app, transitions).await?;
    let now = app.clock.now();
    let facts = plan::Facts { customer, before, after, transitions, notes: &notes, now };
    put(app, &routes, plan::notices(&routes, &facts)).await
}

/// Tells the partner's own transitions, such as of his credential.
///
/// # Errors
/// The store's.
pub async fn tell_partner(app: &App, transitions: &[Transition]) -> Result<Vec<NoticeMessage>, store::Error> {
    if transitions.is_empty() {
        return Ok(Vec::new());
    }
    let Some(routes) = routes(app).await? else { return Ok(Vec::new()) };
    let mut notices = plan::partner_notices(&routes, transitions, app.clock.now());
    // That a channel fails is no news for that channel.
    let failed = |name: &str| {
        let of = |kind: &TransitionKind| matches!(kind, TransitionKind::DestinationFailed { channel, .. } if channel == name);
        transitions.iter().any(|transition| of(&transition.kind))
    };
    notices.retain(|notice| !failed(&notice.channel));
    put(app, &routes, notices).await
}

/// Puts the reminders that are due now into the outbox. Gives how many are new.
///
/// # Errors
/// The store's.
pub async fn remind(app: &App) -> Result<usize, store::Error> {
    let due = remind::due(app).await?;
    let put = outbox::put(app, &due).await?;
    app.reminded.note(&due);
    Ok(put.len())
}

async fn put(app: &App, routes: &Routes, notices: Vec<Notice>) -> Result<Vec<NoticeMessage>, store::Error> {
    let put = outbox::put(app, &notices).await?;
    for notice in &put {
        tracing::info!(
            notice.id = %notice.id,
            notice.channel = notice.channel,
            notice.route = notice.route,
            notice.word = notice.story.word,
            "a notice waits"
        );
    }
    Ok(due::at_once(&put, routes, app.clock.now()))
}

/// `PollTimer`: which notices are due now.
///
/// # Errors
/// The store's.
pub async fn due_now(app: &Arc<App>) -> Result<Vec<NoticeMessage>, store::Error> {
    let waiting = app.desk.waiting.all(&app.store).await?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let routes = routes(app).await?;
    let mut destinations = BTreeMap::new();
    for line in app.store.list(Folder::Destinations).await? {
        let name = line.path.strip_prefix("destinations/").and_then(|rest| rest.strip_suffix(".json"));
        let Some(name) = name else { continue };
        if let Some(read) = app.store.read::<Destination>(&Key::Destination(name.to_owned())).await? {
            destinations.insert(read.value.channel.clone(), read.value);
        }
    }
    let open = |name: &str| {
        let channel = app.desk.open(name, routes.as_ref()?.channels.get(name)?).ok()?;
        Some((name.to_owned(), channel.pace().per_minute))
    };
    let channels: BTreeSet<&str> = waiting.iter().map(|(_, notice)| notice.channel.as_str()).collect();
    let per_minute = channels.into_iter().filter_map(open).collect();
    let now = app.clock.now();
    let facts = due::Facts { routes: routes.as_ref(), destinations: &destinations, per_minute: &per_minute, now };
    let messages = due::due(waiting.iter().map(|(_, notice)| notice.as_ref()), &facts);
    Ok(app.desk.not_planned_yet(messages, &waiting, now))
}

async fn routes(app: &App) -> Result<Option<Routes>, store::Error> {
    Ok(app.store.read::<Routes>(&Key::Routes).await?.map(|read| read.value))
}

/// What the partner says about the incidents of some transitions.
async fn notes(app: &App, transitions: &[Transition]) -> Result<BTreeMap<TrackingId, IncidentNotes>, store::Error> {
    let ids: BTreeSet<_> = transitions.iter().filter_map(|transition| transition.kind.tracking_id()).collect();
    let mut notes = BTreeMap::new();
    for id in ids {
        if let Some(read) = app.store.read::<IncidentNotes>(&Key::Incident(id.clone())).await? {
            notes.insert(id.clone(), read.value);
        }
    }
    Ok(notes)
}
