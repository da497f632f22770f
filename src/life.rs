//! The end of a customer: no longer watched, or erased. Erasing takes everything that is kept of him, and finds it again if a
//! poll that was under way wrote more.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::app::App;
use crate::model::{
    Counters, Customer, Invite, Snapshot, SubscriptionId, TenantId, TextHash, Timeline, Transition, TransitionKind,
};
use crate::notify;
use crate::store::{self, Folder, Key, Listed, Part, Stored};

/// Rounds of read, change and write before a contended document is given up.
const MAX_ROUNDS: u32 = 10;

/// Why a customer's record was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing of such a customer.
    #[error("the tenant {0} is no customer")]
    UnknownCustomer(TenantId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Ends the watch over a customer. What is known stays, unless it is to be erased. The customer's role assignments stay too:
/// only he can remove them.
///
/// # Errors
/// [`Error`].
pub async fn offboard(app: &App, tenant: TenantId, erase: bool) -> Result<(), Error> {
    if erase {
        return erase_all(app, tenant).await;
    }
    let now = app.clock.now();
    let mut found = false;
    change::<Customer>(app, &Key::Customer(tenant), |customer| {
        found = true;
        customer.offboarded_at.is_none().then(|| Customer { offboarded_at: Some(now), ..customer.clone() })
    })
    .await?;
    if !found {
        return Err(Error::UnknownCustomer(tenant));
    }
    tracing::info!(tenant.id = %tenant, "a customer is no longer watched");
    Ok(())
}

/// Removes everything that is kept of a customer: record, snapshot, timeline, notices, invites, and texts that nobody else
/// refers to.
async fn erase_all(app: &App, tenant: TenantId) -> Result<(), Error> {
    let record = app.store.read_bytes(&Key::Customer(tenant)).await?.is_some();
    // The record first: a poll that is under way finds it gone at its end, and sweeps what it wrote.
    app.store.delete(&Key::Customer(tenant)).await?;
    let rest = sweep(app, tenant).await?;
    if !record && !rest {
        return Err(Error::UnknownCustomer(tenant));
    }
    tracing::info!(tenant.id = %tenant, "a customer was erased");
    Ok(())
}

/// Removes what is kept of a tenant beside its record. True when there was something.
///
/// # Errors
/// The store's.
pub async fn sweep(app: &App, tenant: TenantId) -> Result<bool, store::Error> {
    let snapshot = match app.store.read::<Snapshot>(&Key::Health(tenant)).await {
        // What nobody can read is erased all the same, uncounted.
        Err(store::Error::Damaged { .. } | store::Error::NewerSchema { .. }) => None,
        other => other?,
    };
    let mut found = app.store.read_bytes(&Key::Health(tenant)).await?.is_some();
    if let Some(snapshot) = snapshot {
        let take_in = |counters: Option<&Counters>| {
            counters.cloned().unwrap_or_default().taking_in(&snapshot.value, &snapshot.etag.0)
        };
        app.store.settle(&Key::Counters, take_in).await?;
    }
    app.store.delete(&Key::Health(tenant)).await?;
    for month in app.store.list(Folder::Timeline(tenant)).await? {
        app.store.delete_listed(&month).await?;
        found = true;
    }
    found |= notify::log::forget(app, &[tenant.to_string()]).await?;
    for line in app.store.list(Folder::Invites).await? {
        if let Some(id) = line.path.strip_prefix("invites/").and_then(|rest| rest.strip_suffix(".json")) {
            let invite = app.store.read::<Invite>(&Key::Invite(id.to_owned())).await?;
            let used = |invite: &Invite| invite.used.as_ref().is_some_and(|used| used.tenant_id == tenant);
            if invite.is_some_and(|invite| invite.value.tenant_id == Some(tenant) || used(&invite.value)) {
                app.store.delete_listed(&line).await?;
                found = true;
            }
        }
    }
    sweep_texts(app).await?;
    Ok(found)
}

/// Removes texts that no snapshot refers to. One that a poll refers to meanwhile is put back.
async fn sweep_texts(app: &App) -> Result<(), store::Error> {
    let used = referred(app).await?;
    let mut removed: BTreeMap<String, (Listed, Bytes)> = BTreeMap::new();
    for line in app.store.list(Folder::Texts).await? {
        let Some(hash) = line.path.strip_prefix("texts/").and_then(|rest| rest.strip_suffix(".html")) else { continue };
        if used.contains(hash) {
            continue;
        }
        let Some(text) = app.store.read_listed(&line).await? else { continue };
        app.store.delete_listed(&line).await?;
        removed.insert(hash.to_owned(), (line, text.body));
    }
    if removed.is_empty() {
        return Ok(());
    }
    for hash in referred(app).await? {
        if let Some((_, text)) = removed.remove(&hash) {
            // Its name is its hash: whoever wrote it meanwhile wrote the same.
            match app.store.create_bytes(&Key::Text(TextHash::of(&String::from_utf8_lossy(&text))), text).await {
                Ok(_) | Err(store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// The texts that snapshots refer to, by hash.
async fn referred(app: &App) -> Result<BTreeSet<String>, store::Error> {
    let snapshots = app.snapshots.all(&app.store).await?;
    Ok(snapshots.values().flat_map(|snapshot| snapshot.texts()).map(TextHash::to_string).collect())
}

/// Removes what is left of tenants that have no record: a poll that was killed while its customer was being erased may have
/// left it.
///
/// # Errors
/// The store's.
pub async fn sweep_orphans(app: &App) -> Result<usize, store::Error> {
    let mut tenants: BTreeSet<TenantId> = BTreeSet::new();
    for line in app.store.list(Folder::Health).await? {
        let id =
            line.path.strip_prefix("health/").and_then(|rest| rest.strip_suffix(".json")?.parse::<TenantId>().ok());
        tenants.extend(id);
    }
    for line in app.store.list(Folder::Timelines).await? {
        let id = line.path.strip_prefix("timeline/").and_then(|rest| rest.split('/').next()?.parse::<TenantId>().ok());
        tenants.extend(id);
    }
    let customers = app.store.list(Folder::Customers).await?;
    let known: BTreeSet<&str> = customers.iter().map(|line| line.path.as_str()).collect();
    let mut swept = 0;
    for tenant in tenants.into_iter().filter(|tenant| !known.contains(Key::Customer(*tenant).path().as_str())) {
        if app.store.read_bytes(&Key::Customer(tenant)).await?.is_none() {
            sweep(app, tenant).await?;
            tracing::warn!(tenant.id = %tenant, "removed what was left of an erased customer");
            swept += 1;
        }
    }
    Ok(swept)
}

/// Ends the watch over some subscriptions of a customer, since he took back what they were read with. When none is left, the
/// customer is no longer watched.
///
/// # Errors
/// [`Error`].
pub async fn forget_subscriptions(
    app: &App,
    tenant: TenantId,
    gone: &BTreeSet<SubscriptionId>,
    erase: bool,
) -> Result<(), Error> {
    let now = app.clock.now();
    let mut none_left = None;
    change::<Customer>(app, &Key::Customer(tenant), |customer| {
        let mut after = customer.clone();
        after.subscriptions.retain(|id, _| !gone.contains(id));
        if erase {
            after.receipt.retain(|grant| !mentions(&grant.scope, gone));
        }
        none_left = Some(after.subscriptions.is_empty());
        if after.subscriptions.is_empty() {
            after.offboarded_at = after.offboarded_at.or(Some(now));
        }
        (after != *customer).then_some(after)
    })
    .await?;
    match none_left {
        None => return Err(Error::UnknownCustomer(tenant)),
        Some(true) if erase => return erase_all(app, tenant).await,
        Some(_) => {}
    }
    if erase {
        change::<Snapshot>(app, &Key::Health(tenant), |snapshot| Some(without(snapshot, gone))).await?;
        for line in app.store.list(Folder::Timeline(tenant)).await? {
            if let Some(key) = Part::of_path(&line.path).map(|part| Key::TimelinePart(tenant, part)) {
                change::<Timeline>(app, &key, |timeline| {
                    let mut after = timeline.clone();
                    after.transitions.retain(|_, transition| forget(transition, gone));
                    (after != *timeline).then_some(after)
                })
                .await?;
            }
        }
        let names: Vec<_> = gone.iter().map(ToString::to_string).collect();
        notify::log::forget(app, &names).await?;
        sweep_texts(app).await?;
    } else {
        let removed = gone.iter().map(|&subscription_id| {
            let kind = TransitionKind::SubscriptionRemoved { subscription_id };
            Transition::new(tenant, kind, &now.to_rfc3339(), now, false)
        });
        let removed: Vec<_> = removed.collect();
        // The next poll must not tell the same again.
        change::<Snapshot>(app, &Key::Health(tenant), |snapshot| {
            let mut after = without(snapshot, gone);
            after.unfiled.extend(removed.iter().map(|transition| (transition.id, transition.clone())));
            Some(after)
        })
        .await?;
        let customer = app.store.read::<Customer>(&Key::Customer(tenant)).await?;
        let snapshot = app.store.read::<Snapshot>(&Key::Health(tenant)).await?;
        if let (Some(customer), Some(snapshot)) = (customer, snapshot) {
            notify::tell(app, &customer.value, &snapshot.value, &snapshot.value, &removed).await?;
        }
        crate::poll::file(app, tenant, removed.iter()).await?;
    }
    tracing::info!(tenant.id = %tenant, subscriptions = gone.len(), erased = erase, "subscriptions are no longer watched");
    Ok(())
}

/// The snapshot without what is known of some subscriptions.
fn without(snapshot: &Snapshot, gone: &BTreeSet<SubscriptionId>) -> Snapshot {
    let mut after = snapshot.clone();
    after.coverage.retain(|id, _| !gone.contains(id));
    after.resources.retain(|id, _| id.subscription().is_none_or(|id| !gone.contains(&id)));
    after.unfiled.retain(|_, transition| forget(transition, gone));
    after.events.retain(|_, record| {
        record.observations.retain(|id, _| !gone.contains(id));
        let used: BTreeSet<_> = record.observations.values().map(|seen| seen.content).collect();
        record.contents.retain(|hash, _| used.contains(hash));
        !record.observations.is_empty()
    });
    after
}

/// Takes the subscriptions out of what a transition knows. False: it is about one of them, and is to go with it.
fn forget(transition: &mut Transition, gone: &BTreeSet<SubscriptionId>) -> bool {
    if let Some(event) = &mut transition.event {
        event.forget(gone);
    }
    !mentions(&serde_json::to_string(transition).unwrap_or_default(), gone)
}

fn mentions(text: &str, ids: &BTreeSet<SubscriptionId>) -> bool {
    let text = text.to_ascii_lowercase();
    ids.iter().any(|id| text.contains(&id.to_string()))
}

/// Reads, changes and writes a document until nobody was faster. Nothing happens when there is none.
pub(crate) async fn change<T: Stored>(
    app: &App,
    key: &Key,
    mut change: impl FnMut(&T) -> Option<T>,
) -> Result<(), store::Error> {
    let mut round = 1;
    loop {
        let Some(before) = app.store.read::<T>(key).await? else { return Ok(()) };
        let Some(after) = change(&before.value) else { return Ok(()) };
        match app.store.replace(key, &before, &after).await {
            Err(store::Error::Conflict { .. }) if round < MAX_ROUNDS => round += 1,
            other => return other,
        }
    }
}
