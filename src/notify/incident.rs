//! What people say about an incident: that they look after it, that they do not want to hear of it, or anything else.

use std::sync::Arc;

use super::again::{self, Again, Telling};
use super::{documents, outbox, story};
use crate::app::App;
use crate::model::{
    Acknowledgement, Customer, IncidentNotes, Note, Notice, Phase, Snapshot, Snooze, Subject, Timestamp, TrackingId,
};
use crate::store::{self, Folder, Key};

/// The kinds of channels that know an acknowledgement. To others it would be noise.
const THAT_ACKNOWLEDGE: [&str; 1] = ["pagerduty"];

/// The most remarks that are kept of one incident.
const MOST_NOTES: usize = 500;

/// Why nothing was noted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No customer sees such an incident.
    #[error("no customer sees an incident {0}")]
    NotFound(TrackingId),
    /// There are too many remarks already.
    #[error("an incident has at most {MOST_NOTES} remarks")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Somebody looks after an incident: no reminders while it lasts, or until then. Destinations that know acknowledgements, and
/// that were told of the incident, are told.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn acknowledge(
    app: &App,
    id: &TrackingId,
    by: &str,
    reason: Option<&str>,
    until: Option<Timestamp>,
) -> Result<(), Error> {
    let episode = episode(app, id).await?;
    let now = app.clock.now();
    let said = Acknowledgement { by: by.to_owned(), at: now, reason: reason.map(str::to_owned), until, episode };
    change(app, id, |notes| notes.acknowledged = Some(said.clone())).await?;
    tracing::info!(event.tracking_id = %id, by, "an incident was acknowledged");
    let notices = acknowledged(app, id, &said).await?;
    outbox::put(app, &notices).await?;
    Ok(())
}

/// Takes the acknowledgement back.
///
/// # Errors
/// [`Error::Store`].
pub async fn unacknowledge(app: &App, id: &TrackingId) -> Result<(), Error> {
    change(app, id, |notes| notes.acknowledged = None).await?;
    tracing::info!(event.tracking_id = %id, "an acknowledgement was taken back");
    Ok(())
}

/// Nothing is told of an incident until then, but its end.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn snooze(app: &App, id: &TrackingId, by: &str, reason: &str, until: Timestamp) -> Result<(), Error> {
    episode(app, id).await?;
    let said = Snooze { by: by.to_owned(), at: app.clock.now(), reason: reason.to_owned(), until };
    change(app, id, |notes| notes.snoozed = Some(said.clone())).await?;
    tracing::info!(event.tracking_id = %id, by, %until, "an incident was snoozed");
    Ok(())
}

/// Ends a snooze: what waited for its end is due now.
///
/// # Errors
/// [`Error::Store`].
pub async fn unsnooze(app: &App, id: &TrackingId) -> Result<(), Error> {
    let known = app.store.read::<IncidentNotes>(&Key::Incident(id.clone())).await?;
    let Some(snoozed) = known.and_then(|known| known.value.snoozed) else { return Ok(()) };
    change(app, id, |notes| notes.snoozed = None).await?;
    let now = app.clock.now();
    for line in app.store.list(Folder::Outbox).await? {
        let notice = line.path.strip_prefix("outbox/").and_then(|rest| rest.strip_suffix(".json")?.parse().ok());
        let Some(notice) = notice else { continue };
        let wake = |notice: Option<&Notice>| {
            let waits = |at: Timestamp| at == snoozed.until && at > now;
            let of_it =
                |notice: &&Notice| matches!(&notice.subject, Subject::Event { tracking_id } if tracking_id == id);
            let mut notice = notice.filter(of_it)?.clone();
            let before = notice.clone();
            if waits(notice.not_before) {
                notice.not_before = now;
            }
            if notice.delivery.next_attempt_at.is_some_and(waits) {
                notice.delivery.next_attempt_at = Some(now);
            }
            (notice != before).then_some(notice)
        };
        app.store.settle(&Key::Outbox(notice), wake).await?;
    }
    tracing::info!(event.tracking_id = %id, "a snooze was taken back");
    Ok(())
}

/// Writes a remark down.
///
/// # Errors
/// [`Error::NotFound`], [`Error::TooMany`], [`Error::Store`].
pub async fn note(app: &App, id: &TrackingId, by: &str, text: &str) -> Result<(), Error> {
    episode(app, id).await?;
    let said = Note { by: by.to_owned(), at: app.clock.now(), text: text.to_owned() };
    let added = |known: Option<&IncidentNotes>| {
        let mut notes = known.cloned().unwrap_or_else(|| IncidentNotes::new(id.clone()));
        (notes.notes.len() < MOST_NOTES).then(|| {
            notes.notes.push(said.clone());
            notes
        })
    };
    app.store.settle(&Key::Incident(id.clone()), added).await?.map(drop).ok_or(Error::TooMany)
}

async fn change(app: &App, id: &TrackingId, change: impl Fn(&mut IncidentNotes)) -> Result<(), store::Error> {
    let changed = |known: Option<&IncidentNotes>| {
        let mut notes = known.cloned().unwrap_or_else(|| IncidentNotes::new(id.clone()));
        change(&mut notes);
        (known != Some(&notes)).then_some(notes)
    };
    app.store.settle(&Key::Incident(id.clone()), changed).await.map(drop)
}

/// How often the incident began, at most over all customers; 1 for what was never reopened.
async fn episode(app: &App, id: &TrackingId) -> Result<u32, Error> {
    let snapshots = app.snapshots.all(&app.store).await?;
    let episodes = snapshots.values().filter_map(|snapshot| Some(story::event_in(snapshot, id)?.1.max(1)));
    episodes.max().ok_or_else(|| Error::NotFound(id.clone()))
}

/// The notices of an acknowledgement, for the channels that know one and that were told of the start.
async fn acknowledged(app: &App, id: &TrackingId, said: &Acknowledgement) -> Result<Vec<Notice>, store::Error> {
    let routes = documents::routes(app).await?;
    let knows = |name: &String| {
        routes.channels.get(name).is_some_and(|config| THAT_ACKNOWLEDGE.contains(&config.kind.as_str()))
    };
    if !routes.routes.iter().any(|route| route.channels.iter().any(knows)) {
        return Ok(Vec::new());
    }
    let customers = app.customers.all(&app.store).await?;
    let snapshots = app.snapshots.all(&app.store).await?;
    let with_snapshot =
        |customer: &Arc<Customer>| Some((Arc::clone(customer), Arc::clone(snapshots.get(&customer.tenant_id)?)));
    let all: Vec<_> = customers.values().filter_map(with_snapshot).collect();
    let all: Vec<(&Customer, &Snapshot)> = all.iter().map(|(customer, snapshot)| (&**customer, &**snapshot)).collect();
    let seen = again::active_events(&all);
    let Some(seen) = seen.get(id) else { return Ok(Vec::new()) };
    let mut notices = Vec::new();
    for route in &routes.routes {
        for again in Again::all(&routes, route, seen, None, said.at) {
            let told = again.tell(Telling {
                word: story::ACKNOWLEDGED,
                phase: Phase::Remark,
                occurrence: said.at.to_rfc3339(),
                fact: ("Acknowledged by".to_owned(), said.by.clone()),
                only_after_start: true,
            });
            notices.extend(told.into_iter().filter(|notice| knows(&notice.channel)));
        }
    }
    Ok(notices)
}
