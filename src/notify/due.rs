//! What is due, of everything that waits: which messages go to the queue now. Pure.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{schedule, storm};
use crate::model::{Destination, Notice, NoticeId, Routes, Timestamp};

/// A message of the queue `health-notices`: tell these, which belong into one lane of one channel. Ids only, so that it is
/// small, and that it may come twice, late or never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeMessage {
    /// The notices.
    pub notices: Vec<NoticeId>,
    /// True when these are all that waited in their lane: an end is told only to those who were told of the start, or whose
    /// start waits still.
    #[serde(default)]
    pub whole: bool,
}

/// Notices of one message: a bundle of more would be too large for most channels, and the message for the queue.
pub const IN_ONE_MESSAGE: usize = 200;

/// Messages of one channel planned at once: what is left is next minute's, oldest first, so that a flood for one channel
/// neither floods the queue nor starves the others.
const OF_ONE_CHANNEL: usize = 1_000;

/// What is known beside the notices.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The routes; without them nothing is told, and what waits is ended.
    pub routes: Option<&'a Routes>,
    /// What is known against destinations, by channel.
    pub destinations: &'a BTreeMap<String, Destination>,
    /// How many messages a minute each channel may get; none when that is not known.
    pub per_minute: &'a BTreeMap<String, u32>,
    /// Now.
    pub now: Timestamp,
}

/// The messages that are due, oldest first within each channel.
pub fn due<'a>(waiting: impl Iterator<Item = &'a Notice>, facts: &Facts<'_>) -> Vec<NoticeMessage> {
    let mut channels: BTreeMap<&str, Vec<&Notice>> = BTreeMap::new();
    for notice in waiting {
        channels.entry(&notice.channel).or_default().push(notice);
    }
    channels.into_iter().flat_map(|(channel, notices)| of_channel(channel, notices, facts)).collect()
}

fn of_channel(channel: &str, notices: Vec<&Notice>, facts: &Facts<'_>) -> Vec<NoticeMessage> {
    let now = facts.now;
    let destination = facts.destinations.get(channel);
    let failing = destination.is_some_and(|one| one.failing_since.is_some());
    // What waited as long as it would have been tried is given up, many in one message.
    let lost = destination.is_some_and(|one| one.failing_for(schedule::PATIENCE, now));
    let (given_up, notices): (Vec<_>, Vec<_>) =
        notices.into_iter().partition(|notice| lost && schedule::is_overdue(notice, now));
    let ids: Vec<_> = given_up.iter().map(|notice| notice.id).collect();
    let chunks = ids.chunks(IN_ONE_MESSAGE).map(|ids| NoticeMessage { notices: ids.to_vec(), whole: false });
    let mut messages: Vec<_> = chunks.take(OF_ONE_CHANNEL).collect();
    if destination.is_some_and(|one| one.rests(now)) {
        return messages;
    }
    let recovered_at = destination.and_then(|one| one.recovered_at);
    // What was tried alone goes on alone: the destination may have it.
    let fresh = notices.iter().copied().filter(|one| one.not_before <= now && one.delivery.attempts == 0);
    let storms = facts.routes.map(|routes| storm::together(routes, fresh)).unwrap_or_default();
    let mut lanes: BTreeMap<String, Vec<&Notice>> = BTreeMap::new();
    for notice in notices {
        let lane = storms.get(&notice.id).cloned().unwrap_or_else(|| notice.lane().to_string());
        lanes.entry(lane).or_default().push(notice);
    }
    // The start of what one lane ends may wait in another: in a storm or a digest that was not taken yet.
    let mut elsewhere: BTreeMap<NoticeId, Vec<(&str, Timestamp)>> = BTreeMap::new();
    for (lane, notices) in &lanes {
        let together = |notice: &&&Notice| notice.bundle.is_some() || storms.contains_key(&notice.id);
        for notice in notices.iter().filter(together).filter(|notice| notice.is_state()) {
            elsewhere.entry(notice.thread_lane()).or_default().push((lane, notice.created_at));
        }
    }
    let start_waits_elsewhere = |own: &str, end: &Notice| {
        let starts = elsewhere.get(&end.thread_lane()).into_iter().flatten();
        end.only_after_start && starts.into_iter().any(|(lane, at)| *lane != own && *at < end.created_at)
    };
    let whole = |lane: &str, notices: &[&Notice]| !notices.iter().any(|notice| start_waits_elsewhere(lane, notice));
    let ready = lanes.iter().filter_map(|(name, lane)| {
        Lane::ready(lane.clone(), recovered_at, failing, now)
            .map(|lane| Lane { whole: whole(name, &lane.notices), ..lane })
    });
    let mut ready: Vec<Lane<'_>> = ready.collect();
    ready.sort_by_key(|lane| (lane.since, lane.notices[0].id));
    let limit = facts.per_minute.get(channel).map_or(OF_ONE_CHANNEL, |limit| *limit as usize);
    let mut most = limit.clamp(1, OF_ONE_CHANNEL);
    if failing {
        // One finds out how it is; the others wait for what it finds.
        most = 1;
    }
    messages.extend(ready.into_iter().take(most).map(Lane::message));
    messages
}

/// The notices of one lane that may be told now.
struct Lane<'a> {
    /// Since when.
    since: Timestamp,
    /// Oldest first.
    notices: Vec<&'a Notice>,
    /// True when nothing earlier of their matters waits elsewhere.
    whole: bool,
}

impl<'a> Lane<'a> {
    /// The lane, when its newest state (or any remark of it) is due. An older state does not go out alone while the newer one
    /// waits for its next try.
    fn ready(lane: Vec<&'a Notice>, recovered_at: Option<Timestamp>, failing: bool, now: Timestamp) -> Option<Self> {
        let (mut notices, early): (Vec<_>, Vec<_>) = lane.into_iter().partition(|notice| notice.not_before <= now);
        notices.sort_by_key(|notice| (notice.created_at, notice.story.phase, notice.id));
        notices.truncate(IN_ONE_MESSAGE);
        let newest = newest(notices.iter().copied());
        let superseded = |notice: &Notice| {
            notice.is_state() && newest.get(&notice.thread_lane()).is_some_and(|(at, _)| *at > notice.created_at)
        };
        let decisive = notices.iter().copied().filter(|notice| !superseded(notice));
        // While the destination fails, its rests say when one of them is tried, not what each was told to wait.
        let at = |notice: &Notice| if failing { notice.not_before } else { due_at(notice, recovered_at) };
        let since = decisive.map(at).min()?;
        if since > now {
            return None;
        }
        // An older state that waits for its time, such as for the end of a snooze, is told no more once a newer one is told. It
        // comes along, so that this is seen: the start that an end speaks of waits still.
        notices.extend(early.into_iter().filter(|notice| superseded(notice)));
        notices.sort_by_key(|notice| (notice.created_at, notice.story.phase, notice.id));
        Some(Self { since, notices, whole: true })
    }

    fn message(self) -> NoticeMessage {
        NoticeMessage { notices: self.notices.iter().map(|notice| notice.id).collect(), whole: self.whole }
    }
}

/// The newest state of each matter: when it was found, and its notice.
pub(super) fn newest<'a>(notices: impl Iterator<Item = &'a Notice>) -> BTreeMap<NoticeId, (Timestamp, NoticeId)> {
    let mut newest = BTreeMap::new();
    for notice in notices.filter(|notice| notice.is_state()) {
        let of_matter = newest.entry(notice.thread_lane()).or_insert((notice.created_at, notice.id));
        if of_matter.0 < notice.created_at {
            *of_matter = (notice.created_at, notice.id);
        }
    }
    newest
}

/// What failed before its destination came back is due at once.
fn due_at(notice: &Notice, recovered_at: Option<Timestamp>) -> Timestamp {
    match (notice.delivery.last_attempt_at, recovered_at) {
        (Some(last), Some(recovered)) if last < recovered => notice.not_before.max(recovered),
        _ => notice.due_at(),
    }
}

/// The messages for notices that were just found and need not wait. What may become a storm waits for the timer, which sees
/// all of it.
pub fn at_once(put: &[Notice], routes: &Routes, now: Timestamp) -> Vec<NoticeMessage> {
    let stormy = |notice: &Notice| {
        routes.routes.iter().any(|route| route.id == notice.route && route.timing.storm_above.is_some())
    };
    let mut lanes: BTreeMap<NoticeId, Vec<NoticeId>> = BTreeMap::new();
    for notice in put.iter().filter(|one| one.bundle.is_none() && one.due_at() <= now && !stormy(one)) {
        lanes.entry(notice.lane()).or_default().push(notice.id);
    }
    lanes.into_values().map(|notices| NoticeMessage { notices, whole: false }).collect()
}

/// How long what was handed to the queue is not handed to it again: it may still wait there.
pub const NOT_AGAIN_WITHIN: TimeDelta = TimeDelta::minutes(2);
