//! Writes what a poll found: texts first, then the snapshot that refers to them, then the timeline.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::app::App;
use crate::history::{self, Shelf};
use crate::model::{Customer, Snapshot, TenantId, TextHash, Transition};
use crate::store::{self, Key, Month, Versioned};

/// Texts written at once.
const IN_FLIGHT: usize = 8;

/// Stores texts that nothing referred to before. A text that is there already is the same text: its name is its hash.
pub(super) async fn texts(
    app: &App,
    new: &BTreeSet<TextHash>,
    texts: &BTreeMap<TextHash, String>,
) -> Result<(), store::Error> {
    // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
    let writes: Vec<_> = new
        .iter()
        .filter_map(|hash| Some((hash, texts.get(hash)?)))
        .map(|(hash, text)| async move {
            match app.store.create_bytes(&Key::Text(*hash), Bytes::from(text.clone())).await {
                Ok(_) | Err(store::Error::AlreadyExists { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .collect();
    futures_util::stream::iter(writes).buffer_unordered(IN_FLIGHT).try_collect().await
}

/// Stores those of the texts that are not there.
pub(super) async fn missing_texts(
    app: &App,
    new: &BTreeSet<TextHash>,
    texts: &BTreeMap<TextHash, String>,
) -> Result<(), store::Error> {
    let mut missing = BTreeSet::new();
    for hash in new {
        if app.store.read_bytes(&Key::Text(*hash)).await?.is_none() {
            missing.insert(*hash);
        }
    }
    self::texts(app, &missing, texts).await
}

/// Replaces the snapshot that the poll began with.
pub(super) async fn snapshot(
    app: &App,
    before: Option<&Versioned<Snapshot>>,
    after: &Snapshot,
) -> Result<(), store::Error> {
    let key = Key::Health(after.tenant_id);
    match before {
        Some(before) => app.store.replace(&key, before, after).await,
        None => app.store.create(&key, after).await,
    }
}

/// Adds transitions to the timeline of their months. One that is there already stays as it is.
pub(crate) async fn file(
    app: &App,
    tenant: TenantId,
    transitions: impl Iterator<Item = &Transition>,
) -> Result<(), store::Error> {
    file_in(app, |month| Key::Timeline(tenant, month), transitions).await
}

/// The same in the partner's own timeline.
pub(crate) async fn file_partner(
    app: &App,
    transitions: impl Iterator<Item = &Transition>,
) -> Result<(), store::Error> {
    file_in(app, Key::PartnerTimeline, transitions).await
}

/// The same in any timeline.
pub(super) async fn file_in(
    app: &App,
    key_of: impl Fn(Month) -> Key,
    transitions: impl Iterator<Item = &Transition>,
) -> Result<(), store::Error> {
    let shelf = match key_of(Month::of(app.clock.now())) {
        Key::Timeline(tenant, _) => Shelf::Customer(tenant),
        _ => Shelf::Partner,
    };
    history::file(app, shelf, transitions).await
}

/// Changes a customer's record, if there is one and the change is one.
pub(super) async fn record(
    app: &App,
    tenant: TenantId,
    change: impl Fn(&Customer) -> Option<Customer>,
) -> Result<(), store::Error> {
    app.store.settle(&Key::Customer(tenant), |customer: Option<&Customer>| change(customer?)).await.map(drop)
}
