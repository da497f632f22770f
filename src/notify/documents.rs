//! The documents behind notices that people write: routes, and what is said about incidents.

use std::collections::BTreeMap;

use crate::app::App;
use crate::model::{IncidentNotes, Routes, TrackingId};
use crate::store::{self, Folder, Key};

/// The routes; none where none were ever set.
///
/// # Errors
/// When the document cannot be read.
pub async fn routes(app: &App) -> Result<Routes, store::Error> {
    let read = app.store.read::<Routes>(&Key::Routes).await?;
    Ok(read.map(|read| read.value).unwrap_or_default())
}

/// What is said about every incident. There are as many as somebody said something about.
///
/// # Errors
/// When a document cannot be read.
pub async fn notes(app: &App) -> Result<BTreeMap<TrackingId, IncidentNotes>, store::Error> {
    let mut notes = BTreeMap::new();
    for line in app.store.list(Folder::Incidents).await? {
        let id = line.path.strip_prefix("incidents/").and_then(|rest| rest.strip_suffix(".json"));
        let Some(id) = id.and_then(|id| id.parse::<TrackingId>().ok()) else { continue };
        if let Some(read) = app.store.read::<IncidentNotes>(&Key::Incident(id.clone())).await? {
            notes.insert(id, read.value);
        }
    }
    Ok(notes)
}
