//! How destinations are: one that takes nothing is left alone until one notice finds it alive again, wherever that runs. What
//! is known against a destination is in the store, so that a dead one costs one probe and not one try per notice and instance.

use chrono::{DurationRound as _, TimeDelta};

use super::desk::Tries;
use super::{schedule, tell_partner};
use crate::app::App;
use crate::model::{Destination, Routes, Timestamp, Transition, TransitionKind};
use crate::store::{self, Key};

/// Failures in a row, within one process, after which a destination is left alone. With one failure in four by chance it is
/// one row in sixty thousand.
const IN_A_ROW: u32 = 8;

/// A notice that fails so often speaks for its destination, unless others were taken a moment ago: what a process that tells
/// little goes by.
const OF_ONE_NOTICE: u32 = 3;
const A_MOMENT: TimeDelta = TimeDelta::minutes(5);

/// The partner is told of a destination that has failed for so long.
const TOLD_AFTER: TimeDelta = TimeDelta::hours(1);

/// A limit of so few a minute is counted by all instances together, in the store; a wider one by each process.
const COUNTED_TOGETHER: u32 = 60;

/// What is known against the destination of a channel.
pub(super) async fn known(app: &App, channel: &str) -> Result<Destination, store::Error> {
    let read = app.store.read::<Destination>(&Key::Destination(channel.to_owned())).await?;
    Ok(read.map_or_else(|| Destination::new(channel), |read| read.value))
}

async fn change(
    app: &App,
    channel: &str,
    change: impl Fn(Destination) -> Option<Destination>,
) -> Result<Option<Destination>, store::Error> {
    let key = Key::Destination(channel.to_owned());
    let with_new = |known: Option<&Destination>| change(known.cloned().unwrap_or_else(|| Destination::new(channel)));
    match app.store.settle(&key, with_new).await {
        // Everybody writes what he has just seen: one of them is enough.
        Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) => Ok(None),
        other => other,
    }
}

/// Leave to send one message to a failing destination, to see how it is. False: somebody else has it.
pub(super) async fn may_probe(app: &App, channel: &str, chance: f64) -> Result<bool, store::Error> {
    let now = app.clock.now();
    let leave = |mut known: Destination| {
        if known.rests(now) {
            return None;
        }
        known.rests_until = Some(now + schedule::rest(known.probes, chance));
        known.probes = known.probes.saturating_add(1);
        Some(known)
    };
    Ok(change(app, channel, leave).await?.is_some())
}

/// Leave to send one message to a destination of few messages a minute.
pub(super) async fn within_minute(app: &App, channel: &str, per_minute: u32) -> Result<bool, store::Error> {
    if per_minute > COUNTED_TOGETHER {
        return Ok(true);
    }
    let now = app.clock.now();
    let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
    let count = |mut known: Destination| {
        if known.minute != Some(minute) {
            (known.minute, known.in_minute) = (Some(minute), 0);
        }
        known.in_minute += 1;
        (known.in_minute <= per_minute).then_some(known)
    };
    Ok(change(app, channel, count).await?.is_some())
}

/// A message was taken: whatever was known against the destination is over.
pub(super) async fn taken(app: &App, before: &Destination) -> Result<(), store::Error> {
    let now = app.clock.now();
    app.desk.tried(&before.channel, true, now);
    if before.failing_since.is_none() && before.rests_until.is_none() {
        return Ok(());
    }
    let well = |known: Destination| {
        (known.failing_since.is_some() || known.rests_until.is_some()).then(|| Destination {
            recovered_at: Some(now),
            minute: known.minute,
            in_minute: known.in_minute,
            ..Destination::new(&known.channel)
        })
    };
    if change(app, &before.channel, well).await?.is_some() {
        tracing::info!(notice.channel = before.channel, "a destination works again");
    }
    Ok(())
}

/// A message was not taken. `attempts`: how often it was sent by now. True: nothing more is to be sent for now.
pub(super) async fn refused(
    app: &App,
    before: &Destination,
    attempts: u32,
    why: &str,
    asked_to_rest: Option<TimeDelta>,
    chance: f64,
) -> Result<bool, store::Error> {
    let now = app.clock.now();
    let tries = app.desk.tried(&before.channel, false, now);
    let fails = before.failing_since.is_some() || speaks_for_all(&tries, attempts, now);
    if !fails && asked_to_rest.is_none() {
        return Ok(false);
    }
    let worse = |mut known: Destination| {
        known.last_error = Some(why.to_owned());
        let mut until = asked_to_rest.map(|wait| now + wait);
        if fails {
            known.failing_since.get_or_insert(tries.failed_since.unwrap_or(now));
            if before.failing_since.is_none() {
                until = until.max(Some(now + schedule::rest(known.probes, chance)));
                known.probes = known.probes.saturating_add(1);
            }
        }
        known.rests_until = known.rests_until.max(until);
        Some(known)
    };
    let known = change(app, &before.channel, worse).await?;
    if let Some(known) = known.filter(|known| known.failing_for(TOLD_AFTER, now) && !known.told) {
        let since = known.failing_since.unwrap_or(now);
        let why = format!("it has taken nothing since {}: {why}", since.to_rfc3339());
        tell_of(app, &known.channel, false, &why, &since.to_rfc3339()).await?;
        change(app, &known.channel, |known| (!known.told).then_some(Destination { told: true, ..known })).await?;
    }
    Ok(true)
}

/// True when failures mean the destination and not the message.
fn speaks_for_all(tries: &Tries, attempts: u32, now: Timestamp) -> bool {
    let alive = tries.succeeded_at.is_some_and(|at| now - at < A_MOMENT);
    tries.failed >= IN_A_ROW || (attempts >= OF_ONE_NOTICE && !alive)
}

/// A destination said that it is gone: its channel is disabled until somebody looks, and the partner is told elsewhere.
pub(super) async fn gone(app: &App, channel: &str, why: &str) -> Result<(), store::Error> {
    let at = app.clock.now().to_rfc3339();
    let reason = format!("{why} ({at})");
    let disable = |routes: Option<&Routes>| {
        let mut routes = routes?.clone();
        let config = routes.channels.get_mut(channel).filter(|config| config.disabled.is_none())?;
        config.disabled = Some(reason.clone());
        Some(routes)
    };
    if app.store.settle(&Key::Routes, disable).await?.is_some() {
        tracing::warn!(notice.channel = channel, why, "a destination is gone: its channel is disabled");
    }
    // Told again after a crash in between, with the same id.
    let disabled = app.store.read::<Routes>(&Key::Routes).await?;
    let config = disabled.as_ref().and_then(|routes| routes.value.channels.get(channel));
    let occurrence = config.and_then(|config| config.disabled.clone()).unwrap_or(at);
    tell_of(app, channel, true, why, &occurrence).await
}

async fn tell_of(app: &App, channel: &str, gone: bool, why: &str, occurrence: &str) -> Result<(), store::Error> {
    let kind = TransitionKind::DestinationFailed { channel: channel.to_owned(), gone, why: why.to_owned() };
    let occurrence = format!("{gone}|{occurrence}");
    let found = Transition::new(app.settings.identity.tenant_id, kind, &occurrence, app.clock.now(), false);
    tell_partner(app, std::slice::from_ref(&found)).await?;
    crate::poll::file_partner(app, std::iter::once(&found)).await
}
