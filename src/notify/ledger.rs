//! What becomes of notices, written in an order that a crash anywhere leaves to be finished: how it ended, the mark that it
//! did, what its lane has heard, and only then it leaves the outbox.

use chrono::TimeDelta;

use super::outbox::IN_FLIGHT;
use crate::app::App;
use crate::model::{Lane, Notice, NoticeEnd, NoticeId, NoticeScope, Outcome, Phase, Timestamp, Told};
use crate::store::{self, Day, Key};
use futures_util::{StreamExt as _, TryStreamExt as _};

/// How long a sender may take. Longer than any attempt at sending and what is written around it.
pub(super) const LEASE: TimeDelta = TimeDelta::minutes(3);

/// The end of one notice.
pub(super) struct Ending {
    pub notice: Notice,
    pub end: NoticeEnd,
    pub detail: String,
}

/// Writes how notices ended, and takes them out of the outbox.
pub(super) async fn end(app: &App, endings: Vec<Ending>) -> Result<(), store::Error> {
    let ends: Vec<_> = endings.into_iter().map(|ending| end_one(app, ending)).collect();
    futures_util::stream::iter(ends).buffer_unordered(IN_FLIGHT).try_collect().await
}

async fn end_one(app: &App, Ending { notice, end, detail }: Ending) -> Result<(), store::Error> {
    let (id, at) = (notice.id, app.clock.now());
    let key = match end {
        NoticeEnd::Dead => Key::Dead(id),
        _ => Key::Delivered(Day::of(notice.created_at), id),
    };
    tracing::info!(
        notice.id = %id,
        notice.channel = notice.channel,
        notice.attempts = notice.delivery.attempts,
        notice.end = ?end,
        notice.detail = detail,
        "a notice ended"
    );
    let outcome = Outcome { notice, end, at, detail };
    create(app, &key, &outcome).await?;
    finish(app, &outcome).await
}

/// Finishes what a crash may have left: the mark, what the lane has heard, the outbox.
pub(super) async fn finish(app: &App, outcome: &Outcome) -> Result<(), store::Error> {
    let id = outcome.notice.id;
    let told = matches!(outcome.end, NoticeEnd::Delivered | NoticeEnd::Bundled { .. } | NoticeEnd::Superseded { .. });
    create(app, &Key::Told(id), &Told { at: outcome.at, told }).await?;
    if matches!(outcome.end, NoticeEnd::Delivered | NoticeEnd::Bundled { .. }) {
        heard(app, &outcome.notice).await?;
    }
    app.store.delete(&Key::Outbox(id)).await
}

/// Writes into the lane of a notice's matter what the destination knows now.
async fn heard(app: &App, notice: &Notice) -> Result<(), store::Error> {
    if !notice.is_state() {
        return Ok(());
    }
    let now = app.clock.now();
    let change = |lane: Option<&Lane>| {
        let mut after = lane.cloned().unwrap_or_else(|| Lane::new(now));
        if after.told_up_to.is_none_or(|at| at <= notice.created_at) {
            after.told_up_to = Some(notice.created_at);
            after.newest = Some(notice.id);
        }
        if matches!(notice.story.phase, Phase::Began | Phase::Changed) {
            after.begun = after.begun.max(notice.episode);
        } else if after.begun == notice.episode {
            after.begun = 0;
        }
        (lane != Some(&after)).then_some(Lane { at: now, ..after })
    };
    app.store.settle(&Key::Lane(notice.thread_lane()), change).await.map(drop)
}

/// Writes a document unless it is there: whoever wrote it wrote the same.
async fn create<T: store::Stored>(app: &App, key: &Key, value: &T) -> Result<(), store::Error> {
    match app.store.create(key, value).await {
        Err(store::Error::AlreadyExists { .. }) => Ok(()),
        other => other,
    }
}

/// A notice of the outbox that is to be told. None: it is not there any more, or had ended already, which is finished now.
pub(super) async fn pending(app: &App, id: NoticeId) -> Result<Option<Notice>, store::Error> {
    let Some(notice) = app.store.read::<Notice>(&Key::Outbox(id)).await? else { return Ok(None) };
    let notice = notice.value;
    let (delivered, dead, told) = (Key::Delivered(Day::of(notice.created_at), id), Key::Dead(id), Key::Told(id));
    let (told, delivered, dead) = futures_util::try_join!(
        app.store.read::<Told>(&told),
        app.store.read::<Outcome>(&delivered),
        app.store.read::<Outcome>(&dead),
    )?;
    // A dead letter of before the replay has nothing to say about the notice as it is now.
    let of_now = |outcome: &Outcome| outcome.notice.delivery.replays >= notice.delivery.replays;
    let ended = [delivered, dead].into_iter().flatten().map(|read| read.value).find(of_now);
    if let Some(outcome) = ended {
        finish(app, &outcome).await?;
        return Ok(None);
    }
    if told.is_some() {
        // Ended, and erased or swept since.
        app.store.delete(&Key::Outbox(id)).await?;
        return Ok(None);
    }
    Ok(Some(notice))
}

/// Takes the lease of a lane. None: somebody else has it.
pub(super) async fn claim(app: &App, id: NoticeId) -> Result<Option<Lane>, store::Error> {
    let now = app.clock.now();
    let before = app.store.read::<Lane>(&Key::Lane(id)).await?;
    let mut lane = before.as_ref().map_or_else(|| Lane::new(now), |lane| lane.value.clone());
    if lane.is_leased(now) {
        return Ok(None);
    }
    lane.leased_until = Some(now + LEASE);
    lane.unheard = lane.unheard.saturating_add(1);
    lane.at = now;
    let written = match &before {
        Some(before) => app.store.replace(&Key::Lane(id), before, &lane).await,
        None => app.store.create(&Key::Lane(id), &lane).await,
    };
    match written {
        Ok(()) => Ok(Some(lane)),
        Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gives the lease back. `members`: what is to be sent together again, if it was not taken.
pub(super) async fn release(
    app: &App,
    id: NoticeId,
    lease: Option<Timestamp>,
    members: &[NoticeId],
) -> Result<(), store::Error> {
    let change = |lane: Option<&Lane>| {
        let lane = lane.filter(|lane| lane.leased_until == lease)?;
        Some(Lane { leased_until: None, unheard: 0, members: members.to_vec(), ..lane.clone() })
    };
    app.store.settle(&Key::Lane(id), change).await.map(drop)
}

/// Writes that a notice was tried, or is to be told later. One that was erased meanwhile stays erased.
pub(super) async fn postpone(app: &App, notice: &Notice) -> Result<(), store::Error> {
    let change = |known: Option<&Notice>| known.filter(|known| *known != notice).map(|_| notice.clone());
    app.store.settle(&Key::Outbox(notice.id), change).await.map(drop)
}

/// Removes every trace of a notice whose customer is gone.
pub(super) async fn erase(app: &App, notice: &Notice) -> Result<(), store::Error> {
    let id = notice.id;
    let of_customer = matches!(notice.scope, NoticeScope::Customer { .. });
    for key in [Key::Outbox(id), Key::Dead(id), Key::Delivered(Day::of(notice.created_at), id), Key::Told(id)] {
        app.store.delete(&key).await?;
    }
    if of_customer {
        app.store.delete(&Key::Lane(notice.thread_lane())).await?;
        app.store.delete(&Key::Lane(notice.lane())).await?;
    }
    Ok(())
}
